//! All that is done beside the sending of one broadcast, and how long it is waited for once nobody is sent to any more.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Notify, watch};

use super::errand::{Errand as _, Running};
use super::label_write_back::{LabelErrand, ProviderNow};
use super::notifier::Notifier;
use super::sql_write_back::SqlErrand;
use crate::api::WriteBackTarget;
use crate::audience::Materials;
use crate::ledger::random::random_id;
use crate::ledger::{BroadcastId, SenderLedger};

/// What comes last is told to endpoints for so long, with what comes due again meanwhile; the rest is left to a wave of its
/// own, or the next run. Longer than an answer may take: one that never waited for it would tell the same again and again.
const GRACE: Duration = Duration::from_secs(30);
/// Who has been sent to is written down for so long where that gets on: a wave for every half minute of it would cost more
/// than it does. No longer, since a broadcast that goes on after all waits for this process to leave.
const LONGEST_WRITING: Duration = Duration::from_secs(300);
/// A process that is stopped has little time left; what is on the way then is done again.
const STOPPED_GRACE: Duration = Duration::from_secs(2);

/// Why nobody is sent to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The process is stopped.
    Stopped,
    /// For now: another sender may be wanted soon.
    Paused,
    /// The broadcast has come to its end.
    Ended,
}

/// What is known of a broadcast when its errands begin.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// It has endpoints.
    pub notifies: bool,
    pub targets: &'a [WriteBackTarget],
}

/// What sessions ring.
#[derive(Clone, Debug, Default)]
pub struct Bells {
    /// Events wait for endpoints.
    pub events: Arc<Notify>,
    /// Somebody was sent to who is to be written down elsewhere.
    pub owed: Vec<Arc<Notify>>,
}

/// The errands of one broadcast at work.
pub struct Errands {
    notifying: Running,
    writing: [Running; 2],
}

impl Errands {
    /// Begins. The ledger is asked at once where it is known that there are endpoints to be told, or targets to be written to.
    pub fn start<L: SenderLedger>(
        ledger: &Arc<L>,
        broadcast: BroadcastId,
        materials: &Arc<dyn Materials>,
        provider: ProviderNow,
        known: Known<'_>,
    ) -> Errands {
        let Known { notifies, targets } = known;
        let notifier = Notifier::new(ledger.clone(), broadcast, random_id(), materials.clone());
        let labels = LabelErrand::new(ledger.clone(), broadcast, random_id(), provider);
        let (ledger, materials) = (ledger.clone(), materials.clone());
        let sql = SqlErrand { ledger, broadcast, holder: random_id(), materials };
        let writing = [
            labels.start(targets.contains(&WriteBackTarget::Messenger)),
            sql.start(targets.contains(&WriteBackTarget::Sql)),
        ];
        Errands { notifying: notifier.start(notifies), writing }
    }

    pub fn bells(&self) -> Bells {
        Bells { events: self.notifying.bell(), owed: self.writing.iter().map(Running::bell).collect() }
    }

    /// Ends once everything is done, or not much more comes due; soon, once `stop` is true. What is on the way then is done again
    /// later.
    pub async fn finish(self, why: Why, stop: &watch::Receiver<bool>) {
        Errands::finish_all(std::iter::once(self), why, stop).await;
    }

    /// The same for several broadcasts.
    pub async fn finish_all(all: impl Iterator<Item = Errands>, why: Why, stop: &watch::Receiver<bool>) {
        let finishing = join_all(all.map(|errands| errands.finish_within(why)));
        let mut stop = stop.clone();
        tokio::pin!(finishing);
        let stopped = tokio::select! {
            biased;
            _ = &mut finishing => false,
            Ok(_) = stop.wait_for(|stopped| *stopped), if why != Why::Stopped => true,
        };
        if stopped {
            let _ = tokio::time::timeout(STOPPED_GRACE, finishing).await;
        }
    }

    async fn finish_within(self, why: Why) {
        let (grace, longest) = match why {
            Why::Stopped => (STOPPED_GRACE, STOPPED_GRACE),
            Why::Paused => (GRACE, GRACE),
            Why::Ended => (GRACE, LONGEST_WRITING),
        };
        let told = self.notifying.finish(grace, grace);
        let written = join_all(self.writing.map(|writing| writing.finish(grace, longest)));
        tokio::join!(told, written);
    }
}
