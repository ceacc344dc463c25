use std::collections::BTreeMap;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::content::Extras;
use crate::delivery::outcome::{PermanentScope, ThrottleScope};
use crate::delivery::time::Timestamp;
use crate::provider::MAX_RETRY_AFTER_MS;

fn account() -> MessengerAccount {
    MessengerAccount {
        page_id: "1906385232743451".into(),
        api_version: "v25.0".into(),
        base_url: "https://graph.facebook.com".into(),
        access_token: SecretString::from("EAAB-test-token"),
        app_secret: None,
    }
}

fn message<'a>(text: &'a str, vars: &'a BTreeMap<String, String>) -> Message<'a> {
    Message { vars, ..Message::sample("5489932777711223", text, &Extras::None) }
}

fn classify(status: u16, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let messenger = Messenger::new(account()).unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    messenger.classify(&Answer { status, headers, body, body_truncated: false, received_at: Timestamp::EPOCH })
}

fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown { fault } => fault.reason,
        other => panic!("expected Unknown, got {other:?}"),
    }
}

#[test]
fn a_text_becomes_the_documented_request() {
    let vars = BTreeMap::new();
    let request = Messenger::new(account()).unwrap().encode(&message("hi", &vars)).unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://graph.facebook.com/v25.0/1906385232743451/messages");
    assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer EAAB-test-token");
    assert!(request.headers()[AUTHORIZATION].is_sensitive());
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let expected = json!({
        "recipient": {"id": "5489932777711223"},
        "messaging_type": "UPDATE",
        "message": {"text": "hi", "metadata": "7f3a:42:1:0"}
    });
    assert_eq!(body, expected);
}

fn encode_with(text: &str, block: MessengerContent) -> Result<Value, EncodeError> {
    let (vars, extras) = (BTreeMap::new(), Extras::Messenger(block));
    let message = Message { extras: &extras, ..message(text, &vars) };
    Messenger::new(account()).unwrap().encode(&message).map(|one| serde_json::from_slice(one.body()).unwrap())
}

fn reply(title: &str, payload: &str) -> MessengerQuickReply {
    MessengerQuickReply {
        title: title.into(),
        payload: payload.into(),
        image_url: Some("https://a.example/i.png".into()),
    }
}

#[test]
fn the_block_becomes_the_documented_members() {
    let block = MessengerContent {
        messaging_type: Some(MessengerMessagingType::Response),
        notification_type: Some(MessengerNotificationType::SilentPush),
        persona_id: Some("1008".into()),
        quick_replies: vec![reply("Yes", "yes")],
        template: None,
    };
    let expected = json!({
        "recipient": {"id": "5489932777711223"},
        "messaging_type": "RESPONSE",
        "notification_type": "SILENT_PUSH",
        "persona_id": "1008",
        "message": {
            "text": "hi",
            "quick_replies": [
                {"content_type": "text", "title": "Yes", "payload": "yes", "image_url": "https://a.example/i.png"},
            ],
            "metadata": "7f3a:42:1:0",
        },
    });
    assert_eq!(encode_with("hi", block), Ok(expected));
}

#[test]
fn an_attachment_becomes_the_documented_request_with_the_quick_replies_below_the_last_part() {
    let quick_replies = vec![MessengerQuickReply { image_url: None, ..reply("Yes", "yes") }];
    let (vars, extras) =
        (BTreeMap::new(), Extras::Messenger(MessengerContent { quick_replies, ..MessengerContent::default() }));
    let encode = |text, kind, url: &str, is_last| {
        let attachments = [Attachment { kind, url: url.into() }];
        let message = Message { extras: &extras, attachments: &attachments, is_last, ..message(text, &vars) };
        let request = Messenger::new(account()).unwrap().encode(&message);
        request.map(|one| serde_json::from_slice::<Value>(one.body()).unwrap())
    };
    let kinds = [
        (AttachmentType::Image, "image"),
        (AttachmentType::Video, "video"),
        (AttachmentType::Audio, "audio"),
        (AttachmentType::File, "file"),
    ];
    for (kind, word) in kinds {
        let expected = json!({
            "recipient": {"id": "5489932777711223"},
            "messaging_type": "UPDATE",
            "message": {
                "attachment": {"type": word, "payload": {"url": "https://a.example/1"}},
                "metadata": "7f3a:42:1:0",
            },
        });
        assert_eq!(encode("", kind, "https://a.example/1", false), Ok(expected));
    }
    let last = encode("", AttachmentType::Image, "https://a.example/1", true).unwrap();
    assert_eq!(last["message"]["quick_replies"], json!([{"content_type": "text", "title": "Yes", "payload": "yes"}]));
    let first = Message { extras: &extras, is_last: false, ..message("hi", &vars) };
    let first = Messenger::new(account()).unwrap().encode(&first).unwrap();
    assert!(!String::from_utf8_lossy(first.body()).contains("quick_replies"));
    for (text, url) in [("hi", "https://a.example/1"), ("", "a.example/1"), ("", "https://a.example/a b")] {
        assert!(matches!(encode(text, AttachmentType::Image, url, true), Err(EncodeError::Request(_))), "{url}");
    }
}

#[test]
fn a_utility_template_becomes_the_documented_request() {
    let parameter =
        |name: Option<&str>, text: &str| MessengerParameter { name: name.map(Into::into), text: text.into() };
    let template = MessengerTemplate {
        name: "order_confirmation".into(),
        language: "en".into(),
        parameters: vec![parameter(None, "Ana"), parameter(Some("code"), "A7")],
        button_payloads: vec!["12345".into()],
    };
    let block = |template| MessengerContent { template: Some(template), ..MessengerContent::default() };
    let body = encode_with("", block(template.clone())).unwrap();
    assert_eq!((&body["messaging_type"], body["message"].get("text")), (&json!("UTILITY"), None));
    let expected = json!({
        "name": "order_confirmation",
        "language": {"code": "en"},
        "components": [
            {"type": "body", "parameters": [
                {"type": "text", "text": "Ana"},
                {"type": "text", "parameter_name": "code", "text": "A7"},
            ]},
            {"type": "buttons", "parameters": [{"type": "POSTBACK", "payload": "12345"}]},
        ],
    });
    assert_eq!(body["message"]["template"], expected);
    let empty = MessengerTemplate { button_payloads: vec![" ".into()], ..template };
    assert!(matches!(encode_with("", block(empty)), Err(EncodeError::Request(_))));
}

#[test]
fn quick_replies_over_their_limits_are_refused() {
    let with = |title: &str, payload: &str| {
        encode_with(
            "hi",
            MessengerContent { quick_replies: vec![reply(title, payload)], ..MessengerContent::default() },
        )
    };
    assert!(with(&"ü".repeat(MAX_QUICK_REPLY_TITLE), &"x".repeat(MAX_QUICK_REPLY_PAYLOAD)).is_ok());
    assert!(matches!(with(&"ü".repeat(MAX_QUICK_REPLY_TITLE + 1), "x"), Err(EncodeError::Request(_))));
    assert!(matches!(with("x", &"x".repeat(MAX_QUICK_REPLY_PAYLOAD + 1)), Err(EncodeError::Request(_))));
    assert!(matches!(with("", "x"), Err(EncodeError::Request(_))));
}

#[test]
fn an_id_with_white_space_in_it_is_refused_without_being_shown() {
    let vars = BTreeMap::new();
    for recipient in ["54899 32777711223", "54899\u{a0}32777711223"] {
        let refused = Messenger::new(account()).unwrap().encode(&Message { recipient, ..message("hi", &vars) });
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("white space") && !error.contains("54899"), "{error}");
    }
}

#[test]
fn an_app_secret_adds_the_proof_of_the_published_vector() {
    let secret = SecretString::from("0123456789abcdef0123456789abcdef");
    let messenger = Messenger::new(MessengerAccount { app_secret: Some(secret), ..account() }).unwrap();
    let request = messenger.encode(&message("hi", &BTreeMap::new())).unwrap();
    let proof = "a6024693394a23e652049c7c3571712892f80c08425a659c3fdb161563eefa4f";
    assert_eq!(request.uri().query(), Some(format!("appsecret_proof={proof}").as_str()));
}

#[test]
fn a_base_url_may_hold_a_path_and_a_trailing_slash() {
    let base_url = "http://127.0.0.1:8091/proxy/".to_owned();
    let messenger = Messenger::new(MessengerAccount { base_url, ..account() }).unwrap();
    let request = messenger.encode(&message("hi", &BTreeMap::new())).unwrap();
    assert_eq!(request.uri(), "http://127.0.0.1:8091/proxy/v25.0/1906385232743451/messages");
}

#[test]
fn text_limits_count_characters_and_not_bytes() {
    let messenger = Messenger::new(account()).unwrap();
    let vars = BTreeMap::new();
    let longest = "ü".repeat(MAX_TEXT);
    assert!(messenger.encode(&message(&longest, &vars)).is_ok());
    let error = messenger.encode(&message(&format!("{longest}ü"), &vars)).unwrap_err();
    assert_eq!(error, EncodeError::TextTooLong { provider: "messenger", limit: 1_999, actual: 2_000 });
    assert_eq!(messenger.encode(&message(" \n", &vars)).unwrap_err(), EncodeError::TextEmpty);
}

#[test]
fn a_correlation_value_over_the_metadata_limit_is_refused() {
    let messenger = Messenger::new(account()).unwrap();
    let vars = BTreeMap::new();
    let correlation = "x".repeat(MAX_METADATA + 1);
    let message = Message { correlation: &correlation, ..message("hi", &vars) };
    assert!(matches!(messenger.encode(&message), Err(EncodeError::Request(_))));
}

#[test]
fn a_bad_account_is_refused_by_field_and_without_the_secret() {
    let token = |token: &str| MessengerAccount { access_token: SecretString::from(token), ..account() };
    let cases = [
        (MessengerAccount { page_id: "12/34".into(), ..account() }, "messenger.pageID"),
        (MessengerAccount { page_id: String::new(), ..account() }, "messenger.pageID"),
        (MessengerAccount { api_version: "25".into(), ..account() }, "messenger.apiVersion"),
        (MessengerAccount { api_version: "v25.0/x".into(), ..account() }, "messenger.apiVersion"),
        (MessengerAccount { base_url: "graph.facebook.com".into(), ..account() }, "messenger.baseURL"),
        (MessengerAccount { base_url: "https://a.example/?key=1".into(), ..account() }, "messenger.baseURL"),
        (token(""), "Secret key accessToken"),
        (token("hunter2\n"), "Secret key accessToken"),
        (MessengerAccount { app_secret: Some(SecretString::from("")), ..account() }, "Secret key appSecret"),
    ];
    for (account, field) in cases {
        let error = Messenger::new(account).unwrap_err();
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn debug_shows_no_secret() {
    let secret = SecretString::from("hunter2");
    let messenger = Messenger::new(MessengerAccount { app_secret: Some(secret), ..account() }).unwrap();
    let shown = format!("{messenger:?} {:?}", messenger.encode(&message("hi", &BTreeMap::new())).unwrap().headers());
    assert!(!shown.contains("EAAB") && !shown.contains("hunter2") && !shown.contains("proof"), "{shown}");
}

#[test]
fn answers_that_do_not_say_what_became_of_the_message_are_unknown() {
    let none = HeaderMap::new();
    assert_eq!(reason(classify(200, &none, b"<html>hello</html>")), "UnreadableAnswer");
    assert_eq!(reason(classify(200, &none, b"")), "UnreadableAnswer");
    assert_eq!(reason(classify(200, &none, b"[1]")), "UnreadableAnswer");
    assert_eq!(reason(classify(200, &none, br#"{"recipient_id":"1","message_id":"m_"#)), "UnreadableAnswer");
    assert_eq!(reason(classify(200, &none, br#"{"recipient_id":"1"}"#)), "IncompleteAnswer");
    assert_eq!(reason(classify(200, &none, br#"{"recipient_id":"1","message_id":""}"#)), "IncompleteAnswer");
    assert_eq!(reason(classify(200, &none, br#"{"message_id":"m_1"}"#)), "IncompleteAnswer");
    assert_eq!(reason(classify(302, &none, br#"{"recipient_id":"1","message_id":"m_1"}"#)), "IncompleteAnswer");
    assert_eq!(reason(classify(400, &none, br#"{"error":{"message":"x"}}"#)), "UnreadableAnswer");
    let both = br#"{"recipient_id":"1","message_id":"m_1","error":{"code":100}}"#;
    assert_eq!(reason(classify(200, &none, both)), "ContradictoryAnswer");
    assert_eq!(reason(classify(429, &none, b"slow down")), "UnreadableAnswer");
}

#[test]
fn a_proxys_502_and_504_are_unknown_whatever_the_body_says() {
    let body = br#"{"error":{"message":"(#613)","code":613}}"#;
    assert_eq!(reason(classify(502, &HeaderMap::new(), body)), "ProxyError");
    assert_eq!(reason(classify(504, &HeaderMap::new(), body)), "ProxyError");
}

#[test]
fn a_code_without_a_row_is_transient_only_when_graph_says_so() {
    let none = HeaderMap::new();
    let told = br#"{"error":{"message":"x","code":777001,"is_transient":true}}"#;
    assert!(matches!(classify(500, &none, told), Outcome::Transient { cap: None, .. }));
    let denied = br#"{"error":{"message":"x","code":777001,"is_transient":false}}"#;
    assert_eq!(reason(classify(500, &none, denied)), "UnrecognisedError");
    assert_eq!(reason(classify(400, &none, br#"{"error":{"message":"x","code":777001}}"#)), "UnrecognisedError");
}

#[test]
fn is_transient_does_not_win_over_a_known_code() {
    let body = br#"{"error":{"message":"x","code":551,"is_transient":true}}"#;
    let outcome = classify(400, &HeaderMap::new(), body);
    assert!(matches!(outcome, Outcome::Permanent { scope: PermanentScope::Recipient, .. }), "{outcome:?}");
}

#[test]
fn an_unlisted_subcode_falls_back_to_its_code() {
    let body = br#"{"error":{"message":"x","code":190,"error_subcode":1234567}}"#;
    assert!(
        matches!(classify(400, &HeaderMap::new(), body), Outcome::Auth { fault } if fault.code.as_deref() == Some("190/1234567"))
    );
}

#[test]
fn codes_in_strings_are_understood() {
    let body = br#"{"error":{"message":"x","code":"10","error_subcode":"2018278"}}"#;
    assert!(
        matches!(classify(400, &HeaderMap::new(), body), Outcome::Permanent { fault, .. } if fault.reason == "WindowClosed")
    );
}

#[test]
fn the_providers_wish_to_wait_is_honoured_and_clamped() {
    let body = br#"{"error":{"message":"x","code":613}}"#;
    let wait = |name: &'static str, value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        match classify(400, &headers, body) {
            Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, .. } => retry_after_ms,
            other => panic!("expected Throttled, got {other:?}"),
        }
    };
    assert_eq!(wait("retry-after", "7"), Some(7_000));
    assert_eq!(wait("retry-after", "100000"), Some(MAX_RETRY_AFTER_MS));
    assert_eq!(wait("retry-after", "0.5"), Some(500));
    assert_eq!(wait("retry-after", "Thu, 01 Jan 1970 00:00:30 GMT"), Some(30_000));
    let usage = r#"{"1":[{"type":"messenger","estimated_time_to_regain_access":3}],"2":[{"type":"pages"}]}"#;
    assert_eq!(wait("x-business-use-case-usage", usage), Some(180_000));
    let free = r#"{"1":[{"type":"messenger","estimated_time_to_regain_access":0}]}"#;
    assert_eq!(wait("x-business-use-case-usage", free), None);
    assert_eq!(wait("x-app-usage", r#"{"call_count":100}"#), None);
}

#[test]
fn a_fault_keeps_the_trace_and_drops_tokens_and_ids() {
    let text = format!("Malformed access token EAAB-test-token for 5489932777711223 {}", "and so on ".repeat(60));
    let body = json!({"error": {"message": text, "code": 190, "fbtrace_id": "BLBz/WZt8dN"}}).to_string();
    let Outcome::Auth { fault } = classify(400, &HeaderMap::new(), body.as_bytes()) else { panic!("expected Auth") };
    assert!(fault.message.ends_with("(fbtrace_id BLBz/WZt8dN)"), "{}", fault.message);
    assert!(!fault.message.contains("EAAB") && !fault.message.contains("5489932777711223"), "{}", fault.message);
}

#[test]
fn no_two_rows_of_the_table_speak_for_the_same_error() {
    let rows = graph_errors::GRAPH_ERRORS;
    for (index, row) in rows.iter().enumerate() {
        let twin = rows[index + 1..].iter().find(|other| other.error == row.error);
        assert_eq!(twin, None);
        assert!(row.reason.starts_with(|first: char| first.is_ascii_uppercase()) && !row.source.is_empty());
    }
}

#[test]
fn an_attachment_is_uploaded_to_be_used_again_and_then_named_by_its_id() {
    let messenger = Messenger::new(account()).unwrap();
    let film = [Attachment { kind: AttachmentType::Video, url: "https://a.example/1.mp4".into() }];
    let Keeping::Request(upload) = messenger.keep(&film[0]).unwrap().unwrap() else {
        panic!("it fetches links itself")
    };
    assert_eq!(upload.uri(), "https://graph.facebook.com/v25.0/1906385232743451/message_attachments");
    assert_eq!(upload.headers()[AUTHORIZATION], "Bearer EAAB-test-token");
    let payload = json!({"url": "https://a.example/1.mp4", "is_reusable": true});
    let expected = json!({"message": {"attachment": {"type": "video", "payload": payload}}});
    assert_eq!(serde_json::from_slice::<Value>(upload.body()).unwrap(), expected);

    let vars = BTreeMap::new();
    let kept =
        messenger.encode_kept(&Message { attachments: &film, ..message("", &vars) }, "1857777774821032").unwrap();
    let body: Value = serde_json::from_slice(kept.body()).unwrap();
    let expected = json!({"type": "video", "payload": {"attachment_id": "1857777774821032"}});
    assert_eq!(body["message"]["attachment"], expected);
}

#[test]
fn the_answer_to_an_upload_tells_the_link_from_the_account() {
    let upload = |status: u16, body: Value| {
        let (headers, body) = (HeaderMap::new(), body.to_string());
        let status = StatusCode::from_u16(status).unwrap();
        let received_at = Timestamp::EPOCH;
        let answer = Answer { status, headers: &headers, body: body.as_bytes(), body_truncated: false, received_at };
        Messenger::new(account()).unwrap().classify_upload(&answer)
    };
    let error =
        |code: i64, subcode: Option<i64>| json!({"error": {"message": "x", "code": code, "error_subcode": subcode}});
    let kept = Upload::Kept(Handle { name: "1857777774821032".into(), lives: KEPT_FOR });
    assert_eq!(upload(200, json!({"attachment_id": "1857777774821032"})), kept);
    assert_eq!(upload(200, json!({"attachment_id": 1_857_777_774_821_032_i64})), kept);
    for subcode in [2_018_008, 2_018_109] {
        assert!(matches!(upload(400, error(100, Some(subcode))), Upload::Unusable { .. }), "{subcode}");
    }
    assert!(matches!(upload(401, error(190, None)), Upload::Failed(Outcome::Auth { .. })));
    assert!(matches!(upload(500, error(2, None)), Upload::Failed(Outcome::Transient { .. })));
    assert!(matches!(upload(200, json!({})), Upload::Failed(Outcome::Unknown { .. })));
}

#[test]
fn only_an_attachment_that_is_not_kept_any_more_is_gone() {
    let messenger = Messenger::new(account()).unwrap();
    let refused = |subcode: i64| {
        let body = json!({"error": {"message": "x", "code": 100, "error_subcode": subcode}}).to_string();
        messenger.is_attachment_gone(&classify(400, &HeaderMap::new(), body.as_bytes()))
    };
    assert!(refused(2_018_074));
    assert!(!refused(2_018_008) && !refused(2_018_001));
}
