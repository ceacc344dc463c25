//! A folder, a simulator in this process, and the runs against it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use herald::simulator::book::Summary;
use herald::simulator::record::{self, OwnedLine};
use herald::simulator::{Simulator, SimulatorError, SimulatorOptions};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::campaign::{self, Campaign};
use super::process::{self, Ended, Running};
use super::tls_front::TlsFront;
use super::{GLANCE, patience};

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

struct Provider {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), SimulatorError>>,
}

pub struct Stage {
    folder: tempfile::TempDir,
    address: SocketAddr,
    /// Holds the port without listening, so that nobody else gets it while the simulator is away.
    _port: TcpSocket,
    provider: Option<Provider>,
    front: Option<TlsFront>,
    client: reqwest::Client,
    runs: Cell<u32>,
    runtime: Runtime,
}

impl Stage {
    /// A stage whose simulator runs with these flags.
    pub fn open(flags: &[&str]) -> Stage {
        let mut stage = Stage::without_provider();
        stage.open_provider(flags);
        stage
    }

    /// A stage whose provider refuses connections.
    pub fn without_provider() -> Stage {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let port = {
            let _runtime = runtime.enter();
            TcpSocket::new_v4().unwrap()
        };
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(patience()).build().unwrap();
        Stage {
            folder: tempfile::tempdir().unwrap(),
            address: port.local_addr().unwrap(),
            _port: port,
            provider: None,
            front: None,
            client,
            runs: Cell::new(0),
            runtime,
        }
    }

    /// Where the provider is expected.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn open_provider(&mut self, flags: &[&str]) {
        let (record, address) = (self.record_path(), self.address.to_string());
        let base = ["simulator", "--listen", &address, "--record", record.to_str().unwrap()];
        let options = CommandLine::try_parse_from(base.iter().chain(flags)).unwrap().options;
        let (stop, stopped) = oneshot::channel::<()>();
        let simulator = self.runtime.block_on(Simulator::bind(options)).unwrap();
        let running = self.runtime.spawn(simulator.run(stopped));
        self.provider = Some(Provider { stop, running });
    }

    /// From now on runs reach the provider by TLS, whose handshakes take this much longer than they must.
    pub fn put_behind_tls(&mut self, handshake: Duration) {
        let front = TlsFront::open(self.folder.path(), self.address, handshake);
        self.front = Some(self.runtime.block_on(front));
    }

    /// How many connections were opened by TLS.
    pub fn tls_connections(&self) -> usize {
        self.front.as_ref().map_or(0, TlsFront::opened)
    }

    /// Cuts every connection off; from then on they are refused.
    pub fn close_provider(&mut self) {
        let Provider { stop, running } = self.provider.take().expect("the provider is there");
        stop.send(()).unwrap();
        self.runtime.block_on(running).unwrap().unwrap();
    }

    /// Changes what the simulator does, by members of its settings' JSON.
    pub fn set(&self, settings: &serde_json::Value) {
        let request = async { self.client.put(self.control("settings")).body(settings.to_string()).send().await };
        let answer = self.runtime.block_on(request).unwrap();
        assert!(answer.status().is_success(), "{settings}");
    }

    pub fn summary(&self) -> Summary {
        let summary = async { self.client.get(self.control("summary")).send().await?.json().await };
        self.runtime.block_on(summary).unwrap()
    }

    fn control(&self, name: &str) -> String {
        format!("http://{}/_simulator/{name}", self.address)
    }

    fn record_path(&self) -> PathBuf {
        self.folder.path().join("record.ndjson")
    }

    /// Every request the provider has read so far.
    pub fn record(&self) -> Vec<OwnedLine> {
        let path = self.record_path();
        // None before the provider was first there.
        if path.exists() { record::read(&path).unwrap() } else { Vec::new() }
    }

    /// When the runs so far handed requests over, in order.
    pub fn handed_over(&self) -> Vec<u64> {
        let told = (1..=self.runs.get()).map(|run| process::told(self.folder.path(), &run_name(run)));
        let mut times: Vec<u64> = told.flat_map(|told| process::handed_over(&told).collect::<Vec<_>>()).collect();
        times.sort_unstable();
        times
    }

    pub fn ledger_path(&self) -> PathBuf {
        self.folder.path().join("ledger.sqlite")
    }

    pub fn journal_path(&self) -> PathBuf {
        self.folder.path().join("ledger.sqlite.journal")
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub fn start(&self, campaigns: &[Campaign]) -> Running {
        self.start_on(&format!("sqlite:{}", self.ledger_path().display()), campaigns)
    }

    /// The same with another ledger, where several runs may work at a time.
    pub fn start_on(&self, ledger: &str, campaigns: &[Campaign]) -> Running {
        let base_url = match &self.front {
            Some(front) => format!("https://{}", front.address),
            None => format!("http://{}", self.address),
        };
        self.runs.set(self.runs.get() + 1);
        let name = run_name(self.runs.get());
        let arguments = campaign::write(self.folder.path(), &name, &base_url, campaigns);
        let trusted = self.front.as_ref().map(|front| front.certificate.as_path());
        Running::start(self.folder.path(), &name, ledger, &arguments, trusted)
    }

    /// Runs to the end.
    pub fn run(&self, campaigns: &[Campaign]) -> Ended {
        self.start(campaigns).finish()
    }

    /// Waits until the provider has read `requests` requests in all; returns how long it took.
    pub fn await_requests(&self, run: &mut Running, requests: u64) -> Duration {
        let since = Instant::now();
        while self.summary().requests < requests {
            if let Some(status) = run.ended() {
                panic!("the run ended with {status} before {requests} requests; it said:\n{}", run.told());
            }
            assert!(since.elapsed() < patience(), "no {requests} requests; the run said:\n{}", run.told());
            std::thread::sleep(GLANCE);
        }
        since.elapsed()
    }
}

/// What the files of a run's output are named by.
fn run_name(run: u32) -> String {
    format!("run-{run}")
}
