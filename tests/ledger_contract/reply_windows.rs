//! Whose window has closed: who was not active for too long may not be written to.

use std::collections::BTreeMap;

use herald::delivery::outcome::Outcome;
use herald::delivery::recipient::RecipientState::{Inflight, Pending, Sent, Skipped};
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::plan::PlanRow;
use herald::ledger::{AccountKey, ContactRow, Declaration};

use super::contacts::{DAY, SECOND, contact, opt_out, plan_rows, states, vars, windowed};
use super::quiet_hours::quiet;
use super::world::*;

fn last_active(number: usize, at: Timestamp) -> PlanRow {
    PlanRow { vars: vars(&[("last_active_time", &herald::delivery::activity::shown(at))]), ..person(number) }
}

pub async fn whose_window_has_closed_is_skipped_and_not_given_out<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&windowed("one")).await.id;
    let active = |number: usize, at: Timestamp| PlanRow {
        vars: vars(&[("last_active_time", &herald::delivery::activity::shown(at))]),
        ..person(number)
    };
    let now = world.now();
    // Closed, about to close, open, and never heard of.
    let rows = [active(0, now - DAY - SECOND), active(1, now - DAY + SECOND), active(2, now - SECOND), person(3)];
    plan_rows(world, broadcast, &rows).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    assert_eq!(world.state(broadcast, 1).await, Sent, "the first whose window is open");
    world.maintain_all().await;
    assert_eq!((world.state(broadcast, 0).await, world.tally(broadcast, Skipped, "WindowClosed").await), (Skipped, 1));
    assert_eq!(seqs(&sender.take(world, 5).await), [2, 3]);
}

pub async fn a_window_that_closes_before_the_slot_is_closed<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&windowed("one")).await.id;
    // Slots are given some milliseconds ahead.
    let ahead = Span::from_millis(30);
    let at = herald::delivery::activity::shown(world.now() - DAY + ahead);
    let row = PlanRow { vars: vars(&[("last_active_time", &at)]), ..person(0) };
    plan_rows(world, broadcast, &[row, person(1)]).await;
    Sender::proven(world, "sender", broadcast).await;
    world.maintain_all().await;
    assert_eq!(states(world, broadcast).await, [Pending, Sent], "it is open now, and will be closed at the slot");
    world.pass(ahead);
    world.maintain_all().await;
    assert_eq!(states(world, broadcast).await, [Skipped, Sent]);
}

pub async fn who_writes_while_they_wait_is_messaged<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let start_at = Some(world.now() + DAY);
    let broadcast = world.declare(&Declaration { start_at, ..windowed("one") }).await.id;
    let at = herald::delivery::activity::shown(world.now() - SECOND);
    let row = |number| PlanRow { vars: vars(&[("last_active_time", &at)]), ..person(number) };
    plan_rows(world, broadcast, &[row(0), row(1)]).await;
    world.pass(DAY - SECOND);
    world.maintain_all().await;
    assert_eq!(world.counts(broadcast).await.pending, 2, "nothing is judged before the start");
    world.ledger.heard_from(&account, &[("person-1".into(), world.now())]).await.unwrap();
    world.ledger.heard_from(&account, &[("person-1".into(), world.now() - DAY)]).await.unwrap();
    assert_eq!(contact(world, "person-1").await.active_at, Some(world.now()), "it only grows");
    world.pass(SECOND);
    let sender = Sender::proven(world, "sender", broadcast).await;
    assert_eq!((sender.number, world.state(broadcast, 1).await), (2, Sent));
    world.maintain_all().await;
    assert_eq!(world.state(broadcast, 0).await, Skipped);
}

pub async fn who_is_imported_as_active_while_they_wait_is_messaged<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let start_at = Some(world.now() + DAY);
    let broadcast = world.declare(&Declaration { start_at, ..windowed("one") }).await.id;
    let then = world.now() - SECOND;
    plan_rows(world, broadcast, &[last_active(0, then), last_active(1, then)]).await;
    world.pass(DAY);
    let row = ContactRow {
        recipient: person(1).recipient,
        vars: BTreeMap::new(),
        active_at: Some(world.now() - SECOND),
        tags: Default::default(),
        opted_out: None,
    };
    world.ledger.import_contacts(&account, &[row]).await.unwrap();
    Sender::proven(world, "sender", broadcast).await;
    world.maintain_all().await;
    assert_eq!(states(world, broadcast).await, [Skipped, Sent]);
}

pub async fn a_repeat_gives_no_new_slot_to_who_is_barred_meanwhile<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&windowed("one")).await.id;
    let closes_soon = world.now() - DAY + SECOND * 5;
    plan_rows(world, broadcast, &[person(0), person(1), last_active(2, closes_soon), person(3)]).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let request = sender.request(vec![], 5);
    let first = world.exchange(&request).await.unwrap().rows;
    assert_eq!(seqs(&first), [1, 2, 3]);
    opt_out(world, [1]).await;
    world.pass(SECOND * 6);
    let again = world.exchange(&request).await.unwrap().rows;
    assert_eq!(again[..2], first[..2], "they keep the slot that has passed");
    assert!(again[2].seq == 3 && again[2].slot > world.now(), "{again:?}");
    sender.tell(world, reports(&again[..2], &Outcome::NotBegun)).await;
    world.maintain_all().await;
    assert_eq!(states(world, broadcast).await, [Sent, Skipped, Skipped, Inflight]);
    assert_eq!(world.tally(broadcast, Skipped, "OptedOut").await, 1);
    assert_eq!(world.tally(broadcast, Skipped, "WindowClosed").await, 1);
}

pub async fn whose_window_has_closed_is_found_behind_many_broadcasts_where_it_is_quiet<L: Backend>(world: &World<L>) {
    let closed = last_active(0, world.now() - DAY - SECOND);
    // More than are looked at in one call.
    let mut waiting = Vec::new();
    for number in 0..60 {
        let quiet_hours = quiet("21:00", "08:00");
        let waits = Declaration { quiet_hours, ..windowed(&format!("quiet-{number}")) };
        waiting.push(world.declare(&waits).await.id);
        plan_rows(world, waiting[number], std::slice::from_ref(&closed)).await;
    }
    let broadcast = world.declare(&windowed("open")).await.id;
    plan_rows(world, broadcast, &[closed, person(1)]).await;
    for _ in 0..30 {
        world.pass(SECOND);
        world.maintain().await;
    }
    assert_eq!(states(world, broadcast).await, [Skipped, Pending]);
    assert_eq!(states(world, waiting[0]).await, [Pending], "they may write until the quiet hours end");
}

pub async fn a_contacts_activity_counts_where_a_row_says_less<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    world.ledger.heard_from(&account, &[("person-0".into(), world.now() - DAY)]).await.unwrap();
    world.ledger.heard_from(&account, &[("person-1".into(), world.now() + DAY)]).await.unwrap();
    assert_eq!(contact(world, "person-1").await.active_at, Some(world.now()), "nobody is heard of ahead of time");
    let broadcast = world.planned(&windowed("one"), 3).await;
    world.maintain_all().await;
    assert_eq!(states(world, broadcast).await, [Skipped, Pending, Pending]);
    let without = world.planned(&declaration("no-window"), 3).await;
    world.maintain_all().await;
    assert_eq!(states(world, without).await, [Pending, Pending, Pending]);
}

pub async fn of_twilio_the_window_is_that_of_its_channels_and_of_no_sms<L: Backend>(world: &World<L>) {
    let account = AccountKey { provider: "twilio".into(), ..declaration("any").account };
    let broadcast = world.declare(&Declaration { account: account.clone(), ..windowed("one") }).await.id;
    let (sms, whatsapp, messenger) = ("+14155550100", "whatsapp:+14155550100", "messenger:7");
    let row = |recipient: &str| PlanRow { recipient: recipient.into(), ..last_active(0, world.now() - DAY - SECOND) };
    plan_rows(world, broadcast, &[row(sms), row(whatsapp), row(messenger), row("+14155550101")]).await;
    // Who writes by SMS opens no window that could close.
    world.ledger.heard_from(&account, &[(sms.into(), world.now())]).await.unwrap();
    world.pass(DAY + SECOND);
    world.maintain_all().await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    assert_eq!(states(world, broadcast).await, [Sent, Skipped, Skipped, Pending]);
    assert_eq!(world.tally(broadcast, Skipped, "WindowClosed").await, 2);
    assert_eq!(seqs(&sender.take(world, 5).await), [3]);
}
