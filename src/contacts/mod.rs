//! Contacts, tags and opt-outs by hand, from files and arguments, whoever keeps them: `herald contacts` on a ledger at hand,
//! `kubectl broadcast contacts` through the operator.
//!
//! | file | job |
//! | --- | --- |
//! | [`options`] | the flags that both have |
//! | [`book`] | what is asked of whoever keeps contacts |
//! | `row` | a row of a file as a contact |
//! | `seen` | who was in a file already |
//! | `input` | files, standard input and arguments as chunks |
//! | [`lines`] | contacts as lines of CSV and NDJSON, which an import reads |
//! | [`command`] | carries a command out |
//! | [`tally`] | what it came to, for people and programs |
//!
//! A file is checked as a whole before anything is changed. Standard input, or a pipe, can be read only once, so it is written
//! as it comes, and where a row is refused it is said how far it got: every command may be repeated, and changes nothing of
//! what it has done before.

pub mod book;
pub mod command;
mod error;
mod input;
pub mod lines;
pub mod options;
mod row;
mod seen;
pub mod tally;

pub use book::ContactBook;
pub use command::run;
pub use error::ContactsError;
pub use options::ContactsCommand;
