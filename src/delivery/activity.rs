//! When a recipient was last active: what a provider's window is counted from.

use super::time::Timestamp;

/// The variable of an audience row that says when its recipient last wrote.
pub const LAST_ACTIVE_TIME: &str = "last_active_time";

/// Reads an instant as audiences and databases write it: RFC 3339 with an offset, a blank in place of the `T` allowed.
/// `None` for anything else; an instant without an offset is none, since nobody says whose clock it is of.
pub fn parse(text: &str) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.trim().parse().ok()?;
    Some(Timestamp(i64::try_from(instant.as_nanosecond()).ok()?))
}

/// As [`parse`] reads it.
pub fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_audiences_and_databases_write_them() {
        let second = Timestamp::from_secs(1_700_000_000);
        for text in
            ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20+00", " 2023-11-14T22:13:20Z "]
        {
            assert_eq!(parse(text), Some(second), "{text}");
        }
        assert_eq!(parse(&shown(second)), Some(second));
        for text in ["", "yesterday", "2023-11-14T22:13:20", "1700000000", "9999-12-31T00:00:00Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
