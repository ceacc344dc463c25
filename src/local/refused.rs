//! A broadcast that cannot be sent as it is written: told to people with its place, and to programs in its status.

use std::fmt;

use super::manifest_fault::Place;
use super::order::Order;
use super::verdict::Verdict;
use crate::api::BroadcastMessageStatus;
use crate::delivery::time::Timestamp;
use crate::ledger::LedgerError;
use crate::ledger::status::{Stall, refuse};
use crate::sender::PlanError;

/// Why one broadcast of a run cannot be sent. Shown as one message with place, object, field and remedy.
#[derive(Debug)]
pub struct Refused {
    pub verdict: Verdict,
    place: Place,
    object: String,
    field: String,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

impl Refused {
    /// A plan that cannot be made.
    pub fn plan(order: &Order, error: &PlanError, at: Timestamp) -> Refused {
        let field = match error {
            PlanError::Messages(_) => "spec.content.text",
            PlanError::Suppression { channel, field, error: cause } => {
                let lines = order.channels.get(channel).unwrap_or(&order.lines);
                return Refused {
                    verdict: Verdict::CouldNotRun,
                    place: lines.of(field),
                    object: format!("MessageChannel {}/{channel}", order.declaration.namespace),
                    field: field.clone(),
                    reason: error.reason(),
                    message: cause.to_string(),
                    at,
                };
            }
            _ => "spec.audience",
        };
        Refused::new(order, Verdict::CouldNotRun, field, error.reason(), error.to_string(), at)
    }

    /// An audience that cannot be read here.
    pub fn audience(order: &Order, reason: &'static str, message: String, at: Timestamp) -> Refused {
        Refused::new(order, Verdict::CouldNotRun, "spec.audience", reason, message, at)
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
        Refused { verdict, place: order.lines.of(field), object, field: field.to_owned(), reason, message, at }
    }

    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Puts the refusal into a status.
    pub fn enter(&self, status: &mut BroadcastMessageStatus, order: &Order) {
        let stall = Stall::new(self.reason, self.message.clone());
        status.conditions.clear();
        refuse(status, &stall, &order.declaration.idempotency_key, order.declaration.generation, self.at);
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
