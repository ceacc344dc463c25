//! A report for a terminal.

use super::sparkline::sparkline;
use super::summary::{BatchRow, Pace, Quantiles, Report};
use super::table::table;
use super::words::{self, clean, counted, duration, line, number};

/// The most batches that are shown.
const MAX_BATCH_ROWS: usize = 12;
/// The longest reason or code that is shown, in characters.
const MAX_WORD: usize = 60;

pub fn text(report: &Report) -> String {
    // Where that says more than the state.
    let end = report.end.as_ref().filter(|end| **end != report.state);
    let end = end.map(|end| format!(" ({})", clean(end))).unwrap_or_default();
    let mut text = format!(
        "{}/{} through {}\nState: {}{end}",
        clean(&report.namespace),
        clean(&report.name),
        clean(&report.channel),
        clean(&report.state)
    );
    if let Some(took) = report.duration_seconds {
        text.push_str(&format!(", took {}", duration(took)));
    }
    text.push('\n');
    text.push_str(&sums(report));
    text.push_str(&outcomes(report));
    text.push_str(&cost(report));
    text.push_str(
        &report.latency.as_ref().map(|all| format!("Answers: {}\n", latency(&all.quantiles))).unwrap_or_default(),
    );
    if let (Some(pace), Some(speeds)) = (&report.pace, report.speeds()) {
        text.push_str(&speed(pace, speeds));
    }
    text.push_str(&batches(report));
    text
}

fn sums(report: &Report) -> String {
    let sums = report.recipients;
    let cells = [sums.planned, sums.sent, sums.failed, sums.skipped, sums.unknown, sums.pending].map(number);
    let header = ["PLANNED", "SENT", "FAILED", "SKIPPED", "UNKNOWN", "PENDING"];
    let (duplicates, excluded) = (counted(report.duplicates, "duplicate", "duplicates"), number(report.excluded));
    format!("\n{}  beside them {duplicates} and {excluded} excluded\n", table(header, &[cells]))
}

fn outcomes(report: &Report) -> String {
    let rows = report.outcomes.iter().map(|row| {
        let word = |text: &str| line(text, MAX_WORD);
        [row.outcome.to_owned(), word(&row.reason), word(&row.code), number(row.count), report.share(row.count)]
    });
    let rows: Vec<[String; 5]> = rows.collect();
    format!("\n{}", table(["OUTCOME", "REASON", "CODE", "COUNT", "SHARE"], &rows))
}

fn cost(report: &Report) -> String {
    let mut parts = vec![
        counted(report.retries, "retry", "retries"),
        format!("{} taken over from lost senders", counted(report.reclaims, "batch", "batches")),
    ];
    if let Some(requests) = report.requests {
        let each =
            report.requests_per_sent.map(|each| format!(", {each:.3} for each message sent")).unwrap_or_default();
        parts.insert(0, format!("{}{each}", counted(requests as i64, "API call", "API calls")));
    }
    format!("\n{}\n", parts.join("; "))
}

fn latency(Quantiles { p50_ms, p95_ms, p99_ms }: &Quantiles) -> String {
    words::latency([*p50_ms, *p95_ms, *p99_ms])
}

fn speed(pace: &Pace, (average, most): (f64, f64)) -> String {
    let values: Vec<f64> = pace.spans.iter().map(|span| span.requests as f64).collect();
    let (first, last) = (pace.spans.first().map(|span| span.begin), pace.spans.last().map(|span| span.begin));
    let ends = first.zip(last).map(|(first, last)| format!("  {first} to {last}\n")).unwrap_or_default();
    format!(
        "Requests: {average:.1} a second on average, {most:.1} at most within {}\n  {}\n{ends}",
        duration(pace.span_seconds),
        sparkline(&values)
    )
}

fn batches(report: &Report) -> String {
    if report.batches.is_empty() {
        return String::new();
    }
    let sizes = report.batch_sizes.iter().map(|size| {
        let each = counted(size.recipients, "recipient", "recipients");
        let batches = counted(size.batches, "batch", "batches");
        let answers = size.latency.as_ref().map(|all| format!("; answers {}", latency(all))).unwrap_or_default();
        format!("  {batches} of {each}: {:.1} s each, {:.1} a second{answers}\n", size.seconds, size.per_second)
    });
    let sizes: String = sizes.collect();
    let rows: Vec<[String; 11]> = report.batches.iter().take(MAX_BATCH_ROWS).map(batch_row).collect();
    let header = [
        "BATCH",
        "RECIPIENTS",
        "SENT",
        "FAILED",
        "UNKNOWN",
        "RETRIES",
        "SECONDS",
        "A SECOND",
        "P50 MS",
        "P95 MS",
        "P99 MS",
    ];
    let mut text = format!("\nBatches: {}\n{sizes}{}", number(report.batches.len() as i64), table(header, &rows));
    if report.batches.len() > MAX_BATCH_ROWS {
        let more = report.batches.len() - MAX_BATCH_ROWS;
        text.push_str(&format!("  and {more} more; -o csv --table batches has all\n"));
    }
    text
}

fn batch_row(batch: &BatchRow) -> [String; 11] {
    let [p50, p95, p99] = match batch.latency {
        Some(Quantiles { p50_ms, p95_ms, p99_ms }) => [p50_ms, p95_ms, p99_ms].map(|told| told.to_string()),
        None => Default::default(),
    };
    let fraction = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
    [
        batch.index.to_string(),
        number(batch.recipients),
        number(batch.sent),
        number(batch.failed),
        number(batch.unknown),
        number(batch.retries),
        fraction(batch.seconds),
        fraction(batch.per_second),
        p50,
        p95,
        p99,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::tests::{from_batches, from_ledger};

    #[test]
    fn a_terminal_is_told_rate_latency_causes_and_cost() {
        let told = text(&from_ledger());
        for part in [
            "marketing/spring through page\nState: Complete (DeliveredWithFailures), took 1 min 05 s\n",
            "  Failed   NoSuchUser  5,51     6      6.0 %\n",
            "110 API calls, 1.250 for each message sent; 5 retries; 2 batches taken over from lost senders\n",
            "Answers: p50 ",
            "Requests: 1.7 a second on average, 2.0 at most within 1 s\n",
            "  2 batches of 50 recipients: 20.0 s each, 2.5 a second; answers p50 ",
            "  0      50          44    6       0        2        20.0     2.5       ",
        ] {
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
        assert!(!told.contains('\u{1b}'), "what others wrote moves no cursor");
    }

    #[test]
    fn an_end_that_is_the_state_is_told_once_and_no_answer_takes_no_time() {
        let ended = Report { state: "Cancelled".to_owned(), end: Some("Cancelled".to_owned()), ..from_ledger() };
        assert!(text(&ended).contains("State: Cancelled, took"), "{}", text(&ended));
        assert_eq!(latency(&Quantiles { p50_ms: 0, p95_ms: 1, p99_ms: 2 }), "p50 <1 ms, p95 1 ms, p99 2 ms");
    }

    #[test]
    fn without_the_ledger_nothing_over_time_is_told() {
        let told = text(&from_batches());
        assert!(!told.contains("API call") && !told.contains("Answers") && !told.contains("Requests"), "{told}");
        assert!(told.contains("5 retries; 2 batches taken over"), "{told}");
        assert!(told.contains("  2 batches of 50 recipients: 20.0 s each, 2.5 a second\n"), "{told}");
    }
}
