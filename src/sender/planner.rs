//! Planning: streams an audience into the ledger in bounded memory and seals the plan, or refuses it whole.
//!
//! Every recipient's message is rendered and encoded once here, so that a missing variable or a text over the provider's
//! limit is found before anything is sent.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::assembly::Part;
use super::candidate::{Candidate, Refusal, Refusals};
use super::chunks::{Chunks, read_chunks};
use super::suppressed::Suppressed;
use super::unfilled::Unfilled;
use crate::api::broadcast_status::{self, MAX_SAMPLES};
use crate::audience::{FaultKind, Materials, Place, Recipient, RowError, SourceError};
use crate::content::MessageTemplate;
use crate::delivery::plural::counted;
use crate::ledger::exchange::{BroadcastId, LEASE};
use crate::ledger::plan::{Dropped, PlanRow, PlanTicket, PlanWords, SealedPlan};
use crate::ledger::{AudienceList, AudiencePage, AudiencePosition, AudienceQuery, LedgerError, SenderLedger};
use crate::provider::Provider;

/// How often a plan is begun anew because a source broke off. One that does so more often is no source for one reading.
const MAX_RESTARTS: u32 = 2;

/// How many signs of life a planner gives in a lease while a source is silent: one may be late, and one may be lost.
const SIGNS_OF_LIFE: u32 = 3;

/// Between several faults of one plan: each is a sentence with its remedy, so each gets its own line.
const SEPARATOR: &str = "\n  ";

/// Everything a plan is made from.
#[derive(Clone)]
pub struct PlanSpec {
    pub sources: Vec<Part>,
    pub exclude: Vec<Part>,
    /// Whoever is on these lists is planned and skipped.
    pub suppressed: Vec<Suppressed>,
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
    /// A list of people who get nothing.
    #[error("`{field}` of the MessageChannel `{channel}`: {error}")]
    Suppression { channel: String, field: String, error: Box<PlanError> },
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
            // Who is read from, and what of that is at fault, is told like that of an audience; files are the channel's own.
            PlanError::Suppression { error, .. } => match error.reason() {
                "AudienceInvalid" => "SuppressionInvalid",
                "AudienceUnreadable" => "SuppressionUnreadable",
                of_source => of_source,
            },
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
        match self {
            PlanError::Source(SourceError::Elsewhere(fault)) => fault.kind == FaultKind::BrokenOff,
            PlanError::Suppression { error, .. } => error.is_broken_off(),
            _ => false,
        }
    }
}

/// How often a plan was begun anew because a source broke off. Who makes a plan asks it after each failure.
#[derive(Debug, Default)]
pub struct Restarts(u32);

impl Restarts {
    /// Whether the plan is to be begun anew after this error, with a new ticket.
    pub fn allow(&mut self, error: &PlanError) -> bool {
        if self.0 == MAX_RESTARTS || !error.is_broken_off() {
            return false;
        }
        self.0 += 1;
        tracing::warn!(restarts = self.0, "a source broke off; reading begins anew");
        true
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
    let mut restarts = Restarts::default();
    let planned = loop {
        let ticket = ledger.begin_plan(broadcast).await?;
        let planned = plan_with(ledger, ticket, spec.clone(), stop).await;
        if !planned.as_ref().is_err_and(|error| restarts.allow(error)) {
            break planned;
        }
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
        unfilled: Unfilled::of(spec.template.variables()),
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
    unfilled: Unfilled,
}

impl<L: SenderLedger> Planner<'_, L> {
    async fn run(mut self, spec: PlanSpec) -> Result<SealedPlan, PlanError> {
        for list in &spec.suppressed {
            self.suppress(list, &spec).await?;
        }
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
        let words = PlanWords { samples: self.samples, warnings: self.unfilled.warning().into_iter().collect() };
        for warning in &words.warnings {
            tracing::info!(warning, "the plan is perhaps not as it was meant");
        }
        Ok(self.ledger.seal_plan(self.ticket, &words).await?)
    }

    async fn suppress(&mut self, list: &Suppressed, spec: &PlanSpec) -> Result<(), PlanError> {
        let mut chunks = read_chunks(list.source.clone(), spec.materials.clone(), |recipient| recipient.id);
        while let Some(ids) = self.next(&mut chunks).await.map_err(|error| list.place(error))? {
            self.chunk += 1;
            self.ledger.suppress(self.ticket, self.chunk, &ids).await?;
        }
        Ok(())
    }

    async fn leave_out(&mut self, part: &Part, spec: &PlanSpec) -> Result<(), PlanError> {
        match part {
            Part::Read(source) => {
                let mut chunks = read_chunks(source.clone(), spec.materials.clone(), |recipient| recipient.id);
                while let Some(chunk) = self.next(&mut chunks).await? {
                    self.exclude(&chunk).await?;
                }
            }
            Part::Known { list, source, .. } => {
                let mut from = Some(AudiencePosition::Start);
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
            Part::Known { list, source, shown } => {
                let shown: Arc<str> = shown.as_str().into();
                let (mut from, mut count) = (Some(AudiencePosition::Start), 0);
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

    /// The page of what the ledger knows that begins there; `None` after the last one.
    async fn page(
        &mut self,
        list: AudienceList,
        source: &str,
        from: Option<AudiencePosition>,
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

    /// The next chunk of a source, if there is one. A reader that never comes back keeps nobody from stopping; while one
    /// is silent the ledger is told that the plan is still made.
    async fn next<T>(&mut self, chunks: &mut Chunks<T>) -> Result<Option<Vec<T>>, PlanError> {
        let pause = LEASE.to_duration() / SIGNS_OF_LIFE;
        let mut signs = tokio::time::interval_at(Instant::now() + pause, pause);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One future for all of the wait: given up in between, it would lose how the reader ended.
        let next = chunks.next();
        tokio::pin!(next);
        loop {
            tokio::select! {
                biased;
                Ok(_) = self.stop.wait_for(|stopped| *stopped) => return Err(PlanError::Interrupted),
                chunk = &mut next => return chunk.transpose(),
                _ = signs.tick() => {}
            }
            self.give_sign_of_life().await?;
        }
    }

    /// An empty chunk: the ledger takes a planner that is silent for a lease for dead.
    async fn give_sign_of_life(&mut self) -> Result<(), PlanError> {
        self.chunk += 1;
        self.ledger.append_plan(self.ticket, self.chunk, &[]).await?;
        Ok(())
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
            self.unfilled.look_at(&row.vars);
            match refusal {
                Some(refusal) => self.refusals.add(refusal),
                None => self.sample(row, template),
            }
        }
        Ok(receipt.added)
    }

    fn sample(&mut self, row: &PlanRow, template: &MessageTemplate) {
        if self.samples.len() < MAX_SAMPLES
            && let Ok(rendered) = template.render(&row.vars)
        {
            self.samples.push(broadcast_status::sample(&template.sample(&rendered)));
        }
    }
}
