//! `herald run` against a provider that drops, throttles, refuses, talks nonsense or is not there.
//!
//! `HERALD_FAULTS_RECIPIENTS` sizes the larger tests, `HERALD_SOAK=1` makes all of them larger.

use std::collections::BTreeMap;
use std::time::Duration;

use herald::delivery::recipient::RecipientState;
use herald::simulator::record::OwnedLine;
use rustix::process::Signal;
use serde_json::json;
use sqlx::ConnectOptions;

use super::support::campaign::Campaign;
use super::support::judge::Judgement;
use super::support::pace::{self, Watcher};
use super::support::size;
use super::support::stage::Stage;
use super::support::{machine, memory};

const RATE: u32 = 200;

/// So few that failures do not brake the account to its floor, which half of the last 50 do.
const A_FEW: usize = 24;

fn a_few(name: &str) -> Campaign {
    Campaign { request_timeout_seconds: 1, ..Campaign::new(name, A_FEW, 40) }
}

fn coded<'a>(lines: &'a [OwnedLine], code: &str) -> impl Iterator<Item = &'a OwnedLine> {
    lines.iter().filter(move |line| line.code.as_deref() == Some(code))
}

/// Requests of each recipient.
fn requests(lines: &[OwnedLine]) -> BTreeMap<&str, Vec<&OwnedLine>> {
    let mut requests: BTreeMap<&str, Vec<&OwnedLine>> = BTreeMap::new();
    for line in lines {
        requests.entry(&line.recipient).or_default().push(line);
    }
    requests
}

/// The most tries that count against a recipient.
fn most_tries(stage: &Stage) -> i64 {
    stage.runtime().block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.ledger_path()).read_only(true);
        let mut ledger = options.connect().await.unwrap();
        sqlx::query_scalar("SELECT max(tries) FROM delivery").fetch_one(&mut ledger).await.unwrap()
    })
}

#[test]
fn replies_lost_after_and_before_acceptance_are_all_unknown_and_nobody_is_asked_again() {
    let _machine = machine::among_others();
    let recipients = size("HERALD_FAULTS_RECIPIENTS", 600);
    for (name, drop) in [("after", "0.05"), ("before", "0.05:before")] {
        let stage = Stage::open(&["--latency", "40", "--drop", drop, "--seed", "7"]);
        let campaigns = [Campaign::new(name, recipients, RATE)];
        let ended = stage.run(&campaigns);
        let judgement = Judgement::of(&stage);
        let dropped = coded(&judgement.lines, &format!("drop:{name}")).count();
        assert!(dropped > 0, "the provider dropped some");
        assert_eq!(judgement.sums(), [recipients - dropped, 0, 0, dropped, 0, 0]);
        assert_eq!(judgement.lines.len(), recipients, "one request each");
        ended.expect(2);
        assert_eq!(ended.reason("Unknown", "NoAnswer"), dropped as i64);
        // Unknown is held: run again, nobody is asked again.
        stage.run(&campaigns).expect(2);
        assert_eq!(stage.summary().requests, recipients as u64);
    }
}

#[test]
fn a_provider_that_is_away_at_first_gets_everybody_in_the_end() {
    let _machine = machine::among_others();
    let mut stage = Stage::without_provider();
    let campaigns = [a_few("away")];
    let run = stage.start(&campaigns);
    std::thread::sleep(Duration::from_secs(2));
    stage.open_provider(&[]);
    let ended = run.finish();
    assert_eq!(Judgement::of(&stage).sums(), [A_FEW, 0, 0, 0, 0, 0]);
    ended.expect(0);
    assert_eq!(most_tries(&stage), 0, "what never reached the provider is no try");
}

#[test]
fn told_to_stop_while_the_provider_is_away_it_stops_and_everybody_is_pending() {
    let _machine = machine::among_others();
    let stage = Stage::without_provider();
    let mut run = stage.start(&[a_few("stopped")]);
    run.await_told("in batches of");
    // Some attempts, and some that wait for the next.
    std::thread::sleep(Duration::from_millis(1_500));
    run.signal(Signal::TERM);
    run.finish().expect(3);
    assert_eq!(Judgement::of(&stage).sums(), [0, 0, 0, 0, A_FEW, 0]);
}

#[test]
fn a_black_holed_provider_does_not_make_everybody_unknown() {
    let _machine = machine::among_others();
    let (recipients, rate) = (600, 100_usize);
    let stage = Stage::open(&["--latency", "50"]);
    let campaign = Campaign { request_timeout_seconds: 1, ..Campaign::new("black-hole", recipients, rate as u32) };
    let mut run = stage.start(&[campaign]);
    stage.await_requests(&mut run, 100);
    stage.set(&json!({"fail": ["never=1"]}));
    // Nothing is answered, and connect and request timeout together, 6 s, have not passed.
    std::thread::sleep(Duration::from_secs(5));
    let at_first = coded(&stage.record(), "never").count();
    // Two rounds of timeouts.
    std::thread::sleep(Duration::from_secs(13));
    stage.set(&json!({"fail": []}));
    run.finish().expect(2);
    let judgement = Judgement::of(&stage);
    let swallowed = coded(&judgement.lines, "never").count();
    eprintln!("black-hole: {at_first}, then {swallowed} swallowed, {:?}", judgement.sums());
    assert_eq!(judgement.sums(), [recipients - swallowed, 0, 0, swallowed, 0, 0]);
    assert!(at_first > rate, "it sent at the rate when the answers stopped");
    // Two seconds of sending from the last answer on, and a tenth for a busy machine.
    assert!(at_first * 10 <= 2 * rate * 11, "{at_first} swallowed");
    // One probe at a time, each as long as a timeout: 18 s hold at most three, and one that was on its way.
    assert!(swallowed <= at_first + 4, "{} probes", swallowed - at_first);
}

#[test]
fn a_provider_that_loses_every_answer_does_not_make_everybody_unknown() {
    let _machine = machine::among_others();
    let (recipients, rate) = (1_000, 100_usize);
    let stage = Stage::open(&["--latency", "50"]);
    let mut run = stage.start(&[Campaign::new("every-answer-lost", recipients, rate as u32)]);
    stage.await_requests(&mut run, 100);
    stage.set(&json!({"drop": "1"}));
    std::thread::sleep(Duration::from_secs(5));
    let at_first = coded(&stage.record(), "drop:after").count();
    std::thread::sleep(Duration::from_secs(10));
    stage.set(&json!({"drop": "0"}));
    run.finish().expect(2);
    let judgement = Judgement::of(&stage);
    let lost = coded(&judgement.lines, "drop:after").count();
    eprintln!("every-answer-lost: {at_first}, then {lost} lost, {:?}", judgement.sums());
    assert_eq!(judgement.sums(), [recipients - lost, 0, 0, lost, 0, 0]);
    assert!(at_first > 1, "some were on the wire when the answers stopped");
    // Two seconds of sending at most, and a tenth for a busy machine.
    assert!(at_first * 10 <= 2 * rate * 11, "{at_first} lost");
    // A probe every two seconds: 15 s hold at most seven, and one that was on its way.
    assert!(lost <= at_first + 8, "{} probes", lost - at_first);
}

#[test]
fn a_provider_that_goes_away_and_comes_back_leaves_unknown_only_what_was_on_the_wire() {
    let _machine = machine::among_others();
    let mut stage = Stage::open(&["--latency", "100"]);
    let recipients = 200;
    let campaigns = [Campaign::new("leaves", recipients, 50)];
    let watcher = Watcher::start();
    let mut run = stage.start(&campaigns);
    stage.await_requests(&mut run, 40);
    stage.close_provider();
    let closed_ns = pace::now_ns();
    std::thread::sleep(Duration::from_secs(1));
    stage.open_provider(&["--latency", "10"]);
    let ended = run.finish();
    let judgement = Judgement::of(&stage);
    let unknown = judgement.count(RecipientState::Unknown);
    eprintln!("leaves: {unknown} unknown");
    assert_eq!(judgement.sums(), [recipients - unknown, 0, 0, unknown, 0, 0]);
    // Twice the 5 on the wire at 50 a second and 100 ms.
    let allowed = 10 + watcher.stop().more_on_the_wire(closed_ns, 50);
    assert!(unknown <= allowed, "{unknown} unknown, allowed {allowed}");
    ended.expect(if unknown == 0 { 0 } else { 2 });
}

#[test]
fn throttled_at_half_the_rate_nobody_fails_and_no_try_counts() {
    let _machine = machine::among_others();
    let recipients = size("HERALD_FAULTS_RECIPIENTS", 800);
    let stage = Stage::open(&["--latency", "40", "--rate-limit", "100"]);
    let ended = stage.run(&[Campaign::new("throttled", recipients, RATE)]);
    let judgement = Judgement::of(&stage);
    let throttled = stage.summary().throttled;
    eprintln!("throttled: {throttled} of {} requests", judgement.lines.len());
    assert!(throttled > 0);
    assert_eq!(judgement.sums(), [recipients, 0, 0, 0, 0, 0]);
    assert_eq!(judgement.lines.len(), recipients + throttled as usize, "a request more for each that was throttled");
    assert_eq!(most_tries(&stage), 0, "being throttled is no try");
    ended.expect(0);
}

#[test]
fn people_who_cannot_be_reached_fail_with_the_reason() {
    let _machine = machine::among_others();
    let recipients = size("HERALD_FAULTS_RECIPIENTS", 400);
    let stage = Stage::open(&["--fail", "551=0.1", "--fail", "10/2018278=0.1"]);
    let campaigns = [Campaign::new("unreachable", recipients, RATE)];
    let ended = stage.run(&campaigns);
    let judgement = Judgement::of(&stage);
    let unavailable = coded(&judgement.lines, "551").count();
    let outside = coded(&judgement.lines, "10/2018278").count();
    assert!(unavailable > 0 && outside > 0, "{unavailable} and {outside}");
    let failed = unavailable + outside;
    assert_eq!(judgement.sums(), [recipients - failed, failed, 0, 0, 0, 0]);
    assert_eq!(judgement.lines.len(), recipients, "nobody is asked again");
    assert_eq!(ended.reason("Failed", "PersonUnavailable"), unavailable as i64);
    assert_eq!(ended.reason("Failed", "WindowClosed"), outside as i64);
    ended.expect(2);
}

#[test]
fn a_temporary_error_is_tried_again_as_often_as_the_table_says() {
    const TRIES: usize = 3;
    let _machine = machine::among_others();
    let stage = Stage::open(&["--fail", "2=0.5", "--seed", "3"]);
    let ended = stage.run(&[a_few("temporary")]);
    let judgement = Judgement::of(&stage);
    let requests = requests(&judgement.lines);
    let mut failed = 0;
    for row in judgement.rows() {
        let asked = &requests[row.recipient.as_str()];
        let errors = asked.iter().filter(|line| line.code.as_deref() == Some("2")).count();
        let expected = if errors == TRIES { RecipientState::Failed } else { RecipientState::Sent };
        assert_eq!(row.state, expected, "after {errors} errors");
        assert_eq!(asked.len(), errors + usize::from(expected == RecipientState::Sent));
        failed += usize::from(expected == RecipientState::Failed);
    }
    assert!(failed > 0 && judgement.lines.len() > A_FEW + failed * (TRIES - 1), "some failed, and some got it later");
    assert_eq!(judgement.sums(), [A_FEW - failed, failed, 0, 0, 0, 0]);
    assert_eq!(ended.reason("Failed", "TemporaryOrBlockedByPerson"), failed as i64);
    ended.expect(if failed == 0 { 0 } else { 2 });
}

#[test]
fn a_refusal_that_needs_a_person_stops_at_once_and_goes_on_when_it_is_mended() {
    let _machine = machine::among_others();
    for (code, reason) in [("190", "CredentialsInvalid"), ("368", "ProviderBlocked")] {
        let recipients = 900;
        let stage = Stage::open(&["--latency", "50", "--fail", &format!("{code}=1")]);
        let campaigns = [Campaign { senders: 2, ..Campaign::new("stopped", recipients, RATE) }];
        for _ in 0..2 {
            let ended = stage.run(&campaigns);
            ended.expect(4);
            assert_eq!(ended.condition("Stalled").as_deref(), Some(reason), "{:?}", ended.output);
            assert_eq!(Judgement::of(&stage).sums(), [0, 0, 0, 0, recipients, 0]);
        }
        // The first of each of two senders, twice.
        assert!(stage.summary().requests <= 4, "{} requests", stage.summary().requests);

        // Half way, with many on the wire.
        stage.set(&json!({"fail": []}));
        let mut run = stage.start(&campaigns);
        let before = stage.summary().requests;
        stage.await_requests(&mut run, before + 80);
        stage.set(&json!({"fail": [format!("{code}=1")]}));
        let ended = run.finish();
        ended.expect(4);
        let judgement = Judgement::of(&stage);
        let sent = judgement.count(RecipientState::Sent);
        assert_eq!(judgement.sums(), [sent, 0, 0, 0, recipients - sent, 0]);

        stage.set(&json!({"fail": []}));
        stage.run(&campaigns).expect(0);
        assert_eq!(Judgement::of(&stage).sums(), [recipients, 0, 0, 0, 0, 0]);
        assert_eq!(most_tries(&stage), 0);
    }
}

/// Runs against a provider that answers everybody like this; returns the sums and checks what holds for any answer: the
/// run ends, memory is bounded, nobody is asked twice in one attempt.
fn answered(mishap: &str, recipients: usize) -> (Stage, Judgement) {
    let stage = Stage::open(&["--fail", &format!("{mishap}=1")]);
    let ended = stage.run(&[Campaign { recipients, ..a_few(mishap) }]);
    let judgement = Judgement::of(&stage);
    eprintln!(
        "{mishap}: {:?}, peak {} KiB, {}",
        judgement.sums(),
        ended.peak_kib,
        ended.output[0]["status"]["reasons"]
    );
    assert!(ended.peak_kib > 0 && ended.peak_kib < memory::most_kib(), "{} KiB", ended.peak_kib);
    assert!(!ended.messages.contains("panicked"), "{}", ended.messages);
    let all_sent = judgement.count(RecipientState::Sent) == recipients;
    ended.expect(if all_sent { 0 } else { 2 });
    (stage, judgement)
}

fn all_unknown_after_one_request_each(mishap: &str, recipients: usize) {
    let _machine = machine::among_others();
    let (_stage, judgement) = answered(mishap, recipients);
    assert_eq!(judgement.sums(), [0, 0, 0, recipients, 0, 0]);
    assert_eq!(judgement.lines.len(), recipients, "one request each");
}

#[test]
fn garbage_for_an_answer_is_unknown() {
    all_unknown_after_one_request_each("garbage", A_FEW);
}

#[test]
fn half_an_answer_is_unknown() {
    all_unknown_after_one_request_each("half-body", A_FEW);
}

#[test]
fn no_answer_ever_is_unknown_and_does_not_hang_the_run() {
    // One probe at a time, 6 s each.
    all_unknown_after_one_request_each("never", 4);
}

#[test]
fn ten_megabytes_for_an_answer_do_not_fill_the_memory() {
    all_unknown_after_one_request_each("huge-body", A_FEW);
}

#[test]
fn a_redirect_is_not_followed() {
    let _machine = machine::among_others();
    let (_stage, judgement) = answered("redirect", A_FEW);
    assert!(judgement.lines.iter().all(|line| !line.account.contains("redirected")), "somebody followed it");
    assert_eq!(judgement.lines.len(), A_FEW, "one request each");
    assert_eq!(judgement.sums(), [0, 0, 0, A_FEW, 0, 0]);
}

#[test]
fn an_answer_that_dribbles_in_time_counts() {
    let _machine = machine::among_others();
    // 1.2 s in all, within connect and request timeout.
    let (_stage, judgement) = answered("slow", A_FEW);
    assert_eq!(judgement.sums(), [A_FEW, 0, 0, 0, 0, 0]);
}
