//! What the simulator does to its callers: by flag, and changeable while it runs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::rfc2822;
use serde::{Deserialize, Serialize};

use super::played::Played;

/// The longest latency in milliseconds: far beyond any request timeout.
pub const MAX_LATENCY_MS: u64 = 600_000;

/// The longest window of a quota: Meta's is an hour.
pub const MAX_QUOTA_SECONDS: u32 = 3_600;

/// The most failures at once: more than there are codes in a provider's table.
pub const MAX_FAILURES: usize = 100;

/// All of it, as flags of the command line and as members of the settings' JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Time from taking a request to answering it, in milliseconds: `170` or, evenly spread, `50-170`
    #[arg(long, value_name = "MS[-MS]", default_value = "0")]
    pub latency: Latency,
    /// Above so many requests in any sliding second the provider's own throttle answer; throttled requests count
    /// too, as they do at Meta. 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub rate_limit: u32,
    /// Above so many requests in any sliding window of so many seconds the provider's own throttle answer, e.g. `200/10`
    #[arg(long, value_name = "N/SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Messenger and WhatsApp say with each answer how much of the quota is used, as Meta does, and a plain endpoint how much
    /// is left (`RateLimit`)
    #[arg(long)]
    pub usage: bool,
    /// How long a throttled sender is asked to wait, in seconds; with `:date` a plain endpoint names the date. Messenger
    /// and WhatsApp have no such wish, Telegram and Slack only whole seconds
    #[arg(long, value_name = "SECONDS[:date]", default_value = "1")]
    pub retry_after: RetryAfter,
    /// Fail this fraction of requests with a provider's own error, e.g. `551=0.01`, `10/2018278=0.05` (Messenger),
    /// `131026=0.1` (WhatsApp), `403/blocked by the user=0.1` (Telegram), `is_archived=0.1` (Slack), `21610=0.1` (Twilio),
    /// `error:blocked=0.1` (a code in the answer of a plain endpoint), with `http:500=0.1`, or one of `garbage`, `half-body`, `huge-body`,
    /// `redirect`, `never`, `slow`; repeatable
    #[arg(long, value_name = "CODE=FRACTION")]
    pub fail: Vec<Failure>,
    /// Fail this fraction of Messenger's calls about labels, with a Graph code such as `2=0.05` or with `http:500=0.1`;
    /// repeatable
    #[arg(long, value_name = "CODE=FRACTION")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail_labels: Vec<Failure>,
    /// Close the connection without an answer for this fraction of requests: `before` the message is taken, or
    /// `after` (the default)
    #[arg(long, value_name = "FRACTION[:before|after]", default_value = "0")]
    pub drop: Dropping,
    /// Messenger cannot fetch links that hold this text: neither an upload nor a message with one is taken
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse_link: Option<String>,
    /// Messenger, WhatsApp and Telegram forget an attachment that they keep after so many seconds. 0 is for ever
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub attachment_seconds: u32,
    /// Decisions depend on the seed, the recipient and how often this recipient was asked for, so that runs repeat
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// A setting that cannot be; names the flag and the remedy.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SettingError {
    #[error("{0:?} is no latency: give milliseconds from 0 to {MAX_LATENCY_MS}, or two of them as LOW-HIGH")]
    Latency(String),
    #[error(
        "{0:?} is no failure: give CODE=FRACTION with a code of a provider such as 551=0.01, http:500=0.1 or garbage=1"
    )]
    Failure(String),
    #[error("{0:?} befalls no call about labels: give a Graph code such as 2=0.05, or a status such as http:500=0.1")]
    LabelFailure(String),
    #[error("{0:?} is no fraction: give a number from 0 to 1")]
    Fraction(String),
    #[error("{0:?} is no quota: give N/SECONDS such as 200/10, at most {MAX_QUOTA_SECONDS} seconds")]
    Quota(String),
    #[error("{0:?} is no wish to wait: give seconds such as 30 or 0.5, or whole ones as a date such as 30:date")]
    RetryAfter(String),
    #[error("{0:?} does not say when to drop: give FRACTION, FRACTION:before or FRACTION:after")]
    Dropping(String),
    #[error("the fractions of fail sum up to {0}, more than 1")]
    FailuresOverOne(f64),
    #[error("{0} failures are given, at most {MAX_FAILURES} are possible")]
    TooManyFailures(usize),
}

impl Settings {
    /// Whether what is at this link cannot be had.
    pub fn cannot_fetch(&self, link: &str) -> bool {
        self.refuse_link.as_ref().is_some_and(|refused| link.contains(refused))
    }

    /// Checks what no single member can: that the failures fit into one.
    pub fn validate(&self) -> Result<(), SettingError> {
        for failures in [&self.fail, &self.fail_labels] {
            if failures.len() > MAX_FAILURES {
                return Err(SettingError::TooManyFailures(failures.len()));
            }
            let sum: f64 = failures.iter().map(|failure| failure.fraction).sum();
            // Ten times 0.1 is a little more than 1.
            if sum > 1.0 + 1e-9 {
                return Err(SettingError::FailuresOverOne(sum));
            }
        }
        let is_of_labels = |mishap: &Mishap| match mishap {
            Mishap::Code(code) => Played::Messenger.play().knows(code),
            mishap => matches!(mishap, Mishap::Status(300..)),
        };
        match self.fail_labels.iter().find(|failure| !is_of_labels(&failure.mishap)) {
            Some(failure) => Err(SettingError::LabelFailure(failure.to_string())),
            None => Ok(()),
        }
    }
}

/// From `low` to `high`, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Latency {
    pub low_ms: u64,
    pub high_ms: u64,
}

impl Latency {
    /// The latency at `share` (0 to 1) of the way from low to high.
    pub fn at(self, share: f64) -> Duration {
        let width = (self.high_ms - self.low_ms) as f64;
        Duration::from_secs_f64((self.low_ms as f64 + width * share.clamp(0.0, 1.0)) / 1000.0)
    }
}

impl FromStr for Latency {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Latency, SettingError> {
        let milliseconds = |part: &str| part.parse::<u64>().ok().filter(|ms| *ms <= MAX_LATENCY_MS);
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        match (milliseconds(low), milliseconds(high)) {
            (Some(low_ms), Some(high_ms)) if low_ms <= high_ms => Ok(Latency { low_ms, high_ms }),
            _ => Err(SettingError::Latency(text.to_owned())),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.low_ms == self.high_ms {
            true => write!(f, "{}", self.low_ms),
            false => write!(f, "{}-{}", self.low_ms, self.high_ms),
        }
    }
}

/// So many requests in any window of so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quota {
    pub requests: u32,
    pub seconds: u32,
}

impl FromStr for Quota {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Quota, SettingError> {
        let parts =
            text.split_once('/').and_then(|(requests, seconds)| Some((requests.parse().ok()?, seconds.parse().ok()?)));
        match parts {
            Some((requests @ 1.., seconds @ 1..=MAX_QUOTA_SECONDS)) => Ok(Quota { requests, seconds }),
            _ => Err(SettingError::Quota(text.to_owned())),
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.seconds)
    }
}

/// What the `Retry-After` of a throttle answer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RetryAfter {
    /// As it was given: a number, perhaps with a fraction.
    Seconds(String),
    /// The date that lies so many seconds ahead.
    Date(u32),
}

impl RetryAfter {
    /// The header's value in an answer at `now`.
    pub fn header(&self, now: jiff::Timestamp) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.clone(),
            RetryAfter::Date(seconds) => {
                let date = now.saturating_add(jiff::SignedDuration::from_secs(i64::from(*seconds))).unwrap_or(now);
                rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap_or_default()
            }
        }
    }
}

impl RetryAfter {
    /// Rounded up, for providers that know no other.
    pub fn whole_seconds(&self) -> u64 {
        match self {
            RetryAfter::Seconds(seconds) => seconds.parse::<f64>().map_or(1, |seconds| seconds.ceil() as u64),
            RetryAfter::Date(seconds) => u64::from(*seconds),
        }
    }
}

impl Default for RetryAfter {
    fn default() -> RetryAfter {
        RetryAfter::Seconds("1".to_owned())
    }
}

impl FromStr for RetryAfter {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<RetryAfter, SettingError> {
        let malformed = || SettingError::RetryAfter(text.to_owned());
        if let Some(seconds) = text.strip_suffix(":date") {
            return seconds.parse().map(RetryAfter::Date).map_err(|_| malformed());
        }
        let is_number = text.parse::<f64>().is_ok_and(|seconds| seconds.is_finite() && seconds >= 0.0);
        if is_number { Ok(RetryAfter::Seconds(text.to_owned())) } else { Err(malformed()) }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetryAfter::Seconds(seconds) => f.write_str(seconds),
            RetryAfter::Date(seconds) => write!(f, "{seconds}:date"),
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// An error of those providers that know it; never accepted.
    Code(String),
    /// A bare HTTP status; accepted only where it is 2xx.
    Status(u16),
    /// Accepted, and answered with 200 and bytes that mean nothing.
    Garbage,
    /// Accepted, and the connection closed in the middle of the answer.
    HalfBody,
    /// Accepted, and answered with some 10 MB.
    HugeBody,
    /// Not accepted: sent elsewhere. Who follows shows up in the record under the path `/redirected`.
    Redirect,
    /// Accepted, and never answered.
    Never,
    /// Accepted, and the answer dribbles.
    Slow,
}

impl FromStr for Mishap {
    type Err = ();

    fn from_str(text: &str) -> Result<Mishap, ()> {
        Ok(match text {
            "garbage" => Mishap::Garbage,
            "half-body" => Mishap::HalfBody,
            "huge-body" => Mishap::HugeBody,
            "redirect" => Mishap::Redirect,
            "never" => Mishap::Never,
            "slow" => Mishap::Slow,
            _ => match text.strip_prefix("http:") {
                Some(status) => {
                    let status = status.parse().ok().filter(|status| (200..=599).contains(status));
                    Mishap::Status(status.ok_or(())?)
                }
                None if Played::ALL.into_iter().any(|played| played.play().knows(text)) => {
                    Mishap::Code(text.to_owned())
                }
                None => return Err(()),
            },
        })
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mishap::Code(code) => f.write_str(code),
            Mishap::Status(status) => write!(f, "http:{status}"),
            Mishap::Garbage => f.write_str("garbage"),
            Mishap::HalfBody => f.write_str("half-body"),
            Mishap::HugeBody => f.write_str("huge-body"),
            Mishap::Redirect => f.write_str("redirect"),
            Mishap::Never => f.write_str("never"),
            Mishap::Slow => f.write_str("slow"),
        }
    }
}

/// A mishap and the fraction of requests it befalls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Failure {
    pub mishap: Mishap,
    pub fraction: f64,
}

impl FromStr for Failure {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Failure, SettingError> {
        let malformed = || SettingError::Failure(text.to_owned());
        let (mishap, share) = text.split_once('=').ok_or_else(malformed)?;
        Ok(Failure { mishap: mishap.parse().map_err(|()| malformed())?, fraction: fraction(share)? })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.mishap, self.fraction)
    }
}

/// When the connection is closed without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropMoment {
    /// The message is not taken.
    Before,
    /// The message is accepted and recorded.
    #[default]
    After,
}

/// The fraction of requests whose connection is closed without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dropping {
    pub fraction: f64,
    pub moment: DropMoment,
}

impl FromStr for Dropping {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Dropping, SettingError> {
        let (share, moment) = match text.split_once(':') {
            None => (text, DropMoment::After),
            Some((share, "before")) => (share, DropMoment::Before),
            Some((share, "after")) => (share, DropMoment::After),
            Some(_) => return Err(SettingError::Dropping(text.to_owned())),
        };
        Ok(Dropping { fraction: fraction(share)?, moment })
    }
}

impl fmt::Display for Dropping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            DropMoment::Before => "before",
            DropMoment::After => "after",
        };
        write!(f, "{}:{moment}", self.fraction)
    }
}

fn fraction(text: &str) -> Result<f64, SettingError> {
    match text.parse::<f64>() {
        Ok(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
        _ => Err(SettingError::Fraction(text.to_owned())),
    }
}

/// The same text in JSON as on the command line.
macro_rules! text_in_json {
    ($($kind:ty),*) => {$(
        impl TryFrom<String> for $kind {
            type Error = SettingError;
            fn try_from(text: String) -> Result<$kind, SettingError> {
                text.parse()
            }
        }
        impl From<$kind> for String {
            fn from(value: $kind) -> String {
                value.to_string()
            }
        }
    )*};
}

text_in_json!(Latency, Quota, RetryAfter, Failure, Dropping);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_what_they_print() {
        for latency in ["0", "170", "50-170"] {
            assert_eq!(latency.parse::<Latency>().unwrap().to_string(), latency);
        }
        for failure in [
            "551=0.1",
            "error:opted_out=0.1",
            "10/2018278=1",
            "-1=0.5",
            "http:500=0",
            "garbage=0.25",
            "half-body=1",
            "huge-body=1",
            "redirect=1",
            "never=1",
            "slow=1",
        ] {
            assert_eq!(failure.parse::<Failure>().unwrap().to_string(), failure);
        }
        assert_eq!("200/10".parse::<Quota>().unwrap().to_string(), "200/10");
        assert_eq!("0.05".parse::<Dropping>().unwrap().to_string(), "0.05:after");
        assert_eq!("0.05:before".parse::<Dropping>().unwrap().to_string(), "0.05:before");
    }

    #[test]
    fn nonsense_is_refused_with_what_is_allowed() {
        for latency in ["", "fast", "-5", "10-5", "1-2-3", "600001"] {
            assert_eq!(latency.parse::<Latency>(), Err(SettingError::Latency(latency.into())));
        }
        for quota in ["", "200", "0/10", "200/0", "200/3601", "-1/1", "a/b"] {
            assert_eq!(quota.parse::<Quota>(), Err(SettingError::Quota(quota.into())));
        }
        for failure in ["551", "oops=0.1", "http:=0.1", "http:99=0.1", "10/=0.1", "=0.1", "error:=0.1"] {
            assert_eq!(failure.parse::<Failure>(), Err(SettingError::Failure(failure.into())));
        }
        for share in ["", "1.1", "-0.1", "NaN", "half"] {
            assert_eq!(format!("551={share}").parse::<Failure>(), Err(SettingError::Fraction(share.into())));
        }
        assert_eq!("0.1:later".parse::<Dropping>(), Err(SettingError::Dropping("0.1:later".into())));
    }

    #[test]
    fn failures_must_fit_into_one() {
        let with = |fail: &[&str]| Settings {
            fail: fail.iter().map(|failure| failure.parse().unwrap()).collect(),
            ..Settings::default()
        };
        assert_eq!(with(&["551=0.5", "613=0.5"]).validate(), Ok(()));
        assert_eq!(with(&["551=0.75", "613=0.5"]).validate(), Err(SettingError::FailuresOverOne(1.25)));
        assert_eq!(with(&["551=0"; MAX_FAILURES + 1]).validate(), Err(SettingError::TooManyFailures(101)));
        let of_labels = |failure: &str| Settings { fail_labels: vec![failure.parse().unwrap()], ..Settings::default() };
        assert_eq!(of_labels("2=0.05").validate(), Ok(()));
        assert_eq!(of_labels("http:500=1").validate(), Ok(()));
        for failure in ["garbage=1", "http:200=1", "is_archived=1"] {
            assert_eq!(of_labels(failure).validate(), Err(SettingError::LabelFailure(failure.into())));
        }
    }

    #[test]
    fn json_has_the_names_of_the_flags() {
        let json = r#"{"latency":"50-170","rate-limit":40,"quota":"200/10","usage":true,"retry-after":"30:date","fail":["551=0.5"],"drop":"0.05:before","refuse-link":"gone","attachment-seconds":60,"seed":7}"#;
        let settings: Settings = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), json);
        assert!(serde_json::from_str::<Settings>(r#"{"rate_limit":40}"#).is_err());
    }
}
