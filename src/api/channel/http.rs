//! The member `http`: any HTTP endpoint.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::http_response::HttpResponse;
use super::{ChannelAccount, ChannelProvider, MAX_URL, address};
use crate::api::rate::Rate;
use crate::api::secret_keys::secret_keys;

/// The most request headers.
pub const MAX_HEADERS: usize = 32;
/// The longest template of a body.
const MAX_BODY: usize = 16_384;
/// The key of the channel's Secret that requests are signed with.
pub const HTTP_SIGNING_SECRET: &str = "signingSecret";
/// An http(s) URL without credentials and fragment, in which templates stand in path and query alone.
const URL: &str = r"^https?://[^ \t\r\n#@/?{}]+([/?][^\t\r\n#@]*)?$";
/// A header's name (RFC 9110, token).
const HEADER_NAME: &str = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";
/// Text without control characters.
const HEADER_VALUE: &str = r"^[^\x00-\x1f\x7f]*$";
/// A media type with parameters (RFC 9110, section 8.3.1).
const MEDIA_TYPE: &str = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+/[-!#$%&'*+.^_`|~0-9A-Za-z]+( *; *[-!#$%&'*+.^_`|~0-9A-Za-z]+=[-!#$%&'*+.^_`|~0-9A-Za-z\"]+)*$";

/// Any HTTP endpoint: each message is one request, by default a POST of the JSON object `{"id": …, "text": …, "vars": {…}}`,
/// with `attachments` where there are some. `url`, `headers` and `body` are templates. They know `id` (the recipient's), `text` (the message), `attachments` (a list of
/// `type` and `url`), `vars.NAME` (a variable of the recipient), `message_id` (the same for each attempt at this message, for endpoints that take a key of
/// idempotency) and `secret.KEY` (a key of the channel's Secret). By default 2xx means taken, 429 throttled, another 4xx that
/// this recipient cannot be reached, anything else that the outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.method != 'GET' || !has(self.body)")
        .message("a GET has no body; put what the endpoint needs into the query of url").field_path(".body"),
    validation = Rule::new("!has(self.contentType) || has(self.body)")
        .message("contentType describes a body of your own; without one it is application/json").field_path(".contentType"),
    validation = Rule::new(
        "!has(self.signing) || !has(self.headers) || self.headers.all(h, !h.name.lowerAscii().startsWith('webhook-'))"
    ).message("signing sets the headers webhook-id, webhook-timestamp and webhook-signature").field_path(".headers")
)]
pub struct HttpChannel {
    /// Where each message is sent: an http(s) URL without user, password and fragment, at most 2048 characters. Path and query
    /// may hold templates, e.g. `https://gate.example/contacts/{{ id }}/messages`; what stands for them is percent-encoded.
    /// Immutable. Required.
    #[schemars(length(min = 1, max = MAX_URL), regex(pattern = URL))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another endpoint make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub url: String,
    /// The method of each request: `POST` (the default), `PUT`, `PATCH`, or `GET`, which has no body. Mutable.
    #[serde(default)]
    pub method: HttpMethod,
    /// Headers of each request, at most 32, beside `Content-Type`. Names must be unique, whatever their case. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "headers_schema")]
    #[x_kube(validation = Rule::new(
        "self.all(h, self.exists_one(other, other.name.lowerAscii() == h.name.lowerAscii()))"
    ).message("names of headers must be unique, whatever their case"))]
    pub headers: Vec<HttpHeader>,
    /// The body of each request as a template, at most 16384 characters. What stands for its names is escaped for
    /// `contentType`: JSON values come with their own quotes, as in `{"to": {{ id }}, "text": {{ text }}}`, forms are
    /// percent-encoded, XML is escaped, other types are not. By default the JSON object of `id`, `text` and `vars`. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_BODY))]
    pub body: Option<String>,
    /// What kind of text `body` is: a media type of at most 128 characters, default `application/json`. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 128), regex(pattern = MEDIA_TYPE))]
    pub content_type: Option<String>,
    /// What answers mean, where the default does not fit. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<HttpResponse>,
    /// How each request is signed, so that the endpoint can tell where it is from: `StandardWebhooks` sets the headers
    /// `webhook-id` (the `message_id`), `webhook-timestamp` and `webhook-signature`, with the key `signingSecret` of the
    /// channel's Secret: `whsec_…` (HMAC-SHA256) or `whsk_…` (Ed25519), or two of them separated by a space while the endpoint
    /// changes over. By default nothing is signed. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<HttpSigning>,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    #[default]
    Post,
    Put,
    Patch,
    Get,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpSigning {
    StandardWebhooks,
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
    /// The header's value as a template, at most 4096 characters on one line, e.g. `Bearer {{ secret.token }}` or
    /// `Basic {{ (secret.user ~ ':' ~ secret.password) | b64encode }}`; secrets themselves do not belong here. Required.
    #[schemars(length(max = 4_096), regex(pattern = HEADER_VALUE))]
    pub value: String,
}

impl HttpChannel {
    /// Its templates, each with where it stands.
    fn templates(&self) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter().map(|header| header.value.as_str());
        std::iter::once(self.url.as_str()).chain(headers).chain(self.body.as_deref())
    }
}

impl ChannelAccount for HttpChannel {
    fn provider(&self) -> ChannelProvider {
        ChannelProvider::Http
    }

    /// Host, port and path up to the first template: a query may hold a key, so it is no part of the account's name.
    fn account(&self) -> String {
        address::host_and_path(address::before_templates(&self.url))
    }

    fn url(&self) -> &str {
        address::before_templates(&self.url)
    }

    fn default_rate(&self) -> Option<Rate> {
        None
    }

    fn required_secret_keys(&self) -> Vec<String> {
        let signing = self.signing.map(|_| HTTP_SIGNING_SECRET);
        let mut keys: Vec<String> = Vec::new();
        for key in self.templates().flat_map(secret_keys).chain(signing) {
            if !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
        keys
    }
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
