//! Many refusals of the message itself in a row: whoever comes next would be refused alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::{Cap, Outcome, PermanentScope};

/// So many equal refusals in a row are the message's fault and not that of so many people.
pub const LONGEST_STREAK: u32 = 20;

/// How often in a row the provider has refused the message with the same words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalStreak {
    /// Reason and code of the last refusal; `None` after anything else.
    pub fault: Option<String>,
    pub length: u32,
}

impl RefusalStreak {
    /// Takes an outcome in; returns whether the message is to be held as rejected. What never reached the provider, and
    /// what nobody answered, neither adds to a streak nor ends it; nor does an error that may yet turn out to be the message's
    /// fault, since the last tries of some come among the first of others.
    pub fn observe(&mut self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Permanent { scope: PermanentScope::Message, fault } => {
                let name = format!("{} {}", fault.reason, fault.code.as_deref().unwrap_or_default());
                let length = if self.fault.as_ref() == Some(&name) { self.length.saturating_add(1) } else { 1 };
                *self = RefusalStreak { fault: Some(name), length };
            }
            Outcome::Transient { cap: Some(Cap { then: PermanentScope::Message, .. }), .. }
            | Outcome::Unknown { .. }
            | Outcome::NotSent { .. }
            | Outcome::AttachmentGone { .. }
            | Outcome::NotBegun => {}
            _ => *self = RefusalStreak::default(),
        }
        self.length >= LONGEST_STREAK
    }
}

/// The streaks of a message, one for each of its parts: what is said of a text, be it taken or not, says nothing of the
/// picture after it, which may be refused for everybody. At most as many as a message has parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RefusalStreaks(BTreeMap<u32, RefusalStreak>);

impl RefusalStreaks {
    /// Takes an outcome of this part in; returns whether the message is to be held as rejected.
    pub fn observe(&mut self, part: u32, outcome: &Outcome) -> bool {
        let streak = self.0.entry(part).or_default();
        let rejected = streak.observe(outcome);
        if *streak == RefusalStreak::default() {
            self.0.remove(&part);
        }
        rejected
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::Fault;

    fn refused(reason: &str) -> Outcome {
        Outcome::Permanent { scope: PermanentScope::Message, fault: Fault::new(reason, Some("100".into()), "") }
    }

    #[test]
    fn the_twentieth_equal_refusal_in_a_row_rejects_the_message() {
        let mut streak = RefusalStreak::default();
        let verdicts: Vec<bool> = (0..20).map(|_| streak.observe(&refused("EmptyMessage"))).collect();
        assert_eq!(verdicts.iter().position(|rejected| *rejected), Some(19));
    }

    #[test]
    fn another_error_or_a_message_that_is_taken_begins_anew() {
        let others = [
            Outcome::Accepted { provider_id: None },
            refused("TooLong"),
            Outcome::Permanent { scope: PermanentScope::Recipient, fault: Fault::new("Gone", None, "") },
            Outcome::Transient { cap: None, fault: Fault::new("Busy", None, "") },
        ];
        for other in others {
            let mut streak = RefusalStreak::default();
            (0..19).for_each(|_| assert!(!streak.observe(&refused("EmptyMessage"))));
            assert!(!streak.observe(&other), "{other:?}");
            assert!(!streak.observe(&refused("EmptyMessage")), "{other:?}");
        }
    }

    #[test]
    fn an_error_that_is_the_messages_fault_after_some_tries_ends_no_streak() {
        let cap = Some(Cap { tries: 2, then: PermanentScope::Message });
        let mut streak = RefusalStreak::default();
        for _ in 0..19 {
            assert!(!streak.observe(&refused("Undecided")));
            assert!(!streak.observe(&Outcome::Transient { cap, fault: Fault::new("Undecided", None, "") }));
        }
        assert!(streak.observe(&refused("Undecided")));
    }

    #[test]
    fn each_part_has_a_streak_of_its_own() {
        let gone = Outcome::Permanent { scope: PermanentScope::Recipient, fault: Fault::new("Gone", None, "") };
        let mut streaks = RefusalStreaks::default();
        for _ in 0..19 {
            assert!(!streaks.observe(1, &refused("AttachmentFailed")));
            assert!(!streaks.observe(0, &gone));
            assert!(!streaks.observe(0, &Outcome::Accepted { provider_id: None }));
        }
        assert!(streaks.observe(1, &refused("AttachmentFailed")));
        assert!(!streaks.observe(1, &Outcome::Accepted { provider_id: None }));
        assert!(streaks.is_empty(), "the part is taken");
    }

    #[test]
    fn silence_says_nothing_about_the_message() {
        let mut streak = RefusalStreak::default();
        for _ in 0..19 {
            streak.observe(&refused("EmptyMessage"));
            assert!(!streak.observe(&Outcome::NotBegun));
            assert!(!streak.observe(&Outcome::Unknown { fault: Fault::new("Timeout", None, "") }));
            assert!(!streak.observe(&Outcome::AttachmentGone { fault: Fault::new("Gone", None, "") }));
        }
        assert!(streak.observe(&refused("EmptyMessage")));
    }
}
