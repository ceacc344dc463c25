//! A ledger of which every other answer is lost, before or after it has done what it was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use herald::ledger::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
use herald::ledger::plan::{PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan};
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{
    AttachmentStanding, AttachmentsRequest, AudiencePage, AudienceQuery, Brief, LedgerError, NotificationPage,
    ReportNotifications, ReportWriteBacks, SenderLedger, TakeNotifications, TakeWriteBacks, Trouble, WriteBackPage,
};

type Result<T> = std::result::Result<T, LedgerError>;

pub struct Unreliable {
    ledger: Arc<SqliteLedger>,
    calls: AtomicU32,
}

impl Unreliable {
    pub fn new(ledger: Arc<SqliteLedger>) -> Unreliable {
        Unreliable { ledger, calls: AtomicU32::new(0) }
    }

    pub fn failures(&self) -> u32 {
        self.calls.load(Ordering::Relaxed) / 2
    }

    async fn perhaps<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = || Err(LedgerError::Storage { message: "lost".to_owned() });
        match self.calls.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => lost(),
            2 => call.await.and_then(|_| lost()),
            _ => call.await,
        }
    }
}

impl SenderLedger for Unreliable {
    async fn brief(&self, broadcast: BroadcastId) -> Result<Brief> {
        self.perhaps(self.ledger.brief(broadcast)).await
    }
    async fn begin_plan(&self, broadcast: BroadcastId) -> Result<PlanTicket> {
        self.perhaps(self.ledger.begin_plan(broadcast)).await
    }
    async fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.perhaps(self.ledger.exclude(ticket, chunk, recipients)).await
    }
    async fn suppress(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.perhaps(self.ledger.suppress(ticket, chunk, recipients)).await
    }

    async fn suppress_pending(&self, plan: PlanTicket, recipients: &[String]) -> Result<u64> {
        self.perhaps(self.ledger.suppress_pending(plan, recipients)).await
    }

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        self.perhaps(self.ledger.append_plan(ticket, chunk, rows)).await
    }
    async fn audience_page(&self, query: &AudienceQuery) -> Result<AudiencePage> {
        self.perhaps(self.ledger.audience_page(query)).await
    }

    async fn seal_plan(&self, ticket: PlanTicket, words: &PlanWords) -> Result<SealedPlan> {
        self.perhaps(self.ledger.seal_plan(ticket, words)).await
    }
    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        self.perhaps(self.ledger.abandon_plan(ticket)).await
    }
    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        self.perhaps(self.ledger.report_trouble(plan, trouble)).await
    }
    async fn attachments(&self, request: &AttachmentsRequest) -> Result<Vec<AttachmentStanding>> {
        self.perhaps(self.ledger.attachments(request)).await
    }
    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        self.perhaps(self.ledger.exchange(request)).await
    }
    async fn take_notifications(&self, request: &TakeNotifications) -> Result<NotificationPage> {
        self.perhaps(self.ledger.take_notifications(request)).await
    }
    async fn report_notifications(&self, told: &ReportNotifications) -> Result<()> {
        self.perhaps(self.ledger.report_notifications(told)).await
    }
    async fn take_write_backs(&self, request: &TakeWriteBacks) -> Result<WriteBackPage> {
        self.perhaps(self.ledger.take_write_backs(request)).await
    }
    async fn report_write_backs(&self, told: &ReportWriteBacks) -> Result<()> {
        self.perhaps(self.ledger.report_write_backs(told)).await
    }
    async fn settle_dead_sender(&self, within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        self.perhaps(self.ledger.settle_dead_sender(within, words)).await
    }
}
