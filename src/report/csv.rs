//! One table of a report as CSV (RFC 4180, lines ended by LF): for spreadsheets.

use super::summary::{Quantiles, Report};

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
    /// What the batches of each size took.
    Sizes,
    /// The figures of the whole, in one row.
    Summary,
}

pub fn csv(report: &Report, table: Table) -> String {
    match table {
        Table::Outcomes => outcomes(report),
        Table::Pace => pace(report),
        Table::Latency => latency(report),
        Table::Batches => batches(report),
        Table::Sizes => sizes(report),
        Table::Summary => summary(report),
    }
}

fn line<const N: usize>(cells: [String; N]) -> String {
    format!("{}\n", cells.map(|cell| quoted(&cell)).join(","))
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// Nothing where it is not known.
fn told(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn quantiles(latency: Option<&Quantiles>) -> [String; 3] {
    [latency.map(|all| all.p50_ms), latency.map(|all| all.p95_ms), latency.map(|all| all.p99_ms)].map(told)
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
        let [p50, p95, p99] = quantiles(batch.latency.as_ref());
        text.push_str(&line([
            batch.index.to_string(),
            batch.recipients.to_string(),
            batch.sent.to_string(),
            batch.failed.to_string(),
            batch.skipped.to_string(),
            batch.unknown.to_string(),
            batch.pending.to_string(),
            told(batch.requests),
            batch.retries.to_string(),
            batch.reclaims.to_string(),
            told(batch.start_time),
            told(batch.completion_time),
            told(batch.seconds.map(|seconds| format!("{seconds:.3}"))),
            told(batch.per_second.map(|speed| format!("{speed:.2}"))),
            p50,
            p95,
            p99,
        ]));
    }
    text
}

fn sizes(report: &Report) -> String {
    let mut text = "recipients,batches,seconds,per_second,p50_ms,p95_ms,p99_ms\n".to_owned();
    for size in &report.batch_sizes {
        let [p50, p95, p99] = quantiles(size.latency.as_ref());
        text.push_str(&line([
            size.recipients.to_string(),
            size.batches.to_string(),
            format!("{:.3}", size.seconds),
            format!("{:.2}", size.per_second),
            p50,
            p95,
            p99,
        ]));
    }
    text
}

/// One row, so that those of many broadcasts are a table.
fn summary(report: &Report) -> String {
    let sums = report.recipients;
    let [p50, p95, p99] = quantiles(report.latency.as_ref().map(|latency| &latency.quantiles));
    let speeds = report.speeds();
    let columns = [
        ("namespace", report.namespace.clone()),
        ("name", report.name.clone()),
        ("idempotency_key", report.idempotency_key.clone()),
        ("channel", report.channel.clone()),
        ("state", report.state.clone()),
        ("end", told(report.end.as_ref())),
        ("first_attempt", told(report.first_attempt_time)),
        ("completion", told(report.completion_time)),
        ("seconds", told(report.duration_seconds)),
        ("planned", sums.planned.to_string()),
        ("sent", sums.sent.to_string()),
        ("failed", sums.failed.to_string()),
        ("skipped", sums.skipped.to_string()),
        ("unknown", sums.unknown.to_string()),
        ("pending", sums.pending.to_string()),
        ("duplicates", report.duplicates.to_string()),
        ("excluded", report.excluded.to_string()),
        ("batches", report.batches.len().to_string()),
        ("retries", report.retries.to_string()),
        ("reclaims", report.reclaims.to_string()),
        ("requests", told(report.requests)),
        ("requests_per_sent", told(report.requests_per_sent.map(|each| format!("{each:.3}")))),
        ("requests_per_second", told(speeds.map(|(average, _)| format!("{average:.2}")))),
        ("requests_per_second_at_most", told(speeds.map(|(_, most)| format!("{most:.2}")))),
        ("p50_ms", p50),
        ("p95_ms", p95),
        ("p99_ms", p99),
    ];
    let header = columns.each_ref().map(|(name, _)| (*name).to_owned());
    format!("{}{}", line(header), line(columns.map(|(_, figure)| figure)))
}
