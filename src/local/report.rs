//! `herald report`: what became of a broadcast in figures, from the ledger of earlier runs.

use std::io::{self, Write};

use super::earlier_run::{EarlierRunOptions, OpenLedger, find};
use super::manifest::Document;
use super::refusal::{Refusal, refuse};
use super::report_options::FormatOptions;
use crate::api::BroadcastMessage;
use crate::ledger::status::{Observed, broadcast_status};
use crate::ledger::{Inspect, Ledger};
use crate::report;
use crate::report::summary::{Report, Source, Subject};

/// Writes what became of a broadcast in figures, from the ledger of `herald run`.
///
/// Outcomes by cause, rate over time, how long the provider took to answer, retries, batches, and the cost in API calls. Nobody
/// is named. A ledger in PostgreSQL is read at any time. One in a file has one user at a time: while a run has it, this says so and
/// ends.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportOptions {
    #[command(flatten)]
    pub run: EarlierRunOptions,

    #[command(flatten)]
    pub format: FormatOptions,
}

/// Writes it to standard output.
///
/// # Errors
/// What keeps it from reading, for people.
pub async fn write(options: ReportOptions) -> Result<(), Refusal> {
    let document = options.run.document()?;
    let report = match options.run.open().await? {
        OpenLedger::File(ledger) => read(&ledger, &document).await,
        OpenLedger::Server(ledger) => read(&ledger, &document).await,
    }?;
    let text = report::write(&report, options.format.format());
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Refusal(format!("failed to write: {error}"))),
    }
}

async fn read<L: Ledger + Inspect>(ledger: &L, document: &Document<BroadcastMessage>) -> Result<Report, Refusal> {
    let id = find(ledger, document).await?;
    let snapshot = ledger.snapshot(id).await.map_err(refuse)?;
    let figures = ledger.figures(id).await.map_err(refuse)?;
    let status = broadcast_status(&snapshot, Observed::default(), &[]);
    let subject = Subject {
        namespace: &document.name.namespace,
        name: &document.name.name,
        channel: &document.object.spec.channel_ref.name,
        status: &status,
    };
    let nothing = || Refusal(format!("there is nothing to report of {} yet: it has no plan", document.name));
    Report::of(subject, &Source::Ledger(Box::new(figures))).ok_or_else(nothing)
}
