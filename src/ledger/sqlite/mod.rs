//! A ledger in one SQLite file: nothing else to install.
//!
//! One writer: an exclusive lock on `PATH.lock` is held for life, never on the database itself (closing any descriptor
//! of it would drop SQLite's own locks). Whoever holds it knows that the predecessor is dead.

mod lock;
mod recording;
mod store;
mod taking;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::Mutex;

use super::Result;
use super::clock::{Clock, SystemClock};
use super::error::LedgerError;
use super::random::random_id;
use super::sql::store::Database;
use crate::delivery::time::Timestamp;
use lock::LockFile;
use store::{SqliteStore, Writer};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// See the [module](self).
pub struct SqliteLedger {
    path: PathBuf,
    writer: Arc<Mutex<Writer>>,
    clock: Arc<dyn Clock>,
    /// On the ledger's clock.
    reachable_since: AtomicI64,
    _lock: Option<LockFile>,
}

impl SqliteLedger {
    /// Opens the ledger, making the file when there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] while another process has it; `Open`, `Corrupt`, `ReadOnly`, `DiskFull` by name.
    pub async fn open(path: &Path) -> Result<SqliteLedger> {
        let path = &real_path(path);
        let lock = LockFile::acquire(path)?;
        make_private(path)?;
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        SqliteLedger::connect(path.to_owned(), options, Arc::new(SystemClock), Some(lock)).await
    }

    /// A ledger that lives as long as the process, with a clock of its own: for tests and models.
    pub async fn in_memory(clock: Arc<dyn Clock>) -> Result<SqliteLedger> {
        let options = SqliteConnectOptions::new().in_memory(true);
        SqliteLedger::connect(PathBuf::from(":memory:"), options, clock, None).await
    }

    /// A ledger in a file without a name, which is gone with the process whatever ends it: for what is looked at and not
    /// kept. Little of it is in memory, however long its plans are.
    pub async fn temporary(clock: Arc<dyn Clock>) -> Result<SqliteLedger> {
        // SQLite's own way to say so.
        let options = SqliteConnectOptions::new().filename("").create_if_missing(true);
        SqliteLedger::connect(PathBuf::from("(temporary)"), options, clock, None).await
    }

    async fn connect(
        path: PathBuf,
        options: SqliteConnectOptions,
        clock: Arc<dyn Clock>,
        lock: Option<LockFile>,
    ) -> Result<SqliteLedger> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What a statement sets aside stays in memory: a container's root is read-only, and it is never much.
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let classify = |error: sqlx::Error| classify(&path, error);
        let mut writer = Writer::connect(&options).await.map_err(classify)?;
        let connection = writer.idle().await;
        if is_foreign(connection).await.map_err(classify)? {
            let message = "it is the database of another program".to_owned();
            return Err(LedgerError::Corrupt { place: path.display().to_string(), message });
        }
        MIGRATIONS.run(&mut *connection).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => classify(error),
            sqlx::migrate::MigrateError::ExecuteMigration(error, _) => classify(error),
            other => LedgerError::Open { place: path.display().to_string(), message: other.to_string() },
        })?;
        let now = clock.now();
        adopt(connection, now).await.map_err(classify)?;
        let writer = Arc::new(Mutex::new(writer));
        Ok(SqliteLedger { path, writer, clock, reachable_since: AtomicI64::new(now.0), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves everything into the one file, so that a copy of it is whole.
    pub async fn checkpoint(&self) -> Result<()> {
        let mut writer = self.writer.lock().await;
        let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(writer.idle().await).await;
        done.map(drop).map_err(|error| self.failed(error))
    }
}

impl Database for SqliteLedger {
    type Store = SqliteStore;

    async fn begin(&self) -> sqlx::Result<SqliteStore> {
        SqliteStore::begin(&self.writer, self.clock.clone()).await
    }

    async fn begin_reading(&self) -> sqlx::Result<SqliteStore> {
        self.begin().await
    }

    fn failed(&self, error: sqlx::Error) -> LedgerError {
        classify(&self.path, error)
    }

    fn reachable_since(&self) -> Option<Timestamp> {
        Some(Timestamp(self.reachable_since.load(Ordering::SeqCst)))
    }

    fn reached_anew(&self) {
        self.reachable_since.store(self.clock.now().0, Ordering::SeqCst);
    }
}

/// Makes the file when there is none, for its owner alone: it holds people's ids. SQLite gives its companions the same
/// permissions.
fn make_private(path: &Path) -> Result<()> {
    let opened = std::fs::File::options().append(true).create(true).mode(0o600).open(path);
    match opened {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Err(LedgerError::DiskFull { place: path.display().to_string() })
        }
        // Whatever else is wrong with an existing file, SQLite says more precisely.
        Err(error) if !path.exists() => {
            Err(LedgerError::Open { place: path.display().to_string(), message: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// The one name of a ledger that several links lead to, so that all of them find the same lock.
fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Whether there are tables, and not the ledger's: they must not get into each other's way.
async fn is_foreign(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let (tables, ours): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE name = 'ledger') FROM sqlite_schema \
         WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> '_sqlx_migrations'",
    )
    .fetch_one(connection)
    .await?;
    Ok(tables > 0 && ours == 0)
}

/// Makes the ledger's one row, and voids all leases: the lock proves the process dead that granted them, and a sender
/// that lives renews its own.
async fn adopt(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<()> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    sqlx::query("INSERT OR IGNORE INTO ledger (one, id, created_at) VALUES (1, ?1, ?2)")
        .bind(random_id())
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE batch SET lease_until = 0 WHERE sender_id IS NOT NULL").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// SQLite's primary result codes that a person can act on.
mod code {
    pub const BUSY: u32 = 5;
    pub const LOCKED: u32 = 6;
    pub const READONLY: u32 = 8;
    pub const CORRUPT: u32 = 11;
    pub const FULL: u32 = 13;
    pub const CANTOPEN: u32 = 14;
    pub const NOTADB: u32 = 26;
}

fn classify(path: &Path, error: sqlx::Error) -> LedgerError {
    let message = error.to_string();
    let place = path.display().to_string();
    let primary = match &error {
        sqlx::Error::Database(database) => {
            database.code().and_then(|code| code.parse::<u32>().ok()).map(|extended| extended & 0xff)
        }
        _ => None,
    };
    match primary {
        Some(code::READONLY) => LedgerError::ReadOnly { place, message },
        Some(code::CORRUPT | code::NOTADB) => LedgerError::Corrupt { place, message },
        Some(code::FULL) => LedgerError::DiskFull { place },
        Some(code::CANTOPEN) => LedgerError::Open { place, message },
        Some(code::BUSY | code::LOCKED) => LedgerError::Storage { message },
        _ => LedgerError::Failed { place, message },
    }
}
