//! Audiences that are read from elsewhere when the plan is made.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::{DATA_KEY, MAX_NAME, OBJECT_NAME, ObjectRef};

/// The key of a Secret of headers that says where its headers may go; all other keys are headers.
pub const ALLOWED_HOSTS: &str = "allowedHosts";
/// The longest URL.
const MAX_URL: usize = 2_048;
/// An absolute http(s) URL without user, password and fragment.
const URL: &str = r"^https?://[^ \t\r\n#@/?]+([/?][^ \t\r\n#]*)?$";
/// The longest JSON pointer, and the longest name of a query parameter.
const MAX_POINTER: usize = 256;
const MAX_PARAMETER: usize = 128;
/// The longest query, in characters: several screens.
const MAX_QUERY: usize = 16_384;
/// A JSON pointer (RFC 6901).
const POINTER: &str = "^(/([^~/\\x00-\\x1f]|~[01])*)*$";
/// A query parameter's name, as it may stand in a URL.
const PARAMETER: &str = "^[-._~0-9A-Za-z\\[\\]]+$";

/// Recipients that an HTTP server gives: CSV with a header row, NDJSON, or JSON that holds a list of flat objects. Pages
/// follow each other by the header `Link: …; rel="next"`, or by `nextPage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.recipientsPointer) || !has(self.format) || self.format == 'JSON'")
        .message("only a JSON answer has a list to point at; CSV and NDJSON are paged by the header Link").field_path(".recipientsPointer"),
    validation = Rule::new("!has(self.nextPage) || has(self.recipientsPointer)")
        .message("an answer that names its next page has its list somewhere below: say where").field_path(".recipientsPointer")
        .reason(Reason::FieldValueRequired)
)]
pub struct HttpSource {
    /// Where the recipients are asked for, by GET: an http(s) URL without user, password and fragment, 1 to 2048 characters.
    /// It is read by the sender, from its pod. Credentials belong into `headersSecretRef`, not into the URL. Required.
    #[schemars(length(min = 1, max = MAX_URL), regex(pattern = URL))]
    pub url: String,
    /// A Secret of the same namespace with headers for the requests: each key is the name of a header, its value the header's
    /// value. The key `allowedHosts` is required and no header: it lists the hosts that may be sent them, e.g. `crm.example`
    /// or `crm.example:8443`, with spaces, commas or line breaks between; nothing is asked of any other. They are sent by
    /// https only, unless an entry says `http://crm.example`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<ObjectRef>,
    /// How the answer is written: `CSV`, `NDJSON` or `JSON`. By default its content type tells, or else the ending of the
    /// URL's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<HttpFormat>,
    /// Where the list is in a JSON answer, as a JSON pointer such as `/data/people`, at most 256 characters. By default the
    /// answer itself is the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_POINTER), regex(pattern = POINTER))]
    pub recipients_pointer: Option<String>,
    /// How a JSON answer names the page after it. By default the header Link does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<NextPage>,
    /// How many seconds the server may stay silent, before an answer and within it: 1 to 600, default 60.
    #[serde(default = "http_timeout_seconds")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: u32,
}

fn http_timeout_seconds() -> u32 {
    60
}

/// How an HTTP answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpFormat {
    #[serde(rename = "CSV")]
    Csv,
    #[serde(rename = "NDJSON")]
    Ndjson,
    #[serde(rename = "JSON")]
    Json,
}

/// Where a JSON answer says how it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextPage {
    /// Where the answer holds it, as a JSON pointer such as `/meta/next`, 1 to 256 characters. An answer in which it is
    /// missing, null, false or empty is the last one; in the first one at least what holds it must be there. Required.
    #[schemars(length(min = 1, max = MAX_POINTER), regex(pattern = POINTER))]
    pub pointer: String,
    /// The query parameter of `url` that takes the value, e.g. `cursor`, 1 to 128 characters. Without it the value is the next
    /// page's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PARAMETER), regex(pattern = PARAMETER))]
    pub parameter: Option<String>,
}

/// Recipients that one query of a database gives, each row one of them: the column `id`, and every other column as a
/// variable. NULL and an empty text are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlSource {
    /// The key of a Secret of the same namespace that holds the URL of the database: `postgres://USER:PASSWORD@HOST/NAME`,
    /// `mysql://USER:PASSWORD@HOST/NAME` (MariaDB too) or `sqlite:PATH`. It is read by the sender, from its pod. Required.
    pub url_secret_key_ref: SecretKeyRef,
    /// One SELECT (or WITH, VALUES), 1 to 16384 characters. It runs in a transaction that may only read; one that writes is
    /// refused. Give it an ORDER BY where the order of the recipients matters. Required.
    #[schemars(length(min = 1, max = MAX_QUERY))]
    pub query: String,
    /// How many seconds the query may take until all its rows are read: 1 to 21600, default 900.
    #[serde(default = "sql_timeout_seconds")]
    #[schemars(range(min = 1, max = 21_600))]
    pub timeout_seconds: u32,
}

fn sql_timeout_seconds() -> u32 {
    900
}

/// One key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name, in the same namespace: 1 to 253 characters. Required.
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// The key in it, 1 to 253 characters. Required.
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = DATA_KEY))]
    pub key: String,
}
