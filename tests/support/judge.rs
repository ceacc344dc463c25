//! The judgement of a ledger by the provider's record.

use std::collections::BTreeSet;
use std::path::Path;

use herald::delivery::recipient::RecipientState;
use herald::ledger::Ledger;
use herald::ledger::snapshot::{BatchSnapshot, BroadcastSnapshot};
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{DeliveryView, Inspect};
use herald::simulator::record::OwnedLine;

use super::invariants::{Case, OF_ANY_RUN};
use super::stage::Stage;

/// Rows read at once.
const PAGE: u32 = 10_000;

/// A broadcast as the ledger has it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub snapshot: BroadcastSnapshot,
    pub batches: Vec<BatchSnapshot>,
    pub deliveries: Vec<DeliveryView>,
}

/// A batch in the hands of a sender.
#[derive(Clone, Debug)]
pub struct Claim {
    pub batch: i64,
    pub epoch: i64,
    pub first_seq: i64,
    pub last_seq: i64,
}

impl Kept {
    /// What the sender of this display name holds; of any sender without one.
    pub fn claims(&self, of: Option<&str>) -> Vec<Claim> {
        let held = |batch: &&BatchSnapshot| batch.holder.is_some() && (of.is_none() || batch.holder.as_deref() == of);
        let claim = |batch: &BatchSnapshot| Claim {
            batch: batch.index,
            epoch: batch.epoch,
            first_seq: batch.first_seq,
            last_seq: batch.last_seq,
        };
        self.batches.iter().filter(held).map(claim).collect()
    }
}

/// What the ledger and the provider say after runs have ended.
pub struct Judgement {
    pub lines: Vec<OwnedLine>,
    pub broadcasts: Vec<Kept>,
}

impl Judgement {
    /// Reads both and checks every promise that holds after any run: sums, nobody twice, everybody accounted for, no
    /// request beyond the attempts.
    pub fn of(stage: &Stage) -> Judgement {
        Judgement::by(stage, &OF_ANY_RUN)
    }

    /// The same for a provider that kept no record: of the ledger alone.
    pub fn without_record(stage: &Stage) -> Judgement {
        Judgement::by(stage, &["I2", "I3"])
    }

    fn by(stage: &Stage, invariants: &[&str]) -> Judgement {
        let (broadcasts, audit) = stage.runtime().block_on(read(&stage.ledger_path()));
        let case = Case { lines: stage.record(), broadcasts, audit, ..Case::default() };
        assert_eq!(case.broken_among(invariants), Vec::<String>::new());
        Judgement { lines: case.lines, broadcasts: case.broadcasts }
    }

    /// How many recipients of all broadcasts stand there.
    pub fn count(&self, state: RecipientState) -> usize {
        self.rows().filter(|row| row.state == state).count()
    }

    pub fn rows(&self) -> impl Iterator<Item = &DeliveryView> {
        self.broadcasts.iter().flat_map(|kept| &kept.deliveries)
    }

    /// Everybody's state in a word, for comparisons that print well: sent, failed, skipped, unknown, pending, in flight.
    pub fn sums(&self) -> [usize; 6] {
        use RecipientState::{Failed, Inflight, Pending, Sent, Skipped, Unknown};
        [Sent, Failed, Skipped, Unknown, Pending, Inflight].map(|state| self.count(state))
    }
}

pub async fn read(path: &Path) -> (Vec<Kept>, Vec<String>) {
    read_from(&SqliteLedger::open(path).await.unwrap()).await
}

/// Every broadcast of a ledger, and which of its sums do not hold.
pub async fn read_from<L: Ledger + Inspect>(ledger: &L) -> (Vec<Kept>, Vec<String>) {
    read_those(ledger, |_| true).await
}

/// Some of its broadcasts, and which of all its sums do not hold.
pub async fn read_those<L: Ledger + Inspect>(
    ledger: &L,
    wanted: impl Fn(&BroadcastSnapshot) -> bool,
) -> (Vec<Kept>, Vec<String>) {
    let mut broadcasts = Vec::new();
    for id in ledger.broadcasts().await.unwrap() {
        let snapshot = ledger.snapshot(id).await.unwrap();
        if !wanted(&snapshot) {
            continue;
        }
        let mut deliveries: Vec<DeliveryView> = Vec::new();
        loop {
            let page = ledger.deliveries(id, deliveries.len() as i64, PAGE).await.unwrap();
            if page.is_empty() {
                break;
            }
            deliveries.extend(page);
        }
        let batches = ledger.batches(id).await.unwrap();
        broadcasts.push(Kept { snapshot, batches, deliveries });
    }
    (broadcasts, ledger.audit().await.unwrap())
}

/// Attempts, by sequence number and attempt, of the only broadcast.
pub type Attempts = BTreeSet<(i64, u32)>;

/// What a flight journal says of the process that wrote it.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// The names of its senders.
    pub holders: Vec<String>,
    pub begun: Attempts,
    /// Begun, and how it ended is not written: on the wire.
    pub open: Attempts,
}

impl Flights {
    pub fn read(journal: &Path) -> Flights {
        let text = String::from_utf8(std::fs::read(journal).unwrap()).unwrap();
        let mut flights = Flights::default();
        for line in text.lines() {
            // The last line may be torn.
            let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            if let Some(sender) = entry.get("Sender") {
                flights.holders.push(sender[0].as_str().expect("a sender has a name").to_owned());
            }
            let attempt = |entry: &serde_json::Value| Some((entry[1].as_i64()?, entry[2].as_u64()? as u32));
            if let Some(begun) = attempt(&entry["Begun"]) {
                flights.begun.insert(begun);
                flights.open.insert(begun);
            }
            if let Some(ended) = attempt(&entry["Ended"]) {
                flights.open.remove(&ended);
            }
        }
        flights
    }
}
