//! The member `http`: any HTTP endpoint.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{ChannelAccount, ChannelProvider, MAX_URL, address};
use crate::api::header::{HEADER_VALUE, secret_keys};
use crate::api::rate::Rate;

/// The most request headers.
pub const MAX_HEADERS: usize = 32;
/// An absolute http(s) URL without credentials and fragment.
const URL: &str = r"^https?://[^ \t\r\n#@]+$";
/// A header's name (RFC 9110, token).
const HEADER_NAME: &str = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";

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

impl ChannelAccount for HttpChannel {
    fn provider(&self) -> ChannelProvider {
        ChannelProvider::Http
    }

    /// Host, port and path: a query may hold a key, so it is no part of the account's name.
    fn account(&self) -> String {
        address::host_and_path(&self.url)
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn default_rate(&self) -> Option<Rate> {
        None
    }

    fn required_secret_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for key in self.headers.iter().flat_map(|header| secret_keys(&header.value)) {
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
