//! The status of a BroadcastMessage, made from the ledger alone: it can be made anew at any time.

use jiff::Timestamp as Instant;

use super::notification::Outbox;
use super::snapshot::BroadcastSnapshot;
use super::write_back::WrittenBack;
use crate::api::broadcast_status::{
    BatchSums, Latency, MAX_PACE_SPANS, PlanStatus, ReasonCount, ReasonOutcome, ReceiptSums, RecentPace, RecipientSums,
};
use crate::api::{BroadcastMessageStatus, BroadcastState, Condition, ConditionStatus};
use crate::delivery::counts::Counts;
use crate::delivery::duration::duration;
use crate::delivery::gate::Closed;
use crate::delivery::histogram::Histogram;
use crate::delivery::notification::{Cause, Standing};
use crate::delivery::receipt::ReceiptCounts;
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::{NANOS_PER_SECOND, Span, Timestamp};

pub use super::batch_status::{batch_status, differs_by_more_than_renewal};

/// Why nothing goes on until a person acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// CamelCase, from a fixed set.
    pub reason: String,
    /// For people, with place and remedy.
    pub message: String,
}

impl Stall {
    pub fn new(reason: &str, message: impl Into<String>) -> Stall {
        Stall { reason: reason.to_owned(), message: message.into() }
    }
}

/// What is known beyond the ledger when a status is made.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub generation: i64,
    /// Messages sent in the last minute, where somebody has watched.
    pub rate_per_minute: Option<i64>,
    /// What the ledger cannot know, such as a sender that does not start.
    pub stall: Option<Stall>,
}

/// The reason while the provider answers more slowly than the rate asks for: it is being sent, at what the provider takes.
pub const PROVIDER_SLOW: &str = "ProviderSlow";

/// The reason while nothing gets through to the provider: it goes on by itself once something does.
pub const PROVIDER_FAILING: &str = "ProviderFailing";

/// The reason while it is quiet for everybody who is pending.
pub const QUIET_HOURS: &str = "QuietHours";

/// What a person is told beside the provider's words that refuse the credentials.
const CREDENTIALS_REMEDY: &str =
    "; put valid ones into the Secret that the channel names, or give them the missing permission";
/// What comes of it where an operator goes on by itself, and where a run has ended over it.
const LOOKED_AT_AGAIN: &str = ": it is looked at again by itself, at least every 5 minutes";
const RUN_AGAIN: &str = ", and run again";

fn credentials_remedy(snapshot: &BroadcastSnapshot) -> String {
    // Without an object of a cluster there is no operator.
    let then = if snapshot.told.generation > 0 { LOOKED_AT_AGAIN } else { RUN_AGAIN };
    format!("{CREDENTIALS_REMEDY}{then}")
}

/// The provider's words of a stall that says, in a cluster, that it refused the credentials.
pub fn refusing_words(message: &str) -> &str {
    let words = message.strip_suffix(LOOKED_AT_AGAIN).and_then(|words| words.strip_suffix(CREDENTIALS_REMEDY));
    words.unwrap_or(message)
}

/// What a broadcast that has failed says of it, without how the last planner ended.
pub const PLANNERS_DIED: &str = "three senders in a row died while they made the plan, and told nothing; nobody was sent \
    anything. Give them what they lack, e.g. more memory in spec.sender.resources of the channel; any edit of the broadcast or \
    of its channel begins anew";

/// A span of the recent pace is this long at least: as often as progress is written.
const PACE_SPAN_SECONDS: i64 = 10;

/// How a broadcast ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    DeliveredWithFailures,
    Cancelled,
    Expired,
    Missed,
    Failed,
}

impl End {
    pub fn as_str(self) -> &'static str {
        match self {
            End::Delivered => "Delivered",
            End::DeliveredWithFailures => "DeliveredWithFailures",
            End::Cancelled => "Cancelled",
            End::Expired => "Expired",
            End::Missed => "Missed",
            End::Failed => "Failed",
        }
    }
}

/// How a broadcast ended; `None` while anybody is pending or in flight.
pub fn end(snapshot: &BroadcastSnapshot) -> Option<End> {
    let counts = &snapshot.counts;
    let unsealed = snapshot.plan.is_none();
    match snapshot.closed {
        Some(Closed::Cancelled) if unsealed => Some(End::Cancelled),
        Some(Closed::Expired) if unsealed => Some(End::Expired),
        Some(Closed::Missed) if unsealed => Some(End::Missed),
        Some(Closed::Failed) => Some(End::Failed),
        Some(Closed::Complete) => Some(completed(counts, &snapshot.skipped)),
        _ => None,
    }
}

/// How one ended of which nobody is open; `skipped` as in [`BroadcastSnapshot::skipped`]. A cancel that came when everybody was
/// settled has kept nobody from anything, and changes no end.
pub fn completed(counts: &Counts, skipped: &[(SkipReason, i64)]) -> End {
    let skipped_for = |reason| skipped.iter().filter(|(why, _)| *why == reason).map(|(_, count)| count).sum::<i64>();
    // They were to be reached and are not, as if the provider had said so.
    let unreached = skipped_for(SkipReason::WindowClosed);
    match () {
        () if skipped_for(SkipReason::Cancelled) > 0 => End::Cancelled,
        () if skipped_for(SkipReason::Missed) > 0 => End::Missed,
        () if counts.skipped > skipped_for(SkipReason::OptedOut) + unreached => End::Expired,
        () if counts.failed + counts.unknown + unreached > 0 => End::DeliveredWithFailures,
        () => End::Delivered,
    }
}

/// The whole status. `before` keeps the times of conditions that have not changed.
pub fn broadcast_status(
    snapshot: &BroadcastSnapshot,
    observed: Observed,
    before: &[Condition],
) -> BroadcastMessageStatus {
    let stall = stall(snapshot, observed.stall);
    let counts = &snapshot.counts;
    let settled = counts.total() - counts.open();
    let planned = counts.total();
    BroadcastMessageStatus {
        observed_generation: Some(observed.generation).filter(|generation| *generation > 0),
        idempotency_key: Some(snapshot.idempotency_key.clone()),
        conditions: conditions(snapshot, stall.as_ref(), observed.generation, before),
        state: Some(state(snapshot)),
        recipients: snapshot.plan.as_ref().map(|_| RecipientSums {
            planned,
            pending: counts.open(),
            sent: counts.sent,
            failed: counts.failed,
            skipped: counts.skipped,
            unknown: counts.unknown,
        }),
        receipts: receipts(snapshot),
        reasons: reasons(snapshot),
        batches: snapshot.plan.as_ref().map(|plan| BatchSums {
            total: snapshot.batches_total as u32,
            size: plan.batch_size,
            pending: (snapshot.batches_total - snapshot.batches_active - snapshot.batches_complete).max(0) as u32,
            active: snapshot.batches_active as u32,
            complete: snapshot.batches_complete as u32,
        }),
        notifications: snapshot.outbox.as_ref().map(Outbox::sums),
        write_backs: snapshot.write_backs.iter().map(WrittenBack::sums).collect(),
        progress_percent: (planned > 0).then(|| (settled * 100 / planned) as u32),
        rate_per_minute: observed.rate_per_minute,
        recent_pace: recent_pace(snapshot),
        requests: Some(snapshot.pace.sum().requests).filter(|requests| *requests > 0).map(figure),
        latency: latency(&snapshot.latency),
        estimated_completion_time: completion(snapshot).filter(|_| stall.is_none()),
        plan: snapshot.plan.as_ref().map(|plan| PlanStatus {
            hash: Some(plan.hash.clone()),
            sealed_time: instant(plan.sealed_at),
            duplicates: plan.duplicates as i64,
            excluded: plan.excluded as i64,
            samples: snapshot.words.samples.clone(),
            warnings: snapshot.words.warnings.clone(),
        }),
        first_attempt_time: snapshot.first_attempt_at.and_then(instant),
        ledger_revision: Some(snapshot.revision),
        start_time: instant(snapshot.declared_at),
        completion_time: snapshot.finished_at.and_then(instant),
    }
}

/// One word for people; derived, never stored.
pub fn state(snapshot: &BroadcastSnapshot) -> BroadcastState {
    match (end(snapshot), snapshot.closed) {
        (Some(End::Delivered | End::DeliveredWithFailures), _) => BroadcastState::Complete,
        (Some(End::Cancelled), _) => BroadcastState::Cancelled,
        (Some(End::Expired), _) => BroadcastState::Expired,
        (Some(End::Missed), _) => BroadcastState::Missed,
        (Some(End::Failed), _) => BroadcastState::Failed,
        (None, Some(Closed::NotPlanned)) if snapshot.planning => BroadcastState::Planning,
        (None, Some(Closed::NotPlanned)) => BroadcastState::Pending,
        (None, Some(Closed::Scheduled)) => BroadcastState::Scheduled,
        // Some are on the wire still, or are not skipped yet.
        (None, Some(Closed::Cancelled)) => BroadcastState::Cancelled,
        (None, Some(Closed::Expired)) => BroadcastState::Expired,
        (None, Some(Closed::Missed)) => BroadcastState::Missed,
        (None, Some(closed)) if closed == Closed::Suspended || closed.needs_person() => BroadcastState::Suspended,
        (None, _) => BroadcastState::Sending,
    }
}

/// At the effective rate now, when the last pending recipient gets its slot; known only while sending.
fn completion(snapshot: &BroadcastSnapshot) -> Option<Instant> {
    if snapshot.closed.is_some() || snapshot.quiet_until.is_some() || snapshot.effective_per_second <= 0.0 {
        return None;
    }
    let left = Span::from_secs_f64(snapshot.seconds_left(snapshot.effective_per_second));
    // Who waits for another try is not reached before that, however few there are.
    let due = snapshot.due_at.unwrap_or(snapshot.now);
    instant((snapshot.now + left).max(due))
}

fn receipts(snapshot: &BroadcastSnapshot) -> Option<ReceiptSums> {
    let ReceiptCounts { delivered, read, undelivered } = snapshot.receipts;
    (!snapshot.receipts.is_zero()).then_some(ReceiptSums { delivered, read, undelivered })
}

/// By the ledger alone, not by the clock: a status says nothing new while nothing happens.
fn recent_pace(snapshot: &BroadcastSnapshot) -> Option<RecentPace> {
    let recent = snapshot.pace.recent(MAX_PACE_SPANS, PACE_SPAN_SECONDS);
    let (begin, _) = recent.spans().next()?;
    let sent = recent.spans().map(|(_, deeds)| figure(deeds.sent));
    Some(RecentPace { begin_time: instant(begin)?, span_seconds: recent.seconds(), sent: sent.collect() })
}

fn latency(histogram: &Histogram) -> Option<Latency> {
    let within = |part| histogram.quantile(part).map(figure);
    Some(Latency { p50_milliseconds: within(0.5)?, p95_milliseconds: within(0.95)?, p99_milliseconds: within(0.99)? })
}

fn figure(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn reasons(snapshot: &BroadcastSnapshot) -> Vec<ReasonCount> {
    let outcome = |state| match state {
        RecipientState::Failed => Some(ReasonOutcome::Failed),
        RecipientState::Skipped => Some(ReasonOutcome::Skipped),
        RecipientState::Unknown => Some(ReasonOutcome::Unknown),
        RecipientState::Pending | RecipientState::Inflight | RecipientState::Sent => None,
    };
    let count = |row: &super::snapshot::Outcomes| {
        let (reason, code) = (row.reason.clone(), row.code.clone());
        Some(ReasonCount { outcome: outcome(row.state)?, reason, code, count: row.count })
    };
    snapshot.outcomes.iter().filter_map(count).collect()
}

/// Why a broadcast is stalled: the provider's refusal first, which no sender can get around, then what was observed, then
/// what its senders told. Of those that have ended only one that has failed waits for a person; whoever observes it may know
/// more of how.
pub fn stall(snapshot: &BroadcastSnapshot, observed: Option<Stall>) -> Option<Stall> {
    match end(snapshot) {
        Some(End::Failed) => {
            let failed = End::Failed.as_str();
            let observed = observed.filter(|stall| stall.reason == failed);
            return Some(observed.unwrap_or_else(|| Stall::new(failed, PLANNERS_DIED)));
        }
        Some(_) => return None,
        None => {}
    }
    let blocked = snapshot.closed.filter(|reason| reason.needs_person());
    let blocked = blocked.map(|reason| {
        let words = snapshot.stop_message.clone().unwrap_or_default();
        let remedy = if reason == Closed::CredentialsInvalid { credentials_remedy(snapshot) } else { String::new() };
        Stall::new(reason.as_str(), words + &remedy)
    });
    let told = snapshot.trouble.as_ref().map(|told| Stall::new(&told.trouble.reason, told.trouble.message.clone()));
    blocked.or(observed).or(told)
}

/// How a broadcast stands, in the words of the conditions Suspended, Stalled and Finished.
pub fn standing(snapshot: &BroadcastSnapshot, observed: Option<&Stall>) -> Standing {
    let words = |closed: Closed| match &snapshot.stop_message {
        Some(message) if closed.needs_person() => message.as_str(),
        _ => "",
    };
    Standing {
        started: snapshot.first_attempt_at.is_some(),
        suspended: stopped(snapshot).map(|closed| Cause::new(closed.as_str(), words(closed))).into(),
        stalled: stall(snapshot, observed.cloned()).map(|stall| Cause::new(&stall.reason, &stall.message)).into(),
        finished: end(snapshot).map(|end| Cause::new(end.as_str(), "")).into(),
    }
}

/// Why nothing is sent until a person acts, or because one has paused it.
fn stopped(snapshot: &BroadcastSnapshot) -> Option<Closed> {
    snapshot.closed.filter(|closed| *closed == Closed::Suspended || closed.needs_person())
}

fn conditions(
    snapshot: &BroadcastSnapshot,
    stall: Option<&Stall>,
    generation: i64,
    before: &[Condition],
) -> Vec<Condition> {
    use ConditionStatus::{False, True};
    let ended = end(snapshot);
    let reason = match (ended, stall) {
        (Some(end), _) => end.as_str(),
        (None, Some(stall)) => stall.reason.as_str(),
        (None, None) => match snapshot.closed {
            Some(closed) => closed.as_str(),
            None if snapshot.quiet_until.is_some() => QUIET_HOURS,
            None if snapshot.failing.is_some() => PROVIDER_FAILING,
            None if snapshot.provider_slow => PROVIDER_SLOW,
            None => "Sending",
        },
    };
    let delivered = matches!(ended, Some(End::Delivered | End::DeliveredWithFailures));
    let stopped = stopped(snapshot);
    let ready = stall.is_none() && snapshot.closed != Some(Closed::NotPlanned);
    let flag = |on| if on { True } else { False };
    let mut wanted = vec![
        ("Ready", flag(ready), reason, stall.map_or_else(|| progress(snapshot), |stall| stall.message.clone())),
        ("Complete", flag(delivered), reason, String::new()),
        ("Finished", flag(ended.is_some()), reason, String::new()),
        ("Suspended", flag(stopped.is_some()), stopped.map_or("NotSuspended", Closed::as_str), left(snapshot)),
    ];
    // Abnormal conditions are absent while all is well. Readers look at Reconciling before Stalled, so it is one of them.
    if let Some(stall) = stall {
        wanted.push(("Stalled", True, &stall.reason, stall.message.clone()));
    } else if ended.is_none() && snapshot.closed == Some(Closed::NotPlanned) {
        wanted.push(("Reconciling", True, "Planning", String::new()));
    }
    Condition::list(wanted, generation, instant(snapshot.now).unwrap_or_default(), before)
}

/// A broadcast of which nothing can be sent as it is written: figures of earlier stay, the conditions say why. Nothing
/// goes on by itself, so it is stalled and not reconciling.
pub fn refuse(
    status: &mut BroadcastMessageStatus,
    stall: &Stall,
    idempotency_key: &str,
    generation: i64,
    now: Timestamp,
) {
    stop(status, stall, (ConditionStatus::False, "NotSuspended"), generation, now);
    status.idempotency_key.get_or_insert_with(|| idempotency_key.to_owned());
    status.state = status.state.filter(|state| *state != BroadcastState::Failed).or(Some(BroadcastState::Pending));
}

/// A broadcast of which the ledger knows nothing, while its status is all that is left of what happened: the figures stay.
/// One that has finished is left as it is: nobody waits for it, unless it had failed and was edited since.
pub fn hold(status: &mut BroadcastMessageStatus, stall: &Stall, generation: i64, now: Timestamp) {
    let finished = Condition::find(&status.conditions, "Finished");
    let stays = |finished: &Condition| {
        let is_edited = finished.observed_generation.is_some_and(|observed| observed < generation);
        finished.status == ConditionStatus::True && (finished.reason != End::Failed.as_str() || !is_edited)
    };
    if finished.is_some_and(stays) {
        status.observed_generation = Some(generation).filter(|generation| *generation > 0);
        return;
    }
    stop(status, stall, (ConditionStatus::True, &stall.reason), generation, now);
    status.state = Some(BroadcastState::Suspended);
}

fn stop(
    status: &mut BroadcastMessageStatus,
    stall: &Stall,
    (is_suspended, suspended): (ConditionStatus, &str),
    generation: i64,
    now: Timestamp,
) {
    use ConditionStatus::{False, True};
    let reason = stall.reason.as_str();
    let wanted = vec![
        ("Ready", False, reason, stall.message.clone()),
        ("Complete", False, reason, String::new()),
        ("Finished", False, reason, String::new()),
        ("Suspended", is_suspended, suspended, String::new()),
        ("Stalled", True, reason, stall.message.clone()),
    ];
    let at = instant(now).unwrap_or_default();
    status.conditions = Condition::list(wanted, generation, at, &status.conditions);
    status.observed_generation = Some(generation).filter(|generation| *generation > 0);
    status.rate_per_minute = None;
    status.estimated_completion_time = None;
    status.completion_time = None;
}

/// The sums, and what everybody who is pending waits for.
fn progress(snapshot: &BroadcastSnapshot) -> String {
    let sums = sums(snapshot);
    let at = |at: Option<Timestamp>| at.and_then(instant);
    match (snapshot.closed, at(snapshot.gate.start_at), at(snapshot.quiet_until)) {
        (Some(Closed::Scheduled), Some(start), _) => format!("{sums}; it begins at {start}"),
        (None, _, Some(until)) => format!("{sums}; quiet hours last until {until}"),
        _ => sums,
    }
}

/// How long the rest takes that waits for `spec.suspend` to be removed, at the configured rate: a figure that stays while
/// nothing happens. Empty where something else is waited for.
fn left(snapshot: &BroadcastSnapshot) -> String {
    if snapshot.closed != Some(Closed::Suspended) || snapshot.counts.pending == 0 {
        return String::new();
    }
    let rate = snapshot.rate;
    let seconds = snapshot.seconds_left(rate.per_second()).ceil() as i64;
    format!("nothing is sent while spec.suspend is set; then it takes about {} at {rate}", duration(seconds))
}

fn sums(snapshot: &BroadcastSnapshot) -> String {
    let counts = &snapshot.counts;
    let mut text = format!(
        "{} planned: {} sent, {} failed, {} skipped, {} unknown, {} pending",
        counts.total(),
        counts.sent,
        counts.failed,
        counts.skipped,
        counts.unknown,
        counts.open()
    );
    if let Some(failing) = &snapshot.failing {
        text.push_str(&format!("; {failing}"));
    }
    text
}

/// An instant as a status writes it: whole seconds, like Kubernetes.
pub fn instant(at: Timestamp) -> Option<Instant> {
    Instant::from_second(at.0.div_euclid(NANOS_PER_SECOND)).ok()
}
