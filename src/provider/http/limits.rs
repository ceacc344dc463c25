//! What an endpoint says of its own limit beside an answer: how many requests are left, and when they are counted anew.
//!
//! | header | where |
//! | --- | --- |
//! | `RateLimit: "default";r=50;t=30` | draft-ietf-httpapi-ratelimit-headers from version 8 on: a list, seconds |
//! | `RateLimit: limit=100, remaining=50, reset=30` | the same in version 7: one limit |
//! | `RateLimit-Remaining`, `RateLimit-Reset` | the same up to version 6, in seconds; GitLab gives a Unix time |
//! | `X-RateLimit-Remaining`, `X-RateLimit-Reset` | GitHub and many more: mostly a Unix time, elsewhere seconds |
//! | `X-RateLimit-Reset-After` | Discord: seconds with a fraction |
//! | `X-Rate-Limit-Remaining`, `X-Rate-Limit-Reset` | X: a Unix time |
//!
//! How many there may be in all (`RateLimit-Policy`, `-Limit`) is not needed: what is left says enough.

use http::HeaderMap;

use crate::delivery::usage::{Left, Usage};
use crate::provider::Answer;
use crate::provider::retry_after::{MAX_RETRY_AFTER_MS, answered_at_ms, milliseconds};

const RATE_LIMIT: &str = "ratelimit";
/// What is left, and when it is counted anew, by the first of these that is there.
const PAIRS: [(&str, &[&str]); 3] = [
    ("ratelimit-remaining", &["ratelimit-reset"]),
    ("x-ratelimit-remaining", &["x-ratelimit-reset-after", "x-ratelimit-reset"]),
    ("x-rate-limit-remaining", &["x-rate-limit-reset"]),
];

/// A wait of a second or less is not told: seconds are whole ones mostly, so that it may be of any length, and where it ends
/// each second's window a wait after each would cost half of the rate. Limits by the second are found by meeting them.
const LONGEST_UNTOLD_MS: u64 = 1_000;

/// So many seconds are no wait but a time since the Unix epoch: 2001, and as a wait 31 years.
const EPOCH_FROM_MS: u64 = 1_000_000_000 * 1_000;
/// And so many are one in milliseconds.
const EPOCH_MS_FROM_MS: u64 = EPOCH_FROM_MS * 1_000;

/// The limit of which least is left. Waits are clamped like `Retry-After`. What is no number says nothing.
pub(super) fn usage(answer: &Answer<'_>) -> Option<Usage> {
    let lists = answer.headers.get_all(RATE_LIMIT).iter().filter_map(|value| value.to_str().ok());
    let listed = lists.flat_map(|list| of_list(list).chain(of_dictionary(list)));
    let in_pairs = PAIRS.into_iter().filter_map(|(remaining, resets)| of_pair(answer, remaining, resets));
    let limits = listed.chain(in_pairs).map(|left| Usage { percent: 0, regain_after_ms: None, left: Some(left) });
    limits.reduce(Usage::worse)
}

/// How long a throttle answer without `Retry-After` asks to wait by its limits.
pub(super) fn wait_ms(answer: &Answer<'_>) -> Option<u64> {
    let left = usage(answer)?.left?;
    (left.requests == 0).then_some(left.anew_after_ms)
}

fn left(requests: u64, anew_after_ms: u64) -> Option<Left> {
    let anew_after_ms = anew_after_ms.min(MAX_RETRY_AFTER_MS);
    (anew_after_ms > LONGEST_UNTOLD_MS).then_some(Left { requests, anew_after_ms })
}

/// Each limit is a name with parameters, of which `t` may be missing: then nobody knows when it is counted anew.
fn of_list(list: &str) -> impl Iterator<Item = Left> {
    split(list, ',').filter_map(|limit| {
        let parameter = |name: &str| split(limit, ';').skip(1).find_map(|parameter| number_of(parameter, name));
        left(parameter("r")?, parameter("t")?.saturating_mul(1_000))
    })
}

fn of_dictionary(list: &str) -> Option<Left> {
    let member = |name: &str| split(list, ',').find_map(|member| number_of(member, name));
    left(member("remaining")?, member("reset")?.saturating_mul(1_000))
}

fn of_pair(answer: &Answer<'_>, remaining: &str, resets: &[&str]) -> Option<Left> {
    let requests = integer(text(answer.headers, remaining)?.split([',', ';']).next()?)?;
    let reset = resets.iter().find_map(|name| milliseconds(text(answer.headers, name)?.trim()))?;
    let wait = match reset {
        wait if wait < EPOCH_FROM_MS => wait,
        at => {
            let at = if at < EPOCH_MS_FROM_MS { at } else { at / 1_000 };
            let answered_at = u64::try_from(answered_at_ms(answer.headers, answer.received_at)).unwrap_or_default();
            at.saturating_sub(answered_at)
        }
    };
    left(requests, wait)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The number in `name=number`.
fn number_of(member: &str, name: &str) -> Option<u64> {
    let (key, value) = member.split_once('=')?;
    (key.trim() == name).then(|| integer(value)).flatten()
}

/// Digits alone; more of them than fit are very many.
fn integer(text: &str) -> Option<u64> {
    let digits = text.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The pieces between separators outside of quotes: names are strings (RFC 8941, section 3.3.3).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            _ if was_escaped => false,
            '\\' if is_quoted => {
                is_escaped = true;
                false
            }
            '"' => {
                is_quoted = !is_quoted;
                false
            }
            other => other == separator && !is_quoted,
        }
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, StatusCode};

    use super::*;
    use crate::delivery::time::Timestamp;

    /// Wed, 21 Oct 2026 07:28:00 GMT, as the answers say themselves; the clock here is an hour ahead.
    const ANSWERED: i64 = 1_792_567_680;
    const DATE: (&str, &str) = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");

    fn read(headers: &[(&'static str, &str)]) -> Option<(u64, u64)> {
        let named =
            |(name, text): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(text).unwrap());
        let headers: HeaderMap = headers.iter().chain([&DATE]).map(named).collect();
        let answer = Answer {
            status: StatusCode::OK,
            headers: &headers,
            body: b"",
            body_truncated: false,
            received_at: Timestamp::from_secs(ANSWERED + 3_600),
        };
        let usage = usage(&answer)?;
        assert_eq!((usage.percent, usage.regain_after_ms), (0, None), "nothing by itself");
        usage.left.map(|left| (left.requests, left.anew_after_ms))
    }

    #[test]
    fn every_version_of_the_draft_is_read() {
        for (value, expected) in [
            (r#""default";r=50;t=30"#, Some((50, 30_000))),
            (r#""default"; t=30 ;r=0"#, Some((0, 30_000))),
            ("default;r=50;t=30;pk=:cHsdsRa894==:", Some((50, 30_000))),
            (r#""a, b;r=0;t=9 \" ";r=7;t=60"#, Some((7, 60_000))),
            ("limit=100, remaining=50, reset=30", Some((50, 30_000))),
            ("limit=100,remaining=0,reset=5", Some((0, 5_000))),
        ] {
            assert_eq!(read(&[("ratelimit", value)]), expected, "{value}");
        }
        let trio = [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "3"), ("ratelimit-reset", "40")];
        assert_eq!(read(&trio), Some((3, 40_000)));
    }

    #[test]
    fn the_limit_of_which_least_is_left_counts() {
        let two = r#""burst";r=50;t=2, "daily";r=3;t=36000"#;
        assert_eq!(read(&[("ratelimit", two)]), Some((3, MAX_RETRY_AFTER_MS)));
        let in_two_fields = [("ratelimit", r#""day";r=0;t=20"#), ("ratelimit", r#""hour";r=0;t=50, "minute";r=0;t=9"#)];
        let headers = in_two_fields.map(|(name, text)| (HeaderName::from_static(name), HeaderValue::from_static(text)));
        let mut map = HeaderMap::new();
        headers.into_iter().for_each(|(name, value)| {
            map.append(name, value);
        });
        let answer = Answer {
            status: StatusCode::OK,
            headers: &map,
            body: b"",
            body_truncated: false,
            received_at: Timestamp::EPOCH,
        };
        assert_eq!(usage(&answer).unwrap().left, Some(Left { requests: 0, anew_after_ms: 50_000 }), "the longest wait");
    }

    #[test]
    fn a_reset_is_a_wait_or_a_time_in_seconds_or_milliseconds() {
        let epoch = |after: i64| (ANSWERED + after).to_string();
        // GitHub, GitLab, X, in milliseconds, Discord by both, and plain seconds.
        let millis = format!("{}000", epoch(30));
        let fraction = format!("{}.500", epoch(30));
        for (headers, expected) in [
            ([("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", &epoch(30))], (12, 30_000)),
            ([("ratelimit-remaining", "0"), ("ratelimit-reset", &epoch(30))], (0, 30_000)),
            ([("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", &epoch(3_000))], (0, MAX_RETRY_AFTER_MS)),
            ([("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &millis)], (0, 30_000)),
            ([("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &fraction)], (0, 30_500)),
            ([("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "4.25")], (0, 4_250)),
            ([("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "600")], (0, 600_000)),
        ] {
            assert_eq!(read(&headers), Some(expected), "{headers:?}");
        }
        let both = [("x-ratelimit-reset-after", "2.5"), ("x-ratelimit-reset", "600"), ("x-ratelimit-remaining", "1")];
        assert_eq!(read(&both), Some((1, 2_500)), "nobody's clock matters");
    }

    #[test]
    fn what_is_over_within_a_second_or_has_passed_is_not_told() {
        assert_eq!(read(&[("ratelimit", r#""second";r=0;t=1"#)]), None);
        assert_eq!(read(&[("ratelimit", r#""second";r=0;t=0"#)]), None);
        assert_eq!(read(&[("ratelimit", r#""second";r=0;t=1, "minute";r=9;t=50"#)]), Some((9, 50_000)));
        assert_eq!(read(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000000")]), None);
    }

    #[test]
    fn nonsense_says_nothing() {
        for value in [
            "",
            "busy",
            r#""default""#,
            r#""default";r=5"#,
            r#""default";t=50"#,
            r#""d";r=-1;t=5"#,
            "r=5;t=50",
            "\"r=0;t=9",
        ] {
            assert_eq!(read(&[("ratelimit", value)]), None, "{value}");
        }
        for value in ["", "-1", "soon", "0x10", "Tue Feb 16 2021 09:02:42 GMT+0100 (Central European Standard Time)"] {
            assert_eq!(read(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", value)]), None, "{value}");
            assert_eq!(read(&[("x-ratelimit-remaining", value), ("x-ratelimit-reset", "60")]), None, "{value}");
        }
        assert_eq!(read(&[("x-ratelimit-remaining", "0")]), None);
        let many = "9".repeat(40);
        let absurd = [("ratelimit-remaining", many.as_str()), ("ratelimit-reset", "60")];
        assert_eq!(read(&absurd), Some((u64::MAX, 60_000)));
    }
}
