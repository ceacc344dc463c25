//! Taking over from the process before: what it had on the wire is told, and only that becomes unknown.

use std::path::Path;

use super::journal::{Journal, JournalError};
use crate::ledger::exchange::BroadcastId;
use crate::ledger::{LedgerError, SenderLedger};

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Opens the flight journal, whose lock proves the process before dead, settles that process's senders by it, and begins
/// it anew. What a complete journal does not call begun is pending again. `within` is the one broadcast that this
/// process may speak of.
pub async fn take_over<L: SenderLedger>(
    journal: &Path,
    ledger: &L,
    within: Option<BroadcastId>,
) -> Result<Journal, RecoveryError> {
    let (journal, last_words) = Journal::open(journal)?;
    for words in &last_words {
        ledger.settle_dead_sender(within, words).await?;
    }
    journal.start()?;
    Ok(journal)
}
