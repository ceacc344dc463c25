//! How much of its own limit a provider says is used, before it throttles.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// From this part of the limit on sending slows down, in percent; less is not told.
pub const SLOWED_FROM: u32 = 80;
/// All of the limit is used.
pub const USED_UP: u32 = 100;

/// What one answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of whichever limit is used most, in percent; may exceed 100.
    pub percent: u32,
    /// When the provider expects to take messages again, in milliseconds from the answer on; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub regain_after_ms: Option<u64>,
    /// What is left, for who knows what is on its way; nobody else is told.
    #[serde(skip)]
    pub left: Option<Left>,
}

/// How many requests the provider still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub requests: u64,
    /// Until they are counted anew, in milliseconds from the answer on.
    pub anew_after_ms: u64,
}

impl Usage {
    /// Whether it slows anybody down.
    pub fn matters(&self) -> bool {
        self.percent >= SLOWED_FROM || self.regain_after_ms.is_some()
    }

    /// What it means while so many requests are on the wire: where no more than those are left, the next one would be too
    /// many.
    pub fn while_on_the_wire(self, requests: usize) -> Usage {
        let used_up = self.left.filter(|left| left.requests <= requests as u64);
        let wait = used_up.map(|left| left.anew_after_ms);
        Usage { regain_after_ms: self.regain_after_ms.max(wait), left: None, ..self }
    }

    /// The worse of two answers, which may have overtaken each other: of what is left the least, and the longest wait.
    pub fn worse(self, other: Usage) -> Usage {
        let left = self.left.into_iter().chain(other.left);
        Usage {
            percent: self.percent.max(other.percent),
            regain_after_ms: self.regain_after_ms.max(other.regain_after_ms),
            left: left.min_by_key(|left| (left.requests, Reverse(left.anew_after_ms))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_two_answers_counts_and_little_use_does_not_matter() {
        let usage = |percent, regain_after_ms| Usage { percent, regain_after_ms, left: None };
        assert_eq!(usage(85, None).worse(usage(90, None)), usage(90, None));
        assert_eq!(usage(85, Some(5)).worse(usage(90, None)), usage(90, Some(5)));
        assert!(!usage(SLOWED_FROM - 1, None).matters());
        assert!(usage(SLOWED_FROM, None).matters() && usage(0, Some(1)).matters());
    }

    #[test]
    fn what_is_left_holds_once_as_many_are_on_the_wire() {
        let left = |requests, anew_after_ms| Usage {
            percent: 0,
            regain_after_ms: None,
            left: Some(Left { requests, anew_after_ms }),
        };
        assert!(!left(3, 9_000).while_on_the_wire(2).matters());
        for on_the_wire in [3, 4] {
            let usage = left(3, 9_000).while_on_the_wire(on_the_wire);
            assert_eq!((usage.regain_after_ms, usage.left, usage.matters()), (Some(9_000), None, true));
        }
        assert!(left(0, 9_000).while_on_the_wire(0).matters());
        assert_eq!(left(3, 9_000).worse(left(0, 2_000)), left(0, 2_000));
        assert_eq!(left(0, 9_000).worse(left(0, 2_000)), left(0, 9_000));
        let told = serde_json::to_value(left(0, 2_000)).unwrap();
        assert_eq!(serde_json::from_value::<Usage>(told).unwrap().left, None);
    }
}
