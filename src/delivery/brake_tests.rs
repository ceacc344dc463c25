use std::collections::VecDeque;

use super::*;
use crate::delivery::outcome::{Cap, Fault, PermanentScope};
use proptest::prelude::*;

fn throttled(retry_after_ms: Option<u64>) -> Outcome {
    Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, fault: Fault::new("RateLimited", None, "") }
}

fn seen(slot: Timestamp, now: Timestamp, next_slot: Timestamp) -> Seen {
    Seen { slot, now, next_slot, ceiling: Rate::new(1_000, 1), tries: 0 }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_000 + seconds)
}

fn millis(millis: i64) -> Timestamp {
    at(0) + Span::from_millis(millis)
}

#[test]
fn a_throttle_answer_halves_once_however_many_answers_of_older_slots_follow() {
    let mut brake = Brake::default();
    for _ in 0..20 {
        brake.observe(&throttled(None), &seen(millis(-100), at(0), millis(400)));
    }
    assert_eq!(brake.factor_at(millis(400)), FULL / 2);
    brake.observe(&throttled(None), &seen(millis(399), millis(450), millis(900)));
    assert_eq!(brake.factor_at(millis(900)), FULL / 2, "given away before");
    brake.observe(&throttled(None), &seen(millis(400), millis(460), millis(900)));
    assert_eq!(brake.factor_at(millis(900)), FULL / 4, "that was not enough");
}

#[test]
fn each_wish_of_the_provider_prolongs_the_hold_also_when_it_answers_an_older_slot() {
    let mut brake = Brake::default();
    brake.observe(&throttled(Some(2_000)), &seen(at(0), at(0), at(0)));
    assert_eq!(brake.hold_until, at(2));
    brake.observe(&throttled(Some(2_000)), &seen(millis(-10), at(1), at(2)));
    assert_eq!(brake.hold_until, at(3));
    assert_eq!(brake.factor_at(at(3)), FULL / 2);
}

#[test]
fn a_limit_met_from_below_is_remembered_and_the_rate_rests_just_under_it() {
    let mut brake = Brake::default();
    brake.observe(&throttled(None), &seen(at(0), at(0), at(0)));
    let met = millis(5_000);
    let limit = brake.mean_before(met);
    assert!(limit > FULL / 2 && limit < FULL, "it has climbed: {limit}");
    brake.observe(&throttled(None), &seen(met, met, met));
    assert_eq!((brake.factor, brake.footing), (limit * KEPT / FULL, Footing::Known));
    assert_eq!(brake.factor_at(met + SHORT_HOLD + REST), brake.factor);
    // Raised a little, and met again: nothing changes for the worse.
    let again = met + SHORT_HOLD + REST + Span::from_millis(700);
    let before = brake.factor;
    brake.observe(&throttled(None), &seen(again, again, again));
    assert!(brake.factor >= before * 99 / 100 && brake.factor <= before * 102 / 100, "{before}, {}", brake.factor);
}

#[test]
fn a_rate_that_is_borne_when_it_is_raised_comes_back_within_seconds() {
    let mut brake = Brake { factor: FULL * 48 / 100, since: at(0), lowered_at: at(0), ..Brake::default() };
    assert_eq!(brake.factor_at(at(6)), brake.factor);
    assert_eq!(brake.factor_at(at(7)), brake.factor * RAISED / FULL);
    assert!(brake.factor_at(at(9)) >= FULL * 95 / 100);
    assert_eq!(brake.factor_at(at(1_000_000)), FULL);
    brake.footing = Footing::Searching;
    assert_eq!(brake.factor_at(at(1)), brake.factor);
    assert!(brake.factor_at(at(10)) >= FULL * 95 / 100);
}

#[test]
fn throttling_without_end_stops_at_one_percent() {
    let mut brake = Brake::default();
    for second in 0..100 {
        brake.observe(&throttled(Some(0)), &seen(at(second), at(second), at(second)));
    }
    assert_eq!(brake.factor, FLOOR, "it was lowered as far as it goes");
    assert_eq!(brake.interval(Rate::new(10, 1), at(99)), Span::from_secs(10), "a hundred times that of the full rate");
}

#[test]
fn an_absurd_wish_of_the_provider_is_clamped() {
    let mut brake = Brake::default();
    brake.observe(&throttled(Some(u64::MAX)), &seen(at(0), at(0), at(0)));
    assert_eq!(brake.hold_until, at(0) + MAX_HOLD);
}

#[test]
fn half_of_the_last_fifty_failing_brakes_to_the_floor_and_success_lets_it_recover() {
    let mut brake = Brake::default();
    let unknown = Outcome::Unknown { fault: Fault::new("Unknown", None, "") };
    let accepted = Outcome::Accepted { provider_id: None };
    for _ in 0..24 {
        brake.observe(&unknown, &seen(at(0), at(0), at(0)));
        brake.observe(&accepted, &seen(at(0), at(0), at(0)));
    }
    assert_eq!(brake.factor_at(at(0)), FULL);
    brake.observe(&unknown, &seen(at(0), at(0), at(0)));
    assert_eq!(brake.factor_at(at(0)), FLOOR);
    assert_eq!(brake.factor_at(at(20)), FULL);
}

#[test]
fn an_attachment_that_was_forgotten_is_met_by_all_at_once_and_slows_nobody() {
    let mut brake = Brake::default();
    let failed = Outcome::NotSent { fault: Fault::new("NotSent", None, "") };
    let gone = Outcome::AttachmentGone { fault: Fault::new("InvalidParameter", None, "") };
    let now = seen(at(0), at(0), at(0));
    (0..FAILURES_TO_BRAKE - 1).for_each(|_| brake.observe(&failed, &now));
    let before = brake;
    (0..200).for_each(|_| brake.observe(&gone, &now));
    assert_eq!((brake, brake.factor_at(at(0))), (before, FULL));
    brake.observe(&failed, &now);
    assert_eq!(brake.factor_at(at(0)), FLOOR, "and what failed before is not forgotten");
}

fn capped() -> Outcome {
    let cap = Some(Cap { tries: 3, then: PermanentScope::Recipient });
    Outcome::Transient { cap, fault: Fault::new("TemporaryOrBlockedByPerson", Some("2".into()), "") }
}

/// The factor when a thousand people were tried: `blocked` of each ten meet the capped error at each of three tries, the next
/// one when so many others were tried.
fn after_a_broadcast(blocked: u32, later: u32) -> i64 {
    let mut brake = Brake::default();
    let accepted = Outcome::Accepted { provider_id: None };
    let is_blocked = |person: i64| person % 10 < i64::from(blocked);
    for turn in 0..1_000 + 2 * i64::from(later) {
        for tries in 0..3_u32 {
            let person = turn - i64::from(tries * later);
            let is_tried = (0..1_000).contains(&person) && (tries == 0 || is_blocked(person));
            if is_tried {
                let outcome = if is_blocked(person) { capped() } else { accepted.clone() };
                brake.observe(&outcome, &Seen { tries, ..seen(at(0), at(0), at(0)) });
            }
        }
    }
    brake.factor_at(at(0))
}

#[test]
fn people_who_have_blocked_the_account_slow_nobody_else_however_often_they_are_tried() {
    for later in [5, 100, 2_000] {
        for blocked in [1, 3, 4] {
            assert_eq!(after_a_broadcast(blocked, later), FULL, "{blocked} of 10, tried again after {later} others");
        }
    }
}

#[test]
fn an_outage_that_speaks_by_a_capped_error_brakes_as_any_other() {
    let mut brake = Brake::default();
    for _ in 1..FAILURES_TO_BRAKE {
        brake.observe(&capped(), &seen(at(0), at(0), at(0)));
    }
    // Those who are tried again meanwhile neither add to it nor hide it.
    (0..100).for_each(|_| brake.observe(&capped(), &Seen { tries: 1, ..seen(at(0), at(0), at(0)) }));
    assert_eq!(brake.factor_at(at(0)), FULL);
    brake.observe(&capped(), &seen(at(0), at(0), at(0)));
    assert_eq!(brake.factor_at(at(0)), FLOOR);
    let uncapped = Outcome::Transient { cap: None, fault: Fault::new("Temporary", None, "") };
    let mut brake = Brake::default();
    (0..FAILURES_TO_BRAKE).for_each(|tries| brake.observe(&uncapped, &Seen { tries, ..seen(at(0), at(0), at(0)) }));
    assert_eq!(brake.factor_at(at(0)), FLOOR, "without a cap every try counts");
}

#[test]
fn a_clock_set_back_does_not_prolong_a_hold() {
    let ahead = at(100_000);
    let mut brake = Brake { hold_until: ahead, since: ahead, lowered_at: ahead, ..Brake::default() };
    brake.clamp(at(0));
    assert_eq!((brake.hold_until, brake.lowered_at), (at(0) + MAX_HOLD, at(0) + MAX_HOLD));
}

/// A provider that counts the requests of each sliding second, those it refuses too, and lowers its limit for a minute;
/// and one sender that gives back what it holds when it is throttled.
struct Simulation {
    rate: f64,
    /// Of the rate, while it is lowered.
    limit: f64,
    latency: Span,
}

#[derive(Debug, Default)]
struct Minute {
    sent: f64,
    accepted: f64,
    /// From the end of the lowered limit to 95 % of the rate.
    back_after: Option<Span>,
}

impl Simulation {
    const LOWERED_AT: i64 = 20;
    const LIFTED_AT: i64 = 80;
    const ENDS_AT: i64 = 100;

    fn run(&self) -> Minute {
        let mut brake = Brake::default();
        let (mut now, mut next_slot, mut released_at) = (at(0), at(0), Timestamp::EPOCH);
        let mut held: VecDeque<Timestamp> = VecDeque::new();
        let mut window: VecDeque<Timestamp> = VecDeque::new();
        let mut answers: VecDeque<(Timestamp, Timestamp, bool)> = VecDeque::new();
        let mut minute = Minute::default();
        let lowered = at(Self::LOWERED_AT)..at(Self::LIFTED_AT);
        while now < at(Self::ENDS_AT) {
            let last = held.back().copied().unwrap_or(now);
            if last - now < Span::from_millis(250) {
                let start = next_slot.max(now + Span::from_millis(25)).max(brake.hold_until);
                let interval = brake.interval(Rate::new(self.rate as u32, 1), start);
                let group = (250_000_000 / interval.0).max(1);
                held.extend((0..group).map(|number| start + interval * number));
                next_slot = start + interval * group;
            }
            let slot = held[0];
            match answers.front() {
                Some((answered, begun, accepted)) if *answered <= slot => {
                    let (answered, begun, accepted) = (*answered, *begun, *accepted);
                    answers.pop_front();
                    now = answered;
                    if !accepted {
                        if begun >= released_at {
                            (released_at, next_slot) = (now, now);
                            held.clear();
                        }
                        let ceiling = Rate::new(self.rate as u32, 1);
                        brake.observe(&throttled(None), &Seen { slot: begun, now, next_slot, ceiling, tries: 0 });
                    }
                }
                _ => {
                    now = slot;
                    held.pop_front();
                    window.push_back(now);
                    while window.front().is_some_and(|first| *first <= now - Span::from_secs(1)) {
                        window.pop_front();
                    }
                    let counts = lowered.contains(&now);
                    let accepted = !counts || window.len() as f64 <= self.rate * self.limit;
                    minute.sent += f64::from(u8::from(counts));
                    minute.accepted += f64::from(u8::from(counts && accepted));
                    answers.push_back((now + self.latency, now, accepted));
                }
            }
            if now >= lowered.end && brake.factor_at(now) >= FULL * 95 / 100 {
                minute.back_after.get_or_insert(now - lowered.end);
            }
        }
        minute
    }
}

#[test]
fn a_limit_that_falls_for_a_minute_is_used_nearly_whole_and_seldom_met_and_noticed_when_it_lifts() {
    let seconds = (Simulation::LIFTED_AT - Simulation::LOWERED_AT) as f64;
    for rate in [100.0, 300.0, 1_000.0] {
        for limit in [0.3, 0.5, 0.8] {
            let minute = Simulation { rate, limit, latency: Span::from_millis(20) }.run();
            let used = minute.accepted / (rate * limit * seconds);
            let refused = 1.0 - minute.accepted / minute.sent;
            let back_after = minute.back_after.map(Span::as_secs_f64);
            let told = format!("{rate}/s, limit {limit}: used {used:.3}, refused {refused:.4}, back {back_after:?} s");
            assert!(used >= 0.9, "{told}");
            assert!(refused <= 0.01, "{told}");
            assert!(back_after.is_some_and(|seconds| seconds <= 10.0), "{told}");
        }
    }
}

fn used(percent: u32) -> Usage {
    Usage { percent, regain_after_ms: None, left: None }
}

#[test]
fn the_rate_falls_with_what_is_left_of_the_providers_limit_and_little_use_changes_nothing() {
    let mut brake = Brake::default();
    for (percent, factor) in [(0, FULL), (79, FULL), (80, FULL), (85, FULL * 3 / 4), (90, FULL / 2), (99, FULL / 20)] {
        brake.observe_usage(&used(percent), at(0), at(0));
        assert_eq!(brake.factor_at(at(0)), factor, "{percent} %");
    }
    assert_eq!(brake.hold_until, Timestamp::EPOCH, "nothing holds while something is left");
    assert_eq!((brake.usage(at(59)), brake.usage(at(60))), (Some(99), None));
    // Less is used again: the rate is no higher than before, until it rises by itself.
    brake.observe_usage(&used(85), at(1), at(1));
    assert_eq!(brake.factor_at(at(1)), FULL / 20);
    assert_eq!(brake.factor_at(at(30)), FULL);
}

#[test]
fn a_limit_that_is_used_up_holds_until_the_provider_expects_to_take_messages_again() {
    for (usage, hold) in [
        (used(100), USED_UP_HOLD),
        (used(250), USED_UP_HOLD),
        (Usage { percent: 100, regain_after_ms: Some(120_000), left: None }, Span::from_secs(120)),
        (Usage { percent: 3, regain_after_ms: Some(5_000), left: None }, Span::from_secs(5)),
        (Usage { percent: 100, regain_after_ms: Some(u64::MAX), left: None }, MAX_HOLD),
    ] {
        let mut brake = Brake::default();
        brake.observe_usage(&usage, at(0), at(0));
        assert_eq!(brake.hold_until, at(0) + hold, "{usage:?}");
        assert_eq!(brake.factor_at(at(0)), if usage.percent >= 100 { FLOOR } else { FULL });
    }
}

proptest! {
    #[test]
    fn whatever_answers_say_the_rate_stays_within_its_bounds_and_below_what_is_left(
        answers in prop::collection::vec((0_u32..130, any::<bool>(), 0_i64..3_000), 1..60),
    ) {
        let mut brake = Brake::default();
        let mut now = at(0);
        for (percent, is_throttled, pause) in answers {
            now = now + Span::from_millis(pause);
            if is_throttled {
                brake.observe(&throttled(None), &seen(now, now, now));
            }
            let before = brake.factor_at(now);
            brake.observe_usage(&used(percent), now, now);
            let after = brake.factor_at(now);
            prop_assert!((FLOOR..=FULL).contains(&after));
            prop_assert!(after <= before, "{percent} % raised {before} to {after}");
            if percent >= SLOWED_FROM {
                let left = FULL * i64::from(USED_UP.saturating_sub(percent)) / i64::from(USED_UP - SLOWED_FROM);
                prop_assert!(after <= left.max(FLOOR), "{percent} %: {after}");
            } else {
                prop_assert_eq!(after, before);
            }
            prop_assert!(brake.hold_until <= now + MAX_HOLD);
        }
    }
}

/// A provider that counts the requests of each sliding minute, those it refuses too, and a sender that asks for slots four
/// times a second. Returns how many were accepted and how many refused in ten minutes.
fn minutes_of_a_quota(quota: usize, rate: u32, tells: bool) -> (usize, usize) {
    let ceiling = Rate::new(rate, 1);
    let mut brake = Brake::default();
    let mut window: VecDeque<Timestamp> = VecDeque::new();
    let (mut accepted, mut refused, mut next_slot, mut now) = (0, 0, at(0), at(0));
    while now < at(600) {
        let start = next_slot.max(now).max(brake.hold_until);
        let interval = brake.interval(ceiling, start);
        let group = (250_000_000 / interval.0).max(1);
        next_slot = start + interval * group;
        let mut worst: Option<Usage> = None;
        for number in 0..group {
            now = start + interval * number;
            window.push_back(now);
            while window.front().is_some_and(|first| *first <= now - Span::from_secs(60)) {
                window.pop_front();
            }
            if window.len() > quota {
                refused += 1;
                brake.observe(&throttled(None), &Seen { slot: now, now, next_slot, ceiling, tries: 0 });
            } else {
                accepted += 1;
            }
            let usage = used((window.len() * 100 / quota) as u32);
            worst = Some(worst.map_or(usage, |before| before.worse(usage)));
        }
        if let Some(usage) = worst.filter(|_| tells) {
            brake.observe_usage(&usage, now, next_slot);
        }
        now = now.max(next_slot.min(now + Span::from_millis(250)));
    }
    (accepted, refused)
}

#[test]
fn a_provider_that_says_how_much_is_used_is_hardly_ever_met_and_used_well() {
    for (quota, rate) in [(600, 40), (2_000, 40), (3_000, 100), (6_000, 1_000)] {
        let (accepted, refused) = minutes_of_a_quota(quota, rate, true);
        let (_, refused_untold) = minutes_of_a_quota(quota, rate, false);
        let told =
            format!("{quota} a minute at {rate}/s: {accepted} accepted, {refused} refused, {refused_untold} untold");
        // Where a quarter of a second is much of the quota, some are on their way when it is nearly used.
        assert!(refused * 500 <= accepted, "{told}");
        assert!(refused_untold > 10 * refused.max(1), "{told}");
        assert!(accepted * 100 >= quota * 10 * 80, "{told}");
    }
}
