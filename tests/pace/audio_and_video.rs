//! Messenger's own rate for audio and video, within that of the page.

use herald::api::content::{Attachment, AttachmentType};

use super::*;

/// Of the provider, a second.
const CEILING: f64 = 10.0;

fn content(text: &str, kind: Option<AttachmentType>) -> Content {
    let attachments = kind.map(|kind| Attachment { kind, url: "https://a.example/1".into() });
    Content { text: text.into(), attachments: attachments.into_iter().collect(), ..Content::default() }
}

/// At once: the audio and video of these broadcasts is their last part.
struct Figures {
    name: String,
    world: World,
    contents: Vec<Content>,
    from: Timestamp,
    until: Timestamp,
}

/// Runs for `seconds` after a ramp, and checks what holds for the account whatever it sends.
async fn run(scenario: Scenario, contents: &[Content], seconds: i64) -> Figures {
    let recipients = scenario.rate.messages.max(CEILING as u32 * 2) * (seconds as u32 + 15);
    let mut world = World::of(&scenario, "messenger", contents, recipients).await;
    let from = START + Span::from_secs(8);
    let until = from + Span::from_secs(seconds);
    world.run_until(until).await;
    let rate = scenario.rate.per_second();
    let name = format!("{rate}/s, {} senders, {} latency", scenario.senders, scenario.latency);
    let figures = Figures { name, world, contents: contents.to_vec(), from, until };
    let slow = figures.slow(|_| true);
    for (times, ceiling) in [(figures.world.times(|_| true), rate), (slow, CEILING)] {
        let name = &figures.name;
        let in_a_second = most_in(&times, Span::from_secs(1)) as f64;
        assert!(in_a_second <= ceiling * 1.05 + 1.0, "{name}: {in_a_second} of {ceiling} in one second");
        let in_ten = most_in(&times, Span::from_secs(10)) as f64;
        assert!(in_ten <= ceiling * 10.0 * 1.005 + 1.0, "{name}: {in_ten} of {ceiling} in ten seconds");
    }
    assert_eq!(figures.world.ledger.audit().await.unwrap(), Vec::<String>::new(), "{}", figures.name);
    figures
}

impl Figures {
    fn is_slow(&self, begun: &Begun) -> bool {
        let attachments = self.contents[begun.broadcast].attachments.len() as u32;
        begun.part + attachments >= self.world.parts[begun.broadcast]
    }

    fn slow(&self, which: impl Fn(usize) -> bool) -> Vec<Timestamp> {
        self.world.times(|begun| self.is_slow(begun) && which(begun.broadcast))
    }

    /// So many a second, after the ramp.
    fn per_second(&self, times: &[Timestamp]) -> f64 {
        let count = times.iter().filter(|time| **time >= self.from && **time < self.until).count();
        count as f64 / (self.until - self.from).as_secs_f64()
    }
}

fn scenario(rate: u32, senders: usize, latency: i64) -> Scenario {
    let latency = Span::from_millis(latency);
    Scenario { rate: Rate::new(rate, 1), senders, latency, exchange: EXCHANGE, batch_size: 300 }
}

#[tokio::test]
async fn audio_after_a_text_comes_at_the_rate_that_it_has_and_soon_after_its_text() {
    let contents = [content("hello", Some(AttachmentType::Audio))];
    for (rate, senders, latency) in [
        (40, 1, 170),
        (40, 1, 1_500),
        (40, 3, 170),
        (35, 1, 170),
        (300, 1, 170),
        (300, 4, 500),
        (15, 1, 170),
        (5, 1, 170),
    ] {
        let figures = run(scenario(rate, senders, latency), &contents, 30).await;
        let audio = figures.slow(|_| true);
        let texts = figures.world.times(|begun| begun.part == 0);
        let wanted = CEILING.min(f64::from(rate) / 2.0);
        let had = figures.per_second(&audio);
        let lead = texts.len() - audio.len();
        println!("{}: {had} of {wanted} a second, {lead} wait", figures.name);
        assert!(had >= wanted * 0.97, "{}: {had} of {wanted} a second", figures.name);
        let allowed = 30.0 + f64::from(rate) * (latency as f64 / 1_000.0 + 1.5);
        assert!(lead as f64 <= allowed, "{}: {lead} wait, {allowed} at most", figures.name);
    }
}

#[tokio::test]
async fn a_film_alone_is_sent_at_its_own_rate() {
    for (rate, senders, latency) in [(40, 1, 170), (300, 3, 500), (10, 1, 170), (13, 2, 170)] {
        let figures = run(scenario(rate, senders, latency), &[content("", Some(AttachmentType::Video))], 30).await;
        let had = figures.per_second(&figures.slow(|_| true));
        println!("{}: {had} a second", figures.name);
        assert!(had >= CEILING * 0.97, "{}: {had} a second", figures.name);
    }
}

#[tokio::test]
async fn two_films_on_one_page_share_what_it_may_send() {
    let contents = [content("", Some(AttachmentType::Video)), content("", Some(AttachmentType::Video))];
    for (rate, senders, latency) in [(40, 1, 170), (300, 2, 500)] {
        let figures = run(scenario(rate, senders, latency), &contents, 30).await;
        let parts = [0, 1].map(|which| figures.per_second(&figures.slow(|broadcast| broadcast == which)));
        println!("{}: {parts:?} a second", figures.name);
        assert!(parts[0] + parts[1] >= CEILING * 0.95, "{}: {parts:?} a second", figures.name);
        assert!(parts.iter().all(|part| (4.0..=6.0).contains(part)), "{}: {parts:?} a second", figures.name);
    }
}

#[tokio::test]
async fn a_film_and_a_text_on_one_page_leave_each_other_what_is_theirs() {
    let contents = [content("hello", None), content("", Some(AttachmentType::Video))];
    for (rate, senders, latency) in [(40, 1, 170), (40, 2, 500), (300, 1, 170)] {
        let figures = run(scenario(rate, senders, latency), &contents, 30).await;
        let film = figures.per_second(&figures.slow(|broadcast| broadcast == 1));
        let text = figures.per_second(&figures.world.times(|begun| begun.broadcast == 0));
        println!("{}: {film} films and {text} texts a second", figures.name);
        assert!(film >= CEILING * 0.8, "{}: {film} films a second", figures.name);
        let rest = f64::from(rate) - CEILING;
        assert!(text >= rest * 0.9, "{}: {text} of {rest} texts a second", figures.name);
    }
}
