//! How the ledger API says no: in the same words on both sides.

use serde::{Deserialize, Serialize};

use crate::ledger::error::LedgerError;

/// What the API refuses and why, exactly, so that the other side sees the error it would have seen in the same process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    #[serde(flatten)]
    pub cause: Cause,
    /// For people; holds no path of the server, no token and no recipient.
    #[serde(default)]
    pub message: String,
}

/// Why a request was refused, with what a program needs of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason")]
pub enum Cause {
    UnknownBroadcast,
    StaleRequest {
        number: u64,
        last: u64,
    },
    SenderClosed,
    NoOrders,
    PlanLocked,
    PlanFailed,
    PlanSuperseded,
    AudienceNotFound {
        name: String,
    },
    AudienceUnfinished {
        name: String,
    },
    RequestTooLarge {
        limit: usize,
    },
    ContactInvalid {
        problem: String,
    },
    ChunkOutOfOrder {
        chunk: u64,
        last: u64,
    },
    /// The token is not valid.
    Unauthorized,
    Forbidden,
    UnsupportedVersion {
        served: String,
    },
    /// The ledger cannot answer now: the same request may succeed later.
    Unavailable,
    /// No request of this API. Also whatever a newer server has to refuse.
    #[serde(other)]
    RequestRefused,
}

impl Refusal {
    pub fn new(cause: Cause, message: impl Into<String>) -> Refusal {
        Refusal { cause, message: message.into() }
    }

    /// What a sender is told of an error. What is wrong with the ledger's disk is the operator's to know.
    pub fn of(error: &LedgerError) -> Refusal {
        let cause = match error {
            LedgerError::UnknownBroadcast => Cause::UnknownBroadcast,
            LedgerError::StaleRequest { number, last } => Cause::StaleRequest { number: *number, last: *last },
            LedgerError::SenderClosed => Cause::SenderClosed,
            LedgerError::NoOrders => Cause::NoOrders,
            LedgerError::PlanLocked => Cause::PlanLocked,
            LedgerError::PlanFailed => Cause::PlanFailed,
            LedgerError::PlanSuperseded => Cause::PlanSuperseded,
            LedgerError::AudienceNotFound { name } => Cause::AudienceNotFound { name: name.clone() },
            LedgerError::AudienceUnfinished { name } => Cause::AudienceUnfinished { name: name.clone() },
            LedgerError::RequestTooLarge { limit } => Cause::RequestTooLarge { limit: *limit },
            LedgerError::ContactInvalid { problem } => Cause::ContactInvalid { problem: problem.clone() },
            LedgerError::ChunkOutOfOrder { chunk, last } => Cause::ChunkOutOfOrder { chunk: *chunk, last: *last },
            LedgerError::UnsupportedVersion { served } => Cause::UnsupportedVersion { served: served.clone() },
            LedgerError::Forbidden { message } => return Refusal::new(Cause::Forbidden, message),
            LedgerError::RequestRefused { message } => return Refusal::new(Cause::RequestRefused, message),
            other => return Refusal::new(Cause::Unavailable, other.reason()),
        };
        Refusal::new(cause, error.to_string())
    }

    pub fn into_error(self) -> LedgerError {
        let message = self.message;
        match self.cause {
            Cause::UnknownBroadcast => LedgerError::UnknownBroadcast,
            Cause::StaleRequest { number, last } => LedgerError::StaleRequest { number, last },
            Cause::SenderClosed => LedgerError::SenderClosed,
            Cause::NoOrders => LedgerError::NoOrders,
            Cause::PlanLocked => LedgerError::PlanLocked,
            Cause::PlanFailed => LedgerError::PlanFailed,
            Cause::PlanSuperseded => LedgerError::PlanSuperseded,
            Cause::AudienceNotFound { name } => LedgerError::AudienceNotFound { name },
            Cause::AudienceUnfinished { name } => LedgerError::AudienceUnfinished { name },
            Cause::RequestTooLarge { limit } => LedgerError::RequestTooLarge { limit },
            Cause::ContactInvalid { problem } => LedgerError::ContactInvalid { problem },
            Cause::ChunkOutOfOrder { chunk, last } => LedgerError::ChunkOutOfOrder { chunk, last },
            Cause::Unauthorized | Cause::Forbidden => LedgerError::Forbidden { message },
            Cause::UnsupportedVersion { served } => LedgerError::UnsupportedVersion { served },
            Cause::Unavailable => LedgerError::Storage { message },
            Cause::RequestRefused => LedgerError::RequestRefused { message },
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
            LedgerError::PlanFailed,
            LedgerError::PlanSuperseded,
            LedgerError::AudienceNotFound { name: "winter".to_owned() },
            LedgerError::AudienceUnfinished { name: "winter".to_owned() },
            LedgerError::RequestTooLarge { limit: 3 },
            LedgerError::ContactInvalid { problem: "no tag".to_owned() },
            LedgerError::ChunkOutOfOrder { chunk: 4, last: 5 },
            LedgerError::Forbidden { message: "no".to_owned() },
            LedgerError::UnsupportedVersion { served: "v1".to_owned() },
            LedgerError::RequestRefused { message: "no JSON".to_owned() },
        ];
        for error in errors {
            let text = serde_json::to_string(&Refusal::of(&error)).unwrap();
            let back = serde_json::from_str::<Refusal>(&text).unwrap().into_error();
            assert_eq!((back.reason(), back.to_string()), (error.reason(), error.to_string()), "{text}");
            assert!(!back.is_transient(), "{text}");
        }
    }

    #[test]
    fn trouble_of_the_ledgers_disk_is_told_without_its_path() {
        let error = LedgerError::DiskFull { place: "/var/lib/herald/ledger.sqlite".into() };
        let text = serde_json::to_string(&Refusal::of(&error)).unwrap();
        assert!(!text.contains("/var"), "{text}");
        assert!(serde_json::from_str::<Refusal>(&text).unwrap().into_error().is_transient());
    }

    #[test]
    fn a_refusal_of_a_newer_version_is_no_reason_to_try_again() {
        let text = r#"{"reason": "NotInvented", "colour": "blue", "message": "paint it"}"#;
        let error = serde_json::from_str::<Refusal>(text).unwrap().into_error();
        assert!(!error.is_transient());
        assert!(error.to_string().contains("paint it"), "{error}");
    }
}
