//! Planning: numbered chunks of one epoch, then the seal.

use std::collections::HashSet;

use super::contacts::{self, Standing};
use super::duplicate::{self, Comparison, Pair};
use super::marketing;
use super::opened::{self, Opened};
use super::opt_outs;
use super::rows::{self, BroadcastRow};
use super::store::{PlanList, PlannedRow, Store};
use super::value::args;
use super::zones::NumberedZones;
use crate::delivery::activity::{self, LAST_ACTIVE_TIME};
use crate::delivery::batch;
use crate::delivery::quiet_hours::TIME_ZONE;
use crate::delivery::rate_class::messages_per_second;
use crate::delivery::time::Timestamp;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{BroadcastId, LEASE};
use crate::ledger::plan::{
    Dropped, MAX_CHUNK, MAX_DEAD_PLANNERS, PlanDigest, PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan,
};
use crate::provider::reply_window::has_window;

/// Rows of an unsealed plan are deleted in slices, so that no transaction holds the ledger for long.
const DELETE_SLICE: i64 = 5_000;

pub enum Begin {
    Ready(PlanTicket),
    /// Rows of an earlier epoch may be left to delete.
    More,
    /// Too many planners have died over it.
    Failed,
}

type Refused<T> = Result<T, LedgerError>;

/// One step of beginning: takes the plan back, deletes a slice of old rows, or opens the new epoch. A sealed plan is taken
/// back in a step of its own: plans that are like it are judged with the account locked, and must not wait for a deletion.
///
/// A planner that was lost is counted here, by the one that comes after it; with the last that may die the plan has failed.
pub async fn begin<S: Store>(
    store: &mut S,
    id: BroadcastId,
    reachable_since: impl Fn() -> Option<Timestamp>,
) -> sqlx::Result<Refused<Begin>> {
    let Some(broadcast) = opened::open_to_plan(store, id).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if broadcast.first_attempt_at.is_some() {
        return Ok(Err(LedgerError::PlanLocked));
    }
    let was_sealed = broadcast.plan_sealed_at.is_some();
    let now = store.now().await?;
    // Whoever is silent because the ledger was out of reach is not dead, and can say so within a lease.
    let would_be_heard = reachable_since().is_some_and(|since| now >= since + LEASE || now < since);
    let failed = broadcast.plan_failed_at.is_some()
        || (would_be_heard && broadcast.was_planner_lost(now) && count_dead(store, &broadcast, now).await?);
    // Also where it has failed: a planner that was frozen and not dead must not go on.
    let epoch = unseal(store, id.0).await?;
    if !failed {
        touch(store, id.0, now).await?;
    }
    if was_sealed {
        return Ok(Ok(Begin::More));
    }
    for table in ["delivery"].into_iter().chain(PlanList::ALL.map(PlanList::table)) {
        if delete_slice(store, table, id.0).await? > 0 {
            return Ok(Ok(Begin::More));
        }
    }
    Ok(Ok(if failed { Begin::Failed } else { Begin::Ready(PlanTicket { broadcast: id, epoch }) }))
}

/// Counts a planner that was lost; returns whether it was the last one. Where there is no object, and so no edit to leave the
/// end by, each planner is somebody's own command, and none is counted.
async fn count_dead<S: Store>(store: &mut S, broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<bool> {
    if broadcast.generation == 0 {
        return Ok(false);
    }
    let dead = broadcast.dead_planners + 1;
    let failed_at = (dead >= MAX_DEAD_PLANNERS).then_some(now);
    store
        .run(
            "UPDATE broadcast SET dead_planners = $2, plan_failed_at = $3, revision = revision + 1 WHERE id = $1",
            args![broadcast.id, dead, failed_at],
        )
        .await?;
    Ok(failed_at.is_some())
}

/// Says that somebody makes the plan: steps that follow each other for longer than a lease are no silence.
async fn touch<S: Store>(store: &mut S, id: i64, now: Timestamp) -> sqlx::Result<()> {
    store.run("UPDATE broadcast SET plan_touched_at = $2 WHERE id = $1", args![id, now]).await?;
    Ok(())
}

async fn delete_slice<S: Store>(store: &mut S, table: &str, id: i64) -> sqlx::Result<u64> {
    let statement = format!(
        "DELETE FROM {table} WHERE broadcast_id = $1 AND recipient IN \
         (SELECT recipient FROM {table} WHERE broadcast_id = $1 LIMIT $2)"
    );
    store.run(&statement, args![id, DELETE_SLICE]).await
}

/// Takes a plan back before its first attempt, and the tickets of those who were making it; returns the new epoch. Its
/// rows stay until the next plan begins.
pub async fn unseal<S: Store>(store: &mut S, id: i64) -> sqlx::Result<i64> {
    store.run("DELETE FROM batch WHERE broadcast_id = $1", args![id]).await?;
    store.run("DELETE FROM tally WHERE broadcast_id = $1", args![id]).await?;
    let (epoch,): (i64,) = store
        .one(
            "UPDATE broadcast SET plan_epoch = plan_epoch + 1, plan_chunk = 0, plan_receipt = NULL, plan_digest = $2, \
             plan_duplicates = 0, plan_excluded = 0, plan_samples = '[]', plan_warnings = '[]', plan_zones = '[]', plan_sealed_at = NULL, \
             batch_size = 0, planned = 0, pending = 0, skipped = 0, plan_touched_at = NULL, finished_at = NULL, duplicate_of = NULL \
             WHERE id = $1 \
             RETURNING plan_epoch",
            args![id, PlanDigest::EMPTY.as_bytes().to_vec()],
        )
        .await?;
    Ok(epoch)
}

pub async fn abandon<S: Store>(store: &mut S, ticket: PlanTicket) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE broadcast SET plan_touched_at = NULL WHERE id = $1 AND plan_epoch = $2",
            args![ticket.broadcast.0, ticket.epoch],
        )
        .await?;
    Ok(())
}

enum Step {
    Fresh(Box<BroadcastRow>),
    /// The last chunk again: its receipt.
    Repeated(PlanReceipt),
}

async fn step<S: Store>(store: &mut S, ticket: PlanTicket, chunk: u64) -> sqlx::Result<Refused<Step>> {
    let Some(broadcast) = opened::open_to_plan(store, ticket.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if broadcast.plan_epoch != ticket.epoch || broadcast.plan_sealed_at.is_some() {
        return Ok(Err(LedgerError::PlanSuperseded));
    }
    let last = broadcast.plan_chunk as u64;
    if chunk == last && chunk > 0 {
        return Ok(Ok(Step::Repeated(rows::stored(broadcast.plan_receipt.as_deref())?)));
    }
    if chunk != last + 1 {
        return Ok(Err(LedgerError::ChunkOutOfOrder { chunk, last }));
    }
    Ok(Ok(Step::Fresh(Box::new(broadcast))))
}

/// Adds a chunk to one of the lists.
pub async fn enlist<S: Store>(
    store: &mut S,
    list: PlanList,
    ticket: PlanTicket,
    chunk: u64,
    recipients: &[String],
) -> sqlx::Result<Refused<()>> {
    if recipients.len() > MAX_CHUNK {
        return Ok(Err(LedgerError::RequestTooLarge { limit: MAX_CHUNK }));
    }
    match step(store, ticket, chunk).await? {
        Err(refused) => return Ok(Err(refused)),
        Ok(Step::Repeated(_)) => return Ok(Ok(())),
        Ok(Step::Fresh(_)) => {}
    }
    store.enlist(list, ticket.broadcast.0, recipients).await?;
    let now = store.now().await?;
    store
        .run(
            "UPDATE broadcast SET plan_chunk = $2, plan_receipt = NULL, plan_touched_at = $3 WHERE id = $1",
            args![ticket.broadcast.0, chunk as i64, now],
        )
        .await?;
    Ok(Ok(()))
}

pub async fn append<S: Store>(
    store: &mut S,
    ticket: PlanTicket,
    chunk: u64,
    rows: &[PlanRow],
) -> sqlx::Result<Refused<PlanReceipt>> {
    if rows.len() > MAX_CHUNK {
        return Ok(Err(LedgerError::RequestTooLarge { limit: MAX_CHUNK }));
    }
    let mut broadcast = match step(store, ticket, chunk).await? {
        Err(refused) => return Ok(Err(refused)),
        Ok(Step::Repeated(receipt)) => return Ok(Ok(receipt)),
        Ok(Step::Fresh(broadcast)) => broadcast,
    };
    let now = store.now().await?;
    let Entered { dropped, opted_out } = enter(store, &mut broadcast, rows, now).await?;
    let count = |wanted: Dropped| dropped.iter().filter(|(_, why)| *why == wanted).count() as i64;
    let (duplicates, excluded) = (count(Dropped::Duplicate), count(Dropped::Excluded));
    let added = rows.len() - dropped.len();
    let full = broadcast.plan_limit.is_some_and(|limit| broadcast.planned + added as i64 >= limit);
    let receipt = PlanReceipt { added: added as u64, dropped, full };
    store
        .run(
            "UPDATE broadcast SET plan_chunk = $2, plan_receipt = $3, plan_digest = $4, \
             plan_duplicates = plan_duplicates + $5, plan_excluded = plan_excluded + $6, planned = planned + $7, \
             pending = pending + $7 - $10, skipped = skipped + $10, plan_touched_at = $8, plan_zones = $9 WHERE id = $1",
            args![
                ticket.broadcast.0,
                chunk as i64,
                rows::json(&receipt)?,
                broadcast.plan_digest,
                duplicates,
                excluded,
                receipt.added as i64,
                now,
                broadcast.plan_zones,
                opted_out
            ],
        )
        .await?;
    Ok(Ok(receipt))
}

/// What a chunk came to.
struct Entered {
    dropped: Vec<(usize, Dropped)>,
    /// Of those it added.
    opted_out: i64,
}

/// What is known of a recipient of a chunk beside what its row says.
struct Known {
    active_at: Option<i64>,
    opted_out: bool,
}

impl Known {
    /// The later of both activities, where it means anything for the message; a row that comes from the future is of now.
    fn of(contact: Option<&Standing>, suppressed: bool, row: &PlanRow, judged: bool, now: Timestamp) -> Known {
        let told = row.vars.get(LAST_ACTIVE_TIME).and_then(|text| activity::parse(text)).map(|at| at.min(now).0);
        let kept = contact.and_then(|contact| contact.active_at);
        let opted_out = suppressed || contact.is_some_and(|contact| contact.opted_out_at.is_some());
        Known { active_at: told.max(kept).filter(|_| judged), opted_out }
    }
}

/// Inserts what a chunk adds to the plan and returns what it does not. Rows that are in the plan already are looked up
/// first only in a plan that has shown duplicates: else the unique index finds the first of them as it is written.
async fn enter<S: Store>(
    store: &mut S,
    broadcast: &mut BroadcastRow,
    rows: &[PlanRow],
    now: Timestamp,
) -> sqlx::Result<Entered> {
    let recipients: Vec<&str> = rows.iter().map(|row| row.recipient.as_str()).collect();
    let excluded = listed(store, PlanList::Excluded, broadcast.id, &recipients).await?;
    let suppressed = listed(store, PlanList::Suppressed, broadcast.id, &recipients).await?;
    let known = contacts::known_among(store, broadcast.account_id, &recipients).await?;
    let (provider,): (String,) =
        store.one("SELECT provider FROM account WHERE id = $1", args![broadcast.account_id]).await?;
    let stopped = marketing::left_out(store, broadcast, &provider, &recipients).await?;
    let standing = |(index, row): (usize, &PlanRow)| {
        let suppressed = suppressed.contains(&index) || stopped.contains(&row.recipient);
        let judged = broadcast.reply_window.is_none() || has_window(&provider, &row.recipient);
        Known::of(known.get(row.recipient.as_str()), suppressed, row, judged, now)
    };
    let standing: Vec<Known> = rows.iter().enumerate().map(standing).collect();
    let entered = |dropped: Vec<(usize, Dropped)>| {
        let left_out: HashSet<usize> = dropped.iter().map(|(index, _)| *index).collect();
        let is_skipped = |(index, known): &(usize, &Known)| known.opted_out && !left_out.contains(index);
        let opted_out = standing.iter().enumerate().filter(is_skipped).count() as i64;
        Entered { dropped, opted_out }
    };
    let room = broadcast.plan_limit.map_or(usize::MAX, |limit| (limit - broadcast.planned).max(0) as usize);
    if broadcast.plan_duplicates == 0 {
        let dropped = dropped(&recipients, &excluded, &HashSet::new(), room);
        if insert(store, broadcast, rows, &standing, &dropped).await? {
            return Ok(entered(dropped));
        }
    }
    let planned = places(store.planned_among(broadcast.id, &recipients).await?);
    let dropped = dropped(&recipients, &excluded, &planned, room);
    if insert(store, broadcast, rows, &standing, &dropped).await? {
        return Ok(entered(dropped));
    }
    Err(sqlx::Error::InvalidArgument("a recipient came into the plan beside its planner".to_owned()))
}

async fn listed<S: Store>(
    store: &mut S,
    list: PlanList,
    broadcast: i64,
    recipients: &[&str],
) -> sqlx::Result<HashSet<usize>> {
    let statement = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE broadcast_id = $1)", list.table());
    let (any,): (bool,) = store.one(&statement, args![broadcast]).await?;
    if any { Ok(places(store.listed_among(list, broadcast, recipients).await?)) } else { Ok(HashSet::new()) }
}

fn places(found: Vec<i64>) -> HashSet<usize> {
    found.into_iter().map(|place| place as usize).collect()
}

/// Which rows of a chunk are excluded, are in the plan already, come twice in the chunk, or find no room; in order.
fn dropped(
    recipients: &[&str],
    excluded: &HashSet<usize>,
    planned: &HashSet<usize>,
    room: usize,
) -> Vec<(usize, Dropped)> {
    let mut seen = HashSet::with_capacity(recipients.len());
    let why = |(index, recipient)| {
        if seen.len() == room {
            Some((index, Dropped::OverLimit))
        } else if excluded.contains(&index) {
            Some((index, Dropped::Excluded))
        } else if planned.contains(&index) || !seen.insert(recipient) {
            Some((index, Dropped::Duplicate))
        } else {
            None
        }
    };
    recipients.iter().copied().enumerate().filter_map(why).collect()
}

/// `false`, with nothing changed, when one of those not dropped is in the plan already.
async fn insert<S: Store>(
    store: &mut S,
    broadcast: &mut BroadcastRow,
    rows: &[PlanRow],
    known: &[Known],
    dropped: &[(usize, Dropped)],
) -> sqlx::Result<bool> {
    if rows.len() == dropped.len() {
        return Ok(true);
    }
    let left_out: HashSet<usize> = dropped.iter().map(|(index, _)| *index).collect();
    let added = rows.iter().zip(known).enumerate().filter(|(index, _)| !left_out.contains(index)).map(|(_, row)| row);
    let mut digest =
        PlanDigest::from_bytes(&broadcast.plan_digest).ok_or_else(|| sqlx::Error::Decode("plan digest".into()))?;
    let mut zones = NumberedZones::of(&broadcast.plan_zones)?;
    let mut planned = Vec::with_capacity(rows.len());
    for ((row, known), seq) in added.zip(broadcast.planned..) {
        let vars = rows::json(&row.vars)?;
        digest.add(seq, &row.recipient, &vars);
        let zone = zones.number(row.vars.get(TIME_ZONE));
        let Known { active_at, opted_out } = *known;
        planned.push(PlannedRow { seq, recipient: &row.recipient, vars, zone, active_at, opted_out });
    }
    let appended = store.append(broadcast.id, &planned).await?;
    if appended {
        broadcast.plan_digest = digest.as_bytes().to_vec();
        broadcast.plan_zones = zones.to_json()?;
    }
    Ok(appended)
}

/// One step of the seal: deletes a slice of the lists, which have done their work, says with what the plan must be
/// compared, or closes it.
pub enum Seal {
    Sealed(SealedPlan),
    More,
    Compare(Vec<Pair>),
}

pub async fn seal<S: Store>(
    store: &mut S,
    ticket: PlanTicket,
    words: &PlanWords,
    comparison: &Comparison,
) -> sqlx::Result<Refused<Seal>> {
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, ticket.broadcast, "").await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if broadcast.plan_epoch != ticket.epoch {
        return Ok(Err(LedgerError::PlanSuperseded));
    }
    if broadcast.plan_sealed_at.is_none() {
        for list in PlanList::ALL {
            if delete_slice(store, list.table(), broadcast.id).await? > 0 {
                touch(store, broadcast.id, now).await?;
                return Ok(Ok(Seal::More));
            }
        }
        let left = duplicate::left_to_compare(store, &broadcast, comparison).await?;
        if !left.is_empty() {
            touch(store, broadcast.id, now).await?;
            return Ok(Ok(Seal::Compare(left)));
        }
        let wish = broadcast.batch_size_wish.map(|wish| wish as u32);
        let slots = broadcast.lower_rate().per_second();
        let per_second = messages_per_second(slots, broadcast.parts(), broadcast.rate_class()?.as_ref());
        let size = batch::size(broadcast.planned as u64, per_second, wish);
        broadcast.batch_size = i64::from(size);
        broadcast.plan_sealed_at = Some(now.0);
        broadcast.trouble_reason = None;
        cut_batches(store, &broadcast).await?;
        opt_outs::count_planned(store, &broadcast, now).await?;
        store
            .run(
                "UPDATE broadcast SET plan_sealed_at = $2, batch_size = $3, plan_samples = $4, plan_warnings = $5, \
                 plan_touched_at = NULL, dead_planners = 0 WHERE id = $1",
                args![
                    broadcast.id,
                    now,
                    broadcast.batch_size,
                    rows::json(&words.samples)?,
                    rows::json(&words.warnings)?
                ],
            )
            .await?;
        broadcast.save(store, None, now).await?;
        duplicate::conclude(store, broadcast.id, broadcast.plan_epoch, comparison).await?;
    }
    Ok(sealed_plan(&broadcast).map(Seal::Sealed).ok_or(LedgerError::PlanSuperseded))
}

/// The plan as it was sealed, if it was.
pub fn sealed_plan(broadcast: &BroadcastRow) -> Option<SealedPlan> {
    Some(SealedPlan {
        planned: broadcast.planned as u64,
        duplicates: broadcast.plan_duplicates as u64,
        excluded: broadcast.plan_excluded as u64,
        hash: PlanDigest::from_bytes(&broadcast.plan_digest)?.to_string(),
        sealed_at: Timestamp(broadcast.plan_sealed_at?),
        batch_size: broadcast.batch_size as u32,
    })
}

async fn cut_batches<S: Store>(store: &mut S, broadcast: &BroadcastRow) -> sqlx::Result<()> {
    let size = broadcast.batch_size;
    let batches: Vec<(i64, i64, i64)> = (0..broadcast.planned)
        .step_by(size as usize)
        .map(|first| (first / size, first, (first + size).min(broadcast.planned) - 1))
        .collect();
    store.cut_batches(broadcast.id, &batches).await
}
