//! Twilio, Messages resource: SMS and what else a sender of an account sends.
//!
//! Facts are from twilio/twilio-oai spec/json/twilio_api_v2010.json and Twilio's error pages; the meaning of each error is
//! in [`errors`] with its own source. A message is taken by being queued: whether it arrives is told later.

pub mod callback;
pub mod errors;

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::answer::{accepted, integer, json_object, text, unknown};
use super::redact::redact;
use super::retry_after::retry_after_ms;
use super::whatsapp::is_phone_number;
use super::{
    AccountError, Answer, EncodeError, Message, Provider, absolute_url, base_url, check_link, check_text, check_token,
    post, secret_header,
};
use crate::api::channel::ChannelProvider;
use crate::delivery::outcome::{Fault, Outcome};

/// The longest text in characters.
pub const MAX_TEXT: usize = 1_600;

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwilioSender {
    /// A number, a name, or an address of a channel.
    From(String),
    /// A Messaging Service by its SID, which chooses one.
    MessagingService(String),
}

/// What proves who calls.
pub enum TwilioCredentials {
    /// The account's own token.
    AuthToken(SecretString),
    /// A key of the account.
    ApiKey { sid: SecretString, secret: SecretString },
}

/// An account with one sender and how to reach it.
pub struct TwilioAccount {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    pub sender: TwilioSender,
    /// `https://api.twilio.com`, that of another region, a proxy or the simulator; may hold a path, no query.
    pub base_url: String,
    /// Sent by HTTP's Basic authentication.
    pub credentials: TwilioCredentials,
    /// Where Twilio tells what becomes of each message: an absolute URL without query.
    pub status_callback: Option<String>,
}

/// The Messages resource for one sender.
pub struct Twilio {
    account_sid: String,
    sender: TwilioSender,
    uri: Uri,
    authorization: HeaderValue,
    status_callback: Option<String>,
    /// Kept to strike them out of error texts.
    secrets: Vec<SecretString>,
}

impl Twilio {
    /// Checks the account and prepares what all its requests share.
    ///
    /// # Errors
    /// [`AccountError`] naming the field: a SID that cannot stand in a path, a base URL that is no URL, empty or unsendable
    /// credentials.
    pub fn new(account: TwilioAccount) -> Result<Twilio, AccountError> {
        let TwilioAccount { account_sid, sender, base_url, credentials, status_callback } = account;
        if let Some(url) = &status_callback {
            absolute_url("receiver.url", url)?;
        }
        let base_url = self::base_url("twilio.baseURL", &base_url)?;
        if account_sid.is_empty() || !account_sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(AccountError::new("twilio.accountSID", "must be the account's SID, e.g. AC0123…"));
        }
        let (user, password, secrets) = match credentials {
            TwilioCredentials::AuthToken(token) => {
                check_token("authToken", "the account's auth token", &token)?;
                (account_sid.clone(), token.clone(), vec![token])
            }
            TwilioCredentials::ApiKey { sid, secret } => {
                check_token("apiKeySID", "the SID of an API key, e.g. SK0123…", &sid)?;
                check_token("apiKeySecret", "the secret of an API key", &secret)?;
                (sid.expose_secret().to_owned(), secret.clone(), vec![sid, secret])
            }
        };
        let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
        let authorization = secret_header(&format!("Basic {pair}"))
            .ok_or_else(|| AccountError::new("twilio", "has credentials that cannot be sent in a header"))?;
        let url = format!("{base_url}/2010-04-01/Accounts/{account_sid}/Messages.json");
        let uri = absolute_url("twilio.baseURL", &url)?;
        Ok(Twilio { account_sid, sender, uri, authorization, status_callback, secrets })
    }
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Twilio");
        shown.field("account_sid", &self.account_sid).field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// `application/x-www-form-urlencoded`, with every character escaped that could need it.
fn form(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (index, (name, value)) in fields.iter().enumerate() {
        let separator = if index == 0 { "" } else { "&" };
        let _ = write!(body, "{separator}{name}=");
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => body.push(char::from(byte)),
                _ => {
                    let _ = write!(body, "%{byte:02X}");
                }
            }
        }
    }
    body
}

/// A phone number, or an address of a channel such as `whatsapp:+14155550100`. A number has one spelling wherever it
/// stands: an audience holds a person once by the text of the id.
fn is_address(recipient: &str) -> bool {
    let of_channel = recipient.split_once(':').is_some_and(|(channel, address)| {
        let is_name = !channel.is_empty() && channel.bytes().all(|byte| byte.is_ascii_lowercase());
        // Other channels may have ids of their own, such as `messenger:1234`.
        let is_number = channel == "whatsapp" || address.starts_with('+');
        let is_one_word = !address.is_empty() && !address.contains(char::is_whitespace);
        is_name && if is_number { is_phone_number(address) } else { is_one_word }
    });
    is_phone_number(recipient) || of_channel
}

impl Provider for Twilio {
    fn channel(&self) -> ChannelProvider {
        ChannelProvider::Twilio
    }

    fn endpoint(&self) -> &Uri {
        &self.uri
    }

    /// The correlation goes along in the URL at which Twilio tells what becomes of the message: nothing else comes back.
    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError> {
        if message.attachments.is_empty() || !message.text.is_empty() {
            check_text(message.text, self.name(), MAX_TEXT)?;
        }
        if !is_address(message.recipient) {
            return Err(EncodeError::Recipient {
                provider: self.name(),
                problem: "is no phone number with + and country code, nor an address such as whatsapp:+14155550100",
            });
        }
        let sender = match &self.sender {
            TwilioSender::From(from) => ("From", from.as_str()),
            TwilioSender::MessagingService(sid) => ("MessagingServiceSid", sid.as_str()),
        };
        let mut fields = vec![("To", message.recipient), sender];
        if !message.text.is_empty() {
            fields.push(("Body", message.text));
        }
        for attachment in message.attachments {
            fields.push(("MediaUrl", &check_link(attachment)?.url));
        }
        let told_at = self.status_callback.as_ref();
        // Digits and colons alone: nothing of it would have to be escaped in a query.
        let told_at = told_at.map(|url| format!("{url}?{}={}", callback::CORRELATION_FIELD, message.correlation));
        fields.extend(told_at.as_deref().map(|url| ("StatusCallback", url)));
        let body = form(&fields);
        let mut request = post(self.uri.clone(), "application/x-www-form-urlencoded", body.into_bytes());
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        Ok(request)
    }

    fn classify(&self, answer: &Answer<'_>) -> Outcome {
        let status = answer.status;
        let body = match json_object(answer) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        // A message has an `error_code`, an error has a `code`.
        match (integer(body.get("code")), text(body.get("sid"))) {
            (None, Some(sid)) if status.is_success() => accepted(sid),
            (Some(_), None) if status.is_server_error() => {
                unknown("ServerError", status, "Twilio answered an error of its own")
            }
            (Some(code), None) => self.classify_error(code, &body, answer),
            (Some(_), Some(_)) => unknown("ContradictoryAnswer", status, "the answer holds a message and an error"),
            _ => unknown("IncompleteAnswer", status, "the answer holds neither an error nor a message's SID"),
        }
    }
}

impl Twilio {
    fn classify_error(&self, code: i64, body: &Map<String, Value>, answer: &Answer<'_>) -> Outcome {
        let words = body.get("message").and_then(Value::as_str).unwrap_or("no message");
        let fault = |reason: &str| Fault::new(reason, Some(code.to_string()), redact(words, &self.secrets));
        match errors::find(code) {
            Some(row) => row.class.outcome(retry_after_ms(answer.headers, answer.received_at), fault(row.reason)),
            None => Outcome::Unknown { fault: fault("UnrecognisedError") },
        }
    }
}

#[cfg(test)]
mod tests;
