//! The part of the ledger API that people read: what became of recipients. It has a gate of its own, and takes nothing
//! from senders: two pages are read at once at most.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use tokio::sync::Semaphore;

use super::gatekeeper::{NotReadable, ReaderGate};
use super::message::{Cause, MAX_RESULTS_BODY, RESULTS, ResultsRequest};
use super::server::{Refused, announced_length, answer, bearer, no_such_path, read};
use crate::ledger::Ledger;
use crate::ledger::results::ResultsQuery;

/// Pages read at once: each is a transaction that senders may have to wait for.
const PAGES_AT_ONCE: usize = 2;
/// Questions that wait for their turn or their answer; more are turned away.
const MAX_READERS: usize = 32;
/// How long a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a question may take to arrive: it is a few hundred bytes.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

struct Reading<L, R> {
    ledger: Arc<L>,
    gate: Arc<R>,
    readers: Semaphore,
    pages: Semaphore,
}

/// One path: a POST with a bearer token and a body of JSON.
pub fn results_router<L: Ledger, R: ReaderGate>(ledger: Arc<L>, gate: Arc<R>) -> Router {
    let (readers, pages) = (Semaphore::new(MAX_READERS), Semaphore::new(PAGES_AT_ONCE));
    let reading = Reading { ledger, gate, readers, pages };
    Router::new()
        .route(RESULTS, post(results::<L, R>))
        .method_not_allowed_fallback(no_such_path)
        .with_state(Arc::new(reading))
}

async fn results<L: Ledger, R: ReaderGate>(
    State(reading): State<Arc<Reading<L, R>>>,
    request: Request,
) -> Result<Response, Refused> {
    let missing = || NotReadable::Unauthorized("the request has none".to_owned());
    let token = bearer(request.headers()).ok_or_else(missing)?;
    reading.gate.glance(&token)?;
    let length = announced_length(request.headers(), MAX_RESULTS_BODY)?;
    let asked: ResultsRequest = read(request, length, READ_TIMEOUT).await?;
    // Only now: whoever brings no such token, or is slow to ask, takes no reader's place.
    let full = || Refused::for_now("too many questions at once");
    let _place = reading.readers.try_acquire().map_err(|_| full())?;
    let reader = reading.gate.admit(&token, &asked.namespace, &asked.name).await?;
    let turn = tokio::time::timeout(PATIENCE, reading.pages.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(full()) };
    let query = ResultsQuery { broadcast: reader.broadcast, filter: asked.filter, from: asked.from };
    Ok(answer(reading.ledger.results(&query).await))
}

impl From<NotReadable> for Refused {
    fn from(refused: NotReadable) -> Refused {
        let message = refused.to_string();
        match refused {
            NotReadable::Unauthorized(_) => Refused::new(StatusCode::UNAUTHORIZED, Cause::Unauthorized, message),
            NotReadable::Forbidden(_) => Refused::new(StatusCode::FORBIDDEN, Cause::Forbidden, message),
            NotReadable::Gone(_) => Refused::new(StatusCode::GONE, Cause::UnknownBroadcast, message),
            NotReadable::Unavailable(_) => Refused::for_now(message),
        }
    }
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
