//! What an error means, as data: the rows that each provider's table is made of.

use crate::delivery::outcome::{Cap, Fault, Outcome, PermanentScope, ThrottleScope};

/// What an error means for the recipient and the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// This person cannot be reached.
    PermanentRecipient,
    /// This person has blocked the account or asked for no more messages: nobody of the account writes to them again.
    OptedOut,
    /// This person wants no marketing messages of the account: whatever may be some is not planned for them again.
    MarketingStopped,
    /// The message itself is refused.
    PermanentMessage,
    /// Credentials, permissions, configuration of the account: nobody can be reached.
    Auth,
    /// A limit of the account. Where the answer names no wait, this many milliseconds.
    Throttled { wait_ms: Option<u64> },
    /// A limit of messages to this one person. Where the answer names no wait, this many milliseconds.
    ThrottledRecipient { wait_ms: Option<u64> },
    /// Worth another try, at most so often where the row caps it.
    Transient { cap: Option<Cap> },
    /// Measures against abuse: a person must look.
    Blocked,
    /// The message may have been sent in spite of the error.
    Unknown,
}

/// One row of a table: which error, what it means, and where that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow<Error> {
    /// How the provider names it.
    pub error: Error,
    pub class: ErrorClass,
    /// CamelCase; the user's condition and the metric's label.
    pub reason: &'static str,
    /// Where this meaning is written; "recalled" where it is known from no text.
    pub source: &'static str,
}

/// One row, in a form that fits on a line of a table.
pub const fn row<Error: Copy>(
    error: Error,
    class: ErrorClass,
    reason: &'static str,
    source: &'static str,
) -> ErrorRow<Error> {
    ErrorRow { error, class, reason, source }
}

impl ErrorClass {
    /// The outcome of an answer with such an error. `asked_ms` is the wait that the answer asks for.
    pub(super) fn outcome(self, asked_ms: Option<u64>, fault: Fault) -> Outcome {
        let throttled = |scope, wait_ms: Option<u64>, fault| Outcome::Throttled {
            scope,
            retry_after_ms: asked_ms.or(wait_ms),
            fault,
        };
        match self {
            ErrorClass::PermanentRecipient => Outcome::Permanent { scope: PermanentScope::Recipient, fault },
            ErrorClass::OptedOut => Outcome::Permanent { scope: PermanentScope::OptedOut, fault },
            ErrorClass::MarketingStopped => Outcome::Permanent { scope: PermanentScope::MarketingStopped, fault },
            ErrorClass::PermanentMessage => Outcome::Permanent { scope: PermanentScope::Message, fault },
            ErrorClass::Auth => Outcome::Auth { fault },
            ErrorClass::Throttled { wait_ms } => throttled(ThrottleScope::Account, wait_ms, fault),
            ErrorClass::ThrottledRecipient { wait_ms } => throttled(ThrottleScope::Recipient, wait_ms, fault),
            ErrorClass::Transient { cap } => Outcome::Transient { cap, fault },
            ErrorClass::Blocked => Outcome::Blocked { fault },
            ErrorClass::Unknown => Outcome::Unknown { fault },
        }
    }
}
