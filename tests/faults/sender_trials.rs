//! `herald sender` processes that are paused or frozen, whose clocks are wrong, or whose operator is away. The provider's record is
//! the judge.
//!
//! `HERALD_OUTAGE_SECONDS` says how long the operator is away.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use herald::delivery::counts::Counts;
use herald::delivery::time::Span;
use herald::ledger::{Declaration, Ledger};
use rustix::process::Signal;
use serde_json::json;

use super::sender_pod::child;
use super::sender_pod::operator::{Operator, WrongClock};
use super::sender_pod::stage::{Pod, Stage};
use super::support::invariants::{Case, Silence};
use super::support::judge::{self, Kept};
use super::support::machine::{self, Seats};
use super::support::pace;

const RATE: u32 = 100;
/// No attempt before an outcome, what the ledger says is what the provider has, nobody twice, no attempt that was not given.
const JUDGED: [&str; 8] = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I12"];
/// A horizon of slots, by which a set clock may cost one, and as much for a busy machine.
const LONGEST_GAP: Duration = Duration::from_secs(2);

struct Trial {
    _machine: Seats,
    stage: Stage,
    declaration: Declaration,
    operator: Operator,
    api: child::Api,
}

impl Trial {
    async fn open(people: usize, clock: Option<Arc<WrongClock>>) -> Trial {
        let machine = machine::among_few();
        let stage = Stage::open(&["--latency", "100"]).await;
        let mut spec = Stage::to_people(people);
        spec["delivery"] = json!({"senders": 2, "batchSize": 50});
        let declaration = Declaration { request_timeout: Span::from_secs(1), ..stage.declaration(1, RATE, spec) };
        let file = stage.folder.path().join("ledger.sqlite");
        let clock = clock.map(|clock| clock as Arc<dyn herald::ledger::Clock>);
        let operator = Operator::start(file, clock, &declaration).await;
        let api = child::Api::elsewhere(operator.url(), stage.folder.path().to_owned());
        Trial { _machine: machine, stage, declaration, operator, api }
    }

    fn pod(&self, name: &str) -> Pod {
        let pod = self.stage.pod(name);
        self.api.let_in(&pod);
        pod
    }

    async fn broadcast(&self) -> herald::ledger::BroadcastId {
        herald::ledger::Inspect::broadcasts(self.operator.ledger().as_ref()).await.unwrap()[0]
    }

    /// The broadcast in the end, which is finished; every promise is kept.
    async fn judge(&self) -> Kept {
        let (broadcasts, audit) = judge::read_from(self.operator.ledger().as_ref()).await;
        let case = Case { lines: self.stage.requests(), broadcasts, audit, ..Case::default() };
        assert_eq!(case.broken_among(&JUDGED), Vec::<String>::new());
        let kept = case.broadcasts.into_iter().next().unwrap();
        assert!(kept.snapshot.finished_at.is_some(), "I13: {:?}", kept.snapshot.counts);
        kept
    }

    /// Everybody was sent, and nobody is unknown.
    async fn judge_all_sent(&self) {
        let counts = self.judge().await.snapshot.counts;
        assert_eq!((counts.sent, counts.unknown), (counts.total(), 0));
    }

    /// The longest time in which the provider was asked for nothing, while there was something to send.
    fn longest_gap(&self) -> Duration {
        let mut times: Vec<u64> = self.stage.requests().iter().map(|line| line.time_ns).collect();
        times.sort_unstable();
        Duration::from_nanos(times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0))
    }
}

async fn ends_as(process: child::Process, closed: &str) {
    let ended = process.wait().await;
    assert_eq!((ended.code, ended.last_line), (Some(0), format!("the broadcast takes nobody now: {closed}")));
}

async fn ends_well(process: child::Process) {
    ends_as(process, "Complete").await;
}

/// I8: what may still arrive once a pause or cancel is acknowledged, and for how long.
const STILL_ARRIVES: Duration = Duration::from_secs(1 + 1);

/// Sends until the wish is acknowledged, and judges that nothing was begun after that; what is recorded then.
async fn wish_while_it_sends(trial: &Trial, wish: Declaration, closed: &str) -> Counts {
    let pod = trial.pod(closed);
    let process = trial.api.start(&pod);
    let before = trial.stage.requests().len();
    trial.stage.await_requests(before + 100).await;
    trial.operator.ledger().declare(&wish).await.unwrap();
    let from_ns = pace::now_ns() + STILL_ARRIVES.as_nanos() as u64;
    ends_as(process, closed).await;
    tokio::time::sleep(STILL_ARRIVES + Duration::from_secs(1)).await;
    let silences = vec![Silence { from_ns, to_ns: pace::now_ns() }];
    let case = Case { lines: trial.stage.requests(), silences, ..Case::default() };
    assert_eq!(case.broken_among(&["I8"]), Vec::<String>::new());
    trial.operator.ledger().snapshot(trial.broadcast().await).await.unwrap().counts
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_and_cancelled_while_it_sends_nothing_is_begun_and_nothing_held_and_nobody_unknown() {
    let trial = Trial::open(600, None).await;
    let paused = Declaration { generation: 2, suspended: true, ..trial.declaration.clone() };
    let counts = wish_while_it_sends(&trial, paused, "Suspended").await;
    assert_eq!((counts.inflight, counts.unknown, counts.sent), (0, 0, trial.stage.requests().len() as i64));

    let resumed = Declaration { generation: 3, ..trial.declaration.clone() };
    trial.operator.ledger().declare(&resumed).await.unwrap();
    let cancelled = Declaration { generation: 4, cancelled: true, ..resumed };
    wish_while_it_sends(&trial, cancelled, "Cancelled").await;
    let counts = trial.judge().await.snapshot.counts;
    assert_eq!((counts.unknown, counts.sent), (0, trial.stage.requests().len() as i64));
    assert!(counts.skipped > 0 && counts.sent + counts.skipped == 600, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_for_longer_than_its_lease_and_taken_over_it_wakes_up_and_repeats_nobody() {
    // Half a second held, a tenth on the wire, a quarter answered and not recorded; and a half more for a busy machine.
    const MOST_HELD: i64 = 128;
    let trial = Trial::open(600, None).await;
    let (one, other) = (trial.pod("one"), trial.pod("other"));
    let frozen = trial.api.start(&one);
    trial.stage.await_requests(60).await;
    frozen.signal(Signal::STOP);
    let heir = trial.api.start(&other);
    let ledger = trial.operator.ledger().clone();
    let broadcast = trial.broadcast().await;
    let taken_over = async || ledger.batches(broadcast).await.unwrap().iter().any(|batch| batch.reclaims > 0);
    trial.stage.await_that("the takeover", taken_over).await;
    let unknown = ledger.snapshot(broadcast).await.unwrap().counts.unknown;
    assert!(unknown > 0 && unknown <= MOST_HELD, "{unknown} were held or on the wire");
    frozen.signal(Signal::CONT);
    ends_well(frozen).await;
    ends_well(heir).await;
    let kept = trial.judge().await;
    let counts = kept.snapshot.counts;
    assert_eq!(counts.sent + counts.unknown, 600, "{counts:?}");
    assert!(counts.unknown <= unknown, "what it knew when it woke up was evidence");
    assert!(kept.batches.iter().any(|batch| batch.epoch > 1 && batch.reclaims > 0));
    eprintln!("frozen: {unknown} unknown at the takeover, {} in the end", counts.unknown);
}

/// A program by which a process has its boot an hour earlier than the machine, where this may be done.
fn an_hour_ahead() -> &'static [&'static str] {
    const STARTER: &[&str] = &["unshare", "--time", "--boottime", "3600", "--monotonic", "3600", "--"];
    let allowed = Command::new(STARTER[0]).args(&STARTER[1..]).arg("true").output();
    if allowed.is_ok_and(|output| output.status.success()) {
        return STARTER;
    }
    eprintln!("skipped: the clock of one sender an hour ahead, which takes root and a kernel with time namespaces");
    &[]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_off_and_one_that_is_set_back_cost_no_more_than_a_second() {
    let clock = Arc::new(WrongClock::default());
    clock.advance(Span::from_secs(-3_600));
    let trial = Trial::open(600, Some(clock.clone())).await;
    let (one, other) = (trial.pod("one"), trial.pod("other"));
    let right = trial.api.start(&one);
    let ahead = trial.api.start_within(&other, an_hour_ahead());
    trial.stage.await_requests(200).await;
    clock.advance(Span::from_secs(-300));
    trial.stage.await_requests(400).await;
    clock.advance(Span::from_secs(300));
    ends_well(right).await;
    ends_well(ahead).await;
    trial.judge_all_sent().await;
    let gap = trial.longest_gap();
    assert!(gap < LONGEST_GAP, "nothing was sent for {gap:?}");
}

/// A tenth of what is promised, unless more is asked for.
fn outage() -> Duration {
    let seconds = std::env::var("HERALD_OUTAGE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

/// Lets the outage pass; returns how many messages were sent meanwhile.
async fn sit_it_out(trial: &Trial, before: usize) -> usize {
    tokio::time::sleep(outage()).await;
    let sent = trial.stage.requests().len() - before;
    // What a group and the horizon of slots hold.
    assert!(sent <= 2 * RATE as usize, "{sent} messages were sent without a ledger");
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_operator_is_away_what_is_held_is_sent_and_kept_and_then_all_goes_on_by_itself() {
    let mut trial = Trial::open(400, None).await;
    let (one, other) = (trial.pod("one"), trial.pod("other"));
    let processes = [trial.api.start(&one), trial.api.start(&other)];
    trial.stage.await_requests(100).await;
    let before = trial.stage.requests().len();
    trial.operator.go_away();
    let held = sit_it_out(&trial, before).await;
    trial.operator.come_back().await;
    for process in processes {
        ends_well(process).await;
    }
    trial.judge_all_sent().await;
    eprintln!("{held} of those held were sent while the operator was away");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_for_longer_than_any_deadline_what_a_sender_kept_resolves_every_unknown() {
    let mut trial = Trial::open(400, None).await;
    let pod = trial.pod("one");
    let process = trial.api.start(&pod);
    trial.stage.await_requests(100).await;
    let before = trial.stage.requests().len();
    trial.operator.cut_off();
    sit_it_out(&trial, before).await;
    let ledger = trial.operator.ledger().clone();
    let broadcast = trial.broadcast().await;
    // Deadline and grace are over for somebody: connect timeout, request timeout and grace are 5, 1 and 5 s.
    let concluded = async || ledger.snapshot(broadcast).await.unwrap().counts.unknown > 0;
    trial.stage.await_that("what is concluded from silence", concluded).await;
    trial.operator.reconnect();
    ends_well(process).await;
    trial.judge_all_sent().await;
}
