//! Every row of every provider's table, each with an answer body: recorded where one is known, else composed from
//! the documentation. A row without a sample fails here, and so does a sample that no row speaks for.

#![allow(clippy::unwrap_used)]

#[path = "provider_table/endpoint.rs"]
mod endpoint;
#[path = "provider_table/slack.rs"]
mod slack;
#[path = "provider_table/telegram.rs"]
mod telegram;
#[path = "provider_table/twilio.rs"]
mod twilio;
#[path = "provider_table/whatsapp.rs"]
mod whatsapp;

use std::collections::BTreeMap;

use herald::content::Extras;
use herald::delivery::outcome::{Cap, Outcome, PermanentScope, ThrottleScope};
use herald::delivery::time::Timestamp;
use herald::provider::error_table::ErrorRow;
use herald::provider::graph::errors;
use herald::provider::messenger::graph_errors::GRAPH_ERRORS;
use herald::provider::messenger::{Messenger, MessengerAccount};
use herald::provider::{Answer, Message, Provider};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};

/// The class of an outcome in one word, with a cap where there is one, and its reason and code.
fn summary(outcome: &Outcome) -> (String, String, String) {
    let (class, fault) = match outcome {
        Outcome::Accepted { .. } => return ("Accepted".into(), String::new(), String::new()),
        Outcome::Permanent { scope: PermanentScope::Recipient, fault } => ("Recipient".to_owned(), fault),
        Outcome::Permanent { scope: PermanentScope::OptedOut, fault } => ("OptedOut".to_owned(), fault),
        Outcome::Permanent { scope: PermanentScope::MarketingStopped, fault } => ("MarketingStopped".to_owned(), fault),
        Outcome::Permanent { scope: PermanentScope::Message, fault } => ("Message".to_owned(), fault),
        Outcome::Auth { fault } => ("Auth".to_owned(), fault),
        Outcome::Throttled { scope: ThrottleScope::Account, fault, .. } => ("Throttled".to_owned(), fault),
        Outcome::Throttled { scope: ThrottleScope::Recipient, fault, .. } => ("ThrottledRecipient".to_owned(), fault),
        Outcome::Transient { cap: None, fault } => ("Transient".to_owned(), fault),
        Outcome::Transient { cap: Some(Cap { tries, then }), fault } => {
            (format!("Transient at most {tries}, then {then:?}"), fault)
        }
        Outcome::Blocked { fault } => ("Blocked".to_owned(), fault),
        Outcome::Unknown { fault } => ("Unknown".to_owned(), fault),
        Outcome::NotSent { .. } | Outcome::AttachmentGone { .. } | Outcome::NotBegun => {
            panic!("an answer is never {outcome:?}")
        }
    };
    (class, fault.reason.clone(), fault.code.clone().unwrap_or_default())
}

fn messenger() -> Messenger {
    Messenger::new(MessengerAccount {
        page_id: "1906385232743451".into(),
        api_version: "v25.0".into(),
        base_url: "https://graph.facebook.com".into(),
        access_token: SecretString::from("EAAB-test-token"),
        app_secret: None,
    })
    .unwrap()
}

/// One answer of a provider with an error: HTTP status, body, expected class, reason, code.
type Sample = (u16, &'static str, &'static str, &'static str, &'static str);

/// Classifies each sample and finds its row, and every row has a sample.
fn every_row_has_its_sample<E: PartialEq + std::fmt::Debug>(
    provider: &dyn Provider,
    rows: &'static [ErrorRow<E>],
    samples: &[Sample],
    find: impl Fn(&Value) -> Option<&'static ErrorRow<E>>,
) {
    let mut unseen: Vec<_> = rows.iter().collect();
    for (status, body, class, reason, code) in samples {
        let expected = (class.to_string(), reason.to_string(), code.to_string());
        assert_eq!(summary(&classify(provider, *status, &HeaderMap::new(), body)), expected, "{body}");
        let row = find(&serde_json::from_str(body).unwrap()).unwrap_or_else(|| panic!("no row speaks for {body}"));
        unseen.retain(|other| *other != row);
    }
    assert!(unseen.is_empty(), "rows without a sample: {unseen:#?}");
    for row in rows {
        assert!(row.reason.starts_with(|first: char| first.is_ascii_uppercase()) && !row.source.is_empty(), "{row:?}");
    }
}

fn classify(provider: &dyn Provider, status: u16, headers: &HeaderMap, body: &str) -> Outcome {
    provider.classify(&Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.as_bytes(),
        body_truncated: false,
        received_at: Timestamp::EPOCH,
    })
}

/// HTTP status, the `error` object, expected class, reason.
type GraphSample = (u16, &'static str, &'static str, &'static str);

const GRAPH_SAMPLES: &[GraphSample] = &[
    // Recorded or printed by the provider; trace ids invented where the record had none.
    (
        400,
        r##"{"message":"(#613) Calls to this api have exceeded the rate limit.","type":"OAuthException","code":613,"fbtrace_id":"C8eF69zBeUS"}"##,
        "Throttled",
        "CallRateLimit",
    ),
    (
        403,
        r##"{"message":"(#4) Application request limit reached","type":"OAuthException","is_transient":true,"code":4,"fbtrace_id":"A1b2C3d4E5f"}"##,
        "Throttled",
        "AppRateLimit",
    ),
    (
        400,
        r##"{"message":"(#551) This person isn't available right now.","type":"OAuthException","code":551,"error_subcode":1545041,"fbtrace_id":"G3GRmtpZiq6"}"##,
        "Recipient",
        "PersonUnavailable",
    ),
    (
        400,
        r##"{"message":"(#10) This message is sent outside of allowed window.","type":"OAuthException","code":10,"error_subcode":2018278,"fbtrace_id":"AbCdEfGhIjK"}"##,
        "Recipient",
        "WindowClosed",
    ),
    (
        400,
        r##"{"message":"(#10) This message is sent outside of allowed window.","type":"OAuthException","code":10,"error_subcode":2018065,"fbtrace_id":"AbCdEfGhIjK"}"##,
        "Recipient",
        "WindowClosed",
    ),
    (
        400,
        r##"{"message":"Invalid OAuth access token.","type":"OAuthException","code":190,"error_subcode":1234567,"fbtrace_id":"BLBz/WZt8dN"}"##,
        "Auth",
        "TokenInvalid",
    ),
    (
        400,
        r##"{"message":"API calls from the server require an appsecret_proof argument","type":"GraphMethodException","code":100,"fbtrace_id":"AbCdEfGhIjK"}"##,
        "Auth",
        "AppSecretProofRefused",
    ),
    (
        400,
        r##"{"message":"Invalid appsecret_proof provided in the API argument","type":"GraphMethodException","code":100,"fbtrace_id":"AbCdEfGhIjK"}"##,
        "Auth",
        "AppSecretProofRefused",
    ),
    (
        400,
        r##"{"message":"Unsupported post request. Object with ID '1029384756' does not exist, cannot be loaded due to missing permissions, or does not support this operation.","type":"GraphMethodException","code":100,"error_subcode":33,"fbtrace_id":"Eof0WSQydlq"}"##,
        "Auth",
        "PageNotFound",
    ),
    (
        400,
        r##"{"message":"Error validating access token: Session has expired","type":"OAuthException","code":190,"error_subcode":463,"fbtrace_id":"AbCdEfGhIjK"}"##,
        "Auth",
        "TokenExpired",
    ),
    (
        400,
        r##"{"message":"Invalid parameter","type":"OAuthException","code":100,"fbtrace_id":"AbCdEfGhIjK"}"##,
        "Message",
        "InvalidParameter",
    ),
    // Composed from the documentation.
    (
        400,
        r##"{"message":"(#100) No matching user found","type":"OAuthException","code":100,"error_subcode":2018001}"##,
        "Recipient",
        "WrongPage",
    ),
    (
        500,
        r##"{"message":"(#1200) Temporary send message failure. Please try again later.","type":"OAuthException","code":1200}"##,
        "Transient",
        "TemporarySendFailure",
    ),
    (500, r##"{"message":"An unknown error occurred","type":"OAuthException","code":1}"##, "Transient", "Temporary"),
    (
        500,
        r##"{"message":"An unknown error occurred.","type":"OAuthException","code":1,"error_subcode":99}"##,
        "Transient at most 2, then Message",
        "UnknownError",
    ),
    (
        500,
        r##"{"message":"Received invalid JSON reply.","type":"OAuthException","code":1,"error_subcode":1357046,"is_transient":true}"##,
        "Unknown",
        "SentInSpiteOfError",
    ),
    (
        503,
        r##"{"message":"An unexpected error has occurred. Please retry your request later.","type":"OAuthException","is_transient":true,"code":2}"##,
        "Transient at most 3, then Recipient",
        "TemporaryOrBlockedByPerson",
    ),
    (
        400,
        r##"{"message":"Service temporarily unavailable","type":"OAuthException","is_transient":true,"code":2,"error_subcode":2018344}"##,
        "Auth",
        "LabelTermsNotAccepted",
    ),
    (
        400,
        r##"{"message":"(#1200) Temporary send message failure.","type":"OAuthException","code":1200,"error_subcode":2018024}"##,
        "Transient",
        "TemporarySendFailure",
    ),
    (
        400,
        r##"{"message":"Too many send requests to phone numbers","type":"OAuthException","code":4,"error_subcode":2018022}"##,
        "Throttled",
        "TooManySends",
    ),
    (
        400,
        r##"{"message":"User request limit reached","type":"OAuthException","code":17}"##,
        "Throttled",
        "UserRateLimit",
    ),
    (
        400,
        r##"{"message":"(#32) Page request limit reached","type":"OAuthException","code":32}"##,
        "Throttled",
        "PageRateLimit",
    ),
    (
        400,
        r##"{"message":"Application limit reached","type":"OAuthException","code":341}"##,
        "Throttled",
        "ApplicationLimit",
    ),
    (
        400,
        r##"{"message":"There has to be a minimum delay between 2 notifications","type":"OAuthException","code":4,"error_subcode":2018354}"##,
        "Recipient",
        "FrequencyCapped",
    ),
    (
        400,
        r##"{"message":"User is performing too many actions","type":"OAuthException","code":9,"error_subcode":2018352}"##,
        "Recipient",
        "FrequencyCapped",
    ),
    (
        400,
        r##"{"message":"(#10) This message is sent outside of allowed window.","type":"OAuthException","code":10,"error_subcode":2018276}"##,
        "Recipient",
        "WindowClosed",
    ),
    (
        400,
        r##"{"message":"(#10) This message is sent outside of allowed window.","type":"OAuthException","code":10,"error_subcode":2534022}"##,
        "Recipient",
        "WindowClosed",
    ),
    (
        400,
        r##"{"message":"(#10) The person does not accept messages","type":"OAuthException","code":10,"error_subcode":2018108}"##,
        "OptedOut",
        "MessagesNotAccepted",
    ),
    (
        400,
        r##"{"message":"(#551) This person isn't available right now.","type":"OAuthException","code":551}"##,
        "Recipient",
        "PersonUnavailable",
    ),
    (
        400,
        r##"{"message":"(#200) This person isn't receiving messages from you right now.","type":"OAuthException","code":200,"error_subcode":1545041}"##,
        "Recipient",
        "PersonUnavailable",
    ),
    (
        400,
        r##"{"message":"(#100) Not addressable from this page","type":"OAuthException","code":100,"error_subcode":33}"##,
        "Recipient",
        "WrongPage",
    ),
    (
        400,
        r##"{"message":"(#10303) Account linking","type":"OAuthException","code":10303}"##,
        "Recipient",
        "AccountLinking",
    ),
    (
        400,
        r##"{"message":"(#100) Message cannot be empty","type":"OAuthException","code":100,"error_subcode":2018034}"##,
        "Message",
        "EmptyMessage",
    ),
    (
        400,
        r##"{"message":"Attachment size exceeds allowable limit","type":"OAuthException","code":100,"error_subcode":2018109}"##,
        "Message",
        "AttachmentTooLarge",
    ),
    (
        400,
        r##"{"message":"(#100) Failed to fetch the file from the url","type":"OAuthException","code":100,"error_subcode":2018008}"##,
        "Message",
        "AttachmentFailed",
    ),
    (
        400,
        r##"{"message":"(#100) Upload attachment failure.","type":"OAuthException","code":100,"error_subcode":2018047}"##,
        "Message",
        "AttachmentFailed",
    ),
    (
        400,
        r##"{"message":"(#100) Upload attachment failure.","type":"OAuthException","code":100,"error_subcode":2018294}"##,
        "Message",
        "AttachmentFailed",
    ),
    (
        400,
        r##"{"message":"(#100) Invalid attachment id","type":"OAuthException","code":100,"error_subcode":2018074}"##,
        "Message",
        "AttachmentNotFound",
    ),
    (
        400,
        r##"{"message":"Error validating access token","type":"OAuthException","code":190,"error_subcode":458}"##,
        "Auth",
        "AppNotInstalled",
    ),
    (
        400,
        r##"{"message":"Error validating access token","type":"OAuthException","code":190,"error_subcode":459}"##,
        "Auth",
        "AccountCheckpointed",
    ),
    (
        400,
        r##"{"message":"Error validating access token","type":"OAuthException","code":190,"error_subcode":460}"##,
        "Auth",
        "PasswordChanged",
    ),
    (
        400,
        r##"{"message":"Error validating access token","type":"OAuthException","code":190,"error_subcode":464}"##,
        "Auth",
        "AccountUnconfirmed",
    ),
    (
        400,
        r##"{"message":"Error validating access token","type":"OAuthException","code":190,"error_subcode":467}"##,
        "Auth",
        "TokenInvalid",
    ),
    (
        401,
        r##"{"message":"Session key invalid or no longer valid","type":"OAuthException","code":102}"##,
        "Auth",
        "SessionInvalid",
    ),
    (400, r##"{"message":"Incorrect signature","type":"OAuthException","code":104}"##, "Auth", "SignatureInvalid"),
    (
        500,
        r##"{"message":"(#3) Application does not have the capability to make this API call.","type":"OAuthException","code":3}"##,
        "Auth",
        "PermissionDenied",
    ),
    (
        403,
        r##"{"message":"(#10) Application does not have permission for this action","type":"OAuthException","code":10}"##,
        "Auth",
        "PermissionDenied",
    ),
    (
        403,
        r##"{"message":"(#200) Requires extended permission: pages_messaging","type":"OAuthException","code":200}"##,
        "Auth",
        "PermissionDenied",
    ),
    (
        403,
        r##"{"message":"(#299) Permission","type":"OAuthException","code":299,"error_subcode":5}"##,
        "Auth",
        "PermissionDenied",
    ),
    (
        403,
        r##"{"message":"(#230) Requires pages_messaging permission to manage the object","type":"OAuthException","code":230}"##,
        "Auth",
        "MessagingPermissionMissing",
    ),
    (
        400,
        r##"{"message":"Utility template","type":"OAuthException","code":1689001}"##,
        "Auth",
        "UtilityPermissionMissing",
    ),
    (
        400,
        r##"{"message":"Utility template","type":"OAuthException","code":100,"error_subcode":1689001}"##,
        "Auth",
        "UtilityPermissionMissing",
    ),
    (
        400,
        r##"{"message":"The action attempted has been deemed abusive or is otherwise disallowed","type":"OAuthException","code":368}"##,
        "Blocked",
        "TemporarilyBlocked",
    ),
    (
        400,
        r##"{"message":"The ability to send has been temporarily disabled after a policy violation.","type":"OAuthException","code":2022}"##,
        "Blocked",
        "FeatureDisabled",
    ),
    (
        400,
        r##"{"message":"(#10) Sending is restricted","type":"OAuthException","code":10,"error_subcode":2018300}"##,
        "Blocked",
        "SendingRestricted",
    ),
];

#[test]
fn every_row_of_the_messenger_table_classifies_its_sample() {
    let messenger = messenger();
    let headers = HeaderMap::new();
    let mut unseen: Vec<_> = GRAPH_ERRORS.iter().collect();
    for (status, error, class, reason) in GRAPH_SAMPLES {
        let body = format!(r#"{{"error":{error}}}"#);
        let answer = Answer {
            status: StatusCode::from_u16(*status).unwrap(),
            headers: &headers,
            body: body.as_bytes(),
            body_truncated: false,
            received_at: Timestamp::EPOCH,
        };
        let parsed: Value = serde_json::from_str(error).unwrap();
        let (code, subcode) = (parsed["code"].as_i64().unwrap(), parsed["error_subcode"].as_i64());
        let shown = subcode.map_or(code.to_string(), |subcode| format!("{code}/{subcode}"));
        let expected = (class.to_string(), reason.to_string(), shown);
        assert_eq!(summary(&messenger.classify(&answer)), expected, "{error}");

        let row = errors::find(GRAPH_ERRORS, code, subcode, parsed["type"].as_str());
        let row = row.unwrap_or_else(|| panic!("no row speaks for {error}"));
        unseen.retain(|other| *other != row);
    }
    assert!(unseen.is_empty(), "rows without a sample: {unseen:#?}");
}

#[test]
fn a_recorded_success_of_messenger_is_accepted_with_its_id() {
    let body = br#"{"recipient_id":"5489932777711223","message_id":"m_AG5Hz2Uq7tuwNEhXfYYKj8mJEM_QPpz5jdCK48PnKAjSdjfipqxqMvK8ma6AC8fplwlqLP_5cgXIbu7I3rBN0P"}"#;
    let answer = Answer {
        status: StatusCode::OK,
        headers: &HeaderMap::new(),
        body,
        body_truncated: false,
        received_at: Timestamp::EPOCH,
    };
    let id = "m_AG5Hz2Uq7tuwNEhXfYYKj8mJEM_QPpz5jdCK48PnKAjSdjfipqxqMvK8ma6AC8fplwlqLP_5cgXIbu7I3rBN0P";
    assert_eq!(messenger().classify(&answer), Outcome::Accepted { provider_id: Some(id.into()) });
}

#[test]
fn a_huge_answer_of_messenger_that_was_cut_is_unknown() {
    let body = format!(r#"{{"recipient_id":"1","message_id":"m_1","padding":"{}"#, "x".repeat(60_000));
    let answer = Answer {
        status: StatusCode::OK,
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
        body_truncated: true,
        received_at: Timestamp::EPOCH,
    };
    assert_eq!(summary(&messenger().classify(&answer)).0, "Unknown");
}

#[test]
fn every_status_of_an_http_endpoint_has_its_class() {
    let http = endpoint::endpoint(json!({"url": "https://gate.example/send"}));
    let named = [
        (400, "BadRequest"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (410, "Gone"),
        (422, "BadRequest"),
    ];
    for code in 100..=999_u16 {
        let answer = Answer {
            status: StatusCode::from_u16(code).unwrap(),
            headers: &HeaderMap::new(),
            body: b"{\"id\":\"24005550001\"}",
            body_truncated: false,
            received_at: Timestamp::EPOCH,
        };
        let outcome = http.classify(&answer);
        let reason_of_4xx = named.iter().find(|(named, _)| *named == code).map_or("Rejected", |(_, reason)| reason);
        let (class, reason) = match code {
            200..=299 => ("Accepted", ""),
            429 => ("Throttled", "TooManyRequests"),
            400..=499 => ("Recipient", reason_of_4xx),
            300..=399 => ("Unknown", "Redirected"),
            500..=599 => ("Unknown", "ServerError"),
            _ => ("Unknown", "UnexpectedStatus"),
        };
        let (actual_class, actual_reason, _) = summary(&outcome);
        assert_eq!((actual_class.as_str(), actual_reason.as_str()), (class, reason), "status {code}");
        assert!(!format!("{outcome:?}").contains("24005550001"), "the body may hold ids");
    }
}

#[test]
fn an_http_endpoints_retry_after_is_honoured() {
    let http = endpoint::endpoint(json!({"url": "https://gate.example/send"}));
    let wish = |value: &'static str| {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        let status = StatusCode::TOO_MANY_REQUESTS;
        let received_at = Timestamp::EPOCH;
        match http.classify(&Answer { status, headers: &headers, body: b"", body_truncated: false, received_at }) {
            Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, .. } => retry_after_ms,
            other => panic!("expected Throttled, got {other:?}"),
        }
    };
    assert_eq!(wish("120"), Some(120_000));
    assert_eq!(wish("0.5"), Some(500));
    assert_eq!(wish("Thu, 01 Jan 1970 00:00:30 GMT"), Some(30_000));
    assert_eq!(wish("soon"), None);
}

#[test]
fn providers_are_usable_behind_one_trait() {
    let http = endpoint::endpoint(json!({"url": "https://gate.example/send"}));
    let providers: [Box<dyn Provider>; 2] = [Box::new(messenger()), Box::new(http)];
    let vars = BTreeMap::new();
    let message = Message {
        recipient: "24005550001",
        text: "hi",
        extras: &Extras::None,
        attachments: &[],
        is_last: true,
        vars: &vars,
        correlation: "7f3a:1:1:0",
        id: "msg_7_1",
        at: Timestamp::EPOCH,
    };
    for provider in providers {
        let request = provider.encode(&message).unwrap();
        assert!(matches!(provider.name(), "messenger" | "http"));
        assert!(String::from_utf8_lossy(request.body()).contains("24005550001"));
    }
}
