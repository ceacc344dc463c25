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

use tokio::sync::mpsc::UnboundedReceiver;

use super::watch::scoped;
use crate::api::BroadcastMessage;
use crate::ledger::{Ledger, LedgerError, Owner};

/// Uids kept of who has departed: far more than are deleted while one reconciliation runs.
const MAX_REMEMBERED: usize = 10_000;
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

/// Watches one scope until it is dropped.
pub async fn watch(client: kube::Client, scope: Option<String>, ledger: Arc<impl Ledger>, departed: Arc<Departed>) {
    let api = scoped::<PartialObjectMeta<BroadcastMessage>>(&client, scope.as_deref());
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut sweep = Sweep::default();
    while let Some(event) = events.next().await {
        match event {
            // Owners are asked for before the list is made: who is declared later is not judged by it.
            Ok(Event::Init) => {
                sweep = Sweep { owners: owners(ledger.as_ref(), scope.as_deref()).await, ..Sweep::default() }
            }
            Ok(Event::InitApply(object)) => sweep.present.extend(object.uid()),
            Ok(Event::InitDone) => {
                for uid in std::mem::take(&mut sweep).gone() {
                    depart(ledger.as_ref(), &departed, &uid).await;
                }
            }
            Ok(Event::Delete(object)) => {
                if let Some(uid) = object.uid() {
                    depart(ledger.as_ref(), &departed, &uid).await;
                }
            }
            Ok(Event::Apply(_)) => {}
            Err(error) => tracing::warn!(%error, "the watch for deleted broadcasts failed and begins anew"),
        }
    }
}

/// Releases what other watches saw go, as long as they run.
pub async fn release(mut deleted: UnboundedReceiver<String>, ledger: Arc<impl Ledger>, departed: Arc<Departed>) {
    while let Some(uid) = deleted.recv().await {
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
}
