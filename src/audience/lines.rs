//! The lines of a source as text, in bounded memory.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::place::{Place, Refusal, RowError, Spot};
use super::recipient::{MAX_VALUE_CHARACTERS, MAX_VARIABLES};

/// The longest row, in bytes: twice what the variables of one recipient can need (a character of UTF-8 has up to 4
/// bytes, a quoted or escaped one up to 6). It bounds the memory of a reader.
pub const MAX_ROW_BYTES: usize = 8 * MAX_VARIABLES * MAX_VALUE_CHARACTERS;

/// What is read from the source at once.
const READ_BYTES: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Gives the lines of a source one by one, each with its line end, checked to be UTF-8; without the byte order mark.
pub(super) struct Lines {
    source: Arc<str>,
    input: BufReader<Box<dyn Read + Send>>,
    buffer: Vec<u8>,
    /// The number of the line in `buffer`, from 1; 0 before the first.
    number: u64,
}

impl Lines {
    pub(super) fn new(source: &str, input: Box<dyn Read + Send>) -> Lines {
        Lines {
            source: source.into(),
            input: BufReader::with_capacity(READ_BYTES, input),
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// The number of the line read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The place of a line of this source.
    pub(super) fn place(&self, line: u64) -> Place {
        Place::line(self.source.clone(), line)
    }

    /// The next line, or None at the end. After an error the source is of no more use.
    pub(super) fn next_line(&mut self) -> Result<Option<&str>, RowError> {
        self.buffer.clear();
        let read = (&mut self.input).take(MAX_ROW_BYTES as u64 + 1).read_until(b'\n', &mut self.buffer);
        self.number += 1;
        match read {
            Err(error) => {
                return Err(self.refuse(Refusal::new(
                    Spot::Row,
                    format!("failed to read: {error}"),
                    "check that the source is there and readable",
                )));
            }
            Ok(0) => return Ok(None),
            Ok(_) => {}
        }
        if self.buffer.len() > MAX_ROW_BYTES {
            return Err(self.refuse(too_long()));
        }
        if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(line) => Ok(Some(line)),
            Err(error) => Err(self.refuse(not_utf8(&self.buffer, error.valid_up_to(), self.number))),
        }
    }

    fn refuse(&self, refusal: Refusal) -> RowError {
        refusal.at(self.place(self.number))
    }
}

/// What is said of a row beyond [`MAX_ROW_BYTES`].
pub(super) fn too_long() -> Refusal {
    Refusal::new(
        Spot::Row,
        format!("the row is longer than {MAX_ROW_BYTES} bytes"),
        "check that no quote is left open and that lines end in LF or CRLF",
    )
}

fn not_utf8(line: &[u8], valid: usize, number: u64) -> Refusal {
    let characters = line[..valid].iter().filter(|byte| !is_continuation(**byte)).count();
    let utf16 = number == 1 && (line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff"));
    let problem = if utf16 { "the file is UTF-16, not UTF-8" } else { "the text is not UTF-8" };
    Refusal::new(Spot::Character(characters + 1), problem, "save the file with the encoding UTF-8")
}

/// Whether a byte of valid UTF-8 continues a character begun before it.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// A line apart from its end: LF, CRLF, or a CR at the very end of a source.
pub(super) fn split_end(line: &str) -> (&str, &str) {
    let body = line.strip_suffix('\n').unwrap_or(line);
    let body = body.strip_suffix('\r').unwrap_or(body);
    line.split_at(body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(input: &'static [u8]) -> Vec<Result<String, String>> {
        let mut lines = Lines::new("people.csv", Box::new(input));
        let mut seen = Vec::new();
        loop {
            match lines.next_line() {
                Ok(Some(line)) => seen.push(Ok(line.to_owned())),
                Ok(None) => return seen,
                Err(error) => {
                    seen.push(Err(error.to_string()));
                    return seen;
                }
            }
        }
    }

    #[test]
    fn the_byte_order_mark_is_dropped_and_line_ends_are_kept() {
        assert_eq!(
            lines_of(b"\xef\xbb\xbfid\r\n1\n\n2"),
            vec![Ok("id\r\n".into()), Ok("1\n".into()), Ok("\n".into()), Ok("2".into())]
        );
        assert_eq!(split_end("id\r\n"), ("id", "\r\n"));
        assert_eq!(split_end("id"), ("id", ""));
        assert_eq!(split_end("id\r"), ("id", "\r"));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_by_line_and_character() {
        assert_eq!(
            lines_of(b"id,name\n1,\xc3\xbc\xfc\n").pop().unwrap().unwrap_err(),
            "people.csv line 2, character 4: the text is not UTF-8; save the file with the encoding UTF-8"
        );
        assert_eq!(
            lines_of(b"\xff\xfei\0d\0\n\0").pop().unwrap().unwrap_err(),
            "people.csv line 1, character 1: the file is UTF-16, not UTF-8; save the file with the encoding UTF-8"
        );
    }

    #[test]
    fn an_endless_line_is_refused_in_bounded_memory() {
        let mut lines = Lines::new("people.csv", Box::new(std::io::repeat(b'x')));
        let error = lines.next_line().unwrap_err().to_string();
        assert_eq!(
            error,
            "people.csv line 1: the row is longer than 1048576 bytes; check that no quote is left open and that lines \
             end in LF or CRLF"
        );
        assert!(lines.buffer.capacity() <= 4 * MAX_ROW_BYTES);
    }

    #[test]
    fn a_source_that_fails_is_refused_with_its_reason() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("the disk is gone"))
            }
        }
        let error = Lines::new("people.csv", Box::new(Broken)).next_line().unwrap_err().to_string();
        assert_eq!(
            error,
            "people.csv line 1: failed to read: the disk is gone; check that the source is there and readable"
        );
    }
}
