//! An HTTP endpoint of the user's own: one request per message, made from templates.

mod answers;
mod limits;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use secrecy::SecretString;
use serde::Serialize;

use super::standard_webhooks::SigningKeys;
use super::{AccountError, Answer, CORRELATION_HEADER, EncodeError, Message, Provider, check_link, secret_header};
use crate::api::channel::{ChannelProvider, HTTP_SIGNING_SECRET, HttpChannel, HttpHeader, HttpMethod};
use crate::api::content::Attachment;
use crate::content::{Markup, RequestValues};
use crate::delivery::outcome::Outcome;
use crate::delivery::usage::Usage;
use answers::Answers;
use parts::{Address, Part};

/// Headers that describe or frame the request: a second value would contradict it. A MessageChannel is refused for the
/// same names.
pub const OWN_HEADERS: [HeaderName; 9] =
    [HOST, CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, TE, TRAILER, UPGRADE, CORRELATION_HEADER];

/// How the names of the headers begin that signing sets.
const SIGNATURE_HEADERS: &str = "webhook-";

const JSON: &str = "application/json";

/// The keys of a channel's Secret that its templates name, with their values.
pub type Secrets = BTreeMap<String, SecretString>;

/// An HTTP endpoint, ready to send to. There is no limit on the text.
pub struct Http {
    method: Method,
    address: Address,
    /// Those that are the same for every message.
    headers: HeaderMap,
    /// The others, each with where it stands.
    templates: Vec<(HeaderName, Part)>,
    body: Body,
    answers: Answers,
    signing: Option<SigningKeys>,
    secrets: Secrets,
}

/// What goes with each request.
enum Body {
    Nothing,
    /// The JSON object `{"id", "text", "vars"}`, and `attachments` where there are some.
    Message,
    Template {
        part: Part,
        is_json: bool,
    },
}

impl Http {
    /// Checks the endpoint, with the keys of the Secret that it needs, and prepares what all its requests share.
    ///
    /// # Errors
    /// [`AccountError`] naming the field: a URL that is none or whose host is a template, a template that is none, a header
    /// whose name or value cannot be sent, one that comes twice, or one that is set anyway, a signing secret that is none.
    pub fn new(channel: &HttpChannel, secrets: Secrets) -> Result<Http, AccountError> {
        let signing = channel.signing.map(|_| signing_keys(&secrets)).transpose()?;
        let address = Address::new("http.url", &channel.url, &secrets)?;
        let content_type = channel.content_type.as_deref().unwrap_or(JSON);
        let body = body(channel, content_type, &secrets)?;
        let mut headers = HeaderMap::new();
        if !matches!(body, Body::Nothing) {
            let value = HeaderValue::from_str(content_type)
                .map_err(|_| AccountError::new("http.contentType", "is no media type, such as application/json"))?;
            headers.insert(CONTENT_TYPE, value);
        }
        let mut http = Http {
            method: method(channel.method),
            address,
            headers,
            templates: Vec::new(),
            body,
            answers: Answers::new(channel.response.clone().unwrap_or_default(), &secrets),
            signing,
            secrets,
        };
        for (index, header) in channel.headers.iter().enumerate() {
            http.add_header(&field(index, &header.name), header)?;
        }
        Ok(http)
    }

    fn add_header(&mut self, field: &str, header: &HttpHeader) -> Result<(), AccountError> {
        let name: HeaderName = header
            .name
            .parse()
            .map_err(|_| AccountError::new(field, "is no header name: letters, digits and - only"))?;
        let is_signature = self.signing.is_some() && name.as_str().starts_with(SIGNATURE_HEADERS);
        if OWN_HEADERS.contains(&name) || is_signature {
            return Err(AccountError::new(field, "is set by herald itself; leave it out"));
        }
        if self.headers.contains_key(&name) || self.templates.iter().any(|(other, _)| *other == name) {
            return Err(AccountError::new(field, "comes twice; names are the same in any case"));
        }
        match Part::new(field, &header.value, Markup::Plain, &self.secrets)? {
            Part::Constant(value) => {
                let value = secret_header(&value).ok_or_else(|| {
                    AccountError::new(field, "has a value that cannot be sent: one line without control characters")
                })?;
                self.headers.insert(name, value);
            }
            part => self.templates.push((name, part)),
        }
        Ok(())
    }

    /// Whether any part of a request says what is attached.
    fn takes_attachments(&self) -> bool {
        let in_body = match &self.body {
            Body::Nothing => false,
            Body::Message => true,
            Body::Template { part, .. } => part.names_attachments(),
        };
        in_body || self.address.names_attachments() || self.templates.iter().any(|(_, part)| part.names_attachments())
    }

    fn encode_body(&self, message: &Message<'_>, values: &RequestValues<'_>) -> Result<Vec<u8>, EncodeError> {
        match &self.body {
            Body::Nothing => Ok(Vec::new()),
            Body::Message => {
                let Message { recipient: id, text, attachments, vars, .. } = *message;
                let body = MessageBody { id, text, attachments, vars };
                serde_json::to_vec(&body).map_err(|error| EncodeError::Request(error.to_string()))
            }
            Body::Template { part, is_json } => {
                let body = part.render("http.body", values)?;
                if *is_json && serde_json::from_str::<serde::de::IgnoredAny>(&body).is_err() {
                    return Err(EncodeError::Request(NO_JSON.to_owned()));
                }
                Ok(body.into_bytes())
            }
        }
    }

    fn encode_headers(&self, message: &Message<'_>, values: &RequestValues<'_>) -> Result<HeaderMap, EncodeError> {
        let mut headers = self.headers.clone();
        for (name, part) in &self.templates {
            let field = format!("http.headers {name:?}");
            let value = secret_header(&part.render(&field, values)?)
                .ok_or_else(|| EncodeError::Request(format!("{field}: {NO_HEADER_VALUE}")))?;
            headers.insert(name.clone(), value);
        }
        let correlation = HeaderValue::from_str(message.correlation)
            .map_err(|_| EncodeError::Request("the correlation value cannot stand in a header".to_owned()))?;
        headers.insert(CORRELATION_HEADER, correlation);
        Ok(headers)
    }
}

/// Without the place in the body, which differs from recipient to recipient.
const NO_JSON: &str = "http.body: what the template makes is no JSON; what stands for a name brings its own quotes, so write \
                       {\"to\": {{ id }}} and not {\"to\": \"{{ id }}\"}";
const NO_ATTACHMENTS: &str = "the message has attachments, which no template of the channel names; name attachments in http.body, as \
                              in {\"media\": {{ attachments }}}";
const NO_HEADER_VALUE: &str =
    "the value cannot be sent: it must be one line without control characters; correct the variables in the audience";

fn field(index: usize, name: &str) -> String {
    format!("http.headers[{index}] {name:?}")
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Get => Method::GET,
    }
}

fn signing_keys(secrets: &Secrets) -> Result<SigningKeys, AccountError> {
    let field = || format!("Secret key {HTTP_SIGNING_SECRET}");
    let secret = secrets
        .get(HTTP_SIGNING_SECRET)
        .ok_or_else(|| AccountError::new(field(), "is missing, and http.signing needs it"))?;
    SigningKeys::parse(secret).map_err(|error| AccountError::new(field(), error.to_string()))
}

fn body(channel: &HttpChannel, content_type: &str, secrets: &Secrets) -> Result<Body, AccountError> {
    Ok(match (&channel.body, channel.method) {
        (Some(_), HttpMethod::Get) => return Err(AccountError::new("http.body", "must not be set: a GET has no body")),
        (None, HttpMethod::Get) => Body::Nothing,
        (None, _) => Body::Message,
        (Some(template), _) => {
            let markup = markup(content_type);
            let part = Part::new("http.body", template, markup, secrets)?;
            Body::Template { part, is_json: markup == Markup::Json }
        }
    })
}

/// How what stands for names is escaped in a body of this media type.
fn markup(content_type: &str) -> Markup {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.rsplit(['/', '+']).next().unwrap_or_default() {
        "json" => Markup::Json,
        "x-www-form-urlencoded" => Markup::Url,
        "xml" | "html" => Markup::Html,
        _ => Markup::Plain,
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Path and query may hold a key.
        f.debug_struct("Http").field("host", &self.address.origin().host()).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct MessageBody<'a> {
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
        self.address.origin()
    }

    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError> {
        for attachment in message.attachments {
            check_link(attachment)?;
        }
        if !message.attachments.is_empty() && !self.takes_attachments() {
            return Err(EncodeError::Request(NO_ATTACHMENTS.to_owned()));
        }
        let values = RequestValues {
            id: message.recipient,
            text: message.text,
            attachments: message.attachments,
            vars: message.vars,
            message_id: message.id,
            secrets: &self.secrets,
        };
        let body = self.encode_body(message, &values)?;
        let mut headers = self.encode_headers(message, &values)?;
        if let Some(keys) = &self.signing {
            let signature = keys
                .sign(message.id, message.at, &body)
                .map_err(|error| EncodeError::Request(format!("http.signing: {error}")))?;
            headers.extend(signature);
        }
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.address.render(&values)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn classify(&self, answer: &Answer<'_>) -> Outcome {
        self.answers.classify(answer)
    }

    fn usage(&self, answer: &Answer<'_>) -> Option<Usage> {
        self.answers.usage(answer)
    }
}
