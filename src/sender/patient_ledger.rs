//! A ledger that is asked again while it does not answer.

use std::sync::Arc;

use super::retry::Retry;
use crate::ledger::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
use crate::ledger::plan::{PlanReceipt, PlanRow, PlanTicket, SealedPlan};
use crate::ledger::{Brief, LedgerError, SenderLedger, Trouble};

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

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        self.retry().answered(|| self.ledger.append_plan(ticket, chunk, rows)).await
    }

    async fn seal_plan(&self, ticket: PlanTicket, samples: &[String]) -> Result<SealedPlan> {
        self.retry().answered(|| self.ledger.seal_plan(ticket, samples)).await
    }

    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        self.retry().answered(|| self.ledger.abandon_plan(ticket)).await
    }

    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        self.retry().answered(|| self.ledger.report_trouble(plan, trouble)).await
    }

    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        self.ledger.exchange(request).await
    }

    async fn settle_dead_sender(&self, within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        self.retry().answered(|| self.ledger.settle_dead_sender(within, words)).await
    }
}
