//! What recording reads of recipients and writes down: every table once in a transaction.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::delivery::counts::{Counts, Tally};
use crate::delivery::histogram::Histogram;
use crate::delivery::outcome::Fault;
use crate::delivery::time::Timestamp;

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
    /// The provider's answer means that the recipient wants no marketing messages any more.
    pub marketing_stopped: bool,
}

/// What the outcomes of one transaction change of a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchDelta {
    pub counts: Counts,
    /// Of those who are skipped, by the cancel.
    pub cancelled: i64,
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
    /// Whoever of `rows` is sent, has opted out or stopped marketing, becomes a contact of this account.
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
