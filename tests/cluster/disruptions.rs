//! What is done to the whole cluster, so these run alone: the operator is killed, the API server goes away.

use std::process::Command;
use std::time::Duration;

use super::kubectl::{await_that, kubectl};
use super::stage::{SYSTEM, Stage, operator_pod};

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_operator_may_restart_while_planning_and_while_sending() {
    let stage = Stage::with_channel("operator", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 400, ""));
    let restart = || {
        let pod = operator_pod().unwrap();
        kubectl(&["-n", SYSTEM, "delete", "pod", &pod, "--grace-period=0", "--force"]);
        await_that("another operator is ready", || operator_pod().is_some_and(|now| now != pod));
    };
    restart();
    stage.await_requests(60);
    restart();
    stage.await_end("sale", "Delivered");
    let status = stage.judge("sale", 400);
    assert_eq!(status["recipients"]["sent"], 400, "senders keep what they know: {status}");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn sending_goes_on_while_the_api_server_is_away() {
    let stage = Stage::with_channel("away", &["--latency", "50-100"], 10);
    stage.apply(&stage.broadcast("sale", 600, ""));
    stage.await_requests(60);
    let control = std::env::var("HERALD_TEST_APISERVER").expect("set by make test-cluster");
    let apiserver = |verb: &str| assert!(Command::new(&control).arg(verb).status().unwrap().success());
    apiserver("stop");
    let before = stage.record().len();
    std::thread::sleep(Duration::from_secs(30));
    let during = stage.record().len() - before;
    apiserver("start");
    assert!(during >= 200, "only {during} requests in 30 seconds without an API server");
    await_that("the API server answers", || super::kubectl::kubectl_with("", &["get", "--raw", "/readyz"]).is_ok());
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 600);
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
