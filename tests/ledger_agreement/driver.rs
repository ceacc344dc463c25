//! Puts each operation to all three and compares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use herald::api::Content;
use herald::api::content::{Attachment, AttachmentType};
use herald::api::{NotificationEndpoint, NotificationEvent, SecretKeyRef};
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::pacing::NORMAL_WEIGHT;
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::rate::Rate;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::declaration::AccountKey;
use herald::ledger::exchange::{BroadcastId, Directive, ExchangeReply, ExchangeRequest, LastWords, Report};
use herald::ledger::plan::PlanRow;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Clock, Declaration, Figures, Inspect, Ledger, LedgerError, Outbox, Outcomes, SenderLedger};

use super::model::{Answer, BATCH, MAX_TRIES, Model, PARTS, PEOPLE, Rule, Says, View};
use super::operations::{Operation, SENDERS, Tell};
use super::postgres_server::fresh_ledger;

/// So many a second that slots never decide who is taken, not even at the brake's floor.
const RATE: u32 = 100_000;

/// The ledgers; every case has a namespace of its own in them.
pub struct Ledgers {
    pub sqlite: SqliteLedger,
    pub postgres: Option<PostgresLedger>,
    clock: Arc<ManualClock>,
    cases: AtomicU32,
}

impl Ledgers {
    pub async fn open(postgres: bool) -> Ledgers {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let sqlite = SqliteLedger::in_memory(clock.clone()).await.unwrap();
        let postgres = if postgres { Some(fresh_ledger(Some(clock.clone())).await) } else { None };
        // From now on silence is concluded from.
        clock.advance(Span::from_secs(20));
        Ledgers { sqlite, postgres, clock, cases: AtomicU32::new(0) }
    }

    pub async fn sums_hold(&self) -> Result<(), String> {
        let mut broken = self.sqlite.audit().await.unwrap();
        if let Some(postgres) = &self.postgres {
            broken.extend(postgres.audit().await.unwrap());
        }
        if broken.is_empty() { Ok(()) } else { Err(format!("{broken:?}")) }
    }
}

pub const ENDPOINT: &str = "crm";
pub const HOOK: &str = "https://crm.example/hooks";

/// The same call to each ledger, with the ids that it has for the broadcasts; what each answered.
macro_rules! on_each {
    ($case:expr, |$ledger:ident, $ids:ident| $call:expr) => {{
        let mut answers = Vec::new();
        let ($ledger, $ids) = (&$case.ledgers.sqlite, &$case.ids[0]);
        answers.push($call.await);
        if let Some($ledger) = &$case.ledgers.postgres {
            let $ids = &$case.ids[1];
            answers.push($call.await);
        }
        answers
    }};
}

pub(crate) use on_each;

/// The answer that all ledgers give.
pub fn agreed<T: PartialEq + std::fmt::Debug>(answers: Vec<Result<T, LedgerError>>) -> Result<T, String> {
    let mut answers: Vec<T> = answers.into_iter().map(Result::unwrap).collect();
    match answers.windows(2).any(|two| two[0] != two[1]) {
        true => Err(format!("the answers differ: {answers:?}")),
        false => Ok(answers.remove(0)),
    }
}

fn done(answers: Vec<Result<(), LedgerError>>) {
    answers.into_iter().for_each(Result::unwrap);
}

#[derive(Default)]
struct Caller {
    name: String,
    number: u64,
    last: Option<ExchangeRequest>,
}

pub struct Case<'a> {
    pub ledgers: &'a Ledgers,
    namespace: String,
    pub model: Model,
    /// By ledger, and there by broadcast.
    pub ids: Vec<[BroadcastId; 2]>,
    callers: [Caller; SENDERS],
    born: usize,
    /// Who was given away of each broadcast, the latest last.
    given: [Vec<(i64, u32)>; 2],
}

/// Everything that may be seen of a broadcast; what only the ledgers know comes last.
type Seen = (View, Vec<Outcomes>, i64, Figures, Option<Outbox>);

impl<'a> Case<'a> {
    pub async fn begin(ledgers: &'a Ledgers, without: Option<Rule>) -> Case<'a> {
        let namespace = format!("case-{}", ledgers.cases.fetch_add(1, Ordering::Relaxed));
        let now = ledgers.clock.now().0 / 1_000_000_000;
        let mut case = Case {
            ledgers,
            namespace,
            model: Model::new(now, without),
            ids: Vec::new(),
            callers: Default::default(),
            born: 0,
            given: Default::default(),
        };
        case.ids.push(case.known(&ledgers.sqlite).await);
        if let Some(postgres) = &ledgers.postgres {
            case.ids.push(case.known(postgres).await);
        }
        (0..SENDERS).for_each(|sender| case.born(sender));
        case
    }

    async fn known<L: Ledger>(&self, ledger: &L) -> [BroadcastId; 2] {
        let mut ids = [BroadcastId(0); 2];
        for (which, id) in ids.iter_mut().enumerate() {
            *id = ledger.declare(&self.declaration(which, 0, false, false, None)).await.unwrap().id;
            assert!(plan(ledger, *id).await);
        }
        ids
    }

    pub fn account(&self) -> AccountKey {
        AccountKey {
            namespace: self.namespace.clone(),
            provider: "messenger".into(),
            account: "acme".into(),
            host: "localhost".into(),
        }
    }

    fn born(&mut self, sender: usize) {
        self.born += 1;
        self.callers[sender] =
            Caller { name: format!("{}-{sender}-{}", self.namespace, self.born), ..Caller::default() };
    }

    fn declaration(
        &self,
        which: usize,
        generation: i64,
        suspended: bool,
        cancelled: bool,
        end: Option<i64>,
    ) -> Declaration {
        let name = format!("{}-{which}", self.namespace);
        Declaration {
            namespace: self.namespace.clone(),
            name: name.clone(),
            idempotency_key: name.clone(),
            owner_uid: name,
            generation,
            account: self.account(),
            account_rate: Rate::new(RATE, 1),
            identity_hash: "same".into(),
            audience_hash: String::new(),
            content: content(PARTS[which]),
            orders: None,
            sent_tags: Vec::new(),
            reply_window: None,
            request_timeout: Span::from_secs(2),
            rate: None,
            weight: NORMAL_WEIGHT,
            retry: RetryPolicy {
                max_tries: MAX_TRIES,
                initial_backoff: Span::ZERO,
                max_backoff: Span::ZERO,
                ..RetryPolicy::default()
            },
            key_is_given: true,
            recollection: Default::default(),
            batch_size: Some(BATCH as u32),
            plan_limit: None,
            start_at: None,
            end_at: end.map(|end| Timestamp::from_secs(end) + Span::from_millis(500)),
            start_by: None,
            quiet_hours: QuietHours::default(),
            notifications: if which == 0 { vec![endpoint()] } else { Vec::new() },
            write_backs: Vec::new(),
            suspended,
            cancelled,
        }
    }

    pub async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::Exchange { sender, wants, told, leaving } => {
                let outcomes = self.reports(*sender, told);
                let caller = &mut self.callers[*sender];
                caller.number += 1;
                let request = request(caller, outcomes, *wants, *leaving);
                self.exchange(*sender, request).await?;
            }
            Operation::Repeat { sender } => {
                if let Some(request) = self.callers[*sender].last.clone() {
                    self.exchange(*sender, request).await?;
                }
            }
            Operation::Stale { sender } => {
                if let Some(request) = self.callers[*sender].last.clone().filter(|request| request.number > 1) {
                    let older = ExchangeRequest { number: request.number - 1, ..request };
                    self.exchange(*sender, older).await?;
                }
            }
            Operation::Crash { sender, told, begun, complete } => self.crash(*sender, told, begun, *complete).await,
            Operation::Plan { broadcast } => self.plan(*broadcast).await?,
            Operation::Declare { broadcast, older, suspended, cancelled, ends_in } => {
                let latest = self.model.broadcasts[*broadcast].generation;
                let generation = if *older { latest - 1 } else { latest + 1 };
                let end = ends_in.map(|seconds| self.model.now + seconds);
                self.model.declare(*broadcast, generation, *suspended, *cancelled, end);
                let declared = self.declaration(*broadcast, generation, *suspended, *cancelled, end);
                done(on_each!(self, |ledger, _ids| async { ledger.declare(&declared).await.map(drop) }));
            }
            Operation::CallBack { broadcast, which, heard } => self.call_back(*broadcast, *which, *heard).await?,
            Operation::Opt { person, out } => self.opt(*person, *out).await?,
            Operation::Import { brought } => self.import(brought).await?,
            Operation::Tag { person, tag, away } => self.tag(*person, *tag, *away).await?,
            Operation::Write { person, ago } => self.write(*person, *ago).await?,
            Operation::TakeNotifications { poster } => self.take_notifications(*poster).await?,
            Operation::Post { poster, which, told } => self.post(*poster, *which, *told).await?,
            other => self.happen(other).await,
        }
        self.compare_contacts().await?;
        self.compare().await
    }

    /// What answers nothing.
    async fn happen(&mut self, operation: &Operation) {
        match *operation {
            Operation::Pass { seconds } => {
                self.ledgers.clock.advance(Span::from_secs(seconds));
                self.model.now += seconds;
            }
            Operation::Upkeep => {
                self.model.upkeep();
                done(on_each!(self, |ledger, _ids| async {
                    while ledger.maintain().await? {}
                    Ok(())
                }));
            }
            Operation::EverybodyIsDead => {
                self.model.everybody_is_dead();
                done(on_each!(self, |ledger, _ids| async { ledger.settle_all_senders_dead().await.map(drop) }));
            }
            Operation::Release { broadcast } => {
                self.model.release(broadcast);
                let owner = format!("{}-{broadcast}", self.namespace);
                done(on_each!(self, |ledger, _ids| ledger.release(&owner, 0)));
            }
            Operation::Lift { broadcast } => {
                self.model.lift(broadcast);
                done(on_each!(self, |ledger, ids| async {
                    ledger.lift_credential_stop(ids[broadcast]).await?;
                    ledger.lift_block(ids[broadcast], i64::MAX).await
                }));
            }
            _ => unreachable!("it answers something"),
        }
    }

    async fn exchange(&mut self, sender: usize, request: ExchangeRequest) -> Result<(), String> {
        let which = sender % 2;
        let expected = self.model.exchange(which, &request);
        let answers = on_each!(self, |ledger, ids| async {
            ledger.exchange(&ExchangeRequest { broadcast: ids[which], ..request.clone() }).await
        });
        let replies: Vec<Result<&ExchangeReply, &str>> =
            answers.iter().map(|answer| answer.as_ref().map_err(LedgerError::reason)).collect();
        if replies.windows(2).any(|two| two[0] != two[1]) {
            return Err(format!("the answers differ: {replies:?}"));
        }
        for answer in &answers {
            let answer = plainly(answer);
            if answer != expected {
                return Err(format!("the answer is {answer:?}, expected {expected:?} to {request:?}"));
            }
        }
        if let Answer::Rows { rows, .. } = &expected {
            self.given[which].retain(|given| !rows.contains(given));
            self.given[which].extend(rows);
        }
        match expected {
            Answer::SenderClosed => self.born(sender),
            _ => self.callers[sender].last = Some(request),
        }
        Ok(())
    }

    fn reports(&self, sender: usize, told: &[Tell]) -> Vec<Report> {
        let report = |tell: &Tell| {
            let (seq, attempt) = self.one_given(sender % 2, tell.which)?;
            // Different times, so that there is something to count.
            Some(Report { took_ms: Some(seq as u64 * 10), ..Report::new(seq, attempt, tell.outcome.clone()) })
        };
        told.iter().filter_map(report).collect()
    }

    pub fn one_given(&self, broadcast: usize, which: usize) -> Option<(i64, u32)> {
        self.given[broadcast].iter().rev().nth(which).copied()
    }

    async fn crash(&mut self, sender: usize, told: &[Tell], begun: &[usize], complete: bool) {
        let which = sender % 2;
        let words = LastWords {
            holder: self.callers[sender].name.clone(),
            outcomes: self.reports(sender, told),
            begun: begun.iter().filter_map(|place| self.one_given(which, *place)).collect(),
            complete,
            known_revision: 0,
        };
        self.model.bury(which, &words);
        done(on_each!(self, |ledger, _ids| ledger.settle_dead_sender(None, &words)));
        self.born(sender);
    }

    async fn plan(&mut self, which: usize) -> Result<(), String> {
        let expected = self.model.plan(which);
        let planned = on_each!(self, |ledger, ids| plan(ledger, ids[which]));
        let agreed = planned.iter().all(|planned| *planned == expected);
        if agreed { Ok(()) } else { Err(format!("planned: {planned:?}, expected {expected}")) }
    }

    async fn compare(&self) -> Result<(), String> {
        for which in 0..2 {
            let seen = on_each!(self, |ledger, ids| look(ledger, ids[which]));
            if seen.windows(2).any(|two| two[0] != two[1]) {
                return Err(format!("the ledgers differ: {seen:?}"));
            }
            let expected = self.model.view(which);
            for (view, ..) in &seen {
                if *view != expected {
                    return Err(format!("the ledger holds {view:?}, expected {expected:?}"));
                }
            }
            if which == 0 {
                let delivered = seen[0].4.as_ref().map_or(0, |outbox| outbox.delivered);
                if delivered != self.model.outbox.taken() as i64 {
                    return Err(format!("{delivered} events were taken, expected {}", self.model.outbox.taken()));
                }
            }
        }
        Ok(())
    }
}

fn request(caller: &Caller, outcomes: Vec<Report>, wants: u32, leaving: bool) -> ExchangeRequest {
    ExchangeRequest {
        broadcast: BroadcastId(0),
        holder: caller.name.clone(),
        display: caller.name.clone(),
        number: caller.number,
        outcomes,
        wants,
        held_up: false,
        known_revision: 0,
        content_of: Some(1),
        usage: None,
        retry_credentials: false,
        leaving,
    }
}

/// As the model says it.
fn plainly(answer: &Result<ExchangeReply, LedgerError>) -> Answer {
    match answer {
        Ok(reply) => {
            let mut rows: Vec<(i64, u32)> = reply.rows.iter().map(|row| (row.seq, row.attempt)).collect();
            rows.sort_unstable();
            let says = match reply.directive {
                Directive::Continue => Says::Continue,
                Directive::Wait { .. } => Says::Wait,
                Directive::Stop { reason } => Says::Stop(reason),
                Directive::Plan => panic!("everything is planned"),
            };
            Answer::Rows { rows, sharing: sharing(reply), says }
        }
        Err(LedgerError::StaleRequest { .. }) => Answer::Stale,
        Err(LedgerError::SenderClosed) => Answer::SenderClosed,
        Err(error) => panic!("{error}"),
    }
}

/// In how many parts the slots of the account are shared, of which the sender has one.
fn sharing(reply: &ExchangeReply) -> u32 {
    assert_eq!(reply.turn.0 % reply.interval.0, 0, "both broadcasts weigh the same");
    (reply.turn.0 / reply.interval.0) as u32
}

fn endpoint() -> NotificationEndpoint {
    NotificationEndpoint {
        name: ENDPOINT.to_owned(),
        url: HOOK.to_owned(),
        signing_secret_key_ref: SecretKeyRef { name: "hook".to_owned(), key: "secret".to_owned() },
        events: NotificationEvent::ALL.to_vec(),
    }
}

fn content(parts: u32) -> Content {
    let picture = |number| Attachment { kind: AttachmentType::Image, url: format!("https://a.example/{number}.png") };
    Content { text: "hello".into(), attachments: (1..parts).map(picture).collect(), ..Content::default() }
}

/// Whether it may be planned, which it is then.
async fn plan<L: Ledger>(ledger: &L, broadcast: BroadcastId) -> bool {
    let ticket = match ledger.begin_plan(broadcast).await {
        Err(LedgerError::PlanLocked) => return false,
        ticket => ticket.unwrap(),
    };
    let person = |number| PlanRow { recipient: format!("person-{number}"), vars: BTreeMap::new() };
    let people: Vec<PlanRow> = (0..PEOPLE).map(person).collect();
    ledger.append_plan(ticket, 1, &people).await.unwrap();
    ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    true
}

async fn look<L: Ledger + Inspect>(ledger: &L, broadcast: BroadcastId) -> Seen {
    let snapshot = ledger.snapshot(broadcast).await.unwrap();
    let batches = ledger.batches(broadcast).await.unwrap();
    let rows = ledger.deliveries(broadcast, 0, u32::MAX).await.unwrap();
    let view = View {
        closed: snapshot.closed,
        finished: snapshot.finished_at.is_some(),
        rows: rows.into_iter().map(|row| (row.state, row.attempt, row.parts_done)).collect(),
        batches: batches.into_iter().map(|batch| (batch.epoch, batch.holder, batch.reclaims, batch.retries)).collect(),
        receipts: snapshot.receipts,
    };
    let figures = ledger.figures(broadcast).await.unwrap();
    let told = figures.pace.sum();
    assert_eq!((told.sent as i64, told.failed as i64), (snapshot.counts.sent, snapshot.counts.failed), "{figures:?}");
    let requests: i64 = figures.batches.iter().map(|batch| batch.requests).sum();
    assert_eq!((told.requests, told.requests as i64), (figures.latency.total(), requests), "{figures:?}");
    let of_batches: u64 = figures.batches.iter().map(|batch| batch.latency.total()).sum();
    assert_eq!(of_batches, told.requests, "{figures:?}");
    (view, snapshot.outcomes, snapshot.revision, figures, snapshot.outbox)
}
