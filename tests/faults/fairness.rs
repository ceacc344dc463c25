//! How broadcasts share one account, end to end: `herald run` processes on one PostgreSQL, and two broadcasts in one
//! process. The simulator's record is the judge, and it judges in slots: a busy machine moves them all alike.
//!
//! `HERALD_FAIRNESS_SECONDS` says how long each mix lasts, and `HERALD_SOAK=1` makes that longer.

use std::collections::{BTreeMap, HashMap};

use herald::ledger::postgres::PostgresLedger;
use herald::simulator::record::{Correlation, OwnedLine};
use rustix::process::Signal;

use super::postgres_server;
use super::support::campaign::Campaign;
use super::support::invariants::{Case, OF_ANY_RUN};
use super::support::judge::{self, Judgement, Kept};
use super::support::machine;
use super::support::pace::Watcher;
use super::support::process::Running;
use super::support::size;
use super::support::stage::Stage;

const RATE: u32 = 100;
const LATENCY: [&str; 2] = ["--latency", "50"];
const BULK_RECIPIENTS: usize = 100_000;
const A_FEW_URGENT: usize = 100;
/// What each priority weighs, as the field's description has it.
const URGENT: usize = 8;
const NORMAL: usize = 4;
const BULK: usize = 1;
/// How long an urgent broadcast that is planned may wait for its first message.
const URGENT_WITHIN_SECONDS: usize = 2;
/// Each broadcast's part is judged in every so many seconds, so nobody may be left out and made up to later.
const WINDOW_SECONDS: usize = 3;
/// A part may be off by so much of all slots: of two equals each gets 50 % ± 5.
const TOLERANCE: f64 = 0.05;
/// A broadcast may run ahead of the others by its part of so many seconds, so in a window it may be off by that as well.
const AHEAD_SECONDS: usize = 1;
/// What nobody else wants goes to who is left: so much of the rate at least.
const ALONE: f64 = 0.95;
/// After the end of another, so many seconds until what was held for it has passed.
const LET_GO_SECONDS: usize = 2;

/// How long each mix lasts.
fn seconds() -> usize {
    size("HERALD_FAIRNESS_SECONDS", 8)
}

/// The slots of so many seconds.
fn slots(seconds: usize) -> usize {
    seconds * RATE as usize
}

/// A broadcast whose name is its text, so that the record tells them apart.
fn campaign(name: &str, recipients: usize, priority: &'static str) -> Campaign {
    Campaign { text: name.to_owned(), priority, ..Campaign::new(name, recipients, RATE) }
}

/// A slot of the account, and whose it was.
#[derive(Clone)]
struct Slot {
    name: String,
    time_ns: u64,
    /// Its recipient was asked for once and no more.
    first_attempt: bool,
    /// It passed before its recipient was begun; it is counted where the recipient was asked for in the end.
    lost: bool,
}

/// What the record says of slots, in order.
struct Slots(Vec<Slot>);

impl Slots {
    /// A slot for each request, and one for each attempt of the same recipient that was not begun in time: a machine that is
    /// busy loses slots, and to whom they were given is what counts.
    fn of(mut lines: Vec<OwnedLine>) -> Slots {
        lines.sort_by_key(|line| line.time_ns);
        let mut attempts = HashMap::new();
        let mut slots = Vec::new();
        for line in lines {
            let correlation = Correlation::parse(line.correlation.as_deref().unwrap()).unwrap();
            let recipient = (correlation.broadcast.to_owned(), correlation.seq);
            let before = attempts.insert(recipient, correlation.attempt).unwrap_or(0);
            for attempt in before + 1..=correlation.attempt {
                let first_attempt = correlation.attempt == 1;
                let lost = attempt < correlation.attempt;
                slots.push(Slot { name: line.text.to_string(), time_ns: line.time_ns, first_attempt, lost });
            }
        }
        Slots(slots)
    }

    fn nth(&self, name: &str, number: usize) -> usize {
        let of_it = self.0.iter().enumerate().filter(|(_, slot)| slot.name == name);
        of_it.map(|(index, _)| index).nth(number - 1).unwrap_or_else(|| panic!("{name} had fewer than {number} slots"))
    }

    fn first(&self, name: &str) -> usize {
        self.nth(name, 1)
    }

    fn last(&self, name: &str) -> usize {
        self.0.iter().rposition(|slot| slot.name == name).unwrap()
    }

    /// When somebody was last taken whom it had not taken before. From then on it wants few slots or none: for those alone
    /// who were not begun in time.
    fn last_wanted(&self, name: &str) -> usize {
        self.0.iter().rposition(|slot| slot.name == name && slot.first_attempt).unwrap()
    }

    /// While all of these want slots: from the second of each on, because a process that begins sends one message alone and
    /// waits for its answer.
    fn while_all_send(&self, names: &[&str]) -> &[Slot] {
        let first = names.iter().map(|name| self.nth(name, 2)).max().unwrap();
        let last = names.iter().map(|name| self.last_wanted(name)).min().unwrap();
        self.between(first, last)
    }

    /// From one place to another, both included.
    fn between(&self, first: usize, last: usize) -> &[Slot] {
        let time_ms = |place: usize| self.0.get(place).map(|slot| slot.time_ns / 1_000_000);
        let (from_ms, to_ms) = (time_ms(first), time_ms(last));
        assert!(
            first <= last,
            "nothing lies between slot {first}, at {from_ms:?} ms, and slot {last}, at {to_ms:?} ms"
        );
        &self.0[first..=last]
    }

    /// How many others had slots between the seal of a plan and its first message.
    fn waited(&self, name: &str, broadcasts: &[Kept]) -> usize {
        let kept = broadcasts.iter().find(|kept| kept.snapshot.name == name).unwrap();
        let sealed_ns = u64::try_from(kept.snapshot.plan.as_ref().unwrap().sealed_at.0).unwrap();
        self.0[..self.first(name)].iter().filter(|slot| slot.time_ns > sealed_ns).count()
    }

    /// Slots a second of who is alone between these two, once the first was let go; the middle one of all seconds, because
    /// a machine that is busy may stand still in one.
    fn alone_between(&self, from: usize, to: usize) -> usize {
        const SECOND_NS: u64 = 1_000_000_000;
        let from_ns = self.0[from].time_ns + LET_GO_SECONDS as u64 * SECOND_NS;
        let whole_seconds = self.0[to].time_ns.checked_sub(from_ns).map_or(0, |alone_ns| alone_ns / SECOND_NS);
        let (before, next) = (&self.0[from], &self.0[to]);
        assert!(
            whole_seconds > 0,
            "from the last slot of {} to the next of {} are {} ms: too short for {LET_GO_SECONDS} s in which it was let go and \
             one whole second alone",
            before.name,
            next.name,
            next.time_ns.saturating_sub(before.time_ns) / 1_000_000
        );
        let mut counts: Vec<usize> = (0..whole_seconds)
            .map(|second| {
                let second_ns = from_ns + second * SECOND_NS..from_ns + (second + 1) * SECOND_NS;
                self.0[from..to].iter().filter(|slot| second_ns.contains(&slot.time_ns)).count()
            })
            .collect();
        eprintln!("alone, each second: {counts:?}");
        counts.sort_unstable();
        counts[counts.len() / 2]
    }
}

/// How many slots each had.
fn counts(window: &[Slot]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for slot in window {
        *counts.entry(slot.name.as_str()).or_default() += 1;
    }
    counts
}

/// Whether the machine lost so many of these slots that it is not sure when they were.
fn is_blurred(window: &[Slot]) -> bool {
    let lost = window.iter().filter(|slot| slot.lost).count();
    lost as f64 > window.len() as f64 * TOLERANCE
}

/// Who of these, by what they weigh, has another part than is due to him: of all slots, or in any window of some seconds in
/// which the machine was not too busy to tell. Where there is none all slots are judged alone, if enough of them are sure.
fn unfair(slots_of_all: &[Slot], weights: &[(&str, usize)]) -> Vec<String> {
    let windows = slots_of_all.chunks_exact(slots(WINDOW_SECONDS));
    if windows.len() < 2 {
        return vec![format!("{} slots are too few to judge by", slots_of_all.len())];
    }
    let sure = slots_of_all.iter().filter(|slot| !slot.lost).count();
    if windows.clone().all(is_blurred) && sure < slots(WINDOW_SECONDS) {
        return vec![format!("{sure} of {} slots are sure: too few to judge by", slots_of_all.len())];
    }
    let total: usize = weights.iter().map(|(_, weight)| weight).sum();
    let mut wrong = Vec::new();
    let windows = windows.filter(|window| !is_blurred(window)).map(|window| (window, slots(AHEAD_SECONDS)));
    for (window, ahead) in windows.chain([(slots_of_all, 0)]) {
        let counts = counts(window);
        eprintln!("of {} slots: {counts:?}", window.len());
        for (name, weight) in weights {
            let part = counts.get(name).copied().unwrap_or(0) as f64 / window.len() as f64;
            let due = *weight as f64 / total as f64;
            if (part - due).abs() > TOLERANCE + due * ahead as f64 / window.len() as f64 {
                wrong.push(format!("{name} had {:.1} % of {}, due {:.1} %", part * 100.0, window.len(), due * 100.0));
            }
        }
    }
    wrong
}

const FAIR: Vec<String> = Vec::new();

/// The runs on one server, with a bulk broadcast that goes on all the time.
struct Shared {
    stage: Stage,
    database: String,
    bulk: Running,
}

impl Shared {
    fn begin() -> Shared {
        let stage = Stage::open(&LATENCY);
        let database = stage.runtime().block_on(postgres_server::fresh_database());
        let bulk = stage.start_on(&database, &[campaign("bulk", BULK_RECIPIENTS, "Bulk")]);
        let mut shared = Shared { stage, database, bulk };
        shared.let_bulk_go_on(2);
        shared
    }

    fn start(&self, name: &str, recipients: usize, priority: &'static str) -> Running {
        self.stage.start_on(&self.database, &[campaign(name, recipients, priority)])
    }

    fn let_bulk_go_on(&mut self, seconds: usize) {
        let so_far = self.stage.summary().requests;
        self.stage.await_requests(&mut self.bulk, so_far + slots(seconds) as u64);
    }

    /// Stops the bulk broadcast; what ledger and provider say must agree.
    fn end(self) -> (Slots, Vec<Kept>, Stage) {
        self.bulk.signal(Signal::TERM);
        self.bulk.finish().expect(3);
        let read = async { judge::read_from(&PostgresLedger::open(&self.database).await.unwrap()).await };
        let (broadcasts, audit) = self.stage.runtime().block_on(read);
        let case = Case { lines: self.stage.record(), broadcasts, audit, ..Case::default() };
        assert_eq!(case.broken_among(&OF_ANY_RUN), Vec::<String>::new());
        (Slots::of(case.lines), case.broadcasts, self.stage)
    }
}

#[test]
fn beside_a_bulk_broadcast_of_a_hundred_thousand_each_gets_its_part_at_once_and_nobody_starves() {
    let _machine = machine::among_few();
    let watcher = Watcher::start();
    let mut shared = Shared::begin();
    shared.start("few", A_FEW_URGENT, "Urgent").finish().expect(0);
    shared.let_bulk_go_on(LET_GO_SECONDS + 3);
    let mix = slots(seconds());
    let one = shared.start("one", mix * NORMAL / (2 * NORMAL + BULK), "Normal");
    // It goes on beside the bulk one when the first has ended.
    let other = shared.start("other", mix * NORMAL / (2 * NORMAL + BULK) + mix * NORMAL / (NORMAL + BULK), "Normal");
    one.finish().expect(0);
    other.finish().expect(0);
    shared.let_bulk_go_on(LET_GO_SECONDS + 3);
    shared.start("urgent", mix * URGENT / (URGENT + BULK), "Urgent").finish().expect(0);
    shared.let_bulk_go_on(LET_GO_SECONDS + 3);
    let (slots_of_all, broadcasts, stage) = shared.end();
    let waits = watcher.stop();

    for name in ["few", "urgent"] {
        let waited = slots_of_all.waited(name, &broadcasts);
        eprintln!("{name}: {waited} slots went to others before its first");
        assert!(waited <= slots(URGENT_WITHIN_SECONDS), "{name} had its first after {waited} slots");
    }
    let few = counts(slots_of_all.while_all_send(&["few", "bulk"]));
    eprintln!("{few:?}");
    assert!(
        few["bulk"] * 4 < few["few"],
        "a short urgent broadcast takes its part from its second message on: {few:?}"
    );

    let both = slots_of_all.while_all_send(&["urgent", "bulk"]);
    assert_eq!(unfair(both, &[("urgent", URGENT), ("bulk", BULK)]), FAIR);
    let equals = slots_of_all.while_all_send(&["one", "other", "bulk"]);
    assert_eq!(unfair(equals, &[("one", NORMAL), ("other", NORMAL), ("bulk", BULK)]), FAIR);
    let of_two: Vec<Slot> = equals.iter().filter(|slot| slot.name != "bulk").cloned().collect();
    assert_eq!(unfair(&of_two, &[("one", 1), ("other", 1)]), FAIR);
    let rest = slots_of_all.between(slots_of_all.last("one") + slots(1), slots_of_all.last_wanted("other"));
    assert_eq!(unfair(rest, &[("other", NORMAL), ("bulk", BULK)]), FAIR);

    let end = slots_of_all.0.len() - 1;
    let others = [
        ("few", slots_of_all.first("one").min(slots_of_all.first("other"))),
        ("other", slots_of_all.first("urgent")),
        ("urgent", end),
    ];
    for (before, next) in others {
        let a_second = slots_of_all.alone_between(slots_of_all.last(before), next);
        assert!(
            a_second as f64 >= f64::from(RATE) * ALONE,
            "{a_second} a second for the bulk broadcast after {before}"
        );
    }
    waits.assert_pace("sharing", &stage.record(), &stage.handed_over(), RATE);
}

#[test]
fn two_equal_broadcasts_of_one_run_get_half_each() {
    let _machine = machine::among_few();
    let watcher = Watcher::start();
    let stage = Stage::open(&LATENCY);
    let recipients = slots(seconds()) / 2;
    stage.run(&["one", "other"].map(|name| campaign(name, recipients, "Normal"))).expect(0);
    let waits = watcher.stop();
    let judgement = Judgement::of(&stage);
    assert_eq!(judgement.sums(), [2 * recipients, 0, 0, 0, 0, 0]);
    waits.assert_pace("half each", &judgement.lines, &stage.handed_over(), RATE);
    let slots_of_all = Slots::of(judgement.lines);
    assert_eq!(unfair(slots_of_all.while_all_send(&["one", "other"]), &[("one", NORMAL), ("other", NORMAL)]), FAIR);
}

#[test]
fn the_judge_notices_who_has_too_much_and_who_is_left_out_for_some_seconds() {
    let slot = |name: &str| Slot { name: name.to_owned(), time_ns: 0, first_attempt: true, lost: false };
    let of = |pattern: &[&str], times: usize| -> Vec<Slot> { pattern.repeat(times).into_iter().map(slot).collect() };
    let weights = [("one", 1), ("other", 1)];
    let turns = slots(WINDOW_SECONDS);
    assert_eq!(unfair(&of(&["one", "other"], turns), &weights), FAIR);
    assert_ne!(unfair(&of(&["one", "other", "one"], turns), &weights), FAIR);
    let in_turns = [of(&["one"], turns), of(&["other"], turns)].concat();
    assert_eq!(unfair(&in_turns, &weights).len(), 4, "each is left out once, and both are even in the end");
    assert_ne!(unfair(&of(&["one", "other"], 10), &weights), FAIR, "too few to judge by");
    let blurred = |mut slots: Vec<Slot>| {
        slots.iter_mut().step_by(10).for_each(|slot| slot.lost = true);
        slots
    };
    assert_eq!(unfair(&blurred(in_turns.clone()), &weights), FAIR, "nobody knows whose turn it was");
    let uneven = of(&["one", "other", "one"], turns);
    assert_eq!(unfair(&blurred(uneven), &weights).len(), 2, "and yet one had more");
    let lost: Vec<Slot> = in_turns.into_iter().map(|slot| Slot { lost: true, ..slot }).collect();
    assert_ne!(unfair(&lost, &weights), FAIR, "no slot is sure");
}

#[test]
#[should_panic(expected = "too short for 2 s in which it was let go and one whole second alone")]
fn the_judge_says_so_where_a_broadcast_was_alone_for_too_short() {
    let slot = |name: &str, time_ns| Slot { name: name.to_owned(), time_ns, first_attempt: true, lost: false };
    Slots(vec![slot("one", 0), slot("other", 1_900_000_000)]).alone_between(0, 1);
}
