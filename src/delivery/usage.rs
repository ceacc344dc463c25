//! How much of its own limit a provider says is used, before it throttles.

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
}

impl Usage {
    /// Whether it slows anybody down.
    pub fn matters(&self) -> bool {
        self.percent >= SLOWED_FROM || self.regain_after_ms.is_some()
    }

    /// The worse of two answers, which may have overtaken each other.
    pub fn worse(self, other: Usage) -> Usage {
        Usage {
            percent: self.percent.max(other.percent),
            regain_after_ms: self.regain_after_ms.max(other.regain_after_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_two_answers_counts_and_little_use_does_not_matter() {
        let usage = |percent, regain_after_ms| Usage { percent, regain_after_ms };
        assert_eq!(usage(85, None).worse(usage(90, None)), usage(90, None));
        assert_eq!(usage(85, Some(5)).worse(usage(90, None)), usage(90, Some(5)));
        assert!(!usage(SLOWED_FROM - 1, None).matters());
        assert!(usage(SLOWED_FROM, None).matters() && usage(0, Some(1)).matters());
    }
}
