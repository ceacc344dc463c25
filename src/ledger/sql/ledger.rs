//! Every call of a ledger as one transaction.

use std::time::Duration;

use super::duplicate::Comparison;
use super::plan::{Begin, Seal};
use super::store::{Database, PlanList, Store};
use super::{
    attachments, audience, contact_pages, contacts, declare, duplicate, early, exchange, maintain, marketing, opened,
    opt_outs, outbox, owed, owner, plan, posting, read, receive, results,
};
use crate::api::content::MAX_ATTACHMENTS;
use crate::delivery::notification::Standing;
use crate::delivery::provider_event::{MAX_EVENTS, ProviderEvent};
use crate::delivery::time::Timestamp;
use crate::ledger::attachments::{AttachmentStanding, AttachmentsRequest};
use crate::ledger::audience::{AudiencePage, AudienceQuery};
use crate::ledger::brief::{Brief, Trouble};
use crate::ledger::contacts::{
    ContactRow, Contacts, ContactsFilter, ContactsPage, Imported, MAX_CONTACTS, OptedOut, check_reason,
    check_recipients, check_rows, check_tags,
};
use crate::ledger::declaration::{AccountKey, Declaration};
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords};
use crate::ledger::figures::Figures;
use crate::ledger::notification::{NotificationPage, NotificationTotals, ReportNotifications, TakeNotifications};
use crate::ledger::owner::{AccountSnapshot, Owner};
use crate::ledger::people::Deeds;
use crate::ledger::plan::{PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan};
use crate::ledger::receipts::Received;
use crate::ledger::results::{ResultsPage, ResultsQuery};
use crate::ledger::snapshot::{BatchSnapshot, BroadcastSnapshot, Outcomes};
use crate::ledger::write_back::{ReportWriteBacks, TakeWriteBacks, WriteBackPage, WriteBackTotals};
use crate::ledger::{Ledger, ReceiverLedger, Result, SenderLedger};

/// A sender that waits longer holds slots that pass meanwhile, so it asks again instead, as over the network.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than any statement may run: where the server was replaced without a word, nobody would ever answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(65);

/// So often one call begins anew because its broadcast moves from account to account: each time somebody edits it in the
/// moment between two locks.
const MAX_MOVES: u32 = 8;

/// Runs one step in a transaction of its own and commits it, unless the step was refused. The limit is for all of it,
/// however often it begins anew.
macro_rules! commit {
    ($database:expr, |$store:ident| $step:expr) => {
        commit!($database, CALL_TIMEOUT, |$store| $step)
    };
    ($database:expr, $limit:expr, |$store:ident| $step:expr) => {{
        let database = $database;
        let once = || async {
            let mut begun = database.begin().await?;
            let $store = &mut begun;
            // On the heap: a step keeps much across its statements, and every caller's frame would hold it again.
            let outcome: std::result::Result<_, LedgerError> = Box::pin($step).await?;
            if outcome.is_ok() {
                begun.commit().await?;
            }
            Ok(outcome)
        };
        let done = async {
            let mut moves = 0;
            loop {
                match once().await {
                    Err(error) if opened::has_moved(&error) && moves < MAX_MOVES => moves += 1,
                    done => break done,
                }
            }
        };
        D::bounded($limit, done).await.map_err(|error| database.failed(error))?
    }};
}

/// The same for a step that nothing refuses.
macro_rules! commit_always {
    ($database:expr, |$store:ident| $step:expr) => {
        commit!($database, |$store| async { $step.await.map(Ok) })
    };
}

/// Reads in a transaction that changes nothing.
macro_rules! read {
    ($database:expr, |$store:ident| $step:expr) => {{
        let database = $database;
        let done = async {
            let mut begun = database.begin_reading().await?;
            let $store = &mut begun;
            $step.await
        };
        D::bounded(CALL_TIMEOUT, done).await.map_err(|error: sqlx::Error| database.failed(error))
    }};
}

impl<D: Database> SenderLedger for D {
    async fn brief(&self, broadcast: BroadcastId) -> Result<Brief> {
        read!(self, |store| owner::brief(store, broadcast))?
    }

    async fn begin_plan(&self, broadcast: BroadcastId) -> Result<PlanTicket> {
        loop {
            match commit!(self, |store| plan::begin(store, broadcast, || self.reachable_since()))? {
                Begin::Ready(ticket) => return Ok(ticket),
                Begin::More => {}
                Begin::Failed => return Err(LedgerError::PlanFailed),
            }
        }
    }

    async fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        commit!(self, |store| plan::enlist(store, PlanList::Excluded, ticket, chunk, recipients))
    }

    async fn suppress(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        commit!(self, |store| plan::enlist(store, PlanList::Suppressed, ticket, chunk, recipients))
    }

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        commit!(self, |store| plan::append(store, ticket, chunk, rows))
    }

    async fn audience_page(&self, query: &AudienceQuery) -> Result<AudiencePage> {
        read!(self, |store| audience::page(store, query))?
    }

    async fn seal_plan(&self, ticket: PlanTicket, words: &PlanWords) -> Result<SealedPlan> {
        // It grows with every plan that is sealed beside this one, and with nothing else: so this ends.
        let mut comparison = Comparison::default();
        loop {
            match commit!(self, |store| plan::seal(store, ticket, words, &comparison))? {
                Seal::Sealed(sealed) => return Ok(sealed),
                Seal::More => {}
                Seal::Compare(pairs) => {
                    for pair in &pairs {
                        read!(self, |store| duplicate::compare(store, pair, &mut comparison))?;
                    }
                }
            }
        }
    }

    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        commit_always!(self, |store| plan::abandon(store, ticket))
    }

    async fn suppress_pending(&self, plan: PlanTicket, recipients: &[String]) -> Result<u64> {
        // Nearly always it concerns nobody, and then nobody's sending is held up by a lock.
        match read!(self, |store| opt_outs::concerns_anybody(store, plan, recipients))?? {
            true => commit!(self, |store| opt_outs::suppress(store, plan, recipients)),
            false => Ok(0),
        }
    }

    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        let known = commit_always!(self, |store| owner::report_trouble(store, plan, trouble))?;
        if known { Ok(()) } else { Err(LedgerError::UnknownBroadcast) }
    }

    async fn attachments(&self, request: &AttachmentsRequest) -> Result<Vec<AttachmentStanding>> {
        let counts = [request.uploaded.len(), request.gone.len(), request.given_up.len(), request.asked.len()];
        if counts.iter().any(|count| *count > MAX_ATTACHMENTS) {
            return Err(LedgerError::RequestTooLarge { limit: MAX_ATTACHMENTS });
        }
        commit!(self, |store| attachments::exchange(store, request))
    }

    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        commit!(self, EXCHANGE_TIMEOUT, |store| exchange::exchange(store, request))
    }

    async fn take_notifications(&self, request: &TakeNotifications) -> Result<NotificationPage> {
        commit!(self, |store| posting::take(store, request))
    }

    async fn report_notifications(&self, told: &ReportNotifications) -> Result<()> {
        commit!(self, |store| posting::report(store, told))
    }

    async fn take_write_backs(&self, request: &TakeWriteBacks) -> Result<WriteBackPage> {
        commit!(self, |store| owed::take(store, request))
    }

    async fn report_write_backs(&self, told: &ReportWriteBacks) -> Result<()> {
        commit!(self, |store| owed::report(store, told))
    }

    async fn settle_dead_sender(&self, within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        commit_always!(self, |store| maintain::settle_dead(store, within, words))
    }
}

impl<D: Database> Contacts for D {
    async fn import_contacts(&self, account: &AccountKey, rows: &[ContactRow]) -> Result<Imported> {
        check_rows(rows)?;
        commit!(self, |store| contacts::import(store, account, rows))
    }

    async fn tag(&self, account: &AccountKey, recipients: &[String], tags: &[String]) -> Result<u64> {
        check_ids(recipients)?;
        check_tags(tags.iter())?;
        commit!(self, |store| contacts::tag(store, account, recipients, tags))
    }

    async fn untag(&self, account: &AccountKey, recipients: &[String], tags: &[String]) -> Result<u64> {
        check_ids(recipients)?;
        check_tags(tags.iter())?;
        commit_always!(self, |store| contacts::untag(store, account, recipients, tags))
    }

    async fn opt_out(&self, account: &AccountKey, recipients: &[String], reason: &str) -> Result<OptedOut> {
        check_ids(recipients)?;
        check_reason(reason)?;
        commit_always!(self, |store| contacts::opt_out(store, account, recipients, reason))
    }

    async fn opt_in(&self, account: &AccountKey, recipients: &[String]) -> Result<u64> {
        check_ids(recipients)?;
        commit_always!(self, |store| contacts::opt_in(store, account, recipients))
    }

    async fn heard_from(&self, account: &AccountKey, heard: &[(String, Timestamp)]) -> Result<()> {
        check_recipients(heard.iter().map(|(recipient, _)| recipient.as_str()))?;
        commit_always!(self, |store| contacts::heard_from(store, account, heard))
    }

    async fn contacts_page(
        &self,
        account: &AccountKey,
        after: Option<&str>,
        filter: &ContactsFilter,
    ) -> Result<ContactsPage> {
        read!(self, |store| contact_pages::page(store, account, after, filter))
    }
}

fn check_ids(recipients: &[String]) -> Result<()> {
    check_recipients(recipients.iter().map(String::as_str))
}

impl<D: Database> ReceiverLedger for D {
    async fn receive(&self, account: &AccountKey, events: &[ProviderEvent]) -> Result<Received> {
        if events.len() > MAX_EVENTS {
            return Err(LedgerError::RequestTooLarge { limit: MAX_EVENTS });
        }
        // First, so that nobody who has just opted out is sent to by what the messages make due.
        let deeds = Deeds::of(events);
        for slice in deeds.wishes.chunks(MAX_CONTACTS) {
            commit_always!(self, |store| contacts::wish(store, account, slice))?;
        }
        for slice in deeds.of_marketing.chunks(MAX_CONTACTS) {
            commit_always!(self, |store| marketing::wish(store, account, slice))?;
        }
        for slice in deeds.heard.chunks(MAX_CONTACTS) {
            self.heard_from(account, slice).await?;
        }
        let people = events.iter().filter(|event| matches!(event, ProviderEvent::Person { .. })).count() as u32;
        let (mut received, found) = enter_messages(self, account, events).await?;
        received.people = people;
        received.nothing += found.early.len() as u32;
        if !found.early.is_empty() {
            let kept = commit_always!(self, |store| early::keep(store, found.account, &found.early))?;
            received.kept = kept as u32;
            received.nothing -= received.kept;
        }
        Ok(received)
    }
}

/// Enters what is told of messages, broadcast by broadcast; what is told too early comes back.
async fn enter_messages<D: Database>(
    database: &D,
    account: &AccountKey,
    events: &[ProviderEvent],
) -> Result<(Received, receive::Found)> {
    let found = read!(database, |store| receive::find(store, account, events))?;
    let mut received = Received { nothing: found.nothing, ..Received::default() };
    for (broadcast, told) in &found.broadcasts {
        for slice in told.chunks(receive::SLICE) {
            let id = BroadcastId(*broadcast);
            received.add(commit_always!(database, |store| receive::enter(store, found.account, id, slice))?);
        }
    }
    Ok((received, found))
}

/// Looks once more at a slice of what was told too early; returns whether there may be more of it at once.
async fn look_again<D: Database>(database: &D) -> Result<bool> {
    let Some(due) = read!(database, |store| early::due(store))? else { return Ok(false) };
    let (_, found) = enter_messages(database, &due.account, &due.events()).await?;
    commit_always!(database, |store| early::settle(store, &due, &found.early))?;
    Ok(due.is_full())
}

impl<D: Database> Ledger for D {
    async fn declare(&self, declaration: &Declaration) -> Result<BroadcastSnapshot> {
        commit!(self, |store| declare::declare(store, declaration))
    }

    async fn cancel(&self, namespace: &str, idempotency_key: &str, owner_uid: &str) -> Result<Option<BroadcastId>> {
        commit_always!(self, |store| owner::cancel(store, namespace, idempotency_key, owner_uid))
    }

    async fn serve_cluster(&self, uid: &str, moved_from: Option<&str>) -> Result<()> {
        commit!(self, |store| owner::serve_cluster(store, uid, moved_from))
    }

    async fn release(&self, owner_uid: &str, generation: i64) -> Result<()> {
        commit_always!(self, |store| owner::release(store, owner_uid, generation))
    }

    async fn depart(&self, owner_uid: &str) -> Result<()> {
        commit_always!(self, |store| owner::depart(store, owner_uid))
    }

    async fn owners(&self) -> Result<Vec<Owner>> {
        read!(self, |store| owner::owners(store))
    }

    async fn owned_by(&self, owner_uid: &str) -> Result<Vec<BroadcastId>> {
        read!(self, |store| owner::owned_by(store, owner_uid))
    }

    async fn find(&self, owner_uid: &str) -> Result<Option<BroadcastId>> {
        read!(self, |store| owner::find(store, owner_uid))
    }

    async fn lift_credential_stop(&self, broadcast: BroadcastId) -> Result<()> {
        commit_always!(self, |store| declare::lift_credential_stop(store, broadcast))
    }

    async fn lift_block(&self, broadcast: BroadcastId, generation: i64) -> Result<()> {
        commit_always!(self, |store| declare::lift_block(store, broadcast, generation))
    }

    async fn settle_all_senders_dead(&self) -> Result<u64> {
        let mut settled = 0;
        loop {
            let slice = commit_always!(self, |store| maintain::settle_all(store))?;
            settled += slice;
            if slice == 0 {
                return Ok(settled);
            }
        }
    }

    fn was_out_of_reach(&self) {
        self.reached_anew();
    }

    async fn maintain(&self) -> Result<bool> {
        // Once it has begun: that is what shows a ledger that was out of reach.
        let more = commit_always!(self, |store| maintain::maintain(store, || self.reachable_since()))?;
        Ok(more || look_again(self).await?)
    }

    async fn snapshot(&self, broadcast: BroadcastId) -> Result<BroadcastSnapshot> {
        read!(self, |store| read::snapshot(store, broadcast))?.ok_or(LedgerError::UnknownBroadcast)
    }

    async fn batches(&self, broadcast: BroadcastId) -> Result<Vec<BatchSnapshot>> {
        read!(self, |store| read::batches(store, broadcast))
    }

    async fn results(&self, query: &ResultsQuery) -> Result<ResultsPage> {
        read!(self, |store| results::page(store, query))?.ok_or(LedgerError::UnknownBroadcast)
    }

    async fn tell_standing(&self, broadcast: BroadcastId, standing: &Standing) -> Result<()> {
        let known = commit_always!(self, |store| outbox::tell_standing(store, broadcast, standing))?;
        if known { Ok(()) } else { Err(LedgerError::UnknownBroadcast) }
    }

    async fn notification_totals(&self) -> Result<NotificationTotals> {
        read!(self, |store| outbox::totals(store))
    }

    async fn write_back_totals(&self) -> Result<WriteBackTotals> {
        read!(self, |store| owed::totals(store))
    }

    async fn figures(&self, broadcast: BroadcastId) -> Result<Figures> {
        read!(self, |store| read::figures(store, broadcast))?.ok_or(LedgerError::UnknownBroadcast)
    }

    async fn totals(&self) -> Result<Vec<Outcomes>> {
        read!(self, |store| read::totals(store))
    }

    async fn account(&self, account: &AccountKey) -> Result<Option<AccountSnapshot>> {
        read!(self, |store| read::account(store, account))
    }
}
