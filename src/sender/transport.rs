//! One HTTP request to the provider, and how far it got.
//!
//! Only what surely never reached the provider is `NotSent`; whatever was written without a complete answer is
//! `Unknown`. No automatic retry, no redirect: either would be an attempt that nobody recorded.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{StatusCode, Uri};

use super::spare::{Putting, Stock, Stocked, Taking};
use crate::api::content::Attachment;
use crate::delivery::outcome::{Fault, NOT_SENT, Outcome};
use crate::delivery::time::Span;
use crate::delivery::usage::Usage;
use crate::ledger::clock::{Clock, SystemClock};
use crate::ledger::exchange::CONNECT_TIMEOUT;
use crate::provider::{Answer, Handle, MAX_ANSWER_BODY, Provider};

/// Idle connections are dropped before the provider closes them: a close under a request would make it unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// So many connections are opened at the same time: a provider may take more at once for an attack.
const OPENED_AT_ONCE: usize = 32;
/// A longer answer is not read to its end; what it said is unknown.
const MAX_ANSWER_READ: usize = 16 * 1024 * 1024;

/// The reason of an attempt of which something may have been written and no complete answer came.
pub const NO_ANSWER: &str = "NoAnswer";

/// Whether the provider itself has told what became of an attempt.
pub fn is_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::NotSent { .. } | Outcome::NotBegun => false,
        Outcome::Unknown { fault } => fault.reason != NO_ANSWER,
        _ => true,
    }
}

/// What the log says at the moment a request is handed to the HTTP client, at level trace.
pub const HANDED_OVER: &str = "a request is handed over";

/// The HTTP client of the senders to one provider.
#[derive(Clone)]
pub struct Transport {
    client: reqwest::Client,
    opener: Arc<Opener>,
    /// The provider has told whose the credentials are.
    is_identified: Arc<AtomicBool>,
}

/// What opens connections before they are needed.
struct Opener {
    client: reqwest::Client,
    /// The provider's URL; it may hold a secret, and is never requested.
    endpoint: Uri,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to set up the HTTP client: {0}")]
pub struct TransportError(#[from] reqwest::Error);

/// What became of an attempt, and what the provider said of its limit and of the attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    pub outcome: Outcome,
    pub usage: Option<Usage>,
    /// By what it keeps the attachment from now on.
    pub handle: Option<Handle>,
}

impl From<Outcome> for Attempted {
    fn from(outcome: Outcome) -> Attempted {
        Attempted { outcome, usage: None, handle: None }
    }
}

/// A complete answer.
pub(super) struct Received {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
    truncated: bool,
}

impl Received {
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
            body_truncated: self.truncated,
            received_at: SystemClock.now(),
        }
    }
}

enum Broken {
    NotSent(String),
    Unknown(String),
}

impl Broken {
    fn outcome(self) -> Outcome {
        match self {
            Broken::NotSent(message) => not_sent(message),
            Broken::Unknown(message) => Outcome::Unknown { fault: Fault::new(NO_ANSWER, None, message) },
        }
    }
}

impl Transport {
    /// For messages to the provider at this URL, and to no other.
    pub fn new(endpoint: &Uri) -> Result<Transport, TransportError> {
        Transport::with_idle_limit(endpoint, IDLE_TIMEOUT)
    }

    fn with_idle_limit(endpoint: &Uri, idle_limit: Duration) -> Result<Transport, TransportError> {
        let stock = Stock::new(idle_limit);
        let builder = || client(endpoint, idle_limit);
        let opener =
            Opener { client: builder().connector_layer(Putting(stock.clone())).build()?, endpoint: endpoint.clone() };
        let client = builder().connector_layer(Taking(stock)).build()?;
        Ok(Transport { client, opener: Arc::new(opener), is_identified: Arc::default() })
    }

    /// Opens so many connections for messages to come, or until one cannot be opened: the next message will tell why. The
    /// provider sees handshakes and no request.
    pub async fn open(&self, count: u32) {
        if count == 0 || !self.opener.open_one().await {
            return;
        }
        let more = futures::stream::iter(1..count).map(|_| self.opener.open_one());
        let mut opening = more.buffer_unordered(OPENED_AT_ONCE);
        while opening.next().await == Some(true) {}
    }

    /// Asks the provider once whose the credentials are, where it tells that. `None` where that is known: the message may be
    /// handed over. Otherwise it was not, since its slot has passed with the question; [`Outcome::NotBegun`] where nothing
    /// speaks against it any more.
    pub async fn identify(&self, provider: &dyn Provider, request_timeout: Span) -> Option<Outcome> {
        if self.is_identified.load(Ordering::SeqCst) {
            return None;
        }
        let request = provider.identity_request()?;
        let outcome = match self.request(request, request_timeout).await {
            Ok(received) => provider.refuse_identity(&received.answer()).unwrap_or(Outcome::NotBegun),
            Err(Broken::NotSent(message) | Broken::Unknown(message)) => {
                not_sent(format!("the provider did not tell whose the credentials are: {message}"))
            }
        };
        self.is_identified.store(outcome == Outcome::NotBegun, Ordering::SeqCst);
        Some(outcome)
    }

    /// Makes one attempt. `request_timeout` counts from the moment a connection is there; with the connect timeout it
    /// bounds the whole attempt. Of `by_link`, the attachment whose link the message carries, the answer is asked for the handle.
    pub async fn attempt(
        &self,
        provider: &dyn Provider,
        request: http::Request<Bytes>,
        request_timeout: Span,
        by_link: Option<&Attachment>,
    ) -> Attempted {
        match self.request(request, request_timeout).await {
            Ok(received) => {
                let answer = received.answer();
                let outcome = provider.classify(&answer);
                let by_link = by_link.filter(|_| matches!(outcome, Outcome::Accepted { .. }));
                let handle = by_link.and_then(|attachment| provider.read_handle(attachment, &answer));
                Attempted { outcome, usage: provider.usage(&answer), handle }
            }
            Err(broken) => broken.outcome().into(),
        }
    }

    /// Makes one request of whichever kind. Without a complete answer it comes to `NotSent`, or to `Unknown`.
    pub(super) async fn ask(&self, request: http::Request<Bytes>, request_timeout: Span) -> Result<Received, Outcome> {
        self.request(request, request_timeout).await.map_err(Broken::outcome)
    }

    /// Posts a form to where the head of a request says.
    pub(super) async fn post(
        &self,
        head: http::Request<()>,
        form: reqwest::multipart::Form,
        request_timeout: Span,
    ) -> Result<Received, Outcome> {
        let (head, ()) = head.into_parts();
        self.is_ours(&head.uri).map_err(Broken::outcome)?;
        let request = self.client.request(head.method, head.uri.to_string()).headers(head.headers).multipart(form);
        let request = request.build().map_err(|error| Broken::NotSent(describe(error)).outcome())?;
        self.receive(within(request_timeout, request)).await.map_err(Broken::outcome)
    }

    async fn request(&self, request: http::Request<Bytes>, request_timeout: Span) -> Result<Received, Broken> {
        self.is_ours(request.uri())?;
        let request = reqwest::Request::try_from(request).map_err(|error| Broken::NotSent(describe(error)))?;
        // Where pace is this program's doing; what comes after is the HTTP client's and the machine's.
        tracing::trace!("{HANDED_OVER}");
        self.receive(within(request_timeout, request)).await
    }

    /// The stock holds connections to this provider alone.
    fn is_ours(&self, there: &Uri) -> Result<(), Broken> {
        let here = &self.opener.endpoint;
        match (here.scheme(), here.authority()) == (there.scheme(), there.authority()) {
            true => Ok(()),
            false => Err(Broken::NotSent("the request is meant for another provider".to_owned())),
        }
    }

    async fn receive(&self, request: reqwest::Request) -> Result<Received, Broken> {
        let mut response = self.client.execute(request).await.map_err(|error| {
            // Refused, DNS, TLS, connect timeout: nothing of the request was written.
            if error.is_connect() { Broken::NotSent(describe(error)) } else { Broken::Unknown(describe(error)) }
        })?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        let mut read = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| Broken::Unknown(describe(error)))? {
            read += chunk.len();
            if read > MAX_ANSWER_READ {
                return Err(Broken::Unknown(format!("the answer is longer than {MAX_ANSWER_READ} bytes")));
            }
            let free = MAX_ANSWER_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(free)]);
        }
        Ok(Received { status, headers, truncated: read > body.len(), body: body.freeze() })
    }
}

/// The time that a request has from the moment a connection is there, and that for opening one.
fn within(request_timeout: Span, mut request: reqwest::Request) -> reqwest::Request {
    *request.timeout_mut() = Some((CONNECT_TIMEOUT + request_timeout).to_duration());
    request
}

impl Opener {
    /// Whether it was opened and is in the stock.
    async fn open_one(&self) -> bool {
        let Err(error) = self.client.head(origin(&self.endpoint)).send().await else { return false };
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            if error.is::<Stocked>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

fn client(endpoint: &Uri, idle_limit: Duration) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT.to_duration())
        .pool_idle_timeout(idle_limit)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("herald/", env!("CARGO_PKG_VERSION")));
    // What is on this machine is not behind a proxy, whatever the environment says of the way to others.
    if endpoint.host().is_some_and(is_on_this_machine) { builder.no_proxy() } else { builder }
}

/// Whether the host of a URL is this machine: a simulator, or a proxy of the provider's API.
pub fn is_on_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Scheme, host and port: what one connection leads to.
pub fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}/", uri.scheme_str().unwrap_or_default())
}

fn not_sent(message: String) -> Outcome {
    Outcome::NotSent { fault: Fault::new(NOT_SENT, None, message) }
}

/// What hyper's connector says above the words of the resolver, which are for developers. The name itself may be made of a
/// recipient's variables.
const NOT_LOOKED_UP: &str = "dns error";
/// What resolvers say of a name that does not exist, or has no address: hickory, glibc, musl and the BSDs. Whatever else they say may be of
/// the resolver.
const NO_SUCH_NAME: [&str; 5] = [
    "no records found",
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "nodename nor servname provided",
];

/// The innermost cause, without the URL: a token may stand in it.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
        if cause.to_string() == NOT_LOOKED_UP {
            return not_looked_up(cause.source()).to_owned();
        }
    }
    let what = if error.is_timeout() { "timed out: " } else { "" };
    format!("{what}{cause}")
}

/// What the resolver's words mean.
fn not_looked_up(why: Option<&(dyn Error + 'static)>) -> &'static str {
    let words = why.map(ToString::to_string).unwrap_or_default();
    match NO_SUCH_NAME.iter().any(|known| words.contains(known)) {
        true => "the name of its host is not found",
        false => "the name of its host cannot be looked up",
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
