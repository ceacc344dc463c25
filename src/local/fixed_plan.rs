//! What a run says of a broadcast whose plan stands: it was attempted, so its audience is not read any more.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::order::Order;
use crate::delivery::plural::counted;
use crate::delivery::time::{NANOS_PER_SECOND, Timestamp};
use crate::ledger::plan::SealedPlan;
use crate::ledger::snapshot::BroadcastSnapshot;

/// Lines for people: what is left to do, and which files of the audience were changed since the plan was made.
pub fn words(order: &Order, plan: &SealedPlan, snapshot: &BroadcastSnapshot) -> String {
    let name = order.name();
    let mut text = match snapshot.finished_at {
        Some(_) => format!("{name}: finished already; nothing to send"),
        None => format!(
            "{name}: goes on with {} of {}; its plan is fixed, edits of the audience are not looked at",
            snapshot.counts.open(),
            counted(plan.planned, "recipient", "recipients")
        ),
    };
    for file in order.audience_files.iter().filter(|file| is_newer(file, plan.sealed_at)) {
        text.push_str(&format!(
            "\n{name}: {} was changed after the plan was made and is not looked at; to message people who are new in it, \
             put only them into a broadcast with another spec.idempotencyKey",
            file.display()
        ));
    }
    text
}

/// Whether the file was written, or another one was put in its place, after this instant. A file that cannot be looked at
/// is no news: nobody reads it.
fn is_newer(file: &Path, instant: Timestamp) -> bool {
    std::fs::metadata(file).is_ok_and(|file| {
        let changed = file.ctime().saturating_mul(NANOS_PER_SECOND).saturating_add(file.ctime_nsec());
        Timestamp(changed) > instant
    })
}
