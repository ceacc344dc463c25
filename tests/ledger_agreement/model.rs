//! The ledger in memory, as plainly as its rules can be said. Slots are left out: the account is so quick here that they
//! never decide who is taken, and all times are whole seconds.

use std::collections::{BTreeMap, BTreeSet};

use herald::delivery::gate::Closed;
use herald::delivery::outcome::{Outcome, PermanentScope};
use herald::delivery::receipt::ReceiptCounts;
use herald::delivery::recipient::RecipientState::{self, Failed, Inflight, Pending, Sent, Skipped, Unknown};
use herald::ledger::exchange::{ExchangeRequest, LastWords, Report};

#[path = "claims.rs"]
mod claims;
#[path = "receipts.rs"]
mod receipts;
#[path = "rows.rs"]
mod rows;

use super::attachments::Attachments;
use super::contacts::{Contacts, Known};
use super::declarations::Wish;
use super::outbox::Outbox;
use super::write_backs::{Debts, Named, Stands};
pub use receipts::Heard;
use receipts::Receipt;
use rows::range;

pub const PEOPLE: usize = 12;
pub const BATCH: usize = 5;
pub const MAX_TRIES: u32 = 3;
/// Of a message of each broadcast.
pub const PARTS: [u32; 2] = [1, 3];
/// How long a recipient is put off who is throttled.
pub const PUT_OFF: i64 = 2;
const LEASE: i64 = 15;
/// Slot, start tolerance, connect and request timeout and grace together, in whole seconds up.
const SILENCE: i64 = 13;

#[derive(Clone, Debug)]
struct Row {
    state: RecipientState,
    attempt: u32,
    tries: u32,
    parts_done: u32,
    /// Of the latest attempt.
    part: u32,
    not_before: i64,
    holder: String,
    request: u64,
    taken_at: i64,
    /// Unknown by silence alone: its sender has told nothing of this attempt.
    given_up: bool,
    /// Wants no more messages of the account.
    opted_out: bool,
    /// A list named them when they could not be skipped: they are not messaged again.
    listed: bool,
    /// The attempt that the provider itself said it took.
    heard: u32,
    /// What the provider said of the message since.
    receipt: Receipt,
}

#[derive(Clone, Debug, Default)]
struct Batch {
    holder: Option<String>,
    lease: i64,
    epoch: i64,
    /// One at a time, until somebody has survived it.
    probation: bool,
    reclaims: i64,
    retries: i64,
}

#[derive(Clone, Debug, Default)]
struct Sender {
    last: u64,
    proven: bool,
    closed: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Broadcast {
    rows: Vec<Row>,
    batches: Vec<Batch>,
    senders: BTreeMap<String, Sender>,
    pub generation: i64,
    released: bool,
    suspended: bool,
    cancelled: bool,
    blocked: bool,
    /// The plan is made.
    sealed: bool,
    /// Which lists of people who get nothing it names.
    lists: u8,
    /// When somebody was first attempted.
    begun_at: Option<i64>,
    has_finished: bool,
    /// Batches of which nobody was open, at least once.
    were_complete: BTreeSet<usize>,
    pub debts: Debts,
    /// When it last took anybody, and asked in vain never since: for less than a second the other one shares the slots.
    hungry_at: Option<i64>,
    /// In whole seconds, and half of one: no second is both before and after it.
    end: Option<i64>,
}

/// What an answer says, as far as no clock is needed to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Rows { rows: Vec<(i64, u32)>, sharing: u32, says: Says, owes: bool },
    Stale,
    SenderClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Continue,
    Wait,
    Plan,
    Stop(Closed),
}

/// What may be seen of a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub closed: Option<Closed>,
    pub finished: bool,
    /// State, attempt and parts of each recipient.
    pub rows: Vec<(RecipientState, u32, u32)>,
    /// Epoch, holder, reclaims and retries of each batch.
    pub batches: Vec<(i64, Option<String>, i64, i64)>,
    pub receipts: ReceiptCounts,
    pub write_backs: Vec<Stands>,
}

/// What may be taken out of the model by who wants to see the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A new sender is given one at a time.
    Probation,
    /// What the provider itself has told of an attempt stands over its sender's words, and over its silence.
    CallBacksStand,
    /// Who opts out by an import is skipped by what is pending.
    ImportsOptOut,
    /// Events belong to whom they were given, for a while.
    EventsAreLent,
    /// Whom a list names is skipped where they are pending.
    ListsSkip,
    /// Whom a list names while they are in flight is not messaged again.
    ListsBar,
    /// Other lists make the plan anew.
    ListsReplan,
    /// Whoever is sent is owed to each target.
    SentAreOwed,
    /// People to be written down belong to whom they were given, for a while.
    WriteBacksAreLent,
    /// Who is refused again and again is given up.
    RefusedAreGivenUp,
    /// Handles that end soon are told to nobody.
    HandlesEndEarly,
    /// An upload is one sender's at a time.
    UploadsAreLent,
}

/// Two broadcasts of one account.
#[derive(Clone, Debug)]
pub struct Model {
    pub now: i64,
    stopped: bool,
    pub broadcasts: [Broadcast; 2],
    pub contacts: Contacts,
    /// Of the first broadcast, the only one with an endpoint.
    pub outbox: Outbox,
    pub attachments: Attachments,
    /// When the provider may be called again to label somebody.
    pub calls_free_at: i64,
    without: Option<Rule>,
}

/// Of each broadcast, as they are first declared.
pub const NAMED: [Named; 2] =
    [Named { messenger: false, sql: true, edition: 0 }, Named { messenger: true, sql: true, edition: 0 }];

impl Model {
    pub fn new(now: i64, without: Option<Rule>) -> Model {
        let mut model = Model {
            now,
            stopped: false,
            broadcasts: Default::default(),
            contacts: Default::default(),
            outbox: Outbox::new(without != Some(Rule::EventsAreLent)),
            attachments: Attachments::default(),
            calls_free_at: 0,
            without,
        };
        for (which, named) in NAMED.into_iter().enumerate() {
            model.broadcasts[which].debts.declare(named, now);
            assert!(model.plan(which, &[]));
        }
        model
    }

    pub fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// Whether it may be planned, which it is then, without those on a list.
    pub fn plan(&mut self, which: usize, list: &[usize]) -> bool {
        let gone: Vec<bool> = (0..PEOPLE).map(|person| self.has_opted_out(person)).collect();
        let skips = self.keeps(Rule::ListsSkip);
        let broadcast = &mut self.broadcasts[which];
        if broadcast.has_begun() {
            return false;
        }
        let row = |(person, opted_out): (usize, bool)| Row {
            state: if opted_out || (skips && list.contains(&person)) { Skipped } else { Pending },
            attempt: 0,
            tries: 0,
            parts_done: 0,
            part: 0,
            not_before: 0,
            holder: String::new(),
            request: 0,
            taken_at: 0,
            given_up: false,
            opted_out,
            listed: false,
            heard: 0,
            receipt: Receipt::default(),
        };
        broadcast.rows = gone.into_iter().enumerate().map(row).collect();
        broadcast.batches = vec![Batch::default(); PEOPLE.div_ceil(BATCH)];
        broadcast.sealed = true;
        broadcast.let_go_of_what_is_done();
        true
    }

    /// Somebody reads a list for a plan that is made: how many are skipped. `None` where there is none, or another.
    pub fn suppress(&mut self, which: usize, list: &[usize], is_current: bool) -> Option<u64> {
        let (skips, bars) = (self.keeps(Rule::ListsSkip), self.keeps(Rule::ListsBar));
        let broadcast = &mut self.broadcasts[which];
        if !broadcast.sealed || !is_current {
            return None;
        }
        let mut skipped = 0;
        for person in list.iter().filter(|_| skips) {
            let row = &mut broadcast.rows[*person];
            match row.state {
                Pending => (row.state, skipped) = (Skipped, skipped + 1),
                Inflight | Unknown => row.listed = bars,
                Sent | Failed | Skipped => {}
            }
        }
        broadcast.let_go_of_what_is_done();
        Some(skipped)
    }

    pub fn declare(&mut self, which: usize, wish: &Wish) {
        let (now, replans) = (self.now, self.keeps(Rule::ListsReplan));
        let broadcast = &mut self.broadcasts[which];
        if wish.generation >= broadcast.generation {
            broadcast.generation = wish.generation;
            if broadcast.lists != wish.lists && !broadcast.has_begun() && !broadcast.is_over(now) && replans {
                broadcast.take_plan_back();
            }
            if !wish.suspended && (broadcast.suspended || broadcast.released) {
                broadcast.debts.resume(now);
            }
            broadcast.debts.declare(wish.named, now);
            broadcast.lists = wish.lists;
            broadcast.suspended = wish.suspended;
            broadcast.released = false;
            broadcast.end = wish.end;
        }
        broadcast.cancelled |= wish.cancelled;
        broadcast.has_finished |= broadcast.is_over_unplanned(now);
    }

    pub fn set_opted_out(&mut self, person: usize, out: bool) {
        self.contacts[person].get_or_insert_default().opted_out = out;
        let rows = self.broadcasts.iter_mut().filter_map(|broadcast| broadcast.rows.get_mut(person));
        rows.for_each(|row| row.opted_out = out);
    }

    /// What was cancelled ends as cancelled. Returns how many were skipped.
    pub fn sweep(&mut self) -> u64 {
        let mut skipped = 0;
        for broadcast in self.broadcasts.iter_mut().filter(|broadcast| !broadcast.cancelled) {
            let gone = |row: &&mut Row| row.opted_out && row.state == Pending;
            let found = broadcast.rows.iter_mut().filter(gone).map(|row| row.state = Skipped).count() as u64;
            if found > 0 {
                broadcast.let_go_of_what_is_done();
            }
            skipped += found;
        }
        skipped
    }

    pub fn release(&mut self, which: usize) {
        self.broadcasts[which].released = true;
    }

    pub fn lift(&mut self, which: usize) {
        self.stopped = false;
        self.broadcasts[which].blocked = false;
    }

    pub fn view(&self, which: usize) -> View {
        let broadcast = &self.broadcasts[which];
        View {
            closed: broadcast.closed(self.now, self.stopped),
            finished: broadcast.is_finished(),
            rows: broadcast.rows.iter().map(|row| (row.state, row.attempt, row.parts_done)).collect(),
            batches: broadcast
                .batches
                .iter()
                .map(|batch| (batch.epoch, batch.holder.clone(), batch.reclaims, batch.retries))
                .collect(),
            receipts: broadcast.receipts(),
            write_backs: self.write_backs_stand(which),
        }
    }

    /// Silence becomes unknown, and who waits in what has ended is skipped.
    pub fn upkeep(&mut self) {
        let now = self.now;
        self.silence(|row| now >= row.taken_at + SILENCE);
        for broadcast in &mut self.broadcasts {
            if broadcast.ended(self.now).is_some() {
                broadcast.rows.iter_mut().filter(|row| row.state == Pending).for_each(|row| row.state = Skipped);
                broadcast.let_go_of_what_is_done();
            }
        }
        self.sweep();
        self.outbox.forget(now);
    }

    pub fn everybody_is_dead(&mut self) {
        self.silence(|_| true);
        for broadcast in &mut self.broadcasts {
            broadcast.batches.iter_mut().for_each(Batch::lose_holder);
            broadcast.debts.everybody_is_dead();
        }
        self.outbox.everybody_is_dead();
        self.no_upload_goes_on();
    }

    /// Who is in flight and overdue is unknown, unless the provider itself has told.
    fn silence(&mut self, overdue: impl Fn(&Row) -> bool) {
        let stands = self.keeps(Rule::CallBacksStand);
        for which in 0..2 {
            let is_silent = |row: &Row| row.state == Inflight && overdue(row);
            let silent: Vec<usize> = self.broadcasts[which].numbers_of(is_silent);
            for &person in &silent {
                let row = &mut self.broadcasts[which].rows[person];
                if stands && row.heard == row.attempt {
                    self.take_for_accepted(which, person);
                } else {
                    row.state = Unknown;
                    row.given_up = true;
                }
            }
            if !silent.is_empty() {
                self.broadcasts[which].let_go_of_what_is_done();
            }
        }
    }

    /// The provider has the part at hand, whoever says so and whatever the recipient was taken for.
    fn take_for_accepted(&mut self, which: usize, person: usize) {
        let over = self.broadcasts[which].ended(self.now).is_some();
        let row = &mut self.broadcasts[which].rows[person];
        row.take_a_part(PARTS[which]);
        row.not_before = self.now;
        if row.state == Pending && (over || row.is_barred()) {
            row.state = Skipped;
        }
        if row.state == Sent {
            self.met(which, person);
        }
    }

    /// Somebody has got the whole message: the account knows them, and they are to be written down.
    fn met(&mut self, which: usize, person: usize) {
        self.contacts[person].get_or_insert_with(Known::default);
        if self.keeps(Rule::SentAreOwed) {
            self.broadcasts[which].debts.owe(person, self.now);
        }
    }

    pub fn bury(&mut self, which: usize, words: &LastWords) {
        if !self.broadcasts[which].senders.contains_key(&words.holder) {
            return;
        }
        self.record(which, &words.outcomes);
        let broadcast = &mut self.broadcasts[which];
        let ended = broadcast.ended(self.now).is_some();
        let closed = broadcast.senders[&words.holder].closed;
        let given_up = |row: &Row| row.state == Unknown && row.given_up && !closed;
        let held = |row: &&mut Row| row.holder == words.holder && (row.state == Inflight || given_up(row));
        let mut heard = Vec::new();
        for (seq, row) in (0..).zip(&mut broadcast.rows).filter(|(_, row)| held(row)) {
            let begun = !words.complete || words.begun.contains(&(seq, row.attempt));
            if begun && row.state == Unknown {
                continue;
            }
            if row.heard == row.attempt {
                heard.push(seq as usize);
                continue;
            }
            row.state = match (begun, ended || row.is_barred()) {
                (true, _) => Unknown,
                (false, true) => Skipped,
                (false, false) => Pending,
            };
            row.not_before = self.now;
        }
        heard.into_iter().for_each(|person| self.take_for_accepted(which, person));
        let broadcast = &mut self.broadcasts[which];
        broadcast.let_go_of_what_is_done();
        let own = |batch: &&mut Batch| batch.holder.as_ref() == Some(&words.holder);
        broadcast.batches.iter_mut().filter(own).for_each(Batch::lose_holder);
        broadcast.senders.entry(words.holder.clone()).or_default().closed = true;
    }

    pub fn exchange(&mut self, which: usize, request: &ExchangeRequest) -> Answer {
        let known = self.broadcasts[which].senders.get(&request.holder).cloned().unwrap_or_default();
        if request.number < known.last || request.number == 0 {
            return Answer::Stale;
        }
        if known.closed && request.number != known.last {
            return Answer::SenderClosed;
        }
        let sent_before = self.broadcasts[which].sent();
        let proof = self.record(which, &request.outcomes);
        let (now, stopped, probation) = (self.now, self.stopped, self.keeps(Rule::Probation));
        let rival_is_hungry = self.broadcasts[1 - which].hungry_at == Some(now);
        let broadcast = &mut self.broadcasts[which];
        let repeated = request.number == known.last;
        let sender = Sender { last: request.number, proven: known.proven || proof, closed: known.closed };
        let proven = sender.proven || !probation;
        broadcast.senders.insert(request.holder.clone(), sender);
        broadcast.renew(&request.holder, now);
        let closed = broadcast.closed(now, stopped);
        // What ends before it has a plan is seen to have ended by whoever asks.
        broadcast.has_finished |= broadcast.is_over_unplanned(now);
        // Slots that have passed are given anew.
        if repeated && closed.is_none() && broadcast.postpone(&request.holder, request.number, now) {
            broadcast.hungry_at = Some(now);
        }
        if !repeated && closed.is_none() && !request.leaving && request.wants > 0 {
            broadcast.take(request, PARTS[which], proven, now);
        }
        if request.leaving {
            broadcast.leave(&request.holder);
        }
        let rows = broadcast.given(&request.holder, request.number);
        let asked = !repeated && request.wants > 0 && !request.leaving;
        if asked && closed.is_none() {
            broadcast.hungry_at = Some(now).filter(|_| !rows.is_empty());
        }
        let says = match closed {
            Some(Closed::NotPlanned) => Says::Plan,
            Some(reason) => Says::Stop(reason),
            None if asked && rows.is_empty() => Says::Wait,
            None => Says::Continue,
        };
        let sharing = broadcast.sharing(&request.holder, now) * (1 + u32::from(rival_is_hungry));
        let owes = broadcast.debts.names_any() && broadcast.sent() > sent_before;
        Answer::Rows { rows, sharing, says, owes }
    }

    /// Returns whether anything was told that proves that the sender can record.
    fn record(&mut self, which: usize, outcomes: &[Report]) -> bool {
        let stands = self.keeps(Rule::CallBacksStand);
        let broadcast = &mut self.broadcasts[which];
        let ended = broadcast.ended(self.now).is_some();
        let (mut proof, mut gone, mut met) = (false, Vec::new(), Vec::new());
        for report in outcomes {
            let Some(row) = broadcast.rows.get_mut(report.seq as usize) else { continue };
            // What the provider itself has told stands over what its sender saw.
            let taken = Outcome::Accepted { provider_id: None };
            let is_heard = stands && row.heard > 0 && row.heard == report.attempt;
            let outcome = if is_heard { &taken } else { &report.outcome };
            if row.attempt != report.attempt || !row.become_what(outcome, PARTS[which], self.now) {
                continue;
            }
            let over = ended || row.is_barred();
            if matches!(report.outcome, Outcome::Permanent { scope: PermanentScope::OptedOut, .. }) {
                gone.push(report.seq as usize);
            }
            if row.state == Sent {
                met.push(report.seq as usize);
            }
            if report.outcome != Outcome::NotBegun {
                let batch = &mut broadcast.batches[report.seq as usize / BATCH];
                proof = true;
                batch.probation = false;
                let took_a_part = matches!(outcome, Outcome::Accepted { .. });
                batch.retries += i64::from(row.state == Pending && !over && !took_a_part);
            }
            if over && row.state == Pending {
                row.state = Skipped;
            }
            self.stopped |= matches!(report.outcome, Outcome::Auth { .. });
            broadcast.blocked |= matches!(outcome, Outcome::Blocked { .. });
        }
        if !outcomes.is_empty() {
            broadcast.let_go_of_what_is_done();
        }
        gone.into_iter().for_each(|person| self.set_opted_out(person, true));
        met.into_iter().for_each(|person| self.met(which, person));
        proof
    }
}
