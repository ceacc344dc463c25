//! The sender's decisions against the real ledger in simulated time: exact pace, across batch ends, with 1 to 8 senders,
//! whatever the provider's latency. No clock, no network, no sleeping.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "pace/audio_and_video.rs"]
mod audio_and_video;

use std::collections::BTreeMap;
use std::sync::Arc;

use herald::api::Content;
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::backoff::scatter;
use herald::delivery::outcome::Outcome;
use herald::delivery::pacing::MAX_GROUP;
use herald::delivery::pacing::NORMAL_WEIGHT;
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::rate::Rate;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::declaration::{AccountKey, Declaration};
use herald::ledger::exchange::{BroadcastId, Directive, ExchangeReply, ExchangeRequest, Report};
use herald::ledger::plan::PlanRow;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Clock, Inspect, Ledger, SenderLedger};
use herald::sender::clock::{ClockOffset, Local};
use herald::sender::holding::{Due, Held, Holding};

/// The local clocks of senders are this far behind the ledger's: nothing may rest on their being equal.
const BEHIND: Span = Span::from_secs(77);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

struct Sender {
    holder: String,
    /// By its place in the world.
    broadcast: usize,
    holding: Holding,
    offset: ClockOffset,
    number: u64,
    /// A request on its way to the ledger, and when it arrives.
    asking: Option<(Timestamp, ExchangeRequest, Local)>,
    /// A reply on its way back, and when it arrives.
    reply: Option<(Timestamp, ExchangeReply, Vec<Report>, Local)>,
    /// With whether another part follows.
    flights: Vec<(Timestamp, Report, bool)>,
}

struct World {
    ledger: SqliteLedger,
    clock: Arc<ManualClock>,
    broadcasts: Vec<BroadcastId>,
    /// Of each message.
    parts: Vec<u32>,
    senders: Vec<Sender>,
    latency: Span,
    exchange: Span,
    chance: u64,
    begun: Vec<Begun>,
}

/// A request that was handed over.
#[derive(Clone, Copy)]
struct Begun {
    at: Timestamp,
    broadcast: usize,
    part: u32,
}

struct Scenario {
    rate: Rate,
    senders: usize,
    latency: Span,
    /// The longest way of a request to the ledger, and of its reply.
    exchange: Span,
    batch_size: u32,
}

impl World {
    /// One broadcast of a text.
    async fn new(scenario: &Scenario, recipients: u32) -> World {
        World::of(scenario, "http", &[Content { text: "hello".to_owned(), ..Content::default() }], recipients).await
    }

    /// A broadcast of each of these to so many people, with as many senders each.
    async fn of(scenario: &Scenario, provider: &str, contents: &[Content], recipients: u32) -> World {
        let clock = Arc::new(ManualClock::new(START));
        let ledger = SqliteLedger::in_memory(clock.clone()).await.unwrap();
        let rows: Vec<PlanRow> =
            (0..recipients).map(|n| PlanRow { recipient: n.to_string(), vars: BTreeMap::new() }).collect();
        let (mut broadcasts, mut parts) = (Vec::new(), Vec::new());
        for (number, content) in contents.iter().enumerate() {
            let declared = ledger.declare(&declaration(scenario, provider, number, content.clone())).await.unwrap();
            let ticket = ledger.begin_plan(declared.id).await.unwrap();
            for (chunk, rows) in (1..).zip(rows.chunks(2_000)) {
                ledger.append_plan(ticket, chunk, rows).await.unwrap();
            }
            ledger.seal_plan(ticket, &Default::default()).await.unwrap();
            broadcasts.push(declared.id);
            parts.push(declared.parts);
        }
        let sender = |n| Sender {
            holder: format!("sender-{n}"),
            broadcast: n / scenario.senders,
            holding: connected(),
            offset: ClockOffset::default(),
            number: 0,
            asking: None,
            reply: None,
            flights: Vec::new(),
        };
        let senders = (0..scenario.senders * contents.len()).map(sender).collect();
        let Scenario { latency, exchange, .. } = *scenario;
        World { ledger, clock, broadcasts, parts, senders, latency, exchange, chance: 0, begun: Vec::new() }
    }

    fn some_of(&mut self, longest: Span) -> Span {
        self.chance += 1;
        Span(((u128::from(scatter(self.chance)) * longest.0 as u128) >> 64) as i64)
    }

    /// When these requests were begun, in order.
    fn times(&self, which: impl Fn(&Begun) -> bool) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = self.begun.iter().filter(|begun| which(begun)).map(|begun| begun.at).collect();
        times.sort();
        times
    }

    async fn run_until(&mut self, end: Timestamp) {
        while self.clock.now() < end {
            let now = self.clock.now();
            let mut next = end;
            for which in 0..self.senders.len() {
                next = next.min(self.step(which, now).await);
            }
            self.clock.advance((next - now).max(Span(1_000)));
        }
    }

    /// Does everything one sender has to do now; returns when it next has something to do.
    async fn step(&mut self, which: usize, now: Timestamp) -> Timestamp {
        self.arrive(which, now).await;
        let mut next = self.begin_due(which, now);
        let sender = &mut self.senders[which];
        for (_, report, goes_on) in sender.flights.extract_if(.., |(end, ..)| *end <= now) {
            sender.holding.ended(report, local(now));
            if goes_on {
                sender.holding.expect_the_next_part(local(now));
            }
        }
        if sender.asking.is_none() && sender.reply.is_none() {
            let ask_at = sender.holding.ask_at(local(now));
            if ask_at <= local(now) {
                self.ask(which, now);
            } else {
                next = next.min(ledger_time(ask_at));
            }
        }
        let sender = &self.senders[which];
        let ends = sender.flights.iter().map(|(end, ..)| *end);
        let travels = sender.asking.iter().map(|(at, ..)| *at).chain(sender.reply.iter().map(|(at, ..)| *at));
        ends.chain(travels).fold(next, Timestamp::min)
    }

    async fn arrive(&mut self, which: usize, now: Timestamp) {
        if self.senders[which].asking.as_ref().is_some_and(|(at, ..)| *at <= now) {
            let (_, request, requested) = self.senders[which].asking.take().unwrap();
            let reply = self.ledger.exchange(&request).await.unwrap();
            let back = now + self.some_of(self.exchange);
            self.senders[which].reply = Some((back, reply, request.outcomes, requested));
        }
        if self.senders[which].reply.as_ref().is_some_and(|(at, ..)| *at <= now) {
            let sender = &mut self.senders[which];
            let (_, reply, reported, requested) = sender.reply.take().unwrap();
            let received = local(now);
            sender.offset.observe(reply.now, received);
            sender.holding.recorded(&reported);
            if let Directive::Wait { until } = reply.directive {
                sender.holding.wait(sender.offset.local(until, reply.now, requested, received), received);
            }
            let slot = |slot| sender.offset.local(slot, reply.now, requested, received);
            let rows: Vec<Held> = reply.rows.into_iter().map(|row| Held { slot: slot(row.slot), row }).collect();
            sender.holding.receive(rows, reply.interval, reply.turn);
            sender.holding.expect_more(reply.more_at.map(slot));
        }
    }

    fn begin_due(&mut self, which: usize, now: Timestamp) -> Timestamp {
        loop {
            match self.senders[which].holding.due(local(now)) {
                Due::Begin(held) => {
                    let jitter = self.some_of(Span::from_millis(10));
                    let sender = &mut self.senders[which];
                    sender.holding.begun(local(now));
                    self.begun.push(Begun { at: now, broadcast: sender.broadcast, part: held.row.part });
                    let outcome = Outcome::Accepted { provider_id: None };
                    let report = Report::new(held.row.seq, held.row.attempt, outcome);
                    let goes_on = held.row.part + 1 < self.parts[sender.broadcast];
                    sender.flights.push((now + self.latency + jitter, report, goes_on));
                }
                Due::NotBefore(instant) => return ledger_time(instant),
                Due::Nothing => return Timestamp::NEVER,
            }
        }
    }

    fn ask(&mut self, which: usize, now: Timestamp) {
        let arrives = now + self.some_of(self.exchange);
        let sender = &mut self.senders[which];
        let wants = sender.holding.wants(local(now));
        sender.number += 1;
        let request = ExchangeRequest {
            broadcast: self.broadcasts[sender.broadcast],
            holder: sender.holder.clone(),
            display: sender.holder.clone(),
            number: sender.number,
            outcomes: sender.holding.ask(local(now)),
            wants,
            known_revision: 0,
            held_up: false,
            content_of: Some(1),
            usage: None,
            retry_credentials: false,
            leaving: false,
        };
        sender.asking = Some((arrives, request, local(now)));
    }
}

/// Connections are there from the beginning: a simulated provider needs none.
fn connected() -> Holding {
    let mut holding = Holding::new(local(START));
    holding.connect(MAX_GROUP);
    holding
}

fn local(at: Timestamp) -> Local {
    Local(at - BEHIND)
}

fn ledger_time(at: Local) -> Timestamp {
    at.0 + BEHIND
}

fn declaration(scenario: &Scenario, provider: &str, number: usize, content: Content) -> Declaration {
    let text = |text: &str| text.to_owned();
    Declaration {
        namespace: text("default"),
        name: format!("pace-{number}"),
        idempotency_key: format!("pace-{number}"),
        key_is_given: true,
        owner_uid: String::new(),
        generation: 1,
        account: AccountKey {
            namespace: text("default"),
            provider: text(provider),
            account: text("a"),
            host: text("localhost"),
        },
        account_rate: scenario.rate,
        identity_hash: format!("of-{number}"),
        audience_hash: String::new(),
        content,
        orders: None,
        sent_tags: Vec::new(),
        reply_window: None,
        request_timeout: Span::from_secs(20),
        rate: None,
        weight: NORMAL_WEIGHT,
        retry: RetryPolicy::default(),
        batch_size: Some(scenario.batch_size),
        plan_limit: None,
        start_at: None,
        end_at: None,
        start_by: None,
        quiet_hours: QuietHours::default(),
        notifications: Vec::new(),
        write_backs: Vec::new(),
        suspended: false,
        cancelled: false,
        recollection: Default::default(),
    }
}

fn most_in(begun: &[Timestamp], window: Span) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in begun.iter().enumerate() {
        while *time - begun[first] >= window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// Runs for `seconds` after a ramp of ten intervals and at least 3 s, and checks the promise on what was begun.
async fn keeps_pace(scenario: Scenario, seconds: i64) {
    let rate = scenario.rate;
    let ramp = Span::from_secs(3).max(rate.interval() * 2);
    let recipients = (rate.per_second() * (seconds as f64 + ramp.as_secs_f64() + 5.0)).ceil() as u32 + 10;
    let mut world = World::new(&scenario, recipients).await;
    let from = START + ramp;
    let until = from + Span::from_secs(seconds);
    world.run_until(until + Span::from_secs(1)).await;
    let begun = world.times(|_| true);
    let name = format!("{rate:?}, {} senders, {} latency", scenario.senders, scenario.latency);
    let count = begun.iter().filter(|time| **time >= from && **time < until).count() as f64;
    let wanted = rate.per_second() * seconds as f64;
    assert!(count >= (wanted * 0.99).floor(), "{name}: {count} of {wanted}");
    let in_a_second = most_in(&begun, Span::from_secs(1)) as f64;
    assert!(in_a_second <= rate.per_second() * 1.05 + 1.0, "{name}: {in_a_second} in one second");
    let in_ten = most_in(&begun, Span::from_secs(10)) as f64;
    assert!(in_ten <= rate.per_second() * 10.0 * 1.005 + 1.0, "{name}: {in_ten} in ten seconds");
    assert_eq!(world.ledger.audit().await.unwrap(), Vec::<String>::new(), "{name}");
}

const EXCHANGE: Span = Span::from_millis(5);

#[tokio::test]
async fn a_lone_sender_keeps_every_rate_at_every_latency() {
    for (messages, period) in [(1, 6), (1, 1), (10, 1), (40, 1), (300, 1), (1_000, 1)] {
        for latency in [0, 170, 500, 1_500] {
            let seconds = if messages >= 300 { 10 } else { 60 };
            let latency = Span::from_millis(latency);
            let rate = Rate::new(messages, period);
            keeps_pace(Scenario { rate, senders: 1, latency, exchange: EXCHANGE, batch_size: 250 }, seconds).await;
        }
    }
}

#[tokio::test]
async fn eight_senders_share_the_rate_across_the_ends_of_many_small_batches() {
    for (messages, seconds) in [(1, 60), (40, 30), (300, 10)] {
        for senders in [2, 4, 8] {
            let (rate, latency) = (Rate::new(messages, 1), Span::from_millis(170));
            keeps_pace(Scenario { rate, senders, latency, exchange: EXCHANGE, batch_size: 7 }, seconds).await;
        }
    }
}

/// Three of the four have nothing to take: what may be on the wire is not kept for them.
#[tokio::test]
async fn one_sender_of_several_keeps_the_rate_alone_while_a_single_batch_is_left() {
    for messages in [10, 300] {
        for latency in [500, 1_500] {
            let (rate, latency) = (Rate::new(messages, 1), Span::from_millis(latency));
            keeps_pace(Scenario { rate, senders: 4, latency, exchange: EXCHANGE, batch_size: 20_000 }, 20).await;
        }
    }
}

#[tokio::test]
async fn a_slow_ledger_costs_no_slots() {
    let (rate, latency) = (Rate::new(1_000, 1), Span::from_millis(50));
    keeps_pace(Scenario { rate, senders: 2, latency, exchange: Span::from_millis(70), batch_size: 900 }, 10).await;
}
