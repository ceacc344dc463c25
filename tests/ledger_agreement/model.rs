//! The ledger in memory, as plainly as its rules can be said. Slots are left out: the account is so quick here that they
//! never decide who is taken, and all times are whole seconds.

use std::collections::BTreeMap;

use herald::delivery::gate::Closed;
use herald::delivery::outcome::{Outcome, PermanentScope};
use herald::delivery::receipt::ReceiptCounts;
use herald::delivery::recipient::RecipientState::{self, Failed, Inflight, Pending, Sent, Skipped, Unknown};
use herald::ledger::exchange::{ExchangeRequest, LastWords, Report};

#[path = "claims.rs"]
mod claims;
#[path = "receipts.rs"]
mod receipts;

use super::contacts::{Contacts, Known};
use super::outbox::Outbox;
pub use receipts::Heard;
use receipts::Receipt;

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
    /// Nobody of it was open, at least once.
    was_complete: bool,
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
    begun: bool,
    has_finished: bool,
    /// When it last took anybody, and asked in vain never since: for less than a second the other one shares the slots.
    hungry_at: Option<i64>,
    /// In whole seconds, and half of one: no second is both before and after it.
    end: Option<i64>,
}

/// What an answer says, as far as no clock is needed to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Rows { rows: Vec<(i64, u32)>, sharing: u32, says: Says },
    Stale,
    SenderClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Continue,
    Wait,
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
    without: Option<Rule>,
}

impl Model {
    pub fn new(now: i64, without: Option<Rule>) -> Model {
        let mut model = Model {
            now,
            stopped: false,
            broadcasts: Default::default(),
            contacts: Default::default(),
            outbox: Outbox::new(without != Some(Rule::EventsAreLent)),
            without,
        };
        (0..2).for_each(|which| assert!(model.plan(which)));
        model
    }

    pub fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// Whether it may be planned, which it is then.
    pub fn plan(&mut self, which: usize) -> bool {
        let gone: Vec<bool> = (0..PEOPLE).map(|person| self.has_opted_out(person)).collect();
        let broadcast = &mut self.broadcasts[which];
        if broadcast.begun {
            return false;
        }
        let row = |opted_out: bool| Row {
            state: if opted_out { Skipped } else { Pending },
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
            heard: 0,
            receipt: Receipt::default(),
        };
        broadcast.rows = gone.into_iter().map(row).collect();
        broadcast.batches = vec![Batch::default(); PEOPLE.div_ceil(BATCH)];
        broadcast.let_go_of_what_is_done();
        true
    }

    pub fn declare(&mut self, which: usize, generation: i64, suspended: bool, cancelled: bool, end: Option<i64>) {
        let broadcast = &mut self.broadcasts[which];
        broadcast.cancelled |= cancelled;
        if generation >= broadcast.generation {
            broadcast.generation = generation;
            broadcast.suspended = suspended;
            broadcast.released = false;
            broadcast.end = end;
        }
    }

    pub fn set_opted_out(&mut self, person: usize, out: bool) {
        self.contacts[person].get_or_insert_default().opted_out = out;
        self.broadcasts.iter_mut().for_each(|broadcast| broadcast.rows[person].opted_out = out);
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
            finished: broadcast.open() == 0,
            rows: broadcast.rows.iter().map(|row| (row.state, row.attempt, row.parts_done)).collect(),
            batches: broadcast
                .batches
                .iter()
                .map(|batch| (batch.epoch, batch.holder.clone(), batch.reclaims, batch.retries))
                .collect(),
            receipts: broadcast.receipts(),
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
    }

    pub fn everybody_is_dead(&mut self) {
        self.silence(|_| true);
        for broadcast in &mut self.broadcasts {
            broadcast.batches.iter_mut().for_each(Batch::lose_holder);
        }
        self.outbox.everybody_is_dead();
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
        if row.state == Pending && (over || row.opted_out) {
            row.state = Skipped;
        }
        if row.state == Sent {
            self.contacts[person].get_or_insert_with(Known::default);
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
            row.state = match (begun, ended || row.opted_out) {
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
            Some(reason) => Says::Stop(reason),
            None if asked && rows.is_empty() => Says::Wait,
            None => Says::Continue,
        };
        let sharing = broadcast.sharing(&request.holder, now) * (1 + u32::from(rival_is_hungry));
        Answer::Rows { rows, sharing, says }
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
            let over = ended || row.opted_out;
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
        for person in met {
            self.contacts[person].get_or_insert_with(Known::default);
        }
        proof
    }
}

impl Row {
    fn may_be_taken(&self, now: i64) -> bool {
        self.state == Pending && self.not_before <= now && !self.opted_out
    }

    /// The provider has taken the part at hand; with the last one the message is sent.
    fn take_a_part(&mut self, parts: u32) {
        self.parts_done += 1;
        self.state = if self.parts_done < parts { Pending } else { Sent };
        if self.state == Pending {
            self.tries = 0;
        }
    }

    /// Whether the outcome of the latest attempt says anything new.
    fn become_what(&mut self, outcome: &Outcome, parts: u32, now: i64) -> bool {
        if !matches!(self.state, Inflight | Unknown) {
            return false;
        }
        let (state, counts, wait) = match outcome {
            Outcome::Unknown { .. } if self.state == Unknown => {
                self.given_up = false;
                return false;
            }
            Outcome::Unknown { .. } => (Unknown, false, 0),
            Outcome::Accepted { .. } => {
                self.take_a_part(parts);
                (self.state, false, 0)
            }
            Outcome::Permanent { .. } => (Failed, false, 0),
            Outcome::Transient { .. } => (Pending, true, 0),
            Outcome::Throttled { scope: herald::delivery::outcome::ThrottleScope::Recipient, .. } => {
                (Pending, true, PUT_OFF)
            }
            _ => (Pending, false, 0),
        };
        self.tries += u32::from(counts);
        self.state = if counts && self.tries == MAX_TRIES { Failed } else { state };
        self.not_before = now + wait;
        true
    }
}

impl Batch {
    fn lose_holder(&mut self) {
        if self.holder.take().is_some() {
            self.reclaims += 1;
            self.probation = true;
        }
    }
}

fn range(batch: usize) -> std::ops::Range<usize> {
    batch * BATCH..PEOPLE.min((batch + 1) * BATCH)
}

impl Broadcast {
    fn open(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.state, Pending | Inflight)).count()
    }

    fn ended(&self, now: i64) -> Option<Closed> {
        if self.cancelled {
            return Some(Closed::Cancelled);
        }
        self.end.filter(|end| now > *end).map(|_| Closed::Expired)
    }

    fn closed(&self, now: i64, stopped: bool) -> Option<Closed> {
        if self.open() == 0 {
            return Some(Closed::Complete);
        }
        let others = [
            (self.released, Closed::Released),
            (stopped, Closed::CredentialsInvalid),
            (self.blocked, Closed::ProviderBlocked),
            (self.suspended, Closed::Suspended),
        ];
        self.ended(now).or(others.into_iter().find(|(is, _)| *is).map(|(_, closed)| closed))
    }

    fn numbers_of(&self, which: impl Fn(&Row) -> bool) -> Vec<usize> {
        (0..PEOPLE).filter(|number| which(&self.rows[*number])).collect()
    }

    pub fn has_begun(&self) -> bool {
        self.begun
    }

    pub fn has_finished(&self) -> bool {
        self.has_finished
    }

    pub fn was_complete(&self, batch: usize) -> bool {
        self.batches[batch].was_complete
    }

    fn let_go_of_what_is_done(&mut self) {
        for index in 0..self.batches.len() {
            if self.rows[range(index)].iter().all(|row| !matches!(row.state, Pending | Inflight)) {
                self.batches[index].holder = None;
                self.batches[index].was_complete = true;
            }
        }
        self.has_finished |= self.open() == 0;
    }

    fn renew(&mut self, holder: &str, now: i64) {
        let own = |batch: &&mut Batch| batch.holder.as_deref() == Some(holder);
        self.batches.iter_mut().filter(own).for_each(|batch| batch.lease = now + LEASE);
    }

    fn leave(&mut self, holder: &str) {
        let own = |batch: &&mut Batch| batch.holder.as_deref() == Some(holder);
        self.batches.iter_mut().filter(own).for_each(|batch| batch.holder = None);
        self.senders.entry(holder.to_owned()).or_default().closed = true;
    }

    fn sharing(&self, holder: &str, now: i64) -> u32 {
        let at_work =
            |batch: &&Batch| batch.holder.as_deref().is_some_and(|other| other == holder || batch.lease > now);
        (self.batches.iter().filter(at_work).count() as u32).max(1)
    }

    fn given(&self, holder: &str, request: u64) -> Vec<(i64, u32)> {
        let own = |row: &Row| row.state == Inflight && row.holder == holder && row.request == request;
        (0..).zip(&self.rows).filter(|(_, row)| own(row)).map(|(seq, row)| (seq, row.attempt)).collect()
    }

    /// Returns whether anybody's slot had passed.
    fn postpone(&mut self, holder: &str, request: u64, now: i64) -> bool {
        let passed = |row: &&mut Row| {
            row.state == Inflight && row.holder == holder && row.request == request && row.taken_at < now
        };
        let moved = self.rows.iter_mut().filter(passed).map(|row| row.taken_at = now);
        moved.count() > 0
    }

    fn in_flight(&self, rows: std::ops::Range<usize>, holder: &str) -> bool {
        self.rows[rows].iter().any(|row| row.state == Inflight && row.holder == holder)
    }
}
