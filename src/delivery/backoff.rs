//! When a recipient may be tried again: full jitter under an exponential ceiling.

use super::time::Span;

/// How often and how late a recipient is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries that count before a recipient has failed; at least 1.
    pub max_tries: u32,
    pub initial_backoff: Span,
    pub max_backoff: Span,
    /// Whether an attempt whose outcome nobody knows is followed by another, so that somebody may be messaged twice.
    pub after_unknown: bool,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            max_tries: 5,
            initial_backoff: Span::from_secs(5),
            max_backoff: Span::from_secs(900),
            after_unknown: false,
        }
    }
}

impl RetryPolicy {
    /// The longest wait after `earlier` earlier setbacks: the initial backoff doubled each time, up to the maximum.
    pub fn ceiling(&self, earlier: u32) -> Span {
        // 2^31 times any backoff is past every maximum; a larger shift would overflow.
        let doubled = self.initial_backoff.0.saturating_mul(1_i64 << earlier.min(31));
        Span(doubled.min(self.max_backoff.0))
    }

    /// The wait after `earlier` setbacks: between zero and the ceiling, evenly spread by `seed`.
    pub fn wait(&self, earlier: u32, seed: u64) -> Span {
        let ceiling = self.ceiling(earlier).0.max(0) as u128;
        Span(((ceiling * u128::from(scatter(seed))) >> 64) as i64)
    }
}

/// Spreads a seed evenly over all 64-bit values (the finalizer of SplitMix64), so that neighbouring seeds differ.
pub fn scatter(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_from_five_seconds_to_fifteen_minutes() {
        let policy = RetryPolicy::default();
        let ceilings: Vec<i64> = (0..10).map(|n| policy.ceiling(n).0 / 1_000_000_000).collect();
        assert_eq!(ceilings, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(policy.ceiling(u32::MAX), policy.max_backoff);
    }

    #[test]
    fn waits_fill_the_range_below_the_ceiling_evenly() {
        let policy = RetryPolicy::default();
        let waits: Vec<f64> = (0..10_000).map(|seed| policy.wait(2, seed).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (0.0..20.0).contains(wait)));
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        assert!((9.5..10.5).contains(&mean), "mean {mean}");
    }
}
