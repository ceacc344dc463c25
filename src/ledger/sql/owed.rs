//! Who is written down elsewhere by whom: people are given to one sender at a time, and tried until their target has them,
//! they are refused for good, or nothing has come of it for three days. Whoever writes here has locked the broadcast.

use std::collections::BTreeMap;

use sqlx::FromRow;

use super::opened;
use super::rows::{self, BroadcastRow, json};
use super::store::Store;
use super::value::args;
use crate::api::WriteBackTarget;
use crate::delivery::backoff::scatter;
use crate::delivery::outcome::Fault;
use crate::delivery::time::{Span, Timestamp};
use crate::delivery::write_back::{
    FEW_IN_VAIN, FORGOTTEN_AFTER, LABEL_WINDOW, LONGEST_BACKOFF, LONGEST_OWN_BACKOFF, is_given_up, is_of_target,
    is_refused_for_good, own_wait, wait,
};
use crate::ledger::error::LedgerError;
use crate::ledger::notification::LONGEST_RETRY_AFTER;
use crate::ledger::write_back::{
    MAX_WRITE_BACK_PAGE, Owed, PutOff, RefusedPerson, ReportWriteBacks, TakeWriteBacks, WRITE_BACK_LEASE, WriteBack,
    WriteBackPage, WriteBackTotals, WrittenBack,
};

/// How one target of a broadcast stands.
#[derive(Clone, Debug, FromRow)]
struct TargetRow {
    target: String,
    definition: String,
    owed: i64,
    done: i64,
    failed: i64,
    moved_at: i64,
    holder: Option<String>,
    lease_until: i64,
    attempts: i64,
    not_before: i64,
    in_vain: Option<i64>,
    given_up: bool,
    error: Option<String>,
}

const COLUMNS: &str = "target, definition, owed, done, failed, moved_at, holder, lease_until, attempts, not_before, in_vain, given_up, \
     error";

impl TargetRow {
    fn write_back(&self) -> sqlx::Result<WriteBack> {
        rows::parsed(&self.definition)
    }

    fn error(&self) -> sqlx::Result<Option<Fault>> {
        self.error.as_deref().map(rows::parsed).transpose()
    }

    fn left(&self) -> i64 {
        self.owed - self.done - self.failed
    }

    /// Until when nobody is given to this sender, but for what it has already and asks for again. What is further ahead than any
    /// lease or wait reaches is of a clock that was set back.
    fn closed_until(&self, holder: Option<&str>, now: Timestamp) -> Timestamp {
        let is_held = self.holder.is_some() && self.holder.as_deref() != holder;
        let lease_until =
            if is_held { Timestamp(self.lease_until).min(now + WRITE_BACK_LEASE) } else { Timestamp::EPOCH };
        Timestamp(self.not_before).min(now + LONGEST_BACKOFF).max(lease_until)
    }
}

impl BroadcastRow {
    /// The targets that whoever is sent is owed to.
    pub fn write_back_targets(&self) -> sqlx::Result<Vec<WriteBackTarget>> {
        rows::stored(self.write_backs.as_deref())
    }

    /// Nothing is written down of one that is paused or gone.
    fn writes_back(&self) -> bool {
        self.write_backs.is_some() && !self.suspended && !self.released
    }
}

/// The targets that a declaration names, as they stand with the broadcast.
pub fn names(wanted: &[WriteBack]) -> sqlx::Result<Option<String>> {
    let names: Vec<WriteBackTarget> = wanted.iter().map(WriteBack::target).collect();
    if names.is_empty() { Ok(None) } else { json(&names).map(Some) }
}

/// Follows a declaration: a target that was changed is tried at once, and one that is named no more keeps what waits for it.
pub async fn follow_declaration<S: Store>(
    store: &mut S,
    broadcast: i64,
    wanted: &[WriteBack],
    now: Timestamp,
) -> sqlx::Result<()> {
    for one in wanted {
        store
            .run(
                "INSERT INTO write_back AS known (broadcast_id, target, definition, moved_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (broadcast_id, target) DO UPDATE SET definition = excluded.definition, attempts = 0, \
                 not_before = 0, in_vain = NULL, given_up = FALSE, moved_at = excluded.moved_at \
                 WHERE known.definition <> excluded.definition",
                args![broadcast, one.target().as_str(), json(one)?, now],
            )
            .await?;
    }
    Ok(())
}

/// The time in which nothing was to be written counts for nothing: called before the broadcast goes on.
pub async fn resume<S: Store>(store: &mut S, broadcast: i64, now: Timestamp) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE write_back SET moved_at = $2 WHERE broadcast_id = $1 AND NOT given_up \
             AND EXISTS (SELECT 1 FROM broadcast WHERE id = $1 AND (suspended OR released))",
            args![broadcast, now],
        )
        .await?;
    Ok(())
}

async fn target<S: Store>(store: &mut S, broadcast: i64, target: WriteBackTarget) -> sqlx::Result<Option<TargetRow>> {
    let statement = format!("SELECT {COLUMNS} FROM write_back WHERE broadcast_id = $1 AND target = $2");
    store.optional(&statement, args![broadcast, target.as_str()]).await
}

#[derive(FromRow)]
struct OwedRow {
    seq: i64,
    recipient: String,
    provider_id: Option<String>,
    slot: Option<i64>,
}

pub async fn take<S: Store>(
    store: &mut S,
    request: &TakeWriteBacks,
) -> sqlx::Result<Result<WriteBackPage, LedgerError>> {
    // Calls of its provider are paced by the account, which comes first then.
    let paced = request.target == WriteBackTarget::Messenger;
    let opened = if paced {
        opened::open(store, request.broadcast, "").await?.map(|opened| opened.broadcast)
    } else {
        opened::open_to_plan(store, request.broadcast).await?
    };
    let Some(broadcast) = opened else { return Ok(Err(LedgerError::UnknownBroadcast)) };
    let now = store.now().await?;
    let nobody = |name, next_at| {
        let (write_back, people, calls_until) = (None, Vec::new(), None);
        WriteBackPage { now, name, write_back, people, next_at, calls_until }
    };
    let is_wanted = broadcast.writes_back() && broadcast.write_back_targets()?.contains(&request.target);
    let row = if is_wanted { target(store, broadcast.id, request.target).await? } else { None };
    let Some(row) = row.filter(|row| !row.given_up) else { return Ok(Ok(nobody(broadcast.name, None))) };
    let write_back = row.write_back()?;
    let free_at = if paced {
        // Their provider is not called at all while it wants to be left alone.
        labels_free_at(store, broadcast.account_id, now).await?.max(broadcast.brake().hold_until)
    } else {
        now
    };
    let closed_until = row.closed_until(Some(&request.holder), now).max(free_at);
    let people = if closed_until > now { Vec::new() } else { due(store, broadcast.id, &write_back, now).await? };
    if people.is_empty() {
        let next_at = next_due(store, broadcast.id, request.target, now).await?;
        return Ok(Ok(nobody(broadcast.name, next_at.map(|next_at| next_at.max(closed_until)))));
    }
    store
        .run(
            "UPDATE write_back SET holder = $3, lease_until = $4 WHERE broadcast_id = $1 AND target = $2",
            args![broadcast.id, request.target.as_str(), &request.holder, now + WRITE_BACK_LEASE],
        )
        .await?;
    let calls_until = paced.then_some(now + LABEL_WINDOW);
    if let Some(calls_until) = calls_until {
        // However few they are: what else a sender asks the provider for them is of the same time.
        store
            .run("UPDATE account SET labels_free_at = $2 WHERE id = $1", args![broadcast.account_id, calls_until])
            .await?;
    }
    let write_back = Some(write_back);
    Ok(Ok(WriteBackPage { now, name: broadcast.name, write_back, people, next_at: None, calls_until }))
}

/// When the next call may be made that labels somebody of the account.
async fn labels_free_at<S: Store>(store: &mut S, account: i64, now: Timestamp) -> sqlx::Result<Timestamp> {
    let (at,): (i64,) = store.one("SELECT labels_free_at FROM account WHERE id = $1", args![account]).await?;
    Ok(Timestamp(at).min(now + LABEL_WINDOW))
}

/// Those who are due, the longest waiting first; where nobody is, those whose wait is longer than any, of a clock that was set
/// back.
async fn due<S: Store>(
    store: &mut S,
    broadcast: i64,
    write_back: &WriteBack,
    now: Timestamp,
) -> sqlx::Result<Vec<Owed>> {
    let mut rows: Vec<OwedRow> = Vec::new();
    for (when, at) in [("<= $3", now), ("> $3", now + LONGEST_OWN_BACKOFF)] {
        if !rows.is_empty() {
            break;
        }
        let statement = format!(
            "SELECT due.seq, recipient, provider_id, slot FROM (SELECT seq, not_before FROM owed \
             WHERE broadcast_id = $1 AND target = $2 AND not_before {when} ORDER BY not_before, seq LIMIT $4) AS due \
             JOIN delivery ON delivery.broadcast_id = $1 AND delivery.seq = due.seq ORDER BY due.not_before, due.seq"
        );
        let (target, limit) = (write_back.target(), write_back.page() as i64);
        rows = store.all(&statement, args![broadcast, target.as_str(), at, limit]).await?;
    }
    let owed = |row: OwedRow| Owed {
        seq: row.seq,
        recipient: row.recipient,
        message_id: row.provider_id,
        sent_at: row.slot.map_or(now, Timestamp),
    };
    Ok(rows.into_iter().map(owed).collect())
}

/// When the first of those who are owed is due.
async fn next_due<S: Store>(
    store: &mut S,
    broadcast: i64,
    target: WriteBackTarget,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    let (next,): (Option<i64>,) = store
        .one(
            "SELECT min(not_before) FROM owed WHERE broadcast_id = $1 AND target = $2",
            args![broadcast, target.as_str()],
        )
        .await?;
    Ok(next.map(|next| Timestamp(next).min(now + LONGEST_OWN_BACKOFF)))
}

pub async fn report<S: Store>(store: &mut S, told: &ReportWriteBacks) -> sqlx::Result<Result<(), LedgerError>> {
    if told.done.len() + told.refused.len() > MAX_WRITE_BACK_PAGE {
        return Ok(Err(LedgerError::RequestTooLarge { limit: MAX_WRITE_BACK_PAGE }));
    }
    let Some(broadcast) = opened::open_to_plan(store, told.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    let now = store.now().await?;
    let Some(row) = target(store, broadcast.id, told.write_back.target()).await? else { return Ok(Ok(())) };
    let is_current = row.write_back().is_ok_and(|now| now == told.write_back);
    let mut book = Book { broadcast: broadcast.id, now, error: row.error()?, row, has_refused: false, failed: 0 };
    // That it was written is believed whoever says so.
    let done = book.settle(store, &told.done).await?;
    if book.row.holder.as_deref() == Some(&told.holder) {
        // What the target of before the edit said is no matter of the new one.
        let put_off = if is_current { book.refuse_all(store, told).await? } else { None };
        book.row.holder = None;
        book.row.lease_until = 0;
        book.conclude(done, put_off.as_ref());
    } else if done > 0 {
        book.conclude(done, None);
    }
    if done > 0 && is_current {
        book.row.in_vain = Some(0);
    }
    book.row.done += done;
    book.write(store).await?;
    Ok(Ok(()))
}

/// What is entered of one report.
struct Book {
    broadcast: i64,
    now: Timestamp,
    row: TargetRow,
    error: Option<Fault>,
    has_refused: bool,
    /// So many were given up by this report.
    failed: i64,
}

impl Book {
    /// Owes these no more; returns how many were owed.
    async fn settle<S: Store>(&self, store: &mut S, seqs: &[i64]) -> sqlx::Result<i64> {
        if seqs.is_empty() {
            return Ok(0);
        }
        let seqs: Vec<String> = seqs.iter().map(i64::to_string).collect();
        let statement =
            format!("DELETE FROM owed WHERE broadcast_id = $1 AND target = $2 AND seq IN ({})", seqs.join(", "));
        Ok(store.run(&statement, args![self.broadcast, &self.row.target]).await? as i64)
    }

    /// Enters who was refused; returns why the target is put off, be it that it refuses everybody.
    async fn refuse_all<S: Store>(&mut self, store: &mut S, told: &ReportWriteBacks) -> sqlx::Result<Option<PutOff>> {
        let tries = self.tries(store, &told.refused).await?;
        let is_of_target = told.done.is_empty() && !told.refused.is_empty() && self.takes_nobody(&tries);
        for refused in &told.refused {
            if let Some(earlier) = tries.get(&refused.seq) {
                self.refuse(store, refused, *earlier, is_of_target).await?;
            }
        }
        let of_target = told.refused.first().filter(|_| is_of_target);
        let of_target = of_target.map(|one| PutOff { fault: one.fault.clone(), retry_after_ms: None });
        Ok(told.put_off.clone().or(of_target))
    }

    /// Who refuses everybody refuses nobody for themselves. Who was refused while others were taken is refused for themselves
    /// whoever comes after; of those who are refused for the first time a few are.
    fn takes_nobody(&mut self, tries: &BTreeMap<i64, u32>) -> bool {
        let newly = tries.values().filter(|tries| **tries == 0).count() as i64;
        self.row.in_vain = self.row.in_vain.map(|earlier| (earlier + newly).min(FEW_IN_VAIN + 1));
        is_of_target(self.row.in_vain)
    }

    /// How often those of them who are owed still were refused for themselves.
    async fn tries<S: Store>(&self, store: &mut S, people: &[RefusedPerson]) -> sqlx::Result<BTreeMap<i64, u32>> {
        if people.is_empty() {
            return Ok(BTreeMap::new());
        }
        let seqs: Vec<String> = people.iter().map(|one| one.seq.to_string()).collect();
        let statement = format!(
            "SELECT seq, tries FROM owed WHERE broadcast_id = $1 AND target = $2 AND seq IN ({})",
            seqs.join(", ")
        );
        let known: Vec<(i64, i64)> = store.all(&statement, args![self.broadcast, &self.row.target]).await?;
        let tries = |tries: i64| tries.clamp(0, i64::from(u32::MAX - 1)) as u32;
        Ok(known.into_iter().map(|(seq, known)| (seq, tries(known))).collect())
    }

    async fn refuse<S: Store>(
        &mut self,
        store: &mut S,
        refused: &RefusedPerson,
        earlier: u32,
        is_of_target: bool,
    ) -> sqlx::Result<()> {
        let tries = earlier + u32::from(!is_of_target);
        self.error = Some(refused.fault.clone());
        self.has_refused = true;
        if !is_of_target && is_refused_for_good(tries) {
            self.failed += self.settle(store, &[refused.seq]).await?;
            return Ok(());
        }
        let seed = scatter(self.broadcast as u64) ^ scatter(refused.seq as u64) ^ self.now.0 as u64;
        // Others come first, whoever is to blame.
        let until = self.now + own_wait(tries.max(1) - 1, scatter(seed));
        store
            .run(
                "UPDATE owed SET tries = $4, not_before = $5 WHERE broadcast_id = $1 AND target = $2 AND seq = $3",
                args![self.broadcast, &self.row.target, refused.seq, tries, until],
            )
            .await?;
        Ok(())
    }

    /// What the report says of the target as a whole.
    fn conclude(&mut self, done: i64, put_off: Option<&PutOff>) {
        if done > 0 {
            self.row.moved_at = self.now.0;
            self.row.attempts = 0;
            self.row.not_before = 0;
        }
        let Some(PutOff { fault, retry_after_ms }) = put_off else {
            // While some are given up it says why.
            if done > 0 && !self.has_refused && self.row.failed == 0 {
                self.error = None;
            }
            return;
        };
        let earlier = u32::try_from(self.row.attempts).unwrap_or(u32::MAX);
        let seed = scatter(scatter(self.broadcast as u64) ^ self.now.0 as u64);
        let wish = Span::from_millis(retry_after_ms.unwrap_or_default().min(i64::MAX as u64 / 1_000_000) as i64);
        self.row.attempts += 1;
        self.row.not_before = (self.now + wait(earlier, seed).max(wish.min(LONGEST_RETRY_AFTER))).0;
        self.row.given_up = is_given_up(Timestamp(self.row.moved_at), self.now);
        self.error = Some(fault.clone());
    }

    async fn write<S: Store>(&self, store: &mut S) -> sqlx::Result<()> {
        let TargetRow {
            target,
            done,
            failed,
            moved_at,
            holder,
            lease_until,
            attempts,
            not_before,
            in_vain,
            given_up,
            ..
        } = &self.row;
        let error = self.error.as_ref().map(json).transpose()?;
        store
            .run(
                "UPDATE write_back SET done = $3, failed = $4, moved_at = $5, holder = $6, lease_until = $7, \
                 attempts = $8, not_before = $9, given_up = $10, error = $11, in_vain = $12 \
                 WHERE broadcast_id = $1 AND target = $2",
                args![
                    self.broadcast,
                    target,
                    *done,
                    *failed + self.failed,
                    *moved_at,
                    holder,
                    *lease_until,
                    *attempts,
                    *not_before,
                    *given_up,
                    error,
                    *in_vain
                ],
            )
            .await?;
        Ok(())
    }
}

/// Gives everybody free whom a sender has taken: none lives.
pub async fn void_leases<S: Store>(store: &mut S) -> sqlx::Result<()> {
    store.run("UPDATE write_back SET holder = NULL, lease_until = 0 WHERE holder IS NOT NULL", args![]).await?;
    Ok(())
}

/// How the targets stand that a broadcast names.
pub async fn read<S: Store>(store: &mut S, broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<Vec<WrittenBack>> {
    let mut found = Vec::new();
    for wanted in broadcast.write_back_targets()? {
        let Some(row) = target(store, broadcast.id, wanted).await? else { continue };
        let left = row.left();
        let is_forgotten = left > 0 && Timestamp(row.moved_at) <= now - FORGOTTEN_AFTER;
        // Nobody comes for them again. What is paused or gone waits.
        let is_given_up = row.given_up || (broadcast.writes_back() && is_forgotten);
        let is_tried = broadcast.writes_back() && !is_given_up && left > 0;
        let first = if is_tried { next_due(store, broadcast.id, wanted, now).await? } else { None };
        // Nobody asks here: whoever holds the lease is another.
        let due_at = first.map(|first| first.max(row.closed_until(None, now)));
        let (pending, given_up) = if is_given_up { (0, left) } else { (left, 0) };
        found.push(WrittenBack {
            target: wanted,
            pending,
            done: row.done,
            failed: row.failed + given_up,
            last_error: row.error()?,
            due_at,
        });
    }
    Ok(found)
}

pub async fn totals<S: Store>(store: &mut S) -> sqlx::Result<WriteBackTotals> {
    let (pending, done, failed): (i64, i64, i64) = store
        .one(
            "SELECT CAST(coalesce(sum(CASE WHEN given_up OR released THEN 0 ELSE owed - done - failed END), 0) AS BIGINT), \
             CAST(coalesce(sum(done), 0) AS BIGINT), \
             CAST(coalesce(sum(CASE WHEN given_up THEN owed - done ELSE failed END), 0) AS BIGINT) \
             FROM (SELECT write_back.owed, write_back.done, write_back.failed, given_up, released FROM write_back \
             JOIN broadcast ON broadcast.id = broadcast_id) AS target",
            args![],
        )
        .await?;
    Ok(WriteBackTotals { pending, done, failed })
}
