//! `herald run` killed with SIGKILL at random moments, many times over many small runs, until each has ended by itself.
//! Every invariant that a ledger and the provider's record can show is judged after each run.
//!
//! `HERALD_KILLS` says how many kills, `HERALD_SEED` repeats a series.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use herald::delivery::recipient::RecipientState;
use rustix::process::Signal;

use super::support::campaign::Campaign;
use super::support::invariants::{Case, Kill, Silence};
use super::support::judge::{self, Flights};
use super::support::machine;
use super::support::pace::{self, Watcher};
use super::support::process::Running;
use super::support::stage::Stage;
use super::support::{self, Chance, size};

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
    // As many messages in all, whatever parts they have.
    let attachments = number % 3;
    let campaign = Campaign {
        attachments,
        senders: 1 + chance.below(3) as u32,
        batch_size: [None, Some(20)][chance.below(2) as usize],
        ..Campaign::new(&format!("crash-{number}"), 120 / (1 + attachments), 100 + 50 * chance.below(4) as u32)
    };
    (flags, campaign)
}

/// Looks at the ledger while nobody uses it.
fn look(case: &mut Case, stage: &Stage) {
    if stage.ledger_path().exists() {
        let (broadcasts, audit) = stage.runtime().block_on(judge::read(&stage.ledger_path()));
        case.looks.extend(broadcasts);
        case.audit.extend(audit);
    }
}

/// Notes what a kill left; how much that may be is known in the end.
fn killed(case: &mut Case, stage: &Stage, at_ns: u64) {
    let flights = if stage.journal_path().exists() { Flights::read(&stage.journal_path()) } else { Flights::default() };
    look(case, stage);
    let claims = case.looks.last().map_or_else(Vec::new, |kept| kept.claims(None));
    case.kills.push(Kill { at_ns, open: flights.open, allowed: 0, claims });
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
fn stop(stage: &Stage, case: &mut Case, campaign: &Campaign, chance: &mut Chance) {
    let mut run = stage.start(std::slice::from_ref(campaign));
    if wait(stage, &mut run, chance) {
        run.signal(Signal::TERM);
    }
    run.finish();
    let from_ns = pace::now_ns();
    look(case, stage);
    std::thread::sleep(Duration::from_millis(30));
    case.silences.push(Silence { from_ns, to_ns: pace::now_ns() });
}

/// One run from its plan to its end; what may be judged of it, and how many kills it took.
fn run(chance: &mut Chance, number: usize, kills: usize) -> Case {
    let (flags, campaign) = plan(chance, number);
    let stage = Stage::open(&flags);
    let watcher = Watcher::start();
    let mut case = Case::default();
    while case.kills.len() < kills {
        let mut run = stage.start(std::slice::from_ref(&campaign));
        if !wait(&stage, &mut run, chance) {
            break;
        }
        let now_ns = pace::now_ns();
        if run.kill().signal != Some(9) {
            break;
        }
        killed(&mut case, &stage, now_ns);
    }
    stop(&stage, &mut case, &campaign, chance);
    let last = stage.run(std::slice::from_ref(&campaign));
    look(&mut case, &stage);
    let waits = watcher.stop();
    let on_the_wire = (campaign.rate * LATENCY_MS).div_ceil(1_000) as usize;
    let allowed = |at| 2 * on_the_wire + waits.more_on_the_wire(at, campaign.rate);
    case.kills.iter_mut().for_each(|kill| kill.allowed = allowed(kill.at_ns));
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
    let _machine = machine::among_few();
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
    eprintln!("{kills} kills in {runs} runs of 120 requests: {unknowns} unknown");
    assert!(unknowns > 0, "kills must have reached somebody");
}

#[test]
fn without_kills_and_without_lost_answers_nobody_is_unknown() {
    let _machine = machine::among_few();
    let mut chance = Chance::printed("no-crashes");
    for number in 0..3 {
        let case = run(&mut chance, number, 0);
        assert_eq!(case.broken(), Vec::<String>::new());
        let lost = case.lines.iter().filter(|line| line.status.is_none()).count();
        assert_eq!(unknown(&case), lost, "only what the provider dropped");
    }
}

#[test]
fn the_judge_notices_a_doctored_record_by_the_number_of_the_invariant() {
    let _machine = machine::among_few();
    let mut chance = Chance::printed("doctored");
    let whole = run(&mut chance, 1, 2);
    assert_eq!(whole.broken(), Vec::<String>::new());
    support::doctor::assert_noticed(&whole);
}
