//! The watches and reconcilers of one namespace, or of the whole cluster.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::broadcast::observer::Stores;
use super::broadcast::reconciler::{self as broadcasts, Reconciler};
use super::broadcast::remembered::Remembered;
use super::channel::reconciler::{self as channels, ChannelReconciler};
use super::departures::{self, Deleted, Departed};
use super::failure::Failures;
use super::job::{BROADCAST_LABEL, SenderSettings};
use super::metrics::Metrics;
use super::ownership::owning_broadcast;
use super::status_writer::StatusWriter;
use super::triggers::Triggers;
use super::watch::{Change, Watched, kind_of, scoped, watch};
use crate::api::{BroadcastMessage, MessageBatch, MessageChannel};
use crate::ledger::Ledger;
use crate::ledger::clock::Clock;
use crate::ledger::recollection::approval;

/// Looks under way at once, over all scopes: they share one client and one ledger.
pub const CONCURRENT_LOOKS: usize = 16;
/// How long a look that has begun may go on when the operator is told to stop.
const END_PATIENCE: Duration = Duration::from_secs(10);

type Guarded<K> = DeserializeGuard<K>;

/// What all scopes share.
pub struct Shared<L> {
    pub client: Client,
    pub ledger: Arc<L>,
    pub clock: Arc<dyn Clock>,
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

/// A part of the operator that runs as long as it does has ended: nobody does its work any more.
#[derive(Debug, thiserror::Error)]
#[error("{part} ended: {cause}")]
pub struct Ended {
    pub part: &'static str,
    pub cause: String,
}

/// Tasks that run as long as the operator does, and give their name if they end nevertheless.
type Watches = JoinSet<&'static str>;

/// Runs until `stop`, then lets what has begun end. `synced` is called when the caches are full.
///
/// # Errors
/// A watch that ended: what it saw would be missed from then on.
pub async fn run<L: Ledger>(
    shared: Arc<Shared<L>>,
    namespace: Option<String>,
    mut stop: watch::Receiver<bool>,
    synced: impl FnOnce() + Send,
) -> Result<(), Ended> {
    let noticed = Noticed::default();
    let mut watches = Watches::new();
    let stores = start_watches(&shared, namespace.as_deref(), &noticed, &mut watches);
    tokio::select! {
        filled = unless_one_ends(&mut watches, filled(&stores)) => filled.map(|()| synced())?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    }
    let broadcasts = reconcile_broadcasts(&shared, &stores, &noticed, stop.clone());
    let channels = reconcile_channels(&shared, &stores, &noticed, stop.clone());
    let all = async { tokio::join!(broadcasts, channels) };
    let late = async {
        let _ = stop.clone().wait_for(|stop| *stop).await;
        tokio::time::sleep(END_PATIENCE).await;
    };
    tokio::select! {
        ended = unless_one_ends(&mut watches, all) => drop(ended?),
        () = late => tracing::warn!("reconciliations that had begun were broken off; they are safe to repeat"),
    }
    if *stop.borrow() { Ok(()) } else { Err(Ended { part: "the reconcilers", cause: "no reason given".to_owned() }) }
}

/// What `work` comes to, unless a watch ends before.
async fn unless_one_ends<T>(watches: &mut Watches, work: impl Future<Output = T>) -> Result<T, Ended> {
    tokio::select! {
        done = work => Ok(done),
        Some(ended) = watches.join_next() => Err(match ended {
            Ok(part) => Ended { part, cause: "no reason given".to_owned() },
            Err(error) => Ended { part: "a watch", cause: error.to_string() },
        }),
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
    watches: &mut Watches,
) -> Stores {
    let (broadcasts, broadcast_writer) = reflector::store::<Guarded<BroadcastMessage>>();
    let (channels, channel_writer) = reflector::store::<Guarded<MessageChannel>>();
    let (batches, batch_writer) = reflector::store::<Guarded<MessageBatch>>();
    let (jobs, job_writer) = reflector::store::<Guarded<Job>>();
    let (pods, pod_writer) = reflector::store::<Guarded<Pod>>();
    let stores = Stores { broadcasts, channels, batches, jobs, pods };
    let (client, metrics) = (&shared.client, &shared.metrics);

    let (deleted, deletions) = departures::deletions();
    start(
        watches,
        scoped(client, namespace),
        None,
        broadcast_writer,
        metrics,
        on_broadcast(shared, &stores, noticed, deleted),
    );
    start(watches, scoped(client, namespace), None, channel_writer, metrics, on_channel(&stores, noticed));
    let label = Some(BROADCAST_LABEL);
    start(watches, scoped(client, namespace), label, batch_writer, metrics, on_batch(shared, &stores, noticed));
    start(watches, scoped(client, namespace), label, job_writer, metrics, on_owned::<Job>(&stores, noticed, owner_of));
    start(watches, scoped(client, namespace), label, pod_writer, metrics, on_owned::<Pod>(&stores, noticed, labelled));

    let (ledger, departed, missed) = (shared.ledger.clone(), shared.departed.clone(), deletions.missed());
    watches.spawn(named(
        "the release of deleted broadcasts",
        departures::release(deletions, ledger.clone(), departed.clone()),
    ));
    let departures = departures::watch(client.clone(), namespace.map(str::to_owned), ledger, departed, missed);
    watches.spawn(named("the watch for deleted broadcasts", departures));
    stores
}

fn start<K: Watched>(
    watches: &mut Watches,
    api: Api<Guarded<K>>,
    labels: Option<&'static str>,
    writer: Writer<Guarded<K>>,
    metrics: &Arc<Metrics>,
    notice: impl FnMut(Change<'_, K>) + Send + 'static,
) {
    let metrics = metrics.clone();
    let part = match kind_of::<K>() {
        "BroadcastMessage" => "the watch of BroadcastMessages",
        "MessageChannel" => "the watch of MessageChannels",
        "MessageBatch" => "the watch of MessageBatches",
        "Job" => "the watch of Jobs",
        _ => "the watch of pods",
    };
    watches.spawn(named(part, watch(api, labels, writer, metrics, notice)));
}

async fn named(part: &'static str, work: impl Future<Output = ()>) -> &'static str {
    work.await;
    part
}

/// `deleted` takes the uids of those that are gone.
fn on_broadcast<L: Ledger>(
    shared: &Arc<Shared<L>>,
    stores: &Stores,
    noticed: &Noticed,
    deleted: Deleted,
) -> impl FnMut(Change<'_, BroadcastMessage>) + Send + use<L> {
    let (shared, stores) = (shared.clone(), stores.clone());
    let (broadcasts, channels) = (noticed.broadcasts.clone(), noticed.channels.clone());
    move |change| match change {
        Change::Applied { object, before } => {
            let before = before.as_deref();
            if !is_own_write(&shared.remembered, before, object) {
                broadcasts.insert([ObjectRef::from_obj(object)]);
            }
            if state_of(object) != before.and_then(state_of) {
                channels.insert(channel_of(object));
            }
        }
        Change::Deleted(object) => {
            // Nobody is no owner: the ledger would refuse all who have none.
            if let Some(uid) = object.uid().filter(|uid| !uid.is_empty()) {
                // The watch for deletions may have listed it as gone before it was declared.
                shared.departed.insert(&uid);
                shared.remembered.forget(&uid);
                shared.failures.forget(&uid);
                deleted.tell(uid);
            }
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
            let same = before.as_deref().is_some_and(|before| wants_the_same(before, object));
            // What Herald itself writes to the status is no news; one that was wiped is.
            let has_status = object.0.as_ref().is_ok_and(|channel| channel.status.is_some());
            if !(same && has_status) {
                channels.insert([ObjectRef::from_obj(object)]);
            }
            if !same {
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

fn on_batch<L: Ledger>(
    shared: &Arc<Shared<L>>,
    stores: &Stores,
    noticed: &Noticed,
) -> impl FnMut(Change<'_, MessageBatch>) + Send + use<L> {
    let shared = shared.clone();
    let mut notice = on_owned::<MessageBatch>(stores, noticed, owner_of);
    move |change| match &change {
        Change::Applied { object, before } if is_own_batch_write(&shared.remembered, before.as_deref(), object) => {}
        _ => notice(change),
    }
}

/// A status that this operator wrote comes back as a change. It is no reason to look again, least of all before the wait
/// after a failure is over. An approval raises no generation, and a person waits for what it opens.
fn is_own_write(
    remembered: &Remembered,
    before: Option<&Guarded<BroadcastMessage>>,
    object: &Guarded<BroadcastMessage>,
) -> bool {
    let (Some(before), Ok(broadcast)) = (before, &object.0) else { return false };
    let uid = object.uid().unwrap_or_default();
    wants_the_same(before, object)
        && approval(before.meta()) == approval(object.meta())
        && remembered.has_written(&uid, broadcast.status.as_ref())
}

fn is_own_batch_write(
    remembered: &Remembered,
    before: Option<&Guarded<MessageBatch>>,
    object: &Guarded<MessageBatch>,
) -> bool {
    let (Some(before), Ok(batch)) = (before, &object.0) else { return false };
    let Some(owner) = owning_broadcast(batch) else { return false };
    wants_the_same(before, object)
        && remembered.has_written_batch(&owner.uid, &object.name_any(), batch.status.as_ref())
}

/// The same object with the same spec, and as alive as before.
fn wants_the_same<K: Watched>(before: &Guarded<K>, object: &Guarded<K>) -> bool {
    let of = |object: &Guarded<K>| {
        let metadata = object.meta();
        (metadata.uid.clone(), metadata.generation, metadata.deletion_timestamp.is_some())
    };
    of(before) == of(object)
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

/// What looks at broadcasts with these caches.
pub fn broadcast_reconciler<L: Ledger>(shared: &Shared<L>, stores: &Stores) -> Reconciler<L> {
    Reconciler {
        client: shared.client.clone(),
        ledger: shared.ledger.clone(),
        clock: shared.clock.clone(),
        stores: stores.clone(),
        settings: shared.settings.clone(),
        departed: shared.departed.clone(),
        writer: shared.writer.clone(),
        metrics: shared.metrics.clone(),
        remembered: shared.remembered.clone(),
        failures: shared.failures.clone(),
        places: shared.places.clone(),
    }
}

async fn reconcile_broadcasts<L: Ledger>(
    shared: &Shared<L>,
    stores: &Stores,
    noticed: &Noticed,
    mut stop: watch::Receiver<bool>,
) {
    let reconciler = broadcast_reconciler(shared, stores);
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
        client: shared.client.clone(),
        settings: shared.settings.clone(),
        ledger: shared.ledger.clone(),
        clock: shared.clock.clone(),
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

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
