//! What a status says, in words.

use crate::api::Condition;
use crate::api::broadcast_status::BroadcastMessageStatus;
use crate::api::condition::ConditionStatus;
use crate::report::words::number;

/// Whether a condition of this type is true; with its reason and message.
pub fn holds<'a>(status: &'a BroadcastMessageStatus, type_: &str) -> Option<&'a Condition> {
    Condition::find(&status.conditions, type_).filter(|condition| condition.status == ConditionStatus::True)
}

/// The balance in one line; empty before there is a plan.
pub fn balance(status: &BroadcastMessageStatus) -> String {
    let Some(sums) = status.recipients else { return String::new() };
    let parts = [
        (sums.sent, "sent"),
        (sums.failed, "failed"),
        (sums.skipped, "skipped"),
        (sums.unknown, "unknown"),
        (sums.pending, "pending"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(count, word)| *count > 0 || *word == "sent")
        .map(|(count, word)| format!("{} {word}", number(*count)))
        .collect();
    format!("{} of {} planned", told.join(", "), number(sums.planned))
}
