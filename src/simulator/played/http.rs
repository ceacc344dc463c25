//! A plain endpoint.

use serde_json::{Value, json};

use super::{Call, Play, Played, Posted, Refusal, Response, RetryAfter, Used, is_link};
use crate::simulator::decide::hash;
use crate::simulator::request::{field, unescaped};

/// How the codes begin that are answered with 200 and an error in the body, as many endpoints do.
const IN_BODY: &str = "error:";

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

    /// Whom it is for stands in the body, the query or the path: endpoints have no common form.
    fn read(&self, request: &Posted<'_>) -> Option<Call> {
        let body = request.json();
        let form = std::str::from_utf8(request.body).unwrap_or_default();
        let said = |pointers: [&str; 2], names: [&str; 2]| {
            let in_json = pointers.into_iter().find_map(|pointer| body.text_or_number(pointer));
            let in_form =
                || names.into_iter().find_map(|name| field(form, name).or_else(|| field(request.query, name)));
            in_json.or_else(in_form)
        };
        let (account, in_path) = match request.path.split_once("/to/") {
            Some((before, after)) => {
                let recipient = unescaped(after.split('/').next().unwrap_or_default());
                (format!("{before}/to"), Some(recipient).filter(|id| !id.is_empty()))
            }
            None => (request.path.to_owned(), None),
        };
        let recipient = said(["/id", "/to"], ["id", "to"]).or(in_path);
        let given = body.at("/attachments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let attachments: Option<Vec<String>> = given.iter().map(attachment).collect();
        let bad = |what: &str| Some(Refusal::BadParameter(what.to_owned()));
        let refusal = match &recipient {
            None => bad("param recipient must be non-empty"),
            _ if attachments.is_none() => bad("param attachments is invalid"),
            Some(_) => None,
        };
        Some(Call {
            played: Played::Http,
            account,
            recipient: recipient.unwrap_or_default(),
            correlation: request.correlation.map(str::to_owned),
            text: said(["/text", "/message"], ["text", "message"]).unwrap_or_default(),
            attachments: attachments.unwrap_or_default(),
            callback: None,
            refusal,
        })
    }

    fn succeed(&self, call: &Call, seed: u64, _: u64) -> Response {
        let correlation = call.correlation.as_deref().unwrap_or_default();
        let id = hash(seed, &[call.recipient.as_bytes(), correlation.as_bytes()]);
        Response::json(200, &json!({"accepted": true, "id": format!("simulated_{id:016x}")}))
    }

    /// Beside statuses, which any provider may answer, it has a code of one's own choice in the body.
    fn knows(&self, code: &str) -> bool {
        code.strip_prefix(IN_BODY).is_some_and(|code| !code.is_empty())
    }

    fn fail(&self, code: &str, _: &Call) -> Response {
        let code = code.trim_start_matches(IN_BODY);
        let error = json!({"code": code, "message": format!("{code} (simulated)")});
        Response::json(200, &json!({"accepted": false, "error": error}))
    }

    fn throttle(&self, wish: &RetryAfter, now: jiff::Timestamp) -> (String, Response) {
        ("http:429".into(), Response::text(429, "Too Many Requests").with("retry-after", wish.header(now)))
    }

    fn usage(&self, _: &Call, used: &Used) -> Option<(&'static str, String)> {
        let left = u64::from(used.quota.requests).saturating_sub(used.requests);
        let seconds = used.opens_in.as_millis().div_ceil(1_000);
        Some(("ratelimit", format!("\"simulated\";r={left};t={seconds}")))
    }

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        match refusal {
            Refusal::NoToken => ("http:401".into(), Response::text(401, "no token")),
            Refusal::BadParameter(what) => ("http:400".into(), Response::json(400, &json!({"error": what}))),
        }
    }
}
