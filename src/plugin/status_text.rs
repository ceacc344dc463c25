//! How a broadcast stands, in words.

use jiff::Timestamp;

use super::words::{balance, holds};
use crate::api::batch::BatchState;
use crate::api::broadcast_status::{BroadcastMessageStatus, Latency, ReasonOutcome, ReceiptSums, RecentPace};
use crate::api::condition::ConditionStatus;
use crate::api::{BroadcastMessage, MessageBatch};
use crate::report::sparkline::sparkline;
use crate::report::table::table;
use crate::report::words::{self, clean, counted, duration, line, number};

/// The most batches that are shown without being asked for.
const MAX_BATCH_ROWS: usize = 12;
/// The longest message of a condition or batch that is shown, in characters.
const MAX_MESSAGE: usize = 400;
const MAX_BATCH_ERROR: usize = 60;

/// A broadcast and its batches at one moment.
pub struct View {
    pub broadcast: BroadcastMessage,
    pub batches: Vec<MessageBatch>,
    pub now: Timestamp,
}

/// For a log: what changes while it is sent.
pub fn one_line(view: &View) -> String {
    let Some(status) = &view.broadcast.status else { return "not looked at by an operator yet\n".to_owned() };
    let mut parts = vec![state(status)];
    parts.extend(Some(balance(status)).filter(|balance| !balance.is_empty()));
    parts.extend(speed(status, view.now));
    format!("{}\n", parts.join("; "))
}

/// For a person.
pub fn text(view: &View, all_batches: bool) -> String {
    let metadata = &view.broadcast.metadata;
    let (namespace, name) =
        (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let mut text = format!("{namespace}/{name} through {}\n", clean(&view.broadcast.spec.channel_ref.name));
    let Some(status) = &view.broadcast.status else {
        text.push_str("No operator has looked at it yet. Is there one, and does it watch this namespace?\n");
        return text;
    };
    text.push_str(&format!("{}\n", header(view, status)));
    if status.observed_generation < metadata.generation {
        text.push_str("The last edit has not been looked at yet.\n");
    }
    text.push_str(&figures(status, view.now));
    text.push_str(&warnings(status));
    text.push_str(&conditions(status, view.now));
    text.push_str(&reasons(status));
    text.push_str(&told(status));
    text.push_str(&written_back(status));
    text.push_str(&batches(&view.batches, all_batches));
    text
}

fn header(view: &View, status: &BroadcastMessageStatus) -> String {
    let mut header = format!("State: {}", state(status));
    let begun = status.first_attempt_time.map(|begun| begun.as_second());
    let ended = status.completion_time.map(|ended| ended.as_second());
    // Of one that is paused it counts since when.
    let since = holds(status, "Suspended").map(|paused| paused.last_transition_time.as_second()).or(begun);
    match (begun, ended, since) {
        (Some(begun), Some(ended), _) => header.push_str(&format!(", took {}", duration(ended - begun))),
        (_, None, Some(since)) => header.push_str(&format!(", for {}", duration(view.now.as_second() - since))),
        _ => {}
    }
    if let Some(start) = view.broadcast.spec.schedule.as_ref().and_then(|schedule| schedule.start_time)
        && begun.is_none()
        && start > view.now
    {
        header.push_str(&format!(", starts in {}", duration(start.as_second() - view.now.as_second())));
    }
    header
}

/// The state, and the reason where that says more.
fn state(status: &BroadcastMessageStatus) -> String {
    let state = status.state.map_or_else(|| "not known".to_owned(), |state| format!("{state:?}"));
    let told = ["Finished", "Stalled", "Suspended"].into_iter().find_map(|type_| holds(status, type_));
    match told {
        Some(condition) if condition.reason != state => format!("{state} ({})", condition.reason),
        _ => state,
    }
}

fn figures(status: &BroadcastMessageStatus, now: Timestamp) -> String {
    let Some(sums) = status.recipients else { return String::new() };
    let cells = [sums.planned, sums.sent, sums.failed, sums.skipped, sums.unknown, sums.pending].map(number);
    let mut text = format!("\n{}", table(["PLANNED", "SENT", "FAILED", "SKIPPED", "UNKNOWN", "PENDING"], &[cells]));
    if let Some(ReceiptSums { delivered, read, undelivered }) = status.receipts {
        let cells = [delivered, read, undelivered].map(number);
        text.push_str(&table(["DELIVERED", "READ", "UNDELIVERED"], &[cells]));
    }
    let mut parts: Vec<String> = status.progress_percent.iter().map(|percent| format!("{percent} % settled")).collect();
    parts.extend(speed(status, now));
    if !parts.is_empty() {
        text.push_str(&format!("  {}\n", parts.join(", ")));
    }
    let span = (status.first_attempt_time, status.completion_time);
    text.push_str(&status.recent_pace.as_ref().map(|recent| pace(recent, span)).unwrap_or_default());
    text.push_str(&status.requests.map(|requests| calls(requests, status.latency)).unwrap_or_default());
    text
}

/// How often the provider was called, and how long it took to answer.
fn calls(requests: i64, latency: Option<Latency>) -> String {
    let answered = latency.map(|told| {
        let told = [told.p50_milliseconds, told.p95_milliseconds, told.p99_milliseconds];
        let told = told.map(|milliseconds| u64::try_from(milliseconds).unwrap_or_default());
        format!(", answered within {}", words::latency(told))
    });
    format!("  {}{}\n", counted(requests, "request", "requests"), answered.unwrap_or_default())
}

/// What a person may want to mend while it can be mended.
fn warnings(status: &BroadcastMessageStatus) -> String {
    let open = status.plan.as_ref().filter(|_| holds(status, "Finished").is_none());
    let warnings = open.into_iter().flat_map(|plan| &plan.warnings);
    warnings.map(|warning| format!("\nWarning: {}\n", line(warning, MAX_MESSAGE))).collect()
}

/// The rate over the last minutes. Of a span in which sending began or ended only the part counts that was sent in.
fn pace(pace: &RecentPace, (begun, ended): (Option<Timestamp>, Option<Timestamp>)) -> String {
    let length = pace.span_seconds.max(1);
    let first = pace.begin_time.as_second();
    let rate = |(place, sent): (i64, &i64)| {
        let span_begins = first + place * length;
        let from = begun.map_or(span_begins, |begun| begun.as_second().max(span_begins));
        let span_ends = span_begins + length;
        let to = ended.map_or(span_ends, |ended| ended.as_second().min(span_ends));
        let seconds = (to - from).clamp(1, length);
        *sent as f64 / seconds as f64
    };
    let rates: Vec<f64> = (0..).zip(&pace.sent).map(rate).collect();
    let most = rates.iter().copied().fold(0.0, f64::max);
    format!(
        "  {}  from {}, each {}, {most:.1} a second at most\n",
        sparkline(&rates),
        pace.begin_time,
        duration(length)
    )
}

fn speed(status: &BroadcastMessageStatus, now: Timestamp) -> Vec<String> {
    if holds(status, "Finished").is_some() {
        return Vec::new();
    }
    let mut parts: Vec<String> =
        status.rate_per_minute.iter().map(|rate| format!("{} in the last minute", number(*rate))).collect();
    if let Some(end) = status.estimated_completion_time {
        parts.push(format!("done in about {}", duration(end.as_second() - now.as_second())));
    }
    parts
}

fn conditions(status: &BroadcastMessageStatus, now: Timestamp) -> String {
    if status.conditions.is_empty() {
        return String::new();
    }
    let row = |condition: &crate::api::Condition| {
        let is = match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        let since = now.as_second() - condition.last_transition_time.as_second();
        [condition.type_.clone(), is.to_owned(), line(&condition.reason, MAX_BATCH_ERROR), duration(since)]
    };
    let rows: Vec<[String; 4]> = status.conditions.iter().map(row).collect();
    let mut text = format!("\n{}", table(["CONDITION", "STATUS", "REASON", "SINCE"], &rows));
    let mut told = ["Stalled", "Suspended"].into_iter().filter_map(|type_| holds(status, type_));
    if let Some(told) = told.find(|condition| !condition.message.is_empty()) {
        text.push_str(&format!("  {}\n", line(&told.message, MAX_MESSAGE)));
    }
    text
}

fn reasons(status: &BroadcastMessageStatus) -> String {
    if status.reasons.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 4]> = status
        .reasons
        .iter()
        .map(|row| {
            let outcome = match row.outcome {
                ReasonOutcome::Failed => "Failed",
                ReasonOutcome::Skipped => "Skipped",
                ReasonOutcome::Unknown => "Unknown",
            };
            let code = row.code.as_deref().map(|code| line(code, MAX_BATCH_ERROR)).unwrap_or_default();
            [outcome.to_owned(), line(&row.reason, MAX_BATCH_ERROR), code, number(row.count)]
        })
        .collect();
    format!("\n{}", table(["OUTCOME", "REASON", "CODE", "COUNT"], &rows))
}

/// What became of the events for endpoints.
fn told(status: &BroadcastMessageStatus) -> String {
    let Some(sums) = &status.notifications else { return String::new() };
    let counts = [(sums.delivered, "delivered"), (sums.pending, "pending"), (sums.failed, "given up")];
    let counts: Vec<String> = counts.map(|(count, word)| format!("{} {word}", number(count))).into();
    let error = sums.last_error.as_ref().map(|error| {
        let code = error.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
        format!("; {}", line(&format!("{}: {}{code}", error.endpoint, error.reason), MAX_BATCH_ERROR))
    });
    format!("\nEvents for endpoints: {}{}\n", counts.join(", "), error.unwrap_or_default())
}

/// How far it is written elsewhere who was sent to.
fn written_back(status: &BroadcastMessageStatus) -> String {
    let mut text = String::new();
    for sums in &status.write_backs {
        let counts = [(sums.done, "done"), (sums.pending, "pending"), (sums.failed, "given up")];
        let counts: Vec<String> = counts.map(|(count, word)| format!("{} {word}", number(count))).into();
        let error = sums.last_error.as_ref().map(|error| {
            let told = fault(&error.reason, error.code.as_deref(), &error.message);
            format!("\n  {}", line(&told, MAX_MESSAGE))
        });
        let to = sums.target.member();
        text.push_str(&format!("\nWritten to {to}: {}{}\n", counts.join(", "), error.unwrap_or_default()));
    }
    text
}

/// What went wrong; some reasons have no words beside them.
fn fault(reason: &str, code: Option<&str>, message: &str) -> String {
    let parts = [reason.to_owned()].into_iter().chain(code.map(|code| format!(" {code}")));
    parts.chain((!message.is_empty()).then(|| format!(": {message}"))).collect()
}

fn batches(batches: &[MessageBatch], all: bool) -> String {
    if batches.is_empty() {
        return String::new();
    }
    let state = |batch: &MessageBatch| batch.status.as_ref().and_then(|status| status.state);
    let count = |wanted: BatchState| batches.iter().filter(|batch| state(batch) == Some(wanted)).count();
    let told: Vec<String> = [
        (BatchState::Complete, "complete"),
        (BatchState::Cancelled, "cancelled"),
        (BatchState::Sending, "sending"),
        (BatchState::Waiting, "waiting"),
        (BatchState::Pending, "pending"),
    ]
    .into_iter()
    .map(|(wanted, word)| (count(wanted), word))
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    let worth_a_look = |batch: &&MessageBatch| {
        let is_at_work = matches!(state(batch), Some(BatchState::Sending | BatchState::Waiting));
        is_at_work || batch.status.as_ref().is_some_and(|status| status.last_error.is_some())
    };
    let shown: Vec<&MessageBatch> = batches.iter().filter(|batch| all || worth_a_look(batch)).collect();
    let most = if all { usize::MAX } else { MAX_BATCH_ROWS };
    let rows: Vec<[String; 8]> = shown.iter().take(most).map(|batch| batch_row(batch)).collect();
    let mut text = format!("\nBatches: {} ({})\n", batches.len(), told.join(", "));
    if !rows.is_empty() {
        let header = ["BATCH", "STATE", "SENT", "FAILED", "PENDING", "RETRIES", "HOLDER", "LAST ERROR"];
        text.push_str(&table(header, &rows));
    }
    if shown.len() > most {
        text.push_str(&format!("  and {} more; --batches shows all\n", shown.len() - most));
    }
    text
}

fn batch_row(batch: &MessageBatch) -> [String; 8] {
    let status = batch.status.clone().unwrap_or_default();
    let sums = status.recipients.unwrap_or_default();
    let error = status
        .last_error
        .map(|error| line(&fault(&error.reason, error.code.as_deref(), &error.message), MAX_BATCH_ERROR));
    [
        batch.spec.index.to_string(),
        status.state.map_or_else(String::new, |state| format!("{state:?}")),
        number(sums.sent),
        number(sums.failed),
        number(sums.pending),
        number(status.retries.unwrap_or_default()),
        status.claim.map(|claim| line(&claim.holder, MAX_BATCH_ERROR)).unwrap_or_default(),
        error.unwrap_or_default(),
    ]
}

#[cfg(test)]
#[path = "status_text_tests.rs"]
mod tests;
