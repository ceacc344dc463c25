//! Sockets, the record file and the clock around the pure part.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::book::Book;
use super::decide::{Circumstances, Decision, Reply, decide};
use super::labels::{self, Asked, LabelBook};
use super::record::{Delivery, Line};
use super::request::{self, Call, Posted};
use super::response::Response;
use super::settings::{SettingError, Settings};
use super::telling::{CallbackOptions, Teller};
use super::uploads::{self, KeptFile, Upload};
use crate::provider::CORRELATION_HEADER;

mod bodies;

/// The most connections at once; further ones wait to be accepted. Below the usual limit on open files per process
/// it would refuse a sender's pool, above it nothing is gained.
const MAX_CONNECTIONS: usize = 4_096;

/// The longest request body. The longest message with 32 variables fits many times over.
const MAX_REQUEST_BODY: usize = 1024 * 1024;

/// The longest with a file in it: WhatsApp's largest document and its form.
const MAX_UPLOAD_BODY: usize = 101 * 1024 * 1024;

/// The pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// So long a simulator that is told to stop waits for callers to take their answers. Latency is cut short then, and a body
/// in pieces takes little more than a second; whoever does not read is not waited for.
const DRAIN: Duration = Duration::from_secs(5);

type AnswerBody = UnsyncBoxBody<Bytes, io::Error>;
type HttpAnswer = http::Response<AnswerBody>;

/// Flags of `herald simulator`.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulatorOptions {
    /// Where to listen; port 0 takes a free one and prints it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8091")]
    pub listen: SocketAddr,
    /// Append one JSON line per request to this file, written before the request is answered
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    #[command(flatten)]
    pub callbacks: CallbackOptions,
    #[command(flatten)]
    pub settings: Settings,
}

/// Why the simulator cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    #[error("failed to listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("failed to open the record {path}")]
    OpenRecord { path: PathBuf, source: io::Error },
    /// It stops rather than answer what it could not record.
    #[error("failed to write to the record {path}")]
    WriteRecord { path: PathBuf, source: io::Error },
    #[error("failed to print the address")]
    Print(#[source] io::Error),
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// Binds, prints `simulator listening on http://ADDRESS` to stdout, and serves until `shutdown` is done. What was taken by
/// then is answered at once, within a few seconds.
///
/// # Errors
/// [`SimulatorError`] at the start, and when the record cannot be written.
pub async fn serve(options: SimulatorOptions, shutdown: impl Future) -> Result<(), SimulatorError> {
    let simulator = Simulator::bind(options).await?;
    {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "simulator listening on http://{}", simulator.address())
            .and_then(|()| stdout.flush())
            .map_err(SimulatorError::Print)?;
    }
    simulator.run(shutdown).await
}

/// A simulator that holds its port and is about to run.
pub struct Simulator {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    failures: mpsc::Receiver<SimulatorError>,
}

impl Simulator {
    /// Checks the settings, opens the record and takes the port.
    ///
    /// # Errors
    /// [`SimulatorError`] naming the file or address.
    pub async fn bind(options: SimulatorOptions) -> Result<Simulator, SimulatorError> {
        let SimulatorOptions { listen, record, callbacks, settings } = options;
        settings.validate()?;
        let record = record.map(RecordFile::open).transpose()?;
        let listen_failed = |source| SimulatorError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listen_failed)?;
        let address = listener.local_addr().map_err(listen_failed)?;
        let state =
            State { settings, book: Book::default(), labels: LabelBook::default(), record, clock: Clock::start() };
        let (failed, failures) = mpsc::channel(1);
        let teller = Teller::start(callbacks);
        let shared = Arc::new(Shared { state: Mutex::new(state), teller, failed, draining: watch::Sender::new(false) });
        Ok(Simulator { listener, address, shared, failures })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done or the record cannot be written. Told to stop it takes no more connections, and answers
    /// what it has taken: the record calls that answered.
    ///
    /// # Errors
    /// [`SimulatorError::WriteRecord`].
    pub async fn run(mut self, shutdown: impl Future) -> Result<(), SimulatorError> {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        // Dropped at the end, which closes all connections.
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            tokio::select! {
                _ = &mut shutdown => break,
                Some(error) = self.failures.recv() => return Err(error),
                Some(_) = connections.join_next() => {}
                (permit, accepted) = next => match accepted {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(&self.shared);
                        connections.spawn(async move {
                            serve_connection(stream, shared).await;
                            drop(permit);
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(self.listener);
        self.shared.draining.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        tokio::select! {
            () = drained => Ok(()),
            Some(error) = self.failures.recv() => Err(error),
            () = tokio::time::sleep(DRAIN) => Ok(()),
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    // An answer is small and nothing follows it: waiting for more would only add latency. Failing to say so is no
    // harm.
    let _ = stream.set_nodelay(true);
    let mut draining = shared.draining.subscribe();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(request, &shared).await }
    });
    // An error here is a caller that went away, or a connection closed on purpose.
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = draining.wait_for(|draining| *draining) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// An error closes the connection without an answer.
async fn answer(request: Request<Incoming>, shared: &Shared) -> io::Result<HttpAnswer> {
    let (head, body) = request.into_parts();
    let longest = if head.uri.path().ends_with("/media") { MAX_UPLOAD_BODY } else { MAX_REQUEST_BODY };
    let body = match Limited::new(body, longest).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long or was cut off\n"));
        }
    };
    let path = head.uri.path();
    if let Some(control) = path.strip_prefix("/_simulator/") {
        return Ok(control_answer(&head.method, control, &body, shared));
    }
    if let Some(known) = super::played::identity(path) {
        return http_answer(&known, bodies::whole(&known.body));
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let posted = Posted {
        path,
        query: head.uri.query().unwrap_or_default(),
        content_type: header(CONTENT_TYPE.as_str()),
        authorization: header(AUTHORIZATION.as_str()),
        correlation: header(CORRELATION_HEADER.as_str()),
        body: &body,
    };
    if let Some(asked) = labels::read(&head.method, &posted) {
        let (latency, response) = shared.take_label(&asked);
        shared.wait(latency).await;
        return http_answer(&response, bodies::whole(&response.body));
    }
    if let Some(response) = shared.keep(&posted) {
        return http_answer(&response, bodies::whole(&response.body));
    }
    let call = shared.resolved(request::read(&posted));
    if !call.is_sent_by(&head.method) {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "messages are sent by POST\n"));
    }
    let decision = match shared.take(&call) {
        Ok(decision) => decision,
        Err(error) => {
            let kind = io::Error::other("the record could not be written");
            // A full channel holds an earlier failure, which ends the run as well.
            let _ = shared.failed.try_send(error);
            return Err(kind);
        }
    };
    shared.wait(decision.latency).await;
    let mut draining = shared.draining.subscribe();
    match decision.reply {
        Reply::Answer(response) => http_answer(&response, bodies::whole(&response.body)),
        Reply::HalfOf(response) => http_answer(&response, bodies::half(&response.body)),
        Reply::Dribbled(response) => http_answer(&response, bodies::dribbled(&response.body)),
        Reply::Padded(response) => http_answer(&response, bodies::padded(&response.body)),
        Reply::Close => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
        Reply::Silence => {
            let _ = draining.wait_for(|draining| *draining).await;
            Err(io::Error::from(io::ErrorKind::ConnectionAborted))
        }
    }
}

fn http_answer(response: &Response, body: bodies::Body) -> io::Result<HttpAnswer> {
    let mut answer = http::Response::new(body.stream);
    *answer.status_mut() = StatusCode::from_u16(response.status).map_err(io::Error::other)?;
    let headers: &mut HeaderMap = answer.headers_mut();
    for (name, value) in &response.headers {
        headers.insert(*name, HeaderValue::from_str(value).map_err(io::Error::other)?);
    }
    if response.status != StatusCode::NO_CONTENT.as_u16() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.length));
    }
    Ok(answer)
}

fn control_answer(method: &Method, name: &str, body: &[u8], shared: &Shared) -> HttpAnswer {
    let mut state = shared.lock();
    match (method, name) {
        (&Method::GET, "summary") => json(&state.book.summary()),
        (&Method::GET, "labels") => json(state.labels.summary()),
        (&Method::GET, "settings") => json(&state.settings),
        (&Method::PUT, "settings") => match change(&state.settings, body) {
            Ok(settings) => {
                state.settings = settings;
                json(&state.settings)
            }
            Err(problem) => plain(StatusCode::BAD_REQUEST, &format!("{problem}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "there are GET summary, GET labels, GET settings and PUT settings\n"),
    }
}

/// The settings with the given members in place of the old; members that are not named stay.
fn change(settings: &Settings, body: &[u8]) -> Result<Settings, String> {
    let given: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON object: {error}"))?;
    let mut merged = serde_json::to_value(settings).map_err(|error| error.to_string())?;
    for (name, value) in given {
        merged[name] = value;
    }
    let settings: Settings = serde_json::from_value(merged).map_err(|error| error.to_string())?;
    settings.validate().map_err(|error| error.to_string())?;
    Ok(settings)
}

fn json(value: &impl serde::Serialize) -> HttpAnswer {
    match serde_json::to_string(value) {
        Ok(text) => {
            let mut answer = plain(StatusCode::OK, &text);
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn plain(status: StatusCode, text: &str) -> HttpAnswer {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {});
    let mut answer = http::Response::new(UnsyncBoxBody::new(body));
    *answer.status_mut() = status;
    answer
}

struct Shared {
    state: Mutex<State>,
    teller: Option<Teller>,
    failed: mpsc::Sender<SimulatorError>,
    /// It was told to stop.
    draining: watch::Sender<bool>,
}

struct State {
    settings: Settings,
    book: Book,
    labels: LabelBook,
    record: Option<RecordFile>,
    clock: Clock,
}

impl Shared {
    /// Each change is complete before the lock is let go, so a poisoned lock guards nothing broken.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told to stop, it answers at once.
    async fn wait(&self, latency: Duration) {
        if !latency.is_zero() {
            let mut draining = self.draining.subscribe();
            let _ = tokio::time::timeout(latency, draining.wait_for(|draining| *draining)).await;
        }
    }

    fn take_label(&self, asked: &Asked) -> (Duration, Response) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let time_ns = state.clock.now_ns();
        state.labels.take(&state.settings, asked, time_ns)
    }

    /// Answers where an attachment is to be kept.
    fn keep(&self, request: &Posted<'_>) -> Option<Response> {
        let mut state = self.lock();
        let since_ns = state.clock.now_ns();
        let id = since_ns.to_string();
        let Upload { response, kept } = uploads::answer(&state.settings, request, &id)?;
        state.book.upload();
        if let Some(what) = kept {
            state.book.keep(id, KeptFile { what, since_ns });
        }
        Some(response)
    }

    /// With what is kept of the attachments that a message names by their ids.
    fn resolved(&self, call: Call) -> Call {
        let state = self.lock();
        uploads::resolved(call, &state.settings, state.clock.now_ns(), |id| state.book.kept(id))
    }

    /// Takes a request: counts, decides and records it, all in one step. Nothing of it is undone when the caller
    /// goes away before it is answered.
    fn take(&self, call: &Call) -> Result<Decision, SimulatorError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let time_ns = state.clock.now_ns();
        let attachment = call.attachments.first().map(String::as_str);
        let delivery = Delivery::of(&call.recipient, call.correlation.as_deref(), attachment);
        let arrival = state.book.arrive(time_ns, &call.account, &delivery);
        let quota = state.settings.quota;
        let (in_quota, quota_opens_in) = quota.map_or_else(Default::default, |q| state.book.count_against(q, time_ns));
        let circumstances = Circumstances {
            number: arrival.number,
            earlier: arrival.earlier,
            in_last_second: arrival.in_last_second,
            in_quota,
            quota_opens_in,
            now: jiff::Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or_default(),
        };
        let decision = decide(&state.settings, call, &circumstances);
        if let Some(record) = &mut state.record {
            record.write(&Line {
                time_ns,
                provider: call.played.play().name().into(),
                account: call.account.as_str().into(),
                recipient: call.recipient.as_str().into(),
                correlation: call.correlation.as_deref().map(Into::into),
                text: call.text.as_str().into(),
                attachments: call.attachments.iter().map(Into::into).collect(),
                status: decision.reply.status(),
                accepted: decision.accepted,
                code: decision.code.as_deref().map(Into::into),
            })?;
        }
        state.book.settle(&arrival, &decision);
        if let Some(link) = uploads::kept_by_itself(call).filter(|_| decision.accepted) {
            let file = KeptFile { what: link.to_owned(), since_ns: time_ns };
            state.book.keep(uploads::file_id(arrival.number), file);
        }
        if let Some(teller) = self.teller.as_ref().filter(|_| decision.accepted) {
            let response = call.played.play().succeed(call, state.settings.seed, arrival.number);
            teller.taken(call, &response, time_ns);
        }
        Ok(decision)
    }
}

/// Wall-clock time that does not jump while running.
struct Clock {
    started: Instant,
    started_ns: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the record is told by the machine's clock")]
    fn start() -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { started: Instant::now(), started_ns: since_epoch.as_nanos() as u64 }
    }

    fn now_ns(&self) -> u64 {
        self.started_ns + self.started.elapsed().as_nanos() as u64
    }
}

struct RecordFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl RecordFile {
    fn open(path: PathBuf) -> Result<RecordFile, SimulatorError> {
        match OpenOptions::new().append(true).create(true).open(&path) {
            Ok(file) => Ok(RecordFile { path, file, buffer: Vec::new() }),
            Err(source) => Err(SimulatorError::OpenRecord { path, source }),
        }
    }

    /// One line, one write: a killed simulator leaves whole lines, and no answer precedes its line.
    fn write(&mut self, line: &Line<'_>) -> Result<(), SimulatorError> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)
            .map_err(io::Error::from)
            .and_then(|()| {
                self.buffer.push(b'\n');
                self.file.write_all(&self.buffer)
            })
            .map_err(|source| SimulatorError::WriteRecord { path: self.path.clone(), source })
    }
}
