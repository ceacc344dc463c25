//! Changes of objects that are worth an event.

use super::broadcast::WRITE_BACK_FAILING;

/// The reasons of events, for each kind that they are told of.
pub const EVENTS: [(&str, &[&str]); 2] = [
    (
        "BroadcastMessage",
        &[
            "PlanSealed",
            "PlanWarning",
            "SendingStarted",
            "Suspended",
            "Resumed",
            "Stalled",
            WRITE_BACK_FAILING,
            "Delivered",
            "DeliveredWithFailures",
            "Cancelled",
            "Expired",
            "Missed",
            "Failed",
        ],
    ),
    ("MessageChannel", &["Stalled", "Throttled", "RateReduced"]),
];

/// The cause of what needs no other: however often it comes, it says the same.
const RECONCILE: &str = "Reconcile";

/// A change worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub warning: bool,
    /// CamelCase, one of those in [`EVENTS`].
    pub reason: &'static str,
    /// The action of the event. Events of one object, reason and action are counted as one, under the note of the first: what
    /// a person must read for itself has a cause of its own. It holds no figures that grow.
    pub cause: String,
    pub note: String,
}

impl Transition {
    pub fn new(warning: bool, reason: &'static str, note: String) -> Transition {
        Transition { warning, reason, cause: RECONCILE.to_owned(), note }
    }

    /// The same, for this cause.
    pub fn because(self, cause: impl Into<String>) -> Transition {
        Transition { cause: cause.into(), ..self }
    }
}
