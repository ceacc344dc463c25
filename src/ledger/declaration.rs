//! What a broadcast is to the ledger: its identity, and the settings that may change.

use serde::{Deserialize, Serialize};

use crate::api::{Audience, BroadcastMessage, MessageChannelSpec};
use crate::delivery::rate::Rate;
use crate::delivery::time::{Span, Timestamp};

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

/// What is said. Senders get it from the ledger, never from a mount, so that all say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The template of the text.
    pub text: String,
}

/// One broadcast as its owner wants it now.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub namespace: String,
    pub name: String,
    /// With the namespace the identity of the broadcast.
    pub idempotency_key: String,
    pub owner_uid: String,
    /// Of the owner's wish; a smaller one than the ledger has seen of this owner is out of date.
    pub generation: i64,
    pub account: AccountKey,
    /// The account's ceiling.
    pub account_rate: Rate,
    /// Over account, audience and content: what the key stands for.
    pub identity_hash: String,
    pub content: Content,
    /// How long one request may take once connected.
    pub request_timeout: Span,
    /// The broadcast's own rate; the lower of this and the account's applies.
    pub rate: Option<Rate>,
    pub batch_size: Option<u32>,
    pub start_at: Option<Timestamp>,
    pub end_at: Option<Timestamp>,
    pub suspended: bool,
    /// Latched: once true in the ledger it stays.
    pub cancelled: bool,
}

/// A broadcast whose channel has no rate: the schema does not admit it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the channel has no rate; set spec.rate of the MessageChannel")]
pub struct NoRate;

impl Declaration {
    /// What a BroadcastMessage and its channel say, for the account that the channel's provider names.
    pub fn of(
        broadcast: &BroadcastMessage,
        channel: &MessageChannelSpec,
        account: AccountKey,
    ) -> Result<Declaration, NoRate> {
        let ceiling = channel.ceiling().ok_or(NoRate)?;
        let spec = &broadcast.spec;
        let metadata = &broadcast.metadata;
        let schedule = spec.schedule.clone().unwrap_or_default();
        let content = Content { text: spec.content.text.clone() };
        Ok(Declaration {
            namespace: account.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            idempotency_key: broadcast.idempotency_key().to_owned(),
            owner_uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            identity_hash: identity_hash(&account, &spec.audience, &content),
            account,
            account_rate: rate(ceiling),
            content,
            request_timeout: Span::from_secs(i64::from(channel.request_timeout_seconds)),
            rate: spec.delivery.rate.map(rate),
            batch_size: spec.delivery.batch_size,
            start_at: schedule.start_time.map(instant),
            end_at: schedule.end_time.map(instant),
            suspended: spec.suspend.unwrap_or_default(),
            cancelled: spec.cancel.unwrap_or_default(),
        })
    }
}

fn rate(rate: crate::api::Rate) -> Rate {
    Rate::new(rate.messages, rate.period_seconds)
}

fn instant(instant: jiff::Timestamp) -> Timestamp {
    Timestamp(i64::try_from(instant.as_nanosecond()).unwrap_or(i64::MAX))
}

/// SHA-256 of what a key stands for. Field order is fixed by the types, so equal specs have equal hashes.
fn identity_hash(account: &AccountKey, audience: &Audience, content: &Content) -> String {
    let text = serde_json::to_string(&(account, audience, content)).expect("plain data with text keys is always JSON");
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
