//! Where a row stands, and why it was refused.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Where a row stands: shown as `people.csv line 12` or `spec.audience.recipients[3]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the source as a person knows it, e.g. `people.csv`.
    pub source: Arc<str>,
    pub position: Position,
}

/// The position of a row in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The line a row starts at, counted from 1; a header is a line too.
    Line(u64),
    /// The index in a list, counted from 0.
    Item(usize),
    /// The row of a query's answer, counted from 1.
    Row(u64),
}

impl Place {
    pub fn line(source: Arc<str>, line: u64) -> Place {
        Place { source, position: Position::Line(line) }
    }

    pub fn row(source: Arc<str>, row: u64) -> Place {
        Place { source, position: Position::Row(row) }
    }

    pub fn item(source: Arc<str>, index: usize) -> Place {
        Place { source, position: Position::Item(index) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Position::Line(line) => write!(f, "{} line {line}", self.source),
            Position::Item(index) => write!(f, "{}[{index}]", self.source),
            Position::Row(row) => write!(f, "{} row {row}", self.source),
        }
    }
}

/// Which part of a row is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The row as a whole.
    Row,
    /// A column of a table, counted from 1, with its name where the header has given one.
    Column { number: usize, name: Option<String> },
    /// A character of the line, counted from 1.
    Character(usize),
    /// A field of an object.
    Field(String),
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spot::Row => Ok(()),
            Spot::Column { number, name: None } => write!(f, ", column {number}"),
            Spot::Column { number, name: Some(name) } => write!(f, ", column {number} ({name})"),
            Spot::Character(number) => write!(f, ", character {number}"),
            Spot::Field(name) => write!(f, ", field {name}"),
        }
    }
}

/// A row, or a source from this row on, was refused. One line when shown; it never holds the recipient's id or the
/// value that was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}{spot}: {problem}; {remedy}")]
pub struct RowError {
    pub place: Place,
    pub spot: Spot,
    pub problem: String,
    /// What to do about it.
    pub remedy: Cow<'static, str>,
}

/// A refusal of which the place is not known yet.
#[derive(Debug)]
pub(super) struct Refusal {
    pub spot: Spot,
    pub problem: String,
    pub remedy: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(spot: Spot, problem: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { spot, problem: problem.into(), remedy: remedy.into() }
    }

    pub(super) fn at(self, place: Place) -> RowError {
        RowError { place, spot: self.spot, problem: self.problem, remedy: self.remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_place_spot_problem_and_remedy_in_one_line() {
        let source: Arc<str> = "people.csv".into();
        let cases = [
            (Place::line(source.clone(), 12), Spot::Row, "people.csv line 12: broken; mend it"),
            (
                Place::line(source.clone(), 1),
                Spot::Column { number: 3, name: None },
                "people.csv line 1, column 3: broken; mend it",
            ),
            (
                Place::line(source.clone(), 2),
                Spot::Column { number: 3, name: Some("city".into()) },
                "people.csv line 2, column 3 (city): broken; mend it",
            ),
            (Place::line(source, 9), Spot::Character(7), "people.csv line 9, character 7: broken; mend it"),
            (
                Place::item("spec.audience.recipients".into(), 3),
                Spot::Field("id".into()),
                "spec.audience.recipients[3], field id: broken; mend it",
            ),
        ];
        for (place, spot, expected) in cases {
            assert_eq!(Refusal::new(spot, "broken", "mend it").at(place).to_string(), expected);
        }
    }
}
