//! Call-backs: what was taken is told to the URL that the flags name, until it is taken there. Everything of one message comes
//! in its order; messages do not wait for each other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::played::Played;
use super::request::Call;
use super::response::Response;

/// Messages whose call-backs wait; what comes beyond them is told by nobody, and counted.
const MAX_WAITING: usize = 100_000;
/// Connections that tell at once.
const TELLERS: usize = 8;
/// So often one call is made that is not taken, with a pause between.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(200);
/// So long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Where a URL of http names none.
const HTTP_PORT: u16 = 80;

/// Where call-backs go, and what they are signed with.
#[derive(Clone, Debug, clap::Args)]
pub struct CallbackOptions {
    /// Tell what becomes of each message that was taken to this http URL, as its provider would: an echo or a status, then
    /// delivered, then read. Twilio is told its URL with each message, and is not asked here
    #[arg(long = "callback", value_name = "URL", requires = "secret")]
    pub url: Option<Uri>,
    /// What call-backs are signed with: the app secret, the signing secret or the auth token of the simulated account
    #[arg(long = "callback-secret", value_name = "SECRET", env = "HERALD_CALLBACK_SECRET", hide_env_values = true)]
    pub secret: Option<SecretString>,
}

/// One call as the provider makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    pub content_type: &'static str,
    pub body: String,
}

impl Telling {
    pub(super) fn json(body: &serde_json::Value) -> Telling {
        Telling { content_type: "application/json", body: body.to_string() }
    }
}

/// What is to be told of one message.
struct Told {
    played: Played,
    url: Uri,
    tellings: Vec<Telling>,
}

/// Hands messages to those who tell; they end with it.
pub struct Teller {
    options: CallbackOptions,
    waiting: mpsc::Sender<Told>,
    _tellers: JoinSet<()>,
}

impl Teller {
    /// `None` without a secret: nothing could be signed.
    pub fn start(options: CallbackOptions) -> Option<Teller> {
        let secret = Arc::new(options.secret.clone()?);
        let (waiting, told) = mpsc::channel(MAX_WAITING);
        let told = Arc::new(Mutex::new(told));
        let mut tellers = JoinSet::new();
        for _ in 0..TELLERS {
            tellers.spawn(tell(told.clone(), secret.clone()));
        }
        Some(Teller { options, waiting, _tellers: tellers })
    }

    /// Tells what becomes of a message that was taken.
    pub fn taken(&self, call: &Call, response: &Response, at_ns: u64) {
        let own = call.callback.as_deref().and_then(|url| url.parse().ok());
        let Some(url) = own.or_else(|| self.options.url.clone()) else { return };
        let taken = serde_json::from_str(&response.body).unwrap_or_default();
        let tellings = call.played.play().tell(call, &taken, (at_ns / 1_000_000) as i64);
        // A queue that is full is that of a receiver which is away for long.
        let _ = self.waiting.try_send(Told { played: call.played, url, tellings });
    }
}

async fn tell(waiting: Arc<Mutex<mpsc::Receiver<Told>>>, secret: Arc<SecretString>) {
    let mut connection = None;
    loop {
        let next = waiting.lock().await.recv().await;
        let Some(told) = next else { return };
        for telling in &told.tellings {
            for _ in 0..TRIES {
                let call = tokio::time::timeout(TIMEOUT, post(&mut connection, &told, telling, secret.expose_secret()));
                if matches!(call.await, Ok(Ok(true))) {
                    break;
                }
                connection = None;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// An open connection and where it leads.
type Connection = Option<(String, SendRequest<Full<Bytes>>)>;

/// Whether one call was taken. A repeated one is signed anew.
async fn post(connection: &mut Connection, told: &Told, telling: &Telling, secret: &str) -> io::Result<bool> {
    let authority = told.url.authority().map(ToString::to_string).ok_or_else(|| io::Error::other("no host"))?;
    let open = connection.take().filter(|(to, sender)| *to == authority && sender.is_ready());
    let mut sender = match open {
        Some((_, sender)) => sender,
        None => connect(&authority).await?,
    };
    let path = told.url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(Full::new(Bytes::from(telling.body.clone())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().map_err(io::Error::other)?;
    let headers = told.played.play().sign(secret, &told.url.to_string(), &telling.body, seconds());
    for (name, value) in
        headers.into_iter().chain([("host", authority.clone()), ("content-type", telling.content_type.to_owned())])
    {
        let value = http::HeaderValue::from_str(&value).map_err(io::Error::other)?;
        request.headers_mut().insert(name, value);
    }
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let is_taken = response.status().is_success();
    response.into_body().collect().await.map_err(io::Error::other)?;
    *connection = Some((authority, sender));
    Ok(is_taken)
}

async fn connect(authority: &str) -> io::Result<SendRequest<Full<Bytes>>> {
    let stream = match authority.contains(':') {
        true => TcpStream::connect(authority).await?,
        false => TcpStream::connect((authority, HTTP_PORT)).await?,
    };
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the sender.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Seconds since the Unix epoch: what Slack signs.
#[expect(clippy::disallowed_methods, reason = "call-backs are signed by the machine's clock")]
fn seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs() as i64)
}
