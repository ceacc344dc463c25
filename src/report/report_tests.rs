//! All forms of one report.

use serde_json::{Value, json};

use super::*;
use crate::delivery::pace_history::Deeds;
use crate::delivery::time::{Span, Timestamp as At};
use crate::report::csv::{Table, csv};
use crate::report::html::html;
use crate::report::json;

fn status() -> BroadcastMessageStatus {
    serde_json::from_value(json!({
        "state": "Complete", "idempotencyKey": "spring-2026",
        "conditions": [{"type": "Finished", "status": "True", "reason": "DeliveredWithFailures", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "recipients": {"planned": 100, "pending": 0, "sent": 88, "failed": 9, "skipped": 1, "unknown": 2},
        "reasons": [{"outcome": "Failed", "reason": "NoSuchUser", "code": "5,51", "count": 6},
            {"outcome": "Skipped", "reason": "Expired", "count": 1},
            {"outcome": "Unknown", "reason": "NoAnswer", "code": "<b>\u{1b}[2J", "count": 2}],
        "plan": {"hash": "sha256:1", "duplicates": 3, "excluded": 4, "samples": ["Hi Ana"]},
        "firstAttemptTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:05Z",
    }))
    .unwrap()
}

fn batches() -> Vec<BatchFigures> {
    let begun = At::from_secs(1_767_225_600);
    let batch = |index: i64, retries: i64| BatchFigures {
        index,
        recipients: 50,
        sent: 44,
        failed: 6,
        requests: 55,
        retries,
        reclaims: 1,
        latency: spread(100 + index as u64 * 55, 55),
        started_at: Some(begun),
        completed_at: Some(begun + Span::from_secs(20)),
        ..BatchFigures::default()
    };
    vec![batch(0, 2), batch(1, 3)]
}

/// So many answers, each a millisecond later than the one before.
fn spread(first_ms: u64, count: u64) -> Histogram {
    let mut latency = Histogram::default();
    (first_ms..first_ms + count).for_each(|took| latency.add(took));
    latency
}

fn of(source: Source) -> Report {
    let status = status();
    Report::of(Subject { namespace: "marketing", name: "spring", channel: "page", status: &status }, &source).unwrap()
}

pub fn from_batches() -> Report {
    let without_latency = |batch| BatchFigures { latency: Histogram::default(), ..batch };
    of(Source::Batches(batches().into_iter().map(without_latency).collect()))
}

/// 110 requests in 64 seconds, two in each but for the last ones.
pub fn from_ledger() -> Report {
    let mut figures = Figures { causes: of_status(&status().reasons), batches: batches(), ..Figures::default() };
    for request in 0..110 {
        let deeds = Deeds { requests: 1, sent: u64::from(request < 88), ..Deeds::default() };
        figures.pace.add(At::from_secs(1_767_225_600 + request / 2 + request / 109 * 9), &deeds);
        figures.latency.add(100 + request as u64);
    }
    of(Source::Ledger(Box::new(figures)))
}

#[test]
fn everybody_planned_is_in_one_row_though_only_some_reasons_are_told_apart() {
    for report in [from_batches(), from_ledger()] {
        let rows: Vec<(&str, &str, i64)> =
            report.outcomes.iter().map(|row| (row.outcome, row.reason.as_str(), row.count)).collect();
        let expected = [
            ("Sent", "", 88),
            ("Failed", "NoSuchUser", 6),
            ("Failed", "", 3),
            ("Skipped", "Expired", 1),
            ("Unknown", "NoAnswer", 2),
        ];
        assert_eq!(rows, expected);
        assert_eq!(report.outcomes.iter().map(|row| row.count).sum::<i64>(), report.recipients.planned);
        assert_eq!((report.retries, report.reclaims, report.duration_seconds), (5, 2, Some(65)));
    }
}

#[test]
fn what_the_ledger_has_counted_becomes_rates_quantiles_and_cost() {
    let report = from_ledger();
    assert_eq!(report.requests, Some(110));
    let latency = report.latency.as_ref().unwrap();
    // Within its class, of which a bound is a quarter more than the other at most.
    let Quantiles { p50_ms, p95_ms, p99_ms } = latency.quantiles;
    assert!((140..=170).contains(&p50_ms) && (190..=224).contains(&p99_ms), "{latency:?}");
    assert!(p50_ms <= p95_ms && p95_ms <= p99_ms);
    assert_eq!(report.requests_per_sent, Some(1.25));
    assert_eq!(latency.classes.iter().map(|class| class.count).sum::<u64>(), 110);
    let pace = report.pace.as_ref().unwrap();
    assert_eq!((pace.span_seconds, pace.spans.len()), (1, 64));
    assert_eq!(pace.spans.iter().map(|span| span.sent).sum::<u64>(), 88);
    assert_eq!(report.batches[1].per_second, Some(2.5));
    // The first batch had the quicker answers; both together are the whole.
    let of_batches: Vec<Quantiles> = report.batches.iter().map(|batch| batch.latency.unwrap()).collect();
    assert!(
        (115..=140).contains(&of_batches[0].p50_ms) && (165..=200).contains(&of_batches[1].p50_ms),
        "{of_batches:?}"
    );
    let size = SizeRow { recipients: 50, batches: 2, seconds: 20.0, per_second: 2.5, latency: Some(latency.quantiles) };
    assert_eq!(report.batch_sizes, [size]);
    let without = from_batches();
    assert_eq!((without.requests, without.latency, without.pace), (None, None, None));
    assert_eq!((without.batches[0].requests, without.batches[0].latency), (None, None));
    assert_eq!(without.batch_sizes, [SizeRow { latency: None, ..size }]);
}

#[test]
fn all_forms_say_the_same_and_none_names_a_recipient() {
    let report = from_ledger();
    let (json, page) = (json(&report), html(&report));
    let tables = [Table::Outcomes, Table::Pace, Table::Latency, Table::Batches, Table::Sizes, Table::Summary];
    let tables = tables.map(|table| csv(&report, table));
    let back: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&back["recipients"]["sent"], &back["requests"]), (&88.into(), &110.into()));
    assert_eq!(back["end"], "DeliveredWithFailures");
    assert_eq!(back["requestsPerSent"], 1.25);
    for latency in [&back["latency"], &back["batches"][1]["latency"], &back["batchSizes"][0]["latency"]] {
        assert!(latency["p50Ms"].is_u64() && latency["p95Ms"].is_u64() && latency["p99Ms"].is_u64(), "{latency}");
    }
    assert_eq!(
        back["pace"]["spans"][0],
        json!({"begin": "2026-01-01T00:00:00Z", "requests": 2, "sent": 2, "failed": 0, "unknown": 0})
    );
    assert_eq!(tables[0].lines().nth(2), Some("Failed,NoSuchUser,\"5,51\",6"));
    assert_eq!(tables[1].lines().nth(1), Some("2026-01-01T00:00:00Z,1,2,2,0,0"));
    assert_eq!(tables[3].lines().nth(2).unwrap().split(',').nth(7), Some("55"));
    let slowest = report.batches[1].latency.unwrap().p99_ms.to_string();
    assert_eq!(tables[3].lines().nth(2).unwrap().split(',').next_back(), Some(slowest.as_str()));
    let Quantiles { p50_ms, p95_ms, p99_ms } = report.latency.as_ref().unwrap().quantiles;
    assert_eq!(tables[4].lines().nth(1), Some(format!("50,2,20.000,2.50,{p50_ms},{p95_ms},{p99_ms}").as_str()));
    let totals: Vec<(&str, &str)> = tables[5].lines().next().unwrap().split(',').zip(row(&tables[5], 1)).collect();
    let quantiles = [p50_ms, p95_ms, p99_ms].map(|figure| figure.to_string());
    for expected in [
        ("name", "spring"),
        ("end", "DeliveredWithFailures"),
        ("seconds", "65"),
        ("sent", "88"),
        ("excluded", "4"),
        ("retries", "5"),
        ("requests", "110"),
        ("requests_per_sent", "1.250"),
        ("p50_ms", &quantiles[0]),
        ("p95_ms", &quantiles[1]),
        ("p99_ms", &quantiles[2]),
    ] {
        assert!(totals.contains(&expected), "{expected:?} is not in {totals:?}");
    }
    for table in &tables {
        let width = |line: &str| csv_width(line);
        assert!(
            table.lines().count() > 1 && table.lines().all(|line| width(line) == width(table.lines().next().unwrap()))
        );
    }
    assert!(page.contains("<td>Failed</td><td>NoSuchUser</td><td>5,51</td>"), "{page}");
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "what others wrote is text");
    for text in tables.iter().chain([&json, &page]) {
        assert!(!text.contains("Hi Ana"), "{text}");
    }
}

/// The cells of a line that has none with a comma.
fn row(table: &str, line: usize) -> impl Iterator<Item = &str> {
    table.lines().nth(line).unwrap().split(',')
}

fn csv_width(line: &str) -> usize {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    reader.records().next().unwrap().unwrap().len()
}

#[test]
fn a_page_has_its_plots_and_asks_nobody_for_anything() {
    let page = html(&from_ledger());
    for part in [
        "A second, over spans of 1 s",
        "Answers by the time they took",
        "Recipients settled a second, by batch",
        "Milliseconds to an answer, by batch",
        "Recipients settled a second, by batch size",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<svg").count(), 5);
    assert_eq!(page.matches("<polyline").count(), 6);
    assert!(
        [">p50<", ">p95<", ">p99<", "<td>110</td>", "<td>1.250</td>"].iter().all(|part| page.contains(part)),
        "{page}"
    );
    assert_eq!(page.matches("<rect").count(), from_ledger().latency.unwrap().classes.len() + 3);
    for elsewhere in ["http://", "https://", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    let without = html(&from_batches());
    assert_eq!(without.matches("<svg").count(), 2, "batches alone, one by one and by size");
}

#[test]
fn a_page_has_a_row_for_each_batch_and_folds_many_up() {
    let page = html(&from_ledger());
    let Quantiles { p50_ms, p95_ms, p99_ms } = from_ledger().batches[1].latency.unwrap();
    let cells = ["1", "50", "44", "6", "0", "0", "0", "55", "3", "1", "20.0", "2.5"].map(str::to_owned);
    let cells = cells.into_iter().chain([p50_ms, p95_ms, p99_ms].map(|figure| figure.to_string()));
    let row: String = cells.map(|cell| format!("<td class=\"number\">{cell}</td>")).collect();
    assert!(page.contains(&format!("<tr>{row}</tr>")) && page.contains("<details open>"), "{row} is not in {page}");

    let many = html(&of(Source::Batches(
        (0..600).map(|index| BatchFigures { index, recipients: 50, ..BatchFigures::default() }).collect(),
    )));
    assert_eq!(many.matches("<tr><td class=\"number\">").count(), 500, "as many as a broadcast has");
    assert!(many.contains("<details><summary>Each batch (600)</summary>") && many.contains("and 100 more"));
    assert!(many.len() < 400_000, "{}", many.len());
}

#[test]
fn batches_of_many_sizes_have_a_bar_each_and_no_more_words_than_fit() {
    let begun = At::from_secs(1_767_225_600);
    let batch = |recipients: i64| BatchFigures {
        recipients,
        started_at: Some(begun),
        completed_at: Some(begun + Span::from_secs(10)),
        ..BatchFigures::default()
    };
    let page = html(&of(Source::Batches((1..=40).map(batch).collect())));
    let plot = page.split("<figure>").find(|figure| figure.contains("by batch size")).unwrap();
    assert_eq!(plot.matches("<rect").count(), 40);
    assert_eq!(plot.matches(&format!("y=\"{:.1}\"", 208.0)).count(), 8, "{plot}");
}

#[test]
fn before_there_is_a_plan_there_is_no_report() {
    let status = BroadcastMessageStatus::default();
    let subject = Subject { namespace: "marketing", name: "spring", channel: "page", status: &status };
    assert_eq!(Report::of(subject, &Source::Batches(vec![])), None);
}
