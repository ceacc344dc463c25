//! MessageChannel: an account at a provider, and the rate it may be used at.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{condition::Condition, header::HEADER_VALUE, rate::Rate, reference::ObjectRef};

/// The rate of a `messenger` channel that names none: far below the page's own limit of 300 text messages a second.
pub const MESSENGER_RATE: Rate = Rate { messages: 40, period_seconds: 1 };
/// The key of the channel's Secret a `messenger` channel needs.
pub const MESSENGER_ACCESS_TOKEN: &str = "accessToken";
/// The key of the channel's Secret a `messenger` channel uses when it is there.
pub const MESSENGER_APP_SECRET: &str = "appSecret";
/// The most request headers of an `http` channel.
pub const MAX_HEADERS: usize = 32;
/// The longest URL.
const MAX_URL: usize = 2_048;
/// An absolute http(s) URL without credentials, query and fragment.
const BASE_URL: &str = r"^https?://[^ \t\r\n?#@]+$";
/// An absolute http(s) URL without credentials and fragment.
const URL: &str = r"^https?://[^ \t\r\n#@]+$";
/// A header's name (RFC 9110, token).
const HEADER_NAME: &str = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";

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
    validation = Rule::new("has(self.messenger) != has(self.http)")
        .message("exactly one of messenger and http must be set"),
    validation = Rule::new("has(self.messenger) == has(oldSelf.messenger)")
        .message("the provider is immutable; for another provider make another MessageChannel")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("!has(self.messenger) || has(self.credentialsSecretRef)")
        .message("a messenger channel needs the Secret that holds accessToken").field_path(".credentialsSecretRef")
        .reason(Reason::FieldValueRequired),
    validation = Rule::new("!has(self.http) || has(self.rate)")
        .message("an http channel has no default rate; say how many messages per period its receiver takes")
        .field_path(".rate").reason(Reason::FieldValueRequired),
    validation = Rule::new(
        "!has(self.http) || !has(self.http.headers) || has(self.credentialsSecretRef) \
         || !self.http.headers.exists(h, h.value.contains('{{'))"
    ).message("a header names a key of the channel's Secret, so the Secret must be given")
        .field_path(".credentialsSecretRef").reason(Reason::FieldValueRequired)
)]
pub struct MessageChannelSpec {
    /// A Facebook page that sends through the Messenger Platform (Send API). Exactly one of this and `http`; which one is
    /// immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messenger: Option<MessengerChannel>,
    /// Any HTTP endpoint that takes one message per request. Exactly one of this and `messenger`; which one is immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpChannel>,
    /// The Secret of the same namespace with the credentials. For `messenger`: required, with the key `accessToken` (a page
    /// access token) and, if the app demands proof, `appSecret`. For `http`: required where a header names one of its
    /// keys. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<ObjectRef>,
    /// The account's ceiling, shared by every broadcast and sender that uses it. For `messenger` the default is 40 messages
    /// per second; for `http` it is required. Mutable, takes effect within seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many seconds the provider has for a complete answer: 1 to 120, default 20. After that the outcome of the message
    /// is unknown. Mutable.
    #[serde(default = "request_timeout_seconds")]
    #[schemars(range(min = 1, max = 120))]
    pub request_timeout_seconds: u32,
}

fn request_timeout_seconds() -> u32 {
    20
}

/// A Facebook page that sends through the Messenger Platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessengerChannel {
    /// The id of the page that sends: 1 to 32 digits, in quotes. Immutable. Required.
    #[serde(rename = "pageID")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[0-9]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another page make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub page_id: String,
    /// The version of the Graph API, e.g. `v25.0`, which is the default. Mutable.
    #[serde(default = "graph_version")]
    #[schemars(length(max = 7), regex(pattern = "^v[0-9]{1,3}[.][0-9]{1,2}$"))]
    pub api_version: String,
    /// Where the Graph API is: an http(s) URL without query, at most 2048 characters, default
    /// `https://graph.facebook.com`. For a proxy or the simulator. Mutable.
    #[serde(rename = "baseURL", default = "graph_base_url")]
    #[schemars(length(max = MAX_URL), regex(pattern = BASE_URL))]
    pub base_url: String,
}

fn graph_version() -> String {
    "v25.0".to_owned()
}

fn graph_base_url() -> String {
    "https://graph.facebook.com".to_owned()
}

/// Any HTTP endpoint: each message is a POST of the JSON object `{"id": …, "text": …, "vars": {…}}`. 2xx means taken, 429
/// throttled, another 4xx that this recipient cannot be reached, anything else that the outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpChannel {
    /// Where each message is posted: an http(s) URL without user and password, at most 2048 characters. Immutable.
    /// Required.
    #[schemars(length(min = 1, max = MAX_URL), regex(pattern = URL))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another endpoint make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub url: String,
    /// Headers of each request, at most 32, beside `Content-Type: application/json`. Names must be unique, whatever their
    /// case. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "headers_schema")]
    #[x_kube(validation = Rule::new(
        "self.all(h, self.exists_one(other, other.name.lowerAscii() == h.name.lowerAscii()))"
    ).message("names of headers must be unique, whatever their case"))]
    pub headers: Vec<HttpHeader>,
}

/// One header of each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// The header's name, 1 to 128 characters, e.g. `Authorization`. Not one of those Herald sets itself: Host,
    /// Content-Type, Content-Length, Transfer-Encoding, Connection, TE, Trailer, Upgrade, X-Herald-Correlation. Required.
    #[schemars(length(min = 1, max = 128), regex(pattern = HEADER_NAME))]
    #[x_kube(validation = Rule::new(
        "!(self.lowerAscii() in ['host', 'content-type', 'content-length', 'transfer-encoding', 'connection', 'te', \
         'trailer', 'upgrade', 'x-herald-correlation'])"
    ).message("Host, Content-Type, Content-Length, Transfer-Encoding, Connection, TE, Trailer, Upgrade and \
         X-Herald-Correlation are set by Herald"))]
    pub name: String,
    /// The header's value, at most 4096 printable characters. `{{ secret.token }}` stands for the key `token` of the
    /// channel's Secret, e.g. `Bearer {{ secret.token }}`; secrets themselves do not belong here. Required.
    #[schemars(length(max = 4_096), regex(pattern = HEADER_VALUE))]
    pub value: String,
}

/// Which provider a channel leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelMember<'a> {
    Messenger(&'a MessengerChannel),
    Http(&'a HttpChannel),
}

impl MessageChannelSpec {
    /// The one member that is set; `None` for a document that was never admitted.
    pub fn member(&self) -> Option<ChannelMember<'_>> {
        match (&self.messenger, &self.http) {
            (Some(messenger), None) => Some(ChannelMember::Messenger(messenger)),
            (None, Some(http)) => Some(ChannelMember::Http(http)),
            _ => None,
        }
    }

    /// The account's ceiling: as given, or the provider's default; `None` for a document that was never admitted.
    pub fn ceiling(&self) -> Option<Rate> {
        self.rate.or(match self.member()? {
            ChannelMember::Messenger(_) => Some(MESSENGER_RATE),
            ChannelMember::Http(_) => None,
        })
    }

    /// The keys the channel's Secret must hold, in the order they are named, without repetition.
    pub fn required_secret_keys(&self) -> Vec<String> {
        match self.member() {
            Some(ChannelMember::Messenger(_)) => vec![MESSENGER_ACCESS_TOKEN.to_owned()],
            Some(ChannelMember::Http(http)) => {
                let mut keys = Vec::new();
                for header in &http.headers {
                    for key in super::header::secret_keys(&header.value) {
                        if !keys.iter().any(|known| known == key) {
                            keys.push(key.to_owned());
                        }
                    }
                }
                keys
            }
            None => Vec::new(),
        }
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
    /// `Ready`, `Reconciling`, `Stalled` (a person must act) and `CredentialsVerified` (`Unknown` until first use).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// The member of the spec that is set: `Messenger` or `Http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ChannelProvider>,
    /// The account's rate, as configured and as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<ChannelRateStatus>,
    /// How many broadcasts are sending through this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub active_broadcasts: Option<u32>,
}

/// The name of a channel's member, for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChannelProvider {
    Messenger,
    Http,
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
    /// Nothing is sent before this instant, because the provider asked to hold; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub throttled_until_time: Option<Timestamp>,
}

fn headers_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": HttpHeader::json_schema(generator),
        "maxItems": MAX_HEADERS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}
