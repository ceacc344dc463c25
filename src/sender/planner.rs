//! Planning: streams an audience into the ledger in bounded memory and seals the plan, or refuses it whole.
//!
//! Every recipient's message is rendered and encoded once here, so that a missing variable or a text over the provider's
//! limit is found before anything is sent.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::audience::{MAX_ROW_BYTES, Materials, Place, Recipient, RowError, Source, SourceError};
use crate::content::{RenderError, Template};
use crate::ledger::exchange::BroadcastId;
use crate::ledger::plan::{Dropped, MAX_CHUNK, MAX_CHUNK_BYTES, PlanRow, PlanTicket, SealedPlan};
use crate::ledger::{LedgerError, SenderLedger};
use crate::provider::{EncodeError, Message, Provider};

/// Chunks read ahead of the ledger: enough that reading and writing overlap.
const CHUNKS_AHEAD: usize = 2;
/// Rows with errors that are named; the rest is not read.
const MAX_ROW_ERRORS: usize = 5;
/// Places named for each cause of refusal.
const MAX_PLACES: usize = 3;
/// Causes of refusal that are told apart; further ones are counted together.
const MAX_CAUSES: usize = 20;
/// Rendered samples kept for people, and how much of each.
const SAMPLES: usize = 5;
const SAMPLE_CHARACTERS: usize = 200;

/// Between several faults of one plan: each is a sentence with its remedy, so each gets its own line.
const SEPARATOR: &str = "\n  ";

/// Everything a plan is made from.
pub struct PlanSpec {
    pub sources: Vec<Source>,
    pub exclude: Vec<Source>,
    pub materials: Arc<dyn Materials>,
    pub template: Arc<Template>,
    pub provider: Arc<dyn Provider>,
}

/// Why there is no plan. Nothing was sent, and nothing of it stays in the ledger.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{}", list(.0))]
    Rows(Vec<RowError>),
    #[error("{}", .0.join(SEPARATOR))]
    Messages(Vec<String>),
    #[error(
        "the audience is empty: {read} rows were read, {excluded} of them excluded; add recipients to `spec.audience`"
    )]
    Empty { read: u64, excluded: u64 },
    #[error("told to stop while planning; run again to plan anew")]
    Interrupted,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl PlanError {
    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            PlanError::Source(_) => "AudienceUnreadable",
            PlanError::Rows(_) => "AudienceInvalid",
            PlanError::Messages(_) => "MessageInvalid",
            PlanError::Empty { .. } => "AudienceEmpty",
            PlanError::Interrupted => "Interrupted",
            PlanError::Ledger(error) => error.reason(),
        }
    }
}

fn list(errors: &[RowError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(SEPARATOR)
}

/// Makes the plan of a broadcast anew and seals it, unless `stop` becomes true before the audience is read.
///
/// # Errors
/// See [`PlanError`]; the rows of a refused plan are deleted, those of an interrupted one by the next plan.
pub async fn plan<L: SenderLedger>(
    ledger: &L,
    broadcast: BroadcastId,
    spec: PlanSpec,
    stop: &watch::Receiver<bool>,
) -> Result<SealedPlan, PlanError> {
    let ticket = ledger.begin_plan(broadcast).await?;
    let planned = plan_with(ledger, ticket, spec, stop).await;
    // Deleting may take long, and who interrupts does not want to wait.
    if planned.as_ref().is_err_and(|error| !matches!(error, PlanError::Interrupted)) {
        // Deletes what was written; if even this fails, the next plan does it.
        if let Ok(ticket) = ledger.begin_plan(broadcast).await {
            let _ = ledger.abandon_plan(ticket).await;
        }
    }
    planned
}

/// Makes a plan that was begun, and seals it, unless `stop` becomes true before the audience is read.
///
/// # Errors
/// See [`PlanError`]; the rows of a refused or interrupted plan are deleted by the next one.
pub async fn plan_with<L: SenderLedger>(
    ledger: &L,
    ticket: PlanTicket,
    spec: PlanSpec,
    stop: &watch::Receiver<bool>,
) -> Result<SealedPlan, PlanError> {
    let planner = Planner {
        ledger,
        ticket,
        stop: stop.clone(),
        chunk: 0,
        read: 0,
        excluded: 0,
        refusals: Refusals::default(),
        samples: Vec::new(),
    };
    planner.run(spec).await
}

struct Planner<'a, L> {
    ledger: &'a L,
    ticket: PlanTicket,
    stop: watch::Receiver<bool>,
    chunk: u64,
    read: u64,
    excluded: u64,
    refusals: Refusals,
    samples: Vec<String>,
}

impl<L: SenderLedger> Planner<'_, L> {
    async fn run(mut self, spec: PlanSpec) -> Result<SealedPlan, PlanError> {
        for source in spec.exclude {
            let mut chunks = read_chunks(source, spec.materials.clone(), |recipient| recipient.id);
            while let Some(chunk) = self.next(&mut chunks).await? {
                self.chunk += 1;
                self.ledger.exclude(self.ticket, self.chunk, &chunk).await?;
            }
        }
        let mut planned = 0;
        for source in spec.sources {
            let (template, provider) = (spec.template.clone(), spec.provider.clone());
            let mut chunks = read_chunks(source, spec.materials.clone(), move |recipient| {
                Candidate::rehearse(recipient, &template, provider.as_ref())
            });
            while let Some(chunk) = self.next(&mut chunks).await? {
                planned += self.append(chunk, &spec.template).await?;
            }
        }
        self.refusals.into_result()?;
        if planned == 0 {
            return Err(PlanError::Empty { read: self.read, excluded: self.excluded });
        }
        Ok(self.ledger.seal_plan(self.ticket, &self.samples).await?)
    }

    /// The next chunk of a source, if there is one. A reader that never comes back keeps nobody from stopping.
    async fn next<T>(&mut self, chunks: &mut mpsc::Receiver<Chunk<T>>) -> Result<Option<Vec<T>>, PlanError> {
        tokio::select! {
            biased;
            Ok(_) = self.stop.wait_for(|stopped| *stopped) => Err(PlanError::Interrupted),
            chunk = chunks.recv() => chunk.transpose(),
        }
    }

    async fn append(&mut self, candidates: Vec<Candidate>, template: &Template) -> Result<u64, PlanError> {
        let (rows, refusals): (Vec<PlanRow>, Vec<Option<Refusal>>) =
            candidates.into_iter().map(|candidate| (candidate.row, candidate.refusal)).unzip();
        self.chunk += 1;
        self.read += rows.len() as u64;
        let receipt = self.ledger.append_plan(self.ticket, self.chunk, &rows).await?;
        self.excluded += receipt.dropped.iter().filter(|(_, why)| *why == Dropped::Excluded).count() as u64;
        let dropped: HashSet<usize> = receipt.dropped.iter().map(|(index, _)| *index).collect();
        for (index, (row, refusal)) in rows.iter().zip(refusals).enumerate() {
            if dropped.contains(&index) {
                continue;
            }
            self.refusals.looked_at += 1;
            match refusal {
                Some(refusal) => self.refusals.add(refusal),
                None => self.sample(row, template),
            }
        }
        Ok(receipt.added)
    }

    fn sample(&mut self, row: &PlanRow, template: &Template) {
        if self.samples.len() < SAMPLES
            && let Ok(text) = template.render(&row.vars)
        {
            self.samples.push(text.chars().take(SAMPLE_CHARACTERS).collect());
        }
    }
}

/// A recipient on the way to the ledger.
struct Candidate {
    row: PlanRow,
    refusal: Option<Refusal>,
}

/// Why a recipient's message cannot be sent. It counts only if the ledger takes the recipient: not for a duplicate, nor
/// for an excluded one.
struct Refusal {
    cause: String,
    place: Place,
}

impl Candidate {
    /// Renders and encodes a message as if it were sent.
    fn rehearse(recipient: Recipient, template: &Template, provider: &dyn Provider) -> Candidate {
        let Recipient { id, vars, place } = recipient;
        let row = PlanRow { recipient: id, vars };
        let cause = match template.render(&row.vars) {
            Ok(text) => {
                let message =
                    Message { recipient: &row.recipient, text: &text, vars: &row.vars, correlation: "0:0:0:0" };
                provider.encode(&message).err().map(encode_cause)
            }
            Err(error) => Some(render_cause(error)),
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
fn encode_cause(error: EncodeError) -> String {
    match error {
        EncodeError::TextTooLong { provider, limit, .. } => {
            format!(
                "the rendered text is longer than the {limit} characters that {provider} takes: shorten `spec.content.text` or the variables"
            )
        }
        other => other.to_string(),
    }
}

/// Why messages were refused, how often and where first.
#[derive(Default)]
struct Refusals {
    causes: BTreeMap<String, (u64, Vec<Place>)>,
    /// Recipients looked at, refused or not.
    looked_at: u64,
    others: u64,
}

impl Refusals {
    fn add(&mut self, Refusal { cause, place }: Refusal) {
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

    fn into_result(self) -> Result<(), PlanError> {
        if self.causes.is_empty() {
            return Ok(());
        }
        let all = self.looked_at;
        let mut messages: Vec<String> =
            self.causes.into_iter().map(|(cause, (count, places))| describe(&cause, count, all, &places)).collect();
        if self.others > 0 {
            messages.push(format!("{} more recipients for other causes", self.others));
        }
        Err(PlanError::Messages(messages))
    }
}

fn describe(cause: &str, count: u64, all: u64, places: &[Place]) -> String {
    let first = places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = if count > places.len() as u64 { ", …" } else { "" };
    format!("{cause} ({count} of {all} recipients: {first}{more})")
}

/// How much of a chunk's bytes a recipient takes.
fn weight(recipient: &Recipient) -> usize {
    recipient.id.len() + recipient.vars.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

type Chunk<T> = Result<Vec<T>, PlanError>;

/// Reads a source, and makes something of each recipient, on a thread of its own, a few chunks ahead of the ledger. After
/// the first error nothing but it comes.
fn read_chunks<T: Send + 'static>(
    source: Source,
    materials: Arc<dyn Materials>,
    make: impl Fn(Recipient) -> T + Send + 'static,
) -> mpsc::Receiver<Chunk<T>> {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let rows = match source.open(materials.as_ref()) {
            Ok(rows) => rows,
            Err(error) => return drop(sender.blocking_send(Err(error.into()))),
        };
        let mut chunk = Vec::with_capacity(MAX_CHUNK);
        let mut bytes = 0;
        let mut errors = Vec::new();
        for row in rows {
            match row {
                Ok(recipient) if errors.is_empty() => {
                    bytes += weight(&recipient);
                    chunk.push(make(recipient));
                }
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
            if errors.len() == MAX_ROW_ERRORS {
                break;
            }
            // A closed channel means that nobody wants the rest.
            if chunk.len() == MAX_CHUNK || bytes > MAX_CHUNK_BYTES - MAX_ROW_BYTES {
                bytes = 0;
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(MAX_CHUNK));
                if sender.blocking_send(Ok(full)).is_err() {
                    return;
                }
            }
        }
        let last = if errors.is_empty() { Ok(chunk) } else { Err(PlanError::Rows(errors)) };
        drop(sender.blocking_send(last));
    });
    receiver
}
