//! A report as a page that needs nothing else: no script, and nothing from elsewhere.

use jiff::Timestamp;

use super::plot::{Bar, Curve, Label, bars, curves};
use super::summary::{BatchRow, Latency, Pace, Quantiles, Report, SizeRow};
use super::words::{counted, duration, escaped, number};
use crate::api::batch::MAX_BATCHES;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.25rem 1.5rem .25rem 0;border-bottom:1px solid #ddd}\
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}\
details{margin:1rem 0}summary{cursor:pointer;font-weight:600}.wide{overflow-x:auto}.wide table{font-size:.75rem}.wide th,.wide td{padding:.15rem .45rem .15rem 0;vertical-align:bottom}.wide td{white-space:nowrap}\
figure{margin:2rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#555}\
svg rect{fill:#2563a8}svg polyline{fill:none;stroke-width:1.5}svg .grid{stroke:#e4e4e4}svg line.mark{stroke:#b3261e;stroke-dasharray:4 3}svg text.mark{fill:#b3261e;paint-order:stroke;stroke:#fff;stroke-width:3px}\
polyline.requests{stroke:#2563a8}polyline.sent{stroke:#2e7d32}polyline.lost{stroke:#b3261e}polyline.p50{stroke:#2e7d32}polyline.p95{stroke:#2563a8}polyline.p99{stroke:#b3261e}\
.key{font-weight:400;margin-left:1rem}.key::before{content:\"\";display:inline-block;width:.8em;height:.2em;margin-right:.4em;vertical-align:middle;background:currentColor}\
.key.requests{color:#2563a8}.key.sent{color:#2e7d32}.key.lost{color:#b3261e}.key.p50{color:#2e7d32}.key.p95{color:#2563a8}.key.p99{color:#b3261e}\
@media print{body{margin:0}.wide{overflow:visible}.wide table{font-size:.5rem}}";

/// The most batches with a row of their own: as many as a broadcast has.
const MAX_BATCH_ROWS: usize = MAX_BATCHES as usize;
/// More rows than these are folded up until they are asked for.
const MAX_OPEN_ROWS: usize = 20;
/// The most words below the bars of sizes: as many as stand side by side.
const MAX_SIZE_LABELS: usize = 8;

/// The whole page. A browser that is shown it fetches nothing.
pub fn html(report: &Report) -> String {
    let title = escaped(&format!("{}/{}", report.namespace, report.name));
    let mut body = format!("<h1>{title}</h1>\n{}{}", facts(report), outcomes(report));
    if let Some(pace) = report.pace.as_ref().filter(|pace| !pace.spans.is_empty()) {
        body.push_str(&rates(pace));
    }
    body.push_str(&report.latency.as_ref().map(latencies).unwrap_or_default());
    body.push_str(&batches(report));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

fn facts(report: &Report) -> String {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let speeds = report.speeds();
    let latency = report.latency.as_ref();
    let facts = [
        ("Key", report.idempotency_key.clone()),
        ("Channel", report.channel.clone()),
        ("State", report.state.clone()),
        ("End", report.end.clone().unwrap_or_default()),
        ("First attempt", time(report.first_attempt_time)),
        ("Completed", time(report.completion_time)),
        ("Duration", report.duration_seconds.map(duration).unwrap_or_default()),
        ("Planned", number(report.recipients.planned)),
        ("Named more than once", number(report.duplicates)),
        ("Left out", number(report.excluded)),
        ("API calls", report.requests.map(|requests| number(requests as i64)).unwrap_or_default()),
        (
            "API calls for each message sent",
            report.requests_per_sent.map(|each| format!("{each:.3}")).unwrap_or_default(),
        ),
        ("Requests a second, on average", speeds.map(|(average, _)| format!("{average:.1}")).unwrap_or_default()),
        ("Requests a second, at most", speeds.map(|(_, most)| format!("{most:.1}")).unwrap_or_default()),
        ("Answers, p50 / p95 / p99", latency.map(|told| format!("{} ms", three(&told.quantiles))).unwrap_or_default()),
        ("Attempts beyond the first", number(report.retries)),
        ("Batches", report.batches.len().to_string()),
        ("Batches taken over from lost senders", number(report.reclaims)),
    ];
    let rows = facts.iter().filter(|(_, value)| !value.is_empty());
    let rows: String =
        rows.map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escaped(value))).collect();
    format!("<table>\n{rows}</table>\n")
}

fn three(Quantiles { p50_ms, p95_ms, p99_ms }: &Quantiles) -> String {
    format!("{p50_ms} / {p95_ms} / {p99_ms}")
}

fn outcomes(report: &Report) -> String {
    let row = |row: &super::summary::OutcomeRow| {
        let (reason, code) = (escaped(&row.reason), escaped(&row.code));
        let (outcome, count, share) = (row.outcome, number(row.count), report.share(row.count));
        format!(
            "<tr><td>{outcome}</td><td>{reason}</td><td>{code}</td><td class=\"number\">{count}</td><td class=\"number\">{share}</td></tr>\n"
        )
    };
    let rows: String = report.outcomes.iter().map(row).collect();
    format!(
        "<table>\n<tr><th>Outcome</th><th>Reason</th><th>Code</th><th class=\"number\">Recipients</th><th class=\"number\">Share</th></tr>\n{rows}</table>\n"
    )
}

fn rates(pace: &Pace) -> String {
    let length = pace.span_seconds.max(1) as f64;
    let curve = |name, style, figure: fn(&super::summary::PaceSpan) -> u64| Curve {
        name,
        style,
        values: pace.spans.iter().map(|span| figure(span) as f64 / length).collect(),
    };
    let three = [
        curve("requests", "requests", |span| span.requests),
        curve("sent", "sent", |span| span.sent),
        curve("failed or unknown", "lost", |span| span.failed + span.unknown),
    ];
    let at = |place: usize| pace.spans.get(place).map(|span| span.begin.strftime("%F %T UTC").to_string());
    let last = pace.spans.len() - 1;
    let places = [(0.0, 0), (0.5, last / 2), (1.0, last)];
    let labels: Vec<Label> = places.into_iter().filter_map(|(place, span)| Some((place, at(span)?))).collect();
    let title = format!("A second, over spans of {}", duration(pace.span_seconds));
    curves(&title, &three, if last == 0 { &labels[..1] } else { &labels })
}

fn latencies(latency: &Latency) -> String {
    let classes = &latency.classes;
    let told = |class: &super::summary::LatencyClass| Bar {
        value: class.count as f64,
        told: format!("{} to {} ms: {}", class.from_ms, class.below_ms, number(class.count as i64)),
    };
    let all: Vec<Bar> = classes.iter().map(told).collect();
    // Classes are equally wide in the picture, so a place is counted in classes.
    let place = |milliseconds: u64| {
        let class = classes.iter().position(|class| milliseconds < class.below_ms).unwrap_or(classes.len());
        let within = classes.get(class).map_or(0.0, |class| {
            let width = (class.below_ms - class.from_ms).max(1) as f64;
            (milliseconds.saturating_sub(class.from_ms) as f64 / width).clamp(0.0, 1.0)
        });
        (class as f64 + within) / classes.len().max(1) as f64
    };
    let Quantiles { p50_ms, p95_ms, p99_ms } = latency.quantiles;
    let marks = [("p50", p50_ms), ("p95", p95_ms), ("p99", p99_ms)].map(|(name, at)| (place(at), name.to_owned()));
    let ends = [classes.first().map(|class| class.from_ms), classes.last().map(|class| class.below_ms)];
    let labels: Vec<Label> =
        [0.0, 1.0].into_iter().zip(ends).filter_map(|(place, at)| Some((place, format!("{} ms", at?)))).collect();
    bars("Answers by the time they took", &all, &labels, &marks)
}

fn batches(report: &Report) -> String {
    let complete: Vec<&BatchRow> = report.batches.iter().filter(|batch| batch.per_second.is_some()).collect();
    let told = |batch: &&BatchRow| Bar {
        value: batch.per_second.unwrap_or_default(),
        told: format!(
            "batch {} of {}: {} in {:.1} s",
            batch.index,
            number(batch.recipients),
            format_args!("{:.1} a second", batch.per_second.unwrap_or_default()),
            batch.seconds.unwrap_or_default()
        ),
    };
    let mut text = String::new();
    if let (Some(first), Some(last)) = (complete.first(), complete.last()) {
        let all: Vec<Bar> = complete.iter().map(told).collect();
        let labels = [(0.0, format!("batch {}", first.index)), (1.0, format!("batch {}", last.index))];
        let labels = if complete.len() == 1 { &labels[..1] } else { &labels[..] };
        text.push_str(&bars("Recipients settled a second, by batch", &all, labels, &[]));
    }
    text.push_str(&latencies_by_batch(&report.batches));
    text.push_str(&sizes(&report.batch_sizes));
    text.push_str(&batch_table(&report.batches));
    text
}

/// What batches of each size took, as a picture and in figures.
fn sizes(sizes: &[SizeRow]) -> String {
    if sizes.is_empty() {
        return String::new();
    }
    let told = |size: &SizeRow| Bar {
        value: size.per_second,
        told: format!(
            "{} of {}: {:.1} a second, {:.1} s each",
            counted(size.batches, "batch", "batches"),
            counted(size.recipients, "recipient", "recipients"),
            size.per_second,
            size.seconds
        ),
    };
    let all: Vec<Bar> = sizes.iter().map(told).collect();
    let middle = |place: usize| (place as f64 + 0.5) / sizes.len() as f64;
    let step = sizes.len().div_ceil(MAX_SIZE_LABELS);
    let labels = sizes.iter().enumerate().step_by(step);
    let labels: Vec<Label> = labels.map(|(place, size)| (middle(place), number(size.recipients))).collect();
    let row = |size: &SizeRow| {
        let answers = size.latency.as_ref().map(three).unwrap_or_default();
        let (recipients, batches) = (number(size.recipients), number(size.batches));
        cells(&[recipients, batches, format!("{:.1}", size.seconds), format!("{:.1}", size.per_second), answers])
    };
    let header = ["Batch size", "Batches", "Seconds each", "Settled a second", "Answers, p50 / p95 / p99 ms"];
    let rows: String = sizes.iter().map(row).collect();
    format!(
        "{}<table>\n{}{rows}</table>\n",
        bars("Recipients settled a second, by batch size", &all, &labels, &[]),
        headings(&header)
    )
}

fn headings(names: &[&str]) -> String {
    let cells: String = names.iter().map(|name| format!("<th class=\"number\">{name}</th>")).collect();
    format!("<tr>{cells}</tr>\n")
}

/// A row of figures.
fn cells(figures: &[String]) -> String {
    let cells: String = figures.iter().map(|figure| format!("<td class=\"number\">{figure}</td>")).collect();
    format!("<tr>{cells}</tr>\n")
}

/// A row for each batch. Few are shown at once, many when they are asked for; without a script.
fn batch_table(batches: &[BatchRow]) -> String {
    if batches.is_empty() {
        return String::new();
    }
    let header = [
        "Batch",
        "Recipients",
        "Sent",
        "Failed",
        "Skipped",
        "Unknown",
        "Pending",
        "API calls",
        "Retries",
        "Taken over",
        "Seconds",
        "A second",
        "p50 ms",
        "p95 ms",
        "p99 ms",
    ];
    let rows: String = batches.iter().take(MAX_BATCH_ROWS).map(batch_row).collect();
    let open = if batches.len() <= MAX_OPEN_ROWS { " open" } else { "" };
    let more = batches.len().saturating_sub(MAX_BATCH_ROWS);
    let more = if more == 0 { String::new() } else { format!("<p>and {} more</p>\n", number(more as i64)) };
    format!(
        "<details{open}><summary>Each batch ({})</summary>\n<div class=\"wide\"><table>\n{}{rows}</table>\n{more}</div></details>\n",
        number(batches.len() as i64),
        headings(&header)
    )
}

fn batch_row(batch: &BatchRow) -> String {
    let fraction = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
    let quantile = |figure: fn(&Quantiles) -> u64| {
        batch.latency.as_ref().map(|latency| number(figure(latency) as i64)).unwrap_or_default()
    };
    cells(&[
        batch.index.to_string(),
        number(batch.recipients),
        number(batch.sent),
        number(batch.failed),
        number(batch.skipped),
        number(batch.unknown),
        number(batch.pending),
        batch.requests.map(number).unwrap_or_default(),
        number(batch.retries),
        number(batch.reclaims),
        fraction(batch.seconds),
        fraction(batch.per_second),
        quantile(|latency| latency.p50_ms),
        quantile(|latency| latency.p95_ms),
        quantile(|latency| latency.p99_ms),
    ])
}

/// Of each batch with an answer.
fn latencies_by_batch(batches: &[BatchRow]) -> String {
    let told: Vec<(i64, Quantiles)> = batches.iter().filter_map(|batch| Some((batch.index, batch.latency?))).collect();
    let (Some((first, _)), Some((last, _))) = (told.first(), told.last()) else { return String::new() };
    let curve = |name, figure: fn(&Quantiles) -> u64| Curve {
        name,
        style: name,
        values: told.iter().map(|(_, latency)| figure(latency) as f64).collect(),
    };
    let three = [
        curve("p50", |latency| latency.p50_ms),
        curve("p95", |latency| latency.p95_ms),
        curve("p99", |latency| latency.p99_ms),
    ];
    let labels = [(0.0, format!("batch {first}")), (1.0, format!("batch {last}"))];
    curves("Milliseconds to an answer, by batch", &three, if told.len() == 1 { &labels[..1] } else { &labels })
}
