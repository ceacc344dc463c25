//! The rate, over senders and broadcasts, and while it changes.

use std::time::Duration;

use herald::simulator::record::{OwnedLine, worst_window};

use super::kubectl::await_that;
use super::stage::Stage;
use super::support::pace::{Waits, Watcher};

/// For an edit to reach the operator, and the slots given away before it to pass.
const TO_TAKE_EFFECT: Duration = Duration::from_secs(4);

/// In their best seconds, senders reach at least so much of the rate. 99 % is promised where threads run when they are due,
/// but a slot that the machine lets pass is lost, and this one runs a cluster and other tests beside. An edit that did not
/// take effect, or senders that each kept half of the rate to themselves, would reach half.
const LEAST_SHARE: f64 = 0.75;
const BEST: Duration = Duration::from_secs(5);

/// Neither more than is promised, nor much less while somebody is pending.
#[track_caller]
fn assert_rate(waits: &Waits, name: &str, record: &[OwnedLine], rate: u32) {
    waits.assert_pace_of_arrivals(name, record, rate);
    let share = worst_window(record, BEST) as f64 / (BEST.as_secs_f64() * f64::from(rate));
    println!("{name}: {:.1} % of {rate} a second in the best {BEST:?}", share * 100.0);
    assert!(share >= LEAST_SHARE, "{name}: only {share:.3} of the rate");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn two_broadcasts_on_one_channel_share_its_rate() {
    let stage = Stage::with_channel("share", &["--latency", "50-100"], 20);
    let watcher = Watcher::start();
    stage.apply(&stage.broadcast("one", 300, ""));
    stage.apply(&stage.broadcast("two", 300, ""));
    stage.await_end("one", "Delivered");
    stage.await_end("two", "Delivered");
    stage.judge("one", 300);
    stage.judge("two", 300);
    assert_rate(&watcher.stop(), "two broadcasts", &stage.record(), 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn two_senders_share_the_rate_and_may_become_more_or_fewer() {
    let stage = Stage::with_channel("senders", &["--latency", "50-100"], 20);
    let watcher = Watcher::start();
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
    assert_rate(&watcher.stop(), "two senders", &stage.record(), 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_rate_that_is_doubled_and_halved_while_sending_applies_at_once() {
    let stage = Stage::with_channel("rate", &["--latency", "50-100"], 20);
    let watcher = Watcher::start();
    stage.apply(&stage.broadcast("sale", 900, ""));
    stage.await_requests(100);
    let first = stage.record();
    stage.patch("messagechannel", "page", r#"{"rate": {"messages": 40}}"#);
    std::thread::sleep(TO_TAKE_EFFECT);
    let doubled_from = stage.record().len();
    stage.await_requests(550);
    let doubled = stage.record();
    // The broadcast's own rate holds as well as the channel's.
    stage.patch("broadcastmessage", "sale", r#"{"delivery": {"rate": {"messages": 20}}}"#);
    std::thread::sleep(TO_TAKE_EFFECT);
    let halved_from = stage.record().len();
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 900);
    let waits = watcher.stop();
    assert_rate(&waits, "as it was", &first, 20);
    assert_rate(&waits, "doubled", &doubled[doubled_from..], 40);
    let halved = &stage.record()[halved_from..];
    assert!(halved.len() > 100, "too few are left to judge the rate: {}", halved.len());
    assert_rate(&waits, "halved", halved, 20);
}
