//! How an account slows down when the provider throttles or fails, and how it recovers.
//!
//! The effective rate is the ceiling times a factor. Where the provider's limit lies is found out by meeting it, and each
//! meeting costs the messages that are on the wire: so it is met seldom and gently, and remembered.
//!
//! - A throttle answer at the full rate says only that it is too much: the factor is halved, and again while that is not
//!   enough, and then climbs slowly until the limit is met from below ([`Footing::Searching`]).
//! - Met from below, the limit is what was sent in the second before. The factor rests just under it, is raised a little
//!   for a moment every few seconds, and climbs steeply once that was borne ([`Footing::Known`]).
//!
//! - A provider that says how much of its limit is used is not met at all: from four fifths on the factor is lowered, the more
//!   the nearer the limit is, and where all is used sending holds ([`Brake::observe_usage`]).
//!
//! A provider that counts the requests of a sliding second was simulated, with its limit at 0.3 to 0.8 of the ceiling for a
//! minute: 91 to 95 % of what it allowed was accepted, at most 1 % throttled at 20 ms, and after it lifted 95 % of the ceiling
//! was had within 10 s. Halving and rising by 5 % a second gets 57 to 66 %.

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, ThrottleScope};
use super::rate::Rate;
use super::time::{NANOS_PER_SECOND, Span, Timestamp};
use super::usage::{SLOWED_FROM, USED_UP, Usage};

/// The factor is kept in millionths of the ceiling.
pub const FULL: i64 = 1_000_000;
/// Never slower than 1 % of the ceiling: something must be sent to see that the provider has recovered.
pub const FLOOR: i64 = FULL / 100;
/// The wait after a throttle answer without a wish of the provider's own, where the rate was far too high: most of the
/// second that providers count by.
pub const DEFAULT_HOLD: Span = Span::from_millis(800);
/// The same where the limit was met from below: a few messages too many.
pub const SHORT_HOLD: Span = Span::from_millis(130);
/// A provider may ask for at most this long; more would look like a hang (the brake asks again after it).
pub const MAX_HOLD: Span = Span::from_secs(15 * 60);
/// The wait where all of the provider's limit is used and it names no wait: then one message at the floor asks anew.
pub const USED_UP_HOLD: Span = Span::from_secs(15);
/// So long what a provider has said of its limit is shown: its windows are minutes and hours.
const USAGE_SHOWN: Span = Span::from_secs(60);
/// The last answers that are watched for failures.
const WATCHED: u32 = 50;
/// So many failures among the watched brake the account to its floor.
pub const FAILURES_TO_BRAKE: u32 = WATCHED / 2;

/// So much of a known limit is used: slots jitter by a few milliseconds.
const KEPT: i64 = FULL * 98 / 100;
/// And so many tenths of a message a second less: at a low rate that is more.
const MARGIN_TENTHS: i64 = 15;
/// Where the limit was met twice in a row it has fallen; with the hold after it, the next meeting says to where.
const LOWERED: i64 = FULL * 85 / 100;
/// How long the factor rests below a known limit: with shorter rests more is throttled, with longer ones a limit that was
/// lifted is noticed too late.
const REST: Span = Span::from_millis(6_000);
/// Then it is this much higher for a moment: a limit that still stands is met.
const RAISED: i64 = FULL * 104 / 100;
const RAISED_FOR: Span = Span::from_millis(1_500);
/// Once that was borne the factor doubles in this time.
const CLIMB: Span = Span::from_secs(1);
/// While the limit is searched the factor rests for as long as the provider needs to forget what was too much,
const SEARCH_REST: Span = Span::from_millis(1_200);
/// and then doubles in this time: it is met within a few messages of where it is.
const SEARCH_CLIMB: Span = Span::from_secs(4);
/// By how many instants the last second is looked at, each in the middle of its part.
const SAMPLES: i64 = 10;
/// The slots of a group have the factor of its first, so what was sent lags behind by half a group on the mean.
const GROUP_LAG: Span = Span::from_millis(125);

/// What is known of the provider's limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Footing {
    /// The factor lies below it.
    #[default]
    Known,
    /// It was met where it should not have been: once may be jitter.
    Doubted,
    /// Nothing but that it lies below what was tried.
    Searching,
}

impl Footing {
    /// The small number the ledger stores.
    pub fn code(self) -> i64 {
        match self {
            Footing::Known => 0,
            Footing::Doubted => 1,
            Footing::Searching => 2,
        }
    }

    pub fn from_code(code: i64) -> Footing {
        match code {
            0 => Footing::Known,
            1 => Footing::Doubted,
            _ => Footing::Searching,
        }
    }

    fn rest(self) -> Span {
        if self == Footing::Searching { SEARCH_REST } else { REST }
    }
}

/// The circumstances of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The slot of its attempt.
    pub slot: Timestamp,
    pub now: Timestamp,
    /// The next slot that will be given away.
    pub next_slot: Timestamp,
    /// The account's full rate.
    pub ceiling: Rate,
    /// Counted tries of this recipient before.
    pub tries: u32,
}

/// The brake of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    /// Millionths of the ceiling, from `since` on.
    pub factor: i64,
    /// The factor rests from here, or from the end of the hold, and then rises.
    pub since: Timestamp,
    /// No slot before this instant.
    pub hold_until: Timestamp,
    /// The first slot that was given away since the factor was last lowered; answers to earlier slots lower nothing.
    pub lowered_at: Timestamp,
    /// One bit per watched answer, the newest lowest; 1 = failure.
    pub recent: i64,
    pub footing: Footing,
    /// How much of its limit is used, as the provider last said, in percent; and when it said so.
    pub usage_percent: i64,
    pub usage_at: Timestamp,
}

impl Default for Brake {
    fn default() -> Brake {
        Brake {
            factor: FULL,
            since: Timestamp::EPOCH,
            hold_until: Timestamp::EPOCH,
            lowered_at: Timestamp::EPOCH,
            recent: 0,
            footing: Footing::Known,
            usage_percent: 0,
            usage_at: Timestamp::EPOCH,
        }
    }
}

impl Brake {
    fn rests_since(&self) -> Timestamp {
        self.since.max(self.hold_until)
    }

    /// The factor at an instant, in millionths of the ceiling.
    pub fn factor_at(&self, at: Timestamp) -> i64 {
        let risen = at - self.rests_since() - self.footing.rest();
        if risen <= Span::ZERO {
            return self.factor;
        }
        let (raised, climbing, doubling) = match self.footing {
            Footing::Searching => (FULL, risen, SEARCH_CLIMB),
            Footing::Known | Footing::Doubted => (RAISED, risen - RAISED_FOR, CLIMB),
        };
        let base = (self.factor * raised / FULL).min(FULL);
        // From the floor to the full rate are fewer than seven doublings.
        let doublings = (climbing.0.max(0) as f64 / doubling.0 as f64).min(7.0);
        ((base as f64 * doublings.exp2()) as i64).clamp(FLOOR, FULL)
    }

    /// The mean of the factor over the second before an instant, the hold counted as nothing: what a provider that counts by
    /// the second has seen. Where the limit is met soon after a hold, this says how far above it the factor is.
    fn mean_before(&self, at: Timestamp) -> i64 {
        let sample = |number: i64| {
            let before = at - GROUP_LAG - Span::from_millis((number * 1_000 + 500) / SAMPLES);
            if before < self.rests_since() { 0 } else { self.factor_at(before) }
        };
        (0..SAMPLES).map(sample).sum::<i64>() / SAMPLES
    }

    /// The time between two slots now.
    pub fn interval(&self, ceiling: Rate, now: Timestamp) -> Span {
        let stretched = i128::from(ceiling.interval().0) * i128::from(FULL) / i128::from(self.factor_at(now));
        Span(stretched.min(i128::from(i64::MAX)) as i64)
    }

    /// Takes an answer into account.
    ///
    /// An error whose tries are capped may be the provider's, or that of one person or message: Messenger's code 2 stands for
    /// an outage and for whoever has blocked the page. In an outage everybody's first try meets it, so first tries count as
    /// failures. Further tries are made of those alone who met it before; that they meet it again is what they would do
    /// either way, and says nothing of the account. Were they counted, a quarter of the people would slow all others to the
    /// floor with three tries each, and the last ones to be tried would whoever they are.
    pub fn observe(&mut self, outcome: &Outcome, seen: &Seen) {
        let Seen { slot, now, .. } = *seen;
        let next_slot = seen.next_slot.max(now);
        match outcome {
            Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, .. } => {
                let wish = retry_after_ms.map(|ms| Span::from_millis(ms.min(i64::MAX as u64 / 1_000_000) as i64));
                self.throttled(&Seen { next_slot, ..*seen }, wish.map(|wish| wish.min(MAX_HOLD)));
            }
            Outcome::Transient { cap: Some(_), .. } if seen.tries > 0 => {}
            Outcome::Transient { .. } | Outcome::Unknown { .. } | Outcome::NotSent { .. } => {
                self.failed(slot, next_slot)
            }
            // Everybody on the wire meets the same forgotten attachment at once, however well the provider fares.
            Outcome::NotBegun | Outcome::AttachmentGone { .. } => {}
            _ => self.recent = (self.recent << 1) & watched_mask(),
        }
    }

    /// Takes into account how much of its limit is used, as the provider says. The factor falls with what is left of the last
    /// fifth, to the floor; it rises again as after any lowering, as far as what is said then lets it. Little use says
    /// nothing.
    pub fn observe_usage(&mut self, usage: &Usage, now: Timestamp, next_slot: Timestamp) {
        if !usage.matters() {
            return;
        }
        self.usage_percent = i64::from(usage.percent);
        self.usage_at = now;
        let next_slot = next_slot.max(now);
        let left = i64::from(USED_UP.saturating_sub(usage.percent));
        let most = (FULL * left / i64::from(USED_UP - SLOWED_FROM)).clamp(FLOOR, FULL);
        if self.factor_at(next_slot) > most {
            self.footing = Footing::Known;
            self.lower(most, next_slot);
        }
        let wish = usage.regain_after_ms.map(|ms| Span::from_millis(ms.min(MAX_HOLD.as_millis() as u64) as i64));
        if let Some(hold) = wish.or((usage.percent >= USED_UP).then_some(USED_UP_HOLD)) {
            self.hold_until = self.hold_until.max(now + hold);
        }
    }

    /// How much of the provider's limit is used, in percent, as far as it has said so lately.
    pub fn usage(&self, now: Timestamp) -> Option<u32> {
        let is_fresh = self.usage_percent > 0 && now < self.usage_at + USAGE_SHOWN;
        is_fresh.then(|| u32::try_from(self.usage_percent).unwrap_or(u32::MAX))
    }

    fn throttled(&mut self, seen: &Seen, wish: Option<Span>) {
        let mut hold = wish.unwrap_or(Span::ZERO);
        // Slots that were given away before the brake say nothing about the lowered rate.
        if seen.slot >= self.lowered_at {
            let (factor, footing) = self.met(seen);
            let usual = if footing == Footing::Searching { DEFAULT_HOLD } else { SHORT_HOLD };
            hold = wish.unwrap_or(usual);
            self.footing = footing;
            self.lower(factor, seen.next_slot);
        }
        self.hold_until = self.hold_until.max(seen.now + hold);
    }

    /// What the limit that was met at a slot makes of factor and footing.
    fn met(&self, seen: &Seen) -> (i64, Footing) {
        let limit = self.mean_before(seen.slot);
        let message = FULL.saturating_mul(seen.ceiling.interval().0) / NANOS_PER_SECOND;
        let below = |limit: i64| (limit * KEPT / FULL).min(limit - message * MARGIN_TENTHS / 10);
        let is_resting = seen.slot - self.rests_since() < self.footing.rest();
        match self.footing {
            Footing::Known | Footing::Doubted if limit >= FULL => (FULL / 2, Footing::Searching),
            Footing::Known if is_resting => (below(self.factor), Footing::Doubted),
            Footing::Doubted if is_resting => (self.factor * LOWERED / FULL, Footing::Searching),
            // Met at once: it lies far below.
            Footing::Searching if limit < self.factor / 2 => (self.factor / 2, Footing::Searching),
            _ => (below(limit), Footing::Known),
        }
    }

    fn failed(&mut self, slot: Timestamp, next_slot: Timestamp) {
        self.recent = ((self.recent << 1) | 1) & watched_mask();
        if self.recent.count_ones() >= FAILURES_TO_BRAKE && slot >= self.lowered_at {
            self.footing = Footing::Known;
            self.lower(FLOOR, next_slot);
        }
    }

    fn lower(&mut self, factor: i64, next_slot: Timestamp) {
        self.factor = factor.max(FLOOR);
        self.since = next_slot;
        self.lowered_at = next_slot;
    }

    /// Slots that were given away and not used are given away again from `next_slot` on, at the lowered rate.
    pub fn pull_in(&mut self, next_slot: Timestamp) {
        self.since = self.since.min(next_slot);
        self.lowered_at = self.lowered_at.min(next_slot);
    }

    /// A clock set back must not hold an account: instants further ahead than a brake can set are pulled in.
    pub fn clamp(&mut self, now: Timestamp) {
        let latest = now + MAX_HOLD;
        self.hold_until = self.hold_until.min(latest);
        self.since = self.since.min(latest);
        self.lowered_at = self.lowered_at.min(latest);
        self.usage_at = self.usage_at.min(now);
    }
}

const fn watched_mask() -> i64 {
    (1 << WATCHED) - 1
}

#[cfg(test)]
#[path = "brake_tests.rs"]
mod tests;
