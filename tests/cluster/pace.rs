//! The rate, over senders and broadcasts, and while it changes.

use std::time::Duration;

use herald::simulator::record::worst_window;

use super::kubectl::await_that;
use super::stage::Stage;

/// For an edit to reach the operator, and the slots given away before it to pass.
const TO_TAKE_EFFECT: Duration = Duration::from_secs(4);

/// Pods and this process share a machine that may be busy: a window is judged with half a second more. Twice the rate,
/// which is what senders would reach that do not share, is far above it.
fn most_in_ten_seconds(rate: u32) -> usize {
    (f64::from(rate) * 10.5) as usize + 1
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn two_broadcasts_on_one_channel_share_its_rate() {
    let stage = Stage::with_channel("share", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("one", 300, ""));
    stage.apply(&stage.broadcast("two", 300, ""));
    stage.await_end("one", "Delivered");
    stage.await_end("two", "Delivered");
    stage.judge("one", 300);
    stage.judge("two", 300);
    let worst = worst_window(&stage.record(), Duration::from_secs(10));
    assert!(worst <= most_in_ten_seconds(20), "{worst} requests in ten seconds");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn two_senders_share_the_rate_and_may_become_more_or_fewer() {
    let stage = Stage::with_channel("senders", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 700, ", delivery: {senders: 2}"));
    await_that("two senders", || stage.sender_pods("sale").len() == 2);
    stage.await_requests(60);
    stage.patch("broadcastmessage", "sale", r#"{"delivery": {"senders": 3}}"#);
    await_that("three senders", || stage.sender_pods("sale").len() == 3);
    stage.patch("broadcastmessage", "sale", r#"{"delivery": {"senders": 1}}"#);
    await_that("one sender", || stage.sender_pods("sale").len() == 1);
    stage.await_end("sale", "Delivered");
    let status = stage.judge("sale", 700);
    assert_eq!(status["recipients"]["sent"], 700, "who left had recorded everything: {status}");
    let worst = worst_window(&stage.record(), Duration::from_secs(10));
    assert!(worst <= most_in_ten_seconds(20), "{worst} requests in ten seconds");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_rate_that_is_doubled_and_halved_while_sending_applies_at_once() {
    let stage = Stage::with_channel("rate", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 900, ""));
    stage.await_requests(100);
    let first = worst_window(&stage.record(), Duration::from_secs(10));
    assert!(first <= most_in_ten_seconds(20), "{first} requests in ten seconds");
    stage.patch("messagechannel", "page", r#"{"rate": {"messages": 40}}"#);
    stage.await_requests(550);
    let doubled = worst_window(&stage.record(), Duration::from_secs(10));
    assert!(doubled > most_in_ten_seconds(20), "only {doubled} requests in ten seconds after the rate was doubled");
    assert!(doubled <= most_in_ten_seconds(40), "{doubled} requests in ten seconds");
    stage.patch("messagechannel", "page", r#"{"rate": {"messages": 20}}"#);
    std::thread::sleep(TO_TAKE_EFFECT);
    let before = stage.record().len();
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 900);
    let rest = &stage.record()[before..];
    assert!(rest.len() > 50, "too few are left to judge the rate: {}", rest.len());
    let halved = worst_window(rest, Duration::from_secs(10));
    assert!(halved <= most_in_ten_seconds(20), "{halved} requests in ten seconds after the rate was halved");
}
