//! What a broadcast is to the ledger: its identity, and the settings that may change.

use serde::{Deserialize, Serialize};

use super::brief::Orders;
use super::recollection::Recollection;
use super::write_back::WriteBack;
use crate::api::channel::{ChannelProvider, address};
use crate::api::{
    Audience, BroadcastMessage, Content, Delivery, MessageChannelSpec, NotificationEndpoint, OnSent, Priority,
    Schedule, UnknownPolicy,
};
use crate::audience::{BoundStatement, StatementError};
use crate::delivery::backoff::RetryPolicy;
use crate::delivery::pacing;
use crate::delivery::quiet_hours::{QuietHours, QuietHoursError};
use crate::delivery::rate::Rate;
use crate::delivery::time::{Span, Timestamp};
use crate::provider::reply_window::reply_window;

/// Who is paced together: one account at one provider within one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountKey {
    pub namespace: String,
    /// The member of the channel's union, e.g. `messenger`.
    pub provider: String,
    /// The account at the provider, e.g. the page id.
    pub account: String,
    /// The host of the provider's base URL: a simulator is another account.
    pub host: String,
}

impl AccountKey {
    /// The account a channel leads to; `None` for a document that was never admitted. No credentials are needed to tell.
    pub fn of(namespace: &str, channel: &MessageChannelSpec) -> Option<AccountKey> {
        let account = channel.account()?;
        Some(AccountKey {
            namespace: namespace.to_owned(),
            provider: account.provider().member().to_owned(),
            account: account.account(),
            host: address::host(account.url()),
        })
    }
}

/// One broadcast as its owner wants it now.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub namespace: String,
    pub name: String,
    /// With the namespace the identity of the broadcast.
    pub idempotency_key: String,
    /// Its owner has chosen the key. One that comes from the name may be an accident: a rename, a prefix.
    pub key_is_given: bool,
    pub owner_uid: String,
    /// Of the owner's wish; a smaller one than the ledger has seen of this owner is out of date.
    pub generation: i64,
    pub account: AccountKey,
    /// The account's ceiling.
    pub account_rate: Rate,
    /// Over account, audience, content and tags: what the key stands for.
    pub identity_hash: String,
    /// Over the audience alone: says what differs where the identity does.
    pub audience_hash: String,
    /// What is said. Senders get it from the ledger, never from a mount, so that all say the same.
    pub content: Content,
    /// What senders in other processes work by; `None` where planner and senders have it at hand.
    pub orders: Option<Orders>,
    /// What whoever is sent to is tagged with.
    pub sent_tags: Vec<String>,
    /// How long after a recipient was last active the provider takes the message; `None` where it does at any time.
    pub reply_window: Option<Span>,
    /// How long one request may take once connected.
    pub request_timeout: Span,
    /// The broadcast's own rate; the lower of this and the account's applies.
    pub rate: Option<Rate>,
    /// Its part of the account, against the weights of others that want it at the same time; at least 1.
    pub weight: u32,
    /// How often and how late a recipient is tried again.
    pub retry: RetryPolicy,
    pub batch_size: Option<u32>,
    /// The most recipients its plan may hold; what comes after them is dropped.
    pub plan_limit: Option<u32>,
    pub start_at: Option<Timestamp>,
    pub end_at: Option<Timestamp>,
    /// The first attempt may not come after this.
    pub start_by: Option<Timestamp>,
    /// When nobody is messaged.
    pub quiet_hours: QuietHours,
    /// Whom to tell how it goes.
    pub notifications: Vec<NotificationEndpoint>,
    /// Where else it is written who was sent to: each target at most once.
    pub write_backs: Vec<WriteBack>,
    pub suspended: bool,
    /// Latched: once true in the ledger it stays.
    pub cancelled: bool,
    pub recollection: Recollection,
}

/// What a ledger was told last of a broadcast, as far as it can differ within one generation: that of the object is no
/// measure for its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub generation: i64,
    pub identity_hash: String,
    /// The account's ceiling, whichever of its broadcasts told it.
    pub account_rate: Rate,
    pub request_timeout: Span,
    /// The digest of the orders as JSON.
    pub orders: Option<String>,
}

impl Told {
    /// Whether nothing is to be told: the ledger holds this, or what a newer generation wants. Rates of one pace are one
    /// rate, however each of the account's channels writes it.
    pub fn holds(&self, wanted: &Declaration) -> bool {
        self.generation > wanted.generation
            || (self.identity_hash == wanted.identity_hash
                && self.account_rate.interval() == wanted.account_rate.interval()
                && self.request_timeout == wanted.request_timeout
                && self.orders == wanted.orders.as_ref().map(|orders| digest(&plain_json(orders))))
    }
}

/// Why a broadcast cannot be declared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Undeclarable {
    /// The schema does not admit such a channel.
    #[error("the channel has no rate; set spec.rate of the MessageChannel")]
    NoRate,
    #[error(transparent)]
    QuietHours(#[from] QuietHoursError),
    #[error("spec.onSent.sql.statement: {0}")]
    Statement(#[from] StatementError),
    #[error(
        "spec.onSent.messenger: only a channel of Messenger has labels; take it out, or send through another channel"
    )]
    Labels,
}

impl Declaration {
    /// What a BroadcastMessage and its channel say, for the account that the channel's provider names.
    ///
    /// # Errors
    /// What the schema cannot refuse.
    pub fn of(
        broadcast: &BroadcastMessage,
        channel: &MessageChannelSpec,
        account: AccountKey,
    ) -> Result<Declaration, Undeclarable> {
        let ceiling = channel.ceiling().ok_or(Undeclarable::NoRate)?;
        let spec = &broadcast.spec;
        let metadata = &broadcast.metadata;
        let schedule = spec.schedule.clone().unwrap_or_default();
        let content = spec.content.clone();
        Ok(Declaration {
            namespace: account.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            idempotency_key: broadcast.idempotency_key().to_owned(),
            key_is_given: spec.idempotency_key.is_some(),
            owner_uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            identity_hash: identity_hash(&account, &spec.audience, &content, spec.sent_tags()),
            audience_hash: digest(&plain_json(&spec.audience)),
            account,
            account_rate: rate(ceiling),
            reply_window: channel
                .account()
                .and_then(|account| reply_window(account.provider(), &account.account(), &content)),
            sent_tags: spec.sent_tags().to_vec(),
            content,
            orders: None,
            request_timeout: Span::from_secs(i64::from(channel.request_timeout_seconds)),
            rate: spec.delivery.rate.map(rate),
            weight: weight(spec.delivery.priority),
            retry: retry(&spec.delivery),
            batch_size: spec.delivery.batch_size,
            plan_limit: spec.audience.limit,
            start_at: schedule.start_time.map(instant),
            start_by: start_by(&schedule),
            end_at: schedule.end_time.map(instant),
            quiet_hours: QuietHours::of(&schedule.quiet_hours)?,
            notifications: spec.notifications.clone(),
            write_backs: write_backs(spec.on_sent.as_ref(), channel.account().map(|account| account.provider()))?,
            suspended: spec.suspend.unwrap_or_default(),
            cancelled: spec.cancel.unwrap_or_default(),
            recollection: Recollection::of(broadcast),
        })
    }

    /// Whether both ask for the same. What is known of the ledger's revision grows by itself and asks for nothing.
    pub fn asks_the_same(&self, other: &Declaration) -> bool {
        let recollection = Recollection { revision: self.recollection.revision, ..other.recollection.clone() };
        *self == Declaration { recollection, ..other.clone() }
    }
}

fn write_backs(on_sent: Option<&OnSent>, provider: Option<ChannelProvider>) -> Result<Vec<WriteBack>, Undeclarable> {
    let Some(OnSent { messenger, sql, .. }) = on_sent else { return Ok(Vec::new()) };
    if messenger.is_some() && provider != Some(ChannelProvider::Messenger) {
        return Err(Undeclarable::Labels);
    }
    if let Some(sql) = sql {
        BoundStatement::parse(&sql.statement)?;
    }
    let messenger = messenger.clone().map(WriteBack::Messenger);
    Ok(messenger.into_iter().chain(sql.clone().map(WriteBack::Sql)).collect())
}

fn weight(priority: Priority) -> u32 {
    match priority {
        Priority::Urgent => pacing::URGENT_WEIGHT,
        Priority::Normal => pacing::NORMAL_WEIGHT,
        Priority::Bulk => pacing::BULK_WEIGHT,
    }
}

fn retry(delivery: &Delivery) -> RetryPolicy {
    let retry = &delivery.retry;
    RetryPolicy {
        max_tries: retry.max_attempts,
        initial_backoff: Span::from_secs(i64::from(retry.initial_backoff_seconds)),
        max_backoff: Span::from_secs(i64::from(retry.max_backoff_seconds)),
        after_unknown: delivery.unknown_policy == UnknownPolicy::Resend,
    }
}

fn start_by(schedule: &Schedule) -> Option<Timestamp> {
    let deadline = Span::from_secs(i64::from(schedule.starting_deadline_seconds?));
    schedule.start_time.map(|start| instant(start) + deadline)
}

fn rate(rate: crate::api::Rate) -> Rate {
    Rate::new(rate.messages, rate.period_seconds)
}

fn instant(instant: jiff::Timestamp) -> Timestamp {
    Timestamp(i64::try_from(instant.as_nanosecond()).unwrap_or(i64::MAX))
}

/// SHA-256 of what a key stands for. Field order is fixed by the types, so equal specs have equal hashes.
fn identity_hash(account: &AccountKey, audience: &Audience, content: &Content, sent_tags: &[String]) -> String {
    digest(&plain_json(&(account, audience, content, sent_tags)))
}

fn plain_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys is always JSON")
}

/// SHA-256, in hexadecimal digits.
pub fn digest(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
