//! What a sender holds and has to report: the decisions of its loop, without IO. `now` is a parameter.

use std::collections::VecDeque;

use super::clock::Local;
use super::transport::is_answer;
use crate::delivery::outcome::{Outcome, ThrottleScope};
use crate::delivery::pacing::{self, MAX_GROUP, MIN_WAIT};
use crate::delivery::time::{NANOS_PER_SECOND, Span};
use crate::ledger::exchange::{Assignment, MAX_REPORTS, Report, START_TOLERANCE};

/// A sender asks for more this long before its last slot.
const LEAD: Span = Span::from_millis(250);
/// An answer is recorded within this time.
const RECORD_WITHIN: Span = Span::from_millis(250);
/// So often a sender asks while it holds recipients not begun, so that pause and cancel bite at any rate.
const ASK_WHILE_HOLDING: Span = Span::from_secs(1);
/// So often a sender asks in any case.
const ASK_ANYWAY: Span = Span::from_secs(5);
/// Requests on the wire are at most a sender's slots of this time: a slower provider lowers the rate, not the certainty.
const IN_FLIGHT_SECONDS: Span = Span::from_secs(2);
/// Nothing new is begun while requests are on the wire and none was answered for this long: a black-holed provider must
/// not make thousands unknown. So long it rests as well between two probes of a provider that only ever loses them, since
/// one that closes each connection at once would else have a probe made unknown with every round trip.
const SILENCE: Span = Span::from_secs(2);

/// The ledger is told of a slow provider for so long after the last slot that passed: longer than between two exchanges.
const HELD_UP_FOR: Span = ASK_ANYWAY;

/// A recipient held for its slot.
#[derive(Debug)]
pub struct Held {
    pub row: Assignment,
    /// The slot on the local clock.
    pub slot: Local,
}

/// What to do with the next held recipient.
#[derive(Debug)]
pub enum Due {
    /// Its slot has come.
    Begin(Held),
    /// Nothing may begin before this instant.
    NotBefore(Local),
    /// Nothing is held.
    Nothing,
}

/// The desk of one sender.
#[derive(Debug)]
pub struct Holding {
    held: VecDeque<Held>,
    reports: Vec<Report>,
    oldest_report: Option<Local>,
    in_flight: u32,
    /// So many of them were begun before all that was held was given back, as far as answers come in turn: when they are
    /// throttled too, that says nothing of the lowered rate at which more was given since.
    older: u32,
    /// Since when the provider owes an answer, to those on the wire or to those it has lost; `None` when it owes none.
    silent_since: Option<Local>,
    /// A request was lost in silence, and nothing was answered since: one probe at a time, none before this instant, or
    /// each round of lost answers would be followed by another two seconds of sending into the hole.
    next_probe: Option<Local>,
    /// When a slot had to pass because too many answers were owed.
    held_up_at: Option<Local>,
    interval: Span,
    asked_at: Local,
    /// No recipients are asked for before this instant.
    wait_until: Local,
    /// The ledger said that nothing is due before this instant.
    idle_until: Local,
    /// The ledger said that more may be had then, though what is held lasts for longer.
    more_at: Option<Local>,
    /// Whether the next exchange should come at once.
    urgent: bool,
    /// Whether an outcome was recorded: before, the first is reported at once, since the group grows by it.
    proven: bool,
    leaving: bool,
    /// How many recipients have connections waiting for them.
    connected: u32,
    /// Between two slots that this sender may count on at least.
    turn: Span,
    /// When slots came within the last [`IN_FLIGHT_SECONDS`], whether they were used or passed.
    slots: VecDeque<Local>,
}

impl Holding {
    pub fn new(now: Local) -> Holding {
        Holding {
            turn: Span(NANOS_PER_SECOND),
            slots: VecDeque::new(),
            held: VecDeque::new(),
            reports: Vec::new(),
            oldest_report: None,
            in_flight: 0,
            older: 0,
            silent_since: None,
            next_probe: None,
            held_up_at: None,
            interval: Span(NANOS_PER_SECOND),
            asked_at: now,
            wait_until: now,
            idle_until: now,
            more_at: None,
            urgent: true,
            proven: false,
            leaving: false,
            connected: 0,
        }
    }

    /// Takes new assignments, the rate they come at, and this sender's [turn](crate::ledger::exchange::ExchangeReply::turn).
    pub fn receive(&mut self, rows: impl IntoIterator<Item = Held>, interval: Span, turn: Span) {
        self.interval = interval;
        self.turn = turn;
        self.held.extend(rows);
        self.held.make_contiguous().sort_by_key(|held| held.slot);
    }

    /// The ledger said that more may be had at this instant, though what is held lasts for longer; or nothing of that.
    pub fn expect_more(&mut self, at: Option<Local>) {
        self.more_at = at;
    }

    /// The ledger said at `now` that nothing can be taken before this instant. A raised rate and an earlier start change
    /// that, so it is believed for as long as nothing is asked anyway.
    pub fn wait(&mut self, until: Local, now: Local) {
        self.idle_until = until;
        self.wait_until = until.min(now + ASK_ANYWAY);
    }

    /// The ledger said nothing of a wait: recipients are due.
    pub fn open(&mut self, now: Local) {
        self.idle_until = self.idle_until.min(now);
    }

    /// Nothing is due before this instant, as far as the ledger has said.
    pub fn idle_until(&self) -> Local {
        self.idle_until
    }

    /// How many slots came within [`IN_FLIGHT_SECONDS`] before `now`.
    fn recent_slots(&self, now: Local) -> u32 {
        (self.slots.len() - self.slots.partition_point(|slot| now - *slot >= IN_FLIGHT_SECONDS)) as u32
    }

    /// The sender's part of the account's slots, or as many as it was really given where others left it more.
    pub fn in_flight_cap(&self, now: Local) -> u32 {
        let part = (IN_FLIGHT_SECONDS.0 / self.turn.0.max(1)) as u32;
        part.max(self.recent_slots(now) + 1)
    }

    fn slot_came(&mut self, now: Local) {
        let long_ago = self.slots.partition_point(|slot| now - *slot >= IN_FLIGHT_SECONDS);
        self.slots.drain(..long_ago);
        self.slots.push_back(now);
    }

    /// Between two slots that this sender has: its [turn](crate::ledger::exchange::ExchangeReply::turn), or less where others
    /// leave it more.
    pub fn pace(&self, now: Local) -> Span {
        let had = i64::from(self.recent_slots(now).max(1));
        self.turn.min(Span(IN_FLIGHT_SECONDS.0 / had).max(self.interval))
    }

    /// Whether the provider owes answers and has given none for too long.
    fn is_silent(&self, now: Local) -> bool {
        match (self.next_probe, self.silent_since) {
            (Some(at), _) => self.in_flight > 0 || now < at,
            (None, Some(since)) => self.in_flight > 0 && now - since > SILENCE,
            (None, None) => false,
        }
    }

    /// Whether slots pass unused, or did a moment ago, because the provider is slow.
    pub fn is_held_up(&self, now: Local) -> bool {
        self.held_up_at.is_some_and(|at| now - at < HELD_UP_FOR)
    }

    fn may_begin(&self, now: Local) -> bool {
        self.in_flight < self.in_flight_cap(now) && !self.is_silent(now)
    }

    /// How many more recipients fit on the wire and into one group.
    fn room(&self, now: Local) -> u32 {
        let taken = self.in_flight + self.held.len() as u32;
        (self.in_flight_cap(now) + pacing::group_size(self.interval)).saturating_sub(taken)
    }

    /// The next recipient to begin at `now`. Those whose time has passed are reported as not begun.
    pub fn due(&mut self, now: Local) -> Due {
        while let Some(first) = self.held.front() {
            let start_by = first.slot + START_TOLERANCE;
            if now > start_by {
                if let Some(late) = self.held.pop_front() {
                    self.slot_came(now);
                    self.give_back(late, now);
                }
                continue;
            }
            if now < first.slot {
                return Due::NotBefore(first.slot);
            }
            if !self.may_begin(now) {
                self.held_up_at = Some(now);
                return Due::NotBefore(start_by + Span(1));
            }
            return self.held.pop_front().map_or(Due::Nothing, Due::Begin);
        }
        Due::Nothing
    }

    /// A request was handed over.
    pub fn begun(&mut self, now: Local) {
        self.silent_since.get_or_insert(now);
        self.slot_came(now);
        self.in_flight += 1;
    }

    /// Its outcome is known.
    pub fn ended(&mut self, report: Report, now: Local) {
        self.listen(&report.outcome, now);
        if !self.proven {
            self.urgent = true;
            self.wait_until = now;
            self.idle_until = now;
        }
        // What is held was meant for a rate or an account that the provider has just refused.
        let refused = match report.outcome {
            Outcome::Auth { .. } | Outcome::Blocked { .. } => true,
            Outcome::Throttled { scope: ThrottleScope::Account, .. } => self.older == 0,
            _ => false,
        };
        self.older = self.older.saturating_sub(1);
        self.report(report, now);
        if refused {
            self.release(now);
            self.older = self.in_flight;
        }
    }

    /// With what is to be reported now, recipients become due: the exchange that records it may ask for them, whatever the
    /// ledger said of a wait before.
    pub fn expect_the_next_part(&mut self, now: Local) {
        let recorded_at = self.oldest_report.map_or(now, |oldest| oldest + RECORD_WITHIN);
        self.wait_until = self.wait_until.min(recorded_at);
        self.idle_until = self.idle_until.min(recorded_at);
    }

    /// Only an answer, or a connection that was refused before anything was sent, is a sign of life: a lost answer is what
    /// silence consists of, however soon it is known to be lost.
    fn listen(&mut self, outcome: &Outcome, now: Local) {
        let silent = self.is_silent(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::NotSent { .. } => self.hear(now),
            answer if is_answer(answer) => self.hear(now),
            Outcome::Unknown { .. } if silent => self.next_probe = Some(now + SILENCE),
            _ => {}
        }
    }

    fn hear(&mut self, now: Local) {
        self.next_probe = None;
        self.silent_since = (self.in_flight > 0).then_some(now);
    }

    /// Gives a recipient back that was not begun.
    pub fn give_back(&mut self, held: Held, now: Local) {
        let report = Report::new(held.row.seq, held.row.attempt, Outcome::NotBegun);
        self.report(report, now);
        self.urgent = true;
    }

    /// Gives everything back that was not begun.
    pub fn release(&mut self, now: Local) {
        while let Some(held) = self.held.pop_front() {
            self.give_back(held, now);
        }
    }

    /// Takes nothing any more; what is held is given back.
    pub fn leave(&mut self, now: Local) {
        if !self.leaving {
            self.leaving = true;
            self.release(now);
        }
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Nothing is held, on the wire or unreported.
    pub fn is_settled(&self) -> bool {
        self.held.is_empty() && self.in_flight == 0 && self.reports.is_empty()
    }

    fn report(&mut self, report: Report, now: Local) {
        self.oldest_report.get_or_insert(now);
        self.reports.push(report);
    }

    /// So many recipients have connections waiting for them; no more are asked for.
    pub fn connect(&mut self, recipients: u32) {
        self.connected = recipients;
    }

    /// How many recipients to ask for.
    pub fn wants(&self, now: Local) -> u32 {
        self.room_now(now).min(self.connected)
    }

    /// Whether recipients would be asked for, were there connections for them.
    pub fn could_take(&self, now: Local) -> bool {
        self.room_now(now) > 0
    }

    fn room_now(&self, now: Local) -> u32 {
        if self.leaving || now < self.wait_until || self.is_silent(now) {
            return 0;
        }
        let last_slot_near = self.held.back().is_none_or(|last| last.slot - now <= LEAD);
        let more = self.more_at.is_some_and(|at| now >= at);
        let most = if self.next_probe.is_some() { 1 } else { MAX_GROUP };
        if last_slot_near || more { self.room(now).min(most) } else { 0 }
    }

    /// When the next exchange is due.
    pub fn ask_at(&self, now: Local) -> Local {
        if self.urgent {
            return now;
        }
        let mut at = self.asked_at + ASK_ANYWAY;
        if let Some(oldest) = self.oldest_report {
            at = at.min(oldest + RECORD_WITHIN);
        }
        if !self.held.is_empty() {
            at = at.min(self.asked_at + ASK_WHILE_HOLDING);
        }
        let probe_at = self.next_probe.filter(|_| self.in_flight == 0);
        if self.connected > 0 && !self.leaving && self.room(now) > 0 && (probe_at.is_some() || !self.is_silent(now)) {
            let near_end = self.held.back().map_or(now, |last| Local(last.slot.0 - LEAD));
            let near_end = self.more_at.map_or(near_end, |more| near_end.min(more));
            let open_at = probe_at.map_or(self.wait_until, |at| at.max(self.wait_until));
            at = at.min(near_end.max(open_at).max(self.asked_at + MIN_WAIT));
        }
        at
    }

    /// Begins an exchange: hands out what is to be reported, oldest first.
    pub fn ask(&mut self, now: Local) -> Vec<Report> {
        self.asked_at = now;
        self.urgent = false;
        let count = self.reports.len().min(MAX_REPORTS);
        let reports: Vec<Report> = self.reports.drain(..count).collect();
        self.oldest_report = if self.reports.is_empty() { None } else { Some(now) };
        reports
    }

    /// The ledger has recorded these.
    pub fn recorded(&mut self, reports: &[Report]) {
        self.proven |= reports.iter().any(|report| report.outcome != Outcome::NotBegun);
    }
}

#[cfg(test)]
#[path = "holding_tests.rs"]
mod tests;
