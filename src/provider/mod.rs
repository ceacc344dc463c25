//! Providers, pure: encode a request, classify an answer. One file per provider, its error table beside it.

pub mod http;
pub mod messenger;

use std::collections::BTreeMap;

use ::http::header::{DATE, RETRY_AFTER};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use bytes::Bytes;

use crate::delivery::outcome::Outcome;

/// The first bytes of an answer that are kept for classification; the rest is read and dropped. Real answers have a
/// few hundred bytes.
pub const MAX_ANSWER_BODY: usize = 64 * 1024;

/// The longest wait a provider may ask for in one answer, in milliseconds: as long as the brake holds at most. One answer
/// must not be able to stop an account for longer; the next throttle answer may ask again.
pub const MAX_RETRY_AFTER_MS: u64 = 15 * 60 * 1000;

/// The header in which requests to plain HTTP endpoints carry [`Message::correlation`].
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-herald-correlation");

/// One message for one recipient, rendered.
pub struct Message<'a> {
    /// The recipient's id at the provider. Personal data: in the request only, never in an error or a log.
    pub recipient: &'a str,
    /// The rendered text.
    pub text: &'a str,
    /// The recipient's variables, for providers that pass them on.
    pub vars: &'a BTreeMap<String, String>,
    /// `<broadcast id>:<seq>:<attempt>:<part>`; given to the provider where it returns it.
    pub correlation: &'a str,
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
    /// A part of the request that is not the text does not fit; names the part, never its value.
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
    /// The member of the channel's union, e.g. `messenger`.
    fn name(&self) -> &'static str;

    /// The URL that all its requests go to, possibly with a secret in its query.
    fn endpoint(&self) -> &Uri;

    /// Builds the request for one attempt. Headers that hold a secret are marked sensitive. The URL may hold a
    /// proof made from secrets, so it does not belong into logs either.
    ///
    /// # Errors
    /// [`EncodeError`] when the message does not fit the provider's limits.
    fn encode(&self, message: &Message<'_>) -> Result<::http::Request<Bytes>, EncodeError>;

    /// Gives a complete answer its class. Total: every answer has one, [`Outcome::Unknown`] in doubt.
    fn classify(&self, answer: &Answer<'_>) -> Outcome;
}

/// The wait asked for by `Retry-After`, clamped to [`MAX_RETRY_AFTER_MS`]: in seconds, or as a date, which is counted from
/// the answer's own `Date`, so that nobody's clock matters. A date without that, and nonsense, are no wish.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let wish = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if wish.is_empty() {
        return None;
    }
    if !wish.bytes().all(|byte| byte.is_ascii_digit()) {
        let wait = http_date(wish)?.as_millisecond() - http_date(headers.get(DATE)?.to_str().ok()?)?.as_millisecond();
        return Some(u64::try_from(wait).unwrap_or(0).min(MAX_RETRY_AFTER_MS));
    }
    // More digits than fit are a very long wait, which is clamped like any other.
    let seconds: u64 = wish.parse().unwrap_or(u64::MAX);
    Some(seconds.saturating_mul(1000).min(MAX_RETRY_AFTER_MS))
}

/// `Wed, 21 Oct 2026 07:28:00 GMT`, the only form that senders may generate by RFC 9110, section 5.6.7.
fn http_date(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|date| date.timestamp())
}

/// A header value that is never shown by `Debug` and not indexed by HTTP/2.
fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
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

    fn wish(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        retry_after_ms(&headers)
    }

    #[test]
    fn retry_after_in_seconds_is_read_and_clamped() {
        assert_eq!(wish("0"), Some(0));
        assert_eq!(wish(" 120 "), Some(120_000));
        assert_eq!(wish("86400"), Some(MAX_RETRY_AFTER_MS));
        assert_eq!(wish("99999999999999999999999999"), Some(MAX_RETRY_AFTER_MS));
    }

    #[test]
    fn retry_after_that_is_no_number_is_no_wish() {
        for value in ["", "-1", "1.5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(wish(value), None, "{value}");
        }
        assert_eq!(retry_after_ms(&HeaderMap::new()), None);
    }

    #[test]
    fn retry_after_as_a_date_is_counted_from_the_date_of_the_answer_and_clamped() {
        let dated = |until: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT"));
            headers.insert(RETRY_AFTER, HeaderValue::from_str(until).unwrap());
            retry_after_ms(&headers)
        };
        assert_eq!(dated("Wed, 21 Oct 2026 07:28:30 GMT"), Some(30_000));
        assert_eq!(dated("Wed, 21 Oct 2026 07:27:00 GMT"), Some(0), "it has passed");
        assert_eq!(dated("Thu, 22 Oct 2026 07:28:00 GMT"), Some(MAX_RETRY_AFTER_MS));
        assert_eq!(dated("Wed, 42 Oct 2026 07:28:00 GMT"), None);
    }

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
