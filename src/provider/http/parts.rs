//! Parts of a request: the same for every message, or made for each.

use http::Uri;

use super::Secrets;
use crate::content::{Markup, RequestTemplate, RequestValues};
use crate::provider::{AccountError, EncodeError, absolute_url};

/// A text of the channel.
pub(super) enum Part {
    /// What it is in every request; may hold secrets.
    Constant(String),
    Template(Box<RequestTemplate>),
}

impl Part {
    /// Compiles a text that stands in `field`.
    pub fn new(field: &str, text: &str, markup: Markup, secrets: &Secrets) -> Result<Part, AccountError> {
        if !["{{", "{%", "{#"].into_iter().any(|begin| text.contains(begin)) {
            return Ok(Part::Constant(text.to_owned()));
        }
        let template = RequestTemplate::compile(text, markup, secrets)
            .map_err(|error| AccountError::new(field, error.to_string()))?;
        if !template.is_constant() {
            return Ok(Part::Template(Box::new(template)));
        }
        let nobody = Default::default();
        let values = RequestValues { id: "", text: "", vars: &nobody, attachments: &[], message_id: "", secrets };
        template.render(&values).map(Part::Constant).map_err(|error| AccountError::new(field, error.to_string()))
    }

    /// Whether it says what is attached.
    pub fn names_attachments(&self) -> bool {
        matches!(self, Part::Template(template) if template.names_attachments())
    }

    /// The text for one message.
    pub fn render(&self, field: &str, values: &RequestValues<'_>) -> Result<String, EncodeError> {
        match self {
            Part::Constant(text) => Ok(text.clone()),
            Part::Template(template) => {
                template.render(values).map_err(|error| EncodeError::Request(format!("{field}: {error}")))
            }
        }
    }
}

/// Where requests go: a host that no recipient chooses, and a path and query that may be templates.
pub(super) struct Address {
    /// Scheme, host and port.
    origin: Uri,
    url: Url,
}

enum Url {
    Constant(Uri),
    Template(Part),
}

const FIELD: &str = "http.url";

impl Address {
    pub fn new(field: &str, url: &str, secrets: &Secrets) -> Result<Address, AccountError> {
        let after_scheme = url.find("://").map_or(0, |end| end + 3);
        let host_end = url[after_scheme..].find(['/', '?', '#', '{']).map_or(url.len(), |end| after_scheme + end);
        if url[host_end..].starts_with('{') {
            let problem = "must name the host as it is; templates may stand in path and query alone";
            return Err(AccountError::new(field, problem));
        }
        let origin = absolute_url(field, &url[..host_end])?;
        let url = match Part::new(field, url, Markup::Url, secrets)? {
            Part::Constant(text) => {
                let uri = absolute_url(field, &text)?;
                check(&origin, &uri).map_err(|problem| AccountError::new(field, problem))?;
                Url::Constant(uri)
            }
            part => Url::Template(part),
        };
        Ok(Address { origin, url })
    }

    /// The URL of its host.
    pub fn origin(&self) -> &Uri {
        &self.origin
    }

    /// Whether it says what is attached.
    pub fn names_attachments(&self) -> bool {
        matches!(&self.url, Url::Template(part) if part.names_attachments())
    }

    /// The URL for one message.
    pub fn render(&self, values: &RequestValues<'_>) -> Result<Uri, EncodeError> {
        let part = match &self.url {
            Url::Constant(uri) => return Ok(uri.clone()),
            Url::Template(part) => part,
        };
        let refused = |problem: &str| EncodeError::Request(format!("{FIELD}: {problem}"));
        // The parser's words could repeat a piece of the URL.
        let uri: Uri = part.render(FIELD, values)?.parse().map_err(|_| refused("what the template makes is no URL"))?;
        check(&self.origin, &uri).map_err(refused)?;
        Ok(uri)
    }
}

/// Escaping leaves dots as they are, and HTTP clients resolve a segment of one or two (RFC 3986, section 5.2.4), written out
/// or percent-encoded: the request would go to another path.
fn check(origin: &Uri, uri: &Uri) -> Result<(), &'static str> {
    if (uri.scheme(), uri.authority()) != (origin.scheme(), origin.authority()) {
        return Err("what the template makes leads to another host");
    }
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    match uri.path().split('/').any(is_dots) {
        true => Err("a part of the path would be . or .., which leads to another path"),
        false => Ok(()),
    }
}
