//! Writing down elsewhere whom a message was sent to: how often it is tried, and when it is given up. Targets have the
//! patience that endpoints have.

use super::backoff::RetryPolicy;
use super::time::Span;

pub use super::notification::{FORGOTTEN_AFTER, LONGEST_BACKOFF, is_given_up, wait};

/// So often somebody is tried whom the target refuses for themselves; what fails so often is no passing trouble.
pub const MAX_TRIES: u32 = 5;
/// Between two calls that label somebody of an account, however many senders and broadcasts it has: 10 a second. They count
/// against the page's own limit at Graph (200 times the people it is in touch with, in 24 hours), not against that of messages;
/// this is a quarter of what messages are sent at by default, so that the sending is not what notices.
pub const LABEL_INTERVAL: Span = Span::from_millis(100);
/// So many of these calls are given to a sender at once: five seconds of them.
pub const LABEL_CALLS: usize = 50;
/// So long they are that one sender's, whatever it calls the provider for: others wait, so that the pace is the account's.
pub const LABEL_WINDOW: Span = Span(LABEL_INTERVAL.0 * LABEL_CALLS as i64);
/// So many people may be refused since a target last took somebody, before it is the target that is held to blame: at the end of
/// a broadcast a few are left who are refused for themselves, and nobody else comes to show that others are taken.
pub const FEW_IN_VAIN: i64 = 5;
/// The longest wait of somebody who was refused: the others go on meanwhile.
pub const LONGEST_OWN_BACKOFF: Span = Span::from_secs(15 * 60);

/// The wait of somebody who was refused `earlier` times before: full jitter.
pub fn own_wait(earlier: u32, seed: u64) -> Span {
    RetryPolicy { max_backoff: LONGEST_OWN_BACKOFF, ..RetryPolicy::default() }.wait(earlier, seed)
}

/// Whether somebody who was refused so often by now is given up.
pub fn is_refused_for_good(tries: u32) -> bool {
    tries >= MAX_TRIES
}

/// Whether who is refused now is refused because the target takes nobody. `in_vain`: how many have been refused for the first
/// time since it last took somebody, them included; `None` where it never has.
pub fn is_of_target(in_vain: Option<i64>) -> bool {
    in_vain.is_none_or(|people| people > FEW_IN_VAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_tried_five_times_within_minutes_and_a_target_ever_more_slowly() {
        assert!(!is_refused_for_good(MAX_TRIES - 1) && is_refused_for_good(MAX_TRIES));
        let longest = |wait: &dyn Fn(u64) -> Span| (0..1_000).map(wait).max().unwrap();
        assert!(longest(&|seed| own_wait(0, seed)) <= Span::from_secs(5));
        assert!(longest(&|seed| own_wait(40, seed)) <= LONGEST_OWN_BACKOFF);
        assert!(longest(&|seed| wait(40, seed)) > LONGEST_OWN_BACKOFF);
    }
}
