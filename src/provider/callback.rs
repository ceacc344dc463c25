//! Call-backs, pure: who calls, and what is told. Each provider proves in its own way that it is the one who calls; the rules
//! stand beside it, in `callback.rs` of its folder.

use ::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::AccountError;
use crate::delivery::provider_event::ProviderEvent;
use crate::delivery::time::{Span, Timestamp};

/// What is told later than this is not taken: no provider repeats a call for longer (7 days at WhatsApp, the longest; by its
/// page on webhooks), so that an old call that somebody kept is worth nothing.
pub const MAX_EVENT_AGE: Span = Span::from_secs(8 * 24 * 60 * 60);

/// The reason of a message that did not arrive where the provider gives no other that is known.
pub const UNDELIVERED: &str = "Undelivered";

/// A call as it came, by whoever.
pub struct Call<'a> {
    pub headers: &'a HeaderMap,
    /// The query of its URL as it was written, without the `?`.
    pub query: Option<&'a str>,
    /// The bytes that were signed.
    pub body: &'a [u8],
    /// By the clock of this machine.
    pub now: Timestamp,
}

/// Why a call is not believed. Tells nothing of what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the call is not signed")]
    Unsigned,
    #[error("the signature is not the provider's")]
    Forged,
    #[error("the call was signed too long ago, or in the future")]
    Replayed,
}

/// A call of the provider that holds nothing that can be read. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body of a call is not what the provider documents")]
pub struct Unreadable;

/// What a call tells, and what it wants to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Of this account alone, as many as its body had room for.
    pub events: Vec<ProviderEvent>,
    /// The body of the answer, where the provider asks for one.
    pub reply: Option<String>,
}

/// How one account's provider calls back.
pub trait Callbacks: Send + Sync {
    /// Whether a call may be the provider's, by its head alone: what it is not is refused before its body is read.
    ///
    /// # Errors
    /// [`Refused`], for a call that [`verify`](Callbacks::verify) would refuse with any body.
    fn may_be_theirs(&self, headers: &HeaderMap) -> Result<(), Refused>;

    /// Whether the provider calls, in constant time.
    ///
    /// # Errors
    /// [`Refused`]; nothing of the call may be used then.
    fn verify(&self, call: &Call<'_>) -> Result<(), Refused>;

    /// What a call tells that was [verified](Callbacks::verify).
    ///
    /// # Errors
    /// [`Unreadable`]; what is merely not known is left out.
    fn read(&self, call: &Call<'_>) -> Result<Heard, Unreadable>;

    /// Whether it tells of messages by what was given with them, so that an unknown one can be resolved.
    fn resolves_unknown(&self) -> bool {
        true
    }

    /// The answer to a provider that asks by GET whether it may call here; `None` for no.
    fn greet(&self, _query: &str) -> Option<String> {
        None
    }
}

/// What is fresh enough to be taken.
pub fn fresh(events: Vec<ProviderEvent>, now: Timestamp) -> Vec<ProviderEvent> {
    let at = |event: &ProviderEvent| match event {
        ProviderEvent::Message { at, .. } | ProviderEvent::Person { at, .. } => *at,
    };
    events.into_iter().filter(|event| at(event) >= now - MAX_EVENT_AGE).collect()
}

/// A secret of calls; an empty one would make everybody the provider.
pub(super) fn secret(key: &str, secret: SecretString) -> Result<SecretString, AccountError> {
    match secret.expose_secret().is_empty() {
        true => Err(AccountError::new(format!("Secret key {key}"), "is empty; give the provider's own")),
        false => Ok(secret),
    }
}

/// The text of a header.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The length of an HMAC-SHA256.
pub(super) const SHA256_BYTES: usize = 32;

/// Whether a tag is the HMAC of what was said.
pub(super) fn is_signed(algorithm: hmac::Algorithm, key: &SecretString, said: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(algorithm, key.expose_secret().as_bytes()), said, tag).is_ok()
}

/// Whether two secrets are the same, in a time that tells nothing of where they differ.
pub(super) fn is_same(known: &SecretString, given: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"herald compares secrets");
    hmac::verify(&key, known.expose_secret().as_bytes(), hmac::sign(&key, given).as_ref()).is_ok()
}

/// The bytes that hexadecimal digits write, in either case.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// The bytes that base64 writes.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The fields of `application/x-www-form-urlencoded`, in their order.
pub(super) fn form_fields(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_text(name), form_text(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// The first value of a field.
pub(super) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn form_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| text.get(at + 1..at + 3).and_then(from_hex)).flatten();
        at += if escaped.is_some() { 3 } else { 1 };
        match (byte, escaped) {
            (_, Some(escaped)) => plain.extend(escaped),
            (b'+', None) => plain.push(b' '),
            (other, None) => plain.push(*other),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The JSON object of a body.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Unreadable),
    }
}

/// The members of an array, none where there is no array.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An id: a text, or a number as some providers write it.
pub(super) fn id(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Milliseconds since the Unix epoch.
pub(super) fn millis(value: Option<&Value>) -> Option<Timestamp> {
    let millis = value?.as_i64()?;
    Some(Timestamp(millis.checked_mul(1_000_000)?))
}

/// Seconds since the Unix epoch, a number or digits.
pub(super) fn seconds(value: Option<&Value>) -> Option<Timestamp> {
    let seconds = super::answer::integer(value)?;
    Some(Timestamp(seconds.checked_mul(crate::delivery::time::NANOS_PER_SECOND)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::provider_event::Deed;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let fields = form_fields("To=%2B1425&Body=a+b%26c&empty=&%C3%BC=%zz&&last");
        let expected = [("To", "+1425"), ("Body", "a b&c"), ("empty", ""), ("ü", "%zz"), ("last", "")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(field(&fields, "Body"), Some("a b&c"));
    }

    #[test]
    fn what_is_told_too_late_is_left_out() {
        let now = Timestamp::from_secs(100) + MAX_EVENT_AGE;
        let wrote = |at| ProviderEvent::person("1", Deed::Wrote, Timestamp::from_secs(at));
        assert_eq!(fresh(vec![wrote(99), wrote(100)], now), [wrote(100)]);
    }

    #[test]
    fn an_empty_secret_is_refused() {
        assert!(secret("appSecret", SecretString::from("")).is_err());
        assert!(secret("appSecret", SecretString::from("x")).is_ok());
        assert!(is_same(&SecretString::from("same"), b"same") && !is_same(&SecretString::from("same"), b"other"));
    }

    #[test]
    fn only_whole_hexadecimal_is_read() {
        assert_eq!(from_hex("00fF"), Some(vec![0, 255]));
        assert!(["0", "0g", "+1", "ü"].iter().all(|text| from_hex(text).is_none()));
    }
}
