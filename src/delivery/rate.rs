//! A rate as people write it: so many messages in so many seconds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::plural::number;
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

/// As people say it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = number(self.messages.into());
        match self.period_seconds {
            1 => write!(f, "{messages} a second"),
            60 => write!(f, "{messages} a minute"),
            3_600 => write!(f, "{messages} an hour"),
            period => write!(f, "{messages} in {period} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_said_as_people_say_it() {
        let rates = [(60, 1), (1_000, 60), (5, 3_600), (3, 2)];
        assert_eq!(
            rates.map(|(messages, period)| Rate::new(messages, period).to_string()),
            ["60 a second", "1,000 a minute", "5 an hour", "3 in 2 s"]
        );
    }
}
