//! Who may read the results of a broadcast, and read and change the contacts of a channel: recipients are personal data. A
//! person brings a token of a service account, made for the ledger and bound to no pod; the cluster says whose it is, and
//! whether that account may get the BroadcastMessage, or get or update the MessageChannel. Only then the object is looked up.
//!
//! A sender's token is bound to its pod, and so opens nothing of this, whatever its account may do.

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
use crate::api::{BroadcastMessage, GROUP, MessageChannel};
use crate::ledger::clock::Clock;
use crate::ledger::wire::gatekeeper::{ContactsAccess, ContactsGate, NotReadable, Reader, ReaderGate};
use crate::ledger::{AccountKey, Ledger};

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

/// The longest name of a MessageChannel.
const MAX_CHANNEL_NAME: usize = 253;

/// What a token is brought for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    what: What,
    namespace: String,
    /// Of the object.
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Results,
    Contacts(ContactsAccess),
}

impl Wish {
    /// `None` for names that no object has, so that no name leads a call elsewhere.
    fn of(what: What, namespace: &str, name: &str) -> Option<Wish> {
        let fits = match what {
            What::Results => is_label(name, MAX_BROADCAST_NAME),
            What::Contacts(_) => {
                name.len() <= MAX_CHANNEL_NAME && name.split('.').all(|label| is_label(label, MAX_CHANNEL_NAME))
            }
        };
        let wish = || Wish { what, namespace: namespace.to_owned(), name: name.to_owned() };
        (fits && is_label(namespace, MAX_NAMESPACE)).then(wish)
    }

    fn kind(&self) -> &'static str {
        match self.what {
            What::Results => "BroadcastMessage",
            What::Contacts(_) => "MessageChannel",
        }
    }

    fn resource(&self) -> &'static str {
        match self.what {
            What::Results => "broadcastmessages",
            What::Contacts(_) => "messagechannels",
        }
    }

    /// The right to the object that it takes.
    fn verb(&self) -> &'static str {
        match self.what {
            What::Results | What::Contacts(ContactsAccess::Read) => "get",
            What::Contacts(ContactsAccess::Change) => "update",
        }
    }

    /// For the operator's log.
    fn done(&self) -> &'static str {
        match self.what {
            What::Results => "results are read",
            What::Contacts(ContactsAccess::Read) => "contacts are read",
            What::Contacts(ContactsAccess::Change) => "contacts are changed",
        }
    }
}

/// A token and what it was let in to.
type Key = (TokenHash, Wish);

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
    accounts: Kept<AccountKey>,
    noes: Kept<NotReadable>,
}

impl<L: Ledger> ReaderGate for Readers<L> {
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable> {
        self.life_left(token).map(drop)
    }

    async fn admit(&self, token: &SecretString, namespace: &str, name: &str) -> Result<Reader, NotReadable> {
        let misnamed = || NotReadable::Gone("no BroadcastMessage has such a name".to_owned());
        let wish = Wish::of(What::Results, namespace, name).ok_or_else(misnamed)?;
        self.let_in(&self.yeses, token, &wish, self.broadcast(&wish)).await
    }
}

impl<L: Ledger> ContactsGate for Readers<L> {
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable> {
        self.life_left(token).map(drop)
    }

    async fn admit(
        &self,
        token: &SecretString,
        namespace: &str,
        channel: &str,
        access: ContactsAccess,
    ) -> Result<AccountKey, NotReadable> {
        let misnamed = || NotReadable::Gone("no MessageChannel has such a name".to_owned());
        let wish = Wish::of(What::Contacts(access), namespace, channel).ok_or_else(misnamed)?;
        self.let_in(&self.accounts, token, &wish, self.account(&wish)).await
    }
}

impl<L: Ledger> Readers<L> {
    pub fn new(client: Client, ledger: Arc<L>, clock: Arc<dyn Clock>, strangers: Arc<Strangers>) -> Readers<L> {
        let (yeses, accounts, noes) = (Kept::default(), Kept::default(), Kept::default());
        Readers { client, ledger, clock, strangers, yeses, accounts, noes }
    }

    /// What a token opens, by an answer that is kept, or by the cluster's: then `find` tells what it is.
    async fn let_in<A: Clone>(
        &self,
        yeses: &Kept<A>,
        token: &SecretString,
        wish: &Wish,
        find: impl Future<Output = Result<A, NotReadable>> + Send,
    ) -> Result<A, NotReadable> {
        let life_left = self.life_left(token)?;
        let key = (hash(token.expose_secret()), wish.clone());
        let known = |key: &Key| yeses.of(key).map(Ok).or_else(|| self.noes.of(key).map(Err));
        if let Some(answer) = known(&key) {
            return answer;
        }
        self.strangers.turn().await?;
        let turn = tokio::time::timeout(PATIENCE, self.strangers.room.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(TooMany.into()) };
        // Another request of the same reader may have asked meanwhile.
        if let Some(answer) = known(&key) {
            return answer;
        }
        let answer = self.look_up(token.expose_secret(), wish, find).await;
        match &answer {
            Ok(opened) => yeses.keep(key, opened, YES_FOR.min(life_left)),
            Err(no @ (NotReadable::Unauthorized(_) | NotReadable::Forbidden(_))) => self.noes.keep(key, no, NO_FOR),
            // What is not there yet, or not to be told now, may be a moment later.
            Err(NotReadable::Gone(_) | NotReadable::Unavailable(_)) => {}
        }
        answer
    }

    fn life_left(&self, token: &SecretString) -> Result<Duration, NotReadable> {
        life_left(token.expose_secret(), self.clock.now()).map_err(NotReadable::Unauthorized)
    }

    async fn look_up<A>(
        &self,
        token: &str,
        wish: &Wish,
        find: impl Future<Output = Result<A, NotReadable>> + Send,
    ) -> Result<A, NotReadable> {
        let person = review(&self.client, token).await?;
        let user = person.username.clone();
        let found = match self.check(person, wish).await {
            Ok(()) => find.await,
            Err(error) => Err(error),
        };
        let (namespace, kind, name) = (&wish.namespace, wish.kind(), &wish.name);
        match &found {
            Ok(_) => tracing::info!(user, namespace, kind, name, "{}", wish.done()),
            Err(error) => tracing::warn!(user, namespace, kind, name, %error, "not allowed: {}", wish.done()),
        }
        found
    }

    async fn check(&self, person: Vouched, wish: &Wish) -> Result<(), NotReadable> {
        if person.pod.is_some() {
            let why = "the token is a pod's, and those are for senders; make one of a service account alone";
            return Err(NotReadable::Forbidden(why.to_owned()));
        }
        let username = person.username.clone();
        if self.may(person, wish).await? {
            return Ok(());
        }
        let (verb, kind, Wish { namespace, name, .. }) = (wish.verb(), wish.kind(), wish);
        Err(NotReadable::Forbidden(format!("{username} may not {verb} the {kind} {name} of the namespace {namespace}")))
    }

    async fn may(&self, person: Vouched, wish: &Wish) -> Result<bool, NotReadable> {
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let wanted = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(person.username),
                uid: person.uid,
                groups: Some(person.groups),
                extra: Some(person.extra),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(GROUP.to_owned()),
                    resource: Some(wish.resource().to_owned()),
                    verb: Some(wish.verb().to_owned()),
                    namespace: Some(wish.namespace.clone()),
                    name: Some(wish.name.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviewed = call("review an access", api.create(&PostParams::default(), &wanted)).await?;
        Ok(reviewed.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    async fn broadcast(&self, wish: &Wish) -> Result<Reader, NotReadable> {
        let name = &wish.name;
        let api: Api<BroadcastMessage> = Api::namespaced(self.client.clone(), &wish.namespace);
        let found: Option<PartialObjectMeta<BroadcastMessage>> =
            call("look for a BroadcastMessage", api.get_metadata_opt(name)).await?;
        let uid = found.and_then(|found| found.metadata.uid).ok_or_else(|| missing(wish))?;
        match self.ledger.find(&uid).await {
            Ok(Some(broadcast)) => Ok(Reader { broadcast }),
            Ok(None) => Err(NotReadable::Gone(format!("the ledger knows nothing of the BroadcastMessage {name} yet"))),
            Err(error) => Err(NotReadable::Unavailable(format!("the ledger did not answer: {}", error.reason()))),
        }
    }

    /// The account that the channel leads to now: it is believed as long as a yes is.
    async fn account(&self, wish: &Wish) -> Result<AccountKey, NotReadable> {
        let api: Api<MessageChannel> = Api::namespaced(self.client.clone(), &wish.namespace);
        let found = call("look for a MessageChannel", api.get_opt(&wish.name)).await?;
        let channel = found.ok_or_else(|| missing(wish))?;
        let nameless = || NotReadable::Gone(format!("the MessageChannel {} names no provider", wish.name));
        AccountKey::of(&wish.namespace, &channel.spec).ok_or_else(nameless)
    }

    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.yeses.0.lock().unwrap().len()
    }
}

fn missing(wish: &Wish) -> NotReadable {
    let (kind, Wish { namespace, name, .. }) = (wish.kind(), wish);
    NotReadable::Gone(format!("there is no {kind} {name} in the namespace {namespace}"))
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
