//! How kstatus (and so Argo CD, Flux and `kubectl wait` of its kind) reads a broadcast.

use serde_json::Value;

use super::world::{START, World};
use crate::api::{BroadcastState, Condition, ConditionStatus};
use crate::delivery::counts::Counts;
use crate::delivery::gate::Block;
use crate::delivery::outcome::Fault;
use crate::delivery::recipient::SkipReason;
use crate::ledger::snapshot::Failing;

/// The rules kstatus has for a kind it does not know, in its order.
#[allow(clippy::if_same_then_else, reason = "one arm per rule, in its order")]
fn kstatus(object: &Value) -> &'static str {
    let status = &object["status"];
    let holds = |type_: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions
            .into_iter()
            .find(|condition| condition["type"] == type_)
            .map(|condition| condition["status"] == "True")
    };
    if object["metadata"]["deletionTimestamp"].is_string() {
        "Terminating"
    } else if status["observedGeneration"]
        .as_i64()
        .is_some_and(|seen| Some(seen) != object["metadata"]["generation"].as_i64())
    {
        "InProgress"
    } else if holds("Reconciling") == Some(true) {
        "InProgress"
    } else if holds("Stalled") == Some(true) {
        "Failed"
    } else {
        match holds("Ready") {
            Some(false) => "InProgress",
            _ => "Current",
        }
    }
}

#[test]
fn every_state_is_read_as_it_is_meant() {
    type Bend = fn(&mut World);
    let planned: Bend = |world| world.seal(10, 10);
    let cases: [(&str, &[Bend], BroadcastState, &str); 18] = [
        ("new", &[], BroadcastState::Pending, "InProgress"),
        ("planning", &[|world| world.snapshot.planning = true], BroadcastState::Planning, "InProgress"),
        ("plan refused", &[|world| world.trouble("InvalidRow")], BroadcastState::Pending, "Failed"),
        ("refused", &[|world| world.refused = Some(("KeyReused", String::new()))], BroadcastState::Pending, "Failed"),
        ("sending", &[planned], BroadcastState::Sending, "Current"),
        (
            "quiet hours",
            &[planned, |world| world.snapshot.quiet_until = Some(world.now)],
            BroadcastState::Sending,
            "Current",
        ),
        (
            "failing",
            &[planned, |world| {
                world.snapshot.failing =
                    Some(Failing { in_a_row: 9, last: Fault::new("NotSent", None, "connection refused") })
            }],
            BroadcastState::Sending,
            "Current",
        ),
        (
            "scheduled",
            &[planned, |world| {
                world.snapshot.gate.start_at = Some(world.now + crate::delivery::time::Span::from_secs(99))
            }],
            BroadcastState::Scheduled,
            "Current",
        ),
        ("suspended", &[planned, |world| world.snapshot.gate.suspended = true], BroadcastState::Suspended, "Current"),
        (
            "credentials",
            &[planned, |world| world.snapshot.gate.account_stopped = true],
            BroadcastState::Suspended,
            "Failed",
        ),
        (
            "blocked",
            &[planned, |world| world.snapshot.gate.block = Some(Block::Provider)],
            BroadcastState::Suspended,
            "Failed",
        ),
        (
            "failed",
            &[|world| {
                world.snapshot.gate.plan_failed = true;
                world.snapshot.finished_at = Some(world.now);
            }],
            BroadcastState::Failed,
            "Failed",
        ),
        ("no channel", &[planned, |world| world.channel = None], BroadcastState::Sending, "Failed"),
        ("delivered", &[planned, |world| world.send(10)], BroadcastState::Complete, "Current"),
        (
            "cancelled",
            &[planned, |world| {
                world.snapshot.gate.cancelled = true;
                world.batches[0].counts = Counts { skipped: 10, ..Counts::default() };
                world.snapshot.skipped = vec![(SkipReason::Cancelled, 10)];
                world.sum();
            }],
            BroadcastState::Cancelled,
            "Current",
        ),
        (
            "cancelled, and not everybody is skipped yet",
            &[planned, |world| world.snapshot.gate.cancelled = true],
            BroadcastState::Cancelled,
            "Current",
        ),
        (
            "expired",
            &[planned, |world| {
                world.snapshot.gate.end_at = Some(world.now);
                world.batches[0].counts = Counts { skipped: 10, ..Counts::default() };
                world.sum();
            }],
            BroadcastState::Expired,
            "Current",
        ),
        (
            "missed",
            &[planned, |world| {
                world.snapshot.gate.start_by = Some(START);
                world.batches[0].counts = Counts { skipped: 10, ..Counts::default() };
                world.snapshot.skipped = vec![(SkipReason::Missed, 10)];
                world.sum();
            }],
            BroadcastState::Missed,
            "Current",
        ),
    ];
    for (name, bends, state, health) in cases {
        let mut world = World::new();
        bends.iter().for_each(|bend| bend(&mut world));
        world.look();
        let status = world.object.status.as_ref().unwrap();
        assert_eq!(status.state, Some(state), "{name}");
        let object = serde_json::to_value(&world.object).unwrap();
        assert_eq!(kstatus(&object), health, "{name}: {:#}", object["status"]["conditions"]);
        for batch in &world.objects {
            assert_ne!(kstatus(&serde_json::to_value(batch).unwrap()), "Failed", "{name}");
        }
    }
}

#[test]
fn quiet_hours_are_told_with_their_end_and_no_completion_is_foretold() {
    let mut world = World::planned(10, 10);
    let until = crate::delivery::time::Timestamp::from_secs(1_800_000_000);
    (world.snapshot.due_at, world.snapshot.quiet_until) = (Some(until), Some(until));
    let status = world.decide().status.unwrap();
    let ready = Condition::find(&status.conditions, "Ready").unwrap();
    assert_eq!((ready.reason.as_str(), ready.status), ("QuietHours", ConditionStatus::True));
    assert!(ready.message.ends_with("; quiet hours last until 2027-01-15T08:00:00Z"), "{}", ready.message);
    assert_eq!(status.estimated_completion_time, None);
    world.snapshot.gate.suspended = true;
    let status = world.decide().status.unwrap();
    let ready = Condition::find(&status.conditions, "Ready").unwrap();
    assert_eq!(ready.reason, "Suspended", "whatever the hour");
}

#[test]
fn a_suspended_broadcast_tells_how_long_the_rest_takes_at_the_configured_rate() {
    let mut world = World::planned(6_500, 1_000);
    let told = |world: &World| {
        let status = world.decide().status.unwrap();
        let suspended = Condition::find(&status.conditions, "Suspended").unwrap().clone();
        (suspended.reason, suspended.message, status.estimated_completion_time)
    };
    let (reason, message, end) = told(&world);
    assert_eq!((reason.as_str(), message.as_str()), ("NotSuspended", ""));
    assert!(end.is_some());
    world.snapshot.gate.suspended = true;
    let words = "nothing is sent while spec.suspend is set; then it takes about 1 min 05 s at 100 a second";
    assert_eq!(told(&world), ("Suspended".to_owned(), words.to_owned(), None));
    // The brake gives the rate back while nothing is sent, and a status is not written for that.
    world.look();
    world.snapshot.effective_per_second = 12.0;
    world.wait(60);
    assert_eq!(world.decide().status, None);
    world.send(500);
    assert!(told(&world).1.contains("about 1 min 00 s at 100 a second"), "{:?}", told(&world));
    world.snapshot.gate.block = Some(Block::Provider);
    assert_eq!(told(&world).1, "", "something else is waited for");
}
