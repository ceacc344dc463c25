//! One source opened as a stream of recipients.

use std::collections::BTreeMap;
use std::io::Read;

use tokio::runtime::Handle;

use super::csv::CsvRows;
use super::format::{Format, FormatError};
use super::http::HttpRows;
use super::inline::inline;
use super::lines::Lines;
use super::materials::{MaterialError, MaterialKind, Materials};
use super::ndjson::NdjsonRows;
use super::place::RowError;
use super::read_error::ReadError;
use super::recipient::{KnownColumns, Recipient};
use super::source_fault::SourceFault;
use super::sql::SqlRows;
use crate::api::{HttpSource, SqlSource};

/// The recipients of one source in order. After a row that breaks a rule the next one follows, so that a caller can
/// show several; after an error that leaves no way to tell rows apart (not UTF-8, an open quote, a bad header, a
/// failed read) the stream ends.
pub struct Rows(Box<dyn Iterator<Item = Result<Recipient, ReadError>> + Send>);

impl Iterator for Rows {
    type Item = Result<Recipient, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Reads the recipients of a file. `source_name` is how a person knows it, such as `people.csv`; places show it.
/// Memory stays bounded by the longest row, whatever the file's size. Blocks while the input does.
pub fn read(format: Format, source_name: &str, input: impl Read + Send + 'static) -> Rows {
    read_knowing(format, source_name, input, KnownColumns::default())
}

/// As [`read`], where something is known of the columns. Those beside the variables come among them all the same, for the
/// caller to take out.
pub fn read_knowing(
    format: Format,
    source_name: &str,
    input: impl Read + Send + 'static,
    columns: KnownColumns,
) -> Rows {
    let lines = Lines::new(source_name, Box::new(input));
    match format {
        Format::Csv => Rows::of(CsvRows::knowing(lines, columns)),
        Format::Ndjson => Rows::of(NdjsonRows::knowing(lines, columns)),
    }
}

impl Rows {
    /// Rows of a source that is at hand: nothing but a row can be wrong.
    fn of(rows: impl Iterator<Item = Result<Recipient, RowError>> + Send + 'static) -> Rows {
        Rows(Box::new(rows.map(|row| row.map_err(ReadError::Row))))
    }
}

/// Where recipients come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Recipients written in the broadcast: id and variables. `path` is that of the list, such as
    /// `spec.audience.recipients`.
    Inline { path: String, recipients: Vec<(String, BTreeMap<String, String>)> },
    /// A key of a ConfigMap or Secret; the key's ending tells the format.
    Material { kind: MaterialKind, name: String, key: String },
    /// An HTTP server.
    Http(Box<HttpSource>),
    /// A query of a database. `name` is that of the source; places show it.
    Sql { name: String, spec: Box<SqlSource> },
}

/// Why a source cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{kind} \"{name}\": {source}")]
    Format { kind: MaterialKind, name: String, source: FormatError },
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error(transparent)]
    Elsewhere(#[from] SourceFault),
}

impl SourceError {
    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            SourceError::Format { .. } | SourceError::Material(_) => "AudienceUnreadable",
            SourceError::Elsewhere(fault) => fault.kind.reason(),
        }
    }
}

impl Source {
    /// Opens the source for one reading from its start. Places of a material show `NAME/KEY`.
    ///
    /// A source elsewhere is waited for by the Tokio runtime of the caller, who must be on one of its blocking threads.
    pub fn open(self, materials: &dyn Materials) -> Result<Rows, SourceError> {
        match self {
            Source::Inline { path, recipients } => Ok(Rows::of(inline(&path, recipients))),
            Source::Material { kind, name, key } => {
                let format = match Format::from_key(&key) {
                    Ok(format) => format,
                    Err(source) => return Err(SourceError::Format { kind, name, source }),
                };
                let input = materials.open(kind, &name, &key)?;
                Ok(read(format, &materials.title(kind, &name, &key), input))
            }
            Source::Sql { name, spec } => {
                Ok(Rows(Box::new(SqlRows::open(&name, &spec, materials, &Handle::current())?)))
            }
            Source::Http(spec) => Ok(Rows(Box::new(HttpRows::open(&spec, materials, Handle::current())?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One ConfigMap `spring-list` with the key `people.csv`, and one with a key of no known format.
    struct OneList;

    impl Materials for OneList {
        fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
            let (name, remedy) = (name.to_owned(), "give it with --config-map".to_owned());
            match (kind, name.as_str(), key) {
                (MaterialKind::ConfigMap, "spring-list", "people.csv") => Ok(Box::new(&b"id\n1\n\n \n"[..])),
                (MaterialKind::ConfigMap, "spring-list", key) => {
                    Err(MaterialError::KeyNotFound { kind, name, key: key.to_owned(), remedy })
                }
                _ => Err(MaterialError::NotFound { kind, name, key: key.to_owned(), remedy }),
            }
        }

        fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
            Ok(vec!["people.csv".to_owned()])
        }
    }

    fn material(kind: MaterialKind, name: &str, key: &str) -> Source {
        Source::Material { kind, name: name.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn a_material_is_read_by_the_format_of_its_key() {
        let rows: Vec<_> =
            material(MaterialKind::ConfigMap, "spring-list", "people.csv").open(&OneList).unwrap().collect();
        assert_eq!(rows[0].as_ref().unwrap().id, "1");
        let error = rows[1].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("spring-list/people.csv line 4, column 1 (id): the id is empty"), "{error}");
    }

    #[test]
    fn the_inline_list_is_a_source_too() {
        let source = Source::Inline {
            path: "spec.audience.recipients".to_owned(),
            recipients: vec![("1".to_owned(), BTreeMap::new()), (String::new(), BTreeMap::new())],
        };
        let rows: Vec<_> = source.open(&OneList).unwrap().collect();
        assert_eq!(rows[0].as_ref().unwrap().id, "1");
        assert!(rows[1].as_ref().unwrap_err().to_string().starts_with("spec.audience.recipients[1], field id"));
    }

    #[test]
    fn a_reference_that_leads_nowhere_says_so_with_the_remedy() {
        let cases = [
            (
                material(MaterialKind::Secret, "spring-list", "people.csv"),
                "there is no Secret \"spring-list\" with a key \"people.csv\"; give it with --config-map",
            ),
            (
                material(MaterialKind::ConfigMap, "spring-list", "other.csv"),
                "the ConfigMap \"spring-list\" has no key \"other.csv\"; give it with --config-map",
            ),
            (
                material(MaterialKind::ConfigMap, "spring-list", "people.txt"),
                "ConfigMap \"spring-list\": the format of \"people.txt\" cannot be told from its name; let it end in \
                 .csv or .ndjson",
            ),
        ];
        for (source, expected) in cases {
            let error = source.open(&OneList).err().unwrap().to_string();
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn the_example_has_2488_people_in_2500_rows() {
        let input: &[u8] = include_bytes!("../../examples/people.csv");
        let rows: Vec<_> = read(Format::Csv, "people.csv", input).collect::<Result<_, _>>().unwrap();
        let people: BTreeSet<_> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!((rows.len(), people.len()), (2_500, 2_488));
        assert!(rows.iter().any(|row| !row.vars.contains_key("first_name")));
        assert!(rows.iter().any(|row| row.vars.values().any(|value| value.contains(['"', ',']))));
    }
}
