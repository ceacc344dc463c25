//! Does what was decided: one call for each step, each bounded in time and safe to repeat.

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::observation::Action;
use crate::api::{BroadcastMessage, MessageBatch};
use crate::controller::cluster::{CallError, call};
use crate::controller::failure::Failure;
use crate::ledger::{BroadcastId, Ledger};

/// Calls under way at once for one broadcast: enough to make 500 batches in seconds, few enough that 16 broadcasts do
/// not fill the API server's places for writes.
const CONCURRENT_CALLS: usize = 4;

/// The hands of one reconciliation.
pub struct Applier<'a, L> {
    pub client: &'a Client,
    pub ledger: &'a L,
    pub object: &'a BroadcastMessage,
    /// The ledger's name of the broadcast, where it stands.
    pub broadcast: Option<BroadcastId>,
}

impl<L: Ledger> Applier<'_, L> {
    /// Takes every step. All are tried; the first failure is told.
    pub async fn apply(&self, actions: &[Action]) -> Result<(), Failure> {
        let (batches, others): (Vec<_>, Vec<_>) =
            actions.iter().partition(|action| matches!(action, Action::CreateBatch(_) | Action::DeleteBatch { .. }));
        let mut first = Ok(());
        // In their order: the credential stop is lifted before the wave that tries them.
        for action in others {
            first = first.and(self.act(action).await);
        }
        let steps: Vec<_> = batches.into_iter().map(|action| self.act(action)).collect();
        let mut steps = futures::stream::iter(steps).buffer_unordered(CONCURRENT_CALLS);
        while let Some(done) = steps.next().await {
            first = first.and(done);
        }
        first
    }

    async fn act(&self, action: &Action) -> Result<(), Failure> {
        match action {
            Action::CreateJob(job) => self.create("Job", "create a Job", job.as_ref()).await,
            Action::CreateBatch(batch) => self.create("MessageBatch", "create a MessageBatch", batch.as_ref()).await,
            Action::DeleteJob { name, uid } => self.delete::<Job>("delete a Job", name, uid).await,
            Action::DeleteBatch { name, uid } => self.delete::<MessageBatch>("delete a MessageBatch", name, uid).await,
            Action::ScaleJob { name, parallelism } => self.scale(name, *parallelism).await,
            Action::LiftCredentialStop => self.lift_credential_stop().await,
            Action::LiftBlock => self.lift_block().await,
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.object.namespace().unwrap_or_default())
    }

    /// One that is there already and is ours is what was wanted: a cache may lag, an answer may have been lost.
    async fn create<K>(&self, kind: &'static str, what: &'static str, wanted: &K) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api = self.api::<K>();
        match call(what, api.create(&PostParams::default(), wanted)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => {
                let name = wanted.name_any();
                let live = call("look whose a taken name is", api.get_metadata_opt(&name)).await?;
                let owner =
                    live.as_ref().and_then(|live| live.metadata.owner_references.as_ref()).into_iter().flatten();
                let uid = self.object.uid();
                let ours =
                    owner.into_iter().any(|owner| owner.controller == Some(true) && Some(&owner.uid) == uid.as_ref());
                if ours { Ok(()) } else { Err(Failure::NameTaken { kind, name }) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Only the one that was observed; who is gone or another by now is not touched.
    async fn delete<K>(&self, what: &'static str, name: &str, uid: &str) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let only_this = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
        let params = DeleteParams::background().preconditions(only_this);
        let api = self.api::<K>();
        tolerate_gone(call(what, api.delete(name, &params)).await.map(drop))
    }

    async fn scale(&self, name: &str, parallelism: i32) -> Result<(), Failure> {
        let patch = Patch::Merge(json!({"spec": {"parallelism": parallelism}}));
        let api = self.api::<Job>();
        let patched = call("change the number of senders", api.patch(name, &PatchParams::default(), &patch)).await;
        tolerate_gone(patched.map(drop))
    }

    async fn lift_credential_stop(&self) -> Result<(), Failure> {
        match self.broadcast {
            Some(broadcast) => Ok(self.ledger.lift_credential_stop(broadcast).await?),
            None => Ok(()),
        }
    }

    async fn lift_block(&self) -> Result<(), Failure> {
        match self.broadcast {
            Some(broadcast) => {
                let generation = self.object.metadata.generation.unwrap_or_default();
                Ok(self.ledger.lift_block(broadcast, generation).await?)
            }
            None => Ok(()),
        }
    }
}

fn tolerate_gone(done: Result<(), CallError>) -> Result<(), Failure> {
    match done {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        other => Ok(other?),
    }
}
