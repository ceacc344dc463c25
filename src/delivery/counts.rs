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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = RecipientState> {
        (0_i64..6).prop_map(|code| RecipientState::from_code(code).unwrap())
    }

    fn sum(counts: &Counts) -> i64 {
        (0..6).map(|code| *counts.clone().of(RecipientState::from_code(code).unwrap())).sum()
    }

    proptest! {
        /// People are moved about one by one; the counts say where they are.
        #[test]
        fn whatever_moves_the_sum_stays_and_every_count_is_that_of_the_people(
            people in 1_usize..40,
            moves in prop::collection::vec((0_usize..40, state()), 0..200),
        ) {
            let mut counts = Counts { pending: people as i64, ..Counts::default() };
            let mut states = vec![RecipientState::Pending; people];
            for (person, to) in moves {
                let person = person % people;
                counts.shift(states[person], to);
                states[person] = to;
                prop_assert_eq!(counts.total(), people as i64);
                prop_assert_eq!(counts.total(), sum(&counts), "no state is left out of the total");
            }
            for code in 0..6 {
                let state = RecipientState::from_code(code).unwrap();
                let there = states.iter().filter(|other| **other == state).count();
                prop_assert_eq!(*counts.of(state), there as i64, "{:?}", state);
            }
            prop_assert_eq!(counts.open(), counts.pending + counts.inflight);
        }

        /// A batch keeps its own counts: those of a broadcast are their sum, whichever way they are added up.
        #[test]
        fn the_counts_of_batches_add_up_to_those_of_the_broadcast(
            moves in prop::collection::vec((0_usize..4, state(), state()), 0..100),
        ) {
            let mut batches = [Counts::default(); 4];
            let mut broadcast = Counts::default();
            for (batch, from, to) in moves {
                batches[batch].shift(from, to);
                broadcast.shift(from, to);
            }
            let mut added = Counts::default();
            batches.iter().for_each(|batch| added.add(batch));
            prop_assert_eq!(added, broadcast);
            prop_assert_eq!(added.total(), 0, "deltas move people and make none");
        }

        /// What is counted for a cause and taken back again leaves the others as they were.
        #[test]
        fn a_tally_counts_each_state_reason_and_code_for_itself(
            changes in prop::collection::vec((state(), 0_u8..3, prop::option::of(0_u8..3), -5_i64..5), 0..100),
        ) {
            let mut tally = Tally::default();
            let mut expected: BTreeMap<Cause, i64> = BTreeMap::new();
            for (state, reason, code, by) in changes {
                let (reason, code) = (format!("Reason{reason}"), code.map(|code| code.to_string()));
                tally.change(state, &reason, code.as_deref(), by);
                *expected.entry((state, reason, code)).or_default() += by;
            }
            prop_assert_eq!(tally.0, expected);
        }
    }
}
