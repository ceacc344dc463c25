use std::io::Read;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::runtime::Runtime;

use super::*;
use crate::api::SecretKeyRef;
use crate::audience::{MaterialError, MaterialKind};

/// The URL of a database, as the one key of the one Secret.
struct Url(String);

impl Materials for Url {
    fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        if (name, key) == ("crm-db", "url") {
            return Ok(Box::new(std::io::Cursor::new(self.0.clone().into_bytes())));
        }
        Err(MaterialError::KeyNotFound { kind, name: name.into(), key: key.into(), remedy: "add it".into() })
    }

    fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
        Ok(vec!["url".to_owned()])
    }
}

fn source(query: &str) -> SqlSource {
    let url_secret_key_ref = SecretKeyRef { name: "crm-db".to_owned(), key: "url".to_owned() };
    SqlSource { url_secret_key_ref, query: query.to_owned(), timeout_seconds: 60 }
}

fn limits() -> Limits {
    Limits { whole: Duration::from_secs(60), rows: 1_000_000, attempts: 3, first_pause: Duration::from_millis(1) }
}

type Outcome = Result<Vec<String>, (usize, ReadError)>;

/// Ids with variables to the end, or how many came before the first error and the error.
fn read(url: &str, limits: Limits, query: &str) -> Outcome {
    let runtime = Runtime::new().unwrap();
    let rows = SqlRows::within(limits, "db", &source(query), &Url(url.to_owned()), runtime.handle())
        .map_err(|fault| (0, ReadError::Source(fault)))?;
    let mut seen = Vec::new();
    for row in rows {
        match row {
            Ok(row) => seen.push(format!("{} {:?}", row.id, row.vars)),
            Err(error) => return Err((seen.len(), error)),
        }
    }
    Ok(seen)
}

#[track_caller]
fn refused(outcome: Outcome, kind: FaultKind, parts: &[&str]) {
    let (_, error) = outcome.unwrap_err();
    let text = error.to_string();
    let ReadError::Source(fault) = error else { panic!("{text}") };
    assert_eq!(fault.kind, kind, "{text}");
    for part in [&["source db: "], parts].concat() {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
}

/// A database in a file with so many people.
fn people(folder: &Path, count: u32) -> String {
    let file = folder.join("people.sqlite");
    let statements = format!(
        "CREATE TABLE people (psid TEXT, name TEXT, age INTEGER, score REAL, photo BLOB); \
         INSERT INTO people SELECT value, 'n' || value, value, value / 2.0, NULL FROM generate({count})"
    );
    let statements = statements.replace(
        &format!("generate({count})"),
        &format!(
            "(WITH RECURSIVE g(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT {count}) SELECT * FROM g)"
        ),
    );
    Runtime::new().unwrap().block_on(async {
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.unwrap();
        connection.close().await.unwrap();
    });
    format!("sqlite:{}", file.display())
}

#[test]
fn rows_become_recipients_in_their_order_whatever_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let url = people(folder.path(), 2_000);
    let query = "select psid as id, name, age, score, photo, '' as empty from people order by rowid";
    let seen = read(&url, limits(), query).unwrap();
    assert_eq!(seen.len(), 2_000);
    assert_eq!(seen[2], r#"3 {"age": "3", "name": "n3", "score": "1.5"}"#);
    assert_eq!(read(&url, limits(), "select 1 as id where 0"), Ok(Vec::new()));
    assert_eq!(read(&url, limits(), "select 240055500012400555 as id;"), Ok(vec!["240055500012400555 {}".to_owned()]));
}

#[test]
fn rows_and_columns_that_break_a_rule_are_told_by_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let url = people(folder.path(), 3);
    let cases = [
        ("select psid from people", 0, "source db row 1: the query has no column id"),
        ("select age as id, age as id from people", 0, "source db row 1, column 2 (id): column 1 has the same name"),
        (
            "select psid as id, count(*) from people",
            0,
            "source db row 1, column 2: the name \"count(*)\" has other characters",
        ),
        (
            "select nullif(psid, '2') as id from people order by rowid",
            1,
            "source db row 2, column 1 (id): the id is NULL",
        ),
        ("select score as id from people", 0, "source db row 1, column 1 (id): the id is a floating-point number"),
        ("select 1 as id, x'00' as photo", 0, "source db row 1, column 2 (photo): the value is no single one"),
    ];
    for (query, before, expected) in cases {
        let (count, error) = read(&url, limits(), query).unwrap_err();
        assert!(matches!(error, ReadError::Row(_)), "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(count, before, "{query}");
    }
}

#[test]
fn a_query_that_is_wrong_is_told_in_the_words_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let url = people(folder.path(), 3);
    let read = |query: &str| read(&url, limits(), query);
    refused(
        read("select x as id from people"),
        FaultKind::QueryRefused,
        &["the database refuses the query: no such column: x"],
    );
    refused(read("select 1 from persons"), FaultKind::QueryRefused, &["no such table: persons"]);
    refused(read("select from"), FaultKind::QueryRefused, &["syntax error"]);
    refused(read("drop table people"), FaultKind::QueryRefused, &["the query begins with drop"]);
    refused(read("select 1 as id; drop table people"), FaultKind::QueryRefused, &["more than one statement"]);
    let writing = "with x as (select 1) insert into people (psid) select 9 returning psid as id";
    refused(read(writing), FaultKind::QueryRefused, &["the query writes: attempt to write a readonly database"]);
    assert_eq!(read("select psid as id from people").unwrap().len(), 3, "nothing was written");
}

#[test]
fn what_the_url_says_of_writing_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}?mode=rwc", people(folder.path(), 1));
    let writing = "with x as (select 1) delete from people returning psid as id";
    refused(read(&url, limits(), writing), FaultKind::QueryRefused, &["the query writes"]);
    let new = format!("sqlite:{}?mode=rwc", folder.path().join("new.sqlite").display());
    refused(read(&new, limits(), "select 1 as id"), FaultKind::Refused, &["unable to open database file"]);
    assert!(!folder.path().join("new.sqlite").exists());
}

#[test]
fn more_rows_than_are_read_and_more_time_than_is_given_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = people(folder.path(), 1_000);
    let few = Limits { rows: 999, ..limits() };
    refused(read(&url, few, "select psid as id from people"), FaultKind::TooLarge, &["more than 999 rows", "joins"]);
    let enough = Limits { rows: 1_000, ..limits() };
    assert_eq!(read(&url, enough, "select psid as id from people").unwrap().len(), 1_000);
    let short = Limits { whole: Duration::from_millis(200), ..limits() };
    let endless = "with recursive g(id) as (select 1 union all select id + 1 from g) select max(id) as id from g";
    let parts = ["take longer than 0.2 seconds", "raise timeoutSeconds"];
    refused(read(&url, short, endless), FaultKind::QueryTimedOut, &parts);
}

#[test]
fn a_url_that_cannot_be_used_is_not_repeated() {
    for url in [
        "",
        "hunter2",
        "oracle://herald:hunter2@db/crm",
        "postgres://herald:hunter2@db:port/crm",
        "mysql://hunter2@db:x/",
        "sqlite://x?hunter2=1",
    ] {
        let outcome = read(url, limits(), "select 1 as id");
        refused(outcome, FaultKind::SecretKeyUnusable, &["key \"url\" of the Secret \"crm-db\""]);
    }
    let other = SqlSource {
        url_secret_key_ref: SecretKeyRef { name: "other".to_owned(), key: "url".to_owned() },
        ..source("select 1 as id")
    };
    let runtime = Runtime::new().unwrap();
    let fault = SqlRows::within(limits(), "db", &other, &Url(String::new()), runtime.handle()).err().unwrap();
    assert_eq!(fault.kind, FaultKind::SecretKeyNotFound);
}

#[test]
fn a_server_that_is_not_there_is_asked_again_and_told_without_the_password() {
    // The port is free again when the listener is dropped.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["postgres", "mysql"] {
        let url = format!("{scheme}://herald:hunter2@{free}/crm");
        let outcome = read(&url, limits(), "select 1 as id");
        refused(outcome, FaultKind::Unreachable, &["the database cannot be reached: ", "check the URL"]);
    }
}

#[test]
fn a_reading_that_is_cut_short_is_not_taken_for_the_end_of_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let url = people(folder.path(), 5_000);
    let runtime = Runtime::new().unwrap();
    let query = source("select psid as id from people");
    let mut rows = SqlRows::within(limits(), "db", &query, &Url(url), runtime.handle()).unwrap();
    assert!(rows.next().unwrap().is_ok());
    runtime.shutdown_timeout(Duration::from_secs(60));
    let last = rows.last().unwrap().unwrap_err();
    assert!(matches!(&last, ReadError::Source(fault) if fault.kind == FaultKind::BrokenOff), "{last}");
}

#[test]
fn whoever_stops_reading_ends_the_query() {
    let folder = tempfile::tempdir().unwrap();
    let url = people(folder.path(), 1);
    let runtime = Runtime::new().unwrap();
    let endless = source("with recursive g(id) as (select 1 union all select id + 1 from g) select id from g");
    let mut rows = SqlRows::within(limits(), "db", &endless, &Url(url), runtime.handle()).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().id, "1");
    drop(rows);
    // Nothing but the reading is on this runtime, which would wait for it otherwise.
    runtime.shutdown_timeout(Duration::from_secs(60));
}

#[test]
fn what_mysql_alone_would_execute_is_not_sent_to_it() {
    let query = "select 1 as id /*! into outfile '/x' */";
    for scheme in ["mysql", "mariadb"] {
        let outcome = read(&format!("{scheme}://herald:hunter2@127.0.0.1:9/crm"), limits(), query);
        refused(outcome, FaultKind::QueryRefused, &["the query holds a comment that the database executes"]);
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(&people(folder.path(), 1), limits(), query), Ok(vec!["1 {}".to_owned()]));
}
