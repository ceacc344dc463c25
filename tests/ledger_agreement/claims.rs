//! Who is taken from which batch, and whose a batch becomes.

use herald::delivery::recipient::RecipientState::Inflight;
use herald::ledger::exchange::ExchangeRequest;

use super::{Broadcast, LEASE, Row, range};

impl Broadcast {
    /// From the batch that is held, then from the first others that are free, each in order.
    pub(super) fn take(&mut self, request: &ExchangeRequest, parts: u32, proven: bool, now: i64) {
        let holder = request.holder.as_str();
        let mut left = request.wants as usize;
        let mut back = None;
        if parts > 1 && proven {
            self.go_back_for_parts(holder, now);
        }
        let unproven_and_busy = !proven && self.in_flight(0..self.rows.len(), holder);
        if let Some(held) = self.batches.iter().position(|batch| batch.holder.as_deref() == Some(holder)) {
            let probation = self.batches[held].probation;
            let busy = unproven_and_busy || (probation && self.in_flight(range(held), holder));
            let allowed = if busy {
                0
            } else if probation || !proven {
                left.min(1)
            } else {
                left
            };
            let taken = self.take_from(held, allowed, request, now);
            left -= taken;
            if taken == allowed {
                return;
            }
            self.batches[held].holder = None;
            back = Some(held);
        }
        loop {
            let allowed = match proven {
                true => left,
                false => usize::from(left == request.wants as usize && !unproven_and_busy),
            };
            if allowed == 0 {
                return;
            }
            let Some(free) = (0..self.batches.len()).find(|index| Some(*index) != back && self.is_free(*index, now))
            else {
                return;
            };
            let probation = self.claim(free, holder, now);
            let allowed = match probation {
                true if self.in_flight(range(free), holder) => 0,
                true => 1,
                false => allowed,
            };
            let taken = self.take_from(free, allowed, request, now);
            left -= taken;
            if probation || taken == allowed {
                return;
            }
            self.batches[free].holder = None;
            back = Some(free);
        }
    }

    /// A batch is left for an earlier one in which somebody waits for the next part.
    fn go_back_for_parts(&mut self, holder: &str, now: i64) {
        let Some(held) = self.batches.iter().position(|batch| batch.holder.as_deref() == Some(holder)) else { return };
        let waits = |index: usize| {
            let batch = &self.batches[index];
            let is_due = |row: &Row| row.may_be_taken(now) && row.parts_done > 0;
            batch.holder.is_none() && !batch.probation && self.rows[range(index)].iter().any(is_due)
        };
        if !self.batches[held].probation && (0..held).any(waits) {
            self.batches[held].holder = None;
        }
    }

    fn is_free(&self, index: usize, now: i64) -> bool {
        let batch = &self.batches[index];
        let due = self.rows[range(index)].iter().any(|row| row.may_be_taken(now));
        due && (batch.holder.is_none() || batch.lease <= now)
    }

    fn claim(&mut self, index: usize, holder: &str, now: i64) -> bool {
        let batch = &mut self.batches[index];
        if batch.holder.is_some() {
            batch.lose_holder();
        }
        batch.holder = Some(holder.to_owned());
        batch.epoch += 1;
        batch.lease = now + LEASE;
        batch.probation
    }

    fn take_from(&mut self, index: usize, most: usize, request: &ExchangeRequest, now: i64) -> usize {
        let due = |row: &&mut Row| row.may_be_taken(now);
        let mut taken = 0;
        for row in self.rows[range(index)].iter_mut().filter(due).take(most) {
            row.state = Inflight;
            row.attempt += 1;
            row.part = row.parts_done;
            row.holder = request.holder.clone();
            row.request = request.number;
            row.taken_at = now;
            row.given_up = false;
            taken += 1;
        }
        if taken > 0 {
            self.begun_at.get_or_insert(now);
        }
        taken
    }
}
