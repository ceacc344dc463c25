//! A recipient of a plan, its message tried out: what cannot be sent is found before anything is.

use std::collections::BTreeMap;

use super::planner::PlanError;
use crate::audience::{Place, Recipient};
use crate::content::{MessagePart, MessageTemplate, RenderError};
use crate::delivery::plural::counted;
use crate::delivery::time::Timestamp;
use crate::ledger::plan::PlanRow;
use crate::provider::{Attempt, EncodeError, Message, Provider};

/// Causes of refusal that are told apart; further ones are counted together.
const MAX_CAUSES: usize = 20;
/// Places named for each cause of refusal.
const MAX_PLACES: usize = 3;

/// Of what is tried out and not sent.
const REHEARSED: Attempt<'static> = Attempt { correlation: "0:0:0:0", message_id: "msg_0_0", at: Timestamp::EPOCH };

/// A recipient on the way to the ledger.
pub(super) struct Candidate {
    pub row: PlanRow,
    pub refusal: Option<Refusal>,
}

/// Why a recipient's message cannot be sent. It counts only if the ledger takes the recipient: not for a duplicate, nor
/// for an excluded one.
pub(super) struct Refusal {
    cause: Cause,
    place: Place,
}

/// In order: what is wrong with the message comes before what is wrong with the audience.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Message(String),
    Id(String),
}

impl Candidate {
    /// Renders a message and encodes its parts as if they were sent.
    pub fn rehearse(recipient: Recipient, template: &MessageTemplate, provider: &dyn Provider) -> Candidate {
        let Recipient { id, vars, place } = recipient;
        let row = PlanRow { recipient: id, vars };
        let cause = match template.render(&row.vars) {
            Ok(rendered) => {
                let encode = |part: MessagePart<'_>| {
                    provider.encode(&Message::of(&row.recipient, &part, &row.vars, REHEARSED)).err().map(encode_cause)
                };
                (0..rendered.parts).filter_map(|number| rendered.part(number)).find_map(encode)
            }
            Err(error) => Some(Cause::Message(render_cause(error))),
        };
        Candidate { row, refusal: cause.map(|cause| Refusal { cause, place }) }
    }
}

fn render_cause(error: RenderError) -> String {
    match error {
        RenderError::MissingVariables(names) => {
            let name = names.first().cloned().unwrap_or_default();
            format!(
                "the text needs {}, which recipients lack: fill it in, or give a default like {{{{ {name} | default('…') }}}}",
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )
        }
        other => format!("the text cannot be rendered: {other}"),
    }
}

/// Lengths differ from row to row, so they are left out of the cause.
fn encode_cause(error: EncodeError) -> Cause {
    match error {
        EncodeError::TextTooLong { provider, limit, .. } => Cause::Message(format!(
            "the rendered text is longer than the {limit} characters that {provider} takes: shorten `spec.content.text` or the variables"
        )),
        EncodeError::Recipient { .. } => Cause::Id(error.to_string()),
        other => Cause::Message(other.to_string()),
    }
}

/// Why messages were refused, how often and where first.
#[derive(Default)]
pub(super) struct Refusals {
    causes: BTreeMap<Cause, (u64, Vec<Place>)>,
    /// Recipients looked at, refused or not.
    pub looked_at: u64,
    others: u64,
}

impl Refusals {
    pub fn add(&mut self, Refusal { cause, place }: Refusal) {
        if self.causes.len() == MAX_CAUSES && !self.causes.contains_key(&cause) {
            self.others += 1;
            return;
        }
        let (count, places) = self.causes.entry(cause).or_default();
        *count += 1;
        if places.len() < MAX_PLACES {
            places.push(place);
        }
    }

    /// Fails where anybody was refused.
    pub fn into_result(self) -> Result<(), PlanError> {
        let Some(first) = self.causes.keys().next() else { return Ok(()) };
        let only_ids = matches!(first, Cause::Id(_));
        let messages = self.into_messages();
        Err(if only_ids { PlanError::Ids(messages) } else { PlanError::Messages(messages) })
    }

    /// The causes as they are told.
    fn into_messages(self) -> Vec<String> {
        let all = self.looked_at;
        let told = |(cause, (count, places)): (Cause, (u64, Vec<Place>))| {
            let (Cause::Message(cause) | Cause::Id(cause)) = cause;
            describe(&cause, count, all, &places)
        };
        let mut messages: Vec<String> = self.causes.into_iter().map(told).collect();
        if self.others > 0 {
            messages.push(format!("{} for other causes", counted(self.others, "more recipient", "more recipients")));
        }
        messages
    }
}

fn describe(cause: &str, count: u64, all: u64, places: &[Place]) -> String {
    let first = places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = if count > places.len() as u64 { ", …" } else { "" };
    let all = counted(all, "recipient", "recipients");
    format!("{cause} ({count} of {all}: {first}{more})")
}
