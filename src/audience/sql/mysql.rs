//! MySQL and MariaDB: a transaction that may only read, with a snapshot of its own.
//!
//! The query is prepared first, which the server does for one statement only, and then run by the text protocol, which writes
//! every type as text.

use std::borrow::Cow;

use futures::TryStreamExt;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, Row, SqlSafeStr, TypeInfo, ValueRef};

use super::Limits;
use super::columns::{Cell, Kind};
use super::database::Ended;
use super::feed::{Feed, NotText};

pub async fn read(mut connection: MySqlConnection, query: &str, limits: &Limits, feed: &mut Feed) -> Result<(), Ended> {
    let seconds = limits.whole.as_secs().max(1);
    // Each server knows one of the two by which it ends a query itself; that the other is unknown does no harm.
    for limit in [
        format!("SET SESSION max_execution_time = {}", seconds.saturating_mul(1_000)),
        format!("SET SESSION max_statement_time = {seconds}"),
    ] {
        let _ = connection.execute(sqlx::raw_sql(AssertSqlSafe(limit))).await;
    }
    // So long the server bears that rows are not taken: the ledger may be slower than it.
    let patience = format!("SET SESSION net_write_timeout = {seconds}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(patience))).await?;
    connection.execute(sqlx::raw_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")).await?;
    connection.execute(sqlx::raw_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")).await?;
    connection.prepare(AssertSqlSafe(query.to_owned()).into_sql_str()).await?;

    let mut rows = connection.fetch(sqlx::raw_sql(AssertSqlSafe(query.to_owned())));
    while let Some(row) = rows.try_next().await? {
        if !feed.knows_columns() {
            let columns = row.columns().iter().map(|column| (column.name().to_owned(), kind(column.type_info())));
            feed.columns(columns.collect()).await?;
        }
        feed.row(cells(&row)).await?;
    }
    drop(rows);
    // All is read; how the connection ends changes nothing.
    let _ = connection.close().await;
    Ok(())
}

fn cells(row: &MySqlRow) -> Vec<Result<(Cell<'_>, Option<Kind>), NotText>> {
    (0..row.len())
        .map(|index| {
            if row.try_get_raw(index).map_err(|_| NotText)?.is_null() {
                return Ok((None, None));
            }
            let text = row.try_get_unchecked::<&str, _>(index).map_err(|_| NotText)?;
            Ok((Some(Cow::Borrowed(text)), None))
        })
        .collect()
}

fn kind(of: &sqlx::mysql::MySqlTypeInfo) -> Kind {
    match of.name() {
        "FLOAT" | "DOUBLE" => Kind::Float,
        "DECIMAL" => Kind::Number,
        "JSON" | "BIT" | "GEOMETRY" => Kind::Nested,
        _ => Kind::Plain,
    }
}
