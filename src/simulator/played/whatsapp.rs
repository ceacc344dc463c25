//! The WhatsApp Cloud API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{
    Body, Call, Lack, Play, Played, Posted, Refusal, Response, RetryAfter, Settings, Upload, Used, graph, is_link,
};
use super::{whatsapp_media, whatsapp_template as template};
use crate::provider::graph::errors::find;
use crate::provider::whatsapp::errors::WHATSAPP_ERRORS;
use crate::simulator::multipart;
use crate::simulator::telling::Telling;
use crate::simulator::uploads::KEPT;

const MAX_TEXT: usize = 4_096;

/// The types of media messages.
const MEDIA: [&str; 4] = ["image", "video", "audio", "document"];

/// The code of the throttle answer.
const THROTTLED: i64 = 130_429;

pub(super) struct WhatsApp;

impl Play for WhatsApp {
    fn name(&self) -> &'static str {
        "whatsapp"
    }

    fn read(&self, request: &Posted<'_>) -> Option<Call> {
        let number = match request.segments()[..] {
            [version, number, "messages"] if version.starts_with('v') && !number.is_empty() => number,
            _ => return None,
        };
        let body = request.json();
        if body.text("/messaging_product")? != "whatsapp" {
            return None;
        }
        // Where both are there, `to` wins.
        let recipient = body.text("/to").or_else(|| body.text("/recipient"));
        let is_template = body.text("/type").as_deref() == Some("template");
        let filled = is_template.then(|| template::read(body.at("/template")));
        let text = match &filled {
            Some(filled) => filled.clone().ok(),
            None => body.text("/text/body"),
        };
        let bad = |what: &str| Some(Refusal::BadParameter(what.to_owned()));
        let kind = body.text("/type").filter(|kind| MEDIA.contains(&kind.as_str()));
        let media = kind.as_ref().and_then(|kind| media(&body, kind));
        let refusal = match &text {
            _ if !request.has_bearer_token() => Some(Refusal::NoToken),
            _ if recipient.is_none() => bad("The parameter to is required."),
            None if media.is_some() => None,
            None if is_template => bad(filled.and_then(Result::err).unwrap_or_default()),
            None if kind.is_some() => bad("Either one of media ID or link must be present"),
            None => bad("The parameter text['body'] is required."),
            Some(text) if !is_template && text.chars().count() > MAX_TEXT => {
                bad("Param text['body'] must be at most 4096 characters long.")
            }
            Some(_) => None,
        };
        Some(Call {
            played: Played::WhatsApp,
            account: number.to_owned(),
            recipient: recipient.unwrap_or_default(),
            correlation: body.text("/biz_opaque_callback_data"),
            text: text.unwrap_or_default(),
            attachments: media.into_iter().collect(),
            callback: None,
            refusal,
        })
    }

    fn succeed(&self, call: &Call, seed: u64, number: u64) -> Response {
        let id = format!("wamid.{}", STANDARD.encode(format!("simulated-{seed}-{number}")));
        let digits = call.recipient.trim_start_matches('+');
        let body = json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": call.recipient, "wa_id": digits}],
            "messages": [{"id": id}],
        });
        Response::json(200, &body)
    }

    fn knows(&self, code: &str) -> bool {
        graph::code(code).is_some_and(|(code, subcode)| find(WHATSAPP_ERRORS, code, subcode, None).is_some())
    }

    fn fail(&self, code: &str, _: &Call) -> Response {
        let (code, subcode) = graph::code(code).unwrap_or_default();
        error(code, subcode, &format!("(#{code}) Simulated"))
    }

    fn throttle(&self, _: &RetryAfter, _: jiff::Timestamp) -> (String, Response) {
        (THROTTLED.to_string(), error(THROTTLED, None, "(#130429) Rate limit hit"))
    }

    fn tell(&self, call: &Call, taken: &Value, at_ms: i64) -> Vec<Telling> {
        let told = |status: &str| {
            let status = json!({
                "id": taken["messages"][0]["id"],
                "status": status,
                "timestamp": (at_ms / 1_000).to_string(),
                "recipient_id": call.recipient.trim_start_matches('+'),
                "biz_opaque_callback_data": call.correlation,
            });
            let metadata = json!({"display_phone_number": "15550783881", "phone_number_id": call.account});
            let value = json!({"messaging_product": "whatsapp", "metadata": metadata, "statuses": [status]});
            let change = json!({"value": value, "field": "messages"});
            Telling::json(&json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}))
        };
        ["sent", "delivered", "read"].map(told).into()
    }

    fn sign(&self, secret: &str, _: &str, body: &str, _: i64) -> Vec<(&'static str, String)> {
        graph::sign(secret, body)
    }

    fn usage(&self, call: &Call, used: &Used) -> Option<(&'static str, String)> {
        Some(graph::usage("whatsapp", &call.account, used.percent()))
    }

    /// It is given the file, in a form.
    fn keep(&self, _: &Settings, request: &Posted<'_>, id: &str) -> Option<Upload> {
        match request.segments()[..] {
            [version, number, "media"] if version.starts_with('v') && !number.is_empty() => {}
            _ => return None,
        }
        Some(match file(request) {
            Ok(kept) => Upload { response: Response::json(200, &json!({"id": id})), kept: Some(kept) },
            Err(response) => Upload { response, kept: None },
        })
    }

    fn fits(&self, kind: &str, what: &str) -> bool {
        let media_type = what.split(',').next().unwrap_or_default();
        whatsapp_media::message_type(media_type) == Some(kind)
    }

    /// A link is fetched once the message is taken, so it is never refused for it.
    fn refuse_attachment(&self, lack: Lack, kind: &str) -> Option<(String, Response)> {
        let what = format!("Param {kind}['id'] is not a valid whatsapp business account media attachment ID");
        match lack {
            Lack::NotFetched => None,
            Lack::NotKept => Some(self.refuse(&Refusal::BadParameter(what))),
            Lack::OtherKind => Some((UNUSABLE.to_string(), unusable())),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        match refusal {
            Refusal::NoToken => ("190".into(), error(190, None, "Invalid OAuth access token.")),
            Refusal::BadParameter(what) => ("100".into(), error(100, None, &format!("(#100) {what}"))),
        }
    }
}

/// `None` for one that WhatsApp would refuse as well.
fn media(body: &Body, kind: &str) -> Option<String> {
    let link = body.text(&format!("/{kind}/link")).filter(|link| is_link(link));
    let kept = || Some(format!("{KEPT}{}", body.text(&format!("/{kind}/id"))?));
    Some(format!("{kind} {}", link.or_else(kept)?))
}

/// The file of a form: its type, its size and its name. Or why it is refused.
fn file(request: &Posted<'_>) -> Result<String, Response> {
    if !request.has_bearer_token() {
        return Err(error(190, None, "Invalid OAuth access token."));
    }
    let bad = |what: &str| error(100, None, &format!("(#100) {what}"));
    let fields = multipart::fields(request.content_type.unwrap_or_default(), request.body);
    let field = |name: &str| fields.iter().find(|field| field.name == name);
    if field("messaging_product").is_none_or(|field| field.content != b"whatsapp") {
        return Err(bad("The parameter messaging_product is required."));
    }
    let Some((file, name)) = field("file").and_then(|file| Some((file, file.file_name?))) else {
        return Err(bad("The parameter file is required."));
    };
    let is_told = |media_type: &&str| field("type").is_some_and(|told| told.content == media_type.as_bytes());
    let media_type = file.content_type.filter(is_told).unwrap_or_default();
    let Some(message_type) = whatsapp_media::message_type(media_type) else {
        return Err(bad(&whatsapp_media::not_taken()));
    };
    match file.content.len() {
        0 => Err(bad("The parameter file is required.")),
        length if length > whatsapp_media::max_bytes(message_type) => Err(unusable()),
        length => Ok(format!("{media_type},{length},{name}")),
    }
}

/// The code for a file that is of no use.
const UNUSABLE: i64 = 131_053;

fn unusable() -> Response {
    error(UNUSABLE, None, "(#131053) Media upload error")
}

/// With the statuses that Meta's table prints.
fn error(code: i64, subcode: Option<i64>, message: &str) -> Response {
    let status = match code {
        0 | 190 => 401,
        3 | 131_000 | 131_016 | 131_045 | 131_057 => 500,
        10 | 200..=299 | 368 | 130_497 | 131_005 | 131_031 => 403,
        2 | 133_004 => 503,
        132_001 => 404,
        _ => 400,
    };
    graph::error(status, code, subcode, message)
}
