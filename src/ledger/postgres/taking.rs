//! Looking around, claiming and taking: one statement each.

use sqlx::{FromRow, PgConnection};

use crate::delivery::pacing::Rival;
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::{LEASE, START_TOLERANCE};
use crate::ledger::sql::claim::{Asking, BatchRow, BetweenParts, Claimed, Lanes, Outlook, Survey, Taken, Wanted};
use crate::ledger::sql::posting;
use crate::ledger::sql::zones::ZonesNow;

/// See [`Store::survey`](crate::ledger::sql::store::Store::survey).
pub async fn survey(
    connection: &mut PgConnection,
    asking: &Asking,
    between_parts: Option<BetweenParts<'_>>,
) -> sqlx::Result<Survey> {
    let (latest_wait, latest_lease) = posting::latest(asking.now);
    let row: SurveyRow = sqlx::query_as(SURVEY)
        .bind(asking.broadcast)
        .bind(asking.sender)
        .bind((asking.now + LEASE).0)
        .bind(asking.now.0)
        .bind(asking.proven)
        .bind(asking.account)
        .bind(asking.braked)
        .bind(between_parts.map(|between| between.zones))
        .bind(asking.notifies)
        .bind(latest_wait.0)
        .bind(latest_lease.0)
        .bind(asking.inactive_since_now().0)
        .bind(asking.classes)
        .bind(between_parts.map_or(&[][..], |between| between.class))
        .bind(between_parts.map_or(0, |between| between.most))
        .fetch_one(connection)
        .await?;
    let rivals = |weights: &[i64], virtual_times: &[f64]| {
        let flows = weights.iter().zip(virtual_times);
        flows.map(|(weight, time)| Rival { weight: *weight as u32, virtual_time: *time }).collect()
    };
    let last_slot = row.last_slot.map(Timestamp);
    Ok(Survey {
        held: row.held.batch(),
        running: row.running,
        part_waits: row.part_waits,
        others: row.others,
        rivals: rivals(&row.weights, &row.virtual_times),
        class_rivals: rivals(&row.class_weights, &row.class_virtual_times),
        class_waiting: row.class_waiting,
        last_slot,
        notifications: row.notifications,
    })
}

/// See [`Store::take`](crate::ledger::sql::store::Store::take).
pub async fn take(
    connection: &mut PgConnection,
    asking: &Asking,
    batch: &BatchRow,
    wanted: Wanted<'_>,
) -> sqlx::Result<Vec<Taken>> {
    let first = wanted.slots.at(wanted.from);
    let lanes = LaneArguments::of(&wanted);
    let mut taken: Vec<Taken> = sqlx::query_as(TAKE)
        .bind(asking.broadcast)
        .bind(batch.idx)
        .bind(batch.first_seq)
        .bind(batch.last_seq)
        .bind(wanted.slots.first.0)
        .bind(i64::from(wanted.limit))
        .bind(batch.epoch)
        .bind(asking.sender)
        .bind(asking.request)
        .bind(first.0)
        .bind(wanted.slots.interval.0)
        .bind(START_TOLERANCE.0)
        .bind(asking.allowed.0)
        .bind(&wanted.zones.open)
        .bind(asking.account)
        .bind(asking.inactive_since(wanted.slots).0)
        .bind(lanes.narrow)
        .bind(lanes.counts)
        .bind(lanes.narrow_parts)
        .bind(lanes.wide_parts)
        .bind(lanes.place)
        .fetch_all(connection)
        .await?;
    taken.sort_by_key(|row| row.slot);
    Ok(taken)
}

/// See [`Store::claim`](crate::ledger::sql::store::Store::claim).
pub async fn claim(
    connection: &mut PgConnection,
    asking: &Asking,
    back: Option<i64>,
    wanted: Wanted<'_>,
) -> sqlx::Result<Claimed> {
    let first = wanted.slots.at(wanted.from);
    let lanes = LaneArguments::of(&wanted);
    let rows: Vec<ClaimRow> = sqlx::query_as(CLAIM)
        .bind(asking.broadcast)
        .bind(back)
        .bind(asking.sender)
        .bind(asking.now.0)
        .bind((asking.now + LEASE).0)
        .bind(wanted.slots.first.0)
        .bind(i64::from(wanted.limit))
        .bind(asking.request)
        .bind(first.0)
        .bind(wanted.slots.interval.0)
        .bind(START_TOLERANCE.0)
        .bind(asking.allowed.0)
        .bind(&wanted.zones.open)
        .bind(&wanted.zones.quiet)
        .bind(asking.account)
        .bind(asking.inactive_since(wanted.slots).0)
        .bind(lanes.narrow)
        .bind(lanes.counts)
        .bind(lanes.narrow_parts)
        .bind(lanes.wide_parts)
        .bind(lanes.place)
        .bind(lanes.given)
        .fetch_all(connection)
        .await?;
    let held = rows.first().and_then(|row| row.batch.batch());
    let outlook = rows.first().map(|row| row.outlook()).unwrap_or_default();
    let mut taken: Vec<Taken> = rows.into_iter().filter_map(ClaimRow::taken).collect();
    taken.sort_by_key(|row| row.slot);
    Ok(Claimed { held, taken, outlook })
}

/// What is taken of which parts: a lane for one of the rate class, where one may be taken, and a lane for the others.
struct LaneArguments<'a> {
    narrow: Vec<bool>,
    /// Of each lane so many at most.
    counts: Vec<i64>,
    narrow_parts: &'a [i64],
    /// `None` for every part.
    wide_parts: Option<&'a [i64]>,
    /// Among the slots, of the one in the narrow lane, or of one that was taken before.
    place: i64,
    /// How many were.
    given: i64,
}

impl<'a> LaneArguments<'a> {
    fn of(wanted: &Wanted<'a>) -> LaneArguments<'a> {
        let (place, given) = (wanted.narrow_place(), wanted.given_place());
        let open = wanted.lanes.filter(|_| place.is_some());
        let narrow = open.map_or(&[][..], |lanes| &lanes.narrow);
        let wide_parts = wanted.lanes.map(|lanes: &Lanes| &lanes.wide[..]);
        let lanes = place.map(|_| (true, 1)).into_iter().chain([(false, i64::from(wanted.limit))]);
        let (narrow_lanes, counts) = lanes.unzip();
        LaneArguments {
            narrow: narrow_lanes,
            counts,
            narrow_parts: narrow,
            wide_parts,
            place: place.or(given).map_or(0, i64::from),
            given: i64::from(given.is_some()),
        }
    }
}

/// See [`Store::outlook`](crate::ledger::sql::store::Store::outlook).
pub async fn outlook(connection: &mut PgConnection, broadcast: i64, zones: &ZonesNow) -> sqlx::Result<Outlook> {
    let (due, waiting): (Option<i64>, Vec<i64>) =
        sqlx::query_as(OUTLOOK).bind(broadcast).bind(&zones.open).bind(&zones.quiet).fetch_one(connection).await?;
    Ok(Outlook { due: due.map(Timestamp), waiting })
}

/// A batch, where there is one.
#[derive(FromRow)]
struct BatchColumns {
    idx: Option<i64>,
    first_seq: Option<i64>,
    last_seq: Option<i64>,
    epoch: Option<i64>,
    probation: Option<bool>,
}

impl BatchColumns {
    fn batch(&self) -> Option<BatchRow> {
        Some(BatchRow {
            idx: self.idx?,
            first_seq: self.first_seq?,
            last_seq: self.last_seq?,
            epoch: self.epoch?,
            probation: self.probation?,
        })
    }
}

#[derive(FromRow)]
struct SurveyRow {
    #[sqlx(flatten)]
    held: BatchColumns,
    running: i64,
    part_waits: bool,
    others: i64,
    last_slot: Option<i64>,
    notifications: bool,
    weights: Vec<i64>,
    virtual_times: Vec<f64>,
    class_weights: Vec<i64>,
    class_virtual_times: Vec<f64>,
    class_waiting: i64,
}

#[derive(FromRow)]
struct ClaimRow {
    #[sqlx(flatten)]
    batch: BatchColumns,
    due: Option<i64>,
    waiting: Option<Vec<i64>>,
    seq: Option<i64>,
    attempt: Option<i64>,
    parts_done: Option<i64>,
    recipient: Option<String>,
    vars: Option<String>,
    slot: Option<i64>,
    start_by: Option<i64>,
}

impl ClaimRow {
    fn outlook(&self) -> Outlook {
        Outlook { due: self.due.map(Timestamp), waiting: self.waiting.clone().unwrap_or_default() }
    }

    fn taken(self) -> Option<Taken> {
        Some(Taken {
            seq: self.seq?,
            attempt: self.attempt?,
            parts_done: self.parts_done?,
            recipient: self.recipient?,
            vars: self.vars?,
            slot: self.slot?,
            start_by: self.start_by?,
        })
    }
}

const SURVEY: &str = include_str!("survey.sql");
const TAKE: &str = include_str!("take.sql");
const CLAIM: &str = include_str!("claim.sql");
const OUTLOOK: &str = include_str!("outlook.sql");
