//! What a MessageChannel's status says of its account.

use std::time::Duration;

use super::decide_receiver::ReceiverDecision;
use crate::api::channel::{ChannelAccount, ChannelRateStatus};
use crate::api::{BroadcastMessage, BroadcastState, Condition, ConditionStatus, MessageChannel, MessageChannelStatus};
use crate::controller::transition::Transition;
use crate::delivery::rate::Rate;
use crate::delivery::time::Timestamp;
use crate::ledger::AccountSnapshot;
use crate::ledger::status::{instant, refusing_words};

/// How often a channel is looked at that broadcasts send through; its rate moves.
const BUSY: Duration = Duration::from_secs(15);
/// How often a channel is looked at that nobody sends through.
const IDLE: Duration = Duration::from_secs(60);
/// A rate that has recovered so far is not called reduced: the brake gives it back in small steps.
const FULL: f64 = 0.999;

/// Everything that is known of one channel at one moment.
#[derive(Clone, Debug)]
pub struct ChannelObservation {
    pub object: MessageChannel,
    /// `None` before a broadcast used it.
    pub account: Option<AccountSnapshot>,
    /// Broadcasts of its namespace that name this channel.
    pub broadcasts: Vec<BroadcastMessage>,
    /// What was decided of its receiver.
    pub receiver: ReceiverDecision,
    /// The ledger's clock.
    pub now: Timestamp,
}

/// What to report, and when to look again if nothing happens before.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelDecision {
    /// `None` when the status need not be written.
    pub status: Option<MessageChannelStatus>,
    /// To be told once the status is written.
    pub transitions: Vec<Transition>,
    pub look_again: Duration,
}

pub fn decide(observation: &ChannelObservation) -> ChannelDecision {
    let before = observation.object.status.as_ref();
    let status = status(observation, before);
    let changed = before != Some(&status);
    let transitions = if changed { transitions(before, &status) } else { Vec::new() };
    let throttled = status.rate.as_ref().is_some_and(|rate| rate.effective_per_minute < rate.configured_per_minute);
    // A receiver that is not ready is so for seconds mostly.
    let waits = observation.receiver.condition.as_ref().is_some_and(|(status, ..)| *status != ConditionStatus::True);
    let busy = status.active_broadcasts != Some(0) || throttled || waits;
    ChannelDecision {
        status: Some(status).filter(|_| changed),
        transitions,
        look_again: if busy { BUSY } else { IDLE },
    }
}

fn status(observation: &ChannelObservation, before: Option<&MessageChannelStatus>) -> MessageChannelStatus {
    let spec = &observation.object.spec;
    let generation = observation.object.metadata.generation.unwrap_or_default();
    MessageChannelStatus {
        observed_generation: Some(generation).filter(|generation| *generation > 0),
        conditions: conditions(observation, generation, before.map_or(&[], |status| &status.conditions)),
        provider: spec.account().map(ChannelAccount::provider),
        rate: rate(observation),
        receiver: observation.receiver.status.clone(),
        active_broadcasts: Some(observation.broadcasts.iter().filter(|broadcast| is_sending(broadcast)).count() as u32),
    }
}

fn rate(observation: &ChannelObservation) -> Option<ChannelRateStatus> {
    let ceiling = observation.object.spec.ceiling()?;
    let ceiling = Rate::new(ceiling.messages, ceiling.period_seconds);
    let configured = ceiling.per_second();
    let account = observation.account.as_ref();
    // The account's ceiling may be lower than this channel's: another channel of the namespace names it too.
    let effective = account.map_or(configured, |account| account.effective_per_second.min(configured));
    Some(ChannelRateStatus {
        configured_per_minute: per_minute(configured),
        effective_per_minute: per_minute(if effective >= configured * FULL { configured } else { effective }),
        usage_percent: account.and_then(|account| account.usage_percent),
        throttled_until_time: account.and_then(|account| account.throttled_until).and_then(instant),
    })
}

fn is_sending(broadcast: &BroadcastMessage) -> bool {
    broadcast.status.as_ref().and_then(|status| status.state) == Some(BroadcastState::Sending)
}

/// The provider's words when it refused the credentials. While they are looked at again the account is open, but its
/// broadcasts say so until one of them has sent something.
fn refused(observation: &ChannelObservation) -> Option<String> {
    let stop = observation.account.as_ref().and_then(|account| account.stop_message.clone());
    let waiting = |broadcast: &BroadcastMessage| {
        let conditions = &broadcast.status.as_ref()?.conditions;
        let stall = Condition::find(conditions, "Stalled").filter(|stall| stall.reason == "CredentialsInvalid")?;
        Some(refusing_words(&stall.message).to_owned())
    };
    stop.or_else(|| observation.broadcasts.iter().find_map(waiting))
}

fn per_minute(per_second: f64) -> i64 {
    (per_second * 60.0).round() as i64
}

fn conditions(observation: &ChannelObservation, generation: i64, before: &[Condition]) -> Vec<Condition> {
    use ConditionStatus::{False, True, Unknown};
    let account = observation.account.as_ref();
    let refused = refused(observation);
    let verified = account.is_some_and(|account| account.verified);
    let mut wanted = match (&refused, verified) {
        (Some(words), _) => vec![
            ("Ready", False, "CredentialsInvalid", words.clone()),
            ("CredentialsVerified", False, "CredentialsInvalid", words.clone()),
        ],
        (None, true) => {
            vec![("Ready", True, "Ready", String::new()), ("CredentialsVerified", True, "MessageTaken", String::new())]
        }
        (None, false) => vec![
            ("Ready", True, "Ready", String::new()),
            ("CredentialsVerified", Unknown, "NotUsed", "no message has been sent through it yet".to_owned()),
        ],
    };
    if let Some(words) = refused {
        wanted.push(("Stalled", True, "CredentialsInvalid", words));
    }
    if let Some((status, reason, words)) = &observation.receiver.condition {
        wanted.push(("ReceiverReady", *status, reason, words.clone()));
    }
    Condition::list(wanted, generation, instant(observation.now).unwrap_or_default(), before)
}

fn transitions(before: Option<&MessageChannelStatus>, after: &MessageChannelStatus) -> Vec<Transition> {
    let rate = |status: &MessageChannelStatus| status.rate.clone().unwrap_or_default();
    let reduced = |rate: &ChannelRateStatus| rate.effective_per_minute < rate.configured_per_minute;
    let earlier = before.map(rate).unwrap_or_default();
    let now = rate(after);
    let mut transitions = Vec::new();
    if let (None, Some(until)) = (earlier.throttled_until_time, now.throttled_until_time) {
        let note = format!("the provider asked to hold until {until}");
        transitions.push(Transition::new(false, "Throttled", note));
    }
    if reduced(&now) && !reduced(&earlier) {
        let (reduced, full) = (now.effective_per_minute, now.configured_per_minute);
        let why = now
            .usage_percent
            .map_or(String::new(), |percent| format!(", because {percent} % of the provider's own limit is used"));
        let note = format!("{reduced} of {full} messages a minute{why}; it rises again by itself");
        transitions.push(Transition::new(false, "RateReduced", note));
    }
    let stalled = |status: &MessageChannelStatus| Condition::find(&status.conditions, "Stalled").is_some();
    if let Some(stall) = Condition::find(&after.conditions, "Stalled")
        && !before.is_some_and(stalled)
    {
        let note = format!("{}: {}", stall.reason, stall.message);
        transitions.push(Transition::new(true, "Stalled", note).because(&stall.reason));
    }
    transitions
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
