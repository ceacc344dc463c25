//! How much is written of a broadcast while it is sent: at most 30 writes to the API server in any minute, or 5 for each
//! 1,000 recipients where that is more.

use super::memory::Allowance;
use crate::delivery::time::Timestamp;
use crate::ledger::BroadcastSnapshot;

/// Writes a minute at low rates. With [`AT_ONCE`] at most 24 in any minute: the rest is for Jobs, for what a person
/// has changed, for ends, and for the status of the channel.
const PER_MINUTE: f64 = 12.0;
const AT_ONCE: f64 = 12.0;
/// At high rates, writes per message.
const PER_MESSAGE: f64 = 0.0035;
/// How many may be written at once at high rates, as a share of those of a minute.
const AT_ONCE_SHARE: f64 = 0.5;

/// What a write is for. The later ones leave room for the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The broadcast's status: what people and programs wait for.
    Turn,
    BatchTurn,
    Progress,
    /// A MessageBatch that is made or goes.
    BatchObject,
    BatchProgress,
}

impl Purpose {
    fn reserve(self) -> f64 {
        match self {
            Purpose::Turn => 0.0,
            Purpose::BatchTurn | Purpose::Progress => 2.0,
            Purpose::BatchObject => 3.0,
            Purpose::BatchProgress => 6.0,
        }
    }
}

/// The budget at one look.
pub struct Budget {
    allowance: Allowance,
    at_once: f64,
    /// While nothing is sent batches cost nothing: they change once.
    batches_are_free: bool,
}

impl Budget {
    pub fn sending(allowance: Allowance, snapshot: &BroadcastSnapshot) -> Budget {
        let per_minute = PER_MINUTE.max(snapshot.effective_per_second * 60.0 * PER_MESSAGE);
        let budget = Budget::new(allowance, per_minute, snapshot.now);
        Budget { batches_are_free: snapshot.closed.is_some(), ..budget }
    }

    /// Of a broadcast the ledger does not know.
    pub fn refused(allowance: Allowance, now: Timestamp) -> Budget {
        Budget::new(allowance, PER_MINUTE, now)
    }

    fn new(mut allowance: Allowance, per_minute: f64, now: Timestamp) -> Budget {
        allowance.refill(per_minute, now);
        Budget { allowance, at_once: AT_ONCE.max(per_minute * AT_ONCE_SHARE), batches_are_free: false }
    }

    /// Takes one write out of the budget, if it holds one for this purpose.
    pub fn take(&mut self, purpose: Purpose) -> bool {
        let is_of_batch = !matches!(purpose, Purpose::Turn | Purpose::Progress);
        (self.batches_are_free && is_of_batch) || self.allowance.take(self.at_once - purpose.reserve())
    }

    /// Writes that are made in any case.
    pub fn charge(&mut self, writes: usize) {
        self.allowance.charge(writes);
    }

    pub fn left(self) -> Allowance {
        self.allowance
    }
}
