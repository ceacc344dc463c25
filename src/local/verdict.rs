//! How a run ended: one exit code for scripts, a few words for people.

use serde_json::json;

use super::order::Order;
use super::refused::Refused;
use super::telling;
use crate::delivery::gate::Closed;
use crate::delivery::plural::counted;
use crate::delivery::receipt::ReceiptCounts;
use crate::ledger::LedgerError;
use crate::ledger::snapshot::BroadcastSnapshot;
use crate::ledger::status::{End, Observed, PLANNERS_DIED, broadcast_status, end};
use crate::report::words::{duration, labelled};

/// The end of one broadcast's run, or of the whole run. Ordered by how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Delivered, or suspended as asked.
    Done,
    /// Ended otherwise: failed, unknown, cancelled, expired.
    Incomplete,
    /// Told to stop; the same command goes on.
    Interrupted,
    /// Stopped, and only a person can change that.
    NeedsPerson,
    /// Could not run.
    CouldNotRun,
}

impl Verdict {
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Done => 0,
            Verdict::CouldNotRun => 1,
            Verdict::Incomplete => 2,
            Verdict::Interrupted => 3,
            Verdict::NeedsPerson => 4,
        }
    }

    /// What a broadcast's standing in the ledger means for a run that has ended.
    pub fn of(snapshot: &BroadcastSnapshot) -> Verdict {
        match (end(snapshot), snapshot.closed) {
            (Some(End::Delivered), _) => Verdict::Done,
            (Some(End::Failed), _) => Verdict::NeedsPerson,
            (Some(_), _) => Verdict::Incomplete,
            (None, Some(Closed::Suspended)) => Verdict::Done,
            (None, Some(reason)) if reason.needs_person() => Verdict::NeedsPerson,
            (None, _) => Verdict::Interrupted,
        }
    }

    /// What an error of the ledger means.
    pub fn of_error(error: &LedgerError) -> Verdict {
        match error {
            LedgerError::KeyReused { .. } => Verdict::NeedsPerson,
            _ => Verdict::CouldNotRun,
        }
    }
}

/// One line of JSON: the object with its status.
pub fn json_line(order: &Order, snapshot: Option<&BroadcastSnapshot>, refused: Option<&Refused>) -> String {
    let mut status =
        snapshot.map_or_else(Default::default, |snapshot| broadcast_status(snapshot, Observed::default(), &[]));
    if let Some(refused) = refused {
        refused.enter(&mut status, order);
    }
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "BroadcastMessage",
        "metadata": {"name": order.declaration.name, "namespace": order.declaration.namespace},
        "status": status,
    })
    .to_string()
}

/// A few lines for people.
pub fn summary(snapshot: &BroadcastSnapshot) -> String {
    let counts = &snapshot.counts;
    let mut text = format!(
        "{}: {}\n  planned {}  sent {}  failed {}  skipped {}  unknown {}  pending {}",
        snapshot.name,
        headline(snapshot),
        counts.total(),
        counts.sent,
        counts.failed,
        counts.skipped,
        counts.unknown,
        counts.open()
    );
    if let Some(plan) = &snapshot.plan {
        text.push_str(&format!("  (duplicates {}, excluded {})", plan.duplicates, plan.excluded));
    }
    if !snapshot.receipts.is_zero() {
        let ReceiptCounts { delivered, read, undelivered } = snapshot.receipts;
        text.push_str(&format!("\n  delivered {delivered}  read {read}  undelivered {undelivered}"));
    }
    for outcome in &snapshot.outcomes {
        let code = outcome.code.as_ref().map(|code| format!(" (code {code})")).unwrap_or_default();
        let state = outcome.state.as_str().to_lowercase();
        text.push_str(&format!("\n  {} {state}: {}{code}", outcome.count, outcome.reason));
    }
    if let Some(failing) = &snapshot.failing {
        text.push_str(&format!("\n  {failing}"));
    }
    if let Some(outbox) = &snapshot.outbox {
        text.push_str(&format!("\n  {}", telling::summary(outbox)));
    }
    for written in &snapshot.write_backs {
        text.push_str(&format!("\n  {}", telling::written_back(written)));
    }
    if snapshot.closed == Some(Closed::Suspended) {
        text.push_str(&suspended(snapshot));
    }
    text
}

/// How it stands, with what to do where a person must.
pub fn headline(snapshot: &BroadcastSnapshot) -> String {
    let words = snapshot.stop_message.as_deref().unwrap_or_default();
    match (end(snapshot), snapshot.closed) {
        (Some(End::Delivered), _) => "delivered".to_owned(),
        (Some(End::DeliveredWithFailures), _) => "complete, but not everybody got it".to_owned(),
        (Some(End::Cancelled), _) => "cancelled".to_owned(),
        (Some(End::Expired), _) => "expired: spec.schedule.endTime has passed".to_owned(),
        (Some(End::Missed), _) => {
            "missed: nobody was attempted within spec.schedule.startingDeadlineSeconds of its start".to_owned()
        }
        (Some(End::Failed), _) => format!("failed: {PLANNERS_DIED}"),
        (None, Some(Closed::Suspended)) => "suspended as asked; nothing is sent".to_owned(),
        (None, Some(Closed::LedgerRegressed | Closed::FreshLedger | Closed::DuplicateSuspected)) => {
            format!("held back: {words}, and run again")
        }
        (None, Some(Closed::CredentialsInvalid)) => {
            format!("stopped: the provider refused the credentials: {words}; mend the Secret and run again")
        }
        (None, Some(Closed::ProviderBlocked)) => {
            format!("stopped: the provider blocked sending: {words}; settle it with the provider and run again")
        }
        (None, Some(Closed::MessageRejected)) => format!(
            "stopped: the provider refuses this message: {words}; cancel it and send another under a new key, or run again once the provider takes it"
        ),
        (None, _) => "interrupted; run the same command again to go on".to_owned(),
    }
}

fn suspended(snapshot: &BroadcastSnapshot) -> String {
    let seconds = snapshot.seconds_left(snapshot.rate.per_second());
    let mut text = format!(
        "\n  {}, about {} of sending at {}; remove spec.suspend to start\n",
        counted(snapshot.batches_total, "batch", "batches"),
        duration(seconds.ceil() as i64),
        snapshot.rate
    );
    snapshot.words.warnings.iter().for_each(|warning| text.push_str(&labelled("warning", warning)));
    snapshot.words.samples.iter().for_each(|sample| text.push_str(&labelled("sample", sample)));
    text.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_broadcasts_decides_the_exit_code() {
        use Verdict::*;
        let worst = |verdicts: &[Verdict]| verdicts.iter().max().copied().map(Verdict::exit_code);
        assert_eq!(worst(&[Done, Incomplete]), Some(2));
        assert_eq!(worst(&[Incomplete, Interrupted]), Some(3));
        assert_eq!(worst(&[Interrupted, NeedsPerson, Done]), Some(4));
        assert_eq!(worst(&[NeedsPerson, CouldNotRun, Incomplete]), Some(1));
        assert_eq!(worst(&[Done, Done]), Some(0));
    }
}
