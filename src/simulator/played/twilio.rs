//! Twilio's Messages resource.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};

use super::{Call, Play, Played, Posted, Refusal, Response, RetryAfter, is_link};
use crate::provider::twilio::callback::CORRELATION_FIELD;
use crate::provider::twilio::errors::find;
use crate::simulator::request::{field, fields};
use crate::simulator::telling::Telling;

const MAX_TEXT: usize = 1_600;
const MAX_MEDIA: usize = 10;

pub(super) struct Twilio;

impl Play for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn read(&self, request: &Posted<'_>) -> Option<Call> {
        let account = match request.segments()[..] {
            ["2010-04-01", "Accounts", account, "Messages.json"] => account,
            _ => return None,
        };
        let form = std::str::from_utf8(request.body).unwrap_or_default();
        let field = |name: &str| field(form, name);
        let sender = field("From").or_else(|| field("MessagingServiceSid"));
        let (recipient, text) = (field("To"), field("Body"));
        let links: Vec<String> = fields(form, "MediaUrl").collect();
        let callback = field("StatusCallback");
        let bad = |code: &str| Some(Refusal::BadParameter(code.to_owned()));
        let has_credentials = request.authorization.is_some_and(|value| value.starts_with("Basic "));
        let refusal = match &text {
            _ if !has_credentials => Some(Refusal::NoToken),
            _ if recipient.is_none() => bad("21211"),
            _ if sender.is_none() => bad("21603"),
            _ if links.len() > MAX_MEDIA || !links.iter().all(|link| is_link(link)) => bad("21620"),
            None if links.is_empty() => bad("21602"),
            Some(text) if text.chars().count() > MAX_TEXT => bad("21617"),
            _ => None,
        };
        Some(Call {
            played: Played::Twilio,
            account: format!("{account}/{}", sender.unwrap_or_default()),
            recipient: recipient.unwrap_or_default(),
            correlation: callback.as_deref().and_then(correlation),
            text: text.unwrap_or_default(),
            attachments: links.iter().map(|link| format!("media {link}")).collect(),
            callback,
            refusal,
        })
    }

    /// With a Messaging Service the first status is another, and who sends is not chosen yet.
    fn succeed(&self, call: &Call, seed: u64, number: u64) -> Response {
        let (account, sender) = call.account.split_once('/').unwrap_or((&call.account, ""));
        let by_service = sender.starts_with("MG");
        let body = json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": call.text,
            "direction": "outbound-api",
            "error_code": null,
            "error_message": null,
            "from": if by_service { Value::Null } else { json!(sender) },
            "messaging_service_sid": if by_service { json!(sender) } else { Value::Null },
            "num_media": call.attachments.len().to_string(),
            "num_segments": if by_service { "0" } else { "1" },
            "sid": format!("SM{seed:016x}{number:016x}"),
            "status": if by_service { "accepted" } else { "queued" },
            "to": call.recipient,
        });
        Response::json(201, &body).with("twilio-concurrent-requests", "1".into())
    }

    fn knows(&self, code: &str) -> bool {
        code.parse().is_ok_and(|code| find(code).is_some())
    }

    fn fail(&self, code: &str, _: &Call) -> Response {
        error(code.parse().unwrap_or_default())
    }

    /// Whether Twilio names a wait is not documented; the simulator does as it is told for every provider.
    fn throttle(&self, wish: &RetryAfter, now: jiff::Timestamp) -> (String, Response) {
        ("20429".into(), error(20_429).with("retry-after", wish.header(now)))
    }

    /// There is no status for the first one, which is in the answer.
    fn tell(&self, call: &Call, taken: &Value, _: i64) -> Vec<Telling> {
        let (account, sender) = call.account.split_once('/').unwrap_or((&call.account, ""));
        let sid = taken["sid"].as_str().unwrap_or_default();
        let told = |status: &str| {
            let fields = [
                ("AccountSid", account),
                ("ApiVersion", "2010-04-01"),
                ("From", sender),
                ("MessageSid", sid),
                ("MessageStatus", status),
                ("SmsSid", sid),
                ("SmsStatus", status),
                ("To", &call.recipient),
            ];
            let body = fields.map(|(name, value)| format!("{name}={}", value.replace('+', "%2B"))).join("&");
            Telling { content_type: "application/x-www-form-urlencoded", body }
        };
        ["sent", "delivered", "read"].map(told).into()
    }

    /// The URL and every field, sorted by name.
    fn sign(&self, secret: &str, url: &str, body: &str, _: i64) -> Vec<(&'static str, String)> {
        let names = ["AccountSid", "ApiVersion", "From", "MessageSid", "MessageStatus", "SmsSid", "SmsStatus", "To"];
        let said = names.map(|name| format!("{name}{}", field(body, name).unwrap_or_default())).concat();
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{url}{said}").as_bytes());
        vec![("x-twilio-signature", STANDARD.encode(tag.as_ref()))]
    }

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        let code = match refusal {
            Refusal::NoToken => 20_003,
            Refusal::BadParameter(code) => code.parse().unwrap_or(20_001),
        };
        (code.to_string(), error(code))
    }
}

fn error(code: i64) -> Response {
    let (status, message) = match code {
        20_003 => (401, "Authenticate"),
        20_404 => (404, "The requested resource was not found"),
        20_429 => (429, "Too many requests"),
        21_610 => (400, "Attempt to send to unsubscribed recipient"),
        21_611 => (429, "SMS queue is full."),
        63_038 => (429, "Account exceeded the daily messages limit"),
        _ => (400, "Simulated"),
    };
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    Response::json(status, &json!({"code": code, "message": message, "more_info": more_info, "status": status}))
}

/// What a sender puts into the URL that it is told at.
fn correlation(callback: &str) -> Option<String> {
    let (_, query) = callback.split_once('?')?;
    field(query, CORRELATION_FIELD)
}
