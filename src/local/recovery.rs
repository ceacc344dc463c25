//! Settles what an earlier process left: only requests that were on the wire become unknown.

use std::path::Path;
use std::sync::Arc;

use super::ledger_path::journal_path;
use crate::ledger::Ledger;
use crate::ledger::sqlite::SqliteLedger;
use crate::sender::Journal;
use crate::sender::recovery::{RecoveryError, take_over};

/// A ledger that nobody else uses, with nobody in flight, and the journal of this process.
pub struct Recovered {
    pub ledger: Arc<SqliteLedger>,
    pub journal: Arc<Journal>,
}

/// Opens the ledger and its flight journal and settles every sender of earlier processes: the ledger's lock proves them
/// dead. What the journal cannot tell of what they held is unknown.
pub async fn recover(path: &Path) -> Result<Recovered, RecoveryError> {
    let ledger = SqliteLedger::open(path).await?;
    let journal = take_over(&journal_path(ledger.path()), &ledger, None).await?;
    ledger.settle_all_senders_dead().await?;
    Ok(Recovered { ledger: Arc::new(ledger), journal: Arc::new(journal) })
}
