//! An operator for tests: its parts over an API server and a ledger in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::broadcast::observer::Stores;
use super::broadcast::reconciler::{after_failure, reconcile};
use super::fake_cluster::FakeCluster;
use super::job::{BROADCAST_LABEL, SenderSettings};
use super::metrics::Metrics;
use super::scope::{CONCURRENT_LOOKS, Shared, broadcast_reconciler};
use super::status_writer::StatusWriter;
use super::watch::Watched;
use crate::delivery::outcome::Outcome;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::clock::{Clock, ManualClock};
use crate::ledger::exchange::{Assignment, Report};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{BroadcastId, BroadcastSnapshot, ExchangeRequest, Ledger, PlanRow, SenderLedger};

pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub const BROADCASTS: &str = "/apis/herald.dev/v1alpha1/namespaces/a/broadcastmessages";
pub const BROADCAST: &str = "/apis/herald.dev/v1alpha1/namespaces/a/broadcastmessages/spring";
pub const CHANNELS: &str = "/apis/herald.dev/v1alpha1/namespaces/a/messagechannels";
pub const CHANNEL: &str = "/apis/herald.dev/v1alpha1/namespaces/a/messagechannels/page";
pub const BATCHES: &str = "/apis/herald.dev/v1alpha1/namespaces/a/messagebatches";
pub const BATCH: &str = "/apis/herald.dev/v1alpha1/namespaces/a/messagebatches/spring-00000";
pub const JOBS: &str = "/apis/batch/v1/namespaces/a/jobs";
pub const PODS: &str = "/api/v1/namespaces/a/pods";
pub const UID: &str = "abcd-uid";

pub fn broadcast() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": "spring", "namespace": "a", "uid": UID, "generation": 1},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
    })
}

pub fn channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel",
        "metadata": {"name": "page", "namespace": "a", "uid": "channel-uid", "generation": 1},
        "spec": {"http": {"url": "http://127.0.0.1/"}, "rate": {"messages": 10, "periodSeconds": 1}},
    })
}

/// The time of a test whose time is paused.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        NOW + Span(i64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }
}

/// Calls of the ledger, one after another, in which a look comes to its end.
const ROUNDS: usize = 30;

/// What the watches of children select.
fn is_labelled(object: &Value) -> bool {
    object["metadata"]["labels"][BROADCAST_LABEL].is_string()
}

pub struct Stage {
    pub cluster: FakeCluster,
    pub ledger: Arc<SqliteLedger>,
    pub shared: Arc<Shared<SqliteLedger>>,
    clock: Arc<ManualClock>,
}

impl Stage {
    /// A broadcast and its channel, and a clock that stands.
    pub async fn new() -> Stage {
        let clock = Arc::new(ManualClock::new(NOW));
        Stage::with_clock(clock.clone(), clock).await
    }

    /// The same, with the clock of the test itself.
    pub async fn with_the_time_of_the_test() -> Stage {
        Stage::with_clock(Arc::new(TestClock(Instant::now())), Arc::new(ManualClock::new(NOW))).await
    }

    pub async fn with_clock(clock: Arc<dyn Clock>, manual: Arc<ManualClock>) -> Stage {
        let cluster = FakeCluster::default();
        cluster.put(BROADCAST, broadcast());
        cluster.put(CHANNEL, channel());
        let ledger = Arc::new(SqliteLedger::in_memory(clock.clone()).await.unwrap());
        let metrics = Arc::new(Metrics::default());
        let settings = SenderSettings {
            image: "herald:1".to_owned(),
            image_pull_policy: None,
            ledger_url: "https://herald".to_owned(),
            certificate_authority_pem: None,
            resources: Default::default(),
        };
        let shared = Shared {
            client: cluster.client(),
            ledger: ledger.clone(),
            clock,
            settings: Arc::new(settings),
            writer: StatusWriter::new(cluster.client(), metrics.clone()),
            metrics,
            departed: Arc::default(),
            remembered: Arc::default(),
            failures: Arc::default(),
            places: Arc::new(Semaphore::new(CONCURRENT_LOOKS)),
        };
        Stage { cluster, ledger, shared: Arc::new(shared), clock: manual }
    }

    pub fn stores(&self) -> Stores {
        Stores {
            broadcasts: self.filled(BROADCASTS, |_| true),
            channels: self.filled(CHANNELS, |_| true),
            batches: self.filled(BATCHES, is_labelled),
            jobs: self.filled(JOBS, is_labelled),
            pods: self.filled(PODS, is_labelled),
        }
    }

    fn filled<K: Watched>(&self, collection: &str, fits: fn(&Value) -> bool) -> Store<DeserializeGuard<K>> {
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&Event::Init);
        for object in self.cluster.list(collection).into_iter().filter(fits) {
            writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object).unwrap()));
        }
        writer.apply_watcher_event(&Event::InitDone);
        store
    }

    /// One look at the broadcast with caches that are up to date. Gives the reason where it failed.
    pub async fn look(&self) -> Result<(), &'static str> {
        let object = Arc::new(serde_json::from_value(self.cluster.get(BROADCAST).unwrap()).unwrap());
        let reconciler = Arc::new(broadcast_reconciler(&self.shared, &self.stores()));
        let looked = reconcile(Arc::clone(&object), reconciler.clone()).await;
        looked.map(drop).map_err(|failure| {
            after_failure(object, &failure, reconciler);
            failure.reason()
        })
    }

    pub fn wait(&self, seconds: i64) {
        self.clock.advance(Span::from_secs(seconds));
    }

    pub async fn snapshot(&self) -> BroadcastSnapshot {
        self.ledger.snapshot(self.id().await).await.unwrap()
    }

    pub async fn id(&self) -> BroadcastId {
        self.ledger.find(UID).await.unwrap().unwrap()
    }

    /// Plans so many recipients.
    pub async fn plan(&self, recipients: u32) {
        let ticket = self.ledger.begin_plan(self.id().await).await.unwrap();
        let row = |number: u32| PlanRow { recipient: number.to_string(), vars: BTreeMap::new() };
        let rows: Vec<_> = (0..recipients).map(row).collect();
        self.ledger.append_plan(ticket, 1, &rows).await.unwrap();
        self.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    }

    /// A sender of this name comes, sends one message, and leaves.
    pub async fn deliver(&self, holder: &str) {
        let request = ExchangeRequest {
            broadcast: self.id().await,
            holder: holder.to_owned(),
            display: "spring-abcd-1-x".to_owned(),
            number: 1,
            outcomes: Vec::new(),
            wants: 1,
            content_of: None,
            held_up: false,
            usage: None,
            retry_credentials: false,
            known_revision: 0,
            leaving: false,
        };
        let rows = self.ledger.exchange(&request).await.unwrap().rows;
        let outcome = Outcome::Accepted { provider_id: None };
        let report = |row: &Assignment| Report::new(row.seq, row.attempt, outcome.clone());
        let outcomes: Vec<_> = rows.iter().map(report).collect();
        assert_eq!(outcomes.len(), 1);
        let last = ExchangeRequest { number: 2, outcomes, wants: 0, leaving: true, ..request };
        self.ledger.exchange(&last).await.unwrap();
    }

    /// Changes an object as its user would.
    pub fn edit(&self, path: &str, pointer: &str, value: Value) {
        let mut object = self.cluster.get(path).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        self.cluster.put(path, object);
    }

    /// A condition of the object at the path: its status and reason, and what it says.
    pub fn condition(&self, path: &str, type_: &str) -> Option<(String, String)> {
        let status = self.cluster.get(path)?["status"].clone();
        let condition = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)?.clone();
        let text = |key: &str| condition[key].as_str().unwrap().to_owned();
        Some((format!("{} {}", text("status"), text("reason")), text("message")))
    }

    /// The reason of the stall, if there is one.
    pub fn stall(&self) -> Option<(String, String)> {
        self.condition(BROADCAST, "Stalled")
    }

    pub fn writes(&self) -> usize {
        [Method::POST, Method::PATCH, Method::DELETE].iter().map(|method| self.cluster.count(method, "")).sum()
    }

    /// Lets so many seconds pass in a test whose time is paused, with everything done in each that is to be done.
    pub async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.settle().await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        self.settle().await;
    }

    async fn settle(&self) {
        let rounds = async {
            for _ in 0..ROUNDS {
                self.ledger.find("").await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        still(rounds).await;
    }
}

/// Paused time leaps whenever all tasks wait, also for the thread of the database; it stands while something blocks.
pub async fn still<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let blocking = tokio::task::spawn_blocking(move || wait.recv());
    let value = work.await;
    drop(done);
    assert!(blocking.await.unwrap().is_err());
    value
}
