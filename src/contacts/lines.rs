//! Contacts as lines of text that an import reads: the same columns, the same rules.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::row::{OPTED_OUT, OPTED_OUT_REASON, SPELLED, TAGS};
use crate::audience::{MAX_VARIABLES, misspelt};
use crate::delivery::activity::LAST_ACTIVE_TIME;
use crate::delivery::quiet_hours::TIME_ZONE;
use crate::ledger::contacts::Contact;
use crate::ledger::result_lines::quoted;

const ID: &str = "id";

/// The columns of a CSV beside the variables, in their order.
const COLUMNS: [&str; 5] = [ID, TAGS, OPTED_OUT, OPTED_OUT_REASON, LAST_ACTIVE_TIME];

/// Whether a variable has the name of a column that means something else in a file of contacts. An audience may have had it;
/// it is left out of an export.
pub fn is_taken(name: &str) -> bool {
    [TAGS, OPTED_OUT, OPTED_OUT_REASON].contains(&name)
}

/// The variables that contacts have, each a column of a CSV.
#[derive(Debug, Default)]
pub struct Columns(BTreeSet<String>);

impl Columns {
    /// Takes in those of one contact; `false` where they are more than an import takes.
    pub fn add(&mut self, contact: &Contact) -> bool {
        for name in contact.vars.keys() {
            let is_variable = !is_taken(name) && name != LAST_ACTIVE_TIME;
            if is_variable && !self.0.contains(name) {
                self.0.insert(name.clone());
                // Beside it a variable of nearly that name is read back as what it is.
                if misspelt(name, &[TIME_ZONE], |_| false).is_some() {
                    self.0.insert(TIME_ZONE.to_owned());
                }
            }
            if self.0.len() > MAX_VARIABLES {
                return false;
            }
        }
        true
    }

    /// The first row.
    pub fn header(&self) -> String {
        let names = COLUMNS.into_iter().chain(self.0.iter().map(String::as_str));
        names.collect::<Vec<_>>().join(",") + "\n"
    }

    /// One contact with its line end.
    ///
    /// # Errors
    /// The name of a variable that has no column.
    pub fn line(&self, contact: &Contact) -> Result<String, String> {
        let known = |name: &str| is_taken(name) || name == LAST_ACTIVE_TIME || self.0.contains(name);
        if let Some(name) = contact.vars.keys().find(|name| !known(name)) {
            return Err(name.clone());
        }
        let variable = |name: &str| contact.vars.get(name).map_or("", String::as_str);
        let own = [
            contact.recipient.as_str(),
            &tags(contact),
            opted_out(contact),
            reason(contact),
            variable(LAST_ACTIVE_TIME),
        ]
        .map(quoted);
        let cells = own.into_iter().chain(self.0.iter().map(|name| quoted(variable(name))));
        Ok(cells.collect::<Vec<_>>().join(",") + "\n")
    }
}

/// One contact as a line of NDJSON; what there is not is left out.
pub fn ndjson(contact: &Contact) -> String {
    let mut object = Map::from_iter([(ID.to_owned(), Value::from(contact.recipient.as_str()))]);
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            object.insert(name.to_owned(), Value::from(value));
        }
    };
    put(TAGS, &tags(contact));
    put(OPTED_OUT_REASON, reason(contact));
    contact.vars.iter().filter(|(name, _)| !is_taken(name)).for_each(|(name, value)| put(name, value));
    if contact.opted_out.is_some() {
        object.insert(OPTED_OUT.to_owned(), Value::Bool(true));
    }
    // Beside them variables of nearly their names are read back as what they are.
    let unlike = |name: &String| misspelt(name, SPELLED, |known| object.contains_key(known));
    let beside: Vec<&str> = contact.vars.keys().filter_map(unlike).collect();
    object.extend(beside.into_iter().map(|name| (name.to_owned(), Value::Null)));
    Value::Object(object).to_string() + "\n"
}

fn tags(contact: &Contact) -> String {
    contact.tags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn opted_out(contact: &Contact) -> &'static str {
    if contact.opted_out.is_some() { "true" } else { "" }
}

fn reason(contact: &Contact) -> &str {
    contact.opted_out.as_ref().map_or("", |opt_out| &opt_out.reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;

    use super::*;
    use crate::audience::{Format, read_knowing};
    use crate::contacts::row::{CONTACTS, contact};
    use crate::delivery::time::Timestamp;
    use crate::ledger::contacts::{ContactRow, OptOut};

    const SEEN: &str = "2023-11-14T22:13:20Z";

    fn known(recipient: &str, vars: &[(&str, &str)], tags: &[&str], reason: Option<&str>) -> Contact {
        let vars: BTreeMap<String, String> = vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Contact {
            recipient: recipient.to_owned(),
            active_at: vars.contains_key(LAST_ACTIVE_TIME).then(|| Timestamp::from_secs(1_700_000_000)),
            vars,
            met_at: Timestamp::EPOCH,
            opted_out: reason.map(|reason| OptOut { at: Timestamp::EPOCH, reason: reason.to_owned() }),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        }
    }

    fn everybody() -> Vec<Contact> {
        vec![
            known("a,b", &[("first_name", "say \"hi\"\r\nthere"), (LAST_ACTIVE_TIME, SEEN)], &["vip", "berlin"], None),
            known("2", &[("time_zone", "Europe/Berlin"), ("tags", "of an audience")], &[], Some("asked us, twice")),
            known("3", &[("timezone", "of an audience"), ("Tags", "too"), ("optedout", "as well")], &[], None),
        ]
    }

    fn read(format: Format, text: String) -> Vec<ContactRow> {
        let rows = read_knowing(format, "people", Cursor::new(text), CONTACTS);
        rows.map(|row| contact(row.unwrap()).unwrap()).collect()
    }

    fn wanted() -> Vec<ContactRow> {
        let row = |contact: Contact| {
            let mut vars = contact.vars;
            vars.retain(|name, _| name != LAST_ACTIVE_TIME && !is_taken(name));
            let opted_out = contact.opted_out.map(|opt_out| opt_out.reason);
            ContactRow {
                recipient: contact.recipient,
                vars,
                active_at: contact.active_at,
                tags: contact.tags,
                opted_out,
            }
        };
        everybody().into_iter().map(row).collect()
    }

    #[test]
    fn an_export_is_read_back_as_it_was() {
        let people = everybody();
        let mut columns = Columns::default();
        assert!(people.iter().all(|contact| columns.add(contact)));
        let lines = people.iter().map(|contact| columns.line(contact).unwrap());
        let csv: String = std::iter::once(columns.header()).chain(lines).collect();
        assert_eq!(read(Format::Csv, csv), wanted());
        assert_eq!(read(Format::Ndjson, people.iter().map(ndjson).collect()), wanted());
    }

    #[test]
    fn columns_stay_as_many_as_an_import_takes() {
        let mut columns = Columns::default();
        let names: Vec<String> = (0..=MAX_VARIABLES).map(|number| format!("v{number}")).collect();
        for (place, name) in names.iter().enumerate() {
            assert_eq!(columns.add(&known("1", &[(name, "x")], &[], None)), place < MAX_VARIABLES);
        }
        let late = known("1", &[("late", "x")], &[], None);
        assert_eq!(columns.line(&late), Err("late".to_owned()));
    }
}
