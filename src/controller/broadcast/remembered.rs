//! What the operator keeps of each broadcast between two looks, by uid. All of it can be lost at any time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::memory::Memory;
use super::observer::Inquiry;
use crate::api::{BroadcastMessageStatus, MessageBatchStatus};
use crate::ledger::{BroadcastId, Declaration};

/// Broadcasts remembered at once; with more of them some are looked at as if for the first time, which costs a write.
const MAX_REMEMBERED: usize = 10_000;

/// What the ledger was last told of a broadcast.
#[derive(Clone, Debug)]
pub struct Standing {
    pub told: Declaration,
    /// Under which id it keeps it.
    pub broadcast: BroadcastId,
    /// At which revision it was at the last look.
    pub revision: i64,
}

/// What is kept of one broadcast.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub memory: Memory,
    /// What the cluster was asked about a wave that does not start.
    pub inquiry: Inquiry,
    pub declared: Option<Standing>,
    /// For an object that cannot be read: the generation and the error its status tells.
    pub unreadable: Option<(i64, String)>,
}

/// By uid.
#[derive(Default)]
pub struct Remembered(Mutex<HashMap<String, Kept>>);

impl Remembered {
    pub fn get(&self, uid: &str) -> Kept {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned().unwrap_or_default()
    }

    pub fn change(&self, uid: &str, change: impl FnOnce(&mut Kept)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REMEMBERED && !all.contains_key(uid) {
            all.clear();
        }
        change(all.entry(uid.to_owned()).or_default());
    }

    /// Whether this is the status of the broadcast that was written last.
    pub fn has_written(&self, uid: &str, status: Option<&BroadcastMessageStatus>) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = all.get(uid).and_then(|kept| kept.memory.status.as_ref());
        written.is_some_and(|written| Some(&written.status) == status)
    }

    /// Whether this is the status of that MessageBatch that was written last.
    pub fn has_written_batch(&self, uid: &str, name: &str, status: Option<&MessageBatchStatus>) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = all.get(uid).and_then(|kept| kept.memory.batches.get(name));
        written.is_some_and(|written| Some(&written.status) == status)
    }

    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}
