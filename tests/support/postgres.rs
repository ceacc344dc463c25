//! Ledgers on the PostgreSQL that `dev/with-postgres.sh` starts, each in a schema of its own.

// Each test file uses another part of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use herald::ledger::clock::Clock;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::random::random_id;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;

/// The server's address.
pub fn server() -> String {
    std::env::var("HERALD_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("these tests need a PostgreSQL: run them by `dev/with-postgres.sh cargo test …`, or by `make test`")
    })
}

/// A schema that nobody else has.
pub fn fresh_schema() -> String {
    format!("test_{}", &random_id()[..16])
}

/// An empty ledger; with a clock of its own where one is given.
pub async fn fresh_ledger(clock: Option<Arc<dyn Clock>>) -> PostgresLedger {
    PostgresLedger::open_in(&server(), &fresh_schema(), clock).await.unwrap()
}

/// A database of the server that nobody else has: whatever is counted or ended in it is its user's own.
pub async fn fresh_database() -> String {
    let name = fresh_schema();
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let server = server();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// The same as another database, row version by row version; whoever is connected to that one is sent away.
pub async fn copy_of(database: &str) -> String {
    let (server, original) = database.rsplit_once('/').unwrap();
    let name = fresh_schema();
    let mut connection = PgConnection::connect(&self::server()).await.unwrap();
    let away = format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{original}'");
    connection.execute(AssertSqlSafe(away)).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {original}"))).await.unwrap();
    format!("{server}/{name}")
}

/// For databases that are large.
pub async fn drop_database(database: &str) {
    let (_, name) = database.rsplit_once('/').unwrap();
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}

/// A server of its own, for who restarts it; ends with this value, or with this process.
pub struct OwnServer {
    script: Child,
    pub address: String,
    restart: PathBuf,
}

impl OwnServer {
    pub fn start() -> OwnServer {
        let words = "echo \"$HERALD_TEST_POSTGRES\"; echo \"$HERALD_TEST_POSTGRES_FOLDER\"; read -r _ || true";
        let mut script = Command::new("dev/with-postgres.sh")
            .args(["bash", "-c", words])
            .env_remove("HERALD_TEST_POSTGRES")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
        let mut line = || lines.next().expect("the server starts").unwrap();
        let (address, folder) = (line(), line());
        OwnServer { script, address, restart: PathBuf::from(folder).join("restart") }
    }

    /// `immediate` leaves it to recover from its log; `fast` ends what is under way first.
    pub async fn restart(&self, manner: &str) {
        let mut restart = tokio::process::Command::new(&self.restart);
        let ended = restart.arg(manner).stdin(Stdio::null()).stdout(Stdio::null()).status().await.unwrap();
        assert!(ended.success(), "the server did not start again");
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // Who panics already need not hear of this.
        let _ = self.script.wait();
    }
}

/// What becomes of connections to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing passes any more on those there were, and nobody is told; new ones are as good as ever.
    Forgotten,
    /// Those there were are closed, and so is every new one.
    Cut,
}

/// Between a client and a server.
pub struct Middle {
    /// In place of the server's.
    pub address: String,
    way: watch::Sender<Way>,
}

impl Middle {
    pub fn before(server: &str) -> Middle {
        let (front, behind) = server.rsplit_once('@').unwrap();
        let (host, database) = behind.split_once('/').unwrap();
        let (way, ways) = watch::channel(Way::Open);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("{front}@{}/{database}", listener.local_addr().unwrap());
        let host = host.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Middle::stand(listener, host, ways));
        });
        Middle { address, way }
    }

    async fn stand(listener: std::net::TcpListener, host: String, ways: watch::Receiver<Way>) {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut way = ways.clone();
            if *way.borrow_and_update() == Way::Cut {
                continue;
            }
            let mut server = tokio::net::TcpStream::connect(&host).await.unwrap();
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = way.changed() => if *way.borrow() == Way::Forgotten { std::future::pending().await },
                }
            });
        }
    }

    pub fn forget(&self) {
        self.way.send_replace(Way::Forgotten);
    }

    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    pub fn pass(&self) {
        self.way.send_replace(Way::Open);
    }
}
