//! What is worth an event: told once, when the status that shows it is written. No recipient is named.

use super::decide_status::stalled;
use crate::api::broadcast_status::{PlanStatus, WriteBackSums};
use crate::api::{BroadcastMessageStatus, Condition, ConditionStatus};
use crate::controller::transition::Transition;
use crate::delivery::plural::counted;
use crate::ledger::declaration::digest;

/// A target of `onSent` does not take everybody. The message was sent all the same.
pub const WRITE_BACK_FAILING: &str = "WriteBackFailing";

/// The longest note, in characters: what Kubernetes takes.
const MAX_NOTE: usize = 1_000;
/// Of a hash of words, in digits: enough to tell those apart that one object says within minutes.
const HASH_DIGITS: usize = 12;

pub fn transitions(before: Option<&BroadcastMessageStatus>, after: &BroadcastMessageStatus) -> Vec<Transition> {
    let nothing = BroadcastMessageStatus::default();
    let before = before.unwrap_or(&nothing);
    let plan = [plan_sealed(before, after), plan_warning(before, after)];
    let rest = [started(before, after), suspended(before, after), stall(before, after), end(before, after)];
    plan.into_iter().chain(rest).flatten().chain(failing_write_backs(before, after)).collect()
}

fn transition(warning: bool, reason: &'static str, note: String) -> Transition {
    Transition::new(warning, reason, note.chars().take(MAX_NOTE).collect())
}

/// Whose note is worth reading whenever it differs.
fn told_by_its_words(transition: Transition) -> Transition {
    let hash: String = digest(&transition.note).chars().take(HASH_DIGITS).collect();
    let cause = format!("{} {hash}", transition.reason);
    transition.because(cause)
}

fn new_plan<'a>(before: &BroadcastMessageStatus, after: &'a BroadcastMessageStatus) -> Option<&'a PlanStatus> {
    let hash = |status: &BroadcastMessageStatus| status.plan.as_ref().and_then(|plan| plan.hash.clone());
    after.plan.as_ref().filter(|_| hash(before) != hash(after))
}

/// A plan that is made anew for another message may be the same list with another warning.
fn plan_warning(before: &BroadcastMessageStatus, after: &BroadcastMessageStatus) -> Option<Transition> {
    let plan = after.plan.as_ref().filter(|plan| !plan.warnings.is_empty())?;
    let told = before.plan.as_ref().is_some_and(|before| before.warnings == plan.warnings);
    let news = !told || new_plan(before, after).is_some();
    news.then(|| told_by_its_words(transition(true, "PlanWarning", plan.warnings.join("; "))))
}

fn plan_sealed(before: &BroadcastMessageStatus, after: &BroadcastMessageStatus) -> Option<Transition> {
    let plan = new_plan(before, after)?;
    let planned = after.recipients.map_or(0, |recipients| recipients.planned);
    let batches = after.batches.map_or(0, |batches| batches.total);
    let note = format!(
        "{} in {}; {} and {} excluded left out",
        counted(planned, "recipient", "recipients"),
        counted(batches, "batch", "batches"),
        counted(plan.duplicates, "duplicate", "duplicates"),
        plan.excluded
    );
    Some(told_by_its_words(transition(false, "PlanSealed", note)))
}

fn started(before: &BroadcastMessageStatus, after: &BroadcastMessageStatus) -> Option<Transition> {
    let begun = before.first_attempt_time.is_none() && after.first_attempt_time.is_some();
    begun.then(|| transition(false, "SendingStarted", "the first message was attempted".to_owned()))
}

fn suspended(before: &BroadcastMessageStatus, after: &BroadcastMessageStatus) -> Option<Transition> {
    let by_wish = |status: &BroadcastMessageStatus| is_true(status, "Suspended") == Some("Suspended".to_owned());
    match (by_wish(before), by_wish(after)) {
        (false, true) => Some(transition(false, "Suspended", "suspended as asked; nothing is sent".to_owned())),
        (true, false) if is_true(after, "Finished").is_none() => {
            Some(transition(false, "Resumed", "no longer suspended".to_owned()))
        }
        _ => None,
    }
}

fn stall(before: &BroadcastMessageStatus, after: &BroadcastMessageStatus) -> Option<Transition> {
    let earlier = stalled(before).map(|stall| &stall.reason);
    let stall = stalled(after).filter(|stall| Some(&stall.reason) != earlier)?;
    Some(transition(true, "Stalled", format!("{}: {}", stall.reason, stall.message)).because(&stall.reason))
}

fn end(before: &BroadcastMessageStatus, after: &BroadcastMessageStatus) -> Option<Transition> {
    let reason = is_true(after, "Finished").filter(|_| is_true(before, "Finished").is_none())?;
    let known = ["Delivered", "DeliveredWithFailures", "Cancelled", "Expired", "Missed", "Failed"];
    let reason = known.into_iter().find(|known| *known == reason)?;
    let sums = after.recipients.unwrap_or_default();
    let note = format!(
        "{} sent, {} failed, {} skipped, {} unknown of {} planned",
        sums.sent, sums.failed, sums.skipped, sums.unknown, sums.planned
    );
    // Whom nobody wanted to reach any more, or who wants no messages, is no cause for alarm.
    let with_failures = reason == "DeliveredWithFailures" && sums.failed + sums.unknown > 0;
    Some(told_by_its_words(transition(with_failures || reason == "Failed", reason, note)))
}

/// One for each target that fails for another reason than before, or gives somebody up for the first time.
fn failing_write_backs(before: &BroadcastMessageStatus, after: &BroadcastMessageStatus) -> Vec<Transition> {
    let standing = |sums: &WriteBackSums| {
        let reason = sums.last_error.as_ref().map(|error| error.reason.clone());
        (reason, sums.failed > 0)
    };
    let is_told = |sums: &&WriteBackSums| {
        let mut earlier = before.write_backs.iter().filter(|earlier| earlier.target == sums.target);
        earlier.any(|earlier| standing(earlier) == standing(sums))
    };
    let told = |sums: &WriteBackSums| {
        let error = sums.last_error.as_ref()?;
        let code = error.code.as_ref().map_or(String::new(), |code| format!(" (code {code})"));
        let (target, reason, message) = (sums.target.as_str(), &error.reason, &error.message);
        let (words, cause) = match sums.failed {
            0 => ("", format!("{target} {reason}")),
            _ => ("; some are given up", format!("{target} {reason} GivenUp")),
        };
        let note = format!("{target}: {reason}{code}: {message}{words}");
        Some(transition(true, WRITE_BACK_FAILING, note).because(cause))
    };
    after.write_backs.iter().filter(|sums| !is_told(sums)).filter_map(told).collect()
}

/// The reason of a condition that holds.
fn is_true(status: &BroadcastMessageStatus, type_: &str) -> Option<String> {
    let condition = Condition::find(&status.conditions, type_)?;
    (condition.status == ConditionStatus::True).then(|| condition.reason.clone())
}
