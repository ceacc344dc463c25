//! How fast a broadcast was sent over time: counts in spans of equal length, which doubles as it goes on, so that a week takes
//! as little room as a minute.

use serde::{Deserialize, Serialize};

use super::time::{NANOS_PER_SECOND, Timestamp};

/// The most spans: so many points make a curve, and each recording of outcomes writes all of them.
pub const MAX_SPANS: usize = 256;
/// The length of a span at first, in seconds.
const FIRST_SECONDS: i64 = 1;
/// A span never grows beyond this: 34 years, further than any clock errs.
const MAX_SECONDS: i64 = 1 << 30;

/// So many seconds before all that was counted something may have happened that is told later: longer than any answer takes.
const LATE_SECONDS: i64 = 120;

/// What happened within a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct Deeds {
    /// Requests that the provider was asked, whatever it answered.
    pub requests: u64,
    /// Recipients that became so. One that was unknown may become another of them later.
    pub sent: u64,
    pub failed: u64,
    pub unknown: u64,
}

impl From<[u64; 4]> for Deeds {
    fn from([requests, sent, failed, unknown]: [u64; 4]) -> Deeds {
        Deeds { requests, sent, failed, unknown }
    }
}

impl From<Deeds> for [u64; 4] {
    fn from(Deeds { requests, sent, failed, unknown }: Deeds) -> [u64; 4] {
        [requests, sent, failed, unknown]
    }
}

impl Deeds {
    pub fn add(&mut self, more: &Deeds) {
        self.requests = self.requests.saturating_add(more.requests);
        self.sent = self.sent.saturating_add(more.sent);
        self.failed = self.failed.saturating_add(more.failed);
        self.unknown = self.unknown.saturating_add(more.unknown);
    }

    pub fn is_nothing(&self) -> bool {
        *self == Deeds::default()
    }
}

/// Spans from the first deed on, in order and without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceHistory {
    /// When the first span begins, in whole seconds since the Unix epoch.
    from: i64,
    /// The length of each.
    seconds: i64,
    /// At most [`MAX_SPANS`].
    spans: Vec<Deeds>,
}

impl Default for PaceHistory {
    fn default() -> PaceHistory {
        PaceHistory { from: 0, seconds: FIRST_SECONDS, spans: Vec::new() }
    }
}

impl PaceHistory {
    /// Counts what happened at an instant. One long before the first span, of a clock that was set back, is in the first.
    pub fn add(&mut self, at: Timestamp, deeds: &Deeds) {
        if deeds.is_nothing() {
            return;
        }
        let second = at.0.div_euclid(NANOS_PER_SECOND);
        if self.spans.is_empty() {
            self.from = second;
        }
        self.seconds = self.seconds.clamp(FIRST_SECONDS, MAX_SECONDS);
        self.begin_by(second);
        while self.place(second) >= MAX_SPANS && self.seconds < MAX_SECONDS {
            self.widen();
        }
        let place = self.place(second).min(MAX_SPANS - 1);
        if self.spans.len() <= place {
            self.spans.resize(place + 1, Deeds::default());
        }
        self.spans[place].add(deeds);
    }

    /// Puts spans before the first one, unless the time is of another clock.
    fn begin_by(&mut self, second: i64) {
        let earlier = self.from.saturating_sub(second);
        if earlier <= 0 || earlier > LATE_SECONDS {
            return;
        }
        let wanted = |seconds: i64| usize::try_from((earlier + seconds - 1) / seconds).unwrap_or_default();
        while self.spans.len() + wanted(self.seconds) > MAX_SPANS {
            self.widen();
        }
        let more = wanted(self.seconds);
        self.spans.splice(0..0, std::iter::repeat_n(Deeds::default(), more));
        self.from -= self.seconds * more as i64;
    }

    fn place(&self, second: i64) -> usize {
        let place = second.saturating_sub(self.from).max(0) / self.seconds;
        usize::try_from(place).unwrap_or(usize::MAX)
    }

    /// Makes each two spans one.
    fn widen(&mut self) {
        self.seconds *= 2;
        let halved = self.spans.chunks(2).map(|two| {
            let mut sum = two[0];
            two[1..].iter().for_each(|second| sum.add(second));
            sum
        });
        self.spans = halved.collect();
    }

    /// The length of each span in seconds.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Each span: when it begins, and what happened.
    pub fn spans(&self) -> impl Iterator<Item = (Timestamp, Deeds)> {
        (0..).zip(&self.spans).map(|(place, deeds)| {
            (Timestamp::from_secs(self.from.saturating_add(self.seconds.saturating_mul(place))), *deeds)
        })
    }

    /// The end of it for a glance: as many spans at most, each so many seconds long at least. Spans are put together from the
    /// first on, so that those that were shown stay what they were while others follow.
    pub fn recent(&self, most: usize, at_least: i64) -> PaceHistory {
        let long = self.seconds.max(FIRST_SECONDS);
        let together = usize::try_from((at_least + long - 1) / long).unwrap_or_default().max(1);
        let chunks = self.spans.chunks(together);
        let skipped = chunks.len().saturating_sub(most);
        let spans = chunks.skip(skipped).map(|chunk| {
            let mut sum = Deeds::default();
            chunk.iter().for_each(|deeds| sum.add(deeds));
            sum
        });
        let seconds = self.seconds.saturating_mul(together as i64);
        PaceHistory {
            from: self.from.saturating_add(seconds.saturating_mul(skipped as i64)),
            seconds,
            spans: spans.collect(),
        }
    }

    /// All of it.
    pub fn sum(&self) -> Deeds {
        let mut sum = Deeds::default();
        self.spans.iter().for_each(|deeds| sum.add(deeds));
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGIN: i64 = 1_700_000_000;

    fn sent(count: u64) -> Deeds {
        Deeds { requests: count, sent: count, ..Deeds::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(BEGIN + second)
    }

    #[test]
    fn a_short_broadcast_is_told_second_by_second() {
        let mut history = PaceHistory::default();
        for (second, count) in [(0, 5), (2, 7), (2, 1)] {
            history.add(at(second), &sent(count));
        }
        let told: Vec<(i64, u64)> = history.spans().map(|(begin, deeds)| (begin.0 - at(0).0, deeds.sent)).collect();
        assert_eq!(told, [(0, 5), (NANOS_PER_SECOND, 0), (2 * NANOS_PER_SECOND, 8)]);
        assert_eq!(history.seconds(), 1);
    }

    #[test]
    fn a_span_doubles_when_there_are_too_many() {
        let mut history = PaceHistory::default();
        (0..MAX_SPANS as i64).for_each(|second| history.add(at(second), &sent(1)));
        assert_eq!((history.seconds(), history.spans().count()), (1, MAX_SPANS));
        history.add(at(MAX_SPANS as i64), &sent(1));
        assert_eq!((history.seconds(), history.spans().count()), (2, MAX_SPANS / 2 + 1));
        assert!(history.spans().take(MAX_SPANS / 2).all(|(_, deeds)| deeds.sent == 2));
    }

    #[test]
    fn a_clock_that_was_set_back_or_far_ahead_loses_nothing() {
        let mut history = PaceHistory::default();
        history.add(at(1_000), &sent(1));
        history.add(at(0), &sent(2));
        history.add(Timestamp::NEVER, &sent(4));
        assert_eq!(history.sum(), sent(7));
        assert!(history.spans().count() <= MAX_SPANS);
        assert_eq!(history.spans().next().map(|(_, deeds)| deeds.sent), Some(3));
    }

    #[test]
    fn what_is_told_a_little_late_is_in_its_own_span() {
        let mut history = PaceHistory::default();
        (0..MAX_SPANS as i64).for_each(|second| history.add(at(second), &sent(1)));
        history.add(at(-3), &sent(5));
        let told: Vec<(i64, u64)> = history
            .spans()
            .take(3)
            .map(|(begin, deeds)| ((begin.0 - at(0).0) / NANOS_PER_SECOND, deeds.sent))
            .collect();
        assert_eq!(told, [(-4, 5), (-2, 0), (0, 2)]);
        assert!(history.spans().count() <= MAX_SPANS);
    }

    #[test]
    fn a_glance_shows_the_end_in_longer_spans_that_stay_as_they_are() {
        let mut history = PaceHistory::default();
        let shown = |history: &PaceHistory| {
            let recent = history.recent(3, 10);
            let spans: Vec<(i64, u64)> =
                recent.spans().map(|(begin, deeds)| ((begin.0 - at(0).0) / NANOS_PER_SECOND, deeds.sent)).collect();
            (recent.seconds(), spans)
        };
        assert_eq!(shown(&history), (10, vec![]));
        (0..35).for_each(|second| history.add(at(second), &sent(2)));
        assert_eq!(shown(&history), (10, vec![(10, 20), (20, 20), (30, 10)]));
        (35..41).for_each(|second| history.add(at(second), &sent(2)));
        assert_eq!(shown(&history), (10, vec![(20, 20), (30, 20), (40, 2)]));
        history.add(at(10_000), &sent(1));
        assert_eq!(history.seconds(), 64);
        assert_eq!(shown(&history).0, 64, "no span is cut");
    }

    #[test]
    fn where_nothing_happened_nothing_begins() {
        let mut history = PaceHistory::default();
        history.add(at(0), &Deeds::default());
        assert_eq!(history, PaceHistory::default());
    }

    proptest! {
        #[test]
        fn whatever_happens_when_all_is_counted_and_the_room_is_bounded(
            deeds in prop::collection::vec((0_i64..2_000_000, any::<[u16; 4]>()), 0..200),
        ) {
            let mut history = PaceHistory::default();
            let mut expected = Deeds::default();
            for (second, figures) in deeds {
                let deeds = Deeds::from(figures.map(u64::from));
                history.add(at(second), &deeds);
                expected.add(&deeds);
            }
            prop_assert_eq!(history.sum(), expected);
            prop_assert!(history.spans().count() <= MAX_SPANS);
            let stored = serde_json::to_string(&history).unwrap();
            prop_assert_eq!(serde_json::from_str::<PaceHistory>(&stored).unwrap(), history);
        }

        /// Each deed is in the span that its time is in.
        #[test]
        fn every_span_holds_what_happened_in_it(seconds in prop::collection::vec(0_i64..5_000, 1..200)) {
            let mut seconds = seconds;
            // Nothing is told later than an answer may be late.
            seconds.sort_unstable_by_key(|second| second / (LATE_SECONDS / 2));
            let mut history = PaceHistory::default();
            seconds.iter().for_each(|second| history.add(at(*second), &sent(1)));
            let length = history.seconds();
            for (begin, deeds) in history.spans() {
                let begin = begin.0 / NANOS_PER_SECOND - BEGIN;
                let there = seconds.iter().filter(|second| (begin..begin + length).contains(*second)).count();
                prop_assert_eq!(deeds.sent, there as u64);
            }
        }
    }
}
