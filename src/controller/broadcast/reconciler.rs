//! One look at one BroadcastMessage: observe, decide, apply, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::controller::Action;
use kube::{Client, ResourceExt};
use tokio::sync::Semaphore;

use super::applier::{Applied, Applier};
use super::decide::decide;
use super::decide_refused::{self, Refusal};
use super::decide_stall::{CHANNEL_UNREADABLE, UNREADABLE};
use super::declaration::{Declarer, wanted};
use super::memory::{Made, Memory, Unmade};
use super::observation::{Decision, Declared, Observation};
use super::observer::{Stores, Unreadable, observe};
use super::remembered::{Kept, Remembered};
use crate::api::{BroadcastMessage, Condition, ConditionStatus, MessageBatch};
use crate::controller::departures::Departed;
use crate::controller::failure::{Failure, Failures};
use crate::controller::job::SenderSettings;
use crate::controller::metrics::Metrics;
use crate::controller::ownership::owning_broadcast;
use crate::controller::status_writer::StatusWriter;
use crate::delivery::time::Timestamp;
use crate::ledger::clock::Clock;
use crate::ledger::status::instant;
use crate::ledger::{Declaration, Ledger};

/// The label of this reconciler's figures.
const CONTROLLER: &str = "broadcast";
/// An object that cannot be read is looked at again when it changes; this is for an operator that learned to read it.
const UNREADABLE_LOOK: Duration = Duration::from_secs(300);

/// How soon the status tells what the API server has refused.
const REFUSED_LOOK: Duration = Duration::from_secs(1);

/// A look that was not in vain.
pub struct Looked {
    look_again: Duration,
    /// Why the API server does not take something that is needed; the rest goes on.
    refused: Option<&'static str>,
}

impl Looked {
    fn again(look_again: Duration) -> Looked {
        Looked { look_again, refused: None }
    }
}

/// What every look needs.
pub struct Reconciler<L> {
    pub client: Client,
    pub ledger: Arc<L>,
    pub clock: Arc<dyn Clock>,
    pub stores: Stores,
    pub settings: Arc<SenderSettings>,
    pub departed: Arc<Departed>,
    pub writer: StatusWriter,
    pub metrics: Arc<Metrics>,
    pub remembered: Arc<Remembered>,
    pub failures: Arc<Failures>,
    /// Looks under way at once, over all scopes.
    pub places: Arc<Semaphore>,
}

/// For the controller of kube.
pub async fn reconcile<L: Ledger>(
    object: Arc<DeserializeGuard<BroadcastMessage>>,
    reconciler: Arc<Reconciler<L>>,
) -> Result<Action, Failure> {
    // Never closed, so an error cannot come; without a place the look is merely not counted.
    let _place = reconciler.places.acquire().await;
    let begun = Instant::now();
    let looked = match &object.0 {
        Ok(broadcast) => reconciler.look(broadcast).await,
        Err(invalid) => reconciler.tell_unreadable(invalid).await,
    };
    let failed = looked.as_ref().map_or_else(|failure| Some(failure.reason()), |looked| looked.refused);
    reconciler.metrics.reconciled(CONTROLLER, begun.elapsed(), failed);
    if looked.is_ok() {
        reconciler.failures.forget(&object.uid().unwrap_or_default());
    }
    looked.map(|looked| Action::requeue(looked.look_again))
}

/// For the controller of kube: when to try again.
pub fn after_failure<L>(
    object: Arc<DeserializeGuard<BroadcastMessage>>,
    failure: &Failure,
    reconciler: Arc<Reconciler<L>>,
) -> Action {
    let wait = reconciler.failures.after(&object.uid().unwrap_or_default());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let reason = failure.reason();
    if failure.is_expected() {
        tracing::debug!(namespace, name, reason, error = %failure, ?wait, "a broadcast was not reconciled");
    } else {
        tracing::warn!(namespace, name, reason, error = %failure, ?wait, "a broadcast was not reconciled");
    }
    Action::requeue(wait)
}

impl<L: Ledger> Reconciler<L> {
    fn declarer(&self) -> Declarer<'_, L> {
        Declarer {
            ledger: self.ledger.as_ref(),
            client: &self.client,
            departed: &self.departed,
            remembered: &self.remembered,
        }
    }

    async fn look(&self, broadcast: &BroadcastMessage) -> Result<Looked, Failure> {
        let uid = broadcast.uid().unwrap_or_default();
        if broadcast.metadata.deletion_timestamp.is_some() {
            // Its children may keep it for a while; nothing more of it is sent.
            self.declarer().release(&broadcast.metadata).await?;
            return Ok(Looked::again(UNREADABLE_LOOK));
        }
        let declared = self.declarer().declare(broadcast, self.wanted(broadcast)).await?;
        let Kept { memory: before, mut inquiry, .. } = self.remembered.get(&uid);
        let clock = self.clock.as_ref();
        let observation = observe(&self.client, &self.stores, broadcast, declared, clock, &mut inquiry).await;
        let decision = decide(&observation, &before, &self.settings);
        // Before anything is written: what comes back of it may come before its answer.
        self.remembered.change(&uid, |kept| {
            kept.memory = decision.memory.clone();
            kept.inquiry = inquiry;
        });
        let applied = self.apply(&observation, &decision).await;
        let refused = applied.refusal();
        self.note(&observation, applied.made, applied.unmade);
        let reported = self.report(&observation, &decision, &before).await;
        applied.failure.map_or(Ok(()), Err).and(reported)?;
        let look_again = if refused.is_some() { REFUSED_LOOK.min(decision.look_again) } else { decision.look_again };
        Ok(Looked { look_again, refused })
    }

    fn wanted(&self, broadcast: &BroadcastMessage) -> Result<Declaration, Refusal> {
        if let Some(Unreadable { channel, is_own, error }) = self.stores.unreadable_channel(broadcast) {
            let remedy = match is_own {
                true => "correct it",
                false => {
                    "it may be of the same account, with lists of people who get nothing, so nothing of this namespace \
                     is sent; correct it, or delete it if it is not needed"
                }
            };
            let message =
                format!("this version of Herald cannot read the MessageChannel `{channel}`: {error}; {remedy}");
            return Err(Refusal { reason: CHANNEL_UNREADABLE, message });
        }
        wanted(broadcast, &self.stores.channels_of(&broadcast.namespace().unwrap_or_default()))
    }

    async fn apply(&self, observation: &Observation, decision: &Decision) -> Applied {
        let broadcast = match &observation.declared {
            Declared::Known { snapshot, .. } => Some(snapshot.id),
            Declared::Refused { .. } => None,
        };
        let applier =
            Applier { client: &self.client, ledger: self.ledger.as_ref(), object: &observation.object, broadcast };
        applier.apply(&decision.actions).await
    }

    /// The next look tells what was refused, and the one after the wait tries it again.
    fn note(&self, observation: &Observation, made: Vec<(Made, String)>, unmade: Vec<Unmade>) {
        let object = &observation.object;
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        for Unmade { name: wanted, reason, message, .. } in unmade.iter().filter(|unmade| unmade.is_refused) {
            tracing::warn!(
                namespace,
                name,
                reason,
                wanted,
                message,
                "the cluster does not take what a broadcast needs"
            );
        }
        self.remembered.change(&object.uid().unwrap_or_default(), |kept| {
            made.iter().for_each(|(kind, name)| decide_refused::made(&mut kept.memory, *kind, name));
            unmade.into_iter().for_each(|unmade| decide_refused::note(&mut kept.memory, unmade, observation));
        });
    }

    /// What cannot be written does not count as written, but its place in the budget is spent.
    async fn report(&self, observation: &Observation, decision: &Decision, before: &Memory) -> Result<(), Failure> {
        let object = &observation.object;
        let uid = object.uid();
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let take_back = |from: usize, with_status: bool| {
            let unwritten = decision.batch_statuses.iter().skip(from).map(|(name, _)| name.as_str());
            self.remembered.change(uid.as_deref().unwrap_or_default(), |kept| {
                if with_status {
                    kept.memory.status = before.status.clone();
                }
                kept.memory.take_back_batches(unwritten, before);
            });
        };
        if let Some(status) = &decision.status {
            let written = self.writer.write::<BroadcastMessage, _>(&namespace, &name, uid.as_deref(), status).await;
            written.inspect_err(|_| take_back(0, true))?;
        }
        self.writer.tell(object, &decision.transitions).await;
        for (index, (batch, status)) in decision.batch_statuses.iter().enumerate() {
            // Only a batch that was observed can be told apart from one of the same name that belongs to another.
            let known = observation.batches.iter().find(|known| known.name_any() == *batch && is_owned(known, object));
            let uid = known.and_then(ResourceExt::uid);
            let written = self.writer.write::<MessageBatch, _>(&namespace, batch, uid.as_deref(), status).await;
            written.inspect_err(|_| take_back(index, false))?;
        }
        Ok(())
    }

    /// What an object that cannot be read wants is not known, so nothing of it is sent.
    async fn tell_unreadable(&self, invalid: &InvalidObject) -> Result<Looked, Failure> {
        let uid = invalid.metadata.uid.clone().unwrap_or_default();
        self.declarer().release(&invalid.metadata).await?;
        let told = (invalid.metadata.generation.unwrap_or_default(), invalid.error.clone());
        if self.remembered.get(&uid).unreadable.as_ref() != Some(&told) {
            let condition = unreadable(&invalid.metadata, &invalid.error, self.clock.now());
            self.writer.write_unreadable(&invalid.metadata, condition).await?;
            self.remembered.change(&uid, |kept| kept.unreadable = Some(told));
        }
        Ok(Looked::again(UNREADABLE_LOOK))
    }
}

fn is_owned(batch: &MessageBatch, object: &BroadcastMessage) -> bool {
    owning_broadcast(batch).is_some_and(|owner| Some(&owner.uid) == object.metadata.uid.as_ref())
}

fn unreadable(metadata: &ObjectMeta, error: &str, now: Timestamp) -> Condition {
    Condition {
        type_: "Stalled".to_owned(),
        status: ConditionStatus::True,
        reason: UNREADABLE.to_owned(),
        message: format!("this version of Herald cannot read the object: {error}; correct it, or upgrade Herald"),
        observed_generation: metadata.generation,
        last_transition_time: instant(now).unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "reconciler_tests.rs"]
mod tests;
