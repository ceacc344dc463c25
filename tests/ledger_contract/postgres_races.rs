//! Transactions of several operators on one PostgreSQL that meet in the middle.

use std::sync::Arc;
use std::time::Duration;

use herald::delivery::time::Timestamp;
use herald::ledger::clock::ManualClock;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::{Declaration, Ledger, LedgerError};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::world::*;
use crate::postgres_server::{fresh_schema, server};

/// Long enough for a declaration to get as far as it can.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_owner_that_goes_while_it_declares_has_declared_nothing() {
    let schema = fresh_schema();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let ledger = PostgresLedger::open_in(&server(), &schema, Some(clock.clone())).await.unwrap();
    let world = World { ledger, clock };
    world.declare(&declaration("known")).await;
    let mut other = PgConnection::connect(&server()).await.unwrap();
    other.execute(AssertSqlSafe(format!("SET search_path TO {schema}"))).await.unwrap();

    for (key, uid) in [("known", "owner"), ("new", "another owner")] {
        // What another operator does whose watch sees the object go.
        for statement in [
            "BEGIN".to_owned(),
            format!("INSERT INTO departed (owner_uid, at) VALUES ('{uid}', {})", world.now().0),
            format!("UPDATE broadcast SET released = TRUE WHERE owner_uid = '{uid}'"),
        ] {
            other.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        let late = Declaration { owner_uid: uid.to_owned(), ..declaration(key) };
        let goes = async {
            tokio::time::sleep(A_WHILE).await;
            other.execute("COMMIT").await.unwrap();
        };
        let (declared, ()) = tokio::join!(world.ledger.declare(&late), goes);
        assert!(matches!(declared, Err(LedgerError::OwnerGone { .. })), "{key}: {declared:?}");
    }
    assert!(world.ledger.owners().await.unwrap().is_empty(), "nothing is open");
}
