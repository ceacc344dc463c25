//! Errors of the server in the ledger's terms.

use sqlx::postgres::PgConnectOptions;

use crate::ledger::error::LedgerError;
use crate::ledger::sql::opened::has_moved;

/// Where a server is, without the password.
pub fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgres://{}@{host}:{}/{database}", options.get_username(), options.get_port())
}

/// The SQLSTATE.
fn state(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(database) => database.code().map(|code| code.into_owned()),
        _ => None,
    }
}

/// Whether the server could not be reached, or ended the connection.
pub fn is_cut_off(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        // A message that breaks off.
        sqlx::Error::Protocol(_) => true,
        // Connection exceptions, and an operator's intervention: shutdown, crash, not yet started.
        _ => state(error).is_some_and(|state| state.starts_with("08") || state.starts_with("57P")),
    }
}

/// Whether the same call may succeed when it is made again: nothing of it has happened, or it is found by its number.
fn may_be_repeated(error: &sqlx::Error) -> bool {
    // Serialization failures and deadlocks, lack of connections or memory, timeouts of locks and statements, and a key
    // that another process has made at the same moment.
    const REPEATABLE: [&str; 8] = ["40001", "40P01", "53300", "53200", "55P03", "57014", "25P03", "23505"];
    // The ledger's own: what it saw has changed under it.
    let is_own = has_moved(error) || matches!(error, sqlx::Error::InvalidArgument(_));
    is_own || is_cut_off(error) || state(error).is_some_and(|state| REPEATABLE.contains(&state.as_str()))
}

pub fn classify(place: &str, error: sqlx::Error) -> LedgerError {
    let (place, message) = (place.to_owned(), error.to_string());
    if may_be_repeated(&error) {
        return LedgerError::Storage { message };
    }
    match state(&error).as_deref() {
        Some("53100") => LedgerError::DiskFull { place },
        Some("25006") => LedgerError::ReadOnly { place, message },
        Some("XX001" | "XX002") => LedgerError::Corrupt { place, message },
        _ => LedgerError::Failed { place, message },
    }
}

/// An error of the first connection: a person reads it.
pub fn unreachable(place: &str, error: sqlx::Error) -> LedgerError {
    LedgerError::Unreachable { place: place.to_owned(), message: error.to_string() }
}
