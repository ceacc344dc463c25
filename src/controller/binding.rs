//! Binds the ledger to the cluster: another one's says nothing true about the objects of this one, and two clusters on one
//! ledger, or on two copies of it, would each send what the other has sent.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::cluster::{CallError, call};
use crate::ledger::{Ledger, LedgerError};

/// The namespace that every cluster has from its first to its last day: its uid is the cluster's.
const OLDEST: &str = "kube-system";
/// Between two tries while the Kubernetes API is away or refuses.
const INTERVAL: Duration = Duration::from_secs(2);

/// Waits until the cluster says which one it is.
///
/// # Errors
/// [`LedgerError::OtherCluster`], which is for a person; and whatever the ledger says.
pub async fn bind(client: &Client, ledger: &impl Ledger, moved_from: Option<&str>) -> Result<(), LedgerError> {
    ledger.serve_cluster(&await_uid(client).await, moved_from).await
}

async fn await_uid(client: &Client) -> String {
    loop {
        match uid(client).await {
            Ok(Some(uid)) => return uid,
            Ok(None) => tracing::warn!("the cluster has no namespace {OLDEST} yet; trying again"),
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "which cluster this is is not known yet; trying again");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn uid(client: &Client) -> Result<Option<String>, CallError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = call("look which cluster this is", api.get_metadata_opt(OLDEST)).await?;
    Ok(found.and_then(|namespace| namespace.metadata.uid))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::controller::fake_cluster::FakeCluster;
    use crate::ledger::clock::SystemClock;
    use crate::ledger::sqlite::SqliteLedger;

    fn cluster(uid: &str) -> FakeCluster {
        let cluster = FakeCluster::default();
        let metadata = json!({"name": OLDEST, "uid": uid});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        cluster.put("/api/v1/namespaces/kube-system", namespace);
        cluster
    }

    #[tokio::test]
    async fn the_ledger_of_another_cluster_is_refused_with_the_way_to_move_it() {
        let ledger = SqliteLedger::in_memory(Arc::new(SystemClock)).await.unwrap();
        bind(&cluster("one").client(), &ledger, None).await.unwrap();
        bind(&cluster("one").client(), &ledger, None).await.unwrap();
        let refused = bind(&cluster("two").client(), &ledger, None).await.unwrap_err();
        assert_eq!(refused.reason(), "LedgerOfOtherCluster");
        assert!(refused.to_string().contains("--ledger-from-cluster one"), "{refused}");
        bind(&cluster("two").client(), &ledger, Some("one")).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_does_not_say_which_it_is_is_asked_again() {
        let away = cluster("one");
        away.set_down(true);
        let client = away.client();
        let mended = async {
            tokio::time::sleep(INTERVAL * 3).await;
            away.set_down(false);
        };
        let (uid, ()) = tokio::join!(await_uid(&client), mended);
        assert_eq!(uid, "one");
    }
}
