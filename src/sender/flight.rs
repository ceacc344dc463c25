//! One attempt on its way: made ready, handed over at its slot, answered.

use std::sync::Arc;

use bytes::Bytes;

use super::clock::Local;
use super::transport::{Attempted, Transport};
use super::uploads::{Named, Uploads};
use crate::api::content::Attachment;
use crate::content::MessageTemplate;
use crate::delivery::correlation::Correlation;
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;
use crate::delivery::usage::Usage;
use crate::ledger::exchange::{Assignment, BroadcastId, Report};
use crate::provider::{Attempt, Handle, Message, Provider};

/// What is to be handed over.
pub struct Flight {
    pub provider: Arc<dyn Provider>,
    pub transport: Transport,
    pub request: http::Request<Bytes>,
    pub request_timeout: Span,
    /// Later than this it is not begun.
    pub start_by: Local,
    /// The answer is asked for the handle of this attachment, whose link the message carries.
    pub by_link: Option<Attachment>,
}

/// What became of it, and how long it took.
pub struct Landing {
    pub outcome: Outcome,
    /// What the provider said of its limit.
    pub usage: Option<Usage>,
    /// An attachment that it keeps from now on, and by what.
    pub kept: Option<(Attachment, Handle)>,
    pub took: Span,
}

impl Landing {
    /// As the ledger is told of it. What was not begun took no time.
    pub fn report(self, seq: i64, attempt: u32) -> Report {
        let begun = self.outcome != Outcome::NotBegun;
        let took_ms = begun.then(|| self.took.as_millis().max(0) as u64);
        Report { seq, attempt, outcome: self.outcome, took_ms }
    }
}

impl Flight {
    pub async fn fly(mut self) -> Landing {
        let (begun, by_link) = (Local::now(), self.by_link.take());
        let Attempted { outcome, usage, handle } = self.attempt(begun, by_link.as_ref()).await;
        Landing { outcome: outcome.cut(), usage, kept: by_link.zip(handle), took: Local::now() - begun }
    }
}

impl Flight {
    async fn attempt(self, begun: Local, by_link: Option<&Attachment>) -> Attempted {
        // The last moment before the request is handed over: a stall may lie between the decision and here.
        if begun > self.start_by {
            return Outcome::NotBegun.into();
        }
        let provider = self.provider.as_ref();
        match self.transport.identify(provider, self.request_timeout).await {
            Some(outcome) => outcome.into(),
            None => self.transport.attempt(provider, self.request, self.request_timeout, by_link).await,
        }
    }
}

/// A request, and how it names its attachment.
pub struct Encoded {
    pub request: http::Request<Bytes>,
    pub named: Named,
}

/// The request for one part of the message for one recipient. A recipient that none can be made for is failed, by the fault.
pub fn request(
    broadcast: BroadcastId,
    row: &Assignment,
    template: Option<&MessageTemplate>,
    provider: &dyn Provider,
    uploads: &Uploads,
) -> Result<Encoded, Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault::new("RenderFailed", None, error.to_string());
    let template = template.ok_or_else(|| failed(&"no content was received"))?;
    let rendered = template.render(&row.vars).map_err(|error| failed(&error))?;
    let part = rendered.part(row.part).ok_or_else(|| failed(&"the message has no such part"))?;
    let correlation =
        Correlation { broadcast: broadcast.0, seq: row.seq, attempt: row.attempt, part: row.part }.to_string();
    // The ledger's number of a broadcast is random: no other ledger's messages have the same.
    let message_id = format!("msg_{}_{}_{}", broadcast.0, row.seq, row.part);
    let attempt = Attempt { correlation: &correlation, message_id: &message_id, at: row.slot };
    let message = Message::of(&row.recipient, &part, &row.vars, attempt);
    let named = part.attachments.first().map_or(Named::Link, |attachment| uploads.name(attachment));
    let request = match &named {
        Named::Handle(handle) => provider.encode_kept(&message, handle),
        Named::Link | Named::Asking(_) => provider.encode(&message),
    };
    Ok(Encoded { request: request.map_err(|error| failed(&error))?, named })
}
