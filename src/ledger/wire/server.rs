//! The API in front of a ledger.

use std::sync::Arc;
use std::time::Duration;

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
    ABANDON_PLAN, APPEND_PLAN, AbandonPlan, Addressed, AppendPlan, BEGIN_PLAN, BRIEF, BeginPlan, BriefRequest, Cause,
    Done, EXCHANGE, EXCLUDE, Exclude, LAST_WORDS, MAX_BODY, MAX_HOLDER, Refusal, ReportTrouble, SEAL_PLAN, SealPlan,
    TROUBLE, VERSION,
};
use crate::api::broadcast_status::{MAX_SAMPLE, MAX_SAMPLES};
use crate::ledger::brief::Trouble;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{ExchangeRequest, LastWords};
use crate::ledger::{Result as LedgerResult, SenderLedger};

/// Requests in work at once. The ledger has one writer, so more would only wait and hold memory; each sender has at most
/// one unanswered.
const MAX_IN_WORK: usize = 256;
/// Bodies in memory at once, in KiB: a handful of the longest, or as many of the usual ones as may be in work.
const MAX_BODIES_KIB: usize = 64 * 1024;
/// A body that takes longer holds room that others need; a sender gives up after a little more than this.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// What an overloaded ledger asks for, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

struct Api<L, G> {
    ledger: Arc<L>,
    gatekeeper: Arc<G>,
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

type Shared<L, G> = State<Arc<Api<L, G>>>;

/// The API: every path is a POST with a bearer token and a body of JSON.
pub fn router<L: SenderLedger, G: Gatekeeper>(ledger: Arc<L>, gatekeeper: Arc<G>) -> Router {
    let (requests, bodies) = (Arc::new(Semaphore::new(MAX_IN_WORK)), Arc::new(Semaphore::new(MAX_BODIES_KIB)));
    let api = Api { ledger, gatekeeper, requests, bodies };
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
        .method_not_allowed_fallback(no_such_path)
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
    let SealPlan { ticket, samples } = call.body;
    let cut = |sample: String| sample.chars().take(MAX_SAMPLE).collect();
    let samples: Vec<String> = samples.into_iter().take(MAX_SAMPLES).map(cut).collect();
    answer(api.ledger.seal_plan(ticket, &samples).await)
}

async fn abandon_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<AbandonPlan>) -> Response {
    done(api.ledger.abandon_plan(call.body.ticket).await)
}

async fn trouble<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<ReportTrouble>) -> Response {
    let Trouble { reason, message } = &call.body.trouble;
    // Whatever a sender says, a status holds only what fits.
    done(api.ledger.report_trouble(call.body.broadcast, &Trouble::new(reason, message)).await)
}

async fn exchange<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<ExchangeRequest>) -> Response {
    if call.body.holder.len() > MAX_HOLDER {
        let message = format!("the sender's name is longer than {MAX_HOLDER} bytes");
        return refuse(StatusCode::BAD_REQUEST, &Refusal::new(Cause::RequestRefused, message));
    }
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
        let error = LedgerError::UnsupportedVersion { served: VERSION.to_owned() };
        return refuse(StatusCode::UPGRADE_REQUIRED, &Refusal::of(&error));
    }
    let message = "there is no such path; every path is a POST".to_owned();
    refuse(StatusCode::NOT_FOUND, &Refusal::new(Cause::RequestRefused, message))
}

/// One admitted request: its token is good, there is room for it, and it speaks of the token's own broadcast.
struct Call<B> {
    admitted: Admitted,
    body: B,
    _room: Room,
}

/// What a request takes up until it is answered.
struct Room {
    _request: OwnedSemaphorePermit,
    _body: OwnedSemaphorePermit,
}

impl<B: DeserializeOwned + Addressed, L: SenderLedger, G: Gatekeeper> FromRequest<Arc<Api<L, G>>> for Call<B> {
    type Rejection = Response;

    async fn from_request(request: Request, api: &Arc<Api<L, G>>) -> Result<Call<B>, Response> {
        let missing = || Denied::Unauthorized("the request has none".to_owned());
        let token = bearer(request.headers()).ok_or_else(|| deny(missing()))?;
        // Strangers take no room from senders: how many tokens are looked up at once is the gatekeeper's to bound.
        let admitted = api.gatekeeper.admit(&token).await.map_err(deny)?;
        let length = announced_length(request.headers())?;
        let room = api.room(length)?;
        let body: B = read(request, length).await?;
        if body.broadcast().is_some_and(|named| named != admitted.broadcast) {
            let refusal = Refusal::new(Cause::Forbidden, "its token belongs to another one");
            return Err(refuse(StatusCode::FORBIDDEN, &refusal));
        }
        Ok(Call { admitted, body, _room: room })
    }
}

impl<L, G> Api<L, G> {
    /// Room for one more request with a body of this length.
    fn room(&self, length: usize) -> Result<Room, Response> {
        let full = |_| overloaded("too many requests at once");
        let kibibytes = length.div_ceil(1024) as u32;
        Ok(Room {
            _request: self.requests.clone().try_acquire_owned().map_err(full)?,
            _body: self.bodies.clone().try_acquire_many_owned(kibibytes).map_err(full)?,
        })
    }
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(|token| SecretString::from(token.trim()))
}

fn deny(denied: Denied) -> Response {
    let message = denied.to_string();
    match denied {
        Denied::Unauthorized(_) => refuse(StatusCode::UNAUTHORIZED, &Refusal::new(Cause::Unauthorized, message)),
        Denied::Forbidden(_) => refuse(StatusCode::FORBIDDEN, &Refusal::new(Cause::Forbidden, message)),
        Denied::Gone(_) => refuse(StatusCode::GONE, &Refusal::new(Cause::UnknownBroadcast, message)),
        Denied::Unavailable(_) => overloaded(&message),
    }
}

/// How long the body says it is; without that no room can be kept for it.
fn announced_length(headers: &HeaderMap) -> Result<usize, Response> {
    let refused = |status, message: String| Err(refuse(status, &Refusal::new(Cause::RequestRefused, message)));
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length <= MAX_BODY => Ok(length),
        Some(_) => refused(StatusCode::PAYLOAD_TOO_LARGE, format!("its body is longer than {MAX_BODY} bytes")),
        None => refused(StatusCode::LENGTH_REQUIRED, "it does not say how long its body is".to_owned()),
    }
}

async fn read<B: DeserializeOwned>(request: Request<Body>, length: usize) -> Result<B, Response> {
    let slow = |_| overloaded("the body did not arrive in time");
    let refused = |message: String| refuse(StatusCode::BAD_REQUEST, &Refusal::new(Cause::RequestRefused, message));
    let arrived = tokio::time::timeout(READ_TIMEOUT, to_bytes(request.into_body(), length)).await.map_err(slow)?;
    let bytes = arrived.map_err(|_| refused("its body broke off".to_owned()))?;
    // By place alone: the words of the error may hold a recipient.
    serde_json::from_slice(&bytes)
        .map_err(|error| refused(format!("its body does not fit, at line {} column {}", error.line(), error.column())))
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
    match &refusal.cause {
        Cause::Unavailable => {
            tracing::warn!(reason = error.reason(), %error, "the ledger could not answer a sender");
            overloaded(&refusal.message)
        }
        Cause::UnknownBroadcast => refuse(StatusCode::GONE, &refusal),
        Cause::Forbidden => refuse(StatusCode::FORBIDDEN, &refusal),
        _ => refuse(StatusCode::CONFLICT, &refusal),
    }
}

fn refuse(status: StatusCode, refusal: &Refusal) -> Response {
    (status, axum::Json(refusal)).into_response()
}

fn overloaded(message: &str) -> Response {
    let refusal = Refusal::new(Cause::Unavailable, message);
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_AFTER_SECONDS)], axum::Json(refusal)).into_response()
}
