//! Audio and video at Messenger: ten requests a second for an account that takes a hundred of anything else.

use herald::api::Content;
use herald::api::content::{Attachment, AttachmentType};
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::Declaration;
use herald::ledger::declaration::AccountKey;
use herald::ledger::exchange::{Assignment, Directive};

use super::world::*;

/// Between two of them.
const APART: Span = Span::from_millis(100);

/// A text, if it is not empty, and one of these each.
pub fn with(key: &str, text: &str, kinds: &[AttachmentType]) -> Declaration {
    let plain = declaration(key);
    let attachment = |kind: &AttachmentType| Attachment { kind: *kind, url: "https://a.example/1".into() };
    let content =
        Content { text: text.into(), attachments: kinds.iter().map(attachment).collect(), ..Content::default() };
    let account = AccountKey { provider: "messenger".into(), ..plain.account.clone() };
    Declaration { account, content, ..plain }
}

/// Exchanges of each sender in turn, every 20 ms, each of which tells what the one before had; what each was given.
async fn given_within<L: Backend>(world: &World<L>, senders: &mut [Sender], span: Span) -> Vec<Vec<Assignment>> {
    let mut given = vec![Vec::new(); senders.len()];
    let mut held: Vec<Vec<Assignment>> = vec![Vec::new(); senders.len()];
    let mut asleep = vec![world.now(); senders.len()];
    let end = world.now() + span;
    while world.now() < end {
        for (index, sender) in senders.iter_mut().enumerate() {
            let (begun, waiting): (Vec<_>, Vec<_>) = held[index].drain(..).partition(|row| row.slot <= world.now());
            held[index] = waiting;
            let wants = if world.now() >= asleep[index] { 25 } else { 0 };
            let reply = sender.exchange(world, reports(&begun, &accepted()), wants).await;
            if let (Directive::Wait { until }, true) = (reply.directive, begun.is_empty()) {
                asleep[index] = until;
            } else {
                asleep[index] = world.now();
            }
            given[index].extend(reply.rows.iter().cloned());
            held[index].extend(reply.rows);
        }
        world.pass(Span::from_millis(20));
    }
    given
}

fn slots(rows: &[Assignment], parts: &[u32]) -> Vec<Timestamp> {
    let mut slots: Vec<Timestamp> = rows.iter().filter(|row| parts.contains(&row.part)).map(|row| row.slot).collect();
    slots.sort_unstable();
    slots
}

/// No more than ten and one in a second, and half an interval apart at least.
fn assert_spaced(slots: &[Timestamp]) {
    for pair in slots.windows(2) {
        assert!(pair[1] - pair[0] >= Span(APART.0 / 2), "{pair:?}");
    }
    for eleven in slots.windows(12) {
        assert!(eleven[11] - eleven[0] >= Span::from_secs(1), "{eleven:?}");
    }
}

pub async fn audio_keeps_its_own_rate_and_texts_fill_the_slots_between<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&with("one", "hello", &[AttachmentType::Audio]), 400).await;
    let mut senders = [Sender::proven(world, "one", broadcast).await];
    let rows = given_within(world, &mut senders, Span::from_secs(6)).await.remove(0);
    let audio = slots(&rows, &[1]);
    assert_spaced(&audio);
    assert!((55..=72).contains(&audio.len()), "{}", audio.len());
    let texts = slots(&rows, &[0]).len();
    assert!(texts >= audio.len() && texts <= audio.len() + 80, "{texts} texts, {} audio", audio.len());
    let all = slots(&rows, &[0, 1]);
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL), "no two in one slot of the account");
}

/// Whichever batch they are of: that of the one who waits for the audio has nobody else.
pub async fn texts_get_the_slots_before_that_of_an_audio_of_another_batch<L: Backend>(world: &World<L>) {
    // Of pairs somebody waits in the batch before the held one, and of three in the held one.
    for size in [2, 3] {
        let key = format!("of-{size}");
        let account = AccountKey { account: key.clone(), ..with("any", "", &[]).account };
        let one = with(&key, "hello", &[AttachmentType::Audio]);
        let broadcast = world.planned(&Declaration { account, batch_size: Some(size), ..one }, 40).await;
        let mut sender = Sender::proven(world, &key, broadcast).await;
        world.pass(APART);
        let first = sender.take(world, 3).await;
        assert_eq!(first.iter().map(|row| row.part).collect::<Vec<_>>(), [1, 0, 0], "{first:?}");
        let next = sender.exchange(world, reports(&first, &accepted()), 25).await.rows;
        let slots: Vec<Timestamp> = next.iter().map(|row| row.slot).collect();
        let following = (1..).map(|place| first[2].slot + INTERVAL * place);
        assert_eq!(slots, following.take(slots.len()).collect::<Vec<_>>(), "one after the other");
        let audio = next.iter().position(|row| row.part == 1);
        assert_eq!((next[7].seq, audio), (1, Some(7)), "{next:?}");
        assert!(next.len() > 8 && next.iter().filter(|row| row.part == 1).count() == 1);
        let texts: Vec<i64> = next.iter().filter(|row| row.part == 0).map(|row| row.seq).collect();
        assert_eq!(texts, (3..).take(texts.len()).collect::<Vec<_>>());
    }
}

pub async fn pictures_and_texts_know_no_such_rate<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&with("one", "hello", &[AttachmentType::Image]), 400).await;
    let mut senders = [Sender::proven(world, "one", broadcast).await];
    let rows = given_within(world, &mut senders, Span::from_secs(3)).await.remove(0);
    assert!(rows.len() >= 280, "{}", rows.len());
}

pub async fn what_follows_the_last_film_waits_for_none<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&with("one", "", &[AttachmentType::Video, AttachmentType::Image]), 100).await;
    let mut senders = [Sender::proven(world, "one", broadcast).await];
    let rows = given_within(world, &mut senders, Span::from_secs(4)).await.remove(0);
    let (films, pictures) = (slots(&rows, &[0]), slots(&rows, &[1]));
    assert_spaced(&films);
    assert!(
        films.len() >= 36 && pictures.len() + 12 >= films.len(),
        "{} films, {} pictures",
        films.len(),
        pictures.len()
    );
}

pub async fn two_broadcasts_of_films_share_the_rate_by_weight<L: Backend>(world: &World<L>) {
    let mut senders = Vec::new();
    for (key, weight) in [("one", 1), ("two", 4)] {
        let films = Declaration { weight, ..with(key, "", &[AttachmentType::Video]) };
        let broadcast = world.planned(&films, 300).await;
        senders.push(Sender::proven(world, key, broadcast).await);
    }
    let given = given_within(world, &mut senders, Span::from_secs(10)).await;
    let all = slots(&given.concat(), &[0]);
    assert_spaced(&all);
    assert!(all.len() >= 92, "{}", all.len());
    let parts = given.iter().map(Vec::len).collect::<Vec<_>>();
    assert!((12..=32).contains(&parts[0]), "{parts:?} of 20 and 80");
}

pub async fn a_text_gets_the_slots_that_films_leave<L: Backend>(world: &World<L>) {
    let mut senders = Vec::new();
    for declaration in [with("text", "hello", &[]), with("films", "", &[AttachmentType::Video])] {
        let broadcast = world.planned(&declaration, 1_500).await;
        senders.push(Sender::proven(world, &declaration.name, broadcast).await);
    }
    let given = given_within(world, &mut senders, Span::from_secs(8)).await;
    assert_spaced(&slots(&given[1], &[0]));
    assert!(given[1].len() >= 64, "{} films", given[1].len());
    assert!(given[0].len() >= 640, "{} texts", given[0].len());
}

pub async fn a_repeated_exchange_moves_no_film_before_its_time<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&with("one", "hello", &[AttachmentType::Video]), 50).await;
    let mut sender = Sender::proven(world, "one", broadcast).await;
    world.pass(APART * 5);
    let request = sender.request(Vec::new(), 25);
    let first = world.exchange(&request).await.unwrap().rows;
    let film = first.iter().find(|row| row.part == 1).unwrap().clone();
    world.pass(Span::from_secs(3));
    let again = world.exchange(&request).await.unwrap().rows;
    let moved = again.iter().find(|row| row.part == 1).unwrap();
    assert_eq!((moved.seq, moved.attempt), (film.seq, film.attempt));
    assert!(moved.slot >= world.now());
    let next = sender.take(world, 25).await;
    let films = [slots(&again, &[1]), slots(&next, &[1])].concat();
    assert_spaced(&films);
}
