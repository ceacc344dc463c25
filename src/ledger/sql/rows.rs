//! Rows as the database holds them, and the way into the domain's own values and back.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::FromRow;

use super::outbox::NewRow;
use super::store::Store;
use super::value::args;
use crate::delivery::backoff::RetryPolicy;
use crate::delivery::brake::{Brake, Footing};
use crate::delivery::counts::Counts;
use crate::delivery::failure_streak::FailureStreak;
use crate::delivery::gate::{Block, Gate, Loss};
use crate::delivery::histogram::Histogram;
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::pace_history::{Deeds, PaceHistory};
use crate::delivery::pacing;
use crate::delivery::rate::Rate;
use crate::delivery::receipt::ReceiptCounts;
use crate::delivery::refusal_streak::RefusalStreaks;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::brief::{ToldTrouble, Trouble};
use crate::ledger::exchange::{CONNECT_TIMEOUT, DEADLINE_GRACE, LEASE, SLOW_FOR, START_TOLERANCE};

/// A value as the text of a column or parameter.
pub fn json(rows: &(impl Serialize + ?Sized)) -> sqlx::Result<String> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// The times of answers as a parameter; none where nobody was asked.
pub fn latency_of(latency: &Histogram) -> sqlx::Result<Option<String>> {
    (!latency.is_empty()).then(|| json(latency)).transpose()
}

/// A value of a column of text.
pub fn parsed<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The same; its default where there is none.
pub fn stored<T: DeserializeOwned + Default>(text: Option<&str>) -> sqlx::Result<T> {
    text.map_or_else(|| Ok(T::default()), parsed)
}

#[derive(Clone, Debug, FromRow)]
pub struct CountColumns {
    pub pending: i64,
    pub inflight: i64,
    pub sent: i64,
    pub failed: i64,
    pub skipped: i64,
    pub unknown: i64,
}

impl From<&CountColumns> for Counts {
    fn from(columns: &CountColumns) -> Counts {
        Counts {
            pending: columns.pending,
            inflight: columns.inflight,
            sent: columns.sent,
            failed: columns.failed,
            skipped: columns.skipped,
            unknown: columns.unknown,
        }
    }
}

#[derive(Clone, Debug, FromRow)]
pub struct ReceiptColumns {
    pub receipts_delivered: i64,
    pub receipts_read: i64,
    pub receipts_undelivered: i64,
}

impl From<&ReceiptColumns> for ReceiptCounts {
    fn from(columns: &ReceiptColumns) -> ReceiptCounts {
        ReceiptCounts {
            delivered: columns.receipts_delivered,
            read: columns.receipts_read,
            undelivered: columns.receipts_undelivered,
        }
    }
}

/// A broadcast with its account: read together at the start of each transaction.
#[derive(Clone, Debug, FromRow)]
pub struct BroadcastRow {
    pub id: i64,
    pub namespace: String,
    pub idempotency_key: String,
    pub name: String,
    pub generation: i64,
    pub identity_hash: String,
    pub account_id: i64,
    pub content: String,
    pub content_hash: String,
    pub parts: i64,
    pub class_parts: Option<String>,
    pub orders: Option<String>,
    pub sent_tags: String,
    pub reply_window: Option<i64>,
    pub released: bool,
    pub trouble_reason: Option<String>,
    pub trouble_message: Option<String>,
    pub trouble_at: Option<i64>,
    pub held_up_at: Option<i64>,
    pub request_timeout: i64,
    pub rate_messages: Option<i64>,
    pub rate_period_seconds: Option<i64>,
    pub batch_size_wish: Option<i64>,
    pub plan_limit: Option<i64>,
    pub start_at: Option<i64>,
    pub end_at: Option<i64>,
    pub start_by: Option<i64>,
    pub quiet_hours: Option<String>,
    pub notifications: Option<String>,
    pub notified: String,
    pub write_backs: Option<String>,
    pub suspended: bool,
    pub cancelled: bool,
    pub duplicate_of: Option<i64>,
    pub loss: Option<String>,
    pub loss_revision: i64,
    pub risk_from: Option<i64>,
    pub block_reason: Option<String>,
    pub block_message: Option<String>,
    pub refusals: Option<String>,
    pub failed_fault: Option<String>,
    pub failed_in_a_row: i64,
    pub failed_at: Option<i64>,
    pub retry_max_tries: i64,
    pub retry_initial_backoff: i64,
    pub retry_max_backoff: i64,
    pub resend_unknown: bool,
    pub flow_weight: i64,
    pub flow_virtual_time: f64,
    pub flow_hungry_until: i64,
    pub own_next_slot: i64,
    pub class_flow_virtual_time: f64,
    pub class_hungry_until: i64,
    pub plan_epoch: i64,
    pub plan_touched_at: Option<i64>,
    pub dead_planners: i64,
    pub plan_failed_at: Option<i64>,
    pub plan_chunk: i64,
    pub plan_receipt: Option<String>,
    pub plan_digest: Vec<u8>,
    pub plan_duplicates: i64,
    pub plan_excluded: i64,
    pub plan_samples: String,
    pub plan_warnings: String,
    pub plan_zones: String,
    pub plan_sealed_at: Option<i64>,
    pub batch_size: i64,
    pub planned: i64,
    #[sqlx(flatten)]
    pub counts: CountColumns,
    #[sqlx(flatten)]
    pub receipts: ReceiptColumns,
    pub pace: Option<String>,
    pub latency: Option<String>,
    /// One of the two has changed since it was read: else neither is written, as they may be some kilobytes.
    #[sqlx(skip)]
    pub has_counted: bool,
    pub declared_at: i64,
    pub first_attempt_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub revision: i64,
    /// What is told with this transaction.
    #[sqlx(skip)]
    pub news: Vec<NewRow>,
    #[sqlx(flatten)]
    pub account: AccountColumns,
}

#[derive(Clone, Debug, FromRow)]
pub struct AccountColumns {
    pub account_messages: i64,
    pub account_period_seconds: i64,
    pub next_slot: i64,
    pub virtual_time: f64,
    /// The latest instant of a commit that stored instants of the account: shows a clock that was set back.
    pub seen_at: i64,
    #[sqlx(flatten)]
    pub brake: BrakeColumns,
    pub class_rate_messages: Option<i64>,
    pub class_rate_period_seconds: Option<i64>,
    pub class_next_slot: i64,
    pub class_virtual_time: f64,
    pub stopped_message: Option<String>,
}

#[derive(Clone, Debug, FromRow)]
pub struct BrakeColumns {
    pub brake_factor: i64,
    pub brake_since: i64,
    pub brake_hold_until: i64,
    pub brake_lowered_at: i64,
    pub brake_recent: i64,
    pub brake_footing: i64,
    pub brake_usage_percent: i64,
    pub brake_usage_at: i64,
}

impl BrakeColumns {
    pub fn brake(&self) -> Brake {
        Brake {
            factor: self.brake_factor,
            since: Timestamp(self.brake_since),
            hold_until: Timestamp(self.brake_hold_until),
            lowered_at: Timestamp(self.brake_lowered_at),
            recent: self.brake_recent,
            footing: Footing::from_code(self.brake_footing),
            usage_percent: self.brake_usage_percent,
            usage_at: Timestamp(self.brake_usage_at),
        }
    }
}

pub fn rate(messages: i64, period_seconds: i64) -> Rate {
    Rate::new(messages.clamp(1, i64::from(u32::MAX)) as u32, period_seconds.clamp(1, i64::from(u32::MAX)) as u32)
}

impl BroadcastRow {
    pub fn counts(&self) -> Counts {
        Counts::from(&self.counts)
    }

    pub fn set_counts(&mut self, counts: Counts) {
        let Counts { pending, inflight, sent, failed, skipped, unknown } = counts;
        self.counts = CountColumns { pending, inflight, sent, failed, skipped, unknown };
    }

    pub fn gate(&self) -> Gate {
        Gate {
            sealed: self.plan_sealed_at.is_some(),
            released: self.released,
            suspended: self.suspended,
            cancelled: self.cancelled,
            plan_failed: self.plan_failed_at.is_some(),
            is_suspect: self.duplicate_of.is_some(),
            loss: self.loss.as_deref().and_then(Loss::from_reason),
            at_risk: self.risk_from.is_some(),
            block: self.block_reason.as_deref().and_then(Block::from_reason),
            account_stopped: self.account.stopped_message.is_some(),
            start_at: self.start_at.map(Timestamp),
            end_at: self.end_at.map(Timestamp),
            start_by: self.start_by.map(Timestamp),
            begun: self.first_attempt_at.is_some(),
            open_recipients: self.counts().open(),
        }
    }

    pub fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            max_tries: self.retry_max_tries.clamp(1, i64::from(u32::MAX)) as u32,
            initial_backoff: Span(self.retry_initial_backoff),
            max_backoff: Span(self.retry_max_backoff),
            after_unknown: self.resend_unknown,
        }
    }

    /// The refusals of the message in a row until now.
    pub fn refusals(&self) -> sqlx::Result<RefusalStreaks> {
        stored(self.refusals.as_deref())
    }

    pub fn set_refusals(&mut self, streaks: &RefusalStreaks) -> sqlx::Result<()> {
        self.refusals = (!streaks.is_empty()).then(|| json(streaks)).transpose()?;
        Ok(())
    }

    /// Takes an outcome in that says something about the message; closes the broadcast when it must be looked at, as where
    /// the message is `rejected` by now.
    pub fn observe(&mut self, outcome: &Outcome, rejected: bool, describe: impl Fn(&Fault) -> String) {
        let block = match outcome {
            Outcome::Blocked { fault } => Some((Block::Provider, fault)),
            Outcome::Permanent { fault, .. } if rejected => Some((Block::Message, fault)),
            _ => None,
        };
        if let Some((block, fault)) = block {
            self.block_reason = Some(block.closed().as_str().to_owned());
            self.block_message = Some(describe(fault));
        }
    }

    /// The failures in a row until now.
    pub fn failure_streak(&self) -> sqlx::Result<FailureStreak> {
        let fault: Option<Fault> = self.failed_fault.as_deref().map(parsed).transpose()?;
        let last = fault.zip(self.failed_at.map(Timestamp));
        Ok(FailureStreak { length: self.failed_in_a_row.clamp(0, i64::from(u32::MAX)) as u32, last })
    }

    pub fn set_failure_streak(&mut self, streak: &FailureStreak) -> sqlx::Result<()> {
        self.failed_fault = streak.last.as_ref().map(|(fault, _)| json(fault)).transpose()?;
        self.failed_at = streak.last.as_ref().map(|(_, at)| at.0);
        self.failed_in_a_row = i64::from(streak.length);
        Ok(())
    }

    /// Counts what happened when, and how long the answers took.
    pub fn count(&mut self, deeds: &BTreeMap<Timestamp, Deeds>, took_ms: &[u64]) -> sqlx::Result<()> {
        if !deeds.is_empty() {
            let mut pace = self.pace_history()?;
            deeds.iter().for_each(|(at, deeds)| pace.add(*at, deeds));
            self.pace = Some(json(&pace)?);
            self.has_counted = true;
        }
        if !took_ms.is_empty() {
            let mut latency = self.latency()?;
            took_ms.iter().for_each(|took| latency.add(*took));
            self.latency = Some(json(&latency)?);
            self.has_counted = true;
        }
        Ok(())
    }

    pub fn pace_history(&self) -> sqlx::Result<PaceHistory> {
        stored(self.pace.as_deref())
    }

    pub fn latency(&self) -> sqlx::Result<Histogram> {
        stored(self.latency.as_deref())
    }

    /// Whether somebody makes the plan: a planner that is silent for a lease is dead.
    pub fn is_being_planned(&self, now: Timestamp) -> bool {
        // A clock that was set back keeps nobody waiting for the old time.
        let touched = |at| now < Timestamp(at) + LEASE && Timestamp(at) < now + LEASE;
        self.plan_sealed_at.is_none() && self.plan_touched_at.is_some_and(touched)
    }

    /// Whether whoever made the plan has died over it: nobody sealed it, gave it up or told why there is none.
    pub fn was_planner_lost(&self, now: Timestamp) -> bool {
        self.plan_touched_at.is_some() && self.plan_sealed_at.is_none() && !self.is_being_planned(now)
    }

    /// Whether the provider answers more slowly than the rate asks for.
    pub fn provider_is_slow(&self, now: Timestamp) -> bool {
        self.held_up_at.is_some_and(|at| now < Timestamp(at) + SLOW_FOR && now >= Timestamp(at))
    }

    /// Why senders cannot work, as they told.
    pub fn trouble(&self) -> Option<ToldTrouble> {
        let trouble = Trouble::new(self.trouble_reason.as_deref()?, self.trouble_message.as_deref()?);
        Some(ToldTrouble { trouble, told_at: Timestamp(self.trouble_at?) })
    }

    /// What whoever is sent to is tagged with.
    pub fn sent_tags(&self) -> sqlx::Result<Vec<String>> {
        parsed(&self.sent_tags)
    }

    /// Whoever was active last at this instant, or earlier, is not messaged at `at` any more.
    pub fn inactive_since(&self, at: Timestamp) -> Timestamp {
        self.reply_window.map_or(Timestamp(i64::MIN), |window| at - Span(window))
    }

    /// Whether its pending recipients may have been messaged in a time that this ledger has lost.
    pub fn may_have_forgotten(&self) -> bool {
        self.loss.is_some() || self.risk_from.is_some()
    }

    /// In how many parts its message is sent.
    pub fn parts(&self) -> u32 {
        self.parts.clamp(1, i64::from(u32::MAX)) as u32
    }

    pub fn request_timeout(&self) -> Span {
        Span(self.request_timeout)
    }

    /// From a slot to the deadline of its attempt.
    pub fn allowed(&self) -> Span {
        START_TOLERANCE + CONNECT_TIMEOUT + self.request_timeout()
    }

    /// When no answer to an attempt with this deadline is awaited any more. A deadline further ahead than that of any
    /// attempt begun by now is of a clock that was set back.
    pub fn overdue_at(&self, deadline: Timestamp, now: Timestamp) -> Timestamp {
        deadline.min(now + pacing::HORIZON + self.allowed()) + DEADLINE_GRACE
    }

    /// The batch that holds a sequence number.
    pub fn batch_of(&self, seq: i64) -> i64 {
        seq / self.batch_size.max(1)
    }

    /// Writes everything back that an exchange or upkeep may have changed.
    pub async fn save<S: Store>(
        &mut self,
        store: &mut S,
        sender: Option<&SenderRow>,
        now: Timestamp,
    ) -> sqlx::Result<()> {
        let finished = self.plan_sealed_at.is_some() && self.counts().open() == 0;
        self.finished_at = finished.then(|| self.finished_at.unwrap_or(now.0));
        self.account.seen_at = self.account.seen_at.max(now.0);
        self.revision += 1;
        self.take_in_standing(store, now).await?;
        store.save(self, sender, now).await
    }
}

#[derive(Clone, Debug, FromRow)]
pub struct SenderRow {
    pub id: i64,
    pub last_number: i64,
    pub proven: bool,
    pub closed: bool,
}

/// Makes a sender known at its first request.
pub async fn introduce<S: Store>(
    store: &mut S,
    broadcast: i64,
    holder: &str,
    display: &str,
) -> sqlx::Result<SenderRow> {
    store
        .one(
            "INSERT INTO sender (broadcast_id, holder, display) VALUES ($1, $2, $3) \
             RETURNING id, last_number, proven, closed",
            args![broadcast, holder, display],
        )
        .await
}
