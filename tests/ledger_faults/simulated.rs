//! Senders in simulated time that crash, freeze, and lose, repeat and delay their exchanges, and a provider that keeps its
//! own record: the judge.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use herald::api::Content;
use herald::api::content::{Attachment, AttachmentType};
use herald::delivery::backoff::{RetryPolicy, scatter};
use herald::delivery::outcome::{Fault, Outcome, PermanentScope, ThrottleScope};
use herald::delivery::pacing::{self, NORMAL_WEIGHT};
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::rate::Rate;
use herald::delivery::recipient::RecipientState;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::declaration::{AccountKey, Declaration};
use herald::ledger::exchange::{Assignment, BroadcastId, Directive, ExchangeReply, ExchangeRequest, LastWords, Report};
use herald::ledger::plan::{PlanRow, PlanTicket};
use herald::ledger::{Clock, LedgerError};

use super::backend::Backend;
use super::suppression::Lists;
use super::write_backs::{Errands, write_back};

pub const RECIPIENTS: usize = 60;
const SENDERS: usize = 3;
const RATE: Rate = Rate { messages: 20, period_seconds: 1 };
/// Steps with faults; after them the same senders go on without.
const FAULTY_STEPS: u32 = 600;
/// Without faults everybody must be settled within this many more steps.
const CALM_STEPS: u32 = 60_000;
/// Looked at after so many of them.
const LOOK: u32 = 20;

/// A seeded source of chance, so that a failing run can be repeated.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scatter(self.0) % limit
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What can go wrong in one run.
#[derive(Clone, Copy)]
pub struct Faults {
    pub network: bool,
    pub crashes: bool,
    /// Crashed senders leave a flight journal that lacks nothing.
    pub journal: bool,
    /// The provider throttles, fails and refuses at random.
    pub provider: bool,
    /// Answers of the provider get lost on the way back.
    pub lost_answers: bool,
    /// The operator suspends and resumes.
    pub pauses: bool,
    /// Lists of people who get nothing name more and more of them.
    pub lists: bool,
    pub clock_set_back: bool,
    /// A sender that calls a lost answer "not begun": what the ledger relies on nobody doing.
    pub lying_sender: bool,
}

pub const CALM: Faults = Faults {
    network: false,
    crashes: false,
    journal: true,
    provider: false,
    lost_answers: false,
    pauses: false,
    lists: false,
    clock_set_back: false,
    lying_sender: false,
};

struct Flight {
    row: Assignment,
    answer: Outcome,
    at: Timestamp,
}

struct Sender {
    holder: String,
    number: u64,
    /// As a sender that has seen this much of the ledger: a false alarm would end the run with people pending.
    known_revision: i64,
    unanswered: Option<ExchangeRequest>,
    held: Vec<Assignment>,
    flights: Vec<Flight>,
    reports: Vec<Report>,
    /// Outcomes as the journal has them, recorded in the ledger or not.
    journal: Vec<Report>,
    frozen_until: Timestamp,
    ask_again: Timestamp,
}

impl Sender {
    fn new(name: String) -> Sender {
        Sender {
            holder: name,
            number: 0,
            known_revision: 0,
            unanswered: None,
            held: Vec::new(),
            flights: Vec::new(),
            reports: Vec::new(),
            journal: Vec::new(),
            frozen_until: Timestamp::EPOCH,
            ask_again: Timestamp::EPOCH,
        }
    }

    /// Nothing is held, on the wire or unreported.
    fn has_told_all(&self) -> bool {
        self.unanswered.is_none() && self.held.is_empty() && self.flights.is_empty() && self.reports.is_empty()
    }
}

pub struct World<L> {
    /// Processes that keep one ledger together: each call goes to any of them.
    ledgers: Vec<L>,
    pub clock: Arc<ManualClock>,
    pub broadcast: BroadcastId,
    pub plan: PlanTicket,
    pub chance: Chance,
    pub faults: Faults,
    senders: Vec<Sender>,
    born: usize,
    delayed: Vec<ExchangeRequest>,
    /// By recipient and part.
    accepted: HashMap<(String, u32), u32>,
    refused: HashMap<String, u32>,
    suspended: bool,
    /// Of each message.
    parts: u32,
    /// Whose each slot is that was not given back, by the time that no clock sets back.
    slots: BTreeMap<i64, (i64, u32)>,
    set_back: Span,
    /// When it was set back, by the time that none sets back.
    set_back_at: Vec<i64>,
    pub errands: Errands,
    pub lists: Lists,
    /// What was seen on the way.
    wrong: Vec<String>,
}

pub fn person(number: usize) -> String {
    format!("person-{number}")
}

/// A text of one part, or pictures after it.
pub fn declaration(suspended: bool, parts: u32) -> Declaration {
    let picture = |number| Attachment { kind: AttachmentType::Image, url: format!("https://a.example/{number}.png") };
    Declaration {
        namespace: "default".into(),
        name: "faulty".into(),
        idempotency_key: "faulty".into(),
        owner_uid: String::new(),
        generation: 1,
        account: AccountKey {
            namespace: "default".into(),
            provider: "messenger".into(),
            account: "a".into(),
            host: "localhost".into(),
        },
        account_rate: RATE,
        identity_hash: "same".into(),
        audience_hash: String::new(),
        content: Content { text: "hello".into(), attachments: (1..parts).map(picture).collect(), ..Content::default() },
        orders: None,
        sent_tags: Vec::new(),
        reply_window: None,
        request_timeout: Span::from_secs(2),
        rate: None,
        weight: NORMAL_WEIGHT,
        retry: RetryPolicy::default(),
        batch_size: Some(7),
        plan_limit: None,
        start_at: None,
        end_at: None,
        start_by: None,
        quiet_hours: QuietHours::default(),
        notifications: Vec::new(),
        write_backs: vec![write_back()],
        suspended,
        cancelled: false,
        key_is_given: true,
        recollection: Default::default(),
    }
}

impl<L: Backend> World<L> {
    async fn new(seed: u64, faults: Faults) -> World<L> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let ledgers = L::processes(clock.clone()).await;
        let ledger = &ledgers[0];
        // Every third message has one part, every third one three.
        let parts = 1 + (seed % 3) as u32;
        let broadcast = ledger.declare(&declaration(false, parts)).await.unwrap().id;
        let ticket = ledger.begin_plan(broadcast).await.unwrap();
        let row = |n| PlanRow { recipient: person(n), vars: BTreeMap::new() };
        let rows: Vec<PlanRow> = (0..RECIPIENTS).map(row).collect();
        ledger.append_plan(ticket, 1, &rows).await.unwrap();
        ledger.seal_plan(ticket, &Default::default()).await.unwrap();
        let senders = (0..SENDERS).map(|n| Sender::new(format!("sender-{n}"))).collect();
        World {
            ledgers,
            clock,
            broadcast,
            plan: ticket,
            chance: Chance(seed << 32),
            faults,
            senders,
            born: SENDERS,
            delayed: Vec::new(),
            accepted: HashMap::new(),
            refused: HashMap::new(),
            suspended: false,
            parts,
            slots: BTreeMap::new(),
            set_back: Span::ZERO,
            set_back_at: Vec::new(),
            errands: Errands::new(),
            lists: Lists::default(),
            wrong: Vec::new(),
        }
    }

    pub fn ledger(&mut self) -> &L {
        let which = self.chance.below(self.ledgers.len() as u64) as usize;
        &self.ledgers[which]
    }

    async fn step(&mut self) {
        let which = self.chance.below(SENDERS as u64) as usize;
        match self.chance.below(13) {
            0..4 => self.exchange(which).await,
            4..9 => self.send(which),
            9 => self.clock.advance(Span::from_millis(self.chance.below(120) as i64)),
            10 => {
                self.ledger().maintain().await.unwrap();
            }
            11 => self.write_down().await,
            _ => self.misfortune(which).await,
        }
        self.clock.advance(Span::from_millis(self.chance.below(12) as i64));
    }

    async fn misfortune(&mut self, which: usize) {
        match self.chance.below(7) {
            0 if self.faults.crashes => self.crash(which).await,
            1 if self.faults.crashes => {
                let until = self.clock.now() + Span::from_millis(self.chance.below(30_000) as i64);
                self.senders[which].frozen_until = until;
            }
            2 if self.faults.pauses => {
                self.suspended = !self.suspended;
                let declaration = declaration(self.suspended, self.parts);
                self.ledger().declare(&declaration).await.unwrap();
            }
            3 if self.faults.clock_set_back && self.chance.percent(20) => {
                self.set_back_at.push((self.clock.now() + self.set_back).0);
                self.clock.advance(Span::from_secs(-300));
                self.set_back = self.set_back + Span::from_secs(300);
            }
            4 if !self.delayed.is_empty() => {
                let late = self.chance.below(self.delayed.len() as u64) as usize;
                let request = self.delayed.swap_remove(late);
                // Nobody waits for this answer.
                let _ = self.ledger().exchange(&request).await;
                self.free(&request.outcomes);
            }
            5 if self.chance.percent(10) => self.clock.advance(Span::from_secs(9)),
            6 if self.faults.lists && self.chance.percent(30) => self.read_lists().await,
            _ => {}
        }
    }

    async fn exchange(&mut self, which: usize) {
        let now = self.clock.now();
        let sender = &mut self.senders[which];
        if sender.frozen_until > now || (sender.ask_again > now && sender.reports.is_empty()) {
            return;
        }
        let request = sender.unanswered.take().unwrap_or_else(|| {
            sender.number += 1;
            let room = 6_u32.saturating_sub(sender.held.len() as u32);
            ExchangeRequest {
                broadcast: self.broadcast,
                holder: sender.holder.clone(),
                display: sender.holder.clone(),
                number: sender.number,
                outcomes: std::mem::take(&mut sender.reports),
                wants: room,
                held_up: false,
                known_revision: sender.known_revision,
                content_of: Some(1),
                usage: None,
                retry_credentials: false,
                leaving: false,
            }
        });
        let fate = if self.faults.network { self.chance.below(10) } else { 9 };
        if fate == 0 {
            self.senders[which].unanswered = Some(request);
            return;
        }
        if fate == 1 {
            self.delayed.push(request.clone());
        }
        let answer = self.ledger().exchange(&request).await;
        self.free(&request.outcomes);
        if fate == 2 {
            self.senders[which].unanswered = Some(request);
            return;
        }
        match answer {
            Ok(reply) => self.receive(which, reply),
            // Only a sender that the world declared dead may hear this.
            Err(LedgerError::SenderClosed) => panic!("a living sender was closed"),
            Err(error) => panic!("{error}"),
        }
    }

    fn receive(&mut self, which: usize, reply: ExchangeReply) {
        self.wrong.extend(reply.rows.iter().filter_map(|row| self.lists.judge(row)));
        self.slots.extend(reply.rows.iter().map(|row| ((row.slot + self.set_back).0, (row.seq, row.attempt))));
        let sender = &mut self.senders[which];
        sender.known_revision = sender.known_revision.max(reply.revision);
        sender.held.extend(reply.rows);
        sender.ask_again = Timestamp::EPOCH;
        match reply.directive {
            Directive::Wait { until } => sender.ask_again = until,
            Directive::Stop { .. } => {
                let released = sender.held.drain(..);
                sender.reports.extend(released.map(|row| report(&row, Outcome::NotBegun)));
            }
            Directive::Continue | Directive::Plan => {}
        }
    }

    /// Begins what is due, gives up what is late, and takes answers that have arrived.
    fn send(&mut self, which: usize) {
        let now = self.clock.now();
        if self.senders[which].frozen_until > now {
            return;
        }
        let held = std::mem::take(&mut self.senders[which].held);
        for row in held {
            if now > row.start_by {
                self.senders[which].reports.push(report(&row, Outcome::NotBegun));
            } else if now >= row.slot {
                let answer = self.provider(&row);
                let at = now + Span::from_millis(self.chance.below(400) as i64);
                self.senders[which].flights.push(Flight { row, answer, at });
            } else {
                self.senders[which].held.push(row);
            }
        }
        let lying = self.faults.lying_sender;
        let sender = &mut self.senders[which];
        for flight in sender.flights.extract_if(.., |flight| flight.at <= now) {
            let lost = matches!(flight.answer, Outcome::Unknown { .. });
            let outcome = if lying && lost { Outcome::NotBegun } else { flight.answer };
            let report = report(&flight.row, outcome);
            sender.journal.push(report.clone());
            sender.reports.push(report);
        }
    }

    fn provider(&mut self, row: &Assignment) -> Outcome {
        let fault = || Fault::new("Simulated", None, "");
        let roll = self.chance.below(100);
        if self.faults.lost_answers && roll < 10 {
            if roll < 5 {
                self.accept(row);
            }
            return Outcome::Unknown { fault: fault() };
        }
        let refusal = match roll {
            10..15 => Outcome::Transient { cap: None, fault: fault() },
            15..18 => Outcome::NotSent { fault: fault() },
            18..20 => Outcome::Permanent { scope: PermanentScope::Recipient, fault: fault() },
            20..22 => Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms: Some(500), fault: fault() },
            22..24 => Outcome::Throttled { scope: ThrottleScope::Recipient, retry_after_ms: None, fault: fault() },
            _ => Outcome::NotBegun,
        };
        if self.faults.provider && refusal != Outcome::NotBegun {
            *self.refused.entry(row.recipient.clone()).or_default() += 1;
            return refusal;
        }
        self.accept(row);
        Outcome::Accepted { provider_id: None }
    }

    fn accept(&mut self, row: &Assignment) {
        *self.accepted.entry((row.recipient.clone(), row.part)).or_default() += 1;
    }

    async fn crash(&mut self, which: usize) {
        self.born += 1;
        let newborn = Sender::new(format!("sender-{}", self.born));
        let dead = std::mem::replace(&mut self.senders[which], newborn);
        // Copies of its requests may still be under way; they are delivered later.
        self.delayed.extend(dead.unanswered);
        if self.faults.journal {
            let begun = dead.flights.iter().map(|flight| (flight.row.seq, flight.row.attempt)).collect();
            let words =
                LastWords { holder: dead.holder, outcomes: dead.journal, begun, complete: true, known_revision: 0 };
            self.ledger().settle_dead_sender(None, &words).await.unwrap();
            let given_back: Vec<Report> = dead.held.iter().map(|row| report(row, Outcome::NotBegun)).collect();
            self.free(&given_back);
        }
    }

    /// Nothing was begun at these slots, and the ledger knows it: others may get what is left of them.
    fn free(&mut self, reports: &[Report]) {
        let given_back = reports.iter().filter(|report| report.outcome == Outcome::NotBegun);
        let given_back: BTreeSet<(i64, u32)> = given_back.map(|report| (report.seq, report.attempt)).collect();
        self.slots.retain(|_, whose| !given_back.contains(whose));
    }

    async fn run(seed: u64, faults: Faults) -> Verdict {
        let mut world: World<L> = World::new(seed, faults).await;
        for step in 0..FAULTY_STEPS {
            world.step().await;
            if step % 50 == 0 {
                assert_eq!(world.ledger().audit().await.unwrap(), Vec::<String>::new(), "seed {seed} step {step}");
            }
        }
        world.calm_down().await;
        for step in 0..CALM_STEPS {
            world.step().await;
            let broadcast = world.broadcast;
            // What a sender has not reported yet may still change who is unknown.
            if step % LOOK == 0
                && world.senders.iter().all(Sender::has_told_all)
                && world.ledger().snapshot(broadcast).await.unwrap().finished_at.is_some()
            {
                break;
            }
        }
        world.write_the_rest_down().await;
        world.judge(seed).await
    }

    async fn calm_down(&mut self) {
        self.faults = Faults { lying_sender: self.faults.lying_sender, ..CALM };
        for sender in &mut self.senders {
            sender.frozen_until = Timestamp::EPOCH;
        }
        let declaration = declaration(false, self.parts);
        self.ledger().declare(&declaration).await.unwrap();
    }

    /// The ledger cannot know how far its clock was set back beyond when it last looked at it. By so much later it tells of slots
    /// again whose first answer was lost, while others hold theirs, of the next second, as they were.
    fn is_around_a_set_back(&self, one: i64, next: i64) -> bool {
        self.set_back_at.iter().any(|at| next >= *at && one <= at + pacing::HORIZON.0)
    }

    async fn judge(&mut self, seed: u64) -> Verdict {
        let broadcast = self.broadcast;
        let mut verdict = Verdict::default();
        verdict.wrong.append(&mut self.wrong);
        verdict.wrong.extend(self.ledger().audit().await.unwrap());
        let snapshot = self.ledger().snapshot(broadcast).await.unwrap();
        for (one, next) in self.slots.keys().zip(self.slots.keys().skip(1)) {
            if next - one < RATE.interval().0 && !self.is_around_a_set_back(*one, *next) {
                verdict.wrong.push(format!("I11: two slots are {} ns apart", next - one));
            }
        }
        if snapshot.finished_at.is_none() {
            verdict.wrong.push(format!("stranded: {:?}", snapshot.counts));
        }
        if snapshot.write_backs.iter().any(|target| target.pending > 0) {
            verdict.wrong.push(format!("nobody comes for them: {:?}", snapshot.write_backs));
        }
        for row in self.ledger().deliveries(broadcast, 0, u32::MAX).await.unwrap() {
            verdict.wrong.extend(self.errands.judge(&row));
            let own = self.accepted.iter().filter(|((recipient, _), _)| *recipient == row.recipient);
            let mut accepted = BTreeSet::new();
            for ((_, part), times) in own {
                accepted.insert(*part);
                if *times > 1 {
                    verdict.wrong.push(format!("I7: part {part} of seq {} accepted {times} times", row.seq));
                }
            }
            let recorded: BTreeSet<u32> = (0..row.parts_done).collect();
            let at_hand: BTreeSet<u32> = (0..=row.parts_done).collect();
            if accepted != recorded && (row.state != RecipientState::Unknown || accepted != at_hand) {
                verdict.wrong.push(format!("I6: {row:?}, the parts {accepted:?} were accepted"));
            }
            match row.state {
                RecipientState::Sent if row.parts_done != self.parts => {
                    verdict.wrong.push(format!("I6: seq {} is sent by {} parts", row.seq, row.parts_done));
                }
                RecipientState::Failed if !self.refused.contains_key(&row.recipient) => {
                    verdict.wrong.push(format!("I6: seq {} failed and was never refused", row.seq));
                }
                RecipientState::Unknown => verdict.unknown += 1,
                _ => {}
            }
        }
        verdict.wrong.iter_mut().for_each(|wrong| wrong.insert_str(0, &format!("seed {seed}: ")));
        verdict
    }
}

fn report(row: &Assignment, outcome: Outcome) -> Report {
    Report::new(row.seq, row.attempt, outcome)
}

#[derive(Default)]
pub struct Verdict {
    pub wrong: Vec<String>,
    pub unknown: usize,
}

pub async fn run_many<L: Backend>(seeds: std::ops::Range<u64>, faults: Faults) -> Verdict {
    let mut all = Verdict::default();
    for seed in seeds {
        let one = World::<L>::run(seed, faults).await;
        all.wrong.extend(one.wrong);
        all.unknown += one.unknown;
    }
    all
}
