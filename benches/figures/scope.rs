//! How much is measured.

use serde::Serialize;

/// The size of one run of all benchmarks.
#[derive(Clone, Debug, Serialize)]
pub struct Scope {
    pub quick: bool,
    pub rates: Vec<u32>,
    pub latencies_ms: Vec<u64>,
    pub senders: Vec<u32>,
    /// Cut off at the start of each cell: every sender sends one message until its outcome is recorded.
    pub ramp_seconds: u32,
    /// Measured after it; longer than the 10 s of I11 in the full run.
    pub steady_seconds: u32,
    pub repetitions: usize,
    pub efficiency_messages: u32,
    pub planned_rows: u32,
}

impl Scope {
    pub fn from_environment() -> anyhow::Result<Scope> {
        match std::env::var("BENCH").as_deref() {
            Ok("quick") => Ok(Scope::quick()),
            Ok("full" | "") | Err(_) => Ok(Scope::full()),
            Ok(other) => anyhow::bail!("BENCH={other} is not known; give quick or full"),
        }
    }

    fn full() -> Scope {
        Scope {
            quick: false,
            rates: vec![10, 40, 300, 1_000],
            latencies_ms: vec![0, 50, 170, 500],
            senders: vec![1, 4],
            ramp_seconds: 2,
            steady_seconds: 11,
            repetitions: 3,
            efficiency_messages: 8_000,
            planned_rows: 1_000_000,
        }
    }

    fn quick() -> Scope {
        Scope {
            quick: true,
            rates: vec![10, 1_000],
            latencies_ms: vec![0, 170],
            senders: vec![1, 4],
            ramp_seconds: 2,
            steady_seconds: 4,
            repetitions: 1,
            efficiency_messages: 3_000,
            planned_rows: 100_000,
        }
    }
}
