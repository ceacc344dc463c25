//! A report: what a status says of a broadcast and what the ledger has counted of it, with what follows from both.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::broadcast_status::{ReasonCount, ReasonOutcome, RecipientSums};
use crate::api::{BroadcastMessageStatus, Condition, ConditionStatus};
use crate::delivery::histogram::Histogram;
use crate::delivery::pace_history::PaceHistory;
use crate::ledger::figures::{BatchFigures, CauseFigures, Figures};
use crate::ledger::results::ResultOutcome;
use crate::ledger::status::instant;

/// Whose figures they are, and how it stands.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub channel: &'a str,
    pub status: &'a BroadcastMessageStatus,
}

/// Where the figures beyond the status are from.
#[derive(Clone, Debug)]
pub enum Source {
    Ledger(Box<Figures>),
    /// Without the ledger: nothing over time, and no requests.
    Batches(Vec<BatchFigures>),
}

/// The figures of one broadcast. What only the ledger knows is `None` where it was not read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub namespace: String,
    pub name: String,
    pub idempotency_key: String,
    pub channel: String,
    /// As the status says it.
    pub state: String,
    /// How it ended, where it has.
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
    /// Attempts beyond the first of each recipient, and batches taken over from lost senders.
    pub retries: i64,
    pub reclaims: i64,
    /// Calls of the provider's API, and for each message that it took; without the latter where it took none.
    pub requests: Option<u64>,
    pub requests_per_sent: Option<f64>,
    pub latency: Option<Latency>,
    pub pace: Option<Pace>,
    pub batches: Vec<BatchRow>,
    pub batch_sizes: Vec<SizeRow>,
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

/// How long the provider took to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    #[serde(flatten)]
    pub quantiles: Quantiles,
    pub classes: Vec<LatencyClass>,
}

/// So many milliseconds or fewer half of the answers took, 95 of a hundred, and 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub p99_ms: u64,
}

/// Answers that took from so many milliseconds on, and less than so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyClass {
    pub from_ms: u64,
    pub below_ms: u64,
    pub count: u64,
}

/// What happened when.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// The length of each span.
    pub span_seconds: i64,
    pub spans: Vec<PaceSpan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaceSpan {
    pub begin: Timestamp,
    pub requests: u64,
    pub sent: u64,
    pub failed: u64,
    pub unknown: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchRow {
    pub index: i64,
    pub recipients: i64,
    pub sent: i64,
    pub failed: i64,
    pub skipped: i64,
    pub unknown: i64,
    pub pending: i64,
    pub requests: Option<i64>,
    pub retries: i64,
    pub reclaims: i64,
    pub start_time: Option<Timestamp>,
    pub completion_time: Option<Timestamp>,
    /// From its first claim until its last recipient was settled, and how many were settled in each second of it.
    pub seconds: Option<f64>,
    pub per_second: Option<f64>,
    pub latency: Option<Quantiles>,
}

/// All complete batches of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SizeRow {
    pub recipients: i64,
    pub batches: i64,
    /// Of one of them, on average.
    pub seconds: f64,
    pub per_second: f64,
    /// Of all their answers.
    pub latency: Option<Quantiles>,
}

impl Report {
    /// `None` before there is a plan.
    pub fn of(subject: Subject<'_>, source: &Source) -> Option<Report> {
        let Subject { status, .. } = subject;
        let recipients = status.recipients?;
        let (begun, ended) = (status.first_attempt_time, status.completion_time);
        let plan = status.plan.as_ref();
        let (figures, batches) = match source {
            Source::Ledger(figures) => (Some(figures.as_ref()), &figures.batches),
            Source::Batches(batches) => (None, batches),
        };
        let batch_sizes = sizes(batches);
        let batches: Vec<BatchRow> = batches.iter().map(|batch| batch_row(batch, figures.is_some())).collect();
        let requests = figures.map(|figures| figures.pace.sum().requests);
        let causes = figures.map_or_else(|| of_status(&status.reasons), |figures| figures.causes.clone());
        Some(Report {
            namespace: subject.namespace.to_owned(),
            name: subject.name.to_owned(),
            idempotency_key: status.idempotency_key.clone().unwrap_or_default(),
            channel: subject.channel.to_owned(),
            state: status.state.map(|state| format!("{state:?}")).unwrap_or_default(),
            end: end(status),
            first_attempt_time: begun,
            completion_time: ended,
            duration_seconds: begun.zip(ended).map(|(begun, ended)| ended.as_second() - begun.as_second()),
            recipients,
            outcomes: outcomes(&recipients, &causes),
            duplicates: plan.map(|plan| plan.duplicates).unwrap_or_default(),
            excluded: plan.map(|plan| plan.excluded).unwrap_or_default(),
            retries: batches.iter().map(|batch| batch.retries).sum(),
            reclaims: batches.iter().map(|batch| batch.reclaims).sum(),
            requests,
            requests_per_sent: requests.filter(|_| recipients.sent > 0).map(|all| all as f64 / recipients.sent as f64),
            latency: figures.and_then(|figures| latency(&figures.latency)),
            pace: figures.map(|figures| pace(&figures.pace)),
            batch_sizes,
            batches,
        })
    }
}

fn end(status: &BroadcastMessageStatus) -> Option<String> {
    let finished = Condition::find(&status.conditions, "Finished")?;
    (finished.status == ConditionStatus::True).then(|| finished.reason.clone())
}

fn of_status(reasons: &[ReasonCount]) -> Vec<CauseFigures> {
    let cause = |reason: &ReasonCount| CauseFigures {
        outcome: match reason.outcome {
            ReasonOutcome::Failed => ResultOutcome::Failed,
            ReasonOutcome::Skipped => ResultOutcome::Skipped,
            ReasonOutcome::Unknown => ResultOutcome::Unknown,
        },
        reason: reason.reason.clone(),
        code: reason.code.clone(),
        count: reason.count,
    };
    reasons.iter().map(cause).collect()
}

/// Only so many causes are named: the rest of each outcome stands without one.
fn outcomes(sums: &RecipientSums, causes: &[CauseFigures]) -> Vec<OutcomeRow> {
    let row = |outcome: ResultOutcome, reason: &str, code: &str, count| OutcomeRow {
        outcome: outcome.as_str(),
        reason: reason.to_owned(),
        code: code.to_owned(),
        count,
    };
    let mut rows = vec![row(ResultOutcome::Sent, "", "", sums.sent)];
    for (outcome, count) in [
        (ResultOutcome::Failed, sums.failed),
        (ResultOutcome::Skipped, sums.skipped),
        (ResultOutcome::Unknown, sums.unknown),
    ] {
        let mut left = count;
        for cause in causes.iter().filter(|cause| cause.outcome == outcome) {
            rows.push(row(outcome, &cause.reason, cause.code.as_deref().unwrap_or_default(), cause.count));
            left -= cause.count;
        }
        if left > 0 {
            rows.push(row(outcome, "", "", left));
        }
    }
    if sums.pending > 0 {
        rows.push(row(ResultOutcome::Pending, "", "", sums.pending));
    }
    rows
}

fn quantiles(histogram: &Histogram) -> Option<Quantiles> {
    Some(Quantiles {
        p50_ms: histogram.quantile(0.5)?,
        p95_ms: histogram.quantile(0.95)?,
        p99_ms: histogram.quantile(0.99)?,
    })
}

fn latency(histogram: &Histogram) -> Option<Latency> {
    Some(Latency {
        quantiles: quantiles(histogram)?,
        classes: histogram
            .classes()
            .map(|class| LatencyClass { from_ms: class.from_ms, below_ms: class.below_ms, count: class.count })
            .collect(),
    })
}

fn pace(history: &PaceHistory) -> Pace {
    let spans = history.spans().filter_map(|(begin, deeds)| {
        Some(PaceSpan {
            begin: instant(begin)?,
            requests: deeds.requests,
            sent: deeds.sent,
            failed: deeds.failed,
            unknown: deeds.unknown,
        })
    });
    Pace { span_seconds: history.seconds(), spans: spans.collect() }
}

/// How long a complete batch took.
fn seconds(batch: &BatchFigures) -> Option<f64> {
    let took = batch.started_at.zip(batch.completed_at).map(|(begun, ended)| (ended - begun).as_secs_f64());
    took.filter(|took| *took > 0.0 && batch.pending == 0)
}

fn batch_row(batch: &BatchFigures, has_requests: bool) -> BatchRow {
    let seconds = seconds(batch);
    BatchRow {
        index: batch.index,
        recipients: batch.recipients,
        sent: batch.sent,
        failed: batch.failed,
        skipped: batch.skipped,
        unknown: batch.unknown,
        pending: batch.pending,
        requests: has_requests.then_some(batch.requests),
        retries: batch.retries,
        reclaims: batch.reclaims,
        start_time: batch.started_at.and_then(instant),
        completion_time: batch.completed_at.and_then(instant),
        seconds,
        per_second: seconds.map(|seconds| batch.recipients as f64 / seconds),
        latency: quantiles(&batch.latency),
    }
}

fn sizes(batches: &[BatchFigures]) -> Vec<SizeRow> {
    let mut groups: BTreeMap<i64, (i64, f64, Histogram)> = BTreeMap::new();
    for batch in batches {
        if let Some(seconds) = seconds(batch) {
            let (count, sum, latency) = groups.entry(batch.recipients).or_default();
            *count += 1;
            *sum += seconds;
            latency.merge(&batch.latency);
        }
    }
    let row = |(recipients, (batches, sum, latency)): (i64, (i64, f64, Histogram))| SizeRow {
        recipients,
        batches,
        seconds: sum / batches as f64,
        per_second: (recipients * batches) as f64 / sum,
        latency: quantiles(&latency),
    };
    groups.into_iter().map(row).collect()
}

impl Report {
    /// Requests in each second, on average and in the busiest span.
    pub fn speeds(&self) -> Option<(f64, f64)> {
        let pace = self.pace.as_ref().filter(|pace| !pace.spans.is_empty())?;
        let length = pace.span_seconds.max(1) as f64;
        let requests: u64 = pace.spans.iter().map(|span| span.requests).sum();
        let most = pace.spans.iter().map(|span| span.requests).max().unwrap_or_default();
        Some((requests as f64 / (length * pace.spans.len() as f64), most as f64 / length))
    }

    /// Of the planned.
    pub fn share(&self, count: i64) -> String {
        format!("{:.1} %", count as f64 * 100.0 / self.recipients.planned.max(1) as f64)
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
pub mod tests;
