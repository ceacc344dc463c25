//! A ledger in PostgreSQL: for many nodes and operators of which any may die.
//!
//! Its tables stand in a schema of their own, so the database may hold other things beside it. Several processes may use
//! one ledger at a time: what must not happen twice is guarded by row locks, never by the process that holds them.

mod copy;
mod fault;
mod store;
mod taking;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use super::Result;
use super::clock::Clock;
use super::error::LedgerError;
use super::random::random_id;
use super::sql::store::{Database, Store};
use super::sql::value::args;
use crate::delivery::time::Timestamp;
use store::PostgresStore;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// The schema of a ledger's tables.
pub const SCHEMA: &str = "herald";

/// Calls at work at once. Those of one account wait for each other, so more would mostly wait at the server instead of
/// here; few enough that some operators fit into the hundred connections of an untuned server.
const MAX_CONNECTIONS: u32 = 16;
/// How long a call waits for a connection, and for the server to begin a transaction on it, which takes it a moment. Twice
/// that is less than the patience of a sender.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to end what is left on it, before it is closed instead of kept.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first connection may take: a person waits for the message.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server is told at the start of each connection. A process that freezes inside a transaction would hold up
/// everybody on its account, so the server ends that transaction well before a lease is over; a commit is not
/// acknowledged before it is on disk.
const SETTINGS: [(&str, &str); 4] = [
    ("synchronous_commit", "on"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "10s"),
    ("statement_timeout", "60s"),
];

/// Guards the migration: any number that other programs are unlikely to use.
const MIGRATION_LOCK: i64 = 0x6865_7261_6c64; // "herald"

/// See the [module](self).
pub struct PostgresLedger {
    /// Host, port and database, for people.
    place: String,
    pool: PgPool,
    clock: Option<Arc<dyn Clock>>,
    /// On the ledger's clock.
    reachable_since: AtomicI64,
    /// How often a call did not reach the server, or senders did not reach this process.
    breaks: AtomicU64,
    /// Those behind which the ledger was reached. Counted, so that one while that is found out is not overlooked.
    breaks_over: AtomicU64,
}

impl PostgresLedger {
    /// Connects to `postgres://USER:PASSWORD@HOST:PORT/DATABASE` and brings the schema up to date. Any number of
    /// processes may do so at once.
    ///
    /// # Errors
    /// [`LedgerError::Unreachable`] with the reason; the message holds no password.
    pub async fn open(url: &str) -> Result<PostgresLedger> {
        PostgresLedger::open_in(url, SCHEMA, None).await
    }

    /// A ledger in a schema of another name, with a clock in place of the server's: for tests and models.
    pub async fn open_in(url: &str, schema: &str, clock: Option<Arc<dyn Clock>>) -> Result<PostgresLedger> {
        let options = options(url, schema)?;
        let place = fault::place(&options);
        let unreachable = |error: sqlx::Error| fault::unreachable(&place, error);
        migrate(&options, schema).await.map_err(unreachable)?;
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(BEGIN_TIMEOUT)
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async { in_time(RELEASE_TIMEOUT, connection.ping()).await.map(|()| true) })
            })
            .connect_with(options)
            .await
            .map_err(unreachable)?;
        let ledger = PostgresLedger {
            place,
            pool,
            clock,
            reachable_since: AtomicI64::new(0),
            breaks: AtomicU64::new(1),
            breaks_over: AtomicU64::new(0),
        };
        let adopted = ledger.adopt().await;
        adopted.map_err(|error| ledger.failed(error))?;
        Ok(ledger)
    }

    /// The ledger's own name: a flight journal of this machine belongs to one ledger.
    pub async fn id(&self) -> Result<String> {
        let found = sqlx::query_scalar("SELECT id FROM ledger").fetch_one(&self.pool).await;
        found.map_err(|error| self.failed(error))
    }

    /// Host, port and database.
    pub fn place(&self) -> &str {
        &self.place
    }

    async fn adopt(&self) -> sqlx::Result<()> {
        let mut store = self.begin().await?;
        let now = store.now().await?;
        store
            .run(
                "INSERT INTO ledger (one, id, created_at) VALUES (1, $1, $2) ON CONFLICT DO NOTHING",
                args![random_id(), now],
            )
            .await?;
        store.commit().await
    }

    /// A connection that may have died while it lay idle is found out by its first use and left for another.
    async fn begun(&self, statement: &'static str) -> sqlx::Result<PostgresStore> {
        let begin = || in_time(BEGIN_TIMEOUT, self.pool.begin_with(statement));
        let transaction = match begin().await {
            Err(error) if fault::is_cut_off(&error) => begin().await?,
            begun => begun?,
        };
        let mut store = PostgresStore::new(transaction, self.clock.clone());
        let breaks = self.breaks.load(Ordering::SeqCst);
        if self.breaks_over.load(Ordering::SeqCst) != breaks {
            let now = store.now().await?;
            self.reachable_since.store(now.0, Ordering::SeqCst);
            self.breaks_over.store(breaks, Ordering::SeqCst);
            store.forget_clock();
        }
        Ok(store)
    }
}

impl Database for PostgresLedger {
    type Store = PostgresStore;

    async fn begin(&self) -> sqlx::Result<PostgresStore> {
        self.begun("BEGIN").await
    }

    async fn begin_reading(&self) -> sqlx::Result<PostgresStore> {
        self.begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    async fn bounded<T: Send>(limit: Duration, call: impl Future<Output = sqlx::Result<T>> + Send) -> sqlx::Result<T> {
        in_time(limit, call).await
    }

    fn failed(&self, error: sqlx::Error) -> LedgerError {
        // Waiting in vain for one of many connections that work says nothing of the server.
        let is_full = matches!(error, sqlx::Error::PoolTimedOut) && self.pool.size() >= MAX_CONNECTIONS;
        if fault::is_cut_off(&error) && !is_full {
            self.breaks.fetch_add(1, Ordering::SeqCst);
        }
        fault::classify(&self.place, error)
    }

    fn reachable_since(&self) -> Option<Timestamp> {
        let since = self.reachable_since.load(Ordering::SeqCst);
        let is_reached = self.breaks_over.load(Ordering::SeqCst) == self.breaks.load(Ordering::SeqCst);
        is_reached.then_some(Timestamp(since))
    }

    /// The next call reads the clock for it.
    fn reached_anew(&self) {
        self.breaks.fetch_add(1, Ordering::SeqCst);
    }
}

/// Who is not answered in time has lost the server, as far as it can tell.
async fn in_time<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let silence = || std::io::Error::new(std::io::ErrorKind::TimedOut, format!("the server was silent for {limit:?}"));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(silence().into()))
}

fn parse(url: &str) -> Option<PgConnectOptions> {
    let is_ours = url.starts_with("postgres://") || url.starts_with("postgresql://");
    if is_ours { PgConnectOptions::from_str(url).ok() } else { None }
}

/// Host, port and database of an address, without the password; `None` for what is none.
pub fn place(url: &str) -> Option<String> {
    parse(url).map(|options| fault::place(&options))
}

fn options(url: &str, schema: &str) -> Result<PgConnectOptions> {
    let options = parse(url).ok_or_else(|| LedgerError::Unreachable {
        place: "postgres://…".to_owned(),
        message: "the address is not postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned(),
    })?;
    let settings = SETTINGS.into_iter().chain([("search_path", schema)]);
    Ok(options.application_name("herald").options(settings).disable_statement_logging())
}

/// Makes the schema and its tables. One process at a time: the others wait and find it done.
async fn migrate(options: &PgConnectOptions, schema: &str) -> sqlx::Result<()> {
    let connecting = tokio::time::timeout(OPEN_TIMEOUT, PgConnection::connect_with(options)).await;
    let mut connection = connecting.map_err(|_| sqlx::Error::PoolTimedOut)??;
    // Others may be at a long migration.
    connection.execute("SET lock_timeout = 0").await?;
    connection.execute("SET statement_timeout = 0").await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(&mut connection).await?;
    let migrated = async {
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""))).await?;
        MIGRATIONS.run(&mut connection).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => error,
            sqlx::migrate::MigrateError::ExecuteMigration(error, _) => error,
            other => sqlx::Error::Protocol(other.to_string()),
        })
    };
    let migrated = migrated.await;
    // Closing gives the lock back.
    connection.close().await?;
    migrated
}
