//! The watches and reconcilers of one namespace, or of the whole cluster.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::broadcast::observer::Stores;
use super::broadcast::reconciler::{self as broadcasts, Reconciler};
use super::broadcast::remembered::Remembered;
use super::channel::reconciler::{self as channels, ChannelReconciler};
use super::departures::{self, Departed};
use super::failure::Failures;
use super::job::{BROADCAST_LABEL, SenderSettings};
use super::metrics::Metrics;
use super::ownership::owning_broadcast;
use super::status_writer::StatusWriter;
use super::triggers::Triggers;
use super::watch::{Change, Watched, scoped, watch};
use crate::api::{BroadcastMessage, MessageBatch, MessageChannel};
use crate::ledger::Ledger;

/// Looks under way at once, over all scopes: they share one client and one ledger.
pub const CONCURRENT_LOOKS: usize = 16;
/// How long a look that has begun may go on when the operator is told to stop.
const END_PATIENCE: Duration = Duration::from_secs(10);

type Guarded<K> = DeserializeGuard<K>;

/// What all scopes share.
pub struct Shared<L> {
    pub client: Client,
    pub ledger: Arc<L>,
    pub settings: Arc<SenderSettings>,
    pub metrics: Arc<Metrics>,
    pub writer: StatusWriter,
    pub departed: Arc<Departed>,
    pub remembered: Arc<Remembered>,
    pub failures: Arc<Failures>,
    pub places: Arc<Semaphore>,
}

/// What is to be looked at.
#[derive(Default)]
struct Noticed {
    broadcasts: Arc<Triggers<Guarded<BroadcastMessage>>>,
    channels: Arc<Triggers<Guarded<MessageChannel>>>,
}

/// Runs until `stop`, then lets what has begun end. `synced` is called when the caches are full.
pub async fn run<L: Ledger>(
    shared: Arc<Shared<L>>,
    namespace: Option<String>,
    mut stop: watch::Receiver<bool>,
    synced: impl FnOnce() + Send,
) {
    let noticed = Noticed::default();
    let mut watches = JoinSet::new();
    let stores = start_watches(&shared, namespace.as_deref(), &noticed, &mut watches);
    let departures =
        departures::watch(shared.client.clone(), namespace, shared.ledger.clone(), shared.departed.clone());
    watches.spawn(departures);
    tokio::select! {
        () = filled(&stores) => synced(),
        _ = stop.wait_for(|stop| *stop) => return,
    }
    let broadcasts = reconcile_broadcasts(&shared, &stores, &noticed, stop.clone());
    let channels = reconcile_channels(&shared, &stores, &noticed, stop.clone());
    let all = async { tokio::join!(broadcasts, channels) };
    let late = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(END_PATIENCE).await;
    };
    tokio::select! {
        _ = all => {}
        () = late => tracing::warn!("reconciliations that had begun were broken off; they are safe to repeat"),
    }
}

async fn filled(stores: &Stores) {
    // A store without a writer belongs to a watch that ended, which none does while this runs.
    let _ = tokio::join!(
        stores.broadcasts.wait_until_ready(),
        stores.channels.wait_until_ready(),
        stores.batches.wait_until_ready(),
        stores.jobs.wait_until_ready(),
        stores.pods.wait_until_ready(),
    );
}

fn start_watches<L: Ledger>(
    shared: &Arc<Shared<L>>,
    namespace: Option<&str>,
    noticed: &Noticed,
    watches: &mut JoinSet<()>,
) -> Stores {
    let (broadcasts, broadcast_writer) = reflector::store::<Guarded<BroadcastMessage>>();
    let (channels, channel_writer) = reflector::store::<Guarded<MessageChannel>>();
    let (batches, batch_writer) = reflector::store::<Guarded<MessageBatch>>();
    let (jobs, job_writer) = reflector::store::<Guarded<Job>>();
    let (pods, pod_writer) = reflector::store::<Guarded<Pod>>();
    let stores = Stores { broadcasts, channels, batches, jobs, pods };
    let (client, metrics) = (&shared.client, &shared.metrics);

    let notice = on_broadcast(shared, &stores, noticed);
    watches.spawn(watch(scoped(client, namespace), None, broadcast_writer, metrics.clone(), notice));
    let notice = on_channel(&stores, noticed);
    watches.spawn(watch(scoped(client, namespace), None, channel_writer, metrics.clone(), notice));
    let notice = on_owned::<MessageBatch>(&stores, noticed, owner_of);
    watches.spawn(watch(scoped(client, namespace), Some(BROADCAST_LABEL), batch_writer, metrics.clone(), notice));
    let notice = on_owned::<Job>(&stores, noticed, owner_of);
    watches.spawn(watch(scoped(client, namespace), Some(BROADCAST_LABEL), job_writer, metrics.clone(), notice));
    let notice = on_owned::<Pod>(&stores, noticed, labelled);
    watches.spawn(watch(scoped(client, namespace), Some(BROADCAST_LABEL), pod_writer, metrics.clone(), notice));
    stores
}

fn on_broadcast<L: Ledger>(
    shared: &Arc<Shared<L>>,
    stores: &Stores,
    noticed: &Noticed,
) -> impl FnMut(Change<'_, BroadcastMessage>) + Send + use<L> {
    let (shared, stores) = (shared.clone(), stores.clone());
    let (broadcasts, channels) = (noticed.broadcasts.clone(), noticed.channels.clone());
    move |change| match change {
        Change::Applied { object, before } => {
            broadcasts.insert([ObjectRef::from_obj(object)]);
            if state_of(object) != before.as_deref().and_then(state_of) {
                channels.insert(channel_of(object));
            }
        }
        Change::Deleted(object) => {
            let uid = object.uid().unwrap_or_default();
            shared.remembered.forget(&uid);
            shared.failures.forget(&uid);
            channels.insert(channel_of(object));
            // Another of its namespace may have waited for its key.
            broadcasts.insert(neighbours(&stores, object.namespace().as_deref()));
        }
        Change::Listed => broadcasts.insert(all(&stores.broadcasts)),
    }
}

/// A channel matters to every broadcast of its namespace: two channels may lead to one account.
fn on_channel(stores: &Stores, noticed: &Noticed) -> impl FnMut(Change<'_, MessageChannel>) + Send + use<> {
    let stores = stores.clone();
    let (broadcasts, channels) = (noticed.broadcasts.clone(), noticed.channels.clone());
    move |change| match change {
        Change::Applied { object, before } => {
            channels.insert([ObjectRef::from_obj(object)]);
            // What Herald itself writes to the status changes nothing for broadcasts.
            let same = |before: &Guarded<MessageChannel>| {
                before.uid() == object.uid() && before.meta().generation == object.meta().generation
            };
            if !before.as_deref().is_some_and(same) {
                broadcasts.insert(neighbours(&stores, object.namespace().as_deref()));
            }
        }
        Change::Deleted(object) => broadcasts.insert(neighbours(&stores, object.namespace().as_deref())),
        Change::Listed => {
            channels.insert(all(&stores.channels));
            broadcasts.insert(all(&stores.broadcasts));
        }
    }
}

fn on_owned<K: Watched>(
    stores: &Stores,
    noticed: &Noticed,
    owner: fn(&Guarded<K>) -> Option<ObjectRef<Guarded<BroadcastMessage>>>,
) -> impl FnMut(Change<'_, K>) + Send + use<K> {
    let (stores, broadcasts) = (stores.clone(), noticed.broadcasts.clone());
    move |change| match change {
        Change::Applied { object, .. } | Change::Deleted(object) => broadcasts.insert(owner(object)),
        Change::Listed => broadcasts.insert(all(&stores.broadcasts)),
    }
}

fn all<K: Watched>(store: &reflector::Store<Guarded<K>>) -> Vec<ObjectRef<Guarded<K>>> {
    store.state().iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect()
}

fn neighbours(stores: &Stores, namespace: Option<&str>) -> Vec<ObjectRef<Guarded<BroadcastMessage>>> {
    all(&stores.broadcasts).into_iter().filter(|object| object.namespace.as_deref() == namespace).collect()
}

fn state_of(object: &Guarded<BroadcastMessage>) -> Option<crate::api::BroadcastState> {
    object.0.as_ref().ok()?.status.as_ref()?.state
}

fn channel_of(object: &Guarded<BroadcastMessage>) -> Option<ObjectRef<Guarded<MessageChannel>>> {
    let broadcast = object.0.as_ref().ok()?;
    Some(ObjectRef::new(&broadcast.spec.channel_ref.name).within(&broadcast.namespace()?))
}

fn owner_of<K: Watched>(object: &Guarded<K>) -> Option<ObjectRef<Guarded<BroadcastMessage>>> {
    let owner = owning_broadcast(object)?;
    Some(ObjectRef::new(&owner.name).within(&object.namespace()?))
}

fn labelled<K: Watched>(object: &Guarded<K>) -> Option<ObjectRef<Guarded<BroadcastMessage>>> {
    let name = object.labels().get(BROADCAST_LABEL)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

fn config() -> controller::Config {
    controller::Config::default().concurrency(CONCURRENT_LOOKS as u16)
}

async fn reconcile_broadcasts<L: Ledger>(
    shared: &Shared<L>,
    stores: &Stores,
    noticed: &Noticed,
    mut stop: watch::Receiver<bool>,
) {
    let reconciler = Reconciler {
        client: shared.client.clone(),
        ledger: shared.ledger.clone(),
        stores: stores.clone(),
        settings: shared.settings.clone(),
        departed: shared.departed.clone(),
        writer: shared.writer.clone(),
        metrics: shared.metrics.clone(),
        remembered: shared.remembered.clone(),
        failures: shared.failures.clone(),
        places: shared.places.clone(),
    };
    Controller::for_stream(futures::stream::pending(), stores.broadcasts.clone())
        .with_config(config())
        .reconcile_on(noticed.broadcasts.clone().stream())
        .graceful_shutdown_on(async move { drop(stop.wait_for(|stop| *stop).await) })
        .run(broadcasts::reconcile, broadcasts::after_failure, Arc::new(reconciler))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile_channels<L: Ledger>(
    shared: &Shared<L>,
    stores: &Stores,
    noticed: &Noticed,
    mut stop: watch::Receiver<bool>,
) {
    let reconciler = ChannelReconciler {
        ledger: shared.ledger.clone(),
        stores: stores.clone(),
        writer: shared.writer.clone(),
        metrics: shared.metrics.clone(),
        failures: shared.failures.clone(),
        places: shared.places.clone(),
    };
    Controller::for_stream(futures::stream::pending(), stores.channels.clone())
        .with_config(config())
        .reconcile_on(noticed.channels.clone().stream())
        .graceful_shutdown_on(async move { drop(stop.wait_for(|stop| *stop).await) })
        .run(channels::reconcile, channels::after_failure, Arc::new(reconciler))
        .for_each(|_| std::future::ready(()))
        .await;
}
