//! Writes down whom a message was sent to: one statement for each of some people, in one transaction.
//!
//! Where a row is refused for itself, be it by a constraint, nothing of the transaction stands; each of its people is written
//! by itself then, so that one of them keeps nobody else from being written down.

use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::bound_statement::{BoundStatement, Dialect, Parameter};
use super::database::{Database, Driver, in_time};
use super::database_fault::{self, Meaning, Said, Words};
use super::unusable_url;
use crate::api::SqlWriteBack;
use crate::audience::materials::Materials;
use crate::audience::secret_text::secret_text;

/// The most people of one transaction: it holds its locks for well under a second.
pub const MAX_WRITTEN_AT_ONCE: usize = 500;
/// After so long a transaction ends with those it has: what is slow gets on all the same, well before all of its time is up.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(5);
/// For all of it: to connect, and to write everybody. Far longer than it takes, and shorter than a page of people is given for.
const WHOLE: Duration = Duration::from_secs(60);
/// How messages name it.
const PLACE: &str = "spec.onSent.sql";

/// The database could not be reached, or cannot serve it now.
const UNREACHABLE: &str = "WriteBackUnreachable";
/// The database refuses the login or the statement.
const REFUSED: &str = "WriteBackRefused";
/// The statements took too long.
const TIMED_OUT: &str = "WriteBackTimedOut";
/// The statement failed for this person alone.
const FAILED: &str = "WriteBackFailed";

/// All of them, beside those of a Secret.
pub const WRITE_FAULTS: [&str; 4] = [UNREACHABLE, REFUSED, TIMED_OUT, FAILED];

/// Somebody the message was sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPerson {
    pub recipient: String,
    /// The provider's id of the message, where it gave one.
    pub message_id: Option<String>,
    /// When it was sent, as `2026-12-01 09:00:00`, UTC.
    pub sent_at: String,
}

/// Why something was not written. Holds no secret and nobody's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFault {
    /// CamelCase, from a fixed set.
    pub reason: &'static str,
    /// The database's own.
    pub code: Option<String>,
    pub message: String,
}

/// What came of writing some people down. Whoever is in neither list was not tried, or nothing of it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Their places in what was given.
    pub done: Vec<usize>,
    /// Whom the database refuses for themselves.
    pub refused: Vec<(usize, WriteFault)>,
    /// Why the others were not written: it would be so for everybody.
    pub stopped: Option<WriteFault>,
}

/// The statement of a broadcast and the database that it is for.
pub struct SqlWriter {
    database: Database,
    statement: String,
    bound: Vec<Parameter>,
}

impl SqlWriter {
    /// Reads the Secret. Nothing is connected yet.
    ///
    /// # Errors
    /// The Secret with the URL is not there or cannot be used, or the statement is none that is run.
    pub fn open(spec: &SqlWriteBack, materials: &dyn Materials) -> Result<SqlWriter, WriteFault> {
        let reference = &spec.url_secret_key_ref;
        let refused = |fault: crate::audience::SourceFault| WriteFault {
            reason: fault.kind.reason(),
            code: None,
            message: fault.to_string(),
        };
        let statement = BoundStatement::parse(&spec.statement).map_err(|error| {
            let message = format!("{PLACE}.statement: {error}");
            WriteFault { reason: REFUSED, code: None, message }
        })?;
        let url = secret_text(materials, &reference.name, &reference.key, PLACE).map_err(refused)?;
        let database = Database::to_write(url.expose_secret())
            .map_err(|problem| refused(unusable_url(reference, PLACE, problem)))?;
        let (statement, bound) = statement.written_for(match database.driver {
            Driver::Postgres(_) => Dialect::Postgres,
            Driver::MySql(_) => Dialect::MySql,
            Driver::Sqlite(_) => Dialect::Sqlite,
        });
        Ok(SqlWriter { database, statement, bound })
    }

    /// Runs the statement for each of at most [`MAX_WRITTEN_AT_ONCE`] people; whoever comes after them is not tried.
    pub async fn write(&self, broadcast: &str, people: &[SentPerson]) -> Written {
        let people = &people[..people.len().min(MAX_WRITTEN_AT_ONCE)];
        let mut written = Written::default();
        // What was written by itself before the time was up stands.
        let stopped = match tokio::time::timeout(WHOLE, self.write_into(&mut written, broadcast, people)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(fault(&error, &self.database.words)),
            Err(_) => {
                let message =
                    format!("{PLACE}: the database takes longer than {} s; look at its locks", WHOLE.as_secs());
                Some(WriteFault { reason: TIMED_OUT, code: None, message })
            }
        };
        Written { stopped, ..written }
    }

    /// All in one transaction; where one is refused for itself, each in one of their own. An error is everybody's who is not
    /// in `written` by then.
    async fn write_into(&self, written: &mut Written, broadcast: &str, people: &[SentPerson]) -> sqlx::Result<()> {
        macro_rules! run {
            ($options:expr) => {{
                let mut connection = in_time($options.connect()).await?;
                let mut size = people.len();
                let mut next = 0;
                while next < people.len() {
                    let mut last = people.len().min(next + size);
                    let begun = Instant::now();
                    let mut transaction = connection.begin().await?;
                    let mut refused = None;
                    for (place, person) in people.iter().enumerate().take(last).skip(next) {
                        if place > next && begun.elapsed() > LONGEST_TRANSACTION {
                            last = place;
                            break;
                        }
                        let mut query = sqlx::query(AssertSqlSafe(self.statement.clone()));
                        for parameter in &self.bound {
                            query = query.bind(self.value(*parameter, broadcast, person));
                        }
                        if let Err(error) = query.execute(&mut *transaction).await {
                            refused = Some((place, error));
                            break;
                        }
                    }
                    match refused {
                        None => {
                            transaction.commit().await?;
                            written.done.extend(next..last);
                            next = last;
                        }
                        Some((_, error)) if !is_of_row(&error) => return Err(error),
                        Some((place, error)) => {
                            transaction.rollback().await?;
                            size = 1;
                            if last == next + 1 {
                                written.refused.push((place, fault(&error, &self.database.words)));
                                next = last;
                            }
                        }
                    }
                }
                // All is written; how the connection ends changes nothing.
                let _ = connection.close().await;
            }};
        }
        match &self.database.driver {
            Driver::Postgres(options) => run!(options),
            Driver::MySql(options) => run!(options),
            Driver::Sqlite(options) => run!(options),
        }
        Ok(())
    }

    fn value(&self, parameter: Parameter, broadcast: &str, person: &SentPerson) -> Option<String> {
        match parameter {
            Parameter::Id => Some(person.recipient.clone()),
            Parameter::Broadcast => Some(broadcast.to_owned()),
            // The time zone of a session would be meant otherwise; the other two take none.
            Parameter::SentTime if matches!(self.database.driver, Driver::Postgres(_)) => {
                Some(format!("{}+00", person.sent_at))
            }
            Parameter::SentTime => Some(person.sent_at.clone()),
            Parameter::MessageId => person.message_id.clone(),
        }
    }
}

/// Only what the database itself says of a row may be that row's own fault.
fn is_of_row(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(answered) = error else { return false };
    matches!(database_fault::said(answered.as_ref(), &Words::default()).meaning, Meaning::Other)
}

fn fault(error: &sqlx::Error, words: &Words) -> WriteFault {
    let sqlx::Error::Database(answered) = error else {
        let told = database_fault::of(error, PLACE, words);
        let reason = match told.kind {
            crate::audience::FaultKind::Unreachable => UNREACHABLE,
            crate::audience::FaultKind::Refused => REFUSED,
            other => other.reason(),
        };
        return WriteFault { reason, code: None, message: told.to_string() };
    };
    let Said { meaning, code, message } = database_fault::said(answered.as_ref(), words);
    let (reason, message) = match meaning {
        Meaning::Writes => (REFUSED, format!("the database may not be written to: {message}; name one that may")),
        Meaning::TooSlow => (TIMED_OUT, format!("the database ended the statement: {message}; look at its locks")),
        Meaning::Login => {
            (REFUSED, format!("the database refuses: {message}; check the URL, and what its user may write"))
        }
        Meaning::Statement => (REFUSED, format!("the database refuses the statement: {message}; correct it")),
        Meaning::Busy => (UNREACHABLE, format!("the database cannot serve it now (code {code}); it is asked again")),
        Meaning::Other => {
            // The message may quote a value.
            let remedy = "run it by hand to see the words of the database";
            (FAILED, format!("the statement failed for a recipient (code {code}); {remedy}"))
        }
    };
    WriteFault { reason, code: Some(code).filter(|code| !code.is_empty()), message: format!("{PLACE}: {message}") }
}
