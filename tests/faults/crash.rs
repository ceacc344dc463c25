//! `herald run` ended by every means while it sends. The simulator's record is the judge.
//!
//! `HERALD_SEED` repeats a run, `HERALD_CRASH_RECIPIENTS` and `HERALD_CRASH_KILLS` size the large one, and
//! `HERALD_SOAK=1` makes everything larger.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use herald::delivery::recipient::RecipientState;
use herald::simulator::record::{Correlation, OwnedLine};
use rustix::process::Signal;

use super::support::campaign::Campaign;
use super::support::judge::{Attempts, Flights, Judgement};
use super::support::machine;
use super::support::pace::{self, Watcher};
use super::support::process::{self, Ended};
use super::support::stage::Stage;
use super::support::{self, Chance, size};

/// Twice what is on the wire at 200 a second and 100 ms.
const UNKNOWN_PER_KILL: usize = 40;
/// Without a journal: what is held for half a second of sending, on the wire for 100 ms, and answered but not recorded
/// for a quarter of a second, at 200 a second; and a half more for a busy machine.
const UNKNOWN_PER_KILL_WITHOUT_JOURNAL: usize = 255;
const RATE: u32 = 200;
const LATENCY: [&str; 2] = ["--latency", "100"];

/// What kills left behind.
struct Killed {
    flights: Vec<Flights>,
    /// When each was.
    times_ns: Vec<u64>,
    /// How long each run took to its first request, less what it takes to start a process here and now.
    gaps: Vec<Duration>,
    last: Ended,
}

impl Killed {
    /// Begun at some kill and without an answer then.
    fn on_the_wire(&self) -> Attempts {
        self.flights.iter().flat_map(|flights| flights.open.iter().copied()).collect()
    }
}

/// Kills runs at random moments while they send, up to `spread` after the first request; what a kill left is shown to
/// `after` before the next run starts. Then runs to the end.
fn kill(stage: &Stage, campaign: &Campaign, kills: usize, spread: Duration, after: impl Fn(&Path)) -> Killed {
    let mut chance = Chance::printed(&campaign.name);
    let campaigns = std::slice::from_ref(campaign);
    let (mut flights, mut times_ns, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=kills {
        let before = stage.summary().requests;
        let start = process::time_to_start();
        let mut run = stage.start(campaigns);
        let gap = stage.await_requests(&mut run, before + 1).saturating_sub(start);
        gaps.push(gap);
        std::thread::sleep(chance.within(spread));
        times_ns.push(pace::now_ns());
        let told = run.kill();
        assert_eq!(told.signal, Some(9), "it was killed while it sent");
        let sent = stage.summary().requests - before;
        let left = Flights::read(&stage.journal_path());
        eprintln!(
            "{}: kill {number} after {sent} requests, the first {gap:?} after a start of {start:?}; {} on the wire",
            campaign.name,
            left.open.len()
        );
        flights.push(left);
        after(&stage.journal_path());
    }
    Killed { flights, times_ns, gaps, last: stage.run(campaigns) }
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn unknown(judgement: &Judgement) -> Attempts {
    let unknown = judgement.rows().filter(|row| row.state == RecipientState::Unknown);
    unknown.map(|row| (row.seq, row.attempt)).collect()
}

#[test]
fn killed_again_and_again_nobody_gets_it_twice_and_only_what_was_on_the_wire_is_unknown() {
    let _machine = machine::alone();
    let recipients = size("HERALD_CRASH_RECIPIENTS", 4_000);
    let kills = size("HERALD_CRASH_KILLS", 8);
    let stage = Stage::open(&LATENCY);
    let watcher = Watcher::start();
    let campaign = Campaign::new("killed", recipients, RATE);
    let killed = kill(&stage, &campaign, kills, Duration::from_millis(2_200), |_| {});
    let waits = watcher.stop();

    let judgement = Judgement::of(&stage);
    let unknown = unknown(&judgement);
    killed.last.expect(if unknown.is_empty() { 0 } else { 2 });
    assert_eq!(judgement.sums(), [recipients - unknown.len(), 0, 0, unknown.len(), 0, 0]);
    for (flights, time_ns) in killed.flights.iter().zip(&killed.times_ns) {
        let (open, allowed) = (flights.open.len(), UNKNOWN_PER_KILL + waits.more_on_the_wire(*time_ns, RATE));
        assert!(open <= allowed, "{open} were on the wire at one kill, allowed {allowed}");
    }
    // A busy machine delays some; most kills are judged without that.
    assert!(median(killed.flights.iter().map(|flights| flights.open.len()).collect()) <= UNKNOWN_PER_KILL);
    assert!(!killed.on_the_wire().is_empty(), "something was on the wire, or this showed nothing");
    assert_eq!(unknown, killed.on_the_wire(), "exactly what was on the wire is unknown");
    // The first run had nothing to recover, and a plan to make.
    let gap = median(killed.gaps[1..].to_vec());
    assert!(gap <= Duration::from_secs(1), "it goes on {gap:?} after it is started again");
    waits.assert_pace("killed", &judgement.lines, &stage.handed_over(), RATE);
}

/// The same with fewer people, and a journal that is not to be believed.
fn killed_without_a_word(name: &str, treatment: impl Fn(&Path)) {
    let _machine = machine::among_others();
    let recipients = size("HERALD_CRASH_SMALL", 1_200);
    let stage = Stage::open(&LATENCY);
    let campaign = Campaign { batch_size: Some(150), ..Campaign::new(name, recipients, RATE) };
    let killed = kill(&stage, &campaign, 3, Duration::from_millis(800), treatment);
    let judgement = Judgement::of(&stage);
    let unknown = judgement.count(RecipientState::Unknown);
    killed.last.expect(2);
    assert_eq!(judgement.sums(), [recipients - unknown, 0, 0, unknown, 0, 0]);
    eprintln!("{name}: {unknown} unknown, {} with the journal", killed.on_the_wire().len());
    assert!(unknown > killed.on_the_wire().len(), "{unknown} unknown, {} on the wire", killed.on_the_wire().len());
    assert!(unknown <= killed.flights.len() * UNKNOWN_PER_KILL_WITHOUT_JOURNAL, "{unknown} unknown");
}

#[test]
fn with_the_journal_taken_away_more_is_unknown_and_still_nobody_gets_it_twice() {
    killed_without_a_word("journal-gone", |journal| std::fs::remove_file(journal).unwrap());
}

#[test]
fn a_journal_of_another_boot_is_not_believed() {
    killed_without_a_word("other-boot", |journal| {
        let text = std::fs::read_to_string(journal).unwrap();
        let (boot, rest) = text.split_once('\n').unwrap();
        assert!(boot.starts_with("{\"Boot\":"), "{boot}");
        std::fs::write(journal, format!("{{\"Boot\":\"00000000-0000-4000-8000-000000000000\"}}\n{rest}")).unwrap();
    });
}

#[test]
fn killed_while_it_starts_it_goes_on_as_if_nothing_had_been() {
    let _machine = machine::among_others();
    let recipients = size("HERALD_CRASH_SMALL", 800);
    let stage = Stage::open(&LATENCY);
    let campaign = Campaign { senders: 3, ..Campaign::new("starting", recipients, RATE) };
    let campaigns = std::slice::from_ref(&campaign);
    let mut chance = Chance::printed("starting");
    // One that sent, so that the ones after it have something to recover.
    let mut run = stage.start(campaigns);
    stage.await_requests(&mut run, 100);
    run.kill();
    let mut on_the_wire = Flights::read(&stage.journal_path()).open;
    for _ in 0..size("HERALD_CRASH_STARTS", 12) {
        let run = stage.start(campaigns);
        std::thread::sleep(chance.within(Duration::from_millis(400)));
        run.kill();
        on_the_wire.extend(Flights::read(&stage.journal_path()).open);
    }
    let last = stage.run(campaigns);
    let judgement = Judgement::of(&stage);
    last.expect(2);
    let unknown = unknown(&judgement);
    eprintln!("starting: {} unknown", unknown.len());
    assert_eq!(judgement.sums(), [recipients - unknown.len(), 0, 0, unknown.len(), 0, 0]);
    assert_eq!(unknown, on_the_wire, "exactly what was on the wire is unknown, however often recovery was cut short");
}

const MOST_STARTS: usize = 20;

#[test]
fn killed_while_it_plans_it_plans_anew_and_the_plan_is_whole() {
    let _machine = machine::among_others();
    let recipients = size("HERALD_CRASH_PLANNED", 240_000);
    let stage = Stage::open(&[]);
    let campaigns = [Campaign::new("planning", recipients, RATE)];
    let mut chance = Chance::printed("planning");
    let mut while_planning = 0;
    // Until some were killed before they said what they had planned, and none sends.
    for _ in 0..MOST_STARTS {
        let mut run = stage.start(&campaigns);
        while !run.told().contains("ledger:") && run.ended().is_none() {
            std::thread::sleep(support::GLANCE);
        }
        std::thread::sleep(chance.within(Duration::from_millis(250)));
        while_planning += usize::from(!run.kill().messages.contains("planning: "));
        if while_planning == 3 || stage.summary().requests > 0 {
            break;
        }
    }
    assert!(while_planning > 0, "all were killed too late");
    let before = stage.summary().requests;
    let mut run = stage.start(&campaigns);
    stage.await_requests(&mut run, before + 20);
    run.signal(Signal::TERM);
    let ended = run.finish();
    ended.expect(3);
    let judgement = Judgement::of(&stage);
    eprintln!("planning: {:?} after {while_planning} kills while it planned", judgement.sums());
    assert_eq!(judgement.rows().count(), recipients);
    assert_eq!(ended.recipients("planned"), recipients as i64);
}

#[test]
fn killed_while_the_provider_drops_throttles_and_errs_every_promise_holds() {
    let _machine = machine::among_others();
    let recipients = size("HERALD_CRASH_SMALL", 1_000);
    let flags = ["--latency", "20-200", "--drop", "0.03", "--rate-limit", "180"];
    let failures = ["--fail", "2=0.03", "--fail", "613=0.01", "--fail", "551=0.03", "--fail", "http:502=0.02"];
    let stage = Stage::open(&[&flags[..], &failures[..]].concat());
    let campaign = Campaign { senders: 3, batch_size: Some(100), ..Campaign::new("chaos", recipients, RATE) };
    let killed = kill(&stage, &campaign, 4, Duration::from_millis(700), |_| {});
    let judgement = Judgement::of(&stage);
    killed.last.expect(2);
    let (sums, unknown) = (judgement.sums(), unknown(&judgement));
    eprintln!("chaos: {sums:?}");
    assert_eq!(sums[0] + sums[1] + sums[3], recipients, "everybody was settled");
    // Unknown by a kill, or by an answer that did not come or came from a proxy.
    let lost = |line: &&OwnedLine| line.code.as_deref().is_some_and(|code| ["drop:after", "http:502"].contains(&code));
    let lost: Attempts = judgement.lines.iter().filter(lost).map(attempt).collect();
    let explained: Attempts = killed.on_the_wire().union(&lost).copied().collect();
    assert_eq!(unknown, explained, "no more and no fewer");
}

fn attempt(line: &OwnedLine) -> (i64, u32) {
    let correlation = Correlation::parse(line.correlation.as_deref().unwrap()).unwrap();
    (correlation.seq as i64, correlation.attempt as u32)
}

#[test]
fn without_kills_everybody_gets_it_at_the_rate_with_one_sender_with_four_and_with_eight() {
    let _machine = machine::among_few();
    for senders in [1, 4, 8] {
        let recipients = size("HERALD_CRASH_SMALL", 1_000);
        let stage = Stage::open(&LATENCY);
        let watcher = Watcher::start();
        let name = format!("undisturbed-{senders}");
        let campaign = Campaign { senders, batch_size: Some(130), ..Campaign::new(&name, recipients, RATE) };
        let ended = stage.run(&[campaign]);
        let waits = watcher.stop();
        ended.expect(0);
        let judgement = Judgement::of(&stage);
        assert_eq!(judgement.sums(), [recipients, 0, 0, 0, 0, 0]);
        waits.assert_pace(&name, &judgement.lines, &stage.handed_over(), RATE);
    }
}

#[test]
fn two_broadcasts_of_one_channel_keep_its_rate_together() {
    let _machine = machine::among_few();
    let recipients = size("HERALD_CRASH_SMALL", 500);
    let stage = Stage::open(&LATENCY);
    let watcher = Watcher::start();
    let campaigns = ["one", "other"].map(|name| Campaign { senders: 2, ..Campaign::new(name, recipients, RATE) });
    let ended = stage.run(&campaigns);
    let waits = watcher.stop();
    ended.expect(0);
    assert_eq!(ended.output.len(), 2, "one line for each broadcast");
    let judgement = Judgement::of(&stage);
    assert_eq!(judgement.sums(), [2 * recipients, 0, 0, 0, 0, 0]);
    let of = |line: &OwnedLine| line.correlation.as_deref().unwrap().split(':').next().unwrap().to_owned();
    let early: BTreeSet<String> = judgement.lines[..recipients].iter().map(of).collect();
    assert_eq!(early.len(), 2, "they run side by side");
    waits.assert_pace("two broadcasts", &judgement.lines, &stage.handed_over(), RATE);
}

#[test]
fn told_to_stop_it_awaits_what_is_on_the_wire_and_goes_on_when_run_again() {
    let _machine = machine::among_others();
    let recipients = size("HERALD_CRASH_SMALL", 1_600);
    for signal in [Signal::TERM, Signal::INT] {
        let stage = Stage::open(&LATENCY);
        let campaigns = [Campaign::new("drained", recipients, RATE)];
        let mut run = stage.start(&campaigns);
        stage.await_requests(&mut run, 100);
        run.signal(signal);
        let ended = run.finish();
        ended.expect(3);
        assert_eq!((ended.recipients("unknown"), ended.recipients("failed")), (0, 0));
        let judgement = Judgement::of(&stage);
        let sent = judgement.count(RecipientState::Sent);
        assert_eq!(judgement.sums(), [sent, 0, 0, 0, recipients - sent, 0]);
        assert!(sent < recipients, "it was stopped half way");
        // The rest need not take as long.
        stage.run(&campaigns.map(|campaign| Campaign { rate: 5 * RATE, ..campaign })).expect(0);
        assert_eq!(Judgement::of(&stage).sums(), [recipients, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn told_to_stop_when_the_last_are_on_the_wire_it_has_delivered_once_they_are_answered() {
    let _machine = machine::among_others();
    let stage = Stage::open(&["--latency", "1500"]);
    let campaigns = [Campaign::new("last", 6, 20)];
    let mut run = stage.start(&campaigns);
    stage.await_requests(&mut run, 6);
    run.signal(Signal::INT);
    run.await_told("once more");
    let ended = run.finish();
    ended.expect(0);
    assert_eq!(ended.condition("Finished").as_deref(), Some("Delivered"));
    assert_eq!(Judgement::of(&stage).sums(), [6, 0, 0, 0, 0, 0]);
}

#[test]
fn told_twice_it_ends_at_once() {
    let _machine = machine::among_others();
    let latency = Duration::from_secs(10);
    let stage = Stage::open(&["--latency", "10000"]);
    let campaigns = [Campaign::new("quit", 100, 20)];
    let mut run = stage.start(&campaigns);
    stage.await_requests(&mut run, 1);
    run.signal(Signal::INT);
    while !run.told().contains("once more") {
        assert!(run.ended().is_none(), "{}", run.told());
        std::thread::sleep(support::GLANCE);
    }
    let before = Instant::now();
    run.signal(Signal::INT);
    run.finish().expect(3);
    assert!(before.elapsed() < latency / 2, "it did not wait for the answers");
    stage.set(&serde_json::json!({"latency": "0"}));
    stage.run(&campaigns).expect(2);
    let judgement = Judgement::of(&stage);
    let unknown = judgement.count(RecipientState::Unknown);
    assert!(unknown >= 1, "the request on the wire");
    assert_eq!(judgement.sums(), [100 - unknown, 0, 0, unknown, 0, 0]);
}

#[test]
fn frozen_for_longer_than_any_deadline_it_wakes_up_and_nobody_gets_it_twice() {
    let _machine = machine::among_others();
    // Connect timeout, request timeout and grace are 5, 1 and 5 s.
    let frozen = Duration::from_millis(12_500);
    let recipients = size("HERALD_CRASH_SMALL", 1_200);
    let stage = Stage::open(&LATENCY);
    let watcher = Watcher::start();
    let campaign = Campaign { request_timeout_seconds: 1, senders: 2, ..Campaign::new("frozen", recipients, RATE) };
    let mut run = stage.start(std::slice::from_ref(&campaign));
    stage.await_requests(&mut run, 150);
    run.signal(Signal::STOP);
    let stopped_ns = pace::now_ns();
    let before = stage.summary().requests;
    // Nobody takes its place: it may wake up.
    let second = stage.run(std::slice::from_ref(&campaign));
    assert_eq!(second.code, Some(1), "{}", second.messages);
    assert!(second.messages.contains("in use by process"), "{}", second.messages);
    std::thread::sleep(frozen);
    let during = stage.summary().requests - before;
    run.signal(Signal::CONT);
    let ended = run.finish();
    let judgement = Judgement::of(&stage);
    let unknown = judgement.count(RecipientState::Unknown);
    eprintln!("frozen: {during} requests came after the stop, {unknown} are unknown");
    assert_eq!(judgement.sums(), [recipients - unknown, 0, 0, unknown, 0, 0]);
    ended.expect(if unknown == 0 { 0 } else { 2 });
    let allowed = UNKNOWN_PER_KILL + watcher.stop().more_on_the_wire(stopped_ns, RATE);
    assert!(unknown <= allowed, "{unknown}: only what was on the wire, allowed {allowed}");
}

#[test]
fn a_finished_broadcast_sends_nothing_when_run_again_and_its_key_stands_for_nothing_else() {
    let _machine = machine::among_others();
    let stage = Stage::open(&[]);
    let campaign = Campaign::new("finished", 60, RATE);
    stage.run(std::slice::from_ref(&campaign)).expect(0);
    let again = stage.run(std::slice::from_ref(&campaign));
    again.expect(0);
    assert!(again.messages.contains("finished already"), "{}", again.messages);
    assert_eq!(again.recipients("sent"), 60);

    let text = Campaign { text: "Something else.".to_owned(), ..campaign.clone() };
    let audience = Campaign { inline: Some("24009999999999".to_owned()), ..campaign.clone() };
    for (what, other) in [("text", text), ("audience", audience)] {
        let refused = stage.run(&[other]);
        assert_eq!(stage.summary().requests, 60, "another {what} was sent to somebody");
        refused.expect(4);
        assert_eq!(refused.condition("Stalled").as_deref(), Some("KeyReused"), "{what}");
        assert!(refused.messages.contains("idempotencyKey"), "{}", refused.messages);
    }
    // The plan is fixed: people added to the file since then are not in it.
    stage.run(&[Campaign { recipients: 61, ..campaign }]).expect(0);
    assert_eq!(stage.summary().requests, 60);
    assert_eq!(Judgement::of(&stage).sums(), [60, 0, 0, 0, 0, 0]);
}

#[test]
fn a_cancelled_key_stays_cancelled() {
    let _machine = machine::among_others();
    let stage = Stage::open(&LATENCY);
    let campaign = Campaign::new("cancelled", 400, RATE);
    let mut run = stage.start(std::slice::from_ref(&campaign));
    stage.await_requests(&mut run, 50);
    run.signal(Signal::TERM);
    run.finish().expect(3);
    let sent = Judgement::of(&stage).count(RecipientState::Sent);

    let ended = stage.run(&[Campaign { cancel: true, ..campaign.clone() }]);
    ended.expect(2);
    assert_eq!(ended.condition("Finished").as_deref(), Some("Cancelled"));
    assert_eq!(Judgement::of(&stage).sums(), [sent, 0, 400 - sent, 0, 0, 0]);

    let before = stage.summary().requests;
    let again = stage.run(&[campaign]);
    again.expect(2);
    assert_eq!(again.condition("Finished").as_deref(), Some("Cancelled"));
    assert_eq!(stage.summary().requests, before);
    assert_eq!(Judgement::of(&stage).sums(), [sent, 0, 400 - sent, 0, 0, 0]);
}
