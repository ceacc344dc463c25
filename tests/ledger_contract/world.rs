//! A ledger on a clock that stands, with senders that do as they are told. Every call is followed by an audit: the sums
//! hold at every step.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::postgres_server::fresh_ledger;
use herald::api::Content;
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::counts::Counts;
use herald::delivery::outcome::{Fault, Outcome, PermanentScope, ThrottleScope};
use herald::delivery::pacing::NORMAL_WEIGHT;
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::rate::Rate;
use herald::delivery::recipient::RecipientState;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::declaration::{AccountKey, Declaration};
use herald::ledger::exchange::{Assignment, BroadcastId, ExchangeReply, ExchangeRequest, LastWords, Report};
use herald::ledger::plan::{PlanRow, SealedPlan};
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::snapshot::{BatchSnapshot, BroadcastSnapshot};
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Clock, DeliveryView, Inspect, Ledger, LedgerError, Recollection};

/// A ledger that can be put through the contract: what the suite needs beside the calls of a sender.
pub trait Backend: Ledger + Sized {
    /// An empty ledger on this clock.
    async fn empty(clock: Arc<ManualClock>) -> Self;
    /// The invariants that do not hold.
    async fn broken(&self) -> Vec<String>;
    /// Every recipient of a broadcast, in order.
    async fn everybody(&self, broadcast: BroadcastId) -> Vec<DeliveryView>;
}

impl Backend for SqliteLedger {
    async fn empty(clock: Arc<ManualClock>) -> SqliteLedger {
        SqliteLedger::in_memory(clock).await.unwrap()
    }

    async fn broken(&self) -> Vec<String> {
        self.audit().await.unwrap()
    }

    async fn everybody(&self, broadcast: BroadcastId) -> Vec<DeliveryView> {
        self.deliveries(broadcast, 0, u32::MAX).await.unwrap()
    }
}

impl Backend for PostgresLedger {
    async fn empty(clock: Arc<ManualClock>) -> PostgresLedger {
        fresh_ledger(Some(clock)).await
    }

    async fn broken(&self) -> Vec<String> {
        self.audit().await.unwrap()
    }

    async fn everybody(&self, broadcast: BroadcastId) -> Vec<DeliveryView> {
        self.deliveries(broadcast, 0, u32::MAX).await.unwrap()
    }
}

pub struct World<L> {
    pub ledger: L,
    pub clock: Arc<ManualClock>,
}

/// 100 a second for the account: slots 10 ms apart, groups of 25.
pub const INTERVAL: Span = Span::from_millis(10);

/// What senders of these tests say that each request took.
pub const TOOK_MS: u64 = 50;

/// A broadcast of its own key and name on the one account, in batches of 10.
pub fn declaration(key: &str) -> Declaration {
    Declaration {
        namespace: "default".into(),
        name: key.into(),
        idempotency_key: key.into(),
        key_is_given: true,
        owner_uid: "owner".into(),
        generation: 1,
        account: AccountKey {
            namespace: "default".into(),
            provider: "http".into(),
            account: "acme".into(),
            host: "localhost".into(),
        },
        account_rate: Rate::new(100, 1),
        identity_hash: "first".into(),
        audience_hash: String::new(),
        content: Content { text: "hello".into(), ..Content::default() },
        orders: None,
        sent_tags: Vec::new(),
        reply_window: None,
        request_timeout: Span::from_secs(20),
        rate: None,
        weight: NORMAL_WEIGHT,
        retry: RetryPolicy::default(),
        batch_size: Some(10),
        plan_limit: None,
        start_at: None,
        end_at: None,
        start_by: None,
        quiet_hours: QuietHours::default(),
        notifications: Vec::new(),
        write_backs: Vec::new(),
        suspended: false,
        cancelled: false,
        recollection: Recollection::default(),
    }
}

pub fn person(number: usize) -> PlanRow {
    PlanRow { recipient: format!("person-{number}"), vars: BTreeMap::new() }
}

pub fn people(numbers: std::ops::Range<usize>) -> Vec<PlanRow> {
    numbers.map(person).collect()
}

impl<L: Backend> World<L> {
    pub async fn new() -> World<L> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        World { ledger: L::empty(clock.clone()).await, clock }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn pass(&self, span: Span) {
        self.clock.advance(span);
    }

    pub async fn sums_hold(&self) {
        assert_eq!(self.ledger.broken().await, Vec::<String>::new());
    }

    pub async fn declare(&self, declaration: &Declaration) -> BroadcastSnapshot {
        let snapshot = self.ledger.declare(declaration).await.unwrap();
        self.sums_hold().await;
        snapshot
    }

    /// Declares and plans for so many people.
    pub async fn planned(&self, declaration: &Declaration, count: usize) -> BroadcastId {
        let broadcast = self.declare(declaration).await.id;
        self.plan(broadcast, count).await;
        broadcast
    }

    pub async fn plan(&self, broadcast: BroadcastId, count: usize) -> SealedPlan {
        let ticket = self.ledger.begin_plan(broadcast).await.unwrap();
        for (chunk, rows) in (1..).zip(people(0..count).chunks(2_000)) {
            self.ledger.append_plan(ticket, chunk, rows).await.unwrap();
        }
        let plan = self.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
        self.sums_hold().await;
        plan
    }

    pub async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply, LedgerError> {
        let answer = self.ledger.exchange(request).await;
        self.sums_hold().await;
        answer
    }

    pub async fn maintain(&self) -> bool {
        let more = self.ledger.maintain().await.unwrap();
        self.sums_hold().await;
        more
    }

    /// Upkeep until there is nothing left to do at once.
    pub async fn maintain_all(&self) {
        while self.maintain().await {}
    }

    pub async fn settle_dead(&self, words: &LastWords) {
        self.ledger.settle_dead_sender(None, words).await.unwrap();
        self.sums_hold().await;
    }

    pub async fn snapshot(&self, broadcast: BroadcastId) -> BroadcastSnapshot {
        self.ledger.snapshot(broadcast).await.unwrap()
    }

    pub async fn counts(&self, broadcast: BroadcastId) -> Counts {
        self.snapshot(broadcast).await.counts
    }

    pub async fn batch(&self, broadcast: BroadcastId, index: usize) -> BatchSnapshot {
        self.ledger.batches(broadcast).await.unwrap().swap_remove(index)
    }

    pub async fn row(&self, broadcast: BroadcastId, seq: i64) -> DeliveryView {
        self.ledger.everybody(broadcast).await.swap_remove(seq as usize)
    }

    pub async fn state(&self, broadcast: BroadcastId, seq: i64) -> RecipientState {
        self.row(broadcast, seq).await.state
    }

    /// How many stand in `state` for `reason`, as a status shows it.
    pub async fn tally(&self, broadcast: BroadcastId, state: RecipientState, reason: &str) -> i64 {
        let outcomes = self.snapshot(broadcast).await.outcomes;
        outcomes.iter().filter(|one| one.state == state && one.reason == reason).map(|one| one.count).sum()
    }
}

/// A sender by its name; it numbers its requests.
pub struct Sender {
    pub holder: String,
    pub broadcast: BroadcastId,
    pub number: u64,
}

impl Sender {
    pub fn new(holder: &str, broadcast: BroadcastId) -> Sender {
        Sender { holder: holder.into(), broadcast, number: 0 }
    }

    /// One that has recorded an outcome: it was given the first recipient it could get, who was sent.
    pub async fn proven<L: Backend>(world: &World<L>, holder: &str, broadcast: BroadcastId) -> Sender {
        let mut sender = Sender::new(holder, broadcast);
        let rows = sender.take(world, 1).await;
        assert_eq!(rows.len(), 1, "there must be somebody to prove it with");
        sender.tell(world, reports(&rows, &accepted())).await;
        sender
    }

    /// The next request, not yet sent.
    pub fn request(&mut self, outcomes: Vec<Report>, wants: u32) -> ExchangeRequest {
        self.number += 1;
        ExchangeRequest {
            broadcast: self.broadcast,
            holder: self.holder.clone(),
            display: self.holder.clone(),
            number: self.number,
            outcomes,
            wants,
            known_revision: 0,
            held_up: false,
            content_of: Some(1),
            usage: None,
            retry_credentials: false,
            leaving: false,
        }
    }

    pub async fn exchange<L: Backend>(&mut self, world: &World<L>, outcomes: Vec<Report>, wants: u32) -> ExchangeReply {
        let request = self.request(outcomes, wants);
        world.exchange(&request).await.unwrap()
    }

    pub async fn take<L: Backend>(&mut self, world: &World<L>, wants: u32) -> Vec<Assignment> {
        self.exchange(world, Vec::new(), wants).await.rows
    }

    pub async fn tell<L: Backend>(&mut self, world: &World<L>, outcomes: Vec<Report>) -> ExchangeReply {
        self.exchange(world, outcomes, 0).await
    }
}

pub fn report(row: &Assignment, outcome: &Outcome) -> Report {
    Report { took_ms: Some(TOOK_MS), ..Report::new(row.seq, row.attempt, outcome.clone()) }
}

pub fn reports(rows: &[Assignment], outcome: &Outcome) -> Vec<Report> {
    rows.iter().map(|row| report(row, outcome)).collect()
}

pub fn seqs(rows: &[Assignment]) -> Vec<i64> {
    rows.iter().map(|row| row.seq).collect()
}

fn fault(reason: &str) -> Fault {
    Fault::new(reason, None, "words")
}

pub fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: None }
}

pub fn unknown() -> Outcome {
    Outcome::Unknown { fault: fault("Timeout") }
}

pub fn transient() -> Outcome {
    Outcome::Transient { cap: None, fault: fault("Busy") }
}

pub fn not_sent() -> Outcome {
    Outcome::NotSent { fault: fault("Refused") }
}

pub fn permanent() -> Outcome {
    Outcome::Permanent { scope: PermanentScope::Recipient, fault: fault("NoSuchUser") }
}

pub fn rejected() -> Outcome {
    Outcome::Permanent { scope: PermanentScope::Message, fault: fault("EmptyMessage") }
}

pub fn auth() -> Outcome {
    Outcome::Auth { fault: fault("TokenExpired") }
}

pub fn blocked() -> Outcome {
    Outcome::Blocked { fault: fault("Spam") }
}

pub fn account_throttled(retry_after: Option<Span>) -> Outcome {
    let retry_after_ms = retry_after.map(|span| span.as_millis() as u64);
    Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, fault: fault("RateLimited") }
}

/// Puts this one recipient off for exactly so long where that is more than the backoff.
pub fn recipient_throttled(retry_after: Span) -> Outcome {
    let retry_after_ms = Some(retry_after.as_millis() as u64);
    Outcome::Throttled { scope: ThrottleScope::Recipient, retry_after_ms, fault: fault("PairLimited") }
}
