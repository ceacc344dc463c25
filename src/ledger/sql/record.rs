//! Recording outcomes: never fenced, always committed. The counters change in the transaction that changes the rows.

use std::collections::BTreeMap;

use super::entries::{BatchDelta, Change, DeliveryRow, Entries};
use super::rows::BroadcastRow;
use super::store::Store;
use crate::api::WriteBackTarget;
use crate::delivery::backoff::scatter;
use crate::delivery::brake::Seen;
use crate::delivery::counts::{Counts, Tally};
use crate::delivery::failure_streak::FailureStreak;
use crate::delivery::outcome::{Fault, Outcome, PermanentScope};
use crate::delivery::pace_history::Deeds;
use crate::delivery::recipient::{
    Circumstances, RecipientState, Settled, SkipReason, Standing, is_a_part, settle, verdict,
};
use crate::delivery::refusal_streak::RefusalStreaks;
use crate::delivery::time::Timestamp;
use crate::delivery::unanswered;
use crate::ledger::exchange::Report;

/// Where an outcome comes from. Only what a sender has seen says something about the provider as it is now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    Seen,
    /// By the ledger, from a sender's silence.
    Concluded,
    /// The provider told it by a call-back, possibly long after.
    Heard,
}

/// What the outcomes of one transaction changed.
#[derive(Default)]
pub struct Recorded {
    /// Whether any outcome but `NotBegun` was told and changed a row.
    pub proof: bool,
    /// Whether the account's rate was lowered.
    pub braked: bool,
}

/// Records `reports`; those whose attempt is not the latest or already decided change nothing.
pub async fn record<S: Store>(
    store: &mut S,
    broadcast: &mut BroadcastRow,
    reports: &[Report],
    now: Timestamp,
    evidence: Evidence,
) -> sqlx::Result<Recorded> {
    if reports.is_empty() {
        return Ok(Recorded::default());
    }
    let seqs: Vec<i64> = reports.iter().map(|report| report.seq).collect();
    let rows = store.standing(broadcast.account_id, broadcast.id, &seqs).await?;
    let mut standing: BTreeMap<i64, DeliveryRow> = rows.into_iter().map(|row| (row.seq, row)).collect();
    let mut book =
        Book { failures: broadcast.failure_streak()?, refusals: broadcast.refusals()?, ..Book::new(broadcast, now) };
    for report in reports {
        if let Some(row) = standing.get_mut(&report.seq) {
            book.enter(broadcast, row, report, evidence);
        }
    }
    broadcast.set_failure_streak(&book.failures)?;
    broadcast.set_refusals(&book.refusals)?;
    book.write(store, broadcast).await
}

/// Lets recipients follow the policy of their broadcast, or that for this reason they are not attempted again; returns how
/// many changed.
pub async fn follow_policy<S: Store>(
    store: &mut S,
    broadcast: &mut BroadcastRow,
    rows: Vec<DeliveryRow>,
    barred: Option<SkipReason>,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let mut book = Book::new(broadcast, now);
    book.ended = book.ended.or(barred);
    for mut row in rows {
        book.follow_policy(broadcast, &mut row);
    }
    let followed = book.rows.len() as u64;
    book.write(store, broadcast).await?;
    Ok(followed)
}

/// Counts recipients whose rows were changed in bulk: each with its sequence number and the state it was in.
pub async fn count_moved<S: Store>(
    store: &mut S,
    broadcast: &mut BroadcastRow,
    moved: &[(i64, RecipientState)],
    to: RecipientState,
    reason: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let mut batches: BTreeMap<i64, BatchDelta> = BTreeMap::new();
    let mut counts = broadcast.counts();
    for (seq, from) in moved {
        let delta = batches.entry(broadcast.batch_of(*seq)).or_default();
        delta.counts.shift(*from, to);
        delta.cancelled += i64::from(is_by_cancel(to, Some(reason)));
        counts.shift(*from, to);
    }
    broadcast.set_counts(counts);
    let mut tally = Tally::default();
    tally.change(to, reason, None, moved.len() as i64);
    store.record(&entries(broadcast, now, Vec::new(), batches, tally)?).await
}

fn is_by_cancel(state: RecipientState, reason: Option<&str>) -> bool {
    state == RecipientState::Skipped && reason == Some(SkipReason::Cancelled.as_str())
}

fn entries(
    broadcast: &BroadcastRow,
    now: Timestamp,
    rows: Vec<Change>,
    batches: BTreeMap<i64, BatchDelta>,
    tally: Tally,
) -> sqlx::Result<Entries> {
    Ok(Entries {
        broadcast: broadcast.id,
        account: broadcast.account_id,
        planned_at: broadcast.plan_sealed_at.unwrap_or_default(),
        tags: broadcast.sent_tags()?,
        owed_to: broadcast.write_back_targets()?.into_iter().map(WriteBackTarget::as_str).collect(),
        now,
        rows,
        batches,
        tally,
        told: broadcast.told_of_batches()?,
    })
}

/// Why the provider's answer means that the recipient wants no messages any more, where it does.
fn opt_out(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Permanent { scope: PermanentScope::OptedOut, fault } => Some(fault.reason.clone()),
        _ => None,
    }
}

fn stops_marketing(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Permanent { scope: PermanentScope::MarketingStopped, .. })
}

impl DeliveryRow {
    fn standing(&self) -> Option<Standing> {
        Some(Standing {
            state: RecipientState::from_code(self.state)?,
            attempt: self.attempt as u32,
            tries: self.tries as u32,
            setbacks: self.setbacks as u32,
            parts_done: self.parts_done as u32,
            resend: self.resend,
        })
    }

    /// What the provider itself has told of an attempt stands over what its sender saw, and over its silence.
    fn heard(&self, report: &Report) -> Option<Outcome> {
        let is_told = self.heard > 0 && self.heard == i64::from(report.attempt);
        let adds_nothing = matches!(report.outcome, Outcome::Accepted { .. });
        (is_told && !adds_nothing).then(|| Outcome::Accepted { provider_id: self.provider_id.clone() })
    }
}

/// Collects the changes of one transaction, so that each table is written once.
struct Book {
    now: Timestamp,
    ended: Option<SkipReason>,
    counts: Counts,
    rows: BTreeMap<i64, Change>,
    batches: BTreeMap<i64, BatchDelta>,
    tally: Tally,
    failures: FailureStreak,
    refusals: RefusalStreaks,
    recorded: Recorded,
    /// By when the slot of their request was: a pace is that of requests, not of transactions.
    deeds: BTreeMap<Timestamp, Deeds>,
    /// Of each request that the provider was asked.
    took_ms: Vec<u64>,
}

/// How long a request took, if the provider was asked one.
fn asked(report: &Report) -> Option<u64> {
    report.took_ms.filter(|_| !matches!(report.outcome, Outcome::NotBegun | Outcome::NotSent { .. }))
}

impl Book {
    fn new(broadcast: &BroadcastRow, now: Timestamp) -> Book {
        Book {
            now,
            ended: broadcast.gate().skip_reason(now),
            counts: broadcast.counts(),
            rows: BTreeMap::new(),
            batches: BTreeMap::new(),
            tally: Tally::default(),
            failures: FailureStreak::default(),
            refusals: RefusalStreaks::default(),
            recorded: Recorded::default(),
            deeds: BTreeMap::new(),
            took_ms: Vec::new(),
        }
    }

    /// Nobody is skipped who may have been messaged in a time that was lost.
    fn barred(&self, broadcast: &BroadcastRow, row: &DeliveryRow) -> Option<SkipReason> {
        (row.opted_out && !broadcast.may_have_forgotten()).then_some(SkipReason::OptedOut)
    }

    fn around(&self, broadcast: &BroadcastRow, row: &DeliveryRow) -> Circumstances {
        Circumstances {
            now: self.now,
            parts: broadcast.parts(),
            ended: self.ended.or(self.barred(broadcast, row)),
            retry: broadcast.retry(),
            overdue_at: broadcast.overdue_at(Timestamp(row.deadline.unwrap_or_default()), self.now),
            seed: scatter(broadcast.id as u64) ^ ((row.seq as u64) << 16) ^ row.attempt as u64,
        }
    }

    fn enter(&mut self, broadcast: &mut BroadcastRow, row: &mut DeliveryRow, report: &Report, evidence: Evidence) {
        let Some(mut before) = row.standing() else { return };
        let around = self.around(broadcast, row);
        let seen = evidence == Evidence::Seen;
        // That it was taken is known for certain, whatever its answer has said.
        before.resend |= evidence == Evidence::Heard && before.state == RecipientState::Pending;
        let heard = row.heard(report);
        let outcome = heard.as_ref().unwrap_or(&report.outcome);
        let Some(after) = settle(before, report.attempt, outcome, &around) else {
            if seen {
                self.confirm(broadcast, row, report);
            }
            return;
        };
        let delta = self.batches.entry(broadcast.batch_of(row.seq)).or_default();
        if !matches!(report.outcome, Outcome::NotBegun) {
            // Silence proves nothing: only who tells an outcome has survived the message.
            delta.proof |= seen;
            self.recorded.proof |= seen;
            delta.retries += i64::from(after.state == RecipientState::Pending && !is_a_part(outcome, &after));
            if let Some(fault) = &after.fault {
                delta.error = Some(fault.clone());
            }
        }
        if seen && let Some(took_ms) = asked(report) {
            self.count_request(broadcast, row, took_ms);
        }
        if seen {
            self.tell_account(broadcast, &report.outcome, Timestamp(row.slot.unwrap_or_default()), before.tries);
            self.failures.observe(&report.outcome, self.now);
            let verdict = verdict(outcome, &after);
            let rejected = self.refusals.observe(before.parts_done, &verdict);
            broadcast.observe(&verdict, rejected, Fault::to_string);
        }
        let told = verdict(&report.outcome, &after);
        self.change(broadcast, row, before.state, after);
        if let Some(change) = self.rows.get_mut(&row.seq) {
            change.opted_out = opt_out(&told);
            change.marketing_stopped = stops_marketing(&told);
        }
    }

    fn count_request(&mut self, broadcast: &BroadcastRow, row: &DeliveryRow, took_ms: u64) {
        let delta = self.batches.entry(broadcast.batch_of(row.seq)).or_default();
        delta.requests += 1;
        delta.latency.add(took_ms);
        self.took_ms.push(took_ms);
        self.deeds_of(row).requests += 1;
    }

    /// What happened by the request that was last meant for a recipient.
    fn deeds_of(&mut self, row: &DeliveryRow) -> &mut Deeds {
        let slot = row.slot.map_or(self.now, Timestamp);
        // What lies ahead is of a clock that was set back.
        self.deeds.entry(slot.min(self.now)).or_default()
    }

    /// A sender that was given up tells that it does not know either.
    fn confirm(&mut self, broadcast: &BroadcastRow, row: &mut DeliveryRow, report: &Report) {
        let Some(before) = row.standing() else { return };
        let around = self.around(broadcast, row);
        let known = row.reason.as_deref();
        let confirmed = unanswered::confirmed(before, known, report.attempt, &report.outcome, &around);
        let Some(after) = confirmed else { return };
        let delta = self.batches.entry(broadcast.batch_of(row.seq)).or_default();
        delta.retries += i64::from(after.resend);
        if let Some(took_ms) = asked(report) {
            self.count_request(broadcast, row, took_ms);
        }
        self.change(broadcast, row, before.state, after);
    }

    fn follow_policy(&mut self, broadcast: &BroadcastRow, row: &mut DeliveryRow) {
        let Some(before) = row.standing() else { return };
        let fault = Fault::new(row.reason.as_deref().unwrap_or_default(), row.code.clone(), "");
        let around = self.around(broadcast, row);
        let Some(after) = unanswered::follow_policy(before, &fault, &around) else { return };
        let delta = self.batches.entry(broadcast.batch_of(row.seq)).or_default();
        delta.retries += i64::from(after.resend);
        self.change(broadcast, row, before.state, after);
    }

    /// Puts down what a recipient becomes, in its row and in every sum.
    fn change(&mut self, broadcast: &BroadcastRow, row: &mut DeliveryRow, from: RecipientState, after: Settled) {
        let delta = self.batches.entry(broadcast.batch_of(row.seq)).or_default();
        // A resend was counted when it was decided, and does not come about.
        delta.retries -= i64::from(row.resend);
        delta.counts.shift(from, after.state);
        let reason = after.fault.as_ref().map(|fault| fault.reason.as_str());
        delta.cancelled += i64::from(is_by_cancel(after.state, reason));
        self.counts.shift(from, after.state);
        match after.state {
            _ if after.state == from => {}
            RecipientState::Sent => self.deeds_of(row).sent += 1,
            RecipientState::Failed => self.deeds_of(row).failed += 1,
            RecipientState::Unknown => self.deeds_of(row).unknown += 1,
            RecipientState::Pending | RecipientState::Inflight | RecipientState::Skipped => {}
        }
        if from == RecipientState::Unknown {
            self.tally.change(from, row.reason.as_deref().unwrap_or_default(), row.code.as_deref(), -1);
        }
        let ends = !matches!(after.state, RecipientState::Pending | RecipientState::Sent);
        if let (true, Some(fault)) = (ends, &after.fault) {
            self.tally.change(after.state, &fault.reason, fault.code.as_deref(), 1);
        }
        let (reason, code) = after.fault.map(|fault| (fault.reason, fault.code)).unzip();
        row.state = after.state.code();
        row.tries = i64::from(after.tries);
        row.setbacks = i64::from(after.setbacks);
        row.parts_done = i64::from(after.parts_done);
        row.resend = after.resend;
        row.reason = reason;
        row.code = code.flatten();
        let change = Change {
            seq: row.seq,
            state: row.state,
            tries: row.tries,
            setbacks: row.setbacks,
            parts_done: row.parts_done,
            not_before: after.not_before.0,
            resend: row.resend,
            provider_id: after.provider_id,
            reason: row.reason.clone(),
            code: row.code.clone(),
            opted_out: None,
            marketing_stopped: false,
        };
        self.rows.insert(row.seq, change);
    }

    fn tell_account(&mut self, broadcast: &mut BroadcastRow, outcome: &Outcome, slot: Timestamp, tries: u32) {
        let mut brake = broadcast.brake();
        let before = brake.lowered_at;
        let next_slot = broadcast.pace().next_slot;
        brake.observe(outcome, &Seen { slot, now: self.now, next_slot, ceiling: broadcast.ceiling(), tries });
        self.recorded.braked |= brake.lowered_at != before;
        broadcast.set_brake(&brake);
        if let Outcome::Auth { fault } = outcome {
            broadcast.account.stopped_message = Some(fault.to_string());
        }
    }

    async fn write<S: Store>(self, store: &mut S, broadcast: &mut BroadcastRow) -> sqlx::Result<Recorded> {
        if self.rows.is_empty() {
            return Ok(self.recorded);
        }
        broadcast.set_counts(self.counts);
        broadcast.count(&self.deeds, &self.took_ms)?;
        let rows = self.rows.into_values().collect();
        store.record(&entries(broadcast, self.now, rows, self.batches, self.tally)?).await?;
        Ok(self.recorded)
    }
}
