//! How much of one plan lies in another one: whether it may be the same list again.

/// So many recipients of a plan are looked up in the other, spread over it: with a thousand, a part of a half is told from
/// one of four tenths or six tenths, and a look takes some milliseconds.
pub const SAMPLE: i64 = 1_000;

/// From one recipient that is looked up to the next, in a plan of so many.
pub fn step(planned: i64) -> i64 {
    planned.div_euclid(SAMPLE) + i64::from(planned % SAMPLE > 0 || planned == 0)
}

/// How many of those recipients of a plan that were looked up have or may get the message of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    pub shared: i64,
    pub compared: i64,
}

impl Likeness {
    /// At least half: a row more, another order or another value of a variable leave a list what it was; other people do not.
    pub fn is_the_same_list(self) -> bool {
        self.shared > 0 && self.shared * 2 >= self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_spread_over_the_plan_and_bounded() {
        for (planned, wanted) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (2_000, 2), (1_000_000, 1_000)] {
            assert_eq!(step(planned), wanted, "{planned}");
        }
        for planned in [1, 999, 1_000, 1_001, 1_999, 2_001, 999_999] {
            let looked_up = (0..planned).step_by(step(planned) as usize);
            let (count, last) = (looked_up.clone().count() as i64, looked_up.last().unwrap_or_default());
            assert!((1..=SAMPLE).contains(&count) && last + step(planned) >= planned, "{planned}: {count}, {last}");
            assert!(count * 2 > planned.min(SAMPLE), "{planned}: {count}");
        }
    }

    #[test]
    fn half_of_the_people_make_it_the_same_list() {
        for (shared, compared, same) in [(0, 0, false), (0, 1, false), (1, 3, false), (1, 2, true), (499, 999, false)] {
            assert_eq!(Likeness { shared, compared }.is_the_same_list(), same, "{shared} of {compared}");
        }
    }
}
