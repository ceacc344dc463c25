//! Why a source that is read from elsewhere could not be read, or not to its end.

use std::borrow::Cow;

use super::materials::MaterialError;

/// What kind of fault it is: each has a reason of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No answer, or one that says "later", as often as it was asked.
    Unreachable,
    /// The answer broke off when some of its rows were taken already: only a new reading of the whole audience is one
    /// reading.
    BrokenOff,
    /// The other side says no.
    Refused,
    /// It would lead where this source may not go.
    NotAllowed,
    /// More than is read of one source.
    TooLarge,
    /// It takes longer than is read of one source.
    TooSlow,
    /// What was answered holds no recipients in a form that is understood.
    Invalid,
    /// The database refuses the query, or it is none that is sent.
    QueryRefused,
    QueryTimedOut,
    SecretNotFound,
    SecretKeyNotFound,
    SecretKeyUnusable,
}

impl FaultKind {
    /// CamelCase, from a fixed set.
    pub fn reason(self) -> &'static str {
        match self {
            FaultKind::Unreachable | FaultKind::BrokenOff => "SourceUnreachable",
            FaultKind::Refused => "SourceRefused",
            FaultKind::NotAllowed => "SourceNotAllowed",
            FaultKind::TooLarge | FaultKind::TooSlow => "SourceTooLarge",
            FaultKind::Invalid => "SourceInvalid",
            FaultKind::QueryRefused => "QueryRefused",
            FaultKind::QueryTimedOut => "QueryTimedOut",
            FaultKind::SecretNotFound => "SecretNotFound",
            FaultKind::SecretKeyNotFound => "SecretKeyNotFound",
            FaultKind::SecretKeyUnusable => "SecretKeyUnusable",
        }
    }
}

/// A source that could not be read. One line when shown; it holds no secret and no recipient.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {problem}; {remedy}")]
pub struct SourceFault {
    pub kind: FaultKind,
    /// Which source, and how far in it: `https://crm.example/people page 3`.
    pub place: String,
    pub problem: String,
    /// What to do about it.
    pub remedy: Cow<'static, str>,
}

impl SourceFault {
    pub(super) fn new(
        kind: FaultKind,
        place: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> SourceFault {
        SourceFault { kind, place: place.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// A Secret that the source needs and cannot have.
    pub(super) fn of_secret(place: &str, error: MaterialError) -> SourceFault {
        match error {
            MaterialError::NotFound { kind, name, key, remedy } => {
                let problem = format!("there is no {kind} \"{name}\" with a key \"{key}\"");
                SourceFault::new(FaultKind::SecretNotFound, place, problem, remedy)
            }
            MaterialError::KeyNotFound { kind, name, key, remedy } => {
                let problem = format!("the {kind} \"{name}\" has no key \"{key}\"");
                SourceFault::new(FaultKind::SecretKeyNotFound, place, problem, remedy)
            }
            MaterialError::Unreadable { kind, name, key, source } => {
                let problem = format!("failed to read key \"{key}\" of the {kind} \"{name}\": {source}");
                SourceFault::new(FaultKind::SecretKeyUnusable, place, problem, "check that it is there and readable")
            }
        }
    }
}
