//! `--test ID`: one message to one recipient, outside the plan and the ledger.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use tokio::sync::watch;

use super::confirmation::{Confirmed, ask, not_confirmed};
use super::interruption::nothing_sent;
use super::options::RunOptions;
use super::order::Order;
use super::refusal::{Refusal, refuse};
use super::transports::Transports;
use super::verdict::Verdict;
use crate::audience::canonical_id;
use crate::content::{MessagePart, Rendered};
use crate::delivery::outcome::Outcome;
use crate::ledger::clock::{Clock as _, SystemClock};
use crate::ledger::random::random_id;
use crate::provider::{Attempt, EncodeError, Message};
use crate::sender::Transport;
use crate::sender::assembly::{self, Part};

/// The correlation of a message that belongs to no broadcast, without its part.
const CORRELATION: &str = "test:0:0";

#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error("--test: {0}")]
    Recipient(String),
    #[error("failed to read the audience: {0}")]
    Audience(String),
    #[error("failed to make the message: {0}")]
    Message(String),
}

/// Sends one message of each broadcast, after a question where the provider is not on this machine.
pub async fn test(
    options: &RunOptions,
    orders: &[Order],
    id: &str,
    stop: &watch::Receiver<bool>,
) -> Result<Verdict, Refusal> {
    let away = orders.iter().find(|order| !order.is_on_this_machine());
    if let Some(order) = away {
        let question = format!("send a test message through {}?", order.declaration.account.host);
        match ask(options, &question, stop).await.map_err(refuse)? {
            Confirmed::Yes => {}
            Confirmed::No => return Err(not_confirmed()),
            Confirmed::Interrupted => return Ok(nothing_sent()),
        }
    }
    let mut worst = Verdict::Done;
    let mut transports = Transports::default();
    for order in orders {
        let transport = transports.to(order.provider.as_ref()).map_err(refuse)?;
        let rehearsal = rehearse(order, &transport, id).await.map_err(refuse)?;
        let (verdict, words) = describe(&rehearsal.outcome);
        let words = match rehearsal.ended_at {
            Some((part, parts)) => format!("{words} (part {part} of {parts})"),
            None => words,
        };
        eprintln!("{}: test message {words}\n  text: {}", order.name(), rehearsal.text);
        if let Some(borrowed) = rehearsal.borrowed {
            eprintln!("  {borrowed}");
        }
        worst = worst.max(verdict);
    }
    Ok(worst)
}

/// What came of a test message.
struct Rehearsal {
    outcome: Outcome,
    /// The part, counted from 1, at which a message of several parts ended before it was taken whole, and how many there are.
    ended_at: Option<(usize, usize)>,
    text: String,
    /// Where its variables are from, if not from the recipient's own row.
    borrowed: Option<&'static str>,
}

/// Sends one message of a broadcast to `id`, with the variables that `id` has in the audience or, if it is not in it,
/// those of the first recipient. The ledger is not opened, so recipients of other broadcasts are not looked at.
async fn rehearse(order: &Order, transport: &Transport, id: &str) -> Result<Rehearsal, RehearsalError> {
    let id = canonical_id(id).map_err(|error| RehearsalError::Recipient(error.to_string()))?.to_owned();
    let Found { vars, borrowed } = find(order, id.clone()).await?;
    let rendered = order.template.render(&vars).map_err(|error| RehearsalError::Message(error.to_string()))?;
    let requests = encode(order, &id, &rendered, &vars).map_err(|error| RehearsalError::Message(error.to_string()))?;
    let (outcome, ended_at) = send(order, transport, requests).await;
    Ok(Rehearsal { outcome, ended_at, text: rendered.preview(), borrowed })
}

/// The requests of all parts, before the first of them is sent.
fn encode(
    order: &Order,
    id: &str,
    rendered: &Rendered,
    vars: &BTreeMap<String, String>,
) -> Result<Vec<Request<Bytes>>, EncodeError> {
    // Each test is a message of its own: an endpoint that remembers ids would take the second for a copy.
    let test = format!("test_{}", random_id());
    let encode = |(number, part): (usize, MessagePart<'_>)| {
        let (correlation, message_id) = (format!("{CORRELATION}:{number}"), format!("{test}_{number}"));
        let attempt = Attempt { correlation: &correlation, message_id: &message_id, at: SystemClock.now() };
        order.provider.encode(&Message::of(id, &part, vars, attempt))
    };
    (0..rendered.parts).filter_map(|number| rendered.part(number)).enumerate().map(encode).collect()
}

/// Sends part after part at the channel's rate, until one is not taken.
async fn send(
    order: &Order,
    transport: &Transport,
    requests: Vec<Request<Bytes>>,
) -> (Outcome, Option<(usize, usize)>) {
    let (parts, mut outcome) = (requests.len(), Outcome::NotBegun);
    for (request, part) in requests.into_iter().zip(1..) {
        if part > 1 {
            tokio::time::sleep(order.declaration.account_rate.interval().to_duration()).await;
        }
        outcome =
            transport.attempt(order.provider.as_ref(), request, order.declaration.request_timeout, None).await.outcome;
        if !matches!(outcome, Outcome::Accepted { .. }) {
            return (outcome, Some((part, parts)).filter(|_| parts > 1));
        }
    }
    (outcome, None)
}

struct Found {
    vars: BTreeMap<String, String>,
    borrowed: Option<&'static str>,
}

/// What is said where variables are not the recipient's own. The id is not repeated: it is personal data.
const OF_THE_FIRST: &str =
    "the recipient of --test is not in the audience; the variables are those of its first recipient";
const OF_NOBODY: &str =
    "the recipient of --test is not in the audience, and nor is anybody else; there are no variables";
const NOT_LOOKED_AT: &str = "the recipient of --test is not among those listed; recipients that other broadcasts have left, and contacts, are not looked at";

async fn find(order: &Order, id: String) -> Result<Found, RehearsalError> {
    let parts = assembly::included(&order.broadcast.spec.audience);
    let materials = order.materials.clone();
    let search = move || {
        let asks_the_ledger = parts.iter().any(|part| matches!(part, Part::Known { .. }));
        let mut first = None;
        for part in parts {
            let Part::Read(source) = part else { continue };
            let rows = source.open(materials.as_ref()).map_err(|error| error.to_string())?;
            for row in rows {
                let row = row.map_err(|error| error.to_string())?;
                if row.id == id {
                    return Ok(Found { vars: row.vars, borrowed: None });
                }
                first.get_or_insert(row.vars);
            }
        }
        let borrowed = match &first {
            _ if asks_the_ledger => NOT_LOOKED_AT,
            Some(_) => OF_THE_FIRST,
            None => OF_NOBODY,
        };
        Ok(Found { vars: first.unwrap_or_default(), borrowed: Some(borrowed) })
    };
    let found =
        tokio::task::spawn_blocking(search).await.map_err(|error| RehearsalError::Audience(error.to_string()))?;
    found.map_err(RehearsalError::Audience)
}

/// What the outcome of a test message means for the exit code, and in words.
fn describe(outcome: &Outcome) -> (Verdict, String) {
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
        | Outcome::NotSent { fault }
        | Outcome::AttachmentGone { fault } => {
            (Verdict::Incomplete, format!("not taken: {}: {}", fault.reason, fault.message))
        }
        Outcome::NotBegun => (Verdict::Incomplete, "not begun".to_owned()),
    }
}
