//! What became of one attempt. How far the request got comes first, the provider's meaning second.

use serde::{Deserialize, Serialize};

/// The longest message text kept of an error, in characters; the rest is cut. Status and ledger stay small.
pub const MAX_FAULT_MESSAGE: usize = 256;

/// The longest reason, in characters: the bound of a condition's reason.
pub const MAX_REASON: usize = 128;
/// The longest code kept of a provider, in characters.
pub const MAX_FAULT_CODE: usize = 64;

/// The longest message id of a provider that is kept, in characters.
pub const MAX_PROVIDER_ID: usize = 256;

/// What a provider says, as it may be stored and shown: without control characters, which no database and no terminal
/// wants, and cut.
pub fn plain(text: &str, characters: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(characters).collect()
}

/// Whether a word may stand where conditions and metrics hold reasons: CamelCase, at most [`MAX_REASON`] characters.
pub fn is_reason(word: &str) -> bool {
    word.len() <= MAX_REASON
        && word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.chars().all(|letter| letter.is_ascii_alphanumeric())
}

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
        let message = plain(&message.into(), MAX_FAULT_MESSAGE);
        Fault { reason: reason.to_owned(), code, message }
    }

    /// Cut to what a status may hold. A reason that is none, as only a sender of another version could give, becomes
    /// `SenderFault`.
    pub fn cut(self) -> Fault {
        let reason = if is_reason(&self.reason) { self.reason.as_str() } else { "SenderFault" };
        let code = self.code.map(|code| plain(&code, MAX_FAULT_CODE));
        Fault::new(reason, code, self.message)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} (code {code}): {}", self.reason, self.message),
            None => write!(f, "{}: {}", self.reason, self.message),
        }
    }
}

/// Whose fault a permanent refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermanentScope {
    /// This recipient cannot be reached; others can.
    Recipient,
    /// This recipient wants no messages of the account any more: as `Recipient`, and no broadcast messages them again until
    /// they opt in.
    OptedOut,
    /// This recipient wants no marketing messages of the account any more: as `Recipient`, and whatever may be one is not planned
    /// for them until they resume.
    MarketingStopped,
    /// The message itself is refused; others will be refused alike.
    Message,
}

/// How often a provider's error is worth a try, and what it is from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// Tries in all, at least 1.
    pub tries: u32,
    /// Whose fault it is after those.
    pub then: PermanentScope,
}

/// Whom a throttle answer slows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThrottleScope {
    /// The whole account: the brake. Costs no try.
    Account,
    /// Only this recipient (pair limits): its own `not_before`. Counts as a try.
    Recipient,
}

/// The reason of a request of which nothing has left this machine.
pub const NOT_SENT: &str = "NotSent";

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
    /// Worth another try later, at most so often where the provider's table caps its code.
    Transient {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cap: Option<Cap>,
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
    /// The provider refused the message for an attachment alone that it was to have kept, and does not have any more: nothing was
    /// sent, and the message can be, once the attachment is there again. It says nothing of account, recipient or message.
    AttachmentGone {
        fault: Fault,
    },
    /// The sender did not begin the attempt (its slot passed, a gate closed, it was told to stop).
    NotBegun,
}

impl Outcome {
    /// With its fault, if it has one, [cut](Fault::cut).
    pub fn cut(mut self) -> Outcome {
        match &mut self {
            Outcome::Permanent { fault, .. }
            | Outcome::Auth { fault }
            | Outcome::Throttled { fault, .. }
            | Outcome::Transient { fault, .. }
            | Outcome::Blocked { fault }
            | Outcome::Unknown { fault }
            | Outcome::NotSent { fault }
            | Outcome::AttachmentGone { fault } => *fault = fault.clone().cut(),
            Outcome::Accepted { provider_id } => {
                *provider_id = provider_id.take().map(|id| plain(&id, MAX_PROVIDER_ID));
            }
            Outcome::NotBegun => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_database_takes_is_left_out_of_a_providers_words() {
        let fault = Fault::new("Somehow", None, "a\u{0}b\nc");
        assert_eq!(fault.message, "abc");
        let told = Outcome::Accepted { provider_id: Some(format!("m\u{0}_{}", "1".repeat(999))) }.cut();
        let Outcome::Accepted { provider_id: Some(id) } = told else { panic!("another class") };
        assert!(id.starts_with("m_1") && id.len() == MAX_PROVIDER_ID, "{id}");
    }

    #[test]
    fn a_fault_that_was_told_is_cut_to_what_a_status_holds() {
        let told = Fault { reason: "not a word".into(), code: Some("9".repeat(999)), message: "ü".repeat(999) };
        let Outcome::Unknown { fault } = (Outcome::Unknown { fault: told }).cut() else { panic!("another class") };
        assert_eq!(fault.reason, "SenderFault");
        assert_eq!(fault.code.map(|code| code.len()), Some(MAX_FAULT_CODE));
        assert_eq!(fault.message.chars().count(), MAX_FAULT_MESSAGE);
        let fitting = Outcome::NotSent { fault: Fault::new("Refused", Some("7".into()), "words") };
        assert_eq!(fitting.clone().cut(), fitting);
    }
}
