//! What the operator keeps of a broadcast between two looks. Nothing depends on it: an operator that starts with an empty
//! memory works from what the cluster and the ledger hold, and writes nothing when nothing has changed.

use std::collections::BTreeMap;

use crate::api::{BroadcastMessageStatus, MessageBatchStatus};
use crate::delivery::time::{Span, Timestamp};

/// How long what was written is taken for what is there: a watch may lag behind a write.
pub const WATCH_LAG: Span = Span::from_secs(5);

/// A status that was written, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<T> {
    pub at: Timestamp,
    pub status: T,
}

impl<T> Written<T> {
    /// The status that is there: what was written a moment ago, or what was observed.
    pub fn or_observed<'a>(written: Option<&'a Written<T>>, observed: Option<&'a T>, now: Timestamp) -> Option<&'a T> {
        match written {
            Some(written) if now - written.at < WATCH_LAG => Some(&written.status),
            _ => observed,
        }
    }
}

/// A budget of writes: so many at once, refilled evenly over a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Writes spent and not yet refilled.
    pub spent: f64,
    pub at: Timestamp,
}

impl Allowance {
    /// Takes one write out of the budget, if there is one: `at_once` together, refilled by `per_minute`.
    pub fn spend(&mut self, at_once: f64, per_minute: f64, now: Timestamp) -> bool {
        let refilled = (now - self.at).as_secs_f64().max(0.0) * per_minute / 60.0;
        self.spent = (self.spent - refilled).max(0.0);
        self.at = now;
        let allowed = self.spent + 1.0 <= at_once;
        if allowed {
            self.spent += 1.0;
        }
        allowed
    }
}

/// How many messages had been sent at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentAt {
    pub at: Timestamp,
    pub sent: i64,
}

/// What is remembered of one broadcast.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    pub status: Option<Written<BroadcastMessageStatus>>,
    /// By name.
    pub batches: BTreeMap<String, Written<MessageBatchStatus>>,
    pub status_allowance: Allowance,
    pub batch_allowance: Allowance,
    /// Looks of the last minute, the oldest first.
    pub sent: Vec<SentAt>,
    /// How a sender's container last ended in failure, as its pod told; pods go before their Job is looked at again.
    pub last_words: Option<String>,
}
