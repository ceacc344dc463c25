//! `herald sender`: one process of a sender pod, from its first question to its last word.
//!
//! It asks what it is to do, tells what the process before it had on the wire, and then goes in rounds: a session sends;
//! where it is asked for a plan it plans and begins the next round. What only people can mend is told as a trouble, and
//! the process ends in order: the next wave looks again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::assembly;
use super::credential_watch::{CredentialWatch, Worth};
use super::errands::{Bells, Errands, Known, Why};
use super::journal::{Journal, JournalError};
use super::label_write_back::ProviderNow;
use super::mounts::{CredentialsError, Fingerprint, Folders, MountedCredentials, MountedMaterials};
use super::patient_ledger::PatientLedger;
use super::planner::{self, PlanError, PlanSpec, Restarts};
use super::recovery::{RecoveryError, take_over};
use super::retry::Retry;
use super::session::{Ended, Session, SessionError};
use super::suppressed::suppress_pending;
use super::transport::{Transport, TransportError};
use super::uploads::{ATTACHMENT_REFUSED, UploadError};
use crate::api::{MessageChannelSpec, ObjectRef};
use crate::audience::Materials;
use crate::content::MessageTemplate;
use crate::delivery::gate::Closed;
use crate::delivery::outcome::Fault;
use crate::delivery::time::Span;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::plan::PlanTicket;
use crate::ledger::random::random_id;
use crate::ledger::{Brief, LedgerError, SenderLedger, Trouble};
use crate::provider::Provider;

/// With nothing due for longer than this a pod would only wait: it makes room, and the next wave starts in time. Shorter,
/// and pods would come and go with every backoff.
const PATIENCE: Span = Span::from_secs(60);
/// A round ends without sending only when somebody edits the broadcast or plans it at the same time. Who meets that more
/// often leaves it to the next wave.
const MAX_ROUNDS: u32 = 100;
/// A process that is stopped while it takes over goes on with that for so long: what is told now need not become unknown.
const TAKE_OVER_GRACE: Duration = Duration::from_secs(10);

/// One process of a sender pod.
pub struct SenderProcess<L> {
    pub ledger: Arc<L>,
    pub folders: Folders,
    /// The pod's name, for people.
    pub display: String,
}

/// Why a process left in order. There is nothing that starting it again would mend: the exit code is 0.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Left {
    #[error("the broadcast takes nobody now: {}", .0.as_str())]
    Closed(Closed),
    #[error("nothing is due within a minute")]
    Idle,
    #[error("the plan was made anew too often")]
    Outrun,
    #[error("stopped; everything is recorded")]
    Stopped,
    #[error("the broadcast is gone")]
    Gone,
    #[error("the operator speaks another version of the ledger API; it serves {served}")]
    OtherVersion { served: String },
    #[error("{}: {}", .0.reason, one_line(&.0.message))]
    Trouble(Trouble),
}

/// The last words of a container are one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a process could not go on; started again it may. What it had on the wire is in the journal.
#[derive(Debug, thiserror::Error)]
pub enum SenderFailure {
    #[error("{reason}: {error}", reason = error.reason())]
    Ledger { error: LedgerError },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("a task of the sender failed: {0}")]
    Task(#[from] JoinError),
}

impl From<LedgerError> for SenderFailure {
    fn from(error: LedgerError) -> SenderFailure {
        SenderFailure::Ledger { error }
    }
}

impl From<RecoveryError> for SenderFailure {
    fn from(error: RecoveryError) -> SenderFailure {
        match error {
            RecoveryError::Ledger(error) => error.into(),
            RecoveryError::Journal(error) => error.into(),
        }
    }
}

impl<L: SenderLedger> SenderProcess<L> {
    /// Works until there is nothing to do or `stop` becomes true. `first_brief` asks the ledger for the broadcast of
    /// this process, which knows it by nothing but its token.
    ///
    /// # Errors
    /// See [`SenderFailure`].
    pub async fn run<C>(self, first_brief: impl Fn() -> C, stop: watch::Receiver<bool>) -> Result<Left, SenderFailure>
    where
        C: Future<Output = Result<Brief, LedgerError>>,
    {
        match self.work(first_brief, stop).await {
            Err(SenderFailure::Ledger { error: LedgerError::UnknownBroadcast }) => Ok(Left::Gone),
            Err(SenderFailure::Ledger { error: LedgerError::UnsupportedVersion { served } }) => {
                Ok(Left::OtherVersion { served })
            }
            left => left,
        }
    }

    async fn work<C>(self, first_brief: impl Fn() -> C, stop: watch::Receiver<bool>) -> Result<Left, SenderFailure>
    where
        C: Future<Output = Result<Brief, LedgerError>>,
    {
        let name = random_id();
        let asked = Retry::new(&name).answered(first_brief);
        let Some(brief) = unless_stopped(&stop, Duration::ZERO, asked).await else { return Ok(Left::Stopped) };
        let Brief { broadcast, orders, notifies, write_backs, namespace, .. } = brief?;
        let folders = Folders { namespace: namespace.into(), ..self.folders };
        let ledger = Arc::new(PatientLedger::new(self.ledger, name));
        let journal = folders.journal_file();
        let taken_over = take_over(&journal, ledger.as_ref(), Some(broadcast));
        let Some(journal) = unless_stopped(&stop, TAKE_OVER_GRACE, taken_over).await else { return Ok(Left::Stopped) };
        let materials: Arc<dyn Materials> = Arc::new(MountedMaterials(folders.clone()));
        let known = Known { notifies, targets: &write_backs };
        let provider = provider_now(&folders, &orders.channel);
        let errands = Errands::start(&ledger, broadcast, &materials, provider, known);
        let rounds = Rounds {
            ledger,
            broadcast,
            folders,
            display: self.display,
            journal: Arc::new(journal?),
            secret: orders.channel.credentials_secret_ref,
            credentials: CredentialWatch::default(),
            retry_credentials: false,
            freshly_planned: false,
            restarts: Restarts::default(),
            bells: errands.bells(),
            stop: stop.clone(),
        };
        let left = rounds.run().await;
        errands.finish(why(&left), &stop).await;
        left
    }
}

/// The provider of a channel, with the credentials as they are mounted now.
fn provider(folders: &Folders, channel: &MessageChannelSpec) -> Result<Arc<dyn Provider>, CredentialsError> {
    let secret = channel.credentials_secret_ref.as_ref().map(|reference| reference.name.as_str());
    let (folder, namespace) = (folders.credentials.as_path(), folders.namespace.as_ref());
    let credentials = MountedCredentials { folder, secret, is_whole: true, namespace };
    assembly::provider(channel, &credentials).map_err(|error| credentials.explain(error))
}

fn provider_now(folders: &Folders, channel: &MessageChannelSpec) -> ProviderNow {
    let (folders, channel) = (folders.clone(), channel.clone());
    Arc::new(move || provider(&folders, &channel).map_err(|error| Fault::new(error.reason(), None, error.to_string())))
}

/// Why a process sends to nobody any more.
fn why(left: &Result<Left, SenderFailure>) -> Why {
    match left {
        Ok(Left::Stopped) => Why::Stopped,
        Ok(Left::Closed(closed)) if closed.is_end() => Why::Ended,
        _ => Why::Paused,
    }
}

/// What `work` comes to; `None` once it is stopped and `grace` has passed.
async fn unless_stopped<T>(stop: &watch::Receiver<bool>, grace: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut stop = stop.clone();
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return Some(done),
        Ok(_) = stop.wait_for(|stopped| *stopped) => {}
    }
    tokio::time::timeout(grace, work).await.ok()
}

/// A process that knows its broadcast and has taken over.
struct Rounds<L> {
    ledger: Arc<PatientLedger<L>>,
    broadcast: BroadcastId,
    folders: Folders,
    display: String,
    journal: Arc<Journal>,
    /// Which Secret is mounted: that of the channel when the pod was made.
    secret: Option<ObjectRef>,
    credentials: CredentialWatch,
    /// The next session is to try credentials that were refused.
    retry_credentials: bool,
    /// The plan was sealed a moment ago by this process, which has read the lists of people who get nothing for it.
    freshly_planned: bool,
    /// Of the plan that is made.
    restarts: Restarts,
    bells: Bells,
    stop: watch::Receiver<bool>,
}

/// `None` goes on with the next round.
type Round = Result<Option<Left>, SenderFailure>;

impl<L: SenderLedger> Rounds<L> {
    async fn run(mut self) -> Result<Left, SenderFailure> {
        for _ in 0..MAX_ROUNDS {
            if let Some(left) = self.next().await? {
                return Ok(left);
            }
        }
        Ok(Left::Outrun)
    }

    /// Sends by the orders of now until there is nothing to do, or plans when asked to.
    async fn next(&mut self) -> Round {
        let brief = self.ledger.brief(self.broadcast);
        let Some(brief) = unless_stopped(&self.stop, Duration::ZERO, brief).await else {
            return Ok(Some(Left::Stopped));
        };
        let brief = brief?;
        if brief.under_way
            && !std::mem::take(&mut self.freshly_planned)
            && let Some(left) = self.judge(&brief).await?
        {
            return Ok(Some(left));
        }
        let (mounted, began) = (Fingerprint::of(&self.folders.credentials), Instant::now());
        let provider = match self.provider(&brief) {
            Ok(provider) => provider,
            Err(trouble) => return self.tell(brief.plan, trouble).await,
        };
        let transport = Transport::new(provider.endpoint())?;
        let session = Session {
            ledger: self.ledger.clone(),
            broadcast: self.broadcast,
            holder: random_id(),
            display: self.display.clone(),
            provider,
            transport,
            journal: self.journal.clone(),
            content: brief.content.clone(),
            plan: Some(brief.plan),
            patience: Some(PATIENCE),
            retry_credentials: std::mem::take(&mut self.retry_credentials),
            bells: self.bells.clone(),
        };
        match session.run(self.stop.clone()).await {
            Ok(Ended::Closed(Closed::NotPlanned)) => self.plan().await,
            Ok(Ended::Closed(Closed::CredentialsInvalid)) => self.await_credentials(mounted, began.elapsed()).await,
            Ok(Ended::Closed(reason)) => Ok(Some(Left::Closed(reason))),
            Ok(Ended::Replanned) => Ok(None),
            Ok(Ended::Idle) => Ok(Some(Left::Idle)),
            Ok(Ended::Stopped) => Ok(Some(Left::Stopped)),
            Err(SessionError::Content(text)) => self.tell(brief.plan, Trouble::new("MessageInvalid", &text)).await,
            Err(SessionError::Upload(UploadError::Refused(refused))) => {
                self.tell(brief.plan, Trouble::new(ATTACHMENT_REFUSED, &refused.to_string())).await
            }
            Err(SessionError::Upload(UploadError::Ledger(error))) => Err(error.into()),
            Err(SessionError::Upload(UploadError::Task(error))) => Err(error.into()),
            Err(SessionError::Ledger(error)) => Err(error.into()),
            Err(SessionError::Journal(error)) => Err(error.into()),
            Err(SessionError::Task(error)) => Err(error.into()),
        }
    }

    /// Skips those of a sealed plan whom the lists name now. Where one cannot be read nobody is sent to.
    async fn judge(&self, brief: &Brief) -> Round {
        let plan = PlanTicket { broadcast: self.broadcast, epoch: brief.plan };
        let lists = assembly::suppressed(&brief.orders.suppression);
        let materials: Arc<dyn Materials> = Arc::new(MountedMaterials(self.folders.clone()));
        match suppress_pending(self.ledger.as_ref(), plan, &lists, &materials, &self.stop).await {
            Ok(skipped) => {
                if skipped > 0 {
                    tracing::info!(broadcast = brief.name, skipped, "skipped whom the lists of the channel name");
                }
                Ok(None)
            }
            Err(PlanError::Interrupted) => Ok(Some(Left::Stopped)),
            // Its plan is made anew, by the lists of then.
            Err(PlanError::Ledger(LedgerError::PlanSuperseded)) => Ok(None),
            Err(PlanError::Ledger(error)) => Err(error.into()),
            Err(error) => self.tell(brief.plan, Trouble::new(error.reason(), &error.to_string())).await,
        }
    }

    /// Stays where nothing but refused credentials is in the way: only a sender sees that the Secret has changed. A pod
    /// that has another Secret mounted than the channel names now leaves to one that has it.
    async fn await_credentials(&mut self, in_use: Fingerprint, served: Duration) -> Round {
        let (ledger, broadcast, secret) = (self.ledger.clone(), self.broadcast, self.secret.clone());
        let is_refused = || {
            let (ledger, secret) = (ledger.clone(), secret.clone());
            async move {
                let brief = ledger.brief(broadcast).await?;
                let is_mounted = brief.orders.channel.credentials_secret_ref == secret;
                Ok::<bool, LedgerError>(brief.credentials_refused && is_mounted)
            }
        };
        let folder = self.folders.credentials.clone();
        let waited = async {
            if !is_refused().await? {
                return Ok(None);
            }
            let mounted = || Fingerprint::of(&folder);
            self.credentials.wait(&in_use, served, mounted, &is_refused).await.map(Some)
        };
        match unless_stopped(&self.stop, Duration::ZERO, waited).await {
            None => Ok(Some(Left::Stopped)),
            Some(Err(error)) => Err(SenderFailure::from(error)),
            Some(Ok(None)) => Ok(Some(Left::Closed(Closed::CredentialsInvalid))),
            Some(Ok(Some(worth))) => {
                self.retry_credentials = worth == Worth::Trying;
                Ok(None)
            }
        }
    }

    async fn plan(&mut self) -> Round {
        let begun = self.ledger.begin_plan(self.broadcast);
        let Some(ticket) = unless_stopped(&self.stop, Duration::ZERO, begun).await else {
            return Ok(Some(Left::Stopped));
        };
        let ticket = match ticket {
            // Another sender's plan was sealed meanwhile, and somebody attempted; or too many have died over it.
            Err(LedgerError::PlanLocked | LedgerError::PlanFailed) => return Ok(None),
            ticket => ticket?,
        };
        let stop = self.stop.clone();
        let planned = unless_stopped(&stop, Duration::ZERO, self.plan_with(ticket)).await;
        match planned {
            None | Some(Err(PlanFailure::Interrupted)) => {
                // Nobody else should wait for it; if this is not heard, they wait for one lease.
                let abandoned = tokio::time::timeout(TAKE_OVER_GRACE, self.ledger.abandon_plan(ticket)).await;
                if !matches!(abandoned, Ok(Ok(()))) {
                    tracing::warn!("the ledger was not told that the plan is given up");
                }
                Ok(Some(Left::Stopped))
            }
            Some(Ok(())) => {
                self.freshly_planned = true;
                self.restarts = Restarts::default();
                Ok(None)
            }
            Some(Err(PlanFailure::BrokenOff)) => {
                // The next round plans by the orders of then, unless another sender is at it already.
                self.ledger.abandon_plan(ticket).await?;
                Ok(None)
            }
            Some(Err(PlanFailure::Ledger(LedgerError::PlanSuperseded | LedgerError::PlanLocked))) => Ok(None),
            Some(Err(PlanFailure::Ledger(error))) => Err(self.tell_failure(ticket.epoch, error).await),
            Some(Err(PlanFailure::Trouble(trouble))) => {
                tracing::warn!(reason = trouble.reason, "the plan is refused");
                self.ledger.abandon_plan(ticket).await?;
                self.tell(ticket.epoch, trouble).await
            }
        }
    }

    /// Plans on a task of its own, so that a panic is told like any other reason for having no plan.
    async fn plan_with(&mut self, ticket: PlanTicket) -> Result<(), PlanFailure> {
        let brief = self.ledger.brief(self.broadcast).await?;
        let spec = self.plan_spec(&brief)?;
        let ledger = self.ledger.clone();
        // Dropped it is aborted, and writes nothing more under a ticket that was given up.
        let mut planning = tokio::task::JoinSet::new();
        let stop = self.stop.clone();
        planning.spawn(async move { planner::plan_with(ledger.as_ref(), ticket, spec, &stop).await });
        match planning.join_next().await {
            Some(Ok(Ok(plan))) => {
                tracing::info!(broadcast = brief.name, planned = plan.planned, "the plan is sealed");
                Ok(())
            }
            Some(Ok(Err(PlanError::Ledger(error)))) => Err(error.into()),
            Some(Ok(Err(PlanError::Interrupted))) => Err(PlanFailure::Interrupted),
            Some(Ok(Err(error))) if self.restarts.allow(&error) => Err(PlanFailure::BrokenOff),
            Some(Ok(Err(refused))) => Err(refused_plan(&refused)),
            Some(Err(_)) | None => Err(refused_plan(&PlanError::Panicked)),
        }
    }

    fn plan_spec(&self, brief: &Brief) -> Result<PlanSpec, Trouble> {
        let provider = self.provider(brief)?;
        let template = MessageTemplate::compile(&brief.content, provider.channel())
            .map_err(|error| Trouble::new("MessageInvalid", &error.to_string()))?;
        Ok(PlanSpec {
            sources: assembly::included(&brief.orders.audience),
            exclude: assembly::excluded(&brief.orders.audience),
            suppressed: assembly::suppressed(&brief.orders.suppression),
            materials: Arc::new(MountedMaterials(self.folders.clone())),
            template: Arc::new(template),
            provider,
        })
    }

    /// The provider of the channel as it is now, with the credentials as they are mounted now.
    fn provider(&self, brief: &Brief) -> Result<Arc<dyn Provider>, Trouble> {
        provider(&self.folders, &brief.orders.channel).map_err(|error| Trouble::new(error.reason(), &error.to_string()))
    }

    /// `plan` is the epoch it was found with: after an edit it is of no interest any more.
    async fn tell(&self, plan: i64, trouble: Trouble) -> Round {
        let plan = PlanTicket { broadcast: self.broadcast, epoch: plan };
        let told = self.ledger.report_trouble(plan, &trouble);
        let Some(told) = unless_stopped(&self.stop, TAKE_OVER_GRACE, told).await else {
            return Ok(Some(Left::Stopped));
        };
        told?;
        Ok(Some(Left::Trouble(trouble)))
    }

    /// Tells why planning failed, as far as the ledger still listens.
    async fn tell_failure(&self, plan: i64, error: LedgerError) -> SenderFailure {
        if !error.is_transient() {
            let trouble = Trouble::new(error.reason(), &error.to_string());
            if let Err(untold) = self.tell(plan, trouble).await {
                tracing::warn!(error = %untold, "the ledger was not told why planning failed");
            }
        }
        error.into()
    }
}

/// Why there is no plan.
enum PlanFailure {
    Ledger(LedgerError),
    /// The process is to end.
    Interrupted,
    /// A source broke off, and the plan is to be begun anew.
    BrokenOff,
    /// What people can mend.
    Trouble(Trouble),
}

impl From<LedgerError> for PlanFailure {
    fn from(error: LedgerError) -> PlanFailure {
        PlanFailure::Ledger(error)
    }
}

impl From<Trouble> for PlanFailure {
    fn from(trouble: Trouble) -> PlanFailure {
        PlanFailure::Trouble(trouble)
    }
}

fn refused_plan(error: &PlanError) -> PlanFailure {
    PlanFailure::Trouble(Trouble::new(error.reason(), &error.to_string()))
}
