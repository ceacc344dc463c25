//! What went wrong at a database, in words that hold no secret and nobody's data.
//!
//! A server quotes values in some of its messages, and those may be people's ids. So only messages about the statement
//! itself, the login and the transaction are told; of all others the code.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

use crate::audience::source_fault::{FaultKind, SourceFault};

/// The longest message of a server that is told, in characters.
const MAX_MESSAGE: usize = 300;

/// Keeps what a URL holds of secrets out of messages.
#[derive(Default)]
pub struct Words {
    secrets: Vec<String>,
}

impl Words {
    /// The password is a secret as it is written and as it is meant, and so is all of the URL.
    pub fn without_secrets_of(url: &str) -> Words {
        let authority = url.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?', '#']).next();
        let user = authority.and_then(|authority| authority.rsplit_once('@')).map_or("", |(user, _)| user);
        let mut secrets = vec![url.to_owned()];
        if let Some((_, password)) = user.split_once(':') {
            secrets.push(password.to_owned());
        }
        // Some drivers take it as a parameter.
        for (name, value) in
            url.split_once('?').map_or("", |(_, query)| query).split('&').filter_map(|pair| pair.split_once('='))
        {
            if name.eq_ignore_ascii_case("password") {
                secrets.push(value.to_owned());
            }
        }
        let meant: Vec<String> = secrets.iter().map(|secret| unescaped(secret)).collect();
        secrets.extend(meant);
        secrets.retain(|secret| !secret.is_empty());
        Words { secrets }
    }

    pub fn tell(&self, message: &str) -> String {
        let line: String = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = self.secrets.iter().fold(line, |line, secret| line.replace(secret, "…"));
        told.chars().take(MAX_MESSAGE).collect()
    }
}

/// A text with its `%` escapes resolved.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = &after[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The time for the query is up.
pub fn too_slow(place: &str, whole: Duration) -> SourceFault {
    let problem = format!("the query and its rows take longer than {} seconds", whole.as_secs_f64());
    let remedy = "make it faster, e.g. by an index, or raise timeoutSeconds";
    SourceFault::new(FaultKind::QueryTimedOut, place, problem, remedy)
}

/// What an error of a driver means.
pub fn of(error: &sqlx::Error, place: &str, words: &Words) -> SourceFault {
    let unreachable = |problem: String| {
        let remedy = "check the URL, the server, and that this machine may reach it";
        SourceFault::new(FaultKind::Unreachable, place, problem, remedy)
    };
    match error {
        sqlx::Error::Database(error) => of_database(error.as_ref(), place, words),
        sqlx::Error::Io(error) => {
            unreachable(format!("the database cannot be reached: {}", words.tell(&error.to_string())))
        }
        sqlx::Error::Tls(error) => {
            let problem = format!("no TLS with the database: {}", words.tell(&error.to_string()));
            let remedy = "check the certificates, and what the URL says of TLS";
            SourceFault::new(FaultKind::Refused, place, problem, remedy)
        }
        sqlx::Error::Configuration(_) => {
            let remedy = "look at the parameters in the URL";
            SourceFault::new(FaultKind::SecretKeyUnusable, place, "the URL of the database cannot be used", remedy)
        }
        // Its words may quote what was received.
        sqlx::Error::Protocol(_) => {
            let remedy = "check that the URL names a server of this kind; MySQL 8 asks for TLS: ?ssl-mode=REQUIRED";
            SourceFault::new(FaultKind::Refused, place, "the database answers in a way that is not understood", remedy)
        }
        _ => unreachable("the connection to the database failed".to_owned()),
    }
}

/// What a database said, and what it means.
pub struct Said {
    pub meaning: Meaning,
    pub code: String,
    /// In its own words, which may quote a value where the meaning is [`Meaning::Other`] or [`Meaning::Busy`].
    pub message: String,
}

/// Reads an error that a database itself has answered.
pub fn said(error: &dyn DatabaseError, words: &Words) -> Said {
    let code = error.code().unwrap_or_default().into_owned();
    let number = error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    let meaning = match number {
        Some(number) => of_mysql(number, &code),
        None if code.len() == 5 => of_sqlstate(&code),
        None => of_sqlite(&code),
    };
    let code = number.map_or(code, |number| number.to_string());
    Said { meaning, code, message: words.tell(error.message()) }
}

fn of_database(error: &dyn DatabaseError, place: &str, words: &Words) -> SourceFault {
    let Said { meaning, code, message } = said(error, words);
    let fault = |kind, problem: String, remedy: &'static str| SourceFault::new(kind, place, problem, remedy);
    match meaning {
        Meaning::Writes => {
            let remedy = "let the query only read: it runs in a transaction that may not write";
            fault(FaultKind::QueryRefused, format!("the query writes: {message}"), remedy)
        }
        Meaning::TooSlow => {
            let remedy = "make it faster, e.g. by an index, or raise timeoutSeconds";
            fault(FaultKind::QueryTimedOut, format!("the database ended the query: {message}"), remedy)
        }
        Meaning::Login => {
            let remedy = "check user, password and name of the database in the URL, and what the user may read";
            fault(FaultKind::Refused, format!("the database refuses: {message}"), remedy)
        }
        Meaning::Statement => fault(
            FaultKind::QueryRefused,
            format!("the database refuses the query: {message}"),
            "correct spec.audience",
        ),
        Meaning::Busy => {
            let remedy = "look at the database; it is asked again";
            fault(FaultKind::Unreachable, format!("the database cannot serve it now (code {code})"), remedy)
        }
        Meaning::Other => {
            // The message may quote a value.
            let remedy = "run it by hand to see the words of the database";
            fault(FaultKind::QueryRefused, format!("the query failed in the database (code {code})"), remedy)
        }
    }
}

/// What an answer of a database means.
pub enum Meaning {
    Writes,
    TooSlow,
    /// Who asks, or for what, is refused.
    Login,
    /// The statement itself is wrong: its message speaks of nothing else.
    Statement,
    Busy,
    Other,
}

/// By the codes of PostgreSQL (appendix A of its manual).
fn of_sqlstate(code: &str) -> Meaning {
    match (code, code.get(..2).unwrap_or_default()) {
        // 25006 for a statement that writes; the others for ways around that.
        (_, "25") => Meaning::Writes,
        ("57014", _) => Meaning::TooSlow,
        ("42501", _) | (_, "28" | "3D") => Meaning::Login,
        // 0A: what a cursor does not take, such as a WITH that writes.
        (_, "42" | "0A") => Meaning::Statement,
        (_, "08" | "53" | "57" | "58" | "40" | "55") => Meaning::Busy,
        _ => Meaning::Other,
    }
}

/// By the numbers of MySQL and MariaDB (their references of server errors).
fn of_mysql(number: u16, sqlstate: &str) -> Meaning {
    match number {
        // 1290 and 1836: the server only reads now.
        1290 | 1792 | 1836 => Meaning::Writes,
        // 1317 is how a query ends that somebody killed.
        1317 | 1969 | 3024 => Meaning::TooSlow,
        1044 | 1045 | 1049 | 1142 | 1143 | 1227 | 1370 => Meaning::Login,
        // 1021 and 1114: there is no room left; 1047: a node of a cluster that is not ready.
        1021 | 1040 | 1047 | 1053 | 1114 | 1203 | 1205 | 1213 => Meaning::Busy,
        _ if sqlstate.starts_with("08") => Meaning::Busy,
        _ if sqlstate.starts_with("42") => Meaning::Statement,
        _ => Meaning::Other,
    }
}

/// By the result codes of SQLite; the lowest byte says the kind.
fn of_sqlite(code: &str) -> Meaning {
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(1) => Meaning::Statement,
        Ok(8) => Meaning::Writes,
        // Locked, out of memory or room, or its disk fails.
        Ok(5 | 6 | 7 | 10 | 13) => Meaning::Busy,
        // No permission, no such file, no database.
        Ok(3 | 14 | 23 | 26) => Meaning::Login,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_message_however_it_is_written() {
        let words = Words::without_secrets_of("postgres://herald:hunter2%40x@db.example/crm?password=other%21");
        let message = "bad hunter2%40x or hunter2@x or\n other%21 other! in postgres://herald:hunter2%40x@db.example/crm?password=other%21";
        assert_eq!(words.tell(message), "bad … or … or … … in …");
        let none = Words::without_secrets_of("sqlite:people.sqlite");
        assert_eq!(none.tell("no such table: people"), "no such table: people");
        assert_eq!(unescaped("a%zz%4"), "a%zz%4");
    }

    #[test]
    fn a_code_of_any_five_bytes_has_a_meaning() {
        assert!(matches!(of_sqlstate("aéab"), Meaning::Other));
        assert!(matches!(of_sqlstate("25006"), Meaning::Writes));
        assert!(matches!(of_sqlstate(""), Meaning::Other));
    }

    #[test]
    fn what_keeps_a_database_from_writing_at_all_is_no_matter_of_one_row() {
        assert!(matches!(of_sqlstate("58030"), Meaning::Busy));
        for number in [1290, 1836] {
            assert!(matches!(of_mysql(number, "HY000"), Meaning::Writes), "{number}");
        }
        for (number, state) in [(1021, "HY000"), (1114, "HY000"), (1047, "08S01"), (1158, "08S01")] {
            assert!(matches!(of_mysql(number, state), Meaning::Busy), "{number}");
        }
        for code in ["13", "10", "778"] {
            assert!(matches!(of_sqlite(code), Meaning::Busy), "{code}");
        }
        // Of a row: a key that is there already.
        assert!(matches!(of_sqlstate("23505"), Meaning::Other));
        assert!(matches!(of_mysql(1062, "23000"), Meaning::Other));
        assert!(matches!(of_sqlite("2067"), Meaning::Other));
    }
}
