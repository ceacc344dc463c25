//! A ledger and a provider in this process, and pods whose folders are in a temporary one.

// Each test file uses another part of it.
#![allow(dead_code)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use herald::api::{BroadcastMessage, MessageChannelSpec};
use herald::delivery::recipient::RecipientState;
use herald::ledger::clock::SystemClock;
use herald::ledger::snapshot::BroadcastSnapshot;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{AccountKey, BroadcastId, Declaration, Inspect, Ledger, Orders, SenderLedger};
use herald::sender::mounts::Folders;
use herald::sender::{Left, SenderFailure, SenderProcess};
use herald::simulator::record::{self, OwnedLine};
use herald::simulator::{Simulator, SimulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(10);
/// Must be seen nowhere but in the requests to the provider.
pub const CANARY: &str = "EAAB-canary-token-5f1c";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

pub struct Stage {
    pub ledger: Arc<SqliteLedger>,
    pub folder: TempDir,
    base_url: String,
    simulator: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.simulator.abort();
    }
}

impl Stage {
    /// `flags` are those of `herald simulator`.
    pub async fn open(flags: &[&str]) -> Stage {
        // As the program does first of all; whoever comes second finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record.ndjson");
        let base = ["simulator", "--listen", "127.0.0.1:0", "--record", record.to_str().unwrap()];
        let options = CommandLine::try_parse_from(base.iter().chain(flags)).unwrap().options;
        let simulator = Simulator::bind(options).await.unwrap();
        let base_url = format!("http://{}", simulator.address());
        let simulator = tokio::spawn(async move { simulator.run(std::future::pending::<()>()).await.unwrap() });
        let ledger = Arc::new(SqliteLedger::in_memory(Arc::new(SystemClock)).await.unwrap());
        Stage { ledger, folder, base_url, simulator }
    }

    /// The spec of a broadcast to so many people of the document itself.
    pub fn to_people(count: usize) -> Value {
        let people: Vec<Value> = (0..count).map(|number| json!({"id": format!("person-{number}")})).collect();
        json!({"channelRef": {"name": "page"}, "audience": {"recipients": people}, "content": {"text": "Hello"}})
    }

    pub fn declaration(&self, generation: i64, messages_per_second: u32, spec: Value) -> Declaration {
        let channel: MessageChannelSpec = serde_json::from_value(json!({
            "messenger": {"pageID": "1029384756", "baseURL": self.base_url},
            "credentialsSecretRef": {"name": "page"},
            "rate": {"messages": messages_per_second},
        }))
        .unwrap();
        let broadcast: BroadcastMessage = serde_json::from_value(json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage", "spec": spec,
            "metadata": {"name": "sale", "namespace": "default", "uid": "uid-1", "generation": generation},
        }))
        .unwrap();
        let account = AccountKey::of("default", &channel).unwrap();
        let mut declaration = Declaration::of(&broadcast, &channel, account).unwrap();
        declaration.orders = Some(Orders { channel, audience: broadcast.spec.audience, suppression: Vec::new() });
        declaration
    }

    pub async fn declare(&self, messages_per_second: u32, spec: Value) -> BroadcastId {
        self.ledger.declare(&self.declaration(1, messages_per_second, spec)).await.unwrap().id
    }

    /// A pod with the channel's Secret in it.
    pub fn pod(&self, name: &str) -> Pod {
        let pod = self.bare_pod(name);
        pod.write("credentials/accessToken", &format!("{CANARY}\n"));
        pod
    }

    /// A pod in which nothing is mounted.
    pub fn bare_pod(&self, name: &str) -> Pod {
        let root = self.folder.path().join(name);
        std::fs::create_dir_all(root.join("var/lib/herald")).unwrap();
        Pod { name: name.to_owned(), root }
    }

    pub async fn snapshot(&self, broadcast: BroadcastId) -> BroadcastSnapshot {
        self.ledger.snapshot(broadcast).await.unwrap()
    }

    /// What the provider was asked for.
    pub fn requests(&self) -> Vec<OwnedLine> {
        record::read(&self.folder.path().join("record.ndjson")).unwrap()
    }

    /// Changes the simulator's settings while it runs.
    pub async fn settings(&self, settings: &Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let put = client.put(format!("{}/_simulator/settings", self.base_url)).body(settings.to_string());
        assert!(put.send().await.unwrap().status().is_success());
    }

    /// Waits until the provider was asked for so many messages.
    pub async fn await_requests(&self, count: usize) {
        self.await_that("requests", async || self.requests().len() >= count).await;
    }

    pub async fn await_that<C: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> C) {
        let began = Instant::now();
        while !holds().await {
            assert!(began.elapsed() < PATIENCE, "in vain for {what}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The promises that hold after any end: the sums, nobody twice, nobody sent who was not reached.
    pub async fn judge(&self, broadcast: BroadcastId) {
        assert_eq!(self.ledger.audit().await.unwrap(), Vec::<String>::new());
        let lines = self.requests();
        let twice = record::accepted_twice(&lines);
        assert!(twice.is_empty(), "accepted twice: {twice:?}");
        for row in self.ledger.deliveries(broadcast, 0, u32::MAX).await.unwrap() {
            let accepted = lines.iter().any(|line| line.accepted && *line.recipient == *row.recipient);
            match row.state {
                RecipientState::Sent => assert!(accepted, "{row:?}"),
                RecipientState::Unknown | RecipientState::Inflight => {}
                _ => assert!(!accepted, "{row:?}"),
            }
        }
    }
}

/// The folders of one pod.
pub struct Pod {
    name: String,
    pub root: PathBuf,
}

type Ended = Result<Left, SenderFailure>;

impl Pod {
    /// A file under `/var/run/herald`.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join("var/run/herald").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn journal(&self) -> PathBuf {
        Folders::of_pod(&self.root).journal_file()
    }

    /// Starts a process in this pod that is never told to stop.
    pub fn start<L: SenderLedger>(&self, ledger: &Arc<L>, broadcast: BroadcastId) -> JoinHandle<Ended> {
        let (stop, stopped) = watch::channel(false);
        let process = self.start_until(ledger, broadcast, stopped);
        tokio::spawn(async move {
            let ended = process.await.unwrap();
            drop(stop);
            ended
        })
    }

    pub fn start_until<L: SenderLedger>(
        &self,
        ledger: &Arc<L>,
        broadcast: BroadcastId,
        stop: watch::Receiver<bool>,
    ) -> JoinHandle<Ended> {
        let folders = Folders::of_pod(&self.root);
        let process = SenderProcess { ledger: ledger.clone(), folders, display: self.name.clone() };
        let ledger = ledger.clone();
        tokio::spawn(async move { process.run(|| ledger.brief(broadcast), stop).await })
    }

    /// Runs a process in this pod to its end.
    pub async fn run<L: SenderLedger>(&self, ledger: &Arc<L>, broadcast: BroadcastId) -> Ended {
        tokio::time::timeout(PATIENCE, self.start(ledger, broadcast)).await.expect("the process ends").unwrap()
    }
}

/// Every file of a folder as text, for what must not stand in any of them.
pub fn texts(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
    all
}
