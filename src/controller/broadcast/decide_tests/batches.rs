use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;

use super::world::{START, World, batch, snapshot, time};
use crate::api::{BatchState, Condition};
use crate::controller::broadcast::Action;
use crate::delivery::counts::Counts;
use crate::delivery::outcome::Fault;
use crate::delivery::recipient::SkipReason;
use crate::delivery::time::Span;
use crate::ledger::status::{Stall, batch_status, instant};

fn names(world: &World) -> Vec<String> {
    world.objects.iter().map(ResourceExt::name_any).collect()
}

#[test]
fn every_batch_of_the_plan_has_an_object_that_says_its_range_and_one_deleted_by_hand_comes_back() {
    let mut world = World::planned(25, 10);
    world.look();
    assert_eq!(names(&world), ["sale-00000", "sale-00001", "sale-00002"]);
    let last = &world.objects[2];
    assert_eq!((last.spec.index, last.spec.first_recipient, last.spec.recipient_count), (2, 20, 5));
    assert_eq!(last.labels().get("herald.dev/broadcast").map(String::as_str), Some("sale"));
    let owner = &last.owner_references()[0];
    assert_eq!((owner.uid.as_str(), owner.controller), ("9f3a77aa-1111-2222-3333-444444444444", Some(true)));
    world.objects.remove(1);
    assert!(matches!(&world.decide().actions[..], [Action::CreateBatch(made)] if made.name_any() == "sale-00001"));
}

#[test]
fn batches_of_a_plan_that_was_made_anew_go_by_their_uid_and_come_back_as_they_are_now() {
    let mut world = World::planned(25, 10);
    world.look();
    world.seal(18, 10);
    let decision = world.look();
    let uids: Vec<_> = decision
        .actions
        .iter()
        .map(|action| match action {
            Action::DeleteBatch { name, uid } if uid.starts_with("uid-") => name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(uids, ["sale-00001", "sale-00002"]);
    world.wait(10);
    world.look();
    assert_eq!(names(&world), ["sale-00000", "sale-00001"]);
    assert_eq!(world.objects[1].spec.recipient_count, 8);
}

#[test]
fn what_belongs_to_somebody_else_is_left_alone_until_it_is_gone() {
    let mut world = World::planned(10, 10);
    world.look();
    let foreign = OwnerReference { uid: "other".to_owned(), controller: Some(true), ..OwnerReference::default() };
    let mut by_hand = world.objects[0].clone();
    by_hand.metadata.name = Some("sale-00007".to_owned());
    by_hand.metadata.owner_references = None;
    world.objects[0].metadata.owner_references = Some(vec![foreign]);
    world.objects.push(by_hand);
    let decision = world.decide();
    assert!(decision.actions.is_empty() && decision.batch_statuses.is_empty(), "{decision:?}");
    assert!(decision.look_again <= std::time::Duration::from_secs(1));
    let told = decision.status.and_then(|status| Condition::find(&status.conditions, "Stalled").cloned());
    assert_eq!(told.map(|stall| stall.reason).as_deref(), Some("NameTaken"));
    world.objects[0] = World::planned(10, 10).look_and_take();
    world.objects[0].metadata.deletion_timestamp = Some(time(world.now));
    assert!(world.decide().actions.is_empty(), "on its way out");
}

impl World {
    fn look_and_take(mut self) -> crate::api::MessageBatch {
        self.look();
        self.objects.remove(0)
    }
}

#[test]
fn what_the_api_server_says_of_a_new_batch_is_not_taken_for_a_status_that_was_written() {
    let mut world = World::planned(30, 10);
    world.look();
    assert!(world.decide().batch_statuses.is_empty(), "mostly the first is begun before long");
    world.wait(3);
    let written = world.decide().batch_statuses;
    assert_eq!(written.len(), 3, "a balance and conditions follow");
    assert!(written.iter().all(|(_, status)| status.recipients.is_some()));
}

#[test]
fn the_state_of_a_batch_follows_from_its_figures() {
    let mut broadcast = snapshot();
    let state = |batch: &_, broadcast: &_| batch_status(batch, broadcast, None, 1, &[]).state;
    let mut one = batch(0, 0, 9);
    assert_eq!(state(&one, &broadcast), Some(BatchState::Pending));
    (one.started_at, one.claimed_at) = (Some(broadcast.now), Some(broadcast.now));
    assert_eq!(state(&one, &broadcast), Some(BatchState::Waiting), "only retries are left");
    one.holder = Some("sale-9f3a-1-x".to_owned());
    assert_eq!(state(&one, &broadcast), Some(BatchState::Sending));
    broadcast.throttled_until = Some(broadcast.now + Span::from_secs(9));
    assert_eq!(state(&one, &broadcast), Some(BatchState::Waiting), "the provider asked to hold");
    one.counts = Counts { sent: 7, skipped: 3, ..Counts::default() };
    assert_eq!(state(&one, &broadcast), Some(BatchState::Complete));
    one.skipped_by_cancel = 1;
    assert_eq!(state(&one, &broadcast), Some(BatchState::Cancelled));
    one.skipped_by_cancel = 0;
    broadcast.skipped = vec![(SkipReason::Cancelled, 3), (SkipReason::OptedOut, 3)];
    assert_eq!(state(&one, &broadcast), Some(BatchState::Complete), "done before it was cancelled");
}

#[test]
fn a_claim_is_shown_while_it_is_held_and_a_stall_only_where_work_has_begun() {
    let broadcast = snapshot();
    let stall = Stall::new("SenderCrashLooping", "words");
    let mut one = batch(0, 0, 9);
    let status = batch_status(&one, &broadcast, Some(&stall), 1, &[]);
    assert!(status.claim.is_none() && status.conditions.iter().all(|condition| condition.type_ != "Stalled"));
    (one.started_at, one.claimed_at, one.renewed_at) = (Some(broadcast.now), Some(broadcast.now), Some(broadcast.now));
    one.holder = Some("sale-9f3a-1-x".to_owned());
    let status = batch_status(&one, &broadcast, Some(&stall), 1, &[]);
    let claim = status.claim.unwrap();
    assert_eq!((claim.holder.as_str(), claim.epoch, claim.lease_duration_seconds), ("sale-9f3a-1-x", 1, 15));
    assert!(status.conditions.iter().any(|condition| condition.type_ == "Stalled" && condition.message == "words"));
}

#[test]
fn retries_reclaims_and_the_last_error_are_shown() {
    let mut one = batch(0, 0, 9);
    let at = one.started_at.insert(START);
    (one.retries, one.reclaims) = (4, 1);
    one.last_error = Some((Fault::new("Temporary", Some("2".to_owned()), "try later"), *at));
    let status = batch_status(&one, &snapshot(), None, 1, &[]);
    assert_eq!((status.retries, status.reclaims), (Some(4), Some(1)));
    let error = status.last_error.unwrap();
    assert_eq!(
        (error.reason.as_str(), error.code.as_deref(), error.message.as_str()),
        ("Temporary", Some("2"), "try later")
    );
    assert_eq!(Some(error.time), instant(START));
}

#[test]
fn another_sender_a_reclaim_or_another_error_is_written_at_once_and_progress_later() {
    type Step = fn(&mut crate::ledger::BatchSnapshot);
    let fault = |code: &str| Fault::new("Temporary", Some(code.to_owned()), "try later");
    let steps: [(&str, Step); 4] = [
        ("another sender", |batch| batch.holder = Some("sale-9f3a-1-y".to_owned())),
        ("another claim", |batch| batch.epoch += 1),
        ("a reclaim", |batch| batch.reclaims += 1),
        ("a first error", |batch| {
            batch.last_error = Some((Fault::new("Temporary", Some("2".to_owned()), "try later"), START));
        }),
    ];
    for (what, step) in steps {
        let mut world = begun();
        step(&mut world.batches[0]);
        assert_eq!(world.look().batch_statuses.len(), 1, "{what}");
    }
    let mut world = begun();
    world.batches[0].last_error = Some((fault("2"), world.now));
    world.look();
    world.wait(1);
    world.batches[0].last_error = Some((fault("2"), world.now));
    world.send(1);
    assert_eq!(world.look().batch_statuses, [], "the same error again");
    world.wait(15);
    assert_eq!(world.look().batch_statuses.len(), 1);
}

/// A batch that a sender works on, and whose status was just written.
fn begun() -> World {
    let mut world = World::planned(100, 100);
    world.look();
    world.pod("Running", Default::default());
    world.wait(3);
    world.send(1);
    world.look();
    world.wait(1);
    assert_eq!(world.look().batch_statuses, []);
    world
}
