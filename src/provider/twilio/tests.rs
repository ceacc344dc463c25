use ::http::header::{CONTENT_TYPE, RETRY_AFTER};
use ::http::{HeaderMap, StatusCode};

use super::*;
use crate::api::content::{Attachment, AttachmentType};
use crate::content::Extras;
use crate::delivery::outcome::ThrottleScope;
use crate::delivery::time::Timestamp;

const ACCOUNT: &str = "AC00000000000000000000000000000001";

fn account() -> TwilioAccount {
    TwilioAccount {
        account_sid: ACCOUNT.into(),
        sender: TwilioSender::From("+15005550006".into()),
        base_url: "https://api.twilio.com".into(),
        credentials: TwilioCredentials::AuthToken(SecretString::from("canary")),
        status_callback: None,
    }
}

fn key(sid: &str, secret: &str) -> TwilioCredentials {
    TwilioCredentials::ApiKey { sid: SecretString::from(sid), secret: SecretString::from(secret) }
}

fn encode(account: TwilioAccount, recipient: &str, text: &str) -> Result<Request<Bytes>, EncodeError> {
    let message = Message::sample(recipient, text, &Extras::None);
    Twilio::new(account).unwrap().encode(&message)
}

fn classify(status: u16, headers: &HeaderMap, body: &str) -> Outcome {
    let (status, body) = (StatusCode::from_u16(status).unwrap(), body.as_bytes());
    let answer = Answer { status, headers, body, body_truncated: false, received_at: Timestamp::EPOCH };
    Twilio::new(account()).unwrap().classify(&answer)
}

#[test]
fn a_text_becomes_the_documented_form() {
    let request = encode(account(), "+14255550100", "hi & <ü> a+b").unwrap();
    let url = format!("https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    assert_eq!(request.uri().to_string(), url);
    assert_eq!(request.headers()[CONTENT_TYPE], "application/x-www-form-urlencoded");
    let expected = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:canary")));
    assert_eq!(request.headers()[AUTHORIZATION], expected.as_str());
    assert!(request.headers()[AUTHORIZATION].is_sensitive());
    let body = "To=%2B14255550100&From=%2B15005550006&Body=hi%20%26%20%3C%C3%BC%3E%20a%2Bb";
    assert_eq!(request.body(), body);
}

#[test]
fn a_messaging_service_and_an_api_key_are_used_where_they_are_given() {
    let sender = TwilioSender::MessagingService("MG01".into());
    let service = TwilioAccount { sender, credentials: key("SK01", "canary"), ..account() };
    let request = encode(service, "whatsapp:+14255550100", "hi").unwrap();
    assert_eq!(request.body(), "To=whatsapp%3A%2B14255550100&MessagingServiceSid=MG01&Body=hi");
    let expected = format!("Basic {}", STANDARD.encode("SK01:canary"));
    assert_eq!(request.headers()[AUTHORIZATION], expected.as_str());
}

#[test]
fn limits_and_numbers_are_checked_before_anything_is_sent() {
    let longest = "ü".repeat(MAX_TEXT);
    assert!(encode(account(), "+1425", &longest).is_ok());
    let error = encode(account(), "+1425", &format!("{longest}ü")).unwrap_err();
    assert_eq!(error, EncodeError::TextTooLong { provider: "twilio", limit: 1_600, actual: 1_601 });
    for odd in ["14255550100", "+", "Ana", "whatsapp:", ":+1425", "Whats App:+1"] {
        assert!(matches!(encode(account(), odd, "hi"), Err(EncodeError::Recipient { .. })), "{odd}");
    }
}

#[test]
fn a_number_has_one_spelling_in_the_address_of_a_channel_too() {
    for odd in
        ["whatsapp:14255550100", "whatsapp:+1 425 555 0100", "whatsapp:+1-425-5550100", "sms:+01425", "messenger:1 2"]
    {
        assert!(matches!(encode(account(), odd, "hi"), Err(EncodeError::Recipient { .. })), "{odd}");
    }
    for good in ["sms:+14255550100", "messenger:1234"] {
        assert!(encode(account(), good, "hi").is_ok(), "{good}");
    }
}

#[test]
fn a_bad_account_is_refused_by_field_and_shows_no_secret() {
    let token = TwilioCredentials::AuthToken(SecretString::from("canary\n"));
    let cases = [
        (TwilioAccount { account_sid: "AC/../1".into(), ..account() }, "twilio.accountSID"),
        (TwilioAccount { base_url: "api.twilio.com".into(), ..account() }, "twilio.baseURL"),
        (TwilioAccount { credentials: token, ..account() }, "Secret key authToken"),
        (TwilioAccount { credentials: key("", "canary"), ..account() }, "Secret key apiKeySID"),
        (TwilioAccount { credentials: key("SK01", "canary canary"), ..account() }, "Secret key apiKeySecret"),
    ];
    for (account, field) in cases {
        let error = Twilio::new(account).unwrap_err();
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    assert!(!format!("{:?}", Twilio::new(account()).unwrap()).contains("canary"));
    let body = r#"{"code":20003,"message":"canary of +14255550100","status":401}"#;
    let told = format!("{:?}", classify(401, &HeaderMap::new(), body));
    assert!(!told.contains("canary") && !told.contains("14255550100"), "{told}");
}

#[test]
fn twilios_own_wish_to_wait_wins_over_the_tables() {
    let wait = |headers: &HeaderMap, code: i64| match classify(
        429,
        headers,
        &format!(r#"{{"code":{code},"message":"x","status":429}}"#),
    ) {
        Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, .. } => retry_after_ms,
        other => panic!("expected Throttled, got {other:?}"),
    };
    let none = HeaderMap::new();
    assert_eq!([20_429, 21_611, 63_038].map(|code| wait(&none, code)), [None, Some(120_000), Some(900_000)]);
    let asked = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
    assert_eq!([20_429, 21_611].map(|code| wait(&asked, code)), [Some(7_000), Some(7_000)]);
}

#[test]
fn answers_that_do_not_say_what_became_of_the_message_are_unknown() {
    let reason = |status: u16, body: &str| match classify(status, &HeaderMap::new(), body) {
        Outcome::Unknown { fault } => fault.reason,
        other => panic!("expected Unknown, got {other:?}"),
    };
    assert_eq!(reason(429, "slow down"), "UnreadableAnswer");
    assert_eq!(reason(503, r#"{"code":20503,"message":"x"}"#), "ServerError");
    assert_eq!(reason(201, "{}"), "IncompleteAnswer");
    assert_eq!(reason(302, r#"{"sid":"SM1"}"#), "IncompleteAnswer");
    assert_eq!(reason(201, r#"{"sid":"SM1","code":21211}"#), "ContradictoryAnswer");
    assert_eq!(reason(400, r#"{"code":29999,"message":"x"}"#), "UnrecognisedError");
}

#[test]
fn no_two_rows_of_the_table_speak_for_the_same_error() {
    let rows = errors::TWILIO_ERRORS;
    for (index, row) in rows.iter().enumerate() {
        assert!(rows[index + 1..].iter().all(|other| other.error != row.error), "{row:?}");
    }
}

#[test]
fn attachments_are_links_beside_the_text_in_one_form() {
    let encode = |text, links: &[&str]| {
        let attachments: Vec<Attachment> =
            links.iter().map(|url| Attachment { kind: AttachmentType::Image, url: (*url).into() }).collect();
        let message = Message { attachments: &attachments, ..Message::sample("+14255550100", text, &Extras::None) };
        let request = Twilio::new(account()).unwrap().encode(&message);
        request.map(|request| String::from_utf8(request.body().to_vec()).unwrap())
    };
    let links = ["https://a.example/1.png", "https://a.example/2.png"];
    let media = "MediaUrl=https%3A%2F%2Fa.example%2F1.png&MediaUrl=https%3A%2F%2Fa.example%2F2.png";
    assert_eq!(encode("hi", &links).unwrap(), format!("To=%2B14255550100&From=%2B15005550006&Body=hi&{media}"));
    assert_eq!(encode("", &links).unwrap(), format!("To=%2B14255550100&From=%2B15005550006&{media}"));
    assert_eq!(encode("", &[]).unwrap_err(), EncodeError::TextEmpty);
    assert!(matches!(encode("hi", &["a.example"]), Err(EncodeError::Request(_))));
}
