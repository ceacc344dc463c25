//! One table of a report as CSV (RFC 4180, lines ended by LF): for spreadsheets.

use super::summary::Report;

/// Which part of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// How many ended how, and why.
    Outcomes,
    /// What happened in which span of time.
    Pace,
    /// How many answers took how long.
    Latency,
    Batches,
}

pub fn csv(report: &Report, table: Table) -> String {
    match table {
        Table::Outcomes => outcomes(report),
        Table::Pace => pace(report),
        Table::Latency => latency(report),
        Table::Batches => batches(report),
    }
}

fn line<const N: usize>(cells: [String; N]) -> String {
    format!("{}\n", cells.map(|cell| quoted(&cell)).join(","))
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

fn outcomes(report: &Report) -> String {
    let rows = report
        .outcomes
        .iter()
        .map(|row| line([row.outcome.to_owned(), row.reason.clone(), row.code.clone(), row.count.to_string()]));
    std::iter::once("outcome,reason,code,count\n".to_owned()).chain(rows).collect()
}

fn pace(report: &Report) -> String {
    let mut text = "begin,seconds,requests,sent,failed,unknown\n".to_owned();
    if let Some(pace) = &report.pace {
        for span in &pace.spans {
            let figures = [span.requests, span.sent, span.failed, span.unknown].map(|figure| figure.to_string());
            text.push_str(&format!("{},{},{}\n", span.begin, pace.span_seconds, figures.join(",")));
        }
    }
    text
}

fn latency(report: &Report) -> String {
    let mut text = "from_ms,below_ms,count\n".to_owned();
    for class in report.latency.iter().flat_map(|latency| &latency.classes) {
        text.push_str(&format!("{},{},{}\n", class.from_ms, class.below_ms, class.count));
    }
    text
}

fn batches(report: &Report) -> String {
    let mut text = "batch,recipients,sent,failed,skipped,unknown,pending,requests,retries,reclaims,start,completion,seconds,per_second,p50_ms,p95_ms,p99_ms\n".to_owned();
    for batch in &report.batches {
        let figure = |value: Option<String>| value.unwrap_or_default();
        text.push_str(&line([
            batch.index.to_string(),
            batch.recipients.to_string(),
            batch.sent.to_string(),
            batch.failed.to_string(),
            batch.skipped.to_string(),
            batch.unknown.to_string(),
            batch.pending.to_string(),
            figure(batch.requests.map(|requests| requests.to_string())),
            batch.retries.to_string(),
            batch.reclaims.to_string(),
            figure(batch.start_time.map(|at| at.to_string())),
            figure(batch.completion_time.map(|at| at.to_string())),
            figure(batch.seconds.map(|seconds| format!("{seconds:.3}"))),
            figure(batch.per_second.map(|speed| format!("{speed:.2}"))),
            figure(batch.latency.map(|latency| latency.p50_ms.to_string())),
            figure(batch.latency.map(|latency| latency.p95_ms.to_string())),
            figure(batch.latency.map(|latency| latency.p99_ms.to_string())),
        ]));
    }
    text
}
