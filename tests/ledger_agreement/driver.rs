//! Puts each operation to all three and compares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::declaration::AccountKey;
use herald::ledger::exchange::{BroadcastId, Directive, ExchangeReply, ExchangeRequest, LastWords, Report};
use herald::ledger::plan::{PlanRow, PlanTicket};
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Clock, Figures, Inspect, Ledger, LedgerError, Outbox, Outcomes, SenderLedger};

use super::calls::Page;
use super::declarations::{self, Wish, declaration};
use super::model::{Answer, Model, NAMED, PEOPLE, Rule, Says, View};
use super::operations::{Operation, SENDERS, Tell};
use super::postgres_server::fresh_ledger;
use super::write_backs;

/// The ledgers; every case has a namespace of its own in them.
pub struct Ledgers {
    pub sqlite: SqliteLedger,
    pub postgres: Option<PostgresLedger>,
    pub clock: Arc<ManualClock>,
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

    /// A number that no other case has.
    pub fn next_case(&self) -> u32 {
        self.cases.fetch_add(1, Ordering::Relaxed)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn sums_hold(&self) -> Result<(), String> {
        let mut broken = self.sqlite.audit().await.unwrap();
        if let Some(postgres) = &self.postgres {
            broken.extend(postgres.audit().await.unwrap());
        }
        if let Some(postgres) = &self.postgres {
            let (here, there) = (self.sqlite.write_back_totals().await, postgres.write_back_totals().await);
            let (here, there) = (here.unwrap(), there.unwrap());
            broken.extend((here != there).then(|| format!("written back in all: {here:?} and {there:?}")));
        }
        if broken.is_empty() { Ok(()) } else { Err(format!("{broken:?}")) }
    }
}

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
    /// What was last declared of each broadcast.
    wishes: [Wish; 2],
    /// The epochs of the latest plans, which are the same in all ledgers.
    plans: [i64; 2],
    /// Who was last taken to be written down, and by which edition of the target.
    pub pages: BTreeMap<Page, (u8, Vec<usize>)>,
    callers: [Caller; SENDERS],
    born: usize,
    /// Who was given away of each broadcast, the latest last.
    given: [Vec<(i64, u32)>; 2],
}

/// Everything that may be seen of a broadcast; what only the ledgers know comes last.
type Seen = (View, Vec<Outcomes>, i64, Figures, Option<Outbox>);

impl<'a> Case<'a> {
    pub async fn begin(ledgers: &'a Ledgers, without: Option<Rule>) -> Case<'a> {
        let namespace = format!("case-{}", ledgers.next_case());
        let now = ledgers.now().0 / 1_000_000_000;
        let mut case = Case {
            ledgers,
            namespace,
            model: Model::new(now, without),
            ids: Vec::new(),
            wishes: NAMED.map(|named| Wish {
                generation: 0,
                suspended: false,
                cancelled: false,
                end: None,
                lists: 0,
                named,
            }),
            plans: [1; 2],
            pages: BTreeMap::new(),
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
            *id = ledger.declare(&declaration(&self.namespace, which, &self.wishes[which])).await.unwrap().id;
            assert_eq!(plan(ledger, *id, &[]).await, Some(self.plans[which]));
        }
        ids
    }

    pub fn account(&self) -> AccountKey {
        declarations::account(&self.namespace)
    }

    fn born(&mut self, sender: usize) {
        self.born += 1;
        self.callers[sender] =
            Caller { name: format!("{}-{sender}-{}", self.namespace, self.born), ..Caller::default() };
    }

    pub async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::Exchange { sender, wants, told, leaving } => {
                let outcomes = self.reports(*sender, told);
                let caller = &mut self.callers[*sender];
                caller.number += 1;
                let request = request(&caller.name, caller.number, outcomes, *wants, *leaving);
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
            Operation::Plan { broadcast, list } => self.plan(*broadcast, list).await?,
            Operation::Suppress { broadcast, list, late } => self.suppress(*broadcast, list, *late).await?,
            Operation::Declare { broadcast, older, suspended, cancelled, ends_in, other_lists, named } => {
                let before = &self.wishes[*broadcast];
                let wish = Wish {
                    generation: before.generation + if *older { -1 } else { 1 },
                    suspended: *suspended,
                    cancelled: *cancelled,
                    end: ends_in.map(|seconds| self.model.now + seconds),
                    lists: (before.lists + u8::from(*other_lists)) % 3,
                    named: named.unwrap_or(before.named),
                };
                self.declare(*broadcast, wish).await;
            }
            Operation::CallBack { broadcast, which, heard } => self.call_back(*broadcast, *which, *heard).await?,
            Operation::Opt { person, out } => self.opt(*person, *out).await?,
            Operation::Import { brought } => self.import(brought).await?,
            Operation::Tag { person, tag, away } => self.tag(*person, *tag, *away).await?,
            Operation::Write { person, ago } => self.write(*person, *ago).await?,
            Operation::TakeNotifications { poster } => self.take_notifications(*poster).await?,
            Operation::Post { poster, which, told } => self.post(*poster, *which, *told).await?,
            Operation::TakeWriteBacks { .. }
            | Operation::ReportWriteBacks { .. }
            | Operation::WriteBack { .. }
            | Operation::Attachments { .. } => Box::pin(self.step_beside(operation)).await?,
            other => self.happen(other).await,
        }
        self.compare_contacts().await?;
        self.compare().await
    }

    /// What is done beside the sending.
    async fn step_beside(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::TakeWriteBacks { writer, broadcast, target } => {
                self.take_write_backs((*writer, *broadcast, *target)).await
            }
            Operation::ReportWriteBacks { writer, broadcast, target, fates, put_off } => {
                self.report_write_backs((*writer, *broadcast, *target), fates, *put_off).await
            }
            Operation::WriteBack { writer, broadcast, target, fates, put_off } => {
                let page = (*writer, *broadcast, *target);
                self.take_write_backs(page).await?;
                self.report_write_backs(page, fates, *put_off).await
            }
            Operation::Attachments { broadcast, asked } => self.ask_attachments(*broadcast, asked).await,
            _ => unreachable!("it is done in the sending"),
        }
    }

    /// What answers nothing.
    async fn happen(&mut self, operation: &Operation) {
        match *operation {
            Operation::Pass { seconds } => self.pass(seconds),
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

    pub fn pass(&mut self, seconds: i64) {
        self.ledgers.clock.advance(Span::from_secs(seconds));
        self.model.now += seconds;
    }

    async fn declare(&mut self, which: usize, wish: Wish) {
        self.model.declare(which, &wish);
        let declared = declaration(&self.namespace, which, &wish);
        done(on_each!(self, |ledger, _ids| async { ledger.declare(&declared).await.map(drop) }));
        if wish.generation > self.wishes[which].generation {
            self.wishes[which] = wish;
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

    async fn plan(&mut self, which: usize, list: &[usize]) -> Result<(), String> {
        let expected = self.model.plan(which, list);
        let planned = on_each!(self, |ledger, ids| plan(ledger, ids[which], list));
        if planned.windows(2).any(|two| two[0] != two[1]) || planned[0].is_some() != expected {
            return Err(format!("planned: {planned:?}, expected {expected}"));
        }
        self.plans[which] = planned[0].unwrap_or(self.plans[which]);
        Ok(())
    }

    /// A list is read for the latest plan, or for the one before.
    async fn suppress(&mut self, which: usize, list: &[usize], late: bool) -> Result<(), String> {
        let expected = self.model.suppress(which, list, !late);
        let epoch = self.plans[which] - i64::from(late);
        let list: Vec<String> = list.iter().map(|number| person(*number)).collect();
        let skipped = on_each!(self, |ledger, ids| async {
            match ledger.suppress_pending(PlanTicket { broadcast: ids[which], epoch }, &list).await {
                Err(LedgerError::PlanSuperseded) => Ok(None),
                skipped => skipped.map(Some),
            }
        });
        let skipped = agreed(skipped)?;
        if skipped == expected { Ok(()) } else { Err(format!("skipped: {skipped:?}, expected {expected:?}")) }
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

/// Of a broadcast that is named when it is asked: each ledger has its own number for it.
pub fn request(holder: &str, number: u64, outcomes: Vec<Report>, wants: u32, leaving: bool) -> ExchangeRequest {
    ExchangeRequest {
        broadcast: BroadcastId(0),
        holder: holder.to_owned(),
        display: holder.to_owned(),
        number,
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
                Directive::Plan => Says::Plan,
            };
            Answer::Rows { rows, sharing: sharing(reply), says, owes: reply.owes }
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

fn person(number: usize) -> String {
    format!("person-{number}")
}

/// The epoch of the plan that is made, without those on a list; `None` where it may not be planned.
async fn plan<L: Ledger>(ledger: &L, broadcast: BroadcastId, list: &[usize]) -> Option<i64> {
    let ticket = match ledger.begin_plan(broadcast).await {
        Err(LedgerError::PlanLocked) => return None,
        ticket => ticket.unwrap(),
    };
    let list: Vec<String> = list.iter().map(|number| person(*number)).collect();
    ledger.suppress(ticket, 1, &list).await.unwrap();
    let row = |number| PlanRow { recipient: person(number), vars: BTreeMap::new() };
    let people: Vec<PlanRow> = (0..PEOPLE).map(row).collect();
    ledger.append_plan(ticket, 2, &people).await.unwrap();
    ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    Some(ticket.epoch)
}

async fn look<L: Ledger + Inspect>(ledger: &L, broadcast: BroadcastId) -> Seen {
    let snapshot = ledger.snapshot(broadcast).await.unwrap();
    let batches = ledger.batches(broadcast).await.unwrap();
    // What is left of a plan that was taken back is nobody.
    let many = if snapshot.plan.is_some() { u32::MAX } else { 0 };
    let rows = ledger.deliveries(broadcast, 0, many).await.unwrap();
    let view = View {
        closed: snapshot.closed,
        finished: snapshot.finished_at.is_some(),
        rows: rows.into_iter().map(|row| (row.state, row.attempt, row.parts_done)).collect(),
        batches: batches.into_iter().map(|batch| (batch.epoch, batch.holder, batch.reclaims, batch.retries)).collect(),
        receipts: snapshot.receipts,
        write_backs: snapshot.write_backs.iter().map(write_backs::plainly).collect(),
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
