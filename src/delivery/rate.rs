//! A rate as people write it: so many messages in so many seconds.

use serde::{Deserialize, Serialize};

use super::time::{NANOS_PER_SECOND, Span};

/// `messages` per `period_seconds`; both at least 1. Kept as two integers so that 1 per 6 s is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub messages: u32,
    pub period_seconds: u32,
}

impl Rate {
    /// A rate with both members raised to at least 1.
    pub fn new(messages: u32, period_seconds: u32) -> Rate {
        Rate { messages: messages.max(1), period_seconds: period_seconds.max(1) }
    }

    pub fn per_second(self) -> f64 {
        f64::from(self.messages) / f64::from(self.period_seconds)
    }

    /// The time between two messages, rounded up so that the rate is never exceeded.
    pub fn interval(self) -> Span {
        let period = i64::from(self.period_seconds) * NANOS_PER_SECOND;
        let messages = i64::from(self.messages);
        Span((period + messages - 1) / messages)
    }

    pub fn lower(self, other: Rate) -> Rate {
        if other.interval() > self.interval() { other } else { self }
    }
}
