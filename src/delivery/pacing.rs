//! Which slots of an account a sender gets: slots, not sleeps.
//!
//! An account's row holds the time of its next free slot (GCRA). An exchange hands out consecutive slots; a sender
//! sends each message at its slot, with as many requests in flight as latency needs. Slots of different senders and
//! broadcasts interleave, so their sum is exact by construction. A missed slot is lost: nothing is sent in a burst.
//!
//! Broadcasts share an account by weight (start-time fair queueing): a broadcast that is hungry may run ahead of the
//! hungriest other by at most its part of one horizon of slots.

use super::time::{NANOS_PER_SECOND, Span, Timestamp};

/// How far ahead slots are handed out: long enough to hide an exchange, short enough that pause and rate bite soon.
pub const HORIZON: Span = Span::from_secs(1);
/// The earliest slot is this far from now, so that the reply arrives before it.
pub const GUARD: Span = Span::from_millis(25);
/// A group is about this part of a second of sending.
pub const GROUP_SECONDS: f64 = 0.25;
/// With 50 a lone sender at 1,000/s and exchanges of 70 ms gets only 71 % of the rate (simulated).
pub const MAX_GROUP: u32 = 250;
/// The shortest wait that is asked of a sender.
pub const MIN_WAIT: Span = Span::from_millis(20);
/// From this weight on a joining broadcast starts one share ahead of the others.
pub const URGENT_WEIGHT: u32 = 8;
/// The weight of an ordinary broadcast.
pub const NORMAL_WEIGHT: u32 = 4;
/// The weight of one that takes what others leave, and a little beside them.
pub const BULK_WEIGHT: u32 = 1;

/// The account's place in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The next free slot.
    pub next_slot: Timestamp,
    /// The least virtual time that a broadcast had when it was last served; where a first one joins.
    pub virtual_time: f64,
}

/// One broadcast's part of an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    pub weight: u32,
    /// Slots had, divided by weight.
    pub virtual_time: f64,
    /// Until when it counts as wanting slots.
    pub hungry_until: Timestamp,
    /// The next slot by the broadcast's own lower rate.
    pub own_next_slot: Timestamp,
}

/// Another broadcast of the account that is hungry now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival {
    pub weight: u32,
    pub virtual_time: f64,
}

/// What a sender asks for and under which rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    pub now: Timestamp,
    /// Recipients the sender would take.
    pub want: u32,
    /// Between two slots of the account, at its effective rate.
    pub interval: Span,
    /// Between two slots of this broadcast, where its own rate is lower than the account's.
    pub own_interval: Option<Span>,
    /// The brake: no slot before.
    pub hold_until: Timestamp,
    /// A ceiling within the account's keeps it from being hungry all the time, and it joins the others again and again: its
    /// turn is kept for it meanwhile, as far as one share.
    pub rejoins: bool,
}

/// Consecutive slots on offer; they are taken by [`take`] with the number of recipients found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slots {
    pub first: Timestamp,
    pub interval: Span,
    pub count: u32,
}

impl Slots {
    pub fn at(&self, index: u32) -> Timestamp {
        self.first + self.interval * i64::from(index)
    }
}

/// Slots, or when to ask again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offer {
    Slots(Slots),
    Wait { until: Timestamp, hungry: bool },
}

/// The number of recipients that a sender handles between two exchanges.
pub fn group_size(interval: Span) -> u32 {
    let per_group = GROUP_SECONDS * NANOS_PER_SECOND as f64 / interval.0.max(1) as f64;
    (per_group as u32).clamp(1, MAX_GROUP)
}

/// Where the flow stands once it has joined those that are hungry.
fn joined(pace: &Pace, flow: &Flow, rivals: &[Rival], ask: &Ask) -> f64 {
    if flow.hungry_until > ask.now {
        return flow.virtual_time;
    }
    let floor = rivals.iter().map(|rival| rival.virtual_time).reduce(f64::min).unwrap_or(pace.virtual_time);
    let head_start = if flow.weight >= URGENT_WEIGHT || ask.rejoins { share(flow, rivals, ask) } else { 0.0 };
    flow.virtual_time.max(floor - head_start)
}

fn total_weight(flow: &Flow, rivals: &[Rival]) -> f64 {
    f64::from(flow.weight) + rivals.iter().map(|rival| f64::from(rival.weight)).sum::<f64>()
}

/// One horizon of slots divided by all weights: how far a flow may run ahead, in virtual time.
fn share(flow: &Flow, rivals: &[Rival], ask: &Ask) -> f64 {
    let slots_in_horizon = HORIZON.0 as f64 / ask.interval.0.max(1) as f64;
    slots_in_horizon.max(1.0) / total_weight(flow, rivals)
}

/// Stored instants are pulled in, so that a clock set back freezes nothing.
fn next_slot(pace: &Pace, ask: &Ask) -> Timestamp {
    pace.next_slot.clamp_to(ask.now + HORIZON + ask.interval)
}

fn own_next_slot(flow: &Flow, own_interval: Span, ask: &Ask) -> Timestamp {
    let furthest = HORIZON + own_interval * i64::from(2 * group_size(own_interval) + 1);
    flow.own_next_slot.clamp_to(ask.now + furthest)
}

/// Between two slots that each of `senders` of a broadcast may count on: its part of the account by weight, or what its own
/// lower rate allows, shared among them.
pub fn turn(flow: &Flow, rivals: &[Rival], ask: &Ask, senders: u32) -> Span {
    let fair = Span((ask.interval.0 as f64 * total_weight(flow, rivals) / f64::from(flow.weight)) as i64);
    fair.max(ask.own_interval.unwrap_or(fair)) * i64::from(senders.max(1))
}

/// The longest that [`offer`] lets a sender wait for slots at this interval before it asks again.
pub fn longest_wait(interval: Span) -> Span {
    HORIZON.max(interval * 6)
}

/// Offers slots to a sender of `flow`. Changes nothing: the offer is taken by [`take`] or left by [`leave`].
pub fn offer(pace: &Pace, flow: &Flow, rivals: &[Rival], ask: &Ask) -> Offer {
    let mut start = next_slot(pace, ask).max(ask.now + GUARD).max(ask.hold_until);
    let mut interval = ask.interval;
    if let Some(own_interval) = ask.own_interval {
        let own_start = own_next_slot(flow, own_interval, ask);
        if rivals.is_empty() {
            if own_start > start.max(ask.now + HORIZON) {
                // Its own rate holds it up, not the account: it is not hungry, or one that joins would wait for it.
                let wait = (own_start - HORIZON - ask.now).max(MIN_WAIT).min(HORIZON.max(own_interval));
                return Offer::Wait { until: ask.now + wait, hungry: false };
            }
            // Nobody else wants the slots between, so the broadcast's own rate is kept exactly.
            start = start.max(own_start);
            interval = interval.max(own_interval);
        } else {
            let slack = own_interval * i64::from(2 * group_size(own_interval));
            if own_start > start + slack {
                let wait = (own_start - start - slack).max(MIN_WAIT).min(HORIZON.max(own_interval));
                return Offer::Wait { until: ask.now + wait, hungry: false };
            }
        }
    }

    let group = group_size(interval.max(ask.own_interval.unwrap_or(interval)));
    let asked = ask.want.min(group);
    let share = share(flow, rivals, ask);
    let weight = f64::from(flow.weight);
    let virtual_time = joined(pace, flow, rivals, ask);
    let least = rivals.iter().map(|rival| rival.virtual_time).fold(virtual_time, f64::min);
    let ahead = virtual_time - least;
    let fair = if rivals.is_empty() {
        asked
    } else if ahead + 1.0 / weight <= share {
        asked.min(((share - ahead) * weight + 1e-9) as u32)
    } else if ahead <= 1e-9 {
        asked.min(1)
    } else {
        0
    };
    let latest = ask.now + HORIZON;
    let room = if start <= latest { (latest - start).0 / interval.0.max(1) + 1 } else { 0 };
    let count = i64::from(fair).min(room).max(0) as u32;
    if count > 0 {
        return Offer::Slots(Slots { first: start, interval, count });
    }

    let no_room = room == 0;
    let parts = asked.max(1) as f64 * weight / total_weight(flow, rivals);
    let wait = if no_room {
        let turn = Span((interval.0 as f64 * parts.max(1.0)) as i64).min(Span(HORIZON.0 / 4));
        start - HORIZON - ask.now + turn
    } else {
        Span(((ahead + 1.0 / weight - share) * total_weight(flow, rivals) * interval.0 as f64) as i64)
    };
    let longest = if no_room { longest_wait(interval) } else { Span(HORIZON.0 / 2).max(Span(interval.0 / 2)) };
    Offer::Wait { until: ask.now + wait.max(MIN_WAIT).min(longest), hungry: true }
}

/// Books `taken` of the offered slots (at least 1, at most the offer). `more` says whether the broadcast had more
/// recipients for this sender than it was offered slots.
pub fn take(pace: &mut Pace, flow: &mut Flow, rivals: &[Rival], ask: &Ask, slots: &Slots, taken: u32, more: bool) {
    let virtual_time = joined(pace, flow, rivals, ask);
    let least = rivals.iter().map(|rival| rival.virtual_time).fold(virtual_time, f64::min);
    pace.virtual_time = pace.virtual_time.max(least);
    pace.next_slot = slots.at(taken.saturating_sub(1)) + ask.interval;
    flow.virtual_time = virtual_time + f64::from(taken) / f64::from(flow.weight);
    let mut hungry = more;
    if let Some(own_interval) = ask.own_interval {
        let own_start = own_next_slot(flow, own_interval, ask).max(slots.first);
        flow.own_next_slot = own_start + own_interval * i64::from(taken);
        let slack = own_interval * i64::from(2 * group_size(own_interval));
        hungry = hungry && flow.own_next_slot <= pace.next_slot + slack;
    }
    let half = Span(HORIZON.0 / 2);
    flow.hungry_until = if hungry { pace.next_slot + half } else { ask.now + half };
}

/// Notes that a sender got no slots and was told to wait. The clamped instants are kept: clamped on each read alone they
/// would move ahead with the clock.
pub fn leave(pace: &mut Pace, flow: &mut Flow, rivals: &[Rival], ask: &Ask, until: Timestamp, hungry: bool) {
    flow.virtual_time = joined(pace, flow, rivals, ask);
    pace.next_slot = next_slot(pace, ask);
    if let Some(own_interval) = ask.own_interval {
        flow.own_next_slot = own_next_slot(flow, own_interval, ask);
    }
    flow.hungry_until = if hungry { until + Span(HORIZON.0 / 2) } else { ask.now };
}

#[cfg(test)]
#[path = "pacing_properties.rs"]
mod properties;
#[cfg(test)]
#[path = "pacing_simulation.rs"]
mod simulation;
