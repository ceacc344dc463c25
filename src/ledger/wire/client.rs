//! A ledger on the other side of the network.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::{
    ABANDON_PLAN, APPEND_PLAN, ATTACHMENTS, AUDIENCE_PAGE, AbandonPlan, AppendPlan, BEGIN_PLAN, BRIEF, BeginPlan,
    BriefRequest, Done, EXCHANGE, EXCLUDE, Exclude, LAST_WORDS, MAX_ANSWER, RECEIVE, REPORT_NOTIFICATIONS,
    REPORT_WRITE_BACKS, ReceiveRequest, ReportTrouble, SEAL_PLAN, SUPPRESS, SUPPRESS_PENDING, SealPlan,
    SuppressPending, TAKE_NOTIFICATIONS, TAKE_WRITE_BACKS, TROUBLE,
};
use super::refusal::Refusal;
use crate::delivery::provider_event::ProviderEvent;
use crate::ledger::attachments::{AttachmentStanding, AttachmentsRequest};
use crate::ledger::audience::{AudiencePage, AudienceQuery};
use crate::ledger::brief::{Brief, Trouble};
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
use crate::ledger::notification::{NotificationPage, ReportNotifications, TakeNotifications};
use crate::ledger::plan::{PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan};
use crate::ledger::write_back::{ReportWriteBacks, TakeWriteBacks, WriteBackPage};
use crate::ledger::{AccountKey, Received, ReceiverLedger, Result, SenderLedger};

/// A Service answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The ledger answers within milliseconds; the largest chunk of a plan on a slow disk within a few seconds. Whoever waits
/// longer holds slots that pass meanwhile, so it asks again instead.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// What is sent and not acknowledged for so long goes to a node that is lost: time for three retransmissions within a
/// cluster. It is the kernel that acknowledges, so an operator that is only slow keeps its connections. The same for the
/// first packet of one: the Service may lead to the lost operator again.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_millis(1_500);
/// While an answer is awaited nothing is sent, and nothing to be acknowledged: so the kernel asks whether somebody is there.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// Idle connections are dropped before the server or anything between closes them under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the ledger is and how to be let in.
#[derive(Clone, Debug)]
pub struct RemoteLedgerOptions {
    /// `https://HOST:PORT`; `http` only to this machine, for tests.
    pub url: String,
    /// The only authority that is trusted, as PEM; without it those of the system are.
    pub certificate_authority: Option<String>,
    /// The file of the token, written anew by the kubelet from time to time.
    pub token_file: PathBuf,
}

/// What keeps a sender from its ledger before the first request.
#[derive(Debug, thiserror::Error)]
pub enum RemoteLedgerError {
    #[error(
        "the ledger's URL {url} must be https://HOST:PORT: without encryption the token is anybody's who listens (http:// is taken to this machine alone, without a certificate authority)"
    )]
    Url { url: String },
    #[error("the certificate authority of the ledger cannot be used: {0}")]
    CertificateAuthority(String),
    #[error("failed to set up the HTTP client: {0}")]
    Client(String),
}

/// See the [module](self).
pub struct RemoteLedger {
    client: reqwest::Client,
    url: String,
    token: TokenFile,
}

impl RemoteLedger {
    /// Makes the client; nothing is sent yet.
    ///
    /// # Errors
    /// A URL or certificate authority that cannot be used.
    pub fn new(options: RemoteLedgerOptions) -> std::result::Result<RemoteLedger, RemoteLedgerError> {
        let RemoteLedgerOptions { url, certificate_authority, token_file } = options;
        if !is_safe(&url, certificate_authority.is_some()) {
            return Err(RemoteLedgerError::Url { url });
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent(concat!("herald/", env!("CARGO_PKG_VERSION")));
        #[cfg(target_os = "linux")]
        {
            builder = builder.tcp_user_timeout(UNACKNOWLEDGED);
        }
        if let Some(pem) = certificate_authority {
            builder = builder.tls_certs_only(authorities(&pem)?);
        }
        let client = builder.build().map_err(|error| RemoteLedgerError::Client(error.to_string()))?;
        Ok(RemoteLedger { client, url: url.trim_end_matches('/').to_owned(), token: TokenFile::new(token_file) })
    }

    /// The brief of the broadcast that the token stands for.
    ///
    /// # Errors
    /// As [`SenderLedger::brief`].
    pub async fn my_brief(&self) -> Result<Brief> {
        self.call(BRIEF, &BriefRequest { broadcast: None }).await
    }

    /// A token that is refused is read anew once: it may have been replaced a moment ago.
    async fn call<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let answer = self.post(path, body, self.token.current()?).await?;
        let answer = match answer.status() {
            StatusCode::UNAUTHORIZED => self.post(path, body, self.token.read()?).await?,
            _ => answer,
        };
        let status = answer.status();
        let bytes = receive(answer).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| LedgerError::Storage {
                message: format!("its answer to {path} is not of this API: {error}"),
            });
        }
        Err(refused(status, &bytes))
    }

    async fn post(&self, path: &str, body: &impl Serialize, token: SecretString) -> Result<reqwest::Response> {
        self.client
            .post(format!("{}{path}", self.url))
            .bearer_auth(token.expose_secret())
            .json(body)
            .send()
            .await
            .map_err(unanswered)
    }
}

/// An empty list would trust nobody and say so only at the first request.
fn authorities(pem: &str) -> std::result::Result<Vec<reqwest::Certificate>, RemoteLedgerError> {
    let unusable = RemoteLedgerError::CertificateAuthority;
    let found = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    if found.is_empty() { Err(unusable("it holds no certificate in PEM".to_owned())) } else { Ok(found) }
}

/// Whether a token may be sent there.
fn is_safe(url: &str, has_authority: bool) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return false };
    let host = url.host().unwrap_or_default();
    let is_loopback = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_loopback && !has_authority,
        _ => false,
    }
}

async fn receive(mut answer: reqwest::Response) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            let message = format!("its answer is longer than {MAX_ANSWER} bytes");
            return Err(LedgerError::Storage { message });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The whole chain of causes, without the URL: where the ledger is does not change from one line of a log to the next.
fn unanswered(error: reqwest::Error) -> LedgerError {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        message = format!("{message}: {source}");
        cause = source.source();
    }
    LedgerError::Storage { message }
}

/// What a refusal means; where no body of this API says it, as from a proxy between, the status does.
fn refused(status: StatusCode, body: &[u8]) -> LedgerError {
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(body) {
        return refusal.into_error();
    }
    let message = format!("it answered {status}");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LedgerError::Forbidden { message },
        StatusCode::GONE => LedgerError::UnknownBroadcast,
        StatusCode::UPGRADE_REQUIRED => LedgerError::UnsupportedVersion { served: "another".to_owned() },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => LedgerError::Storage { message },
        status if status.is_client_error() => LedgerError::RequestRefused { message },
        _ => LedgerError::Storage { message },
    }
}

/// The account that is named here is for the ledger in one's own process; across the network the token says it.
impl ReceiverLedger for RemoteLedger {
    async fn receive(&self, _account: &AccountKey, events: &[ProviderEvent]) -> Result<Received> {
        self.call(RECEIVE, &ReceiveRequest { events: events.to_vec() }).await
    }
}

impl SenderLedger for RemoteLedger {
    async fn brief(&self, broadcast: BroadcastId) -> Result<Brief> {
        self.call(BRIEF, &BriefRequest { broadcast: Some(broadcast) }).await
    }

    async fn begin_plan(&self, broadcast: BroadcastId) -> Result<PlanTicket> {
        self.call(BEGIN_PLAN, &BeginPlan { broadcast }).await
    }

    async fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        let body = Exclude { ticket, chunk, recipients: recipients.to_vec() };
        self.call::<Done>(EXCLUDE, &body).await.map(drop)
    }

    async fn suppress(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        let body = Exclude { ticket, chunk, recipients: recipients.to_vec() };
        self.call::<Done>(SUPPRESS, &body).await.map(drop)
    }

    async fn suppress_pending(&self, plan: PlanTicket, recipients: &[String]) -> Result<u64> {
        let body = SuppressPending { plan, recipients: recipients.to_vec() };
        self.call(SUPPRESS_PENDING, &body).await
    }

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        self.call(APPEND_PLAN, &AppendPlan { ticket, chunk, rows: rows.to_vec() }).await
    }

    async fn audience_page(&self, query: &AudienceQuery) -> Result<AudiencePage> {
        self.call(AUDIENCE_PAGE, query).await
    }

    async fn seal_plan(&self, ticket: PlanTicket, words: &PlanWords) -> Result<SealedPlan> {
        self.call(SEAL_PLAN, &SealPlan { ticket, words: words.clone() }).await
    }

    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        self.call::<Done>(ABANDON_PLAN, &AbandonPlan { ticket }).await.map(drop)
    }

    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        let body = ReportTrouble { plan, trouble: trouble.clone() };
        self.call::<Done>(TROUBLE, &body).await.map(drop)
    }

    async fn attachments(&self, request: &AttachmentsRequest) -> Result<Vec<AttachmentStanding>> {
        self.call(ATTACHMENTS, request).await
    }

    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        self.call(EXCHANGE, request).await
    }

    async fn take_notifications(&self, request: &TakeNotifications) -> Result<NotificationPage> {
        self.call(TAKE_NOTIFICATIONS, request).await
    }

    async fn report_notifications(&self, told: &ReportNotifications) -> Result<()> {
        self.call::<Done>(REPORT_NOTIFICATIONS, told).await.map(drop)
    }

    async fn take_write_backs(&self, request: &TakeWriteBacks) -> Result<WriteBackPage> {
        self.call(TAKE_WRITE_BACKS, request).await
    }

    async fn report_write_backs(&self, told: &ReportWriteBacks) -> Result<()> {
        self.call::<Done>(REPORT_WRITE_BACKS, told).await.map(drop)
    }

    async fn settle_dead_sender(&self, _within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        // The server lets nobody speak of a sender of another broadcast.
        self.call::<Done>(LAST_WORDS, words).await.map(drop)
    }
}

/// A token in a file that somebody else writes anew before it runs out.
struct TokenFile {
    path: PathBuf,
    known: Mutex<Option<(SystemTime, SecretString)>>,
}

impl TokenFile {
    fn new(path: PathBuf) -> TokenFile {
        TokenFile { path, known: Mutex::new(None) }
    }

    /// The token, read again when the file has changed.
    fn current(&self) -> Result<SecretString> {
        let written = modified(&self.path);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (known, written) {
            (Some((at, token)), Some(written)) if at == written => Ok(token),
            _ => self.read(),
        }
    }

    fn read(&self) -> Result<SecretString> {
        let written = modified(&self.path);
        let text = std::fs::read_to_string(&self.path).map_err(|error| LedgerError::Storage {
            message: format!(
                "failed to read the token {}: {error}; mount the pod's service account token there",
                self.path.display()
            ),
        })?;
        let token = SecretString::from(text.trim());
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = written.map(|at| (at, token.clone()));
        Ok(token)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_only_where_nobody_listens() {
        for (url, has_authority, safe) in [
            ("https://herald.herald.svc:8443", true, true),
            ("https://herald.example", false, true),
            ("http://127.0.0.1:8080", false, true),
            ("http://[::1]:8080", false, true),
            ("http://127.0.0.1:8080", true, false),
            ("http://herald.herald.svc:8443", false, false),
            ("http://127.0.0.1.example", false, false),
            ("herald.herald.svc:8443", true, false),
            ("", true, false),
        ] {
            assert_eq!(is_safe(url, has_authority), safe, "{url}");
        }
    }

    #[test]
    fn an_answer_that_is_not_of_this_api_is_read_by_its_status() {
        for (status, transient) in [(500, true), (502, true), (503, true), (429, true), (408, true), (302, true)]
            .into_iter()
            .chain([401, 403, 404, 410, 413, 426].map(|status| (status, false)))
        {
            let error = refused(StatusCode::from_u16(status).unwrap(), b"<html>a proxy</html>");
            assert_eq!(error.is_transient(), transient, "{status}: {error}");
        }
        assert!(matches!(refused(StatusCode::GONE, b""), LedgerError::UnknownBroadcast));
        assert!(matches!(refused(StatusCode::UPGRADE_REQUIRED, b""), LedgerError::UnsupportedVersion { .. }));
    }
}
