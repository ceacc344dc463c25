//! The simulator over loopback: each flag acts, the record holds what was decided, the summary sums up.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;
use herald::content::Extras;
use herald::delivery::outcome::{Cap, Outcome};
use herald::delivery::time::Timestamp;
use herald::provider::http::Http;
use herald::provider::messenger::{Messenger, MessengerAccount};
use herald::provider::{Answer, MAX_ANSWER_BODY, Message, Provider};
use herald::simulator::book::Summary;
use herald::simulator::record::{self, OwnedLine};
use herald::simulator::{Simulator, SimulatorError, SimulatorOptions};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Long enough for a slow machine, short enough to fail a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

/// A running simulator, its record and a client that neither follows redirects nor retries.
struct Stage {
    base_url: String,
    record: PathBuf,
    client: reqwest::Client,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    running: JoinHandle<Result<(), SimulatorError>>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn open(flags: &[&str]) -> Stage {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record.ndjson");
        let base = ["simulator", "--listen", "127.0.0.1:0", "--record", record.to_str().unwrap()];
        let arguments = base.iter().chain(flags);
        let simulator = Simulator::bind(CommandLine::try_parse_from(arguments).unwrap().options).await.unwrap();
        let base_url = format!("http://{}", simulator.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(simulator.run(stopped));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Stage { base_url, record, client, stop: Mutex::new(Some(stop)), running, _folder: folder }
    }

    fn messenger(&self) -> Messenger {
        Messenger::new(MessengerAccount {
            page_id: "1029384756".into(),
            api_version: "v25.0".into(),
            base_url: self.base_url.clone(),
            access_token: SecretString::from("EAAB-test-token"),
            app_secret: Some(SecretString::from("0123456789abcdef")),
        })
        .unwrap()
    }

    fn endpoint(&self) -> Http {
        let channel = serde_json::from_value(serde_json::json!({"url": format!("{}/send", self.base_url)})).unwrap();
        Http::new(&channel, Default::default()).unwrap()
    }

    /// Sends one message; `None` without a complete answer.
    async fn send(&self, provider: &dyn Provider, recipient: &str) -> Option<Outcome> {
        let vars = BTreeMap::new();
        let correlation = format!("b1:{recipient}:1:0");
        let message = Message {
            recipient,
            text: "hi \u{1F600}",
            extras: &Extras::None,
            attachments: &[],
            is_last: true,
            vars: &vars,
            correlation: &correlation,
            id: "msg_1_1",
            at: Timestamp::EPOCH,
        };
        let request = provider.encode(&message).unwrap();
        let mut answer = self.client.execute(request.try_into().unwrap()).await.ok()?;
        let mut body = Vec::new();
        let mut body_truncated = false;
        while let Some(piece) = answer.chunk().await.ok()? {
            let room = MAX_ANSWER_BODY - body.len();
            body_truncated |= piece.len() > room;
            body.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let answer = Answer {
            status: answer.status(),
            headers: answer.headers(),
            body: &body,
            body_truncated,
            received_at: Timestamp::EPOCH,
        };
        Some(provider.classify(&answer))
    }

    async fn summary(&self) -> Summary {
        let url = format!("{}/_simulator/summary", self.base_url);
        serde_json::from_slice(&self.client.get(url).send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    async fn put_settings(&self, settings: Value) -> (u16, String) {
        let url = format!("{}/_simulator/settings", self.base_url);
        let answer = self.client.put(url).body(settings.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn lines(&self) -> Vec<OwnedLine> {
        record::read(&self.record).unwrap()
    }

    fn stop(&self) {
        drop(self.stop.lock().unwrap().take());
    }

    async fn close(self) {
        self.stop();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn both_providers_take_messages_and_each_is_recorded() {
    let stage = Stage::open(&[]).await;
    let outcome = stage.send(&stage.messenger(), "24005550001").await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted { provider_id: Some(_) }), "{outcome:?}");
    let outcome = stage.send(&stage.endpoint(), "24005550002").await.unwrap();
    assert_eq!(outcome, Outcome::Accepted { provider_id: None });

    let lines = stage.lines();
    let shown: Vec<_> = lines
        .iter()
        .map(|line| (&*line.provider, &*line.account, &*line.recipient, line.correlation.as_deref().unwrap()))
        .collect();
    let expected = [
        ("messenger", "1029384756", "24005550001", "b1:24005550001:1:0"),
        ("http", "/send", "24005550002", "b1:24005550002:1:0"),
    ];
    assert_eq!(shown, expected);
    assert!(lines.iter().all(|line| line.accepted && line.status == Some(200) && line.code.is_none()));
    assert!(lines.iter().all(|line| line.text == "hi \u{1F600}"));
    assert!(lines[0].time_ns <= lines[1].time_ns);

    let summary = stage.summary().await;
    assert_eq!((summary.requests, summary.accepted, summary.recipients_accepted), (2, 2, 2));
    assert_eq!(summary.accepted_twice, 0);
    assert_eq!((summary.first_time_ns, summary.last_time_ns), (Some(lines[0].time_ns), Some(lines[1].time_ns)));
    stage.close().await;
}

#[tokio::test]
async fn a_message_taken_twice_shows_in_summary_and_record() {
    let stage = Stage::open(&[]).await;
    for recipient in ["1", "2", "1", "1"] {
        stage.send(&stage.endpoint(), recipient).await.unwrap();
    }
    let summary = stage.summary().await;
    assert_eq!((summary.accepted, summary.recipients_accepted, summary.accepted_twice), (4, 2, 1));
    let lines = stage.lines();
    let twice: Vec<_> = record::accepted_twice(&lines).iter().map(|delivery| delivery.recipient).collect();
    assert_eq!(twice, ["1"]);
    stage.close().await;
}

#[tokio::test]
async fn messenger_without_a_token_answers_190() {
    let stage = Stage::open(&[]).await;
    let url = format!("{}/v25.0/1029384756/messages", stage.base_url);
    let body = json!({"recipient": {"id": "24"}, "messaging_type": "UPDATE", "message": {"text": "hi"}});
    let answer = stage.client.post(url).body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(answer["error"]["code"], 190);
    let lines = stage.lines();
    assert_eq!((lines[0].accepted, lines[0].code.as_deref()), (false, Some("190")));
    stage.close().await;
}

#[tokio::test]
async fn fail_answers_with_the_code_asked_for() {
    let stage = Stage::open(&["--fail", "551=1"]).await;
    let outcome = stage.send(&stage.messenger(), "1").await.unwrap();
    assert!(matches!(&outcome, Outcome::Permanent { fault, .. } if fault.reason == "PersonUnavailable"), "{outcome:?}");

    let class = async |failure: &str| {
        assert_eq!(stage.put_settings(json!({"fail": [failure]})).await.0, 200);
        stage.send(&stage.messenger(), "1").await
    };
    let closed = class("10/2018278=1").await.unwrap();
    assert!(matches!(&closed, Outcome::Permanent { fault, .. } if fault.reason == "WindowClosed"), "{closed:?}");
    assert!(matches!(class("2=1").await, Some(Outcome::Transient { cap: Some(Cap { tries: 3, .. }), .. })));
    assert!(matches!(class("190=1").await, Some(Outcome::Auth { .. })));
    assert!(matches!(class("368=1").await, Some(Outcome::Blocked { .. })));
    assert!(matches!(class("http:500=1").await, Some(Outcome::Unknown { .. })));
    assert!(stage.lines().iter().all(|line| !line.accepted));
    let codes: Vec<_> = stage.lines().iter().map(|line| line.code.as_deref().unwrap().to_owned()).collect();
    assert_eq!(codes, ["551", "10/2018278", "2", "190", "368", "http:500"]);

    assert_eq!(stage.put_settings(json!({"fail": ["http:404=1"]})).await.0, 200);
    assert!(matches!(stage.send(&stage.endpoint(), "1").await, Some(Outcome::Permanent { .. })));
    stage.close().await;
}

#[tokio::test]
async fn broken_answers_leave_the_outcome_unknown_and_the_message_accepted() {
    let stage = Stage::open(&[]).await;
    for (failure, whole_answer) in [("garbage=1", true), ("half-body=1", false), ("huge-body=1", true)] {
        assert_eq!(stage.put_settings(json!({"fail": [failure]})).await.0, 200);
        match stage.send(&stage.messenger(), failure).await {
            Some(Outcome::Unknown { .. }) => assert!(whole_answer, "{failure}"),
            None => assert!(!whole_answer, "{failure}"),
            other => panic!("{failure}: {other:?}"),
        }
    }
    let lines = stage.lines();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.accepted && line.status == Some(200)));
    stage.close().await;
}

#[tokio::test]
async fn a_huge_body_is_as_long_as_it_claims() {
    let stage = Stage::open(&["--fail", "huge-body=1"]).await;
    let url = format!("{}/send", stage.base_url);
    let answer = stage.client.post(url).body(r#"{"id":"1","text":"hi"}"#).send().await.unwrap();
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(body["padding"].as_str().unwrap().len(), 10 * 1024 * 1024);
    stage.close().await;
}

#[tokio::test]
async fn a_redirect_is_not_accepted_and_a_client_that_follows_it_shows_in_the_record() {
    let stage = Stage::open(&["--fail", "redirect=1"]).await;
    assert!(matches!(stage.send(&stage.messenger(), "1").await, Some(Outcome::Unknown { .. })));
    assert_eq!(stage.lines().len(), 1);
    assert_eq!((stage.lines()[0].accepted, stage.lines()[0].status), (false, Some(307)));

    let follower =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(1)).no_proxy().build().unwrap();
    let _ = follower.post(format!("{}/send", stage.base_url)).body(r#"{"id":"1","text":"hi"}"#).send().await;
    let lines = stage.lines();
    assert_eq!(lines.iter().map(|line| &*line.account).collect::<Vec<_>>()[1..], ["/send", "/redirected"]);
    stage.close().await;
}

#[tokio::test]
async fn never_accepts_and_does_not_answer() {
    let stage = Stage::open(&["--fail", "never=1"]).await;
    let endpoint = stage.endpoint();
    let taken = async {
        let begun = Instant::now();
        while stage.lines().is_empty() {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    tokio::select! {
        _ = stage.send(&endpoint, "1") => panic!("there must be no answer"),
        () = taken => {}
    }
    let lines = stage.lines();
    assert_eq!((lines[0].accepted, lines[0].status, lines[0].code.as_deref()), (true, None, Some("never")));
    stage.close().await;
}

#[tokio::test]
async fn slow_dribbles_a_whole_answer() {
    let stage = Stage::open(&["--fail", "slow=1"]).await;
    let begun = Instant::now();
    assert_eq!(stage.send(&stage.endpoint(), "1").await, Some(Outcome::Accepted { provider_id: None }));
    // A lower bound only: seven pauses or more lie between the first and the last piece.
    assert!(begun.elapsed() >= Duration::from_secs(1));
    stage.close().await;
}

#[tokio::test]
async fn drop_closes_the_connection_before_or_after_the_message_is_taken() {
    let stage = Stage::open(&["--drop", "1:before"]).await;
    assert_eq!(stage.send(&stage.messenger(), "1").await, None);
    assert_eq!(stage.put_settings(json!({"drop": "1"})).await.0, 200);
    assert_eq!(stage.send(&stage.messenger(), "2").await, None);
    let lines = stage.lines();
    let shown: Vec<_> =
        lines.iter().map(|line| (&*line.recipient, line.accepted, line.status, line.code.as_deref())).collect();
    assert_eq!(shown, [("1", false, None, Some("drop:before")), ("2", true, None, Some("drop:after"))]);
    assert_eq!(stage.summary().await.accepted, 1);
    stage.close().await;
}

#[tokio::test]
async fn above_the_rate_limit_requests_are_throttled() {
    let stage = Stage::open(&["--rate-limit", "5"]).await;
    let (messenger, endpoint) = (stage.messenger(), stage.endpoint());
    // All within one second, or the limit could not be reached: 20 at once.
    let recipients: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let all = recipients.iter().map(|recipient| stage.send(&messenger, recipient));
    let outcomes: Vec<_> = futures::future::join_all(all).await;
    let lines = stage.lines();
    let accepted = outcomes.iter().filter(|outcome| matches!(outcome, Some(Outcome::Accepted { .. }))).count();
    let throttled = outcomes.iter().filter(|outcome| matches!(outcome, Some(Outcome::Throttled { .. }))).count();
    assert_eq!(accepted + throttled, 20);
    assert!(throttled > 0 && accepted >= 5, "{accepted} accepted, {throttled} throttled");
    for (index, line) in lines.iter().enumerate() {
        let second = |other: &&OwnedLine| line.time_ns - other.time_ns < 1_000_000_000;
        let in_last_second = lines[..=index].iter().filter(second).count();
        assert_eq!(line.accepted, in_last_second <= 5, "request {index}");
    }
    let summary = stage.summary().await;
    assert_eq!(summary.throttled as usize, throttled);
    assert_eq!(summary.worst_second as usize, record::worst_second(&lines));

    let mut wish = None;
    for recipient in &recipients {
        if let Some(Outcome::Throttled { retry_after_ms, .. }) = stage.send(&endpoint, recipient).await {
            wish = retry_after_ms;
        }
    }
    assert_eq!(wish, Some(1_000));
    stage.close().await;
}

#[tokio::test]
async fn latency_delays_the_answer_but_not_the_record() {
    let stage = Stage::open(&["--latency", "400-500"]).await;
    let begun = Instant::now();
    let endpoint = stage.endpoint();
    let sending = stage.send(&endpoint, "1");
    let watching = async {
        while stage.lines().is_empty() {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Instant::now()
    };
    let (outcome, recorded) = tokio::join!(async { (sending.await, Instant::now()) }, watching);
    assert!(matches!(outcome.0, Some(Outcome::Accepted { .. })));
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert!(recorded < outcome.1, "the line must be there before the answer");
    stage.close().await;
}

#[tokio::test]
async fn the_same_seed_fails_the_same_recipients() {
    let failed = async |seed: &str| {
        let stage = Stage::open(&["--fail", "551=0.5", "--seed", seed]).await;
        let messenger = stage.messenger();
        let recipients: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        futures::future::join_all(recipients.iter().map(|recipient| stage.send(&messenger, recipient))).await;
        let mut failed: Vec<String> =
            stage.lines().iter().filter(|line| !line.accepted).map(|line| line.recipient.to_string()).collect();
        failed.sort();
        stage.close().await;
        failed
    };
    let first = failed("1").await;
    assert!(!first.is_empty() && first.len() < 60);
    assert_eq!(first, failed("1").await);
    assert_ne!(first, failed("2").await);
}

#[tokio::test]
async fn settings_change_one_by_one_and_nonsense_is_refused() {
    let stage = Stage::open(&["--latency", "1-2", "--seed", "9"]).await;
    let (status, settings) = stage.put_settings(json!({"rate-limit": 40, "fail": ["613=0.5"]})).await;
    assert_eq!(status, 200);
    let expected = json!({"attachment-seconds": 0, "latency": "1-2", "rate-limit": 40, "fail": ["613=0.5"], "usage": false, "retry-after": "1", "drop": "0:after", "seed": 9});
    assert_eq!(serde_json::from_str::<Value>(&settings).unwrap(), expected);
    for (nonsense, part) in [
        (json!({"rate_limit": 40}), "rate_limit"),
        (json!({"latency": "fast"}), "no latency"),
        (json!({"fail": ["551=2"]}), "no fraction"),
        (json!({"fail": ["551=0.7", "613=0.7"]}), "sum up"),
        (json!([1]), "no JSON object"),
    ] {
        let (status, problem) = stage.put_settings(nonsense).await;
        assert_eq!(status, 400);
        assert!(problem.contains(part), "{problem}");
    }
    let url = format!("{}/_simulator/settings", stage.base_url);
    let now = stage.client.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&now).unwrap(), expected);
    stage.close().await;
}

#[tokio::test]
async fn other_methods_and_control_paths_are_no_messages() {
    let stage = Stage::open(&[]).await;
    let url = |path: &str| format!("{}{path}", stage.base_url);
    assert_eq!(stage.client.get(url("/send")).send().await.unwrap().status(), 405);
    assert_eq!(stage.client.post(url("/_simulator/summary")).send().await.unwrap().status(), 404);
    let long = stage.client.post(url("/send")).body(vec![b'x'; 2 * 1024 * 1024]).send().await;
    assert!(long.is_err() || long.unwrap().status() == 413);
    assert_eq!(stage.summary().await.requests, 0);
    stage.close().await;
}

#[tokio::test]
async fn a_record_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record.ndjson");
    let _ = rustls::crypto::ring::default_provider().install_default();
    for expected in 1..=2 {
        let options = options_with_record(&record);
        let simulator = Simulator::bind(options).await.unwrap();
        let url = format!("http://{}/send", simulator.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(simulator.run(stopped));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.post(url).body(r#"{"id":"1","text":"hi"}"#).send().await.unwrap();
        let _ = stop.send(());
        running.await.unwrap().unwrap();
        assert_eq!(record::read(&record).unwrap().len(), expected);
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_answered_and_ends_the_run() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("skipped: there is no /dev/full here");
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::bind(options_with_record(full)).await.unwrap();
    let url = format!("http://{}/send", simulator.address());
    let running = tokio::spawn(simulator.run(std::future::pending::<()>()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(client.post(url).body(r#"{"id":"1","text":"hi"}"#).send().await.is_err());
    let ended = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert!(matches!(ended, Err(SimulatorError::WriteRecord { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_taken_port_and_an_unwritable_record_are_named() {
    let stage = Stage::open(&[]).await;
    let address = stage.base_url.strip_prefix("http://").unwrap();
    let options = CommandLine::try_parse_from(["simulator", "--listen", address]).unwrap().options;
    let error = Simulator::bind(options).await.err().unwrap();
    assert!(error.to_string().contains(address), "{error}");
    let error = Simulator::bind(options_with_record(Path::new("/nonexistent/record"))).await.err().unwrap();
    assert!(error.to_string().contains("/nonexistent/record"), "{error}");
    stage.close().await;
}

fn options_with_record(record: &Path) -> SimulatorOptions {
    let record = record.to_str().unwrap();
    CommandLine::try_parse_from(["simulator", "--listen", "127.0.0.1:0", "--record", record]).unwrap().options
}

#[tokio::test]
async fn told_to_stop_it_answers_what_it_has_taken_and_waits_for_nobody_who_sends_no_more() {
    let stage = Stage::open(&["--latency", "60000", "--fail", "never=0.3", "--seed", "3"]).await;
    let people: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let provider = stage.endpoint();
    let sends = futures::future::join_all(people.iter().map(|id| stage.send(&provider, id)));
    // A connection on which nothing is asked, and one on which a request stays unfinished.
    let address = stage.base_url.trim_start_matches("http://");
    let _idle = TcpStream::connect(address).await.unwrap();
    let mut unfinished = TcpStream::connect(address).await.unwrap();
    unfinished.write_all(b"POST /send HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{").await.unwrap();
    let began = Instant::now();
    let stopping = async {
        while stage.lines().len() < people.len() {
            assert!(began.elapsed() < PATIENCE, "not everything was taken");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.stop();
    };
    let (answers, ()) = tokio::join!(sends, stopping);
    let answered: BTreeSet<String> =
        people.iter().zip(&answers).filter(|(_, answer)| answer.is_some()).map(|(id, _)| id.clone()).collect();
    let called_answered: BTreeSet<String> =
        stage.lines().iter().filter(|line| line.status.is_some()).map(|line| line.recipient.to_string()).collect();
    assert_eq!(answered, called_answered);
    assert!(answered.len() > 10 && answered.len() < 40, "{} of 40 were to be answered", answered.len());
    stage.close().await;
    assert!(began.elapsed() < Duration::from_secs(60), "the latency was waited for");
}
