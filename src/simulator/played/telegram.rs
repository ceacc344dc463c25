//! Telegram's Bot API.

use serde_json::{Value, json};

use super::{Call, Lack, Play, Played, Posted, Refusal, Response, RetryAfter, is_link};
use crate::provider::telegram::errors::{TELEGRAM_ERRORS, TelegramError};
use crate::simulator::uploads::{KEPT, file_id};

/// The longest text, and what the server answers to a longer one.
const MAX_TEXT: usize = 4_096;

/// How the ids of kept files begin, as far as the simulator gives them.
const FILE_ID: &str = "AgAC";

/// The methods that send media, and where each has the link or the id.
const MEDIA: [(&str, &str); 4] =
    [("sendPhoto", "photo"), ("sendVideo", "video"), ("sendAudio", "audio"), ("sendDocument", "document")];

pub(super) struct Telegram;

impl Play for Telegram {
    fn name(&self) -> &'static str {
        "telegram"
    }

    /// The account is the bot's id: the rest of its token belongs into no record.
    fn read(&self, request: &Posted<'_>) -> Option<Call> {
        let (token, method) = match request.segments()[..] {
            [first, method] => (first.strip_prefix("bot")?, method),
            _ => return None,
        };
        let (bot, secret) = token.split_once(':').unwrap_or((token, ""));
        let is_bot = !bot.is_empty() && bot.bytes().all(|byte| byte.is_ascii_digit());
        let body = request.json();
        let kind = MEDIA.iter().find(|(name, _)| *name == method).map(|(_, kind)| *kind);
        let file = kind.and_then(|kind| body.text(&format!("/{kind}")));
        let named = file.as_ref().and_then(|file| match file.starts_with(FILE_ID) {
            true => Some(format!("{KEPT}{file}")),
            false => is_link(file).then(|| file.clone()),
        });
        let (recipient, text) = (body.text_or_number("/chat_id"), body.text("/text"));
        let bad = |what: &str| Some(Refusal::BadParameter(what.to_owned()));
        let refusal = match &text {
            _ if !is_bot || secret.is_empty() || (method != "sendMessage" && kind.is_none()) => Some(Refusal::NoToken),
            _ if recipient.is_none() => bad("chat_id is empty"),
            _ if kind.is_some() => match &named {
                Some(_) => None,
                None => bad("wrong HTTP URL specified"),
            },
            None => bad("message text is empty"),
            Some(text) if body.text("/parse_mode").is_none() && text.chars().count() > MAX_TEXT => {
                bad("message is too long")
            }
            Some(_) => None,
        };
        Some(Call {
            played: Played::Telegram,
            account: if is_bot { bot.to_owned() } else { String::new() },
            recipient: recipient.unwrap_or_default(),
            correlation: None,
            text: text.unwrap_or_default(),
            attachments: kind.zip(named).map(|(kind, named)| format!("{kind} {named}")).into_iter().collect(),
            callback: None,
            refusal,
        })
    }

    fn succeed(&self, call: &Call, _: u64, number: u64) -> Response {
        let id = call.recipient.parse::<i64>().map_or_else(|_| json!(-1_001_000_000_000_i64), |id| json!(id));
        let chat_type = if call.recipient.starts_with(['-', '@']) { "supergroup" } else { "private" };
        let bot = call.account.parse::<i64>().unwrap_or_default();
        let mut result = json!({
            "message_id": number,
            "from": {"id": bot, "is_bot": true, "first_name": "Simulated", "username": "simulated_bot"},
            "chat": {"id": id, "type": chat_type},
            "date": 1_780_000_000,
        });
        match call.attachments.first().and_then(|attachment| attachment.split_once(' ')) {
            Some((kind, named)) => result[kind] = file(kind, named, number),
            None => result["text"] = json!(call.text),
        }
        Response::json(200, &json!({"ok": true, "result": result}))
    }

    fn knows(&self, code: &str) -> bool {
        find(code).is_some()
    }

    fn fail(&self, code: &str, _: &Call) -> Response {
        let Some(row) = find(code) else { return error(500, "Internal Server Error", Value::Null) };
        match row.code {
            429 => error(429, "Too Many Requests: retry after 1", json!({"retry_after": 1}))
                .with("retry-after", "1".into()),
            400 if row.words.contains("supergroup") => {
                let description = "Bad Request: group chat was upgraded to a supergroup chat";
                error(400, description, json!({"migrate_to_chat_id": -1_001_234_567_890_i64}))
            }
            code => error(code, &description(row), Value::Null),
        }
    }

    fn throttle(&self, wish: &RetryAfter, _: jiff::Timestamp) -> (String, Response) {
        let seconds = wish.whole_seconds();
        let response =
            error(429, &format!("Too Many Requests: retry after {seconds}"), json!({"retry_after": seconds}));
        ("429".into(), response.with("retry-after", seconds.to_string()))
    }

    fn refuse_attachment(&self, lack: Lack, _: &str) -> Option<(String, Response)> {
        let refused = error(400, "Bad Request: wrong file identifier/HTTP URL specified", Value::Null);
        (lack != Lack::NotFetched).then(|| ("400/wrong file identifier".into(), refused))
    }

    fn refuse(&self, refusal: &Refusal) -> (String, Response) {
        match refusal {
            Refusal::NoToken => ("404".into(), error(404, "Not Found", Value::Null)),
            Refusal::BadParameter(what) => ("400".into(), error(400, &format!("Bad Request: {what}"), Value::Null)),
        }
    }
}

/// What a message holds of its file: a photo in two sizes.
fn file(kind: &str, named: &str, number: u64) -> Value {
    let kept = named.strip_prefix(KEPT).and_then(|kept| kept.split(' ').next());
    let id = kept.map_or_else(|| file_id(number), str::to_owned);
    let size = |id: &str, edge: u32| json!({"file_id": id, "file_unique_id": "AQAD", "width": edge, "height": edge});
    match kind {
        "photo" => json!([size(&format!("{id}-small"), 90), size(&id, 800)]),
        _ => json!({"file_id": id, "file_unique_id": "AQAD", "file_size": 1_024}),
    }
}

/// `403/blocked by the user`, or `401` for what has no words.
fn find(code: &str) -> Option<&'static TelegramError> {
    let (code, words) = code.split_once('/').unwrap_or((code, ""));
    let code: u16 = code.parse().ok()?;
    TELEGRAM_ERRORS.iter().map(|row| &row.error).find(|error| error.code == code && error.words == words)
}

fn description(error: &TelegramError) -> String {
    let prefix = match error.code {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        421 => "Misdirected Request",
        _ => "Internal Server Error",
    };
    if error.words.is_empty() { prefix.to_owned() } else { format!("{prefix}: {}", error.words) }
}

fn error(code: u16, description: &str, parameters: Value) -> Response {
    let mut body = json!({"ok": false, "error_code": code, "description": description});
    if !parameters.is_null() {
        body["parameters"] = parameters;
    }
    Response::json(code, &body)
}
