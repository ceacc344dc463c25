//! The decisions of a sender's loop in simulated time.

use super::*;
use crate::delivery::outcome::Fault;
use crate::delivery::time::Timestamp;
use crate::sender::transport::NO_ANSWER;

fn at(millis: i64) -> Local {
    Local(Timestamp::EPOCH + Span::from_millis(millis))
}

fn held(seq: i64, slot: Local) -> Held {
    let row = Assignment {
        seq,
        attempt: 1,
        part: 0,
        recipient: String::new(),
        vars: Default::default(),
        slot: slot.0,
        start_by: slot.0 + START_TOLERANCE,
    };
    Held { row, slot }
}

/// A desk with connections to the provider.
fn connected() -> Holding {
    let mut holding = Holding::new(at(0));
    holding.connect(MAX_GROUP);
    holding
}

/// A desk that holds recipients every `interval` milliseconds from 100 ms on.
fn holding(count: i64, interval: i64) -> Holding {
    let mut holding = connected();
    holding.ask(at(0));
    holding.receive(
        (0..count).map(|seq| held(seq, at(100 + seq * interval))),
        Span::from_millis(interval),
        Span::from_millis(interval),
    );
    holding
}

fn outcome(seq: i64, outcome: Outcome) -> Report {
    Report::new(seq, 1, outcome)
}

fn accepted(seq: i64) -> Report {
    outcome(seq, Outcome::Accepted { provider_id: None })
}

fn begins(holding: &mut Holding, now: Local) -> Option<i64> {
    match holding.due(now) {
        Due::Begin(held) => {
            holding.begun(now);
            Some(held.row.seq)
        }
        Due::NotBefore(_) | Due::Nothing => None,
    }
}

#[test]
fn a_message_begins_at_its_slot_and_not_before() {
    let mut holding = holding(2, 100);
    assert!(matches!(holding.due(at(99)), Due::NotBefore(slot) if slot == at(100)));
    assert_eq!(begins(&mut holding, at(100)), Some(0));
    assert_eq!(begins(&mut holding, at(101)), None);
    assert_eq!(begins(&mut holding, at(200)), Some(1));
}

#[test]
fn who_holds_slots_up_for_a_slow_provider_says_so_for_a_while() {
    let mut holding = holding(30, 100);
    let mut now = at(100);
    while begins(&mut holding, now).is_some() {
        assert!(!holding.is_held_up(now), "below the cap");
        now = now + Span::from_millis(100);
    }
    assert!(holding.is_held_up(now));
    assert!(!holding.is_held_up(now + HELD_UP_FOR));
}

#[test]
fn a_missed_slot_is_given_back_and_never_made_up_for() {
    let mut holding = holding(3, 100);
    // Frozen until after the tolerance of the second slot: only the third is left, at its own slot.
    assert_eq!(begins(&mut holding, at(221)), None);
    assert_eq!(begins(&mut holding, at(300)), Some(2));
    let reports = holding.ask(at(300));
    assert_eq!(reports, [outcome(0, Outcome::NotBegun), outcome(1, Outcome::NotBegun)]);
}

#[test]
fn requests_on_the_wire_are_bounded_by_two_seconds_of_slots() {
    let mut holding = holding(60, 100);
    let mut begun = 0;
    for n in 0..60 {
        begun += begins(&mut holding, at(100 + n * 100)).iter().count();
        // One answer a second keeps it from being silent.
        if n % 10 == 9 {
            holding.ended(accepted(n / 10), at(150 + n * 100));
        }
    }
    assert_eq!(begun - 6, 20, "six were answered");
    assert!(holding.is_held_up(at(6_000)));
    assert_eq!(holding.in_flight_cap(at(6_050)), 21, "with the slot at hand");
}

#[test]
fn who_is_left_more_than_its_part_may_have_more_on_the_wire() {
    let mut holding = holding(30, 50);
    // By its part it would have a slot each 450 ms, and is given one each 50.
    holding.receive([], Span::from_millis(50), Span::from_millis(450));
    let begun = (0..30).filter_map(|n| begins(&mut holding, at(100 + n * 50))).count();
    assert_eq!(begun, 30);
    assert!(!holding.is_held_up(at(1_600)));
    assert_eq!(holding.pace(at(1_550)), Span(2_000_000_000 / 30));
}

#[test]
fn a_provider_that_stops_answering_gets_nothing_new_until_it_answers() {
    let mut holding = holding(100, 50);
    assert_eq!(begins(&mut holding, at(100)), Some(0));
    assert_eq!(begins(&mut holding, at(2_100)), Some(40), "within the silence that is borne");
    assert_eq!(begins(&mut holding, at(2_150)), None);
    assert_eq!(holding.wants(at(2_150)), 0);
    holding.ended(accepted(0), at(2_160));
    assert_eq!(begins(&mut holding, at(2_200)), Some(42));
}

#[test]
fn an_account_that_refuses_gets_back_everything_not_begun_at_once() {
    let fault = || Fault::new("Refused", None, "");
    let refusals = [
        Outcome::Auth { fault: fault() },
        Outcome::Blocked { fault: fault() },
        Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms: None, fault: fault() },
    ];
    for refusal in refusals {
        let mut holding = holding(3, 100);
        begins(&mut holding, at(100));
        holding.ended(outcome(0, refusal.clone()), at(150));
        assert!(matches!(holding.due(at(150)), Due::Nothing), "{refusal:?}");
        assert_eq!(holding.ask_at(at(150)), at(150));
        assert_eq!(holding.ask(at(150)).len(), 3);
    }
}

#[test]
fn a_recipient_that_is_throttled_alone_holds_nobody_else_back() {
    let mut holding = holding(3, 100);
    begins(&mut holding, at(100));
    let fault = Fault::new("PairLimit", None, "");
    let throttled = Outcome::Throttled { scope: ThrottleScope::Recipient, retry_after_ms: None, fault };
    holding.ended(outcome(0, throttled), at(150));
    assert_eq!(begins(&mut holding, at(200)), Some(1));
}

#[test]
fn more_is_asked_for_before_the_last_slot() {
    let mut holding = holding(4, 200);
    holding.recorded(&[accepted(99)]);
    // The last slot is at 700 ms; asking earlier would take what another sender could begin sooner.
    assert_eq!(holding.wants(at(300)), 0);
    assert_eq!(holding.ask_at(at(300)), at(450));
    assert!(holding.wants(at(450)) > 0);
}

#[test]
fn an_answer_is_recorded_within_a_quarter_of_a_second_and_the_first_at_once() {
    let mut fresh = holding(2, 5_000);
    begins(&mut fresh, at(100));
    fresh.ended(accepted(0), at(150));
    assert_eq!(fresh.ask_at(at(150)), at(150));

    let mut proven = holding(2, 5_000);
    proven.recorded(&[accepted(99)]);
    begins(&mut proven, at(100));
    proven.ended(accepted(0), at(150));
    assert_eq!(proven.ask_at(at(150)), at(400));
}

#[test]
fn a_sender_asks_every_second_while_it_holds_and_every_five_in_any_case() {
    // Nothing more fits: two recipients are what one group and two seconds of such slow slots leave room for.
    let mut far = connected();
    far.ask(at(0));
    far.receive([held(1, at(30_000)), held(2, at(30_001))], Span::from_secs(60), Span::from_secs(60));
    assert_eq!(far.ask_at(at(10)), at(1_000));

    let mut idle = connected();
    idle.ask(at(0));
    idle.wait(at(60_000), at(0));
    assert_eq!(idle.ask_at(at(10)), at(5_000));
}

#[test]
fn the_exchange_that_records_a_part_asks_for_the_next_one_whatever_wait_was_told() {
    let mut holding = connected();
    holding.recorded(&[accepted(7)]);
    holding.ask(at(0));
    holding.wait(at(60_000), at(0));
    holding.begun(at(10));
    holding.ended(accepted(0), at(20));
    assert_eq!((holding.ask_at(at(20)), holding.wants(at(270))), (at(270), 0));
    holding.expect_the_next_part(at(20));
    assert_eq!((holding.ask_at(at(20)), holding.wants(at(20))), (at(270), 0), "in one exchange");
    assert!(holding.wants(at(270)) > 0 && holding.idle_until() <= at(270));
}

#[test]
fn a_long_wait_is_asked_about_again_within_seconds() {
    let mut holding = connected();
    holding.ask(at(0));
    holding.wait(at(3_600_000), at(0));
    assert_eq!(holding.wants(at(4_999)), 0);
    assert!(holding.wants(at(5_000)) > 0);
    assert_eq!(holding.ask_at(at(10)), at(5_000));
    assert_eq!(holding.idle_until(), at(3_600_000), "who has no patience is told the whole wait");
    // A wait of no more than that is kept to.
    holding.ask(at(5_000));
    holding.wait(at(9_000), at(5_000));
    assert_eq!((holding.wants(at(8_999)), holding.ask_at(at(5_010))), (0, at(9_000)));
}

#[test]
fn a_sender_that_leaves_gives_everything_back_and_asks_for_nothing() {
    let mut holding = holding(3, 100);
    begins(&mut holding, at(100));
    holding.leave(at(110));
    assert_eq!(holding.wants(at(120)), 0);
    assert_eq!(holding.ask(at(120)).len(), 2);
    assert!(!holding.is_settled(), "one request is still on the wire");
    holding.ended(accepted(0), at(300));
    holding.ask(at(310));
    assert!(holding.is_settled());
}

#[test]
fn reports_beyond_one_requests_worth_are_kept_for_the_next() {
    let mut holding = connected();
    for seq in 0..(MAX_REPORTS as i64 + 10) {
        holding.begun(at(0));
        holding.ended(accepted(seq), at(0));
    }
    assert_eq!(holding.ask(at(1)).len(), MAX_REPORTS);
    assert_eq!(holding.ask(at(2)).len(), 10);
}

fn no_answer(seq: i64) -> Report {
    Report::new(seq, 1, Outcome::Unknown { fault: Fault::new(NO_ANSWER, None, "timed out") })
}

/// Ten requests on the wire at 10 a second.
fn sending() -> Holding {
    let mut holding = connected();
    holding.receive([], Span::from_millis(100), Span::from_millis(100));
    (0..10).for_each(|number| holding.begun(at(number * 100)));
    holding
}

#[test]
fn after_timeouts_in_silence_one_probe_at_a_time_until_something_is_answered() {
    let mut holding = sending();
    assert!(holding.may_begin(at(2_000)));
    assert!(!holding.may_begin(at(2_001)));
    (0..9).for_each(|seq| holding.ended(no_answer(seq), at(6_000 + seq * 100)));
    assert!(!holding.may_begin(at(6_900)), "one is still out");
    assert_eq!(holding.wants(at(6_900)), 0);
    holding.ended(no_answer(9), at(6_900));
    assert_eq!(holding.wants(at(8_899)), 0, "the provider is left in peace for a while");
    assert_eq!(holding.wants(at(8_900)), 1);
    assert!(holding.may_begin(at(9_000)));
    holding.begun(at(9_000));
    assert!(!holding.may_begin(at(9_001)), "the probe is out");
    assert_eq!(holding.wants(at(9_001)), 0);
    holding.ended(no_answer(10), at(15_000));
    holding.begun(at(17_100));
    assert!(!holding.may_begin(at(17_101)), "a second probe, as silent as the first");
    holding.ended(accepted(11), at(17_150));
    assert!(holding.wants(at(17_151)) > 1);
    holding.begun(at(17_200));
    assert!(holding.may_begin(at(17_300)), "the provider is back");
}

/// Sends into a provider that closes each connection after 50 ms without a word; returns how many were begun.
fn lost_in(seconds: i64, interval: i64) -> usize {
    let mut holding = connected();
    holding.receive([], Span::from_millis(interval), Span::from_millis(interval));
    let mut begun: Vec<i64> = Vec::new();
    let mut ended = 0;
    for now in (0..seconds * 1_000).step_by(interval as usize) {
        while begun.get(ended).is_some_and(|began| began + 50 <= now) {
            holding.ended(no_answer(ended as i64), at(now));
            ended += 1;
        }
        if holding.wants(at(now)) > 0 && holding.may_begin(at(now)) {
            holding.begun(at(now));
            begun.push(now);
        }
    }
    begun.len()
}

#[test]
fn answers_that_are_lost_at_once_are_a_silence_as_well() {
    // Two seconds of sending, and a probe every two seconds and a round trip.
    let (seconds, rate) = (60, 100);
    let lost = lost_in(seconds, 1_000 / rate);
    assert!(lost as i64 >= 2 * rate, "{lost}");
    assert!(lost as i64 <= 2 * rate + seconds / 2, "{lost}");
}

#[test]
fn a_connection_that_is_refused_shows_that_nothing_is_swallowed() {
    let refused = Outcome::NotSent { fault: Fault::new("NotSent", None, "refused") };
    let mut holding = sending();
    holding.ended(outcome(0, refused), at(1_900));
    assert!(holding.may_begin(at(3_900)));
    assert!(!holding.may_begin(at(3_901)));
}

#[test]
fn a_request_that_was_not_begun_after_all_is_no_sign_of_life() {
    let mut holding = sending();
    holding.ended(outcome(0, Outcome::NotBegun), at(1_900));
    assert!(!holding.may_begin(at(2_001)));
}

#[test]
fn nobody_is_asked_for_before_connections_are_open() {
    let mut holding = Holding::new(at(0));
    holding.ask(at(0));
    assert!(holding.could_take(at(100)));
    assert_eq!((holding.wants(at(100)), holding.ask_at(at(100))), (0, at(5_000)));
    holding.connect(MAX_GROUP);
    assert!(holding.wants(at(100)) > 0 && holding.ask_at(at(100)) <= at(100));
}

#[test]
fn a_sender_that_rests_asks_when_the_next_probe_may_begin() {
    let mut holding = connected();
    holding.ask(at(0));
    holding.recorded(&[accepted(99)]);
    holding.begun(at(0));
    holding.ended(no_answer(0), at(2_500));
    holding.ask(at(2_600));
    assert_eq!(holding.ask_at(at(2_700)), at(4_500));
    assert_eq!(holding.wants(at(4_500)), 1);
}

#[test]
fn a_lost_answer_among_others_does_not_slow_the_sender() {
    let mut holding = sending();
    holding.ended(accepted(0), at(1_500));
    holding.ended(no_answer(1), at(1_600));
    assert!(holding.may_begin(at(1_601)));
    assert!(holding.wants(at(1_601)) > 1);
}
