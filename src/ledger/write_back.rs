//! What is written elsewhere of whom a message was sent to: who is owed to which target, and who is at it.

use serde::{Deserialize, Serialize};

use super::exchange::BroadcastId;
use super::status::instant;
use crate::api::broadcast_status::{WriteBackError, WriteBackSums};
use crate::api::{MessengerWriteBack, SqlWriteBack, WriteBackTarget};
use crate::delivery::outcome::Fault;
use crate::delivery::time::{Span, Timestamp};
use crate::delivery::write_back::LABEL_CALLS;

/// The most people that a sender is given at once: one transaction of a database.
pub const MAX_WRITE_BACK_PAGE: usize = 500;
/// So long they belong to the sender that took them: more than twice what it may take for them.
pub const WRITE_BACK_LEASE: Span = Span::from_secs(150);

/// One target as a broadcast names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteBack {
    Messenger(MessengerWriteBack),
    Sql(SqlWriteBack),
}

impl WriteBack {
    pub fn target(&self) -> WriteBackTarget {
        match self {
            WriteBack::Messenger(_) => WriteBackTarget::Messenger,
            WriteBack::Sql(_) => WriteBackTarget::Sql,
        }
    }

    /// So many calls of the account's provider it takes for each recipient.
    pub fn calls(&self) -> usize {
        match self {
            WriteBack::Messenger(messenger) => messenger.labels.len(),
            WriteBack::Sql(_) => 0,
        }
    }

    /// So many people are given at once.
    pub fn page(&self) -> usize {
        match self.calls() {
            0 => MAX_WRITE_BACK_PAGE,
            calls => (LABEL_CALLS / calls).max(1),
        }
    }
}

/// Somebody the message was sent to, who is to be written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    pub seq: i64,
    /// Personal data: for the target alone.
    pub recipient: String,
    /// The provider's id of the message, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// When the message was handed to the provider.
    pub sent_at: Timestamp,
}

impl Owed {
    /// As `2026-12-01 09:00:00`, UTC: what every database reads as an instant, or keeps as text.
    pub fn sent_at_text(&self) -> String {
        let at = instant(self.sent_at).unwrap_or_default();
        at.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// Who asks for people to write down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeWriteBacks {
    pub broadcast: BroadcastId,
    /// Random, made at process start.
    pub holder: String,
    pub target: WriteBackTarget,
}

/// People that belong to the sender that asked, for [`WRITE_BACK_LEASE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBackPage {
    /// The ledger's clock.
    pub now: Timestamp,
    /// The broadcast's name.
    pub name: String,
    /// The target as it is named now; `None` where nothing is to be written, be it that the broadcast is suspended.
    pub write_back: Option<WriteBack>,
    /// At most [`MAX_WRITE_BACK_PAGE`].
    pub people: Vec<Owed>,
    /// Where there are none: when there may be, as far as is known.
    pub next_at: Option<Timestamp>,
    /// Where the account's provider is called: no call may be begun from then on, since others call it by then.
    #[serde(default)]
    pub calls_until: Option<Timestamp>,
}

/// Somebody whom the target refuses for themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPerson {
    pub seq: i64,
    pub fault: Fault,
}

/// Why nothing more can be written for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOff {
    pub fault: Fault,
    /// The target's own wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What a sender tells of the people it took. Whoever is in no list is due again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportWriteBacks {
    pub broadcast: BroadcastId,
    pub holder: String,
    /// The target as it was taken: an edit may have named another meanwhile.
    pub write_back: WriteBack,
    /// Written, by sequence number. At most [`MAX_WRITE_BACK_PAGE`], with those refused.
    pub done: Vec<i64>,
    pub refused: Vec<RefusedPerson>,
    pub put_off: Option<PutOff>,
}

impl ReportWriteBacks {
    /// As it may be stored, whatever a sender says.
    pub fn cut(self) -> ReportWriteBacks {
        let refused = self.refused.into_iter();
        let refused = refused.map(|one| RefusedPerson { fault: one.fault.cut(), ..one }).collect();
        let put_off = self.put_off.map(|put_off| PutOff { fault: put_off.fault.cut(), ..put_off });
        ReportWriteBacks { refused, put_off, ..self }
    }
}

/// How one target of a broadcast stands, at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenBack {
    pub target: WriteBackTarget,
    pub pending: i64,
    pub done: i64,
    pub failed: i64,
    pub last_error: Option<Fault>,
    /// When somebody may be taken, unless nobody could be for longer than
    /// [`FORGOTTEN_AFTER`](crate::delivery::write_back::FORGOTTEN_AFTER).
    pub due_at: Option<Timestamp>,
}

impl WrittenBack {
    pub fn sums(&self) -> WriteBackSums {
        let error = |Fault { reason, code, message }: Fault| WriteBackError { reason, code, message };
        WriteBackSums {
            target: self.target,
            pending: self.pending,
            done: self.done,
            failed: self.failed,
            last_error: self.last_error.clone().map(error),
        }
    }
}

/// People to be written down, of all broadcasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteBackTotals {
    pub pending: i64,
    pub done: i64,
    pub failed: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_as_databases_read_it() {
        let owed = Owed {
            seq: 0,
            recipient: "24".to_owned(),
            message_id: None,
            sent_at: Timestamp::from_secs(1_700_000_000) + Span::from_millis(999),
        };
        assert_eq!(owed.sent_at_text(), "2023-11-14 22:13:20");
    }
}
