//! What answers of several providers have in common.

use http::StatusCode;
use serde_json::{Map, Value};

use super::Answer;
use crate::delivery::outcome::{Fault, Outcome};

/// The longest message id that is kept; real ones have up to some 120 characters.
const MAX_MESSAGE_ID: usize = 512;

/// The JSON object that a provider answered. What a proxy says in its place, and what is no object, tells nothing of the
/// message.
pub(super) fn json_object(answer: &Answer<'_>) -> Result<Map<String, Value>, Outcome> {
    if matches!(answer.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
        return Err(unknown("ProxyError", answer.status, "a proxy answered in the provider's place"));
    }
    match serde_json::from_slice(answer.body) {
        Ok(Value::Object(body)) => Ok(body),
        _ => Err(unknown("UnreadableAnswer", answer.status, "the answer is no JSON object")),
    }
}

/// The outcome of an answer that does not say what became of the message.
pub(super) fn unknown(reason: &str, status: StatusCode, message: &str) -> Outcome {
    Outcome::Unknown { fault: Fault::new(reason, Some(format!("http {}", status.as_u16())), message) }
}

/// The message was taken.
pub(super) fn accepted(id: &str) -> Outcome {
    Outcome::Accepted { provider_id: Some(id.chars().take(MAX_MESSAGE_ID).collect()) }
}

/// A number, or digits in a string: both have been recorded for codes.
pub(super) fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// A text that is not empty.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}
