//! What a channel says of its endpoint's answers: by the code in them first, then by the status, then by default.

use std::collections::BTreeMap;

use herald::delivery::outcome::Outcome;
use herald::provider::http::Http;
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{classify, summary};

/// The endpoint of a channel whose Secret has one key.
pub fn endpoint(channel: Value) -> Http {
    let secrets = BTreeMap::from([("token".to_owned(), SecretString::from("hunter2"))]);
    Http::new(&serde_json::from_value(channel).unwrap(), secrets).unwrap()
}

fn told(response: Value) -> Http {
    endpoint(json!({"url": "https://gate.example/send", "response": response}))
}

fn assert_classes(http: &Http, cases: &[(u16, &str, &str, &str, &str)]) {
    for (status, body, class, reason, code) in cases {
        let outcome = classify(http, *status, &HeaderMap::new(), body);
        let expected = (class.to_string(), reason.to_string(), code.to_string());
        assert_eq!(summary(&outcome), expected, "{status} {body}");
    }
}

#[test]
fn statuses_are_classed_by_the_first_entry_that_names_them() {
    let http = told(json!({"statuses": [
        {"statuses": ["409", "208"], "class": "Accepted"},
        {"statuses": ["401", "403"], "class": "Auth"},
        {"statuses": ["400-499"], "class": "PermanentMessage"},
        {"statuses": ["503"], "class": "Transient"},
        {"statuses": ["500-599"], "class": "Blocked"},
        {"statuses": ["202"], "class": "ThrottledRecipient"},
        {"statuses": ["302"], "class": "Throttled"},
        {"statuses": ["204"], "class": "Unknown"},
    ]}));
    assert_classes(
        &http,
        &[
            (200, "", "Accepted", "", ""),
            (409, "", "Accepted", "", ""),
            (401, "", "Auth", "Unauthorized", "401"),
            (404, "", "Message", "NotFound", "404"),
            (429, "", "Message", "TooManyRequests", "429"),
            (503, "", "Transient", "ServerError", "503"),
            (502, "", "Blocked", "ServerError", "502"),
            (202, "", "ThrottledRecipient", "UnexpectedStatus", "202"),
            (302, "", "Throttled", "Redirected", "302"),
            (204, "", "Unknown", "UnexpectedStatus", "204"),
            (100, "", "Unknown", "UnexpectedStatus", "100"),
        ],
    );
}

#[test]
fn a_listed_code_of_the_answer_speaks_before_its_status() {
    let http = told(json!({
        "statuses": [{"statuses": ["503"], "class": "Transient"}],
        "errorCodePointer": "/error/code",
        "codes": [
            {"code": "opted_out", "class": "PermanentRecipient"},
            {"code": "17", "class": "Throttled"},
            {"code": "0", "class": "Accepted"},
            {"code": "true", "class": "Blocked"},
        ],
    }));
    assert_classes(
        &http,
        &[
            (200, r#"{"error":{"code":"opted_out"}}"#, "Recipient", "ErrorCode", "opted_out"),
            (503, r#"{"error":{"code":17}}"#, "Throttled", "ErrorCode", "17"),
            (500, r#"{"error":{"code":0}}"#, "Accepted", "", ""),
            (200, r#"{"error":{"code":true}}"#, "Blocked", "ErrorCode", "true"),
            // A code that is not listed: the status tells, unless it says that all is well.
            (503, r#"{"error":{"code":"busy"}}"#, "Transient", "ServerError", "busy"),
            (400, r#"{"error":{"code":"busy"}}"#, "Recipient", "BadRequest", "busy"),
            (200, r#"{"error":{"code":"busy"}}"#, "Unknown", "UnrecognisedError", "busy"),
            (200, r#"{"error":{"code":{"a":1}}}"#, "Unknown", "UnrecognisedError", r#"{"a":1}"#),
            // No code.
            (200, r#"{"error":null}"#, "Accepted", "", ""),
            (200, r#"{"error":{"code":""}}"#, "Accepted", "", ""),
            (200, r#"{"error":{"code":false}}"#, "Accepted", "", ""),
            (200, r#"{"error":{"code":[]}}"#, "Accepted", "", ""),
            (204, "", "Accepted", "", ""),
            // Whether there is one cannot be told.
            (200, "<html>sign in</html>", "Unknown", "UnreadableAnswer", "200"),
            (404, "<html>not here</html>", "Recipient", "NotFound", "404"),
        ],
    );
}

#[test]
fn the_endpoints_id_of_a_message_is_kept_whatever_its_type() {
    let http = told(json!({"messageIDPointer": "/messages/0/id"}));
    for (body, id) in [
        (r#"{"messages":[{"id":"abc-1"}]}"#, Some("abc-1")),
        (r#"{"messages":[{"id":7001}]}"#, Some("7001")),
        (r#"{"messages":[]}"#, None),
        ("ok", None),
    ] {
        let expected = Outcome::Accepted { provider_id: id.map(str::to_owned) };
        assert_eq!(classify(&http, 200, &HeaderMap::new(), body), expected, "{body}");
    }
}

#[test]
fn the_endpoints_words_are_shown_without_secrets_addresses_and_long_numbers() {
    let http = told(json!({"errorMessagePointer": "/detail", "errorCodePointer": "/code"}));
    let body = r#"{"code": "no hunter2", "detail": "token hunter2 may not write to ana@example.com or 24005550001 in plan 7"}"#;
    let Outcome::Permanent { fault, .. } = classify(&http, 403, &HeaderMap::new(), body) else { panic!() };
    assert_eq!(fault.message, "the endpoint answered 403 (Forbidden): token […] may not write to […] or […] in plan 7");
    assert_eq!(fault.code.as_deref(), Some("no […]"));
}

#[test]
fn a_cut_answer_is_not_guessed_at() {
    let http = told(json!({"errorCodePointer": "/code"}));
    assert_classes(&http, &[(200, r#"{"text": "cut of"#, "Unknown", "UnreadableAnswer", "200")]);
}
