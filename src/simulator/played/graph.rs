//! Errors of Meta's Graph API, which Messenger and WhatsApp share.

use serde_json::json;

use crate::simulator::response::Response;

/// `code` or `code/subcode`.
pub(super) fn code(text: &str) -> Option<(i64, Option<i64>)> {
    match text.split_once('/') {
        Some((code, subcode)) => Some((code.parse().ok()?, Some(subcode.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}

pub(super) fn error(status: u16, code: i64, subcode: Option<i64>, message: &str) -> Response {
    let mut error = json!({"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Simulated00"});
    if let Some(subcode) = subcode {
        error["error_subcode"] = subcode.into();
    }
    if matches!(code, 1 | 2 | 4) {
        error["is_transient"] = true.into();
    }
    Response::json(status, &json!({ "error": error }))
}
