//! Telling the endpoints of a run's broadcasts how it goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Notify;

use super::order::Order;
use super::recovery::Recovered;
use crate::delivery::plural::counted;
use crate::ledger::notification::Outbox;
use crate::ledger::random::random_id;
use crate::ledger::status::standing;
use crate::ledger::{BroadcastId, BroadcastSnapshot, Ledger, LedgerError};
use crate::sender::Notifier;
use crate::sender::notifier::Notifying;

/// So long a run that has sent everything waits for endpoints; what they have not taken by then is left to the next run.
/// Longer than an answer may take: runs that never waited for one would tell the same again and again.
const GRACE: Duration = Duration::from_secs(30);
/// A run that is told to stop waits no longer than for what is on the way.
const STOPPED_GRACE: Duration = Duration::from_secs(2);

/// The endpoints of a run.
pub struct Telling(BTreeMap<BroadcastId, Notifying>);

impl Telling {
    /// What an earlier run has left is told at once.
    pub fn start<'a, L: Ledger>(
        recovered: &Recovered<L>,
        broadcasts: impl Iterator<Item = (&'a Order, BroadcastId)>,
    ) -> Telling {
        let told = broadcasts.filter(|(order, _)| !order.declaration.notifications.is_empty());
        let begin = |(order, broadcast): (&Order, BroadcastId)| {
            let (ledger, materials) = (recovered.ledger.clone(), order.materials.clone());
            (broadcast, Notifier { ledger, broadcast, holder: random_id(), materials }.start(true))
        };
        Telling(told.map(begin).collect())
    }

    /// What the sessions of a broadcast ring.
    pub fn bell(&self, broadcast: BroadcastId) -> Arc<Notify> {
        self.0.get(&broadcast).map(Notifying::bell).unwrap_or_default()
    }

    /// Tells how each broadcast ended, and what is left to be told of it by another run.
    pub async fn finish<L: Ledger>(self, ledger: &L, is_stopped: bool) -> Result<(), LedgerError> {
        for (broadcast, notifying) in &self.0 {
            look(ledger, &ledger.snapshot(*broadcast).await?).await?;
            notifying.bell().notify_one();
        }
        let grace = if is_stopped { STOPPED_GRACE } else { GRACE };
        let broadcasts: Vec<BroadcastId> = self.0.keys().copied().collect();
        join_all(self.0.into_values().map(|notifying| notifying.finish(grace))).await;
        for broadcast in broadcasts {
            let snapshot = ledger.snapshot(broadcast).await?;
            if let Some(left) = snapshot.outbox.as_ref().filter(|outbox| outbox.pending > 0) {
                let events = counted(left.pending, "event is", "events are");
                eprintln!("{}: {events} not delivered yet{}; run again to deliver", snapshot.name, error(left));
            }
        }
        Ok(())
    }
}

/// Writes what the endpoints of a broadcast are to be told of how it stands.
pub async fn look<L: Ledger>(ledger: &L, snapshot: &BroadcastSnapshot) -> Result<(), LedgerError> {
    let seen = standing(snapshot, None);
    match &snapshot.outbox {
        Some(outbox) if outbox.told.differs(&seen) => ledger.tell_standing(snapshot.id, &seen).await,
        _ => Ok(()),
    }
}

/// One line for people, without the URLs.
pub fn summary(outbox: &Outbox) -> String {
    let Outbox { pending, delivered, failed, .. } = outbox;
    format!("events delivered {delivered}  pending {pending}  given up {failed}{}", error(outbox))
}

fn error(outbox: &Outbox) -> String {
    let Some(error) = &outbox.last_error else { return String::new() };
    let code = error.code.as_ref().map(|code| format!(" (code {code})")).unwrap_or_default();
    format!(" ({}: {}{code})", error.endpoint, error.reason)
}
