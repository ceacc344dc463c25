//! What would be sent: of documents, planned here; of an object, as its status says.

use std::io::{self, Write};

use super::cluster::Cluster;
use super::failure::PluginError;
use super::words::holds;
use crate::api::broadcast_status::{ReasonCount, ReasonOutcome};
use crate::api::{BroadcastMessage, BroadcastMessageStatus, MessageChannel};
use crate::content;
use crate::delivery::rate::Rate;
use crate::delivery::rate_class::messages_per_second;
use crate::delivery::recipient::SkipReason;
use crate::local::options::Output;
use crate::provider::rate_class::rate_class;
use crate::report::preview::{Outlook, PlanFigures, Preview, seconds};
use crate::report::words::rounded;

const SECONDS_PER_MINUTE: f64 = 60.0;

/// Shows the plan that the status of an object has.
pub async fn show(cluster: &Cluster, name: &str, output: Output) -> Result<(), PluginError> {
    let broadcast = cluster.broadcast(name).await?;
    let channel = cluster.channel(&broadcast.spec.channel_ref.name).await?;
    let preview = of(&broadcast, channel.as_ref()).ok_or_else(|| {
        PluginError::Refused(format!(
            "{name} has no plan yet; with spec.suspend: true it is made, and nothing is sent before `kubectl broadcast resume {name} -n {}`",
            cluster.namespace
        ))
    })?;
    let text = match output {
        Output::Text => preview.text(),
        Output::Json => preview.json(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.map_err(PluginError::Writing)?,
    }
    match preview.outlook {
        Outlook::Plan(_) => Ok(()),
        Outlook::Refused { reason, .. } => Err(PluginError::Refused(format!("{name} is refused: {reason}"))),
    }
}

fn rule(rate: crate::api::Rate) -> Rate {
    Rate::new(rate.messages, rate.period_seconds)
}

/// `None` while there is neither a plan nor a refusal.
fn of(broadcast: &BroadcastMessage, channel: Option<&MessageChannel>) -> Option<Preview> {
    let status = broadcast.status.as_ref()?;
    let stalled = holds(status, "Stalled");
    let outlook = match (&status.plan, status.recipients, stalled) {
        (Some(plan), Some(recipients), stalled) => {
            let account = channel.and_then(|channel| channel.spec.ceiling()).map(rule);
            let own = broadcast.spec.delivery.rate.map(rule);
            let rate = account.map(|account| own.map_or(account, |own| own.lower(account)));
            let now = channel.and_then(|channel| channel.status.as_ref()?.rate.as_ref());
            let now = now.map(|rate| rate.effective_per_minute as f64 / SECONDS_PER_MINUTE);
            let effective = rate.map(|rate| now.map_or(rate.per_second(), |now| now.min(rate.per_second())));
            let provider = channel.and_then(|channel| channel.spec.account()).map(|account| account.provider());
            let parts = provider.map_or(1, |provider| content::parts(&broadcast.spec.content, provider));
            let class = provider.and_then(|provider| rate_class(provider, &broadcast.spec.content));
            let batches = status.batches.as_ref();
            let opted_out = opted_out(status);
            Outlook::Plan(PlanFigures {
                planned: recipients.planned,
                duplicates: plan.duplicates,
                excluded: plan.excluded,
                opted_out,
                batches: batches.map_or(0, |batches| batches.total.into()),
                batch_size: batches.map_or(0, |batches| batches.size.into()),
                rate: rate.map(Into::into),
                effective_per_second: effective.map(rounded),
                parts,
                rate_class: class.as_ref().map(Into::into),
                seconds: effective.and_then(|slots| {
                    seconds(recipients.planned - opted_out, messages_per_second(slots, parts, class.as_ref()))
                }),
                held: stalled.map(|stalled| format!("held back: {}: {}", stalled.reason, stalled.message)),
                warnings: plan.warnings.clone(),
                samples: plan.samples.clone(),
            })
        }
        (_, _, Some(stalled)) => Outlook::Refused { reason: stalled.reason.clone(), message: stalled.message.clone() },
        _ => return None,
    };
    let namespace = broadcast.metadata.namespace.clone().unwrap_or_default();
    let name = broadcast.metadata.name.clone().unwrap_or_default();
    Some(Preview { namespace, name, outlook })
}

/// Those who were skipped because they want no messages.
fn opted_out(status: &BroadcastMessageStatus) -> i64 {
    let is_it =
        |one: &&ReasonCount| one.outcome == ReasonOutcome::Skipped && one.reason == SkipReason::OptedOut.as_str();
    status.reasons.iter().filter(is_it).map(|one| one.count).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::broadcast_status::MAX_SAMPLE;

    fn broadcast(status: Value) -> BroadcastMessage {
        serde_json::from_value(json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
            "metadata": {"name": "spring", "namespace": "marketing"},
            "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "24005550001"}]},
                "content": {"text": "Hi"}, "suspend": true},
            "status": status,
        }))
        .unwrap()
    }

    fn channel(effective: i64) -> MessageChannel {
        serde_json::from_value(json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel", "metadata": {"name": "page"},
            "spec": {"http": {"url": "http://127.0.0.1/"}, "rate": {"messages": 10, "periodSeconds": 1}},
            "status": {"rate": {"configuredPerMinute": 600, "effectivePerMinute": effective}},
        }))
        .unwrap()
    }

    fn planned() -> BroadcastMessage {
        broadcast(json!({
            "recipients": {"planned": 100, "pending": 100, "sent": 0, "failed": 0, "skipped": 0, "unknown": 0},
            "batches": {"total": 2, "size": 50, "pending": 2, "active": 0, "complete": 0},
            "plan": {"hash": "sha256:1", "duplicates": 3, "excluded": 4, "samples": ["Hi Ana"], "warnings": ["no recipient has `x`"]},
        }))
    }

    fn figures(preview: Option<Preview>) -> PlanFigures {
        match preview.unwrap().outlook {
            Outlook::Plan(plan) => plan,
            refused => panic!("{refused:?}"),
        }
    }

    #[test]
    fn the_plan_of_a_status_takes_as_long_as_its_channel_allows_now() {
        let plan = figures(of(&planned(), Some(&channel(600))));
        assert_eq!((plan.planned, plan.duplicates, plan.excluded), (100, 3, 4));
        assert_eq!((plan.batches, plan.batch_size, plan.seconds), (2, 50, Some(10)));
        assert_eq!((plan.samples, plan.opted_out), (vec!["Hi Ana".to_owned()], 0));
        assert_eq!(plan.warnings, ["no recipient has `x`"]);
        let mut some = planned();
        some.status.as_mut().unwrap().reasons =
            serde_json::from_value(json!([{"outcome": "Skipped", "reason": "OptedOut", "count": 20}])).unwrap();
        let plan = figures(of(&some, Some(&channel(600))));
        assert_eq!((plan.opted_out, plan.seconds), (20, Some(8)), "they take no time");
        assert_eq!(figures(of(&planned(), Some(&channel(60)))).seconds, Some(100), "slowed by the provider");
        assert_eq!(figures(of(&planned(), None)).seconds, None);
    }

    #[test]
    fn a_sample_of_a_status_is_shown_to_its_end() {
        let longest = "ü".repeat(MAX_SAMPLE);
        let mut status = planned();
        status.status.as_mut().unwrap().plan.as_mut().unwrap().samples = vec![longest.clone()];
        let preview = of(&status, None).unwrap();
        assert!(preview.text().contains(&format!("  sample: {longest}\n")));
        assert!(preview.json().contains(&longest));
    }

    #[test]
    fn a_refusal_of_the_status_is_one_of_the_preview_and_without_either_there_is_none() {
        let stalled = broadcast(json!({"conditions": [{"type": "Stalled", "status": "True", "reason": "AudienceEmpty",
            "message": "add recipients", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}));
        let refused = Outlook::Refused { reason: "AudienceEmpty".to_owned(), message: "add recipients".to_owned() };
        assert_eq!(of(&stalled, None).unwrap().outlook, refused);
        assert_eq!(of(&broadcast(json!({})), None), None);
    }
}
