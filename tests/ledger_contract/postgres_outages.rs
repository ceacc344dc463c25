//! A server that is away for longer than attempts may go unreported.

use std::sync::Arc;

use herald::delivery::recipient::RecipientState::{self, Inflight, Pending, Sent, Skipped, Unknown};
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::exchange::{Assignment, BroadcastId, LEASE};
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::{Declaration, Ledger, SenderLedger};

use super::world::*;
use crate::postgres_server::{Middle, fresh_schema, server};

/// Every deadline and grace lies within it.
const OUTAGE: Span = Span::from_secs(300);

/// The one state of all these recipients.
async fn state_of(world: &World<PostgresLedger>, broadcast: BroadcastId, rows: &[Assignment]) -> RecipientState {
    let state = world.state(broadcast, rows[0].seq).await;
    for row in rows {
        assert_eq!(world.state(broadcast, row.seq).await, state);
    }
    state
}

#[tokio::test]
async fn after_an_outage_senders_have_a_lease_to_report_in_and_what_needs_no_report_is_done_at_once() {
    let middle = Middle::before(&server());
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let ledger = PostgresLedger::open_in(&middle.address, &fresh_schema(), Some(clock.clone())).await.unwrap();
    let world = World { ledger, clock };
    world.pass(LEASE);
    let one = world.planned(&declaration("one"), 25).await;
    let ends_meanwhile = Declaration { end_at: Some(world.now() + Span::from_secs(60)), ..declaration("ends") };
    let ends = world.planned(&ends_meanwhile, 10).await;
    let mut alive = Sender::proven(&world, "alive", one).await;
    let mut dead = Sender::proven(&world, "dead", one).await;
    let mut last = Sender::proven(&world, "last", ends).await;
    let (of_alive, of_dead) = (alive.take(&world, 3).await, dead.take(&world, 3).await);
    let of_last = last.take(&world, 2).await;
    let taken = [of_alive.len(), of_dead.len(), of_last.len()];
    assert_eq!(taken, [3, 3, 2]);

    middle.cut();
    assert!(world.ledger.maintain().await.is_err());
    world.pass(OUTAGE);
    let late = alive.request(reports(&of_alive, &accepted()), 0);
    assert!(world.ledger.exchange(&late).await.is_err());
    middle.pass();

    // Upkeep comes first.
    world.maintain_all().await;
    let states = async |states: [RecipientState; 3]| {
        assert_eq!(state_of(&world, one, &of_alive).await, states[0]);
        assert_eq!(state_of(&world, one, &of_dead).await, states[1]);
        assert_eq!(state_of(&world, ends, &of_last).await, states[2]);
    };
    states([Inflight, Inflight, Inflight]).await;
    let counts = world.counts(ends).await;
    assert_eq!((counts.pending, counts.skipped), (0, 7), "who was not taken when it ended will not be: {counts:?}");

    world.pass(LEASE - Span(1));
    world.maintain_all().await;
    states([Inflight, Inflight, Inflight]).await;
    world.exchange(&late).await.unwrap();
    last.tell(&world, reports(&of_last, &transient())).await;
    states([Sent, Inflight, Skipped]).await;

    world.pass(Span(1));
    world.maintain_all().await;
    states([Sent, Unknown, Skipped]).await;
    let next = Sender::new("next", one).take(&world, 1).await;
    assert_eq!(state_of(&world, one, &next).await, Inflight, "it goes on");
    assert_eq!(world.state(one, 24).await, Pending);
}
