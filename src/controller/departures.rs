//! Broadcasts whose object is gone: their gates are closed on the delete, and after every complete list for those that
//! went while nobody looked.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

use super::watch::scoped;
use crate::api::BroadcastMessage;
use crate::ledger::{Ledger, LedgerError, Owner};

/// Uids kept of who has departed: far more than are deleted while one reconciliation runs.
const MAX_REMEMBERED: usize = 10_000;
/// Uids that wait for the ledger: as many as are remembered. What is deleted beyond them while the ledger is away is found
/// by a list.
const MAX_WAITING: usize = MAX_REMEMBERED;
/// Between two tries to tell the ledger.
const RETRY: Duration = Duration::from_secs(1);

/// Who has departed lately. A reconciliation that began before may declare the broadcast once more; it looks here
/// afterwards and takes that back.
#[derive(Default)]
pub struct Departed(Mutex<(HashSet<String>, VecDeque<String>)>);

impl Departed {
    pub fn insert(&self, uid: &str) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *both;
        if known.insert(uid.to_owned()) {
            order.push_back(uid.to_owned());
        }
        if order.len() > MAX_REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    pub fn contains(&self, uid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.contains(uid)
    }
}

/// Where another watch tells who is gone. What finds no place is found by a new list.
pub struct Deleted {
    uids: mpsc::Sender<String>,
    missed: Arc<Notify>,
}

/// What was told there.
pub struct Deletions {
    uids: mpsc::Receiver<String>,
    missed: Arc<Notify>,
}

pub fn deletions() -> (Deleted, Deletions) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let missed = Arc::new(Notify::new());
    (Deleted { uids: sender, missed: missed.clone() }, Deletions { uids: receiver, missed })
}

impl Deleted {
    /// Never waits: a watch that waited here would fall behind.
    pub fn tell(&self, uid: String) {
        // That nobody listens any more means that the operator ends.
        if let Err(TrySendError::Full(_)) = self.uids.try_send(uid) {
            self.missed.notify_one();
        }
    }
}

impl Deletions {
    /// Is woken when something found no place.
    pub fn missed(&self) -> Arc<Notify> {
        self.missed.clone()
    }
}

/// Watches one scope until it is dropped, and lists it anew whenever something was `missed`.
pub async fn watch(
    client: kube::Client,
    scope: Option<String>,
    ledger: Arc<impl Ledger>,
    departed: Arc<Departed>,
    missed: Arc<Notify>,
) {
    loop {
        tokio::select! {
            () = watch_until_it_ends(&client, scope.as_deref(), ledger.as_ref(), &departed) => return,
            () = missed.notified() => tracing::warn!("more broadcasts were deleted than can wait; listing them anew"),
        }
    }
}

async fn watch_until_it_ends(client: &kube::Client, scope: Option<&str>, ledger: &impl Ledger, departed: &Departed) {
    let api = scoped::<PartialObjectMeta<BroadcastMessage>>(client, scope);
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut sweep = Sweep::default();
    while let Some(event) = events.next().await {
        match event {
            // Owners are asked for before the list is made: who is declared later is not judged by it.
            Ok(Event::Init) => sweep = Sweep { owners: owners(ledger, scope).await, ..Sweep::default() },
            Ok(Event::InitApply(object)) => sweep.present.extend(object.uid()),
            Ok(Event::InitDone) => {
                for uid in std::mem::take(&mut sweep).gone() {
                    depart(ledger, departed, &uid).await;
                }
            }
            Ok(Event::Delete(object)) => {
                if let Some(uid) = object.uid().filter(|uid| !uid.is_empty()) {
                    depart(ledger, departed, &uid).await;
                }
            }
            Ok(Event::Apply(_)) => {}
            Err(error) => tracing::warn!(%error, "the watch for deleted broadcasts failed and begins anew"),
        }
    }
}

/// Releases what other watches saw go, as long as they run.
pub async fn release(mut deleted: Deletions, ledger: Arc<impl Ledger>, departed: Arc<Departed>) {
    while let Some(uid) = deleted.uids.recv().await {
        depart(ledger.as_ref(), &departed, &uid).await;
    }
}

/// One complete list against who owned a broadcast before it.
#[derive(Default)]
struct Sweep {
    owners: Vec<Owner>,
    present: HashSet<String>,
}

impl Sweep {
    fn gone(self) -> Vec<String> {
        let Sweep { owners, present } = self;
        owners.into_iter().map(|owner| owner.uid).filter(|uid| !present.contains(uid)).collect()
    }
}

async fn owners(ledger: &impl Ledger, scope: Option<&str>) -> Vec<Owner> {
    let all = persist(|| ledger.owners()).await;
    all.into_iter().filter(|owner| scope.is_none_or(|namespace| namespace == owner.namespace)).collect()
}

async fn depart(ledger: &impl Ledger, departed: &Departed, uid: &str) {
    departed.insert(uid);
    persist(|| ledger.depart(uid)).await;
    tracing::info!(uid, "a BroadcastMessage is gone; nothing more of it is sent");
}

/// Until the ledger takes it: a gate left open is not an option.
async fn persist<T, F: Future<Output = Result<T, LedgerError>>>(attempt: impl Fn() -> F) -> T {
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => {
                tracing::error!(reason = error.reason(), %error, "the ledger was not told of a deleted broadcast yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fake_cluster::FakeCluster;
    use crate::controller::stage::{Stage, UID, still};
    use crate::ledger::BroadcastId;

    fn owner(uid: &str) -> Owner {
        Owner { broadcast: BroadcastId(1), uid: uid.to_owned(), namespace: "a".to_owned(), name: uid.to_owned() }
    }

    #[test]
    fn a_complete_list_releases_only_owners_known_before_it_that_it_lacks() {
        let sweep = Sweep { owners: vec![owner("lives"), owner("gone")], present: ["lives".to_owned()].into() };
        assert_eq!(sweep.gone(), ["gone"]);
    }

    #[test]
    fn who_departed_is_remembered_within_a_bound() {
        let departed = Departed::default();
        for number in 0..=MAX_REMEMBERED {
            departed.insert(&number.to_string());
        }
        assert!(!departed.contains("0"));
        assert!(departed.contains("1"));
        assert!(departed.contains(&MAX_REMEMBERED.to_string()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_among_those_who_wait_is_found_by_a_new_list() {
        let stage = Stage::with_the_time_of_the_test().await;
        let (deleted, deletions) = deletions();
        let (ledger, departed) = (stage.ledger.clone(), stage.shared.departed.clone());
        let empty = FakeCluster::default().client();
        tokio::spawn(watch(empty, Some("a".to_owned()), ledger, departed, deletions.missed()));
        stage.pass(2).await;
        // Declared by a cache that lags behind, after the list that lacks it.
        still(stage.look()).await.unwrap();
        for number in 0..MAX_WAITING {
            deleted.tell(number.to_string());
        }
        stage.pass(2).await;
        assert_eq!(still(stage.ledger.owners()).await.unwrap().len(), 1, "all of them have found a place");
        deleted.tell(UID.to_owned());
        stage.pass(2).await;
        assert_eq!(still(stage.ledger.owners()).await.unwrap().len(), 0);
    }
}
