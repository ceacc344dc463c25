//! A plain endpoint.

use serde_json::{Value, json};

use super::{Call, Play, Played, Posted, Refusal, Response, RetryAfter, is_link};

pub(super) struct Http;

/// `None` for one that nobody could fetch.
fn attachment(attachment: &Value) -> Option<String> {
    let (kind, link) = (attachment["type"].as_str()?, attachment["url"].as_str()?);
    is_link(link).then(|| format!("{kind} {link}"))
}

impl Play for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn read(&self, request: &Posted<'_>) -> Option<Call> {
        let body = request.json();
        let recipient = body.text("/id");
        let given = body.at("/attachments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let attachments: Option<Vec<String>> = given.iter().map(attachment).collect();
        let bad = |what: &str| Some(Refusal::BadParameter(what.to_owned()));
        let refusal = match &recipient {
            _ if !body.is_json() => bad("the body is no JSON"),
            None => bad("param recipient must be non-empty"),
            _ if attachments.is_none() => bad("param attachments is invalid"),
            Some(_) => None,
        };
        Some(Call {
            played: Played::Http,
            account: request.path.to_owned(),
            recipient: recipient.unwrap_or_default(),
            correlation: request.correlation.map(str::to_owned),
            text: body.text("/text").unwrap_or_default(),
            attachments: attachments.unwrap_or_default(),
            callback: None,
            refusal,
        })
    }

    fn succeed(&self, _: &Call, _: u64, _: u64) -> Response {
        Response::json(200, &json!({"accepted": true}))
    }

    /// It has statuses alone, which any provider may answer.
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn fail(&self, _: &str, _: &Call) -> Response {
        Response::text(500, "simulated failure")
    }

    fn throttle(&self, wish: &RetryAfter, now: jiff::Timestamp) -> (String, Response) {
        ("http:429".into(), Response::text(429, "Too Many Requests").with("retry-after", wish.header(now)))
    }

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        match refusal {
            Refusal::NoToken => ("http:401".into(), Response::text(401, "no token")),
            Refusal::BadParameter(what) => ("http:400".into(), Response::json(400, &json!({"error": what}))),
        }
    }
}
