//! A report: the figures of a status, with what follows from them, in the forms that people file away. Nobody is named.

use jiff::Timestamp;
use serde::Serialize;

use super::words::{duration, holds, number};
use crate::api::broadcast_status::{ReasonCount, ReasonOutcome, RecipientSums};
use crate::api::{BroadcastMessage, MessageBatch};

/// The figures of one broadcast.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub namespace: String,
    pub name: String,
    pub idempotency_key: String,
    pub channel: String,
    /// As the status says it; how it ended, where it has.
    pub state: String,
    pub end: Option<String>,
    pub first_attempt_time: Option<Timestamp>,
    pub completion_time: Option<Timestamp>,
    pub duration_seconds: Option<i64>,
    pub recipients: RecipientSums,
    /// Each recipient is in one of these: the sent, the pending, and the others by their reasons.
    pub outcomes: Vec<OutcomeRow>,
    /// Recipients that were named more than once, and those left out; beside the planned.
    pub duplicates: i64,
    pub excluded: i64,
    pub batches: usize,
    /// Attempts beyond the first of each recipient, and batches taken over from lost senders.
    pub retries: i64,
    pub reclaims: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeRow {
    pub outcome: &'static str,
    /// Empty where outcomes have none, and for all whose reasons are too many to be told apart.
    pub reason: String,
    pub code: String,
    pub count: i64,
}

impl Report {
    /// `None` before there is a plan.
    pub fn of(broadcast: &BroadcastMessage, batches: &[MessageBatch]) -> Option<Report> {
        let status = broadcast.status.as_ref()?;
        let recipients = status.recipients?;
        let (begun, ended) = (status.first_attempt_time, status.completion_time);
        let plan = status.plan.as_ref();
        let of_batches = |figure: fn(&crate::api::MessageBatchStatus) -> Option<i64>| {
            batches.iter().filter_map(|batch| batch.status.as_ref().and_then(figure)).sum()
        };
        Some(Report {
            namespace: broadcast.metadata.namespace.clone().unwrap_or_default(),
            name: broadcast.metadata.name.clone().unwrap_or_default(),
            idempotency_key: status.idempotency_key.clone().unwrap_or_default(),
            channel: broadcast.spec.channel_ref.name.clone(),
            state: status.state.map(|state| format!("{state:?}")).unwrap_or_default(),
            end: holds(status, "Finished").map(|finished| finished.reason.clone()),
            first_attempt_time: begun,
            completion_time: ended,
            duration_seconds: begun.zip(ended).map(|(begun, ended)| ended.as_second() - begun.as_second()),
            recipients,
            outcomes: outcomes(&recipients, &status.reasons),
            duplicates: plan.map(|plan| plan.duplicates).unwrap_or_default(),
            excluded: plan.map(|plan| plan.excluded).unwrap_or_default(),
            batches: batches.len(),
            retries: of_batches(|status| status.retries),
            reclaims: of_batches(|status| status.reclaims),
        })
    }
}

/// A status names the most frequent reasons alone: the rest of each outcome stands without one.
fn outcomes(sums: &RecipientSums, reasons: &[ReasonCount]) -> Vec<OutcomeRow> {
    let row = |outcome, reason: &str, code: &str, count| OutcomeRow {
        outcome,
        reason: reason.to_owned(),
        code: code.to_owned(),
        count,
    };
    let mut rows = vec![row("Sent", "", "", sums.sent)];
    for (outcome, name, count) in [
        (ReasonOutcome::Failed, "Failed", sums.failed),
        (ReasonOutcome::Skipped, "Skipped", sums.skipped),
        (ReasonOutcome::Unknown, "Unknown", sums.unknown),
    ] {
        let named = reasons.iter().filter(|reason| reason.outcome == outcome);
        let mut left = count;
        for reason in named {
            rows.push(row(name, &reason.reason, reason.code.as_deref().unwrap_or_default(), reason.count));
            left -= reason.count;
        }
        if left > 0 {
            rows.push(row(name, "", "", left));
        }
    }
    if sums.pending > 0 {
        rows.push(row("Pending", "", "", sums.pending));
    }
    rows
}

/// One object.
pub fn json(report: &Report) -> String {
    // Plain data with text keys: there is nothing in it that JSON could not hold.
    format!("{}\n", serde_json::to_string_pretty(report).unwrap_or_default())
}

/// One row for each outcome and reason.
pub fn csv(report: &Report) -> String {
    let cell = |text: &str| {
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut text = "outcome,reason,code,count\n".to_owned();
    for row in &report.outcomes {
        text.push_str(&format!("{},{},{},{}\n", row.outcome, cell(&row.reason), cell(&row.code), row.count));
    }
    text
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.25rem 1.5rem .25rem 0;border-bottom:1px solid #ddd}\
td.number{text-align:right;font-variant-numeric:tabular-nums}";

/// A page that needs nothing else.
pub fn html(report: &Report) -> String {
    let facts = [
        ("Key", report.idempotency_key.clone()),
        ("Channel", report.channel.clone()),
        ("State", report.state.clone()),
        ("End", report.end.clone().unwrap_or_default()),
        ("First attempt", report.first_attempt_time.map(|at| at.to_string()).unwrap_or_default()),
        ("Completed", report.completion_time.map(|at| at.to_string()).unwrap_or_default()),
        ("Duration", report.duration_seconds.map(duration).unwrap_or_default()),
        ("Planned", number(report.recipients.planned)),
        ("Named more than once", number(report.duplicates)),
        ("Left out", number(report.excluded)),
        ("Attempts beyond the first", number(report.retries)),
        ("Batches", report.batches.to_string()),
        ("Batches taken over from lost senders", number(report.reclaims)),
    ];
    let facts: String = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escaped(value)))
        .collect();
    let share = |count: i64| {
        let planned = report.recipients.planned.max(1);
        format!("{:.1} %", count as f64 * 100.0 / planned as f64)
    };
    let rows: String = report
        .outcomes
        .iter()
        .map(|row| {
            let (reason, code) = (escaped(&row.reason), escaped(&row.code));
            let (outcome, count, share) = (row.outcome, number(row.count), share(row.count));
            format!(
                "<tr><td>{outcome}</td><td>{reason}</td><td>{code}</td><td class=\"number\">{count}</td><td class=\"number\">{share}</td></tr>\n"
            )
        })
        .collect();
    let title = escaped(&format!("{}/{}", report.namespace, report.name));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>\n<h1>{title}</h1>\n<table>\n{facts}</table>\n\
         <table>\n<tr><th>Outcome</th><th>Reason</th><th>Code</th><th>Recipients</th><th>Share</th></tr>\n{rows}</table>\n\
         </body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report() -> Report {
        let broadcast: BroadcastMessage = serde_json::from_value(json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
            "metadata": {"name": "spring", "namespace": "marketing"},
            "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "24005550001"}]},
                "content": {"text": "Hi"}},
            "status": {
                "state": "Complete", "idempotencyKey": "spring-2026",
                "conditions": [{"type": "Finished", "status": "True", "reason": "DeliveredWithFailures", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "recipients": {"planned": 100, "pending": 0, "sent": 88, "failed": 9, "skipped": 1, "unknown": 2},
                "reasons": [{"outcome": "Failed", "reason": "NoSuchUser", "code": "5,51", "count": 6},
                    {"outcome": "Skipped", "reason": "Expired", "count": 1},
                    {"outcome": "Unknown", "reason": "NoAnswer", "code": "<b>", "count": 2}],
                "plan": {"hash": "sha256:1", "duplicates": 3, "excluded": 4, "samples": ["Hi Ana"]},
                "firstAttemptTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:05Z",
            },
        }))
        .unwrap();
        let batch = |retries: i64| -> MessageBatch {
            serde_json::from_value(json!({
                "apiVersion": "herald.dev/v1alpha1", "kind": "MessageBatch", "metadata": {"name": "b"},
                "spec": {"broadcastRef": {"name": "spring"}, "index": 0, "firstRecipient": 0, "recipientCount": 50},
                "status": {"retries": retries, "reclaims": 1},
            }))
            .unwrap()
        };
        Report::of(&broadcast, &[batch(2), batch(3)]).unwrap()
    }

    #[test]
    fn everybody_planned_is_in_one_row_though_only_some_reasons_are_told_apart() {
        let report = report();
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

    #[test]
    fn all_forms_say_the_same_and_none_names_a_recipient() {
        let report = report();
        let (json, csv, html) = (json(&report), csv(&report), html(&report));
        let back: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["recipients"]["sent"], 88);
        assert_eq!(back["end"], "DeliveredWithFailures");
        assert_eq!(csv.lines().nth(2), Some("Failed,NoSuchUser,\"5,51\",6"));
        assert!(html.contains("<td>Failed</td><td>NoSuchUser</td><td>5,51</td>"), "{html}");
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"), "what others wrote is text");
        for text in [json, csv, html] {
            assert!(!text.contains("24005550001") && !text.contains("Hi Ana"), "{text}");
        }
    }

    #[test]
    fn before_there_is_a_plan_there_is_no_report() {
        let broadcast: BroadcastMessage = serde_json::from_value(json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage", "metadata": {"name": "spring"},
            "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
        }))
        .unwrap();
        assert_eq!(Report::of(&broadcast, &[]), None);
    }
}
