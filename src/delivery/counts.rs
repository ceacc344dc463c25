//! Sums that always hold: every planned recipient is in exactly one state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::recipient::RecipientState;

/// How many recipients are in each state, of a batch or a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub pending: i64,
    pub inflight: i64,
    pub sent: i64,
    pub failed: i64,
    pub skipped: i64,
    pub unknown: i64,
}

impl Counts {
    /// Everyone: equals what was planned, at every commit.
    pub fn total(&self) -> i64 {
        self.pending + self.inflight + self.sent + self.failed + self.skipped + self.unknown
    }

    /// Recipients that still want an attempt or have one running.
    pub fn open(&self) -> i64 {
        self.pending + self.inflight
    }

    pub fn of(&mut self, state: RecipientState) -> &mut i64 {
        match state {
            RecipientState::Pending => &mut self.pending,
            RecipientState::Inflight => &mut self.inflight,
            RecipientState::Sent => &mut self.sent,
            RecipientState::Failed => &mut self.failed,
            RecipientState::Skipped => &mut self.skipped,
            RecipientState::Unknown => &mut self.unknown,
        }
    }

    /// Moves one recipient from one state to another: the sum cannot change.
    pub fn shift(&mut self, from: RecipientState, to: RecipientState) {
        *self.of(from) -= 1;
        *self.of(to) += 1;
    }

    pub fn add(&mut self, delta: &Counts) {
        self.pending += delta.pending;
        self.inflight += delta.inflight;
        self.sent += delta.sent;
        self.failed += delta.failed;
        self.skipped += delta.skipped;
        self.unknown += delta.unknown;
    }
}

/// What is counted together: a state, why, and the provider's own code where it gave one.
pub type Cause = (RecipientState, String, Option<String>);

/// How many recipients ended (or stand) in a state for a cause; kept beside [`Counts`] in the same transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<Cause, i64>);

impl Tally {
    pub fn change(&mut self, state: RecipientState, reason: &str, code: Option<&str>, by: i64) {
        *self.0.entry((state, reason.to_owned(), code.map(str::to_owned))).or_default() += by;
    }
}
