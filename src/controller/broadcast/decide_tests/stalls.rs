use k8s_openapi::api::core::v1::PodCondition;

use super::world::{START, World, crashed, creates_job, waiting};
use crate::api::{BroadcastState, Condition};
use crate::controller::broadcast::{Action, JobWarning};
use crate::delivery::notification::{Cause, Sight};
use crate::delivery::outcome::Fault;
use crate::delivery::recipient::RETRIES_EXHAUSTED;
use crate::ledger::Outbox;

fn started() -> World {
    let mut world = World::planned(10, 10);
    world.look();
    world
}

#[test]
fn a_sender_that_does_not_start_is_told_with_the_words_of_the_cluster() {
    for reason in ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"] {
        let mut world = started();
        world.pod("Pending", waiting(reason, "no such thing"));
        world.wait(5);
        world.look();
        assert_eq!(world.stall(), None, "a pod takes a moment");
        world.wait(1);
        world.look();
        let (stall, message) = world.stall().unwrap();
        assert_eq!(stall, "SenderNotStarting");
        assert_eq!(message, format!("no sender of Job sale-9f3a-1 starts: {reason}: no such thing"));
        world.pod("Running", Default::default());
        world.look();
        assert_eq!(world.stall(), None);
    }
}

#[test]
fn a_pod_without_a_node_and_a_job_without_a_pod_are_told_as_well() {
    let mut world = started();
    world.pod("Pending", waiting("ContainerCreating", ""));
    world.wait(30);
    world.look();
    assert_eq!(world.stall(), None, "it is on its way");
    world.pods[0].status.as_mut().unwrap().conditions = Some(vec![PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some("0/1 nodes are available".to_owned()),
        ..PodCondition::default()
    }]);
    world.look();
    assert!(world.stall().unwrap().1.ends_with("starts: Unschedulable: 0/1 nodes are available"));

    let mut world = started();
    let warning = |job: &str| JobWarning {
        job: job.to_owned(),
        reason: "FailedCreate".to_owned(),
        message: "error looking up service account marketing/senders: serviceaccount \"senders\" not found".to_owned(),
    };
    world.wait(6);
    world.look();
    assert_eq!(world.stall(), None, "nobody says why");
    world.warnings = vec![warning("sale-9f3a-1")];
    world.look();
    assert!(world.stall().unwrap().1.contains("starts: FailedCreate: error looking up service account"));

    let mut silent = started();
    silent.wait(301);
    silent.look();
    assert_eq!(silent.stall().unwrap().0, "SenderNotStarting");
}

#[test]
fn senders_that_keep_ending_without_a_word_are_told_with_how_they_ended() {
    let mut world = started();
    for wave in 0..3 {
        assert_eq!(world.stall(), None, "wave {wave}");
        world.pod("Running", crashed(101, "panicked", 1));
        world.look();
        world.end_wave("Failed", Some("PodFailurePolicy"));
        world.look();
        if wave < 2 {
            world.wait(300);
            world.look();
        }
    }
    let told = (
        "SenderCrashLooping",
        "senders keep ending and settle nobody; how the last one ended: Error, exit code 101: panicked",
    );
    assert_eq!(world.stall(), Some((told.0.to_owned(), told.1.to_owned())));

    world.memory = Default::default();
    world.wait(1);
    assert_eq!(world.decide().status, None, "an operator that starts anew knows no better");

    world.wait(300);
    world.look();
    world.send(1);
    world.wait(1);
    world.look();
    assert_eq!(world.stall(), None, "somebody was sent to");
}

#[test]
fn five_restarts_without_result_are_enough() {
    let mut world = started();
    world.pod("Running", crashed(137, "", 5));
    world.look();
    assert!(world.stall().unwrap().1.ends_with("Error, exit code 137"));
    world.send(1);
    world.wait(1);
    world.look();
    assert_eq!(world.stall(), None);

    let mut world = started();
    world.end_wave("Failed", Some("BackoffLimitExceeded"));
    world.look();
    assert_eq!(world.stall().unwrap().0, "SenderCrashLooping");
}

/// Planners have died over it, as the ledger says.
fn failed() -> World {
    let mut world = World::new();
    world.look();
    world.pod("Running", crashed(137, "OOMKilled", 2));
    world.look();
    world.end_wave("Complete", None);
    world.snapshot.gate.plan_failed = true;
    world.snapshot.finished_at = Some(world.now);
    world.look();
    world
}

#[test]
fn a_broadcast_whose_planners_died_is_finished_and_not_complete_and_waits_for_an_edit() {
    let mut world = failed();
    let conditions = |world: &World| {
        let status = world.object.status.clone().unwrap();
        let of = |type_: &str| {
            let condition = Condition::find(&status.conditions, type_)?;
            Some(format!("{:?} {}", condition.status, condition.reason))
        };
        ["Ready", "Complete", "Finished", "Stalled", "Reconciling"].map(of)
    };
    let [is, is_not] = ["True Failed", "False Failed"].map(|text| Some(text.to_owned()));
    assert_eq!(conditions(&world), [is_not.clone(), is_not, is.clone(), is, None]);
    let status = world.object.status.clone().unwrap();
    assert_eq!(status.state, Some(BroadcastState::Failed));
    assert!(status.completion_time.is_some() && status.first_attempt_time.is_none());
    let (_, message) = world.stall().unwrap();
    assert!(message.starts_with("three senders in a row died while they made the plan"), "{message}");
    assert!(message.ends_with("how the last one ended: Error, exit code 137: OOMKilled"), "{message}");
    let told: Vec<_> = world.told.iter().map(|told| (told.warning, told.reason)).collect();
    assert!(told.contains(&(true, "Failed")) && told.contains(&(true, "Stalled")), "{told:?}");

    world.memory = Default::default();
    world.pods.clear();
    world.wait(600);
    let decision = world.decide();
    assert_eq!((decision.status, decision.actions), (None, vec![]), "an operator that starts anew starts nobody");

    // What an edit does in the ledger.
    world.object.metadata.generation = Some(2);
    world.snapshot.gate.plan_failed = false;
    world.snapshot.finished_at = None;
    let decision = world.look();
    assert!(creates_job(&decision), "{:?}", decision.actions);
    assert_eq!(world.stall(), None);
    assert_eq!(conditions(&world)[2], Some("False NotPlanned".to_owned()));
    assert_eq!(world.object.status.as_ref().unwrap().completion_time, None);
}

#[test]
fn endpoints_are_told_that_it_failed() {
    let mut world = failed();
    world.snapshot.outbox = Some(Outbox::default());
    let decision = world.decide();
    let told = decision.actions.into_iter().find_map(|action| match action {
        Action::TellStanding(standing) => Some(*standing),
        _ => None,
    });
    let told = told.unwrap();
    assert_eq!(told.finished, Sight::Is(Cause::new("Failed", "")));
    assert!(matches!(&told.stalled, Sight::Is(cause) if cause.reason == "Failed"), "{:?}", told.stalled);
    assert_eq!(told.suspended, Sight::IsNot);
}

#[test]
fn waves_that_settle_nobody_because_of_the_provider_or_of_a_told_trouble_are_no_crash_loop() {
    let mut world = started();
    world.batches[0].last_error = Some((Fault::new(RETRIES_EXHAUSTED, None, "try later"), world.now));
    for _ in 0..4 {
        world.end_wave("Complete", None);
        world.batches[0].last_error.as_mut().unwrap().1 = world.now;
        world.wait(300);
        world.look();
    }
    assert_eq!(world.stall(), None);

    let mut world = started();
    world.trouble("SecretNotFound");
    for _ in 0..4 {
        world.end_wave("Complete", None);
        world.wait(300);
        world.look();
    }
    assert_eq!(world.stall().unwrap().0, "SecretNotFound");
}

#[test]
fn a_channel_that_is_gone_is_told_by_its_name() {
    let mut world = World::planned(10, 10);
    world.channel = None;
    world.look();
    let (reason, message) = world.stall().unwrap();
    assert_eq!(reason, "ChannelNotFound");
    assert!(message.contains("`page`"), "{message}");
    assert_eq!(world.now, START);
}
