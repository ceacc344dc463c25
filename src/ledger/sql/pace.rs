//! Where an account and its broadcasts stand in their pace: columns into the values of pacing and brake, and back.

use super::rows::{self, BrakeColumns, BroadcastRow, rate};
use crate::delivery::brake::Brake;
use crate::delivery::pacing::{Flow, Pace};
use crate::delivery::rate::Rate;
use crate::delivery::rate_class::RateClass;
use crate::delivery::time::Timestamp;
use crate::delivery::usage::Usage;

impl BroadcastRow {
    pub fn ceiling(&self) -> Rate {
        rate(self.account.account_messages, self.account.account_period_seconds)
    }

    pub fn own_rate(&self) -> Option<Rate> {
        Some(rate(self.rate_messages?, self.rate_period_seconds?))
    }

    pub fn lower_rate(&self) -> Rate {
        self.own_rate().map_or(self.ceiling(), |own| own.lower(self.ceiling()))
    }

    /// The ceiling of the account's rate class, where its provider has one.
    pub fn class_rate(&self) -> Option<Rate> {
        Some(rate(self.account.class_rate_messages?, self.account.class_rate_period_seconds?))
    }

    /// What of its message is of that class.
    pub fn rate_class(&self) -> sqlx::Result<Option<RateClass>> {
        let Some((rate, parts)) = self.class_rate().zip(self.class_parts.as_deref()) else { return Ok(None) };
        let parts = rows::parsed(parts)?;
        Ok(Some(RateClass { rate, parts }))
    }

    /// The class's place in time.
    pub fn class_pace(&self) -> Pace {
        Pace { next_slot: Timestamp(self.account.class_next_slot), virtual_time: self.account.class_virtual_time }
    }

    /// The broadcast's part of the class. It has no rate of its own there.
    pub fn class_flow(&self) -> Flow {
        Flow {
            virtual_time: self.class_flow_virtual_time,
            hungry_until: Timestamp(self.class_hungry_until),
            ..self.flow()
        }
    }

    pub fn set_class(&mut self, pace: &Pace, flow: &Flow) {
        self.account.class_next_slot = pace.next_slot.0;
        self.account.class_virtual_time = pace.virtual_time;
        self.class_flow_virtual_time = flow.virtual_time;
        self.class_hungry_until = flow.hungry_until.0;
    }

    pub fn brake(&self) -> Brake {
        self.account.brake.brake()
    }

    pub fn set_brake(&mut self, brake: &Brake) {
        let Brake { factor, since, hold_until, lowered_at, recent, footing, usage_percent, usage_at } = *brake;
        self.account.brake = BrakeColumns {
            brake_factor: factor,
            brake_since: since.0,
            brake_hold_until: hold_until.0,
            brake_lowered_at: lowered_at.0,
            brake_recent: recent,
            brake_footing: footing.code(),
            brake_usage_percent: usage_percent,
            brake_usage_at: usage_at.0,
        };
    }

    /// What the provider says of its limit; returns whether the account's rate was lowered.
    pub fn tell_usage(&mut self, usage: &Usage, now: Timestamp) -> bool {
        let mut brake = self.brake();
        let before = brake.lowered_at;
        brake.observe_usage(usage, now, self.pace().next_slot);
        self.set_brake(&brake);
        brake.lowered_at != before
    }

    pub fn pace(&self) -> Pace {
        Pace { next_slot: Timestamp(self.account.next_slot), virtual_time: self.account.virtual_time }
    }

    pub fn set_pace(&mut self, pace: &Pace) {
        self.account.next_slot = pace.next_slot.0;
        self.account.virtual_time = pace.virtual_time;
    }

    pub fn flow(&self) -> Flow {
        Flow {
            weight: self.flow_weight.max(1) as u32,
            virtual_time: self.flow_virtual_time,
            hungry_until: Timestamp(self.flow_hungry_until),
            own_next_slot: Timestamp(self.own_next_slot),
        }
    }

    pub fn set_flow(&mut self, flow: &Flow) {
        self.flow_virtual_time = flow.virtual_time;
        self.flow_hungry_until = flow.hungry_until.0;
        self.own_next_slot = flow.own_next_slot.0;
    }
}
