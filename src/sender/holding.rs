//! What a sender holds and has to report: the decisions of its loop, without IO. `now` is a parameter.

use std::collections::VecDeque;

use super::clock::Local;
use super::transport::NO_ANSWER;
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
/// Requests on the wire are at most the slots of this time: a slower provider lowers the rate, not the certainty.
const IN_FLIGHT_SECONDS: Span = Span::from_secs(2);
/// Nothing new is begun while requests are on the wire and none was answered for this long: a black-holed provider must
/// not make thousands unknown.
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
    /// Since when the provider owes an answer.
    silent_since: Local,
    /// A request ended in silence, and nothing was answered since: one probe at a time, or each round of timeouts would
    /// be followed by another two seconds of sending into the hole.
    black_hole: bool,
    /// When a slot had to pass because too many answers were owed.
    held_up_at: Option<Local>,
    interval: Span,
    asked_at: Local,
    wait_until: Local,
    /// Whether the next exchange should come at once.
    urgent: bool,
    /// Whether an outcome was recorded: before, the first is reported at once, since the group grows by it.
    proven: bool,
    leaving: bool,
    /// Senders that are at work: they share what the broadcast may have on the wire.
    sharing: u32,
}

impl Holding {
    pub fn new(now: Local) -> Holding {
        Holding {
            sharing: 1,
            held: VecDeque::new(),
            reports: Vec::new(),
            oldest_report: None,
            in_flight: 0,
            silent_since: now,
            black_hole: false,
            held_up_at: None,
            interval: Span(NANOS_PER_SECOND),
            asked_at: now,
            wait_until: now,
            urgent: true,
            proven: false,
            leaving: false,
        }
    }

    /// Takes new assignments, in the order of their slots, the rate they come at, and how many senders are at work.
    pub fn receive(&mut self, rows: impl IntoIterator<Item = Held>, interval: Span, sharing: u32) {
        self.interval = interval;
        self.sharing = sharing.max(1);
        self.held.extend(rows);
        self.held.make_contiguous().sort_by_key(|held| held.slot);
    }

    /// The ledger said that nothing can be taken before this instant.
    pub fn wait(&mut self, until: Local) {
        self.wait_until = until;
    }

    /// Nothing can be taken before this instant.
    pub fn wait_until(&self) -> Local {
        self.wait_until
    }

    pub fn in_flight_cap(&self) -> u32 {
        ((IN_FLIGHT_SECONDS.0 / self.interval.0.max(1)) as u32 / self.sharing).max(1)
    }

    /// Whether the provider owes answers and has given none for too long.
    fn is_silent(&self, now: Local) -> bool {
        self.in_flight > 0 && (self.black_hole || now - self.silent_since > SILENCE)
    }

    /// Whether slots pass unused, or did a moment ago, because the provider is slow.
    pub fn is_held_up(&self, now: Local) -> bool {
        self.held_up_at.is_some_and(|at| now - at < HELD_UP_FOR)
    }

    fn may_begin(&self, now: Local) -> bool {
        self.in_flight < self.in_flight_cap() && !self.is_silent(now)
    }

    /// How many more recipients fit on the wire and into one group.
    fn room(&self) -> u32 {
        let taken = self.in_flight + self.held.len() as u32;
        (self.in_flight_cap() + pacing::group_size(self.interval)).saturating_sub(taken)
    }

    /// The next recipient to begin at `now`. Those whose time has passed are reported as not begun.
    pub fn due(&mut self, now: Local) -> Due {
        while let Some(first) = self.held.front() {
            let start_by = first.slot + START_TOLERANCE;
            if now > start_by {
                if let Some(late) = self.held.pop_front() {
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
        if self.in_flight == 0 {
            self.silent_since = now;
        }
        self.in_flight += 1;
    }

    /// Its outcome is known.
    pub fn ended(&mut self, report: Report, now: Local) {
        let no_answer = matches!(&report.outcome, Outcome::Unknown { fault } if fault.reason == NO_ANSWER);
        // A connection that is closed while others are answered is a sign of life; a timeout in silence is none.
        self.black_hole = no_answer && self.is_silent(now);
        if !self.black_hole {
            self.silent_since = now;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        if !self.proven {
            self.urgent = true;
            self.wait_until = now;
        }
        let stops = matches!(
            report.outcome,
            Outcome::Auth { .. } | Outcome::Blocked { .. } | Outcome::Throttled { scope: ThrottleScope::Account, .. }
        );
        self.report(report, now);
        if stops {
            // What is held was meant for a rate or an account that the provider has just refused.
            self.release(now);
        }
    }

    /// Gives a recipient back that was not begun.
    pub fn give_back(&mut self, held: Held, now: Local) {
        let report = Report { seq: held.row.seq, attempt: held.row.attempt, outcome: Outcome::NotBegun };
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

    /// How many recipients to ask for.
    pub fn wants(&self, now: Local) -> u32 {
        if self.leaving || now < self.wait_until || self.is_silent(now) {
            return 0;
        }
        let last_slot_near = self.held.back().is_none_or(|last| last.slot - now <= LEAD);
        let most = if self.black_hole { 1 } else { MAX_GROUP };
        if last_slot_near { self.room().min(most) } else { 0 }
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
        if !self.leaving && self.room() > 0 && !self.is_silent(now) {
            let near_end = self.held.back().map_or(now, |last| Local(last.slot.0 - LEAD));
            at = at.min(near_end.max(self.wait_until).max(self.asked_at + MIN_WAIT));
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
