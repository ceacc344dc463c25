//! A row of a file as a contact: what its columns beside the variables mean.

use std::collections::BTreeSet;

use crate::api::tag::is_tag;
use crate::audience::{KnownColumns, Place, Recipient, RowError, Spot};
use crate::delivery::activity::{self, LAST_ACTIVE_TIME};
use crate::delivery::quiet_hours::TIME_ZONE;
use crate::ledger::contacts::{ContactRow, MAX_OPT_OUT_REASON, MAX_TAGS_OF_CONTACT, check_reason};

pub const TAGS: &str = "tags";
pub const OPTED_OUT: &str = "opted_out";
pub const OPTED_OUT_REASON: &str = "opted_out_reason";

/// The columns that are no variables of the contact.
const BESIDE: &[&str] = &[LAST_ACTIVE_TIME, TAGS, OPTED_OUT, OPTED_OUT_REASON];

/// The columns that mean something to an import: one whose name is nearly that would opt nobody out, and nobody would notice.
pub const SPELLED: &[&str] = &[TIME_ZONE, LAST_ACTIVE_TIME, TAGS, OPTED_OUT, OPTED_OUT_REASON];

/// The columns of a file of contacts.
pub const CONTACTS: KnownColumns = KnownColumns { beside: BESIDE, spelled: SPELLED };

/// Those of a file of which only `id` counts.
pub const IDS: KnownColumns = KnownColumns { beside: BESIDE, spelled: &[] };

/// Why somebody has opted out of whom a file says no more.
const IMPORTED: &str = "imported as opted out";

/// The contact that a row stands for.
///
/// # Errors
/// A column beside the variables that says nothing that can be understood.
pub fn contact(recipient: Recipient) -> Result<ContactRow, RowError> {
    let Recipient { id, mut vars, place } = recipient;
    let active_at = vars.remove(LAST_ACTIVE_TIME).and_then(|text| activity::parse(&text));
    let tags = vars.remove(TAGS).map(|text| tags(&text, &place)).transpose()?.unwrap_or_default();
    let reason = vars.remove(OPTED_OUT_REASON);
    let is_out = vars.remove(OPTED_OUT).map(|text| yes(&text, &place)).transpose()?.unwrap_or(false);
    let opted_out = is_out.then(|| reason.unwrap_or_else(|| IMPORTED.to_owned()));
    if opted_out.as_deref().is_some_and(|reason| check_reason(reason).is_err()) {
        let problem = format!("the reason has more than {MAX_OPT_OUT_REASON} characters, or several lines");
        return Err(refuse(&place, OPTED_OUT_REASON, problem, "shorten it, or leave it empty"));
    }
    Ok(ContactRow { recipient: id, vars, active_at, tags, opted_out })
}

fn tags(text: &str, place: &Place) -> Result<BTreeSet<String>, RowError> {
    let words = text.split(|letter: char| letter.is_whitespace() || letter == ';').filter(|word| !word.is_empty());
    let tags: BTreeSet<String> = words.map(str::to_owned).collect();
    if tags.len() > MAX_TAGS_OF_CONTACT {
        let problem = format!("there are {} tags, a contact has at most {MAX_TAGS_OF_CONTACT}", tags.len());
        return Err(refuse(place, TAGS, problem, "remove some"));
    }
    if !tags.iter().all(|tag| is_tag(tag)) {
        let problem = "a tag is 1 to 63 letters, digits, -, _ and ., with a letter or digit at both ends";
        return Err(refuse(place, TAGS, problem.to_owned(), "rename it, and separate tags by blanks or ;"));
    }
    Ok(tags)
}

fn yes(text: &str, place: &Place) -> Result<bool, RowError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" | "" => Ok(false),
        _ => Err(refuse(place, OPTED_OUT, "this is neither true nor false".to_owned(), "write true or false")),
    }
}

fn refuse(place: &Place, column: &str, problem: String, remedy: &'static str) -> RowError {
    RowError { place: place.clone(), spot: Spot::Field(column.to_owned()), problem, remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::{Format, MAX_VARIABLES, read_knowing};
    use crate::delivery::time::Timestamp;

    fn one(csv: &str) -> Result<ContactRow, String> {
        let mut rows = read_knowing(Format::Csv, "people.csv", std::io::Cursor::new(csv.to_owned()), CONTACTS);
        rows.next().unwrap().map_err(|error| error.to_string()).and_then(|row| contact(row).map_err(|e| e.to_string()))
    }

    #[test]
    fn columns_beside_the_variables_mean_what_they_say() {
        let row =
            one("id,first_name,tags,opted_out,last_active_time\n1,Ana,vip; berlin,Yes,2023-11-14T22:13:20Z\n").unwrap();
        assert_eq!(row.vars.into_iter().collect::<Vec<_>>(), [("first_name".to_owned(), "Ana".to_owned())]);
        assert_eq!(row.tags, ["berlin", "vip"].map(str::to_owned).into());
        assert_eq!(row.opted_out.as_deref(), Some(IMPORTED));
        assert_eq!(row.active_at, Some(Timestamp::from_secs(1_700_000_000)));
        assert_eq!(one("id,opted_out,opted_out_reason\n1,false,BotBlocked\n").unwrap().opted_out, None);
        assert_eq!(
            one("id,opted_out,opted_out_reason\n1,1,BotBlocked\n").unwrap().opted_out.as_deref(),
            Some("BotBlocked")
        );
    }

    #[test]
    fn columns_beside_the_variables_are_not_counted_among_them() {
        let names: Vec<String> = (0..MAX_VARIABLES).map(|number| format!("v{number}")).collect();
        let header = format!("id,{},tags,opted_out,opted_out_reason,last_active_time", names.join(","));
        let row = one(&format!("{header}\n1{}\n", ",x".repeat(MAX_VARIABLES) + ",vip,true,gone,2023-11-14T22:13:20Z"));
        assert_eq!(row.unwrap().vars.len(), MAX_VARIABLES);
        assert!(one(&format!("{header},more\n")).unwrap_err().contains("33 variables"));
    }

    #[test]
    fn a_column_that_is_nearly_one_of_them_is_refused_and_opts_nobody_out_silently() {
        for (name, meant) in [
            ("optedout", OPTED_OUT),
            ("opt_out", OPTED_OUT),
            ("Opted Out", OPTED_OUT),
            ("OPTED_OUT", OPTED_OUT),
            ("opted_out_reasn", OPTED_OUT_REASON),
            ("Tags", TAGS),
            ("TAGS", TAGS),
            ("tag", TAGS),
            ("timezone", TIME_ZONE),
            ("last-active-time", LAST_ACTIVE_TIME),
        ] {
            let problem = format!("\"{name}\" is not {meant}, so it would be a variable like any other");
            let remedy = format!("rename {name} to {meant}, or to something less like it");
            let error = one(&format!("id,city,{name}\n1,Kyiv,\n")).unwrap_err();
            assert_eq!(error, format!("people.csv line 1, column 3: {problem}; {remedy}"));
            let line = format!("{{\"id\": 1, \"{name}\": null}}");
            let mut rows = read_knowing(Format::Ndjson, "people.ndjson", std::io::Cursor::new(line), CONTACTS);
            let error = rows.next().unwrap().unwrap_err().to_string();
            assert_eq!(error, format!("people.ndjson line 1: {problem}; {remedy}"));
        }
        for name in ["bags", "time", "opted_in", "city"] {
            assert!(one(&format!("id,{name}\n1,x\n")).is_ok(), "{name}");
        }
        assert!(one("id,tags,tag\n1,vip,x\n").is_ok(), "where the column is there, another one is another");
        let mut ids = read_knowing(Format::Csv, "ids.csv", std::io::Cursor::new("id,opt_out\n1,x\n"), IDS);
        assert!(ids.next().unwrap().is_ok(), "of a list of ids nothing else counts");
    }

    #[test]
    fn what_they_cannot_mean_is_refused_with_place_and_remedy() {
        for (csv, says) in [
            ("id,opted_out\n1,perhaps\n", "people.csv line 2, field opted_out: this is neither true nor false"),
            ("id,tags\n1,-vip\n", "people.csv line 2, field tags: a tag is 1 to 63 letters"),
            (
                "id,last_active_time\n1,yesterday\n",
                "people.csv line 2, column 2 (last_active_time): this is no instant",
            ),
            (
                "id,opted_out,opted_out_reason\n1,true,\"a\nb\"\n",
                "field opted_out_reason: the reason has more than 128",
            ),
        ] {
            let error = one(csv).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let many: Vec<String> = (0..=MAX_TAGS_OF_CONTACT).map(|number| format!("t{number}")).collect();
        assert!(one(&format!("id,tags\n1,{}\n", many.join(" "))).unwrap_err().contains("there are 257 tags"));
    }
}
