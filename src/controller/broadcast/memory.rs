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

/// A budget of writes, refilled evenly over a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Writes spent and not yet refilled.
    pub spent: f64,
    pub at: Timestamp,
}

impl Allowance {
    pub fn refill(&mut self, per_minute: f64, now: Timestamp) {
        let refilled = (now - self.at).as_secs_f64().max(0.0) * per_minute / 60.0;
        self.spent = (self.spent - refilled).max(0.0);
        self.at = now;
    }

    /// Takes one write out of the budget, if it holds one for a purpose that may spend so much.
    pub fn take(&mut self, limit: f64) -> bool {
        let allowed = self.spent + 1.0 <= limit;
        if allowed {
            self.spent += 1.0;
        }
        allowed
    }

    /// Writes that are made whether the budget holds them or not.
    pub fn charge(&mut self, writes: usize) {
        self.spent += writes as f64;
    }
}

/// What is made for a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Job,
    Batch,
}

/// Something that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmade {
    pub kind: Made,
    pub name: String,
    /// CamelCase, from a fixed set.
    pub reason: &'static str,
    /// In the words of the API server.
    pub message: String,
    /// It does not take it as it is, so that people are told; anything else may pass by itself.
    pub is_refused: bool,
}

/// How often something could not be made, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    pub unmade: Unmade,
    /// In a row.
    pub times: u32,
    /// It is not tried before, unless broadcast or channel are edited.
    pub again_at: Timestamp,
    /// The generations of broadcast and channel it was tried for.
    pub generations: String,
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
    /// For all that is written of the broadcast.
    pub allowance: Allowance,
    /// By the name of what was to be made.
    pub setbacks: BTreeMap<String, Setback>,
    /// Looks of the last minute, the oldest first.
    pub sent: Vec<SentAt>,
    /// How a sender's container last ended in failure, as its pod told; pods go before their Job is looked at again.
    pub last_words: Option<String>,
}

impl Memory {
    /// What was written after all counts as written; the rest is as it was `before`.
    pub fn take_back_batches<'a>(&mut self, unwritten: impl Iterator<Item = &'a str>, before: &Memory) {
        for name in unwritten {
            match before.batches.get(name) {
                Some(written) => drop(self.batches.insert(name.to_owned(), written.clone())),
                None => drop(self.batches.remove(name)),
            }
        }
    }
}
