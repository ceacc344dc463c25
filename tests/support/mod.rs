//! What the tests of whole runs share: the simulator on loopback, `herald run` as a child process, documents for it,
//! and the judgement of the ledger by the simulator's record.

// Each test file uses another part of it.
#![allow(dead_code)]

pub mod bad_peer;
pub mod campaign;
pub mod doctor;
pub mod invariants;
pub mod judge;
pub mod machine;
pub mod memory;
pub mod pace;
pub mod process;
pub mod stage;
pub mod tls_front;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use herald::delivery::backoff::scatter;

/// Longer than any run of these tests takes on a slow machine; short enough to end one that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often something is looked at that is waited for.
pub const GLANCE: Duration = Duration::from_millis(5);

/// `HERALD_SOAK=N` makes sizes 5 N times larger.
const SOAK_FACTOR: usize = 5;

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn soak() -> usize {
    number("HERALD_SOAK").filter(|factor| *factor > 0).map_or(1, |factor| factor * SOAK_FACTOR)
}

/// A number from the environment; else the default, larger while soaking.
pub fn size(variable: &str, default: usize) -> usize {
    number(variable).unwrap_or(default * soak())
}

/// How long a run may take before it is taken for hanging.
pub fn patience() -> Duration {
    PATIENCE * soak() as u32
}

/// Random numbers from a seed that is printed, so that a run can be repeated with `HERALD_SEED`.
pub struct Chance(u64);

impl Chance {
    pub fn printed(test: &str) -> Chance {
        let chosen = std::env::var("HERALD_SEED").ok().map(|seed| seed.parse().expect("HERALD_SEED is a number"));
        let seed = chosen.unwrap_or_else(|| RandomState::new().hash_one(test));
        eprintln!("{test}: HERALD_SEED={seed}");
        Chance(seed)
    }

    /// Another one for somebody who works beside.
    pub fn split(&mut self) -> Chance {
        self.0 = self.0.wrapping_add(1);
        Chance(scatter(self.0))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scatter(self.0) % limit
    }

    /// From zero to `most`.
    pub fn within(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(1);
        most.mul_f64(scatter(self.0) as f64 / u64::MAX as f64)
    }
}
