//! One look at one MessageChannel: its account, as the ledger has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Client, ResourceExt};
use tokio::sync::Semaphore;

use super::decide::{ChannelObservation, decide};
use super::decide_receiver::{self, ReceiverDecision};
use super::receiver_applier::ReceiverApplier;
use crate::api::MessageChannel;
use crate::controller::broadcast::observer::Stores;
use crate::controller::failure::{Failure, Failures};
use crate::controller::job::SenderSettings;
use crate::controller::metrics::Metrics;
use crate::controller::status_writer::StatusWriter;
use crate::controller::watch::readable;
use crate::ledger::clock::Clock;
use crate::ledger::{AccountKey, Ledger};

/// The label of this reconciler's figures.
const CONTROLLER: &str = "channel";
/// A channel that cannot be read is looked at when it changes; its broadcasts say why they do not go on.
const UNREADABLE_LOOK: Duration = Duration::from_secs(300);

/// What every look needs.
pub struct ChannelReconciler<L> {
    pub client: Client,
    pub ledger: Arc<L>,
    pub settings: Arc<SenderSettings>,
    pub clock: Arc<dyn Clock>,
    pub stores: Stores,
    pub writer: StatusWriter,
    pub metrics: Arc<Metrics>,
    pub failures: Arc<Failures>,
    /// Looks under way at once, over all scopes.
    pub places: Arc<Semaphore>,
}

/// For the controller of kube.
pub async fn reconcile<L: Ledger>(
    object: Arc<DeserializeGuard<MessageChannel>>,
    reconciler: Arc<ChannelReconciler<L>>,
) -> Result<Action, Failure> {
    // Never closed, so an error cannot come; without a place the look is merely not counted.
    let _place = reconciler.places.acquire().await;
    let begun = Instant::now();
    let looked = match &object.0 {
        Ok(channel) => reconciler.look(channel).await,
        Err(_) => Ok(UNREADABLE_LOOK),
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
    object: Arc<DeserializeGuard<MessageChannel>>,
    failure: &Failure,
    reconciler: Arc<ChannelReconciler<L>>,
) -> Action {
    let wait = reconciler.failures.after(&object.uid().unwrap_or_default());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    tracing::warn!(namespace, name, reason = failure.reason(), error = %failure, ?wait, "a channel was not reconciled");
    Action::requeue(wait)
}

impl<L: Ledger> ChannelReconciler<L> {
    async fn look(&self, channel: &MessageChannel) -> Result<Duration, Failure> {
        let (namespace, name) = (channel.namespace().unwrap_or_default(), channel.name_any());
        let account = match AccountKey::of(&namespace, &channel.spec) {
            Some(account) => self.ledger.account(&account).await?,
            None => None,
        };
        let broadcasts = readable(&self.stores.broadcasts, |broadcast| {
            broadcast.metadata.namespace.as_ref() == Some(&namespace) && broadcast.spec.channel_ref.name == name
        });
        let receiver = self.receiver(channel).await?;
        let now = self.clock.now();
        let observation = ChannelObservation { object: channel.clone(), account, broadcasts, receiver, now };
        let decision = decide(&observation);
        if let Some(status) = &decision.status {
            let uid = channel.uid();
            self.writer.write::<MessageChannel, _>(&namespace, &name, uid.as_deref(), status).await?;
        }
        self.writer.tell(channel, &decision.transitions).await;
        Ok(decision.look_again)
    }

    /// Makes the receiver what it should be. A channel that has none, and of whose status none was told, costs no call.
    async fn receiver(&self, channel: &MessageChannel) -> Result<ReceiverDecision, Failure> {
        let had_one = channel.status.as_ref().is_some_and(|status| status.receiver.is_some());
        if !channel.spec.wants_receiver() && !had_one {
            return Ok(ReceiverDecision::default());
        }
        let hands = ReceiverApplier { client: &self.client, channel };
        let found = hands.find().await?;
        let decision = decide_receiver::decide(channel, &self.settings, &found);
        for step in &decision.steps {
            hands.take(step).await?;
        }
        Ok(decision)
    }
}
