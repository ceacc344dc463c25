//! What a sender in another process needs to know beyond its assignments, and what it tells beyond outcomes.

use serde::{Deserialize, Serialize};

use super::declaration::AccountKey;
use super::exchange::BroadcastId;
use crate::api::{Audience, Content, MessageChannelSpec, SuppressionSource, WriteBackTarget};
use crate::delivery::outcome::{is_reason, plain};
use crate::delivery::time::Timestamp;

/// The longest message of a trouble, in characters: a few sentences with places and remedies, small enough for a status.
pub const MAX_TROUBLE_MESSAGE: usize = 4_096;

/// The part of a declaration that senders work by. References are in the namespace of the broadcast; nothing here is
/// secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    pub channel: MessageChannelSpec,
    pub audience: Audience,
    /// Whom the channels of the account name as people who get nothing.
    #[serde(default)]
    pub suppression: Vec<SuppressionList>,
}

/// A list of people who get nothing from an account, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionList {
    /// The name of the MessageChannel.
    pub channel: String,
    /// Its place in `spec.suppression.sources`.
    pub index: usize,
    pub source: SuppressionSource,
}

impl SuppressionList {
    /// The lists of all channels of one account, which share them: in the same order, however the channels come.
    pub fn of_account<'a>(
        account: &AccountKey,
        channels: impl IntoIterator<Item = (&'a str, &'a MessageChannelSpec)>,
    ) -> Vec<SuppressionList> {
        let shares = |spec: &MessageChannelSpec| AccountKey::of(&account.namespace, spec).as_ref() == Some(account);
        let mut channels: Vec<_> = channels.into_iter().filter(|(_, spec)| shares(spec)).collect();
        channels.sort_by_key(|(name, _)| *name);
        let lists = |(channel, spec): (&str, &MessageChannelSpec)| {
            let numbered = spec.suppression_sources().iter().cloned().enumerate();
            let list = |(index, source)| SuppressionList { channel: channel.to_owned(), index, source };
            numbered.map(list).collect::<Vec<_>>()
        };
        channels.into_iter().flat_map(lists).collect()
    }

    /// The field of the channel that it is.
    pub fn field(&self) -> String {
        format!("spec.suppression.sources[{}]", self.index)
    }
}

/// What one sender is to do, at one commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    pub broadcast: BroadcastId,
    /// The epoch of the plan that this belongs to; sealed or not.
    pub plan: i64,
    /// That plan is sealed, and somebody of it may still be messaged.
    #[serde(default)]
    pub under_way: bool,
    /// For messages and logs.
    pub name: String,
    /// The broadcast's, for messages.
    #[serde(default)]
    pub namespace: String,
    pub content: Content,
    pub orders: Orders,
    /// Nothing keeps the broadcast from being sent but that the provider refused the account's credentials.
    #[serde(default)]
    pub credentials_refused: bool,
    /// There are endpoints to be told how it goes.
    #[serde(default)]
    pub notifies: bool,
    /// Where it is written who was sent to.
    #[serde(default)]
    pub write_backs: Vec<WriteBackTarget>,
}

/// Why a sender cannot work, told by the sender: it reads Secrets and ConfigMaps, the operator does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// CamelCase, for conditions and metrics.
    pub reason: String,
    /// For people, with place and remedy; holds no secret and no recipient.
    pub message: String,
}

impl Trouble {
    /// What is told, cut to what a status may hold. A reason that is no CamelCase word, as only a sender of another
    /// version could give, becomes `SenderTrouble`.
    pub fn new(reason: &str, message: &str) -> Trouble {
        let reason = if is_reason(reason) { reason } else { "SenderTrouble" };
        Trouble { reason: reason.to_owned(), message: plain(message, MAX_TROUBLE_MESSAGE) }
    }
}

/// A trouble and when it was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldTrouble {
    pub trouble: Trouble,
    pub told_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::MAX_REASON;

    #[test]
    fn a_trouble_fits_into_a_condition() {
        let long = "x".repeat(MAX_TROUBLE_MESSAGE + 1);
        assert_eq!(Trouble::new("SecretNotFound", &long).message.len(), MAX_TROUBLE_MESSAGE);
        assert_eq!(Trouble::new("SecretNotFound", "").reason, "SecretNotFound");
        for odd in ["", "secret", "Not a word", &"X".repeat(MAX_REASON + 1)] {
            assert_eq!(Trouble::new(odd, "").reason, "SenderTrouble");
        }
    }
}
