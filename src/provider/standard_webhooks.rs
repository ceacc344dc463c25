//! Signatures by Standard Webhooks 1.0.0: the receiver can tell that a request is ours, unchanged and new.
//!
//! Signed is `<id>.<timestamp>.<body>` (standard-webhooks/standard-webhooks, spec/standard-webhooks.md). The id stays the
//! same however often a message is tried, so receivers may drop what they have already; the timestamp is that of the attempt.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use secrecy::{ExposeSecret, SecretString};

use crate::delivery::time::{NANOS_PER_SECOND, Timestamp};

/// The same for each attempt at one message; receivers use it as the key of idempotency.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// When the attempt was begun, in whole seconds since 1970. The libraries take five minutes of difference.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// One signature by each key, separated by spaces.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The most keys that sign at once: the new one and the old one while receivers change over.
pub const MAX_KEYS: usize = 2;
/// The length of a symmetric key in bytes, by the specification.
const SYMMETRIC_KEY: std::ops::RangeInclusive<usize> = 24..=64;
/// The longest id: the ids of one header line, far above what messages and notifications need.
const MAX_ID: usize = 255;

const SYMMETRIC_PREFIX: &str = "whsec_";
const ASYMMETRIC_PREFIX: &str = "whsk_";

/// The keys that requests to one receiver are signed with.
pub struct SigningKeys(Vec<SigningKey>);

enum SigningKey {
    /// `whsec_`: HMAC-SHA256, shared with the receiver. Signs as `v1`.
    Symmetric(hmac::Key),
    /// `whsk_`: Ed25519, of which the receiver has the public half (`whpk_`). Signs as `v1a`.
    Asymmetric(Box<Ed25519KeyPair>),
}

/// Why a secret is no signing secret. Never holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("must hold one signing secret, or two separated by a space while receivers change over")]
    Count,
    #[error("must begin with whsec_ (HMAC-SHA256) or whsk_ (Ed25519)")]
    Prefix,
    #[error("must hold base64 after whsec_ or whsk_")]
    Encoding,
    #[error("must hold 24 to 64 bytes in base64 after whsec_; `openssl rand -base64 32` makes 32")]
    SymmetricLength,
    #[error("must hold an Ed25519 key in base64 after whsk_: its seed of 32 bytes, or seed and public key")]
    AsymmetricKey,
}

/// An id that cannot be signed: it would be ambiguous, or is none for a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id of a signed request has 1 to {MAX_ID} visible ASCII characters and no dot")]
pub struct IdError;

impl SigningKeys {
    /// Reads a secret as users keep it: `whsec_…` or `whsk_…`, or two of them with white space between. White space at the
    /// ends is left out.
    ///
    /// # Errors
    /// [`SecretError`] says what it must be.
    pub fn parse(secret: &SecretString) -> Result<SigningKeys, SecretError> {
        let keys: Vec<&str> = secret.expose_secret().split_ascii_whitespace().take(MAX_KEYS + 1).collect();
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(SecretError::Count);
        }
        keys.into_iter().map(SigningKey::parse).collect::<Result<_, _>>().map(SigningKeys)
    }

    /// The three headers for a request with this body, sent at this instant by the clock of who sends it.
    ///
    /// # Errors
    /// [`IdError`] for an id that the specification forbids.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> Result<HeaderMap, IdError> {
        if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
            return Err(IdError);
        }
        let timestamp = at.0.div_euclid(NANOS_PER_SECOND);
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let signatures: Vec<String> = self.0.iter().map(|key| key.sign(&signed)).collect();
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| IdError);
        Ok(HeaderMap::from_iter([
            (WEBHOOK_ID, value(id)?),
            (WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp)),
            (WEBHOOK_SIGNATURE, value(&signatures.join(" "))?),
        ]))
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({})", self.0.len())
    }
}

impl SigningKey {
    fn parse(secret: &str) -> Result<SigningKey, SecretError> {
        if let Some(encoded) = secret.strip_prefix(SYMMETRIC_PREFIX) {
            let key = decoded(encoded)?;
            return match SYMMETRIC_KEY.contains(&key.len()) {
                true => Ok(SigningKey::Symmetric(hmac::Key::new(hmac::HMAC_SHA256, &key))),
                false => Err(SecretError::SymmetricLength),
            };
        }
        let encoded = secret.strip_prefix(ASYMMETRIC_PREFIX).ok_or(SecretError::Prefix)?;
        let key = decoded(encoded)?;
        // Tools write either the seed, or the seed with the public key behind it.
        let pair = match key.split_at_checked(32) {
            Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
            Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
            None => return Err(SecretError::AsymmetricKey),
        };
        Ok(SigningKey::Asymmetric(Box::new(pair.map_err(|_| SecretError::AsymmetricKey)?)))
    }

    fn sign(&self, signed: &[u8]) -> String {
        match self {
            SigningKey::Symmetric(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, signed))),
            SigningKey::Asymmetric(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(signed))),
        }
    }
}

/// With or without the padding at its end: some tools leave it out.
fn decoded(encoded: &str) -> Result<Vec<u8>, SecretError> {
    STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|_| SecretError::Encoding)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
    use standardwebhooks::Webhook;

    use super::*;
    use crate::ledger::clock::{Clock as _, SystemClock};

    /// The vector of the reference libraries.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;

    fn keys(secret: &str) -> Result<SigningKeys, SecretError> {
        SigningKeys::parse(&SecretString::from(secret))
    }

    fn symmetric(fill: u8, length: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![fill; length]))
    }

    /// The reference implementation looks at the machine's clock.
    fn now() -> Timestamp {
        SystemClock.now()
    }

    #[test]
    fn a_request_is_signed_as_the_reference_libraries_do() {
        let at = Timestamp(1_649_367_553 * NANOS_PER_SECOND + 999_999_999);
        let headers = keys(SECRET).unwrap().sign(ID, at, BODY).unwrap();
        assert_eq!(headers[WEBHOOK_ID], ID);
        assert_eq!(headers[WEBHOOK_TIMESTAMP], "1649367553");
        assert_eq!(headers[WEBHOOK_SIGNATURE], "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn a_receiver_with_either_key_of_a_change_takes_the_request_and_no_other_does() {
        let (old, new, other) = (SECRET.to_owned(), symmetric(7, 32), symmetric(8, 32));
        let headers = keys(&format!(" {new} {old}\n")).unwrap().sign(ID, now(), BODY).unwrap();
        for known in [&old, &new] {
            Webhook::new(known).unwrap().verify(BODY, &headers).unwrap();
        }
        assert!(Webhook::new(&other).unwrap().verify(BODY, &headers).is_err());
        assert!(Webhook::new(&old).unwrap().verify(b"{}", &headers).is_err());
    }

    #[test]
    fn an_asymmetric_key_signs_for_its_public_half() {
        let seed = [5; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref();
        let written = [
            format!("whsk_{}", STANDARD.encode(seed)),
            format!("whsk_{}", STANDARD_NO_PAD.encode(seed)),
            format!("whsk_{}", STANDARD.encode([&seed, public].concat())),
        ];
        for secret in written {
            let headers =
                keys(&format!("{secret} {SECRET}")).unwrap().sign("id", Timestamp::from_secs(17), b"body").unwrap();
            let (asymmetric, symmetric) = headers[WEBHOOK_SIGNATURE].to_str().unwrap().split_once(' ').unwrap();
            let signature = STANDARD.decode(asymmetric.strip_prefix("v1a,").unwrap()).unwrap();
            UnparsedPublicKey::new(&ED25519, public).verify(b"id.17.body", &signature).unwrap();
            assert!(symmetric.starts_with("v1,"));
        }
    }

    #[test]
    fn what_is_no_signing_secret_is_refused_without_showing_it() {
        let three = [SECRET; 3].join(" ");
        let (short, long) = (symmetric(1, 23), symmetric(1, 65));
        let half = format!("whsk_{}", STANDARD.encode([5; 31]));
        let foreign = format!("whsk_{}", STANDARD.encode([5; 64]));
        let cases = [
            ("", SecretError::Count),
            (" \n", SecretError::Count),
            (&three, SecretError::Count),
            ("hunter2", SecretError::Prefix),
            ("whpk_hunter2", SecretError::Prefix),
            ("whsec_hunter2!", SecretError::Encoding),
            (&short, SecretError::SymmetricLength),
            (&long, SecretError::SymmetricLength),
            (&half, SecretError::AsymmetricKey),
            (&foreign, SecretError::AsymmetricKey),
        ];
        for (secret, expected) in cases {
            let error = keys(secret).unwrap_err();
            assert_eq!(error, expected, "{secret}");
            assert!(!error.to_string().contains("hunter2"));
        }
        for length in [24, 64] {
            assert!(keys(&symmetric(1, length)).is_ok());
        }
        assert_eq!(format!("{:?}", keys(SECRET).unwrap()), "SigningKeys(1)");
    }

    #[test]
    fn an_id_that_could_be_read_in_two_ways_is_refused() {
        let keys = keys(SECRET).unwrap();
        for id in ["", "a.b", "a b", "a\nb", "ü", &"x".repeat(MAX_ID + 1)] {
            assert_eq!(keys.sign(id, Timestamp::EPOCH, b"").unwrap_err(), IdError, "{id}");
        }
        assert!(keys.sign(&"x".repeat(MAX_ID), Timestamp::EPOCH, b"").is_ok());
    }
}
