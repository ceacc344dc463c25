//! Providers, pure: encode a request, classify an answer. One file per provider, its error table beside it.

mod answer;
pub mod callback;
pub mod error_table;
pub mod graph;
pub mod http;
mod keeping;
pub mod label;
pub mod messenger;
pub mod rate_class;
mod redact;
pub mod reply_window;
mod retry_after;
pub mod slack;
pub mod standard_webhooks;
pub mod telegram;
pub mod twilio;
pub mod whatsapp;

use std::collections::BTreeMap;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

pub use self::keeping::{FileForm, FileKind, Handle, Keeping, Upload};
use self::label::Labels;
pub use retry_after::{MAX_RETRY_AFTER_MS, retry_after_ms};

use crate::api::channel::ChannelProvider;
use crate::api::content::{Attachment, MAX_ATTACHMENT_URL};
use crate::content::{Extras, MessagePart};
use crate::delivery::outcome::Outcome;
use crate::delivery::time::Timestamp;
use crate::delivery::usage::Usage;

/// The first bytes of an answer that are kept for classification; the rest is read and dropped. Real answers have a
/// few hundred bytes.
pub const MAX_ANSWER_BODY: usize = 64 * 1024;

/// The header in which requests to plain HTTP endpoints carry [`Message::correlation`].
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-herald-correlation");

/// One part of a message for one recipient, rendered.
pub struct Message<'a> {
    /// The recipient's id at the provider. Personal data: in the request only, never in an error or a log.
    pub recipient: &'a str,
    /// The rendered text; empty where the part has none.
    pub text: &'a str,
    /// The rendered rest: what only this provider knows.
    pub extras: &'a Extras,
    /// The rendered attachments of this part, in their order.
    pub attachments: &'a [Attachment],
    /// No other part of the message follows.
    pub is_last: bool,
    /// The recipient's variables, for providers that pass them on.
    pub vars: &'a BTreeMap<String, String>,
    /// `<broadcast id>:<seq>:<attempt>:<part>`; given to the provider where it returns it.
    pub correlation: &'a str,
    /// The same for each attempt at this message, and no other's: visible ASCII without a dot. For receivers that take a key
    /// of idempotency.
    pub id: &'a str,
    /// When the attempt is begun, on the ledger's clock.
    pub at: Timestamp,
}

/// One attempt at a message, as the provider is told of it.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// [`Message::correlation`].
    pub correlation: &'a str,
    /// [`Message::id`].
    pub message_id: &'a str,
    /// [`Message::at`].
    pub at: Timestamp,
}

impl<'a> Message<'a> {
    /// A part of what was rendered, for its recipient.
    pub fn of(
        recipient: &'a str,
        part: &MessagePart<'a>,
        vars: &'a BTreeMap<String, String>,
        attempt: Attempt<'a>,
    ) -> Message<'a> {
        let MessagePart { text, extras, attachments, is_last } = *part;
        let Attempt { correlation, message_id, at } = attempt;
        Message { recipient, text, extras, attachments, is_last, vars, correlation, id: message_id, at }
    }
}

#[cfg(test)]
impl<'a> Message<'a> {
    /// The whole of a message without attachments and variables, as its first attempt.
    fn sample(recipient: &'a str, text: &'a str, extras: &'a Extras) -> Message<'a> {
        static NO_VARS: BTreeMap<String, String> = BTreeMap::new();
        Message {
            recipient,
            text,
            extras,
            attachments: &[],
            is_last: true,
            vars: &NO_VARS,
            correlation: "7f3a:42:1:0",
            id: "msg_7_42",
            at: Timestamp::EPOCH,
        }
    }
}

/// A complete answer: head and body were both received to their end.
pub struct Answer<'a> {
    /// The HTTP status; not a guide to the meaning at every provider.
    pub status: StatusCode,
    /// All headers of the answer.
    pub headers: &'a HeaderMap,
    /// At most [`MAX_ANSWER_BODY`] bytes.
    pub body: &'a [u8],
    /// The body was longer than what was kept.
    pub body_truncated: bool,
    /// By the clock of this machine; dates in the answer are compared with it where the answer says no date of its own.
    pub received_at: Timestamp,
}

/// Why a message cannot be put into a request; found at planning, before anything is sent.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EncodeError {
    /// Over the provider's limit; lengths in characters (Unicode scalar values).
    #[error("the text has {actual} characters, {provider} takes at most {limit}")]
    TextTooLong { provider: &'static str, limit: usize, actual: usize },
    /// Nothing but white space.
    #[error("the text is empty after rendering")]
    TextEmpty,
    /// The recipient's id is none of this provider's. Never shows it.
    #[error("the id {problem}: not one that {provider} could know; correct it in the audience")]
    Recipient { provider: &'static str, problem: &'static str },
    /// What is in the request beside the text does not fit; names it, never its value.
    #[error("failed to build the request: {0}")]
    Request(String),
}

/// An account that cannot be used: which field, and what it must be. Never holds a secret's value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct AccountError {
    /// The field as the user wrote it, e.g. `messenger.baseURL` or `http.headers[2] "x-key"`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl AccountError {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> AccountError {
        AccountError { field: field.into(), problem: problem.into() }
    }
}

/// One provider with its account and credentials: everything that is known before the first message.
pub trait Provider: Send + Sync {
    /// Which member of the channel's union it is.
    fn channel(&self) -> ChannelProvider;

    /// The same as it is written in documents, e.g. `messenger`.
    fn name(&self) -> &'static str {
        self.channel().member()
    }

    /// A URL of the host that all its requests go to, possibly with a secret in its query.
    fn endpoint(&self) -> &Uri;

    /// Builds the request for one attempt. Headers that hold a secret are marked sensitive. The URL may hold a
    /// proof made from secrets, so it does not belong into logs either.
    ///
    /// # Errors
    /// [`EncodeError`] when the message does not fit the provider's limits.
    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError>;

    /// Gives a complete answer its class. Total: every answer has one, [`Outcome::Unknown`] in doubt.
    fn classify(&self, answer: &Answer<'_>) -> Outcome;

    /// A request that tells whose the credentials are and messages nobody, where the provider has one. It is made once before
    /// the first message of a sender.
    fn identity_request(&self) -> Option<Request<Bytes>> {
        None
    }

    /// Why nobody may be messaged by these credentials, as the answer to the [request](Provider::identity_request) tells it;
    /// `None` where it says nothing against them.
    fn refuse_identity(&self, answer: &Answer<'_>) -> Option<Outcome> {
        let _ = answer;
        None
    }

    /// The same as [`Provider::encode`] for a message whose attachment the provider keeps under this handle.
    ///
    /// # Errors
    /// As there.
    fn encode_kept(&self, message: &Message<'_>, handle: &str) -> Result<Request<Bytes>, EncodeError> {
        let _ = handle;
        self.encode(message)
    }

    /// How it comes to keep an attachment; `None` where it keeps none.
    fn keep(&self, attachment: &Attachment) -> Option<Result<Keeping, EncodeError>> {
        let _ = attachment;
        None
    }

    /// What a complete answer says to what was asked of it by [`Provider::keep`].
    fn classify_upload(&self, answer: &Answer<'_>) -> Upload {
        Upload::Failed(self.classify(answer))
    }

    /// By what it keeps the attachment of a message that it has taken by its link, where the answer tells it.
    fn read_handle(&self, attachment: &Attachment, answer: &Answer<'_>) -> Option<Handle> {
        let _ = (attachment, answer);
        None
    }

    /// Whether a message that named its attachment by a handle was refused because that is not kept any more.
    fn is_attachment_gone(&self, outcome: &Outcome) -> bool {
        let _ = outcome;
        false
    }

    /// How much of its own limit is used, where an answer says so in its headers.
    fn usage(&self, answer: &Answer<'_>) -> Option<Usage> {
        let _ = answer;
        None
    }

    /// The labels that it keeps of people, where it does.
    fn labels(&self) -> Option<&dyn Labels> {
        None
    }
}

/// A header value that is never shown by `Debug` and not indexed by HTTP/2.
fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A base URL without the slash at its end, ready for a path to follow.
fn base_url(field: &str, url: &str) -> Result<String, AccountError> {
    let url = url.trim_end_matches('/').to_owned();
    if absolute_url(field, &url)?.query().is_some() || url.contains('#') {
        return Err(AccountError::new(field, "must not hold a query or a fragment"));
    }
    Ok(url)
}

/// Checks that a text has something to say and at most so many characters.
fn check_text(text: &str, provider: &'static str, limit: usize) -> Result<(), EncodeError> {
    if text.trim().is_empty() {
        return Err(EncodeError::TextEmpty);
    }
    let actual = text.chars().count();
    if actual > limit {
        return Err(EncodeError::TextTooLong { provider, limit, actual });
    }
    Ok(())
}

/// The one attachment of a message at a provider that takes no more, its link checked; `None` for a text.
fn attachment<'a>(message: &Message<'a>) -> Result<Option<&'a Attachment>, EncodeError> {
    match message.attachments {
        [] => Ok(None),
        [attachment] if message.text.is_empty() => check_link(attachment).map(Some),
        _ => Err(EncodeError::Request("a message holds a text or one attachment, not several of them".to_owned())),
    }
}

/// Checks that a rendered link is one that a provider can fetch.
fn check_link(attachment: &Attachment) -> Result<&Attachment, EncodeError> {
    is_link(&attachment.url).then_some(attachment).ok_or_else(|| not_a_link("the url of an attachment"))
}

/// Whether a provider can fetch something there.
fn is_link(url: &str) -> bool {
    url.len() <= MAX_ATTACHMENT_URL && absolute_url("url", url).is_ok()
}

fn not_a_link(what: &str) -> EncodeError {
    EncodeError::Request(format!(
        "{what} must be an absolute https:// or http:// URL of at most {MAX_ATTACHMENT_URL} visible ASCII characters after \
         rendering"
    ))
}

/// The last piece of a link's path: what people take for the name of the file.
fn last_piece(link: &str) -> Option<&str> {
    let path = link.split(['?', '#']).next()?;
    let (_, host_and_path) = path.split_once("://")?;
    let (_, name) = host_and_path.rsplit_once('/')?;
    Some(name).filter(|name| !name.is_empty())
}

/// Checks that the value of a Secret's key can stand in a header or path as a token.
fn check_token(key: &str, what: &str, token: &SecretString) -> Result<(), AccountError> {
    let token = token.expose_secret();
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(bad_token(key, what)),
    }
}

fn bad_token(key: &str, what: &str) -> AccountError {
    let problem = format!("must be {what}: not empty, one line, visible ASCII characters only");
    AccountError::new(format!("Secret key {key}"), problem)
}

/// The header `Authorization` of a token from a Secret.
fn bearer(key: &str, what: &str, token: &SecretString) -> Result<HeaderValue, AccountError> {
    check_token(key, what, token)?;
    secret_header(&format!("Bearer {}", token.expose_secret())).ok_or_else(|| bad_token(key, what))
}

/// A POST request with a body.
fn post(uri: Uri, content_type: &'static str, body: Vec<u8>) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    request
}

/// The same with JSON.
fn post_json(uri: Uri, body: &impl serde::Serialize) -> Result<Request<Bytes>, EncodeError> {
    let body = serde_json::to_vec(body).map_err(|error| EncodeError::Request(error.to_string()))?;
    Ok(post(uri, "application/json", body))
}

/// Reads an absolute `http` or `https` URL without user info. The error does not repeat the URL: it may hold a key.
fn absolute_url(field: &str, url: &str) -> Result<Uri, AccountError> {
    let uri: Uri = url.parse().map_err(|error| AccountError::new(field, format!("is not a URL: {error}")))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => {
            return Err(AccountError::new(field, "must begin with https:// or http://"));
        }
    }
    match uri.authority() {
        Some(authority) if !authority.host().is_empty() => {
            if authority.as_str().contains('@') {
                let problem = "must not hold a user name or password; put credentials into a header from a Secret";
                return Err(AccountError::new(field, problem));
            }
        }
        _ => return Err(AccountError::new(field, "must name a host")),
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_absolute_and_without_credentials() {
        for (url, expected) in [
            ("graph.facebook.com", "must begin with"),
            ("/v25.0", "must begin with"),
            ("ftp://example.com", "must begin with"),
            ("https://user:hunter2@example.com", "must not hold a user name"),
            ("https://exa mple.com", "is not a URL"),
        ] {
            let error = absolute_url("http.url", url).unwrap_err();
            assert_eq!(error.field, "http.url");
            assert!(error.problem.contains(expected), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert!(absolute_url("http.url", "https://example.com/a?b=c").is_ok());
    }
}
