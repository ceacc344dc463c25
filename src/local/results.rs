//! `herald results`: the recipients of a broadcast with what became of each, from the ledger of earlier runs.

use std::io::{self, Write};

use super::earlier_run::{EarlierRunOptions, OpenLedger, find};
use super::manifest::Document;
use super::refusal::{Refusal, refuse};
use super::row_options::RowOptions;
use crate::api::BroadcastMessage;
use crate::ledger::{Inspect, Ledger, ResultsQuery};

/// Writes the recipients of a broadcast with what became of each, from the ledger of `herald run`. Personal data.
///
/// A ledger in PostgreSQL is read at any time. One in a file has one user at a time: while a run has it, this says so and
/// ends.
#[derive(Clone, Debug, clap::Args)]
pub struct ResultsOptions {
    #[command(flatten)]
    pub run: EarlierRunOptions,

    #[command(flatten)]
    pub rows: RowOptions,
}

/// Writes them to standard output.
///
/// # Errors
/// What keeps it from reading, for people.
pub async fn write(options: ResultsOptions) -> Result<(), Refusal> {
    let document = options.run.document()?;
    match options.run.open().await? {
        OpenLedger::File(ledger) => write_from(&ledger, &document, &options.rows).await,
        OpenLedger::Server(ledger) => write_from(&ledger, &document, &options.rows).await,
    }
}

/// A page in memory at a time. A reader of the output that has seen enough ends it.
async fn write_from<L: Ledger + Inspect>(
    ledger: &L,
    document: &Document<BroadcastMessage>,
    options: &RowOptions,
) -> Result<(), Refusal> {
    let broadcast = find(ledger, document).await?;
    let (filter, format) = (options.filter(), options.format());
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
