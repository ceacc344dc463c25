//! The plan of a broadcast: who will be messaged, in which order.

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::exchange::BroadcastId;
use crate::delivery::time::Timestamp;

/// The most rows of one chunk: a commit of a few milliseconds, some hundred kilobytes.
pub const MAX_CHUNK: usize = 2_000;

/// The most bytes of ids and variables in one chunk, so that it fits into one request whatever its rows hold.
pub const MAX_CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// So many planners may die over the plan of one object, in a row and with no word of why; then the broadcast has failed, until
/// an edit. One may have lost its node, another been in the way of a third: the third is no accident.
pub const MAX_DEAD_PLANNERS: i64 = 3;

/// Lets one planner write one epoch of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTicket {
    pub broadcast: BroadcastId,
    pub epoch: i64,
}

/// One recipient of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    pub recipient: String,
    pub vars: BTreeMap<String, String>,
}

/// Why a row of a chunk did not enter the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dropped {
    Duplicate,
    Excluded,
    /// The plan holds as many as it may; whether it would have been dropped anyhow was not looked at.
    OverLimit,
}

/// What became of one chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReceipt {
    pub added: u64,
    /// Index in the chunk and why, in order.
    pub dropped: Vec<(usize, Dropped)>,
    /// The plan holds as many as it may: no further chunk would add anybody.
    #[serde(default)]
    pub full: bool,
}

/// What a plan shows to people beside its figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanWords {
    /// What the first messages look like.
    pub samples: Vec<String>,
    /// What is no error and perhaps not meant, for people. No recipient is named.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A closed plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPlan {
    pub planned: u64,
    pub duplicates: u64,
    pub excluded: u64,
    pub hash: String,
    pub sealed_at: Timestamp,
    pub batch_size: u32,
}

/// A digest over (seq, recipient, vars) of all rows. The sum of the rows' SHA-256 modulo 2^256, so that it does not
/// depend on how the rows were cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanDigest([u8; 32]);

impl PlanDigest {
    /// Of a plan without rows.
    pub const EMPTY: PlanDigest = PlanDigest([0; 32]);

    pub fn from_bytes(bytes: &[u8]) -> Option<PlanDigest> {
        bytes.try_into().ok().map(PlanDigest)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `vars` is the canonical JSON of the variables: keys sorted.
    pub fn add(&mut self, seq: i64, recipient: &str, vars: &str) {
        let mut context = Context::new(&SHA256);
        context.update(&seq.to_be_bytes());
        context.update(&(recipient.len() as u64).to_be_bytes());
        context.update(recipient.as_bytes());
        context.update(vars.as_bytes());
        let row = context.finish();
        let mut carry = 0_u16;
        for (sum, byte) in self.0.iter_mut().zip(row.as_ref()).rev() {
            let added = u16::from(*sum) + u16::from(*byte) + carry;
            *sum = (added & 0xff) as u8;
            carry = added >> 8;
        }
    }
}

impl std::fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_of_a_ledger_that_knows_no_limit_is_read() {
        let receipt: PlanReceipt = serde_json::from_str(r#"{"added": 2, "dropped": [[1, "Duplicate"]]}"#).unwrap();
        assert_eq!(receipt, PlanReceipt { added: 2, dropped: vec![(1, Dropped::Duplicate)], full: false });
    }
}
