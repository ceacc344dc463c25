//! Ledgers on the PostgreSQL that `dev/with-postgres.sh` starts, each in a schema of its own.

// Each test file uses another part of it.
#![allow(dead_code)]

use std::sync::Arc;

use herald::ledger::clock::Clock;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::random::random_id;

/// The server's address.
pub fn server() -> String {
    std::env::var("HERALD_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("these tests need a PostgreSQL: run them by `dev/with-postgres.sh cargo test …`, or by `make test`")
    })
}

/// A schema that nobody else has.
pub fn fresh_schema() -> String {
    format!("test_{}", &random_id()[..16])
}

/// An empty ledger; with a clock of its own where one is given.
pub async fn fresh_ledger(clock: Option<Arc<dyn Clock>>) -> PostgresLedger {
    PostgresLedger::open_in(&server(), &fresh_schema(), clock).await.unwrap()
}
