//! The ledger: the truth about what happened to each recipient.
//!
//! Everything that plans, sends or shows speaks to a [`Ledger`]; [`sqlite::SqliteLedger`] keeps one in a file. The
//! protocol of sending is one call, [`SenderLedger::exchange`]: a sender reports outcomes and takes the next recipients with
//! their slots in one transaction.

pub mod attachments;
pub mod audience;
pub mod batch_status;
pub mod brief;
pub mod clock;
pub mod contacts;
pub mod declaration;
pub mod error;
pub mod exchange;
pub mod figures;
pub mod hold;
pub mod location;
pub mod notification;
pub mod owner;
pub mod people;
pub mod plan;
pub mod postgres;
pub mod random;
pub mod receipts;
pub mod recollection;
pub mod result_lines;
pub mod results;
pub mod snapshot;
mod sql;
pub mod sqlite;
pub mod status;
pub mod upkeep;
pub mod wire;
pub mod write_back;

use std::future::Future;

use crate::delivery::notification::Standing;
use crate::delivery::provider_event::ProviderEvent;

pub use attachments::{AskedAttachment, AttachmentPlace, AttachmentStanding, AttachmentsRequest, UploadedAttachment};
pub use audience::{AudienceList, AudiencePage, AudiencePosition, AudienceQuery};
pub use brief::{Brief, Orders, SuppressionList, ToldTrouble, Trouble};
pub use clock::Clock;
pub use contacts::{Contact, ContactRow, Contacts, ContactsFilter, ContactsPage, Imported, OptedOut};
pub use declaration::{AccountKey, Declaration};
pub use error::LedgerError;
pub use exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
pub use figures::Figures;
pub use notification::{
    Notification, NotificationKey, NotificationPage, NotificationReport, NotificationTotals, Outbox, Posted,
    ReportNotifications, TakeNotifications,
};
pub use owner::{AccountSnapshot, Owner};
pub use plan::{PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan};
pub use receipts::Received;
pub use recollection::Recollection;
pub use results::{ResultRow, ResultsFilter, ResultsPage, ResultsQuery};
pub use snapshot::{BatchSnapshot, BroadcastSnapshot, Outcomes};
pub use sql::{DeliveryView, Inspect};
pub use write_back::{
    Owed, PutOff, RefusedPerson, ReportWriteBacks, TakeWriteBacks, WriteBack, WriteBackPage, WriteBackTotals,
    WrittenBack,
};

type Result<T> = std::result::Result<T, LedgerError>;

/// What one sender may do with the truth, in the ledger's own process or across the network. Every method is one
/// transaction: it has happened wholly or not at all, and may be repeated after an error.
pub trait SenderLedger: Send + Sync + 'static {
    /// What the broadcast's senders work by. Read after [`SenderLedger::begin_plan`] it is at least as new as the ticket:
    /// a ticket of an older declaration seals nothing.
    ///
    /// # Errors
    /// [`LedgerError::NoOrders`] for a broadcast that was declared without.
    fn brief(&self, broadcast: BroadcastId) -> impl Future<Output = Result<Brief>> + Send;

    /// Begins a plan: a new epoch, with the rows of an unsealed one deleted. Whoever made that one and was silent for a lease
    /// counts as dead.
    ///
    /// # Errors
    /// [`LedgerError::PlanLocked`] once somebody was attempted, [`LedgerError::PlanFailed`] once
    /// [`MAX_DEAD_PLANNERS`](plan::MAX_DEAD_PLANNERS) are.
    fn begin_plan(&self, broadcast: BroadcastId) -> impl Future<Output = Result<PlanTicket>> + Send;

    /// Leaves these recipients out of the plan. Chunks of all kinds share one numbering from 1 on; the last one may be
    /// repeated. Exclusions come before the rows they exclude.
    fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String])
    -> impl Future<Output = Result<()>> + Send;

    /// Takes these recipients for opted out in the plan: whoever of them is appended is planned and skipped. They come before
    /// the rows they concern, and nothing is kept of them beyond the plan.
    fn suppress(
        &self,
        ticket: PlanTicket,
        chunk: u64,
        recipients: &[String],
    ) -> impl Future<Output = Result<()>> + Send;

    /// The same for a plan that is sealed: whoever of them is pending is skipped, and whoever is unknown or waits to be resent
    /// is not resent to. Whoever is in flight is left to that attempt and gets no other. At most [`MAX_CHUNK`](plan::MAX_CHUNK) at a time; returns how
    /// many were skipped.
    ///
    /// # Errors
    /// [`LedgerError::PlanSuperseded`] for a plan that is not sealed, or not any more.
    fn suppress_pending(&self, plan: PlanTicket, recipients: &[String]) -> impl Future<Output = Result<u64>> + Send;

    /// Appends recipients in order; duplicates and excluded ones are dropped and named in the receipt.
    ///
    /// # Errors
    /// [`LedgerError::PlanSuperseded`] when another planner has begun.
    fn append_plan(
        &self,
        ticket: PlanTicket,
        chunk: u64,
        rows: &[PlanRow],
    ) -> impl Future<Output = Result<PlanReceipt>> + Send;

    /// Recipients of a finished broadcast, or contacts of the account, that the audience of the planned one names: one page.
    ///
    /// # Errors
    /// [`LedgerError::AudienceNotFound`], [`LedgerError::AudienceUnfinished`]; [`LedgerError::Forbidden`] for a source
    /// that the audience does not hold.
    fn audience_page(&self, query: &AudienceQuery) -> impl Future<Output = Result<AudiencePage>> + Send;

    /// Closes the plan: cuts batches, fixes the hash. Idempotent for one ticket.
    fn seal_plan(&self, ticket: PlanTicket, words: &PlanWords) -> impl Future<Output = Result<SealedPlan>> + Send;

    /// Gives a plan up: no sender is kept waiting for it, and its rows go with the next one. A ticket that is superseded
    /// changes nothing.
    fn abandon_plan(&self, ticket: PlanTicket) -> impl Future<Output = Result<()>> + Send;

    /// Tells why no sender can work, as found with this plan. It stands until a plan is sealed, a sender takes recipients,
    /// or the owner's wish changes. What is told of a plan that another has overtaken changes nothing.
    fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> impl Future<Output = Result<()>> + Send;

    /// Tells which attachments the provider was made to keep for the account of the broadcast, and which of them it has no more;
    /// learns where those that are asked for are kept, or whose it is to upload them.
    ///
    /// # Errors
    /// [`LedgerError::RequestTooLarge`] for more than a message has.
    fn attachments(&self, request: &AttachmentsRequest)
    -> impl Future<Output = Result<Vec<AttachmentStanding>>> + Send;

    /// Records outcomes, renews the lease, takes recipients and reserves their slots.
    ///
    /// # Errors
    /// [`LedgerError::StaleRequest`] for a number below the last answered one, [`LedgerError::SenderClosed`] for a sender
    /// that left or was settled as dead; recorded is nothing then.
    fn exchange(&self, request: &ExchangeRequest) -> impl Future<Output = Result<ExchangeReply>> + Send;

    /// Events for the broadcast's endpoints that are due: they belong to the holder for a while, and to nobody else.
    fn take_notifications(&self, request: &TakeNotifications) -> impl Future<Output = Result<NotificationPage>> + Send;

    /// Tells what became of events that were taken. What was not taken by its endpoint is due again later; that it was is
    /// believed whoever says so.
    ///
    /// # Errors
    /// [`LedgerError::RequestTooLarge`].
    fn report_notifications(&self, told: &ReportNotifications) -> impl Future<Output = Result<()>> + Send;

    /// People to be written down at a target who are due: they belong to the holder for a while, and to nobody else. Nobody of
    /// a broadcast that is suspended or gone.
    fn take_write_backs(&self, request: &TakeWriteBacks) -> impl Future<Output = Result<WriteBackPage>> + Send;

    /// Tells what became of people who were taken. That somebody was written down is believed whoever says so; the rest only
    /// of who holds them.
    ///
    /// # Errors
    /// [`LedgerError::RequestTooLarge`].
    fn report_write_backs(&self, told: &ReportWriteBacks) -> impl Future<Output = Result<()>> + Send;

    /// Settles a sender that is known to be dead by what its flight journal tells; its claim is given up at once. With
    /// `within` nothing happens to a sender of another broadcast.
    fn settle_dead_sender(
        &self,
        within: Option<BroadcastId>,
        words: &LastWords,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// What a receiver of call-backs may do with the truth, in the ledger's own process or across the network.
pub trait ReceiverLedger: Send + Sync + 'static {
    /// Takes in what the provider of an account told, in its order. May be repeated: what is known changes nothing, and
    /// neither does what is told of messages of other accounts. After an error some of it may have been taken in.
    ///
    /// # Errors
    /// [`LedgerError::RequestTooLarge`] for more than [`MAX_EVENTS`](crate::delivery::provider_event::MAX_EVENTS).
    fn receive(&self, account: &AccountKey, events: &[ProviderEvent]) -> impl Future<Output = Result<Received>> + Send;
}

/// The truth, wherever it is kept, as its owner sees it: `herald run`, or the operator.
pub trait Ledger: SenderLedger + ReceiverLedger + Contacts {
    /// Makes the broadcast known or brings its changeable settings up to date. A declaration of an older generation of
    /// the same owner changes nothing but a cancel: who was frozen meanwhile opens no gate.
    ///
    /// # Errors
    /// [`LedgerError::OwnerGone`] for an owner that has departed. [`LedgerError::KeyInUse`] while another owner has the key and was not released. [`LedgerError::KeyReused`] when
    /// the key already stands for another account, audience or content and somebody was attempted under it. Before the
    /// first attempt the plan is made anew instead.
    ///
    /// A declaration that knows a higher revision than this ledger closes the gate: commits were lost. Only another
    /// approval than the one of that time lets it go on; see [`Loss`](crate::delivery::gate::Loss).
    fn declare(&self, declaration: &Declaration) -> impl Future<Output = Result<BroadcastSnapshot>> + Send;

    /// Cancels what this owner last declared under the key, latched as by [`Ledger::declare`]: for who cannot tell the rest
    /// of its declaration. `None`, and nothing is changed, where the key does not stand for what this owner declared.
    fn cancel(
        &self,
        namespace: &str,
        idempotency_key: &str,
        owner_uid: &str,
    ) -> impl Future<Output = Result<Option<BroadcastId>>> + Send;

    /// Binds the ledger to the cluster with this uid, for good: what it says of people is true there alone. One that is bound
    /// to `moved_from` is bound anew.
    ///
    /// # Errors
    /// [`LedgerError::OtherCluster`] for one that is bound to another.
    fn serve_cluster(&self, uid: &str, moved_from: Option<&str>) -> impl Future<Output = Result<()>> + Send;

    /// What the owner wants of this generation on cannot stand: closes the gate of what it owns, until it is declared again.
    /// A declaration of an older generation does not open it. What planners died over is another one of a later generation. A
    /// uid that owns nothing changes nothing.
    fn release(&self, owner_uid: &str, generation: i64) -> impl Future<Output = Result<()>> + Send;

    /// The owner is gone for good: closes the gate of what it owned, until another owner declares the key. Nobody declares
    /// anything in its name any more.
    fn depart(&self, owner_uid: &str) -> impl Future<Output = Result<()>> + Send;

    /// Everybody who owns a broadcast and was not released; those that belong to nobody (`herald run`) are left out.
    fn owners(&self) -> impl Future<Output = Result<Vec<Owner>>> + Send;

    /// What this owner has and was not released of: one broadcast, or two while its key is edited.
    fn owned_by(&self, owner_uid: &str) -> impl Future<Output = Result<Vec<BroadcastId>>> + Send;

    /// The broadcast of this owner, released or not; `None` for a uid that owns nothing. Of several the newest declared.
    fn find(&self, owner_uid: &str) -> impl Future<Output = Result<Option<BroadcastId>>> + Send;

    /// Opens what the provider's refusal of the account's credentials has closed. The next answer closes it again if
    /// nothing has changed.
    fn lift_credential_stop(&self, broadcast: BroadcastId) -> impl Future<Output = Result<()>> + Send;

    /// Opens what the provider's block of this broadcast has closed: only a person may ask for it, by a wish of a later
    /// generation than the one that was blocked.
    fn lift_block(&self, broadcast: BroadcastId, generation: i64) -> impl Future<Output = Result<()>> + Send;

    /// Makes every recipient in flight unknown and gives every claim up: only for who knows that no sender lives.
    /// Returns how many became unknown.
    fn settle_all_senders_dead(&self) -> impl Future<Output = Result<u64>> + Send;

    /// Until now senders could not reach the ledger through this process, although it was open. Whatever they have to report
    /// comes first: for one lease nothing is concluded from their silence.
    fn was_out_of_reach(&self);

    /// One slice of upkeep: overdue attempts become unknown, pending recipients of ended broadcasts are skipped, instants
    /// of a clock that was set back are pulled in. Returns whether there is more to do at once.
    fn maintain(&self) -> impl Future<Output = Result<bool>> + Send;

    /// What a status shows of a broadcast.
    fn snapshot(&self, broadcast: BroadcastId) -> impl Future<Output = Result<BroadcastSnapshot>> + Send;

    /// What a status shows of the batches of a broadcast, by index.
    fn batches(&self, broadcast: BroadcastId) -> impl Future<Output = Result<Vec<BatchSnapshot>>> + Send;

    /// What became of the recipients of a sealed plan, in its order: one page. A pending one may have moved on by the next.
    ///
    /// # Errors
    /// [`LedgerError::UnknownBroadcast`].
    fn results(&self, query: &ResultsQuery) -> impl Future<Output = Result<ResultsPage>> + Send;

    /// What became of a broadcast in figures.
    ///
    /// # Errors
    /// [`LedgerError::UnknownBroadcast`].
    fn figures(&self, broadcast: BroadcastId) -> impl Future<Output = Result<Figures>> + Send;

    /// Recipients of all broadcasts by state, and those that failed, were skipped or are unknown by reason too; the
    /// largest [`snapshot::MAX_TOTALS`] kinds.
    fn totals(&self) -> impl Future<Output = Result<Vec<Outcomes>>> + Send;

    /// Takes in how a broadcast stands as somebody sees it who looks at the whole of it, and writes what its endpoints are to
    /// be told. The same standing tells nothing the second time.
    ///
    /// # Errors
    /// [`LedgerError::UnknownBroadcast`].
    fn tell_standing(&self, broadcast: BroadcastId, standing: &Standing) -> impl Future<Output = Result<()>> + Send;

    /// Events for endpoints, of all broadcasts.
    fn notification_totals(&self) -> impl Future<Output = Result<NotificationTotals>> + Send;

    /// People to be written down elsewhere, of all broadcasts.
    fn write_back_totals(&self) -> impl Future<Output = Result<WriteBackTotals>> + Send;

    /// What a status shows of an account; `None` before a broadcast used it.
    fn account(&self, account: &AccountKey) -> impl Future<Output = Result<Option<AccountSnapshot>>> + Send;
}
