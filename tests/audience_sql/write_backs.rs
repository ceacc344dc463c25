//! Who was sent to is written to a database: by bound values alone, and one who is refused keeps nobody else from it.

use herald::api::SqlWriteBack;
use herald::audience::{SentPerson, SqlWriter, Written};
use serde_json::json;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::mariadb::MariaDb;
use super::{Url, postgres};

const STATEMENT: &str =
    "update people set last_broadcast = :broadcast, sent_at = :sent_time, message_id = :message_id where psid = :id";

fn person(recipient: &str) -> SentPerson {
    let (message_id, sent_at) = (Some(format!("m_{recipient}")), "2026-12-01 09:00:00".to_owned());
    SentPerson { recipient: recipient.to_owned(), message_id, sent_at }
}

async fn write(url: &str, statement: &str, people: &[SentPerson]) -> Written {
    let spec: SqlWriteBack = serde_json::from_value(json!({
        "urlSecretKeyRef": {"name": "crm-db", "key": "url"}, "statement": statement,
    }))
    .unwrap();
    let written = match SqlWriter::open(&spec, &Url(url.to_owned())) {
        Ok(writer) => writer.write("sale'; drop table people", people).await,
        Err(fault) => Written { stopped: Some(fault), ..Written::default() },
    };
    for fault in written.refused.iter().map(|(_, fault)| fault).chain(&written.stopped) {
        assert!(!fault.message.contains("hunter2") && !fault.message.contains("24005"), "{fault:?}");
    }
    written
}

fn done(count: usize) -> Written {
    Written { done: (0..count).collect(), ..Written::default() }
}

/// Whoever is refused, and why.
fn refused(written: &Written) -> Vec<(usize, &str, Option<&str>)> {
    written.refused.iter().map(|(place, fault)| (*place, fault.reason, fault.code.as_deref())).collect()
}

fn stopped(written: Written) -> (&'static str, Option<String>, String) {
    let fault = written.stopped.unwrap();
    (fault.reason, fault.code, fault.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_written_to_postgresql_with_their_types() {
    let url = postgres::fresh_database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let tables = "CREATE TABLE people (psid BIGINT UNIQUE, last_broadcast TEXT, sent_at TIMESTAMPTZ, message_id VARCHAR(99)); \
                  ALTER DATABASE CURRENT_DATABASE SET timezone = 'Asia/Tokyo'; \
                  INSERT INTO people SELECT 24005550000 + n FROM generate_series(1, 4) n";
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut connection).await.unwrap();
    let tables = tables.replace("CURRENT_DATABASE", &name);
    connection.execute(sqlx::raw_sql(AssertSqlSafe(tables))).await.unwrap();
    let all: Vec<SentPerson> = (1..=4).map(|n| person(&format!("{}", 24005550000_i64 + n))).collect();
    let by_number = STATEMENT.replace(":id", ":id::bigint");
    assert_eq!(write(&url, &by_number, &all).await, done(4));
    let row: (i64, String, bool, String) = sqlx::query_as(
        "SELECT psid, last_broadcast, sent_at = '2026-12-01T09:00:00Z', message_id FROM people ORDER BY psid LIMIT 1",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(row, (24005550001, "sale'; drop table people".into(), true, "m_24005550001".into()));

    // One that is no number keeps nobody else from being written.
    let odd = [person("24005550001"), person("nobody"), person("24005550002")];
    let written =
        write(&url, "insert into people (psid, message_id) values (:id::bigint + 10, :message_id)", &odd).await;
    assert_eq!((written.done.clone(), refused(&written)), (vec![0, 2], vec![(1, "WriteBackFailed", Some("22P02"))]));
    // Nor does one that is there already; what was written by itself stands.
    let written = write(&url, "insert into people (psid) values (:id::bigint + 10)", &all).await;
    assert_eq!(written.done, [2, 3]);
    assert_eq!(refused(&written), [(0, "WriteBackFailed", Some("23505")), (1, "WriteBackFailed", Some("23505"))]);

    let (reason, code, message) = stopped(write(&url, "update nobody set x = 1 where psid = :id", &all).await);
    assert_eq!((reason, code.as_deref()), ("WriteBackRefused", Some("42P01")));
    assert!(
        message.starts_with("spec.onSent.sql: the database refuses the statement: relation \"nobody\""),
        "{message}"
    );
    let (reason, code, _) = stopped(write(&url, STATEMENT, &all).await);
    assert_eq!((reason, code.as_deref()), ("WriteBackRefused", Some("42883")), "a number is compared with a text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_keeps_what_it_has_written() {
    let url = postgres::fresh_database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("CREATE TABLE people (psid BIGINT UNIQUE)").await.unwrap();
    let all: Vec<SentPerson> = (1..=4).map(|n| person(&n.to_string())).collect();
    // The last one is broken off, and with it whoever is in one transaction with it.
    let slow = "insert into people (psid) select :id::bigint from pg_sleep(2) \
                where :id::bigint < 4 or pg_cancel_backend(pg_backend_pid())";
    let written = write(&url, slow, &all).await;
    let there: Vec<i64> =
        sqlx::query_scalar("SELECT psid FROM people ORDER BY psid").fetch_all(&mut connection).await.unwrap();
    assert!(!there.is_empty(), "{written:?}");
    assert_eq!(written.done.iter().map(|place| *place as i64 + 1).collect::<Vec<_>>(), there);
    let (reason, code, _) = stopped(written);
    assert_eq!((reason, code.as_deref()), ("WriteBackTimedOut", Some("57014")));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_written_to_mariadb() {
    let Some(mariadb) = MariaDb::start() else { return };
    let mut connection = MySqlConnection::connect(&mariadb.url).await.unwrap();
    let tables = "CREATE TABLE people (psid BIGINT UNIQUE, last_broadcast TEXT, sent_at DATETIME, message_id VARCHAR(99)); \
                  INSERT INTO people (psid) VALUES (24005550001), (24005550002)";
    connection.execute(sqlx::raw_sql(tables)).await.unwrap();
    let all = [person("24005550001"), person("24005550002")];
    assert_eq!(write(&mariadb.url, STATEMENT, &all).await, done(2));
    let row: (String, String, String) = sqlx::query_as(
        "SELECT last_broadcast, CAST(sent_at AS CHAR), message_id FROM people ORDER BY psid DESC LIMIT 1",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(row, ("sale'; drop table people".into(), "2026-12-01 09:00:00".into(), "m_24005550002".into()));
    let written = write(&mariadb.url, "insert into people (psid) values (:id), (:id + 7)", &all).await;
    assert_eq!(refused(&written), [(0, "WriteBackFailed", Some("1062")), (1, "WriteBackFailed", Some("1062"))]);
    let (reason, code, _) = stopped(write(&mariadb.url, "delete from nobody where psid = :id", &all).await);
    assert_eq!((reason, code.as_deref()), ("WriteBackRefused", Some("1146")));
    let wrong = mariadb.url.replace("hunter2", "hunter2x");
    let (reason, code, _) = stopped(write(&wrong, STATEMENT, &all).await);
    assert_eq!((reason, code.as_deref()), ("WriteBackRefused", Some("1045")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_told_so() {
    let (reason, code, message) =
        stopped(write("postgres://herald:hunter2@127.0.0.1:1/crm", STATEMENT, &[person("1")]).await);
    assert_eq!((reason, code), ("WriteBackUnreachable", None));
    assert!(message.contains("spec.onSent.sql: the database cannot be reached"), "{message}");
    let (reason, _, message) = stopped(write("redis://herald:hunter2@127.0.0.1", STATEMENT, &[person("1")]).await);
    assert_eq!(reason, "SecretKeyUnusable");
    assert!(message.contains("names a database of a kind that is not read"), "{message}");
    let (reason, _, _) = stopped(write("sqlite:/nonexistent/people.sqlite", STATEMENT, &[person("1")]).await);
    assert_eq!(reason, "WriteBackRefused");
}
