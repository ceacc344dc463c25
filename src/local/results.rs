//! `herald results`: the recipients of a broadcast with what became of each, from the ledger of earlier runs.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use secrecy::ExposeSecret;

use super::documents::inputs;
use super::ledger_path;
use super::manifest::{Document, Manifest};
use super::refusal::{Refusal, refuse};
use crate::api::BroadcastMessage;
use crate::ledger::location::LedgerLocation;
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::result_lines::ResultFormat;
use crate::ledger::results::{ResultOutcome, ResultsFilter};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Inspect, Ledger, ResultsQuery};

/// Writes the recipients of a broadcast with what became of each, from the ledger of `herald run`. Personal data.
///
/// A ledger in PostgreSQL is read at any time. One in a file has one user at a time: while a run has it, this says so and
/// ends.
#[derive(Clone, Debug, clap::Args)]
pub struct ResultsOptions {
    /// The file of the BroadcastMessage, as it was given to `herald run`; `-` is standard input. Repeatable. What it refers
    /// to is not needed.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Which BroadcastMessage of the files, where they hold several.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Only those who stand so: Sent, Failed, Skipped, Unknown or Pending. Repeatable, or separated by commas. By default
    /// everybody.
    #[arg(long = "outcome", value_name = "OUTCOME", value_delimiter = ',')]
    pub outcomes: Vec<ResultOutcome>,

    /// Only those for whom this is the reason, e.g. RetriesExhausted.
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,

    /// How they are written. The CSV can be the audience of another broadcast.
    #[arg(short = 'o', long, value_enum, default_value_t = RowOutput::Csv)]
    pub output: RowOutput,

    /// Where the ledger is kept, as for `herald run`.
    #[arg(long, value_name = "sqlite:PATH|postgres://…", env = "HERALD_LEDGER", hide_env_values = true)]
    pub ledger: Option<LedgerLocation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowOutput {
    /// With a header row.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// Writes them to standard output.
///
/// # Errors
/// What keeps it from reading, for people.
pub async fn write(options: ResultsOptions) -> Result<(), Refusal> {
    let inputs = inputs(&options.files)?;
    let broadcasts = Manifest::broadcasts_of(&inputs).map_err(refuse)?;
    let broadcast = chosen(&broadcasts, options.name.as_deref())?;
    let location = ledger_path::resolve(options.ledger.as_ref()).map_err(refuse)?;
    match &location {
        LedgerLocation::File(path) => {
            // Opened, it would be made.
            if !path.exists() {
                return Err(Refusal(format!("there is no ledger {location}; name the one of the run with --ledger")));
            }
            let ledger = SqliteLedger::open(path).await.map_err(refuse)?;
            write_from(&ledger, broadcast, &options).await
        }
        LedgerLocation::Server(url) => {
            let ledger = PostgresLedger::open(url.expose_secret()).await.map_err(refuse)?;
            write_from(&ledger, broadcast, &options).await
        }
    }
}

fn chosen<'a>(
    broadcasts: &'a [Document<BroadcastMessage>],
    name: Option<&str>,
) -> Result<&'a Document<BroadcastMessage>, Refusal> {
    let mut fitting = broadcasts.iter().filter(|broadcast| name.is_none_or(|name| broadcast.name.name == name));
    let names = || broadcasts.iter().map(|broadcast| broadcast.name.to_string()).collect::<Vec<_>>().join(", ");
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(Refusal(format!("the files hold several broadcasts, name one of them: {}", names()))),
        (None, _) if broadcasts.is_empty() => Err(Refusal("the files hold no BroadcastMessage".to_owned())),
        (None, _) => Err(Refusal(format!("the files hold no such broadcast, but {}", names()))),
    }
}

/// A page in memory at a time. A reader of the output that has seen enough ends it.
async fn write_from<L: Ledger + Inspect>(
    ledger: &L,
    broadcast: &Document<BroadcastMessage>,
    options: &ResultsOptions,
) -> Result<(), Refusal> {
    let (name, key) = (&broadcast.name, broadcast.object.idempotency_key());
    let found = ledger.broadcast_of_key(&name.namespace, key).await.map_err(refuse)?;
    let missing =
        || Refusal(format!("this ledger knows no broadcast {name} with the key `{key}`; was it run with it?"));
    let broadcast = found.ok_or_else(missing)?;
    let filter = ResultsFilter { outcomes: options.outcomes.clone(), reason: options.reason.clone() };
    let format = match options.output {
        RowOutput::Csv => ResultFormat::Csv,
        RowOutput::Ndjson => ResultFormat::Ndjson,
    };
    let mut text = format.header().to_owned();
    let mut from = Some(0);
    while let Some(at) = from {
        let query = ResultsQuery { broadcast, filter: filter.clone(), from: at };
        let page = ledger.results(&query).await.map_err(refuse)?;
        page.rows.iter().for_each(|row| text.push_str(&format.line(row)));
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(not_written)?,
        }
        text.clear();
        from = page.next;
    }
    Ok(())
}

/// To standard output, whether or not somebody still reads it.
pub fn print(text: &str) -> Result<(), Refusal> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(not_written),
    }
}

fn not_written(error: io::Error) -> Refusal {
    Refusal(format!("failed to write: {error}"))
}
