use super::world::{START, World, creates_job};
use crate::api::WriteBackTarget;
use crate::controller::broadcast::{Action, WRITE_BACK_FAILING};
use crate::controller::job::told_at_start;
use crate::delivery::gate::Block;
use crate::delivery::outcome::Fault;
use crate::delivery::time::Span;
use crate::ledger::{Outbox, WrittenBack};

fn outbox(pending: i64, delivered: i64, due_in: Option<i64>) -> Option<Outbox> {
    let due_at = due_in.map(|seconds| START + Span::from_secs(seconds));
    Some(Outbox { pending, delivered, due_at, ..Outbox::default() })
}

/// A broadcast that has ended, with events that are due.
fn ended() -> World {
    let mut world = World::planned(10, 10);
    world.send(10);
    world.snapshot.outbox = outbox(2, 3, Some(0));
    world.object.spec.delivery.senders = 4;
    world
}

fn events(world: &World) -> Vec<&'static str> {
    world.occasions.iter().map(|occasion| occasion.event.as_str()).collect()
}

#[test]
fn after_the_end_one_sender_comes_for_what_is_left_to_be_told() {
    let mut world = ended();
    world.look();
    let [job] = world.jobs.as_slice() else { panic!("{:?}", world.jobs) };
    assert_eq!(job.spec.as_ref().unwrap().parallelism, Some(1));
    assert_eq!(told_at_start(job), Some(3));
    world.wait(10);
    world.look();
    assert_eq!(world.jobs.len(), 1, "it is neither deleted, although the broadcast has ended, nor made larger");
    assert_eq!(world.jobs[0].spec.as_ref().unwrap().parallelism, Some(1));
    world.end_wave("Complete", None);
    world.snapshot.outbox = outbox(0, 5, None);
    world.wait(3_600);
    world.look();
    assert_eq!(world.jobs.len(), 1, "all is told");
}

#[test]
fn nobody_comes_to_tell_where_nothing_is_due_or_senders_are_there() {
    let case = |bend: &dyn Fn(&mut World)| {
        let mut world = ended();
        bend(&mut world);
        creates_job(&world.decide())
    };
    assert!(case(&|_| {}));
    assert!(!case(&|world| world.snapshot.outbox = None), "no endpoints");
    assert!(!case(&|world| world.snapshot.outbox = outbox(0, 5, None)), "nothing waits");
    assert!(!case(&|world| world.snapshot.outbox = outbox(2, 3, Some(1))), "not yet");
    assert!(!case(&|world| world.snapshot.lease_until = Some(START + Span::from_secs(1))), "a sender is alive");
    assert!(!case(&|world| world.channel = None), "no channel, no pod");
}

#[test]
fn it_is_looked_at_again_when_the_next_event_is_due() {
    let mut world = ended();
    world.snapshot.outbox = outbox(2, 3, Some(90));
    world.look();
    world.wait(1);
    assert_eq!(world.decide().look_again, Span::from_secs(89).to_duration());
}

#[test]
fn an_endpoint_that_is_away_is_asked_ever_more_slowly_and_at_once_after_it_took_something() {
    let mut world = ended();
    let mut waits = Vec::new();
    for told in [3, 3, 3, 3, 4, 4] {
        world.snapshot.outbox = outbox(2, told, Some(0));
        let (before, mut waited) = (world.jobs.len(), 0);
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
    assert_eq!(waits, [0, 5, 10, 20, 0, 5]);
}

#[test]
fn waves_that_only_tell_are_no_sign_of_senders_that_keep_ending() {
    let mut world = World::planned(10, 10);
    world.snapshot.gate.suspended = true;
    world.snapshot.outbox = outbox(2, 3, Some(0));
    for _ in 0..5 {
        while world.jobs.iter().all(|job| job.status.is_some()) {
            world.look();
            world.wait(1);
        }
        world.end_wave("Complete", None);
    }
    world.snapshot.gate.suspended = false;
    let decision = world.look();
    assert!(creates_job(&decision), "the sending does not wait for them");
    assert!(!events(&world).contains(&"BroadcastStalled"));
}

#[test]
fn a_sender_that_tells_is_joined_by_others_once_somebody_is_to_be_sent_to() {
    let mut world = World::planned(10, 10);
    world.object.spec.delivery.senders = 4;
    world.snapshot.gate.suspended = true;
    world.snapshot.outbox = outbox(2, 3, Some(0));
    world.look();
    world.wait(1);
    world.look();
    assert_eq!(world.jobs[0].spec.as_ref().unwrap().parallelism, Some(1));
    world.snapshot.gate.suspended = false;
    world.look();
    assert_eq!(world.jobs[0].spec.as_ref().unwrap().parallelism, Some(4));
}

#[test]
fn what_the_conditions_say_is_told_once_for_each_change() {
    let mut world = World::planned(10, 10);
    world.snapshot.outbox = outbox(0, 0, None);
    world.look();
    assert_eq!(events(&world), Vec::<&str>::new());
    world.wait(301);
    for _ in 0..3 {
        world.look();
        world.wait(1);
    }
    assert_eq!(events(&world), ["BroadcastStalled"], "its Job has no pod, and nobody says why");
    let cause = world.occasions[0].cause.clone().unwrap();
    assert_eq!(cause.reason, "SenderNotStarting");
    world.snapshot.gate.block = Some(Block::Provider);
    world.snapshot.first_attempt_at = Some(world.now);
    let decision = world.look();
    assert!(decision.actions.iter().any(|action| matches!(action, Action::TellStanding(_))));
    world.look();
    assert_eq!(events(&world)[1..], ["BroadcastStarted", "BroadcastSuspended", "BroadcastStalled"]);
}

#[test]
fn a_broadcast_without_endpoints_asks_nothing_of_the_ledger() {
    let mut world = World::planned(10, 10);
    world.snapshot.gate.block = Some(Block::Provider);
    let decision = world.look();
    assert!(decision.actions.iter().all(|action| !matches!(action, Action::TellStanding(_))));
}

fn written(pending: i64, done: i64, due_in: Option<i64>) -> WrittenBack {
    let due_at = due_in.map(|seconds| START + Span::from_secs(seconds));
    WrittenBack { target: WriteBackTarget::Sql, pending, done, failed: 0, last_error: None, due_at }
}

#[test]
fn after_the_end_one_sender_comes_for_whoever_is_still_to_be_written_down() {
    let mut world = ended();
    world.snapshot.outbox = None;
    world.snapshot.write_backs = vec![written(7, 3, Some(0))];
    world.look();
    let [job] = world.jobs.as_slice() else { panic!("{:?}", world.jobs) };
    assert_eq!((job.spec.as_ref().unwrap().parallelism, told_at_start(job)), (Some(1), Some(3)));
    world.end_wave("Complete", None);
    // It got on, so the next one comes at once; and for events that are due earlier as well.
    world.snapshot.write_backs = vec![written(2, 8, Some(60))];
    world.snapshot.outbox = outbox(1, 4, Some(0));
    world.wait(1);
    world.look();
    assert_eq!((world.jobs.len(), told_at_start(&world.jobs[1])), (2, Some(12)));
    world.end_wave("Complete", None);
    world.snapshot.write_backs = vec![written(0, 10, None)];
    world.snapshot.outbox = None;
    world.wait(3_600);
    world.look();
    assert_eq!(world.jobs.len(), 2, "all is written");
}

#[test]
fn figures_of_people_who_are_written_down_after_the_end_are_followed_while_a_sender_is_at_it() {
    let mut world = ended();
    world.snapshot.outbox = None;
    world.snapshot.write_backs = vec![written(7, 3, Some(0))];
    world.look();
    world.pod("Running", Default::default());
    world.wait(1);
    assert_eq!(world.look().look_again, Span::from_secs(15).to_duration());
    world.snapshot.write_backs = vec![written(0, 10, None)];
    world.wait(15);
    assert_eq!(world.look().look_again, Span::from_secs(300).to_duration(), "all is written");
}

/// The notes of what is told of write-backs since the last look at them.
fn told_of_write_backs(world: &mut World) -> Vec<String> {
    let told = std::mem::take(&mut world.told).into_iter().filter(|told| told.reason == WRITE_BACK_FAILING);
    told.inspect(|told| assert!(told.warning, "{told:?}")).map(|told| told.note).collect()
}

#[test]
fn a_target_that_fails_is_told_once_for_each_reason_and_once_when_somebody_is_given_up() {
    let refused = || Some(Fault::new("WriteBackRefused", Some("42P01".to_owned()), "spec.onSent.sql: no such table"));
    let away = || Some(Fault::new("WriteBackUnreachable", None, "spec.onSent.sql: no answer"));
    let mut world = World::planned(10, 10);
    let mut look = |sums: WrittenBack| {
        world.snapshot.write_backs = vec![sums];
        for _ in 0..3 {
            world.wait(11);
            world.look();
        }
        told_of_write_backs(&mut world)
    };
    let nothing: [&str; 0] = [];
    assert_eq!(look(written(7, 3, Some(0))), nothing, "it gets on");
    let failing = |pending, failed, last_error| WrittenBack { failed, last_error, ..written(pending, 3, None) };
    let words = "Sql: WriteBackRefused (code 42P01): spec.onSent.sql: no such table";
    assert_eq!(look(failing(7, 0, refused())), [words]);
    assert_eq!(look(failing(4, 0, refused())), nothing, "the same with other figures");
    assert_eq!(look(failing(4, 0, away())), ["Sql: WriteBackUnreachable: spec.onSent.sql: no answer"]);
    assert_eq!(
        look(failing(3, 1, away())),
        ["Sql: WriteBackUnreachable: spec.onSent.sql: no answer; some are given up"]
    );
    assert_eq!(look(failing(2, 2, away())), nothing);
    assert_eq!(look(failing(2, 2, None)), nothing, "that it is over is in the status");
    assert_eq!(look(failing(2, 0, refused())), [words]);
}

#[test]
fn an_operator_that_starts_anew_tells_no_failure_of_a_target_again() {
    let mut world = ended();
    let last_error = Some(Fault::new("WriteBackRefused", None, "spec.onSent.sql: no such table"));
    world.snapshot.write_backs = vec![WrittenBack { last_error, ..written(7, 3, None) }];
    world.look();
    world.wait(11);
    world.look();
    assert_eq!(told_of_write_backs(&mut world).len(), 1);
    world.memory = Default::default();
    world.wait(11);
    world.look();
    assert_eq!(told_of_write_backs(&mut world).len(), 0);
}

/// The causes of what was told for one reason.
fn causes<'a>(world: &'a World, reason: &str) -> Vec<&'a str> {
    world.told.iter().filter(|told| told.reason == reason).map(|told| told.cause.as_str()).collect()
}

#[test]
fn each_target_that_fails_and_each_of_its_reasons_is_counted_for_itself() {
    let failing = |target, failed, reason| {
        let last_error = Some(Fault::new(reason, None, "no answer"));
        WrittenBack { target, failed, last_error, ..written(7, 3, None) }
    };
    let (sql, messenger) = (WriteBackTarget::Sql, WriteBackTarget::Messenger);
    let (refused, away) = ("WriteBackRefused", "WriteBackUnreachable");
    let mut world = World::planned(10, 10);
    for sums in [
        vec![failing(sql, 0, refused)],
        vec![failing(sql, 0, refused), failing(messenger, 0, refused)],
        vec![failing(sql, 0, away), failing(messenger, 0, refused)],
        vec![failing(sql, 2, away), failing(messenger, 0, refused)],
    ] {
        world.snapshot.write_backs = sums;
        world.wait(11);
        world.look();
    }
    let expected = [
        "Sql WriteBackRefused",
        "Messenger WriteBackRefused",
        "Sql WriteBackUnreachable",
        "Sql WriteBackUnreachable GivenUp",
    ];
    assert_eq!(causes(&world, WRITE_BACK_FAILING), expected);
}

#[test]
fn each_stall_is_counted_by_its_reason_and_each_warning_of_a_plan_by_its_words() {
    let mut world = World::planned(10, 10);
    for variable in ["a", "b", "a"] {
        world.snapshot.words.warnings = vec![format!("no recipient has `{variable}`")];
        world.wait(11);
        world.look();
    }
    let told = causes(&world, "PlanWarning");
    assert!(told[0] == told[2] && told[0] != told[1], "{told:?}");
    assert!(told[0].starts_with("PlanWarning ") && told[0].len() < 32, "{told:?}");
    world.snapshot.gate.block = Some(Block::Provider);
    world.wait(11);
    world.look();
    assert_eq!(causes(&world, "Stalled"), ["ProviderBlocked"]);
}
