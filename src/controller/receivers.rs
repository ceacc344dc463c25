//! Whose call-backs a receiver's token stands for: from its pod to the ReplicaSet to the Deployment to the MessageChannel,
//! each by uid on the live objects. It may tell of that channel's account and of nothing else.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PartialObjectMeta;
use kube::{Api, Client};
use secrecy::SecretString;

use super::cluster::call;
use super::identity::{BoundPod, Follow, Identity, live, live_of, owned, unavailable};
use super::ownership::{owning_channel, owning_deployment, owning_replica_set};
use super::strangers::Strangers;
use crate::api::MessageChannel;
use crate::ledger::AccountKey;
use crate::ledger::clock::Clock;
use crate::ledger::wire::gatekeeper::{Denied, ReceiverGate};

/// Follows a receiver's pod to its channel.
pub struct Receivers {
    client: Client,
}

impl Identity<Receivers> {
    /// The gate of receivers.
    pub fn of_receivers(client: Client, clock: Arc<dyn Clock>, strangers: Arc<Strangers>) -> Self {
        Identity::following(Receivers { client: client.clone() }, client, clock, strangers)
    }
}

impl ReceiverGate for Identity<Receivers> {
    async fn serves(&self, token: &SecretString) -> Result<AccountKey, Denied> {
        self.stands_for(token).await
    }
}

impl Follow for Receivers {
    type Admitted = AccountKey;

    async fn follow(&self, pod: BoundPod) -> Result<AccountKey, Denied> {
        let (client, namespace) = (&self.client, pod.namespace.as_str());
        let no = |what: &str| Denied::Forbidden(format!("the token's pod belongs to no {what}"));
        let found: PartialObjectMeta<Pod> = live(client, namespace, &pod.name, &pod.uid).await?;
        let found = owned(&found.metadata);
        let owner = owning_replica_set(&found).ok_or_else(|| no("ReplicaSet"))?;
        let found: PartialObjectMeta<ReplicaSet> = live_of(client, namespace, owner).await?;
        let found = owned(&found.metadata);
        let owner = owning_deployment(&found).ok_or_else(|| no("Deployment"))?;
        let found: PartialObjectMeta<Deployment> = live_of(client, namespace, owner).await?;
        let found = owned(&found.metadata);
        let owner = owning_channel(&found).ok_or_else(|| no("MessageChannel"))?;
        self.account_of(namespace, &owner.name, &owner.uid).await
    }
}

impl Receivers {
    /// The account as the live channel names it now: not as some pod was told.
    async fn account_of(&self, namespace: &str, name: &str, uid: &str) -> Result<AccountKey, Denied> {
        let api: Api<MessageChannel> = Api::namespaced(self.client.clone(), namespace);
        let found = call("look whose a receiver is", api.get_opt(name)).await.map_err(unavailable)?;
        let channel = found.filter(|channel| channel.metadata.uid.as_deref() == Some(uid));
        let channel =
            channel.ok_or_else(|| Denied::Gone(format!("the MessageChannel `{name}` of the token is gone")))?;
        if !channel.spec.wants_receiver() {
            return Err(Denied::Gone(format!("the MessageChannel `{name}` has no receiver any more")));
        }
        let none = || Denied::Forbidden(format!("the MessageChannel `{name}` names no provider"));
        AccountKey::of(namespace, &channel.spec).ok_or_else(none)
    }
}

#[cfg(test)]
#[path = "receivers_tests.rs"]
mod tests;
