//! What of a message with parts of a rate class may be taken at the slots on offer, and what that costs the class.

use super::claim::Lanes;
use super::exchange::Turn;
use super::store::Store;
use crate::delivery::pacing::{self, Ask, Offer, Slots};
use crate::delivery::rate::Rate;
use crate::delivery::rate_class::{self, RateClass};
use crate::delivery::time::{Span, Timestamp};

/// What may be taken, or when to ask again.
pub enum Passage {
    Open(Slots, Option<Lanes>),
    Closed { until: Timestamp },
}

impl<S: Store> Turn<'_, S> {
    /// Narrows an offer to what the account's rate class allows. Where others want the class, groups are short for everybody
    /// on the account, or the class's slots would lie within them.
    pub(super) fn pass(&mut self, ask: &Ask, mut slots: Slots) -> Passage {
        let Some(ceiling) = self.broadcast.class_rate() else { return Passage::Open(slots, None) };
        let stretch = rate_class::stretch(slots.interval, ceiling);
        let Some(class) = self.class.clone() else {
            if !self.survey.class_rivals.is_empty() {
                slots.count = slots.count.min(stretch);
            }
            return Passage::Open(slots, None);
        };
        let (first, until) = match self.offer_of_class(ceiling) {
            Offer::Slots(offered) => (Some(offered.first), offered.first),
            Offer::Wait { until, hungry } => {
                self.leave_class(ceiling, until, hungry);
                (None, until)
            }
        };
        let place = first.map(|first| rate_class::place(&slots, first));
        let wide = self.others_than(&class);
        if !wide.is_empty() {
            let place = place.filter(|place| *place < slots.count);
            slots.count = slots.count.min(place.unwrap_or(0).saturating_add(stretch));
            return Passage::Open(slots, Some(Lanes::new(&class, place, wide)));
        }
        // Nothing else of this message could use the slots before the one of the class; another broadcast may.
        match place {
            Some(place) if place == 0 || place < slots.count && self.survey.rivals.is_empty() => {
                slots.count = place + 1;
                Passage::Open(slots, Some(Lanes::new(&class, Some(place), wide)))
            }
            Some(place) => {
                let until = ask.now + (slots.interval * i64::from(place)).max(pacing::MIN_WAIT);
                self.leave_class(ceiling, until, true);
                Passage::Closed { until }
            }
            None => Passage::Closed { until },
        }
    }

    /// Where a message is all of the class, and nobody else wants the slots before the next one of the class, they are left.
    pub(super) fn on_time_for_class(&self, slots: Slots) -> Slots {
        let all = self.class.as_ref().filter(|class| class.is_all_of(self.broadcast.parts()));
        match all.map(|class| self.offer_of_class(class.rate)) {
            Some(Offer::Slots(offered)) if self.survey.rivals.is_empty() => {
                Slots { first: slots.first.max(offered.first), ..slots }
            }
            _ => slots,
        }
    }

    /// The parts that may be taken beside those of the class: none that lead to it while enough people wait for it.
    fn others_than(&self, class: &RateClass) -> Vec<i64> {
        let enough_wait = self.survey.class_waiting > i64::from(class.most_waiting());
        let stays = |part: u32| class.holds(part) || enough_wait && class.is_led_to_by(part);
        (0..self.broadcast.parts()).filter(|part| !stays(*part)).map(i64::from).collect()
    }

    /// Books what was taken of the class in `slot`, or that nobody waits for it.
    pub(super) fn book_class(&mut self, class: &RateClass, slot: Option<Timestamp>) {
        let ask = self.ask_of_class(class.rate);
        let (mut pace, mut flow) = (self.broadcast.class_pace(), self.broadcast.class_flow());
        let rivals = &self.survey.class_rivals;
        match (slot, self.offer_of_class(class.rate)) {
            (Some(slot), Offer::Slots(offered)) => {
                let slots = Slots { first: offered.first.max(slot - class.slack()), ..offered };
                pacing::take(&mut pace, &mut flow, rivals, &ask, &slots, 1, true);
            }
            // Nothing is taken that was not offered.
            (_, Offer::Wait { .. }) => return,
            (None, Offer::Slots(_)) => pacing::leave(&mut pace, &mut flow, rivals, &ask, self.now, false),
        }
        self.broadcast.set_class(&pace, &flow);
    }

    fn leave_class(&mut self, ceiling: Rate, until: Timestamp, hungry: bool) {
        let ask = self.ask_of_class(ceiling);
        let (mut pace, mut flow) = (self.broadcast.class_pace(), self.broadcast.class_flow());
        pacing::leave(&mut pace, &mut flow, &self.survey.class_rivals, &ask, until, hungry);
        self.broadcast.set_class(&pace, &flow);
    }

    /// When the class has its next slot for this broadcast.
    pub(super) fn offer_of_class(&self, ceiling: Rate) -> Offer {
        let (pace, flow) = (self.broadcast.class_pace(), self.broadcast.class_flow());
        pacing::offer(&pace, &flow, &self.survey.class_rivals, &self.ask_of_class(ceiling))
    }

    fn ask_of_class(&self, ceiling: Rate) -> Ask {
        Ask {
            now: self.now,
            want: 1,
            interval: ceiling.interval(),
            own_interval: None,
            hold_until: Timestamp::EPOCH,
            rejoins: false,
        }
    }

    /// When a sender that was given so many slots should ask again, though it holds some: a group is short where somebody waits
    /// for the class, and its end far ahead where broadcasts share the account.
    pub(super) fn more_at(&self, slots: &Slots, used: u32) -> Option<Timestamp> {
        let is_class_shared = !self.survey.class_rivals.is_empty();
        let is_account_shared = self.class.is_some() && !self.survey.rivals.is_empty();
        if !is_class_shared && !is_account_shared {
            return None;
        }
        let given = slots.interval * i64::from(used);
        let until_class = self.broadcast.class_pace().next_slot - self.broadcast.pace().next_slot;
        let span = if self.class.is_some() && until_class > Span::ZERO { until_class } else { given };
        Some(self.now + span.max(pacing::MIN_WAIT))
    }
}
