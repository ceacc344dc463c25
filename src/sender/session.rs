//! One sender's loop: ask ahead of need, begin each message at its slot, record, leave.

mod attachments;
mod farewell;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::clock::{ClockOffset, Local, sleep_until};
use super::connections::Connections;
use super::errands::Bells;
use super::flight::{self, Encoded, Flight, Landing};
use super::holding::{Due, Held, Holding};
use super::journal::{Journal, JournalError};
use super::retry::Retry;
use super::transport::Transport;
use super::uploads::{Named, UploadError, Uploads};
use crate::api::Content;
use crate::content::MessageTemplate;
use crate::delivery::gate::Closed;
use crate::delivery::outcome::{Outcome, PermanentScope};
use crate::delivery::pacing;
use crate::delivery::time::Span;
use crate::delivery::usage::Usage;
use crate::ledger::exchange::{
    Assignment, BroadcastId, CONNECT_TIMEOUT, Directive, ExchangeReply, ExchangeRequest, PlannedContent, Report,
    START_TOLERANCE,
};
use crate::ledger::{LedgerError, SenderLedger};
use crate::provider::Provider;

/// Beyond connect and request timeout, so long a stopped sender tries to record what it knows.
const RECORD_GRACE: Span = Span::from_secs(10);
/// Slots and answers nearer to each other than this are served by one wake-up: at a high rate one for each of them is much
/// of what a message costs. It makes a request late by as much and the timer's millisecond, never early: well inside
/// `START_TOLERANCE`, and little of the 50 ms that invariant I11 leaves to lateness and the network together.
const ROUND: Span = Span::from_millis(3);

/// One sender of one broadcast.
pub struct Session<L> {
    pub ledger: Arc<L>,
    pub broadcast: BroadcastId,
    /// Random, made at process start.
    pub holder: String,
    /// For people.
    pub display: String,
    pub provider: Arc<dyn Provider>,
    pub transport: Transport,
    pub journal: Arc<Journal>,
    /// What is said, as far as the session has to make it ready: attachments that the provider keeps.
    pub content: Content,
    /// The plan that the provider and the credentials were chosen for: recipients of another one are given back, and the
    /// session ends. `None` where nobody else may change the broadcast meanwhile.
    pub plan: Option<i64>,
    /// With nothing due for longer than this the session ends; `None` waits for whatever is due.
    pub patience: Option<Span>,
    /// The account's credentials were refused, and are worth another try: the first request opens the account for it.
    pub retry_credentials: bool,
    /// Rung when the ledger says that something waits to be done beside the sending.
    pub bells: Bells,
}

/// Why a session ended with everything recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The broadcast takes nobody now.
    Closed(Closed),
    /// Nothing is due within the session's patience.
    Idle,
    /// The plan was made anew, by orders that this session does not know.
    Replanned,
    /// It was told to stop.
    Stopped,
}

/// Why a session could not go on. What is on the wire was awaited and is in the journal.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the content in the ledger cannot be used: {0}")]
    Content(String),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("a task of the sender failed: {0}")]
    Task(#[from] JoinError),
}

impl<L: SenderLedger> Session<L> {
    /// Sends until the broadcast takes nobody any more or `stop` becomes true.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<Ended, SessionError> {
        self.journal.introduce(&self.holder, self.broadcast)?;
        let mut running = Running::new(self, stop);
        let ended = running.send().await;
        if ended.is_err() {
            running.wind_up().await;
        }
        ended
    }
}

/// An answered or failed exchange.
struct Exchanged {
    request: ExchangeRequest,
    requested: Local,
    received: Local,
    answer: Result<ExchangeReply, LedgerError>,
}

/// An attempt that is about to be handed over.
struct Ready {
    seq: i64,
    attempt: u32,
    /// Another part of the message follows this one.
    goes_on: bool,
    slot: Local,
    encoded: Encoded,
}

/// What became of an attempt.
struct Flown {
    seq: i64,
    attempt: u32,
    /// Another part of the message follows this one.
    goes_on: bool,
    /// By which the message named an attachment that the provider keeps.
    handle: Option<String>,
    landing: Landing,
}

/// The template of one plan.
struct PlannedTemplate {
    plan: i64,
    template: MessageTemplate,
}

struct Running<L> {
    session: Session<L>,
    stop: watch::Receiver<bool>,
    holding: Holding,
    offset: ClockOffset,
    flights: JoinSet<Flown>,
    connections: Connections,
    /// When the loop last woke up.
    woken_at: Local,
    exchange: Option<JoinHandle<Exchanged>>,
    number: u64,
    /// The highest of the ledger's replies, those to earlier processes of this journal included.
    known_revision: i64,
    retry: Retry,
    template: Option<PlannedTemplate>,
    uploads: Uploads,
    interval: Span,
    /// What the provider's answers said of its limit since the last request.
    usage: Option<Usage>,
    request_timeout: Span,
    ended: Option<Ended>,
    /// When a stopped sender gives up recording.
    give_up_at: Option<Local>,
}

impl<L: SenderLedger> Running<L> {
    fn new(session: Session<L>, stop: watch::Receiver<bool>) -> Running<L> {
        let now = Local::now();
        let holding = Holding::new(now);
        let retry = Retry::new(&session.holder);
        let known_revision = session.journal.revision(session.broadcast);
        let connections = Connections::new(session.transport.clone());
        let uploads = Uploads::of(session.broadcast, &session.holder, &session.content, session.provider.as_ref());
        Running {
            session,
            stop,
            holding,
            offset: ClockOffset::default(),
            flights: JoinSet::new(),
            connections,
            woken_at: now,
            exchange: None,
            number: 0,
            known_revision,
            retry,
            template: None,
            uploads,
            interval: Span::ZERO,
            usage: None,
            request_timeout: Span::ZERO,
            ended: None,
            give_up_at: None,
        }
    }

    async fn send(&mut self) -> Result<Ended, SessionError> {
        loop {
            if *self.stop.borrow() {
                self.leave(Ended::Stopped);
            }
            let next_slot = self.begin_due()?;
            let now = Local::now();
            self.connect(now);
            if self.exchange.is_none() && self.holding.ask_at(now) <= now {
                self.ask(now);
            }
            if self.is_idle() {
                self.leave(Ended::Idle);
            }
            if self.exchange.is_none() && self.holding.is_leaving() && self.holding.is_settled() {
                return self.say_goodbye().await;
            }
            self.wait(next_slot).await?;
        }
    }

    /// Whether there is nothing to do for longer than this session waits. Slots of a slow rate are waited for.
    fn is_idle(&self) -> bool {
        let Some(patience) = self.session.patience else { return false };
        let patience = patience.max(pacing::longest_wait(self.interval));
        self.exchange.is_none() && self.holding.is_settled() && self.holding.idle_until() > Local::now() + patience
    }

    fn leave(&mut self, why: Ended) {
        let now = Local::now();
        self.ended.get_or_insert(why);
        self.give_up_at.get_or_insert(now + CONNECT_TIMEOUT + self.request_timeout + RECORD_GRACE);
        self.holding.leave(now);
    }

    /// Waits for something to do, at least until the round is over, and takes the answers that came.
    async fn wait(&mut self, next_slot: Option<Local>) -> Result<(), SessionError> {
        let round_ends = self.woken_at + ROUND;
        if Local::now() < round_ends {
            sleep_until(round_ends).await;
        }
        // Before the slots: at a high rate the next one has always come, and no answer would be taken.
        if !self.take_answers().await? {
            self.wait_for_any(next_slot).await?;
        }
        self.woken_at = Local::now();
        Ok(())
    }

    /// Takes every answer of the provider and of the ledger that is there; returns whether there was one.
    async fn take_answers(&mut self) -> Result<bool, SessionError> {
        let flown = self.flown(None);
        let mut any = !flown.is_empty();
        self.land(flown)?;
        any |= self.connections.have_opened()?;
        if self.exchange.as_ref().is_some_and(JoinHandle::is_finished) {
            let exchanged = joined(&mut self.exchange).await;
            self.exchange = None;
            self.handle(exchanged?)?;
            any = true;
        }
        if self.uploads.have_ended() {
            self.uploads.done().await?;
            any = true;
        }
        Ok(any)
    }

    /// Waits for the next slot, an answer of the provider or of the ledger, or the order to stop.
    async fn wait_for_any(&mut self, next_slot: Option<Local>) -> Result<(), SessionError> {
        let now = Local::now();
        let ask_at = if self.exchange.is_none() { self.holding.ask_at(now) } else { now + Span::from_secs(1) };
        let wake = next_slot.map_or(ask_at, |slot| slot.min(ask_at));
        let stopping = *self.stop.borrow();
        tokio::select! {
            biased;
            () = sleep_until(wake) => Ok(()),
            Some(first) = self.flights.join_next() => {
                let flown = self.flown(Some(first));
                self.land(flown)
            }
            opened = self.connections.opened() => Ok(opened?),
            uploaded = self.uploads.done() => Ok(uploaded?),
            exchanged = joined(&mut self.exchange) => {
                self.exchange = None;
                self.handle(exchanged?)
            }
            _ = self.stop.changed(), if !stopping => Ok(()),
        }
    }

    /// Begins everything whose slot has come; returns when the next one does.
    fn begin_due(&mut self) -> Result<Option<Local>, SessionError> {
        let mut ready = Vec::new();
        let next_slot = loop {
            match self.holding.due(Local::now()) {
                Due::Begin(held) => ready.extend(self.make_ready(held)),
                Due::NotBefore(instant) => break Some(instant),
                Due::Nothing => break None,
            }
        };
        self.hand_over(ready)?;
        Ok(next_slot)
    }

    /// The request for a recipient whose slot has come; where none can be made, the recipient is failed.
    fn make_ready(&mut self, held: Held) -> Option<Ready> {
        let now = Local::now();
        self.holding.begun(now);
        let Assignment { seq, attempt, part, .. } = held.row;
        let template = self.template.as_ref().map(|planned| &planned.template);
        let provider = self.session.provider.as_ref();
        match flight::request(self.session.broadcast, &held.row, template, provider, &self.uploads) {
            Ok(encoded) => {
                let goes_on = template.is_some_and(|template| part + 1 < template.parts());
                Some(Ready { seq, attempt, goes_on, slot: held.slot, encoded })
            }
            Err(fault) => {
                let outcome = Outcome::Permanent { scope: PermanentScope::Recipient, fault };
                self.holding.ended(Report::new(seq, attempt, outcome), now);
                None
            }
        }
    }

    /// Into the journal, then to the provider.
    fn hand_over(&mut self, ready: Vec<Ready>) -> Result<(), SessionError> {
        if ready.is_empty() {
            return Ok(());
        }
        let now = Local::now();
        let attempts: Vec<(i64, u32)> = ready.iter().map(|ready| (ready.seq, ready.attempt)).collect();
        if let Err(error) = self.session.journal.begun(&self.session.holder, &attempts) {
            for (seq, attempt) in attempts {
                self.holding.ended(Report::new(seq, attempt, Outcome::NotBegun), now);
            }
            return Err(error.into());
        }
        for Ready { seq, attempt, goes_on, slot, encoded: Encoded { request, named } } in ready {
            let (handle, by_link) = match named {
                Named::Handle(handle) => (Some(handle), None),
                Named::Asking(attachment) => (None, Some(attachment)),
                Named::Link => (None, None),
            };
            let flight = Flight {
                provider: self.session.provider.clone(),
                transport: self.connections.lend(now),
                request,
                request_timeout: self.request_timeout,
                start_by: slot + START_TOLERANCE,
                by_link,
            };
            self.flights.spawn(async move { Flown { seq, attempt, goes_on, handle, landing: flight.fly().await } });
        }
        Ok(())
    }

    /// Every attempt that has ended, after the first.
    fn flown(&mut self, first: Option<Result<Flown, JoinError>>) -> Vec<Result<Flown, JoinError>> {
        let mut flown = Vec::from_iter(first);
        flown.extend(std::iter::from_fn(|| self.flights.try_join_next()));
        flown
    }

    /// Takes outcomes: into the journal, then to what is to be reported.
    fn land(&mut self, flown: impl IntoIterator<Item = Result<Flown, JoinError>>) -> Result<(), SessionError> {
        let now = Local::now();
        let (mut reports, mut next_part_is_due, mut failed) = (Vec::new(), false, None);
        for flown in flown {
            match flown {
                Ok(flown) => {
                    next_part_is_due |= flown.goes_on && matches!(flown.landing.outcome, Outcome::Accepted { .. });
                    reports.push(self.note(flown, now));
                }
                Err(error) => failed = Some(error),
            }
        }
        if !reports.is_empty() {
            let written = self.session.journal.ended(&self.session.holder, &reports);
            reports.into_iter().for_each(|report| self.holding.ended(report, now));
            self.release_what_would_be_too_much(now);
            if next_part_is_due {
                self.holding.expect_the_next_part(now);
            }
            written?;
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// What an attempt tells of connections and limits, and what is to be reported of it.
    fn note(&mut self, flown: Flown, now: Local) -> Report {
        let Flown { seq, attempt, handle, mut landing, .. } = flown;
        self.note_attachment(handle.as_deref(), &mut landing, now);
        self.connections.landed(&landing, now);
        let usage = landing.usage.map(|usage| usage.while_on_the_wire(self.flights.len()));
        if let Some(usage) = usage.filter(Usage::matters) {
            self.usage = Some(self.usage.map_or(usage, |before| before.worse(usage)));
        }
        landing.report(seq, attempt)
    }

    /// What is held has slots from before the provider said that it takes nothing for a while. The ledger is told of it with
    /// the next request; what it gave by the one before comes back too.
    fn release_what_would_be_too_much(&mut self, now: Local) {
        if self.usage.is_some_and(|usage| usage.regain_after_ms.is_some()) {
            self.holding.release(now);
        }
    }

    /// Nobody is asked for before connections are open for them.
    fn connect(&mut self, now: Local) {
        let is_free = self.number > 0 && self.exchange.is_none() && !self.holding.is_leaving();
        if !self.attachments_are_ready(is_free, now) {
            return;
        }
        // What is not due is asked about as it is: to be ready all the time would keep the provider busy with handshakes.
        if is_free && now >= self.holding.idle_until() && self.holding.could_take(now) {
            let recipients = self.connections.room(self.holding.pace(now), now);
            self.holding.connect(recipients);
        }
    }

    fn ask(&mut self, now: Local) {
        let wants = self.holding.wants(now);
        let outcomes = self.holding.ask(now);
        let request = self.request(outcomes, wants, false);
        self.exchange = Some(self.post(request, Duration::ZERO));
    }

    fn post(&self, request: ExchangeRequest, after: Duration) -> JoinHandle<Exchanged> {
        let ledger = self.session.ledger.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let requested = Local::now();
            let answer = ledger.exchange(&request).await;
            Exchanged { request, requested, received: Local::now(), answer }
        })
    }

    fn handle(&mut self, exchanged: Exchanged) -> Result<(), SessionError> {
        let Exchanged { request, requested, received, answer } = exchanged;
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) if error.is_transient() && !self.gives_up() => {
                tracing::warn!(reason = error.reason(), %error, "the ledger did not answer; asking again");
                let Some(after) = self.retry.after_failure(received) else { return Err(error.into()) };
                self.exchange = Some(self.post(request, after));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.retry.succeeded();
        self.holding.recorded(&request.outcomes);
        self.receive(reply, requested, received)?;
        Ok(self.session.journal.acknowledged(&self.session.holder, &request.outcomes)?)
    }

    fn receive(&mut self, reply: ExchangeReply, requested: Local, received: Local) -> Result<(), SessionError> {
        // Before anything of the reply is begun: the next process must know what this one was given.
        self.session.journal.learned(self.session.broadcast, reply.revision)?;
        self.known_revision = self.known_revision.max(reply.revision);
        self.offset.observe(reply.now, received);
        self.request_timeout = reply.request_timeout;
        self.interval = reply.interval;
        self.ring(&reply);
        let local = |slot| self.offset.local(slot, reply.now, requested, received);
        // Held before anything here can fail: what is held is given back then.
        let rows: Vec<Held> = reply.rows.into_iter().map(|row| Held { slot: local(row.slot), row }).collect();
        self.holding.receive(rows, reply.interval, reply.turn);
        self.holding.expect_more(reply.more_at.map(local));
        match reply.directive {
            Directive::Continue => self.holding.open(received),
            Directive::Wait { until } => self.holding.wait(local(until), received),
            Directive::Plan => self.leave(Ended::Closed(Closed::NotPlanned)),
            Directive::Stop { reason } => self.leave(Ended::Closed(reason)),
        }
        if !reply.content.map_or(Ok(true), |content| self.take_content(&content))? {
            self.leave(Ended::Replanned);
        }
        if self.holding.is_leaving() {
            self.holding.release(Local::now());
        }
        self.release_what_would_be_too_much(Local::now());
        Ok(())
    }

    fn ring(&self, reply: &ExchangeReply) {
        let Bells { events, owed } = &self.session.bells;
        if reply.notifications {
            events.notify_one();
        }
        if reply.owes {
            owed.iter().for_each(|bell| bell.notify_one());
        }
    }

    /// Returns whether it belongs to the plan that this session works by.
    fn take_content(&mut self, planned: &PlannedContent) -> Result<bool, SessionError> {
        let template = MessageTemplate::compile(&planned.content, self.session.provider.channel())
            .map_err(|error| SessionError::Content(error.to_string()))?;
        self.template = Some(PlannedTemplate { plan: planned.plan, template });
        Ok(self.session.plan.is_none_or(|plan| plan == planned.plan))
    }

    fn gives_up(&self) -> bool {
        self.give_up_at.is_some_and(|at| Local::now() > at)
    }

    /// The next numbered request.
    fn request(&mut self, outcomes: Vec<Report>, wants: u32, leaving: bool) -> ExchangeRequest {
        self.number += 1;
        ExchangeRequest {
            broadcast: self.session.broadcast,
            holder: self.session.holder.clone(),
            display: self.session.display.clone(),
            number: self.number,
            outcomes,
            wants,
            known_revision: self.known_revision,
            held_up: self.holding.is_held_up(Local::now()),
            content_of: self.template.as_ref().map(|template| template.plan),
            usage: self.usage.take(),
            retry_credentials: self.session.retry_credentials && self.number == 1,
            leaving,
        }
    }
}

/// The result of the exchange under way; pending while there is none.
async fn joined(exchange: &mut Option<JoinHandle<Exchanged>>) -> Result<Exchanged, JoinError> {
    match exchange {
        Some(exchange) => exchange.await,
        None => std::future::pending().await,
    }
}
