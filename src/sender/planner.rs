//! Planning: streams an audience into the ledger in bounded memory and seals the plan, or refuses it whole.
//!
//! Every recipient's message is rendered and encoded once here, so that a missing variable or a text over the provider's
//! limit is found before anything is sent.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::assembly::Part;
use super::candidate::{Candidate, Refusal, Refusals};
use crate::audience::{
    FaultKind, MAX_ROW_BYTES, Materials, Place, ReadError, Recipient, RowError, Source, SourceError,
};
use crate::content::MessageTemplate;
use crate::delivery::plural::counted;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::plan::{Dropped, MAX_CHUNK, MAX_CHUNK_BYTES, PlanRow, PlanTicket, SealedPlan};
use crate::ledger::{AudienceList, AudiencePage, AudienceQuery, LedgerError, SenderLedger};
use crate::provider::Provider;

/// Chunks read ahead of the ledger: enough that reading and writing overlap.
const CHUNKS_AHEAD: usize = 2;
/// Rows with errors that are named; the rest is not read.
const MAX_ROW_ERRORS: usize = 5;
/// Rendered samples kept for people, and how much of each.
const SAMPLES: usize = 5;
const SAMPLE_CHARACTERS: usize = 200;

/// How often a plan is begun anew because a source broke off. One that does so more often is no source for one reading.
const MAX_RESTARTS: u32 = 2;

/// Between several faults of one plan: each is a sentence with its remedy, so each gets its own line.
const SEPARATOR: &str = "\n  ";

/// Everything a plan is made from.
#[derive(Clone)]
pub struct PlanSpec {
    pub sources: Vec<Part>,
    pub exclude: Vec<Part>,
    pub materials: Arc<dyn Materials>,
    pub template: Arc<MessageTemplate>,
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
    /// Ids that the provider could not know.
    #[error("{}", .0.join(SEPARATOR))]
    Ids(Vec<String>),
    #[error(
        "the audience is empty: {} read, {excluded} of them excluded; add recipients to `spec.audience`",
        counted(.read, "row was", "rows were")
    )]
    Empty { read: u64, excluded: u64 },
    /// The panic's own words may hold a recipient, so they are not told.
    #[error("the audience could not be planned: a fault of Herald itself; its log says where, please report it")]
    Panicked,
    #[error("told to stop while planning; run again to plan anew")]
    Interrupted,
    /// Another broadcast that the audience names.
    #[error(transparent)]
    Broadcast(LedgerError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl PlanError {
    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            PlanError::Source(error) => error.reason(),
            PlanError::Rows(_) | PlanError::Ids(_) => "AudienceInvalid",
            PlanError::Messages(_) => "MessageInvalid",
            PlanError::Empty { .. } => "AudienceEmpty",
            PlanError::Panicked => "PlannerFailed",
            PlanError::Interrupted => "Interrupted",
            PlanError::Ledger(error) | PlanError::Broadcast(error) => error.reason(),
        }
    }
}

impl PlanError {
    /// Whether a source broke off after rows of it were taken: a plan is one reading, so all of it is read again.
    fn is_broken_off(&self) -> bool {
        matches!(self, PlanError::Source(SourceError::Elsewhere(fault)) if fault.kind == FaultKind::BrokenOff)
    }
}

fn list(errors: &[RowError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(SEPARATOR)
}

/// Makes the plan of a broadcast anew and seals it, unless `stop` becomes true before the audience is read. When a source
/// breaks off it begins again, a few times.
///
/// # Errors
/// See [`PlanError`]; the rows of a refused plan are deleted, those of an interrupted one by the next plan.
pub async fn plan<L: SenderLedger>(
    ledger: &L,
    broadcast: BroadcastId,
    spec: PlanSpec,
    stop: &watch::Receiver<bool>,
) -> Result<SealedPlan, PlanError> {
    let mut restarts = 0;
    let planned = loop {
        let ticket = ledger.begin_plan(broadcast).await?;
        let planned = plan_with(ledger, ticket, spec.clone(), stop).await;
        if restarts == MAX_RESTARTS || !planned.as_ref().is_err_and(PlanError::is_broken_off) {
            break planned;
        }
        restarts += 1;
        tracing::warn!(restarts, "a source of the audience broke off; the plan is begun anew");
    };
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
        full: false,
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
    /// The plan holds as many as it may: nothing more is read.
    full: bool,
    refusals: Refusals,
    samples: Vec<String>,
}

impl<L: SenderLedger> Planner<'_, L> {
    async fn run(mut self, spec: PlanSpec) -> Result<SealedPlan, PlanError> {
        for part in &spec.exclude {
            self.leave_out(part, &spec).await?;
        }
        let mut planned = 0;
        for part in &spec.sources {
            if self.full {
                break;
            }
            planned += self.take_in(part, &spec).await?;
        }
        self.refusals.into_result()?;
        if planned == 0 {
            return Err(PlanError::Empty { read: self.read, excluded: self.excluded });
        }
        Ok(self.ledger.seal_plan(self.ticket, &self.samples).await?)
    }

    async fn leave_out(&mut self, part: &Part, spec: &PlanSpec) -> Result<(), PlanError> {
        match part {
            Part::Read(source) => {
                let mut chunks = read_chunks(source.clone(), spec.materials.clone(), |recipient| recipient.id);
                while let Some(chunk) = self.next(&mut chunks).await? {
                    self.exclude(&chunk).await?;
                }
            }
            Part::Broadcast { list, source, .. } => {
                let mut from = Some(0);
                while let Some(page) = self.page(*list, source, from).await? {
                    let ids: Vec<String> = page.rows.into_iter().map(|row| row.recipient).collect();
                    self.exclude(&ids).await?;
                    from = page.next;
                }
            }
        }
        Ok(())
    }

    async fn exclude(&mut self, ids: &[String]) -> Result<(), PlanError> {
        self.chunk += 1;
        Ok(self.ledger.exclude(self.ticket, self.chunk, ids).await?)
    }

    /// Returns how many came into the plan.
    async fn take_in(&mut self, part: &Part, spec: &PlanSpec) -> Result<u64, PlanError> {
        let mut added = 0;
        match part {
            Part::Read(source) => {
                let (template, provider) = (spec.template.clone(), spec.provider.clone());
                let mut chunks = read_chunks(source.clone(), spec.materials.clone(), move |recipient| {
                    Candidate::rehearse(recipient, &template, provider.as_ref())
                });
                while !self.full
                    && let Some(chunk) = self.next(&mut chunks).await?
                {
                    added += self.append(chunk, &spec.template).await?;
                }
            }
            Part::Broadcast { list, source, name } => {
                let shown: Arc<str> = format!("the recipients of {name}").into();
                let (mut from, mut count) = (Some(0), 0);
                while !self.full
                    && let Some(page) = self.page(*list, source, from).await?
                {
                    let candidates = page.rows.into_iter().zip(count..).map(|(row, index)| {
                        let place = Place::item(shown.clone(), index);
                        let recipient = Recipient { id: row.recipient, vars: row.vars, place };
                        Candidate::rehearse(recipient, &spec.template, spec.provider.as_ref())
                    });
                    let candidates: Vec<Candidate> = candidates.collect();
                    count += candidates.len();
                    added += self.append(candidates, &spec.template).await?;
                    from = page.next;
                }
            }
        }
        Ok(added)
    }

    /// The page of another broadcast that begins there; `None` after the last one.
    async fn page(
        &mut self,
        list: AudienceList,
        source: &str,
        from: Option<i64>,
    ) -> Result<Option<AudiencePage>, PlanError> {
        let Some(from) = from else { return Ok(None) };
        let query = AudienceQuery { ticket: self.ticket, list, source: source.to_owned(), from };
        tokio::select! {
            biased;
            Ok(_) = self.stop.wait_for(|stopped| *stopped) => Err(PlanError::Interrupted),
            page = self.ledger.audience_page(&query) => page.map(Some).map_err(|error| match error {
                LedgerError::AudienceNotFound { .. } | LedgerError::AudienceUnfinished { .. } => {
                    PlanError::Broadcast(error)
                }
                other => PlanError::Ledger(other),
            }),
        }
    }

    /// The next chunk of a source, if there is one. A reader that never comes back keeps nobody from stopping.
    async fn next<T>(&mut self, chunks: &mut Chunks<T>) -> Result<Option<Vec<T>>, PlanError> {
        tokio::select! {
            biased;
            Ok(_) = self.stop.wait_for(|stopped| *stopped) => Err(PlanError::Interrupted),
            chunk = chunks.next() => chunk.transpose(),
        }
    }

    async fn append(&mut self, candidates: Vec<Candidate>, template: &MessageTemplate) -> Result<u64, PlanError> {
        let (rows, refusals): (Vec<PlanRow>, Vec<Option<Refusal>>) =
            candidates.into_iter().map(|candidate| (candidate.row, candidate.refusal)).unzip();
        self.chunk += 1;
        self.read += rows.len() as u64;
        let receipt = self.ledger.append_plan(self.ticket, self.chunk, &rows).await?;
        self.full = receipt.full;
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

    fn sample(&mut self, row: &PlanRow, template: &MessageTemplate) {
        if self.samples.len() < SAMPLES
            && let Ok(rendered) = template.render(&row.vars)
        {
            self.samples.push(rendered.preview().chars().take(SAMPLE_CHARACTERS).collect());
        }
    }
}

/// How much of a chunk's bytes a recipient takes.
fn weight(recipient: &Recipient) -> usize {
    recipient.id.len() + recipient.vars.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

type Chunk<T> = Result<Vec<T>, PlanError>;

/// The chunks of a source, in order.
struct Chunks<T> {
    chunks: mpsc::Receiver<Chunk<T>>,
    reader: Option<JoinHandle<()>>,
}

impl<T> Chunks<T> {
    /// The next chunk; `None` only when the source was read to its end. A reader that panicked has not.
    async fn next(&mut self) -> Option<Chunk<T>> {
        if let Some(chunk) = self.chunks.recv().await {
            return Some(chunk);
        }
        let ended = self.reader.take()?.await;
        ended.err().map(|_| Err(PlanError::Panicked))
    }
}

/// Reads a source, and makes something of each recipient, on a thread of its own, a few chunks ahead of the ledger. After
/// the first error nothing but it comes.
fn read_chunks<T: Send + 'static>(
    source: Source,
    materials: Arc<dyn Materials>,
    make: impl Fn(Recipient) -> T + Send + 'static,
) -> Chunks<T> {
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
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
                Err(ReadError::Row(error)) => errors.push(error),
                Err(ReadError::Source(fault)) => {
                    return drop(sender.blocking_send(Err(SourceError::from(fault).into())));
                }
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
    Chunks { chunks, reader: Some(reader) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;
    use crate::audience::{MAX_VALUE_CHARACTERS, MAX_VARIABLES, MaterialError, MaterialKind};

    struct Nothing;

    impl Materials for Nothing {
        fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
            let (name, key) = (name.to_owned(), key.to_owned());
            Err(MaterialError::NotFound { kind, name, key, remedy: String::new() })
        }

        fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn a_chunk_of_the_longest_rows_fits_into_one_request() {
        let value = "🎈".repeat(MAX_VALUE_CHARACTERS);
        let longest: BTreeMap<String, String> =
            (0..MAX_VARIABLES).map(|number| (format!("v{number}"), value.clone())).collect();
        let people = 12;
        let recipients = (0..people).map(|number| (number.to_string(), longest.clone())).collect();
        let source = Source::Inline { path: "spec.audience.recipients".into(), recipients };
        let mut chunks = read_chunks(source, Arc::new(Nothing), |recipient| (recipient.id.clone(), weight(&recipient)));
        let (mut ids, mut count) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap();
            assert!(chunk.iter().map(|(_, bytes)| bytes).sum::<usize>() <= MAX_CHUNK_BYTES);
            ids.extend(chunk.into_iter().map(|(id, _)| id));
            count += 1;
        }
        assert_eq!(ids, (0..people).map(|number| number.to_string()).collect::<Vec<_>>());
        assert!(count < people, "a chunk holds more than one of them: {count}");
    }
}
