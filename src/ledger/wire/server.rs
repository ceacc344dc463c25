//! The API in front of a ledger.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::gatekeeper::{Admitted, Denied, Gatekeeper};
use super::message::{
    ABANDON_PLAN, APPEND_PLAN, ATTACHMENTS, AUDIENCE_PAGE, AbandonPlan, Addressed, AppendPlan, BEGIN_PLAN, BRIEF,
    BeginPlan, BriefRequest, Done, EXCHANGE, EXCLUDE, Exclude, LAST_WORDS, MAX_BODY, MAX_HOLDER, REPORT_NOTIFICATIONS,
    REPORT_WRITE_BACKS, ReportTrouble, SEAL_PLAN, SUPPRESS, SUPPRESS_PENDING, SealPlan, SuppressPending,
    TAKE_NOTIFICATIONS, TAKE_WRITE_BACKS, TROUBLE, VERSION,
};
use super::refusal::{Cause, Refusal};
use crate::api::broadcast_status::{self, MAX_PLAN_WARNING, MAX_PLAN_WARNINGS, MAX_SAMPLES};
use crate::ledger::attachments::AttachmentsRequest;
use crate::ledger::audience::AudienceQuery;
use crate::ledger::brief::Trouble;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{ExchangeRequest, LastWords, Report};
use crate::ledger::notification::{NotificationReport, ReportNotifications, TakeNotifications};
use crate::ledger::plan::PlanWords;
use crate::ledger::write_back::{ReportWriteBacks, TakeWriteBacks};
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
        .route(SUPPRESS, post(suppress::<L, G>))
        .route(SUPPRESS_PENDING, post(suppress_pending::<L, G>))
        .route(APPEND_PLAN, post(append_plan::<L, G>))
        .route(SEAL_PLAN, post(seal_plan::<L, G>))
        .route(ABANDON_PLAN, post(abandon_plan::<L, G>))
        .route(AUDIENCE_PAGE, post(audience_page::<L, G>))
        .route(TROUBLE, post(trouble::<L, G>))
        .route(ATTACHMENTS, post(attachments::<L, G>))
        .route(EXCHANGE, post(exchange::<L, G>))
        .route(TAKE_NOTIFICATIONS, post(take_notifications::<L, G>))
        .route(REPORT_NOTIFICATIONS, post(report_notifications::<L, G>))
        .route(TAKE_WRITE_BACKS, post(take_write_backs::<L, G>))
        .route(REPORT_WRITE_BACKS, post(report_write_backs::<L, G>))
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

async fn suppress<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<Exclude>) -> Response {
    let Exclude { ticket, chunk, recipients } = call.body;
    done(api.ledger.suppress(ticket, chunk, &recipients).await)
}

async fn suppress_pending<L: SenderLedger, G: Gatekeeper>(
    State(api): Shared<L, G>,
    call: Call<SuppressPending>,
) -> Response {
    let SuppressPending { plan, recipients } = call.body;
    answer(api.ledger.suppress_pending(plan, &recipients).await)
}

async fn append_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<AppendPlan>) -> Response {
    let AppendPlan { ticket, chunk, rows } = call.body;
    answer(api.ledger.append_plan(ticket, chunk, &rows).await)
}

async fn audience_page<L: SenderLedger, G: Gatekeeper>(
    State(api): Shared<L, G>,
    call: Call<AudienceQuery>,
) -> Response {
    answer(api.ledger.audience_page(&call.body).await)
}

async fn seal_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<SealPlan>) -> Response {
    let SealPlan { ticket, words: PlanWords { samples, warnings } } = call.body;
    let warnings = warnings.into_iter().take(MAX_PLAN_WARNINGS);
    let words = PlanWords {
        samples: samples.iter().take(MAX_SAMPLES).map(|text| broadcast_status::sample(text)).collect(),
        warnings: warnings.map(|text| text.chars().take(MAX_PLAN_WARNING).collect()).collect(),
    };
    answer(api.ledger.seal_plan(ticket, &words).await)
}

async fn abandon_plan<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<AbandonPlan>) -> Response {
    done(api.ledger.abandon_plan(call.body.ticket).await)
}

async fn trouble<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<ReportTrouble>) -> Response {
    let Trouble { reason, message } = &call.body.trouble;
    // Whatever a sender says, a status holds only what fits.
    done(api.ledger.report_trouble(call.body.plan, &Trouble::new(reason, message)).await)
}

async fn exchange<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<ExchangeRequest>) -> Response {
    if let Some(refused) = too_long(&call.body.holder) {
        return refused.into_response();
    }
    let outcomes = cut(call.body.outcomes);
    // The name that people see is the pod's own.
    let request = ExchangeRequest { display: call.admitted.pod, outcomes, ..call.body };
    answer(api.ledger.exchange(&request).await)
}

async fn attachments<L: SenderLedger, G: Gatekeeper>(
    State(api): Shared<L, G>,
    call: Call<AttachmentsRequest>,
) -> Response {
    if let Some(refused) = too_long(&call.body.holder) {
        return refused.into_response();
    }
    answer(api.ledger.attachments(&call.body).await)
}

async fn last_words<L: SenderLedger, G: Gatekeeper>(State(api): Shared<L, G>, call: Call<LastWords>) -> Response {
    let words = LastWords { outcomes: cut(call.body.outcomes), ..call.body };
    done(api.ledger.settle_dead_sender(Some(call.admitted.broadcast), &words).await)
}

async fn take_notifications<L: SenderLedger, G: Gatekeeper>(
    State(api): Shared<L, G>,
    call: Call<TakeNotifications>,
) -> Response {
    match too_long(&call.body.holder) {
        Some(refused) => refused.into_response(),
        None => answer(api.ledger.take_notifications(&call.body).await),
    }
}

async fn report_notifications<L: SenderLedger, G: Gatekeeper>(
    State(api): Shared<L, G>,
    call: Call<ReportNotifications>,
) -> Response {
    let cut = |report: NotificationReport| NotificationReport { posted: report.posted.cut(), ..report };
    let reports = call.body.reports.into_iter().map(cut).collect();
    done(api.ledger.report_notifications(&ReportNotifications { reports, ..call.body }).await)
}

async fn take_write_backs<L: SenderLedger, G: Gatekeeper>(
    State(api): Shared<L, G>,
    call: Call<TakeWriteBacks>,
) -> Response {
    match too_long(&call.body.holder) {
        Some(refused) => refused.into_response(),
        None => answer(api.ledger.take_write_backs(&call.body).await),
    }
}

async fn report_write_backs<L: SenderLedger, G: Gatekeeper>(
    State(api): Shared<L, G>,
    call: Call<ReportWriteBacks>,
) -> Response {
    done(api.ledger.report_write_backs(&call.body.cut()).await)
}

fn too_long(holder: &str) -> Option<Refused> {
    let message = format!("the sender's name is longer than {MAX_HOLDER} bytes");
    (holder.len() > MAX_HOLDER).then(|| Refused::request(StatusCode::BAD_REQUEST, message))
}

/// Whatever a sender says of faults, a status holds only what fits.
fn cut(outcomes: Vec<Report>) -> Vec<Report> {
    outcomes.into_iter().map(|report| Report { outcome: report.outcome.cut(), ..report }).collect()
}

pub(super) async fn no_such_path(uri: Uri) -> Refused {
    let version = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
    let is_version = version.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    if is_version && version != VERSION {
        return Refused::from(&LedgerError::UnsupportedVersion { served: VERSION.to_owned() });
    }
    Refused::request(StatusCode::NOT_FOUND, "there is no such path; every path is a POST")
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
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Arc<Api<L, G>>) -> Result<Call<B>, Refused> {
        let missing = || Denied::Unauthorized("the request has none".to_owned());
        let token = bearer(request.headers()).ok_or_else(missing)?;
        // Strangers take no room from senders: how many tokens are looked up at once is the gatekeeper's to bound.
        let admitted = api.gatekeeper.admit(&token).await?;
        let length = announced_length(request.headers(), MAX_BODY)?;
        let room = api.room(length)?;
        let body: B = read(request, length, READ_TIMEOUT).await?;
        if body.broadcast().is_some_and(|named| named != admitted.broadcast) {
            return Err(Refused::new(StatusCode::FORBIDDEN, Cause::Forbidden, "its token belongs to another one"));
        }
        Ok(Call { admitted, body, _room: room })
    }
}

impl<L, G> Api<L, G> {
    /// Room for one more request with a body of this length.
    fn room(&self, length: usize) -> Result<Room, Refused> {
        let full = |_| Refused::for_now("too many requests at once");
        let kibibytes = length.div_ceil(1024) as u32;
        Ok(Room {
            _request: self.requests.clone().try_acquire_owned().map_err(full)?,
            _body: self.bodies.clone().try_acquire_many_owned(kibibytes).map_err(full)?,
        })
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(|token| SecretString::from(token.trim()))
}

/// How long the body says it is; without that no room can be kept for it.
pub(super) fn announced_length(headers: &HeaderMap, most: usize) -> Result<usize, Refused> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length <= most => Ok(length),
        Some(_) => {
            let message = format!("its body is longer than {most} bytes");
            Err(Refused::request(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        None => Err(Refused::request(StatusCode::LENGTH_REQUIRED, "it does not say how long its body is")),
    }
}

pub(super) async fn read<B: DeserializeOwned>(
    request: Request<Body>,
    length: usize,
    patience: Duration,
) -> Result<B, Refused> {
    let bytes = tokio::time::timeout(patience, to_bytes(request.into_body(), length))
        .await
        .map_err(|_| Refused::for_now("the body did not arrive in time"))?
        .map_err(|_| Refused::request(StatusCode::BAD_REQUEST, "its body broke off"))?;
    // By place alone: the words of the error may hold a recipient.
    serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("its body does not fit, at line {} column {}", error.line(), error.column());
        Refused::request(StatusCode::BAD_REQUEST, message)
    })
}

pub(super) fn answer<T: Serialize>(result: LedgerResult<T>) -> Response {
    match result {
        Ok(value) => axum::Json(value).into_response(),
        Err(error) => Refused::from(&error).into_response(),
    }
}

fn done(result: LedgerResult<()>) -> Response {
    answer(result.map(|()| Done {}))
}

/// A refusal with its status.
pub(super) struct Refused {
    status: StatusCode,
    refusal: Refusal,
}

impl Refused {
    pub(super) fn new(status: StatusCode, cause: Cause, message: impl Into<String>) -> Refused {
        Refused { status, refusal: Refusal::new(cause, message) }
    }

    /// No request of this API.
    fn request(status: StatusCode, message: impl Into<String>) -> Refused {
        Refused::new(status, Cause::RequestRefused, message)
    }

    /// The same request may succeed later.
    pub(super) fn for_now(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, Cause::Unavailable, message)
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Refused {
        let message = denied.to_string();
        match denied {
            Denied::Unauthorized(_) => Refused::new(StatusCode::UNAUTHORIZED, Cause::Unauthorized, message),
            Denied::Forbidden(_) => Refused::new(StatusCode::FORBIDDEN, Cause::Forbidden, message),
            Denied::Gone(_) => Refused::new(StatusCode::GONE, Cause::UnknownBroadcast, message),
            Denied::Unavailable(_) => Refused::for_now(message),
        }
    }
}

impl From<&LedgerError> for Refused {
    fn from(error: &LedgerError) -> Refused {
        let refusal = Refusal::of(error);
        let status = match &refusal.cause {
            Cause::Unavailable => {
                tracing::warn!(reason = error.reason(), %error, "the ledger could not answer");
                StatusCode::SERVICE_UNAVAILABLE
            }
            Cause::UnknownBroadcast => StatusCode::GONE,
            Cause::Unauthorized => StatusCode::UNAUTHORIZED,
            Cause::Forbidden => StatusCode::FORBIDDEN,
            Cause::UnsupportedVersion { .. } => StatusCode::UPGRADE_REQUIRED,
            Cause::RequestRefused => StatusCode::BAD_REQUEST,
            _ => StatusCode::CONFLICT,
        };
        Refused { status, refusal }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.refusal)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}
