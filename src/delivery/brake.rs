//! How an account slows down when the provider throttles or fails, and how it recovers.
//!
//! The effective rate is the ceiling times a factor. A throttle answer halves the factor, at most once per brake: only
//! an attempt whose slot was given away after the last halving says anything about the halved rate. Then the factor
//! rises by itself.

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, ThrottleScope};
use super::rate::Rate;
use super::time::{Span, Timestamp};

/// The factor is kept in millionths of the ceiling.
pub const FULL: i64 = 1_000_000;
/// Never slower than 1 % of the ceiling: something must be sent to see that the provider has recovered.
pub const FLOOR: i64 = FULL / 100;
/// Regained per second after a brake: from half to full in 10 s.
pub const RECOVERY_PER_SECOND: i64 = FULL / 20;
/// The wait after a throttle answer without a wish of the provider's own.
pub const DEFAULT_HOLD: Span = Span::from_secs(1);
/// A provider may ask for at most this long; more would look like a hang (the brake asks again after it).
pub const MAX_HOLD: Span = Span::from_secs(15 * 60);
/// The last answers that are watched for failures.
pub const WATCHED: u32 = 50;
/// So many failures among the watched brake the account to its floor.
pub const FAILURES_TO_BRAKE: u32 = WATCHED / 2;

/// The brake of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    /// Millionths of the ceiling at `since`.
    pub factor: i64,
    /// The factor rises from here.
    pub since: Timestamp,
    /// No slot before this instant.
    pub hold_until: Timestamp,
    /// When the factor was last lowered; answers to earlier slots lower nothing.
    pub lowered_at: Timestamp,
    /// One bit per watched answer, the newest lowest; 1 = failure.
    pub recent: i64,
}

impl Default for Brake {
    fn default() -> Brake {
        Brake {
            factor: FULL,
            since: Timestamp::EPOCH,
            hold_until: Timestamp::EPOCH,
            lowered_at: Timestamp::EPOCH,
            recent: 0,
        }
    }
}

impl Brake {
    /// The factor now, in millionths of the ceiling.
    pub fn factor_at(&self, now: Timestamp) -> i64 {
        let risen = (now - self.since.max(self.hold_until)).0.max(0) / 1_000_000_000;
        let part = (now - self.since.max(self.hold_until)).0.max(0) % 1_000_000_000;
        let regained = RECOVERY_PER_SECOND.saturating_mul(risen) + RECOVERY_PER_SECOND * part / 1_000_000_000;
        (self.factor.saturating_add(regained)).clamp(FLOOR, FULL)
    }

    /// The time between two slots now.
    pub fn interval(&self, ceiling: Rate, now: Timestamp) -> Span {
        let stretched = i128::from(ceiling.interval().0) * i128::from(FULL) / i128::from(self.factor_at(now));
        Span(stretched.min(i128::from(i64::MAX)) as i64)
    }

    /// Takes the answer of an attempt whose slot was `slot` into account.
    pub fn observe(&mut self, outcome: &Outcome, slot: Timestamp, now: Timestamp) {
        match outcome {
            Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, .. } => {
                let hold = retry_after_ms
                    .map_or(DEFAULT_HOLD, |ms| Span::from_millis(ms.min(i64::MAX as u64 / 1_000_000) as i64));
                self.throttled(slot, now, hold.min(MAX_HOLD));
            }
            Outcome::Transient { .. } | Outcome::Unknown { .. } | Outcome::NotSent { .. } => self.failed(slot, now),
            Outcome::NotBegun => {}
            _ => self.recent = (self.recent << 1) & watched_mask(),
        }
    }

    fn throttled(&mut self, slot: Timestamp, now: Timestamp, hold: Span) {
        // Slots before the hold were given away before the brake: they say nothing about the halved rate.
        let since_the_brake = slot > self.lowered_at && slot >= self.hold_until;
        self.hold_until = self.hold_until.max(now + hold);
        if since_the_brake {
            let halved = self.factor_at(now) / 2;
            self.lower(halved, now);
        }
    }

    fn failed(&mut self, slot: Timestamp, now: Timestamp) {
        self.recent = ((self.recent << 1) | 1) & watched_mask();
        if self.recent.count_ones() >= FAILURES_TO_BRAKE && slot > self.lowered_at {
            self.lower(FLOOR, now);
        }
    }

    fn lower(&mut self, factor: i64, now: Timestamp) {
        self.factor = factor.max(FLOOR);
        self.since = now;
        self.lowered_at = now;
    }

    /// A clock set back must not hold an account: instants further ahead than a brake can set are pulled in.
    pub fn clamp(&mut self, now: Timestamp) {
        self.hold_until = self.hold_until.min(now + MAX_HOLD);
        self.since = self.since.min(now);
        self.lowered_at = self.lowered_at.min(now);
    }
}

const fn watched_mask() -> i64 {
    (1 << WATCHED) - 1
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Fault;
    use super::*;

    fn throttled(retry_after_ms: Option<u64>) -> Outcome {
        Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, fault: Fault::new("RateLimited", None, "") }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_000 + seconds)
    }

    #[test]
    fn a_throttle_answer_halves_once_however_many_answers_of_older_slots_follow() {
        let mut brake = Brake::default();
        for _ in 0..20 {
            brake.observe(&throttled(None), at(0) - Span::from_millis(100), at(0));
        }
        assert_eq!(brake.factor_at(at(0)), FULL / 2);
        brake.observe(&throttled(None), at(2), at(2));
        assert!(brake.factor_at(at(2)) < FULL / 2);
    }

    #[test]
    fn slots_given_away_before_the_brake_and_sent_after_it_do_not_halve_again() {
        let mut brake = Brake::default();
        brake.observe(&throttled(Some(2_000)), at(0), at(0));
        for millis in [100, 250, 1_000] {
            let slot = at(0) + Span::from_millis(millis);
            brake.observe(&throttled(Some(2_000)), slot, slot);
        }
        assert_eq!(brake.factor_at(at(1)), FULL / 2);
        assert_eq!(brake.hold_until, at(3), "but each prolongs the hold");
        brake.observe(&throttled(Some(2_000)), at(3), at(3));
        assert_eq!(brake.factor_at(at(3)), FULL / 4);
    }

    #[test]
    fn the_rate_comes_back_by_five_percent_a_second_after_the_hold() {
        let mut brake = Brake::default();
        brake.observe(&throttled(Some(3_000)), at(0), at(0));
        assert_eq!(brake.hold_until, at(3));
        assert_eq!(brake.factor_at(at(3)), FULL / 2);
        assert_eq!(brake.factor_at(at(8)), FULL * 3 / 4);
        assert_eq!(brake.factor_at(at(13)), FULL);
        assert_eq!(brake.factor_at(at(1_000_000)), FULL);
    }

    #[test]
    fn throttling_without_end_stops_at_one_percent() {
        let mut brake = Brake::default();
        for second in 0..100 {
            brake.observe(&throttled(Some(0)), at(second), at(second));
        }
        assert!(brake.factor_at(at(99)) >= FLOOR);
        assert_eq!(brake.interval(Rate::new(10, 1), at(99)).0 / 1_000_000, 100 * FULL / brake.factor_at(at(99)));
    }

    #[test]
    fn an_absurd_wish_of_the_provider_is_clamped() {
        let mut brake = Brake::default();
        brake.observe(&throttled(Some(u64::MAX)), at(0), at(0));
        assert_eq!(brake.hold_until, at(0) + MAX_HOLD);
    }

    #[test]
    fn half_of_the_last_fifty_failing_brakes_to_the_floor_and_success_lets_it_recover() {
        let mut brake = Brake::default();
        let unknown = Outcome::Unknown { fault: Fault::new("Unknown", None, "") };
        let accepted = Outcome::Accepted { provider_id: None };
        for _ in 0..24 {
            brake.observe(&unknown, at(0), at(0));
            brake.observe(&accepted, at(0), at(0));
        }
        assert_eq!(brake.factor_at(at(0)), FULL);
        brake.observe(&unknown, at(0), at(0));
        assert_eq!(brake.factor_at(at(0)), FLOOR);
        assert_eq!(brake.factor_at(at(20)), FULL);
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_a_hold() {
        let mut brake =
            Brake { hold_until: at(100_000), since: at(100_000), lowered_at: at(100_000), ..Brake::default() };
        brake.clamp(at(0));
        assert_eq!(brake.hold_until, at(0) + MAX_HOLD);
        assert_eq!(brake.lowered_at, at(0));
    }
}
