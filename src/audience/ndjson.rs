//! Rows of a file with one flat JSON object a line.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lines::{Lines, split_end};
use super::place::{Place, Refusal, RowError, Spot};
use super::recipient::{
    ID, KnownColumns, MAX_VARIABLES, Recipient, canonical_id, check_cell, check_name, too_many_variables,
};

/// What a row is called, and how one is written.
struct Form {
    what: &'static str,
    remedy: &'static str,
}

const LINE: Form =
    Form { what: "line", remedy: r#"write one object a line, such as {"id": "24005550001", "first_name": "Ana"}"# };
const ITEM: Form =
    Form { what: "item", remedy: r#"let the list hold objects such as {"id": "24005550001", "first_name": "Ana"}"# };

/// The recipient that an item of a JSON list stands for, by the rules for a line.
pub(super) fn item(value: &RawValue, place: Place) -> Result<Recipient, RowError> {
    match accept(value.get(), &ITEM, KnownColumns::default()) {
        Ok((id, vars)) => Ok(Recipient { id, vars, place }),
        Err(refusal) => Err(refusal.at(place)),
    }
}

/// The recipients of an NDJSON source.
pub(super) struct NdjsonRows {
    lines: Lines,
    columns: KnownColumns,
    /// The source ended, or an error left no way to tell where the next row starts.
    done: bool,
}

impl NdjsonRows {
    pub(super) fn new(lines: Lines) -> NdjsonRows {
        NdjsonRows::knowing(lines, KnownColumns::default())
    }

    /// Where something is known of its fields.
    pub(super) fn knowing(lines: Lines, columns: KnownColumns) -> NdjsonRows {
        NdjsonRows { lines, columns, done: false }
    }
}

impl Iterator for NdjsonRows {
    type Item = Result<Recipient, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let line = match self.lines.next_line() {
                Ok(Some(line)) => split_end(line).0,
                Ok(None) => {
                    self.done = true;
                    return None;
                }
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            };
            if line.trim().is_empty() {
                continue;
            }
            let accepted = accept(line, &LINE, self.columns);
            let place = self.lines.place(self.lines.number());
            return Some(match accepted {
                Ok((id, vars)) => Ok(Recipient { id, vars, place }),
                Err(refusal) => Err(refusal.at(place)),
            });
        }
        None
    }
}

/// The fields of one object as they are written, so that numbers keep every digit.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

fn accept(row: &str, form: &Form, columns: KnownColumns) -> Result<(String, BTreeMap<String, String>), Refusal> {
    // Checked here because serde_json's own words would show the value.
    if !row.trim_start().starts_with('{') {
        return Err(Refusal::new(Spot::Row, format!("the {} is not a JSON object", form.what), form.remedy));
    }
    let Fields(fields) = serde_json::from_str(row).map_err(|error| not_json(row, &error))?;
    check_spelling(&fields, columns)?;
    let mut id = None;
    let mut vars = BTreeMap::new();
    let mut id_in_capitals = None;
    for (name, value) in fields {
        let spot = || Spot::Field(name.clone());
        if name != ID && name.eq_ignore_ascii_case(ID) {
            id_in_capitals = Some(name.clone());
        }
        check_name(&name, Spot::Row)?;
        if vars.contains_key(&name) || (name == ID && id.is_some()) {
            return Err(Refusal::new(spot(), "the field is there twice", "remove one of the two"));
        }
        let Some(text) = text_of(value, spot)? else { continue };
        if name == ID {
            if is_rounded_number(value) {
                let problem = "the id is a number with a fraction or an exponent";
                return Err(Refusal::new(spot(), problem, "write the id between double quotes"));
            }
            id = Some(text);
        } else if !text.is_empty() {
            check_cell(&name, &text, columns).map_err(|(problem, remedy)| Refusal::new(spot(), problem, remedy))?;
            vars.insert(name, text);
        }
    }
    let Some(id) = id else {
        let remedy = id_in_capitals.map_or(form.remedy.into(), |name| format!("rename {name} to id").into());
        return Err(Refusal { spot: Spot::Row, problem: "the object has no field `id`".to_owned(), remedy });
    };
    let id = canonical_id(&id)
        .map_err(|error| Refusal::new(Spot::Field(ID.to_owned()), error.to_string(), error.remedy()))?
        .to_owned();
    let variables = vars.keys().filter(|name| !columns.is_beside(name)).count();
    if variables > MAX_VARIABLES {
        return Err(too_many_variables(variables));
    }
    Ok((id, vars))
}

/// A field that is there counts, whatever it holds: with `null` somebody says that it is not misspelt.
fn check_spelling(fields: &[(String, &RawValue)], columns: KnownColumns) -> Result<(), Refusal> {
    if columns.spelled.is_empty() {
        return Ok(());
    }
    let is_there = |known: &str| fields.iter().any(|(name, _)| name == known);
    fields.iter().try_for_each(|(name, _)| columns.check_spelling(name, is_there, || Spot::Row))
}

/// The text of a flat value: None for null.
fn text_of(value: &RawValue, spot: impl Fn() -> Spot) -> Result<Option<String>, Refusal> {
    let written = value.get();
    match written.as_bytes().first() {
        Some(b'{' | b'[') => Err(Refusal::new(
            spot(),
            "the value is an object or a list",
            "give each variable a field of its own, with a text, a number, true, false or null",
        )),
        Some(b'"') => serde_json::from_str(written).map(Some).map_err(|_| {
            Refusal::new(spot(), "the text has an escape that is not a character", "write it as UTF-8 or \\uXXXX pairs")
        }),
        Some(b'n') => Ok(None),
        _ => Ok(Some(written.to_owned())),
    }
}

/// Whether a value is a number that went through floating point somewhere, and may have lost digits on the way.
fn is_rounded_number(value: &RawValue) -> bool {
    let written = value.get();
    written.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && written.contains(['.', 'e', 'E'])
}

fn not_json(line: &str, error: &serde_json::Error) -> Refusal {
    let shown = error.to_string();
    let problem = shown.split(" at line ").next().unwrap_or_default();
    let before = error.column().saturating_sub(1);
    let character = line.char_indices().take_while(|(index, _)| *index < before).count() + 1;
    Refusal::new(Spot::Character(character), format!("the line is not JSON: {problem}"), LINE.remedy)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn rows(input: impl Into<Vec<u8>>) -> Vec<Result<Recipient, String>> {
        NdjsonRows::new(Lines::new("people.ndjson", Box::new(Cursor::new(input.into()))))
            .map(|row| row.map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn flat_objects_become_recipients() {
        let input = "\u{feff}{\"id\": \" 24005550001 \", \"first_name\": \"Ana\\n\\u00fc\"}\r\n\n  \n\
                     {\"id\": 240055500012400555000, \"price\": 9.90, \"vip\": true, \"city\": null, \"note\": \"\"}";
        let rows = rows(input);
        let first = rows[0].as_ref().unwrap();
        assert_eq!(first.id, "24005550001");
        assert_eq!(first.vars, BTreeMap::from([("first_name".to_owned(), "Ana\nü".to_owned())]));
        assert_eq!(first.place.to_string(), "people.ndjson line 1");
        let second = rows[1].as_ref().unwrap();
        assert_eq!(second.id, "240055500012400555000", "a long number keeps every digit");
        assert_eq!(
            second.vars,
            BTreeMap::from([("price".to_owned(), "9.90".to_owned()), ("vip".to_owned(), "true".to_owned())])
        );
        assert_eq!(second.place.to_string(), "people.ndjson line 4");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn a_row_is_refused_with_place_and_remedy_and_the_next_one_is_read() {
        let many = (0..=MAX_VARIABLES).map(|n| format!("\"v{n}\": 1")).collect::<Vec<_>>().join(",");
        let example = "write one object a line, such as {\"id\": \"24005550001\", \"first_name\": \"Ana\"}";
        let cases = [
            ("24005550001".to_owned(), format!(": the line is not a JSON object; {example}")),
            ("[1]".to_owned(), format!(": the line is not a JSON object; {example}")),
            (
                "{\"id\": \"ü\" \"city\": 1}".to_owned(),
                format!(", character 12: the line is not JSON: expected `,` or `}}`; {example}"),
            ),
            (
                "{\"id\": \"1\"".to_owned(),
                format!(", character 10: the line is not JSON: EOF while parsing an object; {example}"),
            ),
            ("{\"first_name\": \"Ana\"}".to_owned(), format!(": the object has no field `id`; {example}")),
            ("{\"ID\": 1}".to_owned(), ": the object has no field `id`; rename ID to id".to_owned()),
            ("{\"id\": null}".to_owned(), format!(": the object has no field `id`; {example}")),
            (
                "{\"id\": \" \"}".to_owned(),
                ", field id: the id is empty; give every row the recipient's id at the provider, or remove the row"
                    .to_owned(),
            ),
            (
                "{\"id\": 2.4005e10}".to_owned(),
                ", field id: the id is a number with a fraction or an exponent; write the id between double quotes"
                    .to_owned(),
            ),
            (
                "{\"id\": 1, \"tags\": [\"a\"]}".to_owned(),
                ", field tags: the value is an object or a list; give each variable a field of its own, with a text, \
                 a number, true, false or null"
                    .to_owned(),
            ),
            (
                "{\"id\": 1, \"city\": \"a\", \"city\": \"b\"}".to_owned(),
                ", field city: the field is there twice; remove one of the two".to_owned(),
            ),
            (
                "{\"id\": 1, \"id\": 2}".to_owned(),
                ", field id: the field is there twice; remove one of the two".to_owned(),
            ),
            (
                "{\"id\": 1, \"first-name\": \"a\"}".to_owned(),
                ": the name \"first-name\" has other characters than letters, digits and _; rename it, for example to \
                 first_name"
                    .to_owned(),
            ),
            (
                format!("{{\"id\": 1, \"note\": \"{}\"}}", "x".repeat(5_000)),
                ", field note: the value has 5000 characters, at most 4096 are taken; shorten it, and check that no \
                 quote is left open"
                    .to_owned(),
            ),
            (
                "{\"id\": 1, \"note\": \"\\ud800\"}".to_owned(),
                ", field note: the text has an escape that is not a character; write it as UTF-8 or \\uXXXX pairs"
                    .to_owned(),
            ),
            (
                format!("{{\"id\": 1, {many}}}"),
                ": there are 33 variables beside id, at most 32 are taken; remove those the message does not use"
                    .to_owned(),
            ),
        ];
        for (row, expected) in cases {
            let rows = rows(format!("{row}\n{{\"id\": 7}}\n"));
            assert_eq!(rows[0], Err(format!("people.ndjson line 1{expected}")));
            assert_eq!(rows[1].as_ref().unwrap().id, "7");
        }
    }

    #[test]
    fn a_file_without_rows_is_an_empty_source() {
        assert!(rows("").is_empty());
        assert!(rows("\n\r\n").is_empty());
    }

    proptest! {
        #[test]
        fn what_another_program_writes_is_read_back(id in "[0-9]{1,16}", city in "\\PC{1,20}") {
            let line = serde_json::json!({"id": id, "city": city}).to_string();
            let row = rows(line).pop().unwrap().unwrap();
            prop_assert_eq!(row.id, id);
            prop_assert_eq!(row.vars, BTreeMap::from([("city".to_owned(), city)]));
        }

        #[test]
        fn no_input_makes_the_reader_panic_or_run_on(input in "[{}\\[\\]\",:a-z0-9\\\\\n ]{0,80}") {
            let lines = input.lines().count();
            prop_assert!(rows(input).len() <= lines);
        }
    }
}
