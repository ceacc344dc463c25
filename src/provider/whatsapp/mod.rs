//! WhatsApp Cloud API: text messages, media and approved templates of a business phone number. Media are uploaded once
//! ([`mod@media`]), or named by their links.
//!
//! Facts are from the WhatsApp pages on text and media messages, templates, phone numbers and errors of June and July 2026; the
//! meaning of each error is in [`errors`] with its own source. How templates are filled in is in `template`.

pub mod callback;
pub mod errors;
pub mod marketing;
pub mod media;
mod template;

use std::fmt;

use bytes::Bytes;
use http::{Request, Uri};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use self::errors::WHATSAPP_ERRORS;
use self::template::Template;
use super::answer::{accepted, json_object, text, unknown};
use super::graph::{self, Graph};
use super::{
    AccountError, Answer, EncodeError, Keeping, Message, Provider, Upload, attachment, check_text, last_piece,
};
use crate::api::channel::ChannelProvider;
use crate::api::content::{Attachment, AttachmentType, WhatsAppContent};
use crate::content::Extras;
use crate::delivery::outcome::Outcome;
use crate::delivery::usage::Usage;

/// The longest text in characters.
pub const MAX_TEXT: usize = 4_096;

/// The longest `biz_opaque_callback_data` in characters.
pub const MAX_CALLBACK_DATA: usize = 512;

/// The longest phone number in digits (E.164).
const MAX_DIGITS: usize = 15;

/// A business phone number and how to reach it.
pub struct WhatsAppAccount {
    /// The number's id: digits.
    pub phone_number_id: String,
    /// The Graph version, e.g. `v25.0`.
    pub api_version: String,
    /// `https://graph.facebook.com`, or a proxy or the simulator; may hold a path, no query.
    pub base_url: String,
    /// The access token of a system user; sent as a Bearer token.
    pub access_token: SecretString,
    /// Adds `appsecret_proof` to each request when given.
    pub app_secret: Option<SecretString>,
}

/// The Cloud API for one number.
pub struct WhatsApp {
    phone_number_id: String,
    graph: Graph,
}

impl WhatsApp {
    /// Checks the account and prepares what all its requests share.
    ///
    /// # Errors
    /// [`AccountError`] naming the field: an id or version that cannot stand in a path, a base URL that is no URL, an
    /// empty or unsendable token, an empty app secret.
    pub fn new(account: WhatsAppAccount) -> Result<WhatsApp, AccountError> {
        let WhatsAppAccount { phone_number_id, api_version, base_url, access_token, app_secret } = account;
        if phone_number_id.is_empty() || !phone_number_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AccountError::new("whatsapp.phoneNumberID", "must be the number's id, digits only"));
        }
        let graph = Graph::new("whatsapp", &phone_number_id, &base_url, &api_version, access_token, app_secret)?;
        Ok(WhatsApp { phone_number_id, graph })
    }
}

impl fmt::Debug for WhatsApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WhatsApp");
        shown.field("phone_number_id", &self.phone_number_id).field("base_url", &self.graph.base_url).finish()
    }
}

#[derive(Serialize)]
struct Send<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    #[serde(flatten)]
    to: To<'a>,
    #[serde(flatten)]
    content: Content<'a>,
    /// Comes back in each status call-back.
    biz_opaque_callback_data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum To<'a> {
    /// A phone number with `+`.
    To(&'a str),
    /// A business-scoped user id, of people who are known by a user name. Not certain that every account has them.
    Recipient(&'a str),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Text { text: Body<'a> },
    Image { image: Media<'a> },
    Video { video: Media<'a> },
    Audio { audio: Media<'a> },
    Document { document: Media<'a> },
    Template { template: Template<'a> },
}

#[derive(Serialize)]
struct Body<'a> {
    body: &'a str,
    preview_url: bool,
}

/// A file, and what a document is called in the chat.
#[derive(Serialize)]
struct Media<'a> {
    #[serde(flatten)]
    file: File<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum File<'a> {
    /// WhatsApp keeps what it has fetched for some minutes, so one link is not fetched for every recipient.
    Link(&'a str),
    /// Under which it was uploaded.
    Id(&'a str),
}

fn media<'a>(attachment: &'a Attachment, kept: Option<&'a str>) -> Content<'a> {
    let file = kept.map_or(File::Link(&attachment.url), File::Id);
    let media = Media { file, filename: None };
    match attachment.kind {
        AttachmentType::Image => Content::Image { image: media },
        AttachmentType::Video => Content::Video { video: media },
        AttachmentType::Audio => Content::Audio { audio: media },
        AttachmentType::File => {
            Content::Document { document: Media { filename: last_piece(&attachment.url), ..media } }
        }
    }
}

fn to(recipient: &str) -> Result<To<'_>, EncodeError> {
    if is_phone_number(recipient) {
        return Ok(To::To(recipient));
    }
    let is_user_id = recipient.split_once('.').is_some_and(|(country, id)| {
        country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && !id.is_empty()
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    match is_user_id {
        true => Ok(To::Recipient(recipient)),
        // Without `+` the message would go to a number in the business's own country, with a success.
        false => Err(EncodeError::Recipient {
            provider: "whatsapp",
            problem: "is no phone number with + and country code, such as +4915112345678",
        }),
    }
}

/// `+`, country code and number.
pub(super) fn is_phone_number(recipient: &str) -> bool {
    recipient.strip_prefix('+').is_some_and(|digits| {
        digits.len() <= MAX_DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.starts_with(|first: char| ('1'..='9').contains(&first))
    })
}

impl Provider for WhatsApp {
    fn channel(&self) -> ChannelProvider {
        ChannelProvider::WhatsApp
    }

    fn endpoint(&self) -> &Uri {
        &self.graph.uri
    }

    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError> {
        self.request(message, None)
    }

    fn encode_kept(&self, message: &Message<'_>, handle: &str) -> Result<Request<Bytes>, EncodeError> {
        self.request(message, Some(handle))
    }

    fn keep(&self, attachment: &Attachment) -> Option<Result<Keeping, EncodeError>> {
        Some(self.form(attachment).map(Keeping::Form))
    }

    fn classify_upload(&self, answer: &Answer<'_>) -> Upload {
        self.classify_form(answer)
    }

    fn is_attachment_gone(&self, outcome: &Outcome) -> bool {
        media::is_gone(outcome)
    }

    /// A template that is `held_for_quality_assessment` or `paused` is taken like any other: what becomes of it is told
    /// later.
    fn classify(&self, answer: &Answer<'_>) -> Outcome {
        let status = answer.status;
        let body = match json_object(answer) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let id = text(body.get("messages").and_then(|messages: &Value| messages.get(0)?.get("id")));
        match (body.get("error"), id) {
            (Some(error), None) => graph::classify_error(error, answer, WHATSAPP_ERRORS, &self.graph.secrets),
            (None, Some(id)) if status.is_success() => accepted(id),
            (Some(_), Some(_)) => unknown("ContradictoryAnswer", status, "the answer holds a message id and an error"),
            _ => unknown("IncompleteAnswer", status, "the answer holds neither an error nor a message id"),
        }
    }

    fn usage(&self, answer: &Answer<'_>) -> Option<Usage> {
        graph::usage(answer.headers)
    }
}

impl WhatsApp {
    /// One message, its file by its link or by the id under which it is kept.
    fn request(&self, message: &Message<'_>, kept: Option<&str>) -> Result<Request<Bytes>, EncodeError> {
        let content = match (message.extras, attachment(message)?) {
            (Extras::WhatsApp(WhatsAppContent { template: Some(block), .. }), _) => {
                Content::Template { template: template::fill(block)? }
            }
            (_, Some(attachment)) => media(attachment, kept),
            (extras, None) => {
                check_text(message.text, self.name(), MAX_TEXT)?;
                let preview_url = matches!(extras, Extras::WhatsApp(block) if block.preview_url);
                Content::Text { text: Body { body: message.text, preview_url } }
            }
        };
        if message.correlation.chars().count() > MAX_CALLBACK_DATA {
            return Err(EncodeError::Request(format!("the correlation value has over {MAX_CALLBACK_DATA} characters")));
        }
        self.graph.post(&Send {
            messaging_product: "whatsapp",
            recipient_type: "individual",
            to: to(message.recipient)?,
            content,
            biz_opaque_callback_data: message.correlation,
        })
    }
}

#[cfg(test)]
mod tests;
