//! An exchange costs the same in a large broadcast as in a small one: no statement of it walks over all recipients.
//! Measured as a ratio, since machines differ.

use std::time::{Duration, Instant};

use herald::delivery::outcome::Outcome;
use herald::delivery::rate::Rate;
use herald::delivery::time::Span;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Declaration, Ledger, SenderLedger};

use super::world::*;

const SMALL: usize = 2_000;
const LARGE: usize = 200_000;
/// Where a statement walks over everybody the ratio is near 100.
const TOLERANCE: f64 = 20.0;
const ROUNDS: usize = 41;

struct Cost {
    exchange: Duration,
    claim: Duration,
    maintain: Duration,
    settle_dead: Duration,
}

/// The middle one of many: a pause of the machine does not count.
fn median(mut costs: Vec<Duration>) -> Duration {
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// The ledger's costs with so many recipients in one broadcast.
async fn costs(people: usize) -> Cost {
    let world = World::<SqliteLedger>::new().await;
    let wide =
        Declaration { account_rate: Rate::new(1_000, 1), batch_size: Some(people as u32), ..declaration("wide") };
    let broadcast = world.planned(&wide, people).await;
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
        let holder = format!("short-{round}");
        let start = Instant::now();
        let reply = world.ledger.exchange(&Sender::new(&holder, broadcast).request(vec![], 1)).await.unwrap();
        claim.push(start.elapsed());
        assert_eq!(reply.rows.len(), 1);
        let words = herald::ledger::LastWords { holder, outcomes: vec![], begun: vec![], complete: true };
        let start = Instant::now();
        world.ledger.settle_dead_sender(None, &words).await.unwrap();
        settle_dead.push(start.elapsed());
        world.pass(Span::from_millis(250));
    }
    Cost {
        exchange: median(exchange),
        claim: median(claim),
        maintain: median(maintain),
        settle_dead: median(settle_dead),
    }
}

#[tokio::test]
async fn no_call_of_a_sender_costs_more_in_a_larger_broadcast() {
    let (small, large) = (costs(SMALL).await, costs(LARGE).await);
    let compare = [
        ("exchange", small.exchange, large.exchange),
        ("claim", small.claim, large.claim),
        ("maintain", small.maintain, large.maintain),
        ("settle_dead_sender", small.settle_dead, large.settle_dead),
    ];
    for (name, small, large) in compare {
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        assert!(ratio < TOLERANCE, "{name}: {large:?} with {LARGE} recipients, {small:?} with {SMALL}");
    }
}
