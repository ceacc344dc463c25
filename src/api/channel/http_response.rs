//! What the answers of an HTTP endpoint mean.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The most entries of statuses, and the most statuses of one entry.
pub const MAX_STATUSES: usize = 16;
/// The most codes: some tens is what an API documents.
pub const MAX_CODES: usize = 128;
/// The longest JSON pointer.
const MAX_POINTER: usize = 256;
/// A JSON pointer (RFC 6901) to a member.
const POINTER: &str = "^(/([^~/\\x00-\\x1f]|~[01])*)+$";
/// One status, or the first and the last of several.
const STATUSES: &str = "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$";

/// What answers mean. A code of the answer that is listed speaks first, then the status, then the default. Where a code is
/// looked for and one that is not listed comes with a status that means taken, the outcome is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.codes) || has(self.errorCodePointer)")
    .message("codes are looked for where errorCodePointer leads; set it").field_path(".errorCodePointer")
    .reason(Reason::FieldValueRequired))]
pub struct HttpResponse {
    /// What statuses mean, at most 16 entries; of several that name a status the first counts. Those that none names keep
    /// their default: 2xx `Accepted`, 429 `Throttled`, another 4xx `PermanentRecipient`, the rest `Unknown`. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "statuses_schema")]
    pub statuses: Vec<HttpStatusClass>,
    /// Where a JSON answer holds the endpoint's id of the message, as a JSON pointer such as `/data/id`, at most 256
    /// characters. It is kept with the result. Mutable.
    #[serde(rename = "messageIDPointer", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_POINTER), regex(pattern = POINTER))]
    pub message_id_pointer: Option<String>,
    /// Where a JSON answer holds the code of its error, as a JSON pointer such as `/error/code`, at most 256 characters. An
    /// answer in which it is missing, null, false or empty has none. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_POINTER), regex(pattern = POINTER))]
    pub error_code_pointer: Option<String>,
    /// Where a JSON answer says in words what is wrong, as a JSON pointer such as `/error/message`, at most 256 characters.
    /// Long numbers, mail addresses, what looks like a token, and values of the channel's Secret are struck out; do not point at
    /// words that name a recipient in another way, since they are shown. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_POINTER), regex(pattern = POINTER))]
    pub error_message_pointer: Option<String>,
    /// What codes mean, at most 128, each once. Mutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "codes_schema")]
    pub codes: Vec<HttpCodeClass>,
}

/// What some statuses mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpStatusClass {
    /// Statuses such as `409`, or ranges with both ends such as `500-599`, in quotes; 1 to 16. Required.
    #[schemars(schema_with = "status_list_schema")]
    #[x_kube(validation = Rule::new("self.all(s, s.split('-')[0] <= s.split('-')[s.split('-').size() - 1])")
        .message("a range begins with the lower status, as in 500-599"))]
    pub statuses: Vec<String>,
    /// What they mean: `Accepted` (the message was taken), `PermanentRecipient` (this recipient cannot be reached), `OptedOut`
    /// (this recipient wants no messages any more: every broadcast of the account skips them from then on), `PermanentMessage` (the message is refused, whoever it is for), `Throttled` (the account was too quick), `ThrottledRecipient` (this
    /// recipient was messaged too often), `Transient` (worth another try, and surely not taken), `Auth` (the credentials are refused: nobody is
    /// messaged until they are mended), `Blocked` (a person must look) or `Unknown`. Required.
    pub class: HttpClass,
}

/// What a code means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpCodeClass {
    /// The code as the answer holds it, 1 to 64 characters; for a number or `true`, its text, in quotes. Required.
    #[schemars(length(min = 1, max = 64))]
    pub code: String,
    /// What it means: as for statuses. Required.
    pub class: HttpClass,
}

/// The class of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpClass {
    Accepted,
    PermanentRecipient,
    OptedOut,
    PermanentMessage,
    Throttled,
    ThrottledRecipient,
    Transient,
    Auth,
    Blocked,
    Unknown,
}

impl HttpStatusClass {
    /// Whether it speaks for a status.
    pub fn names(&self, status: u16) -> bool {
        self.statuses.iter().any(|statuses| {
            let (first, last) = statuses.split_once('-').unwrap_or((statuses, statuses));
            matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&status))
        })
    }
}

fn statuses_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": HttpStatusClass::json_schema(generator),
        "maxItems": MAX_STATUSES,
        "x-kubernetes-list-type": "atomic",
    })
}

fn status_list_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "maxLength": 7, "pattern": STATUSES},
        "minItems": 1,
        "maxItems": MAX_STATUSES,
        "x-kubernetes-list-type": "atomic",
    })
}

fn codes_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": HttpCodeClass::json_schema(generator),
        "maxItems": MAX_CODES,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["code"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_both_its_ends() {
        let statuses = ["409".to_owned(), "500-503".to_owned()].into();
        let entry = HttpStatusClass { statuses, class: HttpClass::Transient };
        for (status, named) in [(408, false), (409, true), (410, false), (499, false), (500, true), (503, true)] {
            assert_eq!(entry.names(status), named, "{status}");
        }
        assert!(!entry.names(504));
    }
}
