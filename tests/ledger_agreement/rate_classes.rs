//! Films and texts of one account, at random: whatever is asked in whatever order, the class of the films keeps its rate as an
//! account within the account, nobody has a slot of another, and everybody is reached in the time that the rates allow.

use std::collections::{BTreeMap, BTreeSet};

use herald::api::Content;
use herald::api::content::{Attachment, AttachmentType};
use herald::delivery::outcome::Outcome;
use herald::delivery::rate::Rate;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::exchange::{Assignment, BroadcastId, Directive, ExchangeReply, ExchangeRequest, Report};
use herald::ledger::plan::PlanRow;
use herald::ledger::{Declaration, Ledger, SenderLedger};
use proptest::prelude::*;

use super::declarations::{Wish, account, declaration};
use super::driver::{Ledgers, agreed, request};
use super::model::NAMED;

/// A text; a film; a text and a sound after it.
const KINDS: [(&str, &[AttachmentType]); 3] =
    [("hello", &[]), ("", &[AttachmentType::Video]), ("hello", &[AttachmentType::Audio])];
const PEOPLE: i64 = 8;
/// Forty requests a second of the account, of which ten may be of the class.
const RATE: u32 = 40;
const APART: Span = Span::from_millis(25);
/// A request of the class may be late by half of what lies between two, without the next one being later.
const CLASS_APART: Span = Span::from_millis(50);
/// So in no second there is one more of them than that.
const CLASS_IN_A_SECOND: usize = 11;
/// Nobody is told to wait for longer while somebody may be messaged.
const LONGEST_WAIT: Span = Span::from_millis(1_250);
/// The class alone takes two seconds for all of them, and everything together less.
const ALL_DONE: Span = Span::from_secs(6);

#[derive(Clone, Debug)]
pub enum Operation {
    /// Tells what has become of everything whose slot has passed, or that nothing was begun, and asks for more.
    Exchange {
        which: usize,
        wants: u32,
        begun: bool,
    },
    Repeat {
        which: usize,
    },
    Pass {
        millis: i64,
    },
}

pub fn operation() -> impl Strategy<Value = Operation> {
    let which = || 0..KINDS.len();
    prop_oneof![
        6 => (which(), 0_u32..12, prop::bool::weighted(0.8))
            .prop_map(|(which, wants, begun)| Operation::Exchange { which, wants, begun }),
        1 => which().prop_map(|which| Operation::Repeat { which }),
        4 => (1_i64..300).prop_map(|millis| Operation::Pass { millis }),
    ]
}

#[derive(Default)]
struct Sender {
    number: u64,
    last: Option<ExchangeRequest>,
    held: Vec<Assignment>,
    ask_at: Timestamp,
}

/// Somebody, by one attempt.
type Attempt = (usize, i64, u32);

pub struct Case<'a> {
    ledgers: &'a Ledgers,
    namespace: String,
    ids: Vec<[BroadcastId; KINDS.len()]>,
    senders: [Sender; KINDS.len()],
    /// Every slot that was given away and not given back: whose it is, and whether it is of the class.
    slots: BTreeMap<Timestamp, (Attempt, bool)>,
    done: [bool; KINDS.len()],
}

fn is_of_class(which: usize, part: u32) -> bool {
    which == 1 || (which == 2 && part == 1)
}

fn declared(namespace: &str, which: usize) -> Declaration {
    let (text, kinds) = KINDS[which];
    let attachment = |kind: &AttachmentType| Attachment { kind: *kind, url: "https://a.example/1".into() };
    let attachments = kinds.iter().map(attachment).collect();
    let wish = Wish { generation: 0, suspended: false, cancelled: false, end: None, lists: 0, named: NAMED[0] };
    let name = format!("{namespace}-{which}");
    Declaration {
        name: name.clone(),
        idempotency_key: name.clone(),
        owner_uid: name,
        account: account(namespace),
        account_rate: Rate::new(RATE, 1),
        content: Content { text: text.into(), attachments, ..Content::default() },
        // Of several batches PostgreSQL gives a film of one whose texts come too late for these slots; SQLite looks no further than
        // the texts that fill them.
        batch_size: Some(PEOPLE as u32),
        notifications: Vec::new(),
        write_backs: Vec::new(),
        ..declaration(namespace, 0, &wish)
    }
}

async fn planned<L: Ledger>(ledger: &L, namespace: &str) -> [BroadcastId; KINDS.len()] {
    let mut ids = [BroadcastId(0); KINDS.len()];
    for (which, id) in ids.iter_mut().enumerate() {
        *id = ledger.declare(&declared(namespace, which)).await.unwrap().id;
        let ticket = ledger.begin_plan(*id).await.unwrap();
        let row = |number| PlanRow { recipient: format!("person-{number}"), vars: BTreeMap::new() };
        let people: Vec<PlanRow> = (0..PEOPLE).map(row).collect();
        ledger.append_plan(ticket, 1, &people).await.unwrap();
        ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    }
    ids
}

impl<'a> Case<'a> {
    pub async fn begin(ledgers: &'a Ledgers) -> Case<'a> {
        let namespace = format!("films-{}", ledgers.next_case());
        let mut ids = vec![planned(&ledgers.sqlite, &namespace).await];
        if let Some(postgres) = &ledgers.postgres {
            ids.push(planned(postgres, &namespace).await);
        }
        let (senders, slots) = Default::default();
        Case { ledgers, namespace, ids, senders, slots, done: Default::default() }
    }

    pub async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        match *operation {
            Operation::Exchange { which, wants, begun } => self.exchange(which, wants, begun).await,
            Operation::Repeat { which } => match self.senders[which].last.clone() {
                Some(request) => self.ask(which, request, true).await,
                None => Ok(()),
            },
            Operation::Pass { millis } => {
                self.ledgers.clock.advance(Span::from_millis(millis));
                Ok(())
            }
        }
    }

    /// Everybody goes on at their pace until all are reached, which is when the rates allow it.
    pub async fn finish(&mut self) -> Result<(), String> {
        let ends = self.ledgers.now() + ALL_DONE;
        while !self.done.iter().all(|done| *done) {
            let now = self.ledgers.now();
            if now > ends {
                return Err(format!("after {ALL_DONE:?} not everybody is reached: {:?}", self.done));
            }
            for which in 0..KINDS.len() {
                let has_news = self.senders[which].held.iter().any(|row| row.slot <= now);
                if !self.done[which] && (has_news || self.senders[which].ask_at <= now) {
                    self.exchange(which, 12, true).await?;
                }
            }
            self.ledgers.clock.advance(Span::from_millis(40));
        }
        Ok(())
    }

    async fn exchange(&mut self, which: usize, wants: u32, begun: bool) -> Result<(), String> {
        let now = self.ledgers.now();
        let sender = &mut self.senders[which];
        let (told, held): (Vec<_>, Vec<_>) = sender.held.drain(..).partition(|row| row.slot <= now);
        sender.held = held;
        let outcome = if begun { Outcome::Accepted { provider_id: None } } else { Outcome::NotBegun };
        sender.number += 1;
        let holder = format!("{}-sender-{which}", self.namespace);
        let outcomes = told.iter().map(|row| Report::new(row.seq, row.attempt, outcome.clone())).collect();
        let request = request(&holder, sender.number, outcomes, wants, false);
        let free: BTreeSet<Attempt> =
            if begun { Vec::new() } else { told }.into_iter().map(|row| (which, row.seq, row.attempt)).collect();
        self.slots.retain(|_, (attempt, _)| !free.contains(attempt));
        self.ask(which, request, false).await
    }

    async fn ask(&mut self, which: usize, request: ExchangeRequest, repeated: bool) -> Result<(), String> {
        let mut replies = vec![self.ledgers.sqlite.exchange(&self.to(0, which, &request)).await];
        if let Some(postgres) = &self.ledgers.postgres {
            replies.push(postgres.exchange(&self.to(1, which, &request)).await);
        }
        let reply = agreed(replies)?;
        self.enter(which, &reply)?;
        let sender = &mut self.senders[which];
        if repeated {
            // Whoever was told of meanwhile is not given again.
            sender.held.retain(|row| reply.rows.iter().all(|again| again.seq != row.seq));
        }
        sender.held.extend(reply.rows);
        sender.ask_at = match reply.directive {
            Directive::Wait { until } if until > reply.now + LONGEST_WAIT => {
                return Err(format!("told to wait from {:?} until {until:?}", reply.now));
            }
            Directive::Wait { until } => until,
            Directive::Stop { .. } => {
                self.done[which] = true;
                reply.now
            }
            Directive::Continue | Directive::Plan => reply.now,
        };
        sender.last = Some(request);
        Ok(())
    }

    fn to(&self, ledger: usize, which: usize, request: &ExchangeRequest) -> ExchangeRequest {
        ExchangeRequest { broadcast: self.ids[ledger][which], ..request.clone() }
    }

    /// What is wrong with what was given away.
    fn enter(&mut self, which: usize, reply: &ExchangeReply) -> Result<(), String> {
        let films = reply.rows.iter().filter(|row| is_of_class(which, row.part)).count();
        if films > 1 {
            return Err(format!("{films} of the class at once: {:?}", reply.rows));
        }
        for row in &reply.rows {
            let attempt = (which, row.seq, row.attempt);
            self.slots.retain(|_, (other, _)| *other != attempt);
            if let Some(other) = self.slots.insert(row.slot, (attempt, is_of_class(which, row.part))) {
                return Err(format!("{attempt:?} and {other:?} have the slot {:?}", row.slot));
            }
        }
        let all: Vec<Timestamp> = self.slots.keys().copied().collect();
        let films = self.slots.iter().filter(|(_, (_, is_of_class))| *is_of_class).map(|(slot, _)| *slot);
        let films: Vec<Timestamp> = films.collect();
        let closer = |slots: &[Timestamp], apart| slots.windows(2).any(|two| two[1] - two[0] < apart);
        let crowded =
            films.windows(CLASS_IN_A_SECOND + 1).any(|many| many[CLASS_IN_A_SECOND] - many[0] < Span::from_secs(1));
        if closer(&all, APART) || closer(&films, CLASS_APART) || crowded {
            return Err(format!("too close: {:?}", self.slots));
        }
        Ok(())
    }
}
