//! What a status shows of a broadcast and its batches.

use std::fmt;

use super::brief::ToldTrouble;
use super::declaration::Told;
use super::exchange::BroadcastId;
use super::notification::Outbox;
use super::plan::{PlanWords, SealedPlan};
use super::write_back::WrittenBack;
use crate::api::broadcast_status;
use crate::delivery::counts::Counts;
use crate::delivery::failure_streak::FAILURES_TO_TELL;
use crate::delivery::gate::{Closed, Gate};
use crate::delivery::histogram::Histogram;
use crate::delivery::outcome::{Fault, NOT_SENT};
use crate::delivery::pace_history::PaceHistory;
use crate::delivery::rate::Rate;
use crate::delivery::rate_class::{RateClass, messages_per_second};
use crate::delivery::receipt::ReceiptCounts;
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::Timestamp;

/// The most causes of a snapshot: as many as a status holds.
pub const MAX_REASONS: i64 = broadcast_status::MAX_REASONS as i64;

/// So many causes of one broadcast are told apart by the provider's code; whatever comes beyond them is counted by its
/// reason alone. Providers have some dozens of codes; one that makes them up finds an end.
pub const MAX_CAUSES: i64 = 100;

/// The most (state, reason) pairs of all broadcasts together. The fixed sets of reasons of all providers are shorter; a
/// sender that makes up reasons finds an end.
pub const MAX_TOTALS: i64 = 200;

/// How many recipients stand in a state for a reason; without one where states have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    pub state: RecipientState,
    pub reason: String,
    /// The provider's own, where it gave one; not told apart in totals.
    pub code: Option<String>,
    pub count: i64,
}

/// One broadcast at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastSnapshot {
    pub id: BroadcastId,
    pub name: String,
    pub namespace: String,
    pub idempotency_key: String,
    pub now: Timestamp,
    /// Where the ledger lost commits, the highest that was known.
    pub revision: i64,
    pub told: Told,
    pub gate: Gate,
    /// Why nobody is taken now, if so.
    pub closed: Option<Closed>,
    /// The provider's words when credentials were refused or sending was blocked; the ledger's own when it lost commits.
    pub stop_message: Option<String>,
    /// Why its senders cannot work, as they told.
    pub trouble: Option<ToldTrouble>,
    /// Somebody makes the plan now.
    pub planning: bool,
    pub plan: Option<SealedPlan>,
    /// What the plan shows to people.
    pub words: PlanWords,
    /// In how many parts each message is sent, each of them in a slot of its own.
    pub parts: u32,
    /// What of them has a ceiling of its own.
    pub rate_class: Option<RateClass>,
    pub counts: Counts,
    /// What providers told of the messages that they took.
    pub receipts: ReceiptCounts,
    /// What happened when.
    pub pace: PaceHistory,
    /// How long the provider took to answer.
    pub latency: Histogram,
    /// The most frequent first, at most [`MAX_REASONS`].
    pub outcomes: Vec<Outcomes>,
    /// How many were skipped, by why: all of them, also where the outcomes are cut. Each reason once.
    pub skipped: Vec<(SkipReason, i64)>,
    pub batches_total: i64,
    pub batches_active: i64,
    pub batches_complete: i64,
    pub retries: i64,
    /// The account's ceiling and the broadcast's own rate, the lower of the two.
    pub rate: Rate,
    /// Slots per second at the effective rate now.
    pub effective_per_second: f64,
    /// The brake: no slot before.
    pub throttled_until: Option<Timestamp>,
    /// How much of the provider's own limit is used, in percent, as it has said lately.
    pub usage_percent: Option<u32>,
    /// The claim that is renewed last runs out then; `None` when no sender holds one.
    pub lease_until: Option<Timestamp>,
    /// The provider answers more slowly than the rate asks for, so slots pass unused.
    pub provider_slow: bool,
    /// Nothing of it gets through to the provider.
    pub failing: Option<Failing>,
    /// When the first pending recipient may be taken, as far as start, quiet hours and backoff go; `None` when nobody is pending.
    pub due_at: Option<Timestamp>,
    /// It is quiet until then for everybody who is pending.
    pub quiet_until: Option<Timestamp>,
    /// When it was declared first.
    pub declared_at: Timestamp,
    pub first_attempt_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// What is told to its endpoints, where it has any.
    pub outbox: Option<Outbox>,
    /// How far it is written elsewhere who was sent to, for each target that is named.
    pub write_backs: Vec<WrittenBack>,
}

impl BroadcastSnapshot {
    /// When something beside the sending is due: an event for an endpoint, or somebody to be written down elsewhere.
    pub fn errands_due_at(&self) -> Option<Timestamp> {
        let of_outbox = self.outbox.as_ref().and_then(|outbox| outbox.due_at);
        self.write_backs.iter().filter_map(|written| written.due_at).chain(of_outbox).min()
    }

    /// How much of that was done, or given up.
    pub fn errands_done(&self) -> i64 {
        let told = self.outbox.as_ref().map_or(0, |outbox| outbox.delivered + outbox.failed);
        self.write_backs.iter().fold(told, |sum, written| sum + written.done + written.failed)
    }

    /// Those who were skipped because they want no messages.
    pub fn opted_out(&self) -> i64 {
        self.skipped_for(SkipReason::OptedOut)
    }

    /// How many were skipped for this reason.
    pub fn skipped_for(&self, reason: SkipReason) -> i64 {
        self.skipped.iter().filter(|(why, _)| *why == reason).map(|(_, count)| count).sum()
    }

    /// How long those pending take at so many slots a second, at most: some may have got parts of their message.
    pub fn seconds_left(&self, per_second: f64) -> f64 {
        self.counts.pending as f64 / messages_per_second(per_second, self.parts, self.rate_class.as_ref())
    }
}

/// Requests of a broadcast that fail one after the other, so that it could send and does not get on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Fewer than [`FAILURES_TO_TELL`] only where nobody was reached yet, and there are not more people.
    pub in_a_row: u32,
    /// By what the last of them failed.
    pub last: Fault,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_a_row < FAILURES_TO_TELL {
            f.write_str("nobody is reached yet: ")?;
        }
        match self.in_a_row {
            1 => f.write_str("the last request failed")?,
            some => write!(f, "the last {some} requests failed")?,
        }
        write!(f, ": {}", self.last)?;
        if self.last.reason == NOT_SENT {
            f.write_str("; see that the provider, or the baseURL or url of the channel, can be reached from here")?;
        }
        Ok(())
    }
}

/// One batch at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchSnapshot {
    pub index: i64,
    pub first_seq: i64,
    pub last_seq: i64,
    pub epoch: i64,
    /// The display name of the sender that holds the claim.
    pub holder: Option<String>,
    pub claimed_at: Option<Timestamp>,
    pub renewed_at: Option<Timestamp>,
    pub counts: Counts,
    /// Of those skipped, how many the cancel has kept from being messaged.
    pub skipped_by_cancel: i64,
    pub retries: i64,
    /// That the provider was asked.
    pub requests: i64,
    /// How long it took to answer them.
    pub latency: Histogram,
    pub reclaims: i64,
    pub last_error: Option<(Fault, Timestamp)>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}
