//! What a recipient, a batch and a broadcast of the model know of themselves.

use herald::delivery::gate::Closed;
use herald::delivery::outcome::Outcome;
use herald::delivery::recipient::RecipientState::{Failed, Inflight, Pending, Sent, Unknown};

use super::{BATCH, Batch, Broadcast, LEASE, MAX_TRIES, PEOPLE, PUT_OFF, Row};

impl Row {
    pub(super) fn may_be_taken(&self, now: i64) -> bool {
        self.state == Pending && self.not_before <= now && !self.opted_out
    }

    /// Nobody sends them anything more.
    pub(super) fn is_barred(&self) -> bool {
        self.opted_out || self.listed
    }

    /// The provider has taken the part at hand; with the last one the message is sent.
    pub(super) fn take_a_part(&mut self, parts: u32) {
        self.parts_done += 1;
        self.state = if self.parts_done < parts { Pending } else { Sent };
        if self.state == Pending {
            self.tries = 0;
        }
    }

    /// Whether the outcome of the latest attempt says anything new.
    pub(super) fn become_what(&mut self, outcome: &Outcome, parts: u32, now: i64) -> bool {
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
    pub(super) fn lose_holder(&mut self) {
        if self.holder.take().is_some() {
            self.reclaims += 1;
            self.probation = true;
        }
    }
}

pub(super) fn range(batch: usize) -> std::ops::Range<usize> {
    batch * BATCH..PEOPLE.min((batch + 1) * BATCH)
}

impl Broadcast {
    pub(super) fn open(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.state, Pending | Inflight)).count()
    }

    pub(super) fn sent(&self) -> usize {
        self.rows.iter().filter(|row| row.state == Sent).count()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.sealed && self.open() == 0
    }

    pub(super) fn is_over_unplanned(&self, now: i64) -> bool {
        !self.sealed && self.ended(now).is_some()
    }

    pub(super) fn is_over(&self, now: i64) -> bool {
        self.is_finished() || self.ended(now).is_some()
    }

    /// It is to be made anew; until then there is nobody.
    pub(super) fn take_plan_back(&mut self) {
        self.sealed = false;
        self.rows.clear();
        self.batches.clear();
    }

    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    pub fn is_released(&self) -> bool {
        self.released
    }

    pub(super) fn ended(&self, now: i64) -> Option<Closed> {
        if self.cancelled {
            return Some(Closed::Cancelled);
        }
        self.end.filter(|end| now > *end).map(|_| Closed::Expired)
    }

    pub(super) fn closed(&self, now: i64, stopped: bool) -> Option<Closed> {
        if self.is_finished() {
            return Some(Closed::Complete);
        }
        let others = [
            (self.released, Closed::Released),
            (!self.sealed, Closed::NotPlanned),
            (stopped, Closed::CredentialsInvalid),
            (self.blocked, Closed::ProviderBlocked),
            (self.suspended, Closed::Suspended),
        ];
        self.ended(now).or(others.into_iter().find(|(is, _)| *is).map(|(_, closed)| closed))
    }

    pub(super) fn numbers_of(&self, which: impl Fn(&Row) -> bool) -> Vec<usize> {
        (0..self.rows.len()).filter(|number| which(&self.rows[*number])).collect()
    }

    pub fn has_begun(&self) -> bool {
        self.begun_at.is_some()
    }

    pub fn begun_at(&self) -> Option<i64> {
        self.begun_at
    }

    pub fn has_finished(&self) -> bool {
        self.has_finished
    }

    pub fn was_complete(&self, batch: usize) -> bool {
        self.were_complete.contains(&batch)
    }

    pub(super) fn let_go_of_what_is_done(&mut self) {
        for index in 0..self.batches.len() {
            if self.rows[range(index)].iter().all(|row| !matches!(row.state, Pending | Inflight)) {
                self.batches[index].holder = None;
                self.were_complete.insert(index);
            }
        }
        self.has_finished |= self.is_finished();
    }

    pub(super) fn renew(&mut self, holder: &str, now: i64) {
        let own = |batch: &&mut Batch| batch.holder.as_deref() == Some(holder);
        self.batches.iter_mut().filter(own).for_each(|batch| batch.lease = now + LEASE);
    }

    pub(super) fn leave(&mut self, holder: &str) {
        let own = |batch: &&mut Batch| batch.holder.as_deref() == Some(holder);
        self.batches.iter_mut().filter(own).for_each(|batch| batch.holder = None);
        self.senders.entry(holder.to_owned()).or_default().closed = true;
    }

    pub(super) fn sharing(&self, holder: &str, now: i64) -> u32 {
        let at_work =
            |batch: &&Batch| batch.holder.as_deref().is_some_and(|other| other == holder || batch.lease > now);
        (self.batches.iter().filter(at_work).count() as u32).max(1)
    }

    pub(super) fn given(&self, holder: &str, request: u64) -> Vec<(i64, u32)> {
        let own = |row: &Row| row.state == Inflight && row.holder == holder && row.request == request;
        (0..).zip(&self.rows).filter(|(_, row)| own(row)).map(|(seq, row)| (seq, row.attempt)).collect()
    }

    /// Returns whether anybody's slot had passed.
    pub(super) fn postpone(&mut self, holder: &str, request: u64, now: i64) -> bool {
        let passed = |row: &&mut Row| {
            let is_theirs = row.state == Inflight && row.holder == holder && row.request == request;
            is_theirs && row.taken_at < now && !row.is_barred()
        };
        let moved = self.rows.iter_mut().filter(passed).map(|row| row.taken_at = now);
        moved.count() > 0
    }

    pub(super) fn in_flight(&self, rows: std::ops::Range<usize>, holder: &str) -> bool {
        self.rows[rows].iter().any(|row| row.state == Inflight && row.holder == holder)
    }
}
