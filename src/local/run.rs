//! A run from documents to the last recipient: plan, confirm, send, end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::call_backs::CallBacks;
use super::confirmation::{Confirmed, ask, not_confirmed};
use super::interruption::{nothing_sent, unless_interrupted};
use super::manifest::Purpose;
use super::options::{Output, RunOptions};
use super::order::Order;
use super::recovery::{Recovered, recover_file, recover_server};
use super::refusal::{Refusal, refuse};
use super::refused::Refused;
use super::telling::{self, Beside};
use super::transports::Transports;
use super::verdict::{Verdict, headline, json_line, summary};
use super::{call_backs, documents, fixed_plan, ledger_path, progress, rehearsal};
use crate::delivery::gate::Closed;
use crate::delivery::plural::counted;
use crate::ledger::clock::{Clock, SystemClock};
use crate::ledger::exchange::BroadcastId;
use crate::ledger::location::LedgerLocation;
use crate::ledger::plan::PlanTicket;
use crate::ledger::random::random_id;
use crate::ledger::snapshot::BroadcastSnapshot;
use crate::ledger::upkeep::keep_up;
use crate::ledger::{Ledger, LedgerError, SenderLedger as _};
use crate::report::preview::opted_out;
use crate::sender::session::SessionError;
use crate::sender::suppressed::suppress_pending;
use crate::sender::{Ended, PlanError, Session, planner};

/// How often the end of a closed broadcast is looked for.
const END_INTERVAL: Duration = Duration::from_millis(50);

/// One broadcast of the run, known to the ledger.
struct Entry {
    order: Order,
    id: Option<BroadcastId>,
    refused: Option<Refused>,
}

/// Runs and returns how it ended. `stop` becomes true when the user wants to interrupt.
pub async fn run(options: RunOptions, stop: watch::Receiver<bool>) -> Verdict {
    match try_run(&options, stop).await {
        Ok(verdict) => verdict,
        Err(Refusal(message)) => {
            eprintln!("error: {message}");
            Verdict::CouldNotRun
        }
    }
}

async fn try_run(options: &RunOptions, stop: watch::Receiver<bool>) -> Result<Verdict, Refusal> {
    // On a thread of its own: a pipe may keep it waiting for ever.
    let reading = tokio::task::spawn_blocking({
        let documents = options.documents.clone();
        move || documents::read(&documents, &Purpose::RUN)
    });
    let Some(read) = unless_interrupted(&stop, reading).await else { return Ok(nothing_sent()) };
    let orders = read.map_err(refuse)??;
    if let Some(id) = &options.test {
        return rehearsal::test(options, &orders, id, &stop).await;
    }

    let location = ledger_path::resolve(options.ledger.as_ref()).map_err(refuse)?;
    eprintln!("ledger: {location}");
    match location {
        LedgerLocation::File(path) => {
            let recovered = recover_file(&path).await.map_err(refuse)?;
            let verdict = run_on(options, &recovered, orders, stop).await;
            // People copy and move the one file; a failure here loses nothing, it only leaves its companions in use.
            if let Err(error) = recovered.ledger.kept().checkpoint().await {
                tracing::warn!(reason = error.reason(), %error, "the ledger was not gathered into its one file");
            }
            verdict
        }
        LedgerLocation::Server(url) => {
            let recovered = recover_server(url.expose_secret()).await.map_err(refuse)?;
            run_on(options, &recovered, orders, stop).await
        }
    }
}

/// Plans, confirms and sends on an open ledger.
async fn run_on<L: Ledger>(
    options: &RunOptions,
    recovered: &Recovered<L>,
    orders: Vec<Order>,
    stop: watch::Receiver<bool>,
) -> Result<Verdict, Refusal> {
    let call_backs = call_backs::receive(options.receiver, recovered, &orders).await?;
    let upkeep = tokio::spawn(keep_up(recovered.ledger.clone()));
    let mut entries = Vec::new();
    for order in orders {
        entries.push(declare(recovered, order).await?);
    }
    // Told to stop or not, how each broadcast stands after it was drained is what counts.
    let sent = match make_ready(options, recovered, &mut entries, &stop).await? {
        Readiness::Ready => {
            send_to_the_end(recovered, &entries, call_backs.as_ref(), stop).await.map(|()| Verdict::Done)
        }
        Readiness::HeldBack => Ok(Verdict::CouldNotRun),
        Readiness::Interrupted => Ok(nothing_sent()),
    };
    if let Some(call_backs) = call_backs {
        call_backs.end().await;
    }
    upkeep.abort();
    let verdict = finish(options, recovered, &entries).await?;
    Ok(verdict.max(sent?))
}

/// Whether a run may send.
enum Readiness {
    Ready,
    /// A broadcast of it is refused.
    HeldBack,
    Interrupted,
}

/// Plans what is not planned, and has it confirmed.
async fn make_ready<L: Ledger>(
    options: &RunOptions,
    recovered: &Recovered<L>,
    entries: &mut [Entry],
    stop: &watch::Receiver<bool>,
) -> Result<Readiness, Refusal> {
    for entry in entries.iter_mut() {
        match prepare(recovered, entry, stop).await? {
            Prepared::Done => {}
            Prepared::Interrupted => return Ok(Readiness::Interrupted),
        }
    }
    if hold_back(entries) {
        return Ok(Readiness::HeldBack);
    }
    match confirm(options, recovered, entries, stop).await? {
        Confirmed::Yes => Ok(Readiness::Ready),
        Confirmed::No => Err(not_confirmed()),
        Confirmed::Interrupted => Ok(Readiness::Interrupted),
    }
}

/// Makes the broadcast known to the ledger, with what the flight journal knows of its revision. A reused key is this
/// broadcast's own end, not the run's.
async fn declare<L: Ledger>(recovered: &Recovered<L>, mut order: Order) -> Result<Entry, Refusal> {
    let (journal, identity) = (&recovered.journal, order.identity());
    order.declaration.recollection.revision = journal.revision_of(&identity);
    match recovered.ledger.declare(&order.declaration).await {
        Ok(snapshot) => {
            journal.name(snapshot.id, &identity).map_err(refuse)?;
            journal.learned(snapshot.id, snapshot.revision).map_err(refuse)?;
            Ok(Entry { order, id: Some(snapshot.id), refused: None })
        }
        Err(error @ LedgerError::KeyReused { .. }) => {
            let refused = Refused::key(&order, &error, SystemClock.now());
            eprintln!("error: {refused}");
            Ok(Entry { order, id: None, refused: Some(refused) })
        }
        Err(error) => Err(refuse(error)),
    }
}

/// With one plan refused nothing is sent at all, as for every other bad input. Says so for the other broadcasts.
fn hold_back(entries: &[Entry]) -> bool {
    let refused = |entry: &Entry| entry.refused.as_ref().is_some_and(|refused| refused.verdict == Verdict::CouldNotRun);
    if !entries.iter().any(refused) {
        return false;
    }
    for entry in entries.iter().filter(|entry| entry.refused.is_none()) {
        eprintln!("{}: not sent, because another broadcast of this run is refused", entry.order.name());
    }
    true
}

enum Prepared {
    Done,
    Interrupted,
}

/// Plans a broadcast that nobody was attempted of, and lets one go on that only a person may: running it again is that.
async fn prepare<L: Ledger>(
    recovered: &Recovered<L>,
    entry: &mut Entry,
    stop: &watch::Receiver<bool>,
) -> Result<Prepared, Refusal> {
    let Some(id) = entry.id else { return Ok(Prepared::Done) };
    let ledger = recovered.ledger.as_ref();
    ledger.lift_credential_stop(id).await.map_err(refuse)?;
    ledger.lift_block(id, i64::MAX).await.map_err(refuse)?;
    let snapshot = settle_loss(recovered, id).await?;
    // What was lifted is over, and told again where it comes back.
    telling::look(ledger, &snapshot).await.map_err(refuse)?;
    let name = entry.order.name();
    if snapshot.gate.loss.is_some() && !snapshot.gate.at_risk {
        return Ok(Prepared::Done);
    }
    if let Some(sealed) = snapshot.plan.as_ref().filter(|_| snapshot.first_attempt_at.is_some()) {
        eprintln!("{}", fixed_plan::words(&entry.order, sealed, &snapshot));
        return judge(recovered, entry, &snapshot, stop).await;
    }
    if snapshot.gate.ended(snapshot.now).is_some() {
        return Ok(Prepared::Done);
    }
    match planner::plan(ledger, id, entry.order.plan_spec(), stop).await {
        Ok(plan) => {
            let planned = ledger.snapshot(id).await.map_err(refuse)?;
            eprintln!(
                "{name}: {}, in batches of {} ({}, {} excluded{})",
                counted(plan.planned, "recipient", "recipients"),
                plan.batch_size,
                counted(plan.duplicates, "duplicate", "duplicates"),
                plan.excluded,
                opted_out(planned.opted_out())
            );
            planned.words.warnings.iter().for_each(|warning| eprintln!("{name}: warning: {warning}"));
            settle_loss(recovered, id).await?;
            Ok(Prepared::Done)
        }
        Err(PlanError::Interrupted) => Ok(Prepared::Interrupted),
        Err(PlanError::Ledger(error)) => Err(refuse(error)),
        Err(error) => {
            let refused = Refused::plan(&entry.order, &error, snapshot.now);
            eprintln!("error: {refused}");
            entry.refused = Some(refused);
            Ok(Prepared::Done)
        }
    }
}

/// Skips those of a fixed plan whom the lists of people who get nothing name by now. Where one cannot be read nobody is sent to.
async fn judge<L: Ledger>(
    recovered: &Recovered<L>,
    entry: &mut Entry,
    snapshot: &BroadcastSnapshot,
    stop: &watch::Receiver<bool>,
) -> Result<Prepared, Refusal> {
    let Order { suppressed, materials, .. } = &entry.order;
    if snapshot.finished_at.is_some() || snapshot.gate.ended(snapshot.now).is_some() || suppressed.is_empty() {
        return Ok(Prepared::Done);
    }
    let brief = recovered.ledger.brief(snapshot.id).await.map_err(refuse)?;
    let plan = PlanTicket { broadcast: snapshot.id, epoch: brief.plan };
    match suppress_pending(recovered.ledger.as_ref(), plan, suppressed, materials, stop).await {
        Ok(0) => {}
        Ok(skipped) => {
            let people = counted(skipped, "person is", "people are");
            eprintln!("{}: {people} named by spec.suppression of the channel now, and skipped", entry.order.name());
        }
        Err(PlanError::Interrupted) => return Ok(Prepared::Interrupted),
        Err(PlanError::Ledger(error)) => return Err(refuse(error)),
        Err(error) => {
            let refused = Refused::plan(&entry.order, &error, snapshot.now);
            eprintln!("error: {refused}");
            entry.refused = Some(refused);
        }
    }
    Ok(Prepared::Done)
}

/// Where a person has approved that the ledger lost commits, makes everybody at risk unknown before anybody is sent to.
async fn settle_loss<L: Ledger>(recovered: &Recovered<L>, id: BroadcastId) -> Result<BroadcastSnapshot, Refusal> {
    loop {
        let snapshot = recovered.ledger.snapshot(id).await.map_err(refuse)?;
        if !snapshot.gate.at_risk || snapshot.plan.is_none() {
            return Ok(snapshot);
        }
        recovered.ledger.maintain().await.map_err(refuse)?;
    }
}

/// Before the first message to a provider that is not on this machine, a person at a terminal is asked.
async fn confirm<L: Ledger>(
    options: &RunOptions,
    recovered: &Recovered<L>,
    entries: &[Entry],
    stop: &watch::Receiver<bool>,
) -> Result<Confirmed, Refusal> {
    for entry in entries.iter().filter(|entry| entry.refused.is_none()) {
        let Some(id) = entry.id else { continue };
        let snapshot = recovered.ledger.snapshot(id).await.map_err(refuse)?;
        let sends = matches!(snapshot.closed, None | Some(Closed::Scheduled)) && snapshot.first_attempt_at.is_none();
        if !sends || entry.order.is_on_this_machine() {
            continue;
        }
        let account = &entry.order.declaration.account;
        let question = format!(
            "{}: send to {} through {} {} at {}?",
            entry.order.name(),
            counted(snapshot.counts.pending, "person", "people"),
            account.provider,
            account.account,
            account.host
        );
        match ask(options, &question, stop).await.map_err(refuse)? {
            Confirmed::Yes => {}
            other => return Ok(other),
        }
    }
    Ok(Confirmed::Yes)
}

/// What went wrong while broadcasts were sent side by side: the trouble of one is its own, and told once all have ended.
#[derive(Default)]
struct Troubles {
    first: Option<Refusal>,
    /// Whose sessions could not go on; only another run takes them up again.
    broadcasts: BTreeSet<BroadcastId>,
}

impl Troubles {
    fn note(&mut self, broadcast: Option<BroadcastId>, error: impl Display) {
        self.broadcasts.extend(broadcast);
        self.first.get_or_insert_with(|| refuse(error));
    }
}

/// Sends, and once more whenever a call-back has told of a part of somebody's message whose next one may follow.
async fn send_to_the_end<L: Ledger>(
    recovered: &Recovered<L>,
    entries: &[Entry],
    call_backs: Option<&CallBacks>,
    stop: watch::Receiver<bool>,
) -> Result<(), Refusal> {
    let mut troubles = Troubles::default();
    let ended = send_rounds(recovered, known(entries), call_backs, stop, &mut troubles).await;
    troubles.first.map_or(ended, Err)
}

async fn send_rounds<L: Ledger>(
    recovered: &Recovered<L>,
    mut sent: Vec<(&Order, BroadcastId)>,
    call_backs: Option<&CallBacks>,
    stop: watch::Receiver<bool>,
    troubles: &mut Troubles,
) -> Result<(), Refusal> {
    loop {
        send(recovered, &sent, stop.clone(), troubles).await?;
        sent.retain(|(_, id)| !troubles.broadcasts.contains(id));
        let Some(call_backs) = call_backs else { return Ok(()) };
        if !call_backs.await_unknown(recovered, &sent, &stop).await? {
            return Ok(());
        }
    }
}

/// Sends all broadcasts side by side until each is closed or the run is interrupted. What fails before anything is begun is an
/// error; of one that fails later the others are sent and told of to their end.
async fn send<L: Ledger>(
    recovered: &Recovered<L>,
    known: &[(&Order, BroadcastId)],
    stop: watch::Receiver<bool>,
    troubles: &mut Troubles,
) -> Result<(), Refusal> {
    let (mut running, mut transports) = (Vec::new(), Transports::default());
    for (order, id) in known {
        // What has ended or is suspended gets no sender, and no line of progress.
        let snapshot = recovered.ledger.snapshot(*id).await.map_err(refuse)?;
        if matches!(snapshot.closed, None | Some(Closed::Scheduled)) {
            running.push((*order, *id, transports.to(order.provider.as_ref()).map_err(refuse)?));
        }
    }
    let names = running.iter().map(|(order, id, _)| (*id, order.name().to_owned())).collect();
    let (done, is_done) = watch::channel(false);
    let shown = tokio::spawn(progress::show(recovered.ledger.clone(), names, is_done));
    let beside = Beside::start(recovered, known.iter().map(|(entry, id)| (*entry, *id)));
    let mut sessions = Sessions::default();
    for (order, id, transport) in &running {
        for number in 1..=order.broadcast.spec.delivery.senders {
            let session = Session {
                ledger: recovered.ledger.clone(),
                broadcast: *id,
                holder: random_id(),
                display: format!("{}-{number}", order.name()),
                provider: order.provider.clone(),
                transport: transport.clone(),
                journal: recovered.journal.clone(),
                content: order.declaration.content.clone(),
                plan: None,
                patience: None,
                retry_credentials: false,
                bells: beside.bells(*id),
            };
            sessions.start(*id, order.name(), session.run(stop.clone()));
        }
    }
    let told = tokio::spawn(tell_of_the_stop(stop.clone()));
    sessions.end(troubles).await;
    told.abort();
    let ended = end_all(recovered, known, beside, &stop).await;
    done.send_replace(true);
    // A panic while drawing is no reason to call the run failed.
    let _ = shown.await;
    ended
}

/// Sees every broadcast to its end, and what is done beside the sending; the first error is told.
async fn end_all<L: Ledger>(
    recovered: &Recovered<L>,
    known: &[(&Order, BroadcastId)],
    beside: Beside,
    stop: &watch::Receiver<bool>,
) -> Result<(), Refusal> {
    let mut ended = Ok(());
    for (_, id) in known {
        ended = ended.and(await_end(recovered, *id, stop).await);
    }
    ended.and(beside.finish(recovered.ledger.as_ref(), stop).await.map_err(refuse))
}

/// The broadcasts that are not refused, with their numbers.
fn known(entries: &[Entry]) -> Vec<(&Order, BroadcastId)> {
    let known = entries.iter().filter(|entry| entry.refused.is_none());
    known.filter_map(|entry| Some((&entry.order, entry.id?))).collect()
}

/// What stopping means once there is something to stop.
async fn tell_of_the_stop(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stopped| *stopped).await.is_ok() {
        eprintln!("nothing new is begun; requests on the wire are awaited");
    }
}

/// The sessions of a run, and whose each is.
#[derive(Default)]
struct Sessions {
    tasks: JoinSet<Result<Ended, SessionError>>,
    broadcasts: BTreeMap<tokio::task::Id, (BroadcastId, String)>,
}

impl Sessions {
    fn start(
        &mut self,
        broadcast: BroadcastId,
        name: &str,
        session: impl Future<Output = Result<Ended, SessionError>> + Send + 'static,
    ) {
        let task = self.tasks.spawn(session).id();
        self.broadcasts.insert(task, (broadcast, name.to_owned()));
    }

    /// All sessions end by themselves: where one fails, the others go on.
    async fn end(mut self, troubles: &mut Troubles) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let (task, error) = match ended {
                Ok((_, Ok(_))) => continue,
                Ok((task, Err(error))) => (task, error),
                Err(error) => (error.id(), SessionError::Task(error)),
            };
            match self.broadcasts.get(&task) {
                Some((broadcast, name)) => troubles.note(Some(*broadcast), format!("{name}: {error}")),
                None => troubles.note(None, error),
            }
        }
    }
}

/// A cancelled or expired broadcast ends when its pending recipients are skipped. Upkeep is done here as well, so that a
/// ledger that fails ends the run instead of keeping it waiting.
async fn await_end<L: Ledger>(
    recovered: &Recovered<L>,
    id: BroadcastId,
    stop: &watch::Receiver<bool>,
) -> Result<(), Refusal> {
    loop {
        let snapshot = recovered.ledger.snapshot(id).await.map_err(refuse)?;
        let ending = matches!(snapshot.closed, Some(Closed::Cancelled | Closed::Expired | Closed::Missed))
            && snapshot.plan.is_some();
        if !ending || snapshot.counts.open() == 0 || *stop.borrow() {
            return Ok(());
        }
        if !recovered.ledger.maintain().await.map_err(refuse)? {
            tokio::time::sleep(END_INTERVAL).await;
        }
    }
}

/// Prints how each broadcast stands, in the order of the files.
async fn finish<L: Ledger>(
    options: &RunOptions,
    recovered: &Recovered<L>,
    entries: &[Entry],
) -> Result<Verdict, Refusal> {
    let mut worst = Verdict::Done;
    let mut lines = Vec::new();
    for entry in entries {
        let snapshot: Option<BroadcastSnapshot> = match entry.id {
            Some(id) => Some(recovered.ledger.snapshot(id).await.map_err(refuse)?),
            None => None,
        };
        let own = match (&entry.refused, &snapshot) {
            (Some(refused), _) => refused.verdict,
            (None, Some(snapshot)) => Verdict::of(snapshot),
            (None, None) => Verdict::CouldNotRun,
        };
        worst = worst.max(own);
        lines.push((entry, snapshot));
    }
    for (entry, snapshot) in &lines {
        match (options.output, &entry.refused, snapshot) {
            (Output::Json, refused, snapshot) => {
                // What only a person can change is told to people as well; a refusal was, where it arose.
                let held = snapshot.as_ref().filter(|_| refused.is_none());
                if let Some(held) = held.filter(|held| Verdict::of(held) == Verdict::NeedsPerson) {
                    eprintln!("{}: {}", held.name, headline(held));
                }
                println!("{}", json_line(&entry.order, snapshot.as_ref(), refused.as_ref()));
            }
            // A run that could not begin has said why on standard error.
            (Output::Text, None, Some(snapshot)) if worst != Verdict::CouldNotRun => println!("{}", summary(snapshot)),
            (Output::Text, ..) => {}
        }
    }
    Ok(worst)
}
