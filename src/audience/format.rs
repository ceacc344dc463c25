//! How the rows of a file are written, told from its name.

use std::fmt;

/// How the rows of a source are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated with a header row: RFC 4180, UTF-8 with or without BOM, LF or CRLF.
    Csv,
    /// One flat JSON object a line.
    Ndjson,
}

/// The name of a file or key does not tell how its rows are written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the format of \"{key}\" cannot be told from its name; let it end in .csv or .ndjson")]
pub struct FormatError {
    pub key: String,
}

impl Format {
    /// The format named by the ending of a file name or key: `.csv`, or `.ndjson` and its other name `.jsonl`, in
    /// any case.
    pub fn from_key(key: &str) -> Result<Format, FormatError> {
        let ending = key.rsplit_once('.').map_or("", |(_, ending)| ending);
        if ending.eq_ignore_ascii_case("csv") {
            Ok(Format::Csv)
        } else if ending.eq_ignore_ascii_case("ndjson") || ending.eq_ignore_ascii_case("jsonl") {
            Ok(Format::Ndjson)
        } else {
            Err(FormatError { key: key.to_owned() })
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Csv => "CSV",
            Format::Ndjson => "NDJSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_key_tells_the_format() {
        let cases = [
            ("people.csv", Some(Format::Csv)),
            ("PEOPLE.CSV", Some(Format::Csv)),
            ("people.ndjson", Some(Format::Ndjson)),
            ("people.v2.jsonl", Some(Format::Ndjson)),
            ("people.json", None),
            ("people", None),
            ("csv", None),
            ("", None),
        ];
        for (key, expected) in cases {
            assert_eq!(Format::from_key(key).ok(), expected, "{key}");
        }
    }

    #[test]
    fn an_unknown_ending_is_refused_with_the_remedy() {
        let error = Format::from_key("people.txt").unwrap_err().to_string();
        assert_eq!(error, "the format of \"people.txt\" cannot be told from its name; let it end in .csv or .ndjson");
    }
}
