//! SQLite: a file that is opened for reading only.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, Row, TypeInfo, ValueRef};

use super::columns::{Cell, Kind};
use super::database::Ended;
use super::feed::{Feed, NotText};

/// After so many steps of SQLite's own machine, some milliseconds, it is asked whether the answer is still wanted.
const STEPS: i32 = 100_000;

/// Ends a query that nobody waits for any more, be it that its time is up: SQLite works on a thread of its own.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub async fn read(mut connection: SqliteConnection, query: &str, feed: &mut Feed) -> Result<(), Ended> {
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let is_wanted = wanted.0.clone();
    connection.lock_handle().await?.set_progress_handler(STEPS, move || is_wanted.load(Ordering::Relaxed));
    let mut rows = connection.fetch(sqlx::query(AssertSqlSafe(query.to_owned())).persistent(false));
    while let Some(row) = rows.try_next().await? {
        if !feed.knows_columns() {
            // Types are those of each value.
            let columns = row.columns().iter().map(|column| (column.name().to_owned(), Kind::Plain));
            feed.columns(columns.collect()).await?;
        }
        let cells = cells(&row);
        feed.row(cells).await?;
    }
    drop(rows);
    // All is read; how the connection ends changes nothing.
    let _ = connection.close().await;
    Ok(())
}

fn cells(row: &SqliteRow) -> Vec<Result<(Cell<'static>, Option<Kind>), NotText>> {
    let cell = |index: usize| -> sqlx::Result<(Cell<'static>, Option<Kind>)> {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            return Ok((None, None));
        }
        let (text, kind) = match value.type_info().name() {
            "INTEGER" => (row.try_get_unchecked::<i64, _>(index)?.to_string(), Kind::Plain),
            "REAL" => (row.try_get_unchecked::<f64, _>(index)?.to_string(), Kind::Float),
            "BLOB" => (String::new(), Kind::Nested),
            _ => (row.try_get_unchecked::<String, _>(index)?, Kind::Plain),
        };
        Ok((Some(Cow::Owned(text)), Some(kind)))
    };
    (0..row.len()).map(|index| cell(index).map_err(|_| NotText)).collect()
}
