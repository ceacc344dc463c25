//! An exchange costs the same in a large broadcast as in a small one: no statement of it walks over all recipients.
//! Measured as a ratio, since machines differ.

use std::time::{Duration, Instant};

use herald::delivery::outcome::Outcome;
use herald::delivery::rate::Rate;
use herald::delivery::time::Span;
use herald::ledger::clock::SystemClock;
use herald::ledger::exchange::Directive;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{BroadcastId, Clock, Declaration, ExchangeReply, LastWords, Ledger, Recollection, SenderLedger};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::quiet_hours::{in_zone, plan_in_zones, quiet};
use super::world::*;

const SMALL: usize = 2_000;
const LARGE: usize = 200_000;
/// Where a statement walks over everybody the ratio is near 100.
const TOLERANCE: f64 = 20.0;
const ROUNDS: usize = 41;
/// Of a broadcast in which it is quiet for all others.
const FEW: usize = 1_000;

struct Cost {
    exchange: Duration,
    claim: Duration,
    maintain: Duration,
    settle_dead: Duration,
    /// The same where everybody else is unknown.
    settle_dead_among_unknown: Duration,
    /// An exchange and a look at the status when everybody who is open was sent.
    nobody: Option<Duration>,
}

/// The middle one of many: a pause of the machine does not count.
fn median(mut costs: Vec<Duration>) -> Duration {
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// Wide open, or quiet for all but the last.
#[derive(Clone, Copy, PartialEq)]
enum Hours {
    Open,
    Quiet,
}

/// The ledger's costs with so many recipients in one broadcast.
async fn costs(people: usize, hours: Hours) -> Cost {
    let world = World::<SqliteLedger>::new().await;
    let quiet_hours = if hours == Hours::Quiet { quiet("21:00", "08:00") } else { Default::default() };
    let batch_size = Some(if hours == Hours::Quiet { people.div_ceil(500) } else { people } as u32);
    let wide = Declaration { account_rate: Rate::new(1_000, 1), batch_size, quiet_hours, ..declaration("wide") };
    let broadcast = world.declare(&wide).await.id;
    // In Tokyo it is early in the morning, in New York the afternoon.
    let zone = |number| match (hours, number + FEW < people) {
        (Hours::Open, _) => None,
        (Hours::Quiet, true) => Some("Asia/Tokyo"),
        (Hours::Quiet, false) => Some("America/New_York"),
    };
    plan_in_zones(&world, broadcast, people, zone).await;
    let mut sender = Sender::proven(&world, "sender", broadcast).await;
    let (mut exchange, mut claim, mut maintain, mut settle_dead) = (vec![], vec![], vec![], vec![]);
    let mut outcomes = vec![];
    for _ in 0..ROUNDS {
        let request = sender.request(std::mem::take(&mut outcomes), 20);
        let start = Instant::now();
        let rows = world.ledger.exchange(&request).await.unwrap().rows;
        let again = world.ledger.exchange(&request).await.unwrap().rows;
        exchange.push(start.elapsed());
        assert_eq!((rows.len(), again.len()), (20, 20));
        outcomes = reports(&rows, &Outcome::NotBegun);
        let start = Instant::now();
        world.ledger.maintain().await.unwrap();
        maintain.push(start.elapsed());
        world.pass(Span::from_millis(250));
    }
    let mut goodbye = sender.request(outcomes, 0);
    goodbye.leaving = true;
    world.exchange(&goodbye).await.unwrap();
    for round in 0..ROUNDS {
        let start = Instant::now();
        let reply = introduced(&world, &format!("short-{round}"), broadcast).await;
        claim.push(start.elapsed());
        assert_eq!(reply.rows.len(), 1);
        settle_dead.push(settled(&world, &format!("short-{round}")).await);
        world.pass(Span::from_millis(250));
    }
    let mut nobody = None;
    if hours == Hours::Quiet {
        let mut sender = Sender::new("last", broadcast);
        let mut outcomes = vec![];
        loop {
            let request = sender.request(std::mem::take(&mut outcomes), 250);
            let rows = world.ledger.exchange(&request).await.unwrap().rows;
            if rows.is_empty() && world.ledger.snapshot(broadcast).await.unwrap().counts.sent == FEW as i64 {
                break;
            }
            outcomes = reports(&rows, &accepted());
            world.pass(Span::from_millis(250));
        }
        let mut costs = vec![];
        for _ in 0..ROUNDS {
            let request = sender.request(vec![], 20);
            let start = Instant::now();
            let reply = world.ledger.exchange(&request).await.unwrap();
            assert!(matches!(reply.directive, Directive::Wait { .. }), "{:?}", reply.directive);
            assert!(world.ledger.snapshot(broadcast).await.unwrap().quiet_until.is_some());
            costs.push(start.elapsed());
            world.pass(Span::from_millis(250));
        }
        nobody = Some(median(costs));
    }
    // A loss makes everybody unknown who is not sent.
    for approval in ["", "yes"] {
        let approval = Some(approval.to_owned());
        let recollection = Recollection { revision: 1_000_000, owner_created_at: None, approval };
        world.ledger.declare(&Declaration { recollection, ..wide.clone() }).await.unwrap();
    }
    while world.ledger.maintain().await.unwrap() {}
    let snapshot = world.ledger.snapshot(broadcast).await.unwrap();
    assert_eq!((snapshot.counts.unknown + snapshot.counts.sent, snapshot.gate.loss), (people as i64, None));
    let mut settle_dead_among_unknown = vec![];
    for round in 0..ROUNDS {
        let holder = format!("late-{round}");
        introduced(&world, &holder, broadcast).await;
        settle_dead_among_unknown.push(settled(&world, &holder).await);
    }
    Cost {
        nobody,
        exchange: median(exchange),
        claim: median(claim),
        maintain: median(maintain),
        settle_dead: median(settle_dead),
        settle_dead_among_unknown: median(settle_dead_among_unknown),
    }
}

/// The first exchange of a new sender.
async fn introduced(world: &World<SqliteLedger>, holder: &str, broadcast: BroadcastId) -> ExchangeReply {
    world.ledger.exchange(&Sender::new(holder, broadcast).request(vec![], 1)).await.unwrap()
}

/// How long it takes to settle a sender that has begun nothing.
async fn settled(world: &World<SqliteLedger>, holder: &str) -> Duration {
    let words =
        LastWords { holder: holder.to_owned(), outcomes: vec![], begun: vec![], complete: true, known_revision: 0 };
    let start = Instant::now();
    world.ledger.settle_dead_sender(None, &words).await.unwrap();
    start.elapsed()
}

#[tokio::test]
async fn no_call_of_a_sender_costs_more_in_a_larger_broadcast() {
    compare(Hours::Open).await;
}

#[tokio::test]
async fn nor_where_it_is_quiet_for_most_of_them() {
    compare(Hours::Quiet).await;
}

/// What a step of upkeep costs where everybody's window has closed, but for one, and it is quiet for all of them.
async fn upkeep_where_windows_closed_in_quiet_hours(people: usize) -> Duration {
    let world = World::<SqliteLedger>::new().await;
    let day = Span::from_secs(24 * 60 * 60);
    let windowed = Declaration {
        reply_window: Some(day),
        batch_size: Some(people as u32),
        quiet_hours: quiet("21:00", "08:00"),
        ..declaration("windowed")
    };
    let broadcast = world.declare(&windowed).await.id;
    let closed = herald::delivery::activity::shown(world.now() - day * 2);
    let row = |number: usize| {
        let mut row = in_zone(number, Some(if number == 0 { "America/New_York" } else { "Asia/Tokyo" }));
        row.vars.extend((number > 0).then(|| ("last_active_time".to_owned(), closed.clone())));
        row
    };
    let rows: Vec<_> = (0..people).map(row).collect();
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    for (chunk, rows) in (1..).zip(rows.chunks(2_000)) {
        world.ledger.append_plan(ticket, chunk, rows).await.unwrap();
    }
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    let mut costs = vec![];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        assert!(
            !world.ledger.maintain().await.unwrap(),
            "whoever waits for the end of quiet hours may write until then"
        );
        costs.push(start.elapsed());
    }
    assert_eq!(world.ledger.snapshot(broadcast).await.unwrap().counts.pending, people as i64);
    median(costs)
}

#[tokio::test]
async fn nor_does_upkeep_where_windows_closed_in_quiet_hours() {
    let small = upkeep_where_windows_closed_in_quiet_hours(SMALL).await;
    let large = upkeep_where_windows_closed_in_quiet_hours(LARGE).await;
    println!("{large:?} with {LARGE} recipients, {small:?} with {SMALL}");
    assert!(large.as_secs_f64() < TOLERANCE * small.as_secs_f64(), "{large:?} and {small:?}");
}

/// What an exchange and a look at the status cost where everybody is in backoff.
async fn nothing_due(people: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let wide = Declaration { batch_size: Some(people.div_ceil(500) as u32), ..declaration("wide") };
    let broadcast = ledger.declare(&wide).await.unwrap().id;
    let ticket = ledger.begin_plan(broadcast).await.unwrap();
    for (chunk, rows) in (1..).zip(super::world::people(0..people).chunks(2_000)) {
        ledger.append_plan(ticket, chunk, rows).await.unwrap();
    }
    ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let tomorrow = SystemClock.now() + Span::from_secs(86_400);
    sqlx::query("UPDATE delivery SET not_before = $1").bind(tomorrow.0).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut sender = Sender::new("sender", broadcast);
    let mut costs = vec![];
    for _ in 0..ROUNDS {
        let request = sender.request(vec![], 20);
        let start = Instant::now();
        let reply = ledger.exchange(&request).await.unwrap();
        let due_at = ledger.snapshot(broadcast).await.unwrap().due_at;
        costs.push(start.elapsed());
        assert!(matches!(reply.directive, Directive::Wait { until } if until == tomorrow), "{:?}", reply.directive);
        assert_eq!(due_at, Some(tomorrow));
    }
    // The least of many: whatever else the machine does only adds to it.
    costs.into_iter().min().unwrap()
}

#[tokio::test]
async fn nobody_walks_over_those_who_are_in_backoff() {
    let (small, large) = (nothing_due(SMALL).await, nothing_due(LARGE).await);
    println!("{large:?} with {LARGE} recipients, {small:?} with {SMALL}");
    // Both have 500 batches, and are mostly the commit; walks over everybody take some ten times as long.
    assert!(large.as_secs_f64() < 5.0 * small.as_secs_f64(), "{large:?} and {small:?}");
}

async fn compare(hours: Hours) {
    let (small, large) = (costs(SMALL, hours).await, costs(LARGE, hours).await);
    let mut compare = vec![
        ("exchange", small.exchange, large.exchange),
        ("claim", small.claim, large.claim),
        ("maintain", small.maintain, large.maintain),
        ("settle_dead_sender", small.settle_dead, large.settle_dead),
        ("settle_dead_sender among unknown", small.settle_dead_among_unknown, large.settle_dead_among_unknown),
    ];
    compare.extend(small.nobody.zip(large.nobody).map(|(small, large)| ("nobody", small, large)));
    for (name, small, large) in compare {
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        println!("{name}: {large:?} with {LARGE} recipients, {small:?} with {SMALL}");
        assert!(ratio < TOLERANCE, "{name}: {large:?} with {LARGE} recipients, {small:?} with {SMALL}");
    }
}
