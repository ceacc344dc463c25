//! Senders, an operator and planners that work at the same time on one ledger that several processes keep, in real time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use herald::delivery::backoff::RetryPolicy;
use herald::delivery::gate::Closed;
use herald::delivery::outcome::{Fault, Outcome, PermanentScope};
use herald::delivery::rate::Rate;
use herald::delivery::time::Span;
use herald::ledger::exchange::{Assignment, BroadcastId, Directive, ExchangeReply, ExchangeRequest, LastWords, Report};
use herald::ledger::plan::{PlanRow, PlanTicket};
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::random::random_id;
use herald::ledger::{Declaration, Inspect, Ledger, LedgerError, SenderLedger};
use tokio::task::JoinSet;

use super::book::Book;
use super::simulated::{Chance, declaration, person};
use super::write_backs;

pub const RATE: u32 = 400;
/// Longer than any of it takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);
const SENDERS_EACH: usize = 3;

/// A broadcast and the account that it is sent by.
#[derive(Clone, Copy)]
pub struct Campaign {
    pub name: &'static str,
    pub account: &'static str,
}

/// Two share an account, the third one works beside them.
pub const CAMPAIGNS: [Campaign; 3] = [
    Campaign { name: "one", account: "shared" },
    Campaign { name: "other", account: "shared" },
    Campaign { name: "third", account: "own" },
];

pub struct Crowd {
    ledgers: Vec<PostgresLedger>,
    pub book: Book,
    broadcasts: Vec<(Campaign, BroadcastId)>,
    /// Of each of them.
    plans: Vec<PlanTicket>,
    recipients: usize,
    generation: AtomicI64,
    seeds: AtomicU64,
    /// The operator stops changing its mind.
    calm: AtomicBool,
    /// Calls that were not answered.
    pub unanswered: AtomicU64,
    /// Whether calls may remain unanswered.
    faults: bool,
}

pub fn declared(campaign: Campaign, generation: i64) -> Declaration {
    let mut declared = declaration(false, 1);
    declared.name = campaign.name.to_owned();
    declared.idempotency_key = campaign.name.to_owned();
    declared.owner_uid = campaign.name.to_owned();
    declared.generation = generation;
    declared.account.account = campaign.account.to_owned();
    declared.account_rate = Rate::new(RATE, 1);
    declared.batch_size = Some(20);
    declared.retry = RetryPolicy {
        max_tries: 4,
        initial_backoff: Span::from_millis(50),
        max_backoff: Span::from_millis(200),
        ..RetryPolicy::default()
    };
    declared
}

/// One more of the shared account, that never sends.
fn replanned() -> Declaration {
    let replanned = declared(Campaign { name: "replanned", account: "shared" }, 0);
    Declaration { suspended: true, ..replanned }
}

fn people(count: usize) -> Vec<PlanRow> {
    (0..count).map(|number| PlanRow { recipient: person(number), vars: BTreeMap::new() }).collect()
}

impl Crowd {
    /// Two processes on one schema, and each campaign planned for so many people.
    pub async fn gather(server: &str, schema: &str, recipients: usize, faults: bool) -> Arc<Crowd> {
        let open = || PostgresLedger::open_in(server, schema, None);
        let (one, other) = tokio::join!(open(), open());
        let ledgers = vec![one.unwrap(), other.unwrap()];
        let (mut broadcasts, mut plans) = (Vec::new(), Vec::new());
        for campaign in CAMPAIGNS {
            let broadcast = ledgers[0].declare(&declared(campaign, 1)).await.unwrap().id;
            let ticket = ledgers[0].begin_plan(broadcast).await.unwrap();
            ledgers[0].append_plan(ticket, 1, &people(recipients)).await.unwrap();
            ledgers[0].seal_plan(ticket, &Default::default()).await.unwrap();
            broadcasts.push((campaign, broadcast));
            plans.push(ticket);
        }
        // Of two that make a key known at the same moment one is told to come again.
        ledgers[0].declare(&replanned()).await.unwrap();
        Arc::new(Crowd {
            ledgers,
            book: Book::default(),
            broadcasts,
            plans,
            recipients,
            generation: AtomicI64::new(1),
            seeds: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            unanswered: AtomicU64::new(0),
            faults,
        })
    }

    fn chance(&self) -> Chance {
        Chance(self.seeds.fetch_add(1, Ordering::Relaxed) << 32)
    }

    fn ledger(&self, chance: &mut Chance) -> &PostgresLedger {
        &self.ledgers[chance.below(self.ledgers.len() as u64) as usize]
    }

    /// Repeats a call, at any of the processes, until it is answered.
    pub async fn answered<T>(
        &self,
        chance: &mut Chance,
        call: impl AsyncFn(&PostgresLedger) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        loop {
            match call(self.ledger(chance)).await {
                Err(error) if error.is_transient() => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    if !self.faults {
                        self.book.wrong(format!("nothing was done to it, and it did not answer: {error}"));
                    }
                    tokio::time::sleep(Duration::from_millis(5 + chance.below(40))).await;
                }
                answered => return answered,
            }
        }
    }

    /// Everybody works until every broadcast is finished; `disturb` runs beside them, and when it has ended nobody changes
    /// their mind any more.
    pub async fn work(self: &Arc<Crowd>, disturb: impl Future<Output = ()>) {
        // Side by side on one thread; what they ask for is done in parallel by the server.
        let here = tokio::task::LocalSet::new();
        here.run_until(self.work_here(disturb)).await;
    }

    async fn work_here(self: &Arc<Crowd>, disturb: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let crowd = self.clone();
        tasks.spawn_local(async move { crowd.watch().await });
        for (campaign, broadcast) in self.broadcasts.clone() {
            for _ in 0..SENDERS_EACH {
                let crowd = self.clone();
                tasks.spawn_local(async move { Worker::new(crowd, campaign, broadcast).send().await });
            }
            for _ in 0..2 {
                let crowd = self.clone();
                tasks.spawn_local(async move { crowd.write_down(broadcast).await });
            }
        }
        let crowd = self.clone();
        tasks.spawn_local(async move { crowd.read_lists().await });
        for _ in 0..2 {
            let crowd = self.clone();
            tasks.spawn_local(async move { crowd.keep_up().await });
            let crowd = self.clone();
            tasks.spawn_local(async move { crowd.change_minds().await });
            let crowd = self.clone();
            tasks.spawn_local(async move { crowd.plan_again_and_again().await });
        }
        disturb.await;
        self.calm.store(true, Ordering::SeqCst);
        let everybody = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
        tokio::time::timeout(PATIENCE, everybody).await.expect("I13: everybody settles");
        // Whom a sender has told of after its broadcast was finished.
        for (_, broadcast) in self.broadcasts.clone() {
            tokio::time::timeout(PATIENCE, self.write_down(broadcast)).await.expect("whoever is owed is written down");
        }
    }

    async fn finished(&self, chance: &mut Chance) -> bool {
        for (_, broadcast) in &self.broadcasts {
            let look = async |ledger: &PostgresLedger| ledger.snapshot(*broadcast).await;
            if self.answered(chance, look).await.unwrap().finished_at.is_none() {
                return false;
            }
        }
        true
    }

    /// Upkeep, and what a status shows meanwhile.
    async fn keep_up(&self) {
        let mut chance = self.chance();
        while !self.finished(&mut chance).await {
            self.answered(&mut chance, PostgresLedger::maintain).await.unwrap();
            let (_, broadcast) = self.broadcasts[chance.below(3) as usize];
            self.answered(&mut chance, async |ledger| ledger.batches(broadcast).await).await.unwrap();
            self.answered(&mut chance, PostgresLedger::totals).await.unwrap();
            tokio::time::sleep(Duration::from_millis(chance.below(30))).await;
        }
    }

    /// Writes down what a status shows, again and again, until everything is finished.
    async fn watch(&self) {
        let mut chance = self.chance();
        while !self.finished(&mut chance).await {
            for (_, broadcast) in self.broadcasts.clone() {
                let snapshot = self.answered(&mut chance, async |ledger| ledger.snapshot(broadcast).await).await;
                let batches = self.answered(&mut chance, async |ledger| ledger.batches(broadcast).await).await;
                self.book.seen(&snapshot.unwrap(), &batches.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Writes down whoever was sent to, until nobody is owed any more.
    async fn write_down(&self, broadcast: BroadcastId) {
        let (mut chance, holder) = (self.chance(), random_id());
        loop {
            let request = write_backs::take(broadcast, &holder);
            let page =
                self.answered(&mut chance, async |ledger| ledger.take_write_backs(&request).await).await.unwrap();
            for owed in &page.people {
                self.book.written(broadcast, owed.seq);
            }
            if !page.people.is_empty() {
                let told = write_backs::written(broadcast, &holder, &page.people);
                self.answered(&mut chance, async |ledger| ledger.report_write_backs(&told).await).await.unwrap();
            }
            let look = async |ledger: &PostgresLedger| ledger.snapshot(broadcast).await;
            let snapshot = self.answered(&mut chance, look).await.unwrap();
            if snapshot.finished_at.is_some() && snapshot.write_backs.iter().all(|target| target.pending == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20 + chance.below(60))).await;
        }
    }

    /// Senders that start read lists, which name more and more people.
    async fn read_lists(&self) {
        let mut chance = self.chance();
        while !self.calm.load(Ordering::SeqCst) {
            let plan = self.plans[chance.below(3) as usize];
            let seq = chance.below(self.recipients as u64);
            let list = [person(seq as usize)];
            self.answered(&mut chance, async |ledger| ledger.suppress_pending(plan, &list).await).await.unwrap();
            let look = async |ledger: &PostgresLedger| ledger.deliveries(plan.broadcast, seq as i64, 1).await;
            let row = self.answered(&mut chance, look).await.unwrap().remove(0);
            assert_eq!(row.seq, seq as i64);
            self.book.named(plan.broadcast, row.seq, row.attempt);
            tokio::time::sleep(Duration::from_millis(chance.below(80))).await;
        }
    }

    /// Pauses, resumes, releases, sets rates; in the end everything is open.
    async fn change_minds(&self) {
        let mut chance = self.chance();
        while !self.calm.load(Ordering::SeqCst) {
            let (campaign, broadcast) = self.broadcasts[chance.below(3) as usize];
            let mut wish = declared(campaign, self.generation.fetch_add(1, Ordering::SeqCst));
            wish.suspended = chance.percent(20);
            wish.rate = chance.percent(30).then(|| Rate::new(RATE / 2, 1));
            if chance.percent(10) {
                self.answered(&mut chance, async |ledger| ledger.release(campaign.name, 0).await).await.unwrap();
            }
            self.answered(&mut chance, async |ledger| ledger.declare(&wish).await).await.unwrap();
            self.answered(&mut chance, async |ledger| ledger.lift_block(broadcast, i64::MAX).await).await.unwrap();
            self.answered(&mut chance, async |ledger| ledger.lift_credential_stop(broadcast).await).await.unwrap();
            tokio::time::sleep(Duration::from_millis(chance.below(60))).await;
        }
        for (campaign, _) in self.broadcasts.clone() {
            let wish = declared(campaign, self.generation.fetch_add(1, Ordering::SeqCst) + 1_000);
            self.answered(&mut chance, async |ledger| ledger.declare(&wish).await).await.unwrap();
        }
    }

    /// Two of these make plans of one more broadcast of the shared account, each in the other's way; it is edited and moved
    /// from account to account meanwhile.
    async fn plan_again_and_again(&self) {
        let mut chance = self.chance();
        while !self.calm.load(Ordering::SeqCst) {
            let mut wish = replanned();
            wish.generation = self.generation.fetch_add(1, Ordering::SeqCst);
            wish.identity_hash = format!("{}", chance.below(3));
            if chance.percent(20) {
                wish.account.account = "own".to_owned();
            }
            let broadcast = self.answered(&mut chance, async |ledger| ledger.declare(&wish).await).await.unwrap().id;
            if let Err(error) = self.plan_once(&mut chance, broadcast).await {
                let overtaken = matches!(error, LedgerError::PlanSuperseded | LedgerError::ChunkOutOfOrder { .. });
                if !overtaken {
                    self.book.wrong(format!("planning: {error}"));
                }
            }
        }
    }

    async fn plan_once(&self, chance: &mut Chance, broadcast: BroadcastId) -> Result<(), LedgerError> {
        let ticket = self.answered(chance, async |ledger| ledger.begin_plan(broadcast).await).await?;
        let out = ["person-7".to_owned()];
        self.answered(chance, async |ledger| ledger.exclude(ticket, 1, &out).await).await?;
        for chunk in 2..4 {
            let rows = people(50);
            self.answered(chance, async |ledger| ledger.append_plan(ticket, chunk, &rows).await).await?;
        }
        if chance.percent(30) {
            return self.answered(chance, async |ledger| ledger.abandon_plan(ticket).await).await;
        }
        let sealed = self.answered(chance, async |ledger| ledger.seal_plan(ticket, &Default::default()).await).await?;
        if (sealed.planned, sealed.excluded) != (49, 2) {
            self.book.wrong(format!("I3: {sealed:?}"));
        }
        Ok(())
    }

    /// The ledger's own sums, everybody's end, and the slots.
    pub async fn judge(&self) -> Vec<String> {
        for wrong in self.ledgers[0].audit().await.unwrap() {
            self.book.wrong(wrong);
        }
        for (_, broadcast) in &self.broadcasts {
            for row in self.ledgers[1].deliveries(*broadcast, 0, u32::MAX).await.unwrap() {
                self.book.judge(*broadcast, &row);
            }
        }
        self.book.judge_slots(Rate::new(RATE, 1).interval());
        self.book.everything_wrong()
    }
}

/// One sender process; when it dies, the next takes its place.
struct Worker {
    crowd: Arc<Crowd>,
    campaign: Campaign,
    broadcast: BroadcastId,
    chance: Chance,
    holder: String,
    number: u64,
    reports: Vec<Report>,
}

impl Worker {
    fn new(crowd: Arc<Crowd>, campaign: Campaign, broadcast: BroadcastId) -> Worker {
        let chance = crowd.chance();
        Worker { crowd, campaign, broadcast, chance, holder: random_id(), number: 0, reports: Vec::new() }
    }

    async fn send(mut self) {
        loop {
            let reply = self.exchange().await;
            if self.chance.percent(2) {
                self.die(&reply.rows).await;
                continue;
            }
            for row in &reply.rows {
                let outcome = self.ask_provider(row);
                self.tell(row, outcome);
            }
            let pause = match reply.directive {
                Directive::Stop { reason: Closed::Complete | Closed::Cancelled } => return,
                Directive::Stop { .. } => 30,
                Directive::Wait { until } => (until - reply.now).as_millis().clamp(0, 100) as u64,
                Directive::Continue | Directive::Plan => self.chance.below(20),
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn exchange(&mut self) -> ExchangeReply {
        self.number += 1;
        let request = ExchangeRequest {
            broadcast: self.broadcast,
            holder: self.holder.clone(),
            display: self.holder.clone(),
            number: self.number,
            outcomes: std::mem::take(&mut self.reports),
            wants: self.chance.below(30) as u32,
            held_up: false,
            known_revision: 0,
            content_of: Some(1),
            usage: None,
            retry_credentials: false,
            leaving: false,
        };
        let crowd = self.crowd.clone();
        let answer = crowd.answered(&mut self.chance, async |ledger| ledger.exchange(&request).await).await;
        let reply = answer.expect("a living sender is answered");
        crowd.book.given(self.campaign.account, self.broadcast, &self.holder, &reply);
        reply
    }

    fn tell(&mut self, row: &Assignment, outcome: Outcome) {
        if !matches!(outcome, Outcome::Unknown { .. }) {
            self.crowd.book.definite(self.broadcast, row.seq, row.attempt);
        }
        self.reports.push(Report::new(row.seq, row.attempt, outcome));
    }

    fn ask_provider(&mut self, row: &Assignment) -> Outcome {
        let fault = Fault::new("Simulated", None, "");
        let roll = self.chance.below(100);
        if (4..90).contains(&roll) || roll < 2 {
            self.crowd.book.accepted(self.broadcast, row.seq);
        }
        match roll {
            0..4 => Outcome::Unknown { fault },
            4..90 => Outcome::Accepted { provider_id: None },
            90..94 => Outcome::NotBegun,
            94..96 => Outcome::NotSent { fault },
            96..98 => {
                self.crowd.book.refused(self.broadcast, row.seq);
                Outcome::Permanent { scope: PermanentScope::Recipient, fault }
            }
            _ => {
                self.crowd.book.refused(self.broadcast, row.seq);
                Outcome::Transient { cap: None, fault }
            }
        }
    }

    /// Killed after it has begun the first of what it holds; its journal tells so, and the next process goes on.
    async fn die(&mut self, rows: &[Assignment]) {
        let mut begun = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            if place < rows.len().div_ceil(3) {
                if self.chance.percent(50) {
                    self.crowd.book.accepted(self.broadcast, row.seq);
                }
                begun.push((row.seq, row.attempt));
            } else {
                self.crowd.book.definite(self.broadcast, row.seq, row.attempt);
            }
        }
        let outcomes = std::mem::take(&mut self.reports);
        let words =
            LastWords { holder: std::mem::take(&mut self.holder), outcomes, begun, complete: true, known_revision: 0 };
        let crowd = self.crowd.clone();
        let settle = async |ledger: &PostgresLedger| ledger.settle_dead_sender(None, &words).await;
        crowd.answered(&mut self.chance, settle).await.unwrap();
        self.holder = random_id();
        self.number = 0;
    }
}
