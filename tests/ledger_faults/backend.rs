//! Ledgers that the harness drives.

use std::sync::Arc;

use herald::ledger::clock::ManualClock;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Inspect, Ledger};

use super::postgres_server;

pub trait Backend: Ledger + Inspect + Sized {
    /// So many times fewer runs than on the quickest.
    const SLOWER: u64;

    /// As many processes as may keep one ledger together, empty and on this clock.
    async fn processes(clock: Arc<ManualClock>) -> Vec<Self>;
}

impl Backend for SqliteLedger {
    const SLOWER: u64 = 1;

    async fn processes(clock: Arc<ManualClock>) -> Vec<SqliteLedger> {
        vec![SqliteLedger::in_memory(clock).await.unwrap()]
    }
}

impl Backend for PostgresLedger {
    const SLOWER: u64 = 4;

    async fn processes(clock: Arc<ManualClock>) -> Vec<PostgresLedger> {
        let (server, schema) = (postgres_server::server(), postgres_server::fresh_schema());
        let open = || PostgresLedger::open_in(&server, &schema, Some(clock.clone()));
        vec![open().await.unwrap(), open().await.unwrap()]
    }
}
