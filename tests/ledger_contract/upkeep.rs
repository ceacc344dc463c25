//! The loop that keeps a ledger up.

use std::sync::Arc;
use std::time::Duration;

use herald::delivery::recipient::RecipientState::{Inflight, Unknown};
use herald::delivery::time::Span;
use herald::ledger::clock::ManualClock;
use herald::ledger::exchange::{BroadcastId, LEASE};
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::upkeep::keep_up;
use herald::ledger::{Declaration, Inspect};

use super::world::*;

/// Some rounds of the loop.
const ROUNDS: Duration = Duration::from_millis(1_500);
/// Longer than a process is late by itself.
const FROZEN: Duration = Duration::from_millis(2_500);
const PATIENCE: Duration = Duration::from_secs(60);

/// The one recipient of the broadcast is overdue, and becomes unknown only when a lease has passed.
async fn is_heard_first(ledger: &SqliteLedger, clock: &ManualClock, broadcast: BroadcastId) {
    let state = async || ledger.deliveries(broadcast, 0, 1).await.unwrap()[0].state;
    tokio::time::sleep(ROUNDS).await;
    assert_eq!(state().await, Inflight);
    // Where the machine itself stands still, upkeep hears senders for another lease.
    let settled = async {
        while state().await != Unknown {
            clock.advance(LEASE);
            tokio::time::sleep(ROUNDS).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("silence is believed in the end");
}

#[tokio::test]
async fn upkeep_that_begins_late_or_was_frozen_hears_senders_before_it_believes_their_silence() {
    let world = World::<SqliteLedger>::new().await;
    let first = world.planned(&declaration("first"), 1).await;
    let patient = Declaration { request_timeout: Span::from_secs(3_600), ..declaration("second") };
    let second = world.planned(&patient, 1).await;
    for (holder, broadcast) in [("one", first), ("other", second)] {
        assert_eq!(Sender::new(holder, broadcast).take(&world, 1).await.len(), 1);
    }
    let World { ledger, clock } = world;
    let ledger = Arc::new(ledger);

    // What the process waited for after it opened the ledger, the Kubernetes API say, took its time.
    clock.advance(Span::from_secs(300));
    let upkeep = tokio::spawn(keep_up(ledger.clone()));
    is_heard_first(&ledger, &clock, first).await;

    // Nothing of this process goes on meanwhile: the runtime has this one thread.
    std::thread::sleep(FROZEN);
    clock.advance(Span::from_secs(7_200));
    is_heard_first(&ledger, &clock, second).await;
    upkeep.abort();
}
