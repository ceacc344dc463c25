//! Telegram, Bot API: text messages, and media by link or by the `file_id` that an answer named, of a bot to chats.
//!
//! Facts are from the Bot API reference (10.1, by way of PaulSonOfLars/telegram-bot-api-spec) and the source of its server
//! (tdlib/telegram-bot-api); the meaning of each error is in [`errors`] with its own source. The token is part of each
//! request's URL, so no URL of this provider may be shown or logged.

pub mod callback;
pub mod errors;

use std::fmt;

use bytes::Bytes;
use http::{Request, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::{accepted, integer, json_object, unknown};
use super::redact::redact;
use super::retry_after::{MAX_RETRY_AFTER_MS, retry_after_ms};
use super::{
    AccountError, Answer, EncodeError, Handle, Keeping, Message, Provider, absolute_url, attachment, base_url,
    check_link, check_text, check_token, post_json,
};
use crate::api::channel::ChannelProvider;
use crate::api::content::{Attachment, AttachmentType, TelegramButton, TelegramContent, TelegramParseMode};
use crate::content::Extras;
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;

/// The longest text in characters, counted after its markup is taken out.
pub const MAX_TEXT: usize = 4_096;

/// The longest data of a button in bytes.
pub const MAX_CALLBACK_DATA: usize = 64;

/// How long a `file_id` is relied on. Telegram names no end ("file_ids can be treated as persistent", Bots FAQ); one that is
/// refused sooner is done without.
pub const KEPT_FOR: Span = Span::from_secs(30 * 24 * 60 * 60);

/// The reasons of the table for a `file_id` that stands for nothing. With the first one a link is refused as well: the words
/// are the same.
const GONE: [&str; 2] = ["LinkInvalid", "AttachmentNotFound"];

/// A bot and how to reach it.
pub struct TelegramAccount {
    /// The bot's id: the digits before the colon of its token.
    pub bot_id: String,
    /// `https://api.telegram.org`, a Bot API server of one's own or the simulator; may hold a path, no query.
    pub base_url: String,
    /// The bot's token, as BotFather gave it.
    pub bot_token: SecretString,
    /// Messages above the free limit are paid for.
    pub allow_paid_broadcast: bool,
}

/// The methods that send.
struct Methods {
    message: Uri,
    photo: Uri,
    video: Uri,
    audio: Uri,
    document: Uri,
}

/// The Bot API for one bot.
pub struct Telegram {
    bot_id: String,
    /// Without the token: connections are opened by it.
    base: Uri,
    /// With the token in its path, one for each method.
    methods: Methods,
    allow_paid_broadcast: bool,
    /// Kept to strike it out of error texts.
    secrets: [SecretString; 1],
}

impl Telegram {
    /// Checks the account and prepares what all its requests share.
    ///
    /// # Errors
    /// [`AccountError`] naming the field: a base URL that is no URL, a token that is none or belongs to another bot.
    pub fn new(account: TelegramAccount) -> Result<Telegram, AccountError> {
        let TelegramAccount { bot_id, base_url, bot_token, allow_paid_broadcast } = account;
        let base_url = self::base_url("telegram.baseURL", &base_url)?;
        let what = "a bot's token as BotFather gives it, e.g. 123456:ABC…";
        check_token("botToken", what, &bot_token)?;
        let refused = |problem: String| AccountError::new("Secret key botToken", problem);
        let (id, secret) =
            bot_token.expose_secret().split_once(':').ok_or_else(|| refused(format!("must be {what}")))?;
        // The token stands in the path: no other character could.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if secret.is_empty() || !secret.bytes().all(fits) {
            return Err(refused(format!("must be {what}")));
        }
        if id != bot_id {
            return Err(refused(format!("must be the token of the bot {bot_id}, which telegram.botID names")));
        }
        let base = absolute_url("telegram.baseURL", &base_url)?;
        let method = |name: &str| {
            absolute_url("telegram.baseURL", &format!("{base_url}/bot{}/{name}", bot_token.expose_secret()))
        };
        let methods = Methods {
            message: method("sendMessage")?,
            photo: method("sendPhoto")?,
            video: method("sendVideo")?,
            audio: method("sendAudio")?,
            document: method("sendDocument")?,
        };
        Ok(Telegram { bot_id, base, methods, allow_paid_broadcast, secrets: [bot_token] })
    }
}

impl fmt::Debug for Telegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telegram").field("bot_id", &self.bot_id).field("base", &self.base).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Send<'a> {
    chat_id: ChatId<'a>,
    #[serde(flatten)]
    body: Body<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_markup: Option<ReplyMarkup<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    disable_notification: bool,
    #[serde(skip_serializing_if = "is_false")]
    protect_content: bool,
    #[serde(skip_serializing_if = "is_false")]
    allow_paid_broadcast: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        parse_mode: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        link_preview_options: Option<LinkPreview>,
    },
    Photo {
        photo: &'a str,
    },
    Video {
        video: &'a str,
    },
    Audio {
        audio: &'a str,
    },
    Document {
        document: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum ChatId<'a> {
    Number(i64),
    Name(&'a str),
}

#[derive(Serialize)]
struct ReplyMarkup<'a> {
    inline_keyboard: Vec<Vec<Button<'a>>>,
}

#[derive(Serialize)]
struct Button<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_data: Option<&'a str>,
}

#[derive(Serialize)]
struct LinkPreview {
    is_disabled: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// One spelling for each chat: an audience holds a person once by the text of the id, and Telegram reads several texts as
/// one number, and names in any case.
fn chat_id(recipient: &str) -> Result<ChatId<'_>, EncodeError> {
    let refused = |problem| Err(EncodeError::Recipient { provider: "telegram", problem });
    if let Ok(number) = recipient.parse::<i64>() {
        return match number.to_string() == recipient {
            true => Ok(ChatId::Number(number)),
            false => refused("is a number with a + or needless zeros in front, and must be written without them"),
        };
    }
    if recipient.len() < 2 || !recipient.starts_with('@') {
        return refused("is no chat id (a number, or @name of a public channel or group)");
    }
    match recipient.chars().any(char::is_uppercase) {
        true => refused("is an @name with capital letters, and must be written in lower case"),
        false => Ok(ChatId::Name(recipient)),
    }
}

fn button(button: &TelegramButton) -> Result<Button<'_>, EncodeError> {
    if button.text.trim().is_empty() {
        return Err(EncodeError::Request("the text of a button is empty after rendering".to_owned()));
    }
    let callback_data = button.callback_data.as_deref();
    if callback_data.is_some_and(|data| data.is_empty() || data.len() > MAX_CALLBACK_DATA) {
        let problem = format!("the callbackData of a button must have 1 to {MAX_CALLBACK_DATA} bytes after rendering");
        return Err(EncodeError::Request(problem));
    }
    Ok(Button { text: &button.text, url: button.url.as_deref(), callback_data })
}

fn reply_markup(block: &TelegramContent) -> Result<Option<ReplyMarkup<'_>>, EncodeError> {
    if block.inline_keyboard.is_empty() {
        return Ok(None);
    }
    let rows = block.inline_keyboard.iter().map(|row| row.buttons.iter().map(button).collect());
    Ok(Some(ReplyMarkup { inline_keyboard: rows.collect::<Result<_, _>>()? }))
}

fn text<'a>(text: &'a str, block: &TelegramContent) -> Result<Body<'a>, EncodeError> {
    // How much of a text is markup is Telegram's to tell.
    let limit = if block.parse_mode.is_none() { MAX_TEXT } else { usize::MAX };
    check_text(text, ChannelProvider::Telegram.member(), limit)?;
    Ok(Body::Text {
        text,
        parse_mode: block.parse_mode.map(parse_mode),
        link_preview_options: block.disable_link_preview.then_some(LinkPreview { is_disabled: true }),
    })
}

fn parse_mode(mode: TelegramParseMode) -> &'static str {
    match mode {
        TelegramParseMode::Html => "HTML",
        TelegramParseMode::MarkdownV2 => "MarkdownV2",
    }
}

impl Provider for Telegram {
    fn channel(&self) -> ChannelProvider {
        ChannelProvider::Telegram
    }

    fn endpoint(&self) -> &Uri {
        &self.base
    }

    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError> {
        self.request(message, None)
    }

    fn encode_kept(&self, message: &Message<'_>, handle: &str) -> Result<Request<Bytes>, EncodeError> {
        self.request(message, Some(handle))
    }

    /// What Telegram has once fetched it keeps, and says so in its answer.
    fn keep(&self, attachment: &Attachment) -> Option<Result<Keeping, EncodeError>> {
        Some(check_link(attachment).map(|_| Keeping::Told))
    }

    fn read_handle(&self, attachment: &Attachment, answer: &Answer<'_>) -> Option<Handle> {
        let body = json_object(answer).ok()?;
        let file = file_of(attachment.kind, body.get("result")?)?;
        let name = file.get("file_id")?.as_str().filter(|name| !name.is_empty())?.to_owned();
        Some(Handle { name, lives: KEPT_FOR })
    }

    fn is_attachment_gone(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Permanent { fault, .. } if GONE.contains(&fault.reason.as_str()))
    }

    fn classify(&self, answer: &Answer<'_>) -> Outcome {
        let status = answer.status;
        let body = match json_object(answer) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        match (body.get("ok").and_then(Value::as_bool), message_id(&body)) {
            (Some(true), Some(id)) if status.is_success() => accepted(&id),
            (Some(false), None) => self.classify_error(&body, answer),
            (Some(false), Some(_)) => unknown("ContradictoryAnswer", status, "the answer holds a message and an error"),
            _ => unknown("IncompleteAnswer", status, "the answer holds neither an error nor a message's id"),
        }
    }
}

/// What a message holds of the kind that was sent. Telegram may have made something else of it, a film without sound an
/// animation: that cannot be sent again as what it was, and the link can.
fn file_of(kind: AttachmentType, message: &Value) -> Option<&Value> {
    match kind {
        // The same picture in several sizes.
        AttachmentType::Image => {
            let area = |size: &&Value| Some(size.get("width")?.as_u64()?.saturating_mul(size.get("height")?.as_u64()?));
            message.get("photo")?.as_array()?.iter().max_by_key(area)
        }
        AttachmentType::Video => message.get("video"),
        AttachmentType::Audio => message.get("audio"),
        AttachmentType::File => message.get("document"),
    }
}

/// An id of a message is one of its chat.
fn message_id(body: &Map<String, Value>) -> Option<String> {
    let result = body.get("result")?;
    let id = integer(result.get("message_id"))?;
    let chat = integer(result.get("chat")?.get("id"))?;
    Some(format!("{chat}:{id}"))
}

impl Telegram {
    /// One message, its file by its link or by the `file_id` of an earlier message. Telegram gives nothing back that we could send
    /// with a message, so the correlation is not sent.
    fn request(&self, message: &Message<'_>, kept: Option<&str>) -> Result<Request<Bytes>, EncodeError> {
        let plain = TelegramContent::default();
        let block = match message.extras {
            Extras::Telegram(block) => block,
            _ => &plain,
        };
        let (method, body) = match attachment(message)? {
            Some(attachment) => self.media(attachment.kind, kept.unwrap_or(&attachment.url)),
            None => (&self.methods.message, text(message.text, block)?),
        };
        let body = Send {
            chat_id: chat_id(message.recipient)?,
            body,
            reply_markup: if message.is_last { reply_markup(block)? } else { None },
            disable_notification: block.disable_notification,
            protect_content: block.protect_content,
            allow_paid_broadcast: self.allow_paid_broadcast,
        };
        post_json(method.clone(), &body)
    }

    /// By link Telegram takes pictures of 5 MB and other files of 20 MB; documents only as GIF, PDF and ZIP.
    fn media<'a>(&self, kind: AttachmentType, file: &'a str) -> (&Uri, Body<'a>) {
        match kind {
            AttachmentType::Image => (&self.methods.photo, Body::Photo { photo: file }),
            AttachmentType::Video => (&self.methods.video, Body::Video { video: file }),
            AttachmentType::Audio => (&self.methods.audio, Body::Audio { audio: file }),
            AttachmentType::File => (&self.methods.document, Body::Document { document: file }),
        }
    }

    fn classify_error(&self, body: &Map<String, Value>, answer: &Answer<'_>) -> Outcome {
        let Some(code) = integer(body.get("error_code")).and_then(|code| u16::try_from(code).ok()) else {
            return unknown("UnreadableAnswer", answer.status, "the error holds no code");
        };
        let description = body.get("description").and_then(Value::as_str).unwrap_or("no description");
        let text = redact(description, &self.secrets);
        let Some(row) = errors::find(code, description) else {
            return Outcome::Unknown { fault: Fault::new("UnrecognisedError", Some(code.to_string()), text) };
        };
        let shown = match row.error.words {
            "" => code.to_string(),
            words => format!("{code}/{words}"),
        };
        row.class.outcome(wish_ms(body, answer), Fault::new(row.reason, Some(shown), text))
    }
}

/// The longer of `parameters.retry_after`, in seconds, and the header of the same name; the server sets both.
fn wish_ms(body: &Map<String, Value>, answer: &Answer<'_>) -> Option<u64> {
    let seconds = body.get("parameters").and_then(|parameters| parameters.get("retry_after")?.as_u64());
    let parameter = seconds.map(|seconds| seconds.saturating_mul(1_000).min(MAX_RETRY_AFTER_MS));
    parameter.max(retry_after_ms(answer.headers, answer.received_at))
}

#[cfg(test)]
mod tests;
