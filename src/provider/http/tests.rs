#![cfg(test)]

use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::*;
use crate::api::content::{Attachment, AttachmentType};
use crate::content::Extras;
use crate::delivery::time::Timestamp;

const SIGNING_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn secrets() -> Secrets {
    let keys = [("token", "hunter2"), ("key", "hunter2&"), (HTTP_SIGNING_SECRET, SIGNING_SECRET)];
    keys.map(|(key, value)| (key.to_owned(), SecretString::from(value))).into()
}

fn endpoint(channel: Value) -> Result<Http, AccountError> {
    Http::new(&serde_json::from_value(channel).unwrap(), secrets())
}

fn encode_for(http: &Http, recipient: &str, vars: &[(&str, &str)]) -> Result<Request<Bytes>, EncodeError> {
    let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    http.encode(&Message {
        at: Timestamp::from_secs(1_649_367_553),
        vars: &vars,
        ..Message::sample(recipient, "Hi \"Ana\"", &Extras::None)
    })
}

fn encode(http: &Http) -> Request<Bytes> {
    encode_for(http, "24005550001", &[("first_name", "Ana")]).unwrap()
}

fn refusal(channel: Value, recipient: &str, vars: &[(&str, &str)]) -> String {
    let error = encode_for(&endpoint(channel).unwrap(), recipient, vars).unwrap_err().to_string();
    assert!(!error.contains("hunter2") && !error.contains(recipient), "{error}");
    error
}

#[test]
fn a_message_becomes_one_post_with_the_given_headers() {
    let headers =
        json!([{"name": "Authorization", "value": "Bearer {{ secret.token }}"}, {"name": "X-Key", "value": "a"}]);
    let http = endpoint(json!({"url": "https://gate.example:8443/send?key=1", "headers": headers})).unwrap();
    let request = encode(&http);
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://gate.example:8443/send?key=1");
    assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(request.headers()[CORRELATION_HEADER], "7f3a:42:1:0");
    assert!(request.headers()[AUTHORIZATION].is_sensitive());
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer hunter2");
    assert_eq!(request.headers()["x-key"], "a");
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body, json!({"id": "24005550001", "text": "Hi \"Ana\"", "vars": {"first_name": "Ana"}}));
    assert!(!format!("{http:?} {:?}", request.headers()).contains("hunter2"));
}

#[test]
fn url_headers_and_body_are_made_for_each_message() {
    let http = endpoint(json!({
        "url": "https://gate.example/to/{{ id }}?key={{ secret.key }}&name={{ vars.first_name | default('you') }}",
        "method": "PUT",
        "headers": [{"name": "Idempotency-Key", "value": "{{ message_id }}"}],
        "body": r#"{"to": {{ id }}, "text": {{ text }}, "vip": {{ vars.vip is defined }}}"#,
    }));
    let request = encode_for(&http.unwrap(), "+1 415/5550100?x=1&y", &[("first_name", "Zoë & Co")]).unwrap();
    assert_eq!(request.method(), Method::PUT);
    assert_eq!(
        request.uri(),
        "https://gate.example/to/%2B1%20415%2F5550100%3Fx%3D1%26y?key=hunter2%26&name=Zo%C3%AB%20%26%20Co"
    );
    assert_eq!(request.headers()["idempotency-key"], "msg_7_42");
    assert!(request.headers()["idempotency-key"].is_sensitive());
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body, json!({"to": "+1 415/5550100?x=1&y", "text": "Hi \"Ana\"", "vip": false}));
}

#[test]
fn the_content_type_says_how_values_are_escaped() {
    let cases = [
        ("application/x-www-form-urlencoded", "text={{ text }}", "text=Hi%20%22Ana%22"),
        ("text/plain; charset=utf-8", "{{ text }}", "Hi \"Ana\""),
        ("application/xml", "<t>{{ text }}</t>", "<t>Hi &quot;Ana&quot;</t>"),
        ("Application/Vnd.Api+JSON", "[{{ text }}]", "[\"Hi \\\"Ana\\\"\"]"),
    ];
    for (content_type, body, expected) in cases {
        let channel = json!({"url": "https://gate.example/", "contentType": content_type, "body": body});
        let request = encode(&endpoint(channel).unwrap());
        assert_eq!(request.headers()[CONTENT_TYPE], content_type);
        assert_eq!(request.body(), expected, "{content_type}");
    }
}

#[test]
fn a_get_has_neither_body_nor_content_type() {
    let http = endpoint(json!({"url": "https://gate.example/?to={{ id }}", "method": "GET"})).unwrap();
    let request = encode(&http);
    assert_eq!((request.method(), request.body().len()), (&Method::GET, 0));
    assert!(!request.headers().contains_key(CONTENT_TYPE));
    let error = endpoint(json!({"url": "https://gate.example/", "method": "GET", "body": "x"})).unwrap_err();
    assert_eq!(error.field, "http.body");
}

#[test]
fn no_recipient_chooses_the_host_or_leaves_the_path() {
    for url in ["https://{{ id }}/", "https://gate.{{ id }}.example/", "https://gate.example{{ id }}", "{{ id }}"] {
        let error = endpoint(json!({ "url": url })).unwrap_err();
        assert_eq!(error.field, "http.url", "{url}");
        assert!(error.problem.contains("templates may stand in path and query alone"), "{error}");
    }
    let http = endpoint(json!({"url": "https://gate.example/to/{{ id }}/send"})).unwrap();
    assert_eq!(http.endpoint(), "https://gate.example/");
    for id in ["@evil.example", "evil.example/", "//evil.example", "\\evil", "a#b", "..."] {
        let request = encode_for(&http, id, &[]).unwrap();
        assert_eq!(request.uri().authority().unwrap(), "gate.example", "{id}");
        assert_eq!(request.uri().path().split('/').count(), 4, "{id}");
    }
    for id in [".", ".."] {
        let error = encode_for(&http, id, &[]).unwrap_err().to_string();
        assert!(
            error.ends_with("http.url: a part of the path would be . or .., which leads to another path"),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_place_and_without_values() {
    let url = "https://gate.example/";
    let header = json!({"url": url, "headers": [{"name": "X-Name", "value": "{{ vars.name }}{{ secret.token }}"}]});
    assert!(
        refusal(header.clone(), "7001", &[("name", "two\nlines")])
            .contains("http.headers \"x-name\": the value cannot be sent")
    );
    assert!(refusal(header, "7001", &[]).contains("http.headers \"x-name\": the recipient lacks vars.name; add it"));
    let quoted = json!({"url": url, "body": r#"{"to": "{{ id }}", "key": {{ secret.token }}}"#});
    assert!(refusal(quoted, "7001", &[]).contains("is no JSON; what stands for a name brings its own quotes"));
    let number = json!({"url": url, "body": r#"{"n": {{ vars.n | int }}}"#});
    assert!(
        refusal(number, "7001", &[("n", "hunter2")])
            .contains("http.body: failed to render the text: line 1, column 19")
    );
}

#[test]
fn a_bad_channel_is_refused_by_place_and_without_its_secrets() {
    let url = "https://gate.example/";
    let headers = |name: &str, value: &str| json!({"url": url, "headers": [{"name": "x-ok", "value": "1"}, {"name": name, "value": value}]});
    let cases = [
        (headers("bad name", "hunter2"), "http.headers[1] \"bad name\""),
        (headers("x-key", "hunter2\nx: y"), "http.headers[1] \"x-key\""),
        (headers("Content-Length", "hunter2"), "http.headers[1] \"Content-Length\""),
        (headers("x-herald-correlation", "hunter2"), "http.headers[1] \"x-herald-correlation\""),
        (headers("content-type", "hunter2"), "http.headers[1] \"content-type\""),
        (headers("X-OK", "hunter2"), "http.headers[1] \"X-OK\""),
        (headers("X-OK", "{{ id }}"), "http.headers[1] \"X-OK\""),
        (headers("x-key", "{{ secret.nothing }}"), "http.headers[1] \"x-key\""),
        (headers("x-key", "{{ secret.token | int }}"), "http.headers[1] \"x-key\""),
        (headers("x-key", "{{ first_name }}"), "http.headers[1] \"x-key\""),
        (json!({"url": url, "body": "{{ id"}), "http.body"),
        (json!({"url": url, "contentType": "a\nb", "body": "x"}), "http.contentType"),
        (json!({"url": "https://gate.example/{{ id | shout }}"}), "http.url"),
        (json!({"url": "https://gate.example/../send"}), "http.url"),
        (json!({"url": "https://gate example/"}), "http.url"),
        (json!({"url": "https://user:hunter2@gate.example/{{ id }}"}), "http.url"),
    ];
    for (channel, field) in cases {
        let error = endpoint(channel.clone()).unwrap_err();
        assert_eq!(error.field, field, "{channel}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_request_is_signed_with_the_id_of_its_message_and_the_time_of_its_attempt() {
    let channel = json!({"url": "https://gate.example/", "signing": "StandardWebhooks", "body": "[{{ id }}]"});
    let request = encode(&endpoint(channel).unwrap());
    assert_eq!(request.headers()["webhook-id"], "msg_7_42");
    assert_eq!(request.headers()["webhook-timestamp"], "1649367553");
    let expected = Webhook::new(SIGNING_SECRET).unwrap().sign("msg_7_42", 1_649_367_553, request.body()).unwrap();
    assert_eq!(request.headers()["webhook-signature"], expected);

    let own = json!({"url": "https://gate.example/", "signing": "StandardWebhooks",
        "headers": [{"name": "Webhook-ID", "value": "1"}]});
    assert_eq!(endpoint(own).unwrap_err().field, "http.headers[0] \"Webhook-ID\"");
    let without =
        serde_json::from_value(json!({"url": "https://gate.example/", "signing": "StandardWebhooks"})).unwrap();
    assert_eq!(Http::new(&without, Secrets::new()).unwrap_err().field, "Secret key signingSecret");
    let bad = Secrets::from([(HTTP_SIGNING_SECRET.to_owned(), SecretString::from("hunter2"))]);
    let error = Http::new(&without, bad).unwrap_err().to_string();
    assert!(error.contains("must begin with whsec_") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_correlation_value_that_is_no_header_value_is_refused() {
    let http = endpoint(json!({"url": "https://gate.example/"})).unwrap();
    let message =
        |text, correlation| Message { correlation, id: "msg_7_1", ..Message::sample("1", text, &Extras::None) };
    assert!(matches!(http.encode(&message("hi", "a\nb")), Err(EncodeError::Request(_))));
    assert!(http.encode(&message(&"x".repeat(100_000), "c")).is_ok(), "a text of any length is taken");
}

#[test]
fn attachments_come_with_the_text_only_by_links_that_can_be_fetched_and_never_get_lost() {
    let encode = |channel: Value, url: &str| {
        endpoint(channel).unwrap().encode(&Message {
            attachments: &[Attachment { kind: AttachmentType::File, url: url.into() }],
            correlation: "c",
            id: "msg_7_1",
            ..Message::sample("1", "Hi", &Extras::None)
        })
    };
    let (gate, link) = ("https://gate.example/", "https://a.example/1.pdf");
    let body = |request: Request<Bytes>| serde_json::from_slice::<Value>(request.body()).unwrap();
    let attachments = json!([{"type": "File", "url": link}]);
    let plain = encode(json!({"url": gate}), link).unwrap();
    assert_eq!(body(plain), json!({"id": "1", "text": "Hi", "attachments": attachments, "vars": {}}));
    let named = json!({"url": gate, "body": "{\"media\": {{ attachments }}}"});
    assert_eq!(body(encode(named, link).unwrap()), json!({ "media": attachments }));
    let in_url = json!({"url": "https://gate.example/?media={{ attachments[0].url }}", "method": "GET"});
    assert_eq!(encode(in_url, link).unwrap().uri().query(), Some("media=https%3A%2F%2Fa.example%2F1.pdf"));
    let lost = encode(json!({"url": gate, "body": "[{{ text }}]"}), link).unwrap_err().to_string();
    assert!(lost.contains("the message has attachments, which no template of the channel names"), "{lost}");
    let long = format!("https://a.example/{}", "x".repeat(2_048));
    for url in ["a.example/1.pdf", "ftp://a.example/1.pdf", "https://a.example/a b.pdf", "", &long] {
        assert!(matches!(encode(json!({"url": gate}), url), Err(EncodeError::Request(_))), "{url}");
    }
}

#[test]
fn a_secret_that_the_endpoint_repeats_in_another_form_reaches_nobody() {
    let response = json!({"messageIDPointer": "/id", "errorCodePointer": "/code", "errorMessagePointer": "/error"});
    let http = endpoint(json!({"url": "https://gate.example/", "response": response})).unwrap();
    let (basic, percent) = ("YW5hOmh1bnRlcjI=", "%68unter2%26");
    for form in [basic, percent, "hunter2", "ana@hunter2"] {
        let said = [
            json!({"id": format!("1-{form}")}),
            json!({"code": format!("1-{form}")}),
            json!({"code": "7", "error": format!("no such key: {form}")}),
        ];
        for body in said {
            let body = body.to_string();
            let answer = Answer {
                status: http::StatusCode::OK,
                headers: &HeaderMap::new(),
                body: body.as_bytes(),
                body_truncated: false,
                received_at: Timestamp::EPOCH,
            };
            let told = format!("{:?}", http.classify(&answer));
            assert!(told.contains("[…]") && !told.contains("unter2") && !told.contains("aHVudGVyM"), "{body}: {told}");
            assert!(!told.contains(basic), "{body}: {told}");
        }
    }
}
