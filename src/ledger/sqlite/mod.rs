//! A ledger in one SQLite file: nothing else to install.
//!
//! One writer: an exclusive lock on `PATH.lock` is held for life, never on the database itself (closing any descriptor
//! of it would drop SQLite's own locks). Whoever holds it knows that the predecessor is dead.

mod audit;
mod declare;
mod exchange;
mod lock;
mod maintain;
mod owner;
mod plan;
mod read;
mod record;
mod rows;
mod take;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use super::brief::{Brief, Trouble};
use super::clock::{Clock, SystemClock};
use super::declaration::{AccountKey, Declaration};
use super::error::LedgerError;
use super::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
use super::owner::{AccountSnapshot, Owner};
use super::plan::{PlanReceipt, PlanRow, PlanTicket, SealedPlan};
use super::snapshot::{BatchSnapshot, BroadcastSnapshot, Outcomes};
use super::{Ledger, Result, SenderLedger};
use crate::delivery::time::Timestamp;
pub use audit::DeliveryView;
use lock::LockFile;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// See the [module](self).
pub struct SqliteLedger {
    path: PathBuf,
    connection: Mutex<SqliteConnection>,
    clock: Arc<dyn Clock>,
    opened_at: Timestamp,
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
        let mut connection = options.connect().await.map_err(classify)?;
        if is_foreign(&mut connection).await.map_err(classify)? {
            let message = "it is the database of another program".to_owned();
            return Err(LedgerError::Corrupt { path, message });
        }
        MIGRATIONS.run(&mut connection).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => classify(error),
            sqlx::migrate::MigrateError::ExecuteMigration(error, _) => classify(error),
            other => LedgerError::Open { path: path.clone(), message: other.to_string() },
        })?;
        let now = clock.now();
        adopt(&mut connection, now).await.map_err(classify)?;
        Ok(SqliteLedger { path, connection: Mutex::new(connection), clock, opened_at: now, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves everything into the one file, so that a copy of it is whole.
    pub async fn checkpoint(&self) -> Result<()> {
        let mut writer = self.writer().await;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *writer)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    fn failed(&self, error: sqlx::Error) -> LedgerError {
        classify(&self.path, error)
    }
}

/// Makes the file when there is none, for its owner alone: it holds people's ids. SQLite gives its companions the same
/// permissions.
fn make_private(path: &Path) -> Result<()> {
    let opened = std::fs::File::options().append(true).create(true).mode(0o600).open(path);
    match opened {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Err(LedgerError::DiskFull { path: path.to_owned() })
        }
        // Whatever else is wrong with an existing file, SQLite says more precisely.
        Err(error) if !path.exists() => Err(LedgerError::Open { path: path.to_owned(), message: error.to_string() }),
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
    let id = random_id();
    let mut transaction = connection.begin().await?;
    sqlx::query("INSERT OR IGNORE INTO ledger (one, id, revision, seen_at, created_at) VALUES (1, ?1, 0, ?2, ?2)")
        .bind(id)
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE batch SET lease_until = 0 WHERE sender_id IS NOT NULL").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// 128 random bits in hexadecimal.
pub fn random_id() -> String {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0_u8; 16];
    // The system's source fails only where none exists; an all-zero id would not be unique.
    SystemRandom::new().fill(&mut bytes).expect("the system has a source of randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    let path = path.to_owned();
    let primary = match &error {
        sqlx::Error::Database(database) => {
            database.code().and_then(|code| code.parse::<u32>().ok()).map(|extended| extended & 0xff)
        }
        _ => None,
    };
    match primary {
        Some(code::READONLY) => LedgerError::ReadOnly { path, message },
        Some(code::CORRUPT | code::NOTADB) => LedgerError::Corrupt { path, message },
        Some(code::FULL) => LedgerError::DiskFull { path },
        Some(code::CANTOPEN) => LedgerError::Open { path, message },
        Some(code::BUSY | code::LOCKED) => LedgerError::Storage { message },
        _ => LedgerError::Failed { path, message },
    }
}

impl SenderLedger for SqliteLedger {
    async fn brief(&self, broadcast: BroadcastId) -> Result<Brief> {
        let mut writer = self.writer().await;
        let row = rows::broadcast(&mut writer, broadcast).await.map_err(|error| self.failed(error))?;
        let row = row.ok_or(LedgerError::UnknownBroadcast)?;
        owner::brief(row).map_err(|error| self.failed(error))?.ok_or(LedgerError::NoOrders)
    }

    async fn begin_plan(&self, broadcast: BroadcastId) -> Result<PlanTicket> {
        let mut writer = self.writer().await;
        loop {
            let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
            let step = plan::begin(&mut transaction, broadcast, self.clock.now())
                .await
                .map_err(|error| self.failed(error))??;
            transaction.commit().await.map_err(|error| self.failed(error))?;
            if let plan::Begin::Ready(ticket) = step {
                return Ok(ticket);
            }
        }
    }

    async fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
        plan::exclude(&mut transaction, ticket, chunk, recipients, self.clock.now())
            .await
            .map_err(|error| self.failed(error))??;
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
        let receipt = plan::append(&mut transaction, ticket, chunk, rows, self.clock.now())
            .await
            .map_err(|error| self.failed(error))??;
        transaction.commit().await.map_err(|error| self.failed(error))?;
        Ok(receipt)
    }

    async fn seal_plan(&self, ticket: PlanTicket, samples: &[String]) -> Result<SealedPlan> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
        let now = self.clock.now();
        let sealed = plan::seal(&mut transaction, ticket, samples, now).await.map_err(|error| self.failed(error))??;
        transaction.commit().await.map_err(|error| self.failed(error))?;
        Ok(sealed)
    }

    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        let mut writer = self.writer().await;
        plan::abandon(&mut writer, ticket).await.map_err(|error| self.failed(error))
    }

    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        let mut writer = self.writer().await;
        let now = self.clock.now();
        let known = owner::report_trouble(&mut writer, plan, trouble, now).await;
        if known.map_err(|error| self.failed(error))? { Ok(()) } else { Err(LedgerError::UnknownBroadcast) }
    }

    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
        let now = self.clock.now();
        let reply = exchange::exchange(&mut transaction, request, now).await.map_err(|error| self.failed(error))??;
        transaction.commit().await.map_err(|error| self.failed(error))?;
        Ok(reply)
    }

    async fn settle_dead_sender(&self, within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
        let now = self.clock.now();
        maintain::settle_dead(&mut transaction, within, words, now).await.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))
    }
}

impl Ledger for SqliteLedger {
    async fn declare(&self, declaration: &Declaration) -> Result<BroadcastSnapshot> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
        let now = self.clock.now();
        let declared =
            declare::declare(&mut transaction, declaration, now).await.map_err(|error| self.failed(error))?;
        let id = declared.map_err(|refused| refused.into_error(&declaration.idempotency_key))?;
        let snapshot = read::snapshot(&mut transaction, id, now).await.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))?;
        snapshot.ok_or(LedgerError::UnknownBroadcast)
    }

    async fn cancel(&self, namespace: &str, idempotency_key: &str, owner_uid: &str) -> Result<Option<BroadcastId>> {
        let mut writer = self.writer().await;
        let cancelled = owner::cancel(&mut writer, namespace, idempotency_key, owner_uid).await;
        cancelled.map_err(|error| self.failed(error))
    }

    async fn release(&self, owner_uid: &str) -> Result<()> {
        let mut writer = self.writer().await;
        owner::release(&mut writer, owner_uid).await.map_err(|error| self.failed(error))
    }

    async fn owners(&self) -> Result<Vec<Owner>> {
        let mut writer = self.writer().await;
        owner::owners(&mut writer).await.map_err(|error| self.failed(error))
    }

    async fn find(&self, owner_uid: &str) -> Result<Option<BroadcastId>> {
        let mut writer = self.writer().await;
        owner::find(&mut writer, owner_uid).await.map_err(|error| self.failed(error))
    }

    async fn lift_credential_stop(&self, broadcast: BroadcastId) -> Result<()> {
        let mut writer = self.writer().await;
        declare::lift_credential_stop(&mut writer, broadcast).await.map_err(|error| self.failed(error))
    }

    async fn lift_block(&self, broadcast: BroadcastId) -> Result<()> {
        let mut writer = self.writer().await;
        declare::lift_block(&mut writer, broadcast).await.map_err(|error| self.failed(error))
    }

    async fn settle_all_senders_dead(&self) -> Result<u64> {
        let mut writer = self.writer().await;
        let mut settled = 0;
        loop {
            let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
            let now = self.clock.now();
            let slice = maintain::settle_all(&mut transaction, now).await.map_err(|error| self.failed(error))?;
            transaction.commit().await.map_err(|error| self.failed(error))?;
            settled += slice;
            if slice == 0 {
                return Ok(settled);
            }
        }
    }

    async fn maintain(&self) -> Result<bool> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await.map_err(|error| self.failed(error))?;
        let now = self.clock.now();
        let more =
            maintain::maintain(&mut transaction, self.opened_at, now).await.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))?;
        Ok(more)
    }

    async fn snapshot(&self, broadcast: BroadcastId) -> Result<BroadcastSnapshot> {
        let mut writer = self.writer().await;
        let now = self.clock.now();
        let snapshot = read::snapshot(&mut writer, broadcast, now).await.map_err(|error| self.failed(error))?;
        snapshot.ok_or(LedgerError::UnknownBroadcast)
    }

    async fn batches(&self, broadcast: BroadcastId) -> Result<Vec<BatchSnapshot>> {
        let mut writer = self.writer().await;
        read::batches(&mut writer, broadcast).await.map_err(|error| self.failed(error))
    }

    async fn totals(&self) -> Result<Vec<Outcomes>> {
        let mut writer = self.writer().await;
        read::totals(&mut writer).await.map_err(|error| self.failed(error))
    }

    async fn account(&self, account: &AccountKey) -> Result<Option<AccountSnapshot>> {
        let mut writer = self.writer().await;
        let now = self.clock.now();
        read::account(&mut writer, account, now).await.map_err(|error| self.failed(error))
    }
}
