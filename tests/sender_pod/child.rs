//! `herald sender` as a child process that speaks the ledger API.

// Each test file uses another part of it.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use herald::ledger::wire::{Admitted, Denied, Gatekeeper, router};
use herald::ledger::{BroadcastId, SenderLedger};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::stage::{Pod, Stage};

const PATIENCE: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(10);
const TOKEN: &str = "token-of-the-pod";

struct OnePod(BroadcastId);

impl Gatekeeper for OnePod {
    async fn admit(&self, token: &SecretString) -> Result<Admitted, Denied> {
        match token.expose_secret() {
            TOKEN => Ok(Admitted { broadcast: self.0, pod: "one".to_owned() }),
            _ => Err(Denied::Unauthorized("another token".to_owned())),
        }
    }
}

/// The ledger API of a stage, for the one pod.
pub struct Api {
    url: String,
    folder: PathBuf,
    started: AtomicU32,
    server: JoinHandle<()>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub async fn serve(stage: &Stage, broadcast: BroadcastId, pod: &Pod) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(answer(listener, stage.ledger.clone(), broadcast));
    pod.write("ledger/token", TOKEN);
    Api { url, folder: stage.folder.path().to_owned(), started: AtomicU32::new(0), server }
}

/// Serves the ledger API to pods that are let in.
pub async fn answer<L: SenderLedger>(listener: TcpListener, ledger: Arc<L>, broadcast: BroadcastId) {
    axum::serve(listener, router(ledger, Arc::new(OnePod(broadcast)))).await.unwrap();
}

impl Api {
    /// One that somebody else serves.
    pub fn elsewhere(url: String, folder: PathBuf) -> Api {
        Api { url, folder, started: AtomicU32::new(0), server: tokio::spawn(async {}) }
    }

    pub fn let_in(&self, pod: &Pod) {
        pod.write("ledger/token", TOKEN);
    }

    pub fn start(&self, pod: &Pod) -> Process {
        self.start_within(pod, &[])
    }

    /// Starts it by another program, which it takes the place of.
    pub fn start_within(&self, pod: &Pod, starter: &[&str]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let messages = self.folder.join(format!("sender-{number}.err"));
        let words: Vec<&str> = [starter, &[env!("CARGO_BIN_EXE_herald"), "sender", "--root"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&pod.root);
        command.env("HERALD_LEDGER_URL", &self.url).env("HERALD_POD_NAME", "one");
        for name in ["HERALD_LOG", "HERALD_LEDGER_CA", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&messages).unwrap())
            .spawn()
            .unwrap();
        Process { child, messages }
    }
}

/// A child; killed when the test fails before it has ended.
pub struct Process {
    child: Child,
    messages: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Ended {
    pub code: Option<i32>,
    pub last_line: String,
}

impl Process {
    pub fn kill(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it was to be killed while it sends");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), signal).unwrap();
    }

    pub async fn wait(mut self) -> Ended {
        let began = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(began.elapsed() < PATIENCE, "hangs: {}", std::fs::read_to_string(&self.messages).unwrap());
            tokio::time::sleep(LOOK).await;
        };
        let messages = std::fs::read_to_string(&self.messages).unwrap();
        Ended { code, last_line: messages.lines().last().unwrap_or_default().to_owned() }
    }
}

/// What a journal calls begun and not ended: sequence number and attempt, in order. A torn last line was not begun.
pub fn open_flights(journal: &str) -> Vec<(i64, u32)> {
    let mut open = BTreeSet::new();
    for line in journal.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let flight = |entry: &Value| (entry[1].as_i64().unwrap(), entry[2].as_u64().unwrap() as u32);
        if let Some(begun) = entry.get("Begun") {
            open.insert(flight(begun));
        }
        if let Some(ended) = entry.get("Ended") {
            open.remove(&flight(ended));
        }
    }
    open.into_iter().collect()
}
