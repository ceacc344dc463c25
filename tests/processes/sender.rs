//! A sender pod's process against a ledger and a provider on this machine.

use std::io::Read;
use std::sync::Arc;

use herald::api::channel::ChannelProvider;
use herald::audience::{MaterialError, MaterialKind, Materials};
use herald::content::MessageTemplate;
use herald::delivery::gate::Closed;
use herald::delivery::recipient::RecipientState;
use herald::ledger::{Declaration, Inspect, Ledger, SenderLedger};
use herald::sender::mounts::{Folders, MountedCredentials};
use herald::sender::{Journal, JournalError, Left, PlanSpec, SenderFailure, assembly, planner};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::audience_server::{AudienceServer, Reply};
use super::sender_pod::child;
use super::sender_pod::stage::{self, CANARY, Stage};
use super::unreliable::Unreliable;

pub const RATE: u32 = 200;

pub fn with(mut spec: Value, path: &str, value: Value) -> Value {
    let (parent, member) = path.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[member] = value;
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_plans_sends_and_leaves() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, Stage::to_people(60)).await;
    let left = stage.pod("one").run(&stage.ledger, broadcast).await.unwrap();
    assert_eq!(left, Left::Closed(Closed::Complete));
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.sent, snapshot.counts.total()), (60, 60));
    assert_eq!(stage.requests().len(), 60);
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_are_both_asked_to_plan_make_one_plan_and_share_the_sending() {
    let stage = Stage::open(&[]).await;
    let spec = with(Stage::to_people(160), "/delivery", json!({"senders": 2, "batchSize": 20}));
    let broadcast = stage.declare(RATE, spec).await;
    let (one, other) = (stage.pod("one"), stage.pod("other"));
    let (one, other) = tokio::join!(one.run(&stage.ledger, broadcast), other.run(&stage.ledger, broadcast));
    for left in [one, other] {
        assert_eq!(left.unwrap(), Left::Closed(Closed::Complete));
    }
    assert_eq!(stage.snapshot(broadcast).await.counts.sent, 160);
    assert_eq!(stage.requests().len(), 160);
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_told_and_the_next_process_finds_it() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, Stage::to_people(5)).await;
    let pod = stage.bare_pod("one");
    let left = pod.run(&stage.ledger, broadcast).await.unwrap();
    let told = stage.snapshot(broadcast).await.trouble.expect("a trouble").trouble;
    assert_eq!(left, Left::Trouble(told.clone()));
    assert_eq!(told.reason, "SecretNotFound");
    assert!(told.message.contains("`page`") && told.message.contains("`accessToken`"), "{}", told.message);

    pod.write("credentials/accessToken", &format!("{CANARY}\n{CANARY}"));
    pod.run(&stage.ledger, broadcast).await.unwrap();
    let told = stage.snapshot(broadcast).await.trouble.expect("a trouble").trouble;
    assert_eq!(told.reason, "SecretKeyUnusable");
    assert!(!told.message.contains(CANARY), "{}", told.message);
    assert!(stage.requests().is_empty());

    pod.write("credentials/accessToken", CANARY);
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.trouble, snapshot.counts.sent), (None, 5));
    assert!(!stage::texts(pod.journal().parent().unwrap()).contains(CANARY));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_tried_again_by_the_process_that_has_them_when_the_secret_changes() {
    let stage = Stage::open(&["--fail", "190=1"]).await;
    let broadcast = stage.declare(RATE, Stage::to_people(5)).await;
    let pod = stage.pod("one");
    let process = pod.start(&stage.ledger, broadcast);
    stage.await_that("a refusal", async || stage.snapshot(broadcast).await.stop_message.is_some()).await;
    assert_eq!(stage.requests().len(), 1, "the first refusal stops it");
    stage.settings(&json!({"fail": []})).await;
    pod.write("credentials/accessToken", "another-token");
    assert_eq!(process.await.unwrap().unwrap(), Left::Closed(Closed::Complete));
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.sent, snapshot.stop_message), (5, None));
    assert_eq!(stage.requests().len(), 6);
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_refused_credentials_does_not_stay_for_a_broadcast_that_is_suspended() {
    let stage = Stage::open(&["--fail", "190=1"]).await;
    let broadcast = stage.declare(RATE, Stage::to_people(5)).await;
    let process = stage.pod("one").start(&stage.ledger, broadcast);
    stage.await_that("a refusal", async || stage.snapshot(broadcast).await.stop_message.is_some()).await;
    let suspended = with(Stage::to_people(5), "/suspend", json!(true));
    stage.ledger.declare(&stage.declaration(2, RATE, suspended)).await.unwrap();
    assert_eq!(process.await.unwrap().unwrap(), Left::Closed(Closed::CredentialsInvalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn those_whom_another_broadcast_failed_to_reach_are_planned_once_that_has_ended() {
    let stage = Stage::open(&["--fail", "551=1"]).await;
    let first = stage.declare(RATE, Stage::to_people(5)).await;
    let spec = json!({
        "channelRef": {"name": "page"},
        "content": {"text": "Again"},
        "audience": {"sources": [{"name": "missed", "broadcast": {"name": "sale", "outcomes": ["Failed"]}}]},
    });
    let another = |text: &str| text.to_owned();
    let again = stage.declaration(1, RATE, spec);
    let (name, idempotency_key, owner_uid) = (another("again"), another("again"), another("uid-2"));
    let again = Declaration { name, idempotency_key, owner_uid, ..again };
    let again = stage.ledger.declare(&again).await.unwrap().id;
    let pod = stage.pod("two");
    pod.run(&stage.ledger, again).await.unwrap();
    let told = stage.snapshot(again).await.trouble.expect("a trouble").trouble;
    assert_eq!(told.reason, "AudienceUnfinished");
    assert!(told.message.contains("`sale`"), "{}", told.message);

    stage.pod("one").run(&stage.ledger, first).await.unwrap();
    assert_eq!(stage.snapshot(first).await.counts.failed, 5);
    stage.settings(&json!({"fail": []})).await;
    assert_eq!(pod.run(&stage.ledger, again).await.unwrap(), Left::Closed(Closed::Complete));
    let snapshot = stage.snapshot(again).await;
    assert_eq!((snapshot.counts.sent, snapshot.trouble), (5, None));
    stage.judge(again).await;
}

fn to_list(text: &str) -> Value {
    json!({
        "channelRef": {"name": "page"},
        "content": {"text": text},
        "audience": {
            "sources": [
                {"name": "people", "configMapKeyRef": {"name": "list", "key": "people.csv"}},
                {"name": "more", "secretKeyRef": {"name": "list", "key": "more.ndjson"}},
            ],
            "exclude": {"sources": [{"name": "out", "configMapKeyRef": {"name": "out", "key": "ids.csv"}}]},
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audience_is_read_from_what_the_pod_mounts() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, to_list("Hi {{ name }}")).await;
    let pod = stage.pod("one");
    pod.write("audience/configmap/list/people.csv", "id,name\nana,Ana\nben,Ben\n");
    pod.write(
        "audience/secret/list/more.ndjson",
        "{\"id\": \"cem\", \"name\": \"Cem\"}\n{\"id\": \"ana\", \"name\": \"A\"}\n",
    );
    pod.write("audience/configmap/out/ids.csv", "id\nben\n");
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let mut reached: Vec<String> = stage.requests().iter().map(|line| line.recipient.to_string()).collect();
    reached.sort();
    assert_eq!(reached, ["ana", "cem"]);
    let plan = stage.snapshot(broadcast).await.plan.unwrap();
    assert_eq!((plan.planned, plan.duplicates, plan.excluded), (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_and_a_database_are_read_with_the_secrets_of_the_pod_once_they_are_there() {
    let stage = Stage::open(&[]).await;
    let crm = AudienceServer::start(|request| match request.authorization.as_str() {
        "Bearer hunter2" => Reply::csv("id\nana\nben\n".to_owned()),
        _ => Reply::status("401 Unauthorized"),
    });
    let http = json!({"url": format!("{}/people", crm.url), "headersSecretRef": {"name": "crm"}});
    let query = "with some as (select 'cem' as id union all select 'ana') select id from some order by id desc";
    let sql = json!({"urlSecretKeyRef": {"name": "crm-db", "key": "url"}, "query": query});
    let sources = json!([{"name": "crm", "http": http}, {"name": "db", "sql": sql}]);
    let spec = json!({"channelRef": {"name": "page"}, "content": {"text": "Hi"}, "audience": {"sources": sources}});
    let broadcast = stage.declare(RATE, spec).await;
    let pod = stage.pod("one");
    let told = async |reason: &str, part: &str| {
        pod.run(&stage.ledger, broadcast).await.unwrap();
        let told = stage.snapshot(broadcast).await.trouble.expect("a trouble").trouble;
        assert_eq!(told.reason, reason, "{}", told.message);
        assert!(told.message.contains(part) && !told.message.contains("hunter2"), "{}", told.message);
    };
    told("SecretNotFound", "kubectl create secret generic crm --from-file=allowedHosts").await;
    assert_eq!(crm.requests(), 0);
    pod.write("audience/secret/crm/Authorization", "Bearer hunter2\n");
    told("SecretKeyNotFound", "the Secret \"crm\" has no key \"allowedHosts\"").await;
    pod.write("audience/secret/crm/allowedHosts", "crm.example");
    told("SourceNotAllowed", "the Secret \"crm\" does not allow").await;
    assert_eq!(crm.requests(), 0);
    pod.write("audience/secret/crm/allowedHosts", crm.address());
    told("SecretNotFound", "kubectl create secret generic crm-db --from-file=url").await;
    let database = stage.folder.path().join("crm.sqlite");
    std::fs::write(&database, "").unwrap();
    pod.write("audience/secret/crm-db/url", &format!("sqlite:{}", database.display()));
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let mut reached: Vec<String> = stage.requests().iter().map(|line| line.recipient.to_string()).collect();
    reached.sort();
    assert_eq!(reached, ["ana", "ben", "cem"]);
    assert_eq!(stage.snapshot(broadcast).await.plan.unwrap().duplicates, 1);
}

/// More than is read of a page before rows of it are taken.
fn long_list() -> String {
    let filler = "x".repeat(1_000);
    std::iter::once("id,filler\n".to_owned()).chain((0..5_000).map(|id| format!("{id},{filler}\n"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_breaks_off_is_read_again_from_its_beginning_a_few_times() {
    let list = long_list();
    let spec = |url: &str| {
        let sources = json!([{"name": "crm", "http": {"url": format!("{url}/people.csv")}}]);
        json!({"channelRef": {"name": "page"}, "content": {"text": "Hi"}, "audience": {"sources": sources}})
    };
    let stage = Stage::open(&[]).await;
    let broken = list.clone();
    let crm = AudienceServer::start(move |request| match request.number {
        0 | 1 => Reply::csv(broken.clone()).broken_off(),
        _ => Reply::csv("id\nana\nben\n".to_owned()),
    });
    let broadcast = stage.declare(RATE, spec(&crm.url)).await;
    assert_eq!(stage.pod("one").run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.trouble, snapshot.plan.unwrap().planned, snapshot.counts.sent), (None, 2, 2));
    assert_eq!(crm.requests(), 3);

    let stage = Stage::open(&[]).await;
    let crm = AudienceServer::start(move |_| Reply::csv(list.clone()).broken_off());
    let broadcast = stage.declare(RATE, spec(&crm.url)).await;
    stage.pod("two").run(&stage.ledger, broadcast).await.unwrap();
    let snapshot = stage.snapshot(broadcast).await;
    let told = snapshot.trouble.expect("a trouble").trouble;
    assert!(told.message.contains("broke off"), "{}", told.message);
    assert_eq!((snapshot.plan, snapshot.planning, crm.requests()), (None, false, 3));
    assert!(stage.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_plan_is_told_with_its_text_and_nobody_is_kept_waiting_for_it() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, to_list("Hi {{ name }}")).await;
    let pod = stage.pod("one");
    pod.write("audience/configmap/out/ids.csv", "id\n");
    pod.run(&stage.ledger, broadcast).await.unwrap();
    let snapshot = stage.snapshot(broadcast).await;
    let told = snapshot.trouble.expect("a trouble").trouble;
    assert_eq!(told.reason, "AudienceUnreadable");
    assert!(told.message.contains("kubectl create configmap list --from-file=people.csv"), "{}", told.message);

    pod.write("audience/configmap/list/people.csv", "id,name\nana,Ana\nben,\n");
    pod.write("audience/secret/list/more.ndjson", "");
    let left = pod.run(&stage.ledger, broadcast).await.unwrap();
    assert!(!left.to_string().contains('\n'), "{left}");
    let snapshot = stage.snapshot(broadcast).await;
    let told = snapshot.trouble.expect("a trouble").trouble;
    assert_eq!(told.reason, "MessageInvalid");
    assert!(told.message.contains("`name`") && told.message.contains("list/people.csv line 3"), "{}", told.message);
    assert_eq!((snapshot.plan, snapshot.planning), (None, false));
    assert!(stage.requests().is_empty());
}

/// A quiet period of some hours.
fn around_now() -> Value {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let hour = |hours: u64| format!("{:02}:00", (now / 3_600 + hours) % 24);
    json!({"start": hour(23), "end": hour(3), "timeZone": "UTC"})
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_send_now_plans_and_leaves() {
    let stage = Stage::open(&[]).await;
    let later = "2999-01-01T00:00:00Z";
    let cases = [
        (with(Stage::to_people(3), "/suspend", json!(true)), Left::Closed(Closed::Suspended)),
        (with(Stage::to_people(4), "/schedule", json!({"startTime": later})), Left::Idle),
        (with(Stage::to_people(5), "/schedule", json!({"quietHours": [around_now()]})), Left::Idle),
    ];
    let pod = stage.pod("one");
    for (key, (spec, expected)) in ["suspended", "later", "quiet"].into_iter().zip(cases) {
        let broadcast = stage.declare(RATE, with(spec, "/idempotencyKey", json!(key))).await;
        assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), expected);
        let snapshot = stage.snapshot(broadcast).await;
        assert_eq!(snapshot.plan.unwrap().planned as i64, snapshot.counts.pending);
        assert_eq!(snapshot.lease_until, None);
    }
    assert!(stage.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_that_has_ended_or_belongs_to_nobody_is_left_alone() {
    let stage = Stage::open(&[]).await;
    let pod = stage.pod("one");
    let cancelled = with(Stage::to_people(3), "/cancel", json!(true));
    let cancelled = stage.declare(RATE, with(cancelled, "/idempotencyKey", json!("cancelled"))).await;
    assert_eq!(pod.run(&stage.ledger, cancelled).await.unwrap(), Left::Closed(Closed::Cancelled));
    let released = stage.declare(RATE, with(Stage::to_people(3), "/idempotencyKey", json!("released"))).await;
    stage.ledger.release("uid-1", 1).await.unwrap();
    assert_eq!(pod.run(&stage.ledger, released).await.unwrap(), Left::Closed(Closed::Released));
    let gone = herald::ledger::BroadcastId(released.0 + 1);
    assert_eq!(pod.run(&stage.ledger, gone).await.unwrap(), Left::Gone);
    assert!(stage.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_finishes_what_it_began_and_records_it() {
    let stage = Stage::open(&["--latency", "200"]).await;
    let broadcast = stage.declare(50, Stage::to_people(400)).await;
    let (stop, stopped) = watch::channel(false);
    let process = stage.pod("one").start_until(&stage.ledger, broadcast, stopped);
    stage.await_requests(10).await;
    stop.send_replace(true);
    assert_eq!(process.await.unwrap().unwrap(), Left::Stopped);
    let counts = stage.snapshot(broadcast).await.counts;
    assert_eq!((counts.inflight, counts.unknown), (0, 0));
    assert_eq!(counts.sent, stage.requests().len() as i64);
    assert!(counts.pending > 0);
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_it_plans_it_gives_the_plan_up() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, to_list("Hello")).await;
    let pod = stage.pod("one");
    pod.write("audience/configmap/out/ids.csv", "id\n");
    // Read from a pipe, the plan stands still until somebody writes.
    let pipe = pod.root.join("var/run/herald/audience/configmap/list/people.csv");
    std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (stop, stopped) = watch::channel(false);
    let process = pod.start_until(&stage.ledger, broadcast, stopped);
    // Opens once the planner reads.
    let writer = tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(pipe).unwrap());
    let writer = writer.await.unwrap();
    assert!(stage.snapshot(broadcast).await.planning);
    stop.send_replace(true);
    assert_eq!(process.await.unwrap().unwrap(), Left::Stopped);
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.planning, snapshot.plan), (false, None));
    // The reader's thread ends with the pipe.
    drop(writer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_rate_is_waited_for() {
    let stage = Stage::open(&[]).await;
    let slow = with(Stage::to_people(2), "/delivery", json!({"rate": {"messages": 1, "periodSeconds": 600}}));
    let broadcast = stage.declare(RATE, slow).await;
    let (stop, stopped) = watch::channel(false);
    let process = stage.pod("one").start_until(&stage.ledger, broadcast, stopped);
    stage.await_that("the first message", async || stage.snapshot(broadcast).await.counts.sent == 1).await;
    // Long enough to be told that the next slot is ten minutes away.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!process.is_finished());
    stop.send_replace(true);
    assert_eq!(process.await.unwrap().unwrap(), Left::Stopped);
}

struct Broken;

impl Materials for Broken {
    fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
        Ok(Vec::new())
    }

    fn open(&self, _: MaterialKind, _: &str, _: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                panic!("a fault, on purpose")
            }
        }
        Ok(Box::new(b"id\nana\n".chain(Panics)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_panics_is_not_taken_for_the_end_of_the_audience() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, to_list("Hello")).await;
    let brief = stage.ledger.brief(broadcast).await.unwrap();
    let pod = stage.pod("one");
    let folders = Folders::of_pod(&pod.root);
    let (folder, namespace) = (folders.credentials.as_path(), "default");
    let credentials = MountedCredentials { folder, secret: Some("page"), is_whole: true, namespace };
    let spec = PlanSpec {
        sources: assembly::included(&brief.orders.audience),
        exclude: Vec::new(),
        suppressed: Vec::new(),
        materials: Arc::new(Broken),
        template: Arc::new(MessageTemplate::compile(&brief.content, ChannelProvider::Messenger).unwrap()),
        provider: assembly::provider(&brief.orders.channel, &credentials).unwrap(),
    };
    let (_stop, stopped) = watch::channel(false);
    let error = planner::plan(stage.ledger.as_ref(), broadcast, spec, &stopped).await.unwrap_err();
    assert_eq!(error.reason(), "PlannerFailed");
    assert_eq!(stage.snapshot(broadcast).await.plan, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_often_does_not_answer_is_asked_again() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, Stage::to_people(40)).await;
    let ledger = Arc::new(Unreliable::new(stage.ledger.clone()));
    let left = stage.pod("one").run(&ledger, broadcast).await.unwrap();
    assert_eq!(left, Left::Closed(Closed::Complete));
    assert!(ledger.failures() > 5, "{} failures", ledger.failures());
    assert_eq!(stage.requests().len(), 40);
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_journal_nothing_is_sent() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, Stage::to_people(3)).await;
    let pod = stage.pod("one");
    let held = Journal::open(&pod.journal()).unwrap();
    let failure = pod.run(&stage.ledger, broadcast).await.unwrap_err();
    assert!(matches!(failure, SenderFailure::Journal(JournalError::Locked { .. })), "{failure}");
    drop(held);
    std::fs::remove_dir_all(pod.journal().parent().unwrap()).unwrap();
    let failure = pod.run(&stage.ledger, broadcast).await.unwrap_err();
    assert!(matches!(failure, SenderFailure::Journal(JournalError::Io { .. })), "{failure}");
    assert!(stage.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_starts_again_knows_that_the_ledger_lost_commits() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(RATE, Stage::to_people(30)).await;
    let pod = stage.pod("one");
    let (stop, stopped) = watch::channel(false);
    let process = pod.start_until(&stage.ledger, broadcast, stopped);
    stage.await_requests(5).await;
    stop.send(true).unwrap();
    process.await.unwrap().unwrap();
    let asked = stage.requests().len();
    // The ledger of a moment ago: what this pod was told since is not in it.
    let known = stage.snapshot(broadcast).await.revision + 10;
    Journal::open(&pod.journal()).unwrap().0.learned(broadcast, known).unwrap();
    let left = pod.run(&stage.ledger, broadcast).await.unwrap();
    assert_eq!(left, Left::Closed(Closed::LedgerRegressed));
    assert_eq!(stage.requests().len(), asked);
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_sends_the_next_in_its_pod_makes_unknown_only_what_was_on_the_wire() {
    let stage = Stage::open(&["--latency", "100"]).await;
    let broadcast = stage.declare(100, Stage::to_people(400)).await;
    let pod = stage.pod("one");
    let api = child::serve(&stage, broadcast, &pod).await;
    let mut process = api.start(&pod);
    stage.await_requests(30).await;
    process.kill();
    let left = std::fs::read_to_string(pod.journal()).unwrap();
    let on_the_wire = child::open_flights(&left);
    let ended = api.start(&pod).wait().await;
    assert_eq!((ended.code, ended.last_line.as_str()), (Some(0), "the broadcast takes nobody now: Complete"));
    let rows = stage.ledger.deliveries(broadcast, 0, u32::MAX).await.unwrap();
    let unknown: Vec<(i64, u32)> =
        rows.iter().filter(|row| row.state == RecipientState::Unknown).map(|row| (row.seq, row.attempt)).collect();
    assert_eq!(unknown, on_the_wire);
    let counts = stage.snapshot(broadcast).await.counts;
    assert_eq!(counts.sent + counts.unknown, 400);
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_drains_at_sigterm_and_says_last_why_it_ended() {
    let stage = Stage::open(&["--latency", "100"]).await;
    let broadcast = stage.declare(50, Stage::to_people(300)).await;
    let pod = stage.pod("one");
    let api = child::serve(&stage, broadcast, &pod).await;
    let process = api.start(&pod);
    stage.await_requests(10).await;
    process.terminate();
    let ended = process.wait().await;
    assert_eq!((ended.code, ended.last_line.as_str()), (Some(0), "stopped; everything is recorded"));
    let counts = stage.snapshot(broadcast).await.counts;
    assert_eq!((counts.inflight, counts.unknown, counts.sent), (0, 0, stage.requests().len() as i64));
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_fails_only_where_another_start_may_mend_it() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.declare(50, Stage::to_people(3)).await;
    let pod = stage.bare_pod("one");
    let api = child::serve(&stage, broadcast, &pod).await;
    let ended = api.start(&pod).wait().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.last_line.starts_with("SecretNotFound: there is no Secret `page`"), "{}", ended.last_line);
    std::fs::remove_dir_all(pod.journal().parent().unwrap()).unwrap();
    let ended = api.start(&pod).wait().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.last_line.starts_with("error: failed to lock the flight journal"), "{}", ended.last_line);
}
