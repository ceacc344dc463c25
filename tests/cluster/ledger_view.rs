//! What a ledger of the cluster holds, looked at from beside its operators.

use std::path::PathBuf;

use herald::ledger::postgres::PostgresLedger;
use herald::ledger::snapshot::BroadcastSnapshot;
use herald::ledger::sqlite::SqliteLedger;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

use super::kubectl::find;
use super::stage::SYSTEM;
use super::support::judge::{Attempts, Kept, read_those};

/// Whose outcome nobody knows because a sender was lost.
const LOST: &str = "SELECT seq, attempt FROM delivery JOIN sender ON sender.id = delivery.sender_id \
                    WHERE state = 5 AND reason = 'SenderLost' AND holder = $1";
/// Where `PostgresLedger` keeps its tables.
const SCHEMA: &str = "SET search_path TO herald";

pub enum LedgerView {
    /// The file of the one operator, on this machine.
    File(PathBuf),
    /// The address of a database.
    Postgres(String),
}

/// What the connections of a look live on.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

impl LedgerView {
    /// Of the operator with the ledger in a file.
    pub fn of_the_file() -> LedgerView {
        let state = PathBuf::from(std::env::var("HERALD_CLUSTER_STATE").expect("set by dev/test-cluster.sh"));
        let claim = find(SYSTEM, "persistentvolumeclaim", "herald-ledger").expect("the chart makes one");
        let volume = claim["spec"]["volumeName"].as_str().expect("it is bound");
        LedgerView::File(state.join("volumes").join(volume).join("ledger.db"))
    }

    /// Some of the broadcasts, and which of all sums do not hold, while the operators go on.
    pub fn read(&self, wanted: impl Fn(&BroadcastSnapshot) -> bool) -> (Vec<Kept>, Vec<String>) {
        block_on(async {
            match self {
                // The ledger itself belongs to its operator; a copy made in one transaction is whole.
                LedgerView::File(path) => {
                    let folder = tempfile::tempdir().unwrap();
                    let copy = folder.path().join("ledger.db");
                    let statement = format!("VACUUM INTO '{}'", copy.display());
                    let mut connection = reader(path).await;
                    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
                    connection.close().await.unwrap();
                    read_those(&SqliteLedger::open(&copy).await.unwrap(), wanted).await
                }
                LedgerView::Postgres(address) => {
                    read_those(&PostgresLedger::open(address).await.unwrap(), wanted).await
                }
            }
        })
    }

    /// Everybody whom the ledger has lost with these senders.
    pub fn lost_with(&self, holders: &[String]) -> Attempts {
        let mut lost = Attempts::new();
        for holder in holders {
            let rows: Vec<(i64, i64)> = block_on(async {
                match self {
                    LedgerView::File(path) => {
                        let mut connection = reader(path).await;
                        let rows = sqlx::query_as(LOST).bind(holder).fetch_all(&mut connection).await.unwrap();
                        connection.close().await.unwrap();
                        rows
                    }
                    LedgerView::Postgres(address) => {
                        let mut connection = PgConnection::connect(address).await.unwrap();
                        sqlx::query(SCHEMA).execute(&mut connection).await.unwrap();
                        sqlx::query_as(LOST).bind(holder).fetch_all(&mut connection).await.unwrap()
                    }
                }
            });
            lost.extend(rows.into_iter().map(|(seq, attempt)| (seq, attempt as u32)));
        }
        lost
    }
}

async fn reader(path: &std::path::Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap()
}
