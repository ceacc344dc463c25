//! Looks for the receiver of a channel, and takes the steps that were decided: each one call, bounded and safe to repeat.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decide_receiver::{Found, Step};
use super::receiver::name;
use crate::api::MessageChannel;
use crate::controller::cluster::{CallError, call, delete_only};

/// Who owns the fields of what is made.
const FIELD_MANAGER: &str = "herald";

pub struct ReceiverApplier<'a> {
    pub client: &'a Client,
    pub channel: &'a MessageChannel,
}

impl ReceiverApplier<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.channel.namespace().unwrap_or_default())
    }

    pub async fn find(&self) -> Result<Found, CallError> {
        let name = name(self.channel);
        let deployment = call("look for a receiver", self.api::<Deployment>().get_opt(&name)).await?;
        let service = call("look for the Service of a receiver", self.api::<Service>().get_opt(&name)).await?;
        Ok(Found { deployment, service })
    }

    pub async fn take(&self, step: &Step) -> Result<(), CallError> {
        match step {
            Step::ApplyDeployment(wanted) => self.apply("make a receiver", wanted.as_ref()).await,
            Step::ApplyService(wanted) => self.apply("make the Service of a receiver", wanted.as_ref()).await,
            Step::DeleteDeployment { name, uid } => self.delete::<Deployment>("remove a receiver", name, uid).await,
            Step::DeleteService { name, uid } => {
                self.delete::<Service>("remove the Service of a receiver", name, uid).await
            }
        }
    }

    /// Server-side apply from the first call on: one manager owns all that is set here, so what the channel says no more goes
    /// again. What was there is changed only where it is still the one that was looked at, by its uid. What was not there is
    /// applied without force: where somebody else has made one of that name meanwhile, their fields are a conflict and nothing
    /// is taken over.
    async fn apply<K>(&self, what: &'static str, wanted: &K) -> Result<(), CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api = self.api::<K>();
        let params = PatchParams { force: wanted.uid().is_some(), ..PatchParams::apply(FIELD_MANAGER) };
        call(what, api.patch(&wanted.name_any(), &params, &Patch::Apply(wanted))).await.map(drop)
    }

    async fn delete<K>(&self, what: &'static str, name: &str, uid: &str) -> Result<(), CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        delete_only(what, &self.api::<K>(), name, uid).await
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::controller::channel::decide_receiver::decide;
    use crate::controller::fake_cluster::FakeCluster;
    use crate::controller::job::SenderSettings;

    const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/marketing/deployments/acme-receiver";
    const SERVICE: &str = "/api/v1/namespaces/marketing/services/acme-receiver";

    fn channel(enabled: bool) -> MessageChannel {
        serde_json::from_value(json!({
            "apiVersion": "herald.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": {"name": "acme", "namespace": "marketing", "uid": "channel-uid", "generation": 1},
            "spec": {
                "messenger": {"pageID": "1029"}, "credentialsSecretRef": {"name": "acme"},
                "receiver": {"enabled": enabled},
            },
        }))
        .unwrap()
    }

    fn settings(image: &str) -> SenderSettings {
        SenderSettings {
            image: image.to_owned(),
            image_pull_policy: None,
            ledger_url: "https://ledger".into(),
            certificate_authority_pem: None,
            resources: Default::default(),
        }
    }

    /// One look; returns how many steps were taken.
    async fn look(cluster: &FakeCluster, channel: &MessageChannel, image: &str) -> Result<usize, CallError> {
        let client = cluster.client();
        let hands = ReceiverApplier { client: &client, channel };
        let found = hands.find().await?;
        let decision = decide(channel, &settings(image), &found);
        for step in &decision.steps {
            hands.take(step).await?;
        }
        Ok(decision.steps.len())
    }

    fn image(cluster: &FakeCluster) -> String {
        let deployment = cluster.get(DEPLOYMENT).unwrap();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_receiver_is_made_once_changed_in_place_and_removed() {
        let cluster = FakeCluster::default();
        assert_eq!(look(&cluster, &channel(true), "herald:1").await.unwrap(), 2);
        assert_eq!(look(&cluster, &channel(true), "herald:1").await.unwrap(), 0, "nothing is to be done");
        assert_eq!(look(&cluster, &channel(true), "herald:2").await.unwrap(), 1);
        assert_eq!(image(&cluster), "herald:2");
        assert_eq!(cluster.count(&Method::PATCH, "acme-receiver"), 3);
        assert_eq!(cluster.count(&Method::POST, ""), 0, "a second manager would own what it made");
        assert_eq!(look(&cluster, &channel(false), "herald:2").await.unwrap(), 2);
        assert_eq!((cluster.get(DEPLOYMENT), cluster.get(SERVICE)), (None, None));
        assert_eq!(look(&cluster, &channel(false), "herald:2").await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_the_channel_says_no_more_of_its_pods_leaves_the_receiver() {
        let mut particular = channel(true);
        particular.spec.sender = serde_json::from_value(json!({
            "nodeSelector": {"pool": "batch"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "imagePullSecrets": [{"name": "registry"}],
            "labels": {"team": "growth"},
        }))
        .unwrap();
        let (edited, plain) = (FakeCluster::default(), FakeCluster::default());
        let spec = |cluster: &FakeCluster| cluster.get(DEPLOYMENT).unwrap()["spec"].clone();
        assert_eq!(look(&edited, &particular, "herald:1").await.unwrap(), 2);
        assert_eq!(look(&plain, &channel(true), "herald:1").await.unwrap(), 2);
        assert_ne!(spec(&edited), spec(&plain));
        assert_eq!(look(&edited, &channel(true), "herald:1").await.unwrap(), 1);
        assert_eq!(spec(&edited), spec(&plain));
    }

    #[tokio::test]
    async fn what_somebody_else_has_made_meanwhile_is_not_taken_over() {
        let cluster = FakeCluster::default();
        let client = cluster.client();
        let channel = channel(true);
        let hands = ReceiverApplier { client: &client, channel: &channel };
        // Looked at before it was there, and before another took its place.
        let nothing = decide(&channel, &settings("herald:1"), &hands.find().await.unwrap());
        look(&cluster, &channel, "herald:1").await.unwrap();
        let ours = decide(&channel, &settings("herald:2"), &hands.find().await.unwrap());
        let theirs = json!({"metadata": {"name": "acme-receiver", "namespace": "marketing", "uid": "theirs"}, "spec": {"replicas": 3}});
        cluster.put(DEPLOYMENT, theirs.clone());
        for decision in [nothing, ours] {
            let refused = hands.take(&decision.steps[0]).await.unwrap_err();
            assert!(refused.is_conflict(), "{refused}");
        }
        assert_eq!(cluster.get(DEPLOYMENT).unwrap()["spec"], theirs["spec"]);
        assert_eq!(cluster.get(DEPLOYMENT).unwrap()["metadata"]["uid"], "theirs");
    }
}
