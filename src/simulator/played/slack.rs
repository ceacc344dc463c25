//! Slack's `chat.postMessage`.

use serde_json::json;

use super::{Call, Play, Played, Posted, Refusal, Response, RetryAfter};
use crate::provider::slack::errors::find;

/// Every request comes from one workspace: it names none.
const WORKSPACE: &str = "workspace";

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
        let has_blocks =
            body.at("/blocks").is_some_and(|blocks| blocks.as_array().is_some_and(|list| !list.is_empty()));
        let bad = |word: &str| Some(Refusal::BadParameter(word.to_owned()));
        let refusal = match (&recipient, &text) {
            _ if !request.has_bearer_token() => Some(Refusal::NoToken),
            (None, _) => bad("channel_not_found"),
            (Some(_), None) if !has_blocks => bad("no_text"),
            _ => None,
        };
        Some(Call {
            played: Played::Slack,
            account: WORKSPACE.to_owned(),
            recipient: recipient.unwrap_or_default(),
            correlation: body.text("/metadata/event_payload/ref"),
            text: text.unwrap_or_default(),
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

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        let word = match refusal {
            Refusal::NoToken => "not_authed",
            Refusal::BadParameter(word) if find(word).is_some() => word,
            Refusal::BadParameter(_) => "invalid_arguments",
        };
        (word.to_owned(), error(word))
    }
}

fn error(word: &str) -> Response {
    Response::json(200, &json!({"ok": false, "error": word}))
}
