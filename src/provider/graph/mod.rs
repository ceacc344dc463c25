//! Meta's Graph API, which Messenger and WhatsApp share: where it is, how callers prove who they are, how it errs.

pub mod callback;
pub mod errors;
mod usage;

use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use self::errors::GraphErrorRow;
pub(super) use self::usage::usage;
use super::answer::{integer, unknown};
use super::redact::redact;
use super::{AccountError, Answer, EncodeError, absolute_url, base_url, bearer, post_json};
use crate::delivery::outcome::{Fault, Outcome};
use crate::provider::retry_after::retry_after_ms;

/// The longest `fbtrace_id` that is kept; real ones have 11 to 27 characters.
const MAX_TRACE_ID: usize = 40;

/// The characters of an error's text that are kept, so that the trace id after it survives the cut of a fault.
const MAX_ERROR_TEXT: usize = 190;

/// Where the messages of one account are posted, and with which credentials.
pub(super) struct Graph {
    pub base_url: String,
    /// With the proof in its query, if there is one.
    pub uri: Uri,
    /// The base URL with the version.
    root: String,
    /// `appsecret_proof=…`, where there is one.
    proof: Option<String>,
    authorization: HeaderValue,
    /// Kept to strike them out of error texts.
    pub secrets: Vec<SecretString>,
}

impl Graph {
    /// Checks the account of a member of the channel, and prepares what all its requests share. Adds `appsecret_proof` to
    /// each request when a secret is given.
    pub fn new(
        member: &str,
        id: &str,
        url: &str,
        api_version: &str,
        access_token: SecretString,
        app_secret: Option<SecretString>,
    ) -> Result<Graph, AccountError> {
        if !is_api_version(api_version) {
            return Err(AccountError::new(format!("{member}.apiVersion"), "must be a Graph version such as v25.0"));
        }
        let field = format!("{member}.baseURL");
        let base_url = base_url(&field, url)?;
        let authorization = bearer("accessToken", "an access token", &access_token)?;
        let root = format!("{base_url}/{api_version}");
        let mut proof = None;
        if let Some(app_secret) = &app_secret {
            if app_secret.expose_secret().is_empty() {
                let problem = "is empty; give the app's secret, or leave the key out to send no proof";
                return Err(AccountError::new("Secret key appSecret", problem));
            }
            proof = Some(format!("appsecret_proof={}", appsecret_proof(app_secret, &access_token)));
        }
        let query = proof.as_ref().map_or(String::new(), |proof| format!("?{proof}"));
        let uri = absolute_url(&field, &format!("{root}/{id}/messages{query}"))?;
        let secrets = std::iter::once(access_token).chain(app_secret).collect();
        Ok(Graph { base_url, uri, root, proof, authorization, secrets })
    }

    /// A message.
    pub fn post(&self, body: &impl serde::Serialize) -> Result<Request<Bytes>, EncodeError> {
        Ok(self.authorized(post_json(self.uri.clone(), body)?))
    }

    /// Posts to another object of the API; `path` is below the version.
    pub fn post_to(&self, path: &str, body: &impl serde::Serialize) -> Result<Request<Bytes>, EncodeError> {
        Ok(self.authorized(post_json(self.below(path, "")?, body)?))
    }

    /// A form is posted so to another object of the API; its body comes later.
    pub fn form(&self, path: &str) -> Result<Request<()>, EncodeError> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.below(path, "")?;
        Ok(self.authorized(request))
    }

    /// Asks for another object of the API.
    pub fn get(&self, path: &str, query: &str) -> Result<Request<Bytes>, EncodeError> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.below(path, query)?;
        Ok(self.authorized(request))
    }

    fn below(&self, path: &str, query: &str) -> Result<Uri, EncodeError> {
        let query: Vec<&str> =
            self.proof.as_deref().into_iter().chain(Some(query).filter(|query| !query.is_empty())).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}/{path}{mark}{}", self.root, query.join("&"));
        // The error does not repeat the URL: it may hold the proof.
        url.parse().map_err(|_| EncodeError::Request("the path is none of a URL".to_owned()))
    }

    fn authorized<B>(&self, mut request: Request<B>) -> Request<B> {
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request
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

/// By (code, subcode), then code, then `is_transient`; what is still not known may have been sent.
pub(super) fn classify_error(
    error: &Value,
    answer: &Answer<'_>,
    table: &'static [GraphErrorRow],
    secrets: &[SecretString],
) -> Outcome {
    let Some(code) = integer(error.get("code")) else {
        return unknown("UnreadableAnswer", answer.status, "the error holds no code");
    };
    let subcode = integer(error.get("error_subcode"));
    let error_type = error.get("type").and_then(Value::as_str);
    let shown_code = match subcode {
        Some(subcode) => format!("{code}/{subcode}"),
        None => code.to_string(),
    };
    let fault = |reason: &str| Fault::new(reason, Some(shown_code.clone()), error_text(error, secrets));
    match errors::find(table, code, subcode, error_type) {
        Some(row) => {
            let wish =
                retry_after_ms(answer.headers, answer.received_at).or_else(|| usage(answer.headers)?.regain_after_ms);
            row.class.outcome(wish, fault(row.reason))
        }
        None => match error.get("is_transient").and_then(Value::as_bool) {
            Some(true) => Outcome::Transient { cap: None, fault: fault("Temporary") },
            _ => Outcome::Unknown { fault: fault("UnrecognisedError") },
        },
    }
}

/// The provider's words without secrets and ids, and the trace id that the provider's support asks for.
fn error_text(error: &Value, secrets: &[SecretString]) -> String {
    let text = error.get("message").and_then(Value::as_str).unwrap_or("no message");
    let text: String = redact(text, secrets).chars().take(MAX_ERROR_TEXT).collect();
    match error.get("fbtrace_id").and_then(Value::as_str) {
        Some(trace) if !trace.is_empty() => {
            let trace: String = trace.chars().take(MAX_TRACE_ID).collect();
            format!("{text} (fbtrace_id {trace})")
        }
        _ => text,
    }
}
