//! A reconciliation that came to nothing, and when it is tried again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::broadcast::NAME_TAKEN;
use super::cluster::CallError;
use crate::ledger::LedgerError;

/// The wait after the first failure; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest wait: what is mended is seen within it.
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// Objects whose failures are counted; one beyond is tried as if it failed for the first time.
const MAX_COUNTED: usize = 10_000;

/// Why an object could not be brought to where it should be.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("failed to ask the ledger: {0}")]
    Ledger(#[from] LedgerError),
    #[error("failed to create the {kind} {name}: one of that name belongs to somebody else; rename or delete that one")]
    NameTaken { kind: &'static str, name: String },
}

impl Failure {
    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::Call(error) => error.reason(),
            Failure::Ledger(error) => error.reason(),
            Failure::NameTaken { .. } => NAME_TAKEN,
        }
    }

    /// Whether the API server does not take what is wanted as it is; anything else may pass by itself.
    pub fn is_refusal(&self) -> bool {
        match self {
            Failure::Call(error) => error.is_refusal(),
            Failure::NameTaken { .. } => true,
            Failure::Ledger(_) => false,
        }
    }

    /// Whether it is the way things end, and nobody need be told.
    pub fn is_expected(&self) -> bool {
        matches!(self, Failure::Call(error) if error.is_of_an_ending_namespace())
    }
}

/// How long to wait after a failure that so many came before.
pub fn delay(failures: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << failures.min(16)).min(LONGEST_DELAY)
}

/// How often each object has failed in a row, by uid.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts a failure and tells how long to wait.
    pub fn after(&self, uid: &str) -> Duration {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= MAX_COUNTED && !counted.contains_key(uid) {
            return FIRST_DELAY;
        }
        let failures = counted.entry(uid.to_owned()).or_default();
        *failures += 1;
        delay(*failures - 1)
    }

    /// After a success, or when the object is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_bound_for_each_object_and_begin_anew_after_a_success() {
        let failures = Failures::default();
        let waits: Vec<u64> = (0..12).map(|_| failures.after("a").as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(failures.after("b").as_secs(), 1);
        failures.forget("a");
        assert_eq!(failures.after("a").as_secs(), 1);
    }

    #[test]
    fn the_number_of_counted_objects_is_bounded() {
        let failures = Failures::default();
        for number in 0..MAX_COUNTED {
            failures.after(&number.to_string());
        }
        assert_eq!(failures.after("one more").as_secs(), 1);
        assert_eq!(failures.after("one more").as_secs(), 1);
        assert_eq!(failures.after("0").as_secs(), 2);
    }
}
