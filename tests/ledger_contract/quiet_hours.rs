//! Quiet hours: nobody is given a slot in them, by the clock of the broadcast or by their own.

use herald::api::QuietPeriod;
use herald::delivery::counts::Counts;
use herald::delivery::gate::Closed;
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::recipient::RecipientState::Skipped;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::Declaration;
use herald::ledger::exchange::{BroadcastId, Directive};
use herald::ledger::plan::PlanRow;

use super::world::*;

/// The clock of these worlds starts at 22:13:20 UTC on a Tuesday.
const BEGIN: i64 = 1_700_000_000;

/// So many minutes after 22:00 on that day.
fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_secs(BEGIN - 800) + Span::from_secs(minutes * 60)
}

pub fn quiet(start: &str, end: &str) -> QuietHours {
    let period = QuietPeriod { days: None, start: start.into(), end: end.into(), time_zone: "UTC".into() };
    QuietHours::of(&[period]).unwrap()
}

/// `one`, quiet between these times.
fn one(start: &str, end: &str) -> Declaration {
    Declaration { quiet_hours: quiet(start, end), ..declaration("one") }
}

fn until<L: Backend>(world: &World<L>, at: Timestamp) {
    world.pass(at - world.now());
}

fn wait(until: Timestamp) -> Directive {
    Directive::Wait { until }
}

pub fn in_zone(number: usize, zone: Option<&str>) -> PlanRow {
    let vars = zone.map(|zone| ("time_zone".to_owned(), zone.to_owned()));
    PlanRow { vars: vars.into_iter().collect(), ..person(number) }
}

/// Plans people who live in these zones, one after the other.
pub async fn plan_in_zones<L: Backend>(
    world: &World<L>,
    broadcast: BroadcastId,
    count: usize,
    zone: impl Fn(usize) -> Option<&'static str>,
) {
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let rows: Vec<PlanRow> = (0..count).map(|number| in_zone(number, zone(number))).collect();
    for (chunk, rows) in (1..).zip(rows.chunks(2_000)) {
        world.ledger.append_plan(ticket, chunk, rows).await.unwrap();
    }
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    world.sums_hold().await;
}

/// Takes and sends until nobody is given any more; returns who got it, and what the last answer said.
async fn send<L: Backend>(world: &World<L>, sender: &mut Sender) -> (Vec<i64>, Directive) {
    let (mut sent, mut outcomes) = (Vec::new(), Vec::new());
    loop {
        let reply = sender.exchange(world, outcomes, 25).await;
        if reply.rows.is_empty() && reply.directive != Directive::Continue {
            return (sent, reply.directive);
        }
        sent.extend(seqs(&reply.rows));
        outcomes = reports(&reply.rows, &accepted());
        world.pass(Span::from_millis(300));
    }
}

pub async fn nobody_is_taken_in_quiet_hours_and_everybody_after_them<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&one("22:00", "22:15"), 10).await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.closed, snapshot.quiet_until), (None, Some(minute(15))));
    assert_eq!(snapshot.due_at, Some(minute(15)));
    let mut sender = Sender::new("sender", broadcast);
    let reply = sender.exchange(world, vec![], 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], wait(minute(15))));
    assert_eq!(world.snapshot(broadcast).await.first_attempt_at, None);
    until(world, minute(15));
    assert_eq!(world.snapshot(broadcast).await.quiet_until, None);
    let mut sender = Sender::proven(world, "other", broadcast).await;
    assert_eq!(sender.take(world, 9).await.len(), 9);
}

pub async fn a_group_of_slots_ends_before_quiet_hours<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&one("22:14", "22:20"), 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    until(world, minute(14) - Span::from_millis(200));
    let rows = sender.take(world, 25).await;
    assert!(!rows.is_empty() && rows.len() < 25, "{}", rows.len());
    assert!(rows.iter().all(|row| row.start_by <= minute(14)), "{:?}", rows.last());
    let reply = sender.exchange(world, reports(&rows, &accepted()), 25).await;
    assert_eq!((reply.rows, reply.directive), (vec![], wait(minute(20))));
}

pub async fn a_repeat_moves_nobody_into_quiet_hours<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&one("22:14", "22:20"), 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    until(world, minute(14) - Span::from_millis(200));
    let request = sender.request(vec![], 25);
    let first = world.exchange(&request).await.unwrap().rows;
    world.pass(Span::from_millis(100));
    let again = world.exchange(&request).await.unwrap().rows;
    assert_eq!(again.len(), first.len());
    assert!(again.iter().all(|row| row.start_by <= minute(14)), "{:?}", again.last());
    world.pass(Span::from_secs(1));
    let late = world.exchange(&request).await.unwrap().rows;
    assert_eq!(late, again, "what has passed stays where it was");
    until(world, minute(20));
    let moved = world.exchange(&request).await.unwrap().rows;
    assert!(moved.iter().all(|row| row.slot > minute(20)), "{:?}", moved.first());
}

/// At 22:13 UTC it is 17:13 in New York and 07:13 in Tokyo; in the zone of the broadcast it is quiet until 08:00.
pub async fn a_recipients_own_time_zone_wins<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&one("21:00", "08:00")).await.id;
    let zone = |number: usize| [None, Some("Asia/Tokyo"), Some("america/new_york")][number % 3];
    plan_in_zones(world, broadcast, 60, zone).await;
    let of = |place: i64| (0..60).filter(|seq| seq % 3 == place).collect::<Vec<i64>>();

    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.due_at, snapshot.quiet_until), (Some(world.now()), None), "New York is open");
    let mut sender = Sender::new("sender", broadcast);
    let (new_york, directive) = send(world, &mut sender).await;
    assert_eq!(new_york, of(2));
    assert_eq!(directive, wait(minute(60)));
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.due_at, snapshot.quiet_until), (Some(minute(60)), Some(minute(60))));

    until(world, minute(60));
    let (tokyo, directive) = send(world, &mut sender).await;
    assert_eq!(tokyo, of(1));
    assert_eq!(directive, wait(minute(10 * 60)), "nobody in New York is waited for");
    assert_eq!(world.snapshot(broadcast).await.quiet_until, Some(minute(10 * 60)));

    until(world, minute(10 * 60));
    let (others, directive) = send(world, &mut sender).await;
    assert_eq!(others, of(0));
    assert_eq!(directive, Directive::Stop { reason: Closed::Complete });
    assert_eq!(world.counts(broadcast).await, Counts { sent: 60, ..Counts::default() });
}

pub async fn a_zone_that_nobody_knows_counts_as_none<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&one("22:00", "22:15")).await.id;
    plan_in_zones(world, broadcast, 3, |_| Some("Mars/Olympus")).await;
    assert_eq!(world.snapshot(broadcast).await.quiet_until, Some(minute(15)));
    until(world, minute(15));
    assert_eq!(Sender::new("sender", broadcast).take(world, 1).await.len(), 1);
}

pub async fn a_plan_made_anew_numbers_its_zones_anew<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&one("21:00", "08:00")).await.id;
    plan_in_zones(world, broadcast, 6, |_| Some("Asia/Tokyo")).await;
    plan_in_zones(world, broadcast, 6, |_| Some("America/New_York")).await;
    let (sent, _) = send(world, &mut Sender::new("sender", broadcast)).await;
    assert_eq!(sent.len(), 6);
}

pub async fn quiet_hours_may_change_at_any_time<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    world.declare(&Declaration { generation: 2, ..one("22:00", "22:15") }).await;
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, wait(minute(15)));
    world.declare(&Declaration { generation: 3, ..one("22:00", "22:30") }).await;
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, wait(minute(30)));
    world.declare(&Declaration { generation: 4, ..declaration("one") }).await;
    assert_eq!(sender.take(world, 5).await.len(), 5);
}

pub async fn an_end_within_quiet_hours_skips_everybody<L: Backend>(world: &World<L>) {
    let end = minute(14);
    let broadcast = world.planned(&Declaration { end_at: Some(end), ..one("22:00", "22:15") }, 10).await;
    let mut sender = Sender::new("sender", broadcast);
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, wait(end));
    until(world, end);
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, Directive::Stop { reason: Closed::Expired });
    world.maintain_all().await;
    assert_eq!(world.tally(broadcast, Skipped, "Expired").await, 10);
}

pub async fn a_broadcast_in_quiet_hours_holds_up_nobody_of_its_account<L: Backend>(world: &World<L>) {
    let quiet = world.planned(&one("22:00", "22:15"), 100).await;
    let other = world.planned(&declaration("other"), 400).await;
    let mut waiting = Sender::new("waiting", quiet);
    let mut sender = Sender::proven(world, "sender", other).await;
    let mut outcomes = vec![];
    let begun = world.now();
    let mut last = begun;
    for _ in 0..8 {
        assert_eq!(waiting.exchange(world, vec![], 25).await.directive, wait(minute(15)));
        let rows = sender.exchange(world, outcomes, 25).await.rows;
        last = rows.last().map_or(last, |row| row.slot);
        outcomes = reports(&rows, &accepted());
        world.pass(Span::from_millis(250));
    }
    let sent = world.counts(other).await.sent + outcomes.len() as i64;
    let slots = (last - begun).0 / INTERVAL.0;
    assert!(sent >= slots - 4, "{sent} of {slots} slots");
}

pub async fn who_is_put_off_into_quiet_hours_is_taken_after_them<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&one("22:14", "22:20"), 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &recipient_throttled(Span::from_secs(60)))).await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!(
        (snapshot.due_at, snapshot.quiet_until),
        (Some(minute(20)), None),
        "it is open now, and will not be then"
    );
    until(world, minute(15));
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, wait(minute(20)));
    assert_eq!(world.snapshot(broadcast).await.due_at, Some(minute(20)));
    until(world, minute(20));
    assert_eq!(sender.take(world, 5).await.len(), 1);
}

pub async fn a_start_within_quiet_hours_is_due_at_their_end<L: Backend>(world: &World<L>) {
    let start_at = Some(minute(16));
    let broadcast = world.planned(&Declaration { start_at, ..one("22:15", "22:30") }, 2).await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.closed, snapshot.due_at), (Some(Closed::Scheduled), Some(minute(30))));
    let mut sender = Sender::new("sender", broadcast);
    assert_eq!(sender.exchange(world, vec![], 1).await.directive, wait(minute(16)));
    until(world, minute(16));
    assert_eq!(sender.exchange(world, vec![], 1).await.directive, wait(minute(30)));
}

pub async fn recipients_of_many_zones_are_taken_from_every_batch<L: Backend>(world: &World<L>) {
    const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "Asia/Tokyo", "America/New_York", "Asia/Kathmandu"];
    let broadcast = world.declare(&one("21:00", "08:00")).await.id;
    plan_in_zones(world, broadcast, 95, |number| Some(ZONES[number % 5])).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 25).await;
    assert_eq!(seqs(&rows), (1..19).map(|number| number * 5 + 3).collect::<Vec<i64>>(), "New York, of ten batches");
    assert!(rows.is_sorted_by_key(|row| row.slot));
    let reply = sender.exchange(world, reports(&rows, &accepted()), 25).await;
    assert_eq!(reply.directive, wait(minute(60)), "Tokyo opens first");
}
