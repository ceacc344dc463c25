//! The API in front of a ledger.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::gatekeeper::{Admitted, Denied, Gatekeeper};
use super::message::{
    ABANDON_PLAN, APPEND_PLAN, AbandonPlan, Addressed, AppendPlan, BEGIN_PLAN, BRIEF, BeginPlan, BriefRequest, Done,
    EXCHANGE, EXCLUDE, Exclude, LAST_WORDS, MAX_BODY, Refusal, ReportTrouble, SEAL_PLAN, SealPlan, TROUBLE, VERSION,
};
use crate::ledger::brief::Trouble;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{ExchangeRequest, LastWords};
use crate::ledger::{Result as LedgerResult, SenderLedger};

/// Requests in work at once. The ledger has one writer, so more would only wait and hold memory; each sender has at most
/// one unanswered.
const MAX_IN_WORK: usize = 256;
/// What an overloaded ledger asks for, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

struct Api<L, G> {
    ledger: Arc<L>,
    gatekeeper: Arc<G>,
    room: Arc<Semaphore>,
}

type Shared<L, G> = State<Arc<Api<L, G>>>;

/// The API: every path is a POST with a bearer token and a body of JSON.
pub fn router<L: SenderLedger, G: Gatekeeper>(ledger: Arc<L>, gatekeeper: Arc<G>) -> Router {
    let api = Api { ledger, gatekeeper, room: Arc::new(Semaphore::new(MAX_IN_WORK)) };
    Router::new()
        .route(BRIEF, post(brief::<L, G>))
        .route(BEGIN_PLAN, post(begin_plan::<L, G>))
        .route(EXCLUDE, post(exclude::<L, G>))
        .route(APPEND_PLAN, post(append_plan::<L, G>))
        .route(SEAL_PLAN, post(seal_plan::<L, G>))
        .route(ABANDON_PLAN, post(abandon_plan::<L, G>))
        .route(TROUBLE, post(trouble::<L, G>))
        .route(EXCHANGE, post(exchange::<L, G>))
        .route(LAST_WORDS, post(last_words::<L, G>))
        .fallback(no_such_path)
        .with_state(Arc::new(api))
}

async fn brief<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<BriefRequest>) -> Response {
    answer(api.ledger.brief(call.admitted.broadcast).await)
}

async fn begin_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<BeginPlan>) -> Response {
    answer(api.ledger.begin_plan(call.body.broadcast).await)
}

async fn exclude<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<Exclude>) -> Response {
    let Exclude { ticket, chunk, recipients } = call.body;
    done(api.ledger.exclude(ticket, chunk, &recipients).await)
}

async fn append_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<AppendPlan>) -> Response {
    let AppendPlan { ticket, chunk, rows } = call.body;
    answer(api.ledger.append_plan(ticket, chunk, &rows).await)
}

async fn seal_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<SealPlan>) -> Response {
    answer(api.ledger.seal_plan(call.body.ticket, &call.body.samples).await)
}

async fn abandon_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<AbandonPlan>) -> Response {
    done(api.ledger.abandon_plan(call.body.ticket).await)
}

async fn trouble<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<ReportTrouble>) -> Response {
    let Trouble { reason, message } = &call.body.trouble;
    // Whatever a sender calls itself or its troubles, a status holds only what fits.
    done(api.ledger.report_trouble(call.body.broadcast, &Trouble::new(reason, message)).await)
}

async fn exchange<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<ExchangeRequest>) -> Response {
    // The name that people see is the pod's own.
    let request = ExchangeRequest { display: call.admitted.pod, ..call.body };
    answer(api.ledger.exchange(&request).await)
}

async fn last_words<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<LastWords>) -> Response {
    done(api.ledger.settle_dead_sender(Some(call.admitted.broadcast), &call.body).await)
}

async fn no_such_path(uri: Uri) -> Response {
    let version = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
    let is_version = version.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    if is_version && version != VERSION {
        let refusal = Refusal::UnsupportedVersion { served: VERSION.to_owned() };
        return refuse(StatusCode::UPGRADE_REQUIRED, &refusal);
    }
    StatusCode::NOT_FOUND.into_response()
}

/// One admitted request: there is room for it, its token is good, and it speaks of the token's own broadcast.
struct Call<B> {
    admitted: Admitted,
    body: B,
    _room: OwnedSemaphorePermit,
}

impl<B: DeserializeOwned + Addressed, L: SenderLedger, G: Gatekeeper> FromRequest<Arc<Api<L, G>>> for Call<B> {
    type Rejection = Response;

    async fn from_request(request: Request, api: &Arc<Api<L, G>>) -> Result<Call<B>, Response> {
        let room = api.room.clone().try_acquire_owned().map_err(|_| overloaded("too many requests at once"))?;
        let token = bearer(request.headers()).ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())?;
        let admitted = api.gatekeeper.admit(&token).await.map_err(deny)?;
        let body: B = read(request).await?;
        if body.broadcast().is_some_and(|named| named != admitted.broadcast) {
            let message = "it belongs to another one".to_owned();
            return Err(refuse(StatusCode::FORBIDDEN, &Refusal::Forbidden { message }));
        }
        Ok(Call { admitted, body, _room: room })
    }
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(|token| SecretString::from(token.trim()))
}

fn deny(denied: Denied) -> Response {
    let message = denied.to_string();
    match denied {
        Denied::Unauthorized(_) => refuse(StatusCode::UNAUTHORIZED, &Refusal::Forbidden { message }),
        Denied::Forbidden(_) => refuse(StatusCode::FORBIDDEN, &Refusal::Forbidden { message }),
        Denied::Gone(_) => refuse(StatusCode::GONE, &Refusal::UnknownBroadcast),
        Denied::Unavailable(_) => overloaded(&message),
    }
}

async fn read<B: DeserializeOwned>(request: Request<Body>) -> Result<B, Response> {
    let too_large = || StatusCode::PAYLOAD_TOO_LARGE.into_response();
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| too_large())?;
    serde_json::from_slice(&bytes)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("not a request of this API: {error}")).into_response())
}

fn answer<T: Serialize>(result: LedgerResult<T>) -> Response {
    match result {
        Ok(value) => axum::Json(value).into_response(),
        Err(error) => refuse_for(&error),
    }
}

fn done(result: LedgerResult<()>) -> Response {
    answer(result.map(|()| Done {}))
}

fn refuse_for(error: &LedgerError) -> Response {
    let refusal = Refusal::of(error);
    match &refusal {
        Refusal::Unavailable { message } => {
            tracing::warn!(reason = error.reason(), %error, "the ledger could not answer a sender");
            overloaded(message)
        }
        Refusal::UnknownBroadcast => refuse(StatusCode::GONE, &refusal),
        _ => refuse(StatusCode::CONFLICT, &refusal),
    }
}

fn refuse(status: StatusCode, refusal: &Refusal) -> Response {
    (status, axum::Json(refusal)).into_response()
}

fn overloaded(message: &str) -> Response {
    let refusal = Refusal::Unavailable { message: message.to_owned() };
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_AFTER_SECONDS)], axum::Json(refusal)).into_response()
}
