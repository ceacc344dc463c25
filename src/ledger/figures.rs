//! What became of a broadcast in figures: over time, by cause and by batch. Nobody is named.

use serde::{Deserialize, Serialize};

use super::results::ResultOutcome;
use super::snapshot::{BatchSnapshot, MAX_CAUSES, Outcomes};
use crate::delivery::histogram::Histogram;
use crate::delivery::pace_history::PaceHistory;
use crate::delivery::time::Timestamp;

/// The most causes of one broadcast: those that are told apart by code, and as many that are counted by reason alone. Nobody
/// has more but a sender that makes reasons up.
pub const MAX_CAUSE_FIGURES: i64 = 2 * MAX_CAUSES;

/// All figures of a broadcast at one commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What happened when, by the slot of each request. Recipients that were skipped are in none of it: nothing happened to them.
    pub pace: PaceHistory,
    /// How long the provider took to answer, in milliseconds; requests whose answer was lost count until they were given up.
    pub latency: Histogram,
    /// The most frequent first, at most [`MAX_CAUSE_FIGURES`].
    pub causes: Vec<CauseFigures>,
    /// By index.
    pub batches: Vec<BatchFigures>,
}

/// So many recipients stand so for this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseFigures {
    pub outcome: ResultOutcome,
    pub reason: String,
    /// The provider's own code, where it gave one.
    pub code: Option<String>,
    pub count: i64,
}

/// One batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchFigures {
    pub index: i64,
    pub recipients: i64,
    pub pending: i64,
    pub sent: i64,
    pub failed: i64,
    pub skipped: i64,
    pub unknown: i64,
    /// That the provider was asked.
    pub requests: i64,
    /// How long it took to answer them, as that of the whole; empty where an operator of another version says nothing of it.
    #[serde(default)]
    pub latency: Histogram,
    /// Attempts beyond the first of each recipient.
    pub retries: i64,
    /// How often it was taken over from a lost sender.
    pub reclaims: i64,
    /// When a sender first took it.
    pub started_at: Option<Timestamp>,
    /// When its last recipient was settled.
    pub completed_at: Option<Timestamp>,
}

impl From<Outcomes> for CauseFigures {
    fn from(Outcomes { state, reason, code, count }: Outcomes) -> CauseFigures {
        CauseFigures { outcome: ResultOutcome::of(state), reason, code, count }
    }
}

impl From<BatchSnapshot> for BatchFigures {
    fn from(batch: BatchSnapshot) -> BatchFigures {
        let counts = batch.counts;
        BatchFigures {
            index: batch.index,
            recipients: counts.total(),
            pending: counts.open(),
            sent: counts.sent,
            failed: counts.failed,
            skipped: counts.skipped,
            unknown: counts.unknown,
            requests: batch.requests,
            latency: batch.latency,
            retries: batch.retries,
            reclaims: batch.reclaims,
            started_at: batch.started_at,
            completed_at: batch.completed_at,
        }
    }
}
