//! `herald run` told to stop before it sends: soon over, exit code 3, nobody messaged, nothing in the way of the next run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Read;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};

use herald::api::Content;
use herald::api::channel::ChannelProvider;
use herald::audience::{MaterialError, MaterialKind, Materials, Source};
use herald::content::MessageTemplate;
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::pacing::NORMAL_WEIGHT;
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::rate::Rate;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::exchange::LEASE;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{AccountKey, Declaration, Ledger};
use herald::provider::http::Http;
use herald::sender::assembly::Part;
use herald::sender::{PlanError, PlanSpec, planner};
use tokio::sync::watch;

use super::run_support::{CANARY, Stage, broadcast, people};

const NOTHING_SENT: &str = "interrupted; nothing was sent; run the same command again to go on";

/// So many that planning them takes far longer than it takes to see that it began.
const MANY: u32 = 1_000_000;
/// The ledger's log holds more than a new ledger: chunks of a plan.
const SOME_CHUNKS: u64 = 2 * 1024 * 1024;

const FROM_FILE: &str = "  audience:\n    sources:\n      - {name: people, configMapKeyRef: {name: people, key: people.csv}}\n  content: {text: \"Hello\"}\n";
const FILE: [&str; 2] = ["--config-map", "people=people.csv"];

#[test]
fn told_to_stop_while_it_plans_it_stops_and_the_next_run_plans_anew() {
    let mut csv = "id\n".to_owned();
    for number in 0..MANY {
        writeln!(csv, "{number}").unwrap();
    }
    for signal in ["INT", "TERM"] {
        let stage = Stage::open(&[]);
        stage.documents(50, &[broadcast("first", FROM_FILE), broadcast("second", &people(2_000_001, 2))]);
        stage.write("people.csv", &csv);
        let running = stage.start(&[&FILE[..], &["-o", "json"]].concat());
        stage.await_file("ledger.sqlite-wal", SOME_CHUNKS);
        running.signal(signal);
        let finished = running.wait().exits(3).says(&[NOTHING_SENT]);
        assert!(!finished.stderr.contains("in batches of"), "it planned on: {}", finished.stderr);
        let lines = finished.json();
        assert_eq!(lines.len(), 2, "one line for each broadcast");
        for line in lines {
            assert_eq!(line.pointer("/status/recipients/planned"), None, "a half plan shows: {line}");
        }
        assert_eq!(stage.requests(), []);

        stage.write("people.csv", "id\n7\n8\n9\n");
        stage.run(&FILE).exits(0).says(&["first: 3 recipients", "second: 2 recipients"]);
        assert_eq!(stage.accepted(), ["2000001", "2000002", "7", "8", "9"]);
    }
}

#[test]
fn told_to_stop_while_a_pipe_keeps_it_waiting_it_stops() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &people(1, 3))]);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    stage.write("run.yaml", text.replace(CANARY, "stands-back"));
    let pipe = stage.path("token");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Kept open for writing, so that reading it does not end.
    let _writer = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let running = stage.start(&["--secret", "page/accessToken=token"]);
    running.await_open(&pipe);
    running.signal("TERM");
    running.wait().exits(3).says(&[NOTHING_SENT]);
    assert!(!stage.path("ledger.sqlite").exists(), "it did not even begin");

    let refused = stage.run(&["--config-map", "people=token"]).exits(1);
    refused.says(&["--config-map people=token: not a regular file; save it to one"]);
    assert_eq!(stage.requests(), []);
}

/// A file whose first row comes and whose second never does.
struct Endless {
    read: mpsc::Sender<()>,
    rest: Mutex<Option<mpsc::Receiver<()>>>,
}

struct Stuck {
    head: std::io::Cursor<&'static [u8]>,
    read: mpsc::Sender<()>,
    rest: mpsc::Receiver<()>,
}

impl Read for Stuck {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.head.read(buffer)?;
        if read == 0 {
            self.read.send(()).unwrap();
            // Ends when the test does.
            let _ = self.rest.recv();
        }
        Ok(read)
    }
}

impl Materials for Endless {
    fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
        Ok(Vec::new())
    }

    fn open(&self, _: MaterialKind, _: &str, _: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        let rest = self.rest.lock().unwrap().take().unwrap();
        Ok(Box::new(Stuck { head: std::io::Cursor::new(b"id\n1\n"), read: self.read.clone(), rest }))
    }
}

#[tokio::test]
async fn a_planner_stops_though_its_reader_never_comes_back() {
    let ledger = SqliteLedger::in_memory(Arc::new(herald::ledger::clock::SystemClock)).await.unwrap();
    let id = ledger.declare(&declaration()).await.unwrap().id;
    let (read, is_read) = mpsc::channel();
    let (end, rest) = mpsc::channel();
    let (stop, stopped) = watch::channel(false);
    let stopping = std::thread::spawn(move || {
        is_read.recv().unwrap();
        stop.send_replace(true);
        stop
    });
    let materials = Arc::new(Endless { read, rest: Mutex::new(Some(rest)) });
    let error = planner::plan(&ledger, id, spec(materials), &stopped).await.unwrap_err();
    assert!(matches!(error, PlanError::Interrupted), "{error}");
    assert!(ledger.snapshot(id).await.unwrap().plan.is_none());
    drop(end);
    stopping.join().unwrap();

    // What was begun is in nobody's way.
    let recipients = vec![("2".to_owned(), BTreeMap::new())];
    let inline = Part::Read(Source::Inline { path: "spec.audience.recipients".to_owned(), recipients });
    let (_stop, go_on) = watch::channel(false);
    let (read, _) = mpsc::channel();
    let materials = Arc::new(Endless { read, rest: Mutex::new(None) });
    let spec = PlanSpec { sources: vec![inline], ..spec(materials) };
    assert_eq!(planner::plan(&ledger, id, spec, &go_on).await.unwrap().planned, 1);
}

#[tokio::test]
async fn a_planner_whose_source_is_silent_for_leases_is_not_taken_for_dead() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let ledger = Arc::new(SqliteLedger::in_memory(clock.clone()).await.unwrap());
    let id = ledger.declare(&declaration()).await.unwrap().id;
    let (read, is_read) = mpsc::channel();
    let (end, rest) = mpsc::channel();
    let (_stop, go_on) = watch::channel(false);
    let spec = spec(Arc::new(Endless { read, rest: Mutex::new(Some(rest)) }));
    let planned = tokio::spawn({
        let ledger = ledger.clone();
        async move { planner::plan(ledger.as_ref(), id, spec, &go_on).await }
    });
    // The reader keeps the runtime's clock from going on by itself.
    tokio::task::spawn_blocking(move || is_read.recv().unwrap()).await.unwrap();
    tokio::time::pause();
    let half = LEASE.to_duration() / 2;
    for lease in 0..3 {
        clock.advance(LEASE);
        assert!(!ledger.snapshot(id).await.unwrap().planning, "by the ledger's clock it was silent for a lease");
        // The planner's clock goes on for half of one.
        tokio::time::advance(half).await;
        let mut looks = 0;
        while !ledger.snapshot(id).await.unwrap().planning {
            looks += 1;
            assert!(looks < 10_000, "no sign of life in lease {lease}");
            tokio::task::yield_now().await;
        }
    }
    assert!(!planned.is_finished());
    drop(end);
    assert_eq!(planned.await.unwrap().unwrap().planned, 1);
}

fn spec(materials: Arc<Endless>) -> PlanSpec {
    let content = Content { text: "Hello".into(), ..Content::default() };
    let (kind, name, key) = (MaterialKind::ConfigMap, "people".to_owned(), "people.csv".to_owned());
    PlanSpec {
        sources: vec![Part::Read(Source::Material { kind, name, key })],
        exclude: Vec::new(),
        suppressed: Vec::new(),
        materials,
        template: Arc::new(MessageTemplate::compile(&content, ChannelProvider::Messenger).unwrap()),
        provider: Arc::new(
            Http::new(
                &serde_json::from_value(serde_json::json!({"url": "http://127.0.0.1:9/send"})).unwrap(),
                Default::default(),
            )
            .unwrap(),
        ),
    }
}

fn declaration() -> Declaration {
    let text = |text: &str| text.to_owned();
    Declaration {
        namespace: text("default"),
        name: text("sale"),
        idempotency_key: text("sale"),
        key_is_given: true,
        owner_uid: String::new(),
        generation: 1,
        account: AccountKey {
            namespace: text("default"),
            provider: text("http"),
            account: text("a"),
            host: text("127.0.0.1"),
        },
        account_rate: Rate::new(10, 1),
        identity_hash: text("same"),
        audience_hash: String::new(),
        content: Content { text: text("Hello"), ..Content::default() },
        orders: None,
        sent_tags: Vec::new(),
        reply_window: None,
        request_timeout: Span::from_secs(20),
        rate: None,
        weight: NORMAL_WEIGHT,
        retry: RetryPolicy::default(),
        batch_size: None,
        plan_limit: None,
        start_at: None,
        end_at: None,
        start_by: None,
        quiet_hours: QuietHours::default(),
        notifications: Vec::new(),
        write_backs: Vec::new(),
        suspended: false,
        cancelled: false,
        recollection: Default::default(),
    }
}
