//! Audiences of databases: the same people from SQLite, PostgreSQL and MariaDB, and nothing written to any of them.
//!
//! PostgreSQL is that of `dev/with-postgres.sh`. MariaDB is started here; where it is not installed (`dev/mariadb-server.sh`) that
//! is said and its part is left out, but for CI, where that is a failure.

#![allow(clippy::unwrap_used)]

#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "audience_sql/write_backs.rs"]
mod write_backs;

use std::collections::BTreeMap;
use std::io::Read;

use herald::api::SqlSource;
use herald::audience::{FaultKind, MaterialError, MaterialKind, Materials, ReadError, Source};
use mariadb::MariaDb;
use serde_json::json;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The one Secret with the URL of the database.
struct Url(String);

impl Materials for Url {
    fn open(&self, _: MaterialKind, _: &str, _: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        Ok(Box::new(std::io::Cursor::new(self.0.clone().into_bytes())))
    }

    fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
        Ok(vec!["url".to_owned()])
    }
}

type Row = (String, BTreeMap<String, String>);

/// All recipients of a query, or the first error.
async fn read(url: &str, query: &str) -> Result<Vec<Row>, ReadError> {
    read_within(url, query, 60).await
}

async fn read_within(url: &str, query: &str, seconds: u32) -> Result<Vec<Row>, ReadError> {
    let spec: SqlSource = serde_json::from_value(json!({
        "urlSecretKeyRef": {"name": "crm-db", "key": "url"}, "query": query, "timeoutSeconds": seconds,
    }))
    .unwrap();
    let source = Source::Sql { name: "db".to_owned(), spec: Box::new(spec) };
    let materials = Url(url.to_owned());
    let reading = move || {
        let rows = source.open(&materials).unwrap();
        rows.map(|row| row.map(|row| (row.id, row.vars))).collect()
    };
    tokio::task::spawn_blocking(reading).await.unwrap()
}

#[track_caller]
fn refused(outcome: Result<Vec<Row>, ReadError>, kind: FaultKind, part: &str) {
    let error = outcome.unwrap_err();
    let text = error.to_string();
    let ReadError::Source(fault) = error else { panic!("{text}") };
    assert_eq!(fault.kind, kind, "{text}");
    assert!(text.starts_with("source db: ") && text.contains(part), "{part:?} is not in {text:?}");
    assert!(!text.contains("hunter2") && !text.contains("24005"), "{text}");
}

fn row(id: &str, vars: &[(&str, &str)]) -> Row {
    (id.to_owned(), vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// A database of PostgreSQL with so many people, and a connection to look at it by.
async fn postgres_with(count: u32) -> (String, PgConnection) {
    let url = postgres::fresh_database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let tables = format!(
        "CREATE TABLE people (psid TEXT, name TEXT, age INTEGER, paid NUMERIC, vip BOOLEAN, seen TIMESTAMPTZ, tags TEXT[], extra JSONB); \
         INSERT INTO people SELECT 24005550000 + n, nullif('Zoë ' || n, 'Zoë 2'), n, n * 1.50, n % 2 = 1, \
         '2026-12-01T09:00:00Z', '{{a}}', '{{}}' FROM generate_series(1, {count}) n"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(tables))).await.unwrap();
    (url, connection)
}

async fn count(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM people").fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_postgresql_come_as_text_in_their_order() {
    let (url, _) = postgres_with(3_000).await;
    let query = "select psid as id, name, age, paid, vip, seen at time zone 'UTC' as seen from people order by age;";
    let people = read(&url, query).await.unwrap();
    assert_eq!(people.len(), 3_000);
    let seen = ("seen", "2026-12-01 09:00:00");
    let first = [("name", "Zoë 1"), ("age", "1"), ("paid", "1.50"), ("vip", "true"), seen];
    let second = [("age", "2"), ("paid", "3.00"), ("vip", "false"), seen];
    assert_eq!(people[..2], [row("24005550001", &first), row("24005550002", &second)]);
    assert_eq!(people[2_999].0, "24005553000");
    assert_eq!(read(&url, "-- nobody\nselect 1 as id where false").await, Ok(Vec::new()));
    let with = "with few as (select psid from people where age <= 2) select psid as id from few order by 1 desc -- all";
    assert_eq!(read(&url, with).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_to_postgresql() {
    let (url, mut connection) = postgres_with(3).await;
    connection
        .execute(sqlx::raw_sql(
            "CREATE FUNCTION purge() RETURNS TEXT LANGUAGE plpgsql AS \
             $$ BEGIN SET transaction_read_only = off; DELETE FROM people; RETURN '1'; END $$; CREATE SEQUENCE counter",
        ))
        .await
        .unwrap();
    let cases = [
        ("delete from people", "the query begins with delete"),
        ("select 1 as id; delete from people", "more than one statement"),
        ("with gone as (delete from people returning psid) select psid as id from gone", "data-modifying"),
        ("select psid as id into others from people", "the database refuses the query"),
        ("select purge() as id", "read-write"),
        ("select nextval('counter') as id", "the query writes"),
        ("select psid as id from people for update", "the query writes"),
    ];
    for (query, expected) in cases {
        let outcome = if query.contains(';') || query.starts_with("delete") {
            // Refused before it is sent.
            open_error(&url, query).await
        } else {
            read(&url, query).await
        };
        let text = outcome.as_ref().unwrap_err().to_string();
        assert!(text.contains(expected), "{query}: {text}");
        let ReadError::Source(fault) = outcome.unwrap_err() else { panic!("{text}") };
        assert_eq!(fault.kind, FaultKind::QueryRefused, "{text}");
    }
    assert_eq!(count(&mut connection).await, 3);
}

/// What opening the source says.
async fn open_error(url: &str, query: &str) -> Result<Vec<Row>, ReadError> {
    let spec: SqlSource =
        serde_json::from_value(json!({"urlSecretKeyRef": {"name": "crm-db", "key": "url"}, "query": query})).unwrap();
    let source = Source::Sql { name: "db".to_owned(), spec: Box::new(spec) };
    let error = source.open(&Url(url.to_owned())).err().unwrap();
    let herald::audience::SourceError::Elsewhere(fault) = error else { panic!("{error}") };
    Err(ReadError::Source(fault))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_postgresql_is_told_without_values_and_passwords() {
    let (url, mut connection) = postgres_with(3).await;
    let ask = async |query: &str| read(&url, query).await;
    refused(ask("select x as id from people").await, FaultKind::QueryRefused, "column \"x\" does not exist");
    refused(
        ask("select psid as id from persons").await,
        FaultKind::QueryRefused,
        "relation \"persons\" does not exist",
    );
    // The server quotes the value that it cannot convert, and that is somebody's id.
    refused(
        ask("select (psid || 'x')::int as id from people").await,
        FaultKind::QueryRefused,
        "the query failed in the database (code 22",
    );
    let nested = ask("select psid as id, extra from people").await.unwrap_err().to_string();
    assert!(nested.contains("row 1, column 2 (extra): the value is no single one"), "{nested}");
    let nested = ask("select psid as id, tags from people").await.unwrap_err().to_string();
    assert!(nested.contains("column 2 (tags): the value is no single one"), "{nested}");
    let rounded = ask("select age::float8 as id from people").await.unwrap_err().to_string();
    assert!(rounded.contains("the id is a floating-point number"), "{rounded}");
    refused(read_within(&url, "select pg_sleep(60)::text as id", 1).await, FaultKind::QueryTimedOut, "");

    let reader = postgres::fresh_schema();
    let role = format!("CREATE ROLE {reader} LOGIN PASSWORD 'hunter2'; CREATE TABLE hidden (id TEXT)");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(role))).await.unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let place = rest.rsplit_once('@').unwrap().1;
    let as_reader = format!("{scheme}://{reader}:hunter2@{place}");
    refused(read(&as_reader, "select id from hidden").await, FaultKind::Refused, "permission denied");
    let nowhere = format!("{scheme}://herald:hunter2@{}/no_such_database", place.split('/').next().unwrap());
    refused(read(&nowhere, "select 1 as id").await, FaultKind::Refused, "does not exist");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_mariadb_come_as_text_and_nothing_is_written_to_it() {
    let Some(server) = MariaDb::start() else { return };
    let mut connection = MySqlConnection::connect(&server.url).await.unwrap();
    connection
        .execute(sqlx::raw_sql(
            "CREATE TABLE people (psid BIGINT UNSIGNED, name VARCHAR(50), paid DECIMAL(10,2), score DOUBLE, seen DATETIME, photo BLOB); \
             INSERT INTO people SELECT 24005550000 + seq, NULLIF(CONCAT('Zoë ', seq), 'Zoë 2'), seq * 1.5, seq / 4, \
             '2026-12-01 09:00:00', x'ff' FROM seq_1_to_3000; \
             CREATE PROCEDURE forget() DELETE FROM people; \
             CREATE FUNCTION forgotten() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM people; RETURN 1; END",
        ))
        .await
        .unwrap();
    let ask = async |query: &str| read(&server.url, query).await;
    let people = ask("select psid as id, name, paid, score, seen from people order by psid;").await.unwrap();
    let seen = ("seen", "2026-12-01 09:00:00");
    assert_eq!(people[0], row("24005550001", &[("name", "Zoë 1"), ("paid", "1.50"), ("score", "0.25"), seen]));
    assert_eq!(people[1], row("24005550002", &[("paid", "3.00"), ("score", "0.5"), seen]));
    assert_eq!(people.len(), 3_000);
    assert_eq!(ask("select 1 as id from people where false").await, Ok(Vec::new()));

    refused(ask("select forgotten() as id").await, FaultKind::QueryRefused, "the query writes");
    refused(ask("select psid as id from persons").await, FaultKind::QueryRefused, "persons' doesn't exist");
    refused(ask("select x as id from people").await, FaultKind::QueryRefused, "Unknown column 'x'");
    for (query, expected) in [
        ("call forget()", "begins with call"),
        ("select 1 as id; delete from people", "more than one statement"),
        ("select psid as id from people into outfile '/tmp/people'", "writes a file"),
    ] {
        refused(open_error(&server.url, query).await, FaultKind::QueryRefused, expected);
    }
    // What looks like one statement to us and like two to the server is refused by the server.
    refused(
        ask(r"select '\'' as id; delete from people; -- '").await,
        FaultKind::QueryRefused,
        "error in your SQL syntax",
    );
    let bytes = ask("select psid as id, photo from people").await.unwrap_err().to_string();
    assert!(bytes.contains("row 1, column 2 (photo): the value is not text"), "{bytes}");
    let rounded = ask("select score as id from people").await.unwrap_err().to_string();
    assert!(rounded.contains("the id is a floating-point number"), "{rounded}");
    refused(read_within(&server.url, "select sleep(60) as id", 1).await, FaultKind::QueryTimedOut, "");
    let wrong = server.url.replace("hunter2", "hunter2wrong");
    refused(read(&wrong, "select 1 as id").await, FaultKind::Refused, "Access denied");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM people").fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 3_000);
}
