//! Settles what an earlier process left: only requests that were on the wire become unknown.

use std::path::Path;
use std::sync::Arc;

use super::ledger_path::{LedgerPathError, journal_of_server, journal_path};
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Ledger, LedgerError};
use crate::sender::recovery::{RecoveryError, take_over};
use crate::sender::{Journal, PatientLedger};

/// A ledger in which nothing of this machine's earlier runs is in flight, and the journal of this process.
pub struct Recovered<L> {
    pub ledger: Arc<PatientLedger<L>>,
    pub journal: Arc<Journal>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerRecoveryError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Path(#[from] LedgerPathError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

impl<L> Recovered<L> {
    fn new(ledger: L, journal: Journal) -> Recovered<L> {
        let ledger = Arc::new(PatientLedger::new(Arc::new(ledger), std::process::id().to_string()));
        Recovered { ledger, journal: Arc::new(journal) }
    }
}

/// Opens a file and its flight journal and settles every sender of earlier processes: the ledger's lock proves them dead.
/// What the journal cannot tell of what they held is unknown.
pub async fn recover_file(path: &Path) -> Result<Recovered<SqliteLedger>, RecoveryError> {
    let ledger = SqliteLedger::open(path).await?;
    let journal = take_over(&journal_path(ledger.path()), &ledger, None).await?;
    ledger.settle_all_senders_dead().await?;
    Ok(Recovered::new(ledger, journal))
}

/// Connects to a server and settles the senders of this user's earlier runs by their flight journal, whose lock proves them
/// dead. Those of others may live: what they leave is settled when its time has run out.
pub async fn recover_server(url: &str) -> Result<Recovered<PostgresLedger>, ServerRecoveryError> {
    let ledger = PostgresLedger::open(url).await?;
    let journal = take_over(&journal_of_server(&ledger.id().await?)?, &ledger, None).await?;
    Ok(Recovered::new(ledger, journal))
}
