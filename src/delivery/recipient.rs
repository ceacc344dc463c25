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
        Outcome::NotSent { fault } | Outcome::AttachmentGone { fault } => {
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
#[path = "recipient_tests.rs"]
mod tests;
