//! How Meta signs its calls, and how it asks first whether it may call: the same for Messenger and WhatsApp.
//!
//! Facts are from Meta's page on getting started with webhooks, and nyaruka/courier handlers/meta/handlers.go.

use http::HeaderMap;
use ring::hmac::HMAC_SHA256;
use secrecy::SecretString;

use crate::provider::AccountError;
use crate::provider::callback::{
    Call, Refused, SHA256_BYTES, field, form_fields, from_hex, header, is_same, is_signed, secret,
};

/// The longest challenge that is given back; real ones have some ten digits.
const MAX_CHALLENGE: usize = 256;

/// What proves that Meta calls.
pub struct GraphSignature {
    app_secret: SecretString,
    verify_token: Option<SecretString>,
}

impl GraphSignature {
    /// The secret of the app, and the token that was given to Meta with the URL.
    ///
    /// # Errors
    /// One of them is empty.
    pub fn new(app_secret: SecretString, verify_token: Option<SecretString>) -> Result<GraphSignature, AccountError> {
        Ok(GraphSignature {
            app_secret: secret("appSecret", app_secret)?,
            verify_token: verify_token.map(|token| secret("verifyToken", token)).transpose()?,
        })
    }

    /// `X-Hub-Signature-256: sha256=` and the HMAC-SHA256 of the body as it came: Meta signs what it has escaped.
    pub fn verify(&self, call: &Call<'_>) -> Result<(), Refused> {
        let tag = tag(call.headers)?;
        match is_signed(HMAC_SHA256, &self.app_secret, call.body, &tag) {
            true => Ok(()),
            false => Err(Refused::Forged),
        }
    }

    /// The challenge of a handshake that knows the token.
    pub fn greet(&self, query: &str) -> Option<String> {
        let fields = form_fields(query);
        let token = self.verify_token.as_ref()?;
        let knows = is_same(token, field(&fields, "hub.verify_token")?.as_bytes());
        let challenge = field(&fields, "hub.challenge")?;
        let plain = challenge.len() <= MAX_CHALLENGE && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (knows && plain && field(&fields, "hub.mode") == Some("subscribe")).then(|| challenge.to_owned())
    }
}

/// The tag that a call brings.
pub fn tag(headers: &HeaderMap) -> Result<Vec<u8>, Refused> {
    let given = header(headers, "x-hub-signature-256").ok_or(Refused::Unsigned)?;
    given.strip_prefix("sha256=").and_then(from_hex).filter(|tag| tag.len() == SHA256_BYTES).ok_or(Refused::Forged)
}

/// Calls as tests make them, of all that Meta signs.
#[cfg(test)]
pub mod calls {
    use http::HeaderValue;
    use serde_json::Value;

    use super::*;
    use crate::delivery::provider_event::ProviderEvent;
    use crate::delivery::time::Timestamp;
    use crate::provider::callback::{Callbacks, Heard, Unreadable};

    /// What a recorded call with its tag tells.
    pub fn heard(callbacks: &dyn Callbacks, tag: &str, body: &str) -> Vec<ProviderEvent> {
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature-256", HeaderValue::from_str(&format!("sha256={tag}")).unwrap());
        let call = Call { headers: &headers, query: None, body: body.as_bytes(), now: Timestamp::EPOCH };
        callbacks.may_be_theirs(&headers).unwrap();
        callbacks.verify(&call).unwrap();
        callbacks.read(&call).unwrap().events
    }

    /// What a body tells, once it was verified.
    pub fn read(callbacks: &dyn Callbacks, body: &Value) -> Result<Heard, Unreadable> {
        let (headers, body) = (HeaderMap::new(), body.to_string());
        callbacks.read(&Call { headers: &headers, query: None, body: body.as_bytes(), now: Timestamp::EPOCH })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::delivery::time::Timestamp;

    fn signature() -> GraphSignature {
        let app_secret = SecretString::from("0123456789abcdef0123456789abcdef");
        GraphSignature::new(app_secret, Some(SecretString::from("ours"))).unwrap()
    }

    fn verify(header: Option<&str>, body: &[u8]) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-hub-signature-256", HeaderValue::from_str(header).unwrap());
        }
        signature().verify(&Call { headers: &headers, query: None, body, now: Timestamp::EPOCH })
    }

    #[test]
    fn the_bytes_are_signed_as_meta_escapes_them() {
        let tag = "sha256=c0e4431d6ec0a5318075120629130eb937bcb0c14eb44268966872746dee21c9";
        assert_eq!(verify(Some(tag), br#"{"t":"\u00e4"}"#), Ok(()));
        assert_eq!(verify(Some(tag), "{\"t\":\"ä\"}".as_bytes()), Err(Refused::Forged));
        assert_eq!(verify(Some(&tag.replace("c0e", "c0f")), br#"{"t":"\u00e4"}"#), Err(Refused::Forged));
        for bad in ["sha1=00", "sha256=", "sha256=zz", "c0e4431d"] {
            assert_eq!(verify(Some(bad), br#"{"t":"\u00e4"}"#), Err(Refused::Forged));
        }
        assert_eq!(verify(None, br#"{"t":"\u00e4"}"#), Err(Refused::Unsigned));
    }

    #[test]
    fn only_who_knows_the_token_gets_the_challenge() {
        let good = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=ours";
        assert_eq!(signature().greet(good).as_deref(), Some("1158201444"));
        for bad in [
            "",
            "hub.mode=subscribe&hub.challenge=1158201444",
            "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=other",
            "hub.mode=unsubscribe&hub.challenge=1158201444&hub.verify_token=ours",
            "hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=ours",
        ] {
            assert_eq!(signature().greet(bad), None, "{bad}");
        }
        let silent = GraphSignature::new(SecretString::from("s"), None).unwrap();
        assert_eq!(silent.greet(good), None);
    }
}
