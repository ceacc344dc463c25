//! Rows of a table: RFC 4180 with a header row.
//!
//! The parser is our own because the usual ones take a quote left open as the rest of the file, in one value: the
//! people in it would be skipped silently. Here it is refused by the line of the quote.

use std::collections::BTreeMap;

use super::lines::{Lines, MAX_ROW_BYTES, split_end, too_long};
use super::place::{Refusal, RowError, Spot};
use super::recipient::{
    ID, KnownColumns, MAX_VARIABLES, Recipient, canonical_id, check_cell, check_name, too_many_variables,
};
use super::record::Record;
use crate::delivery::plural::counted;

/// The separators of other programs, by which a file is recognised that is not separated by commas.
const FOREIGN_SEPARATORS: [(char, &str); 3] = [(';', "\";\""), ('\t', "tabs"), ('|', "\"|\"")];

/// The recipients of a CSV source.
pub(super) struct CsvRows {
    lines: Lines,
    columns: KnownColumns,
    header: Option<Header>,
    record: Record,
    /// The source ended, or an error left no way to tell where the next row starts.
    done: bool,
}

/// The names of the columns.
struct Header {
    names: Vec<String>,
    id: usize,
}

impl CsvRows {
    pub(super) fn new(lines: Lines) -> CsvRows {
        CsvRows::knowing(lines, KnownColumns::default())
    }

    /// Where something is known of its columns.
    pub(super) fn knowing(lines: Lines, columns: KnownColumns) -> CsvRows {
        CsvRows { lines, columns, header: None, record: Record::default(), done: false }
    }

    fn end(&mut self, error: RowError) -> Option<Result<Recipient, RowError>> {
        self.done = true;
        Some(Err(error))
    }

    fn read_header(&mut self) -> Result<(), RowError> {
        let Some(line) = read_record(&mut self.lines, &mut self.record)? else {
            let problem = "the file is empty";
            let remedy = "begin it with a header row such as id,first_name";
            return Err(Refusal::new(Spot::Row, problem, remedy).at(self.lines.place(1)));
        };
        let header =
            Header::accept(&self.record, self.columns).map_err(|refusal| refusal.at(self.lines.place(line)))?;
        self.header = Some(header);
        Ok(())
    }
}

impl Iterator for CsvRows {
    type Item = Result<Recipient, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.header.is_none()
            && let Err(error) = self.read_header()
        {
            return self.end(error);
        }
        let line = match read_record(&mut self.lines, &mut self.record) {
            Err(error) => return self.end(error),
            Ok(None) => {
                self.done = true;
                return None;
            }
            Ok(Some(line)) => line,
        };
        let header = self.header.as_ref()?;
        let place = self.lines.place(line);
        Some(match header.recipient(&self.record, self.columns) {
            Ok((id, vars)) => Ok(Recipient { id, vars, place }),
            Err(refusal) => Err(refusal.at(place)),
        })
    }
}

impl Header {
    fn accept(record: &Record, columns: KnownColumns) -> Result<Header, Refusal> {
        let names: Vec<String> = record.cells().map(str::to_owned).collect();
        refuse_foreign_separator(&names)?;
        let is_there = |known: &str| names.iter().any(|name| name == known);
        for (index, name) in names.iter().enumerate() {
            columns.check_spelling(name, is_there, || Spot::Column { number: index + 1, name: None })?;
            check_name(name, Spot::Column { number: index + 1, name: None })?;
        }
        for (index, name) in names.iter().enumerate() {
            if let Some(first) = names[..index].iter().position(|earlier| earlier == name) {
                return Err(Refusal::new(
                    Spot::Column { number: index + 1, name: Some(name.clone()) },
                    format!("column {} has the same name", first + 1),
                    "rename or remove one of the two",
                ));
            }
        }
        let variables = names.iter().filter(|name| !columns.is_beside(name)).count().saturating_sub(1);
        if variables > MAX_VARIABLES {
            return Err(too_many_variables(variables));
        }
        let Some(id) = names.iter().position(|name| name == ID) else {
            let remedy = match names.iter().find(|name| name.eq_ignore_ascii_case(ID)) {
                Some(name) => format!("rename column {name} to id"),
                None => "rename the column with the recipients' ids at the provider to `id`".to_owned(),
            };
            return Err(Refusal::new(Spot::Row, "the header has no column `id`", remedy));
        };
        Ok(Header { names, id })
    }

    fn recipient(&self, record: &Record, columns: KnownColumns) -> Result<(String, BTreeMap<String, String>), Refusal> {
        let count = record.count();
        if count != self.names.len() {
            let fields = counted(count, "field", "fields");
            let problem = format!("the row has {fields}, the header has {}", self.names.len());
            let remedy = if count > self.names.len() {
                "put fields that contain a comma between double quotes"
            } else {
                "give every row as many fields as the header; a field may be empty"
            };
            return Err(Refusal::new(Spot::Row, problem, remedy));
        }
        let mut id = String::new();
        let mut vars = BTreeMap::new();
        for (index, (name, value)) in self.names.iter().zip(record.cells()).enumerate() {
            let spot = || Spot::Column { number: index + 1, name: Some(name.clone()) };
            if index == self.id {
                id = canonical_id(value)
                    .map_err(|error| Refusal::new(spot(), error.to_string(), error.remedy()))?
                    .to_owned();
            } else if !value.is_empty() {
                check_cell(name, value, columns).map_err(|(problem, remedy)| Refusal::new(spot(), problem, remedy))?;
                vars.insert(name.clone(), value.to_owned());
            }
        }
        Ok((id, vars))
    }
}

/// Recognises a file that another program wrote with its own separator or line ends.
fn refuse_foreign_separator(names: &[String]) -> Result<(), Refusal> {
    for (index, name) in names.iter().enumerate() {
        let spot = Spot::Column { number: index + 1, name: None };
        if name.contains('\r') {
            let problem = "the lines of the file end in CR alone";
            return Err(Refusal::new(spot, problem, "save the file with line ends LF or CRLF"));
        }
        for (separator, shown) in FOREIGN_SEPARATORS {
            if name.contains(separator) {
                let problem = format!("the columns seem to be separated by {shown}");
                return Err(Refusal::new(spot, problem, "save the file with commas between the columns"));
            }
        }
    }
    Ok(())
}

/// Reads the next row that is not blank into `record` and gives the line it starts at; None at the end.
fn read_record(lines: &mut Lines, record: &mut Record) -> Result<Option<u64>, RowError> {
    record.clear();
    let mut start = None;
    loop {
        let number = lines.number() + 1;
        let Some(line) = lines.next_line()? else {
            let Some(opened) = record.open_quote else { return Ok(None) };
            let problem = "the quote opened in this line is never closed";
            let remedy = "close it, and double every quote that is part of a value";
            return Err(Refusal::new(Spot::Row, problem, remedy).at(lines.place(opened)));
        };
        let (body, end) = split_end(line);
        if start.is_none() && body.is_empty() {
            continue;
        }
        let start = *start.get_or_insert(number);
        if record.feed(body, end, number).map_err(|refusal| refusal.at(lines.place(number)))? {
            return Ok(Some(start));
        }
        if record.text.len() > MAX_ROW_BYTES {
            return Err(too_long().at(lines.place(start)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use proptest::prelude::*;

    use super::*;

    fn rows(input: impl Into<Vec<u8>>) -> Vec<Result<Recipient, String>> {
        CsvRows::new(Lines::new("people.csv", Box::new(Cursor::new(input.into()))))
            .map(|row| row.map_err(|error| error.to_string()))
            .collect()
    }

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn rows_become_recipients_with_their_places() {
        let rows: Vec<Recipient> = rows(
            "\u{feff}first_name,id,city\r\nAna, 24005550001 ,\"Portland, OR\"\r\n\r\n,2,\"say \"\"hi\"\"\nthere\"\n\"\",3,\n",
        )
        .into_iter()
        .map(Result::unwrap)
        .collect();
        let seen: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.vars.clone(), row.place.to_string())).collect();
        assert_eq!(
            seen,
            vec![
                (
                    "24005550001",
                    vars(&[("first_name", "Ana"), ("city", "Portland, OR")]),
                    "people.csv line 2".to_owned()
                ),
                ("2", vars(&[("city", "say \"hi\"\nthere")]), "people.csv line 4".to_owned()),
                ("3", vars(&[]), "people.csv line 6".to_owned()),
            ]
        );
    }

    #[test]
    fn a_file_may_lack_its_last_line_end_and_have_no_rows() {
        assert_eq!(rows("id,city\n1,Kyiv")[0].as_ref().unwrap().vars, vars(&[("city", "Kyiv")]));
        assert_eq!(rows("id\n1\r")[0].as_ref().unwrap().id, "1");
        assert!(rows("id,first_name\n").is_empty());
    }

    #[test]
    fn a_quote_inside_a_plain_field_is_a_quote() {
        assert_eq!(rows("id,note\n1,5\" pipe")[0].as_ref().unwrap().vars, vars(&[("note", "5\" pipe")]));
    }

    #[test]
    fn a_file_is_refused_for_its_header_with_place_and_remedy() {
        let wide = format!("id,{}\n", (0..=MAX_VARIABLES).map(|n| format!("v{n}")).collect::<Vec<_>>().join(","));
        let cases = [
            ("", "people.csv line 1: the file is empty; begin it with a header row such as id,first_name"),
            ("\n\r\n", "people.csv line 1: the file is empty; begin it with a header row such as id,first_name"),
            (
                "first_name\nAna\n",
                "people.csv line 1: the header has no column `id`; rename the column with the recipients' ids at the \
                 provider to `id`",
            ),
            ("ID,first_name\n", "people.csv line 1: the header has no column `id`; rename column ID to id"),
            (
                "id,first name\n",
                "people.csv line 1, column 2: the name \"first name\" has other characters than letters, digits and \
                 _; rename it, for example to first_name",
            ),
            (
                "24005550001,Ana\n24005550002,Bo\n",
                "people.csv line 1, column 1: a name starts with a letter or _ and has only letters, digits and _; \
                 rename it; if the first row is a recipient, put a header row such as id,first_name above it",
            ),
            (
                "id,\n",
                "people.csv line 1, column 2: the name is empty; give it a name such as first_name, or remove it",
            ),
            (
                "\nid,city,city\n",
                "people.csv line 2, column 3 (city): column 2 has the same name; rename or remove one of the two",
            ),
            (
                "id;first_name\n1;Ana\n",
                "people.csv line 1, column 1: the columns seem to be separated by \";\"; save the file with commas \
                 between the columns",
            ),
            (
                "id\tfirst_name\n",
                "people.csv line 1, column 1: the columns seem to be separated by tabs; save the file with commas \
                 between the columns",
            ),
            (
                "id,first_name\r1,Ana\r",
                "people.csv line 1, column 2: the lines of the file end in CR alone; save the file with line ends LF \
                 or CRLF",
            ),
            (
                &wide,
                "people.csv line 1: there are 33 variables beside id, at most 32 are taken; remove those the message \
                 does not use",
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(rows(input), vec![Err(expected.to_owned())], "{input:?}");
        }
    }

    #[test]
    fn a_row_is_refused_with_place_and_remedy_and_the_next_one_is_read() {
        let long = "x".repeat(5_000);
        let cases = [
            (
                "1,Ana,Kyiv,x".to_owned(),
                "people.csv line 2: the row has 4 fields, the header has 3; put fields that contain a comma between \
                 double quotes",
            ),
            (
                "1".to_owned(),
                "people.csv line 2: the row has 1 field, the header has 3; give every row as many fields as the \
                 header; a field may be empty",
            ),
            (
                " ,Ana,Kyiv".to_owned(),
                "people.csv line 2, column 1 (id): the id is empty; give every row the recipient's id at the \
                 provider, or remove the row",
            ),
            (
                format!("{},Ana,Kyiv", "9".repeat(300)),
                "people.csv line 2, column 1 (id): the id has 300 characters, at most 256 are taken; check that the \
                 id stands alone in its place",
            ),
            (
                format!("1,Ana,{long}"),
                "people.csv line 2, column 3 (city): the value has 5000 characters, at most 4096 are taken; shorten \
                 it, and check that no quote is left open",
            ),
        ];
        for (row, expected) in cases {
            let rows = rows(format!("id,first_name,city\n{row}\n7,Bo,Oslo\n"));
            assert_eq!(rows[0], Err(expected.to_owned()));
            assert_eq!(rows[1].as_ref().unwrap().id, "7");
            assert_eq!(rows.len(), 2);
        }
    }

    #[test]
    fn where_rows_cannot_be_told_apart_any_more_the_source_ends() {
        let cases: [(&[u8], &str); 3] = [
            (
                b"id,city\n1,\"Kyiv\n2,Oslo\n",
                "people.csv line 2: the quote opened in this line is never closed; close it, and double every quote \
                 that is part of a value",
            ),
            (
                b"id,city\n1,\"\xc3\xbc\nKyiv\" (old)\n2,Oslo\n",
                "people.csv line 3, character 6: there is text after the closing quote of a field; double every \
                 quote that is part of a value",
            ),
            (
                b"id,city\n1,K\xf6ln\n2,Oslo\n",
                "people.csv line 2, character 4: the text is not UTF-8; save the file with the encoding UTF-8",
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(rows(input), vec![Err(expected.to_owned())]);
        }
    }

    #[test]
    fn a_quote_left_open_in_an_endless_file_is_refused_in_bounded_memory() {
        let input = b"id,city\n1,\"".chain(LinesForEver);
        let mut rows = CsvRows::new(Lines::new("people.csv", Box::new(input)));
        let error = rows.next().unwrap().unwrap_err().to_string();
        assert_eq!(
            error,
            "people.csv line 2: the row is longer than 1048576 bytes; check that no quote is left open and that lines \
             end in LF or CRLF"
        );
        assert!(rows.record.text.capacity() <= 4 * MAX_ROW_BYTES);
        assert!(rows.next().is_none());
    }

    struct LinesForEver;

    impl Read for LinesForEver {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            for (index, byte) in buffer.iter_mut().enumerate() {
                *byte = if index % 20 == 19 { b'\n' } else { b'x' };
            }
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_value_never_shows_in_a_refusal() {
        for input in ["id\n240055\x0100\n", "id,city\n24005500,a,b\n", "id,city\n24005500,\"a\"b\n"] {
            let error = rows(input)[0].clone().unwrap_err();
            assert!(!error.contains("2400"), "{error}");
        }
    }

    fn values() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[a-z ,;\"\r\n\tü🎉]{0,12}").unwrap()
    }

    proptest! {
        #[test]
        fn what_another_program_writes_is_read_back(
            table in prop::collection::vec(("[0-9]{1,16}", values(), values()), 0..20),
            crlf in any::<bool>(),
        ) {
            let terminator = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
            let mut writer = ::csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
            writer.write_record(["first_name", "id", "city"]).unwrap();
            for (id, first_name, city) in &table {
                writer.write_record([first_name, id, city]).unwrap();
            }
            let seen = rows(writer.into_inner().unwrap());
            prop_assert_eq!(seen.len(), table.len());
            for (row, (id, first_name, city)) in seen.into_iter().zip(&table) {
                let row = row.unwrap();
                let mut expected = vars(&[("first_name", first_name), ("city", city)]);
                expected.retain(|_, value| !value.is_empty());
                prop_assert_eq!(&row.id, id);
                prop_assert_eq!(row.vars, expected);
            }
        }

        #[test]
        fn no_input_makes_the_reader_panic_or_run_on(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let lines = input.iter().filter(|byte| **byte == b'\n').count();
            prop_assert!(rows(input).len() <= lines + 1);
        }
    }
}
