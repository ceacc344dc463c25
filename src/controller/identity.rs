//! What a token of a pod stands for: it is reviewed by the cluster and followed from its pod, each step by uid on the live
//! objects. A sender's leads to the Job to the BroadcastMessage; where a receiver's leads stands in `receivers.rs`.
//!
//! A token is looked at here first, and only what may be a sender's is brought before the cluster; senders that were
//! admitted have room and time of their own.
//!
//! Whoever may create pods in a namespace can name any Job of it as owner, and can mount the namespace's Secrets as well:
//! the namespace is the boundary. Nothing in another namespace can be reached, because a pod's owners are looked up in the
//! pod's own.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PartialObjectMeta;
use kube::{Api, Client, Resource};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::admissions::{Admissions, Known};
use super::cluster::{CallError, call};
use super::ownership::{owning_broadcast, owning_job};
use super::sender_token::{TokenHash, hash, life_left};
use super::strangers::{Strangers, TooMany};
use super::token_review::{ReviewError, Vouched, review};
use crate::api::BroadcastMessage;
use crate::ledger::Ledger;
use crate::ledger::clock::Clock;
use crate::ledger::wire::gatekeeper::{Admitted, Denied, Gatekeeper};

/// Tokens of senders that were admitted before, looked up at once; each costs up to four calls.
const SENDERS_AT_ONCE: usize = 8;
/// How long a token waits for its turn to be looked up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the pod of a token is followed to.
pub trait Follow: Send + Sync + 'static {
    type Admitted: Clone + Send + Sync + 'static;

    fn follow(&self, pod: BoundPod) -> impl Future<Output = Result<Self::Admitted, Denied>> + Send;
}

/// Tells by the cluster's own word what a token stands for: its pod is followed to what it runs for.
pub struct Identity<F: Follow>(Arc<Lookup<F>>);

struct Lookup<F: Follow> {
    client: Client,
    clock: Arc<dyn Clock>,
    admissions: Admissions<F::Admitted>,
    senders: Semaphore,
    strangers: Arc<Strangers>,
    follow: F,
}

/// Follows a sender's pod to its broadcast.
pub struct Senders<L> {
    client: Client,
    ledger: Arc<L>,
}

/// The pod a token is bound to, as the cluster says.
#[derive(Debug, PartialEq, Eq)]
pub struct BoundPod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl<L: Ledger> Gatekeeper for Identity<Senders<L>> {
    async fn admit(&self, token: &SecretString) -> Result<Admitted, Denied> {
        self.stands_for(token).await
    }
}

impl<L: Ledger> Identity<Senders<L>> {
    /// The gate of senders.
    pub fn new(client: Client, ledger: Arc<L>, clock: Arc<dyn Clock>, strangers: Arc<Strangers>) -> Self {
        let follow = Senders { client: client.clone(), ledger };
        Identity::following(follow, client, clock, strangers)
    }
}

impl<F: Follow> Identity<F> {
    pub fn following(follow: F, client: Client, clock: Arc<dyn Clock>, strangers: Arc<Strangers>) -> Identity<F> {
        Identity(Arc::new(Lookup {
            client,
            clock,
            admissions: Admissions::default(),
            senders: Semaphore::new(SENDERS_AT_ONCE),
            strangers,
            follow,
        }))
    }

    /// What a token stands for.
    pub async fn stands_for(&self, token: &SecretString) -> Result<F::Admitted, Denied> {
        let lookup = &self.0;
        let life_left = life_left(token.expose_secret(), lookup.clock.now()).map_err(Denied::Unauthorized)?;
        let hash = hash(token.expose_secret());
        match lookup.admissions.of(&hash) {
            Known::Answer(answer) => answer,
            Known::Renew(admitted) => {
                tokio::spawn(lookup.clone().renew(token.clone(), hash, life_left));
                Ok(admitted)
            }
            Known::Outdated => lookup.take_turn(&lookup.senders, token, hash, life_left).await,
            Known::Nothing => {
                lookup.strangers.turn().await?;
                lookup.take_turn(&lookup.strangers.room, token, hash, life_left).await
            }
        }
    }
}

impl<F: Follow> Lookup<F> {
    /// Beside the work. As long as nobody can tell, the old yes stands for the rest of its time.
    async fn renew(self: Arc<Self>, token: SecretString, hash: TokenHash, life_left: Duration) {
        if let Ok(_turn) = self.senders.try_acquire() {
            let admitted = self.look_up(token.expose_secret()).await;
            self.admissions.keep(hash, life_left, &admitted);
        }
    }

    async fn take_turn(
        &self,
        room: &Semaphore,
        token: &SecretString,
        hash: TokenHash,
        life_left: Duration,
    ) -> Result<F::Admitted, Denied> {
        let turn = tokio::time::timeout(PATIENCE, room.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(TooMany.into()) };
        // Another request of the same pod may have asked meanwhile.
        if let Known::Answer(answer) = self.admissions.of(&hash) {
            return answer;
        }
        let admitted = self.look_up(token.expose_secret()).await;
        self.admissions.keep(hash, life_left, &admitted);
        admitted
    }

    async fn look_up(&self, token: &str) -> Result<F::Admitted, Denied> {
        let vouched = review(&self.client, token).await?;
        let pod = bound_pod(&vouched).ok_or_else(|| Denied::Unauthorized("the token is bound to no pod".to_owned()))?;
        self.follow.follow(pod).await
    }
}

impl<L: Ledger> Follow for Senders<L> {
    type Admitted = Admitted;

    async fn follow(&self, pod: BoundPod) -> Result<Admitted, Denied> {
        let job = self.job_of(&pod).await?;
        let broadcast_uid = self.broadcast_of(&pod.namespace, &job).await?;
        match self.ledger.find(&broadcast_uid).await {
            Ok(Some(broadcast)) => Ok(Admitted { broadcast, pod: pod.name }),
            Ok(None) => Err(Denied::Gone("the ledger knows no broadcast of this BroadcastMessage".to_owned())),
            Err(error) => Err(Denied::Unavailable(format!("the ledger did not answer: {}", error.reason()))),
        }
    }
}

impl<L: Ledger> Senders<L> {
    async fn job_of(&self, pod: &BoundPod) -> Result<PartialObjectMeta<Job>, Denied> {
        let live: PartialObjectMeta<Pod> = live(&self.client, &pod.namespace, &pod.name, &pod.uid).await?;
        let live = owned(&live.metadata);
        let Some(owner) = owning_job(&live) else {
            return Err(Denied::Forbidden("the token's pod belongs to no Job".to_owned()));
        };
        live_of(&self.client, &pod.namespace, owner).await
    }

    /// The uid of the live BroadcastMessage that owns the Job.
    async fn broadcast_of(&self, namespace: &str, job: &PartialObjectMeta<Job>) -> Result<String, Denied> {
        let job = owned(&job.metadata);
        let Some(owner) = owning_broadcast(&job) else {
            return Err(Denied::Forbidden("the token's Job belongs to no BroadcastMessage".to_owned()));
        };
        let _: PartialObjectMeta<BroadcastMessage> = live_of(&self.client, namespace, owner).await?;
        Ok(owner.uid.clone())
    }
}

/// The owner that a reference names, if it still is the one of that uid.
pub async fn live_of<K>(
    client: &Client,
    namespace: &str,
    owner: &OwnerReference,
) -> Result<PartialObjectMeta<K>, Denied>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    live(client, namespace, &owner.name, &owner.uid).await
}

/// The object of that name, if it still is the one of that uid.
pub async fn live<K>(client: &Client, namespace: &str, name: &str, uid: &str) -> Result<PartialObjectMeta<K>, Denied>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = call("look who a pod belongs to", api.get_metadata_opt(name)).await.map_err(unavailable)?;
    found
        .filter(|found| found.metadata.uid.as_deref() == Some(uid))
        .ok_or_else(|| Denied::Gone(format!("the {} `{name}` of the token is gone", K::kind(&()))))
}

/// Metadata in the shape whose owners can be read; which kind it is plays no part.
pub fn owned(metadata: &kube::core::ObjectMeta) -> Pod {
    Pod { metadata: metadata.clone(), ..Pod::default() }
}

pub fn unavailable(error: CallError) -> Denied {
    Denied::Unavailable(error.to_string())
}

fn bound_pod(vouched: &Vouched) -> Option<BoundPod> {
    let pod = vouched.pod.as_ref()?;
    let (name, uid) = (pod.name.clone()?, pod.uid.clone()?);
    Some(BoundPod { namespace: vouched.namespace.clone(), name, uid })
}

impl From<TooMany> for Denied {
    fn from(TooMany: TooMany) -> Denied {
        Denied::Unavailable(TooMany.to_string())
    }
}

impl From<ReviewError> for Denied {
    fn from(error: ReviewError) -> Denied {
        match error {
            ReviewError::NotVouched(why) => Denied::Unauthorized(why),
            ReviewError::Call(error) => unavailable(error),
        }
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
