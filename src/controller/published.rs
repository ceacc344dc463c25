//! What people's tools need to trust the ledger API, in a ConfigMap of the operator's namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::cluster::{CallError, call};
use crate::api::ledger_access::{AUTHORITY_KEY, CONFIG_MAP, SERVER_NAME_KEY};

/// Between two tries while the Kubernetes API is away or refuses.
const INTERVAL: Duration = Duration::from_secs(30);

/// Tries until it is published; sending needs none of it.
pub async fn publish(client: Client, namespace: String, authority_pem: String, server_name: String) {
    while let Err(error) = publish_once(&client, &namespace, &authority_pem, &server_name).await {
        tracing::warn!(
            reason = error.reason(),
            %error,
            "the certificate authority of the ledger is not published: kubectl broadcast results has to wait"
        );
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn publish_once(
    client: &Client,
    namespace: &str,
    authority_pem: &str,
    server_name: &str,
) -> Result<(), CallError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let data = BTreeMap::from([
        (AUTHORITY_KEY.to_owned(), authority_pem.to_owned()),
        (SERVER_NAME_KEY.to_owned(), server_name.to_owned()),
    ]);
    let wanted = ConfigMap {
        metadata: ObjectMeta {
            name: Some(CONFIG_MAP.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "herald".to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(data.clone()),
        ..ConfigMap::default()
    };
    match call("create the ConfigMap herald-ledger", api.create(&PostParams::default(), &wanted)).await {
        Err(error) if error.is_conflict() => {
            let patch = Patch::Merge(json!({"data": data}));
            let parameters = PatchParams::default();
            let patched = api.patch(CONFIG_MAP, &parameters, &patch);
            call("update the ConfigMap herald-ledger", patched).await.map(drop)
        }
        created => created.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::controller::fake_cluster::FakeCluster;

    const PATH: &str = "/api/v1/namespaces/herald-system/configmaps/herald-ledger";

    async fn published(cluster: &FakeCluster, authority: &str) {
        let (namespace, name) = ("herald-system".to_owned(), "herald.herald-system.svc".to_owned());
        publish(cluster.client(), namespace, authority.to_owned(), name).await;
    }

    #[tokio::test]
    async fn the_authority_is_published_and_follows_a_new_one() {
        let cluster = FakeCluster::default();
        published(&cluster, "first").await;
        let data = json!({"ca.crt": "first", "server-name": "herald.herald-system.svc"});
        assert_eq!(cluster.get(PATH).unwrap()["data"], data);
        published(&cluster, "second").await;
        assert_eq!(cluster.get(PATH).unwrap()["data"]["ca.crt"], "second");
    }

    #[tokio::test]
    async fn a_refusal_is_tried_again() {
        let cluster = FakeCluster::default();
        tokio::time::pause();
        cluster.refuse(Method::POST, "/configmaps", 403, "Forbidden", "no such right");
        let publishing = tokio::spawn({
            let cluster = cluster.clone();
            async move { published(&cluster, "first").await }
        });
        tokio::time::sleep(INTERVAL * 2).await;
        assert!(cluster.get(PATH).is_none() && !publishing.is_finished());
        cluster.mend();
        publishing.await.unwrap();
        assert!(cluster.get(PATH).is_some());
    }
}
