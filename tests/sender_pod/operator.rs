//! An operator as senders see it: the ledger, its upkeep and its API on one address, which can go away and come back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::{Clock, SystemClock};
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{BroadcastId, Declaration, Ledger};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use super::child;

const UPKEEP_EVERY: Duration = Duration::from_millis(100);
/// How long a file may take to be let go of by who is gone.
const LET_GO_WITHIN: Duration = Duration::from_secs(10);

pub struct Operator {
    file: PathBuf,
    address: SocketAddr,
    /// Holds the port without listening, so that nobody else gets it while the operator is away.
    _port: TcpSocket,
    ledger: Option<Arc<SqliteLedger>>,
    /// Everything that runs of it ends with this.
    runtime: Option<Runtime>,
    broadcast: BroadcastId,
}

fn reusable() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn keep_up(ledger: Arc<SqliteLedger>) {
    loop {
        ledger.maintain().await.unwrap();
        tokio::time::sleep(UPKEEP_EVERY).await;
    }
}

impl Operator {
    /// An operator with a ledger in a file, or in memory by a clock of its own; it has one broadcast.
    pub async fn start(file: PathBuf, clock: Option<Arc<dyn Clock>>, declaration: &Declaration) -> Operator {
        let port = reusable();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let ledger = match clock {
            Some(clock) => SqliteLedger::in_memory(clock).await.unwrap(),
            None => SqliteLedger::open(&file).await.unwrap(),
        };
        let broadcast = ledger.declare(declaration).await.unwrap().id;
        let address = port.local_addr().unwrap();
        let ledger = Some(Arc::new(ledger));
        let mut operator = Operator { file, address, _port: port, ledger, runtime: None, broadcast };
        operator.serve();
        operator
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn ledger(&self) -> &Arc<SqliteLedger> {
        self.ledger.as_ref().expect("the operator is there")
    }

    fn serve(&mut self) {
        let runtime = runtime();
        let (ledger, address, broadcast) = (self.ledger().clone(), self.address, self.broadcast);
        runtime.spawn(keep_up(ledger.clone()));
        runtime.spawn(async move {
            let socket = reusable();
            socket.bind(address).unwrap();
            child::answer(socket.listen(64).unwrap(), ledger, broadcast).await;
        });
        self.runtime = Some(runtime);
    }

    /// Its API does not answer any more; the ledger goes on. Connections are cut.
    pub fn cut_off(&mut self) {
        self.runtime.take().expect("the operator is there").shutdown_background();
        let runtime = runtime();
        runtime.spawn(keep_up(self.ledger().clone()));
        self.runtime = Some(runtime);
    }

    pub fn reconnect(&mut self) {
        self.runtime.take().expect("the operator is there").shutdown_background();
        self.serve();
    }

    /// The process ends.
    pub fn go_away(&mut self) {
        self.runtime.take().expect("the operator is there").shutdown_background();
        self.ledger = None;
    }

    /// Another process starts on the same file.
    pub async fn come_back(&mut self) {
        let began = Instant::now();
        let ledger = loop {
            match SqliteLedger::open(&self.file).await {
                Ok(ledger) => break ledger,
                Err(error) => assert!(began.elapsed() < LET_GO_WITHIN, "{error}"),
            }
            tokio::time::sleep(UPKEEP_EVERY).await;
        };
        self.ledger = Some(Arc::new(ledger));
        self.serve();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The machine's clock, set wrong by so much.
#[derive(Default)]
pub struct WrongClock(AtomicI64);

impl WrongClock {
    pub fn advance(&self, by: Span) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Span(self.0.load(Ordering::SeqCst))
    }
}
