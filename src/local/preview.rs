//! `herald preview`: what a run would send. Planned by the same steps as a run, in a ledger that nobody else sees and that is
//! gone with the process; no provider is called.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::sync::watch;

use super::documents;
use super::interruption::{nothing_sent, unless_interrupted};
use super::manifest::{Namespace, Purpose};
use super::options::{DocumentOptions, Output};
use super::order::Order;
use super::refusal::{Refusal, refuse};
use super::refused::Refused;
use super::verdict::{Verdict, headline};
use crate::delivery::gate::Closed;
use crate::delivery::rate_class::messages_per_second;
use crate::ledger::clock::SystemClock;
use crate::ledger::snapshot::BroadcastSnapshot;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Clock, Ledger};
use crate::report::preview::{Outlook, PlanFigures, Preview, seconds};
use crate::report::words::rounded;
use crate::sender::assembly::Part;
use crate::sender::{PlanError, planner};

/// Shows what `herald run` would send, without a ledger and without asking the provider for anything.
///
/// The audience is read, de-duplicated and rendered as for a run: how many recipients there are, in which batches, how long it
/// takes, what five messages look like, or what is wrong and where. Whom the channel's lists name (`spec.suppression`) is
/// counted as opted out. What is in the ledger of earlier runs is not looked at, so that whoever has opted out there is counted
/// like anybody else. Credentials, and whatever else only sending needs, may be missing.
/// Exit codes: 0 everything could be planned; 1 something is refused; 3 interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct PreviewOptions {
    #[command(flatten)]
    pub documents: DocumentOptions,

    /// How results are printed on standard output; messages for people go to standard error.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Shows them and returns how it ended.
pub async fn preview(options: &PreviewOptions, namespace: Namespace, stop: watch::Receiver<bool>) -> Verdict {
    match try_preview(options, namespace, &stop).await {
        Ok(verdict) => verdict,
        Err(Refusal(message)) => {
            eprintln!("error: {message}");
            Verdict::CouldNotRun
        }
    }
}

async fn try_preview(
    options: &PreviewOptions,
    namespace: Namespace,
    stop: &watch::Receiver<bool>,
) -> Result<Verdict, Refusal> {
    // On a thread of its own: a pipe may keep it waiting for ever.
    let reading = tokio::task::spawn_blocking({
        let documents = options.documents.clone();
        let purpose = Purpose { namespace, sends: false };
        move || documents::read(&documents, &purpose)
    });
    let Some(read) = unless_interrupted(stop, reading).await else { return Ok(nothing_sent()) };
    let orders = read.map_err(refuse)??;
    let ledger = SqliteLedger::temporary(Arc::new(SystemClock)).await.map_err(refuse)?;
    let mut verdict = Verdict::Done;
    for order in orders {
        let Some(outlook) = look_ahead(&ledger, &order, stop).await? else { return Ok(nothing_sent()) };
        if matches!(outlook, Outlook::Refused { .. }) {
            verdict = Verdict::CouldNotRun;
        }
        let (namespace, name) = (order.declaration.namespace.clone(), order.declaration.name.clone());
        let preview = Preview { namespace, name, outlook };
        print(&preview, options.output)?;
    }
    Ok(verdict)
}

/// A refusal was told where it arose; programs get it as well. A reader that has seen enough is no error.
fn print(preview: &Preview, output: Output) -> Result<(), Refusal> {
    let text = match (output, &preview.outlook) {
        (Output::Json, _) => preview.json(),
        (Output::Text, Outlook::Plan(_)) => preview.text(),
        (Output::Text, Outlook::Refused { .. }) => return Ok(()),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Refusal(format!("failed to write: {error}"))),
    }
}

/// Plans a broadcast as if it were suspended; `None` where a person interrupts.
async fn look_ahead(
    ledger: &SqliteLedger,
    order: &Order,
    stop: &watch::Receiver<bool>,
) -> Result<Option<Outlook>, Refusal> {
    if let Some(shown) = known_elsewhere(order) {
        let message = format!(
            "only a ledger knows {shown}, and a preview has none; set spec.suspend: true and use herald run, which shows the same"
        );
        return Ok(Some(told(Refused::audience(order, "AudienceNotFound", message, SystemClock.now()))));
    }
    let mut declaration = order.declaration.clone();
    declaration.suspended = true;
    let declared = ledger.declare(&declaration).await.map_err(refuse)?;
    match planner::plan(ledger, declared.id, order.plan_spec(), stop).await {
        Ok(_) => {
            let snapshot = ledger.snapshot(declared.id).await.map_err(refuse)?;
            // Told before there was a plan: a run makes none for what has ended.
            let ended = declared.gate.ended(declared.now).map(|_| headline(&declared));
            let stopped = snapshot.closed.filter(|closed| *closed != Closed::Suspended).map(|_| headline(&snapshot));
            Ok(Some(Outlook::Plan(PlanFigures { held: ended.or(stopped), ..figures(&snapshot) })))
        }
        Err(PlanError::Interrupted) => Ok(None),
        Err(PlanError::Ledger(error)) => Err(refuse(error)),
        Err(error) => Ok(Some(told(Refused::plan(order, &error, declared.now)))),
    }
}

fn told(refused: Refused) -> Outlook {
    eprintln!("error: {refused}");
    Outlook::Refused { reason: refused.reason().to_owned(), message: refused.to_string() }
}

/// The part of the audience that only a ledger knows, for messages.
fn known_elsewhere(order: &Order) -> Option<String> {
    let spec = order.plan_spec();
    spec.sources.into_iter().chain(spec.exclude).find_map(|part| match part {
        Part::Known { shown, .. } => Some(shown),
        Part::Read(_) => None,
    })
}

fn figures(snapshot: &BroadcastSnapshot) -> PlanFigures {
    let plan = snapshot.plan.as_ref();
    let planned = snapshot.counts.total();
    let class = snapshot.rate_class.as_ref();
    let per_second = messages_per_second(snapshot.effective_per_second, snapshot.parts, class);
    PlanFigures {
        planned,
        duplicates: plan.map_or(0, |plan| plan.duplicates as i64),
        excluded: plan.map_or(0, |plan| plan.excluded as i64),
        opted_out: snapshot.opted_out(),
        batches: snapshot.batches_total,
        batch_size: plan.map_or(0, |plan| i64::from(plan.batch_size)),
        rate: Some(snapshot.rate.into()),
        effective_per_second: Some(rounded(snapshot.effective_per_second)),
        parts: snapshot.parts,
        rate_class: snapshot.rate_class.as_ref().map(Into::into),
        seconds: seconds(planned - snapshot.opted_out(), per_second),
        held: None,
        samples: snapshot.words.samples.clone(),
        warnings: snapshot.words.warnings.clone(),
    }
}
