//! The record: one JSON line per request, and the judge's questions to it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One request, as it was decided when it had been read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line<'a> {
    /// Arrival, in nanoseconds since the Unix epoch; never falls within one run of the simulator.
    pub time_ns: u64,
    /// The member of the channel, e.g. `messenger`.
    pub provider: Cow<'a, str>,
    /// The page, the bot, or the path.
    pub account: Cow<'a, str>,
    /// Empty where the request named none.
    pub recipient: Cow<'a, str>,
    /// `<broadcast id>:<seq>:<attempt>:<part>`, as the sender gave it.
    pub correlation: Option<Cow<'a, str>>,
    /// The rendered text; empty where there is none.
    pub text: Cow<'a, str>,
    /// Each as `kind link`, in the provider's word for it; of one that it keeps as `kind kept:ID`, with what is kept there; of one
    /// that it has forgotten as `kind gone:ID`, with what it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Cow<'a, str>>,
    /// The HTTP status of the answer; absent when there was none. The answer is written out after the line, also by a
    /// simulator that is told to stop; one that is killed may have been kept from it.
    pub status: Option<u16>,
    /// The message was taken, whether or not the answer came through.
    pub accepted: bool,
    /// What was decided where it is not plain success: `613`, `10/2018278`, `http:429`, `never`, `drop:after`.
    pub code: Option<Cow<'a, str>>,
}

/// A line that owns its texts.
pub type OwnedLine = Line<'static>;

/// What must be accepted at most once: a part of a broadcast for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery<'a> {
    /// The first member of the correlation value; empty without one.
    pub broadcast: &'a str,
    pub recipient: &'a str,
    /// The last member of the correlation value; without one what the first attachment is, however it is named, and `0` for a
    /// text.
    pub part: &'a str,
    /// As what the attachment is sent, where that tells the part: one link may be a picture and a file of one message.
    pub kind: &'a str,
}

impl<'a> Delivery<'a> {
    /// Reads broadcast and part from a correlation value, as far as there is one.
    pub fn of(recipient: &'a str, correlation: Option<&'a str>, attachment: Option<&'a str>) -> Delivery<'a> {
        if let Some(Correlation { broadcast, part, .. }) = correlation.and_then(Correlation::parse) {
            return Delivery { broadcast, recipient, part, kind: "" };
        }
        let (kind, named) = attachment.and_then(|attachment| attachment.split_once(' ')).unwrap_or(("", "0"));
        // After the id, where it is named by one, comes what it is.
        let part = named.split_once(' ').map_or(named, |(_, what)| what);
        Delivery { broadcast: "", recipient, part, kind }
    }
}

/// A correlation value, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correlation<'a> {
    pub broadcast: &'a str,
    pub seq: u64,
    pub attempt: u64,
    pub part: &'a str,
}

impl<'a> Correlation<'a> {
    /// `None` for a value of another form.
    pub fn parse(value: &'a str) -> Option<Correlation<'a>> {
        let mut members = value.rsplitn(4, ':');
        let part = members.next()?;
        let attempt = members.next()?.parse().ok()?;
        let seq = members.next()?.parse().ok()?;
        let broadcast = members.next()?;
        Some(Correlation { broadcast, seq, attempt, part })
    }
}

impl Line<'_> {
    /// The delivery this request is an attempt of.
    pub fn delivery(&self) -> Delivery<'_> {
        Delivery::of(&self.recipient, self.correlation.as_deref(), self.attachments.first().map(Cow::as_ref))
    }
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("failed to read the record {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("line {line} of the record {path} is not a request")]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
}

/// Reads a whole record. A last line without its line end, which a killed simulator may leave, is not counted.
pub fn read(path: &Path) -> Result<Vec<OwnedLine>, RecordError> {
    let failed = |source| RecordError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut lines = Vec::new();
    let mut text = Vec::new();
    loop {
        text.clear();
        reader.read_until(b'\n', &mut text).map_err(failed)?;
        if text.last() != Some(&b'\n') {
            return Ok(lines);
        }
        let parsed = serde_json::from_slice(&text).map_err(|source| {
            let line = lines.len() + 1;
            RecordError::Line { path: path.to_owned(), line, source }
        })?;
        lines.push(parsed);
    }
}

/// How often each delivery was accepted; ones never accepted are absent.
pub fn accepted<'a>(lines: &'a [OwnedLine]) -> BTreeMap<Delivery<'a>, usize> {
    count(lines.iter().filter(|line| line.accepted))
}

/// How often each delivery was asked for.
pub fn requests<'a>(lines: &'a [OwnedLine]) -> BTreeMap<Delivery<'a>, usize> {
    count(lines.iter())
}

fn count<'a>(lines: impl Iterator<Item = &'a OwnedLine>) -> BTreeMap<Delivery<'a>, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.delivery()).or_default() += 1;
    }
    counts
}

/// Deliveries accepted more than once. Must be empty, resends aside.
pub fn accepted_twice<'a>(lines: &'a [OwnedLine]) -> Vec<Delivery<'a>> {
    accepted(lines).into_iter().filter(|(_, times)| *times > 1).map(|(delivery, _)| delivery).collect()
}

/// The most requests in any sliding second.
pub fn worst_second(lines: &[OwnedLine]) -> usize {
    worst_window(lines, Duration::from_secs(1))
}

/// The most requests in any sliding ten seconds.
pub fn worst_ten_seconds(lines: &[OwnedLine]) -> usize {
    worst_window(lines, Duration::from_secs(10))
}

/// The most requests in any half-open window of the given width.
pub fn worst_window(lines: &[OwnedLine], width: Duration) -> usize {
    let mut times: Vec<u64> = lines.iter().map(|line| line.time_ns).collect();
    times.sort_unstable();
    let mut first = 0;
    let mut worst = 0;
    for (index, time) in times.iter().enumerate() {
        while u128::from(time - times[first]) >= width.as_nanos() {
            first += 1;
        }
        worst = worst.max(index + 1 - first);
    }
    worst
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(millis: u64, recipient: &str, correlation: Option<&str>, accepted: bool) -> OwnedLine {
        Line {
            time_ns: millis * 1_000_000,
            provider: "messenger".into(),
            account: "1029".into(),
            recipient: recipient.to_owned().into(),
            correlation: correlation.map(|value| value.to_owned().into()),
            text: "hi \u{1F600}\n".into(),
            attachments: Vec::new(),
            status: Some(200),
            accepted,
            code: None,
        }
    }

    #[test]
    fn a_correlation_value_is_taken_apart_from_its_end() {
        let parsed = Correlation::parse("7f:3a:42:1:0").unwrap();
        assert_eq!(parsed, Correlation { broadcast: "7f:3a", seq: 42, attempt: 1, part: "0" });
        for other in ["", "7f3a", "7f3a:42:1", "7f3a:x:1:0"] {
            assert_eq!(Correlation::parse(other), None, "{other}");
        }
    }

    #[test]
    fn attempts_of_one_part_are_one_delivery() {
        let lines = [
            line(0, "a", Some("b:1:1:0"), true),
            line(1, "a", Some("b:1:2:0"), true),
            line(2, "a", Some("b:1:2:1"), true),
            line(3, "a", Some("c:1:1:0"), true),
            line(4, "d", Some("b:2:1:0"), false),
            line(5, "e", None, true),
        ];
        assert_eq!(accepted_twice(&lines), [Delivery { broadcast: "b", recipient: "a", part: "0", kind: "" }]);
        assert_eq!(accepted(&lines).len(), 4);
        assert_eq!(requests(&lines).len(), 5);
    }

    #[test]
    fn parts_without_a_correlation_value_are_told_apart_by_what_they_are_sent_as_and_what_that_is() {
        let of = |attachment: &'static str| Delivery::of("a", None, Some(attachment));
        let link = "https://a.example/1.png";
        assert_eq!(
            of("photo https://a.example/1.png"),
            Delivery { broadcast: "", recipient: "a", part: link, kind: "photo" }
        );
        assert_ne!(of("photo https://a.example/1.png"), of("document https://a.example/1.png"));
        for other_name in ["photo kept:7 https://a.example/1.png", "photo gone:6 https://a.example/1.png"] {
            assert_eq!(of(other_name), of("photo https://a.example/1.png"), "{other_name}");
        }
        assert_eq!(of("image kept:7 image/png,3,a b.png").part, "image/png,3,a b.png");
        assert_eq!(Delivery::of("a", None, None).part, "0");
    }

    #[test]
    fn windows_slide_and_are_half_open() {
        let times = [0, 400, 999, 1000, 1399, 5000, 14_999];
        let lines: Vec<_> = times.iter().rev().map(|millis| line(*millis, "a", None, true)).collect();
        assert_eq!(worst_second(&lines), 4);
        assert_eq!(worst_ten_seconds(&lines), 6);
        assert_eq!(worst_window(&[], Duration::from_secs(1)), 0);
    }

    #[test]
    fn a_record_is_read_back_and_an_unfinished_line_is_left_out() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let lines = vec![line(1, "a", Some("b:1:1:0"), true), line(2, "b", None, false)];
        for line in &lines {
            writeln!(file, "{}", serde_json::to_string(line).unwrap()).unwrap();
        }
        write!(file, "{{\"time_ns\":3").unwrap();
        assert_eq!(read(file.path()).unwrap(), lines);
        writeln!(file).unwrap();
        let error = read(file.path()).unwrap_err();
        assert!(matches!(error, RecordError::Line { line: 3, .. }), "{error}");
        assert!(matches!(read(Path::new("/nonexistent/record")), Err(RecordError::Read { .. })));
    }
}
