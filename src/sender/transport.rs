//! One HTTP request to the provider, and how far it got.
//!
//! Only what surely never reached the provider is `NotSent`; whatever was written without a complete answer is
//! `Unknown`. No automatic retry, no redirect: either would be an attempt that nobody recorded.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;
use crate::ledger::clock::{Clock, SystemClock};
use crate::ledger::exchange::CONNECT_TIMEOUT;
use crate::provider::{Answer, MAX_ANSWER_BODY, Provider};

/// Idle connections are dropped before the provider closes them: a close under a request would make it unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// A longer answer is not read to its end; what it said is unknown.
const MAX_ANSWER_READ: usize = 16 * 1024 * 1024;

/// The reason of an attempt of which something may have been written and no complete answer came.
pub const NO_ANSWER: &str = "NoAnswer";

/// What the log says at the moment a request is handed to the HTTP client, at level trace.
pub const HANDED_OVER: &str = "a request is handed over";

/// The HTTP client of one sender.
#[derive(Clone)]
pub struct Transport {
    client: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to set up the HTTP client: {0}")]
pub struct TransportError(#[from] reqwest::Error);

struct Received {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
    truncated: bool,
}

enum Broken {
    NotSent(String),
    Unknown(String),
}

impl Transport {
    pub fn new() -> Result<Transport, TransportError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.to_duration())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("herald/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Transport { client })
    }

    /// Makes one attempt. `request_timeout` counts from the moment a connection is there; with the connect timeout it
    /// bounds the whole attempt.
    pub async fn attempt(
        &self,
        provider: &dyn Provider,
        request: http::Request<Bytes>,
        request_timeout: Span,
    ) -> Outcome {
        let mut request = match reqwest::Request::try_from(request) {
            Ok(request) => request,
            Err(error) => return not_sent(describe(error)),
        };
        *request.timeout_mut() = Some((CONNECT_TIMEOUT + request_timeout).to_duration());
        // Where pace is this program's doing; what comes after is the HTTP client's and the machine's.
        tracing::trace!("{HANDED_OVER}");
        match self.receive(request).await {
            Ok(received) => provider.classify(&Answer {
                status: received.status,
                headers: &received.headers,
                body: &received.body,
                body_truncated: received.truncated,
                received_at: SystemClock.now(),
            }),
            Err(Broken::NotSent(message)) => not_sent(message),
            Err(Broken::Unknown(message)) => Outcome::Unknown { fault: Fault::new(NO_ANSWER, None, message) },
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

fn not_sent(message: String) -> Outcome {
    Outcome::NotSent { fault: Fault::new("NotSent", None, message) }
}

/// The innermost cause, without the URL: a token may stand in it.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let what = if error.is_timeout() { "timed out: " } else { "" };
    format!("{what}{cause}")
}
