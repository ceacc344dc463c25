//! Settles what an earlier process left: only requests that were on the wire become unknown.

use std::path::Path;
use std::sync::Arc;

use super::ledger_path::journal_path;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Ledger, LedgerError, SenderLedger};
use crate::sender::{Journal, JournalError};

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A ledger that nobody else uses, with nobody in flight, and the journal of this process.
pub struct Recovered {
    pub ledger: Arc<SqliteLedger>,
    pub journal: Arc<Journal>,
}

/// Opens the ledger and its flight journal and settles every sender of earlier processes: the ledger's lock proves them
/// dead. What a complete journal does not call begun is pending again; the rest of what they held is unknown.
pub async fn recover(path: &Path) -> Result<Recovered, RecoveryError> {
    let ledger = SqliteLedger::open(path).await?;
    let (journal, last_words) = Journal::open(&journal_path(ledger.path()))?;
    for words in &last_words {
        ledger.settle_dead_sender(None, words).await?;
    }
    ledger.settle_all_senders_dead().await?;
    journal.start()?;
    Ok(Recovered { ledger: Arc::new(ledger), journal: Arc::new(journal) })
}
