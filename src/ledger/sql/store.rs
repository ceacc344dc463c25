//! What the rules of the ledger need of a database.
//!
//! Most statements are the same for every database and stand with the rule they serve; they go through [`Store::run`]
//! and [`Store::all`]. What databases do differently, because it is bulk, or because one of them pays for every round
//! trip, is a step of its own here.

use std::future::Future;
use std::time::Duration;

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::claim::{Asking, BatchRow, BetweenParts, Claimed, Moved, Outlook, Survey, Taken, Wanted};
use super::entries::{DeliveryRow, Entries};
use super::rows::{BroadcastRow, SenderRow};
use super::value::Value;
use super::zones::ZonesNow;
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::Timestamp;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;

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
