//! Which database a URL names, and the reading of it: again while it is not there, and not for longer than it may take.

use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::database_fault::{self, Words};
use super::feed::{Feed, Stop};
use super::{Limits, mysql, postgres, sqlite, statement};
use crate::audience::source_fault::{FaultKind, SourceFault};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A database as its URL names it.
pub struct Database {
    pub(super) driver: Driver,
    pub(super) words: Words,
}

#[derive(Clone)]
pub(super) enum Driver {
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

/// Why a reading ended early.
pub enum Ended {
    Database(sqlx::Error),
    Stop(Stop),
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Ended {
        Ended::Database(error)
    }
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Ended {
        Ended::Stop(stop)
    }
}

impl Database {
    /// Which database a URL names, to be read. The text of an error goes on from "the key", and holds nothing of the URL.
    pub fn named_by(url: &str) -> Result<Database, &'static str> {
        let mut database = Database::to_write(url)?;
        if let Driver::Sqlite(options) = &mut database.driver {
            // What the URL says of writing does not count.
            **options = options.as_ref().clone().read_only(true).pragma("query_only", "ON");
        }
        Ok(database)
    }

    /// The same, to be written to.
    pub fn to_write(url: &str) -> Result<Database, &'static str> {
        let unreadable = "holds no URL of a database that can be read";
        let (scheme, _) = url.split_once(':').ok_or(unreadable)?;
        // Statements are not logged: that is for who wrote the query to see.
        let driver = match scheme {
            "postgres" | "postgresql" => {
                let options = PgConnectOptions::from_str(url).map_err(|_| unreadable)?;
                Driver::Postgres(Box::new(options.application_name("herald").disable_statement_logging()))
            }
            "mysql" | "mariadb" => {
                let options = MySqlConnectOptions::from_str(url).map_err(|_| unreadable)?;
                Driver::MySql(Box::new(options.disable_statement_logging()))
            }
            "sqlite" => {
                let options = SqliteConnectOptions::from_str(url).map_err(|_| unreadable)?;
                Driver::Sqlite(Box::new(options.create_if_missing(false).disable_statement_logging()))
            }
            _ => return Err("names a database of a kind that is not read"),
        };
        Ok(Database { driver, words: Words::without_secrets_of(url) })
    }

    /// Why a query is not sent to this database; the text goes on from "the query".
    pub fn check(&self, query: &str) -> Result<(), String> {
        statement::check(query)?;
        match self.driver {
            Driver::MySql(_) => statement::check_for_mysql(query),
            Driver::Postgres(_) | Driver::Sqlite(_) => Ok(()),
        }
    }
}

/// Reads the answer of a query into a feed, and tells it how that ended.
pub async fn read(database: Database, query: String, limits: Limits, place: String, mut feed: Feed) {
    let reading = read_patiently(&database, &query, &limits, &place, &mut feed);
    let fault = match tokio::time::timeout(limits.whole, reading).await {
        Ok(fault) => fault,
        Err(_) => Some(database_fault::too_slow(&place, limits.whole)),
    };
    feed.end(fault).await;
}

/// `None` when all rows were read, or nobody wants the rest.
async fn read_patiently(
    database: &Database,
    query: &str,
    limits: &Limits,
    place: &str,
    feed: &mut Feed,
) -> Option<SourceFault> {
    let mut pause = limits.first_pause;
    let mut attempt = 1;
    loop {
        let fault = match read_once(&database.driver, query, limits, feed).await {
            Ok(()) | Err(Ended::Stop(Stop::Refused | Stop::Unread)) => return None,
            Err(Ended::Stop(Stop::TooMany)) => {
                let problem = format!("the query gives more than {} rows", limits.rows);
                let remedy = "look at its joins, or let a condition or LIMIT give fewer";
                return Some(SourceFault::new(FaultKind::TooLarge, place, problem, remedy));
            }
            Err(Ended::Database(error)) => database_fault::of(&error, place, &database.words),
        };
        if fault.kind == FaultKind::Unreachable && feed.count > 0 {
            let remedy =
                "look at the database; the audience is read from its beginning again, so that all of it is of one time";
            return Some(SourceFault { kind: FaultKind::BrokenOff, remedy: remedy.into(), ..fault });
        }
        if fault.kind != FaultKind::Unreachable || attempt == limits.attempts {
            return Some(fault);
        }
        tracing::info!(attempt, "a database of an audience could not be read, and is asked again");
        tokio::time::sleep(pause).await;
        attempt += 1;
        pause *= 2;
    }
}

async fn read_once(driver: &Driver, query: &str, limits: &Limits, feed: &mut Feed) -> Result<(), Ended> {
    match driver {
        Driver::Postgres(options) => {
            let connection = in_time(options.connect()).await?;
            postgres::read(connection, query, limits, feed).await
        }
        Driver::MySql(options) => {
            let connection = in_time(options.connect()).await?;
            mysql::read(connection, query, limits, feed).await
        }
        Driver::Sqlite(options) => {
            let connection = in_time(options.connect()).await?;
            sqlite::read(connection, query, feed).await
        }
    }
}

pub(super) async fn in_time<T>(connecting: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let timed_out = || std::io::Error::new(std::io::ErrorKind::TimedOut, "no connection in time");
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(timed_out().into()))
}
