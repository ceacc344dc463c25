//! The state machine of one recipient: how an outcome changes it.
//!
//! The one rule that keeps anybody from being messaged twice: a recipient gets a new attempt only after its previous
//! attempt has a definite outcome. What is done where none will come stands in [`super::unanswered`]. A message of several
//! parts is so many requests one after the other, each with attempts of its own: what was taken is never sent again.

use serde::{Deserialize, Serialize};

use super::backoff::{RetryPolicy, scatter};
use super::outcome::{Cap, Fault, Outcome, ThrottleScope};
use super::time::{Span, Timestamp};
use super::unanswered::unanswered;

/// Where a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RecipientState {
    /// Wants an attempt, from `not_before` on.
    Pending,
    /// Handed to a sender; the attempt has no outcome yet.
    Inflight,
    Sent,
    Failed,
    /// Decided before a send, with a [`SkipReason`].
    Skipped,
    /// An attempt was made and nobody knows whether the provider took it.
    Unknown,
}

impl RecipientState {
    /// The small number the ledger stores.
    pub fn code(self) -> i64 {
        match self {
            RecipientState::Pending => 0,
            RecipientState::Inflight => 1,
            RecipientState::Sent => 2,
            RecipientState::Failed => 3,
            RecipientState::Skipped => 4,
            RecipientState::Unknown => 5,
        }
    }

    pub fn from_code(code: i64) -> Option<RecipientState> {
        const ALL: [RecipientState; 6] = [
            RecipientState::Pending,
            RecipientState::Inflight,
            RecipientState::Sent,
            RecipientState::Failed,
            RecipientState::Skipped,
            RecipientState::Unknown,
        ];
        ALL.into_iter().find(|state| state.code() == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            RecipientState::Pending => "Pending",
            RecipientState::Inflight => "Inflight",
            RecipientState::Sent => "Sent",
            RecipientState::Failed => "Failed",
            RecipientState::Skipped => "Skipped",
            RecipientState::Unknown => "Unknown",
        }
    }
}

/// Why a recipient was decided before a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipReason {
    Cancelled,
    Expired,
    Missed,
    /// The recipient wants no messages of the account.
    OptedOut,
    /// Too long has passed since the recipient was last active: the provider would refuse the message.
    WindowClosed,
}

impl SkipReason {
    pub const ALL: [SkipReason; 5] = [
        SkipReason::Cancelled,
        SkipReason::Expired,
        SkipReason::Missed,
        SkipReason::OptedOut,
        SkipReason::WindowClosed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Cancelled => "Cancelled",
            SkipReason::Expired => "Expired",
            SkipReason::Missed => "Missed",
            SkipReason::OptedOut => "OptedOut",
            SkipReason::WindowClosed => "WindowClosed",
        }
    }
}

/// The reason of a recipient whose counted tries are used up.
pub const RETRIES_EXHAUSTED: &str = "RetriesExhausted";

/// What a recipient is before an outcome is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: RecipientState,
    /// Grows with every taking and is never handed back; outcomes match on it.
    pub attempt: u32,
    /// What the retry policy counts.
    pub tries: u32,
    /// Attempts that led to a wait, whether they counted as tries or not: what the wait grows by.
    pub setbacks: u32,
    /// So many parts of the message the provider has taken; the next attempt is of the part of this number. Never falls.
    pub parts_done: u32,
    /// Pending although nobody knows the outcome of its latest attempt: it waits to be resent.
    pub resend: bool,
}

impl Standing {
    /// Whether a definite outcome of the latest attempt is still news.
    fn is_undecided(self) -> bool {
        match self.state {
            RecipientState::Inflight | RecipientState::Unknown => true,
            RecipientState::Pending => self.resend,
            RecipientState::Sent | RecipientState::Failed | RecipientState::Skipped => false,
        }
    }

    /// As if it did not wait to be resent: the try that this counts is taken back.
    pub fn without_resend(self) -> Standing {
        Standing { resend: false, tries: self.tries - u32::from(self.resend).min(self.tries), ..self }
    }
}

/// What a recipient becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub state: RecipientState,
    /// Of the part at hand.
    pub tries: u32,
    pub setbacks: u32,
    /// See [`Standing::parts_done`].
    pub parts_done: u32,
    /// Not taken before this instant; only meaningful when pending.
    pub not_before: Timestamp,
    /// See [`Standing::resend`].
    pub resend: bool,
    /// Of the part that was just taken; `None` says nothing of those before it.
    pub provider_id: Option<String>,
    /// Why it is not sent: kept for the user, also while pending.
    pub fault: Option<Fault>,
}

/// What surrounds an outcome when it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub now: Timestamp,
    /// In how many parts the message is sent; at least 1.
    pub parts: u32,
    /// Why nobody, or not this recipient, is attempted any more: whoever would be pending is skipped.
    pub ended: Option<SkipReason>,
    pub retry: RetryPolicy,
    /// From then on no answer to the attempt is awaited: its deadline and a grace.
    pub overdue_at: Timestamp,
    /// Spreads the backoff; different for each recipient and attempt.
    pub seed: u64,
}

/// What recording `outcome` of attempt `attempt` changes; `None` when it changes nothing: the attempt is not the
/// latest, or already has a definite outcome. A late definite answer to an unknown attempt is evidence and counts, also
/// while it waits to be resent.
pub fn settle(before: Standing, attempt: u32, outcome: &Outcome, around: &Circumstances) -> Option<Settled> {
    if attempt != before.attempt || !before.is_undecided() {
        return None;
    }
    let before = before.without_resend();
    let settled = |state, fault: Option<&Fault>| Settled {
        state,
        tries: before.tries,
        setbacks: before.setbacks,
        parts_done: before.parts_done,
        not_before: around.now,
        resend: false,
        provider_id: None,
        fault: fault.cloned(),
    };
    let after = match outcome {
        Outcome::Accepted { provider_id } => {
            Settled { provider_id: provider_id.clone(), ..taken(before, settled(RecipientState::Sent, None), around) }
        }
        Outcome::Permanent { fault, .. } => settled(RecipientState::Failed, Some(fault)),
        Outcome::Unknown { .. } if before.state != RecipientState::Inflight => return None,
        Outcome::Unknown { fault } => unanswered(before, fault, around),
        Outcome::Auth { fault }
        | Outcome::Blocked { fault }
        | Outcome::Throttled { scope: ThrottleScope::Account, fault, .. } => {
            settled(RecipientState::Pending, Some(fault))
        }
        Outcome::NotBegun => settled(RecipientState::Pending, None),
        Outcome::NotSent { fault } => {
            let wait = around.retry.wait(before.setbacks, jitter(around));
            let setbacks = before.setbacks.saturating_add(1);
            Settled { not_before: around.now + wait, setbacks, ..settled(RecipientState::Pending, Some(fault)) }
        }
        Outcome::Transient { cap, fault } => counted(before, around, *cap, Span::ZERO, fault),
        Outcome::Throttled { scope: ThrottleScope::Recipient, retry_after_ms, fault } => {
            let wish = Span::from_millis(retry_after_ms.unwrap_or(0).min(MAX_WISH_MS) as i64);
            counted(before, around, None, wish, fault)
        }
    };
    Some(skip_if_ended(after, around))
}

/// A part was taken: with the last one the message is sent, before it the next part is due at once, tried as often as the
/// first.
fn taken(before: Standing, sent: Settled, around: &Circumstances) -> Settled {
    let parts_done = before.parts_done + 1;
    match parts_done < around.parts {
        true => Settled { state: RecipientState::Pending, tries: 0, setbacks: 0, parts_done, ..sent },
        false => Settled { parts_done, ..sent },
    }
}

/// Whether a part was taken and the message is not sent by that: it says nothing of the message as a whole.
pub fn is_a_part(outcome: &Outcome, after: &Settled) -> bool {
    matches!(outcome, Outcome::Accepted { .. }) && after.state != RecipientState::Sent
}

/// What an outcome says of the message once it is settled: a transient error whose cap is reached is what the cap makes
/// of it, in the provider's own words. Where the policy allowed fewer tries than the cap, nothing is said of the message.
pub fn verdict(outcome: &Outcome, after: &Settled) -> Outcome {
    match outcome {
        Outcome::Transient { cap: Some(cap), fault }
            if after.state == RecipientState::Failed && after.tries >= cap.tries =>
        {
            Outcome::Permanent { scope: cap.then, fault: fault.clone() }
        }
        _ => outcome.clone(),
    }
}

/// A provider's wish for one recipient is honoured up to this long: 15 minutes, the longest backoff of our own.
const MAX_WISH_MS: u64 = 15 * 60 * 1000;

/// A try that counts: pending with backoff, or failed when this was the last.
fn counted(before: Standing, around: &Circumstances, cap: Option<Cap>, wish: Span, fault: &Fault) -> Settled {
    let tries = before.tries + 1;
    let setbacks = before.setbacks.saturating_add(1);
    let allowed = around.retry.max_tries.min(cap.map_or(u32::MAX, |cap| cap.tries)).max(1);
    let failed = |fault| Settled {
        state: RecipientState::Failed,
        tries,
        setbacks,
        parts_done: before.parts_done,
        not_before: around.now,
        resend: false,
        provider_id: None,
        fault,
    };
    if tries >= allowed {
        // Where the provider's own cap ended it, its reason says more than ours.
        let capped = cap.is_some_and(|cap| cap.tries < around.retry.max_tries);
        let reason = if capped { fault.reason.as_str() } else { RETRIES_EXHAUSTED };
        return failed(Some(Fault::new(reason, fault.code.clone(), fault.message.clone())));
    }
    let wait = around.retry.wait(before.setbacks, jitter(around)).max(wish);
    Settled {
        state: RecipientState::Pending,
        tries,
        setbacks,
        parts_done: before.parts_done,
        not_before: around.now + wait,
        resend: false,
        provider_id: None,
        fault: Some(fault.clone()),
    }
}

fn skip_if_ended(after: Settled, around: &Circumstances) -> Settled {
    match around.ended {
        Some(reason) if after.state == RecipientState::Pending => {
            Settled { state: RecipientState::Skipped, fault: Some(Fault::new(reason.as_str(), None, "")), ..after }
        }
        _ => after,
    }
}

fn jitter(around: &Circumstances) -> u64 {
    scatter(around.seed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::outcome::PermanentScope;
    use super::*;

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
            Outcome::NotBegun,
        ]
    }

    #[test]
    fn each_class_leads_where_the_table_says() {
        use RecipientState::*;
        let expected =
            [Sent, Failed, Failed, Failed, Pending, Pending, Pending, Pending, Pending, Unknown, Pending, Pending];
        let counts = [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0];
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
        let outcome = Outcome::NotSent { fault: fault() };
        let after = settle(inflight(4), 3, &outcome, &around()).unwrap();
        assert_eq!((after.state, after.tries), (RecipientState::Pending, 4));
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
            assert_eq!(
                (after.tries, after.setbacks, after.not_before),
                (0, 0, around().now),
                "as if it were the first"
            );
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
}
