use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::*;
use crate::api::content::{
    WhatsAppButtonType, WhatsAppComponent, WhatsAppComponentType, WhatsAppParameter, WhatsAppTemplate,
    WhatsAppTemplateCategory,
};
use crate::delivery::time::Timestamp;

fn account() -> WhatsAppAccount {
    WhatsAppAccount {
        phone_number_id: "106540352242922".into(),
        api_version: "v25.0".into(),
        base_url: "https://graph.facebook.com".into(),
        access_token: SecretString::from("EAAB-canary"),
        app_secret: None,
    }
}

fn encode(recipient: &str, text: &str, extras: &Extras) -> Result<Request<Bytes>, EncodeError> {
    let message = Message::sample(recipient, text, extras);
    WhatsApp::new(account()).unwrap().encode(&message)
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

fn text_parameter(text: &str) -> WhatsAppParameter {
    WhatsAppParameter { text: Some(text.into()), ..WhatsAppParameter::default() }
}

fn part(kind: WhatsAppComponentType, parameters: Vec<WhatsAppParameter>) -> WhatsAppComponent {
    WhatsAppComponent { kind, sub_type: None, index: None, parameters }
}

fn template_of(components: Vec<WhatsAppComponent>) -> Extras {
    let category = WhatsAppTemplateCategory::default();
    let template =
        WhatsAppTemplate { name: "order_confirmation".into(), language: "en_US".into(), category, components };
    Extras::WhatsApp(WhatsAppContent { template: Some(template), preview_url: false })
}

#[test]
fn a_text_becomes_the_documented_request() {
    let request = encode("+16505551234", "hi", &Extras::None).unwrap();
    assert_eq!(request.uri(), "https://graph.facebook.com/v25.0/106540352242922/messages");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer EAAB-canary");
    assert!(request.headers()[AUTHORIZATION].is_sensitive());
    let expected = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+16505551234",
        "type": "text",
        "text": {"body": "hi", "preview_url": false},
        "biz_opaque_callback_data": "7f3a:42:1:0",
    });
    assert_eq!(body(&request), expected);
    let preview = Extras::WhatsApp(WhatsAppContent { preview_url: true, template: None });
    assert_eq!(body(&encode("+1", "hi", &preview).unwrap())["text"]["preview_url"], true);
}

#[test]
fn a_template_becomes_the_documented_request() {
    let button = |kind, index, parameter| WhatsAppComponent {
        kind: WhatsAppComponentType::Button,
        sub_type: Some(kind),
        index: Some(index),
        parameters: vec![parameter],
    };
    let payload = WhatsAppParameter { payload: Some("stop".into()), ..WhatsAppParameter::default() };
    let named = WhatsAppParameter { name: Some("code".into()), ..text_parameter("A7") };
    let extras = template_of(vec![
        part(WhatsAppComponentType::Body, vec![text_parameter("Pablo"), named]),
        part(WhatsAppComponentType::Header, vec![text_parameter("Hi")]),
        button(WhatsAppButtonType::QuickReply, 0, payload),
        button(WhatsAppButtonType::Url, 1, text_parameter("A7")),
    ]);
    let body = body(&encode("+16505551234", "", &extras).unwrap());
    assert_eq!((&body["type"], body.get("text")), (&json!("template"), None));
    let expected = json!({
        "name": "order_confirmation",
        "language": {"code": "en_US"},
        "components": [
            {"type": "body", "parameters": [
                {"type": "text", "text": "Pablo"},
                {"type": "text", "parameter_name": "code", "text": "A7"},
            ]},
            {"type": "header", "parameters": [{"type": "text", "text": "Hi"}]},
            {"type": "button", "sub_type": "quick_reply", "index": "0",
             "parameters": [{"type": "payload", "payload": "stop"}]},
            {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "A7"}]},
        ],
    });
    assert_eq!(body["template"], expected);
}

/// A part of a template as documents say it.
fn written(part: Value) -> WhatsAppComponent {
    serde_json::from_value(part).unwrap()
}

#[test]
fn everything_that_a_template_is_filled_with_becomes_the_documented_request() {
    let header = |parameter: Value| json!({"type": "Header", "parameters": [parameter]});
    let body = |parameter: Value| json!({"type": "Body", "parameters": [parameter]});
    let copied = json!({"type": "Button", "subType": "CopyCode", "index": 1, "parameters": [{"couponCode": "25OFF"}]});
    let (sale, film) = ("https://a.example/sale.png", "https://a.example/sale.mp4");
    let invoice = "https://a.example/7/invoice.pdf?v=1";
    let money = json!({"currency": {"amount": "100.99", "code": "USD", "fallback": "$100.99"}});
    let named = json!({"name": "day", "dateTime": "25 February"});
    for (part, expected) in [
        (header(json!({"image": {"url": sale}})), json!({"type": "image", "image": {"link": sale}})),
        (header(json!({"video": {"url": film}})), json!({"type": "video", "video": {"link": film}})),
        (
            header(json!({"document": {"url": invoice}})),
            json!({"type": "document", "document": {"link": invoice, "filename": "invoice.pdf"}}),
        ),
        (
            header(json!({"document": {"url": invoice, "filename": "A7.pdf"}})),
            json!({"type": "document", "document": {"link": invoice, "filename": "A7.pdf"}}),
        ),
        (
            body(money),
            json!({"type": "currency",
                   "currency": {"fallback_value": "$100.99", "code": "USD", "amount_1000": 100_990}}),
        ),
        (
            body(named),
            json!({"type": "date_time", "parameter_name": "day", "date_time": {"fallback_value": "25 February"}}),
        ),
        (copied.clone(), json!({"type": "coupon_code", "coupon_code": "25OFF"})),
    ] {
        let body = body_of(vec![written(part.clone())]);
        assert_eq!(body["template"]["components"][0]["parameters"], json!([expected]), "{part}");
    }
    let button = &body_of(vec![written(copied)])["template"]["components"][0];
    assert_eq!(
        (&button["type"], &button["sub_type"], &button["index"]),
        (&"button".into(), &"COPY_CODE".into(), &"1".into())
    );
}

fn body_of(components: Vec<WhatsAppComponent>) -> Value {
    body(&encode("+16505551234", "", &template_of(components)).unwrap())
}

#[test]
fn what_a_template_cannot_be_filled_with_is_refused_by_what_is_wrong() {
    let header = |parameters: Value| json!({"type": "Header", "parameters": parameters});
    let body = |parameters: Value| json!({"type": "Body", "parameters": parameters});
    let copied =
        |code: &str| json!({"type": "Button", "subType": "CopyCode", "index": 0, "parameters": [{"couponCode": code}]});
    let money = |amount: &str, fallback: &str| {
        body(json!([{"currency": {"amount": amount, "code": "EUR", "fallback": fallback}}]))
    };
    let payloads = json!([{"payload": "a"}, {"payload": "b"}]);
    for (part, expected) in [
        (body(json!([{"text": " "}])), "empty after rendering"),
        (body(json!([{"dateTime": ""}])), "empty after rendering"),
        (money("1", " "), "empty after rendering"),
        (money("one", "one euro"), "a decimal number such as 12.99"),
        (copied("25-OFF"), "1 to 20 letters and digits"),
        (copied(&"A".repeat(21)), "1 to 20 letters and digits"),
        (copied(""), "1 to 20 letters and digits"),
        (header(json!([{"image": {"url": "{{ picture }}"}}])), "the url in the header of the template must be"),
        (header(json!([{"video": {"url": "ftp://a.example/x"}}])), "the url in the header of the template must be"),
        (header(json!([{"document": {"url": "https://a.example/x", "filename": " "}}])), "empty after rendering"),
        (header(json!([{"image": {"url": "https://a.example/x"}}, {"text": "A"}])), "beside its picture"),
        (json!({"type": "Button", "subType": "QuickReply", "index": 0, "parameters": payloads}), "more than one"),
    ] {
        let refused = encode("+16505551234", "", &template_of(vec![written(part.clone())])).unwrap_err();
        assert!(matches!(&refused, EncodeError::Request(problem) if problem.contains(expected)), "{part}: {refused}");
    }
}

#[test]
fn a_number_without_its_country_is_refused_since_it_would_reach_somebody_else() {
    for odd in ["16505551234", "0151 2345678", "+", "+0123", "+1650555123456789", "+1-650-555", "us.1", "US.", "Ana"] {
        assert!(matches!(encode(odd, "hi", &Extras::None), Err(EncodeError::Recipient { .. })), "{odd}");
    }
    let by_name = body(&encode("US.13491208655302741918", "hi", &Extras::None).unwrap());
    assert_eq!((by_name.get("to"), &by_name["recipient"]), (None, &json!("US.13491208655302741918")));
}

#[test]
fn media_become_the_documented_request_by_their_link() {
    let encode = |kind, url: &str| {
        let attachments = [Attachment { kind, url: url.into() }];
        let message = Message {
            attachments: &attachments,
            correlation: "7f3a:42:2:1",
            ..Message::sample("+16505551234", "", &Extras::None)
        };
        body(&WhatsApp::new(account()).unwrap().encode(&message).unwrap())
    };
    let link = "https://media.example.test/a.pdf?v=1";
    let kinds = [(AttachmentType::Image, "image"), (AttachmentType::Video, "video"), (AttachmentType::Audio, "audio")];
    for (kind, word) in kinds {
        let expected = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "+16505551234",
            "type": word,
            word: {"link": link},
            "biz_opaque_callback_data": "7f3a:42:2:1",
        });
        assert_eq!(encode(kind, link), expected);
    }
    let document = encode(AttachmentType::File, link);
    assert_eq!(
        (&document["type"], &document["document"]),
        (&json!("document"), &json!({"link": link, "filename": "a.pdf"}))
    );
    let unnamed = encode(AttachmentType::File, "https://media.example.test/");
    assert_eq!(unnamed["document"], json!({"link": "https://media.example.test/"}));
}

#[test]
fn the_limits_of_text_and_callback_data_are_kept() {
    let longest = "ü".repeat(MAX_TEXT);
    assert!(encode("+1", &longest, &Extras::None).is_ok());
    let error = encode("+1", &format!("{longest}ü"), &Extras::None).unwrap_err();
    assert_eq!(error, EncodeError::TextTooLong { provider: "whatsapp", limit: 4_096, actual: 4_097 });
    assert_eq!(encode("+1", "", &Extras::None).unwrap_err(), EncodeError::TextEmpty);
    let correlation = "x".repeat(MAX_CALLBACK_DATA + 1);
    let message = Message { correlation: &correlation, ..Message::sample("+1", "hi", &Extras::None) };
    assert!(matches!(WhatsApp::new(account()).unwrap().encode(&message), Err(EncodeError::Request(_))));
}

#[test]
fn a_bad_account_is_refused_by_field_and_shows_no_secret() {
    let cases = [
        (WhatsAppAccount { phone_number_id: "12/34".into(), ..account() }, "whatsapp.phoneNumberID"),
        (WhatsAppAccount { api_version: "25".into(), ..account() }, "whatsapp.apiVersion"),
        (WhatsAppAccount { base_url: "graph.facebook.com".into(), ..account() }, "whatsapp.baseURL"),
        (WhatsAppAccount { access_token: SecretString::from("canary\n"), ..account() }, "Secret key accessToken"),
        (WhatsAppAccount { app_secret: Some(SecretString::from("")), ..account() }, "Secret key appSecret"),
    ];
    for (account, field) in cases {
        let error = WhatsApp::new(account).unwrap_err();
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("canary"));
    }
    assert!(!format!("{:?}", WhatsApp::new(account()).unwrap()).contains("canary"));
}

#[test]
fn answers_that_do_not_say_what_became_of_the_message_are_unknown() {
    let reason = |status: u16, body: &str| {
        let (status, headers, body) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.as_bytes());
        let answer = Answer { status, headers: &headers, body, body_truncated: false, received_at: Timestamp::EPOCH };
        match WhatsApp::new(account()).unwrap().classify(&answer) {
            Outcome::Unknown { fault } => fault.reason,
            other => panic!("expected Unknown, got {other:?}"),
        }
    };
    assert_eq!(reason(200, "{}"), "IncompleteAnswer");
    assert_eq!(reason(200, r#"{"messages":[]}"#), "IncompleteAnswer");
    assert_eq!(reason(302, r#"{"messages":[{"id":"wamid.1"}]}"#), "IncompleteAnswer");
    assert_eq!(reason(200, r#"{"messages":[{"id":"wamid.1"}],"error":{"code":100}}"#), "ContradictoryAnswer");
    assert_eq!(reason(400, r#"{"error":{"code":999999}}"#), "UnrecognisedError");
    assert_eq!(reason(504, "{}"), "ProxyError");
}

fn picture() -> Attachment {
    Attachment { kind: AttachmentType::Image, url: "https://media.example.test/menu.png?v=1".into() }
}

#[test]
fn a_file_is_posted_as_the_documented_form() {
    let account = WhatsAppAccount { app_secret: Some(SecretString::from("0123456789abcdef")), ..account() };
    let whatsapp = WhatsApp::new(account).unwrap();
    let Some(Ok(Keeping::Form(form))) = whatsapp.keep(&picture()) else { panic!("it is given the file") };
    assert_eq!(form.link, picture().url);
    assert_eq!((form.request.method(), form.request.uri().path()), (&Method::POST, "/v25.0/106540352242922/media"));
    assert!(form.request.uri().query().unwrap().starts_with("appsecret_proof="));
    assert_eq!(form.request.headers()[AUTHORIZATION], "Bearer EAAB-canary");
    assert!(form.request.headers()[AUTHORIZATION].is_sensitive());
    assert_eq!(form.fields, [("messaging_product", "whatsapp")]);
    assert_eq!((form.type_field, form.file_field), ("type", "file"));
    let kind = form.kind(Some("image/png")).unwrap();
    assert_eq!((kind.max_bytes, form.file_name(kind)), (5 * 1024 * 1024, "menu.png".to_owned()));
    assert!(form.kind(Some("image/webp")).unwrap_err().contains("image/jpeg, image/png"), "webp is for stickers");
    assert!(matches!(whatsapp.keep(&Attachment { url: "a.png".into(), ..picture() }), Some(Err(_))));
}

#[test]
fn no_kind_of_file_is_listed_twice_or_without_an_ending() {
    let kinds: Vec<_> = media::all_kinds().collect();
    for (index, kind) in kinds.iter().enumerate() {
        let twin = kinds[index + 1..].iter().find(|other| other.media_type == kind.media_type);
        assert_eq!(twin, None);
        assert!(!kind.endings.is_empty() && kind.max_bytes > 0, "{kind:?}");
    }
}

#[test]
fn a_file_that_was_uploaded_goes_by_its_id() {
    let kept = |kind| {
        let attachments = [Attachment { kind, ..picture() }];
        let message = Message { attachments: &attachments, ..Message::sample("+16505551234", "", &Extras::None) };
        body(&WhatsApp::new(account()).unwrap().encode_kept(&message, "1479537139650973").unwrap())
    };
    assert_eq!(kept(AttachmentType::Image)["image"], json!({"id": "1479537139650973"}));
    let document = json!({"id": "1479537139650973", "filename": "menu.png"});
    assert_eq!(kept(AttachmentType::File)["document"], document);
}

fn answered<T>(status: u16, body: Value, read: impl Fn(&WhatsApp, &Answer<'_>) -> T) -> T {
    let (status, headers, body) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.to_string());
    let received_at = Timestamp::EPOCH;
    let answer = Answer { status, headers: &headers, body: body.as_bytes(), body_truncated: false, received_at };
    read(&WhatsApp::new(account()).unwrap(), &answer)
}

#[test]
fn the_answer_to_an_upload_tells_the_file_from_the_account() {
    let upload = |status, body| answered(status, body, |whatsapp, answer| whatsapp.classify_upload(answer));
    let error =
        |code: i64, message: &str| json!({"error": {"message": message, "type": "OAuthException", "code": code}});
    let kept = Upload::Kept(crate::provider::Handle { name: "1037543291543636".into(), lives: media::KEPT_FOR });
    assert_eq!(upload(200, json!({"id": "1037543291543636"})), kept);
    let refused = "(#100) Param file must be a file with one of the following types: audio/aac, image/jpeg, image/png.";
    for (code, message) in [(100, refused), (131_053, "(#131053) Media upload error")] {
        match upload(400, error(code, message)) {
            Upload::Unusable { fault } => assert_eq!(fault.reason, "AttachmentFailed"),
            other => panic!("expected Unusable, got {other:?}"),
        }
    }
    let missing = error(100, "(#100) The parameter messaging_product is required.");
    assert!(matches!(upload(400, missing), Upload::Failed(Outcome::Permanent { .. })));
    assert!(matches!(upload(401, error(190, "x")), Upload::Failed(Outcome::Auth { .. })));
    assert!(matches!(upload(400, error(130_429, "x")), Upload::Failed(Outcome::Throttled { .. })));
    assert!(matches!(upload(200, json!({})), Upload::Failed(Outcome::Unknown { .. })));
    assert!(matches!(upload(302, json!({"id": "1"})), Upload::Failed(Outcome::Unknown { .. })));
}

#[test]
fn an_id_that_stands_for_nothing_is_told_from_other_parameters() {
    let gone = |code: i64, message: &str| {
        let body = json!({"error": {"message": message, "type": "OAuthException", "code": code}});
        answered(400, body, |whatsapp, answer| whatsapp.is_attachment_gone(&whatsapp.classify(answer)))
    };
    // As recorded, in both spellings.
    assert!(gone(100, "(#100) Param image['id'] is not a valid whatsapp business account media attachment ID"));
    assert!(gone(100, "Param document.id is not a valid whatsapp business account media attachment ID"));
    assert!(!gone(100, "(#100) Param to is not a valid phone number"));
    assert!(!gone(190, "not a valid whatsapp business account media attachment ID"));
}
