//! Sends again to those whom an ended broadcast did not reach, by a new one.

use kube::api::PostParams;

use super::FIELD_MANAGER;
use super::cluster::{Cluster, call};
use super::confirmation::confirm;
use super::decide_retry::decide;
use super::failure::PluginError;
use super::options::{RetryOptions, RetryOutcome};
use crate::api::BroadcastMessage;
use crate::report::words::number;

pub async fn retry(cluster: &Cluster, options: &RetryOptions) -> Result<(), PluginError> {
    let ended = cluster.broadcast(&options.name).await?;
    let (retry, count) = decide(&ended, options.outcome).map_err(|error| PluginError::Refused(error.to_string()))?;
    let name = retry.metadata.name.clone().unwrap_or_default();
    if options.dry_run {
        print!("{}", yaml(&retry)?);
        return Ok(());
    }
    confirm(&question(&options.name, options.outcome, count), options.yes)?;
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let api = cluster.broadcasts();
    let created = api.create(&parameters, &retry);
    match call(format!("create the BroadcastMessage {name}"), created).await {
        Err(error) if error.is_conflict() => Err(taken(&cluster.broadcast(&name).await?, &name, &options.name)),
        Err(error) => Err(error),
        Ok(_) => {
            println!("broadcastmessage/{name} created: {} recipients who were not reached", number(count));
            Ok(())
        }
    }
}

/// Why the retry of `ended` cannot have its name.
fn taken(existing: &BroadcastMessage, name: &str, ended: &str) -> PluginError {
    let mut sources = existing.spec.audience.sources.iter().filter_map(|source| source.broadcast.as_ref());
    PluginError::Refused(match sources.any(|source| source.name == ended) {
        true => format!(
            "{name} exists already: it is the retry of {ended}. To send again to those whom it missed, retry {name} itself"
        ),
        false => format!(
            "{name} exists already, and is no retry of {ended}: nothing was created. Take what --dry-run prints, give it \
             another name and create that"
        ),
    })
}

fn question(name: &str, outcome: RetryOutcome, count: i64) -> String {
    let warning = match outcome {
        RetryOutcome::Failed | RetryOutcome::Skipped => "",
        RetryOutcome::Unknown => " Whoever got the first message gets it twice.",
    };
    format!("send again to {} recipients of {name} who are {outcome:?}?{warning}", number(count))
}

/// As it would be created, for kubectl apply.
fn yaml(broadcast: &BroadcastMessage) -> Result<String, PluginError> {
    serde_saphyr::to_string(broadcast).map_err(|error| PluginError::Refused(format!("failed to write YAML: {error}")))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::fake_cluster::FakeCluster;

    const PATH: &str = "/apis/herald.dev/v1alpha1/namespaces/marketing/broadcastmessages/";

    fn ended() -> Value {
        json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
            "metadata": {"name": "spring", "namespace": "marketing"},
            "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]},
                "content": {"text": "Hi: {{ name }}"}},
            "status": {
                "conditions": [{"type": "Finished", "status": "True", "reason": "DeliveredWithFailures", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "recipients": {"planned": 9, "pending": 0, "sent": 6, "failed": 3, "skipped": 0, "unknown": 0},
            },
        })
    }

    fn options(dry_run: bool) -> RetryOptions {
        RetryOptions { name: "spring".to_owned(), outcome: RetryOutcome::Failed, dry_run, yes: true }
    }

    fn cluster(fake: &FakeCluster) -> Cluster {
        Cluster { client: fake.client(), namespace: "marketing".to_owned() }
    }

    #[tokio::test]
    async fn a_retry_is_made_once_whoever_asks_twice() {
        let fake = FakeCluster::default();
        fake.put(&format!("{PATH}spring"), ended());
        retry(&cluster(&fake), &options(false)).await.unwrap();
        let made = fake.get(&format!("{PATH}spring-retry")).unwrap();
        assert_eq!(made["spec"]["audience"]["sources"][0]["broadcast"]["name"], "spring");
        let error = retry(&cluster(&fake), &options(false)).await.unwrap_err().to_string();
        assert!(error.contains("retry spring-retry itself"), "{error}");
    }

    #[tokio::test]
    async fn another_broadcast_of_that_name_is_not_taken_for_the_retry() {
        let fake = FakeCluster::default();
        fake.put(&format!("{PATH}spring"), ended());
        let mut other = ended();
        other["metadata"]["name"] = json!("spring-retry");
        fake.put(&format!("{PATH}spring-retry"), other);
        let error = retry(&cluster(&fake), &options(false)).await.unwrap_err().to_string();
        assert!(error.contains("spring-retry exists already, and is no retry of spring"), "{error}");
    }

    #[tokio::test]
    async fn a_dry_run_creates_nothing_and_prints_what_can_be_applied() {
        let fake = FakeCluster::default();
        fake.put(&format!("{PATH}spring"), ended());
        retry(&cluster(&fake), &options(true)).await.unwrap();
        assert_eq!(fake.count(&Method::POST, "broadcastmessages"), 0);
        let (made, _) = decide(&serde_json::from_value(ended()).unwrap(), RetryOutcome::Failed).unwrap();
        let back: Value = serde_saphyr::from_str(&yaml(&made).unwrap()).unwrap();
        assert_eq!(back, serde_json::to_value(&made).unwrap());
        assert_eq!(back["kind"], "BroadcastMessage");
    }
}
