//! The part of the ledger API that receivers speak to: what providers told by call-backs. It has a gate of its own, which says
//! whose account a receiver serves; nothing in the request does.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;

use super::gatekeeper::{Denied, ReceiverGate};
use super::message::{MAX_RECEIVE_BODY, RECEIVE, ReceiveRequest};
use super::server::{Refused, announced_length, answer, bearer, no_such_path, read};
use super::turns::Turns;
use crate::ledger::ReceiverLedger;

/// Calls taken in at once: each is a few transactions that senders may have to wait for.
const CALLS_AT_ONCE: usize = 4;
/// Calls that wait for their turn or their answer, each with its body in memory; more are turned away, and repeated by the
/// provider.
const MAX_CALLS: usize = 16;
/// How long a body may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

struct Receiving<L, G> {
    ledger: Arc<L>,
    gate: Arc<G>,
    turns: Turns,
}

/// One path: a POST with a bearer token and a body of JSON.
pub fn receive_router<L: ReceiverLedger, G: ReceiverGate>(ledger: Arc<L>, gate: Arc<G>) -> Router {
    let turns = Turns::new(MAX_CALLS, CALLS_AT_ONCE, "calls");
    let receiving = Receiving { ledger, gate, turns };
    Router::new()
        .route(RECEIVE, post(receive::<L, G>))
        .method_not_allowed_fallback(no_such_path)
        .with_state(Arc::new(receiving))
}

async fn receive<L: ReceiverLedger, G: ReceiverGate>(
    State(receiving): State<Arc<Receiving<L, G>>>,
    request: Request,
) -> Result<Response, Refused> {
    let missing = || Denied::Unauthorized("the request has none".to_owned());
    let token = bearer(request.headers()).ok_or_else(missing)?;
    let account = receiving.gate.serves(&token).await?;
    let length = announced_length(request.headers(), MAX_RECEIVE_BODY)?;
    let _place = receiving.turns.place()?;
    let told: ReceiveRequest = read(request, length, READ_TIMEOUT).await?;
    let _turn = receiving.turns.turn().await?;
    Ok(answer(receiving.ledger.receive(&account, &told.events).await))
}
