//! What a BroadcastMessage wants, told to the ledger; and what keeps it from being told.

use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};

use super::decide_refused::Refusal;
use super::decide_stall::{
    CHANNEL_INVALID, CHANNEL_NOT_FOUND, QUIET_HOURS_INVALID, TEMPLATE_INVALID, WRITE_BACK_INVALID,
};
use super::observation::Declared;
use super::remembered::{Remembered, Standing};
use crate::api::{BroadcastMessage, Content, MessageChannel};
use crate::content::MessageTemplate;
use crate::controller::cluster::call;
use crate::controller::departures::Departed;
use crate::controller::failure::Failure;
use crate::delivery::backoff::RetryPolicy;
use crate::delivery::quiet_hours::QuietHours;
use crate::delivery::rate::Rate;
use crate::delivery::time::Span;
use crate::ledger::declaration::Undeclarable;
use crate::ledger::recollection::{self, Recollection};
use crate::ledger::status::{End, end};
use crate::ledger::{
    AccountKey, BroadcastId, BroadcastSnapshot, Declaration, Ledger, LedgerError, Orders, SuppressionList,
};

fn refuse(reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { reason, message: message.into() }
}

/// The declaration of a broadcast, from it and the channels of its namespace.
pub fn wanted(broadcast: &BroadcastMessage, channels: &[MessageChannel]) -> Result<Declaration, Refusal> {
    let namespace = broadcast.namespace().unwrap_or_default();
    let wanted = &broadcast.spec.channel_ref.name;
    let channel = channels.iter().find(|channel| channel.metadata.name.as_ref() == Some(wanted)).ok_or_else(|| {
        let message = format!(
            "there is no MessageChannel `{wanted}` in the namespace `{namespace}`; create it, or correct spec.channelRef"
        );
        refuse(CHANNEL_NOT_FOUND, message)
    })?;
    let account = AccountKey::of(&namespace, &channel.spec).ok_or_else(|| {
        refuse(CHANNEL_INVALID, format!("the MessageChannel `{wanted}` names no provider; set exactly one in its spec"))
    })?;
    if let Some(channel) = channel.spec.account() {
        MessageTemplate::compile(&broadcast.spec.content, channel.provider())
            .map_err(|error| refuse(TEMPLATE_INVALID, error.to_string()))?;
    }
    let mut declaration = Declaration::of(broadcast, &channel.spec, account.clone())
        .map_err(|error| refuse(undeclarable(&error), error.to_string()))?;
    for other in channels.iter().filter(|other| AccountKey::of(&namespace, &other.spec).as_ref() == Some(&account)) {
        if let Some(ceiling) = other.spec.ceiling() {
            let rate = Rate::new(ceiling.messages, ceiling.period_seconds);
            declaration.account_rate = declaration.account_rate.lower(rate);
        }
    }
    // Asked for only when it matters, and then not of a cache.
    declaration.recollection.approval = None;
    declaration.orders = Some(Orders {
        channel: channel.spec.clone(),
        audience: broadcast.spec.audience.clone(),
        suppression: suppression(channel, channels),
    });
    Ok(declaration)
}

/// The lists of people who get nothing, of all channels of the namespace that name the account of this one.
pub fn suppression(channel: &MessageChannel, channels: &[MessageChannel]) -> Vec<SuppressionList> {
    let Some(account) = AccountKey::of(&channel.namespace().unwrap_or_default(), &channel.spec) else {
        return Vec::new();
    };
    let named = channels.iter().map(|channel| (channel.metadata.name.as_deref().unwrap_or_default(), &channel.spec));
    SuppressionList::of_account(&account, named)
}

fn undeclarable(error: &Undeclarable) -> &'static str {
    match error {
        Undeclarable::NoRate => CHANNEL_INVALID,
        Undeclarable::QuietHours(_) => QUIET_HOURS_INVALID,
        Undeclarable::Statement(_) | Undeclarable::Labels => WRITE_BACK_INVALID,
    }
}

/// A cancel of what was never declared, so that the key stays cancelled. Where it would have been sent cannot be told: the
/// account is one that leads nowhere, and nobody is ever sent to.
fn cancelled(broadcast: &BroadcastMessage) -> Declaration {
    let namespace = broadcast.namespace().unwrap_or_default();
    let nowhere = AccountKey {
        namespace: namespace.clone(),
        provider: String::new(),
        account: String::new(),
        host: String::new(),
    };
    Declaration {
        namespace,
        name: broadcast.name_any(),
        idempotency_key: broadcast.idempotency_key().to_owned(),
        owner_uid: broadcast.uid().unwrap_or_default(),
        generation: broadcast.metadata.generation.unwrap_or_default(),
        account: nowhere,
        account_rate: Rate::new(1, 1),
        identity_hash: String::new(),
        audience_hash: String::new(),
        content: Content::default(),
        orders: None,
        sent_tags: Vec::new(),
        reply_window: None,
        request_timeout: Span::from_secs(1),
        rate: None,
        weight: 1,
        retry: RetryPolicy::default(),
        batch_size: None,
        plan_limit: None,
        start_at: None,
        end_at: None,
        start_by: None,
        quiet_hours: QuietHours::default(),
        notifications: broadcast.spec.notifications.clone(),
        write_backs: Vec::new(),
        suspended: false,
        cancelled: true,
        key_is_given: true,
        recollection: Recollection::default(),
    }
}

/// Whether the ledger holds what it was told, and telling it again would change nothing. One that has lost commits, one that
/// is suspected because of another that may be gone by now, and one whose gate somebody else has closed in the
/// name of the same object, is told again; so is one that a former leader told late how it saw the channel.
fn stands(snapshot: &BroadcastSnapshot, wanted: &Declaration) -> bool {
    let gate = &snapshot.gate;
    let is_open_to_it = gate.loss.is_none() && !gate.is_suspect && !gate.released;
    is_open_to_it && snapshot.revision >= wanted.recollection.revision && snapshot.told.holds(wanted)
}

/// Tells the ledger, and asks it how things stand.
pub struct Declarer<'a, L> {
    pub ledger: &'a L,
    pub client: &'a Client,
    pub departed: &'a Departed,
    pub remembered: &'a Remembered,
}

impl<L: Ledger> Declarer<'_, L> {
    /// A broadcast that is refused is released: its gate closes until it can be declared. What has ended stays as it
    /// ended, and a cancel holds, whatever is wrong with the rest of it.
    pub async fn declare(
        &self,
        broadcast: &BroadcastMessage,
        wanted: Result<Declaration, Refusal>,
    ) -> Result<Declared, Failure> {
        let uid = broadcast.uid().unwrap_or_default();
        let refusal = match wanted {
            Ok(declaration) => match self.tell(&uid, declaration).await? {
                Ok(snapshot) => return self.known(snapshot).await,
                Err(refusal) => refusal,
            },
            Err(refusal) => match self.ended(broadcast).await? {
                Some(snapshot) => return self.known(snapshot).await,
                None => refusal,
            },
        };
        self.release(&broadcast.metadata).await?;
        if broadcast.spec.cancel == Some(true)
            && let Some(snapshot) = self.cancel(broadcast).await?
        {
            return self.known(snapshot).await;
        }
        Ok(Declared::Refused { reason: refusal.reason, message: refusal.message })
    }

    async fn known(&self, snapshot: BroadcastSnapshot) -> Result<Declared, Failure> {
        let batches = match snapshot.plan {
            Some(_) => self.ledger.batches(snapshot.id).await?,
            None => Vec::new(),
        };
        Ok(Declared::Known { snapshot: Box::new(snapshot), batches })
    }

    /// What this object stands for, if that has come to its end. An edit leaves the end that planners died for, also one that
    /// is refused itself.
    async fn ended(&self, broadcast: &BroadcastMessage) -> Result<Option<BroadcastSnapshot>, Failure> {
        let Some(id) = self.ledger.find(&broadcast.uid().unwrap_or_default()).await? else { return Ok(None) };
        let snapshot = self.ledger.snapshot(id).await?;
        let is_it = snapshot.idempotency_key == broadcast.idempotency_key();
        let is_edited = snapshot.told.generation < broadcast.metadata.generation.unwrap_or_default();
        let has_ended = end(&snapshot).is_some_and(|end| end != End::Failed || !is_edited);
        Ok(Some(snapshot).filter(|_| is_it && has_ended))
    }

    /// `None` where the key belongs to another, or stands for what was sent to people in another's name.
    async fn cancel(&self, broadcast: &BroadcastMessage) -> Result<Option<BroadcastSnapshot>, Failure> {
        let (namespace, uid) = (broadcast.namespace().unwrap_or_default(), broadcast.uid().unwrap_or_default());
        if let Some(id) = self.ledger.cancel(&namespace, broadcast.idempotency_key(), &uid).await? {
            return Ok(Some(self.ledger.snapshot(id).await?));
        }
        match self.ledger.declare(&cancelled(broadcast)).await {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(LedgerError::KeyReused { .. } | LedgerError::KeyInUse { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the gate of what this object owns: what it wants now cannot stand.
    pub async fn release(&self, object: &ObjectMeta) -> Result<(), Failure> {
        let uid = object.uid.as_deref().unwrap_or_default();
        self.remembered.change(uid, |kept| kept.declared = None);
        Ok(self.ledger.release(uid, object.generation.unwrap_or_default()).await?)
    }

    /// A declaration that stands already is not told again: each one is a commit, and a new revision.
    async fn tell(&self, uid: &str, mut wanted: Declaration) -> Result<Result<BroadcastSnapshot, Refusal>, Failure> {
        let before = self.remembered.get(uid).declared;
        if let Some(standing) = before.as_ref().filter(|standing| standing.told.asks_the_same(&wanted)) {
            wanted.recollection.revision = wanted.recollection.revision.max(standing.revision);
            match self.ledger.snapshot(standing.broadcast).await {
                Ok(snapshot) if stands(&snapshot, &wanted) => {
                    let revision = snapshot.revision;
                    self.remembered
                        .change(uid, |kept| kept.declared.iter_mut().for_each(|now| now.revision = revision));
                    return Ok(Ok(snapshot));
                }
                Ok(_) | Err(LedgerError::UnknownBroadcast) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let snapshot = match self.tell_or_take_over(&wanted).await? {
            Ok(snapshot) => snapshot,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let same_key = before.is_some_and(|standing| standing.told.idempotency_key == wanted.idempotency_key);
        if !same_key && self.owns_another(uid, snapshot.id).await? {
            // Its key was edited: what stood under the old one is not wanted any more.
            self.ledger.release(uid, wanted.generation).await?;
            self.ledger.declare(&wanted).await?;
        }
        if self.departed.contains(uid) {
            self.ledger.depart(uid).await?;
        } else {
            let standing = Standing { told: wanted, broadcast: snapshot.id, revision: snapshot.revision };
            self.remembered.change(uid, |kept| kept.declared = Some(standing));
        }
        Ok(Ok(snapshot))
    }

    async fn tell_or_take_over(&self, wanted: &Declaration) -> Result<Result<BroadcastSnapshot, Refusal>, Failure> {
        let told = match self.ledger.declare(wanted).await {
            Err(LedgerError::KeyInUse { owner, owner_uid, .. }) if self.is_gone(wanted, &owner, &owner_uid).await? => {
                self.ledger.depart(&owner_uid).await?;
                self.ledger.declare(wanted).await
            }
            told => told,
        };
        match told {
            Ok(snapshot) if snapshot.gate.loss.is_some() => Ok(Ok(self.tell_approval(wanted).await?)),
            Ok(snapshot) => Ok(Ok(snapshot)),
            Err(
                error @ (LedgerError::KeyReused { .. } | LedgerError::KeyInUse { .. } | LedgerError::OwnerGone { .. }),
            ) => Ok(Err(refuse(error.reason(), error.to_string()))),
            Err(error) => Err(error.into()),
        }
    }

    /// By an uncached look: an annotation that a cache still holds may have been taken away long ago.
    async fn tell_approval(&self, wanted: &Declaration) -> Result<BroadcastSnapshot, Failure> {
        let api: Api<BroadcastMessage> = Api::namespaced(self.client.clone(), &wanted.namespace);
        let live = call("look whether a person has approved", api.get_metadata_opt(&wanted.name)).await?;
        let live = live.filter(|live| live.uid().as_ref() == Some(&wanted.owner_uid));
        let approval = live.map(|live| recollection::approval(&live.metadata));
        let recollection = Recollection { approval, ..wanted.recollection.clone() };
        Ok(self.ledger.declare(&Declaration { recollection, ..wanted.clone() }).await?)
    }

    /// By an uncached look: absence in a cache is no evidence.
    async fn is_gone(&self, wanted: &Declaration, owner: &str, owner_uid: &str) -> Result<bool, Failure> {
        let api: Api<BroadcastMessage> = Api::namespaced(self.client.clone(), &wanted.namespace);
        let live = call("look for the owner of an idempotency key", api.get_metadata_opt(owner)).await?;
        Ok(live.is_none_or(|live| live.uid().as_deref() != Some(owner_uid)))
    }

    async fn owns_another(&self, uid: &str, id: BroadcastId) -> Result<bool, Failure> {
        Ok(self.ledger.owned_by(uid).await?.iter().any(|owned| *owned != id))
    }
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
