//! Requests of one broadcast that fail one after the other: what people are told while nothing gets through.

use super::outcome::{Fault, Outcome};
use super::time::{Span, Timestamp};

/// So many failures in a row are told to people: where every tenth request fails, such a row is one in 100,000.
pub const FAILURES_TO_TELL: u32 = 5;
/// A failure is news for this long, if nobody waits for a next try: longer than an answer takes, and soon over where
/// nobody sends any more.
pub const NEWS_FOR: Span = Span::from_secs(60);

/// How often in a row nothing of a broadcast got through, from its first attempt on, and by what the last failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureStreak {
    pub length: u32,
    /// The last failure and when it was told; `None` after anything else.
    pub last: Option<(Fault, Timestamp)>,
}

/// The circumstances by which a streak is told or not.
#[derive(Clone, Copy, Debug)]
pub struct Telling {
    pub now: Timestamp,
    /// How many recipients were planned.
    pub planned: i64,
    /// How many got the message.
    pub sent: i64,
    /// Nobody may be tried now: those who are left wait for their next try.
    pub waits: bool,
    /// Between two slots of the account now.
    pub interval: Span,
}

impl FailureStreak {
    /// Takes an outcome that a sender told in. A provider that answers about a recipient or the message, or that asks to
    /// wait, has got the request; what was not begun says nothing. An error with a cap is of the recipient or the message.
    pub fn observe(&mut self, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::Unknown { fault } | Outcome::NotSent { fault } | Outcome::Transient { cap: None, fault } => {
                self.length = self.length.saturating_add(1);
                self.last = Some((fault.clone(), now));
            }
            Outcome::NotBegun => {}
            _ => *self = FailureStreak::default(),
        }
    }

    /// The last failure, if people are to be told. A broadcast for fewer than [`FAILURES_TO_TELL`] people has not so many to
    /// fail before it has reached anybody; of another, a few that are tried again prove nothing.
    pub fn told(&self, telling: &Telling) -> Option<&Fault> {
        let Telling { now, planned, sent, waits, interval } = *telling;
        let people = u32::try_from(planned).unwrap_or(u32::MAX).max(1);
        let enough = if sent == 0 { FAILURES_TO_TELL.min(people) } else { FAILURES_TO_TELL };
        let (fault, at) = self.last.as_ref()?;
        // An account that was slowed may have its next slot in minutes.
        let news_until = *at + NEWS_FOR.max(interval + interval);
        // What lies ahead is of a clock that was set back.
        let is_news = *at <= now && (waits || now < news_until);
        (self.length >= enough && is_news).then_some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::{Cap, PermanentScope, ThrottleScope};

    const AT: Timestamp = Timestamp::from_secs(1_000);
    const MANY: Telling = Telling { now: AT, planned: 300, sent: 0, waits: false, interval: Span::from_millis(100) };

    fn fault(reason: &str) -> Fault {
        Fault::new(reason, None, "words")
    }

    fn refused() -> Outcome {
        Outcome::NotSent { fault: fault("ConnectionRefused") }
    }

    fn streak(outcomes: &[Outcome]) -> FailureStreak {
        let mut streak = FailureStreak::default();
        outcomes.iter().for_each(|outcome| streak.observe(outcome, AT));
        streak
    }

    #[test]
    fn five_failures_in_a_row_are_told_by_the_last_of_them() {
        let failures = [
            refused(),
            Outcome::Transient { cap: None, fault: fault("Busy") },
            refused(),
            Outcome::NotBegun,
            refused(),
            Outcome::Unknown { fault: fault("Timeout") },
        ];
        let whole = streak(&failures);
        assert_eq!((whole.length, whole.told(&MANY)), (5, Some(&fault("Timeout"))));
        assert_eq!(streak(&failures[1..]).told(&MANY), None, "four of 300 people prove nothing");
    }

    #[test]
    fn a_provider_that_answers_is_not_called_out_of_reach() {
        let cap = Some(Cap { tries: 2, then: PermanentScope::Recipient });
        let answers = [
            Outcome::Accepted { provider_id: None },
            Outcome::Transient { cap, fault: fault("PersonUnavailable") },
            Outcome::Permanent { scope: PermanentScope::Recipient, fault: fault("Gone") },
            Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms: None, fault: fault("RateLimited") },
            Outcome::Throttled { scope: ThrottleScope::Recipient, retry_after_ms: None, fault: fault("PairLimited") },
            Outcome::AttachmentGone { fault: fault("InvalidParameter") },
        ];
        for answer in answers {
            assert_eq!(streak(&vec![answer.clone(); 300]), FailureStreak::default(), "{answer:?}");
            let mut ended = streak(&vec![refused(); 20]);
            ended.observe(&answer, AT);
            assert_eq!(ended.told(&MANY), None, "{answer:?}");
        }
    }

    #[test]
    fn few_people_who_were_not_reached_have_few_requests_to_fail() {
        let one = streak(&[refused()]);
        let to = |planned, sent| Telling { planned, sent, ..MANY };
        assert_eq!(one.told(&to(1, 0)), Some(&fault("ConnectionRefused")));
        assert_eq!(one.told(&to(2, 0)), None, "the other has not failed");
        assert_eq!(streak(&vec![refused(); 3]).told(&to(3, 2)), None, "the provider is there");
        assert_eq!(FailureStreak::default().told(&to(1, 0)), None, "nobody was tried");
        assert_eq!(FailureStreak::default().told(&to(0, 0)), None);
    }

    #[test]
    fn a_failure_of_long_ago_is_no_news_unless_everybody_waits_for_the_next_try() {
        let failing = streak(&vec![refused(); 5]);
        let after = |span| Telling { now: AT + span, ..MANY };
        let almost = NEWS_FOR - Span::from_millis(1);
        assert!(failing.told(&after(almost)).is_some());
        assert_eq!(failing.told(&after(NEWS_FOR)), None);
        assert!(failing.told(&Telling { waits: true, ..after(NEWS_FOR + NEWS_FOR) }).is_some());
        assert!(failing.told(&Telling { interval: NEWS_FOR, ..after(NEWS_FOR) }).is_some(), "one slot a minute");
        assert_eq!(failing.told(&Telling { now: AT - NEWS_FOR, ..MANY }), None, "the clock was set back");
    }
}
