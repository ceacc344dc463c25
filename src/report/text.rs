//! A report for a terminal.

use super::summary::{BatchRow, Latency, Pace, Report};
use super::table::table;
use super::words::{clean, counted, duration, line, number};

/// As many columns as fit beside an indent.
const SPARK_COLUMNS: usize = 60;
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The most batches that are shown.
const MAX_BATCH_ROWS: usize = 12;
/// The longest reason or code that is shown, in characters.
const MAX_WORD: usize = 60;

pub fn text(report: &Report) -> String {
    let end = report.end.as_ref().map(|end| format!(" ({})", clean(end))).unwrap_or_default();
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
    text.push_str(&report.latency.as_ref().map(latency).unwrap_or_default());
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
            report.requests_per_sent().map(|each| format!(", {each:.3} for each message sent")).unwrap_or_default();
        parts.insert(0, format!("{}{each}", counted(requests as i64, "API call", "API calls")));
    }
    format!("\n{}\n", parts.join("; "))
}

fn latency(latency: &Latency) -> String {
    let Latency { p50_ms, p95_ms, p99_ms, .. } = latency;
    format!("Answers: p50 {p50_ms} ms, p95 {p95_ms} ms, p99 {p99_ms} ms\n")
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

/// A curve of at most [`SPARK_COLUMNS`] characters; each is the average of the values that it stands for.
fn sparkline(values: &[f64]) -> String {
    let each = values.len().div_ceil(SPARK_COLUMNS).max(1);
    let columns: Vec<f64> = values.chunks(each).map(|chunk| chunk.iter().sum::<f64>() / chunk.len() as f64).collect();
    let most = columns.iter().copied().fold(0.0, f64::max);
    let spark = |value: &f64| match most > 0.0 {
        true => SPARKS[((value / most * (SPARKS.len() - 1) as f64).round() as usize).min(SPARKS.len() - 1)],
        false => SPARKS[0],
    };
    columns.iter().map(spark).collect()
}

fn batches(report: &Report) -> String {
    if report.batches.is_empty() {
        return String::new();
    }
    let sizes = report.batch_sizes.iter().map(|size| {
        let each = counted(size.recipients, "recipient", "recipients");
        let batches = counted(size.batches, "batch", "batches");
        format!("  {batches} of {each}: {:.1} s each, {:.1} a second\n", size.seconds, size.per_second)
    });
    let sizes: String = sizes.collect();
    let rows: Vec<[String; 8]> = report.batches.iter().take(MAX_BATCH_ROWS).map(batch_row).collect();
    let header = ["BATCH", "RECIPIENTS", "SENT", "FAILED", "UNKNOWN", "RETRIES", "SECONDS", "A SECOND"];
    let mut text = format!("\nBatches: {}\n{sizes}{}", number(report.batches.len() as i64), table(header, &rows));
    if report.batches.len() > MAX_BATCH_ROWS {
        let more = report.batches.len() - MAX_BATCH_ROWS;
        text.push_str(&format!("  and {more} more; -o csv --table batches has all\n"));
    }
    text
}

fn batch_row(batch: &BatchRow) -> [String; 8] {
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
            "  2 batches of 50 recipients: 20.0 s each, 2.5 a second\n",
        ] {
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
        assert!(!told.contains('\u{1b}'), "what others wrote moves no cursor");
    }

    #[test]
    fn without_the_ledger_nothing_over_time_is_told() {
        let told = text(&from_batches());
        assert!(!told.contains("API call") && !told.contains("Answers") && !told.contains("Requests"), "{told}");
        assert!(told.contains("5 retries; 2 batches taken over"), "{told}");
    }

    #[test]
    fn a_curve_is_as_high_as_its_highest_part_and_no_longer_than_a_line() {
        assert_eq!(sparkline(&[0.0, 4.0, 8.0]), "▁▅█");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[1.0; 256]).chars().count(), 52);
        assert_eq!(sparkline(&[]), "");
    }
}
