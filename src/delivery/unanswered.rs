//! What becomes of a recipient when nobody knows the outcome of its attempt.
//!
//! By itself it stays unknown. Where the broadcast asks for it (`unknownPolicy: Resend`) it is attempted again once the
//! first attempt can no longer be answered, as a try that counts. This is the only way from an attempt without a definite
//! outcome to another one, and so the only way to message somebody twice.

use super::outcome::{Fault, Outcome};
use super::recipient::{Circumstances, RecipientState, Settled, Standing};

/// The end of an attempt that is known to have no known outcome.
pub fn unanswered(before: Standing, fault: &Fault, around: &Circumstances) -> Settled {
    let unknown = Settled {
        state: RecipientState::Unknown,
        tries: before.tries,
        setbacks: before.setbacks,
        parts_done: before.parts_done,
        not_before: around.now,
        resend: false,
        provider_id: None,
        fault: Some(fault.clone()),
    };
    if !is_resent(before, around) {
        return unknown;
    }
    Settled {
        state: RecipientState::Pending,
        resend: true,
        tries: before.tries + 1,
        not_before: around.overdue_at.max(around.now),
        ..unknown
    }
}

/// What the policy of now, or the end of the broadcast, makes of a recipient that was left unknown or waits to be resent;
/// `None` where it stands as it should. `fault` is why it is unknown.
pub fn follow_policy(before: Standing, fault: &Fault, around: &Circumstances) -> Option<Settled> {
    match before.state {
        RecipientState::Unknown if is_resent(before, around) => Some(unanswered(before, fault, around)),
        RecipientState::Pending if before.resend && !resends(around) => {
            Some(unanswered(before.without_resend(), fault, around))
        }
        _ => None,
    }
}

/// Why a recipient is unknown whose sender told nothing until the deadline: concluded from silence, and seen by nobody. The
/// request need not have begun, and where the sender's flight journal turns up it may still say so.
pub const SENDER_LOST: &str = "SenderLost";

/// What becomes of a recipient given up for silence when its sender tells after all that it does not know either: it stays
/// as it is, and the sender's reason takes the place of [`SENDER_LOST`]. From then on it is certain that the request had
/// begun, also when the journal has forgotten it. `reason` is why it is unknown now; `None` where this is no news.
pub fn confirmed(
    before: Standing,
    reason: Option<&str>,
    attempt: u32,
    outcome: &Outcome,
    around: &Circumstances,
) -> Option<Settled> {
    let Outcome::Unknown { fault } = outcome else { return None };
    let is_given_up = before.state == RecipientState::Unknown || before.resend;
    if attempt != before.attempt || !is_given_up || reason != Some(SENDER_LOST) {
        return None;
    }
    let Standing { state, tries, setbacks, parts_done, resend, .. } = before;
    let not_before = if resend { around.overdue_at.max(around.now) } else { around.now };
    let fault = Some(fault.clone());
    Some(Settled { state, tries, setbacks, parts_done, not_before, resend, provider_id: None, fault })
}

fn is_resent(before: Standing, around: &Circumstances) -> bool {
    resends(around) && before.tries.saturating_add(1) < around.retry.max_tries
}

fn resends(around: &Circumstances) -> bool {
    around.retry.after_unknown && around.ended.is_none()
}

#[cfg(test)]
mod tests {
    use super::super::backoff::RetryPolicy;
    use super::super::recipient::{SkipReason, settle};
    use super::super::time::{Span, Timestamp};
    use super::*;

    fn fault() -> Fault {
        Fault::new("NoAnswer", None, "reset")
    }

    fn unknown() -> Outcome {
        Outcome::Unknown { fault: fault() }
    }

    fn around() -> Circumstances {
        let now = Timestamp::from_secs(1_000);
        Circumstances {
            now,
            parts: 1,
            ended: None,
            retry: RetryPolicy { after_unknown: true, ..RetryPolicy::default() },
            overdue_at: now + Span::from_secs(30),
            seed: 7,
        }
    }

    fn held() -> Circumstances {
        Circumstances { retry: RetryPolicy::default(), ..around() }
    }

    fn inflight(tries: u32) -> Standing {
        Standing { state: RecipientState::Inflight, attempt: 3, tries, setbacks: 0, parts_done: 0, resend: false }
    }

    /// Where an outcome leads to as the standing of the next one.
    fn standing(after: &Settled) -> Standing {
        let Settled { state, tries, setbacks, parts_done, resend, .. } = *after;
        Standing { state, attempt: 3, tries, setbacks, parts_done, resend }
    }

    #[test]
    fn a_resend_waits_until_no_answer_can_come_and_counts_as_a_try() {
        let after = settle(inflight(0), 3, &unknown(), &around()).unwrap();
        assert_eq!((after.state, after.resend, after.tries), (RecipientState::Pending, true, 1));
        assert_eq!(after.not_before, around().overdue_at);
        let late = Circumstances { overdue_at: Timestamp::EPOCH, ..around() };
        assert_eq!(settle(inflight(0), 3, &unknown(), &late).unwrap().not_before, late.now);
    }

    #[test]
    fn the_last_attempt_stays_unknown_and_so_does_every_one_under_hold_or_after_the_end() {
        let ended = Circumstances { ended: Some(SkipReason::Cancelled), ..around() };
        for (tries, around) in [(4, around()), (0, held()), (0, ended)] {
            let after = settle(inflight(tries), 3, &unknown(), &around).unwrap();
            assert_eq!((after.state, after.resend, after.tries), (RecipientState::Unknown, false, tries));
        }
        assert_eq!(settle(inflight(3), 3, &unknown(), &around()).unwrap().tries, 4);
    }

    #[test]
    fn a_late_definite_outcome_counts_while_the_resend_has_not_begun_and_takes_its_try_back() {
        let waiting = standing(&settle(inflight(1), 3, &unknown(), &around()).unwrap());
        let sent = settle(waiting, 3, &Outcome::Accepted { provider_id: None }, &around()).unwrap();
        assert_eq!((sent.state, sent.tries, sent.resend), (RecipientState::Sent, 1, false));
        let not_begun = settle(waiting, 3, &Outcome::NotBegun, &around()).unwrap();
        assert_eq!((not_begun.state, not_begun.tries, not_begun.resend), (RecipientState::Pending, 1, false));
        let busy = Outcome::Transient { cap: None, fault: fault() };
        assert_eq!(settle(waiting, 3, &busy, &around()).unwrap().tries, 2);
        assert_eq!(settle(waiting, 3, &unknown(), &around()), None, "it says nothing new");
        let retaken = Standing { state: RecipientState::Inflight, attempt: 4, resend: false, ..waiting };
        assert_eq!(settle(retaken, 3, &Outcome::Accepted { provider_id: None }, &around()), None);
    }

    #[test]
    fn a_resend_is_of_the_part_that_nobody_knows_of_and_of_no_other() {
        let around = Circumstances { parts: 2, ..around() };
        let second = Standing { parts_done: 1, ..inflight(0) };
        let waiting = settle(second, 3, &unknown(), &around).unwrap();
        assert_eq!((waiting.state, waiting.resend, waiting.parts_done), (RecipientState::Pending, true, 1));
        let resent = Standing { state: RecipientState::Inflight, attempt: 4, resend: false, ..standing(&waiting) };
        let sent = settle(resent, 4, &Outcome::Accepted { provider_id: None }, &around).unwrap();
        assert_eq!((sent.state, sent.parts_done), (RecipientState::Sent, 2));
        let late = settle(standing(&waiting), 3, &Outcome::Accepted { provider_id: None }, &around).unwrap();
        assert_eq!(
            (late.state, late.parts_done),
            (RecipientState::Sent, 2),
            "the late answer takes the resend's place"
        );
    }

    #[test]
    fn a_change_of_the_policy_is_followed_both_ways() {
        let unknown = Standing { state: RecipientState::Unknown, ..inflight(1) };
        assert_eq!(follow_policy(unknown, &fault(), &held()), None);
        let waiting = follow_policy(unknown, &fault(), &around()).unwrap();
        assert_eq!((waiting.state, waiting.resend, waiting.tries), (RecipientState::Pending, true, 2));
        let waiting = standing(&waiting);
        assert_eq!(follow_policy(waiting, &fault(), &around()), None);
        let again = follow_policy(waiting, &fault(), &held()).unwrap();
        assert_eq!((again.state, again.resend, again.tries), (RecipientState::Unknown, false, 1));
    }

    #[test]
    fn whoever_waits_to_be_resent_is_unknown_and_not_skipped_when_the_broadcast_ends() {
        let waiting = standing(&settle(inflight(0), 3, &unknown(), &around()).unwrap());
        let ended = Circumstances { ended: Some(SkipReason::Expired), ..around() };
        assert_eq!(follow_policy(waiting, &fault(), &ended).unwrap().state, RecipientState::Unknown);
    }

    #[test]
    fn who_was_given_up_for_silence_keeps_its_standing_and_learns_why_once_the_sender_tells_that_it_does_not_know() {
        let unknown_one = Standing { state: RecipientState::Unknown, ..inflight(1) };
        let waiting = standing(&settle(inflight(1), 3, &unknown(), &around()).unwrap());
        for before in [unknown_one, waiting] {
            let after = confirmed(before, Some(SENDER_LOST), 3, &unknown(), &around()).unwrap();
            assert_eq!(standing(&after), before);
            assert_eq!(after.fault.unwrap().reason, "NoAnswer");
            assert_eq!(confirmed(before, Some("NoAnswer"), 3, &unknown(), &around()), None, "the first word counts");
            assert_eq!(confirmed(before, Some(SENDER_LOST), 2, &unknown(), &around()), None, "an older attempt");
            let accepted = Outcome::Accepted { provider_id: None };
            assert_eq!(confirmed(before, Some(SENDER_LOST), 3, &accepted, &around()), None);
        }
        let pending = Standing { state: RecipientState::Pending, ..inflight(1) };
        assert_eq!(confirmed(pending, Some(SENDER_LOST), 3, &unknown(), &around()), None);
    }

    #[test]
    fn nobody_else_follows_the_policy() {
        use RecipientState::*;
        for state in [Pending, Inflight, Sent, Failed, Skipped] {
            let before = Standing { state, ..inflight(0) };
            assert_eq!(follow_policy(before, &fault(), &around()), None, "{state:?}");
            assert_eq!(follow_policy(before, &fault(), &held()), None, "{state:?}");
        }
        let used_up = Standing { state: Unknown, ..inflight(4) };
        assert_eq!(follow_policy(used_up, &fault(), &around()), None);
    }
}
