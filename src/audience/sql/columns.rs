//! From the columns of a query to recipients, by the rules that hold for every source.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::audience::place::{Refusal, Spot};
use crate::audience::recipient::{ID, MAX_VARIABLES, canonical_id, check_name, check_variable, too_many_variables};

/// What a column holds, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, or what has one way to be written.
    Plain,
    /// A number that may have been rounded on its way, or that may carry a fraction.
    Number,
    /// A number that was rounded when it was stored.
    Float,
    /// Written `t` and `f`.
    Truth,
    /// JSON, a list, a record, bytes: no one value.
    Nested,
}

/// The columns of a query.
#[derive(Debug)]
pub struct Columns {
    names: Vec<String>,
    kinds: Vec<Kind>,
    id: usize,
}

/// What is said of columns of which none says who is meant.
pub fn no_id() -> Refusal {
    let remedy = "name the column with the recipients' ids so: SELECT … AS id";
    Refusal::new(Spot::Row, "the query has no column id", remedy)
}

/// One value of a row: `None` for NULL.
pub type Cell<'a> = Option<Cow<'a, str>>;

impl Columns {
    /// Accepts the columns of a query.
    pub fn accept(columns: Vec<(String, Kind)>) -> Result<Columns, Refusal> {
        let (names, kinds): (Vec<String>, Vec<Kind>) = columns.into_iter().unzip();
        for (index, name) in names.iter().enumerate() {
            check_name(name, Spot::Column { number: index + 1, name: None })?;
            if let Some(first) = names[..index].iter().position(|earlier| earlier == name) {
                let problem = format!("column {} has the same name", first + 1);
                return Err(Refusal::new(spot(index, name), problem, "name one of the two otherwise, with AS"));
            }
        }
        if names.len() > MAX_VARIABLES + 1 {
            return Err(too_many_variables(names.len() - 1));
        }
        let id = names.iter().position(|name| name == ID).ok_or_else(no_id)?;
        for (index, (name, kind)) in names.iter().zip(&kinds).enumerate() {
            refuse_kind(spot(index, name), *kind, index == id)?;
        }
        Ok(Columns { names, kinds, id })
    }

    /// What a column is called, for a message about it.
    pub fn spot(&self, index: usize) -> Spot {
        self.names.get(index).map_or(Spot::Row, |name| spot(index, name))
    }

    /// Takes a row. `kind` may be known of each value only; else it is that of the column.
    pub fn recipient<'a>(
        &self,
        cells: impl Iterator<Item = (Cell<'a>, Option<Kind>)>,
    ) -> Result<(String, BTreeMap<String, String>), Refusal> {
        let mut id = None;
        let mut vars = BTreeMap::new();
        for (index, (cell, kind)) in cells.enumerate() {
            let (Some(name), Some(of_column)) = (self.names.get(index), self.kinds.get(index)) else { break };
            let kind = kind.unwrap_or(*of_column);
            let Some(text) = cell else { continue };
            let spot = || spot(index, name);
            refuse_kind(spot(), kind, index == self.id)?;
            if index == self.id {
                if kind == Kind::Number && text.contains(['.', 'e', 'E']) {
                    let problem = "the id is a number with a fraction or an exponent";
                    return Err(Refusal::new(spot(), problem, "select it as text, as it was before it was a number"));
                }
                let accepted = canonical_id(&text);
                let accepted = accepted.map_err(|error| Refusal::new(spot(), error.to_string(), error.remedy()))?;
                id = Some(accepted.to_owned());
            } else if !text.is_empty() {
                let text = if kind == Kind::Truth { truth(&text) } else { text };
                check_variable(name, &text).map_err(|(problem, remedy)| Refusal::new(spot(), problem, remedy))?;
                vars.insert(name.clone(), text.into_owned());
            }
        }
        let Some(id) = id else {
            let remedy = "leave such rows out: WHERE … IS NOT NULL";
            return Err(Refusal::new(self.spot(self.id), "the id is NULL", remedy));
        };
        Ok((id, vars))
    }
}

fn spot(index: usize, name: &str) -> Spot {
    Spot::Column { number: index + 1, name: Some(name.to_owned()) }
}

fn refuse_kind(spot: Spot, kind: Kind, is_id: bool) -> Result<(), Refusal> {
    match kind {
        Kind::Nested => {
            let problem = "the value is no single one: JSON, a list, a record or bytes";
            Err(Refusal::new(spot, problem, "select what the message needs of it, as text"))
        }
        Kind::Float if is_id => {
            let problem = "the id is a floating-point number, which does not keep every digit";
            Err(Refusal::new(spot, problem, "keep and select ids as text or whole numbers"))
        }
        Kind::Plain | Kind::Number | Kind::Float | Kind::Truth => Ok(()),
    }
}

/// As JSON writes it.
fn truth(written: &str) -> Cow<'static, str> {
    if written == "t" { "true".into() } else { "false".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(columns: &[(&str, Kind)]) -> Result<Columns, String> {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        Columns::accept(columns).map_err(|refusal| format!("{}: {}; {}", refusal.spot, refusal.problem, refusal.remedy))
    }

    fn row(kinds: &[(&str, Kind)], cells: &[Option<&'static str>]) -> Result<(String, Vec<(String, String)>), String> {
        let cells = cells.iter().map(|cell| (cell.map(Cow::Borrowed), None));
        let row = columns(kinds)?.recipient(cells);
        row.map(|(id, vars)| (id, vars.into_iter().collect()))
            .map_err(|refusal| format!("{}: {}; {}", refusal.spot, refusal.problem, refusal.remedy))
    }

    #[test]
    fn null_and_empty_are_absent_and_the_id_is_trimmed() {
        use Kind::*;
        let kinds = [("first_name", Plain), ("id", Number), ("city", Plain), ("vip", Truth), ("gone", Truth)];
        let seen = row(&kinds, &[None, Some(" 240055500012400555000 "), Some(""), Some("t"), Some("f")]).unwrap();
        let vars = [("gone", "false"), ("vip", "true")];
        assert_eq!(seen.0, "240055500012400555000");
        assert_eq!(seen.1, vars.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn columns_are_refused_by_number_and_name() {
        use Kind::*;
        let names: Vec<String> = (0..=MAX_VARIABLES).map(|number| format!("v{number}")).collect();
        let mut many: Vec<(&str, Kind)> = names.iter().map(|name| (name.as_str(), Plain)).collect();
        many.push(("id", Plain));
        let cases: [(&[(&str, Kind)], &str); 7] = [
            (
                &[("psid", Plain)],
                ": the query has no column id; name the column with the recipients' ids so: SELECT … AS id",
            ),
            (&[("id", Plain), ("a b", Plain)], ", column 2: the name \"a b\" has other characters"),
            (&[("id", Plain), ("?column?", Plain)], ", column 2: the name \"?column?\" has other characters"),
            (&[("id", Plain), ("x", Plain), ("x", Plain)], ", column 3 (x): column 2 has the same name"),
            (&[("id", Float)], ", column 1 (id): the id is a floating-point number"),
            (&[("id", Plain), ("tags", Nested)], ", column 2 (tags): the value is no single one"),
            (&many, ": there are 33 variables beside id"),
        ];
        for (given, expected) in cases {
            let error = columns(given).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn rows_are_refused_without_their_values() {
        use Kind::*;
        let long = "x".repeat(5_000).leak();
        let cases: [(Kind, Option<&'static str>, Option<&'static str>, &str); 5] = [
            (Plain, None, None, ", column 1 (id): the id is NULL; leave such rows out: WHERE … IS NOT NULL"),
            (Plain, Some(" "), None, ", column 1 (id): the id is empty"),
            (Number, Some("1.5"), None, ", column 1 (id): the id is a number with a fraction"),
            (Plain, Some("2400\n"), Some(long), ", column 2 (note): the value has 5000 characters"),
            (Plain, Some("a\u{7}b"), None, ", column 1 (id): the id contains a control character"),
        ];
        for (kind, id, note, expected) in cases {
            let error = row(&[("id", kind), ("note", Plain)], &[id, note]).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("2400"), "{error}");
        }
    }
}
