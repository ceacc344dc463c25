//! Slack's `chat.postMessage`.

use ring::hmac;
use serde_json::{Value, json};

use super::graph::hex;
use super::{Call, Play, Played, Posted, Refusal, Response, RetryAfter, is_link};
use crate::provider::slack::errors::find;
use crate::simulator::telling::Telling;

/// Every request comes from one workspace: it names none.
const WORKSPACE: &str = "workspace";

/// The team that calls back.
const TEAM: &str = "T0123456789";

pub(super) struct Slack;

impl Play for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn read(&self, request: &Posted<'_>) -> Option<Call> {
        if request.segments()[..] != ["api", "chat.postMessage"] {
            return None;
        }
        let body = request.json();
        let (recipient, text) = (body.text("/channel"), body.text("/text"));
        let blocks = body.at("/blocks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let pictures: Vec<Option<String>> =
            blocks.iter().filter(|block| block["type"] == "image").map(picture).collect();
        let bad = |word: &str| Some(Refusal::BadParameter(word.to_owned()));
        let refusal = match (&recipient, &text) {
            _ if !request.has_bearer_token() => Some(Refusal::NoToken),
            (None, _) => bad("channel_not_found"),
            (Some(_), None) if blocks.is_empty() => bad("no_text"),
            _ if pictures.iter().any(Option::is_none) => bad("invalid_blocks"),
            _ => None,
        };
        Some(Call {
            played: Played::Slack,
            account: WORKSPACE.to_owned(),
            recipient: recipient.unwrap_or_default(),
            correlation: body.text("/metadata/event_payload/ref"),
            text: text.unwrap_or_default(),
            attachments: pictures.into_iter().flatten().collect(),
            callback: None,
            refusal,
        })
    }

    fn succeed(&self, call: &Call, _: u64, number: u64) -> Response {
        let ts = format!("1780000000.{number:06}");
        let message = json!({"text": call.text, "type": "message", "subtype": "bot_message", "ts": ts});
        Response::json(200, &json!({"ok": true, "channel": call.recipient, "ts": ts, "message": message}))
    }

    fn knows(&self, code: &str) -> bool {
        find(code).is_some()
    }

    fn fail(&self, code: &str, _: &Call) -> Response {
        error(code)
    }

    fn throttle(&self, wish: &RetryAfter, _: jiff::Timestamp) -> (String, Response) {
        let response = Response { status: 429, ..error("ratelimited") };
        ("ratelimited".into(), response.with("retry-after", wish.whole_seconds().to_string()))
    }

    /// A request names no workspace; the URL is one's own.
    fn tell(&self, call: &Call, taken: &Value, at_ms: i64) -> Vec<Telling> {
        let event = json!({
            "type": "message_metadata_posted",
            "app_id": "A0",
            "channel_id": taken["channel"],
            "message_ts": taken["ts"],
            "metadata": {"event_type": "herald_message", "event_payload": {"ref": call.correlation}},
        });
        let body = json!({"team_id": TEAM, "api_app_id": "A0", "type": "event_callback", "event_time": at_ms / 1_000, "event": event});
        vec![Telling::json(&body)]
    }

    fn sign(&self, secret: &str, _: &str, body: &str, at: i64) -> Vec<(&'static str, String)> {
        let tag = hex(&hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            format!("v0:{at}:{body}").as_bytes(),
        ));
        vec![("x-slack-request-timestamp", at.to_string()), ("x-slack-signature", format!("v0={tag}"))]
    }

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        let word = match refusal {
            Refusal::NoToken => "not_authed",
            Refusal::BadParameter(word) if find(word).is_some() => word,
            Refusal::BadParameter(_) => "invalid_arguments",
        };
        (word.to_owned(), error(word))
    }
}

/// `None` for a block that Slack would refuse: it wants a link and words that stand for the picture.
fn picture(block: &Value) -> Option<String> {
    let member = |name: &str| block.get(name)?.as_str().filter(|text| !text.is_empty());
    let link = member("image_url").filter(|link| is_link(link))?;
    member("alt_text").map(|_| format!("image {link}"))
}

fn error(word: &str) -> Response {
    Response::json(200, &json!({"ok": false, "error": word}))
}
