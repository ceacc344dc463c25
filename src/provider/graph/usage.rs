//! What Graph says of its limits beside each answer (developers.facebook.com/docs/graph-api/overview/rate-limiting): how
//! much of the rolling hour's calls and time is used, in percent, once enough calls have been made.

use http::HeaderMap;
use serde_json::Value;

use crate::delivery::usage::Usage;
use crate::provider::MAX_RETRY_AFTER_MS;

/// Of the app, and of the page or person whose token it is: one object.
const OF_ONE: [&str; 2] = ["x-app-usage", "x-page-usage"];
/// Of a business, use case by use case: an object of lists.
const OF_A_BUSINESS: &str = "x-business-use-case-usage";
/// What is counted, each in percent.
const COUNTED: [&str; 3] = ["call_count", "total_time", "total_cputime"];

/// The limit that is used most, and the longest wait. `estimated_time_to_regain_access` is in minutes; it is clamped like
/// `Retry-After`, which Graph does not document.
pub(in crate::provider) fn usage(headers: &HeaderMap) -> Option<Usage> {
    let read = |name: &str| -> Option<Value> { serde_json::from_slice(headers.get(name)?.as_bytes()).ok() };
    let business = read(OF_A_BUSINESS);
    let of_a_business = business.iter().filter_map(Value::as_object).flat_map(|ids| ids.values());
    let of_one: Vec<Value> = OF_ONE.into_iter().filter_map(read).collect();
    let limits = of_a_business.filter_map(Value::as_array).flatten().chain(&of_one);
    limits.filter_map(limit).reduce(Usage::worse)
}

fn limit(counted: &Value) -> Option<Usage> {
    let percent = |name: &str| counted.get(name).and_then(Value::as_f64).filter(|percent| *percent >= 0.0);
    let most = COUNTED.into_iter().filter_map(percent).reduce(f64::max);
    let minutes = counted.get("estimated_time_to_regain_access").and_then(Value::as_u64).filter(|minutes| *minutes > 0);
    if most.is_none() && minutes.is_none() {
        return None;
    }
    Some(Usage {
        // What is beyond a number is far beyond the limit.
        percent: most.unwrap_or_default() as u32,
        regain_after_ms: minutes.map(|minutes| minutes.saturating_mul(60_000).min(MAX_RETRY_AFTER_MS)),
        left: None,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Option<Usage> {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        usage(&headers.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect())
    }

    fn used(percent: u32) -> Option<Usage> {
        Some(Usage { percent, regain_after_ms: None, left: None })
    }

    #[test]
    fn the_limit_that_is_used_most_counts() {
        // The first two as the documentation shows them.
        let app = r#"{"call_count":28,"total_time":25,"total_cputime":25}"#;
        let business = r#"{"112130216863063":[{"type":"pages","call_count":1,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":0}],"10153848260347724":[{"type":"messenger","call_count":97,"total_cputime":23,"total_time":23,"estimated_time_to_regain_access":0}]}"#;
        assert_eq!(read(&[("x-app-usage", app)]), used(28));
        assert_eq!(read(&[("x-page-usage", r#"{"call_count":3,"total_time":81,"total_cputime":4}"#)]), used(81));
        assert_eq!(read(&[("x-app-usage", app), ("x-business-use-case-usage", business)]), used(97));
        assert_eq!(read(&[("x-app-usage", r#"{"call_count":141}"#)]), used(141));
        assert_eq!(read(&[("x-app-usage", r#"{"call_count":99.6}"#)]), used(99));
    }

    #[test]
    fn the_longest_wait_is_kept_and_clamped() {
        let wait = |minutes: &str| {
            let entry = format!(r#"{{"call_count":100,"estimated_time_to_regain_access":{minutes}}}"#);
            read(&[("x-business-use-case-usage", &format!(r#"{{"1":[{entry},{{"call_count":7}}],"2":[]}}"#))]).unwrap()
        };
        assert_eq!(wait("3"), Usage { percent: 100, regain_after_ms: Some(180_000), left: None });
        assert_eq!(wait("0").regain_after_ms, None);
        assert_eq!(wait("99999999999999").regain_after_ms, Some(MAX_RETRY_AFTER_MS));
    }

    #[test]
    fn nonsense_says_nothing() {
        for text in [
            "",
            "busy",
            "[]",
            "{}",
            r#"{"1":[]}"#,
            r#"{"1":{"call_count":5}}"#,
            r#"{"call_count":"28"}"#,
            r#"{"call_count":-1}"#,
        ] {
            assert_eq!(read(&[("x-app-usage", text), ("x-business-use-case-usage", text)]), None, "{text}");
        }
        assert_eq!(read(&[]), None);
    }
}
