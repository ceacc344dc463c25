//! One look at one BroadcastMessage: observe, decide, apply, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::controller::Action;
use kube::{Client, ResourceExt};
use tokio::sync::Semaphore;

use super::applier::Applier;
use super::decide::decide;
use super::decide_stall::{CHANNEL_UNREADABLE, UNREADABLE};
use super::declaration::Declarer;
use super::observation::{Decision, Declared, Observation};
use super::observer::{Stores, observe};
use super::remembered::Remembered;
use crate::api::{BroadcastMessage, Condition, ConditionStatus, MessageBatch};
use crate::controller::departures::Departed;
use crate::controller::failure::{Failure, Failures};
use crate::controller::job::SenderSettings;
use crate::controller::metrics::Metrics;
use crate::controller::ownership::owning_broadcast;
use crate::controller::status_writer::StatusWriter;
use crate::ledger::Ledger;
use crate::ledger::clock::{Clock, SystemClock};

/// The label of this reconciler's figures.
const CONTROLLER: &str = "broadcast";
/// An object that cannot be read is looked at again when it changes; this is for an operator that learned to read it.
const UNREADABLE_LOOK: Duration = Duration::from_secs(300);

/// What every look needs.
pub struct Reconciler<L> {
    pub client: Client,
    pub ledger: Arc<L>,
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
    let failed = looked.as_ref().err().map(Failure::reason);
    reconciler.metrics.reconciled(CONTROLLER, begun.elapsed(), failed);
    if looked.is_ok() {
        reconciler.failures.forget(&object.uid().unwrap_or_default());
    }
    looked.map(Action::requeue)
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

    async fn look(&self, broadcast: &BroadcastMessage) -> Result<Duration, Failure> {
        let uid = broadcast.uid().unwrap_or_default();
        if broadcast.metadata.deletion_timestamp.is_some() {
            // Its children may keep it for a while; nothing more of it is sent.
            self.declarer().release(&broadcast.metadata).await?;
            return Ok(UNREADABLE_LOOK);
        }
        let declared = self.declare(broadcast).await?;
        let observation = observe(&self.client, &self.stores, broadcast, declared).await;
        let memory = self.remembered.get(&uid).memory;
        let decision = decide(&observation, &memory, &self.settings);
        let applied = self.apply(&observation, &decision).await;
        let reported = self.report(&observation, &decision).await;
        applied.and(reported)?;
        let look_again = decision.look_again;
        self.remembered.change(&uid, |kept| kept.memory = decision.memory);
        Ok(look_again)
    }

    async fn declare(&self, broadcast: &BroadcastMessage) -> Result<Declared, Failure> {
        if let Some(error) = self.stores.unreadable_channel(broadcast) {
            self.declarer().release(&broadcast.metadata).await?;
            let name = &broadcast.spec.channel_ref.name;
            let message =
                format!("this version of Herald cannot read the MessageChannel `{name}`: {error}; correct it");
            return Ok(Declared::Refused { reason: CHANNEL_UNREADABLE, message });
        }
        let channels = self.stores.channels_of(&broadcast.namespace().unwrap_or_default());
        self.declarer().declare(broadcast, &channels).await
    }

    async fn apply(&self, observation: &Observation, decision: &Decision) -> Result<(), Failure> {
        let broadcast = match &observation.declared {
            Declared::Known { snapshot, .. } => Some(snapshot.id),
            Declared::Refused { .. } => None,
        };
        let applier =
            Applier { client: &self.client, ledger: self.ledger.as_ref(), object: &observation.object, broadcast };
        applier.apply(&decision.actions).await
    }

    async fn report(&self, observation: &Observation, decision: &Decision) -> Result<(), Failure> {
        let object = &observation.object;
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        if let Some(status) = &decision.status {
            let uid = object.uid();
            self.writer.write::<BroadcastMessage, _>(&namespace, &name, uid.as_deref(), status).await?;
        }
        self.writer.tell(object, &decision.transitions).await;
        for (batch, status) in &decision.batch_statuses {
            // Only a batch that was observed can be told apart from one of the same name that belongs to another.
            let known = observation.batches.iter().find(|known| known.name_any() == *batch && is_owned(known, object));
            let uid = known.and_then(ResourceExt::uid);
            self.writer.write::<MessageBatch, _>(&namespace, batch, uid.as_deref(), status).await?;
        }
        Ok(())
    }

    /// What an object that cannot be read wants is not known, so nothing of it is sent.
    async fn tell_unreadable(&self, invalid: &InvalidObject) -> Result<Duration, Failure> {
        let uid = invalid.metadata.uid.clone().unwrap_or_default();
        self.declarer().release(&invalid.metadata).await?;
        let told = (invalid.metadata.generation.unwrap_or_default(), invalid.error.clone());
        if self.remembered.get(&uid).unreadable.as_ref() != Some(&told) {
            self.writer.write_unreadable(&invalid.metadata, unreadable(&invalid.metadata, &invalid.error)).await?;
            self.remembered.change(&uid, |kept| kept.unreadable = Some(told));
        }
        Ok(UNREADABLE_LOOK)
    }
}

fn is_owned(batch: &MessageBatch, object: &BroadcastMessage) -> bool {
    owning_broadcast(batch).is_some_and(|owner| Some(&owner.uid) == object.metadata.uid.as_ref())
}

fn unreadable(metadata: &ObjectMeta, error: &str) -> Condition {
    Condition {
        type_: "Stalled".to_owned(),
        status: ConditionStatus::True,
        reason: UNREADABLE.to_owned(),
        message: format!("this version of Herald cannot read the object: {error}; correct it, or upgrade Herald"),
        observed_generation: metadata.generation,
        last_transition_time: jiff::Timestamp::from_second(SystemClock.now().0.div_euclid(1_000_000_000))
            .unwrap_or_default(),
    }
}
