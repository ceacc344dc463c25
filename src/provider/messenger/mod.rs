//! Facebook Messenger, Send API: text messages of a page to people by page-scoped id.
//!
//! Facts are from the Send API reference and the rate-limit and error pages of the Messenger Platform; the meaning
//! of each error is in [`graph_errors`] with its own source.

pub mod graph_errors;

use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use self::graph_errors::GraphClass;
use super::answer::{accepted, integer, json_object, text, unknown};
use super::redact::redact;
use super::{
    AccountError, Answer, EncodeError, MAX_RETRY_AFTER_MS, Message, Provider, base_url, bearer, check_text, post_json,
    retry_after::retry_after_ms,
};
use crate::api::channel::ChannelProvider;
use crate::delivery::outcome::{Fault, Outcome, PermanentScope, ThrottleScope};

/// The longest text in characters. One page of the documentation says "less than 2,000 characters", another "2,000
/// character limit"; this is what both allow.
pub const MAX_TEXT: usize = 1_999;

/// The longest `message.metadata` in characters: documented as less than 1,000.
pub const MAX_METADATA: usize = 999;

/// The longest `fbtrace_id` that is kept; real ones have 11 to 27 characters.
const MAX_TRACE_ID: usize = 40;

/// The characters of an error's text that are kept, so that the trace id after it survives the cut of a fault.
const MAX_ERROR_TEXT: usize = 190;

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
    base_url: String,
    uri: Uri,
    authorization: HeaderValue,
    /// Kept to strike them out of error texts.
    secrets: Vec<SecretString>,
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
        if !is_api_version(&api_version) {
            return Err(AccountError::new("messenger.apiVersion", "must be a Graph version such as v25.0"));
        }
        let base_url = self::base_url("messenger.baseURL", &base_url)?;
        let authorization = bearer("accessToken", "a page access token", &access_token)?;

        let mut url = format!("{base_url}/{api_version}/{page_id}/messages");
        if let Some(app_secret) = &app_secret {
            if app_secret.expose_secret().is_empty() {
                let problem = "is empty; give the app's secret, or leave the key out to send no proof";
                return Err(AccountError::new("Secret key appSecret", problem));
            }
            url.push_str("?appsecret_proof=");
            url.push_str(&appsecret_proof(app_secret, &access_token));
        }
        let uri = super::absolute_url("messenger.baseURL", &url)?;
        let secrets = std::iter::once(access_token).chain(app_secret).collect();
        Ok(Messenger { page_id, base_url, uri, authorization, secrets })
    }
}

/// `v` and two numbers with a dot between them.
fn is_api_version(version: &str) -> bool {
    let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    version
        .strip_prefix('v')
        .and_then(|numbers| numbers.split_once('.'))
        .is_some_and(|(major, minor)| number(major) && number(minor))
}

/// Lower-case hex of HMAC-SHA256 with the app secret as key over the access token: the plain form, which does not
/// age (facebook/facebook-python-business-sdk facebook_business/session.py).
fn appsecret_proof(app_secret: &SecretString, access_token: &SecretString) -> String {
    use fmt::Write as _;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, app_secret.expose_secret().as_bytes());
    let tag = ring::hmac::sign(&key, access_token.expose_secret().as_bytes());
    tag.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger").field("page_id", &self.page_id).field("base_url", &self.base_url).finish()
    }
}

#[derive(Serialize)]
struct SendRequest<'a> {
    recipient: Recipient<'a>,
    messaging_type: &'static str,
    message: TextMessage<'a>,
}

#[derive(Serialize)]
struct Recipient<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct TextMessage<'a> {
    text: &'a str,
    /// Comes back in the `message_echoes` call-back.
    metadata: &'a str,
}

impl Provider for Messenger {
    fn channel(&self) -> ChannelProvider {
        ChannelProvider::Messenger
    }

    fn endpoint(&self) -> &Uri {
        &self.uri
    }

    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError> {
        check_text(message.text, self.name(), MAX_TEXT)?;
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
            messaging_type: "UPDATE",
            message: TextMessage { text: message.text, metadata: message.correlation },
        };
        let mut request = post_json(self.uri.clone(), &body)?;
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        Ok(request)
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
            (Some(error), None, _) => self.classify_error(error, answer),
            (None, Some(message_id), Some(_)) if status.is_success() => accepted(message_id),
            (Some(_), Some(_), _) => {
                unknown("ContradictoryAnswer", status, "the answer holds a message id and an error")
            }
            _ => unknown("IncompleteAnswer", status, "the answer holds neither an error nor message and recipient ids"),
        }
    }
}

impl Messenger {
    /// By (code, subcode), then code, then `is_transient`; what is still not known may have been sent.
    fn classify_error(&self, error: &Value, answer: &Answer<'_>) -> Outcome {
        let Some(code) = integer(error.get("code")) else {
            return unknown("UnreadableAnswer", answer.status, "the error holds no code");
        };
        let subcode = integer(error.get("error_subcode"));
        let error_type = error.get("type").and_then(Value::as_str);
        let shown_code = match subcode {
            Some(subcode) => format!("{code}/{subcode}"),
            None => code.to_string(),
        };
        let fault = |reason: &str| Fault::new(reason, Some(shown_code.clone()), self.error_text(error));
        let permanent = |scope, reason: &str| Outcome::Permanent { scope, fault: fault(reason) };

        let Some(row) = graph_errors::find(code, subcode, error_type) else {
            return match error.get("is_transient").and_then(Value::as_bool) {
                Some(true) => Outcome::Transient { cap: None, fault: fault("Temporary") },
                _ => Outcome::Unknown { fault: fault("UnrecognisedError") },
            };
        };
        match row.class {
            GraphClass::PermanentRecipient => permanent(PermanentScope::Recipient, row.reason),
            GraphClass::PermanentMessage => permanent(PermanentScope::Message, row.reason),
            GraphClass::Auth => Outcome::Auth { fault: fault(row.reason) },
            GraphClass::Throttled => Outcome::Throttled {
                scope: ThrottleScope::Account,
                retry_after_ms: retry_after_ms(answer.headers, answer.received_at)
                    .or_else(|| regain_access_ms(answer.headers)),
                fault: fault(row.reason),
            },
            GraphClass::Transient { cap } => Outcome::Transient { cap, fault: fault(row.reason) },
            GraphClass::Blocked => Outcome::Blocked { fault: fault(row.reason) },
            GraphClass::Unknown => Outcome::Unknown { fault: fault(row.reason) },
        }
    }

    /// The provider's words without secrets and ids, and the trace id that the provider's support asks for.
    fn error_text(&self, error: &Value) -> String {
        let text = error.get("message").and_then(Value::as_str).unwrap_or("no message");
        let text: String = redact(text, &self.secrets).chars().take(MAX_ERROR_TEXT).collect();
        match error.get("fbtrace_id").and_then(Value::as_str) {
            Some(trace) if !trace.is_empty() => {
                let trace: String = trace.chars().take(MAX_TRACE_ID).collect();
                format!("{text} (fbtrace_id {trace})")
            }
            _ => text,
        }
    }
}

/// The longest `estimated_time_to_regain_access` (minutes) of `X-Business-Use-Case-Usage`: `{"<id>":[{…}]}`, clamped
/// like `Retry-After`, which Graph does not document (developers.facebook.com/docs/graph-api/overview/rate-limiting).
fn regain_access_ms(headers: &HeaderMap) -> Option<u64> {
    let usage = headers.get("x-business-use-case-usage")?;
    let usage: Value = serde_json::from_slice(usage.as_bytes()).ok()?;
    let minutes = usage
        .as_object()?
        .values()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|entry| entry.get("estimated_time_to_regain_access")?.as_u64())
        .max()?;
    (minutes > 0).then(|| minutes.saturating_mul(60_000).min(MAX_RETRY_AFTER_MS))
}

#[cfg(test)]
mod tests;
