//! What the ledger itself holds back: it knows less than the status tells, or suspects a duplicate.

use super::world::{World, creates_job};
use crate::api::{BroadcastState, Condition, ConditionStatus};
use crate::delivery::gate::Loss;

fn holds(world: &World, type_: &str) -> Option<(ConditionStatus, String)> {
    let conditions = &world.object.status.as_ref()?.conditions;
    Condition::find(conditions, type_).map(|condition| (condition.status, condition.reason.clone()))
}

#[test]
fn a_ledger_that_lost_commits_starts_no_wave_and_says_so_until_everybody_at_risk_is_unknown() {
    let mut world = World::planned(10, 10);
    world.snapshot.gate.loss = Some(Loss::Regressed);
    world.snapshot.stop_message = Some("an older copy".to_owned());
    assert!(!creates_job(&world.look()));
    assert_eq!(world.stall(), Some(("LedgerRegressed".to_owned(), "an older copy".to_owned())));
    assert_eq!(holds(&world, "Suspended"), Some((ConditionStatus::True, "LedgerRegressed".to_owned())));
    assert_eq!(world.object.status.as_ref().unwrap().state, Some(BroadcastState::Suspended));

    world.snapshot.gate.at_risk = true;
    world.wait(1);
    assert!(!creates_job(&world.look()));
    world.batches[0].counts = crate::delivery::counts::Counts { unknown: 10, ..Default::default() };
    world.sum();
    world.snapshot.gate.loss = None;
    world.wait(1);
    assert!(!creates_job(&world.look()));
    assert_eq!(world.stall(), None);
    assert_eq!(holds(&world, "Finished"), Some((ConditionStatus::True, "DeliveredWithFailures".to_owned())));
}

#[test]
fn a_plan_that_was_lost_is_made_anew_once_that_is_approved() {
    let mut world = World::new();
    world.snapshot.gate.loss = Some(Loss::Regressed);
    assert!(!creates_job(&world.decide()));
    world.snapshot.gate.at_risk = true;
    assert!(creates_job(&world.decide()));
}

#[test]
fn what_a_fresh_ledger_knows_nothing_of_keeps_the_figures_of_its_status() {
    let mut world = World::planned(10, 10);
    world.send(4);
    world.look();
    let figures = world.object.status.as_ref().unwrap().recipients;
    let mut fresh = World { object: world.object.clone(), ..World::new() };
    fresh.snapshot.gate.loss = Some(Loss::Fresh);
    fresh.snapshot.stop_message = Some("a new ledger".to_owned());
    assert!(!creates_job(&fresh.look()), "not even to plan");
    assert_eq!(fresh.stall(), Some(("FreshLedger".to_owned(), "a new ledger".to_owned())));
    assert_eq!(fresh.object.status.as_ref().unwrap().recipients, figures);
    assert_eq!(fresh.object.status.as_ref().unwrap().state, Some(BroadcastState::Suspended));

    fresh.snapshot.gate.loss = None;
    fresh.wait(1);
    assert!(creates_job(&fresh.look()), "approved it begins anew");
    assert_eq!(fresh.stall(), None);
}

#[test]
fn what_had_finished_before_the_ledger_was_made_is_left_as_it_is() {
    let mut world = World::planned(10, 10);
    world.look();
    world.send(10);
    world.wait(1);
    world.look();
    let before = world.object.status.clone();
    assert_eq!(holds(&world, "Finished").unwrap().0, ConditionStatus::True);
    let mut fresh = World { object: world.object.clone(), ..World::new() };
    fresh.snapshot.gate.loss = Some(Loss::Fresh);
    fresh.wait(1);
    let decision = fresh.look();
    assert!(!creates_job(&decision));
    assert_eq!((decision.status, &fresh.object.status), (None, &before));
}

/// Planners have died over its plan, as its status tells.
fn failed() -> World {
    let mut world = World::new();
    world.look();
    world.snapshot.gate.plan_failed = true;
    world.snapshot.finished_at = Some(world.now);
    world.wait(1);
    world.look();
    let finished = Some((ConditionStatus::True, "Failed".to_owned()));
    assert_eq!(holds(&world, "Finished"), finished);
    world
}

#[test]
fn what_had_failed_is_held_by_a_fresh_ledger_once_it_is_edited() {
    let mut fresh = World { object: failed().object, ..World::new() };
    let before = fresh.object.status.clone();
    fresh.snapshot.gate.loss = Some(Loss::Fresh);
    fresh.snapshot.stop_message = Some("a new ledger".to_owned());
    fresh.wait(1);
    fresh.look();
    assert_eq!(fresh.object.status, before, "nobody has asked for more");
    fresh.object.metadata.generation = Some(2);
    fresh.wait(1);
    assert!(!creates_job(&fresh.look()));
    assert_eq!(fresh.stall(), Some(("FreshLedger".to_owned(), "a new ledger".to_owned())));
    assert_eq!(holds(&fresh, "Finished"), Some((ConditionStatus::False, "FreshLedger".to_owned())));
    let status = fresh.object.status.unwrap();
    assert_eq!((status.state, status.completion_time), (Some(BroadcastState::Suspended), None));
}

#[test]
fn an_edit_that_is_refused_takes_away_that_it_has_failed() {
    let mut world = failed();
    world.object.metadata.generation = Some(2);
    world.refused = Some(("TemplateInvalid", "no such filter".to_owned()));
    world.wait(1);
    world.look();
    assert_eq!(world.stall(), Some(("TemplateInvalid".to_owned(), "no such filter".to_owned())));
    assert_eq!(holds(&world, "Finished"), Some((ConditionStatus::False, "TemplateInvalid".to_owned())));
    let status = world.object.status.unwrap();
    assert_eq!((status.state, status.completion_time), (Some(BroadcastState::Pending), None));
}

#[test]
fn a_suspected_duplicate_is_suspended_with_the_words_of_the_ledger() {
    let mut world = World::planned(10, 10);
    world.snapshot.gate.is_suspect = true;
    world.snapshot.stop_message = Some("like `sale`".to_owned());
    assert!(!creates_job(&world.look()));
    assert_eq!(world.stall(), Some(("DuplicateSuspected".to_owned(), "like `sale`".to_owned())));
    assert_eq!(holds(&world, "Suspended"), Some((ConditionStatus::True, "DuplicateSuspected".to_owned())));
    assert_eq!(world.object.status.as_ref().unwrap().state, Some(BroadcastState::Suspended));
    let mut unplanned = World::new();
    unplanned.snapshot.gate.is_suspect = true;
    assert!(creates_job(&unplanned.look()), "it is planned and counted like a suspended one");
}
