//! Does what was decided: one call for each step, each bounded in time and safe to repeat.

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::decide_refused::making;
use super::decide_stall::NAME_TAKEN;
use super::memory::{Made, Unmade};
use super::observation::Action;
use crate::api::{BroadcastMessage, MessageBatch};
use crate::controller::cluster::{call, delete_only, tolerate_gone};
use crate::controller::failure::Failure;
use crate::controller::ownership::is_controlled_by;
use crate::delivery::notification::Standing;
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

/// What became of the steps.
#[derive(Debug, Default)]
pub struct Applied {
    pub made: Vec<(Made, String)>,
    pub unmade: Vec<Unmade>,
    /// The first step that came to nothing for a reason that may pass by itself.
    pub failure: Option<Failure>,
}

impl Applied {
    fn note(&mut self, action: &Action, done: Result<(), Failure>) {
        match (making(action), done) {
            (Some(made), Ok(())) => self.made.push(made),
            (None, Ok(())) => {}
            (Some((kind, name)), Err(failure)) => {
                let (reason, message, is_refused) = (failure.reason(), failure.to_string(), failure.is_refusal());
                self.unmade.push(Unmade { kind, name, reason, message, is_refused });
                if !is_refused {
                    self.failure.get_or_insert(failure);
                }
            }
            (None, Err(failure)) => drop(self.failure.get_or_insert(failure)),
        }
    }

    /// Why the API server does not take something as it is.
    pub fn refusal(&self) -> Option<&'static str> {
        self.unmade.iter().find(|unmade| unmade.is_refused).map(|unmade| unmade.reason)
    }

    /// Whether further MessageBatches would fare no better.
    fn is_hopeless(&self) -> bool {
        self.failure.is_some() || self.unmade.iter().any(|unmade| unmade.reason != NAME_TAKEN)
    }
}

impl<L: Ledger> Applier<'_, L> {
    /// Takes every step; of MessageBatches no further ones once the API server is away or takes none.
    pub async fn apply(&self, actions: &[Action]) -> Applied {
        let (batches, others): (Vec<_>, Vec<_>) =
            actions.iter().partition(|action| matches!(action, Action::CreateBatch(_) | Action::DeleteBatch { .. }));
        let mut applied = Applied::default();
        // In their order: the credential stop is lifted before the wave that tries them.
        for action in others {
            applied.note(action, self.act(action).await);
        }
        let steps: Vec<_> = batches.into_iter().map(|action| async move { (action, self.act(action).await) }).collect();
        let mut steps = futures::stream::iter(steps).buffer_unordered(CONCURRENT_CALLS);
        while let Some((action, done)) = steps.next().await {
            applied.note(action, done);
            if applied.is_hopeless() {
                break;
            }
        }
        applied
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
            Action::TellStanding(standing) => self.tell_standing(standing).await,
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
                match call("look whose a taken name is", api.get_metadata_opt(&name)).await? {
                    Some(live) if self.is_owner_of(&live.metadata) => Ok(()),
                    Some(_) => Err(Failure::NameTaken { kind, name }),
                    // Two writers met at a quota, or the other one is gone by now.
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_owner_of(&self, metadata: &ObjectMeta) -> bool {
        is_controlled_by(metadata, self.object.metadata.uid.as_deref())
    }

    async fn delete<K>(&self, what: &'static str, name: &str, uid: &str) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        Ok(delete_only(what, &self.api::<K>(), name, uid).await?)
    }

    async fn scale(&self, name: &str, parallelism: i32) -> Result<(), Failure> {
        let patch = Patch::Merge(json!({"spec": {"parallelism": parallelism}}));
        let api = self.api::<Job>();
        let patched = call("change the number of senders", api.patch(name, &PatchParams::default(), &patch)).await;
        Ok(tolerate_gone(patched.map(drop))?)
    }

    async fn lift_credential_stop(&self) -> Result<(), Failure> {
        match self.broadcast {
            Some(broadcast) => Ok(self.ledger.lift_credential_stop(broadcast).await?),
            None => Ok(()),
        }
    }

    async fn tell_standing(&self, standing: &Standing) -> Result<(), Failure> {
        match self.broadcast {
            Some(broadcast) => Ok(self.ledger.tell_standing(broadcast, standing).await?),
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
