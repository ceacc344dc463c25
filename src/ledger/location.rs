//! Where a ledger is kept, as people name it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

use super::postgres;

/// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. Shown without the password.
#[derive(Clone)]
pub enum LedgerLocation {
    File(PathBuf),
    Server(SecretString),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "this is not a ledger; write sqlite:PATH, e.g. sqlite:./herald.sqlite, or postgres://USER:PASSWORD@HOST:PORT/DATABASE"
)]
pub struct UnknownLedger;

impl FromStr for LedgerLocation {
    type Err = UnknownLedger;

    // What was given is not repeated: it may hold a password.
    fn from_str(value: &str) -> Result<LedgerLocation, UnknownLedger> {
        if let Some(path) = value.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(LedgerLocation::File(PathBuf::from(path)));
        }
        postgres::place(value).ok_or(UnknownLedger)?;
        Ok(LedgerLocation::Server(SecretString::from(value)))
    }
}

impl fmt::Display for LedgerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerLocation::File(path) => write!(f, "{}", path.display()),
            LedgerLocation::Server(url) => {
                f.write_str(&postgres::place(url.expose_secret()).unwrap_or_else(|| "postgres://…".to_owned()))
            }
        }
    }
}

impl fmt::Debug for LedgerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerLocation({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_or_a_server_is_a_ledger_and_the_password_of_a_server_is_never_shown() {
        assert_eq!("sqlite:a/b".parse::<LedgerLocation>().unwrap().to_string(), "a/b");
        for scheme in ["postgres", "postgresql"] {
            let server: LedgerLocation = format!("{scheme}://herald:hunter2@db.example:5433/herald").parse().unwrap();
            assert_eq!(server.to_string(), "postgres://herald@db.example:5433/herald");
            assert!(!format!("{server:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_both_forms_and_not_repeated() {
        for bad in ["", "sqlite:", "a.sqlite", "mysql://herald:hunter2@db/herald", "postgres://herald:hunter2@:x"] {
            let error = bad.parse::<LedgerLocation>().unwrap_err().to_string();
            assert!(error.contains("sqlite:PATH") && error.contains("postgres://USER"), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }
}
