//! How the Graph API names errors, and which row of a table speaks for one. Code and subcode decide; texts change and are
//! never matched on, and the HTTP status is no guide (190 was recorded with 400, 4 with 403).

use crate::provider::error_table::{ErrorClass, ErrorRow};

pub use crate::provider::error_table::row;

/// Which codes a row speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Exactly this code.
    One(i64),
    /// From the first to the last code, both included.
    Range(i64, i64),
    /// Every code: the row's subcode alone decides.
    Any,
}

/// Which errors a row speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// `error.code`.
    pub codes: Codes,
    /// `error.error_subcode`; `None` speaks for every subcode that has no row of its own.
    pub subcode: Option<i64>,
    /// `error.type`, where one code means two things; `None` speaks for every type.
    pub error_type: Option<&'static str>,
}

/// One row of a table.
pub type GraphErrorRow = ErrorRow<GraphError>;

/// A limit whose wait Graph names in a header, if at all.
pub const THROTTLED: ErrorClass = ErrorClass::Throttled { wait_ms: None };

/// The type of errors about the object in the path and about the call as such, not about its parameters.
pub const METHOD_EXCEPTION: Option<&str> = Some("GraphMethodException");

/// A row for a code, whatever its subcode.
pub const fn code(code: i64, class: ErrorClass, reason: &'static str, source: &'static str) -> GraphErrorRow {
    row(GraphError { codes: Codes::One(code), subcode: None, error_type: None }, class, reason, source)
}

/// A row for a code with a subcode.
pub const fn subcode(
    code: i64,
    subcode: i64,
    class: ErrorClass,
    reason: &'static str,
    source: &'static str,
) -> GraphErrorRow {
    row(GraphError { codes: Codes::One(code), subcode: Some(subcode), error_type: None }, class, reason, source)
}

/// Finds the row of an error: code with subcode first, then the subcode alone, then the code, then its range; of two
/// rows that fit alike the one that names the type.
pub fn find(
    table: &'static [GraphErrorRow],
    code: i64,
    subcode: Option<i64>,
    error_type: Option<&str>,
) -> Option<&'static GraphErrorRow> {
    table
        .iter()
        .filter_map(|row| row.error.closeness(code, subcode, error_type).map(|closeness| (closeness, row)))
        .max_by_key(|(closeness, _)| *closeness)
        .map(|(_, row)| row)
}

impl GraphError {
    /// How closely it fits, higher is closer; `None` when it does not fit.
    fn closeness(&self, code: i64, subcode: Option<i64>, error_type: Option<&str>) -> Option<(u8, u8, u8)> {
        let code_fits = match self.codes {
            Codes::One(one) if one == code => 2,
            Codes::Range(first, last) if (first..=last).contains(&code) => 1,
            Codes::Any => 0,
            _ => return None,
        };
        let subcode_fits = match self.subcode {
            Some(own) if Some(own) == subcode => 1,
            Some(_) => return None,
            None => 0,
        };
        let type_fits = match self.error_type {
            Some(own) if Some(own) == error_type => 1,
            Some(_) => return None,
            None => 0,
        };
        Some((subcode_fits, code_fits, type_fits))
    }
}
