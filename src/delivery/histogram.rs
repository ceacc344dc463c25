//! How long answers took, counted in classes whose bounds are fixed: as small after a million answers as after one.

use serde::{Deserialize, Serialize};

/// So many classes: four to each doubling, up to two minutes and more. Longer than an attempt may take at most.
pub const CLASSES: usize = 64;
/// Classes of one doubling: a bound is off by a quarter at worst.
const STEPS: u64 = 4;

/// Counts of milliseconds by class. Whatever is longer than the last bound is in the last class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    /// As many classes as are needed, at most [`CLASSES`]. What was stored longer is cut when it is read.
    counts: Vec<u64>,
}

/// One class of a histogram: from the first bound on, below the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    pub from_ms: u64,
    pub below_ms: u64,
    pub count: u64,
}

/// The class of a duration: below 4 ms each millisecond is one, then a doubling has four.
fn class_of(milliseconds: u64) -> usize {
    let class = if milliseconds < STEPS {
        milliseconds
    } else {
        let doubling = u64::from(milliseconds.ilog2());
        STEPS * (doubling - 1) + (milliseconds >> (doubling - 2)) % STEPS
    };
    usize::try_from(class).unwrap_or(usize::MAX).min(CLASSES - 1)
}

/// The least duration of a class; that of the class after the last one ends the last one.
fn bound(class: usize) -> u64 {
    let class = class as u64;
    if class < STEPS { class } else { (STEPS + class % STEPS) << (class / STEPS - 1) }
}

impl Histogram {
    pub fn add(&mut self, milliseconds: u64) {
        let class = class_of(milliseconds);
        if self.counts.len() <= class {
            self.counts.resize(class + 1, 0);
        }
        self.counts[class] = self.counts[class].saturating_add(1);
    }

    /// Counts what another one has counted.
    pub fn merge(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts().len() {
            self.counts.resize(other.counts().len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(other.counts()) {
            *count = count.saturating_add(*more);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// So many milliseconds or fewer took this part of all, between 0 and 1; `None` where nothing was counted. Within a class
    /// its counts are taken to be spread evenly.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        let wanted = (part.clamp(0.0, 1.0) * total as f64).max(1.0);
        let mut below = 0;
        for class in self.classes() {
            if (below + class.count) as f64 >= wanted {
                let share = (wanted - below as f64) / class.count.max(1) as f64;
                return Some(class.from_ms + ((class.below_ms - class.from_ms) as f64 * share) as u64);
            }
            below += class.count;
        }
        self.classes().last().map(|class| class.below_ms)
    }

    /// From the first to the last class that has anything.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        let counts = self.counts();
        let first = counts.iter().position(|count| *count > 0).unwrap_or(counts.len());
        let last = counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
        let class = |at: usize| Class { from_ms: bound(at), below_ms: bound(at + 1), count: counts[at] };
        (first..last).map(class)
    }

    fn counts(&self) -> &[u64] {
        &self.counts[..self.counts.len().min(CLASSES)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_millisecond_is_in_the_class_whose_bounds_hold_it() {
        let last = bound(CLASSES);
        assert_eq!(last, 131_072, "two minutes and more");
        for milliseconds in (0..5_000).chain([60_000, last - 1]) {
            let class = class_of(milliseconds);
            assert!(bound(class) <= milliseconds && milliseconds < bound(class + 1), "{milliseconds} in {class}");
        }
        assert_eq!(class_of(last), CLASSES - 1);
        assert_eq!(class_of(u64::MAX), CLASSES - 1);
    }

    #[test]
    fn nothing_counted_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::default().classes().count(), 0);
    }

    #[test]
    fn what_was_stored_with_too_many_classes_is_read_as_far_as_there_are_any() {
        let stored: Histogram = serde_json::from_str(&format!("[1{}]", ",1".repeat(99))).unwrap();
        assert_eq!((stored.total(), stored.classes().count()), (CLASSES as u64, CLASSES));
    }

    proptest! {
        #[test]
        fn nobody_is_lost_and_the_classes_do_not_grow(times in prop::collection::vec(0_u64..1_000_000, 0..300)) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|time| histogram.add(*time));
            prop_assert_eq!(histogram.total(), times.len() as u64);
            prop_assert_eq!(histogram.classes().map(|class| class.count).sum::<u64>(), times.len() as u64);
            prop_assert!(histogram.counts.len() <= CLASSES);
            let stored = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&stored).unwrap(), histogram);
        }

        #[test]
        fn histograms_put_together_are_that_of_all_times(times in prop::collection::vec((0_u64..1_000_000, any::<bool>()), 0..300)) {
            let (mut all, mut some, mut others) = (Histogram::default(), Histogram::default(), Histogram::default());
            for (time, is_other) in times {
                all.add(time);
                if is_other { others.add(time) } else { some.add(time) }
            }
            some.merge(&others);
            prop_assert_eq!(some, all);
        }

        /// A quantile is never further from the true one than its class is wide.
        #[test]
        fn a_quantile_is_off_by_a_quarter_at_most(
            mut times in prop::collection::vec(1_u64..130_000, 1..300),
            part in 0.0_f64..=1.0,
        ) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|time| histogram.add(*time));
            times.sort_unstable();
            let place = ((part * times.len() as f64).ceil() as usize).clamp(1, times.len());
            let (exact, told) = (times[place - 1] as f64, histogram.quantile(part).unwrap() as f64);
            prop_assert!(told >= exact * 0.79 - 1.0 && told <= exact * 1.25 + 1.0, "{} for {}", told, exact);
        }
    }
}
