use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;

use super::*;
use crate::api::content::TelegramButtonRow;
use crate::delivery::outcome::ThrottleScope;
use crate::delivery::time::Timestamp;

const TOKEN: &str = "123456789:AAcanary-token_5f1c";

fn account() -> TelegramAccount {
    TelegramAccount {
        bot_id: "123456789".into(),
        base_url: "https://api.telegram.org/".into(),
        bot_token: SecretString::from(TOKEN),
        allow_paid_broadcast: false,
    }
}

fn encode(
    account: TelegramAccount,
    recipient: &str,
    text: &str,
    extras: &Extras,
) -> Result<Request<Bytes>, EncodeError> {
    let message = Message::sample(recipient, text, extras);
    Telegram::new(account).unwrap().encode(&message)
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

fn classify(status: u16, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let status = StatusCode::from_u16(status).unwrap();
    let answer = Answer { status, headers, body, body_truncated: false, received_at: Timestamp::EPOCH };
    Telegram::new(account()).unwrap().classify(&answer)
}

#[test]
fn a_text_becomes_the_documented_request() {
    let request = encode(account(), "987654321", "hi", &Extras::None).unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri().to_string(), format!("https://api.telegram.org/bot{TOKEN}/sendMessage"));
    assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(body(&request), json!({"chat_id": 987654321, "text": "hi"}));
}

#[test]
fn chats_are_numbers_or_names_and_nothing_else() {
    let chat = |recipient: &str| encode(account(), recipient, "hi", &Extras::None).map(|request| body(&request));
    assert_eq!(chat("-1001234567890").unwrap()["chat_id"], -1_001_234_567_890_i64);
    assert_eq!(chat("@news").unwrap()["chat_id"], "@news");
    for odd in ["Ana", "@", "+14255550100", "12.5", "99999999999999999999"] {
        assert!(matches!(chat(odd), Err(EncodeError::Recipient { .. })), "{odd}");
    }
}

#[test]
fn nobody_is_messaged_twice_for_being_written_in_two_ways() {
    let problem = |recipient: &str| encode(account(), recipient, "hi", &Extras::None).unwrap_err().to_string();
    for odd in ["0123456", "-0123456", "+123456", "-0", "00"] {
        assert!(problem(odd).contains("needless zeros"), "{odd}");
    }
    for odd in ["@News", "@neWs"] {
        assert!(problem(odd).contains("in lower case"), "{odd}");
    }
    assert!(encode(account(), "0", "hi", &Extras::None).is_ok());
    assert!(encode(account(), "@news_2", "hi", &Extras::None).is_ok());
}

#[test]
fn the_block_becomes_the_documented_members() {
    let link =
        |text: &str| TelegramButton { text: text.into(), url: Some("https://a.example".into()), callback_data: None };
    let press = TelegramButton { text: "No".into(), url: None, callback_data: Some("no".into()) };
    let block = TelegramContent {
        parse_mode: Some(TelegramParseMode::MarkdownV2),
        inline_keyboard: vec![
            TelegramButtonRow { buttons: vec![link("Yes"), press] },
            TelegramButtonRow { buttons: vec![link("More")] },
        ],
        disable_notification: true,
        protect_content: true,
        disable_link_preview: true,
    };
    let paid = TelegramAccount { allow_paid_broadcast: true, ..account() };
    let request = encode(paid, "1", "*hi*", &Extras::Telegram(block)).unwrap();
    let expected = json!({
        "chat_id": 1,
        "text": "*hi*",
        "parse_mode": "MarkdownV2",
        "reply_markup": {"inline_keyboard": [
            [{"text": "Yes", "url": "https://a.example"}, {"text": "No", "callback_data": "no"}],
            [{"text": "More", "url": "https://a.example"}],
        ]},
        "link_preview_options": {"is_disabled": true},
        "disable_notification": true,
        "protect_content": true,
        "allow_paid_broadcast": true,
    });
    assert_eq!(body(&request), expected);
}

#[test]
fn the_limit_counts_characters_and_only_of_plain_texts() {
    let longest = "ü".repeat(MAX_TEXT);
    assert!(encode(account(), "1", &longest, &Extras::None).is_ok());
    let error = encode(account(), "1", &format!("{longest}ü"), &Extras::None).unwrap_err();
    assert_eq!(error, EncodeError::TextTooLong { provider: "telegram", limit: 4_096, actual: 4_097 });
    let html = TelegramContent { parse_mode: Some(TelegramParseMode::Html), ..TelegramContent::default() };
    assert!(encode(account(), "1", &format!("{longest}ü"), &Extras::Telegram(html)).is_ok());
    assert_eq!(encode(account(), "1", " ", &Extras::None).unwrap_err(), EncodeError::TextEmpty);
}

#[test]
fn data_of_a_button_over_its_bytes_is_refused() {
    let with = |data: &str| {
        let button = TelegramButton { text: "x".into(), url: None, callback_data: Some(data.into()) };
        let inline_keyboard = vec![TelegramButtonRow { buttons: vec![button] }];
        encode(
            account(),
            "1",
            "hi",
            &Extras::Telegram(TelegramContent { inline_keyboard, ..TelegramContent::default() }),
        )
    };
    assert!(with(&"x".repeat(MAX_CALLBACK_DATA)).is_ok());
    assert!(matches!(with(&"ü".repeat(MAX_CALLBACK_DATA / 2 + 1)), Err(EncodeError::Request(_))));
    assert!(matches!(with(""), Err(EncodeError::Request(_))));
}

#[test]
fn a_bad_account_is_refused_by_field_and_without_the_token() {
    let token = |token: &str| TelegramAccount { bot_token: SecretString::from(token), ..account() };
    let cases = [
        (TelegramAccount { base_url: "api.telegram.org".into(), ..account() }, "telegram.baseURL"),
        (TelegramAccount { base_url: "https://a.example/?key=1".into(), ..account() }, "telegram.baseURL"),
        (token(""), "Secret key botToken"),
        (token("canary"), "Secret key botToken"),
        (token("123456789:"), "Secret key botToken"),
        (token("123456789:canary/../x"), "Secret key botToken"),
        (token("987:canary"), "Secret key botToken"),
    ];
    for (account, field) in cases {
        let error = Telegram::new(account).unwrap_err();
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn the_token_is_neither_shown_nor_in_the_endpoint_nor_in_a_fault() {
    let telegram = Telegram::new(account()).unwrap();
    assert!(!format!("{telegram:?} {}", telegram.endpoint()).contains("canary"));
    let body = json!({"ok": false, "error_code": 400, "description": format!("Bad Request: /bot{TOKEN}/x is odd")});
    let outcome = classify(400, &HeaderMap::new(), body.to_string().as_bytes());
    assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
}

#[test]
fn the_longer_of_both_wishes_to_wait_is_honoured_and_clamped() {
    let wait = |header: Option<&'static str>, parameter: Value| {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|value| (RETRY_AFTER, HeaderValue::from_static(value))));
        let body = json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": parameter});
        match classify(429, &headers, body.to_string().as_bytes()) {
            Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, .. } => retry_after_ms,
            other => panic!("expected Throttled, got {other:?}"),
        }
    };
    assert_eq!(wait(None, json!({"retry_after": 35})), Some(35_000));
    assert_eq!(wait(Some("40"), json!({"retry_after": 35})), Some(40_000));
    assert_eq!(wait(Some("30"), json!({"retry_after": 35})), Some(35_000));
    assert_eq!(wait(None, json!({"retry_after": 999_999})), Some(MAX_RETRY_AFTER_MS));
    assert_eq!(wait(None, Value::Null), None);
}

#[test]
fn answers_that_do_not_say_what_became_of_the_message_are_unknown() {
    let reason = |status: u16, body: &str| match classify(status, &HeaderMap::new(), body.as_bytes()) {
        Outcome::Unknown { fault } => fault.reason,
        other => panic!("expected Unknown, got {other:?}"),
    };
    let message = r#""result":{"message_id":4711,"chat":{"id":987654321}}"#;
    assert_eq!(reason(200, "<html>"), "UnreadableAnswer");
    assert_eq!(reason(502, "{}"), "ProxyError");
    assert_eq!(reason(200, r#"{"ok":true}"#), "IncompleteAnswer");
    assert_eq!(reason(200, r#"{"ok":true,"result":{"message_id":4711}}"#), "IncompleteAnswer");
    assert_eq!(reason(302, &format!(r#"{{"ok":true,{message}}}"#)), "IncompleteAnswer");
    assert_eq!(reason(400, &format!(r#"{{"ok":false,"error_code":400,{message}}}"#)), "ContradictoryAnswer");
    assert_eq!(reason(400, r#"{"ok":false}"#), "UnreadableAnswer");
    assert_eq!(reason(418, r#"{"ok":false,"error_code":418,"description":"teapot"}"#), "UnrecognisedError");
}

#[test]
fn no_two_rows_of_the_table_speak_for_the_same_error() {
    let rows = errors::TELEGRAM_ERRORS;
    for (index, row) in rows.iter().enumerate() {
        assert!(rows[index + 1..].iter().all(|other| other.error != row.error), "{row:?}");
        assert_eq!(row.error.words, row.error.words.to_ascii_lowercase());
    }
}

#[test]
fn media_go_by_their_link_to_the_method_of_their_kind_with_the_buttons_below_the_last_part() {
    let buttons =
        vec![TelegramButton { text: "Shop".into(), url: Some("https://a.example".into()), callback_data: None }];
    let block = TelegramContent {
        parse_mode: Some(TelegramParseMode::Html),
        inline_keyboard: vec![TelegramButtonRow { buttons }],
        disable_link_preview: true,
        protect_content: true,
        ..TelegramContent::default()
    };
    let extras = Extras::Telegram(block);
    let encode = |kind, is_last| {
        let attachments = [Attachment { kind, url: "https://a.example/1".into() }];
        let message = Message {
            attachments: &attachments,
            is_last,
            correlation: "7f3a:42:2:1",
            ..Message::sample("24", "", &extras)
        };
        Telegram::new(account()).unwrap().encode(&message).unwrap()
    };
    let kinds = [
        (AttachmentType::Image, "sendPhoto", "photo"),
        (AttachmentType::Video, "sendVideo", "video"),
        (AttachmentType::Audio, "sendAudio", "audio"),
        (AttachmentType::File, "sendDocument", "document"),
    ];
    for (kind, method, member) in kinds {
        let request = encode(kind, false);
        assert!(request.uri().path().ends_with(&format!("/{method}")), "{method}");
        // How a text is marked up and its links are shown says nothing of a picture.
        assert_eq!(body(&request), json!({"chat_id": 24, member: "https://a.example/1", "protect_content": true}));
    }
    let keyboard = json!([[{"text": "Shop", "url": "https://a.example"}]]);
    assert_eq!(body(&encode(AttachmentType::Image, true))["reply_markup"]["inline_keyboard"], keyboard);
}

fn file(kind: AttachmentType) -> Attachment {
    Attachment { kind, url: "https://a.example/1".into() }
}

#[test]
fn a_file_that_an_answer_named_goes_by_its_id() {
    let telegram = Telegram::new(account()).unwrap();
    let picture = [file(AttachmentType::Image)];
    assert!(matches!(telegram.keep(&picture[0]), Some(Ok(Keeping::Told))));
    let message = Message { attachments: &picture, ..Message::sample("24", "", &Extras::None) };
    let request = telegram.encode_kept(&message, "AgACAgIAAxkDAAIB").unwrap();
    assert!(request.uri().path().ends_with("/sendPhoto"));
    assert_eq!(body(&request), json!({"chat_id": 24, "photo": "AgACAgIAAxkDAAIB"}));
}

#[test]
fn the_answer_tells_the_id_of_what_was_sent_and_of_nothing_else() {
    let read = |kind, result: Value| {
        let (headers, body) = (HeaderMap::new(), json!({"ok": true, "result": result}).to_string());
        let (status, received_at) = (StatusCode::OK, Timestamp::EPOCH);
        let answer = Answer { status, headers: &headers, body: body.as_bytes(), body_truncated: false, received_at };
        Telegram::new(account()).unwrap().read_handle(&file(kind), &answer)
    };
    let handle = |name: &str| Some(Handle { name: name.into(), lives: KEPT_FOR });
    let photo = json!({"message_id": 7, "chat": {"id": 24}, "photo": [
        {"file_id": "small", "file_unique_id": "a", "width": 90, "height": 67, "file_size": 1_200},
        {"file_id": "large", "file_unique_id": "b", "width": 1_280, "height": 960, "file_size": 120_000},
        {"file_id": "middle", "file_unique_id": "c", "width": 320, "height": 240, "file_size": 20_000},
    ]});
    assert_eq!(read(AttachmentType::Image, photo.clone()), handle("large"));
    assert_eq!(read(AttachmentType::Video, json!({"video": {"file_id": "film"}})), handle("film"));
    assert_eq!(read(AttachmentType::Audio, json!({"audio": {"file_id": "song"}})), handle("song"));
    assert_eq!(read(AttachmentType::File, json!({"document": {"file_id": "paper"}})), handle("paper"));
    // A film without sound becomes an animation, which sendVideo would not take.
    let animation = json!({"animation": {"file_id": "moves"}, "document": {"file_id": "moves"}});
    assert_eq!(read(AttachmentType::Video, animation), None);
    assert_eq!(read(AttachmentType::Video, photo), None);
    assert_eq!(read(AttachmentType::Image, json!({"photo": []})), None);
    assert_eq!(read(AttachmentType::File, json!({"document": {"file_id": ""}})), None);
}

#[test]
fn an_id_that_stands_for_nothing_is_told_from_other_refusals() {
    let gone = |description: &str| {
        let body = json!({"ok": false, "error_code": 400, "description": description}).to_string();
        let outcome = classify(400, &HeaderMap::new(), body.as_bytes());
        Telegram::new(account()).unwrap().is_attachment_gone(&outcome)
    };
    assert!(gone("Bad Request: wrong file identifier/HTTP URL specified"));
    assert!(gone("Bad Request: wrong remote file identifier specified: Wrong string length"));
    assert!(gone("Bad Request: wrong remote file id specified: Wrong padding in the string"));
    assert!(!gone("Bad Request: chat not found") && !gone("Bad Request: something new"));
}
