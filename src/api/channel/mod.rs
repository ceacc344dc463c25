//! MessageChannel: an account at a provider, and the rate it may be used at.

mod account;
pub mod address;
mod graph;
mod http;
mod http_response;
mod messenger;
mod receiver;
mod slack;
mod suppression;
mod telegram;
mod twilio;
mod whatsapp;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use account::{ChannelAccount, ChannelMember, ChannelProvider};
pub use http::{HTTP_SIGNING_SECRET, HttpChannel, HttpHeader, HttpMethod, HttpSigning, MAX_HEADERS};
pub use http_response::{HttpClass, HttpCodeClass, HttpResponse, HttpStatusClass, MAX_CODES, MAX_STATUSES};
pub use messenger::{MESSENGER_ACCESS_TOKEN, MESSENGER_APP_SECRET, MESSENGER_RATE, MessengerChannel};
pub use receiver::{
    CALLBACKS, META_VERIFY_TOKEN, Receiver, ReceiverStatus, SLACK_SIGNING_SECRET, TELEGRAM_WEBHOOK_SECRET,
};
pub use slack::{SLACK_BOT_TOKEN, SlackChannel};
pub use suppression::{MAX_SUPPRESSION_SOURCES, Suppression, SuppressionSource};
pub use telegram::{TELEGRAM_BOT_TOKEN, TELEGRAM_RATE, TelegramChannel};
pub use twilio::{TWILIO_API_KEY_SECRET, TWILIO_API_KEY_SID, TWILIO_AUTH_TOKEN, TwilioChannel};
pub use whatsapp::{WHATSAPP_ACCESS_TOKEN, WHATSAPP_APP_SECRET, WHATSAPP_RATE, WhatsAppChannel};

use super::{condition::Condition, rate::Rate, reference::ObjectRef, sender_pods::SenderPods};

/// The longest URL.
const MAX_URL: usize = 2_048;
/// An absolute http(s) URL without credentials, query and fragment.
const BASE_URL: &str = r"^https?://[^ \t\r\n?#@]+$";

/// Which account at which provider, with which credentials and at which rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "herald.dev",
    version = "v1alpha1",
    kind = "MessageChannel",
    namespaced,
    status = "MessageChannelStatus",
    derive = "PartialEq",
    shortname = "mch",
    category = "herald",
    doc = "An account at a chat provider, and the rate it may be used at. Broadcasts of the same namespace send through it and \
           share its rate.",
    printcolumn(
        name = "Provider",
        type_ = "string",
        json_path = ".status.provider",
        description = "The member of the spec that is set"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether broadcasts can be sent through it"
    ),
    printcolumn(
        name = "Rate",
        type_ = "integer",
        json_path = ".status.rate.effectivePerMinute",
        description = "Messages per minute that may be sent now"
    ),
    printcolumn(
        name = "Throttled",
        type_ = "string",
        json_path = ".status.rate.throttledUntilTime",
        description = "Until when the provider asked to hold"
    ),
    printcolumn(
        name = "Active",
        type_ = "integer",
        json_path = ".status.activeBroadcasts",
        description = "Broadcasts that are sending through it"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "(has(self.messenger) ? 1 : 0) + (has(self.whatsapp) ? 1 : 0) + (has(self.telegram) ? 1 : 0) \
         + (has(self.slack) ? 1 : 0) + (has(self.twilio) ? 1 : 0) + (has(self.http) ? 1 : 0) == 1"
    ).message("exactly one of messenger, whatsapp, telegram, slack, twilio and http must be set"),
    validation = Rule::new(
        "has(self.messenger) == has(oldSelf.messenger) && has(self.whatsapp) == has(oldSelf.whatsapp) \
         && has(self.telegram) == has(oldSelf.telegram) && has(self.slack) == has(oldSelf.slack) \
         && has(self.twilio) == has(oldSelf.twilio)"
    ).message("the provider is immutable; for another provider make another MessageChannel")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("has(self.http) || has(self.credentialsSecretRef)")
        .message("the channel needs the Secret that holds its credentials: accessToken (messenger, \
            whatsapp), botToken (telegram, slack), authToken or apiKeySID and apiKeySecret (twilio)")
        .field_path(".credentialsSecretRef").reason(Reason::FieldValueRequired),
    validation = Rule::new("has(self.messenger) || has(self.whatsapp) || has(self.telegram) || has(self.rate)")
        .message("this provider has no default rate; say how many messages per period its receiver takes")
        .field_path(".rate").reason(Reason::FieldValueRequired),
    validation = Rule::new(
        "!has(self.http) || has(self.credentialsSecretRef) \
         || !(has(self.http.signing) || self.http.url.matches('[{][{%](|.*[^.a-zA-Z0-9_])secret *[^ a-zA-Z0-9_]') \
         || (has(self.http.body) && self.http.body.matches('(?s)[{][{%](|.*[^.a-zA-Z0-9_])secret *[^ a-zA-Z0-9_]')) \
         || (has(self.http.headers) && self.http.headers.exists(h, h.value.matches('[{][{%](|.*[^.a-zA-Z0-9_])secret *[^ a-zA-Z0-9_]'))))"
    ).message("the signature, or a template, needs a key of the channel's Secret, so the Secret must be given")
        .field_path(".credentialsSecretRef").reason(Reason::FieldValueRequired),
    validation = Rule::new("!has(self.receiver) || !self.receiver.enabled || !has(self.http)")
        .message("a channel of http has no call-backs").field_path(".receiver.enabled")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new(
        "!has(self.receiver) || !self.receiver.enabled || !has(self.twilio) || has(self.receiver.url)"
    ).message("twilio signs the URL that it calls, so receiver.url must be set").field_path(".receiver.url")
        .reason(Reason::FieldValueRequired)
)]
pub struct MessageChannelSpec {
    /// A Facebook page that sends through the Messenger Platform (Send API). Exactly one provider must be set; which one is
    /// immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messenger: Option<MessengerChannel>,
    /// A business phone number that sends through the WhatsApp Cloud API. Exactly one provider must be set; which one is
    /// immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<WhatsAppChannel>,
    /// A bot that sends through the Telegram Bot API. Exactly one provider must be set; which one is immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telegram: Option<TelegramChannel>,
    /// A Slack app that posts into one workspace. Exactly one provider must be set; which one is immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackChannel>,
    /// A sender of a Twilio account, for SMS and what else Twilio sends. Exactly one provider must be set; which one is
    /// immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twilio: Option<TwilioChannel>,
    /// Any HTTP endpoint that takes one message per request. Exactly one provider must be set; which one is immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpChannel>,
    /// The Secret of the same namespace with the credentials. For `http`: required where a template names one of its keys, or
    /// `signing` needs its key `signingSecret`. For all others: required. Its keys: `accessToken` (the access token of `messenger` or `whatsapp`) and, if the app demands
    /// proof, `appSecret`; `botToken` for `telegram` and `slack`; for `twilio` `apiKeySID` and `apiKeySecret`, or
    /// `authToken`. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<ObjectRef>,
    /// The account's ceiling, shared by every broadcast and sender that uses it. Default for `messenger` 40 messages per
    /// second, for `whatsapp` 80, for `telegram` 25; for the others it is required. Mutable, takes effect within seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many seconds the provider has for a complete answer: 1 to 120, default 20. After that the outcome of the message
    /// is unknown. Mutable.
    #[serde(default = "request_timeout_seconds")]
    #[schemars(range(min = 1, max = 120))]
    pub request_timeout_seconds: u32,
    /// Where the provider tells what becomes of messages. Its calls prove that a message was taken whose answer was lost, so
    /// that it is not unknown any more. They are verified by keys of the channel's Secret: `appSecret` and `verifyToken`
    /// (`messenger`, `whatsapp`), `webhookSecret` (`telegram`), `signingSecret` (`slack`), `authToken` (`twilio`, also
    /// beside an API key). Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Receiver>,
    /// People who get nothing from this account while these lists name them, as if they had opted out: by every broadcast of the
    /// account they are planned and skipped (OptedOut), and the provider is not called. The lists are read whenever a plan is
    /// made, and again whenever a sender of it starts; one that cannot be read holds the broadcast back. Of several channels of one account each
    /// has its say. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppression: Option<Suppression>,
    /// How the pods of this channel are run: those that send through it and, but for `resources`, that of its receiver. Mutable;
    /// a change counts from the next pod on. `herald run` makes no pods and does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<SenderPods>,
}

fn request_timeout_seconds() -> u32 {
    20
}

impl MessageChannelSpec {
    /// The one member that is set; `None` for a document that was never admitted.
    pub fn member(&self) -> Option<ChannelMember<'_>> {
        let members = [
            self.messenger.as_ref().map(ChannelMember::Messenger),
            self.whatsapp.as_ref().map(ChannelMember::WhatsApp),
            self.telegram.as_ref().map(ChannelMember::Telegram),
            self.slack.as_ref().map(ChannelMember::Slack),
            self.twilio.as_ref().map(ChannelMember::Twilio),
            self.http.as_ref().map(ChannelMember::Http),
        ];
        let mut set = members.into_iter().flatten();
        set.next().filter(|_| set.next().is_none())
    }

    /// What the one member tells of its account; `None` for a document that was never admitted.
    pub fn account(&self) -> Option<&dyn ChannelAccount> {
        self.member().map(ChannelMember::account)
    }

    /// The URL that the provider calls, where it is known.
    pub fn callback_url(&self) -> Option<&str> {
        self.receiver.as_ref()?.url.as_deref()
    }

    /// The lists of people who get nothing, in order.
    pub fn suppression_sources(&self) -> &[SuppressionSource] {
        self.suppression.as_ref().map_or(&[], |suppression| &suppression.sources)
    }

    /// Whether Herald runs a receiver for it.
    pub fn wants_receiver(&self) -> bool {
        self.receiver.as_ref().is_some_and(|receiver| receiver.enabled)
    }

    /// The keys of the channel's Secret that calls are verified by.
    pub fn callback_secret_keys(&self) -> Vec<&'static str> {
        match self.member() {
            Some(ChannelMember::Messenger(_)) => vec![MESSENGER_APP_SECRET],
            Some(ChannelMember::WhatsApp(_)) => vec![WHATSAPP_APP_SECRET],
            Some(ChannelMember::Telegram(_)) => vec![TELEGRAM_WEBHOOK_SECRET],
            Some(ChannelMember::Slack(_)) => vec![SLACK_SIGNING_SECRET],
            Some(ChannelMember::Twilio(_)) => vec![TWILIO_AUTH_TOKEN],
            Some(ChannelMember::Http(_)) | None => Vec::new(),
        }
    }

    /// The account's ceiling: as given, or the provider's default; `None` for a document that was never admitted.
    pub fn ceiling(&self) -> Option<Rate> {
        self.rate.or(self.account()?.default_rate())
    }

    /// The keys the channel's Secret must hold, in the order they are named, without repetition.
    pub fn required_secret_keys(&self) -> Vec<String> {
        self.account().map(ChannelAccount::required_secret_keys).unwrap_or_default()
    }
}

/// What has been observed. Written by Herald alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageChannelStatus {
    /// The `metadata.generation` this status was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Stalled` (a person must act), `CredentialsVerified` (`Unknown` until first use) and, where there is a
    /// receiver, `ReceiverReady`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// The member of the spec that is set: `Messenger`, `WhatsApp`, `Telegram`, `Slack`, `Twilio` or
    /// `Http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ChannelProvider>,
    /// The account's rate, as configured and as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<ChannelRateStatus>,
    /// Where call-backs are taken; absent without a receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<ReceiverStatus>,
    /// How many broadcasts are sending through this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub active_broadcasts: Option<u32>,
}

/// The account's rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelRateStatus {
    /// The ceiling in messages per minute.
    #[schemars(range(min = 0))]
    pub configured_per_minute: i64,
    /// What may be sent now, in messages per minute: lower than the ceiling after the provider throttled.
    #[schemars(range(min = 0))]
    pub effective_per_minute: i64,
    /// How much of its own limit is used, in percent, as the provider's answers said within the last minute: from 80 on
    /// sending slows down, at 100 it holds. Absent for less, and for providers that do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub usage_percent: Option<u32>,
    /// Nothing is sent before this instant, because the provider asked to hold; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub throttled_until_time: Option<Timestamp>,
}
