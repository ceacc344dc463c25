//! The broadcast that sends again to those whom another did not reach.
//!
//! Its name and key follow from the first one's alone. So a second retry of the same group is the same broadcast, and
//! nobody whom the first retry has reached is messaged again; to reach those whom it missed, it is itself retried.

use kube::core::ObjectMeta;
use ring::digest::{SHA256, digest};

use super::options::RetryOutcome;
use super::words::holds;
use crate::api::audience::{Audience, AudienceSource, BroadcastSource};
use crate::api::broadcast::{BroadcastMessageSpec, MAX_BROADCAST_NAME, MAX_IDEMPOTENCY_KEY, Schedule};
use crate::api::{BroadcastMessage, Delivery};

/// The name of the one source of its audience.
const SOURCE: &str = "missed";

/// Why there is nothing to retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRetry {
    #[error("{name} has not ended, so nobody knows how its recipients end; wait for it, or cancel it")]
    NotEnded { name: String },
    #[error("nobody of {name} is {outcome:?}; there is nobody to send to")]
    Nobody { name: String, outcome: RetryOutcome },
}

/// The new broadcast, and how many it is for.
pub fn decide(ended: &BroadcastMessage, outcome: RetryOutcome) -> Result<(BroadcastMessage, i64), NoRetry> {
    let name = ended.metadata.name.clone().unwrap_or_default();
    let status = ended.status.as_ref().filter(|status| holds(status, "Finished").is_some());
    let Some(status) = status else { return Err(NoRetry::NotEnded { name }) };
    let sums = status.recipients.unwrap_or_default();
    let count = match outcome {
        RetryOutcome::Failed => sums.failed,
        RetryOutcome::Skipped => sums.skipped,
        RetryOutcome::Unknown => sums.unknown,
    };
    if count == 0 {
        return Err(NoRetry::Nobody { name, outcome });
    }
    let mut retry = BroadcastMessage::new(&next(&name, outcome, MAX_BROADCAST_NAME), spec(ended, &name, outcome));
    retry.metadata = ObjectMeta { namespace: ended.metadata.namespace.clone(), ..retry.metadata };
    Ok((retry, count))
}

/// When it was to be sent said something about the first message; how fast says something about the account, and when nobody
/// is to be disturbed about the people. Whom it left out is read again: somebody may have opted out meanwhile.
fn spec(ended: &BroadcastMessage, name: &str, outcome: RetryOutcome) -> BroadcastMessageSpec {
    let source = AudienceSource {
        name: SOURCE.to_owned(),
        config_map_key_ref: None,
        secret_key_ref: None,
        http: None,
        sql: None,
        broadcast: Some(BroadcastSource { name: name.to_owned(), outcomes: vec![outcome.of_audience()] }),
        contacts: None,
    };
    let quiet_hours = ended.spec.schedule.as_ref().map(|schedule| schedule.quiet_hours.clone()).unwrap_or_default();
    let schedule = (!quiet_hours.is_empty()).then(|| Schedule { quiet_hours, ..Schedule::default() });
    // A wish for the first plan's size; and to send again where an answer is lost is decided anew.
    let delivery = Delivery { batch_size: None, unknown_policy: Default::default(), ..ended.spec.delivery.clone() };
    BroadcastMessageSpec {
        channel_ref: ended.spec.channel_ref.clone(),
        audience: Audience {
            sources: vec![source],
            exclude: ended.spec.audience.exclude.clone(),
            ..Audience::default()
        },
        content: ended.spec.content.clone(),
        on_sent: ended.spec.on_sent.clone(),
        delivery,
        schedule,
        notifications: ended.spec.notifications.clone(),
        suspend: None,
        cancel: None,
        idempotency_key: Some(next(ended.idempotency_key(), outcome, MAX_IDEMPOTENCY_KEY)),
    }
}

/// `spring` is followed by `spring-retry`, that by `spring-retry-2`; other groups than the failed are named.
fn next(name: &str, outcome: RetryOutcome, most: usize) -> String {
    let ending = match outcome {
        RetryOutcome::Failed => "-retry",
        RetryOutcome::Skipped => "-retry-skipped",
        RetryOutcome::Unknown => "-retry-unknown",
    };
    let counted = |stem: &str| Some(stem.rsplit_once('-')?.1.parse::<u32>().ok()).flatten();
    if let Some(stem) = name.strip_suffix(ending) {
        return fit(stem, &format!("{ending}-2"), most);
    }
    if let Some(number) = counted(name)
        && let Some(stem) = name.strip_suffix(&format!("{ending}-{number}"))
        && number >= 2
    {
        return fit(stem, &format!("{ending}-{}", number.saturating_add(1)), most);
    }
    fit(name, ending, most)
}

/// Cut where it is too long, with a mark of the whole: two that are cut alike stay apart.
fn fit(stem: &str, ending: &str, most: usize) -> String {
    if stem.chars().count() + ending.len() <= most {
        return format!("{stem}{ending}");
    }
    let mark: String =
        digest(&SHA256, stem.as_bytes()).as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept: String = stem.chars().take(most - ending.len() - mark.len() - 1).collect();
    format!("{}-{mark}{ending}", kept.trim_end_matches('-'))
}

#[cfg(test)]
#[path = "decide_retry_tests.rs"]
mod tests;
