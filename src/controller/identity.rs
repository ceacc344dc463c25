//! Which broadcast a sender's token stands for: the token is reviewed by the cluster and followed from its pod to the Job
//! to the BroadcastMessage, each by uid on the live objects.
//!
//! Whoever may create pods in a namespace can name any Job of it as owner, and can mount the namespace's Secrets as well:
//! the namespace is the boundary. Nothing in another namespace can be reached, because a pod's owners are looked up in the
//! pod's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{PartialObjectMeta, PostParams};
use kube::{Api, Client, Resource};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::cluster::{CallError, call};
use super::ownership::{owning_broadcast, owning_job};
use crate::api::BroadcastMessage;
use crate::api::mount::TOKEN_AUDIENCE;
use crate::ledger::clock::Clock;
use crate::ledger::wire::gatekeeper::{Admitted, Denied, Gatekeeper};
use crate::ledger::{BroadcastId, Ledger};

/// How long a yes is believed: an outage of the API server stops nobody meanwhile.
const YES_FOR: Duration = Duration::from_secs(600);
/// How long a no is believed: long enough that a sender that repeats itself costs little, short enough to be mended.
const NO_FOR: Duration = Duration::from_secs(5);
/// Answers kept: several tokens for each of far more senders than one operator serves.
const MAX_ANSWERS: usize = 4_096;
/// Tokens looked up at once; each costs up to four calls.
const CONCURRENT_LOOKUPS: usize = 16;
/// How long a token waits for its turn to be looked up.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest token worth looking at: projected ones have some 1,200 bytes.
const MAX_TOKEN: usize = 16_384;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// SHA-256 of a token: tokens themselves are not kept.
type TokenHash = [u8; 32];

/// Tells senders apart by the cluster's own word.
pub struct Identity<L> {
    client: Client,
    ledger: Arc<L>,
    clock: Arc<dyn Clock>,
    answers: Mutex<HashMap<TokenHash, Answer>>,
    lookups: Semaphore,
}

#[derive(Clone)]
struct Answer {
    admitted: Result<Admitted, Denied>,
    until: Instant,
}

/// The pod a token is bound to, as the cluster says.
#[derive(Debug, PartialEq, Eq)]
struct BoundPod {
    namespace: String,
    name: String,
    uid: String,
}

impl<L: Ledger> Gatekeeper for Identity<L> {
    async fn admit(&self, token: &SecretString) -> Result<Admitted, Denied> {
        let token = token.expose_secret();
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(Denied::Unauthorized("the token is empty or longer than any".to_owned()));
        }
        let hash = hash(token);
        if let Some(known) = self.known(&hash) {
            return known;
        }
        let turn = tokio::time::timeout(PATIENCE, self.lookups.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Denied::Unavailable("too many tokens are being looked up".to_owned()));
        };
        // Another request of the same sender may have asked meanwhile.
        if let Some(known) = self.known(&hash) {
            return known;
        }
        let admitted = self.look_up(token).await;
        self.keep(hash, token, &admitted);
        admitted
    }
}

impl<L: Ledger> Identity<L> {
    pub fn new(client: Client, ledger: Arc<L>, clock: Arc<dyn Clock>) -> Identity<L> {
        let lookups = Semaphore::new(CONCURRENT_LOOKUPS);
        Identity { client, ledger, clock, answers: Mutex::default(), lookups }
    }

    fn known(&self, hash: &TokenHash) -> Option<Result<Admitted, Denied>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(hash).filter(|answer| Instant::now() < answer.until).map(|answer| answer.admitted.clone())
    }

    fn keep(&self, hash: TokenHash, token: &str, admitted: &Result<Admitted, Denied>) {
        let keep_for = match admitted {
            Ok(_) => YES_FOR.min(self.life_left(token)),
            Err(Denied::Unavailable(_)) => return,
            Err(_) => NO_FOR,
        };
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MAX_ANSWERS {
            answers.retain(|_, answer| now < answer.until);
        }
        // Nos make room first: anybody can bring more of them.
        if answers.len() >= MAX_ANSWERS {
            answers.retain(|_, answer| answer.admitted.is_ok());
        }
        if answers.len() < MAX_ANSWERS {
            answers.insert(hash, Answer { admitted: admitted.clone(), until: now + keep_for });
        }
    }

    /// Until the token ends. One that does not say is reviewed each time.
    fn life_left(&self, token: &str) -> Duration {
        let now = self.clock.now().0.div_euclid(1_000_000_000);
        let left = expiry(token).map_or(0, |end| end - now);
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }

    async fn look_up(&self, token: &str) -> Result<Admitted, Denied> {
        let pod = self.review(token).await?;
        let job = self.job_of(&pod).await?;
        let broadcast_uid = self.broadcast_of(&pod.namespace, &job).await?;
        match self.ledger.find(&broadcast_uid).await {
            Ok(Some(broadcast)) => Ok(admitted(broadcast, pod.name)),
            Ok(None) => Err(Denied::Gone("the ledger knows no broadcast of this BroadcastMessage".to_owned())),
            Err(error) => Err(Denied::Unavailable(format!("the ledger did not answer: {}", error.reason()))),
        }
    }

    async fn review(&self, token: &str) -> Result<BoundPod, Denied> {
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let wanted = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![TOKEN_AUDIENCE.to_owned()]) },
            ..TokenReview::default()
        };
        let reviewed =
            call("review a token", api.create(&PostParams::default(), &wanted)).await.map_err(unavailable)?;
        bound_pod(&reviewed.status.unwrap_or_default()).map_err(Denied::Unauthorized)
    }

    async fn job_of(&self, pod: &BoundPod) -> Result<PartialObjectMeta<Job>, Denied> {
        let live: PartialObjectMeta<Pod> = self.live(&pod.namespace, &pod.name, &pod.uid).await?;
        let live = owned(&live.metadata);
        let Some(owner) = owning_job(&live) else {
            return Err(Denied::Forbidden("the token's pod belongs to no Job".to_owned()));
        };
        self.live(&pod.namespace, &owner.name, &owner.uid).await
    }

    /// The uid of the live BroadcastMessage that owns the Job.
    async fn broadcast_of(&self, namespace: &str, job: &PartialObjectMeta<Job>) -> Result<String, Denied> {
        let job = owned(&job.metadata);
        let Some(owner) = owning_broadcast(&job) else {
            return Err(Denied::Forbidden("the token's Job belongs to no BroadcastMessage".to_owned()));
        };
        let _: PartialObjectMeta<BroadcastMessage> = self.live(namespace, &owner.name, &owner.uid).await?;
        Ok(owner.uid.clone())
    }

    /// The object of that name, if it still is the one of that uid.
    async fn live<K>(&self, namespace: &str, name: &str, uid: &str) -> Result<PartialObjectMeta<K>, Denied>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let found = call("look who a sender belongs to", api.get_metadata_opt(name)).await.map_err(unavailable)?;
        found
            .filter(|found| found.metadata.uid.as_deref() == Some(uid))
            .ok_or_else(|| Denied::Gone(format!("the {} `{name}` of the token is gone", K::kind(&()))))
    }
}

/// Metadata in the shape whose owners can be read; which kind it is plays no part.
fn owned(metadata: &kube::core::ObjectMeta) -> Pod {
    Pod { metadata: metadata.clone(), ..Pod::default() }
}

fn admitted(broadcast: BroadcastId, pod: String) -> Admitted {
    Admitted { broadcast, pod }
}

fn unavailable(error: CallError) -> Denied {
    Denied::Unavailable(error.to_string())
}

/// What is missing for a yes is told: a token for another audience is the usual mistake.
fn bound_pod(status: &TokenReviewStatus) -> Result<BoundPod, String> {
    if status.authenticated != Some(true) {
        return Err("the cluster does not know this token, or its pod is gone".to_owned());
    }
    let audience = status.audiences.as_ref().is_some_and(|all| all.iter().any(|one| one == TOKEN_AUDIENCE));
    if !audience {
        return Err(format!("the token is not for the audience `{TOKEN_AUDIENCE}`"));
    }
    let user = status.user.as_ref();
    let account = user.and_then(|user| user.username.as_deref()?.strip_prefix(SERVICE_ACCOUNT)?.split_once(':'));
    let Some((namespace, _)) = account else {
        return Err("the token is not of a service account".to_owned());
    };
    let extra = |key: &str| user?.extra.as_ref()?.get(key)?.first().filter(|value| !value.is_empty()).cloned();
    match (extra(POD_NAME), extra(POD_UID)) {
        (Some(name), Some(uid)) => Ok(BoundPod { namespace: namespace.to_owned(), name, uid }),
        _ => Err("the token is bound to no pod".to_owned()),
    }
}

fn hash(token: &str) -> TokenHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// When the token says that it ends, in seconds since 1970. Read only from tokens the cluster has vouched for.
fn expiry(token: &str) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Claims>(&json).ok().map(|claims| claims.exp)
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
