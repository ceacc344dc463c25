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
/// How long a no is repeated: whoever asks again and again takes no turn of strangers from senders, and a right that was
/// given works within this.
pub const NO_FOR: Duration = Duration::from_secs(5);
/// Yeses kept, and as many noes: far more than people who read at once.
pub const MAX_KEPT: usize = 256;
/// The longest name of a namespace.
const MAX_NAMESPACE: usize = 63;

/// A token and the BroadcastMessage that it was let in to.
type Key = (TokenHash, String, String);

/// Answers of one kind, each for its time.
struct Kept<A>(Mutex<HashMap<Key, (A, Instant)>>);

impl<A: Clone> Kept<A> {
    fn of(&self, key: &Key) -> Option<A> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(_, until)| Instant::now() < *until).map(|(answer, _)| answer.clone())
    }

    fn keep(&self, key: Key, answer: &A, time: Duration) {
        let now = Instant::now();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (_, until)| now < *until);
        if kept.len() < MAX_KEPT {
            kept.insert(key, (answer.clone(), now + time));
        }
    }
}

impl<A> Default for Kept<A> {
    fn default() -> Kept<A> {
        Kept(Mutex::default())
    }
}

/// Lets readers in by the cluster's own word.
pub struct Readers<L> {
    client: Client,
    ledger: Arc<L>,
    clock: Arc<dyn Clock>,
    strangers: Arc<Strangers>,
    /// Apart from the noes, which strangers could fill the room of.
    yeses: Kept<Reader>,
    noes: Kept<NotReadable>,
}

impl<L: Ledger> ReaderGate for Readers<L> {
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable> {
        self.life_left(token).map(drop)
    }

    async fn admit(&self, token: &SecretString, namespace: &str, name: &str) -> Result<Reader, NotReadable> {
        let life_left = self.life_left(token)?;
        if !is_label(namespace, MAX_NAMESPACE) || !is_label(name, MAX_BROADCAST_NAME) {
            return Err(NotReadable::Gone("no BroadcastMessage has such a name".to_owned()));
        }
        let key = (hash(token.expose_secret()), namespace.to_owned(), name.to_owned());
        if let Some(answer) = self.known(&key) {
            return answer;
        }
        self.strangers.turn().await?;
        let turn = tokio::time::timeout(PATIENCE, self.strangers.room.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(TooMany.into()) };
        // Another request of the same reader may have asked meanwhile.
        if let Some(answer) = self.known(&key) {
            return answer;
        }
        let answer = self.look_up(token.expose_secret(), namespace, name).await;
        match &answer {
            Ok(reader) => self.yeses.keep(key, reader, YES_FOR.min(life_left)),
            Err(no @ (NotReadable::Unauthorized(_) | NotReadable::Forbidden(_))) => self.noes.keep(key, no, NO_FOR),
            // What is not there yet, or not to be told now, may be a moment later.
            Err(NotReadable::Gone(_) | NotReadable::Unavailable(_)) => {}
        }
        answer
    }
}

impl<L: Ledger> Readers<L> {
    pub fn new(client: Client, ledger: Arc<L>, clock: Arc<dyn Clock>, strangers: Arc<Strangers>) -> Readers<L> {
        Readers { client, ledger, clock, strangers, yeses: Kept::default(), noes: Kept::default() }
    }

    fn life_left(&self, token: &SecretString) -> Result<Duration, NotReadable> {
        life_left(token.expose_secret(), self.clock.now()).map_err(NotReadable::Unauthorized)
    }

    fn known(&self, key: &Key) -> Option<Result<Reader, NotReadable>> {
        self.yeses.of(key).map(Ok).or_else(|| self.noes.of(key).map(Err))
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
        self.yeses.0.lock().unwrap().len()
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
