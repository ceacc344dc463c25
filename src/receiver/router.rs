//! One call: verified, read, given to the ledger, answered. A provider hears 200 only once the ledger has it, and repeats the
//! call otherwise; the ledger takes what it knows for nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

use super::endpoint::{Endpoint, Endpoints};
use super::places::{Place, Places};
use super::taken::{CallHash, TakenCalls};
use crate::delivery::provider_event::{MAX_EVENTS, ProviderEvent};
use crate::delivery::time::Timestamp;
use crate::ledger::{AccountKey, Clock, LedgerError, Received, ReceiverLedger};
use crate::provider::callback::{Call, Heard, Refused, Unreadable, fresh};

/// The longest body: a thousand updates of Meta's, each of some kilobytes.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Bodies that are read at once, by whoever sends them, before it is known who does: at their longest half of the memory that
/// a pod has. A further one takes the place of the one that has been read longest.
const MAX_READING: usize = 64;
/// Calls in work at once, each with its body in memory: of the provider alone. The ledger has one writer: more would only wait.
const MAX_IN_WORK: usize = 32;
/// So long a body may take to arrive, where nobody else wants its place; providers give up after some seconds themselves.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// So long the ledger may take. Meta and Slack repeat what was not answered within some seconds.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(15);
/// What a call is asked for that cannot be taken now, in seconds. Providers repeat as they please.
const RETRY_AFTER_SECONDS: &str = "5";

struct Taking<L> {
    ledger: Arc<L>,
    clock: Arc<dyn Clock>,
    endpoints: watch::Receiver<Arc<Endpoints>>,
    reading: Arc<Places>,
    in_work: Semaphore,
    taken: TakenCalls,
}

/// `/callbacks/<namespace>/<channel>`, and `/livez` and `/readyz`.
pub fn router<L: ReceiverLedger>(
    ledger: Arc<L>,
    clock: Arc<dyn Clock>,
    endpoints: watch::Receiver<Arc<Endpoints>>,
) -> Router {
    let taking = Taking {
        ledger,
        clock,
        endpoints,
        reading: Places::new(MAX_READING),
        in_work: Semaphore::new(MAX_IN_WORK),
        taken: TakenCalls::default(),
    };
    Router::new()
        .route("/callbacks/{namespace}/{channel}", get(greet::<L>).post(take::<L>))
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready::<L>))
        .with_state(Arc::new(taking))
}

/// Calls can be verified: without the Secret none can.
async fn ready<L: ReceiverLedger>(State(taking): State<Arc<Taking<L>>>) -> Response {
    match taking.endpoints.borrow().is_empty() {
        false => "ok".into_response(),
        true => {
            (StatusCode::SERVICE_UNAVAILABLE, "no channel's Secret holds what calls are verified by").into_response()
        }
    }
}

async fn greet<L: ReceiverLedger>(
    State(taking): State<Arc<Taking<L>>>,
    Path((namespace, channel)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Answer> {
    let endpoint = taking.endpoint(&namespace, &channel)?;
    let challenge = endpoint.callbacks.greet(&query.unwrap_or_default()).ok_or(Answer::Forbidden)?;
    Ok(plain(challenge))
}

async fn take<L: ReceiverLedger>(
    State(taking): State<Arc<Taking<L>>>,
    Path((namespace, channel)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Answer> {
    let endpoint = taking.endpoint(&namespace, &channel)?;
    let (head, body) = request.into_parts();
    endpoint.callbacks.may_be_theirs(&head.headers)?;
    let body = taking.read(body).await?;
    let now = taking.clock.now();
    let heard = hear(&endpoint, &head.headers, query.as_deref(), &body, now)?;
    // It is the provider: from here on it takes nobody's place and loses none.
    let connection = head.extensions.get::<Arc<Place>>();
    let _connection = connection.map(|place| place.hold());
    let _place = taking.in_work.try_acquire().map_err(|_| Answer::Later)?;
    let heard = match heard {
        Ok(heard) => heard,
        Err(unreadable) => {
            // It would be no more readable the next time.
            tracing::warn!(channel, namespace, error = %unreadable, "a call of the provider was not understood");
            return Ok(StatusCode::OK.into_response());
        }
    };
    let (events, query) = (fresh(heard.events, now), query.unwrap_or_default());
    let call = CallHash::of(&[namespace.as_bytes(), channel.as_bytes(), query.as_bytes(), &body]);
    if !events.is_empty() && !taking.taken.holds(&call) {
        taking.give(&endpoint.account, &events).await?;
        taking.taken.add(call);
    }
    Ok(heard.reply.map_or_else(|| StatusCode::OK.into_response(), plain))
}

/// What a call tells; refused where it is not the provider's.
fn hear(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<Result<Heard, Unreadable>, Answer> {
    let call = Call { headers, query, body, now };
    endpoint.callbacks.verify(&call)?;
    Ok(endpoint.callbacks.read(&call))
}

impl<L: ReceiverLedger> Taking<L> {
    fn endpoint(&self, namespace: &str, channel: &str) -> Result<Endpoint, Answer> {
        let known = self.endpoints.borrow();
        // Without a Secret nothing can be verified yet, and what is told meanwhile is worth repeating.
        let absent = if known.is_empty() { Answer::Later } else { Answer::NotHere };
        known.get(namespace, channel).cloned().ok_or(absent)
    }

    async fn read(&self, body: Body) -> Result<Bytes, Answer> {
        let place = self.reading.take().ok_or(Answer::Later)?;
        tokio::select! {
            read = tokio::time::timeout(READ_TIMEOUT, to_bytes(body, MAX_BODY)) => {
                read.map_err(|_| Answer::Later)?.map_err(|_| Answer::TooLong)
            }
            () = place.lost() => Err(Answer::Later),
        }
    }

    /// All of a call, or it is to be repeated: what the ledger has by then it takes for nothing the next time.
    async fn give(&self, account: &AccountKey, events: &[ProviderEvent]) -> Result<(), Answer> {
        match tokio::time::timeout(LEDGER_TIMEOUT, self.told(account, events)).await {
            Ok(Ok(received)) => {
                let (provider, account) = (&account.provider, &account.account);
                tracing::debug!(provider, account, ?received, "a call of the provider was taken in");
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::warn!(reason = error.reason(), %error, "the ledger did not take a call; the provider will repeat it");
                Err(Answer::Later)
            }
            Err(_) => {
                tracing::warn!("the ledger did not answer in time; the provider will repeat the call");
                Err(Answer::Later)
            }
        }
    }

    async fn told(&self, account: &AccountKey, events: &[ProviderEvent]) -> Result<Received, LedgerError> {
        let mut received = Received::default();
        for events in events.chunks(MAX_EVENTS) {
            received.add(self.ledger.receive(account, events).await?);
        }
        Ok(received)
    }
}

/// Every answer but 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    NotHere,
    Forbidden,
    TooLong,
    Later,
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Answer {
        // Anybody may call: at this level strangers would fill the log.
        tracing::debug!(%refused, "a call was refused");
        Answer::Forbidden
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::NotHere => (StatusCode::NOT_FOUND, "no calls are taken here\n").into_response(),
            Answer::Forbidden => {
                (StatusCode::FORBIDDEN, "the call is not known to be the provider's\n").into_response()
            }
            Answer::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long or broke off\n").into_response(),
            Answer::Later => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_AFTER_SECONDS)]).into_response(),
        }
    }
}

fn plain(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
