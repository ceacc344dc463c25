//! Planning a large audience against a bare insert, or COPY, of the same rows into the same schema.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use herald::ledger::Ledger;
use herald::ledger::plan::MAX_CHUNK;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::sqlite::SqliteLedger;
use herald::sender::planner;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::watch;

use crate::scope::Scope;
use crate::sending::Kept;
use crate::summary::Summary;
use crate::task::Task;
use crate::{people, process};

const RATE: u32 = 300;

#[derive(Debug, Serialize, Deserialize)]
pub struct Planning {
    /// For the ledger.
    pub folder: PathBuf,
    pub kept: Kept,
    pub csv: PathBuf,
    pub rows: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Planned {
    pub seconds: f64,
    pub cpu_seconds: f64,
    /// Resident memory after less before.
    pub growth_kib: i64,
    /// The most that was ever resident, less what was before.
    pub peak_growth_kib: i64,
}

/// The clock of one measurement.
struct Meter {
    started: Instant,
    cpu_seconds: f64,
    resident_kib: u64,
}

impl Meter {
    fn start() -> anyhow::Result<Meter> {
        let resident_kib = process::status_kib("VmRSS")?;
        Ok(Meter { started: Instant::now(), cpu_seconds: process::cpu_seconds(), resident_kib })
    }

    fn stop(self) -> anyhow::Result<Planned> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu_seconds = process::cpu_seconds() - self.cpu_seconds;
        let grown = |name| Ok::<i64, anyhow::Error>(process::status_kib(name)? as i64 - self.resident_kib as i64);
        Ok(Planned { seconds, cpu_seconds, growth_kib: grown("VmRSS")?, peak_growth_kib: grown("VmHWM")? })
    }
}

/// Reads the CSV, renders every message, fills and seals the plan.
pub async fn plan(task: Planning) -> anyhow::Result<Planned> {
    match &task.kept {
        Kept::File => {
            let ledger = SqliteLedger::open(&task.folder.join("ledger.sqlite")).await?;
            plan_on(&task, ledger).await
        }
        Kept::Server { url, schema } => {
            let ledger = PostgresLedger::open_in(url, schema, None).await?;
            plan_on(&task, ledger).await
        }
    }
}

async fn plan_on<L: Ledger>(task: &Planning, ledger: L) -> anyhow::Result<Planned> {
    let broadcast = ledger.declare(&people::declaration(RATE)).await?.id;
    let spec = people::plan_spec(&task.csv, Arc::new(people::messenger("http://127.0.0.1:9")?))?;
    let meter = Meter::start()?;
    let sealed = planner::plan(&ledger, broadcast, spec, &watch::channel(false).1).await?;
    let planned = meter.stop()?;
    anyhow::ensure!(sealed.planned == u64::from(task.rows), "{} rows were planned", sealed.planned);
    Ok(planned)
}

/// Inserts the same rows by the same number to a transaction, with nothing around it: no file is read, nothing is
/// rendered, looked up or digested.
pub async fn insert_bare(task: Planning) -> anyhow::Result<Planned> {
    match &task.kept {
        Kept::File => insert_into_file(&task).await,
        Kept::Server { url, schema } => copy_to_server(&task, url, schema).await,
    }
}

async fn insert_into_file(task: &Planning) -> anyhow::Result<Planned> {
    let path = task.folder.join("bare.sqlite");
    let ledger = SqliteLedger::open(&path).await?;
    let broadcast = ledger.declare(&people::declaration(RATE)).await?.id.0;
    drop(ledger);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    let meter = Meter::start()?;
    let mut first = 0;
    while first < task.rows {
        let count = (task.rows - first).min(MAX_CHUNK as u32);
        let values = vec!["(?, ?, ?, ?)"; count as usize].join(", ");
        let statement = format!("INSERT INTO delivery (broadcast_id, seq, recipient, vars) VALUES {values}");
        let mut insert = sqlx::query(AssertSqlSafe(statement));
        for number in first..first + count {
            let person = people::person(number);
            let vars = format!("{{\"city\":\"{}\",\"first_name\":\"{}\"}}", person.city, person.first_name);
            insert = insert.bind(broadcast).bind(number).bind(person.id).bind(vars);
        }
        let mut transaction = connection.begin().await?;
        insert.execute(&mut *transaction).await?;
        transaction.commit().await?;
        first += count;
    }
    let planned = meter.stop()?;
    let (rows,): (i64,) = sqlx::query_as("SELECT count(*) FROM delivery").fetch_one(&mut connection).await?;
    anyhow::ensure!(rows == i64::from(task.rows), "{rows} rows were inserted");
    Ok(planned)
}

/// The same rows by one COPY to a transaction of as many.
async fn copy_to_server(task: &Planning, url: &str, schema: &str) -> anyhow::Result<Planned> {
    let ledger = PostgresLedger::open_in(url, schema, None).await?;
    let broadcast = ledger.declare(&people::declaration(RATE)).await?.id.0;
    drop(ledger);
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query(AssertSqlSafe(format!("SET search_path TO {schema}"))).execute(&mut connection).await?;
    let meter = Meter::start()?;
    let mut first = 0;
    while first < task.rows {
        let count = (task.rows - first).min(MAX_CHUNK as u32);
        let mut text = String::new();
        for number in first..first + count {
            let person = people::person(number);
            let vars = format!("{{\"city\":\"{}\",\"first_name\":\"{}\"}}", person.city, person.first_name);
            text.push_str(&format!("{broadcast}\t{number}\t{}\t{vars}\n", person.id));
        }
        // Outside a transaction of its own each COPY is one.
        let mut copy = connection.copy_in_raw("COPY delivery (broadcast_id, seq, recipient, vars) FROM STDIN").await?;
        copy.send(text.as_bytes()).await?;
        copy.finish().await?;
        first += count;
    }
    let planned = meter.stop()?;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM delivery").fetch_one(&mut connection).await?;
    anyhow::ensure!(rows == i64::from(task.rows), "{rows} rows were copied");
    Ok(planned)
}

/// What `kept` names, for each process of its own: they must not find each other's rows.
fn own(kept: &Kept, of: &str) -> Kept {
    match kept {
        Kept::File => Kept::File,
        Kept::Server { url, schema } => Kept::Server { url: url.clone(), schema: format!("{schema}_{of}") },
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct PlanningFigures {
    pub rows: u32,
    /// Rows per second.
    pub herald: Summary,
    pub bare: Summary,
    /// Of each repetition.
    pub ratio: Summary,
    /// Processor time of the bare insert / that of planning.
    pub cpu_ratio: Summary,
    pub growth_mib: Summary,
    pub peak_growth_mib: Summary,
}

pub fn measure(scope: &Scope, folder: &Path, kept: &Kept) -> anyhow::Result<PlanningFigures> {
    let rows = scope.planned_rows;
    let csv = folder.join("people.csv");
    people::write_csv(&csv, rows).context("failed to write the recipients")?;
    let mut pairs: Vec<(Planned, Planned)> = Vec::new();
    for repetition in 0..scope.repetitions {
        let folder = folder.join(format!("planning-{repetition}"));
        std::fs::create_dir(&folder)?;
        let task = |of: &str| {
            let kept = own(kept, &format!("{of}{repetition}"));
            Planning { folder: folder.clone(), kept, csv: csv.clone(), rows }
        };
        let bare: Planned = Task::InsertBare(task("bare")).delegate()?;
        let planned: Planned = Task::Plan(task("plan")).delegate()?;
        std::fs::remove_dir_all(&folder)?;
        eprintln!(
            "{rows} rows planned in {:.1} s ({:.1} CPU), inserted bare in {:.1} s ({:.1} CPU); grown by {} KiB, at most {} KiB",
            planned.seconds,
            planned.cpu_seconds,
            bare.seconds,
            bare.cpu_seconds,
            planned.growth_kib,
            planned.peak_growth_kib
        );
        pairs.push((planned, bare));
    }
    let of = |figure: &dyn Fn(&Planned, &Planned) -> f64| Summary::of(pairs.iter().map(|(a, b)| figure(a, b)));
    Ok(PlanningFigures {
        rows,
        herald: of(&|planned, _| f64::from(rows) / planned.seconds),
        bare: of(&|_, bare| f64::from(rows) / bare.seconds),
        ratio: of(&|planned, bare| bare.seconds / planned.seconds),
        cpu_ratio: of(&|planned, bare| bare.cpu_seconds / planned.cpu_seconds),
        growth_mib: of(&|planned, _| planned.growth_kib as f64 / 1024.0),
        peak_growth_mib: of(&|planned, _| planned.peak_growth_kib as f64 / 1024.0),
    })
}
