//! Facebook Messenger, Send API: texts, attachments by link and utility templates of a page to people by page-scoped id.
//!
//! Facts are from the Send API reference and the rate-limit, utility-message and error pages of the Messenger Platform; the
//! meaning of each error is in [`graph_errors`] with its own source.

pub mod callback;
pub mod graph_errors;
mod labels;

use std::fmt;

use bytes::Bytes;
use http::{Request, Uri};
use secrecy::SecretString;
use serde::Serialize;

use self::graph_errors::GRAPH_ERRORS;
use super::answer::{accepted, integer, json_object, text, unknown};
use super::graph::{self, Graph};
use super::label::Labels;
use super::{
    AccountError, Answer, EncodeError, Handle, Keeping, Message, Provider, Upload, attachment, check_link, check_text,
};
use crate::api::channel::ChannelProvider;
use crate::api::content::{
    Attachment, AttachmentType, MessengerContent, MessengerMessagingType, MessengerNotificationType,
    MessengerParameter, MessengerQuickReply, MessengerTemplate,
};
use crate::content::Extras;
use crate::delivery::outcome::Outcome;
use crate::delivery::time::Span;
use crate::delivery::usage::Usage;

/// The longest text in characters. One page of the documentation says "less than 2,000 characters", another "2,000
/// character limit"; this is what both allow.
pub const MAX_TEXT: usize = 1_999;

/// The longest `message.metadata` in characters: documented as less than 1,000.
pub const MAX_METADATA: usize = 999;

/// How long Messenger keeps an attachment that was uploaded to be used again (saving-assets page of the Messenger Platform,
/// 22 Apr 2026).
pub const KEPT_FOR: Span = Span::from_secs(90 * 24 * 60 * 60);

/// The reasons of the table that speak of what is at a link.
const UNUSABLE: [&str; 2] = ["AttachmentTooLarge", "AttachmentFailed"];
/// The reason of the table for a handle that stands for nothing.
const GONE: &str = "AttachmentNotFound";

/// The longest title of a quick reply in characters (Send API reference; recalled).
pub const MAX_QUICK_REPLY_TITLE: usize = 20;

/// The longest payload of a quick reply in characters (Send API reference; recalled).
pub const MAX_QUICK_REPLY_PAYLOAD: usize = 1_000;

/// A page and how to reach it.
pub struct MessengerAccount {
    /// The page's id: digits.
    pub page_id: String,
    /// The Graph version, e.g. `v25.0`.
    pub api_version: String,
    /// `https://graph.facebook.com`, or a proxy or the simulator; may hold a path, no query.
    pub base_url: String,
    /// The page access token (permission `pages_messaging`); sent as a Bearer token.
    pub access_token: SecretString,
    /// Adds `appsecret_proof` to each request when given.
    pub app_secret: Option<SecretString>,
}

/// The Send API for one page.
pub struct Messenger {
    page_id: String,
    graph: Graph,
}

impl Messenger {
    /// Checks the account and prepares what all its requests share.
    ///
    /// # Errors
    /// [`AccountError`] naming the field: a page id or version that cannot stand in a path, a base URL that is no
    /// URL, an empty or unsendable token, an empty app secret.
    pub fn new(account: MessengerAccount) -> Result<Messenger, AccountError> {
        let MessengerAccount { page_id, api_version, base_url, access_token, app_secret } = account;
        if page_id.is_empty() || !page_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AccountError::new("messenger.pageID", "must be the page's id, digits only"));
        }
        let graph = Graph::new("messenger", &page_id, &base_url, &api_version, access_token, app_secret)?;
        Ok(Messenger { page_id, graph })
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger").field("page_id", &self.page_id).field("base_url", &self.graph.base_url).finish()
    }
}

#[derive(Serialize)]
struct SendRequest<'a> {
    recipient: Recipient<'a>,
    messaging_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persona_id: Option<&'a str>,
    message: MessageBody<'a>,
}

#[derive(Serialize)]
struct Recipient<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    #[serde(flatten)]
    content: Body<'a>,
    /// Of the last part: they vanish with the next message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quick_replies: Vec<QuickReply<'a>>,
    /// Comes back in the `message_echoes` call-back.
    metadata: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Text { text: &'a str },
    Attachment { attachment: Media<'a> },
    Template { template: Template<'a> },
}

#[derive(Serialize)]
struct Media<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    payload: Payload<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Link {
        url: &'a str,
        /// To be kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        is_reusable: Option<bool>,
    },
    Kept {
        attachment_id: &'a str,
    },
}

#[derive(Serialize)]
struct UploadRequest<'a> {
    message: UploadBody<'a>,
}

#[derive(Serialize)]
struct UploadBody<'a> {
    attachment: Media<'a>,
}

#[derive(Serialize)]
struct QuickReply<'a> {
    content_type: &'static str,
    title: &'a str,
    payload: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
}

#[derive(Serialize)]
struct Template<'a> {
    name: &'a str,
    language: Language<'a>,
    components: Vec<Component<'a>>,
}

#[derive(Serialize)]
struct Language<'a> {
    code: &'a str,
}

#[derive(Serialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    parameters: Vec<Parameter<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Parameter<'a> {
    #[serde(rename = "text")]
    Text {
        #[serde(skip_serializing_if = "Option::is_none")]
        parameter_name: Option<&'a str>,
        text: &'a str,
    },
    #[serde(rename = "POSTBACK")]
    Postback { payload: &'a str },
}

fn messaging_type(block: &MessengerContent) -> &'static str {
    match (&block.template, block.messaging_type) {
        (Some(_), _) => "UTILITY",
        (None, Some(MessengerMessagingType::Response)) => "RESPONSE",
        (None, Some(MessengerMessagingType::Update) | None) => "UPDATE",
    }
}

fn notification_type(kind: MessengerNotificationType) -> &'static str {
    match kind {
        MessengerNotificationType::Regular => "REGULAR",
        MessengerNotificationType::SilentPush => "SILENT_PUSH",
        MessengerNotificationType::NoPush => "NO_PUSH",
    }
}

/// As the Send API calls it.
fn media_type(kind: AttachmentType) -> &'static str {
    match kind {
        AttachmentType::Image => "image",
        AttachmentType::Video => "video",
        AttachmentType::Audio => "audio",
        AttachmentType::File => "file",
    }
}

fn quick_reply(reply: &MessengerQuickReply) -> Result<QuickReply<'_>, EncodeError> {
    let within = |part: &str, text: &str, limit: usize| match (1..=limit).contains(&text.chars().count()) {
        true => Ok(()),
        false => Err(EncodeError::Request(format!(
            "the {part} of a quick reply must have 1 to {limit} characters after rendering"
        ))),
    };
    within("title", &reply.title, MAX_QUICK_REPLY_TITLE)?;
    within("payload", &reply.payload, MAX_QUICK_REPLY_PAYLOAD)?;
    let image_url = reply.image_url.as_deref();
    Ok(QuickReply { content_type: "text", title: &reply.title, payload: &reply.payload, image_url })
}

fn body_parameter(parameter: &MessengerParameter) -> Parameter<'_> {
    Parameter::Text { parameter_name: parameter.name.as_deref(), text: &parameter.text }
}

fn template(template: &MessengerTemplate) -> Result<Template<'_>, EncodeError> {
    let texts = template.parameters.iter().map(|parameter| &parameter.text);
    if texts.chain(&template.button_payloads).any(|text| text.trim().is_empty()) {
        return Err(EncodeError::Request("a parameter of the template is empty after rendering".to_owned()));
    }
    let body = template.parameters.iter().map(body_parameter).collect();
    let buttons = template.button_payloads.iter().map(|payload| Parameter::Postback { payload }).collect();
    let components = [Component { kind: "body", parameters: body }, Component { kind: "buttons", parameters: buttons }];
    let components = components.into_iter().filter(|component| !component.parameters.is_empty()).collect();
    Ok(Template { name: &template.name, language: Language { code: &template.language }, components })
}

impl Provider for Messenger {
    fn channel(&self) -> ChannelProvider {
        ChannelProvider::Messenger
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
        let upload = check_link(attachment).and_then(|Attachment { kind, url }| {
            let payload = Payload::Link { url, is_reusable: Some(true) };
            let attachment = Media { kind: media_type(*kind), payload };
            let path = format!("{}/message_attachments", self.page_id);
            self.graph.post_to(&path, &UploadRequest { message: UploadBody { attachment } })
        });
        Some(upload.map(Keeping::Request))
    }

    fn classify_upload(&self, answer: &Answer<'_>) -> Upload {
        let body = match json_object(answer) {
            Ok(body) => body,
            Err(outcome) => return Upload::Failed(outcome),
        };
        // Documented as a string of digits.
        let name = text(body.get("attachment_id")).map(str::to_owned);
        let name = name.or_else(|| Some(integer(body.get("attachment_id"))?.to_string()));
        match (body.get("error"), name) {
            (None, Some(name)) if answer.status.is_success() => Upload::Kept(Handle { name, lives: KEPT_FOR }),
            (Some(error), _) => match graph::classify_error(error, answer, GRAPH_ERRORS, &self.graph.secrets) {
                Outcome::Permanent { fault, .. } if UNUSABLE.contains(&fault.reason.as_str()) => {
                    Upload::Unusable { fault }
                }
                outcome => Upload::Failed(outcome),
            },
            _ => Upload::Failed(unknown("IncompleteAnswer", answer.status, "the answer holds no attachment id")),
        }
    }

    fn is_attachment_gone(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Permanent { fault, .. } if fault.reason == GONE)
    }

    fn classify(&self, answer: &Answer<'_>) -> Outcome {
        let status = answer.status;
        let body = match json_object(answer) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let message_id = text(body.get("message_id"));
        let recipient_id = text(body.get("recipient_id"));
        match (body.get("error"), message_id, recipient_id) {
            (Some(error), None, _) => graph::classify_error(error, answer, GRAPH_ERRORS, &self.graph.secrets),
            (None, Some(message_id), Some(_)) if status.is_success() => accepted(message_id),
            (Some(_), Some(_), _) => {
                unknown("ContradictoryAnswer", status, "the answer holds a message id and an error")
            }
            _ => unknown("IncompleteAnswer", status, "the answer holds neither an error nor message and recipient ids"),
        }
    }

    fn usage(&self, answer: &Answer<'_>) -> Option<Usage> {
        graph::usage(answer.headers)
    }

    fn labels(&self) -> Option<&dyn Labels> {
        Some(self)
    }
}

impl Messenger {
    /// One message, its attachment by its link or by the handle under which it is kept.
    fn request(&self, message: &Message<'_>, kept: Option<&str>) -> Result<Request<Bytes>, EncodeError> {
        let plain = MessengerContent::default();
        let block = match message.extras {
            Extras::Messenger(block) => block,
            _ => &plain,
        };
        let content = match (&block.template, attachment(message)?) {
            (Some(block), _) => Body::Template { template: template(block)? },
            (None, Some(Attachment { kind, url })) => {
                let payload = match kept {
                    Some(attachment_id) => Payload::Kept { attachment_id },
                    None => Payload::Link { url, is_reusable: None },
                };
                Body::Attachment { attachment: Media { kind: media_type(*kind), payload } }
            }
            (None, None) => {
                check_text(message.text, self.name(), MAX_TEXT)?;
                Body::Text { text: message.text }
            }
        };
        let shown = if message.is_last { &block.quick_replies[..] } else { &[] };
        let quick_replies = shown.iter().map(quick_reply).collect::<Result<_, _>>()?;
        if message.correlation.chars().count() > MAX_METADATA {
            return Err(EncodeError::Request(format!("the correlation value has over {MAX_METADATA} characters")));
        }
        // A page-scoped id is digits; with white space in it, it is two of them or none.
        if message.recipient.contains(char::is_whitespace) {
            return Err(EncodeError::Recipient {
                provider: self.name(),
                problem: "holds white space, a page-scoped id has none",
            });
        }
        let body = SendRequest {
            recipient: Recipient { id: message.recipient },
            messaging_type: messaging_type(block),
            notification_type: block.notification_type.map(notification_type),
            persona_id: block.persona_id.as_deref(),
            message: MessageBody { content, quick_replies, metadata: message.correlation },
        };
        self.graph.post(&body)
    }
}

#[cfg(test)]
mod tests;
