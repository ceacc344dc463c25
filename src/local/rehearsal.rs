//! `--test ID`: one message to one recipient, outside the plan and the ledger.

use std::collections::BTreeMap;

use super::order::Order;
use super::verdict::Verdict;
use crate::audience::canonical_id;
use crate::delivery::outcome::Outcome;
use crate::provider::Message;
use crate::sender::Transport;
use crate::sender::assembly::{self, Part};

/// The correlation of a message that belongs to no broadcast.
const CORRELATION: &str = "test:0:0:0";

#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error("--test: {0}")]
    Recipient(String),
    #[error("failed to read the audience: {0}")]
    Audience(String),
    #[error("failed to make the message: {0}")]
    Message(String),
}

/// Sends one message of a broadcast to `id`, with the variables that `id` has in the audience or, if it is not in it,
/// those of the first recipient. The ledger is not opened, so recipients of other broadcasts are not looked at.
pub async fn rehearse(order: &Order, transport: &Transport, id: &str) -> Result<(Outcome, String), RehearsalError> {
    let id = canonical_id(id).map_err(|error| RehearsalError::Recipient(error.to_string()))?.to_owned();
    let vars = vars(order, id.clone()).await?;
    let text = order.template.render(&vars).map_err(|error| RehearsalError::Message(error.to_string()))?;
    let message = Message { recipient: &id, text: &text, vars: &vars, correlation: CORRELATION };
    let request = order.provider.encode(&message).map_err(|error| RehearsalError::Message(error.to_string()))?;
    let outcome = transport.attempt(order.provider.as_ref(), request, order.declaration.request_timeout).await;
    Ok((outcome, text))
}

async fn vars(order: &Order, id: String) -> Result<BTreeMap<String, String>, RehearsalError> {
    let parts = assembly::included(&order.broadcast.spec.audience);
    let materials = order.materials.clone();
    let search = move || {
        let mut first = None;
        for part in parts {
            let Part::Read(source) = part else { continue };
            let rows = source.open(materials.as_ref()).map_err(|error| error.to_string())?;
            for row in rows {
                let row = row.map_err(|error| error.to_string())?;
                if row.id == id {
                    return Ok(row.vars);
                }
                first.get_or_insert(row.vars);
            }
        }
        Ok(first.unwrap_or_default())
    };
    let found =
        tokio::task::spawn_blocking(search).await.map_err(|error| RehearsalError::Audience(error.to_string()))?;
    found.map_err(RehearsalError::Audience)
}

/// What the outcome of a test message means for the exit code, and in words.
pub fn describe(outcome: &Outcome) -> (Verdict, String) {
    match outcome {
        Outcome::Accepted { .. } => (Verdict::Done, "accepted by the provider".to_owned()),
        Outcome::Auth { fault } | Outcome::Blocked { fault } => {
            (Verdict::NeedsPerson, format!("refused: {}: {}", fault.reason, fault.message))
        }
        Outcome::Unknown { fault } => {
            (Verdict::Incomplete, format!("unknown whether it was taken: {}: {}", fault.reason, fault.message))
        }
        Outcome::Permanent { fault, .. }
        | Outcome::Throttled { fault, .. }
        | Outcome::Transient { fault, .. }
        | Outcome::NotSent { fault } => {
            (Verdict::Incomplete, format!("not taken: {}: {}", fault.reason, fault.message))
        }
        Outcome::NotBegun => (Verdict::Incomplete, "not begun".to_owned()),
    }
}
