//! The part of the ledger API that people read: what became of recipients, one by one and in figures. It has a gate of its own, and takes nothing
//! from senders: two pages are read at once at most.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;

use super::gatekeeper::{NotReadable, ReaderGate};
use super::message::{FIGURES, FiguresRequest, MAX_RESULTS_BODY, RESULTS, ResultsRequest};
use super::refusal::Cause;
use super::server::{Refused, announced_length, answer, bearer, no_such_path, read};
use super::turns::Turns;
use crate::ledger::Ledger;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::results::ResultsQuery;

/// Pages read at once: each is a transaction that senders may have to wait for.
const PAGES_AT_ONCE: usize = 2;
/// Questions that wait for their turn or their answer; more are turned away.
const MAX_READERS: usize = 32;
/// How long a question may take to arrive: it is a few hundred bytes.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

struct Reading<L, R> {
    ledger: Arc<L>,
    gate: Arc<R>,
    turns: Turns,
}

/// Two paths: a POST with a bearer token and a body of JSON each.
pub fn results_router<L: Ledger, R: ReaderGate>(ledger: Arc<L>, gate: Arc<R>) -> Router {
    let turns = Turns::new(MAX_READERS, PAGES_AT_ONCE, "questions");
    let reading = Reading { ledger, gate, turns };
    Router::new()
        .route(RESULTS, post(results::<L, R>))
        .route(FIGURES, post(figures::<L, R>))
        .method_not_allowed_fallback(no_such_path)
        .with_state(Arc::new(reading))
}

/// A question about a BroadcastMessage.
trait Question: DeserializeOwned {
    fn about(&self) -> (&str, &str);
}

impl Question for ResultsRequest {
    fn about(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl Question for FiguresRequest {
    fn about(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

/// What a question that was let in may read, and its places, which it gives up with this.
struct LetIn<'a, Q> {
    asked: Q,
    broadcast: BroadcastId,
    _place: SemaphorePermit<'a>,
    _turn: SemaphorePermit<'a>,
}

async fn results<L: Ledger, R: ReaderGate>(
    State(reading): State<Arc<Reading<L, R>>>,
    request: Request,
) -> Result<Response, Refused> {
    let reader = reading.let_in::<ResultsRequest>(request).await?;
    let ResultsRequest { filter, from, .. } = reader.asked.clone();
    let query = ResultsQuery { broadcast: reader.broadcast, filter, from };
    Ok(answer(reading.ledger.results(&query).await))
}

async fn figures<L: Ledger, R: ReaderGate>(
    State(reading): State<Arc<Reading<L, R>>>,
    request: Request,
) -> Result<Response, Refused> {
    let reader = reading.let_in::<FiguresRequest>(request).await?;
    Ok(answer(reading.ledger.figures(reader.broadcast).await))
}

impl<L: Ledger, R: ReaderGate> Reading<L, R> {
    async fn let_in<Q: Question>(&self, request: Request) -> Result<LetIn<'_, Q>, Refused> {
        let missing = || NotReadable::Unauthorized("the request has none".to_owned());
        let token = bearer(request.headers()).ok_or_else(missing)?;
        self.gate.glance(&token)?;
        let length = announced_length(request.headers(), MAX_RESULTS_BODY)?;
        let asked: Q = read(request, length, READ_TIMEOUT).await?;
        // Only now: whoever brings no such token, or is slow to ask, takes no reader's place.
        let place = self.turns.place()?;
        let (namespace, name) = asked.about();
        let broadcast = self.gate.admit(&token, namespace, name).await?.broadcast;
        let turn = self.turns.turn().await?;
        Ok(LetIn { asked, broadcast, _place: place, _turn: turn })
    }
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
