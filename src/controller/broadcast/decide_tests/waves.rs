use std::time::Duration;

use k8s_openapi::api::batch::v1::JobStatus;

use super::world::{START, World, crashed, creates_job};
use crate::api::ConditionStatus;
use crate::controller::broadcast::Action;
use crate::delivery::gate::Block;
use crate::delivery::time::{Span, Timestamp};

fn after(seconds: i64) -> Timestamp {
    START + Span::from_secs(seconds)
}

#[test]
fn a_wave_is_made_exactly_when_senders_have_something_to_do() {
    let case = |bend: &dyn Fn(&mut World)| {
        let mut world = World::planned(10, 10);
        bend(&mut world);
        creates_job(&world.decide())
    };
    assert!(creates_job(&World::new().decide()), "it is not planned");
    assert!(case(&|_| {}), "recipients are due");
    assert!(!case(&|world| world.snapshot.gate.suspended = true), "suspended");
    assert!(!case(&|world| world.snapshot.gate.cancelled = true), "cancelled");
    assert!(!case(&|world| world.snapshot.gate.released = true), "released");
    assert!(!case(&|world| world.snapshot.gate.block = Some(Block::Provider)), "blocked");
    assert!(!case(&|world| world.snapshot.gate.end_at = Some(START)), "expired");
    assert!(!case(&|world| world.send(10)), "complete");
    assert!(!case(&|world| world.snapshot.gate.start_at = Some(after(21))), "much before its time");
    assert!(case(&|world| world.snapshot.gate.start_at = Some(after(20))), "shortly before its time");
    assert!(!case(&|world| world.snapshot.due_at = Some(after(61))), "all back off");
    assert!(case(&|world| world.snapshot.due_at = Some(after(60))), "the first is due soon");
    assert!(!case(&|world| world.snapshot.throttled_until = Some(after(61))), "throttled for long");
    assert!(!case(&|world| world.snapshot.lease_until = Some(after(3))), "a sender is alive");
    assert!(!case(&|world| world.channel = None), "no channel");
    assert!(case(&|world| world.snapshot.gate.account_stopped = true), "a probe of the credentials");
    assert!(
        !case(&|world| (world.snapshot.gate.account_stopped, world.snapshot.gate.suspended) = (true, true)),
        "a suspended broadcast does not probe"
    );
    let mut world = World::new();
    world.snapshot.gate.suspended = true;
    assert!(creates_job(&world.decide()), "a suspended broadcast is planned");
    world.snapshot.planning = true;
    assert!(!creates_job(&world.decide()), "somebody plans");
}

#[test]
fn a_scheduled_broadcast_is_looked_at_again_when_its_senders_are_to_start() {
    let mut world = World::planned(10, 10);
    world.look();
    world.jobs.clear();
    world.snapshot.gate.start_at = Some(after(45));
    world.look();
    world.wait(1);
    assert_eq!(world.decide().look_again, Duration::from_secs(24));
}

#[test]
fn in_quiet_hours_no_sender_is_kept_and_the_next_wave_begins_shortly_before_they_end() {
    let mut world = World::planned(10, 10);
    (world.snapshot.due_at, world.snapshot.quiet_until) = (Some(after(3_600)), Some(after(3_600)));
    assert!(!creates_job(&world.decide()));
    world.look();
    world.wait(1);
    world.look();
    world.wait(1);
    assert_eq!(world.decide().look_again, Duration::from_secs(30), "nothing moves");
    world.wait(3_600 - 60 - 3);
    assert!(!creates_job(&world.decide()));
    assert_eq!(world.decide().look_again, Duration::from_secs(1));
    world.wait(1);
    assert!(creates_job(&world.decide()));
}

#[test]
fn a_start_within_quiet_hours_brings_no_senders_before_they_end() {
    let mut world = World::planned(10, 10);
    world.snapshot.gate.start_at = Some(after(10));
    world.snapshot.due_at = Some(after(3_600));
    assert!(!creates_job(&world.decide()));
}

#[test]
fn no_wave_begins_while_a_job_is_in_progress_or_finishing_or_being_deleted() {
    let mut world = World::planned(10, 10);
    world.look();
    assert_eq!(world.jobs.len(), 1);
    assert!(!creates_job(&world.decide()));
    world.end_wave("FailureTarget", None);
    assert!(!creates_job(&world.decide()));
    world.end_wave("Complete", None);
    world.jobs[0].metadata.deletion_timestamp = Some(super::world::time(world.now));
    assert!(!creates_job(&world.decide()));
}

#[test]
fn waves_are_numbered_after_the_highest_that_is_left_and_one_that_settled_somebody_is_followed_at_once() {
    let mut world = World::planned(10, 10);
    world.look();
    world.send(3);
    world.end_wave("Complete", None);
    world.look();
    let names: Vec<_> = world.jobs.iter().filter_map(|job| job.metadata.name.as_deref()).collect();
    assert_eq!(names, ["sale-9f3a-1", "sale-9f3a-2"]);
}

/// How long the next wave waits after each of several that came to nothing.
fn waits(world: &mut World, waves: usize) -> Vec<i64> {
    let mut waits = Vec::new();
    for _ in 0..waves {
        let before = world.jobs.len();
        let mut waited = 0;
        while world.jobs.len() == before {
            world.memory = Default::default();
            world.look();
            if world.jobs.len() == before {
                world.wait(1);
                waited += 1;
            }
        }
        waits.push(waited);
        world.end_wave("Complete", None);
    }
    waits
}

#[test]
fn fruitless_waves_are_followed_ever_more_slowly_and_the_jobs_alone_tell_how_many_there_were() {
    let mut world = World::planned(10, 10);
    assert_eq!(waits(&mut world, 9), [0, 5, 10, 20, 40, 80, 160, 300, 300]);
    world.send(1);
    assert_eq!(waits(&mut world, 2), [0, 5]);
}

#[test]
fn a_wave_that_made_the_plan_has_not_been_in_vain() {
    let mut world = World::new();
    world.look();
    world.seal(10, 10);
    world.end_wave("Complete", None);
    assert!(creates_job(&world.look()));
}

#[test]
fn an_edit_of_broadcast_channel_or_operator_is_tried_at_once() {
    let edits: [&dyn Fn(&mut World); 3] = [
        &|world| world.object.metadata.generation = Some(2),
        &|world| world.channel.as_mut().unwrap().metadata.generation = Some(2),
        &|world| world.settings.image = "registry.example/herald:2".to_owned(),
    ];
    for edit in edits {
        let mut world = World::planned(10, 10);
        waits(&mut world, 5);
        assert!(!creates_job(&world.decide()));
        edit(&mut world);
        assert!(creates_job(&world.decide()));
    }
}

#[test]
fn refused_credentials_are_probed_with_a_wait_and_stay_stalled_until_somebody_was_sent_to() {
    let mut world = World::planned(10, 10);
    world.look();
    world.send(3);
    world.snapshot.gate.account_stopped = true;
    world.snapshot.stop_message = Some("token expired".to_owned());
    world.look();
    let (reason, told) = world.stall().unwrap();
    assert_eq!(reason, "CredentialsInvalid");
    assert!(told.starts_with("token expired; put valid ones into the Secret"), "{told}");
    assert!(told.ends_with("it is looked at again by itself, at least every 5 minutes"), "{told}");
    world.end_wave("Complete", None);
    assert!(!creates_job(&world.look()), "not at once, though the wave had settled three");
    world.wait(5);
    let probe = world.look();
    assert!(matches!(probe.actions[..], [Action::LiftCredentialStop, Action::CreateJob(_)]), "{:?}", probe.actions);
    world.snapshot.stop_message = None;
    for _ in 0..20 {
        world.wait(1);
        world.look();
        assert_eq!(world.stall().unwrap(), (reason.clone(), told.clone()));
    }
    world.send(1);
    world.wait(1);
    world.look();
    assert_eq!(world.stall(), None);
}

#[test]
fn a_sender_that_stays_with_refused_credentials_is_left_to_try_them_itself() {
    let mut world = World::planned(10, 10);
    world.look();
    world.pod("Running", Default::default());
    world.send(3);
    world.snapshot.gate.account_stopped = true;
    world.snapshot.stop_message = Some("token expired".to_owned());
    for _ in 0..20 {
        world.wait(30);
        let jobs = |action: &Action| matches!(action, Action::CreateJob(_) | Action::DeleteJob { .. });
        let decision = world.look();
        assert!(!decision.actions.iter().any(|action| jobs(action) || *action == Action::LiftCredentialStop));
        assert_eq!(world.stall().unwrap().0, "CredentialsInvalid");
    }
    world.snapshot.gate.account_stopped = false;
    world.snapshot.stop_message = None;
    world.wait(1);
    world.look();
    assert_eq!(world.stall().unwrap().0, "CredentialsInvalid", "it tries");
    world.send(1);
    world.wait(1);
    world.look();
    assert_eq!(world.stall(), None);
}

#[test]
fn a_trouble_that_a_sender_told_is_looked_at_again_with_growing_waits() {
    let mut world = World::new();
    world.trouble("SecretNotFound");
    assert_eq!(waits(&mut world, 4), [0, 5, 10, 20]);
    assert_eq!(world.stall().unwrap().0, "SecretNotFound");
    world.snapshot.trouble = None;
    world.seal(10, 10);
    world.look();
    assert_eq!(world.stall(), None);
}

#[test]
fn a_block_is_lifted_once_a_person_has_changed_the_broadcast_after_it_was_told() {
    let mut world = World::planned(10, 10);
    world.snapshot.gate.block = Some(Block::Provider);
    world.look();
    world.wait(10);
    assert!(!world.look().actions.contains(&Action::LiftBlock));
    world.object.metadata.generation = Some(2);
    assert!(world.look().actions.contains(&Action::LiftBlock));
    assert!(world.decide().actions.iter().all(|action| *action != Action::LiftBlock));
}

#[test]
fn the_number_of_senders_is_changed_in_place() {
    let mut world = World::planned(10, 10);
    world.look();
    world.object.spec.delivery.senders = 3;
    let scale = Action::ScaleJob { name: "sale-9f3a-1".to_owned(), parallelism: 3 };
    assert_eq!(world.look().actions, [scale]);
    assert_eq!(world.decide().actions, []);
}

#[test]
fn a_job_that_cannot_start_is_replaced_when_a_new_one_would_be_another_and_one_that_works_never() {
    let mut world = World::planned(10, 10);
    world.look();
    world.wait(60);
    assert_eq!(world.decide().actions, [], "the same would not start either");
    world.settings.image = "registry.example/herald:2".to_owned();
    let mut working = World { jobs: world.jobs.clone(), settings: world.settings.clone(), ..World::planned(10, 10) };
    working.objects = world.objects.clone();
    working.pod("Running", Default::default());
    assert_eq!(working.decide().actions, []);
    working.pod("Pending", crashed(1, "", 1));
    assert_eq!(working.decide().actions, [], "it holds a journal");

    assert!(matches!(&world.look().actions[..], [Action::DeleteJob { uid, .. }] if !uid.is_empty()));
    assert!(creates_job(&world.look()));
    let image = world.jobs[0].spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers[0].image.clone();
    assert_eq!(image.as_deref(), Some("registry.example/herald:2"));
}

#[test]
fn a_job_at_work_whose_pods_were_deleted_makes_room_for_a_new_wave_once_their_claims_are_void() {
    let at_work = || {
        let mut world = World::planned(10, 10);
        world.look();
        world.send(3);
        world.jobs[0].status = Some(JobStatus { failed: Some(1), active: Some(0), ..JobStatus::default() });
        world
    };
    let mut world = at_work();
    world.snapshot.lease_until = Some(after(9));
    assert_eq!(world.look().actions, []);
    world.snapshot.lease_until = None;
    assert!(matches!(world.look().actions[..], [Action::DeleteJob { .. }]));
    assert!(creates_job(&world.look()));

    let mut replaced = at_work();
    replaced.jobs[0].status.as_mut().unwrap().active = Some(1);
    assert_eq!(replaced.look().actions, []);

    let mut stopping = at_work();
    stopping.pod("Running", Default::default());
    assert_eq!(stopping.look().actions, [], "its pod is still draining");

    let mut suspended = at_work();
    suspended.snapshot.gate.suspended = true;
    assert_eq!(suspended.look().actions, []);

    let mut idle = World::planned(10, 10);
    idle.look();
    idle.jobs[0].status = Some(JobStatus { failed: Some(1), active: Some(0), ..JobStatus::default() });
    assert_eq!(
        idle.look().actions,
        [],
        "pods that go before they have done anything are left to the wait of Kubernetes"
    );
}

#[test]
fn what_is_refused_or_over_leaves_no_job_behind() {
    let mut world = World::planned(10, 10);
    world.look();
    world.refused = Some(("KeyReused", "choose another key".to_owned()));
    assert!(matches!(world.look().actions[..], [Action::DeleteJob { .. }]));
    assert_eq!(world.stall().unwrap().0, "KeyReused");

    let mut world = World::planned(10, 10);
    world.look();
    world.snapshot.gate.cancelled = true;
    world.batches[0].counts = crate::delivery::counts::Counts { skipped: 10, ..Default::default() };
    world.sum();
    assert_eq!(world.look().actions, []);
    world.wait(6);
    assert!(matches!(world.look().actions[..], [Action::DeleteJob { .. }]), "its pods never started");
}

#[test]
fn a_finished_broadcast_goes_on_at_once_when_its_unknown_recipients_are_to_be_resent() {
    let mut world = World::planned(10, 10);
    world.look();
    world.batches[0].counts.unknown = 2;
    world.batches[0].counts.pending -= 2;
    world.send(8);
    world.end_wave("Complete", None);
    world.look();
    let holds = |world: &World, name: &str| {
        let conditions = &world.object.status.as_ref().unwrap().conditions;
        conditions.iter().find(|condition| condition.type_ == name).unwrap().status == ConditionStatus::True
    };
    assert!(holds(&world, "Complete") && holds(&world, "Finished"));

    world.object.metadata.generation = Some(2);
    (world.batches[0].counts.unknown, world.batches[0].counts.pending) = (0, 2);
    world.snapshot.finished_at = None;
    world.snapshot.due_at = Some(world.now);
    world.sum();
    world.wait(2);
    assert!(creates_job(&world.look()));
    assert!(!holds(&world, "Complete") && !holds(&world, "Finished"));
}
