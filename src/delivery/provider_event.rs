//! What a provider tells by a call-back, once it is known that it is the provider who calls.

use serde::{Deserialize, Serialize};

use super::correlation::Correlation;
use super::time::Timestamp;

/// The most events that the ledger is told at once. A call may tell more: Meta puts up to 1,000 updates into one (Meta's page on
/// getting started with webhooks), and a delivery of Messenger's names any number of messages.
pub const MAX_EVENTS: usize = 2_000;

/// One thing that a call-back tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderEvent {
    /// Of a message of ours, or of several to one person.
    Message {
        which: Which,
        /// To whom, as an audience writes the id; `None` where the provider does not say.
        #[serde(default)]
        recipient: Option<String>,
        news: News,
        /// When it happened, by the provider's clock.
        at: Timestamp,
    },
    /// Of a person.
    Person {
        recipient: String,
        deed: Deed,
        at: Timestamp,
        /// By which of their messages they did it, where the provider does not say when: then `at` is when it was told, and
        /// who tells it again says nothing new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

impl ProviderEvent {
    /// What a person did then, by the provider's clock.
    pub fn person(recipient: impl Into<String>, deed: Deed, at: Timestamp) -> ProviderEvent {
        ProviderEvent::Person { recipient: recipient.into(), deed, at, message: None }
    }
}

/// Of which message something is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// By what was given with it, by the provider's id, or both.
    One {
        #[serde(default)]
        correlation: Option<Correlation>,
        #[serde(default)]
        provider_id: Option<String>,
    },
    /// Of everything that was sent to the recipient until then.
    UpTo(Timestamp),
}

/// What became of a message. Each proves that the provider took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// It was taken: an echo, or a status before delivery.
    Accepted,
    /// It is at the person's device.
    Delivered,
    /// It was seen.
    Read,
    /// It was taken and does not arrive. The reason is CamelCase, from the provider's table.
    Undelivered {
        reason: String,
        #[serde(default)]
        code: Option<String>,
        /// Because the person wants no marketing messages.
        #[serde(default)]
        marketing_stopped: bool,
    },
}

/// What a person did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Wants no messages of this account any more.
    OptedOut,
    /// Wants them again.
    OptedIn,
    /// Wants no marketing messages, and others all the same.
    StoppedMarketing,
    /// Wants them again.
    ResumedMarketing,
    /// Wrote to the account, or pressed a button of a message.
    Wrote,
}

/// Whether the recipient that a provider names may be the one that an audience wrote. Providers put numbers into another
/// form than they were given (a digit more behind the country code of Mexico, Argentina or Brazil), so the ends are compared;
/// where one is a number and the other is none, they do not say anything of each other.
pub fn may_be(told: &str, written: &str) -> bool {
    match (number(told), number(written)) {
        (Some(told), Some(written)) => ending(told) == ending(written),
        (None, None) => told == written,
        _ => true,
    }
}

/// As many digits at the end of a number are the same in all its forms.
const SAME_DIGITS: usize = 7;

fn number(recipient: &str) -> Option<&str> {
    let address = recipient.rsplit_once(':').map_or(recipient, |(_, address)| address);
    address.strip_prefix('+')
}

fn ending(number: &str) -> &str {
    number.get(number.len().saturating_sub(SAME_DIGITS)..).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_in_another_form_and_nobody_elses() {
        for (told, written, same) in [
            ("+16505551234", "+16505551234", true),
            ("+551187654321", "+5511987654321", true),
            ("whatsapp:+14155550100", "whatsapp:+14155550100", true),
            ("+16505551234", "+16505551235", false),
            ("5489932777711223", "5489932777711223", true),
            ("5489932777711223", "1189932777711223", false),
            ("+16505551234", "DE.Ab12", true),
        ] {
            assert_eq!(may_be(told, written), same, "{told} {written}");
        }
    }
}
