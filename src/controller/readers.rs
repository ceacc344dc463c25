//! Who may read the results of a broadcast: recipients are personal data. A reader brings a token of a service account,
//! made for the ledger and bound to no pod; the cluster says whose it is, and whether that account may get the
//! BroadcastMessage. Only then it is looked up.
//!
//! A sender's token is bound to its pod, and so reads nothing, whatever its account may do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{PartialObjectMeta, PostParams};
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::cluster::{CallError, call};
use super::sender_token::{TokenHash, hash, life_left};
use super::strangers::{PATIENCE, Strangers, TooMany};
use super::token_review::{ReviewError, Vouched, review};
use crate::api::broadcast::MAX_BROADCAST_NAME;
use crate::api::{BroadcastMessage, GROUP};
use crate::ledger::Ledger;
use crate::ledger::clock::Clock;
use crate::ledger::wire::gatekeeper::{NotReadable, Reader, ReaderGate};

/// How long a yes is believed: a right that was taken away ends within this, and a million recipients are not a thousand
/// reviews.
pub const YES_FOR: Duration = Duration::from_secs(60);
/// Yeses kept: far more than people who read at once.
pub const MAX_KEPT: usize = 256;
/// The longest name of a namespace.
const MAX_NAMESPACE: usize = 63;

/// A token and the BroadcastMessage that it was let in to.
type Key = (TokenHash, String, String);

struct Yes {
    reader: Reader,
    until: Instant,
}

/// Lets readers in by the cluster's own word.
pub struct Readers<L> {
    client: Client,
    ledger: Arc<L>,
    clock: Arc<dyn Clock>,
    strangers: Arc<Strangers>,
    kept: Mutex<HashMap<Key, Yes>>,
}

impl<L: Ledger> ReaderGate for Readers<L> {
    async fn admit(&self, token: &SecretString, namespace: &str, name: &str) -> Result<Reader, NotReadable> {
        let life_left = life_left(token.expose_secret(), self.clock.now()).map_err(NotReadable::Unauthorized)?;
        if !is_label(namespace, MAX_NAMESPACE) || !is_label(name, MAX_BROADCAST_NAME) {
            return Err(NotReadable::Gone("no BroadcastMessage has such a name".to_owned()));
        }
        let key = (hash(token.expose_secret()), namespace.to_owned(), name.to_owned());
        if let Some(reader) = self.known(&key) {
            return Ok(reader);
        }
        self.strangers.turn().await?;
        let turn = tokio::time::timeout(PATIENCE, self.strangers.room.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(TooMany.into()) };
        let reader = self.look_up(token.expose_secret(), namespace, name).await?;
        self.keep(key, &reader, life_left);
        Ok(reader)
    }
}

impl<L: Ledger> Readers<L> {
    pub fn new(client: Client, ledger: Arc<L>, clock: Arc<dyn Clock>, strangers: Arc<Strangers>) -> Readers<L> {
        Readers { client, ledger, clock, strangers, kept: Mutex::default() }
    }

    fn known(&self, key: &Key) -> Option<Reader> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|yes| Instant::now() < yes.until).map(|yes| yes.reader.clone())
    }

    fn keep(&self, key: Key, reader: &Reader, life_left: Duration) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, yes| now < yes.until);
        if kept.len() < MAX_KEPT {
            kept.insert(key, Yes { reader: reader.clone(), until: now + YES_FOR.min(life_left) });
        }
    }

    async fn look_up(&self, token: &str, namespace: &str, name: &str) -> Result<Reader, NotReadable> {
        let reader = review(&self.client, token).await?;
        let user = reader.username.clone();
        let found = self.look_up_for(reader, namespace, name).await;
        match &found {
            Ok(_) => tracing::info!(user, namespace, broadcast = name, "results are read"),
            Err(error) => tracing::warn!(user, namespace, broadcast = name, %error, "results were asked for"),
        }
        found
    }

    async fn look_up_for(&self, reader: Vouched, namespace: &str, name: &str) -> Result<Reader, NotReadable> {
        if reader.pod.is_some() {
            let why = "the token is a pod's, and those are for senders; make one of a service account alone";
            return Err(NotReadable::Forbidden(why.to_owned()));
        }
        let username = reader.username.clone();
        if !self.may_get(reader, namespace, name).await? {
            let why = format!("{username} may not get the BroadcastMessage {name} of the namespace {namespace}");
            return Err(NotReadable::Forbidden(why));
        }
        let uid = self.uid_of(namespace, name).await?;
        match self.ledger.find(&uid).await {
            Ok(Some(broadcast)) => Ok(Reader { broadcast }),
            Ok(None) => Err(NotReadable::Gone(format!("the ledger knows nothing of the BroadcastMessage {name} yet"))),
            Err(error) => Err(NotReadable::Unavailable(format!("the ledger did not answer: {}", error.reason()))),
        }
    }

    async fn may_get(&self, reader: Vouched, namespace: &str, name: &str) -> Result<bool, NotReadable> {
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let wanted = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(reader.username),
                uid: reader.uid,
                groups: Some(reader.groups),
                extra: Some(reader.extra),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(GROUP.to_owned()),
                    resource: Some("broadcastmessages".to_owned()),
                    verb: Some("get".to_owned()),
                    namespace: Some(namespace.to_owned()),
                    name: Some(name.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviewed = call("review an access", api.create(&PostParams::default(), &wanted)).await?;
        Ok(reviewed.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    async fn uid_of(&self, namespace: &str, name: &str) -> Result<String, NotReadable> {
        let api: Api<BroadcastMessage> = Api::namespaced(self.client.clone(), namespace);
        let found: Option<PartialObjectMeta<BroadcastMessage>> =
            call("look for a BroadcastMessage", api.get_metadata_opt(name)).await?;
        let missing = || format!("there is no BroadcastMessage {name} in the namespace {namespace}");
        found.and_then(|found| found.metadata.uid).ok_or_else(|| NotReadable::Gone(missing()))
    }

    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.kept.lock().unwrap().len()
    }
}

/// A DNS label, so that no name leads a call elsewhere.
fn is_label(name: &str, most: usize) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= most && name.bytes().all(inside) && !name.starts_with('-')
}

impl From<TooMany> for NotReadable {
    fn from(TooMany: TooMany) -> NotReadable {
        NotReadable::Unavailable(TooMany.to_string())
    }
}

impl From<ReviewError> for NotReadable {
    fn from(error: ReviewError) -> NotReadable {
        match error {
            ReviewError::NotVouched(why) => NotReadable::Unauthorized(why),
            ReviewError::Call(error) => error.into(),
        }
    }
}

impl From<CallError> for NotReadable {
    fn from(error: CallError) -> NotReadable {
        NotReadable::Unavailable(error.to_string())
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
