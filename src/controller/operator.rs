//! `herald operator`, started and ended in order: the ledger's lock first, so that nothing is done that is not recorded;
//! then the ledger API, which running senders wait for; then watches and reconcilers.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum_server::tls_rustls::RustlsAcceptor;
use hyper_util::rt::TokioTimer;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use secrecy::ExposeSecret;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::binding;
use super::certificate::{Authority, CertificateError, Served};
use super::cluster::{self, CallError, call};
use super::connections::Bounded;
use super::health::{self, Readiness};
use super::identity::Identity;
use super::job::SenderSettings;
use super::leadership::Candidate;
use super::metrics::Metrics;
use super::published;
use super::readers::Readers;
use super::scope::{self, CONCURRENT_LOOKS, Ended, Shared};
use super::settings::OperatorOptions;
use super::status_writer::StatusWriter;
use super::strangers::Strangers;
use super::watch::scoped;
use crate::api::{BroadcastMessage, MessageBatch, MessageChannel};
use crate::ledger::clock::SystemClock;
use crate::ledger::location::LedgerLocation;
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::random::random_id;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::upkeep::keep_up;
use crate::ledger::{Ledger, LedgerError, wire};

/// How long a predecessor may hold the ledger: longer than a pod's usual grace.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
const LOCK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two tries to reach a database that is not there yet.
const CONNECT_INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks for definitions that are not there yet.
const DEFINITIONS_INTERVAL: Duration = Duration::from_secs(2);
/// Between two tries to get at the certificate authority while the Kubernetes API is away.
const AUTHORITY_INTERVAL: Duration = Duration::from_secs(2);
/// How long a connection may wait for its next request; senders at work speak every 5 s.
const IDLE_PATIENCE: Duration = Duration::from_secs(60);
/// How long open requests of senders are awaited at the end; they ask again elsewhere.
const SERVE_PATIENCE: Duration = Duration::from_secs(5);

/// What the operator cannot begin or go on for.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Cluster(String),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("failed to listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("a server of the operator ended: {0}")]
    Served(String),
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Runs until `stop` becomes true.
///
/// # Errors
/// What keeps it from beginning, or a server that ended by itself.
pub async fn run(options: OperatorOptions, mut stop: watch::Receiver<bool>) -> Result<(), OperatorError> {
    match options.ledger.clone() {
        LedgerLocation::File(path) => {
            let Some(ledger) = until_stop(&mut stop, open(&path)).await.transpose()? else { return Ok(()) };
            // Its lock makes this process the only one, and so the leader.
            run_on(options, Arc::new(ledger), Leading::Alone, stop).await
        }
        LedgerLocation::Server(url) => {
            let opened = until_stop(&mut stop, connect(url.expose_secret())).await.transpose()?;
            let Some(ledger) = opened else { return Ok(()) };
            run_on(options, Arc::new(ledger), Leading::Elected, stop).await
        }
    }
}

/// Whether there may be other operators of the same ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leading {
    Alone,
    Elected,
}

async fn run_on<L: Ledger>(
    options: OperatorOptions,
    ledger: Arc<L>,
    leading: Leading,
    mut stop: watch::Receiver<bool>,
) -> Result<(), OperatorError> {
    tracing::info!(ledger = %options.ledger, "the ledger is open");
    let metrics = Arc::new(Metrics::default());
    let readiness = Arc::new(Readiness::default());
    let mut tasks = JoinSet::new();
    let health = listen(options.health_listen)?;
    tasks.spawn(serve_health(health, health::router(ledger.clone(), readiness.clone(), metrics.clone())));

    let client = cluster::connect().await.map_err(OperatorError::Cluster)?;
    let authority = until_stop(&mut stop, authority(&client, &options.namespace)).await.transpose()?;
    let Some(authority) = authority else { return Ok(()) };
    let bound = bind(&client, &ledger, options.ledger_from_cluster.as_deref(), &mut tasks);
    if until_stop(&mut stop, bound).await.transpose()?.is_none() {
        return Ok(());
    }
    let settings = Arc::new(sender_settings(&options, &authority));
    tasks.spawn(publish(&client, &options, &authority));
    let served = Served::new(authority, options.service_names.clone()).await?;
    let handle = axum_server::Handle::new();
    let router = measured(ledger_api(&client, &ledger), metrics.clone());
    let acceptor = RustlsAcceptor::new(served.config()).acceptor(Bounded::default());
    let mut server = axum_server::from_tcp(listen(options.listen)?)
        .map_err(|source| OperatorError::Listen { address: options.listen, source })?
        .acceptor(acceptor)
        .handle(handle.clone());
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE_PATIENCE);
    tasks.spawn(async move { told(server.serve(router.into_make_service()).await) });
    tasks.spawn(ended(served.renew()));
    readiness.serves_the_ledger();
    tracing::info!(address = %options.listen, url = settings.ledger_url, "the ledger is served");

    let work = lead(leading, &options, client, ledger.clone(), settings, metrics, readiness, stop.clone());
    let outcome = tokio::select! {
        ended = work => ended.map_err(OperatorError::from),
        Some(task) = tasks.join_next() => Err(task.unwrap_or_else(|error| OperatorError::Served(error.to_string()))),
    };
    handle.graceful_shutdown(Some(SERVE_PATIENCE));
    let emptied = async {
        while handle.connection_count() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Senders repeat what was cut off, with the same number.
    let _ = tokio::time::timeout(SERVE_PATIENCE, emptied).await;
    tasks.shutdown().await;
    tracing::info!("the operator has ended");
    outcome
}

/// What senders, receivers and people ask of the ledger. Tokens that nobody knows have one share of the cluster's time.
fn ledger_api<L: Ledger>(client: &Client, ledger: &Arc<L>) -> Router {
    let (clock, strangers) = (Arc::new(SystemClock), Arc::new(Strangers::default()));
    let identity = Identity::new(client.clone(), ledger.clone(), clock.clone(), strangers.clone());
    let receivers = Identity::of_receivers(client.clone(), clock.clone(), strangers.clone());
    let readers = Readers::new(client.clone(), ledger.clone(), clock, strangers);
    let readers = Arc::new(readers);
    wire::router(ledger.clone(), Arc::new(identity))
        .merge(wire::results_router(ledger.clone(), readers.clone()))
        .merge(wire::contacts_router(ledger.clone(), readers))
        .merge(wire::receive_router(ledger.clone(), Arc::new(receivers)))
}

/// Tells people's tools how to trust the ledger API; goes on as long as the operator does.
fn publish(
    client: &Client,
    options: &OperatorOptions,
    authority: &Authority,
) -> impl Future<Output = OperatorError> + use<> {
    let name = options.service_names.first().cloned().unwrap_or_default();
    let pem = authority.certificate_pem().to_owned();
    let publishing = published::publish(client.clone(), options.namespace.clone(), pem, name);
    ended(async move {
        publishing.await;
        std::future::pending().await
    })
}

/// Upkeep settles people and skips them, so it begins once the ledger is known to be this cluster's.
async fn bind<L: Ledger>(
    client: &Client,
    ledger: &Arc<L>,
    moved_from: Option<&str>,
    tasks: &mut JoinSet<OperatorError>,
) -> Result<(), LedgerError> {
    binding::bind(client, ledger.as_ref(), moved_from).await?;
    tasks.spawn(ended(keep_up(ledger.clone())));
    Ok(())
}

/// `None` when the stop came first.
async fn until_stop<T>(stop: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = stop.wait_for(|stop| *stop) => None,
    }
}

/// Waits for a predecessor that is ending.
async fn open(path: &Path) -> Result<SqliteLedger, LedgerError> {
    let begun = tokio::time::Instant::now();
    loop {
        match SqliteLedger::open(path).await {
            Err(LedgerError::Locked { place, pid }) if begun.elapsed() < LOCK_PATIENCE => {
                tracing::debug!(place, pid, "another process holds the ledger; waiting for it to end");
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            opened => return opened,
        }
    }
}

/// Waits for a database that is not there yet: it may be starting beside this process. One that refuses is for a person.
async fn connect(url: &str) -> Result<PostgresLedger, LedgerError> {
    let begun = Instant::now();
    loop {
        match PostgresLedger::open(url).await {
            Err(error @ LedgerError::Unreachable { .. }) if begun.elapsed() < LOCK_PATIENCE => {
                tracing::warn!(reason = error.reason(), %error, "the ledger is not there yet; trying again");
                tokio::time::sleep(CONNECT_INTERVAL).await;
            }
            opened => return opened,
        }
    }
}

/// Waits while the Kubernetes API is away or refuses; a Secret that cannot be used is for a person.
async fn authority(client: &Client, namespace: &str) -> Result<Authority, CertificateError> {
    loop {
        match Authority::load(client, namespace).await {
            Err(CertificateError::Call(error)) => {
                tracing::warn!(reason = error.reason(), %error, "there is no certificate authority yet; trying again");
                tokio::time::sleep(AUTHORITY_INTERVAL).await;
            }
            loaded => return loaded,
        }
    }
}

fn sender_settings(options: &OperatorOptions, authority: &Authority) -> SenderSettings {
    SenderSettings {
        image: options.sender_image.clone(),
        image_pull_policy: Some(options.sender_image_pull_policy.clone()),
        ledger_url: options.ledger_url(),
        certificate_authority_pem: Some(authority.certificate_pem().to_owned()),
        resources: options.sender_resources.clone(),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, OperatorError> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|source| OperatorError::Listen { address, source })
}

async fn serve_health(listener: TcpListener, router: Router) -> OperatorError {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return OperatorError::Served(error.to_string()),
    };
    told(axum::serve(listener, router).await)
}

/// A server runs until the operator ends, so its own end is an error whatever it says.
fn told(result: std::io::Result<()>) -> OperatorError {
    OperatorError::Served(result.err().map_or_else(|| "no reason given".to_owned(), |error| error.to_string()))
}

async fn ended(work: impl Future<Output = ()>) -> OperatorError {
    work.await;
    OperatorError::Served("a task ended".to_owned())
}

/// Counts requests of senders by route: an unknown path is one label, whatever it is.
fn measured(router: Router, metrics: Arc<Metrics>) -> Router {
    async fn measure(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
        let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
        let begun = Instant::now();
        let reply = next.run(request).await;
        metrics.ledger_answered(&path, reply.status().as_u16(), begun.elapsed());
        reply
    }
    router.layer(middleware::from_fn_with_state(metrics, measure))
}

/// Reconciles whenever this process leads, until `stop` becomes true.
#[allow(clippy::too_many_arguments, reason = "everything that was started goes on to the reconcilers")]
async fn lead<L: Ledger>(
    leading: Leading,
    options: &OperatorOptions,
    client: Client,
    ledger: Arc<L>,
    settings: Arc<SenderSettings>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    stop: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let reconcile = |stop| {
        let (client, ledger) = (client.clone(), ledger.clone());
        reconcile(options, client, ledger, settings.clone(), metrics.clone(), readiness.clone(), stop)
    };
    match leading {
        Leading::Alone => reconcile(stop).await,
        Leading::Elected => {
            readiness.stands_by();
            let identity = options.identity.clone().unwrap_or_else(random_id);
            Candidate::new(client.clone(), &options.namespace, identity).lead(stop, reconcile).await
        }
    }
}

async fn reconcile<L: Ledger>(
    options: &OperatorOptions,
    client: Client,
    ledger: Arc<L>,
    settings: Arc<SenderSettings>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let scopes = options.scopes();
    let waiting = await_definitions(&client, scopes.first().and_then(Option::as_deref), &readiness);
    if until_stop(&mut stop, waiting).await.is_none() {
        return Ok(());
    }
    let shared = Arc::new(Shared {
        writer: StatusWriter::new(client.clone(), metrics.clone()),
        client,
        ledger,
        clock: Arc::new(SystemClock),
        settings,
        metrics,
        departed: Arc::default(),
        remembered: Arc::default(),
        failures: Arc::default(),
        places: Arc::new(Semaphore::new(CONCURRENT_LOOKS)),
    });
    let empty = Arc::new(AtomicUsize::new(scopes.len()));
    let mut running = JoinSet::new();
    for scope in scopes {
        let (empty, readiness) = (empty.clone(), readiness.clone());
        let synced = move || {
            if empty.fetch_sub(1, Ordering::AcqRel) == 1 {
                readiness.synced();
                tracing::info!("the caches are filled; reconciling");
            }
        };
        running.spawn(scope::run(shared.clone(), scope, stop.clone(), synced));
    }
    all_end(running).await
}

/// The first scope that ends in an error or a panic ends the operator: its namespace would be served by nobody.
async fn all_end(mut scopes: JoinSet<Result<(), Ended>>) -> Result<(), Ended> {
    while let Some(ended) = scopes.join_next().await {
        ended.unwrap_or_else(|error| Err(Ended { part: "a reconciler", cause: error.to_string() }))?;
    }
    Ok(())
}

/// Definitions may be installed after the operator, and its rights as well: both are waited for, and said.
async fn await_definitions(client: &Client, scope: Option<&str>, readiness: &Readiness) {
    loop {
        let missing = [
            missing::<BroadcastMessage>(client, scope).await,
            missing::<MessageChannel>(client, scope).await,
            missing::<MessageBatch>(client, scope).await,
        ];
        let missing: Vec<String> = missing.into_iter().flatten().collect();
        if missing.is_empty() {
            readiness.waits_for_definitions(None);
            return;
        }
        let why = format!("waiting for {}", missing.join(", "));
        tracing::warn!("{why}");
        readiness.waits_for_definitions(Some(why));
        tokio::time::sleep(DEFINITIONS_INTERVAL).await;
    }
}

async fn missing<K>(client: &Client, scope: Option<&str>) -> Option<String>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = scoped(client, scope);
    let listed = call("list a kind", api.list_metadata(&ListParams::default().limit(1))).await;
    let definition = format!("{}.{}", K::plural(&()), K::group(&()));
    match listed {
        Ok(_) => None,
        Err(error) if error.is_not_found() => Some(format!("the definition {definition} (apply the crds)")),
        Err(error @ CallError::Failed { .. }) if error.code() == Some(403) => {
            Some(format!("the right to list {definition}"))
        }
        Err(error) => Some(format!("{definition}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fake_cluster::FakeCluster;

    #[tokio::test(start_paused = true)]
    async fn a_predecessor_that_ends_within_a_minute_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let predecessor = SqliteLedger::open(&path).await.unwrap();
        let begun = tokio::time::Instant::now();
        let nearly = LOCK_PATIENCE - Duration::from_secs(1);
        let ends = async {
            tokio::time::sleep(nearly).await;
            drop(predecessor);
        };
        let (opened, ()) = tokio::join!(open(&path), ends);
        assert!(opened.is_ok() && begun.elapsed() >= nearly, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_predecessor_that_stays_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let _predecessor = SqliteLedger::open(&path).await.unwrap();
        let begun = tokio::time::Instant::now();
        let refused = open(&path).await.map(drop).unwrap_err();
        assert!(begun.elapsed() >= LOCK_PATIENCE, "{:?}", begun.elapsed());
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    }

    #[tokio::test]
    async fn upkeep_begins_only_in_a_ledger_of_this_cluster() {
        let ledger = Arc::new(SqliteLedger::in_memory(Arc::new(SystemClock)).await.unwrap());
        ledger.serve_cluster("one", None).await.unwrap();
        let cluster = FakeCluster::default();
        let metadata = serde_json::json!({"name": "kube-system", "uid": "two"});
        cluster.put("/api/v1/namespaces/kube-system", serde_json::json!({"metadata": metadata}));
        let mut tasks = JoinSet::new();
        let refused = bind(&cluster.client(), &ledger, None, &mut tasks).await.unwrap_err();
        assert_eq!((refused.reason(), tasks.len()), ("LedgerOfOtherCluster", 0));
        bind(&cluster.client(), &ledger, Some("one"), &mut tasks).await.unwrap();
        assert_eq!(tasks.len(), 1);
    }

    #[tokio::test]
    async fn a_scope_that_ends_in_an_error_or_a_panic_ends_the_operator_with_an_error() {
        let mut scopes = JoinSet::new();
        scopes.spawn(std::future::pending());
        scopes.spawn(async { Err(Ended { part: "the watch of Jobs", cause: "a fault".to_owned() }) });
        assert_eq!(all_end(scopes).await.unwrap_err().to_string(), "the watch of Jobs ended: a fault");

        let mut scopes = JoinSet::new();
        scopes.spawn(std::future::pending());
        scopes.spawn(async { panic!("a fault") });
        assert!(all_end(scopes).await.unwrap_err().to_string().contains("panicked"));

        let mut scopes = JoinSet::new();
        scopes.spawn(async { Ok(()) });
        assert!(all_end(scopes).await.is_ok());
    }
}
