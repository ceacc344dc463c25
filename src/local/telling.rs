//! What a run does beside the sending: it tells endpoints how its broadcasts go, and writes elsewhere who was sent to.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::order::Order;
use super::recovery::Recovered;
use crate::api::WriteBackTarget;
use crate::delivery::plural::counted;
use crate::ledger::notification::Outbox;
use crate::ledger::status::standing;
use crate::ledger::{BroadcastId, BroadcastSnapshot, Ledger, LedgerError, WriteBack, WrittenBack};
use crate::sender::errands::{Known, Why};
use crate::sender::{Bells, Errands};

/// What a run does for its broadcasts beside the sending.
pub struct Beside(BTreeMap<BroadcastId, Errands>);

impl Beside {
    /// What an earlier run has left is done at once.
    pub fn start<'a, L: Ledger>(
        recovered: &Recovered<L>,
        broadcasts: impl Iterator<Item = (&'a Order, BroadcastId)>,
    ) -> Beside {
        let begin = |(order, broadcast): (&Order, BroadcastId)| {
            let notifies = !order.declaration.notifications.is_empty();
            let targets: Vec<WriteBackTarget> = order.declaration.write_backs.iter().map(WriteBack::target).collect();
            if !notifies && targets.is_empty() {
                return None;
            }
            let provider = order.provider.clone();
            let (provider, known) = (Arc::new(move || Ok(provider.clone())), Known { notifies, targets: &targets });
            Some((broadcast, Errands::start(&recovered.ledger, broadcast, &order.materials, provider, known)))
        };
        Beside(broadcasts.filter_map(begin).collect())
    }

    /// What the sessions of a broadcast ring.
    pub fn bells(&self, broadcast: BroadcastId) -> Bells {
        self.0.get(&broadcast).map(Errands::bells).unwrap_or_default()
    }

    /// Tells how each broadcast ended, and what is left to another run of all that. What fails for one is told once the others
    /// are done.
    pub async fn finish<L: Ledger>(self, ledger: &L, stop: &watch::Receiver<bool>) -> Result<(), LedgerError> {
        let mut finished = Ok(());
        for (broadcast, errands) in &self.0 {
            let looked = async { look(ledger, &ledger.snapshot(*broadcast).await?).await };
            finished = finished.and(looked.await);
            errands.bells().events.notify_one();
        }
        let broadcasts: Vec<BroadcastId> = self.0.keys().copied().collect();
        let why = if *stop.borrow() { Why::Stopped } else { Why::Ended };
        Errands::finish_all(self.0.into_values(), why, stop).await;
        for broadcast in broadcasts {
            let told = ledger.snapshot(broadcast).await.map(|snapshot| tell_of_what_is_left(&snapshot));
            finished = finished.and(told);
        }
        finished
    }
}

fn tell_of_what_is_left(snapshot: &BroadcastSnapshot) {
    if let Some(left) = snapshot.outbox.as_ref().filter(|outbox| outbox.pending > 0) {
        let events = counted(left.pending, "event is", "events are");
        eprintln!("{}: {events} not delivered yet{}; run again to deliver", snapshot.name, error(left));
    }
    for left in snapshot.write_backs.iter().filter(|written| written.pending > 0) {
        let people = counted(left.pending, "recipient is", "recipients are");
        let (to, why) = (left.target.member(), why_not_written(left));
        eprintln!("{}: {people} not written to {to} yet{why}; run again to go on", snapshot.name);
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

/// One line for people.
pub fn written_back(written: &WrittenBack) -> String {
    let WrittenBack { target, pending, done, failed, .. } = written;
    format!(
        "written to {}: done {done}  pending {pending}  given up {failed}{}",
        target.member(),
        why_not_written(written)
    )
}

fn why_not_written(written: &WrittenBack) -> String {
    written.last_error.as_ref().map(|fault| format!(" ({fault})")).unwrap_or_default()
}
