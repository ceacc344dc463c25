//! How long something takes, for people.

/// So many seconds, in the two largest units that they fill.
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes:02} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_two_units_at_most() {
        assert_eq!([5, 65, 7_260, 90_000].map(duration), ["5 s", "1 min 05 s", "2 h 01 min", "1 d 1 h"]);
        assert_eq!(duration(-1), "0 s");
    }
}
