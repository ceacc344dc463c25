//! Requests for which a provider has a ceiling of its own, within that of the account.
//!
//! A class is paced like an account within the account: it has a place in time, and each broadcast a part of it by weight, by
//! the arithmetic of [`pacing`](super::pacing). An exchange hands out one request of the class at most, at one of the account's slots, and ends
//! before the next one is due: so the slots between go to other requests, whosever they are.

use serde::{Deserialize, Serialize};

use super::pacing::{MAX_GROUP, Slots};
use super::rate::Rate;
use super::time::{Span, Timestamp};

/// Whoever has got what comes before a part of the class waits about so long for it: messages whose first parts would go out
/// quicker are held up by as much. Longer than answers take, so that the class is never short of people meanwhile.
pub const LEAD_SECONDS: f64 = 3.0;

/// The parts of a message that are of a class, and the class's ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateClass {
    /// Summed over everything of the account.
    pub rate: Rate,
    /// From 0 on, in order, at least one.
    pub parts: Vec<u32>,
}

impl RateClass {
    pub fn holds(&self, part: u32) -> bool {
        self.parts.contains(&part)
    }

    /// Whether a message of so many parts has no others.
    pub fn is_all_of(&self, parts: u32) -> bool {
        self.parts.len() as u32 == parts
    }

    /// Whether a part is none of the class, and is followed by one.
    pub fn is_led_to_by(&self, part: u32) -> bool {
        !self.holds(part) && self.parts.last().is_some_and(|last| part < *last)
    }

    /// With more people waiting for a part of the class nobody new is led to it.
    pub fn most_waiting(&self) -> u32 {
        (self.rate.per_second() * LEAD_SECONDS).ceil().clamp(1.0, f64::from(u32::MAX)) as u32
    }

    /// So late a request of the class may be without the next one being later, since slots of the account do not fall on
    /// those of the class: half an interval, so that a second holds one more of them at most.
    pub fn slack(&self) -> Span {
        Span(self.rate.interval().0 / 2)
    }
}

/// How many messages of so many parts a second are sent at so many slots a second.
pub fn messages_per_second(slots_per_second: f64, parts: u32, class: Option<&RateClass>) -> f64 {
    let by_slots = slots_per_second / f64::from(parts.max(1));
    let by_class = class.map(|class| class.rate.per_second() / class.parts.len().max(1) as f64);
    by_class.map_or(by_slots, |by_class| by_class.min(by_slots))
}

/// The first of the slots that is not before this instant, by its number, which may be beyond their count.
pub fn place(slots: &Slots, instant: Timestamp) -> u32 {
    let (ahead, interval) = ((instant - slots.first).0.max(0), slots.interval.0.max(1));
    u32::try_from((ahead + interval - 1) / interval).unwrap_or(u32::MAX)
}

/// How many slots at this interval lie between two of the class: no exchange gives more while somebody waits for the class.
pub fn stretch(interval: Span, class: Rate) -> u32 {
    let interval = interval.0.max(1);
    let slots = (class.interval().0 + interval - 1) / interval;
    slots.clamp(1, i64::from(MAX_GROUP)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(parts: &[u32]) -> RateClass {
        RateClass { rate: Rate::new(10, 1), parts: parts.to_vec() }
    }

    #[test]
    fn what_follows_the_last_part_of_the_class_leads_to_none() {
        let class = class(&[1, 3]);
        let led: Vec<bool> = (0..5).map(|part| class.is_led_to_by(part)).collect();
        assert_eq!(led, [true, false, true, false, false]);
    }

    #[test]
    fn the_slower_of_slots_and_class_says_how_many_messages_go_out() {
        assert_eq!(messages_per_second(40.0, 2, None), 20.0);
        assert_eq!(messages_per_second(40.0, 2, Some(&class(&[1]))), 10.0);
        assert_eq!(messages_per_second(40.0, 3, Some(&class(&[1, 2]))), 5.0);
        assert_eq!(messages_per_second(4.0, 2, Some(&class(&[1]))), 2.0, "slowed by the provider");
    }

    #[test]
    fn a_place_is_the_first_slot_that_is_not_too_early() {
        let at = |millis| Timestamp::from_secs(1) + Span::from_millis(millis);
        let slots = Slots { first: at(0), interval: Span::from_millis(25), count: 4 };
        let places = [-100, 0, 1, 25, 26, 1_000].map(|millis| place(&slots, at(millis)));
        assert_eq!(places, [0, 0, 1, 1, 2, 40]);
    }

    #[test]
    fn a_stretch_ends_before_the_class_has_its_next_slot() {
        let ten = Rate::new(10, 1);
        assert_eq!(stretch(Rate::new(40, 1).interval(), ten), 4);
        assert_eq!(stretch(Rate::new(35, 1).interval(), ten), 4);
        assert_eq!(stretch(Rate::new(1, 1).interval(), ten), 1);
        assert_eq!(stretch(Span(1), ten), MAX_GROUP);
    }
}
