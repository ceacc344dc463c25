//! `herald sender` as a child process that speaks the ledger API.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use herald::ledger::BroadcastId;
use herald::ledger::wire::{Admitted, Denied, Gatekeeper, router};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
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
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = router(stage.ledger.clone(), Arc::new(OnePod(broadcast)));
    let server = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
    pod.write("ledger/token", TOKEN);
    Api { url, folder: stage.folder.path().to_owned(), started: AtomicU32::new(0), server }
}

impl Api {
    pub fn start(&self, pod: &Pod) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let messages = self.folder.join(format!("sender-{number}.err"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command.arg("sender").arg("--root").arg(&pod.root);
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
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), Signal::TERM).unwrap();
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
