//! Several operators on one PostgreSQL, of which any may die: sending goes on, and nobody is messaged twice.

use std::time::Duration;

use serde_json::Value;

use super::judge::{GOES_ON_WITHIN, longest_pause, now_ns};
use super::kubectl::{await_some, await_that, find, kubectl};
use super::lives::{kill_process_of, restarts};
use super::network::{CutOff, connections};
use super::release::Release;

/// As slow as that, sending outlasts whatever is done to the operators; then the rest goes fast.
const RATE: u32 = 20;
const PEOPLE: u32 = 1_000;
/// How long a leader that is not heard of stays leader.
const LEASE: Duration = Duration::from_secs(15);
/// Until another one reconciles.
const SUCCEEDED_WITHIN: Duration = LEASE.saturating_add(Duration::from_secs(5));

/// Until a sender speaks to another operator when its own is gone without a word: four seconds to be certain, and three more
/// whenever the Service leads to the lost one, as it does one time in three; three times in a row, one time in 27.
const ASKS_ANOTHER_WITHIN: Duration = Duration::from_secs(14);

fn since(moment_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(moment_ns))
}

/// A broadcast in mid-run, and who leads.
fn sending(release: &Release) -> String {
    release.stage.apply(&release.stage.broadcast("sale", PEOPLE, ""));
    release.stage.await_requests(100);
    release.await_leader()
}

fn version(release: &Release) -> Value {
    find(&release.stage.namespace, "broadcastmessage", "sale").unwrap()["metadata"]["resourceVersion"].take()
}

/// Waits until the status moves on: nobody but a leader writes it.
#[track_caller]
fn await_reconciled(release: &Release, what: &str, lost_ns: u64, before: &Value) {
    await_that("a status is written", || version(release) != *before);
    let reconciled = since(lost_ns);
    println!("{what}: a status was written {reconciled:?} later, by {:?}", release.leader());
    assert!(reconciled <= SUCCEEDED_WITHIN, "{what}: nobody reconciled for {reconciled:?}");
}

/// Lets the rest be sent, and judges that the operators' troubles have cost nobody a message, and sending no more than a pause.
#[track_caller]
fn assert_it_cost_nothing(release: &Release, what: &str, longest_silence: Duration) {
    let stage = &release.stage;
    let slowly = stage.record();
    assert!(slowly.len() < PEOPLE as usize, "{what}: sending was over before it was");
    stage.patch("messagechannel", "page", r#"{"rate": {"messages": 200}}"#);
    stage.await_end("sale", "Delivered");
    let status = stage.judge("sale", i64::from(PEOPLE));
    assert_eq!(status["recipients"]["sent"], PEOPLE, "{status}");
    assert_eq!(stage.record().len(), PEOPLE as usize, "each was one request");
    let pause = longest_pause(&slowly);
    println!("{what}: {} requests meanwhile, and nobody sent for {pause:?}", slowly.len());
    assert!(pause <= longest_silence, "{what}: nobody sent for {pause:?}");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_leader_lost_with_its_pod_is_succeeded_within_the_lease_while_sending_goes_on() {
    let release = Release::open("lost", RATE, 2);
    let leader = sending(&release);
    let lost = now_ns();
    kill_process_of(&release.name, &leader);
    kubectl(&["-n", &release.name, "delete", "pod", &leader, "--grace-period=0", "--force", "--wait=false"]);
    let before = version(&release);
    let successor = await_some("another leads", || release.leader().filter(|(holder, _)| *holder != leader));
    println!("the lost leader was succeeded after {:?}", since(lost));
    assert_eq!(successor.1, 1, "it has changed hands once: {successor:?}");
    await_reconciled(&release, "a lost leader", lost, &before);
    assert_it_cost_nothing(&release, "a lost leader", GOES_ON_WITHIN);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_killed_leader_process_leads_again_or_is_succeeded_while_sending_goes_on() {
    let release = Release::open("killed", RATE, 2);
    let leader = sending(&release);
    let killed = now_ns();
    kill_process_of(&release.name, &leader);
    let before = version(&release);
    await_that("its container runs again", || restarts(&release.name, &leader) == 1);
    await_reconciled(&release, "a killed leader", killed, &before);
    assert_it_cost_nothing(&release, "a killed leader", GOES_ON_WITHIN);
}

/// As when its node is lost: nothing tells the sender that nobody is there.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_leader_cut_off_from_everybody_is_succeeded_and_its_sender_asks_another() {
    let release = Release::open("cut", RATE, 3);
    sending(&release);
    let operators: Vec<String> =
        release.operators().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    let serving = operators.iter().max_by_key(|pod| connections(&release.name, pod)).unwrap();
    release.hand_over(serving);
    let lost = now_ns();
    let cut_off = CutOff::pod(&release.name, serving);
    let before = version(&release);
    let successor = await_some("another leads", || release.leader().filter(|(holder, _)| holder != serving));
    println!("the leader that was cut off was succeeded after {:?} by {successor:?}", since(lost));
    await_reconciled(&release, "a leader cut off", lost, &before);
    // It comes back and has to see that it was succeeded.
    drop(cut_off);
    assert_it_cost_nothing(&release, "a leader cut off", ASKS_ANOTHER_WITHIN);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_rolling_restart_of_the_operators_in_mid_run_costs_nothing() {
    let release = Release::open("rolled", RATE, 2);
    let leader = sending(&release);
    let begun = now_ns();
    kubectl(&["-n", &release.name, "rollout", "restart", &release.deployment()]);
    release.await_rollout();
    println!("the operators were replaced in {:?}", since(begun));
    let before = version(&release);
    let (rolled, successor) = (now_ns(), release.await_leader());
    assert_ne!(successor, leader, "every operator was replaced");
    await_reconciled(&release, "a rolling restart", rolled, &before);
    assert_it_cost_nothing(&release, "a rolling restart", GOES_ON_WITHIN);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn operators_that_start_at_once_on_an_empty_database_make_one_ledger_and_one_of_them_leads() {
    const AT_ONCE: u32 = 4;
    let release = Release::open("fresh", 50, AT_ONCE);
    let operators = release.operators();
    let names: Vec<&str> = operators.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), AT_ONCE as usize);
    let gave_up: Vec<_> = names.iter().filter(|name| restarts(&release.name, name) > 0).collect();
    assert!(gave_up.is_empty(), "each waited for whoever was at the migration: {gave_up:?}");
    assert!(names.contains(&release.await_leader().as_str()));
    assert_eq!(release.number("SELECT count(*) FROM herald.ledger"), 1);
    assert_eq!(release.number("SELECT count(*) FROM herald._sqlx_migrations WHERE NOT success"), 0);
    release.stage.apply(&release.stage.broadcast("sale", 100, ""));
    release.stage.await_end("sale", "Delivered");
    release.stage.judge("sale", 100);
}
