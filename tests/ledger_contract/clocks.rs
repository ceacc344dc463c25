//! A clock that is set back freezes nothing.

use herald::delivery::pacing::HORIZON;
use herald::delivery::recipient::RecipientState::{Inflight, Unknown};
use herald::delivery::time::Span;
use herald::ledger::exchange::{Assignment, Directive, LEASE};

use super::world::*;

const BACK: Span = Span::from_secs(-300);

/// Sets the clock back; somebody uses the ledger before upkeep looks at it.
async fn set_back<L: Backend>(world: &World<L>, bystander: &mut Sender) {
    bystander.tell(world, vec![]).await;
    world.pass(BACK);
    bystander.tell(world, vec![]).await;
    world.maintain().await;
}

/// Asks and waits as it is told, for one horizon at most: slots given away on the old time are still ahead.
async fn next_rows<L: Backend>(world: &World<L>, sender: &mut Sender) -> Vec<Assignment> {
    let latest = world.now() + HORIZON;
    loop {
        let reply = sender.exchange(world, vec![], 5).await;
        match reply.directive {
            Directive::Wait { until } => world.pass(until - world.now()),
            _ => return reply.rows,
        }
        assert!(world.now() <= latest, "it is frozen");
    }
}

async fn bystander<L: Backend>(world: &World<L>) -> Sender {
    let mut elsewhere = declaration("elsewhere");
    elsewhere.account.account = "another".into();
    Sender::new("bystander", world.planned(&elsewhere, 1).await)
}

pub async fn a_lease_ends_in_time_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    Sender::proven(world, "lost", broadcast).await;
    set_back(world, &mut bystander(world).await).await;
    world.pass(LEASE);
    assert_eq!(next_rows(world, &mut Sender::new("heir", broadcast)).await.len(), 1);
}

pub async fn a_deadline_comes_in_time_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    world.pass(Span::from_secs(400));
    let row = Sender::new("sender", broadcast).take(world, 1).await.remove(0);
    let overdue = Span::from_secs(30) + (row.start_by - world.now());
    set_back(world, &mut bystander(world).await).await;
    world.pass(overdue - Span(1));
    world.maintain().await;
    assert_eq!(world.state(broadcast, 0).await, Inflight, "nor does it come too early");
    world.pass(Span(1));
    world.maintain().await;
    assert_eq!(world.state(broadcast, 0).await, Unknown);
}

pub async fn a_backoff_ends_in_time_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &recipient_throttled(Span::from_secs(20)))).await;
    set_back(world, &mut bystander(world).await).await;
    assert_eq!(sender.take(world, 1).await, []);
    world.pass(Span::from_secs(20));
    assert_eq!(sender.take(world, 1).await.len(), 1);
}

pub async fn slots_go_on_at_the_same_pace_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    sender.take(world, 25).await;
    sender.take(world, 25).await;
    set_back(world, &mut bystander(world).await).await;
    let rows = next_rows(world, &mut sender).await;
    assert!(rows[0].slot <= world.now() + HORIZON + INTERVAL);
}

pub async fn a_brake_lets_go_in_time_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::new("sender", broadcast);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &account_throttled(Some(Span::from_secs(10))))).await;
    set_back(world, &mut bystander(world).await).await;
    assert_eq!(sender.take(world, 5).await, [], "the hold itself is kept");
    world.pass(Span::from_secs(10));
    let rows = sender.take(world, 5).await;
    assert_eq!(rows.len(), 5);
    sender.tell(world, reports(&rows, &account_throttled(None))).await;
    world.pass(Span::from_secs(1));
    let effective = world.snapshot(broadcast).await.effective_per_second;
    assert!(effective < 30.0, "it can be lowered again: {effective}");
}

pub async fn a_rival_that_has_gone_holds_nobody_up_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let gone = world.planned(&declaration("gone"), 100).await;
    let here = world.planned(&declaration("here"), 400).await;
    let mut rival = Sender::proven(world, "rival", gone).await;
    rival.take(world, 25).await;
    let mut sender = Sender::proven(world, "sender", here).await;
    set_back(world, &mut bystander(world).await).await;
    let mut sent = 0;
    let end = world.now() + Span::from_secs(3);
    while world.now() < end {
        let rows = sender.take(world, 25).await;
        sent += rows.len();
        sender.tell(world, reports(&rows, &accepted())).await;
        world.pass(Span::from_millis(50));
    }
    assert!(sent >= 290, "{sent} of 300");
}

pub async fn a_repeat_after_the_clock_was_set_back_gives_slots_of_the_new_time<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let request = sender.request(vec![], 5);
    let first = world.exchange(&request).await.unwrap().rows;
    world.pass(BACK);
    let repeated = world.exchange(&request).await.unwrap().rows;
    assert_eq!(seqs(&repeated), seqs(&first));
    assert!(repeated.iter().all(|row| row.slot <= world.now() + HORIZON + INTERVAL));
}
