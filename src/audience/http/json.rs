//! A JSON answer as a stream: the objects of its list one after the other, and what it says of the next page.
//!
//! The parser runs through the answer on a thread of its own, so that nothing but the row it is at is in memory, wherever in
//! the answer the list stands.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::audience::lines::MAX_ROW_BYTES;
use crate::audience::ndjson;
use crate::audience::place::{Place, RowError};
use crate::audience::recipient::Recipient;

/// What is read from the answer at once.
const READ_BYTES: usize = 64 * 1024;
/// Rows handed over at once, and the bytes after which fewer are: few hand-overs, bounded memory.
const ROWS_AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 64 * 1024;
/// Groups of rows read ahead of who takes them.
const GROUPS_AHEAD: usize = 1;

type Row = Result<Recipient, RowError>;

/// The recipients of one JSON answer.
pub struct JsonRows {
    groups: Receiver<Vec<Row>>,
    group: std::vec::IntoIter<Row>,
    parser: Option<JoinHandle<Result<Outcome, String>>>,
}

/// What an answer holds beside its rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The text at the pointer to the next page.
    pub next: Option<String>,
    /// There are rows, and nothing that could hold what the pointer to the next page names.
    pub lost_next: bool,
}

/// Where to look in an answer.
#[derive(Clone, Debug, Default)]
pub struct Pointers {
    pub list: Vec<String>,
    pub next: Option<Vec<String>>,
}

/// A pointer apart into its names (RFC 6901).
pub fn pointer(text: &str) -> Vec<String> {
    text.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

impl JsonRows {
    /// `shown` is how places name the list.
    pub fn new(shown: &str, input: impl Read + Send + 'static, pointers: Pointers) -> JsonRows {
        let (sender, groups) = sync_channel(GROUPS_AHEAD);
        let shown: Arc<str> = shown.into();
        let parser = std::thread::spawn(move || parse(shown, input, &pointers, sender));
        JsonRows { groups, group: Vec::new().into_iter(), parser: Some(parser) }
    }

    /// What else the answer held, once all rows are taken. The text says why it is no answer as it should be.
    pub fn finish(&mut self) -> Result<Outcome, String> {
        let Some(parser) = self.parser.take() else { return Ok(Outcome::default()) };
        // A panic has its own words on standard error; what was read is no whole answer.
        parser.join().unwrap_or_else(|_| Err("the answer could not be parsed: a fault of Herald itself".to_owned()))
    }
}

impl Iterator for JsonRows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            if let Some(row) = self.group.next() {
                return Some(row);
            }
            self.group = self.groups.recv().ok()?.into_iter();
        }
    }
}

fn parse(
    shown: Arc<str>,
    input: impl Read,
    pointers: &Pointers,
    sender: SyncSender<Vec<Row>>,
) -> Result<Outcome, String> {
    let budget = Budget::default();
    let input = Bounded { input: BufReader::with_capacity(READ_BYTES, input), budget: budget.clone() };
    let mut found = Found {
        shown,
        budget,
        sender,
        group: Vec::new(),
        group_bytes: 0,
        count: 0,
        list: false,
        next: None,
        holds_next: false,
    };
    let mut json = serde_json::Deserializer::from_reader(input);
    let walk = Walk { list: Some(&pointers.list), next: pointers.next.as_deref(), found: &mut found };
    walk.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| not_json(&error))?;
    if !found.list {
        return Err("the answer has no list where recipientsPointer points".to_owned());
    }
    // Nobody takes rows any more: then nobody asks for the end either.
    let _ = found.hand_over();
    let lost_next = pointers.next.is_some() && !found.holds_next && found.count > 0;
    Ok(Outcome { next: found.next, lost_next })
}

fn not_json(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
        // Of a value that is too long; what else keeps from reading has been told elsewhere.
        serde_json::error::Category::Io => error.to_string(),
        _ => format!("the answer is not JSON: {error}"),
    }
}

/// How many more bytes may be read before the value that is read at is too long.
#[derive(Clone)]
struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Budget {
        Budget(Arc::new(AtomicUsize::new(MAX_ROW_BYTES)))
    }
}

impl Budget {
    fn renew(&self) {
        self.0.store(MAX_ROW_BYTES, Ordering::Relaxed);
    }

    /// What is skipped is not kept, so it may be of any length.
    fn lift(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }
}

/// Ends a value that is too long to be kept.
struct Bounded<R> {
    input: R,
    budget: Budget,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.0.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::other(format!("a name or row is longer than {MAX_ROW_BYTES} bytes")));
        }
        let most = buffer.len().min(left);
        let read = self.input.read(&mut buffer[..most])?;
        if left != usize::MAX {
            self.budget.0.store(left - read, Ordering::Relaxed);
        }
        Ok(read)
    }
}

/// What was found so far.
struct Found {
    shown: Arc<str>,
    budget: Budget,
    sender: SyncSender<Vec<Row>>,
    group: Vec<Row>,
    group_bytes: usize,
    /// Rows of the list.
    count: usize,
    list: bool,
    next: Option<String>,
    /// What could hold the next page is there, with it or without.
    holds_next: bool,
}

impl Found {
    fn row(&mut self, row: &RawValue) -> Result<(), &'static str> {
        let place = Place::item(self.shown.clone(), self.count);
        self.count += 1;
        self.group_bytes += row.get().len();
        self.group.push(ndjson::item(row, place));
        if self.group.len() < ROWS_AT_ONCE && self.group_bytes < BYTES_AT_ONCE {
            return Ok(());
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<(), &'static str> {
        self.group_bytes = 0;
        self.sender.send(std::mem::take(&mut self.group)).map_err(|_| "nobody takes the rows any more")
    }
}

/// Goes through a value; `list` and `next` are what is left of the ways to the list and to the next page, where they lead
/// through this value.
struct Walk<'a> {
    list: Option<&'a [String]>,
    next: Option<&'a [String]>,
    found: &'a mut Found,
}

impl<'a> Walk<'a> {
    /// What is left of a way beyond this member.
    fn beyond<'p>(way: Option<&'p [String]>, member: &str) -> Option<&'p [String]> {
        way.and_then(<[String]>::split_first).filter(|(first, _)| *first == member).map(|(_, rest)| rest)
    }

    /// Whether the way ends with a member of this value.
    fn is_before(way: Option<&[String]>) -> bool {
        way.is_some_and(|way| way.len() == 1)
    }

    fn is_at(way: Option<&[String]>) -> bool {
        way.is_some_and(<[String]>::is_empty)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if Self::is_at(self.next) && self.list.is_none() {
            // As it is written, so that a number keeps every digit.
            let value = Box::<RawValue>::deserialize(deserializer)?;
            self.found.next = next_value(value.get()).map_err(D::Error::custom)?;
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list where recipientsPointer points")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if Self::is_at(self.list) {
            return Err(A::Error::custom("the answer has an object where recipientsPointer points, not a list"));
        }
        let Walk { list, next, found } = self;
        found.holds_next |= Self::is_before(next);
        found.budget.renew();
        while let Some(name) = map.next_key::<String>()? {
            let (list, next) = (Self::beyond(list, &name), Self::beyond(next, &name));
            if list.is_some() || next.is_some() {
                found.budget.renew();
                map.next_value_seed(Walk { list, next, found: &mut *found })?;
            } else {
                found.budget.lift();
                map.next_value::<IgnoredAny>()?;
            }
            found.budget.renew();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Walk { list, next, found } = self;
        found.holds_next |= Self::is_before(next);
        found.budget.renew();
        if Self::is_at(list) {
            found.list = true;
            while let Some(row) = seq.next_element::<Box<RawValue>>()? {
                found.row(&row).map_err(A::Error::custom)?;
                found.budget.renew();
            }
            return Ok(());
        }
        for index in 0_usize.. {
            let name = index.to_string();
            let (list, next) = (Self::beyond(list, &name), Self::beyond(next, &name));
            let on_the_way = list.is_some() || next.is_some();
            let more = if on_the_way {
                found.budget.renew();
                seq.next_element_seed(Walk { list, next, found: &mut *found })?.is_some()
            } else {
                found.budget.lift();
                seq.next_element::<IgnoredAny>()?.is_some()
            };
            found.budget.renew();
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Some servers write a list without items so.
    fn visit_unit<E>(self) -> Result<(), E> {
        self.found.list |= Self::is_at(self.list);
        self.found.holds_next |= self.next.is_some();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }
}

impl Walk<'_> {
    /// Neither way leads on from here; whether a list was found is seen at the end.
    fn scalar<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The text that leads to the next page; `None` where there is none.
fn next_value(written: &str) -> Result<Option<String>, &'static str> {
    match written.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(written).map_err(|_| "the answer's next page is no text")?;
            Ok(Some(text).filter(|text| !text.is_empty()))
        }
        Some(b'n' | b'f') => Ok(None),
        Some(b'{' | b'[' | b't') => Err("the answer has no text or number where nextPage.pointer points"),
        _ => Ok(Some(written.to_owned())),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
