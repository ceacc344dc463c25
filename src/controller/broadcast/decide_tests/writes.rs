use proptest::prelude::*;

use super::world::{World, waiting};
use crate::api::WriteBackTarget;
use crate::controller::broadcast::WRITE_BACK_FAILING;
use crate::delivery::gate::Block;
use crate::delivery::outcome::Fault;
use crate::delivery::rate::Rate;
use crate::delivery::recipient::{RETRIES_EXHAUSTED, SkipReason};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::WrittenBack;

/// Plays a whole broadcast, a look a second, and gives the world at its end.
fn deliver(recipients: i64, size: i64, per_second: i64) -> World {
    let mut world = World::new();
    world.snapshot.rate = Rate::new(per_second as u32, 1);
    world.snapshot.effective_per_second = per_second as f64;
    world.look();
    world.wait(1);
    world.snapshot.planning = true;
    world.look();
    world.wait(1);
    world.pod("Running", Default::default());
    world.seal(recipients, size);
    while world.snapshot.counts.open() > 0 {
        world.look();
        world.wait(1);
        world.send(per_second);
    }
    world.end_wave("Complete", None);
    for _ in 0..30 {
        world.look();
        world.wait(1);
    }
    world
}

fn most_in_a_minute(times: &[Timestamp]) -> usize {
    let minute = Span::from_secs(60);
    times.iter().map(|from| times.iter().filter(|at| *at >= from && **at - *from < minute).count()).max().unwrap_or(0)
}

#[test]
fn a_thousand_recipients_cost_at_most_five_writes_at_a_hundred_a_second_and_above() {
    for (recipients, size, per_second) in
        [(3_000, 3_000, 100), (30_000, 3_000, 100), (30_000, 9_000, 300), (100_000, 20_000, 1_000)]
    {
        let world = deliver(recipients, size, per_second);
        let allowed = (recipients / 1_000 * 5) as usize;
        let writes = world.writes.len();
        assert!(writes <= allowed, "{writes} writes for {recipients} at {per_second}/s");
        assert!(world.decide().status.is_none());
    }
}

/// Statuses of the channel in a minute while its rate moves.
const OF_THE_CHANNEL: usize = 4;

#[test]
fn below_that_a_minute_of_sending_costs_at_most_thirty_writes_of_all_kinds_whatever_the_batches() {
    for (recipients, size, per_second) in
        [(3_000, 300, 10), (300, 100, 1), (2_000, 10, 40), (300, 1, 3), (500, 1, 1), (5_000, 10, 50)]
    {
        let world = deliver(recipients, size, per_second);
        let end = world.snapshot.finished_at.unwrap();
        let sending: Vec<_> = world.writes.iter().copied().filter(|at| *at < end).collect();
        assert!(sending.len() > 10, "{sending:?}");
        let most = most_in_a_minute(&sending) + OF_THE_CHANNEL;
        assert!(most <= 30, "{most} in a minute with batches of {size} at {per_second}/s");
    }
}

/// 5,000 people in batches of this size, and a sender at work.
fn sending_one_a_second(batch_size: i64) -> World {
    let mut world = World::planned(5_000, batch_size);
    world.snapshot.rate = Rate::new(1, 1);
    world.snapshot.effective_per_second = 1.0;
    world.look();
    world.pod("Running", Default::default());
    world
}

#[test]
fn trouble_at_every_batch_costs_no_more_than_the_budget() {
    let mut world = sending_one_a_second(10);
    for second in 0..300_i64 {
        world.wait(1);
        world.send(1);
        for (index, batch) in world.batches.iter_mut().enumerate().take(20) {
            let code = Some(format!("{}", second + index as i64));
            batch.last_error = Some((Fault::new(RETRIES_EXHAUSTED, code, "try later"), world.now));
            batch.reclaims += 1;
        }
        world.look();
    }
    let most = most_in_a_minute(&world.writes) + OF_THE_CHANNEL;
    assert!(most <= 30, "{most} in a minute");
}

#[test]
fn targets_that_fail_again_and_again_cost_no_more_than_the_budget() {
    let mut world = sending_one_a_second(100);
    for second in 0..300_i64 {
        world.wait(1);
        world.send(1);
        let last_error = |target: &str| Some(Fault::new(if second % 2 == 0 { target } else { "Other" }, None, "no"));
        world.snapshot.write_backs = [WriteBackTarget::Messenger, WriteBackTarget::Sql]
            .map(|target| WrittenBack {
                target,
                pending: second,
                done: second,
                failed: 0,
                last_error: last_error(target.as_str()),
                due_at: None,
            })
            .into();
        world.look();
    }
    assert!(world.told.iter().any(|told| told.reason == WRITE_BACK_FAILING));
    let most = most_in_a_minute(&world.writes) + OF_THE_CHANNEL;
    assert!(most <= 30, "{most} in a minute");
}

#[test]
fn at_the_end_every_status_says_what_the_ledger_says() {
    let world = deliver(600, 3, 40);
    assert_eq!(world.objects.len(), 200);
    for batch in &world.objects {
        assert_eq!(batch.status.as_ref().unwrap().recipients.unwrap().sent, 3, "{:?}", batch.metadata.name);
    }
    assert_eq!(world.object.status.as_ref().unwrap().recipients.unwrap().sent, 600);
}

#[test]
fn each_turn_of_a_broadcast_is_told_once() {
    let world = deliver(3_000, 3_000, 100);
    let reasons: Vec<_> = world.told.iter().map(|transition| transition.reason).collect();
    assert_eq!(reasons, ["PlanSealed", "SendingStarted", "Delivered"]);

    let mut world = World::planned(10, 10);
    world.look();
    type Step = fn(&mut World);
    let steps: [(Step, &str); 4] = [
        (|world| world.snapshot.gate.suspended = true, "Suspended"),
        (|world| world.snapshot.gate.suspended = false, "Resumed"),
        (|world| world.pod("Pending", waiting("ErrImagePull", "no")), "Stalled"),
        (
            |world| {
                world.pod("Running", Default::default());
                world.snapshot.gate.cancelled = true;
                world.batches[0].counts = crate::delivery::counts::Counts { skipped: 10, ..Default::default() };
                world.snapshot.skipped = vec![(SkipReason::Cancelled, 10)];
                world.sum();
            },
            "Cancelled",
        ),
    ];
    for (step, reason) in steps {
        world.wait(60);
        step(&mut world);
        world.told.clear();
        for _ in 0..3 {
            world.look();
            world.wait(1);
        }
        let told: Vec<_> = world.told.iter().map(|transition| transition.reason).collect();
        assert_eq!(told, [reason]);
    }
}

#[test]
fn an_operator_that_starts_anew_writes_nothing_when_nothing_has_changed() {
    let mut world = World::planned(100, 10);
    world.pod_free_run(25);
    world.memory = Default::default();
    let decision = world.decide();
    assert_eq!((decision.status, decision.batch_statuses.len(), decision.actions.len()), (None, 0, 0));
    assert_eq!(decision.transitions, []);
}

impl World {
    /// Sends so many and looks until all is written.
    fn pod_free_run(&mut self, messages: i64) {
        self.look();
        self.pod("Running", Default::default());
        self.send(messages);
        for _ in 0..120 {
            self.wait(1);
            self.look();
        }
    }
}

#[test]
fn a_sender_that_only_shows_itself_is_no_reason_to_write() {
    let mut world = World::planned(100, 100);
    world.pod_free_run(25);
    for _ in 0..60 {
        world.wait(1);
        world.batches[0].renewed_at = Some(world.now);
        world.snapshot.revision += 1;
        let decision = world.look();
        assert_eq!((decision.status, decision.batch_statuses), (None, Vec::new()));
    }
}

#[test]
fn a_status_wiped_by_hand_comes_back() {
    let mut world = World::planned(100, 100);
    world.pod_free_run(25);
    let status = world.object.status.take();
    let batch = world.objects[0].status.take();
    world.look();
    let back = world.object.status.clone();
    assert_eq!(back.as_ref().map(|status| status.recipients), status.as_ref().map(|status| status.recipients));
    assert_eq!(world.objects[0].status.as_ref().map(|status| status.recipients), batch.map(|status| status.recipients));
}

#[test]
fn the_rate_is_that_of_the_last_minute() {
    let mut world = World::planned(100_000, 10_000);
    world.look();
    world.pod("Running", Default::default());
    for _ in 0..90 {
        world.wait(1);
        world.send(20);
        world.look();
    }
    assert_eq!(world.object.status.as_ref().unwrap().rate_per_minute, Some(1_200));
    assert!(world.memory.sent.len() <= 13, "{}", world.memory.sent.len());
    for _ in 0..90 {
        world.wait(1);
        world.look();
    }
    assert_eq!(world.object.status.as_ref().unwrap().rate_per_minute, Some(0));
}

/// One thing that may happen to a broadcast.
fn happen(world: &mut World, what: u8) {
    let gate = &mut world.snapshot.gate;
    match what % 14 {
        0 => gate.suspended = !gate.suspended,
        1 => gate.account_stopped = gate.sealed,
        2 => gate.block = gate.block.is_none().then_some(Block::Provider),
        3 => world.object.metadata.generation = world.object.metadata.generation.map(|generation| generation + 1),
        4 if world.snapshot.first_attempt_at.is_none() => world.seal(35 + i64::from(what), 10),
        5 | 6 if gate.sealed && gate.closed(world.now).is_none() => world.send(i64::from(what % 9) + 1),
        7 if !world.jobs.is_empty() => world.end_wave("Complete", None),
        8 if !world.jobs.is_empty() => world.end_wave("Failed", Some("BackoffLimitExceeded")),
        9 if !world.jobs.is_empty() => world.pod("Pending", waiting("ErrImagePull", "no")),
        10 => world.channel = world.channel.take().xor(Some(super::world::channel())),
        11 => world.refused = world.refused.take().xor(Some(("KeyInUse", "wait".to_owned()))),
        12 => world.object.spec.delivery.senders = u32::from(what % 8) + 1,
        _ => world.memory = Default::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// What is decided and done leaves nothing more to do at the same instant, up to the steps that follow one another
    /// (what was deleted is made anew, and then has a status).
    #[test]
    fn what_has_been_done_is_not_decided_again(happenings in proptest::collection::vec((any::<u8>(), 0_i64..90), 1..40)) {
        let mut world = World::new();
        for (what, seconds) in happenings {
            happen(&mut world, what);
            for _ in 0..5 {
                world.look();
            }
            let again = world.decide();
            prop_assert!(again.actions.is_empty(), "{:?}", again.actions);
            prop_assert!(again.status.is_none() && again.batch_statuses.is_empty() && again.transitions.is_empty());
            prop_assert!(again.look_again >= std::time::Duration::from_millis(100));
            world.wait(seconds);
        }
    }
}

#[test]
fn a_warning_of_a_plan_is_told_once_for_each_plan_and_message() {
    let mut world = World::planned(10, 10);
    let warn = |world: &mut World, warning: &str| {
        world.snapshot.words.warnings = vec![warning.to_owned()];
        world.wait(60);
        world.look();
        world.told.iter().filter(|told| told.reason == "PlanWarning").map(|told| told.note.clone()).collect::<Vec<_>>()
    };
    assert_eq!(warn(&mut world, "no recipient has `x`"), ["no recipient has `x`"]);
    assert_eq!(warn(&mut world, "no recipient has `x`"), ["no recipient has `x`"]);
    assert_eq!(warn(&mut world, "no recipient has `y`"), ["no recipient has `x`", "no recipient has `y`"]);
    assert!(world.told.iter().filter(|told| told.reason == "PlanWarning").all(|told| told.warning));
}
