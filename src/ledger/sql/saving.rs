//! What a transaction writes back of the rows that it opened, in the order that the statements of every database keep.

use super::rows::{BroadcastRow, SenderRow, json};
use super::value::{Value, args};
use crate::delivery::time::Timestamp;

/// The id, and what may have changed of the broadcast itself.
pub fn of_broadcast(broadcast: &BroadcastRow) -> Vec<Value> {
    let counts = &broadcast.counts;
    args![
        broadcast.id,
        counts.pending,
        counts.inflight,
        counts.sent,
        counts.failed,
        counts.skipped,
        counts.unknown,
        broadcast.first_attempt_at,
        broadcast.finished_at,
        &broadcast.block_reason,
        &broadcast.block_message,
        &broadcast.refusals,
        broadcast.held_up_at,
        &broadcast.trouble_reason,
        broadcast.flow_virtual_time,
        broadcast.flow_hungry_until,
        broadcast.own_next_slot,
        broadcast.revision,
        &broadcast.failed_fault,
        broadcast.failed_in_a_row,
        broadcast.failed_at,
        &broadcast.notified,
        broadcast.pace.clone().filter(|_| broadcast.has_counted),
        broadcast.latency.clone().filter(|_| broadcast.has_counted),
        broadcast.class_flow_virtual_time,
        broadcast.class_hungry_until,
    ]
}

/// The id, the instant, and what the broadcast tells, with its counts.
pub fn of_news(broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<Vec<Value>> {
    let counts = &broadcast.counts;
    Ok(args![
        broadcast.id,
        now,
        json(&broadcast.news)?,
        counts.pending,
        counts.inflight,
        counts.sent,
        counts.failed,
        counts.skipped,
        counts.unknown,
    ])
}

/// The id, and what may have changed of the account.
pub fn of_account(broadcast: &BroadcastRow) -> Vec<Value> {
    let (account, brake) = (&broadcast.account, &broadcast.account.brake);
    args![
        broadcast.account_id,
        account.next_slot,
        account.virtual_time,
        account.seen_at,
        &account.stopped_message,
        brake.brake_factor,
        brake.brake_since,
        brake.brake_hold_until,
        brake.brake_lowered_at,
        brake.brake_recent,
        brake.brake_footing,
        brake.brake_usage_percent,
        brake.brake_usage_at,
        account.class_next_slot,
        account.class_virtual_time,
    ]
}

/// The id, and what may have changed of the sender; no id where nobody asks.
pub fn of_sender(sender: Option<&SenderRow>) -> Vec<Value> {
    args![
        sender.map(|sender| sender.id),
        sender.map(|sender| sender.last_number),
        sender.is_some_and(|sender| sender.proven),
        sender.is_some_and(|sender| sender.closed),
    ]
}
