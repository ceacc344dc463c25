//! The ledger API when the network, the certificate or the load is against it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use herald::ledger::exchange::BroadcastId;
use herald::ledger::wire::message::EXCHANGE;
use herald::ledger::wire::{RemoteLedger, RemoteLedgerOptions, router};
use herald::ledger::{LedgerError, SenderLedger};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use super::over_the_wire::{Api, ByName, install_crypto};
use super::world::*;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(5);

/// A network between sender and ledger that, while told so, delivers requests and loses their answers.
struct Network {
    address: SocketAddr,
    loses_answers: Arc<AtomicBool>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Network {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Network {
    async fn before(url: &str) -> Network {
        let server: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let loses_answers = Arc::new(AtomicBool::new(false));
        let lossy = loses_answers.clone();
        let running = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, server, lossy.clone()));
            }
        });
        Network { address, loses_answers, running }
    }

    fn client(&self, world: &Api, broadcast: BroadcastId) -> RemoteLedger {
        let token_file = world.ledger.token_file("behind", &format!("{}/pod", broadcast.0));
        let url = format!("http://{}", self.address);
        RemoteLedger::new(RemoteLedgerOptions { url, certificate_authority: None, token_file }).unwrap()
    }
}

/// Carries bytes both ways until one side ends, or an answer comes that is to be lost: then both connections are cut.
async fn carry(client: TcpStream, server: SocketAddr, loses_answers: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(read @ 1..) = from_server.read(&mut buffer).await else { return };
            if loses_answers.load(Ordering::SeqCst) || to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = answers => {}
        _ = copy(&mut from_client, &mut to_server) => {}
    }
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_repeated_and_gives_the_same_rows() {
    let world = Api::new().await;
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(&world, "sender", broadcast).await;
    let network = Network::before(&world.ledger.url).await;
    let client = network.client(&world, broadcast);
    let request = sender.request(vec![], 5);

    network.loses_answers.store(true, Ordering::SeqCst);
    let lost = client.exchange(&request).await.unwrap_err();
    assert!(lost.is_transient(), "{lost}");
    assert_eq!(world.counts(broadcast).await.inflight, 5, "it arrived, and its answer did not");
    network.loses_answers.store(false, Ordering::SeqCst);
    let repeated = client.exchange(&request).await.unwrap().rows;
    assert_eq!(seqs(&repeated), [1, 2, 3, 4, 5]);
    assert!(repeated.iter().all(|row| row.attempt == 1));
    assert_eq!(client.exchange(&request).await.unwrap().rows, repeated);
    world.sums_hold().await;
}

#[tokio::test]
async fn a_chunk_whose_answer_was_lost_is_repeated_and_adds_nobody() {
    let world = Api::new().await;
    let broadcast = world.declare(&declaration("one")).await.id;
    let network = Network::before(&world.ledger.url).await;
    let client = network.client(&world, broadcast);
    let ticket = client.begin_plan(broadcast).await.unwrap();
    network.loses_answers.store(true, Ordering::SeqCst);
    assert!(client.append_plan(ticket, 1, &people(0..5)).await.unwrap_err().is_transient());
    assert!(
        client.seal_plan(ticket, &Default::default()).await.unwrap_err().is_transient(),
        "this one arrives as well"
    );
    network.loses_answers.store(false, Ordering::SeqCst);
    assert_eq!(client.seal_plan(ticket, &Default::default()).await.unwrap().planned, 5);
    world.sums_hold().await;
}

/// A request of which half has been written: it takes room in the ledger's API until the rest comes.
async fn half_a_request(world: &Api, broadcast: BroadcastId) -> TcpStream {
    let mut connection = TcpStream::connect(world.ledger.url.trim_start_matches("http://")).await.unwrap();
    let half = format!(
        "POST {EXCHANGE} HTTP/1.1\r\nhost: ledger\r\nauthorization: Bearer {}/pod\r\ncontent-length: 1024\r\n\r\n{{",
        broadcast.0
    );
    connection.write_all(half.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn more_requests_than_the_ledger_works_on_are_sent_away_before_they_begin() {
    let world = Api::new().await;
    let broadcast = world.planned(&declaration("one"), 20).await;
    let busy = futures::future::join_all((0..256).map(|_| half_a_request(&world, broadcast))).await;
    let client = world.ledger.of(broadcast);
    let mut sender = Sender::new("sender", broadcast);
    let began = tokio::time::Instant::now();
    // They take their places one after the other; a request before that is only one more exchange.
    let refused = loop {
        assert!(began.elapsed() < PATIENCE, "nobody was sent away");
        match client.exchange(&sender.request(vec![], 0)).await {
            Ok(_) => tokio::time::sleep(GLANCE).await,
            Err(error) => break error,
        }
    };
    assert!(refused.is_transient() && refused.to_string().contains("too many requests"), "{refused}");
    let http = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
    let answer = http
        .post(format!("{}{EXCHANGE}", world.ledger.url))
        .bearer_auth(format!("{}/pod", broadcast.0))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let stranger = http.post(format!("{}{EXCHANGE}", world.ledger.url)).body("{}").send().await.unwrap();
    assert_eq!(stranger.status(), 401, "who has no token is told so first");

    drop(busy);
    let request = sender.request(vec![], 1);
    let rows = loop {
        assert!(began.elapsed() < 2 * PATIENCE, "the room was not given back");
        match client.exchange(&request).await {
            Ok(reply) => break reply.rows,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        tokio::time::sleep(GLANCE).await;
    };
    assert_eq!(seqs(&rows), [0], "the same request goes through later");
    assert_eq!(world.counts(broadcast).await.inflight, 1);
}

/// A certificate authority, and a certificate and key of 127.0.0.1 that it signed; all as PEM.
fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    (authority.pem(), server.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_sender_trusts_the_given_certificate_authority_and_no_other() {
    install_crypto();
    let world = Api::new().await;
    let broadcast = world.planned(&declaration("one"), 3).await;
    let (authority, certificate, key) = certificates();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let tls = axum_server::tls_rustls::RustlsConfig::from_pem(certificate.into(), key.into()).await.unwrap();
    let api = router(world.ledger.behind(), Arc::new(ByName));
    let server = tokio::spawn(async move {
        axum_server::from_tcp_rustls(listener, tls).unwrap().serve(api.into_make_service()).await.unwrap();
    });

    let of = |authority: Option<String>| {
        let token_file = world.ledger.token_file("tls", &format!("{}/pod", broadcast.0));
        RemoteLedger::new(RemoteLedgerOptions { url: url.clone(), certificate_authority: authority, token_file })
            .unwrap()
    };
    let request = Sender::new("sender", broadcast).request(vec![], 1);
    let (another, _, _) = certificates();
    for stranger in [Some(another), None] {
        let error = of(stranger).exchange(&request).await.unwrap_err();
        assert!(matches!(error, LedgerError::Storage { .. }), "{error}");
        assert!(error.to_string().contains("certificate"), "it says what is wrong: {error}");
    }
    assert_eq!(world.counts(broadcast).await.inflight, 0);
    assert_eq!(of(Some(authority)).exchange(&request).await.unwrap().rows.len(), 1);
    server.abort();
}
