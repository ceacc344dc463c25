//! Messages of several parts: each part an attempt of its own, none sent again that was taken.

use herald::api::Content;
use herald::api::content::{Attachment, AttachmentType};
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::outcome::Outcome;
use herald::delivery::recipient::RecipientState::{Failed, Inflight, Pending, Sent, Skipped, Unknown};
use herald::delivery::time::Span;
use herald::ledger::Declaration;
use herald::ledger::declaration::AccountKey;
use herald::ledger::exchange::{Assignment, BroadcastId, CONNECT_TIMEOUT, DEADLINE_GRACE, LastWords};
use herald::ledger::results::{ResultsFilter, ResultsQuery};

use super::world::*;

/// A text and two pictures: three parts at Messenger.
pub fn in_three_parts(key: &str) -> Declaration {
    let plain = declaration(key);
    let picture = |number| Attachment { kind: AttachmentType::Image, url: format!("https://a.example/{number}.png") };
    let content = Content { text: "hello".into(), attachments: [1, 2].map(picture).into(), ..Content::default() };
    let account = AccountKey { provider: "messenger".into(), ..plain.account.clone() };
    Declaration { account, content, ..plain }
}

/// Which part of whom.
fn parts(rows: &[Assignment]) -> Vec<(i64, u32)> {
    rows.iter().map(|row| (row.seq, row.part)).collect()
}

fn accepted_as(id: &str) -> Outcome {
    Outcome::Accepted { provider_id: Some(id.into()) }
}

/// State, attempt and parts of a recipient.
async fn standing<L: Backend>(
    world: &World<L>,
    broadcast: BroadcastId,
    seq: i64,
) -> (herald::delivery::recipient::RecipientState, u32, u32) {
    let row = world.row(broadcast, seq).await;
    (row.state, row.attempt, row.parts_done)
}

/// Takes and tells until this recipient waits for this part; returns a sender that holds it.
async fn at_part<L: Backend>(world: &World<L>, broadcast: BroadcastId, part: u32) -> (Sender, Vec<Assignment>) {
    let mut sender = Sender::new("sender", broadcast);
    let mut rows = sender.take(world, 1).await;
    for taken in 0..part {
        assert_eq!(parts(&rows), [(0, taken)]);
        rows = sender.exchange(world, reports(&rows, &accepted()), 1).await.rows;
    }
    (sender, rows)
}

fn words(holder: &str, begun: Vec<(i64, u32)>) -> LastWords {
    LastWords { holder: holder.into(), outcomes: Vec::new(), begun, complete: true, known_revision: 0 }
}

pub async fn each_part_is_an_attempt_of_its_own_and_the_last_one_sends_the_message<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&in_three_parts("one"), 2).await;
    let mut sender = Sender::new("sender", broadcast);
    let mut rows = sender.take(world, 5).await;
    assert_eq!(parts(&rows), [(0, 0)]);
    rows = sender.exchange(world, reports(&rows, &accepted_as("m0")), 5).await.rows;
    // Somebody else is not kept waiting, and nobody gets two parts at once.
    assert_eq!(parts(&rows), [(0, 1), (1, 0)]);
    assert_eq!(standing(world, broadcast, 0).await, (Inflight, 2, 1));
    rows = sender.exchange(world, reports(&rows, &accepted_as("m1")), 5).await.rows;
    assert_eq!(parts(&rows), [(0, 2), (1, 1)]);
    assert_eq!(world.snapshot(broadcast).await.finished_at, None);
    rows = sender.exchange(world, reports(&rows, &accepted_as("m2")), 5).await.rows;
    assert_eq!(parts(&rows), [(1, 2)]);
    assert_eq!(standing(world, broadcast, 0).await, (Sent, 3, 3));
    sender.tell(world, reports(&rows, &accepted_as("m3"))).await;
    let counts = world.counts(broadcast).await;
    assert_eq!((counts.sent, counts.open()), (2, 0));
    let batch = world.batch(broadcast, 0).await;
    assert_eq!((batch.retries, batch.counts.sent), (0, 2), "the next part is no retry");
    assert!(world.snapshot(broadcast).await.finished_at.is_some());
}

pub async fn a_crash_between_parts_repeats_none<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&in_three_parts("one"), 1).await;
    let (_, rows) = at_part(world, broadcast, 1).await;
    assert_eq!(parts(&rows), [(0, 1)]);
    // The second part was held and never begun; the outcome of the first is told again, as a journal does.
    let again = LastWords {
        outcomes: vec![herald::ledger::exchange::Report::new(0, 1, accepted())],
        ..words("sender", Vec::new())
    };
    world.settle_dead(&again).await;
    assert_eq!(standing(world, broadcast, 0).await, (Pending, 2, 1));
    let mut next = Sender::new("next", broadcast);
    assert_eq!(parts(&next.take(world, 1).await), [(0, 1)]);
}

pub async fn a_crash_with_a_part_on_the_wire_leaves_that_part_in_doubt_and_sends_none_after_it<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&in_three_parts("one"), 1).await;
    let (_, rows) = at_part(world, broadcast, 1).await;
    world.settle_dead(&words("sender", vec![(0, rows[0].attempt)])).await;
    assert_eq!(standing(world, broadcast, 0).await, (Unknown, 2, 1));
    let mut next = Sender::new("next", broadcast);
    assert_eq!(next.take(world, 1).await, [], "the text was taken, and nobody knows of the first picture");
    // The answer turns up after all.
    next.tell(world, reports(&rows, &accepted())).await;
    assert_eq!(standing(world, broadcast, 0).await, (Pending, 2, 2));
    assert_eq!(parts(&next.take(world, 1).await), [(0, 2)]);
}

pub async fn only_the_part_that_nobody_knows_of_is_resent<L: Backend>(world: &World<L>) {
    let retry = RetryPolicy { after_unknown: true, ..RetryPolicy::default() };
    let resend = Declaration { retry, ..in_three_parts("one") };
    let broadcast = world.planned(&resend, 1).await;
    let (mut sender, rows) = at_part(world, broadcast, 1).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    assert_eq!(standing(world, broadcast, 0).await, (Pending, 2, 1));
    world.pass(CONNECT_TIMEOUT + resend.request_timeout + DEADLINE_GRACE + INTERVAL * 10);
    let mut rows = sender.take(world, 1).await;
    assert_eq!((parts(&rows), rows[0].attempt), (vec![(0, 1)], 3));
    rows = sender.exchange(world, reports(&rows, &accepted()), 1).await.rows;
    assert_eq!(parts(&rows), [(0, 2)]);
    sender.tell(world, reports(&rows, &accepted())).await;
    assert_eq!(standing(world, broadcast, 0).await, (Sent, 4, 3));
}

pub async fn a_late_outcome_of_an_earlier_part_changes_nothing<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&in_three_parts("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let first = sender.take(world, 1).await;
    let second = sender.exchange(world, reports(&first, &accepted()), 1).await.rows;
    let before = world.row(broadcast, 0).await;
    for late in [accepted(), permanent(), transient(), unknown(), Outcome::NotBegun] {
        sender.tell(world, reports(&first, &late)).await;
        assert_eq!(world.row(broadcast, 0).await, before, "{late:?}");
    }
    sender.tell(world, reports(&second, &accepted())).await;
    sender.tell(world, reports(&second, &accepted())).await;
    assert_eq!(standing(world, broadcast, 0).await, (Pending, 2, 2), "told twice, counted once");
}

pub async fn a_repeated_exchange_gives_the_same_part<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&in_three_parts("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let first = sender.take(world, 1).await;
    let request = sender.request(reports(&first, &accepted()), 1);
    let answer = world.exchange(&request).await.unwrap().rows;
    assert_eq!(parts(&answer), [(0, 1)]);
    assert_eq!(world.exchange(&request).await.unwrap().rows, answer);
    assert_eq!(standing(world, broadcast, 0).await, (Inflight, 2, 1));
}

pub async fn a_failed_part_is_tried_by_itself_and_as_often_as_the_first<L: Backend>(world: &World<L>) {
    let retry = RetryPolicy { max_tries: 2, ..RetryPolicy::default() };
    let broadcast = world.planned(&Declaration { retry, ..in_three_parts("one") }, 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let mut rows = sender.take(world, 1).await;
    for part in 0..2 {
        sender.tell(world, reports(&rows, &transient())).await;
        world.pass(RetryPolicy::default().max_backoff);
        rows = sender.take(world, 1).await;
        assert_eq!(parts(&rows), [(0, part)]);
        sender.tell(world, reports(&rows, &accepted())).await;
        world.pass(INTERVAL);
        rows = sender.take(world, 1).await;
    }
    assert_eq!(parts(&rows), [(0, 2)]);
    sender.tell(world, reports(&rows, &permanent())).await;
    assert_eq!(standing(world, broadcast, 0).await, (Failed, 5, 2));
    assert_eq!(world.tally(broadcast, Failed, "NoSuchUser").await, 1);
}

pub async fn whoever_is_cancelled_between_parts_is_skipped_and_the_results_say_what_was_taken<L: Backend>(
    world: &World<L>,
) {
    let wanted = in_three_parts("one");
    let broadcast = world.planned(&wanted, 3).await;
    let mut sender = Sender::new("sender", broadcast);
    let first = sender.take(world, 1).await;
    let rows = sender.exchange(world, reports(&first, &accepted_as("m0")), 2).await.rows;
    assert_eq!(parts(&rows), [(0, 1), (1, 0)]);
    world.declare(&Declaration { cancelled: true, generation: 2, ..wanted }).await;
    sender.tell(world, vec![report(&rows[0], &Outcome::NotBegun), report(&rows[1], &accepted_as("m1"))]).await;
    world.maintain_all().await;
    assert_eq!(world.counts(broadcast).await.skipped, 3);
    assert_eq!(world.tally(broadcast, Skipped, "Cancelled").await, 3);
    let query = ResultsQuery { broadcast, filter: ResultsFilter::default(), from: 0 };
    let page = world.ledger.results(&query).await.unwrap();
    let told: Vec<_> = page.rows.iter().map(|row| (row.parts_done, row.provider_id.as_deref())).collect();
    assert_eq!(told, [(1, Some("m0")), (1, Some("m1")), (0, None)]);
}

pub async fn a_picture_refused_for_everybody_holds_the_broadcast_though_every_text_is_taken<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&in_three_parts("one"), 40).await;
    let mut sender = Sender::new("sender", broadcast);
    let mut rows = sender.take(world, 1).await;
    let mut refused = 0;
    while !rows.is_empty() {
        let outcome = |row: &Assignment| if row.part == 0 { accepted() } else { rejected() };
        refused += rows.iter().filter(|row| row.part > 0).count();
        let told = rows.iter().map(|row| report(row, &outcome(row))).collect();
        world.pass(INTERVAL * 3);
        rows = sender.exchange(world, told, 3).await.rows;
    }
    assert!((20..24).contains(&refused), "{refused} were refused before it was held");
    let closed = world.snapshot(broadcast).await.closed;
    assert_eq!(closed, Some(herald::delivery::gate::Closed::MessageRejected));
}

pub async fn people_who_cannot_be_reached_do_not_hide_a_picture_that_is_refused<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&in_three_parts("one"), 60).await;
    let mut sender = Sender::new("sender", broadcast);
    let mut rows = sender.take(world, 1).await;
    let (mut refused, mut gone) = (0, 0);
    while !rows.is_empty() {
        let outcome = |row: &Assignment| match row.part {
            0 if row.seq % 2 == 0 => permanent(),
            0 => accepted(),
            _ => rejected(),
        };
        refused += rows.iter().filter(|row| row.part > 0).count();
        gone += rows.iter().filter(|row| row.part == 0 && row.seq % 2 == 0).count();
        let told = rows.iter().map(|row| report(row, &outcome(row))).collect();
        world.pass(INTERVAL * 3);
        rows = sender.exchange(world, told, 3).await.rows;
    }
    assert!((20..24).contains(&refused) && gone > 15, "{refused} were refused before it was held, {gone} in between");
    let closed = world.snapshot(broadcast).await.closed;
    assert_eq!(closed, Some(herald::delivery::gate::Closed::MessageRejected));
}

pub async fn the_next_part_comes_before_whoever_is_later_also_across_the_end_of_a_batch<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&in_three_parts("one"), 30).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    // The first part of everybody in the batch of ten, and of five of the next one.
    let rows = sender.take(world, 15).await;
    assert_eq!(parts(&rows)[..2], [(0, 1), (1, 0)]);
    assert_eq!(rows.len(), 15);
    world.pass(INTERVAL * 20);
    let later = sender.exchange(world, reports(&rows[..5], &accepted()), 8).await.rows;
    assert_eq!(parts(&later)[..5], [(0, 2), (1, 1), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(later.len(), 8, "no slot is left unused meanwhile");
    assert!(later[5..].iter().all(|row| row.part == 0 && row.seq >= 15));
}

pub async fn a_batch_is_kept_while_only_the_next_part_of_a_closed_window_waits<L: Backend>(world: &World<L>) {
    let day = Span::from_secs(24 * 60 * 60);
    let windowed = Declaration { reply_window: Some(day), ..in_three_parts("one") };
    let broadcast = world.declare(&windowed).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let mut rows = people(0..30);
    let closes_soon = herald::delivery::activity::shown(world.now() - day + Span::from_secs(5));
    rows[0].vars.insert("last_active_time".into(), closes_soon);
    world.ledger.append_plan(ticket, 1, &rows).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    world.pass(Span::from_secs(6));
    let rows = sender.take(world, 12).await;
    assert_eq!(
        (rows[0].seq, rows[11].seq),
        (1, 12),
        "the first one waits for its second part, and its window is closed"
    );
    let held = world.batch(broadcast, 1).await.epoch;
    world.pass(INTERVAL * 20);
    assert_eq!(seqs(&sender.take(world, 2).await), [13, 14]);
    assert_eq!(world.batch(broadcast, 1).await.epoch, held, "the batch was not given up and claimed anew");
}
