//! PostgreSQL: a cursor in a transaction that may only read.
//!
//! A cursor takes nothing but one query, by the server's own parser, and gives rows only when they are asked for: neither side
//! holds many of them. They are asked for by the simple protocol, which writes every type as text.

use std::borrow::Cow;

use futures::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow, PgValueFormat};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, Row, TypeInfo, ValueRef};

use super::Limits;
use super::columns::{Cell, Kind};
use super::database::Ended;
use super::feed::{Feed, NotText};

/// Rows asked for at once.
const FETCHED_AT_ONCE: u32 = 500;

pub async fn read(mut connection: PgConnection, query: &str, limits: &Limits, feed: &mut Feed) -> Result<(), Ended> {
    let milliseconds = limits.whole.as_millis().max(1);
    let begin = format!(
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {milliseconds}; \
         SET LOCAL cursor_tuple_fraction = 1"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(begin))).await?;
    // By the extended protocol, which takes one statement.
    let cursor = format!("DECLARE herald_audience NO SCROLL CURSOR FOR {query}");
    sqlx::query(AssertSqlSafe(cursor)).persistent(false).execute(&mut connection).await?;
    loop {
        let fetch = format!("FETCH FORWARD {FETCHED_AT_ONCE} FROM herald_audience");
        let mut rows = connection.fetch(sqlx::raw_sql(AssertSqlSafe(fetch)));
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            count += 1;
            if !feed.knows_columns() {
                let columns = row.columns().iter().map(|column| (column.name().to_owned(), kind(column.type_info())));
                feed.columns(columns.collect()).await?;
            }
            feed.row(cells(&row)).await?;
        }
        drop(rows);
        if count < FETCHED_AT_ONCE {
            break;
        }
    }
    // All is read; how the connection ends changes nothing.
    let _ = connection.close().await;
    Ok(())
}

fn cells(row: &PgRow) -> Vec<Result<(Cell<'_>, Option<Kind>), NotText>> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index).map_err(|_| NotText)?;
            if value.is_null() {
                return Ok((None, None));
            }
            if value.format() != PgValueFormat::Text {
                return Err(NotText);
            }
            Ok((Some(Cow::Borrowed(value.as_str().map_err(|_| NotText)?)), None))
        })
        .collect()
}

fn kind(of: &sqlx::postgres::PgTypeInfo) -> Kind {
    match of.name() {
        "FLOAT4" | "FLOAT8" => Kind::Float,
        "NUMERIC" => Kind::Number,
        "BOOL" => Kind::Truth,
        "JSON" | "JSONB" | "JSONPATH" | "RECORD" | "BYTEA" | "BIT" | "VARBIT" | "XML" => Kind::Nested,
        name if name.ends_with("[]") || name.ends_with("RANGE") => Kind::Nested,
        _ => Kind::Plain,
    }
}
