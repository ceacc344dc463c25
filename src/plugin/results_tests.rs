//! From the plugin's flags to the ledger and back, through TLS, with the ledger API that the operator serves.
#![cfg(test)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::cluster::Cluster;
use super::failure::PluginError;
use super::ledger_access::{LedgerAccess, Purpose};
use super::ledger_route::Route;
use super::options::{AccessOptions, ReportOptions, ResultsOptions};
use super::report::text_of;
use super::results::write_to;
use crate::controller::fake_cluster::FakeCluster;
use crate::delivery::time::Timestamp;
use crate::ledger::clock::ManualClock;
use crate::ledger::plan::PlanRow;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::wire::{NotReadable, Reader, ReaderGate, results_router};
use crate::ledger::{AccountKey, BroadcastId, Declaration, Ledger, SenderLedger};
use crate::local::report_options::{FormatOptions, ReportOutput, ReportTable};
use crate::local::row_options::{RowOptions, RowOutput};

pub const CONFIG_MAP: &str = "/api/v1/namespaces/herald-system/configmaps/herald-ledger";
const TOKEN: &str = "/api/v1/namespaces/marketing/serviceaccounts/herald-reader/token";
pub const NAME: &str = "herald.herald-system.svc";

/// Lets in who brings the last token that the cluster made, to the one broadcast.
struct LastToken {
    cluster: FakeCluster,
    broadcast: BroadcastId,
    refusals: AtomicUsize,
}

impl ReaderGate for LastToken {
    fn glance(&self, _: &SecretString) -> Result<(), NotReadable> {
        Ok(())
    }

    async fn admit(&self, token: &SecretString, namespace: &str, name: &str) -> Result<Reader, NotReadable> {
        assert_eq!(namespace, "marketing");
        let made = self.cluster.count(&Method::POST, TOKEN);
        let fewer = |refusals: usize| refusals.checked_sub(1);
        let is_refused = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok();
        if is_refused || token.expose_secret() != format!("token-{made}") {
            return Err(NotReadable::Unauthorized("not this one".to_owned()));
        }
        match name {
            "spring" => Ok(Reader { broadcast: self.broadcast }),
            _ => Err(NotReadable::Forbidden("somebody may not get it".to_owned())),
        }
    }
}

/// Connects to the server of the test.
pub struct Loopback(pub SocketAddr);

impl Route for Loopback {
    type Stream = TcpStream;
    type Keeper = ();

    async fn open(&self) -> Result<(TcpStream, ()), PluginError> {
        let refused =
            |error: io::Error| PluginError::Call { what: "connect".into(), words: error.to_string(), code: None };
        Ok((TcpStream::connect(self.0).await.map_err(refused)?, ()))
    }
}

struct World {
    cluster: FakeCluster,
    gate: Arc<LastToken>,
    address: SocketAddr,
    /// Connections that were taken.
    connections: Arc<AtomicUsize>,
}

/// An authority, and a server with its certificate for `name`.
pub fn certificates(name: &str) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn planned(ledger: &SqliteLedger, count: usize) -> BroadcastId {
    let broadcast = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": "spring", "namespace": "marketing", "uid": "u", "generation": 1},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
    }))
    .unwrap();
    let channel: crate::api::MessageChannel = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel", "metadata": {"name": "page"},
        "spec": {"http": {"url": "http://127.0.0.1/"}, "rate": {"messages": 1, "periodSeconds": 1}},
    }))
    .unwrap();
    let account = AccountKey::of("marketing", &channel.spec).unwrap();
    let id = ledger.declare(&Declaration::of(&broadcast, &channel.spec, account).unwrap()).await.unwrap().id;
    let ticket = ledger.begin_plan(id).await.unwrap();
    let rows: Vec<PlanRow> =
        (0..count).map(|number| PlanRow { recipient: format!("person-{number}"), vars: Default::default() }).collect();
    for (chunk, rows) in (1..).zip(rows.chunks(2_000)) {
        ledger.append_plan(ticket, chunk, rows).await.unwrap();
    }
    ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    id
}

impl World {
    /// So many recipients; each connection lives for so many answers.
    async fn new(count: usize, answers_per_connection: usize) -> World {
        let ledger = Arc::new(SqliteLedger::in_memory(Arc::new(ManualClock::new(Timestamp(0)))).await.unwrap());
        let broadcast = planned(&ledger, count).await;
        let cluster = FakeCluster::default();
        cluster.issue_tokens(TOKEN);
        let (authority, acceptor) = certificates(NAME);
        cluster.put(
            CONFIG_MAP,
            json!({"metadata": {"name": "herald-ledger"},
            "data": {"ca.crt": authority, "server-name": NAME}}),
        );
        let gate = Arc::new(LastToken { cluster: cluster.clone(), broadcast, refusals: AtomicUsize::new(0) });
        let api = results_router(ledger, gate.clone());
        let (address, connections) = listen(api, acceptor, answers_per_connection).await;
        World { cluster, gate, address, connections }
    }

    async fn access(&self) -> Result<LedgerAccess<Loopback>, PluginError> {
        let cluster = Cluster { client: self.cluster.client(), namespace: "marketing".to_owned() };
        LedgerAccess::new(&cluster, Purpose::Results, &options("spring").access, Loopback(self.address)).await
    }

    async fn read(&self, options: &ResultsOptions) -> Result<String, PluginError> {
        let mut out = Vec::new();
        write_to(&mut self.access().await?, "marketing", options, &mut out, false).await?;
        Ok(String::from_utf8(out).unwrap())
    }
}

/// Serves the API at an address of its own; counts the connections, each of which lives for so many answers.
pub async fn listen(
    api: axum::Router,
    acceptor: TlsAcceptor,
    answers_per_connection: usize,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let (api, acceptor) = (api.clone(), acceptor.clone());
            tokio::spawn(serve(stream, acceptor, api, answers_per_connection));
        }
    });
    (address, connections)
}

/// Serves one connection, and drops it in the middle of the request after so many answers.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, api: axum::Router, answers: usize) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let answered = AtomicUsize::new(0);
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let is_cut = answered.fetch_add(1, Ordering::SeqCst) >= answers;
        let answer = tower::ServiceExt::oneshot(api.clone(), request.map(axum::body::Body::new));
        async move { if is_cut { Err("cut") } else { Ok(answer.await.unwrap()) } }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
        .await;
}

fn options(name: &str) -> ResultsOptions {
    ResultsOptions {
        name: name.to_owned(),
        rows: RowOptions { outcomes: vec![], reason: None, output: RowOutput::Csv },
        access: AccessOptions {
            service_account: "herald-reader".to_owned(),
            operator_namespace: "herald-system".to_owned(),
        },
    }
}

fn asking(change: impl FnOnce(&mut RowOptions)) -> ResultsOptions {
    let mut options = options("spring");
    change(&mut options.rows);
    options
}

#[tokio::test]
async fn everybody_comes_once_and_in_order_by_a_token_for_the_ledger_alone() {
    let world = World::new(2_500, usize::MAX).await;
    let text = world.read(&options("spring")).await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "id,outcome,reason,code,parts_done,provider_id,delivered_time,read_time");
    let expected: Vec<String> = (0..2_500).map(|number| format!("person-{number},Pending,,,0,,,")).collect();
    assert_eq!(lines[1..], expected);
    assert_eq!(world.connections.load(Ordering::SeqCst), 1, "all pages come by one connection");
    let asked = world.cluster.asked().into_iter().find(|asked| asked.path == TOKEN).unwrap();
    assert_eq!(asked.body["spec"]["audiences"], json!(["herald"]));
    assert_eq!(asked.body["spec"]["expirationSeconds"], 600);
    assert_eq!(asked.body["spec"].get("boundObjectRef").filter(|bound| !bound.is_null()), None);
}

#[tokio::test]
async fn ndjson_has_the_same_rows_and_a_filter_leaves_out_the_others() {
    let world = World::new(3, usize::MAX).await;
    let text = world.read(&asking(|rows| rows.output = RowOutput::Ndjson)).await.unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2]["id"], "person-2");
    let text = world.read(&asking(|rows| rows.outcomes = vec!["failed".parse().unwrap()])).await.unwrap();
    assert_eq!(text, "id,outcome,reason,code,parts_done,provider_id,delivered_time,read_time\n");
}

#[tokio::test]
async fn a_connection_that_is_cut_costs_nobody_and_repeats_nobody() {
    let world = World::new(4_000, 1).await;
    let text = world.read(&options("spring")).await.unwrap();
    assert_eq!(text.lines().count(), 4_001);
    let ids: std::collections::BTreeSet<&str> = text.lines().skip(1).collect();
    assert_eq!(ids.len(), 4_000);
    assert!(world.connections.load(Ordering::SeqCst) >= 4, "each page by one of its own");
}

#[tokio::test]
async fn a_token_that_is_refused_is_made_anew_once() {
    let world = World::new(3, usize::MAX).await;
    world.gate.refusals.store(1, Ordering::SeqCst);
    assert_eq!(world.read(&options("spring")).await.unwrap().lines().count(), 4);
    assert_eq!(world.cluster.count(&Method::POST, TOKEN), 2);
    world.gate.refusals.store(100, Ordering::SeqCst);
    let error = world.read(&options("spring")).await.unwrap_err().to_string();
    assert!(error.contains("the token is not valid"), "{error}");
}

#[tokio::test]
async fn who_may_not_read_is_told_whose_right_is_missing() {
    let world = World::new(3, usize::MAX).await;
    let error = world.read(&options("winter")).await.unwrap_err().to_string();
    assert!(error.contains("may not get it") && error.contains("kubectl -n marketing create rolebinding"), "{error}");
    world.cluster.refuse(Method::GET, CONFIG_MAP, 403, "Forbidden", "you may not get it");
    let error = world.read(&options("spring")).await.unwrap_err().to_string();
    assert!(error.contains("you may not get it; the role herald-results"), "{error}");
    world.cluster.mend();
    world.cluster.refuse(Method::POST, TOKEN, 403, "Forbidden", "you may not create tokens");
    let error = world.read(&options("spring")).await.unwrap_err().to_string();
    assert!(error.contains("you may not create tokens"), "{error}");
    world.cluster.mend();
    world.cluster.refuse(Method::POST, TOKEN, 404, "NotFound", "no such account");
    let error = world.read(&options("spring")).await.unwrap_err().to_string();
    assert!(error.contains("no service account herald-reader in the namespace marketing"), "{error}");
}

#[tokio::test]
async fn a_token_goes_to_nobody_but_the_operator() {
    let world = World::new(3, usize::MAX).await;
    // Another authority, and the right authority with another name.
    let (stranger, _) = certificates(NAME);
    let own = world.cluster.get(CONFIG_MAP).unwrap()["data"]["ca.crt"].clone();
    for (authority, name) in [(json!(stranger), NAME), (own, "other.herald-system.svc")] {
        world.cluster.put(CONFIG_MAP, json!({"data": {"ca.crt": authority, "server-name": name}}));
        let error = world.read(&options("spring")).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    world.cluster.remove(CONFIG_MAP);
    let error = world.read(&options("spring")).await.unwrap_err().to_string();
    assert!(error.contains("--operator-namespace"), "{error}");
}

#[tokio::test]
async fn a_reader_of_the_output_that_has_seen_enough_ends_it() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = World::new(2_500, usize::MAX).await;
    let mut access = world.access().await.unwrap();
    write_to(&mut access, "marketing", &options("spring"), Closed, false).await.unwrap();
}

const SPRING: &str = "/apis/herald.dev/v1alpha1/namespaces/marketing/broadcastmessages/spring";

fn reporting(output: ReportOutput) -> ReportOptions {
    let format = FormatOptions { output, table: ReportTable::Outcomes };
    ReportOptions { name: "spring".to_owned(), format, access: options("spring").access }
}

/// The status of the broadcast, as the operator would have written it.
fn put_status(world: &World) {
    world.cluster.put(
        SPRING,
        json!({"apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
            "metadata": {"name": "spring", "namespace": "marketing"},
            "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
            "status": {"state": "Sending",
                "recipients": {"planned": 3, "pending": 3, "sent": 0, "failed": 0, "skipped": 0, "unknown": 0}}}),
    );
}

impl World {
    async fn report(&self, output: ReportOutput) -> Result<String, PluginError> {
        let cluster = Cluster { client: self.cluster.client(), namespace: "marketing".to_owned() };
        text_of(&cluster, &reporting(output), Loopback(self.address)).await
    }
}

#[tokio::test]
async fn a_report_has_the_figures_of_the_ledger_where_it_may_be_read() {
    let world = World::new(3, usize::MAX).await;
    put_status(&world);
    let report: Value = serde_json::from_str(&world.report(ReportOutput::Json).await.unwrap()).unwrap();
    assert_eq!((&report["requests"], &report["recipients"]["planned"]), (&0.into(), &3.into()), "{report}");
    assert_eq!(report["batches"].as_array().unwrap().len(), 1, "of the ledger: the cluster shows none");
    assert!(world.report(ReportOutput::Html).await.unwrap().starts_with("<!doctype html>"));
    // Who may not is told what the objects say.
    world.cluster.refuse(Method::POST, TOKEN, 403, "Forbidden", "you may not create tokens");
    let report: Value = serde_json::from_str(&world.report(ReportOutput::Json).await.unwrap()).unwrap();
    assert_eq!((&report["requests"], &report["recipients"]["planned"]), (&Value::Null, &3.into()), "{report}");
}
