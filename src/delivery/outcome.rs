//! What became of one attempt. How far the request got comes first, the provider's meaning second.

use serde::{Deserialize, Serialize};

/// The longest message text kept of an error, in characters; the rest is cut. Status and ledger stay small.
pub const MAX_FAULT_MESSAGE: usize = 256;

/// Why an attempt did not end in `Accepted`, for three readers: `reason` is the user's condition, the operator's
/// metric label and the developer's match arm at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// CamelCase, from a fixed set per provider, e.g. `WindowClosed`.
    pub reason: String,
    /// The provider's own code, e.g. `10/2018278` or `429`; absent where no answer came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// The provider's or transport's words, at most [`MAX_FAULT_MESSAGE`] characters; never a secret.
    pub message: String,
}

impl Fault {
    pub fn new(reason: &str, code: Option<String>, message: impl Into<String>) -> Fault {
        let message: String = message.into();
        let message = match message.char_indices().nth(MAX_FAULT_MESSAGE) {
            Some((end, _)) => message[..end].to_owned(),
            None => message,
        };
        Fault { reason: reason.to_owned(), code, message }
    }
}

/// Whose fault a permanent refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermanentScope {
    /// This recipient cannot be reached; others can.
    Recipient,
    /// The message itself is refused; others will be refused alike.
    Message,
}

/// Whom a throttle answer slows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThrottleScope {
    /// The whole account: the brake. Costs no try.
    Account,
    /// Only this recipient (pair limits): its own `not_before`. Counts as a try.
    Recipient,
}

/// The class of one attempt's end, by the table in the delivery rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class")]
pub enum Outcome {
    /// The provider took the message.
    Accepted {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        provider_id: Option<String>,
    },
    Permanent {
        scope: PermanentScope,
        fault: Fault,
    },
    /// Credentials or permissions are refused: nobody of this account can be reached until a person acts.
    Auth {
        fault: Fault,
    },
    Throttled {
        scope: ThrottleScope,
        /// The provider's own wish, already clamped by the reader.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        retry_after_ms: Option<u64>,
        fault: Fault,
    },
    /// Worth another try later. `max_tries` is a provider's cap for this code, then Permanent(Recipient).
    Transient {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        max_tries: Option<u32>,
        fault: Fault,
    },
    /// Policy or spam measures: sending must stop until a person looked.
    Blocked {
        fault: Fault,
    },
    /// The request was wholly or partly written and no complete answer came: it may or may not have been taken.
    Unknown {
        fault: Fault,
    },
    /// The request never reached the provider.
    NotSent {
        fault: Fault,
    },
    /// The sender did not begin the attempt (its slot passed, a gate closed, it was told to stop).
    NotBegun,
}
