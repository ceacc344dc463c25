//! What the rules of the ledger need of a database.
//!
//! Most statements are the same for every database and stand with the rule they serve; they go through [`Store::run`]
//! and [`Store::all`]. What databases do differently, because it is bulk, or because one of them pays for every round
//! trip, is a step of its own here.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::rows::{BroadcastRow, SenderRow};
use super::value::Value;
use super::zones::ZonesNow;
use crate::delivery::counts::{Counts, Tally};
use crate::delivery::histogram::Histogram;
use crate::delivery::outcome::Fault;
use crate::delivery::pacing::{Rival, Slots};
use crate::delivery::rate_class::RateClass;
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{BroadcastId, START_TOLERANCE};

/// A row that every database can give.
pub trait Portable: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Portable for T {}

/// Where a ledger is kept.
pub trait Database: Send + Sync + 'static {
    type Store: Store;

    /// Begins a transaction. It is rolled back unless it is committed.
    fn begin(&self) -> impl Future<Output = sqlx::Result<Self::Store>> + Send;

    /// Begins a transaction that only reads, and sees one commit throughout.
    fn begin_reading(&self) -> impl Future<Output = sqlx::Result<Self::Store>> + Send;

    /// A call, given up after so long where the server may be one that never answers.
    fn bounded<T: Send>(
        _limit: Duration,
        call: impl Future<Output = sqlx::Result<T>> + Send,
    ) -> impl Future<Output = sqlx::Result<T>> + Send {
        call
    }

    /// An error in the terms of the ledger.
    fn failed(&self, error: sqlx::Error) -> LedgerError;

    /// Since when senders could reach the ledger without a break, at the earliest; `None` where they could not just now.
    fn reachable_since(&self) -> Option<Timestamp>;

    /// Senders could not reach it until now.
    fn reached_anew(&self);
}

/// A recipient as recording finds it.
#[derive(Debug, FromRow)]
pub struct DeliveryRow {
    pub seq: i64,
    pub state: i64,
    pub attempt: i64,
    pub tries: i64,
    pub setbacks: i64,
    pub parts_done: i64,
    pub resend: bool,
    pub slot: Option<i64>,
    pub deadline: Option<i64>,
    pub reason: Option<String>,
    pub code: Option<String>,
    /// The attempt that the provider itself has told of.
    pub heard: i64,
    pub provider_id: Option<String>,
    /// Wants no messages of the account, or is to get none of this broadcast any more.
    pub opted_out: bool,
}

/// The columns of a [`DeliveryRow`], but for `opted_out`.
pub const DELIVERY_COLUMNS: &str = "seq, state, attempt, tries, setbacks, parts_done, resend, slot, deadline, reason, code, heard, \
     provider_id";

/// Whether a recipient of `delivery` who was attempted gets no further attempt, as an expression: they have opted out, or were
/// barred by name while they were in flight or unknown.
pub fn is_barred(account: &str) -> String {
    format!("(delivery.resend_barred OR {})", has_opted_out(account))
}

/// Whether a recipient of `delivery` has opted out, as an expression; `account` is that of the account's number. Looked up for
/// each row by the key of `contact`, whatever the database knows of the tables: as an EXISTS it could be turned into a join
/// that reads all of them.
pub fn has_opted_out(account: &str) -> String {
    format!(
        "(SELECT contact.opted_out_at FROM contact WHERE contact.account_id = {account} \
         AND contact.recipient = delivery.recipient) IS NOT NULL"
    )
}

/// A recipient as recording leaves it.
#[derive(Clone, Debug)]
pub struct Change {
    pub seq: i64,
    pub state: i64,
    pub tries: i64,
    pub setbacks: i64,
    pub parts_done: i64,
    pub not_before: i64,
    pub resend: bool,
    /// `None` leaves the one that is there.
    pub provider_id: Option<String>,
    pub reason: Option<String>,
    pub code: Option<String>,
    /// Why the provider's answer means that the recipient wants no messages any more, where it does.
    pub opted_out: Option<String>,
}

/// What the outcomes of one transaction change of a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchDelta {
    pub counts: Counts,
    pub retries: i64,
    /// That the provider was asked.
    pub requests: i64,
    /// How long it took to answer them.
    pub latency: Histogram,
    /// Somebody has survived it.
    pub proof: bool,
    pub error: Option<Fault>,
}

/// Everything that recording writes, but for the broadcast itself.
#[derive(Debug)]
pub struct Entries {
    pub broadcast: i64,
    /// Whoever of `rows` is sent, or has opted out, becomes a contact of this account.
    pub account: i64,
    /// Of which time the variables of the plan are.
    pub planned_at: i64,
    /// What whoever is sent is tagged with.
    pub tags: Vec<String>,
    /// The targets that whoever is sent is owed to.
    pub owed_to: Vec<&'static str>,
    pub now: Timestamp,
    pub rows: Vec<Change>,
    pub batches: BTreeMap<i64, BatchDelta>,
    pub tally: Tally,
    /// The endpoints that are told of each batch that this completes.
    pub told: Vec<String>,
}

/// A claimed batch.
#[derive(Clone, Debug, FromRow)]
pub struct BatchRow {
    pub idx: i64,
    pub first_seq: i64,
    pub last_seq: i64,
    pub epoch: i64,
    pub probation: bool,
}

/// Who asks, in the transaction of its request.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    pub broadcast: i64,
    pub account: i64,
    pub sender: i64,
    /// Has recorded an outcome.
    pub proven: bool,
    pub request: i64,
    pub now: Timestamp,
    /// What it told has lowered the account's rate.
    pub braked: bool,
    /// From a slot to the deadline of its attempt.
    pub allowed: Span,
    /// How long after their last activity recipients may be messaged, where the provider's window is counted.
    pub reply_window: Option<Span>,
    /// There are endpoints to be told how it goes.
    pub notifies: bool,
    /// The account has a rate class.
    pub classes: bool,
}

impl Asking {
    /// Whoever was active last at this instant, or earlier, gets none of these slots: their window may close before the last.
    pub fn inactive_since(&self, slots: &Slots) -> Timestamp {
        self.inactive_before(slots.at(slots.count.max(1) - 1))
    }

    /// The same of the earliest slot that there may be.
    pub fn inactive_since_now(&self) -> Timestamp {
        self.inactive_before(self.now)
    }

    fn inactive_before(&self, slot: Timestamp) -> Timestamp {
        self.reply_window.map_or(Timestamp(i64::MIN), |window| slot + START_TOLERANCE - window)
    }
}

/// Where it is looked for people who have got a part of a message and may have the next one.
#[derive(Clone, Copy, Debug)]
pub struct BetweenParts<'a> {
    /// The open zones.
    pub zones: &'a [i64],
    /// The parts of the rate class.
    pub class: &'a [i64],
    /// No more who wait for one of those are counted.
    pub most: i64,
}

/// What a sender and its rivals hold.
#[derive(Debug)]
pub struct Survey {
    /// The batch that the sender holds.
    pub held: Option<BatchRow>,
    /// How many are in flight at the sender: in the held batch, for one that is proven and not on probation there none
    /// are counted; in the whole broadcast, for one that is not proven.
    pub running: i64,
    /// Somebody who has got a part of the message may have the next one now, in a free batch before the held one.
    pub part_waits: bool,
    /// Other senders with a live claim in the broadcast.
    pub others: i64,
    /// Other broadcasts of the account that want slots now.
    pub rivals: Vec<Rival>,
    /// Those that want slots of the account's rate class.
    pub class_rivals: Vec<Rival>,
    /// How many people may have a part of the class now, after another part; counted as far as [`BetweenParts::most`].
    pub class_waiting: i64,
    /// The latest slot of anybody in flight on the account; looked up only after the rate was lowered.
    pub last_slot: Option<Timestamp>,
    /// There are events to be posted that nobody is at.
    pub notifications: bool,
}

/// A recipient that was put in flight; the slots follow the order.
#[derive(Debug, FromRow)]
pub struct Taken {
    pub seq: i64,
    pub attempt: i64,
    pub parts_done: i64,
    pub recipient: String,
    pub vars: String,
    pub slot: i64,
    pub start_by: i64,
}

/// A recipient in flight, with the number of their time zone, and what may bar them by now.
#[derive(Debug, FromRow)]
pub struct Given {
    #[sqlx(flatten)]
    pub taken: Taken,
    pub zone: i64,
    /// When last active, as far as is known.
    pub active_at: Option<i64>,
    /// Wants no messages of the account.
    pub opted_out: bool,
}

/// Another slot for a recipient in flight.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub seq: i64,
    pub slot: i64,
    pub start_by: i64,
    pub deadline: i64,
}

/// What may be taken of a message with parts of a rate class: one of the class at most, and others.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// The parts of the class; empty where none may be taken.
    pub narrow: Vec<i64>,
    /// By number, the slot that one of the class gets; the others get those before and after it.
    pub place: u32,
    /// The parts that may be taken beside it.
    pub wide: Vec<i64>,
}

impl Lanes {
    /// Without a place none of the class.
    pub fn new(class: &RateClass, place: Option<u32>, wide: Vec<i64>) -> Lanes {
        let narrow = place.map_or_else(Vec::new, |_| class.parts.iter().map(|part| i64::from(*part)).collect());
        Lanes { narrow, place: place.unwrap_or_default(), wide }
    }

    /// Every part that may be taken.
    pub fn parts(&self) -> Vec<i64> {
        [&self.narrow[..], &self.wide].concat()
    }

    pub fn is_empty(&self) -> bool {
        self.narrow.is_empty() && self.wide.is_empty()
    }

    /// Those that are left when these were taken.
    pub fn after(mut self, taken: &[Taken]) -> Lanes {
        if taken.iter().any(|row| self.narrow.contains(&row.parts_done)) {
            self.narrow.clear();
        }
        self
    }
}

/// From which slot on, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub slots: &'a Slots,
    /// The first of the slots that is still free.
    pub from: u32,
    pub limit: u32,
    pub zones: &'a ZonesNow,
    /// `None` for every part alike.
    pub lanes: Option<&'a Lanes>,
}

impl Wanted<'_> {
    /// The place of one of the rate class among the slots that are still free; `None` where none may be taken.
    pub fn narrow_place(&self) -> Option<u32> {
        let lanes = self.lanes.filter(|lanes| !lanes.narrow.is_empty())?;
        Some(lanes.place.saturating_sub(self.from)).filter(|place| *place < self.limit)
    }
}

/// What a claim found.
#[derive(Debug)]
pub struct Claimed {
    /// The batch that the sender holds now. `None` where everybody who may be taken was taken: whatever was claimed for that
    /// is handed back.
    pub held: Option<BatchRow>,
    /// In the order of their slots.
    pub taken: Vec<Taken>,
    /// Where nothing was claimed: who is left.
    pub outlook: Outlook,
}

/// Who of a broadcast is pending.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// When the first may be taken of those whose time zone is open.
    pub due: Option<Timestamp>,
    /// The quiet zones of others.
    pub waiting: Vec<i64>,
}

/// Whom a planner names before the recipients of its plan. A list is kept until the plan is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanList {
    /// They are left out.
    Excluded,
    /// They are taken for opted out.
    Suppressed,
}

impl PlanList {
    pub const ALL: [PlanList; 2] = [PlanList::Excluded, PlanList::Suppressed];

    pub fn table(self) -> &'static str {
        match self {
            PlanList::Excluded => "exclusion",
            PlanList::Suppressed => "suppression",
        }
    }
}

/// One recipient of a plan as it is stored.
#[derive(Clone, Debug)]
pub struct PlannedRow<'a> {
    pub seq: i64,
    pub recipient: &'a str,
    /// JSON.
    pub vars: String,
    /// The number of their time zone.
    pub zone: i64,
    /// When last active, as far as is known.
    pub active_at: Option<i64>,
    /// Wants no messages of the account: is skipped from the beginning.
    pub opted_out: bool,
}

impl PlannedRow<'_> {
    /// The state it is planned in, and why.
    pub fn state(&self) -> (i64, Option<&'static str>) {
        match self.opted_out {
            true => (RecipientState::Skipped.code(), Some(SkipReason::OptedOut.as_str())),
            false => (RecipientState::Pending.code(), None),
        }
    }
}

/// One transaction.
pub trait Store: Send {
    /// Ends a SELECT of rows of `broadcast` that this transaction will change.
    const FOR_UPDATE: &'static str;
    /// The instant, as an expression: for databases with a clock of their own.
    const CLOCK: &'static str;

    /// Follows the name of a table in a statement that should use this index, where the database needs to be told.
    fn indexed_by(index: &str) -> String;

    fn commit(self) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The ledger's clock in this transaction.
    fn now(&mut self) -> impl Future<Output = sqlx::Result<Timestamp>> + Send;

    /// Tells what [`Store::CLOCK`] gave, once all locks are had.
    fn clock_read(&mut self, clock: i64);

    /// Runs a statement; returns how many rows it changed.
    fn run(&mut self, sql: &str, arguments: Vec<Value>) -> impl Future<Output = sqlx::Result<u64>> + Send;

    fn all<T: Portable>(
        &mut self,
        sql: &str,
        arguments: Vec<Value>,
    ) -> impl Future<Output = sqlx::Result<Vec<T>>> + Send;

    fn optional<T: Portable>(
        &mut self,
        sql: &str,
        arguments: Vec<Value>,
    ) -> impl Future<Output = sqlx::Result<Option<T>>> + Send {
        async move { Ok(self.all(sql, arguments).await?.into_iter().next()) }
    }

    fn one<T: Portable>(&mut self, sql: &str, arguments: Vec<Value>) -> impl Future<Output = sqlx::Result<T>> + Send {
        async move { self.optional(sql, arguments).await?.ok_or(sqlx::Error::RowNotFound) }
    }

    /// Lets no other transaction exchange, record or reserve on the account of the broadcast until this one ends. Returns
    /// the account, where the database has several writers.
    fn lock_account_of(&mut self, broadcast: BroadcastId) -> impl Future<Output = sqlx::Result<Option<i64>>> + Send;

    /// Every tag of these contacts of the account, with whose it is: each of them looked up by their key, whatever the database
    /// knows of the table.
    fn tags(
        &mut self,
        account: i64,
        recipients: &[&str],
    ) -> impl Future<Output = sqlx::Result<Vec<(String, String)>>> + Send;

    /// How these recipients of a broadcast of the account stand.
    fn standing(
        &mut self,
        account: i64,
        broadcast: i64,
        seqs: &[i64],
    ) -> impl Future<Output = sqlx::Result<Vec<DeliveryRow>>> + Send;

    fn record(&mut self, entries: &Entries) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Renews the lease of what the sender holds and looks around; where there are messages of several parts, also for whoever
    /// is between two of them.
    fn survey(
        &mut self,
        asking: &Asking,
        between_parts: Option<BetweenParts<'_>>,
    ) -> impl Future<Output = sqlx::Result<Survey>> + Send;

    /// Puts pending recipients of a batch whose time zone is open in flight, each with a new attempt at its slot: the first of
    /// each zone, one zone after the other, so that those of the quiet ones are not walked over. Nobody is taken who has opted
    /// out, or whose window closes before the last slot: upkeep skips them.
    fn take(
        &mut self,
        asking: &Asking,
        batch: &BatchRow,
        wanted: Wanted<'_>,
    ) -> impl Future<Output = sqlx::Result<Vec<Taken>>> + Send;

    /// Gives recipients in flight other slots.
    fn move_slots(&mut self, broadcast: i64, moved: &[Moved]) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Hands `back` back, claims the first batch that nobody holds and that has somebody to take by the first slot, takes
    /// from it, and goes on to the next until the limit is reached. One whose holder was lost is taken over on probation; of
    /// one on probation one recipient at a time is taken, and it is the last.
    fn claim(
        &mut self,
        asking: &Asking,
        back: Option<i64>,
        wanted: Wanted<'_>,
    ) -> impl Future<Output = sqlx::Result<Claimed>> + Send;

    /// Whether somebody is pending in one of these zones who may be taken by then.
    fn is_anybody_due(
        &mut self,
        broadcast: i64,
        zones: &[i64],
        by: Timestamp,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Who is left, for when nobody who is pending in an open zone may be taken.
    fn outlook(&mut self, broadcast: i64, zones: &ZonesNow) -> impl Future<Output = sqlx::Result<Outlook>> + Send;

    /// Writes back what may have changed of a broadcast, of its account, and of the sender that asks, with what it tells.
    fn save(
        &mut self,
        broadcast: &BroadcastRow,
        sender: Option<&SenderRow>,
        now: Timestamp,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Writes what a broadcast tells into its outbox.
    fn tell(&mut self, broadcast: &BroadcastRow, now: Timestamp) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Appends recipients to a plan. `false`, with nothing changed, when one of them is in it already.
    fn append(&mut self, broadcast: i64, rows: &[PlannedRow<'_>]) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// The places in `recipients` of those who are in the plan already.
    fn planned_among(
        &mut self,
        broadcast: i64,
        recipients: &[&str],
    ) -> impl Future<Output = sqlx::Result<Vec<i64>>> + Send;

    /// The places in `recipients` of those whom the list names.
    fn listed_among(
        &mut self,
        list: PlanList,
        broadcast: i64,
        recipients: &[&str],
    ) -> impl Future<Output = sqlx::Result<Vec<i64>>> + Send;

    /// Adds to the list whoever it does not name yet.
    fn enlist(
        &mut self,
        list: PlanList,
        broadcast: i64,
        recipients: &[String],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Cuts a plan into batches: index, first and last sequence number of each.
    fn cut_batches(
        &mut self,
        broadcast: i64,
        batches: &[(i64, i64, i64)],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}
