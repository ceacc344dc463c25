//! Upkeep: what becomes of attempts that nobody reports, of ended broadcasts, and of a clock that was set back.

use std::collections::HashSet;

use super::opened::{self, Opened};
use super::record::{Evidence, count_moved, record};
use super::store::Store;
use super::unanswered;
use super::value::args;
use super::{attachments, loss, opt_outs, owed, posting, set_back, windows, wishes};
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::Timestamp;
use crate::delivery::unanswered::SENDER_LOST;
use crate::ledger::exchange::{BroadcastId, DEADLINE_GRACE, LEASE, LastWords, Report};

/// Bulk changes go in slices of this many rows, so that no transaction holds the ledger for long.
pub const SLICE: i64 = 5_000;

/// What a step has done at least once it has locked an account: another process may have done the rest before it, but with the
/// lock held no other step may lock another account.
pub const LOCKED: u64 = 1;

pub async fn maintain<S: Store>(store: &mut S, reachable_since: impl Fn() -> Option<Timestamp>) -> sqlx::Result<bool> {
    let now = store.now().await?;
    if let Some(id) = set_back::find(store, now).await? {
        // Opening a broadcast sets its account right.
        opened::open(store, BroadcastId(id), "").await?;
        return Ok(true);
    }
    // Senders that were cut off from the ledger record first: for one lease nothing is concluded from silence. Asked once
    // the clock was read: until then the process may have stood still.
    if reachable_since().is_some_and(|since| now >= since + LEASE || now < since) {
        let overdue = settle(store, Overdue::Before(now - DEADLINE_GRACE)).await?;
        if overdue > 0 {
            return Ok(true);
        }
    }
    if loss::settle_at_risk(store).await? {
        return Ok(true);
    }
    // Before anybody is skipped: whoever waits to be resent may have got the message.
    if unanswered::follow_any(store, now).await? > 0 {
        return Ok(true);
    }
    // One broadcast was looked at; another may have ended too.
    if skip_ended(store, now).await? > 0 {
        return Ok(true);
    }
    if opt_outs::sweep_any(store).await? || windows::skip_closed(store, now).await? {
        return Ok(true);
    }
    if posting::give_up_forgotten(store, now).await? > 0 {
        return Ok(true);
    }
    wishes::forget_old(store, now).await
}

#[derive(Clone, Copy)]
enum Overdue {
    /// Whose deadline lies before this instant.
    Before(Timestamp),
    /// Everybody in flight.
    All,
}

/// Makes a slice of those in flight of one broadcast unknown; returns how many.
async fn settle<S: Store>(store: &mut S, which: Overdue) -> sqlx::Result<u64> {
    let (limit, message) = match which {
        Overdue::Before(limit) => (limit, "no outcome was reported before the deadline"),
        Overdue::All => (Timestamp::NEVER, "the sender ended before it recorded an outcome"),
    };
    let found: Option<(i64,)> = store
        .optional("SELECT broadcast_id FROM delivery WHERE state = 1 AND deadline <= $1 LIMIT 1", args![limit])
        .await?;
    let Some((id,)) = found else { return Ok(0) };
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, BroadcastId(id), "").await? else {
        return Ok(LOCKED);
    };
    let statement = format!(
        "SELECT seq, attempt FROM delivery{} WHERE broadcast_id = $1 AND state = 1 AND deadline <= $2 LIMIT $3",
        S::indexed_by("delivery_inflight")
    );
    let overdue: Vec<(i64, i64)> = store.all(&statement, args![id, limit, SLICE]).await?;
    let reports: Vec<Report> =
        overdue.into_iter().map(|(seq, attempt)| unknown(seq, attempt as u32, message)).collect();
    record(store, &mut broadcast, &reports, now, Evidence::Concluded).await?;
    broadcast.save(store, None, now).await?;
    Ok((reports.len() as u64).max(LOCKED))
}

fn unknown(seq: i64, attempt: u32, message: &str) -> Report {
    Report::new(seq, attempt, Outcome::Unknown { fault: Fault::new(SENDER_LOST, None, message) })
}

/// Settles a slice of everybody in flight, and gives up all claims when nobody is left; returns how many.
pub async fn settle_all<S: Store>(store: &mut S) -> sqlx::Result<u64> {
    let settled = settle(store, Overdue::All).await?;
    if settled == 0 {
        store
            .run(
                "UPDATE batch SET sender_id = NULL, lease_until = 0, reclaims = reclaims + 1, probation = TRUE \
                 WHERE sender_id IS NOT NULL",
                args![],
            )
            .await?;
        posting::void_leases(store).await?;
        owed::void_leases(store).await?;
        attachments::void_leases(store).await?;
    }
    Ok(settled)
}

pub async fn settle_dead<S: Store>(store: &mut S, within: Option<BroadcastId>, words: &LastWords) -> sqlx::Result<()> {
    let found: Option<(i64,)> =
        store.optional("SELECT broadcast_id FROM sender WHERE holder = $1", args![&words.holder]).await?;
    let Some((id,)) = found else { return Ok(()) };
    if within.is_some_and(|within| within.0 != id) {
        return Ok(());
    }
    let Some(opened) = opened::open(store, BroadcastId(id), &words.holder).await? else { return Ok(()) };
    let Opened { mut broadcast, sender: Some(mut sender), now } = opened else { return Ok(()) };
    loss::heard_of(store, &mut broadcast, words.known_revision).await?;
    record(store, &mut broadcast, &words.outcomes, now, Evidence::Seen).await?;
    let begun: HashSet<(i64, u32)> = words.begun.iter().copied().collect();
    // Where commits were lost, the journal may lack an outcome that was acknowledged in the lost time.
    let has_lost_commits = broadcast.loss.is_some() || broadcast.risk_from.is_some();
    let lacks_nothing = words.complete && !has_lost_commits;
    let was_begun = |(seq, attempt): &(i64, i64)| !lacks_nothing || begun.contains(&(*seq, *attempt as u32));
    let (on_the_wire, mut never_begun): (Vec<_>, Vec<_>) =
        held(store, id, sender.id).await?.into_iter().partition(was_begun);
    // A closed sender has said good-bye or told its journal before: of whoever silence has taken from it since, it says
    // nothing.
    if lacks_nothing && !sender.closed {
        never_begun.extend(given_up(store, id, sender.id).await?.into_iter().filter(|attempt| !was_begun(attempt)));
    }
    let lost = on_the_wire
        .into_iter()
        .map(|(seq, attempt)| unknown(seq, attempt as u32, "the sender ended while the request was on the wire"));
    let kept = never_begun.into_iter().map(|(seq, attempt)| Report::new(seq, attempt as u32, Outcome::NotBegun));
    let reports: Vec<Report> = lost.chain(kept).collect();
    record(store, &mut broadcast, &reports, now, Evidence::Concluded).await?;
    store
        .run(
            "UPDATE batch SET sender_id = NULL, lease_until = 0, reclaims = reclaims + 1, probation = TRUE \
             WHERE broadcast_id = $1 AND sender_id = $2",
            args![id, sender.id],
        )
        .await?;
    sender.closed = true;
    broadcast.save(store, Some(&sender), now).await
}

/// Whom a sender has in flight, with their attempts.
async fn held<S: Store>(store: &mut S, broadcast: i64, sender: i64) -> sqlx::Result<Vec<(i64, i64)>> {
    let statement = format!(
        "SELECT seq, attempt FROM delivery{} WHERE broadcast_id = $1 AND state = 1 AND sender_id = $2",
        S::indexed_by("delivery_inflight")
    );
    store.all(&statement, args![broadcast, sender]).await
}

/// Whom a sender had in flight until silence was taken for the end: it may be away for longer than any deadline, as a
/// container is that has crashed a few times, and its journal still knows who was never begun. It has told nothing of
/// them since, or the reason would be another one.
async fn given_up<S: Store>(store: &mut S, broadcast: i64, sender: i64) -> sqlx::Result<Vec<(i64, i64)>> {
    // In the words of the index, which SQLite compares.
    let statement = format!(
        "SELECT seq, attempt FROM delivery{} WHERE broadcast_id = $1 AND sender_id = $2 \
         AND reason = '{SENDER_LOST}' AND (state = 5 OR resend)",
        S::indexed_by("delivery_given_up")
    );
    store.all(&statement, args![broadcast, sender]).await
}

/// Skips a slice of the pending recipients of one broadcast that was cancelled or has expired; returns how many.
async fn skip_ended<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<u64> {
    let statement = format!(
        "SELECT id FROM broadcast{} WHERE pending > 0 AND plan_sealed_at IS NOT NULL AND loss IS NULL \
         AND (cancelled OR end_at <= $1 OR (first_attempt_at IS NULL AND start_by < $1)) \
         AND EXISTS (SELECT 1 FROM delivery{} WHERE broadcast_id = broadcast.id AND state = 0 AND NOT resend) LIMIT 1",
        S::indexed_by("broadcast_open"),
        S::indexed_by("delivery_pending")
    );
    let ended: Option<(i64,)> = store.optional(&statement, args![now]).await?;
    let Some((id,)) = ended else { return Ok(0) };
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, BroadcastId(id), "").await? else {
        return Ok(LOCKED);
    };
    let Some(reason) = broadcast.gate().skip_reason(now) else { return Ok(LOCKED) };
    let statement = format!(
        "UPDATE delivery SET state = $2, reason = $3, code = NULL WHERE broadcast_id = $1 AND seq IN \
         (SELECT seq FROM delivery{} WHERE broadcast_id = $1 AND state = 0 AND NOT resend ORDER BY zone, seq LIMIT $4) \
         RETURNING seq",
        S::indexed_by("delivery_pending")
    );
    let arguments = args![id, RecipientState::Skipped.code(), reason.as_str(), SLICE];
    let rows: Vec<(i64,)> = store.all(&statement, arguments).await?;
    let skipped: Vec<_> = rows.into_iter().map(|(seq,)| (seq, RecipientState::Pending)).collect();
    count_moved(store, &mut broadcast, &skipped, RecipientState::Skipped, reason.as_str(), now).await?;
    broadcast.save(store, None, now).await?;
    Ok((skipped.len() as u64).max(LOCKED))
}
