//! What became of a broadcast in figures: counted in the transaction that records it.

use herald::delivery::histogram::Histogram;
use herald::delivery::outcome::Outcome;
use herald::delivery::pace_history::{Deeds, MAX_SPANS};
use herald::delivery::time::Span;
use herald::ledger::exchange::Report;
use herald::ledger::results::ResultOutcome;
use herald::ledger::snapshot::BroadcastSnapshot;
use herald::ledger::status::{Observed, broadcast_status, instant};
use herald::ledger::{BroadcastId, Declaration, Figures, LedgerError};

use super::world::*;

async fn figures<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> Figures {
    let figures = world.ledger.figures(broadcast).await.unwrap();
    let told = figures.pace.sum();
    assert_eq!(told.requests, figures.latency.total(), "each request took its time");
    let of_batches: i64 = figures.batches.iter().map(|batch| batch.requests).sum();
    assert_eq!(told.requests as i64, of_batches);
    let mut together = Histogram::default();
    for batch in &figures.batches {
        assert_eq!(batch.latency.total() as i64, batch.requests, "each request of a batch took its time");
        together.merge(&batch.latency);
    }
    assert_eq!(together, figures.latency);
    let counts = world.counts(broadcast).await;
    assert_eq!((told.sent as i64, told.failed as i64), (counts.sent, counts.failed));
    figures
}

pub async fn what_happened_is_counted_when_its_request_was_due<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("winter"), 30).await;
    assert_eq!(figures(world, broadcast).await.pace.spans().count(), 0, "nothing has happened yet");
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let begun = figures(world, broadcast).await;
    assert_eq!(begun.pace.sum(), Deeds { requests: 1, sent: 1, ..Deeds::default() });
    world.pass(Span::from_secs(2));
    let rows = sender.take(world, 12).await;
    world.pass(Span::from_secs(3));
    let outcomes = [accepted(), permanent(), unknown(), transient()];
    let reports: Vec<Report> =
        rows.iter().zip(outcomes.iter().cycle()).map(|(row, outcome)| report(row, outcome)).collect();
    let each = |place: usize| (0..reports.len()).filter(|number| number % 4 == place).count() as u64;
    let (sent, failed, lost) = (each(0), each(1), each(2));
    sender.tell(world, reports.clone()).await;

    let told = figures(world, broadcast).await;
    let all = reports.len() as u64;
    assert_eq!(told.pace.sum(), Deeds { requests: all + 1, sent: sent + 1, failed, unknown: lost });
    let spans: Vec<u64> = told.pace.spans().map(|(_, deeds)| deeds.requests).collect();
    assert_eq!(spans, [1, 0, all], "however late they are told");
    let median = told.latency.quantile(0.5).unwrap();
    assert!((48..=56).contains(&median), "{median} ms of {TOOK_MS}");
    let failures: i64 =
        told.causes.iter().filter(|cause| cause.outcome == ResultOutcome::Failed).map(|cause| cause.count).sum();
    assert_eq!(failures as u64, failed);
}

pub async fn the_answers_of_each_batch_are_counted_by_themselves<L: Backend>(world: &World<L>) {
    let cut = Declaration { batch_size: Some(10), ..declaration("winter") };
    let broadcast = world.planned(&cut, 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    // The one that proved the sender is of the first batch, as are the first nine.
    let mut asked = 1;
    // Slower ones need a longer list of classes, and quicker ones after them a shorter one.
    for took_ms in [5, 3_000, 40, 0] {
        let rows = sender.take(world, 3).await;
        asked += rows.len();
        let told = |row| Report { took_ms: Some(took_ms), ..report(row, &accepted()) };
        sender.tell(world, rows.iter().map(told).collect()).await;
        let figures = figures(world, broadcast).await;
        assert_eq!(figures.latency.total() as usize, asked);
        world.pass(Span::from_millis(500));
    }
    assert_eq!(asked, 13);
    let batches = figures(world, broadcast).await.batches;
    let longest = |batch: usize| batches[batch].latency.classes().last().unwrap().below_ms;
    assert!(longest(0) > 3_000 && longest(1) < 60, "{batches:?}");
    let quickest = |batch: usize| batches[batch].latency.classes().next().unwrap();
    assert_eq!((quickest(0).from_ms, quickest(1).from_ms), (5, 0), "{batches:?}");
}

pub async fn a_request_counts_once_however_often_it_is_told<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("winter"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 5).await;
    let request = sender.request(reports(&rows, &accepted()), 0);
    world.exchange(&request).await.unwrap();
    let once = figures(world, broadcast).await;
    // The reply was lost, and the outcomes come again under the same number and under another one.
    world.exchange(&request).await.unwrap();
    sender.tell(world, reports(&rows, &unknown())).await;
    assert_eq!(figures(world, broadcast).await, once);
    assert_eq!(once.pace.sum().requests as usize, rows.len() + 1);
}

pub async fn who_was_not_asked_costs_nothing<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("winter"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let before = figures(world, broadcast).await;
    let rows = sender.take(world, 6).await;
    let told = rows.iter().enumerate().map(|(place, row)| match place % 3 {
        0 => report(row, &Outcome::NotBegun),
        1 => report(row, &not_sent()),
        // A message that could not be made.
        _ => Report { took_ms: None, ..report(row, &permanent()) },
    });
    let told: Vec<Report> = told.collect();
    sender.tell(world, told).await;
    let after = figures(world, broadcast).await;
    assert_eq!(after.latency, before.latency);
    let failed = rows.len() as u64 / 3;
    assert_eq!(after.pace.sum(), Deeds { failed, ..before.pace.sum() });
}

pub async fn a_lost_sender_is_counted_as_unknown_and_its_late_answer_as_what_it_was<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("winter"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 4).await;
    world.pass(Span::from_secs(60));
    while world.ledger.maintain().await.unwrap() {}
    let silent = figures(world, broadcast).await.pace.sum();
    assert_eq!((silent.unknown as usize, silent.requests), (rows.len(), 1), "nobody has seen an answer");
    sender.tell(world, reports(&rows, &accepted())).await;
    let late = figures(world, broadcast).await.pace.sum();
    assert_eq!((late.sent as usize, late.requests as usize), (rows.len() + 1, rows.len() + 1));
    assert_eq!(late.unknown as usize, rows.len(), "so many were unknown for a while");
}

pub async fn a_long_broadcast_takes_no_more_room_than_a_short_one<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("winter"), 60).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    for hour in 1..20 {
        world.pass(Span::from_secs(3_600));
        let rows = sender.take(world, 3).await;
        sender.tell(world, reports(&rows, &accepted())).await;
        let told = figures(world, broadcast).await;
        assert!(told.pace.spans().count() <= MAX_SPANS && told.pace.seconds() * MAX_SPANS as i64 >= hour * 3_600);
    }
    let told = figures(world, broadcast).await;
    assert!(told.pace.sum().sent > 19, "{told:?}");
    assert!(told.batches.iter().any(|batch| batch.completed_at.is_some() && batch.requests == batch.recipients));
}

pub async fn an_unknown_broadcast_has_no_figures<L: Backend>(world: &World<L>) {
    let error = world.ledger.figures(BroadcastId(4_711)).await.unwrap_err();
    assert!(matches!(error, LedgerError::UnknownBroadcast), "{error}");
}

pub async fn a_status_tells_since_when_how_often_the_provider_was_asked_and_how_fast_it_was<L: Backend>(
    world: &World<L>,
) {
    let since = instant(world.now());
    let told = |snapshot: &BroadcastSnapshot| broadcast_status(snapshot, Observed::default(), &[]);
    let before = told(&world.declare(&declaration("winter")).await);
    assert_eq!((before.start_time, before.requests, before.latency), (since, None, None));
    world.pass(Span::from_secs(60));
    let broadcast = world.planned(&declaration("winter"), 30).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 12).await;
    sender.tell(world, reports(&rows, &transient())).await;
    let after = told(&world.snapshot(broadcast).await);
    assert_eq!(after.requests, Some(rows.len() as i64 + 1), "those to be tried again were asked of it too");
    assert_eq!((after.start_time, after.first_attempt_time), (since, instant(world.now())));
    let latency = after.latency.unwrap();
    for within in [latency.p50_milliseconds, latency.p95_milliseconds, latency.p99_milliseconds] {
        assert!((48..=56).contains(&within), "{latency:?} of {TOOK_MS}");
    }
    let anew = Declaration { owner_uid: "another".into(), ..declaration("winter") };
    world.ledger.release("owner", 1).await.unwrap();
    assert_eq!(told(&world.declare(&anew).await).start_time, since, "the key is what counts");
}
