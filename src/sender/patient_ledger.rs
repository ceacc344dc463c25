//! A ledger that is asked again while it does not answer.

use std::sync::Arc;

use super::retry::Retry;
use crate::delivery::notification::Standing;
use crate::delivery::provider_event::ProviderEvent;
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
use crate::ledger::plan::{PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan};
use crate::ledger::{
    AccountKey, AccountSnapshot, AttachmentStanding, AttachmentsRequest, AudiencePage, AudienceQuery, BatchSnapshot,
    Brief, BroadcastSnapshot, ContactRow, Contacts, ContactsFilter, ContactsPage, Declaration, Figures, Imported,
    Ledger, LedgerError, NotificationPage, NotificationTotals, OptedOut, Outcomes, Owner, Received, ReceiverLedger,
    ReportNotifications, ReportWriteBacks, ResultsPage, ResultsQuery, SenderLedger, TakeNotifications, TakeWriteBacks,
    Trouble, WriteBackPage, WriteBackTotals,
};

type Result<T> = std::result::Result<T, LedgerError>;

/// Repeats every call but the exchange, which its session repeats itself: it has outcomes to keep meanwhile.
pub struct PatientLedger<L> {
    ledger: Arc<L>,
    /// Differs from process to process, so that their tries do.
    name: String,
}

impl<L> PatientLedger<L> {
    pub fn new(ledger: Arc<L>, name: String) -> PatientLedger<L> {
        PatientLedger { ledger, name }
    }

    /// The ledger itself.
    pub fn kept(&self) -> &L {
        &self.ledger
    }

    fn retry(&self) -> Retry {
        Retry::new(&self.name)
    }
}

impl<L: SenderLedger> SenderLedger for PatientLedger<L> {
    async fn brief(&self, broadcast: BroadcastId) -> Result<Brief> {
        self.retry().answered(|| self.ledger.brief(broadcast)).await
    }

    async fn begin_plan(&self, broadcast: BroadcastId) -> Result<PlanTicket> {
        self.retry().answered(|| self.ledger.begin_plan(broadcast)).await
    }

    async fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.retry().answered(|| self.ledger.exclude(ticket, chunk, recipients)).await
    }

    async fn suppress(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.retry().answered(|| self.ledger.suppress(ticket, chunk, recipients)).await
    }

    async fn suppress_pending(&self, plan: PlanTicket, recipients: &[String]) -> Result<u64> {
        self.retry().answered(|| self.ledger.suppress_pending(plan, recipients)).await
    }

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        self.retry().answered(|| self.ledger.append_plan(ticket, chunk, rows)).await
    }

    async fn audience_page(&self, query: &AudienceQuery) -> Result<AudiencePage> {
        self.retry().answered(|| self.ledger.audience_page(query)).await
    }

    async fn seal_plan(&self, ticket: PlanTicket, words: &PlanWords) -> Result<SealedPlan> {
        self.retry().answered(|| self.ledger.seal_plan(ticket, words)).await
    }

    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        self.retry().answered(|| self.ledger.abandon_plan(ticket)).await
    }

    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        self.retry().answered(|| self.ledger.report_trouble(plan, trouble)).await
    }

    async fn attachments(&self, request: &AttachmentsRequest) -> Result<Vec<AttachmentStanding>> {
        self.retry().answered(|| self.ledger.attachments(request)).await
    }

    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        self.ledger.exchange(request).await
    }

    async fn take_notifications(&self, request: &TakeNotifications) -> Result<NotificationPage> {
        self.retry().answered(|| self.ledger.take_notifications(request)).await
    }

    async fn report_notifications(&self, told: &ReportNotifications) -> Result<()> {
        self.retry().answered(|| self.ledger.report_notifications(told)).await
    }

    async fn take_write_backs(&self, request: &TakeWriteBacks) -> Result<WriteBackPage> {
        self.retry().answered(|| self.ledger.take_write_backs(request)).await
    }

    async fn report_write_backs(&self, told: &ReportWriteBacks) -> Result<()> {
        self.retry().answered(|| self.ledger.report_write_backs(told)).await
    }

    async fn settle_dead_sender(&self, within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        self.retry().answered(|| self.ledger.settle_dead_sender(within, words)).await
    }
}

impl<L: Ledger> Contacts for PatientLedger<L> {
    async fn import_contacts(&self, account: &AccountKey, rows: &[ContactRow]) -> Result<Imported> {
        self.retry().answered(|| self.ledger.import_contacts(account, rows)).await
    }

    async fn tag(&self, account: &AccountKey, recipients: &[String], tags: &[String]) -> Result<u64> {
        self.retry().answered(|| self.ledger.tag(account, recipients, tags)).await
    }

    async fn untag(&self, account: &AccountKey, recipients: &[String], tags: &[String]) -> Result<u64> {
        self.retry().answered(|| self.ledger.untag(account, recipients, tags)).await
    }

    async fn opt_out(&self, account: &AccountKey, recipients: &[String], reason: &str) -> Result<OptedOut> {
        self.retry().answered(|| self.ledger.opt_out(account, recipients, reason)).await
    }

    async fn opt_in(&self, account: &AccountKey, recipients: &[String]) -> Result<u64> {
        self.retry().answered(|| self.ledger.opt_in(account, recipients)).await
    }

    async fn heard_from(&self, account: &AccountKey, heard: &[(String, Timestamp)]) -> Result<()> {
        self.retry().answered(|| self.ledger.heard_from(account, heard)).await
    }

    async fn contacts_page(
        &self,
        account: &AccountKey,
        after: Option<&str>,
        filter: &ContactsFilter,
    ) -> Result<ContactsPage> {
        self.retry().answered(|| self.ledger.contacts_page(account, after, filter)).await
    }
}

/// The provider repeats a call that was not taken; here it would only be kept waiting.
impl<L: ReceiverLedger> ReceiverLedger for PatientLedger<L> {
    async fn receive(&self, account: &AccountKey, events: &[ProviderEvent]) -> Result<Received> {
        self.ledger.receive(account, events).await
    }
}

impl<L: Ledger> Ledger for PatientLedger<L> {
    async fn declare(&self, declaration: &Declaration) -> Result<BroadcastSnapshot> {
        self.retry().answered(|| self.ledger.declare(declaration)).await
    }

    async fn cancel(&self, namespace: &str, idempotency_key: &str, owner_uid: &str) -> Result<Option<BroadcastId>> {
        self.retry().answered(|| self.ledger.cancel(namespace, idempotency_key, owner_uid)).await
    }

    async fn serve_cluster(&self, uid: &str, moved_from: Option<&str>) -> Result<()> {
        self.retry().answered(|| self.ledger.serve_cluster(uid, moved_from)).await
    }

    async fn release(&self, owner_uid: &str, generation: i64) -> Result<()> {
        self.retry().answered(|| self.ledger.release(owner_uid, generation)).await
    }

    async fn depart(&self, owner_uid: &str) -> Result<()> {
        self.retry().answered(|| self.ledger.depart(owner_uid)).await
    }

    async fn owners(&self) -> Result<Vec<Owner>> {
        self.retry().answered(|| self.ledger.owners()).await
    }

    async fn owned_by(&self, owner_uid: &str) -> Result<Vec<BroadcastId>> {
        self.retry().answered(|| self.ledger.owned_by(owner_uid)).await
    }

    async fn find(&self, owner_uid: &str) -> Result<Option<BroadcastId>> {
        self.retry().answered(|| self.ledger.find(owner_uid)).await
    }

    async fn lift_credential_stop(&self, broadcast: BroadcastId) -> Result<()> {
        self.retry().answered(|| self.ledger.lift_credential_stop(broadcast)).await
    }

    async fn lift_block(&self, broadcast: BroadcastId, generation: i64) -> Result<()> {
        self.retry().answered(|| self.ledger.lift_block(broadcast, generation)).await
    }

    async fn settle_all_senders_dead(&self) -> Result<u64> {
        self.retry().answered(|| self.ledger.settle_all_senders_dead()).await
    }

    fn was_out_of_reach(&self) {
        self.ledger.was_out_of_reach();
    }

    async fn maintain(&self) -> Result<bool> {
        self.retry().answered(|| self.ledger.maintain()).await
    }

    async fn snapshot(&self, broadcast: BroadcastId) -> Result<BroadcastSnapshot> {
        self.retry().answered(|| self.ledger.snapshot(broadcast)).await
    }

    async fn batches(&self, broadcast: BroadcastId) -> Result<Vec<BatchSnapshot>> {
        self.retry().answered(|| self.ledger.batches(broadcast)).await
    }

    async fn results(&self, query: &ResultsQuery) -> Result<ResultsPage> {
        self.retry().answered(|| self.ledger.results(query)).await
    }

    async fn tell_standing(&self, broadcast: BroadcastId, standing: &Standing) -> Result<()> {
        self.retry().answered(|| self.ledger.tell_standing(broadcast, standing)).await
    }

    async fn notification_totals(&self) -> Result<NotificationTotals> {
        self.retry().answered(|| self.ledger.notification_totals()).await
    }

    async fn write_back_totals(&self) -> Result<WriteBackTotals> {
        self.retry().answered(|| self.ledger.write_back_totals()).await
    }

    async fn figures(&self, broadcast: BroadcastId) -> Result<Figures> {
        self.retry().answered(|| self.ledger.figures(broadcast)).await
    }

    async fn totals(&self) -> Result<Vec<Outcomes>> {
        self.retry().answered(|| self.ledger.totals()).await
    }

    async fn account(&self, account: &AccountKey) -> Result<Option<AccountSnapshot>> {
        self.retry().answered(|| self.ledger.account(account)).await
    }
}
