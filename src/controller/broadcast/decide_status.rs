//! When the status is written, and what of it is remembered: the API server is asked to store few statuses, and each of
//! them says something.

use std::borrow::Cow;

use super::decide_budget::{Budget, Purpose};
use super::memory::{Memory, SentAt};
use crate::api::{BroadcastMessageStatus, Condition};
use crate::delivery::gate::Closed;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::BroadcastSnapshot;
use crate::ledger::status::refusing_words;

/// Progress alone is written this often.
pub const PROGRESS_EVERY: Span = Span::from_secs(10);
/// When a write is looked at again that the budget did not allow.
const LATER: Span = Span::from_secs(1);
/// Over how long the rate is measured.
const RATE_WINDOW: Span = Span::from_secs(60);
/// How far apart the looks are that the rate is measured by: at most 13 are kept.
const RATE_STEP: Span = Span::from_secs(5);

/// Whether the status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Now,
    At(Timestamp),
    /// It says nothing new.
    Never,
}

impl Due {
    pub fn look_at(&self) -> Option<Timestamp> {
        match self {
            Due::At(at) => Some(*at),
            Due::Now | Due::Never => None,
        }
    }
}

/// Decides and, if it is written, spends. `lifting`: the figures are what later looks are measured by.
pub fn due(
    before: Option<&BroadcastMessageStatus>,
    wanted: &BroadcastMessageStatus,
    lifting: bool,
    last: Option<Timestamp>,
    now: Timestamp,
    budget: &mut Budget,
) -> Due {
    let mut once = || {
        budget.charge(1);
        Due::Now
    };
    let Some(before) = before else { return once() };
    if news(before) == news(wanted) {
        return Due::Never;
    }
    // What happens once, or because a person has acted, is not held back.
    let ended = before.completion_time != wanted.completion_time;
    if ended || before.observed_generation != wanted.observed_generation {
        return once();
    }
    let turns = turning_point(before) != turning_point(wanted) || (lifting && before.recipients != wanted.recipients);
    if let Some(at) = last.map(|last| last + PROGRESS_EVERY).filter(|at| *at > now && !turns) {
        return Due::At(at);
    }
    let purpose = if turns { Purpose::Turn } else { Purpose::Progress };
    if budget.take(purpose) { Due::Now } else { Due::At(now + LATER) }
}

/// All but what moves by itself.
fn news(status: &BroadcastMessageStatus) -> BroadcastMessageStatus {
    BroadcastMessageStatus {
        ledger_revision: None,
        estimated_completion_time: None,
        requests: None,
        latency: None,
        ..status.clone()
    }
}

/// What people and programs wait for.
fn turning_point(status: &BroadcastMessageStatus) -> impl PartialEq + use<'_> {
    let conditions: Vec<_> =
        status.conditions.iter().map(|condition| (&condition.type_, condition.status, &condition.reason)).collect();
    let plan = status.plan.as_ref().map(|plan| &plan.hash);
    (conditions, status.state, plan, status.first_attempt_time, status.idempotency_key.as_deref())
}

/// The condition that says a person must act.
pub fn stalled(status: &BroadcastMessageStatus) -> Option<&Condition> {
    Condition::find(&status.conditions, "Stalled")
}

/// While a probe finds out whether the provider takes the credentials by now, the account is open; the broadcast is not
/// called well before somebody was sent to.
pub fn with_credential_stop<'a>(
    snapshot: &'a BroadcastSnapshot,
    before: Option<&BroadcastMessageStatus>,
) -> Cow<'a, BroadcastSnapshot> {
    let invalid = Closed::CredentialsInvalid;
    let told = before.and_then(|before| {
        let stall = stalled(before).filter(|stall| stall.reason == invalid.as_str())?;
        let sent = before.recipients.map_or(0, |recipients| recipients.sent);
        (snapshot.counts.sent <= sent).then(|| refusing_words(&stall.message).to_owned())
    });
    match told {
        Some(words) if snapshot.closed.is_none() => {
            Cow::Owned(BroadcastSnapshot { closed: Some(invalid), stop_message: Some(words), ..snapshot.clone() })
        }
        _ => Cow::Borrowed(snapshot),
    }
}

/// Messages sent per minute over the last minute, or as much of it as was watched; what the status said before as long as
/// too little was. `None` while nothing is being sent.
pub fn rate_per_minute(
    snapshot: &BroadcastSnapshot,
    before: Option<&BroadcastMessageStatus>,
    memory: &mut Memory,
) -> Option<i64> {
    let (now, sent) = (snapshot.now, snapshot.counts.sent);
    if snapshot.closed.is_some() {
        memory.sent.clear();
        return None;
    }
    // A figure that has fallen, or a clock that was set back, is another measurement.
    if memory.sent.last().is_some_and(|last| last.sent > sent || last.at > now) {
        memory.sent.clear();
    }
    memory.sent.retain(|look| now - look.at <= RATE_WINDOW);
    if memory.sent.last().is_none_or(|last| now - last.at >= RATE_STEP) {
        memory.sent.push(SentAt { at: now, sent });
    }
    let first = memory.sent.first()?;
    let watched = now - first.at;
    if watched < RATE_STEP {
        return before.and_then(|before| before.rate_per_minute);
    }
    Some(((sent - first.sent) as f64 * 60.0 / watched.as_secs_f64()).round() as i64)
}
