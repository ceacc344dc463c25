//! A plain HTTP endpoint: one POST per message with the JSON body `{"id", "text", "vars"}`, and `attachments` where there are
//! some.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{
    AccountError, Answer, CORRELATION_HEADER, EncodeError, Message, Provider, absolute_url, check_link,
    retry_after::retry_after_ms, secret_header,
};
use crate::api::channel::ChannelProvider;
use crate::api::content::Attachment;
use crate::delivery::outcome::{Fault, Outcome, PermanentScope, ThrottleScope};

/// Headers that describe or frame the request: a second value would contradict it. A MessageChannel is refused for the
/// same names.
pub const OWN_HEADERS: [HeaderName; 9] =
    [HOST, CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, TE, TRAILER, UPGRADE, CORRELATION_HEADER];

/// An endpoint and the headers that go with each request.
pub struct HttpEndpoint {
    /// `https` or `http`; may hold a path and a query, no user info.
    pub url: String,
    /// Names with rendered values; each name once. All are held to be secret.
    pub headers: Vec<(String, SecretString)>,
}

/// A plain HTTP endpoint, ready to send to. There is no limit on the text.
pub struct Http {
    uri: Uri,
    headers: HeaderMap,
}

impl Http {
    /// Checks the endpoint and prepares what all its requests share.
    ///
    /// # Errors
    /// [`AccountError`] naming the field: a URL that is none, a header whose name or value cannot be sent, one that
    /// comes twice, or one that is set anyway.
    pub fn new(endpoint: HttpEndpoint) -> Result<Http, AccountError> {
        let uri = absolute_url("http.url", &endpoint.url)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (index, (given, value)) in endpoint.headers.iter().enumerate() {
            let (name, value) = header(index, given, value)?;
            if headers.insert(name, value).is_some() {
                return Err(AccountError::new(field(index, given), "comes twice; names are the same in any case"));
            }
        }
        Ok(Http { uri, headers })
    }
}

fn field(index: usize, name: &str) -> String {
    format!("http.headers[{index}] {name:?}")
}

fn header(index: usize, name: &str, value: &SecretString) -> Result<(HeaderName, HeaderValue), AccountError> {
    let field = || field(index, name);
    let parsed: HeaderName =
        name.parse().map_err(|_| AccountError::new(field(), "is no header name: letters, digits and - only"))?;
    if OWN_HEADERS.contains(&parsed) {
        return Err(AccountError::new(field(), "is set by herald itself; leave it out"));
    }
    let value = secret_header(value.expose_secret()).ok_or_else(|| {
        AccountError::new(field(), "has a value that cannot be sent: one line without control characters")
    })?;
    Ok((parsed, value))
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold a key.
        f.debug_struct("Http").field("host", &self.uri.host()).field("path", &self.uri.path()).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    text: &'a str,
    /// As they are written: `type` and `url`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attachments: &'a [Attachment],
    vars: &'a BTreeMap<String, String>,
}

impl Provider for Http {
    fn channel(&self) -> ChannelProvider {
        ChannelProvider::Http
    }

    fn endpoint(&self) -> &Uri {
        &self.uri
    }

    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError> {
        for attachment in message.attachments {
            check_link(attachment)?;
        }
        let Message { recipient, text, attachments, vars, .. } = *message;
        let body = Body { id: recipient, text, attachments, vars };
        let body = serde_json::to_vec(&body).map_err(|error| EncodeError::Request(error.to_string()))?;
        let correlation = HeaderValue::from_str(message.correlation)
            .map_err(|_| EncodeError::Request("the correlation value cannot stand in a header".to_owned()))?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CORRELATION_HEADER, correlation);
        Ok(request)
    }

    /// By the status alone: 2xx accepted, 429 throttled, other 4xx permanent for the recipient, the rest unknown.
    /// The body is not quoted: it may repeat the recipient's id.
    fn classify(&self, answer: &Answer<'_>) -> Outcome {
        let status = answer.status;
        let fault = |reason: &str| {
            let words = status.canonical_reason().unwrap_or("no standard meaning");
            let message = format!("the endpoint answered {} ({words})", status.as_u16());
            Fault::new(reason, Some(status.as_u16().to_string()), message)
        };
        if status.is_success() {
            return Outcome::Accepted { provider_id: None };
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Outcome::Throttled {
                scope: ThrottleScope::Account,
                retry_after_ms: retry_after_ms(answer.headers, answer.received_at),
                fault: fault("TooManyRequests"),
            };
        }
        match client_error_reason(status) {
            Some(reason) => Outcome::Permanent { scope: PermanentScope::Recipient, fault: fault(reason) },
            None if status.is_redirection() => Outcome::Unknown { fault: fault("Redirected") },
            None if status.is_server_error() => Outcome::Unknown { fault: fault("ServerError") },
            None => Outcome::Unknown { fault: fault("UnexpectedStatus") },
        }
    }
}

/// The reason of a 4xx, from a fixed set; `None` for other statuses.
fn client_error_reason(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::GONE => "Gone",
        status if status.is_client_error() => "Rejected",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::content::AttachmentType;
    use crate::content::Extras;

    fn endpoint(url: &str, headers: &[(&str, &str)]) -> HttpEndpoint {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), SecretString::from(*value))).collect();
        HttpEndpoint { url: url.into(), headers }
    }

    fn encode(http: &Http, correlation: &str) -> Result<Request<Bytes>, EncodeError> {
        let vars = BTreeMap::from([("first_name".to_owned(), "Ana".to_owned())]);
        http.encode(&Message {
            recipient: "24005550001",
            text: "Hi Ana",
            extras: &Extras::None,
            attachments: &[],
            is_last: true,
            vars: &vars,
            correlation,
        })
    }

    #[test]
    fn a_message_becomes_one_post_with_the_given_headers() {
        let headers = [("Authorization", "Bearer hunter2"), ("X-Key", "a")];
        let http = Http::new(endpoint("https://gate.example:8443/send?key=1", &headers)).unwrap();
        let request = encode(&http, "7f3a:42:1:0").unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://gate.example:8443/send?key=1");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(request.headers()[CORRELATION_HEADER], "7f3a:42:1:0");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        assert_eq!(request.headers()["x-key"], "a");
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body, json!({"id": "24005550001", "text": "Hi Ana", "vars": {"first_name": "Ana"}}));
        assert!(!format!("{http:?} {:?}", request.headers()).contains("hunter2"));
    }

    #[test]
    fn a_bad_header_is_refused_by_place_and_without_its_value() {
        let cases = [
            ([("x-ok", "1"), ("bad name", "hunter2")], "http.headers[1] \"bad name\""),
            ([("x-ok", "1"), ("x-key", "hunter2\nx: y")], "http.headers[1] \"x-key\""),
            ([("Content-Length", "hunter2"), ("x-ok", "1")], "http.headers[0] \"Content-Length\""),
            ([("x-herald-correlation", "hunter2"), ("x-ok", "1")], "http.headers[0] \"x-herald-correlation\""),
            ([("content-type", "hunter2"), ("x-ok", "1")], "http.headers[0] \"content-type\""),
            ([("x-key", "1"), ("X-Key", "hunter2")], "http.headers[1] \"X-Key\""),
        ];
        for (headers, field) in cases {
            let error = Http::new(endpoint("https://gate.example/", &headers)).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_correlation_value_that_is_no_header_value_is_refused() {
        let http = Http::new(endpoint("https://gate.example/", &[])).unwrap();
        assert!(matches!(encode(&http, "a\nb"), Err(EncodeError::Request(_))));
    }

    #[test]
    fn a_text_of_any_length_is_taken() {
        let http = Http::new(endpoint("https://gate.example/", &[])).unwrap();
        let text = "x".repeat(100_000);
        let vars = BTreeMap::new();
        let message = message(&text, &[], &vars);
        assert!(http.encode(&message).is_ok());
    }

    fn message<'a>(text: &'a str, attachments: &'a [Attachment], vars: &'a BTreeMap<String, String>) -> Message<'a> {
        let extras = &Extras::None;
        Message { recipient: "1", text, extras, attachments, is_last: true, vars, correlation: "c" }
    }

    #[test]
    fn attachments_come_with_the_text_and_only_by_links_that_can_be_fetched() {
        let http = Http::new(endpoint("https://gate.example/", &[])).unwrap();
        let vars = BTreeMap::new();
        let attachment = |url: &str| [Attachment { kind: AttachmentType::File, url: url.into() }];
        let request = http.encode(&message("Hi", &attachment("https://a.example/1.pdf"), &vars)).unwrap();
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let attachments = json!([{"type": "File", "url": "https://a.example/1.pdf"}]);
        assert_eq!(body, json!({"id": "1", "text": "Hi", "attachments": attachments, "vars": {}}));
        let long = format!("https://a.example/{}", "x".repeat(2_048));
        for url in ["a.example/1.pdf", "ftp://a.example/1.pdf", "https://a.example/a b.pdf", "", &long] {
            assert!(
                matches!(http.encode(&message("Hi", &attachment(url), &vars)), Err(EncodeError::Request(_))),
                "{url}"
            );
        }
    }
}
