//! One recipient, and the rules every source holds to.

use std::collections::BTreeMap;

use super::place::{Place, Refusal, Spot};
use crate::delivery::activity::{self, LAST_ACTIVE_TIME};
use crate::delivery::nearest::nearest;
use crate::delivery::quiet_hours::{TIME_ZONE, Zone};

/// The longest id, in characters: longer than any provider's, short enough for an index.
pub const MAX_ID_CHARACTERS: usize = 256;

/// The most variables of one recipient; the schema of the inline list has the same bound.
pub const MAX_VARIABLES: usize = 32;

/// The longest name of a variable, in characters: as long as a Kubernetes label's.
pub const MAX_NAME_CHARACTERS: usize = 63;

/// The longest value of a variable, in characters: longer than most providers' whole message.
pub const MAX_VALUE_CHARACTERS: usize = 4_096;

/// The longest value of a column beside the variables, in characters: a few hundred tags.
pub const MAX_BESIDE_CHARACTERS: usize = 4 * MAX_VALUE_CHARACTERS;

/// The longest piece of a refused name that is shown, in characters.
const MAX_NAME_SHOWN: usize = 40;

/// The name of the column or field that says who is meant.
pub(super) const ID: &str = "id";

/// Somebody a message is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The id at the provider, as [`canonical_id`] gives it.
    pub id: String,
    /// What the template may name; never an empty value.
    pub vars: BTreeMap<String, String>,
    pub place: Place,
}

/// Why an id was refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    #[error("the id is empty")]
    Empty,
    #[error("the id has {characters} characters, at most {MAX_ID_CHARACTERS} are taken")]
    TooLong { characters: usize },
    #[error("the id contains a control character")]
    ControlCharacter,
    #[error("the id is a number in scientific notation, so its last digits are lost")]
    Rounded,
}

impl IdError {
    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            IdError::Empty => "give every row the recipient's id at the provider, or remove the row",
            IdError::TooLong { .. } => "check that the id stands alone in its place",
            IdError::ControlCharacter => "remove line breaks, tabs and other control characters from the id",
            IdError::Rounded => {
                "this is a spreadsheet's doing: format the column of ids as text, put the ids in anew, and export it again"
            }
        }
    }
}

/// Whether an id is how a spreadsheet shows a long number, as `1.2E+15` or `1,2E+15`. Digits, an E and digits alone are a
/// hexadecimal id: a spreadsheet puts a sign before the exponent, others at least a point before the fraction.
fn is_rounded(id: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((mantissa, exponent)) = id.split_once(['E', 'e']) else { return false };
    let unsigned = exponent.strip_prefix(['+', '-']);
    let (whole, fraction) =
        mantissa.split_once(['.', ',']).map_or((mantissa, None), |(whole, part)| (whole, Some(part)));
    digits(whole.strip_prefix(['+', '-']).unwrap_or(whole))
        && fraction.is_none_or(digits)
        && digits(unsigned.unwrap_or(exponent))
        && (unsigned.is_some() || fraction.is_some())
}

/// The one form of an id by which two rows count as the same recipient: without white space around it, 1 to
/// [`MAX_ID_CHARACTERS`] characters, none of them a control character, and no number that was rounded. Letters keep their
/// case, and what a provider makes of white space within an id is its own affair.
pub fn canonical_id(id: &str) -> Result<&str, IdError> {
    let id = id.trim();
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    // A string has at most as many characters as bytes, so most ids need no counting.
    if id.len() > MAX_ID_CHARACTERS {
        let characters = id.chars().count();
        if characters > MAX_ID_CHARACTERS {
            return Err(IdError::TooLong { characters });
        }
    }
    if id.chars().any(char::is_control) {
        return Err(IdError::ControlCharacter);
    }
    if is_rounded(id) {
        return Err(IdError::Rounded);
    }
    Ok(id)
}

/// Accepts a name of a variable, or says what is wrong with it. A name that looks like data is not shown: it may be
/// the id of the first recipient of a file without a header.
pub(super) fn check_name(name: &str, spot: Spot) -> Result<(), Refusal> {
    let refuse = |problem: String, remedy: &'static str| Err(Refusal::new(spot.clone(), problem, remedy));
    let mut characters = name.chars();
    let Some(first) = characters.next() else {
        return refuse("the name is empty".to_owned(), "give it a name such as first_name, or remove it");
    };
    if name.len() > MAX_NAME_CHARACTERS {
        return refuse(
            format!("the name is longer than {MAX_NAME_CHARACTERS} characters"),
            "shorten the name; if the first row is a recipient, put a header row such as id,first_name above it",
        );
    }
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if first.is_ascii_digit() || first == '+' || name.contains('@') {
        return refuse(
            "a name starts with a letter or _ and has only letters, digits and _".to_owned(),
            "rename it; if the first row is a recipient, put a header row such as id,first_name above it",
        );
    }
    if !is_word(first) || !characters.all(is_word) {
        let shown = shown(name);
        let suggestion = suggest(name);
        let remedy = match suggestion {
            Some(suggestion) => format!("rename it, for example to {suggestion}").into(),
            None => "rename it, for example to first_name".into(),
        };
        return Err(Refusal {
            spot,
            problem: format!("the name \"{shown}\" has other characters than letters, digits and _"),
            remedy,
        });
    }
    Ok(())
}

/// A name that is refused, as it is shown.
fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME_SHOWN).flat_map(char::escape_debug).collect()
}

/// The nearest name that would be accepted, if anything of the name is left.
fn suggest(name: &str) -> Option<String> {
    let mapped: String =
        name.trim().chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect();
    let trimmed = mapped.trim_matches('_');
    trimmed.starts_with(|first: char| first.is_ascii_alphabetic()).then(|| trimmed.to_owned())
}

/// Accepts the value of a variable, which is not empty, or says what is wrong with it.
pub(super) fn check_variable(name: &str, value: &str) -> Result<(), (String, &'static str)> {
    if name == TIME_ZONE && Zone::named(value).is_none() {
        return Err((
            "there is no such time zone".to_owned(),
            "name one of the IANA database, such as Europe/Berlin, or leave it empty",
        ));
    }
    if name == LAST_ACTIVE_TIME && activity::parse(value).is_none() {
        return Err((
            "this is no instant".to_owned(),
            "write it with its offset, such as 2026-12-01T09:00:00Z or 2026-12-01 10:00:00+01, or leave it empty",
        ));
    }
    check_value(value, MAX_VALUE_CHARACTERS)
}

/// What whoever reads a file knows of its columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownColumns {
    /// They say something of a recipient beside the variables: they are not counted among those, and may be as long as
    /// `MAX_BESIDE_CHARACTERS`.
    pub beside: &'static [&'static str],
    /// A column whose name is nearly one of these is refused where that one is not there: it would be a variable, and nobody
    /// would see that it means nothing.
    pub spelled: &'static [&'static str],
}

impl KnownColumns {
    pub(super) fn is_beside(&self, name: &str) -> bool {
        self.beside.contains(&name)
    }

    /// Refuses a name that is nearly that of a column which is not there.
    pub(super) fn check_spelling(
        &self,
        name: &str,
        is_there: impl Fn(&str) -> bool,
        spot: impl Fn() -> Spot,
    ) -> Result<(), Refusal> {
        let Some(meant) = misspelt(name, self.spelled, is_there) else { return Ok(()) };
        let shown = shown(name);
        let problem = format!("\"{shown}\" is not {meant}, so it would be a variable like any other");
        Err(Refusal::new(spot(), problem, format!("rename {shown} to {meant}, or to something less like it")))
    }
}

/// Which of these names is meant by one that is nearly it, begins like it, and stands where it does not.
pub fn misspelt<'a>(name: &str, spelled: &[&'a str], is_there: impl Fn(&str) -> bool) -> Option<&'a str> {
    if spelled.contains(&name) {
        return None;
    }
    let first = name.chars().find(|letter| letter.is_alphanumeric())?.to_ascii_lowercase();
    nearest(name, spelled.iter().copied().filter(|known| known.starts_with(first) && !is_there(known)))
}

/// As [`check_variable`], where some names are no variables.
pub(super) fn check_cell(name: &str, value: &str, columns: KnownColumns) -> Result<(), (String, &'static str)> {
    if columns.is_beside(name) && name != LAST_ACTIVE_TIME {
        return check_value(value, MAX_BESIDE_CHARACTERS);
    }
    check_variable(name, value)
}

fn check_value(value: &str, most: usize) -> Result<(), (String, &'static str)> {
    if value.len() > most {
        let characters = value.chars().count();
        if characters > most {
            return Err((
                format!("the value has {characters} characters, at most {most} are taken"),
                "shorten it, and check that no quote is left open",
            ));
        }
    }
    if value.contains('\0') {
        return Err(("the value contains a NUL character".to_owned(), "remove it"));
    }
    Ok(())
}

/// What is said of a source or row with too many variables.
pub(super) fn too_many_variables(count: usize) -> Refusal {
    Refusal::new(
        Spot::Row,
        format!("there are {count} variables beside id, at most {MAX_VARIABLES} are taken"),
        "remove those the message does not use",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_and_bounded() {
        let longest = "x".repeat(MAX_ID_CHARACTERS);
        let longest_wide = "ü".repeat(MAX_ID_CHARACTERS);
        let too_long = "ü".repeat(MAX_ID_CHARACTERS + 1);
        let cases = [
            ("24005550001", Ok("24005550001")),
            ("  24005550001\t", Ok("24005550001")),
            ("\u{a0}24005550001\u{a0}", Ok("24005550001")),
            ("@Channel", Ok("@Channel")),
            (longest.as_str(), Ok(longest.as_str())),
            (longest_wide.as_str(), Ok(longest_wide.as_str())),
            (too_long.as_str(), Err(IdError::TooLong { characters: MAX_ID_CHARACTERS + 1 })),
            ("", Err(IdError::Empty)),
            (" \t ", Err(IdError::Empty)),
            ("240\n055", Err(IdError::ControlCharacter)),
            ("1.2E+15", Err(IdError::Rounded)),
            ("1,2E+15", Err(IdError::Rounded)),
            ("1e+15", Err(IdError::Rounded)),
            ("-1.24005E-05", Err(IdError::Rounded)),
            ("1.2e15", Err(IdError::Rounded)),
            ("12e15", Ok("12e15")),
            ("1.2E+", Ok("1.2E+")),
            ("abc.2E+15", Ok("abc.2E+15")),
            ("+49 170 1234", Ok("+49 170 1234")),
        ];
        for (id, expected) in cases {
            assert_eq!(canonical_id(id), expected, "{id:?}");
        }
    }

    #[test]
    fn names_are_words() {
        for name in ["id", "first_name", "_", "A1", &"n".repeat(MAX_NAME_CHARACTERS)] {
            assert!(check_name(name, Spot::Row).is_ok(), "{name}");
        }
        let too_long = "n".repeat(MAX_NAME_CHARACTERS + 1);
        let cases = [
            ("", "the name is empty", "give it a name such as first_name, or remove it"),
            (
                "First Name",
                "the name \"First Name\" has other characters than letters, digits and _",
                "rename it, for example to First_Name",
            ),
            (
                " city",
                "the name \" city\" has other characters than letters, digits and _",
                "rename it, for example to city",
            ),
            (
                "名",
                "the name \"名\" has other characters than letters, digits and _",
                "rename it, for example to first_name",
            ),
            (
                "24005550001",
                "a name starts with a letter or _ and has only letters, digits and _",
                "rename it; if the first row is a recipient, put a header row such as id,first_name above it",
            ),
            (
                too_long.as_str(),
                "the name is longer than 63 characters",
                "shorten the name; if the first row is a recipient, put a header row such as id,first_name above it",
            ),
        ];
        for (name, problem, remedy) in cases {
            let refusal = check_name(name, Spot::Row).unwrap_err();
            assert_eq!((refusal.problem.as_str(), &*refusal.remedy), (problem, remedy), "{name:?}");
        }
    }

    #[test]
    fn a_time_zone_is_one_of_the_database() {
        for name in ["Europe/Berlin", "america/new_york", "UTC", "Asia/Calcutta"] {
            assert!(check_variable("time_zone", name).is_ok(), "{name}");
        }
        for name in ["Berlin", "Europe/Berlin ", "+01:00", "Etc/Unknown", "local"] {
            let (problem, _) = check_variable("time_zone", name).unwrap_err();
            assert_eq!(problem, "there is no such time zone", "{name}");
        }
        assert!(check_variable("zone", "Berlin").is_ok(), "no other variable says anything of time");
    }

    #[test]
    fn values_are_bounded_in_characters_not_bytes() {
        assert!(check_value(&"ü".repeat(MAX_VALUE_CHARACTERS), MAX_VALUE_CHARACTERS).is_ok());
        let (problem, _) = check_value(&"ü".repeat(MAX_VALUE_CHARACTERS + 1), MAX_VALUE_CHARACTERS).unwrap_err();
        assert_eq!(problem, "the value has 4097 characters, at most 4096 are taken");
        assert!(check_value("a\0b", MAX_VALUE_CHARACTERS).is_err());
    }
}
