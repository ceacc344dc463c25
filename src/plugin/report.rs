//! What became of a broadcast, in figures: from its objects, and from the ledger where that may be read.

use std::io::{self, Write};

use super::cluster::Cluster;
use super::failure::PluginError;
use super::ledger_access::{LedgerAccess, Purpose};
use super::ledger_route::{PodRoute, Route};
use super::options::ReportOptions;
use crate::api::MessageBatch;
use crate::delivery::histogram::Histogram;
use crate::delivery::time::Timestamp;
use crate::ledger::Figures;
use crate::ledger::figures::BatchFigures;
use crate::ledger::wire::message::FiguresRequest;
use crate::report;
use crate::report::summary::{Report, Source, Subject};

pub async fn write(cluster: &Cluster, options: &ReportOptions) -> Result<(), PluginError> {
    let route = PodRoute { client: cluster.client.clone(), namespace: options.access.operator_namespace.clone() };
    let text = text_of(cluster, options, route).await?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(PluginError::Writing),
    }
}

/// Who may not read the ledger is told so, and gets what the objects say.
pub async fn text_of<R: Route>(cluster: &Cluster, options: &ReportOptions, route: R) -> Result<String, PluginError> {
    let broadcast = cluster.broadcast(&options.name).await?;
    let nothing =
        || PluginError::Refused(format!("there is nothing to report of {} yet: it has no plan", options.name));
    let status = broadcast.status.as_ref().filter(|status| status.recipients.is_some()).ok_or_else(nothing)?;
    let source = match figures(cluster, options, route).await {
        Ok(figures) => Source::Ledger(Box::new(figures)),
        Err(error) => {
            eprintln!("without rates, latencies and API calls, which are in the ledger: {error}");
            Source::Batches(cluster.batches(&options.name).await?.iter().map(of_object).collect())
        }
    };
    let subject = Subject {
        namespace: &cluster.namespace,
        name: &options.name,
        channel: &broadcast.spec.channel_ref.name,
        status,
    };
    let report = Report::of(subject, &source).ok_or_else(nothing)?;
    Ok(report::write(&report, options.format.format()))
}

async fn figures<R: Route>(cluster: &Cluster, options: &ReportOptions, route: R) -> Result<Figures, PluginError> {
    let mut access = LedgerAccess::new(cluster, Purpose::Results, &options.access, route).await?;
    let (namespace, name) = (cluster.namespace.clone(), options.name.clone());
    access.figures(&FiguresRequest { namespace, name }).await
}

/// What the status of a MessageBatch says of it.
fn of_object(batch: &MessageBatch) -> BatchFigures {
    let status = batch.status.clone().unwrap_or_default();
    let sums = status.recipients.unwrap_or_default();
    let at = |time: Option<jiff::Timestamp>| time.map(|time| Timestamp::from_secs(time.as_second()));
    BatchFigures {
        index: batch.spec.index.into(),
        recipients: batch.spec.recipient_count,
        pending: sums.pending,
        sent: sums.sent,
        failed: sums.failed,
        skipped: sums.skipped,
        unknown: sums.unknown,
        requests: 0,
        latency: Histogram::default(),
        retries: status.retries.unwrap_or_default(),
        reclaims: status.reclaims.unwrap_or_default(),
        started_at: at(status.start_time),
        completed_at: at(status.completion_time),
    }
}
