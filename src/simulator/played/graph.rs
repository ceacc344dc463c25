//! Errors of Meta's Graph API, which Messenger and WhatsApp share.

use std::fmt::Write as _;

use ring::hmac;
use serde_json::json;

use crate::simulator::response::Response;

/// `code` or `code/subcode`.
pub(super) fn code(text: &str) -> Option<(i64, Option<i64>)> {
    match text.split_once('/') {
        Some((code, subcode)) => Some((code.parse().ok()?, Some(subcode.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}

/// How Meta signs what it tells.
pub(super) fn sign(app_secret: &str, body: &str) -> Vec<(&'static str, String)> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, app_secret.as_bytes());
    vec![("x-hub-signature-256", format!("sha256={}", hex(&hmac::sign(&key, body.as_bytes()))))]
}

/// A tag in lower-case hexadecimal.
pub(super) fn hex(tag: &hmac::Tag) -> String {
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// How much of the use case's hour is used. The wait is not known before all of it is.
pub(super) fn usage(use_case: &str, account: &str, percent: u64) -> (&'static str, String) {
    let counted = json!({
        "type": use_case,
        "call_count": percent,
        "total_cputime": percent / 4,
        "total_time": percent / 4,
        "estimated_time_to_regain_access": 0,
    });
    ("x-business-use-case-usage", json!({account: [counted]}).to_string())
}

pub(in crate::simulator) fn error(status: u16, code: i64, subcode: Option<i64>, message: &str) -> Response {
    let mut error = json!({"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Simulated00"});
    if let Some(subcode) = subcode {
        error["error_subcode"] = subcode.into();
    }
    if matches!(code, 1 | 2 | 4) {
        error["is_transient"] = true.into();
    }
    Response::json(status, &json!({ "error": error }))
}
