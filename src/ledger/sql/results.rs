//! What became of the recipients of a broadcast.

use sqlx::FromRow;

use super::opened;
use super::store::Store;
use super::value::args;
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::Timestamp;
use crate::ledger::results::{
    MAX_RESULTS_LOOKED_THROUGH, MAX_RESULTS_PAGE, ResultOutcome, ResultRow, ResultsPage, ResultsQuery,
};
use crate::ledger::status::instant;

#[derive(FromRow)]
struct FoundRow {
    seq: i64,
    recipient: String,
    state: i64,
    reason: Option<String>,
    code: Option<String>,
    parts_done: i64,
    provider_id: Option<String>,
    delivered_at: Option<i64>,
    read_at: Option<i64>,
    undelivered_reason: Option<String>,
    undelivered_code: Option<String>,
}

impl FoundRow {
    fn into_result(self) -> Option<ResultRow> {
        let outcome = ResultOutcome::of(RecipientState::from_code(self.state)?);
        let (reason, code) = match self.reason {
            Some(reason) => (Some(reason), self.code),
            None => (self.undelivered_reason, self.undelivered_code),
        };
        let time = |at: Option<i64>| at.and_then(|at| instant(Timestamp(at)));
        Some(ResultRow {
            id: self.recipient,
            outcome,
            reason,
            code,
            parts_done: self.parts_done as u32,
            provider_id: self.provider_id,
            delivered_time: time(self.delivered_at),
            read_time: time(self.read_at),
        })
    }
}

/// `None` for a broadcast that is not there. The rows of a plan that is not sealed are nobody's result.
pub async fn page<S: Store>(store: &mut S, query: &ResultsQuery) -> sqlx::Result<Option<ResultsPage>> {
    let Some(broadcast) = opened::read(store, query.broadcast).await? else { return Ok(None) };
    if broadcast.plan_sealed_at.is_none() {
        return Ok(Some(ResultsPage::default()));
    }
    let from = query.from.max(0);
    let end = from.saturating_add(MAX_RESULTS_LOOKED_THROUGH).min(broadcast.planned);
    let found: Vec<FoundRow> = store
        .all(
            &format!(
                "SELECT seq, recipient, state, reason, code, parts_done, provider_id, delivered_at, read_at, undelivered_reason, \
                 undelivered_code FROM delivery \
                 WHERE broadcast_id = $1 AND seq >= $2 AND seq < $3 AND state IN ({}) AND ($4 = '' OR coalesce(reason, undelivered_reason) = $4) \
                 ORDER BY seq LIMIT $5",
                states(&query.filter.outcomes)
            ),
            args![broadcast.id, from, end, query.filter.reason.clone().unwrap_or_default(), MAX_RESULTS_PAGE],
        )
        .await?;
    let last = found.last().map(|row| row.seq).filter(|_| found.len() == MAX_RESULTS_PAGE as usize);
    let next = last.map_or(end, |seq| seq + 1);
    let rows = found.into_iter().filter_map(FoundRow::into_result).collect();
    Ok(Some(ResultsPage { rows, next: Some(next).filter(|next| *next < broadcast.planned) }))
}

/// The numbers of the states that are asked for: of all of them where none is named.
fn states(outcomes: &[ResultOutcome]) -> String {
    let asked = if outcomes.is_empty() { &ResultOutcome::ALL[..] } else { outcomes };
    let numbers = asked.iter().flat_map(|outcome| outcome.states()).map(|state| state.code().to_string());
    numbers.collect::<Vec<_>>().join(", ")
}
