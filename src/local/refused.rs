//! A broadcast that cannot be sent as it is written: told to people with its place, and to programs in its status.

use std::fmt;

use jiff::Timestamp as Instant;

use super::manifest_fault::Place;
use super::order::Order;
use super::verdict::Verdict;
use crate::api::{BroadcastMessageStatus, BroadcastState, Condition, ConditionStatus};
use crate::delivery::time::Timestamp;
use crate::ledger::LedgerError;
use crate::sender::PlanError;

/// Why one broadcast of a run cannot be sent. Shown as one message with place, object, field and remedy.
#[derive(Debug)]
pub struct Refused {
    pub verdict: Verdict,
    place: Place,
    object: String,
    field: &'static str,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

impl Refused {
    /// A plan that cannot be made.
    pub fn plan(order: &Order, error: &PlanError, at: Timestamp) -> Refused {
        let field = match error {
            PlanError::Messages(_) => "spec.content.text",
            _ => "spec.audience",
        };
        Refused::new(order, Verdict::CouldNotRun, field, error.reason(), error.to_string(), at)
    }

    /// A key that stands for another message already.
    pub fn key(order: &Order, error: &LedgerError, at: Timestamp) -> Refused {
        let field =
            if order.broadcast.spec.idempotency_key.is_some() { "spec.idempotencyKey" } else { "metadata.name" };
        Refused::new(order, Verdict::of_error(error), field, error.reason(), error.to_string(), at)
    }

    fn new(
        order: &Order,
        verdict: Verdict,
        field: &'static str,
        reason: &'static str,
        message: String,
        at: Timestamp,
    ) -> Refused {
        let object = format!("BroadcastMessage {}/{}", order.declaration.namespace, order.declaration.name);
        Refused { verdict, place: order.lines.of(field), object, field, reason, message, at }
    }

    /// Puts the refusal into a status. Nothing goes on by itself, so it is stalled and not reconciling.
    pub fn enter(&self, status: &mut BroadcastMessageStatus, order: &Order) {
        use ConditionStatus::{False, True};
        status.idempotency_key.get_or_insert_with(|| order.declaration.idempotency_key.clone());
        status.state.get_or_insert(BroadcastState::Pending);
        status.conditions = [
            ("Ready", False, self.reason, self.message.as_str()),
            ("Complete", False, self.reason, ""),
            ("Finished", False, self.reason, ""),
            ("Suspended", False, "NotSuspended", ""),
            ("Stalled", True, self.reason, self.message.as_str()),
        ]
        .into_iter()
        .map(|(type_, status, reason, message)| Condition {
            type_: type_.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: None,
            // Whole seconds, as Kubernetes writes them.
            last_transition_time: Instant::from_second(self.at.0.div_euclid(1_000_000_000)).unwrap_or_default(),
        })
        .collect();
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.verdict {
            Verdict::CouldNotRun => "the plan is refused, nothing is sent",
            _ => "nothing of it is sent",
        };
        write!(f, "{}: {}: {}: {what}: {}", self.place, self.object, self.field, self.message)
    }
}
