//! Claiming batches and putting recipients in flight.

use sqlx::FromRow;

use super::store::SqliteStore;
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::{LEASE, START_TOLERANCE};
use crate::ledger::sql::claim::{Asking, BatchRow, Claimed, Lanes, Outlook, Taken, Wanted, first_free};
use crate::ledger::sql::entries::has_opted_out;
use crate::ledger::sql::rows::json;
use crate::ledger::sql::store::Store;
use crate::ledger::sql::value::args;
use crate::ledger::sql::zones::ZonesNow;

#[derive(FromRow)]
struct Candidate {
    seq: i64,
    attempt: i64,
    parts_done: i64,
    recipient: String,
    vars: String,
}

impl Candidate {
    fn at(self, slot: Timestamp) -> Taken {
        let start_by = slot + START_TOLERANCE;
        let Candidate { seq, attempt, parts_done, recipient, vars } = self;
        Taken { seq, attempt: attempt + 1, parts_done, recipient, vars, slot: slot.0, start_by: start_by.0 }
    }
}

/// Whom a batch is looked for.
struct Search<'a> {
    due_by: Timestamp,
    /// Open, and with somebody who may be taken: most batches have nobody of a zone that is done. JSON.
    zones: &'a str,
    /// The first of them: batches before it have nobody.
    lowest: i64,
    /// Whoever was active last then, or earlier, is not taken.
    inactive_since: Timestamp,
    /// The parts that may be taken, JSON; `None` for all.
    parts: Option<String>,
}

/// A condition on which part a recipient of `delivery` gets next: one of those in the parameter `parts`, if any are named.
fn gets_next(parts: &str) -> String {
    format!("({parts} IS NULL OR delivery.parts_done IN (SELECT value FROM json_each({parts})))")
}

/// Pending recipients of a broadcast, `$1`, in some zones: `waiting` has what the index says of them, and `delivery` the row.
/// A table without row ids is looked at for each entry of an index as soon as anything is asked that the index does not know;
/// so the index is walked by itself, and only the rows of those who may be taken are read.
fn waiting(zones: &str) -> String {
    format!(
        "json_each({zones}) AS zones CROSS JOIN delivery AS waiting INDEXED BY delivery_pending \
         ON waiting.broadcast_id = $1 AND waiting.state = 0 AND waiting.zone = zones.value \
         CROSS JOIN delivery ON delivery.broadcast_id = $1 AND delivery.seq = waiting.seq"
    )
}

impl SqliteStore {
    /// See [`Store::claim`]. Each round but the last takes at least one recipient, so there are at most as many rounds as
    /// slots, and one.
    pub async fn claim_in_turn(
        &mut self,
        asking: &Asking,
        mut back: Option<i64>,
        wanted: Wanted<'_>,
    ) -> sqlx::Result<Claimed> {
        let mut taken: Vec<Taken> = Vec::new();
        let pending = self.first_pending(asking.broadcast, &wanted.zones.open, wanted.slots.first).await?;
        let zones = json(&pending.iter().map(|(zone, _)| *zone).collect::<Vec<i64>>())?;
        let lowest = pending.iter().map(|(_, seq)| *seq).min().unwrap_or(i64::MAX);
        let inactive_since = asking.inactive_since(wanted.slots);
        let mut lanes = wanted.lanes.cloned();
        if let Some(lanes) = lanes.as_mut().filter(|_| wanted.narrow_place().is_none()) {
            lanes.narrow.clear();
        }
        let takeable = |lanes: &Option<Lanes>| lanes.as_ref().map(|lanes| json(&lanes.parts())).transpose();
        let parts = takeable(&lanes)?;
        let free = |taken: &[Taken], lanes: &Option<Lanes>| {
            let before = lanes.iter().filter(|lanes| lanes.is_given).map(|lanes| wanted.slots.at(lanes.place));
            first_free(wanted.slots, wanted.from, taken.iter().map(|row| Timestamp(row.slot)).chain(before))
        };
        let mut search = Search { due_by: wanted.slots.first, zones: &zones, lowest, inactive_since, parts };
        while let Some(batch) = self.claim_next(asking, back, &search).await? {
            let from = free(&taken, &lanes);
            let left = (wanted.from + wanted.limit).saturating_sub(from);
            let limit = match batch.probation {
                true if self.running(asking, batch.first_seq, batch.last_seq).await? > 0 => 0,
                true => left.min(1),
                false => left,
            };
            let rows = Wanted { from, limit, lanes: lanes.as_ref(), ..wanted };
            let rows = self.take_from(asking, &batch, rows).await?;
            lanes = lanes.map(|lanes| lanes.after(&rows, wanted.slots));
            search.parts = takeable(&lanes)?;
            taken.extend(rows);
            taken.sort_unstable_by_key(|row| row.slot);
            let is_full = free(&taken, &lanes) >= wanted.from + wanted.limit;
            if batch.probation || is_full || lanes.as_ref().is_some_and(Lanes::is_empty) {
                return Ok(Claimed { held: Some(batch), taken, outlook: Outlook::default() });
            }
            back = Some(batch.idx);
        }
        let outlook = match taken.is_empty() {
            true => self.who_is_left(asking.broadcast, wanted.zones).await?,
            false => Outlook::default(),
        };
        Ok(Claimed { held: None, taken, outlook })
    }

    /// Hands `back` back, and claims one batch.
    async fn claim_next(
        &mut self,
        asking: &Asking,
        back: Option<i64>,
        search: &Search<'_>,
    ) -> sqlx::Result<Option<BatchRow>> {
        if let Some(back) = back {
            self.run(
                "UPDATE batch SET sender_id = NULL, lease_until = 0 WHERE broadcast_id = $1 AND idx = $2",
                args![asking.broadcast, back],
            )
            .await?;
        }
        let statement = format!(
            "UPDATE batch SET probation = probation OR sender_id IS NOT NULL, \
                 reclaims = reclaims + (sender_id IS NOT NULL), sender_id = $2, epoch = epoch + 1, claimed_at = $3, \
                 renewed_at = $3, lease_until = $4, started_at = coalesce(started_at, $3) \
                 WHERE broadcast_id = $1 AND idx = ( \
                     SELECT idx FROM batch AS free WHERE free.broadcast_id = $1 AND free.pending > 0 \
                     AND free.last_seq >= $7 \
                     AND (free.sender_id IS NULL OR free.lease_until <= $3) \
                     AND EXISTS (SELECT 1 FROM {} WHERE waiting.seq BETWEEN free.first_seq AND free.last_seq \
                                 AND waiting.not_before <= $5 \
                                 AND (waiting.active_at IS NULL OR waiting.active_at > $9) AND NOT {} AND {}) \
                     ORDER BY idx LIMIT 1) \
                 RETURNING idx, first_seq, last_seq, epoch, probation",
            waiting("$6"),
            has_opted_out("$8"),
            gets_next("$10")
        );
        self.optional(
            &statement,
            args![
                asking.broadcast,
                asking.sender,
                asking.now,
                asking.now + LEASE,
                search.due_by,
                search.zones,
                search.lowest,
                asking.account,
                search.inactive_since,
                &search.parts
            ],
        )
        .await
    }

    /// See [`Store::take`].
    pub async fn take_from(
        &mut self,
        asking: &Asking,
        batch: &BatchRow,
        wanted: Wanted<'_>,
    ) -> sqlx::Result<Vec<Taken>> {
        let narrow = match wanted.narrow_place().zip(wanted.lanes) {
            Some((place, lanes)) => {
                let found = self.candidates(asking, batch, wanted, Some(&lanes.narrow), 1).await?;
                found.into_iter().next().map(|candidate| (place, candidate))
            }
            None => None,
        };
        let given = wanted.given_place();
        let limit = wanted.limit - u32::from(narrow.is_some()) - u32::from(given.is_some());
        let wide = self.candidates(asking, batch, wanted, wanted.lanes.map(|lanes| &lanes.wide[..]), limit).await?;
        let is_free = |place: &u32| narrow.as_ref().is_none_or(|(narrow, _)| narrow != place) && given != Some(*place);
        let free = (0..).filter(is_free);
        let mut placed: Vec<(u32, Candidate)> = free.zip(wide).collect();
        placed.extend(narrow);
        if placed.is_empty() {
            return Ok(Vec::new());
        }
        placed.sort_unstable_by_key(|(place, _)| *place);
        let slot = |place| wanted.slots.at(wanted.from + place);
        let taken: Vec<Taken> = placed.into_iter().map(|(place, candidate)| candidate.at(slot(place))).collect();
        self.give(asking, batch, &taken).await?;
        Ok(taken)
    }

    /// Who may be taken of a batch, in order, and gets one of these parts next, if any are named.
    async fn candidates(
        &mut self,
        asking: &Asking,
        batch: &BatchRow,
        wanted: Wanted<'_>,
        parts: Option<&[i64]>,
        limit: u32,
    ) -> sqlx::Result<Vec<Candidate>> {
        let statement = format!(
            "SELECT delivery.seq, delivery.attempt, delivery.parts_done, delivery.recipient, delivery.vars FROM {} \
             WHERE waiting.seq BETWEEN $2 AND $3 \
             AND waiting.not_before <= $4 AND (waiting.active_at IS NULL OR waiting.active_at > $8) AND NOT {} AND {} LIMIT $5",
            waiting("$6"),
            has_opted_out("$7"),
            gets_next("$9")
        );
        let mut candidates: Vec<Candidate> = self
            .all(
                &statement,
                args![
                    asking.broadcast,
                    batch.first_seq,
                    batch.last_seq,
                    wanted.slots.first,
                    limit,
                    json(&wanted.zones.open)?,
                    asking.account,
                    asking.inactive_since(wanted.slots),
                    parts.map(json).transpose()?
                ],
            )
            .await?;
        candidates.sort_unstable_by_key(|candidate| candidate.seq);
        Ok(candidates)
    }

    async fn give(&mut self, asking: &Asking, batch: &BatchRow, taken: &[Taken]) -> sqlx::Result<()> {
        let rows: Vec<(i64, i64, i64, i64, i64, i64)> = taken
            .iter()
            .map(|row| {
                let deadline = row.slot + asking.allowed.0;
                (asking.broadcast, row.seq, row.attempt, row.slot, row.start_by, deadline)
            })
            .collect();
        self.run(
            "UPDATE delivery SET state = $1, attempt = new.attempt, epoch = $2, sender_id = $3, request = $4, \
             slot = new.slot, start_by = new.start_by, deadline = new.deadline, resend = FALSE, reason = NULL, \
             code = NULL \
             FROM (SELECT value ->> 0 AS broadcast, value ->> 1 AS seq, value ->> 2 AS attempt, value ->> 3 AS slot, \
                   value ->> 4 AS start_by, value ->> 5 AS deadline FROM json_each($5)) AS new \
             WHERE broadcast_id = new.broadcast AND delivery.seq = new.seq",
            args![RecipientState::Inflight.code(), batch.epoch, asking.sender, asking.request, json(&rows)?],
        )
        .await?;
        self.run(
            "UPDATE batch SET pending = pending - $3, inflight = inflight + $3 WHERE broadcast_id = $1 AND idx = $2",
            args![asking.broadcast, batch.idx, taken.len() as i64],
        )
        .await?;
        Ok(())
    }

    /// See [`Store::outlook`].
    pub async fn who_is_left(&mut self, broadcast: i64, zones: &ZonesNow) -> sqlx::Result<Outlook> {
        let (due,): (Option<i64>,) = self
            .one(
                "SELECT min(first) FROM ( \
                     SELECT (SELECT not_before FROM delivery INDEXED BY delivery_due \
                             WHERE broadcast_id = $1 AND state = 0 AND zone = zones.value ORDER BY not_before LIMIT 1) AS first \
                     FROM json_each($2) AS zones)",
                args![broadcast, json(&zones.open)?],
            )
            .await?;
        let waiting = self.first_pending(broadcast, &zones.quiet, Timestamp::NEVER).await?;
        let waiting = waiting.into_iter().map(|(zone, _)| zone).collect();
        Ok(Outlook { due: due.map(Timestamp), waiting })
    }

    /// Those of the zones in which somebody is pending who may be taken by then, each with the first who is pending.
    async fn first_pending(&mut self, broadcast: i64, zones: &[i64], by: Timestamp) -> sqlx::Result<Vec<(i64, i64)>> {
        self.all(
            "SELECT zone, seq FROM ( \
                 SELECT zones.value AS zone, (SELECT seq FROM delivery INDEXED BY delivery_pending \
                     WHERE broadcast_id = $1 AND state = 0 AND zone = zones.value ORDER BY seq LIMIT 1) AS seq \
                 FROM json_each($2) AS zones WHERE EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_due \
                     WHERE broadcast_id = $1 AND state = 0 AND zone = zones.value AND not_before <= $3)) \
             WHERE seq IS NOT NULL",
            args![broadcast, json(zones)?, by],
        )
        .await
    }

    /// How many the sender has in flight in a range of the broadcast.
    pub async fn running(&mut self, asking: &Asking, first: i64, last: i64) -> sqlx::Result<i64> {
        let (running,): (i64,) = self
            .one(
                "SELECT count(*) FROM delivery INDEXED BY delivery_inflight \
                 WHERE broadcast_id = $1 AND state = 1 AND sender_id = $2 AND seq BETWEEN $3 AND $4",
                args![asking.broadcast, asking.sender, first, last],
            )
            .await?;
        Ok(running)
    }
}
