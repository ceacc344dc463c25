//! Paths, bodies, and errors as they stand on the wire.

use serde::{Deserialize, Serialize};

use crate::ledger::brief::Trouble;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{BroadcastId, ExchangeRequest, LastWords};
use crate::ledger::plan::{PlanRow, PlanTicket};

/// The version that is spoken here; what else a path may begin with is answered 426.
pub const VERSION: &str = "v1";
pub const BRIEF: &str = "/v1/brief";
pub const BEGIN_PLAN: &str = "/v1/plan/begin";
pub const EXCLUDE: &str = "/v1/plan/exclude";
pub const APPEND_PLAN: &str = "/v1/plan/append";
pub const SEAL_PLAN: &str = "/v1/plan/seal";
pub const ABANDON_PLAN: &str = "/v1/plan/abandon";
pub const TROUBLE: &str = "/v1/trouble";
pub const EXCHANGE: &str = "/v1/exchange";
pub const LAST_WORDS: &str = "/v1/last-words";

/// The longest body. A planner's chunk holds at most [`MAX_CHUNK_BYTES`](crate::ledger::plan::MAX_CHUNK_BYTES) of rows, of
/// which JSON makes six times as much at worst; 5,000 outcomes have some 2 MB, and a journal's last words at most what it
/// holds before it is rewritten, some 4 MB.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// The broadcast a body speaks of; the server lets nobody speak of another than its own.
pub trait Addressed {
    /// `None` where the token alone says it.
    fn broadcast(&self) -> Option<BroadcastId>;
}

/// Asks for the brief of the broadcast that the token stands for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BriefRequest {
    pub broadcast: Option<BroadcastId>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BeginPlan {
    pub broadcast: BroadcastId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exclude {
    pub ticket: PlanTicket,
    pub chunk: u64,
    pub recipients: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppendPlan {
    pub ticket: PlanTicket,
    pub chunk: u64,
    pub rows: Vec<PlanRow>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealPlan {
    pub ticket: PlanTicket,
    pub samples: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AbandonPlan {
    pub ticket: PlanTicket,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportTrouble {
    pub broadcast: BroadcastId,
    pub trouble: Trouble,
}

/// The answer where nothing is to be said.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Done {}

impl Addressed for BriefRequest {
    fn broadcast(&self) -> Option<BroadcastId> {
        self.broadcast
    }
}

impl Addressed for BeginPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for Exclude {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for AppendPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for SealPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for AbandonPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for ReportTrouble {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for ExchangeRequest {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for LastWords {
    fn broadcast(&self) -> Option<BroadcastId> {
        None
    }
}

/// What the ledger refuses, exactly, so that the other side sees the error it would have seen in the same process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason")]
pub enum Refusal {
    UnknownBroadcast,
    StaleRequest {
        number: u64,
        last: u64,
    },
    SenderClosed,
    NoOrders,
    PlanLocked,
    PlanSuperseded,
    RequestTooLarge {
        limit: usize,
    },
    ChunkOutOfOrder {
        chunk: u64,
        last: u64,
    },
    Forbidden {
        message: String,
    },
    UnsupportedVersion {
        served: String,
    },
    /// The ledger cannot answer now: the same request may succeed later.
    Unavailable {
        message: String,
    },
    /// Of a newer version.
    #[serde(other)]
    Other,
}

impl Refusal {
    /// What a sender is told of an error. What is wrong with the ledger's disk is the operator's to know.
    pub fn of(error: &LedgerError) -> Refusal {
        match error {
            LedgerError::UnknownBroadcast => Refusal::UnknownBroadcast,
            LedgerError::StaleRequest { number, last } => Refusal::StaleRequest { number: *number, last: *last },
            LedgerError::SenderClosed => Refusal::SenderClosed,
            LedgerError::NoOrders => Refusal::NoOrders,
            LedgerError::PlanLocked => Refusal::PlanLocked,
            LedgerError::PlanSuperseded => Refusal::PlanSuperseded,
            LedgerError::RequestTooLarge { limit } => Refusal::RequestTooLarge { limit: *limit },
            LedgerError::ChunkOutOfOrder { chunk, last } => Refusal::ChunkOutOfOrder { chunk: *chunk, last: *last },
            LedgerError::Forbidden { message } => Refusal::Forbidden { message: message.clone() },
            LedgerError::UnsupportedVersion { served } => Refusal::UnsupportedVersion { served: served.clone() },
            other => Refusal::Unavailable { message: other.reason().to_owned() },
        }
    }

    pub fn into_error(self) -> LedgerError {
        match self {
            Refusal::UnknownBroadcast => LedgerError::UnknownBroadcast,
            Refusal::StaleRequest { number, last } => LedgerError::StaleRequest { number, last },
            Refusal::SenderClosed => LedgerError::SenderClosed,
            Refusal::NoOrders => LedgerError::NoOrders,
            Refusal::PlanLocked => LedgerError::PlanLocked,
            Refusal::PlanSuperseded => LedgerError::PlanSuperseded,
            Refusal::RequestTooLarge { limit } => LedgerError::RequestTooLarge { limit },
            Refusal::ChunkOutOfOrder { chunk, last } => LedgerError::ChunkOutOfOrder { chunk, last },
            Refusal::Forbidden { message } => LedgerError::Forbidden { message },
            Refusal::UnsupportedVersion { served } => LedgerError::UnsupportedVersion { served },
            Refusal::Unavailable { message } => LedgerError::Storage { message },
            Refusal::Other => {
                LedgerError::Forbidden { message: "for a reason that only a newer sender knows".to_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_same_on_the_other_side() {
        let errors = [
            LedgerError::UnknownBroadcast,
            LedgerError::StaleRequest { number: 1, last: 2 },
            LedgerError::SenderClosed,
            LedgerError::NoOrders,
            LedgerError::PlanLocked,
            LedgerError::PlanSuperseded,
            LedgerError::RequestTooLarge { limit: 3 },
            LedgerError::ChunkOutOfOrder { chunk: 4, last: 5 },
            LedgerError::Forbidden { message: "no".to_owned() },
            LedgerError::UnsupportedVersion { served: "v1".to_owned() },
        ];
        for error in errors {
            let text = serde_json::to_string(&Refusal::of(&error)).unwrap();
            let back = serde_json::from_str::<Refusal>(&text).unwrap().into_error();
            assert_eq!(back.to_string(), error.to_string(), "{text}");
        }
    }

    #[test]
    fn trouble_of_the_ledgers_disk_is_told_without_its_path() {
        let error = LedgerError::DiskFull { path: "/var/lib/herald/ledger.sqlite".into() };
        let text = serde_json::to_string(&Refusal::of(&error)).unwrap();
        assert!(!text.contains("/var"), "{text}");
        assert!(serde_json::from_str::<Refusal>(&text).unwrap().into_error().is_transient());
    }

    #[test]
    fn a_refusal_of_a_newer_version_is_no_reason_to_try_again() {
        let refusal: Refusal = serde_json::from_str(r#"{"reason": "NotInvented", "colour": "blue"}"#).unwrap();
        assert!(!refusal.into_error().is_transient());
    }
}
