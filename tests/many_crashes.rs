//! `herald run` killed with SIGKILL at random moments, many times over many small runs, until each has ended by itself.
//! Every invariant that a ledger and the provider's record can show is judged after each run.
//!
//! `HERALD_KILLS` says how many kills, `HERALD_SEED` repeats a series.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use herald::delivery::recipient::RecipientState;
use herald::simulator::record::OwnedLine;
use rustix::process::Signal;
use support::campaign::Campaign;
use support::invariants::{ALL, Case, Kill, Silence};
use support::judge::{self, Attempts, Flights};
use support::pace::{self, Watcher};
use support::process::Running;
use support::stage::Stage;
use support::{Chance, size};

/// So many series of kills go on side by side.
const SIDE_BY_SIDE: usize = 4;
/// Of one run: from the fewest on, so many kinds.
const FEWEST_KILLS: usize = 3;
const MORE_KILLS: usize = 6;
/// The longest of the provider.
const LATENCY_MS: u32 = 60;

/// One small run: what the provider does, and what is to be sent.
fn plan(chance: &mut Chance, number: usize) -> (Vec<&'static str>, Campaign) {
    let mut flags = vec!["--latency", "30-60"];
    if chance.below(3) == 0 {
        flags.extend(["--drop", "0.03", "--fail", "2=0.04", "--fail", "613=0.01", "--fail", "551=0.03"]);
    }
    let campaign = Campaign {
        senders: 1 + chance.below(3) as u32,
        batch_size: [None, Some(20)][chance.below(2) as usize],
        ..Campaign::new(&format!("crash-{number}"), 120, 100 + 50 * chance.below(4) as u32)
    };
    (flags, campaign)
}

/// What happened in one run before its last process.
#[derive(Default)]
struct Past {
    case: Case,
    /// What each kill left, and when it was.
    kills: Vec<(Attempts, u64)>,
}

impl Past {
    /// Looks at the ledger while nobody uses it.
    fn look(&mut self, stage: &Stage) {
        if stage.ledger_path().exists() {
            let (broadcasts, audit) = stage.runtime().block_on(judge::read(&stage.ledger_path()));
            self.case.looks.extend(broadcasts);
            self.case.audit.extend(audit);
        }
    }

    fn killed(&mut self, stage: &Stage, now_ns: u64) {
        let flights =
            if stage.journal_path().exists() { Flights::read(&stage.journal_path()) } else { Flights::default() };
        self.kills.push((flights.open, now_ns));
        self.look(stage);
    }
}

/// Waits for a moment: after the start, or after the first message of this process. `false` when it has ended before.
fn wait(stage: &Stage, run: &mut Running, chance: &mut Chance) -> bool {
    if chance.below(4) > 0 {
        let before = stage.summary().requests;
        while stage.summary().requests == before {
            if run.ended().is_some() {
                return false;
            }
            std::thread::sleep(support::GLANCE);
        }
    }
    std::thread::sleep(chance.within(Duration::from_millis(250)));
    run.ended().is_none()
}

/// Told to stop it awaits its answers: from its end on nothing may come until the next process starts.
fn stop(stage: &Stage, past: &mut Past, campaign: &Campaign, chance: &mut Chance) {
    let mut run = stage.start(std::slice::from_ref(campaign));
    if wait(stage, &mut run, chance) {
        run.signal(Signal::TERM);
    }
    run.finish();
    let from_ns = pace::now_ns();
    past.look(stage);
    std::thread::sleep(Duration::from_millis(30));
    past.case.silences.push(Silence { from_ns, to_ns: pace::now_ns() });
}

/// One run from its plan to its end; what may be judged of it, and how many kills it took.
fn run(chance: &mut Chance, number: usize, kills: usize) -> Case {
    let (flags, campaign) = plan(chance, number);
    let stage = Stage::open(&flags);
    let watcher = Watcher::start();
    let mut past = Past::default();
    while past.kills.len() < kills {
        let mut run = stage.start(std::slice::from_ref(&campaign));
        if !wait(&stage, &mut run, chance) {
            break;
        }
        let now_ns = pace::now_ns();
        if run.kill().signal != Some(9) {
            break;
        }
        past.killed(&stage, now_ns);
    }
    stop(&stage, &mut past, &campaign, chance);
    let last = stage.run(std::slice::from_ref(&campaign));
    past.look(&stage);
    let waits = watcher.stop();
    let Past { mut case, kills } = past;
    let on_the_wire = (campaign.rate * LATENCY_MS).div_ceil(1_000) as usize;
    let allowed = |at| 2 * on_the_wire + waits.more_on_the_wire(at, campaign.rate);
    case.kills = kills.into_iter().map(|(open, at)| Kill { allowed: allowed(at), open }).collect();
    case.lines = stage.record();
    case.broadcasts = case.looks.last().cloned().into_iter().collect();
    case.audience = Some(campaign.audience().collect());
    case.handed_over = stage.handed_over();
    case.rate = Some(campaign.rate);
    assert!(matches!(last.code, Some(0 | 2)), "{}", last.messages);
    case.status = Some(last.output[0]["status"].clone());
    case
}

fn unknown(case: &Case) -> usize {
    let rows = case.broadcasts.iter().flat_map(|kept| &kept.deliveries);
    rows.filter(|row| row.state == RecipientState::Unknown).count()
}

#[test]
fn killed_at_any_moment_again_and_again_every_invariant_holds() {
    let kills = size("HERALD_KILLS", 100);
    let mut chance = Chance::printed("many-crashes");
    let (left, unknowns, runs) = (AtomicUsize::new(kills), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            let mut chance = chance.split();
            let (left, unknowns, runs) = (&left, &unknowns, &runs);
            scope.spawn(move || {
                while left.load(Ordering::SeqCst) > 0 {
                    let number = runs.fetch_add(1, Ordering::SeqCst);
                    let case = run(&mut chance, number, FEWEST_KILLS + number % MORE_KILLS);
                    assert_eq!(case.broken(), Vec::<String>::new(), "run {number}");
                    let done = case.kills.len();
                    let less = |left: usize| Some(left.saturating_sub(done));
                    let _before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
                    unknowns.fetch_add(unknown(&case), Ordering::SeqCst);
                }
            });
        }
    });
    let (unknowns, runs) = (unknowns.into_inner(), runs.into_inner());
    eprintln!("{kills} kills in {runs} runs of 120: {unknowns} unknown");
    assert!(unknowns > 0, "kills must have reached somebody");
}

#[test]
fn without_kills_and_without_lost_answers_nobody_is_unknown() {
    let mut chance = Chance::printed("no-crashes");
    for number in 0..3 {
        let case = run(&mut chance, number, 0);
        assert_eq!(case.broken(), Vec::<String>::new());
        let lost = case.lines.iter().filter(|line| line.status.is_none()).count();
        assert_eq!(unknown(&case), lost, "only what the provider dropped");
    }
}

/// A request of somebody who was sent.
fn sent_line(case: &Case) -> OwnedLine {
    let sent = case.broadcasts[0].deliveries.iter().find(|row| row.state == RecipientState::Sent).unwrap();
    case.lines.iter().find(|line| line.accepted && *line.recipient == *sent.recipient).unwrap().clone()
}

/// The request once more, later, as another attempt.
fn again(line: &OwnedLine, attempt: u64) -> OwnedLine {
    let mut members: Vec<String> = line.correlation.as_deref().unwrap().split(':').map(str::to_owned).collect();
    members[2] = attempt.to_string();
    OwnedLine { time_ns: line.time_ns + 1_000_000, correlation: Some(members.join(":").into()), ..line.clone() }
}

/// What makes each invariant break.
fn doctor(case: &mut Case, number: &str) {
    let line = sent_line(case);
    match number {
        "I1" => case.lines.push(again(&line, 1)),
        "I2" => case.broadcasts[0].snapshot.counts.sent += 1,
        "I3" => drop(case.audience.as_mut().unwrap().insert("somebody else".to_owned())),
        "I4" | "I5" => case.lines.push(OwnedLine { accepted: false, ..again(&line, 2) }),
        "I6" => case.lines.iter_mut().filter(|other| **other == line).for_each(|line| line.accepted = false),
        "I7" => case.lines.push(again(&line, 2)),
        "I8" => case.silences.push(Silence { from_ns: line.time_ns, to_ns: line.time_ns + 1 }),
        "I9" => case.broadcasts[0].deliveries.iter_mut().for_each(|row| row.state = RecipientState::Unknown),
        "I10" => case.looks.last_mut().unwrap().snapshot.counts.sent = 0,
        "I11" => case.rate = Some(5),
        "I12" => case.lines.push(again(&line, 99)),
        "I13" => case.broadcasts[0].deliveries[0].state = RecipientState::Pending,
        "I14" => case.status.as_mut().unwrap()["recipients"]["sent"] = 0.into(),
        other => panic!("{other} is not doctored"),
    }
}

#[test]
fn the_judge_notices_a_doctored_record_by_the_number_of_the_invariant() {
    let mut chance = Chance::printed("doctored");
    let whole = run(&mut chance, 1, 2);
    assert_eq!(whole.broken(), Vec::<String>::new());
    for invariant in ALL {
        let mut case = whole.clone();
        doctor(&mut case, invariant.number);
        let broken = case.broken();
        let named = format!("{}: ", invariant.number);
        assert!(broken.iter().any(|wrong| wrong.starts_with(&named)), "{named}{broken:?}");
    }
}
