//! Senders and operators killed with SIGKILL at random moments while several broadcasts are sent, some in place and some with
//! their pods, until everything has settled by itself. Every invariant that the ledger, the provider's record and the
//! statuses can show is judged, for each broadcast and for all of them together.
//!
//! `HERALD_CLUSTER_KILLS` says how many kills each test does, `HERALD_SEED` repeats the choices of a series; what they meet is
//! the cluster's own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use herald::delivery::recipient::RecipientState;
use herald::simulator::record::{Correlation, OwnedLine};

use super::judge::{STOPS_WITHIN, now_ns};
use super::kubectl::await_that;
use super::ledger_view::LedgerView;
use super::release::Release;
use super::stage::{Stage, condition};
use super::support::invariants::{Case, Kill, Silence};
use super::support::pace::Watcher;
use super::support::{Chance, doctor, size};
use super::victims::{self, Kind, Left, Operators, Victim};

/// A second, of the one channel of all broadcasts.
const RATE: u32 = 40;
/// Of each broadcast; enough for all kills of a round to meet somebody sending.
const PEOPLE: u32 = 600;
/// The longest of the provider.
const LATENCY_MS: u32 = 100;
/// Failures that may be tried again, ones that may not, and requests without an answer, as in a run without any kill.
const PROVIDER: [&str; 8] = ["--latency", "50-100", "--fail", "2=0.03", "--fail", "551=0.02", "--drop", "0.005"];
/// Whom a lost pod had on the wire is unknown so much sooner; far above any latency here.
const REQUEST_TIMEOUT: &str = r#"{"requestTimeoutSeconds": 3}"#;
/// How much sending a lost pod may leave in doubt: about half a second of rows held, what is on the wire, and answers that
/// wait to be recorded.
const LOST_MS: u32 = 500 + LATENCY_MS + 250;
/// Longer than this two kills are not apart, but for what the second one waits for.
const APART: Duration = Duration::from_secs(4);
/// So long it is waited for a request to come, or for somebody to kill.
const WORTH_WAITING: Duration = Duration::from_secs(10);
/// Each kind of kill so often in a round.
const OF_EACH_KIND: usize = 2;
/// A round does at least so many kills of its deck on average, however quickly its broadcasts come to their end: with fewer
/// a series shows nothing.
const LEAST_OF_A_ROUND: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Sender,
    Operator,
}

/// The kills of one round, each kind equally often, in any order.
fn deck(chance: &mut Chance) -> Vec<(Who, Kind)> {
    let each = [
        (Who::Sender, Kind::Process),
        (Who::Sender, Kind::Pod),
        (Who::Operator, Kind::Process),
        (Who::Operator, Kind::Pod),
    ];
    let mut deck: Vec<_> = each.iter().flat_map(|kill| [*kill; OF_EACH_KIND]).collect();
    for last in (1..deck.len()).rev() {
        deck.swap(last, chance.below(last as u64 + 1) as usize);
    }
    deck
}

/// Several broadcasts at once, from their beginning to their end.
struct Round<'a> {
    stage: &'a Stage,
    operators: &'a Operators<'a>,
    ledger: LedgerView,
    /// What may be judged of each broadcast.
    cases: BTreeMap<String, Case>,
    kills: Vec<(Who, Kind)>,
    /// Senders whose flight journal was lost with their pod: the broadcast, and which of its kills that was.
    lost: Vec<(String, usize, Vec<String>)>,
    /// Requests of earlier rounds.
    before: usize,
}

/// What a series came to.
#[derive(Default)]
struct Sums {
    kills: Vec<(Who, Kind)>,
    rounds: usize,
    unknown: usize,
    claims: i64,
    reclaims: i64,
}

impl Round<'_> {
    fn begin<'a>(stage: &'a Stage, operators: &'a Operators<'a>, number: usize) -> Round<'a> {
        let before = stage.record().len();
        let mut cases = BTreeMap::new();
        for (name, delivery) in
            [("one", "batchSize: 100"), ("two", "senders: 2, batchSize: 150"), ("three", "senders: 1")]
        {
            let name = format!("{name}-{number}");
            stage.apply(&stage.broadcast(&name, PEOPLE, &format!(", delivery: {{{delivery}}}")));
            let audience = (0..PEOPLE).map(|id| format!("{name}-{id}")).collect();
            cases.insert(name, Case { audience: Some(audience), ..Case::default() });
        }
        Round { stage, operators, ledger: operators.ledger(), cases, kills: Vec::new(), lost: Vec::new(), before }
    }

    fn is_finished(&self, name: &str) -> bool {
        condition(&self.stage.status(name), "Finished").is_some_and(|finished| finished["status"] == "True")
    }

    fn unfinished(&self) -> Vec<String> {
        self.cases.keys().filter(|name| !self.is_finished(name)).cloned().collect()
    }

    /// Notes what the statuses say, and then what the ledger holds.
    fn look(&mut self) {
        let told: BTreeMap<&String, _> = self.cases.keys().map(|name| (name, self.stage.status(name))).collect();
        let (namespace, names) = (&self.stage.namespace, &told);
        let (kept, audit) = self.ledger.read(|snapshot| {
            snapshot.namespace == *namespace && names.contains_key(&snapshot.name) && snapshot.plan.is_some()
        });
        let mut told: Vec<_> = told.into_iter().map(|(name, status)| (name.clone(), status)).collect();
        for kept in kept {
            let index = told.iter().position(|(name, _)| *name == kept.snapshot.name).expect("asked for");
            let case = self.cases.get_mut(&kept.snapshot.name).expect("asked for");
            case.told.push(told.swap_remove(index).1);
            case.looks.push(kept);
        }
        // Of the whole ledger, so it may stand with any of them.
        self.cases.values_mut().next().expect("there are some").audit.extend(audit);
    }

    /// Waits for a moment: any, or soon after a request.
    fn wait(&self, chance: &mut Chance) {
        std::thread::sleep(chance.within(APART));
        if chance.below(4) > 0 {
            let (before, began) = (self.stage.record().len(), Instant::now());
            while self.stage.record().len() == before && began.elapsed() < WORTH_WAITING {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        std::thread::sleep(chance.within(Duration::from_millis(250)));
    }

    /// One kill, if there is anybody to kill.
    fn kill(&mut self, who: Who, kind: Kind, chance: &mut Chance) {
        self.look();
        self.wait(chance);
        let began = Instant::now();
        let killed = loop {
            let killed = match who {
                Who::Sender => self.kill_a_sender(kind, chance),
                Who::Operator => self.kill_an_operator(kind, chance),
            };
            if killed.is_some() || began.elapsed() > WORTH_WAITING {
                break killed;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        self.kills.extend(killed.map(|kind| (who, kind)));
    }

    fn kill_an_operator(&self, kind: Kind, chance: &mut Chance) -> Option<Kind> {
        let victims = self.operators.victims();
        let chosen = chance.below(victims.len().max(1) as u64) as usize;
        let victim = victims.get(chosen)?;
        let kind = victim.kill(kind);
        println!("killed the operator {} ({kind:?})", victim.name());
        Some(kind)
    }

    fn kill_a_sender(&mut self, kind: Kind, chance: &mut Chance) -> Option<Kind> {
        let unfinished = self.unfinished();
        let mut victims = victims::senders(self.stage);
        victims.retain(|victim| unfinished.iter().any(|name| name == victim.broadcast()));
        // Mostly one that sends just now.
        let latest = self.stage.record().pop().map(|line| line.recipient.into_owned()).unwrap_or_default();
        let sends = |victim: &Victim| latest.starts_with(&format!("{}-", victim.broadcast()));
        if victims.iter().any(sends) && chance.below(4) > 0 {
            victims.retain(sends);
        }
        let chosen = chance.below(victims.len().max(1) as u64) as usize;
        let victim = victims.get(chosen)?;
        let Left { kind, at_ns, open, lost } = victim.kill_sender(kind)?;
        println!("killed the sender {} ({kind:?})", victim.name());
        let case = self.cases.get_mut(victim.broadcast()).expect("it is one of these");
        let claims = case.looks.last().map_or_else(Vec::new, |kept| kept.claims(Some(victim.name())));
        self.lost.push((victim.broadcast().to_owned(), case.kills.len(), lost));
        case.kills.push(Kill { at_ns, open, allowed: allowed(kind), claims });
        Some(kind)
    }

    /// Suspends everything, and kills an operator while nothing may be sent.
    fn pause(&mut self, chance: &mut Chance) {
        let suspend = |stage: &Stage, name: &str, wish: &str| {
            stage.patch("broadcastmessage", name, &format!("{{\"suspend\": {wish}}}"));
        };
        let unfinished = self.unfinished();
        unfinished.iter().for_each(|name| suspend(self.stage, name, "true"));
        await_that("everything is suspended", || {
            let open = unfinished.iter().filter(|name| !self.is_finished(name));
            open.map(|name| self.stage.status(name))
                .all(|status| condition(&status, "Suspended").is_some_and(|held| held["status"] == "True"))
        });
        let from_ns = now_ns() + STOPS_WITHIN.as_nanos() as u64;
        self.kill(Who::Operator, Kind::Process, chance);
        await_that("the operators are back", || self.operators.all_ready());
        std::thread::sleep(STOPS_WITHIN);
        let silence = Silence { from_ns, to_ns: now_ns() };
        self.cases.values_mut().for_each(|case| case.silences.push(silence));
        unfinished.iter().for_each(|name| suspend(self.stage, name, "null"));
    }

    /// Waits until everything has come to its end and nobody is left who could change it.
    fn settle(&mut self) {
        for name in self.cases.keys() {
            await_that(&format!("{name} comes to its end"), || self.is_finished(name));
        }
        await_that("every sender leaves", || self.cases.keys().all(|name| self.stage.sender_pods(name).is_empty()));
        await_that("the operators are back", || self.operators.all_ready());
        for (name, kill, holders) in self.lost.drain(..) {
            let case = self.cases.get_mut(&name).expect("it is one of these");
            case.kills[kill].open.extend(self.ledger.lost_with(&holders));
        }
        // A status is written as the budget of writes allows.
        for _ in 0..20 {
            self.look();
            for case in self.cases.values_mut() {
                case.broadcasts = case.looks.last().cloned().into_iter().collect();
                case.status = case.told.last().cloned();
            }
            if self.cases.values().all(|case| case.broken_among(&["I14"]).is_empty()) {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Judges each broadcast, and then all of them together.
    #[track_caller]
    fn judge(&mut self, watcher: Watcher) {
        let waits = watcher.stop();
        let lines = self.stage.record().split_off(self.before);
        for (name, case) in &mut self.cases {
            let id = case.broadcasts[0].snapshot.id.0.to_string();
            case.lines = lines.iter().filter(|line| broadcast(line) == Some(&*id)).cloned().collect();
            for kill in &mut case.kills {
                kill.allowed += waits.more_on_the_wire(kill.at_ns, RATE);
            }
            assert_eq!(case.broken(), Vec::<String>::new(), "{name}");
        }
        let broadcasts = self.cases.values().flat_map(|case| case.broadcasts.clone()).collect();
        let whole = Case { lines, broadcasts, rate: Some(RATE), waits: Some(waits), ..Case::default() };
        assert_eq!(whole.broken_among(&["I6", "I7", "I11", "I12"]), Vec::<String>::new(), "all together");
    }

    fn add_to(&self, sums: &mut Sums) {
        sums.rounds += 1;
        sums.kills.extend(&self.kills);
        for kept in self.cases.values().flat_map(|case| &case.broadcasts) {
            sums.unknown += kept.deliveries.iter().filter(|row| row.state == RecipientState::Unknown).count();
            sums.claims += kept.batches.iter().map(|batch| batch.epoch).sum::<i64>();
            sums.reclaims += kept.batches.iter().map(|batch| batch.reclaims).sum::<i64>();
        }
    }
}

fn broadcast(line: &OwnedLine) -> Option<&str> {
    Correlation::parse(line.correlation.as_deref()?).map(|correlation| correlation.broadcast)
}

/// How many one kill may leave in doubt, on a machine that lets no thread wait.
fn allowed(kind: Kind) -> usize {
    let in_doubt_ms = match kind {
        // Twice what is on the wire on average: slots are even, latencies are not.
        Kind::Process => 2 * LATENCY_MS,
        Kind::Pod => LOST_MS,
    };
    (RATE * in_doubt_ms).div_ceil(1_000) as usize
}

/// Rounds of broadcasts until there were so many kills.
fn series(test: &str, stage: &Stage, operators: &Operators<'_>) {
    let kills = size("HERALD_CLUSTER_KILLS", 8);
    let mut chance = Chance::printed(test);
    stage.patch("messagechannel", "page", REQUEST_TIMEOUT);
    let mut sums = Sums::default();
    let most_rounds = kills.div_ceil(LEAST_OF_A_ROUND);
    while sums.kills.len() < kills {
        assert!(
            sums.rounds < most_rounds,
            "{test}: {} of {kills} kills are missing after {most_rounds} rounds: nobody was left to kill, or they were gone \
             before; done: {:?}",
            kills - sums.kills.len(),
            sums.kills
        );
        let watcher = Watcher::start();
        let mut round = Round::begin(stage, operators, sums.rounds);
        let mut deck = deck(&mut chance);
        deck.truncate(kills - sums.kills.len());
        let pause_before = chance.below(deck.len() as u64) as usize;
        for (index, (who, kind)) in deck.into_iter().enumerate() {
            if index == pause_before {
                round.pause(&mut chance);
            }
            if round.unfinished().is_empty() {
                break;
            }
            round.kill(who, kind, &mut chance);
        }
        round.settle();
        round.judge(watcher);
        if sums.rounds == 0 {
            doctor::assert_noticed(&round.cases["one-0"]);
        }
        round.add_to(&mut sums);
        round.cases.keys().for_each(|name| stage.delete("broadcastmessage", name));
    }
    let count = |who, kind| sums.kills.iter().filter(|kill| **kill == (who, kind)).count();
    let [in_place, pods] =
        [Kind::Process, Kind::Pod].map(|kind| (count(Who::Sender, kind), count(Who::Operator, kind)));
    let Sums { kills, rounds, unknown, claims, reclaims } = &sums;
    println!(
        "{test}: {} kills in {rounds} rounds of 3 x {PEOPLE}: senders {} in place and {} with their pods, operators {} and \
         {}; {unknown} unknown, {claims} claims of batches, {reclaims} of them from somebody lost",
        kills.len(),
        in_place.0,
        pods.0,
        in_place.1,
        pods.1,
    );
}

/// Kills the one operator that serves all tests, so it runs alone.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn senders_and_the_operator_with_a_file_killed_at_any_moment_break_no_promise() {
    let stage = Stage::with_channel("kills", &PROVIDER, RATE);
    series("kills-with-a-file", &stage, &Operators::OfAll);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn senders_and_operators_of_one_database_killed_at_any_moment_break_no_promise() {
    let release = Release::beside("kills", &PROVIDER, RATE, 2);
    series("kills-of-one-database", &release.stage, &Operators::Of(&release));
}
