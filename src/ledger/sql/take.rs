//! Claiming batches and taking recipients from them. Only taking is fenced: by the claim that this transaction holds.

use super::claim::{BatchRow, Claimed, Given, Lanes, Moved, Taken, Wanted, first_free};
use super::entries::is_barred;
use super::exchange::Turn;
use super::rows;
use super::store::Store;
use super::value::args;
use super::zones::ZonesNow;
use crate::delivery::pacing::{GUARD, Slots};
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::{Assignment, START_TOLERANCE};

/// Takes recipients for the offered slots: from the held batch, unless parts of messages wait in an earlier one, and when it
/// has none left that may be taken now, it is handed back and others are claimed, until the slots are used or nothing is left.
/// With nobody, it tells when the first pending recipient may be taken. `zones` are those of the first slot; none of the open
/// ones closes before the last.
pub async fn take<S: Store>(
    turn: &mut Turn<'_, S>,
    slots: &Slots,
    zones: &ZonesNow,
    mut lanes: Option<Lanes>,
) -> sqlx::Result<(Vec<Assignment>, Option<Timestamp>)> {
    let asking = turn.asking();
    let mut assignments: Vec<Assignment> = Vec::new();
    let mut back = None;
    if goes_back(turn) {
        let held = turn.survey.held.take();
        hand_back(turn, held.map(|batch| batch.idx)).await?;
    }
    if let Some(batch) = turn.survey.held.clone() {
        let limit = allowance(turn, &batch, slots.count);
        let wanted = Wanted { slots, from: 0, limit, zones, lanes: lanes.as_ref() };
        let taken = if limit > 0 { turn.store.take(&asking, &batch, wanted).await? } else { Vec::new() };
        let used_up = (taken.len() as u32) < limit;
        lanes = lanes.map(|lanes| lanes.after(&taken, slots));
        give(turn, &mut assignments, taken)?;
        if !used_up || lanes.as_ref().is_some_and(Lanes::is_empty) {
            return Ok((assignments, None));
        }
        back = Some(batch.idx);
        turn.survey.held = None;
    }
    let from = first_free(slots, 0, assignments.iter().map(|row| row.slot));
    // Who has not shown that it can record an outcome gets no second recipient.
    let limit = match turn.sender.proven {
        true => slots.count - from,
        false if turn.survey.running > 0 => 0,
        false => 1 - from.min(1),
    };
    if limit == 0 {
        hand_back(turn, back).await?;
        return Ok((assignments, None));
    }
    let wanted = Wanted { slots, from, limit, zones, lanes: lanes.as_ref() };
    let Claimed { held, taken, outlook } = turn.store.claim(&asking, back, wanted).await?;
    turn.survey.held = held;
    give(turn, &mut assignments, taken)?;
    assignments.sort_unstable_by_key(|row| row.slot);
    Ok((assignments, zones.first_due(&outlook)))
}

/// Whether the held batch is left for an earlier one: whoever got a part of a message in it waits for the next one, which
/// should not come a whole batch later.
fn goes_back<S>(turn: &Turn<'_, S>) -> bool {
    let is_on_probation = turn.survey.held.as_ref().is_none_or(|batch| batch.probation);
    turn.survey.part_waits && turn.sender.proven && !is_on_probation
}

/// How many recipients may be taken of the held batch: one at a time by a process that has not shown that it can record
/// an outcome, and from a batch whose last holder was lost, so that a poisoned message costs one unknown per crash.
fn allowance<S>(turn: &Turn<'_, S>, batch: &BatchRow, free: u32) -> u32 {
    if turn.sender.proven && !batch.probation {
        free
    } else if turn.survey.running > 0 {
        0
    } else {
        free.min(1)
    }
}

async fn hand_back<S: Store>(turn: &mut Turn<'_, S>, batch: Option<i64>) -> sqlx::Result<()> {
    let Some(batch) = batch else { return Ok(()) };
    turn.store
        .run(
            "UPDATE batch SET sender_id = NULL, lease_until = 0 WHERE broadcast_id = $1 AND idx = $2",
            args![turn.broadcast.id, batch],
        )
        .await?;
    Ok(())
}

fn give<S>(turn: &mut Turn<'_, S>, assignments: &mut Vec<Assignment>, taken: Vec<Taken>) -> sqlx::Result<()> {
    let mut counts = turn.broadcast.counts();
    counts.pending -= taken.len() as i64;
    counts.inflight += taken.len() as i64;
    turn.broadcast.set_counts(counts);
    for row in taken {
        assignments.push(assignment(row)?);
    }
    Ok(())
}

fn assignment(row: Taken) -> sqlx::Result<Assignment> {
    Ok(Assignment {
        seq: row.seq,
        attempt: row.attempt as u32,
        part: row.parts_done as u32,
        recipient: row.recipient,
        vars: rows::parsed(&row.vars)?,
        slot: Timestamp(row.slot),
        start_by: Timestamp(row.start_by),
    })
}

/// An assignment that was given before.
pub struct GivenAgain {
    pub assignment: Assignment,
    /// The number of the recipient's time zone.
    zone: i64,
    active_at: Option<i64>,
    opted_out: bool,
}

impl GivenAgain {
    /// Its slot has passed, and the recipient may have another one: has not opted out since, and was active later than then.
    /// All others keep the slot that has passed, come back as not begun, and are skipped.
    pub fn may_move(&self, earliest: Timestamp, inactive_since: Timestamp) -> bool {
        let is_reachable = !self.opted_out && self.active_at.is_none_or(|at| at > inactive_since.0);
        self.assignment.slot < earliest && is_reachable
    }
}

/// What the first answer to this request gave and nobody has reported since.
pub async fn given_before<S: Store>(turn: &mut Turn<'_, S>) -> sqlx::Result<Vec<GivenAgain>> {
    let statement = format!(
        "SELECT seq, attempt, parts_done, recipient, vars, slot, start_by, zone, active_at, {} AS opted_out \
         FROM delivery{} WHERE broadcast_id = $1 AND state = 1 AND sender_id = $2 AND request = $3 ORDER BY slot",
        is_barred("$4"),
        S::indexed_by("delivery_inflight")
    );
    let arguments = args![turn.broadcast.id, turn.sender.id, turn.number as i64, turn.broadcast.account_id];
    let rows: Vec<Given> = turn.store.all(&statement, arguments).await?;
    let again = |Given { taken, zone, active_at, opted_out }| {
        Ok(GivenAgain { assignment: assignment(taken)?, zone, active_at, opted_out })
    };
    rows.into_iter().map(again).collect()
}

/// Gives new slots to assignments that may have them and whose time zone is open then; returns the part and the slot of each. One of
/// the rate class has none before the class has.
pub async fn move_slots<S: Store>(
    turn: &mut Turn<'_, S>,
    given: &mut [GivenAgain],
    slots: &Slots,
    zones: &ZonesNow,
    class_from: Option<Timestamp>,
) -> sqlx::Result<Vec<(u32, Timestamp)>> {
    let allowed = turn.broadcast.allowed();
    let earliest = turn.now + GUARD;
    let mut moved = Vec::new();
    let inactive_since = turn.asking().inactive_since(slots);
    let passed =
        given.iter_mut().filter(|one| one.may_move(earliest, inactive_since) && zones.open.contains(&one.zone));
    let mut told = Vec::new();
    for GivenAgain { assignment: row, .. } in passed.take(slots.count as usize) {
        let slot = slots.at(moved.len() as u32);
        let is_of_class = turn.class.as_ref().is_some_and(|class| class.holds(row.part));
        if is_of_class && class_from.is_none_or(|from| slot < from) {
            continue;
        }
        row.slot = slot;
        told.push((row.part, slot));
        row.start_by = row.slot + START_TOLERANCE;
        let deadline = row.slot + allowed;
        moved.push(Moved { seq: row.seq, slot: row.slot.0, start_by: row.start_by.0, deadline: deadline.0 });
    }
    if !moved.is_empty() {
        turn.store.move_slots(turn.broadcast.id, &moved).await?;
    }
    given.sort_by_key(|one| one.assignment.slot);
    Ok(told)
}
