//! A ledger that is as far away as one behind a network.

use std::sync::Arc;
use std::time::Duration;

use herald::ledger::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
use herald::ledger::plan::{PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan};
use herald::ledger::{
    AttachmentStanding, AttachmentsRequest, AudiencePage, AudienceQuery, Brief, LedgerError, NotificationPage,
    ReportNotifications, ReportWriteBacks, SenderLedger, TakeNotifications, TakeWriteBacks, Trouble, WriteBackPage,
};

type Result<T> = std::result::Result<T, LedgerError>;

/// Answers every exchange later than it could: half of it on the way there, half on the way back.
pub struct Distant<L> {
    ledger: Arc<L>,
    half: Duration,
}

impl<L> Distant<L> {
    pub fn new(ledger: Arc<L>, later: Duration) -> Distant<L> {
        Distant { ledger, half: later / 2 }
    }

    async fn travel(&self) {
        if !self.half.is_zero() {
            tokio::time::sleep(self.half).await;
        }
    }
}

impl<L: SenderLedger> SenderLedger for Distant<L> {
    async fn brief(&self, broadcast: BroadcastId) -> Result<Brief> {
        self.ledger.brief(broadcast).await
    }
    async fn begin_plan(&self, broadcast: BroadcastId) -> Result<PlanTicket> {
        self.ledger.begin_plan(broadcast).await
    }
    async fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.ledger.exclude(ticket, chunk, recipients).await
    }
    async fn suppress(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.ledger.suppress(ticket, chunk, recipients).await
    }

    async fn suppress_pending(&self, plan: PlanTicket, recipients: &[String]) -> Result<u64> {
        self.ledger.suppress_pending(plan, recipients).await
    }

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        self.ledger.append_plan(ticket, chunk, rows).await
    }
    async fn audience_page(&self, query: &AudienceQuery) -> Result<AudiencePage> {
        self.ledger.audience_page(query).await
    }
    async fn seal_plan(&self, ticket: PlanTicket, words: &PlanWords) -> Result<SealedPlan> {
        self.ledger.seal_plan(ticket, words).await
    }
    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        self.ledger.abandon_plan(ticket).await
    }
    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        self.ledger.report_trouble(plan, trouble).await
    }
    async fn attachments(&self, request: &AttachmentsRequest) -> Result<Vec<AttachmentStanding>> {
        self.ledger.attachments(request).await
    }
    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        self.travel().await;
        let reply = self.ledger.exchange(request).await;
        self.travel().await;
        reply
    }
    async fn take_notifications(&self, request: &TakeNotifications) -> Result<NotificationPage> {
        self.ledger.take_notifications(request).await
    }
    async fn report_notifications(&self, told: &ReportNotifications) -> Result<()> {
        self.ledger.report_notifications(told).await
    }
    async fn take_write_backs(&self, request: &TakeWriteBacks) -> Result<WriteBackPage> {
        self.ledger.take_write_backs(request).await
    }
    async fn report_write_backs(&self, told: &ReportWriteBacks) -> Result<()> {
        self.ledger.report_write_backs(told).await
    }
    async fn settle_dead_sender(&self, within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        self.ledger.settle_dead_sender(within, words).await
    }
}
