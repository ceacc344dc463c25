//! How long a provider asks to be left alone: `Retry-After`, RFC 9110, section 10.2.3.

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::delivery::time::Timestamp;

/// The longest wait a provider may ask for in one answer, in milliseconds: as long as the brake holds at most. One answer
/// must not be able to stop an account for longer; the next throttle answer may ask again.
pub const MAX_RETRY_AFTER_MS: u64 = 15 * 60 * 1000;

/// A date, as it is written and as recipients must read it still: RFC 850 and asctime.
const DATES: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The wait asked for, clamped to [`MAX_RETRY_AFTER_MS`]: in seconds, which some give with a fraction, or as a date. A date
/// is counted from the answer's own `Date`, so that nobody's clock matters, and where there is none from `now`; one that
/// has passed is no wait. Nonsense is no wish. Of several wishes the longest counts.
pub fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let wishes = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    let wait = |wish: &str| milliseconds(wish).or_else(|| until(date(wish)?, headers, now));
    wishes.filter_map(|wish| wait(wish.trim())).max().map(|wait| wait.min(MAX_RETRY_AFTER_MS))
}

/// The milliseconds of seconds with or without a fraction, rounded up. More digits than fit are very many.
pub(super) fn milliseconds(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let millis: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let rest = fraction.bytes().skip(3).any(|digit| digit != b'0');
    Some(whole.saturating_mul(1_000).saturating_add(millis + u64::from(rest)))
}

fn until(date: jiff::Timestamp, headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let from = answered_at_ms(headers, now);
    Some(u64::try_from(date.as_millisecond().saturating_sub(from)).unwrap_or(0))
}

/// When an answer was given, by its own `Date` or else by the clock here, in milliseconds since the Unix epoch.
pub(super) fn answered_at_ms(headers: &HeaderMap, now: Timestamp) -> i64 {
    let own = headers.get(DATE).and_then(|value| date(value.to_str().ok()?.trim()));
    own.map_or((now - Timestamp::EPOCH).as_millis(), jiff::Timestamp::as_millisecond)
}

/// The last day of the year 9999 is as late as a date can be written, and later than an instant can be kept.
fn date(text: &str) -> Option<jiff::Timestamp> {
    let read = |format: &&str| strtime::parse(format, text).ok()?.to_datetime().ok();
    let date = DATES.iter().find_map(read)?;
    Some(date.to_zoned(TimeZone::UTC).map_or(jiff::Timestamp::MAX, |date| date.timestamp()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:07 GMT.
    const NOW: Timestamp = Timestamp::from_secs(784_111_747);

    fn headers(date: Option<&'static str>, wish: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(wish).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        headers
    }

    fn wish(value: &str) -> Option<u64> {
        retry_after_ms(&headers(None, value), NOW)
    }

    #[test]
    fn seconds_are_read_and_clamped() {
        assert_eq!(wish("0"), Some(0));
        assert_eq!(wish(" 120 "), Some(120_000));
        assert_eq!(wish("86400"), Some(MAX_RETRY_AFTER_MS));
        assert_eq!(wish("99999999999999999999999999"), Some(MAX_RETRY_AFTER_MS));
    }

    #[test]
    fn a_fraction_of_a_second_is_waited_for_to_its_end() {
        assert_eq!(wish("1.5"), Some(1_500));
        assert_eq!(wish("0.25"), Some(250));
        assert_eq!(wish("0.0001"), Some(1));
        assert_eq!(wish("2.0000"), Some(2_000));
        assert_eq!(wish("99999999999999999999.9999"), Some(MAX_RETRY_AFTER_MS));
    }

    #[test]
    fn every_form_of_a_date_says_the_same_instant() {
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(wish(date), Some(30_000), "{date}");
        }
    }

    #[test]
    fn a_date_is_counted_from_the_date_of_the_answer_whatever_the_clock_here_says() {
        let dated = |until: &str| retry_after_ms(&headers(Some("Wed, 21 Oct 2026 07:28:00 GMT"), until), NOW);
        assert_eq!(dated("Wed, 21 Oct 2026 07:28:30 GMT"), Some(30_000));
        assert_eq!(dated("Wed, 21 Oct 2026 07:27:00 GMT"), Some(0), "it has passed");
        assert_eq!(dated("Thu, 22 Oct 2026 07:28:00 GMT"), Some(MAX_RETRY_AFTER_MS));
        let undated = headers(Some("yesterday"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after_ms(&undated, NOW), Some(30_000), "a date that is none");
    }

    #[test]
    fn an_absurd_date_stops_nobody_for_longer_than_any_other_wish() {
        assert_eq!(wish("Fri, 31 Dec 9999 23:59:59 GMT"), Some(MAX_RETRY_AFTER_MS));
        assert_eq!(wish("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn nonsense_is_no_wish() {
        for value in ["", "-1", "1.", ".5", "1.5.5", "1e3", "0x10", "soon", "Wed, 42 Oct 2026 07:28:00 GMT"] {
            assert_eq!(wish(value), None, "{value}");
        }
        assert_eq!(retry_after_ms(&HeaderMap::new(), NOW), None);
    }

    #[test]
    fn of_several_wishes_the_longest_counts() {
        let mut twice = headers(None, "7");
        twice.append(RETRY_AFTER, HeaderValue::from_static("soon"));
        twice.append(RETRY_AFTER, HeaderValue::from_static("9"));
        assert_eq!(retry_after_ms(&twice, NOW), Some(9_000));
    }
}
