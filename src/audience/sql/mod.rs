//! Recipients that one query of a database gives, and the writing back of whom a message was sent to.
//!
//! | file | job |
//! | --- | --- |
//! | `statement` | which statements are sent |
//! | `database` | which database a URL names, and the reading of it |
//! | `postgres`, `mysql`, `sqlite` | one query in a transaction that may only read, as text |
//! | `columns` | from columns to recipients |
//! | `feed` | rows on their way, in bounded memory |
//! | `database_fault` | what went wrong, without what may not be told |
//! | `bound_statement` | a statement with parameters, which are always bound |
//! | `writer` | one statement for each of some people, in one transaction |

mod bound_statement;
mod columns;
mod database;
mod database_fault;
mod feed;
mod mysql;
mod postgres;
mod sqlite;
mod statement;
mod writer;

pub use bound_statement::{BoundStatement, StatementError};
pub use writer::{MAX_WRITTEN_AT_ONCE, SentPerson, SqlWriter, WRITE_FAULTS, WriteFault, Written};

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::database::Database;
use self::feed::{Fed, Feed};
use super::materials::Materials;
use super::read_error::ReadError;
use super::recipient::Recipient;
use super::secret_text::secret_text;
use super::source_fault::{FaultKind, SourceFault};
use crate::api::{SecretKeyRef, SqlSource};

/// The most rows of one query: twice the largest audience a plan was measured with. A join gone wrong gives far more.
const MAX_ROWS: u64 = 20_000_000;

/// The bounds of one source. They are values so that tests reach them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For everything: to connect, to run the query, and to take its rows.
    pub whole: Duration,
    pub rows: u64,
    /// How often a database that is not there is asked.
    pub attempts: u32,
    /// Before the second attempt; doubled before each further one.
    pub first_pause: Duration,
}

/// The recipients of a query in order. Blocks while the database does, so it is read on a thread that may.
pub struct SqlRows {
    groups: mpsc::Receiver<Fed>,
    group: std::vec::IntoIter<Result<Recipient, ReadError>>,
    place: String,
    done: bool,
    /// Ends the reading with who reads.
    _reading: JoinSet<()>,
}

impl SqlRows {
    /// Opens the source `name` for one reading. The query runs from now on.
    ///
    /// # Errors
    /// The Secret with the URL is not there or cannot be used, or the query is none that is sent.
    pub fn open(
        name: &str,
        spec: &SqlSource,
        materials: &dyn Materials,
        runtime: &Handle,
    ) -> Result<SqlRows, SourceFault> {
        let limits = Limits {
            whole: Duration::from_secs(u64::from(spec.timeout_seconds)),
            rows: MAX_ROWS,
            attempts: 5,
            first_pause: Duration::from_millis(500),
        };
        SqlRows::within(limits, name, spec, materials, runtime)
    }

    fn within(
        limits: Limits,
        name: &str,
        spec: &SqlSource,
        materials: &dyn Materials,
        runtime: &Handle,
    ) -> Result<SqlRows, SourceFault> {
        let place = format!("source {name}");
        let reference = &spec.url_secret_key_ref;
        let url = secret_text(materials, &reference.name, &reference.key, &place)?;
        let database =
            Database::named_by(url.expose_secret()).map_err(|problem| unusable_url(reference, &place, problem))?;
        database.check(&spec.query).map_err(|problem| {
            let remedy = "write one SELECT, or WITH … SELECT, that has a column id";
            SourceFault::new(FaultKind::QueryRefused, &place, format!("the query {problem}"), remedy)
        })?;
        let (feed, groups) = Feed::new(&place, limits.rows);
        let mut reading = JoinSet::new();
        reading.spawn_on(database::read(database, spec.query.clone(), limits, place.clone(), feed), runtime);
        Ok(SqlRows { groups, group: Vec::new().into_iter(), place, done: false, _reading: reading })
    }
}

impl Iterator for SqlRows {
    type Item = Result<Recipient, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.group.next() {
                return Some(row);
            }
            if self.done {
                return None;
            }
            match self.groups.blocking_recv() {
                Some(Some(group)) => self.group = group.into_iter(),
                Some(None) => self.done = true,
                None => {
                    self.done = true;
                    return Some(Err(ReadError::Source(cut_short(&self.place))));
                }
            }
        }
    }
}

/// The key of a Secret that should hold the URL of a database, and does not.
fn unusable_url(reference: &SecretKeyRef, place: &str, problem: &str) -> SourceFault {
    let problem = format!("key \"{}\" of the Secret \"{}\" {problem}", reference.key, reference.name);
    let remedy = "write postgres://USER:PASSWORD@HOST/NAME, mysql://USER:PASSWORD@HOST/NAME or sqlite:PATH";
    SourceFault::new(FaultKind::SecretKeyUnusable, place, problem, remedy)
}

/// The reading ended before the answer did: the process ends, or a fault of Herald's own is in its log.
fn cut_short(place: &str) -> SourceFault {
    let problem = "the reading of the answer was cut short";
    SourceFault::new(FaultKind::BrokenOff, place, problem, "run again; if it stays so, report it with the log")
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
