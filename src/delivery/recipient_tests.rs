use proptest::prelude::*;

use super::*;
use crate::delivery::outcome::PermanentScope;

fn fault() -> Fault {
    Fault::new("Somehow", Some("2".into()), "words")
}

fn around() -> Circumstances {
    let now = Timestamp::from_secs(1_000);
    Circumstances { now, parts: 1, ended: None, retry: RetryPolicy::default(), overdue_at: now, seed: 7 }
}

fn inflight(tries: u32) -> Standing {
    let state = RecipientState::Inflight;
    Standing { state, attempt: 3, tries, setbacks: tries, parts_done: 0, resend: false }
}

fn every_outcome() -> Vec<Outcome> {
    vec![
        Outcome::Accepted { provider_id: Some("m_1".into()) },
        Outcome::Permanent { scope: PermanentScope::Recipient, fault: fault() },
        Outcome::Permanent { scope: PermanentScope::Message, fault: fault() },
        Outcome::Permanent { scope: PermanentScope::OptedOut, fault: fault() },
        Outcome::Auth { fault: fault() },
        Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms: Some(5), fault: fault() },
        Outcome::Throttled { scope: ThrottleScope::Recipient, retry_after_ms: Some(5), fault: fault() },
        Outcome::Transient { cap: None, fault: fault() },
        Outcome::Blocked { fault: fault() },
        Outcome::Unknown { fault: fault() },
        Outcome::NotSent { fault: fault() },
        Outcome::AttachmentGone { fault: fault() },
        Outcome::NotBegun,
    ]
}

#[test]
fn each_class_leads_where_the_table_says() {
    use RecipientState::*;
    let expected =
        [Sent, Failed, Failed, Failed, Pending, Pending, Pending, Pending, Pending, Unknown, Pending, Pending, Pending];
    let counts = [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0];
    for ((outcome, state), counted) in every_outcome().iter().zip(expected).zip(counts) {
        let after = settle(inflight(0), 3, outcome, &around()).expect("changes");
        assert_eq!((after.state, after.tries), (state, counted), "{outcome:?}");
    }
}

#[test]
fn the_fifth_counted_try_fails_with_retries_exhausted() {
    let outcome = Outcome::Transient { cap: None, fault: fault() };
    assert_eq!(settle(inflight(3), 3, &outcome, &around()).unwrap().state, RecipientState::Pending);
    let last = settle(inflight(4), 3, &outcome, &around()).unwrap();
    assert_eq!(last.state, RecipientState::Failed);
    assert_eq!(last.fault.unwrap().reason, RETRIES_EXHAUSTED);
}

#[test]
fn a_providers_cap_fails_earlier_and_keeps_its_reason() {
    let outcome = Outcome::Transient { cap: Some(Cap { tries: 3, then: PermanentScope::Message }), fault: fault() };
    let waiting = settle(inflight(1), 3, &outcome, &around()).unwrap();
    assert_eq!(waiting.state, RecipientState::Pending);
    assert_eq!(verdict(&outcome, &waiting), outcome);
    let last = settle(inflight(2), 3, &outcome, &around()).unwrap();
    assert_eq!(last.state, RecipientState::Failed);
    assert_eq!(last.fault.as_ref().unwrap().reason, "Somehow");
    assert_eq!(verdict(&outcome, &last), Outcome::Permanent { scope: PermanentScope::Message, fault: fault() });
}

#[test]
fn a_policy_that_ends_it_before_the_cap_says_nothing_of_the_message() {
    let outcome = Outcome::Transient { cap: Some(Cap { tries: 3, then: PermanentScope::Message }), fault: fault() };
    let retry = RetryPolicy { max_tries: 2, ..RetryPolicy::default() };
    let last = settle(inflight(1), 3, &outcome, &Circumstances { retry, ..around() }).unwrap();
    assert_eq!((last.state, last.tries), (RecipientState::Failed, 2));
    assert_eq!(verdict(&outcome, &last), outcome);
}

#[test]
fn a_verdict_names_the_providers_reason_where_cap_and_policy_end_together() {
    let outcome = Outcome::Transient { cap: Some(Cap { tries: 3, then: PermanentScope::Message }), fault: fault() };
    let retry = RetryPolicy { max_tries: 3, ..RetryPolicy::default() };
    let last = settle(inflight(2), 3, &outcome, &Circumstances { retry, ..around() }).unwrap();
    assert_eq!(last.fault.as_ref().unwrap().reason, RETRIES_EXHAUSTED);
    assert_eq!(verdict(&outcome, &last), Outcome::Permanent { scope: PermanentScope::Message, fault: fault() });
}

#[test]
fn not_sent_never_uses_up_tries_however_often() {
    for outcome in [Outcome::NotSent { fault: fault() }, Outcome::AttachmentGone { fault: fault() }] {
        let after = settle(inflight(4), 3, &outcome, &around()).unwrap();
        assert_eq!((after.state, after.tries, after.setbacks), (RecipientState::Pending, 4, 5));
    }
}

#[test]
fn a_wait_grows_by_setbacks_and_not_by_attempts_that_were_never_begun() {
    let retaken_often = Standing { attempt: 40, ..inflight(0) };
    let outcome = Outcome::NotSent { fault: fault() };
    for seed in 0..200 {
        let around = Circumstances { seed, ..around() };
        let first = settle(retaken_often, 40, &outcome, &around).unwrap();
        assert!(first.not_before - around.now <= around.retry.initial_backoff);
        assert_eq!(first.setbacks, 1);
    }
    assert_eq!(settle(retaken_often, 40, &Outcome::NotBegun, &around()).unwrap().setbacks, 0);
}

#[test]
fn whoever_would_be_pending_is_skipped_after_the_end() {
    let ended = Circumstances { ended: Some(SkipReason::Expired), ..around() };
    for outcome in every_outcome() {
        let after = settle(inflight(0), 3, &outcome, &ended).unwrap();
        assert_ne!(after.state, RecipientState::Pending, "{outcome:?}");
    }
    let sent = settle(inflight(0), 3, &Outcome::Accepted { provider_id: None }, &ended).unwrap();
    assert_eq!(sent.state, RecipientState::Sent);
}

#[test]
fn a_late_definite_answer_resolves_an_unknown() {
    let unknown = Standing { state: RecipientState::Unknown, ..inflight(0) };
    let accepted = Outcome::Accepted { provider_id: None };
    assert_eq!(settle(unknown, 3, &accepted, &around()).unwrap().state, RecipientState::Sent);
    assert_eq!(settle(unknown, 3, &Outcome::NotBegun, &around()).unwrap().state, RecipientState::Pending);
    assert_eq!(settle(unknown, 3, &Outcome::Unknown { fault: fault() }, &around()), None);
}

fn in_three_parts() -> Circumstances {
    Circumstances { parts: 3, ..around() }
}

fn at_part(parts_done: u32) -> Standing {
    Standing { parts_done, ..inflight(2) }
}

#[test]
fn a_part_that_is_taken_makes_the_next_one_due_and_the_last_one_sends_the_message() {
    let accepted = Outcome::Accepted { provider_id: Some("m_1".into()) };
    for done in 0..2 {
        let after = settle(at_part(done), 3, &accepted, &in_three_parts()).unwrap();
        assert_eq!((after.state, after.parts_done), (RecipientState::Pending, done + 1));
        assert_eq!((after.tries, after.setbacks, after.not_before), (0, 0, around().now), "as if it were the first");
        assert_eq!(after.provider_id.as_deref(), Some("m_1"));
        assert!(is_a_part(&accepted, &after));
    }
    let last = settle(at_part(2), 3, &accepted, &in_three_parts()).unwrap();
    assert_eq!((last.state, last.parts_done), (RecipientState::Sent, 3));
    assert!(!is_a_part(&accepted, &last));
}

#[test]
fn a_message_that_ends_between_two_parts_is_skipped_and_keeps_what_was_taken() {
    let ended = Circumstances { ended: Some(SkipReason::Cancelled), ..in_three_parts() };
    let after = settle(at_part(0), 3, &Outcome::Accepted { provider_id: None }, &ended).unwrap();
    assert_eq!((after.state, after.parts_done), (RecipientState::Skipped, 1));
    assert_eq!(after.fault.unwrap().reason, "Cancelled");
}

#[test]
fn a_late_answer_to_a_part_that_was_unknown_lets_the_next_one_follow() {
    let unknown = Standing { state: RecipientState::Unknown, ..at_part(1) };
    let after = settle(unknown, 3, &Outcome::Accepted { provider_id: None }, &in_three_parts()).unwrap();
    assert_eq!((after.state, after.parts_done), (RecipientState::Pending, 2));
}

proptest! {
    #[test]
    fn the_parts_that_were_taken_grow_by_the_one_that_is_taken_and_by_nothing_else(
        which in 0_usize..11, done in 0_u32..3, ends: bool
    ) {
        let outcome = &every_outcome()[which];
        let around = Circumstances { ended: ends.then_some(SkipReason::Expired), ..in_three_parts() };
        let after = settle(at_part(done), 3, outcome, &around).unwrap();
        let taken = u32::from(matches!(outcome, Outcome::Accepted { .. }));
        prop_assert_eq!(after.parts_done, done + taken);
        prop_assert_eq!(after.state == RecipientState::Sent, after.parts_done == 3);
    }

    #[test]
    fn an_outcome_of_another_attempt_or_of_a_decided_recipient_changes_nothing(
        attempt in 0_u32..6, state in 0_i64..6, which in 0_usize..11
    ) {
        let state = RecipientState::from_code(state).unwrap();
        let before = Standing { state, ..inflight(0) };
        let outcome = &every_outcome()[which];
        let undecided = matches!(state, RecipientState::Inflight | RecipientState::Unknown);
        if attempt != 3 || !undecided {
            prop_assert_eq!(settle(before, attempt, outcome, &around()), None);
        }
    }

    #[test]
    fn nothing_but_a_definite_outcome_makes_a_recipient_pending_again(which in 0_usize..11, tries in 0_u32..5) {
        let outcome = &every_outcome()[which];
        let after = settle(inflight(tries), 3, outcome, &around()).unwrap();
        if after.state == RecipientState::Pending {
            let maybe_taken = matches!(outcome, Outcome::Unknown { .. } | Outcome::Accepted { .. });
            prop_assert!(!maybe_taken);
        }
    }

    #[test]
    fn a_backoff_stays_within_the_policy(tries in 0_u32..4, seed: u64) {
        let outcome = Outcome::Transient { cap: None, fault: fault() };
        let around = Circumstances { seed, ..around() };
        let after = settle(inflight(tries), 3, &outcome, &around).unwrap();
        let wait = after.not_before - around.now;
        prop_assert!(wait >= Span::ZERO && wait <= around.retry.ceiling(tries));
    }
}
