//! Why a command about contacts was not carried out, for people.

use std::io;
use std::path::PathBuf;

use crate::audience::FormatError;
use crate::delivery::plural::counted;

/// Why contacts are not changed or read. The messages hold no id, and no value that was refused.
#[derive(Debug, thiserror::Error)]
pub enum ContactsError {
    #[error("failed to open {}: {source}; check that the file is there and readable", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{0}, or say it with --format")]
    Format(FormatError),
    /// Of a file, which was checked as a whole first.
    #[error(
        "{}\nerror: {} refused, nothing was changed; correct and repeat the command",
        .shown.join("\nerror: "),
        counted(*.count, "row was", "rows were")
    )]
    Rows { shown: Vec<String>, count: u64 },
    /// Of what can be read only once.
    #[error(
        "{problem}\nerror: what comes after it was not looked at, and {done} recipients before it were done; correct it and repeat the command with all of them: what was done is not changed again"
    )]
    Stopped { problem: String, done: u64 },
    #[error("{0}; nothing was changed")]
    Arguments(String),
    #[error("{problem}; {done} recipients were done before; repeat the command: what was done is not changed again")]
    Unfinished { problem: String, done: u64 },
    #[error("{0}")]
    Book(String),
    #[error(
        "the contacts have more than {limit} different variables, and a CSV that can be imported has at most so many columns of them; export them with -o ndjson"
    )]
    TooManyColumns { limit: usize },
    #[error(
        "the variable {name} came up while the contacts were written; repeat the command, or export them with -o ndjson"
    )]
    NewColumn { name: String },
    #[error("failed to write: {0}")]
    Writing(io::Error),
}
