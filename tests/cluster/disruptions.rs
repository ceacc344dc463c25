//! What is done to the whole cluster, so these run alone: the operator is killed or sent away, the API server goes away.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;

use super::judge::{instant, now_ns};
use super::kubectl::{await_that, find, kubectl, kubectl_with, list};
use super::lives::{kill_process_of, restarts};
use super::notifications::{SECRET, hook, receiver, telling};
use super::stage::{OPERATOR_PODS, SYSTEM, Stage, operator_pod};

/// Ends the operator's process as a crash would; its container starts again in place.
fn kill_the_operator() {
    let pod = operator_pod().unwrap();
    let before = restarts(SYSTEM, &pod);
    kill_process_of(SYSTEM, &pod);
    await_that("the operator's container runs again", || restarts(SYSTEM, &pod) > before);
    await_that("the operator is ready again", || operator_pod().is_some());
}

fn replace_the_operators_pod() {
    let pod = operator_pod().unwrap();
    kubectl(&["-n", SYSTEM, "delete", "pod", &pod, "--grace-period=0", "--force"]);
    await_that("another operator is ready", || operator_pod().is_some_and(|now| now != pod));
}

fn while_the_operator_is_away(work: impl FnOnce()) {
    kubectl(&["-n", SYSTEM, "scale", "deployment/herald", "--replicas=0"]);
    await_that("the operator is gone", || list(SYSTEM, "pods", OPERATOR_PODS).is_empty());
    work();
    kubectl(&["-n", SYSTEM, "scale", "deployment/herald", "--replicas=1"]);
    await_that("the operator is back", || operator_pod().is_some());
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_operator_may_be_killed_and_replaced_while_sending() {
    let stage = Stage::with_channel("operator", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 400, ""));
    replace_the_operators_pod();
    stage.await_requests(60);
    kill_the_operator();
    stage.await_end("sale", "Delivered");
    let status = stage.judge("sale", 400);
    assert_eq!(status["recipients"]["sent"], 400, "senders keep what they know: {status}");
}

/// Two ConfigMaps that between them hold a list which takes seconds to plan. Created, as `apply` would keep a copy in an
/// annotation, which is too small.
fn create_large_list(stage: &Stage, people: usize) -> String {
    let sources = [0, 1].map(|number| {
        let half = number * people / 2..(number + 1) * people / 2;
        let csv: String = half.map(|id| format!("sale-{id}\\n")).collect();
        let map = format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"people-{number}\"}}, \
             \"data\": {{\"people.csv\": \"id\\n{csv}\"}}}}"
        );
        kubectl_with(&map, &["-n", &stage.namespace, "create", "-f", "-"]).unwrap();
        format!("{{name: people-{number}, configMapKeyRef: {{name: people-{number}, key: people.csv}}}}")
    });
    sources.join(", ")
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_operator_may_be_killed_while_a_large_list_is_planned() {
    const PEOPLE: usize = 160_000;
    let stage = Stage::with_channel("planning", &["--latency", "50-100"], 50);
    let sources = create_large_list(&stage, PEOPLE);
    stage.apply(&format!(
        "{{apiVersion: herald.dev/v1alpha1, kind: BroadcastMessage, metadata: {{name: sale}}, spec: {{channelRef: \
         {{name: page}}, content: {{text: \"Hello\"}}, delivery: {{batchSize: 20000}}, audience: {{sources: [{sources}]}}}}}}"
    ));
    await_that("it is being planned", || stage.status("sale")["state"] == "Planning");
    stage.assert_verdict("sale", "InProgress");
    let killed = now_ns();
    kill_the_operator();
    stage.await_requests(100);
    let sealed = stage.status("sale")["plan"]["sealedTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(sealed.as_nanosecond() > i128::from(killed), "it was killed in the middle of planning: {sealed}");
    assert_eq!(stage.count("sale", "planned"), PEOPLE as i64);
    stage.patch("broadcastmessage", "sale", r#"{"cancel": true}"#);
    stage.await_end("sale", "Cancelled");
    stage.judge("sale", PEOPLE as i64);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn what_is_done_while_the_operator_is_away_is_judged_when_it_is_back() {
    let stage = Stage::with_channel("absent", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("edited", 20, ""));
    stage.await_end("edited", "Delivered");
    stage.apply(&stage.broadcast("deleted", 300, ""));
    stage.await_requests(60);
    let pod = stage.await_sender_pod("deleted");
    let deleted = find(&stage.namespace, "broadcastmessage", "deleted").unwrap();
    let namespace = stage.namespace.as_str();
    while_the_operator_is_away(|| {
        // Its Job and its pod are left to themselves, so that somebody is there who would send.
        kubectl(&["-n", namespace, "delete", "broadcastmessage", "deleted", "--cascade=orphan", "--timeout=60s"]);
        // The lock on what has been sent stands in the status, and a status can be wiped.
        let wipe = r#"[{"op": "remove", "path": "/status/firstAttemptTime"}]"#;
        kubectl(&[
            "-n",
            namespace,
            "patch",
            "broadcastmessage",
            "edited",
            "--subresource=status",
            "--type=json",
            "-p",
            wipe,
        ]);
        stage.apply(&stage.broadcast("edited", 20, "").replace("Hello", "Good day"));
    });
    let before = stage.record().len();
    await_that("the sender of the deleted broadcast is sent home", || {
        let pod = find(namespace, "pod", &pod).expect("nobody has deleted it");
        let container = &pod["status"]["containerStatuses"][0];
        ["state", "lastState"].iter().any(|state| container[state]["terminated"].is_object())
    });
    // Who asks is refused already because the object is gone; that the gate is closed as well, only the operator tells.
    let operator = kubectl(&["-n", SYSTEM, "logs", "-l", OPERATOR_PODS, "--tail=-1"]);
    assert!(
        operator.contains(&format!("nothing more of it is sent\",\"uid\":{}", deleted["metadata"]["uid"])),
        "{operator}"
    );
    let message = stage.await_condition("edited", "Stalled", "KeyReused");
    assert!(message.contains("idempotencyKey"), "{message}");
    assert_eq!(stage.record().len(), before, "neither sends anything");
    assert!(before < 320, "it was stopped half way");
    kubectl(&["-n", namespace, "delete", "messagebatches,jobs", "--all"]);
    stage.apply(&stage.broadcast("deleted", 300, ""));
    await_that("the end", || stage.count("deleted", "planned") == 300 && stage.count("deleted", "pending") == 0);
    stage.judge("deleted", 300);
}

/// Long enough to plan, and to send the operator away.
const UNTIL_THE_START: Duration = Duration::from_secs(25);

/// With the operator goes the ledger API, so nobody is asked for anything while it is away.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_start_that_passes_while_nobody_is_there_is_made_up_for_unless_it_is_too_late_by_then() {
    const TOO_LATE_AFTER: Duration = Duration::from_secs(1);
    let stage = Stage::with_channel("start", &[], 50);
    let receiver = receiver(&Arc::new(AtomicU16::new(200)));
    stage.apply(&hook());
    let start_ns = now_ns() + UNTIL_THE_START.as_nanos() as u64;
    for (name, deadline) in [("late", 3_600), ("missed", TOO_LATE_AFTER.as_secs())] {
        let (start, telling) = (instant(start_ns), telling(&receiver));
        let schedule = format!(", schedule: {{startTime: \"{start}\", startingDeadlineSeconds: {deadline}}}{telling}");
        stage.apply(&stage.broadcast(name, 20, &schedule));
    }
    for name in ["late", "missed"] {
        await_that("it is planned, and waits", || {
            let status = stage.status(name);
            status["state"] == "Scheduled" && status["recipients"]["planned"] == 20
        });
    }
    let (mut away_ns, mut sent) = (0, 0);
    while_the_operator_is_away(|| {
        away_ns = now_ns();
        let over_ns = start_ns + (TOO_LATE_AFTER + Duration::from_secs(2)).as_nanos() as u64;
        std::thread::sleep(Duration::from_nanos(over_ns.saturating_sub(now_ns())));
        sent = stage.record().len();
    });
    assert!(away_ns < start_ns, "the operator was there when it was to begin: {UNTIL_THE_START:?} are too few");
    assert_eq!(sent, 0, "nobody was there who gives recipients away");
    stage.await_end("late", "Delivered");
    let status = stage.judge("late", 20);
    assert_eq!(status["recipients"]["sent"], 20, "{status}");
    stage.await_end("missed", "Missed");
    let status = stage.judge("missed", 20);
    assert_eq!(status["recipients"]["skipped"], 20, "{status}");
    let record = stage.record();
    assert!(record.iter().all(|line| line.recipient.starts_with("late-")), "nothing is sent of what was missed");

    let ends = || {
        let finished = receiver.taken().into_iter().filter(|told| told.json()["type"] == "BroadcastFinished");
        let mut ends: Vec<(String, String)> = finished
            .map(|told| {
                assert!(told.is_signed_by(SECRET));
                let word = |field: &str| told.json()["data"][field].as_str().unwrap_or_default().to_owned();
                (word("name"), word("reason"))
            })
            .collect();
        ends.sort();
        ends
    };
    await_that("both ends are told", || ends().len() == 2);
    let told = |name: &str, reason: &str| (name.to_owned(), reason.to_owned());
    assert_eq!(ends(), [told("late", "Delivered"), told("missed", "Missed")]);
}

/// Senders of a start come 20 seconds before it: so many more are there to plan, to send those senders home, and to stop the
/// API server.
const UNTIL_THE_START_WITHOUT: Duration = Duration::from_secs(55);
const HEAD_START: Duration = Duration::from_secs(20);

/// Three broadcasts of 20 that begin at an instant: one keeps the sender that has planned it, two have none by then, and for one
/// of those it is soon too late.
fn schedule_three(stage: &Stage, start_ns: u64) {
    for (name, deadline) in [("ready", 3_600), ("late", 3_600), ("missed", 1)] {
        let start = instant(start_ns);
        let schedule = format!(", schedule: {{startTime: \"{start}\", startingDeadlineSeconds: {deadline}}}");
        stage.apply(&stage.broadcast(name, 20, &schedule));
    }
}

fn send_those_who_wait_home(stage: &Stage) {
    for name in ["ready", "late", "missed"] {
        await_that("it is planned, and waits", || {
            let status = stage.status(name);
            status["state"] == "Scheduled" && status["recipients"]["planned"] == 20
        });
    }
    for name in ["late", "missed"] {
        let own = format!("herald.dev/broadcast={name}");
        kubectl(&["-n", &stage.namespace, "delete", "jobs", "-l", &own, "--cascade=foreground", "--timeout=60s"]);
        assert_eq!(stage.sender_pods(name), Vec::<String>::new(), "nobody is there before the start is near");
    }
}

/// Last by its name: afterwards the kubelet may take a minute until it starts pods, and no other test should wait for that.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn without_an_api_server_sending_goes_on_and_starts_are_kept_or_made_up_for() {
    let stage = Stage::with_channel("away", &["--latency", "50-100"], 10);
    let start_ns = now_ns() + UNTIL_THE_START_WITHOUT.as_nanos() as u64;
    stage.apply(&stage.broadcast("sale", 700, ""));
    schedule_three(&stage, start_ns);
    send_those_who_wait_home(&stage);
    stage.await_requests(60);
    stage.await_sender_pod("ready");
    // Of 300 that fit into the time: as many as are asked for where the API server is there.
    const LEAST: usize = 255;
    let control = std::env::var("HERALD_TEST_APISERVER").expect("set by make test-cluster");
    let apiserver = |verb: &str| assert!(Command::new(&control).arg(verb).status().unwrap().success());
    apiserver("stop");
    let head_start_ns = start_ns - HEAD_START.as_nanos() as u64;
    assert!(now_ns() < head_start_ns, "senders were started for the start: {UNTIL_THE_START_WITHOUT:?} are too few");
    let before = stage.record().len();
    std::thread::sleep(Duration::from_secs(30));
    let during = stage.record().len() - before;
    println!("{during} requests in 30 seconds without an API server");
    let over_ns = start_ns + Duration::from_secs(5).as_nanos() as u64;
    std::thread::sleep(Duration::from_nanos(over_ns.saturating_sub(now_ns())));
    let sent = stage.record();
    apiserver("start");
    assert!(during >= LEAST, "only {during} requests in 30 seconds without an API server");
    let of = |name: &str| sent.iter().filter(|line| line.recipient.starts_with(name)).collect::<Vec<_>>();
    assert!(!of("ready-").is_empty(), "a sender that waits begins without an API server");
    assert!(of("ready-").iter().all(|line| line.time_ns >= start_ns), "and not before its time");
    assert_eq!((of("late-").len(), of("missed-").len()), (0, 0), "nobody is there who would send");
    await_that("the API server answers", || super::kubectl::kubectl_with("", &["get", "--raw", "/readyz"]).is_ok());
    for (name, people) in [("ready", 20), ("late", 20), ("sale", 700)] {
        stage.await_end(name, "Delivered");
        let status = stage.judge(name, people);
        assert_eq!(status["recipients"]["sent"], people, "{status}");
    }
    stage.await_end("missed", "Missed");
    let status = stage.judge("missed", 20);
    assert_eq!(status["recipients"]["skipped"], 20, "{status}");
    assert!(
        stage.record().iter().all(|line| !line.recipient.starts_with("missed-")),
        "nothing is sent of what was missed"
    );
}

/// Upgrades the release so that senders are made of another image; the operator restarts for it.
fn make_senders_of(image: &str) {
    let before = operator_pod().unwrap();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/herald");
    let image = format!("sender.image={image}");
    let upgrade = ["upgrade", "herald", chart, "--namespace", SYSTEM, "--reuse-values", "--set", &image];
    let output = Command::new("helm").args(upgrade).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    await_that("the new operator is ready", || operator_pod().is_some_and(|now| now != before));
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn an_image_that_nobody_has_is_told_and_sending_begins_once_it_is_right() {
    let stage = Stage::with_channel("image", &[], 50);
    make_senders_of("localhost/herald:of-nobody");
    stage.apply(&stage.broadcast("sale", 20, ""));
    let message = stage.await_condition("sale", "Stalled", "SenderNotStarting");
    assert!(message.contains("localhost/herald:of-nobody"), "{message}");
    make_senders_of("");
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 20);
}
