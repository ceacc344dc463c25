//! The ledger's slots on this machine's clock.
//!
//! The machine's clock here counts through suspends, so that a process that was frozen or a machine that slept notices
//! that a slot has passed.

use std::collections::VecDeque;

use rustix::time::{ClockId, clock_gettime};

use crate::delivery::time::{NANOS_PER_SECOND, Span, Timestamp};

/// Replies that are remembered to find the one with the shortest way.
const REMEMBERED_REPLIES: usize = 64;

/// An instant of this machine since its boot, suspends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local(pub Timestamp);

impl Local {
    pub fn now() -> Local {
        let now = clock_gettime(ClockId::Boottime);
        Local(Timestamp(now.tv_sec * NANOS_PER_SECOND + now.tv_nsec))
    }
}

impl std::ops::Add<Span> for Local {
    type Output = Local;
    fn add(self, span: Span) -> Local {
        Local(self.0 + span)
    }
}

impl std::ops::Sub for Local {
    type Output = Span;
    fn sub(self, other: Local) -> Span {
        self.0 - other.0
    }
}

/// Sleeps until an instant of the machine's clock; returns at once when it has passed.
pub async fn sleep_until(instant: Local) {
    tokio::time::sleep((instant - Local::now()).to_duration()).await;
}

/// Maps the ledger's clock to the local one. A reply tells the ledger's time as it was before the reply travelled, so
/// the largest difference seen is nearest to the truth.
#[derive(Debug, Default)]
pub struct ClockOffset {
    differences: VecDeque<i64>,
}

impl ClockOffset {
    /// Takes a reply into account that told `ledger` and was received at `received`.
    pub fn observe(&mut self, ledger: Timestamp, received: Local) {
        if self.differences.len() == REMEMBERED_REPLIES {
            self.differences.pop_front();
        }
        self.differences.push_back((ledger - received.0).0);
    }

    /// When `slot` of a reply is on the local clock: never earlier than if the ledger had read its clock when the request
    /// left, never later than if it had when the reply arrived.
    pub fn local(&self, slot: Timestamp, ledger: Timestamp, requested: Local, received: Local) -> Local {
        let ahead = slot - ledger;
        let offset = self.differences.iter().max().copied().unwrap_or_else(|| (ledger - received.0).0);
        let mapped = Local(slot - Span(offset));
        mapped.clamp(requested + ahead, received + ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(millis: i64) -> Local {
        Local(Timestamp::EPOCH + Span::from_millis(millis))
    }

    fn ledger(millis: i64) -> Timestamp {
        Timestamp::from_secs(1_000) + Span::from_millis(millis)
    }

    #[test]
    fn the_fastest_reply_sets_the_offset_for_the_slow_ones() {
        let mut offset = ClockOffset::default();
        offset.observe(ledger(100), local(101));
        offset.observe(ledger(200), local(280));
        // The second reply travelled 80 ms; its slot is still where the first one says.
        assert_eq!(offset.local(ledger(300), ledger(200), local(190), local(280)), local(301));
    }

    #[test]
    fn a_slot_stays_between_what_request_and_receipt_allow() {
        let mut offset = ClockOffset::default();
        offset.observe(ledger(100), local(101));
        // The ledger's clock was set back by an hour: the old offset would put the slot far away.
        let back = Span::from_secs(3_600);
        let slot = offset.local(ledger(300) - back, ledger(200) - back, local(200), local(202));
        assert_eq!(slot, local(300));
    }

    #[test]
    fn old_replies_are_forgotten() {
        let mut offset = ClockOffset::default();
        offset.observe(ledger(1_000), local(0));
        for n in 0..REMEMBERED_REPLIES as i64 {
            offset.observe(ledger(n), local(n));
        }
        assert_eq!(offset.local(ledger(70), ledger(64), local(60), local(66)), local(70));
    }
}
