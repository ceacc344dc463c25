//! Recipients of a plan in bulk.

use std::fmt::Write;

use sqlx::PgConnection;

use crate::ledger::sql::store::PlannedRow;

const COPY: &str = "COPY delivery (broadcast_id, seq, zone, recipient, vars, state, reason, active_at) FROM STDIN";
/// No value.
const NONE: &str = "\\N";

/// One COPY in the text format.
pub async fn copy(connection: &mut PgConnection, broadcast: i64, rows: &[PlannedRow<'_>]) -> sqlx::Result<()> {
    let mut text = String::new();
    for row in rows {
        let _infallible = write!(text, "{broadcast}\t{}\t{}\t", row.seq, row.zone);
        escape(&mut text, row.recipient);
        text.push('\t');
        escape(&mut text, &row.vars);
        let (state, reason) = row.state();
        let _infallible = write!(text, "\t{state}\t{}", reason.unwrap_or(NONE));
        match row.active_at {
            Some(at) => _ = writeln!(text, "\t{at}"),
            None => _ = writeln!(text, "\t{NONE}"),
        }
    }
    let mut copy = connection.copy_in_raw(COPY).await?;
    if let Err(error) = copy.send(text.as_bytes()).await {
        copy.abort("the rows could not be sent").await?;
        return Err(error);
    }
    copy.finish().await?;
    Ok(())
}

/// Writes what the text format of COPY reads back as `value`.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
}
