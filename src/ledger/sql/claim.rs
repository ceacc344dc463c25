//! What claiming and taking are made of: who asks, what they and their rivals hold, and whom they are given.

use std::collections::BTreeSet;

use sqlx::FromRow;

use super::zones::ZonesNow;
use crate::delivery::pacing::{Rival, Slots};
use crate::delivery::rate_class::{self, RateClass};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::exchange::START_TOLERANCE;

/// A claimed batch.
#[derive(Clone, Debug, FromRow)]
pub struct BatchRow {
    pub idx: i64,
    pub first_seq: i64,
    pub last_seq: i64,
    pub epoch: i64,
    pub probation: bool,
}

/// Who asks, in the transaction of its request.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    pub broadcast: i64,
    pub account: i64,
    pub sender: i64,
    /// Has recorded an outcome.
    pub proven: bool,
    pub request: i64,
    pub now: Timestamp,
    /// What it told has lowered the account's rate.
    pub braked: bool,
    /// From a slot to the deadline of its attempt.
    pub allowed: Span,
    /// How long after their last activity recipients may be messaged, where the provider's window is counted.
    pub reply_window: Option<Span>,
    /// There are endpoints to be told how it goes.
    pub notifies: bool,
    /// The account has a rate class.
    pub classes: bool,
}

impl Asking {
    /// Whoever was active last at this instant, or earlier, gets none of these slots: their window may close before the last.
    pub fn inactive_since(&self, slots: &Slots) -> Timestamp {
        self.inactive_before(slots.at(slots.count.max(1) - 1))
    }

    /// The same of the earliest slot that there may be.
    pub fn inactive_since_now(&self) -> Timestamp {
        self.inactive_before(self.now)
    }

    fn inactive_before(&self, slot: Timestamp) -> Timestamp {
        self.reply_window.map_or(Timestamp(i64::MIN), |window| slot + START_TOLERANCE - window)
    }
}

/// Where it is looked for people who have got a part of a message and may have the next one.
#[derive(Clone, Copy, Debug)]
pub struct BetweenParts<'a> {
    /// The open zones.
    pub zones: &'a [i64],
    /// The parts of the rate class.
    pub class: &'a [i64],
    /// No more who wait for one of those are counted.
    pub most: i64,
}

/// What a sender and its rivals hold.
#[derive(Debug)]
pub struct Survey {
    /// The batch that the sender holds.
    pub held: Option<BatchRow>,
    /// How many are in flight at the sender: in the held batch, for one that is proven and not on probation there none
    /// are counted; in the whole broadcast, for one that is not proven.
    pub running: i64,
    /// Somebody who has got a part of the message may have the next one now, in a free batch before the held one.
    pub part_waits: bool,
    /// Other senders with a live claim in the broadcast.
    pub others: i64,
    /// Other broadcasts of the account that want slots now.
    pub rivals: Vec<Rival>,
    /// Those that want slots of the account's rate class.
    pub class_rivals: Vec<Rival>,
    /// How many people may have a part of the class now, after another part; counted as far as [`BetweenParts::most`].
    pub class_waiting: i64,
    /// The latest slot of anybody in flight on the account; looked up only after the rate was lowered.
    pub last_slot: Option<Timestamp>,
    /// There are events to be posted that nobody is at.
    pub notifications: bool,
}

/// A recipient that was put in flight; the slots follow the order.
#[derive(Debug, FromRow)]
pub struct Taken {
    pub seq: i64,
    pub attempt: i64,
    pub parts_done: i64,
    pub recipient: String,
    pub vars: String,
    pub slot: i64,
    pub start_by: i64,
}

/// A recipient in flight, with the number of their time zone, and what may bar them by now.
#[derive(Debug, FromRow)]
pub struct Given {
    #[sqlx(flatten)]
    pub taken: Taken,
    pub zone: i64,
    /// When last active, as far as is known.
    pub active_at: Option<i64>,
    /// Wants no messages of the account.
    pub opted_out: bool,
}

/// Another slot for a recipient in flight.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub seq: i64,
    pub slot: i64,
    pub start_by: i64,
    pub deadline: i64,
}

/// What may be taken of a message with parts of a rate class: one of the class at most, and others.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// The parts of the class; empty where none may be taken.
    pub narrow: Vec<i64>,
    /// By number, the slot that one of the class gets; the others get those before and after it.
    pub place: u32,
    /// One of the class has got it.
    pub is_given: bool,
    /// The parts that may be taken beside it.
    pub wide: Vec<i64>,
}

impl Lanes {
    /// Without a place none of the class.
    pub fn new(class: &RateClass, place: Option<u32>, wide: Vec<i64>) -> Lanes {
        let narrow = place.map_or_else(Vec::new, |_| class.parts.iter().map(|part| i64::from(*part)).collect());
        Lanes { narrow, place: place.unwrap_or_default(), is_given: false, wide }
    }

    /// Every part that may be taken.
    pub fn parts(&self) -> Vec<i64> {
        [&self.narrow[..], &self.wide].concat()
    }

    pub fn is_empty(&self) -> bool {
        self.narrow.is_empty() && self.wide.is_empty()
    }

    /// Those that are left when these were taken at some of the slots.
    pub fn after(mut self, taken: &[Taken], slots: &Slots) -> Lanes {
        if let Some(row) = taken.iter().find(|row| self.narrow.contains(&row.parts_done)) {
            self.place = rate_class::place(slots, Timestamp(row.slot));
            self.is_given = true;
            self.narrow.clear();
        }
        self
    }
}

/// From which slot on, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub slots: &'a Slots,
    /// The first of the slots that is still free.
    pub from: u32,
    pub limit: u32,
    pub zones: &'a ZonesNow,
    /// `None` for every part alike.
    pub lanes: Option<&'a Lanes>,
}

impl Wanted<'_> {
    /// The place of one of the rate class among the slots that are still free; `None` where none may be taken.
    pub fn narrow_place(&self) -> Option<u32> {
        let lanes = self.lanes.filter(|lanes| !lanes.narrow.is_empty())?;
        Some(lanes.place.saturating_sub(self.from)).filter(|place| *place < self.limit)
    }

    /// The place of one that was taken before, if it is among them.
    pub fn given_place(&self) -> Option<u32> {
        let lanes = self.lanes.filter(|lanes| lanes.is_given)?;
        lanes.place.checked_sub(self.from).filter(|place| *place < self.limit)
    }
}

/// The number of the first slot, from `from` on, that was given to nobody: one of a rate class may have got a slot behind it.
pub fn first_free(slots: &Slots, from: u32, given: impl Iterator<Item = Timestamp>) -> u32 {
    let given: BTreeSet<u32> = given.map(|slot| rate_class::place(slots, slot)).collect();
    (from..).find(|place| !given.contains(place)).unwrap_or(from)
}

/// What a claim found.
#[derive(Debug)]
pub struct Claimed {
    /// The batch that the sender holds now. `None` where everybody who may be taken was taken: whatever was claimed for that
    /// is handed back.
    pub held: Option<BatchRow>,
    /// In the order of their slots.
    pub taken: Vec<Taken>,
    /// Where nothing was claimed: who is left.
    pub outlook: Outlook,
}

/// Who of a broadcast is pending.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// When the first may be taken of those whose time zone is open.
    pub due: Option<Timestamp>,
    /// The quiet zones of others.
    pub waiting: Vec<i64>,
}
