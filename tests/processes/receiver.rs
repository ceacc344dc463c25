//! `herald receiver` as a child process, before a ledger API of this process: what the provider tells resolves who is unknown,
//! forged calls reach nobody, and while the ledger is away the provider is asked to repeat.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use herald::api::{BroadcastMessage, MessageChannel};
use herald::delivery::outcome::{Fault, Outcome};
use herald::ledger::clock::SystemClock;
use herald::ledger::exchange::{BroadcastId, ExchangeRequest, Report};
use herald::ledger::plan::PlanRow;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::wire::{Denied, ReceiverGate, receive_router};
use herald::ledger::{AccountKey, Declaration, Ledger, SenderLedger};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Long enough for a slow machine, short enough to fail a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets one token in, for one account.
struct Gate(AccountKey);

impl ReceiverGate for Gate {
    async fn serves(&self, token: &SecretString) -> Result<AccountKey, Denied> {
        match token.expose_secret() {
            "token-of-the-pod" => Ok(self.0.clone()),
            _ => Err(Denied::Unauthorized("no such token".to_owned())),
        }
    }
}

fn channel() -> MessageChannel {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel",
        "metadata": {"name": "acme", "namespace": "marketing"},
        "spec": {"messenger": {"pageID": "1029"}, "credentialsSecretRef": {"name": "acme"}, "receiver": {"enabled": true}},
    }))
    .unwrap()
}

/// A ledger with one person of whom nobody knows.
async fn ledger() -> (Arc<SqliteLedger>, BroadcastId, AccountKey) {
    let ledger = SqliteLedger::in_memory(Arc::new(SystemClock)).await.unwrap();
    let broadcast: BroadcastMessage = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": "sale", "namespace": "marketing", "uid": "uid", "generation": 1},
        "spec": {"channelRef": {"name": "acme"}, "audience": {"recipients": [{"id": "24"}]}, "content": {"text": "Hi"}},
    }))
    .unwrap();
    let account = AccountKey::of("marketing", &channel().spec).unwrap();
    let declaration = Declaration::of(&broadcast, &channel().spec, account.clone()).unwrap();
    let id = ledger.declare(&declaration).await.unwrap().id;
    let ticket = ledger.begin_plan(id).await.unwrap();
    let row = PlanRow { recipient: "24".into(), vars: Default::default() };
    ledger.append_plan(ticket, 1, &[row]).await.unwrap();
    ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    let request = |number, outcomes, wants| ExchangeRequest {
        broadcast: id,
        holder: "sender".into(),
        display: "sender".into(),
        number,
        outcomes,
        wants,
        known_revision: 0,
        held_up: false,
        usage: None,
        content_of: None,
        retry_credentials: false,
        leaving: false,
    };
    let rows = ledger.exchange(&request(1, Vec::new(), 1)).await.unwrap().rows;
    let outcome = Outcome::Unknown { fault: Fault::new("NoAnswer", None, "words") };
    let report = Report { seq: rows[0].seq, attempt: rows[0].attempt, outcome, took_ms: None };
    ledger.exchange(&request(2, vec![report], 0)).await.unwrap();
    assert_eq!(ledger.snapshot(id).await.unwrap().counts.unknown, 1);
    (Arc::new(ledger), id, account)
}

/// A receiver that ends with the test.
struct Receiver {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Receiver {
    fn start(ledger_url: &str) -> Receiver {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("var/run/herald/ledger/token", "token-of-the-pod");
        write("var/run/herald/credentials/appSecret", SECRET);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let channel = json!({"namespace": "marketing", "name": "acme", "spec": channel().spec}).to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_herald"))
            .args(["receiver", "--listen", &format!("127.0.0.1:{port}"), "--root", folder.path().to_str().unwrap()])
            .env("HERALD_LEDGER_URL", ledger_url)
            .env("HERALD_CHANNEL", channel)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let receiver = Receiver { child, port, folder };
        receiver.await_status("GET /readyz HTTP/1.1", "", 200);
        receiver
    }

    fn await_status(&self, head: &str, body: &str, status: u16) {
        let began = Instant::now();
        while self.ask(head, body) != Some(status) {
            assert!(began.elapsed() < PATIENCE, "{head} is not answered {status} but {:?}", self.ask(head, body));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The status of an answer; `None` while nobody listens.
    fn ask(&self, head: &str, body: &str) -> Option<u16> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let length = body.len();
        let request = format!("{head}\r\nhost: here\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        connection.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

fn signed(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag: String = hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("POST /callbacks/marketing/acme HTTP/1.1\r\nx-hub-signature-256: sha256={tag}")
}

fn echo(broadcast: BroadcastId) -> String {
    let message = json!({"is_echo": true, "metadata": format!("{}:0:1:0", broadcast.0), "mid": "m_1"});
    let told = json!({"sender": {"id": "1029"}, "recipient": {"id": "24"}, "message": message});
    json!({"object": "page", "entry": [{"id": "1029", "messaging": [told]}]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_tells_reaches_the_ledger_and_nothing_else_does() {
    let (ledger, id, account) = ledger().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = Receiver::start(&format!("http://{address}"));
    let body = echo(id);
    let unknown = async || ledger.snapshot(id).await.unwrap().counts.unknown;

    // The port is taken, and nobody answers on it yet.
    drop(listener);
    assert_eq!(receiver.ask(&signed(&body), &body), Some(503), "the provider is to repeat it");
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let api = receive_router(ledger.clone(), Arc::new(Gate(account)));
    let serving = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });

    assert_eq!(receiver.ask("POST /callbacks/marketing/acme HTTP/1.1", &body), Some(403));
    assert_eq!(receiver.ask(&signed("another"), &body), Some(403));
    assert_eq!(unknown().await, 1);
    receiver.await_status(&signed(&body), &body, 200);
    assert_eq!((unknown().await, ledger.snapshot(id).await.unwrap().counts.sent), (0, 1));
    let revision = ledger.snapshot(id).await.unwrap().revision;
    assert_eq!(receiver.ask(&signed(&body), &body), Some(200));
    assert_eq!(ledger.snapshot(id).await.unwrap().revision, revision, "a call that is repeated changes nothing");

    // A Secret that is taken away is missed within seconds, and nothing is believed any more.
    std::fs::remove_file(receiver.folder.path().join("var/run/herald/credentials/appSecret")).unwrap();
    receiver.await_status("GET /readyz HTTP/1.1", "", 503);
    assert_eq!(receiver.ask(&signed(&body), &body), Some(503));
    serving.abort();
}
