//! Messenger's Send API.

use serde_json::{Value, json};

use super::{
    Body, Call, Lack, Play, Played, Posted, Refusal, Response, RetryAfter, Settings, Upload, Used, graph, is_link,
};
use crate::simulator::telling::Telling;
use crate::simulator::uploads::KEPT;

/// Graph's own words: "must be less than or equal to 2000".
const MAX_TEXT: usize = 2_000;

/// The code of the throttle answer.
const THROTTLED: i64 = 613;

/// The error for a link that cannot be fetched, and the one for an id that stands for nothing.
const NOT_FETCHED: (i64, i64) = (100, 2_018_008);
const NOT_FOUND: (i64, i64) = (100, 2_018_074);

pub(super) struct Messenger;

impl Play for Messenger {
    fn name(&self) -> &'static str {
        "messenger"
    }

    fn read(&self, request: &Posted<'_>) -> Option<Call> {
        let page = match request.segments()[..] {
            [version, page, "messages"] if version.starts_with('v') && !page.is_empty() => page,
            _ => return None,
        };
        let body = request.json();
        let (recipient, text) =
            (body.text("/recipient/id"), body.text("/message/text").or_else(|| body.text("/message/template/name")));
        let bad = |what: &str| Some(Refusal::BadParameter(what.to_owned()));
        let attachment = attachment(&body);
        let attaches = body.at("/message/attachment").is_some();
        let refusal = match &text {
            _ if !body.is_json() => bad("the body is no JSON"),
            _ if recipient.is_none() => bad("param recipient must be non-empty"),
            _ if !request.has_bearer_token() => Some(Refusal::NoToken),
            _ if body.text("/messaging_type").is_none() => bad("param messaging_type is required"),
            Some(_) if attaches => bad("Message cannot contain both text and attachment"),
            None if attaches && attachment.is_none() => bad("param message[attachment] is invalid"),
            None if attaches => None,
            None => bad("param message[text] must be non-empty"),
            Some(text) if text.chars().count() > MAX_TEXT => {
                bad("Length of param message[text] must be less than or equal to 2000")
            }
            Some(_) => None,
        };
        Some(Call {
            played: Played::Messenger,
            account: page.to_owned(),
            recipient: recipient.unwrap_or_default(),
            correlation: body.text("/message/metadata"),
            text: text.unwrap_or_default(),
            attachments: attachment.into_iter().collect(),
            callback: None,
            refusal,
        })
    }

    fn succeed(&self, call: &Call, seed: u64, number: u64) -> Response {
        let body = json!({"recipient_id": call.recipient, "message_id": format!("m_simulated_{seed}_{number}")});
        Response::json(200, &body)
    }

    /// Every Graph code, also one that has no row in any table.
    fn knows(&self, code: &str) -> bool {
        graph::code(code).is_some()
    }

    fn fail(&self, code: &str, call: &Call) -> Response {
        let (code, subcode) = graph::code(code).unwrap_or_default();
        error(code, subcode, &call.recipient)
    }

    fn throttle(&self, _: &RetryAfter, _: jiff::Timestamp) -> (String, Response) {
        (THROTTLED.to_string(), error(THROTTLED, None, ""))
    }

    /// An echo brings the metadata back; a read names no message.
    fn tell(&self, call: &Call, taken: &Value, at_ms: i64) -> Vec<Telling> {
        let (page, person, mid) = (&call.account, &call.recipient, &taken["message_id"]);
        let told = |sender: &str, recipient: &str, what: &str, news: Value| {
            let event =
                json!({"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": at_ms, what: news});
            let body = json!({"object": "page", "entry": [{"id": page, "time": at_ms, "messaging": [event]}]});
            Telling::json(&body)
        };
        let echo = json!({"is_echo": true, "app_id": 1, "metadata": call.correlation, "mid": mid, "text": call.text});
        vec![
            told(page, person, "message", echo),
            told(person, page, "delivery", json!({"mids": [mid], "watermark": at_ms})),
            told(person, page, "read", json!({"watermark": at_ms})),
        ]
    }

    fn sign(&self, secret: &str, _: &str, body: &str, _: i64) -> Vec<(&'static str, String)> {
        graph::sign(secret, body)
    }

    fn usage(&self, call: &Call, used: &Used) -> Option<(&'static str, String)> {
        Some(graph::usage("messenger", &call.account, used.percent()))
    }

    /// It fetches the link itself.
    fn keep(&self, settings: &Settings, request: &Posted<'_>, id: &str) -> Option<Upload> {
        match request.segments()[..] {
            [version, page, "message_attachments"] if version.starts_with('v') && !page.is_empty() => {}
            _ => return None,
        }
        let body = request.json();
        let link = body.text("/message/attachment/payload/url").filter(|link| is_link(link));
        let is_reusable = body.at("/message/attachment/payload/is_reusable").and_then(Value::as_bool);
        let refused = |response| Upload { response, kept: None };
        Some(match link.filter(|_| is_reusable == Some(true)) {
            _ if !request.has_bearer_token() => refused(error(190, None, "")),
            None => refused(graph::error(400, 100, None, "(#100) param message[attachment] is invalid")),
            Some(link) if settings.cannot_fetch(&link) => refused(no_attachment(NOT_FETCHED)),
            kept => Upload { response: Response::json(200, &json!({"attachment_id": id})), kept },
        })
    }

    fn refuse_attachment(&self, lack: Lack, _: &str) -> Option<(String, Response)> {
        let error = match lack {
            Lack::NotFetched => NOT_FETCHED,
            Lack::NotKept | Lack::OtherKind => NOT_FOUND,
        };
        Some((format!("{}/{}", error.0, error.1), no_attachment(error)))
    }

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        match refusal {
            Refusal::NoToken => ("190".into(), error(190, None, "")),
            Refusal::BadParameter(what) => ("100".into(), graph::error(400, 100, None, &format!("(#100) {what}"))),
        }
    }
}

fn no_attachment((code, subcode): (i64, i64)) -> Response {
    graph::error(400, code, Some(subcode), "(#100) The attachment cannot be used (simulated)")
}

/// `None` for one that Messenger would refuse as well.
fn attachment(body: &Body) -> Option<String> {
    let kind = body.text("/message/attachment/type")?;
    let is_known = ["image", "video", "audio", "file"].contains(&kind.as_str());
    let link = body.text("/message/attachment/payload/url").filter(|link| is_link(link));
    let kept = || Some(format!("{KEPT}{}", body.text("/message/attachment/payload/attachment_id")?));
    let what = link.or_else(kept)?;
    is_known.then(|| format!("{kind} {what}"))
}

/// Where nothing else is known of a code, the text names the person, as several of the Graph API do.
fn error(code: i64, subcode: Option<i64>, recipient: &str) -> Response {
    let message = match code {
        1 => "An unknown error occurred.".to_owned(),
        2 => "An unexpected error has occurred. Please retry your request later.".to_owned(),
        4 => "(#4) Application request limit reached".to_owned(),
        10 => "(#10) This message is sent outside of allowed window.".to_owned(),
        190 => "Invalid OAuth access token.".to_owned(),
        551 => "(#551) This person isn't available right now.".to_owned(),
        613 => "(#613) Calls to this api have exceeded the rate limit.".to_owned(),
        _ => format!("(#{code}) Object with ID '{recipient}' does not exist (simulated)"),
    };
    // As recorded: throttles of the app with 403, temporary errors with 500, everything else with 400.
    let status = match code {
        4 => 403,
        1 | 2 => 500,
        _ => 400,
    };
    graph::error(status, code, subcode, &message)
}
