//! The member `twilio`: a sender of a Twilio account.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{BASE_URL, ChannelAccount, ChannelProvider, MAX_URL};
use crate::api::rate::Rate;

/// The key of the channel's Secret with the account's own token, unless an API key is there.
pub const TWILIO_AUTH_TOKEN: &str = "authToken";
/// The keys of the channel's Secret with an API key, which is used where both are there.
pub const TWILIO_API_KEY_SID: &str = "apiKeySID";
pub const TWILIO_API_KEY_SECRET: &str = "apiKeySecret";

/// A sender of a Twilio account, which sends SMS and what else Twilio's Messages take. Recipients are phone numbers with
/// `+` and country code, or addresses such as `whatsapp:+14155550100`. Exactly one of `from` and `messagingServiceSID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.from) != has(self.messagingServiceSID)")
    .message("exactly one of from and messagingServiceSID must be set"))]
#[x_kube(validation = Rule::new(
    "(has(self.from) ? self.from : '') == (has(oldSelf.from) ? oldSelf.from : '') \
     && (has(self.messagingServiceSID) ? self.messagingServiceSID : '') \
     == (has(oldSelf.messagingServiceSID) ? oldSelf.messagingServiceSID : '')"
).message("from and messagingServiceSID are immutable; for another sender make another MessageChannel")
    .reason(Reason::FieldValueForbidden))]
pub struct TwilioChannel {
    /// The account's SID: `AC` and 32 hexadecimal digits. Immutable. Required.
    #[serde(rename = "accountSID")]
    #[schemars(length(min = 34, max = 34), regex(pattern = "^AC[0-9a-f]{32}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another account make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub account_sid: String,
    /// Who sends: a phone number with `+` and country code, a short code, an alphanumeric sender, or an address such as
    /// `whatsapp:+14155550199`. 1 to 64 characters without white space at the ends. Immutable. Exactly one of this and
    /// `messagingServiceSID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[!-~]([ -~]*[!-~])?$"))]
    pub from: Option<String>,
    /// The SID of a Messaging Service, which chooses the sender: `MG` and 32 hexadecimal digits. It takes messages that it
    /// cannot deliver, and tells so only later. Immutable. Exactly one of this and `from`.
    #[serde(rename = "messagingServiceSID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 34, max = 34), regex(pattern = "^MG[0-9a-f]{32}$"))]
    pub messaging_service_sid: Option<String>,
    /// Where the REST API is: an http(s) URL without query, at most 2048 characters, default `https://api.twilio.com`. For
    /// another region, a proxy or the simulator. Mutable;
    /// but an account is one at its host: with another host a new account begins, which has none of the contacts, tags and
    /// opt-outs of the one before.
    #[serde(rename = "baseURL", default = "base_url")]
    #[schemars(length(max = MAX_URL), regex(pattern = BASE_URL))]
    pub base_url: String,
}

fn base_url() -> String {
    "https://api.twilio.com".to_owned()
}

impl ChannelAccount for TwilioChannel {
    fn provider(&self) -> ChannelProvider {
        ChannelProvider::Twilio
    }

    /// Twilio's speed is that of a sender, so each is an account of its own.
    fn account(&self) -> String {
        let sender = self.from.as_deref().or(self.messaging_service_sid.as_deref()).unwrap_or_default();
        format!("{}/{sender}", self.account_sid)
    }

    fn url(&self) -> &str {
        &self.base_url
    }

    /// From one SMS a second of a long code to a hundred and more of a short code: it depends on the sender.
    fn default_rate(&self) -> Option<Rate> {
        None
    }

    /// Either kind of credentials will do.
    fn required_secret_keys(&self) -> Vec<String> {
        Vec::new()
    }
}
