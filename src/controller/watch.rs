//! A watch of one kind: keeps a store, and says what changed. Each has a backoff of its own, so that one that fails holds
//! up no other, and an object that cannot be read stops none.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::metrics::Metrics;
use crate::ledger::clock::{Clock, SystemClock};

/// Objects of one page of a list: a BroadcastMessage may be some 100 KiB.
const PAGE_SIZE: u32 = 100;

/// What a watch has seen.
pub enum Change<'a, K> {
    /// Made or changed; `before` is what was known of it.
    Applied {
        object: &'a DeserializeGuard<K>,
        before: Option<Arc<DeserializeGuard<K>>>,
    },
    Deleted(&'a DeserializeGuard<K>),
    /// The store was made anew: anything may have changed.
    Listed,
}

/// Kinds that can be watched with a guard.
pub trait Watched: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}
impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static> Watched for K {}

/// The kinds as seen from a scope: one namespace, or the whole cluster.
pub fn scoped<K>(client: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Watches until it is dropped. The store is up to date before `notice` is called.
pub async fn watch<K: Watched>(
    api: Api<DeserializeGuard<K>>,
    labels: Option<&str>,
    mut writer: Writer<DeserializeGuard<K>>,
    metrics: Arc<Metrics>,
    mut notice: impl FnMut(Change<'_, K>),
) {
    let mut config = watcher::Config::default().page_size(PAGE_SIZE);
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    let kind = kind_of::<K>();
    let reader: Store<DeserializeGuard<K>> = writer.as_reader();
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event.modify(prune),
            Err(error) => {
                tracing::warn!(kind, %error, "a watch failed and begins anew");
                continue;
            }
        };
        metrics.watch_spoke(kind, SystemClock.now());
        let before = match &event {
            Event::Apply(object) => reader.get(&ObjectRef::from_obj(object)),
            _ => None,
        };
        writer.apply_watcher_event(&event);
        match &event {
            Event::Apply(object) => notice(Change::Applied { object, before }),
            Event::Delete(object) => notice(Change::Deleted(object)),
            Event::InitDone => notice(Change::Listed),
            Event::Init | Event::InitApply(_) => {}
        }
    }
}

/// The kind as a label: a fixed set.
pub fn kind_of<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()).as_ref() {
        "BroadcastMessage" => "BroadcastMessage",
        "MessageChannel" => "MessageChannel",
        "MessageBatch" => "MessageBatch",
        "Job" => "Job",
        "Pod" => "Pod",
        _ => "Other",
    }
}

/// Who wrote which field is half of an object's metadata, and nothing here reads it.
fn prune<K: Resource<DynamicType = ()>>(object: &mut DeserializeGuard<K>) {
    object.managed_fields_mut().clear();
}

/// Everything readable of a store that fits.
pub fn readable<K: Watched>(store: &Store<DeserializeGuard<K>>, fits: impl Fn(&K) -> bool) -> Vec<K> {
    let all = store.state();
    all.iter().filter_map(|object| object.0.as_ref().ok()).filter(|object| fits(object)).cloned().collect()
}
