//! A discrete-event simulation of senders sharing one account: simulated time, no clock.

use std::collections::BTreeMap;

use super::*;
use crate::delivery::backoff::scatter;
use crate::delivery::rate::Rate;

/// A sender asks again this long before its last slot.
const LEAD: Span = Span::from_millis(250);

#[derive(Clone)]
struct Sender {
    flow: usize,
    joins: Timestamp,
    work: u32,
}

struct World {
    rate: Rate,
    pace: Pace,
    flows: Vec<Flow>,
    own: Vec<Option<Rate>>,
    senders: Vec<Sender>,
    /// The longest time between asking and the ledger's clock being read, and from there to the reply.
    exchange: Span,
    events: BTreeMap<(Timestamp, u64), usize>,
    event: u64,
    slots: Vec<(Timestamp, usize)>,
}

const START: Timestamp = Timestamp::from_secs(1_000);

impl World {
    fn new(rate: Rate, weights: &[u32], senders: Vec<Sender>) -> World {
        let flow = |weight: &u32| Flow {
            weight: *weight,
            virtual_time: 0.0,
            hungry_until: Timestamp::EPOCH,
            own_next_slot: Timestamp::EPOCH,
        };
        let mut world = World {
            rate,
            pace: Pace { next_slot: Timestamp::EPOCH, virtual_time: 0.0 },
            flows: weights.iter().map(flow).collect(),
            own: vec![None; weights.len()],
            senders,
            exchange: Span::from_millis(10),
            events: BTreeMap::new(),
            event: 0,
            slots: Vec::new(),
        };
        for sender in 0..world.senders.len() {
            let joins = world.senders[sender].joins;
            world.schedule(joins, sender);
        }
        world
    }

    fn schedule(&mut self, at: Timestamp, sender: usize) {
        self.event += 1;
        let delay = Span(((u128::from(scatter(self.event)) * self.exchange.0 as u128) >> 64) as i64);
        self.events.insert((at + delay, self.event), sender);
    }

    fn run(mut self, until: Timestamp) -> Vec<(Timestamp, usize)> {
        while let Some((&(now, event), &sender)) = self.events.iter().next() {
            if now > until {
                break;
            }
            self.events.remove(&(now, event));
            self.exchange_once(now, sender);
        }
        self.slots.retain(|(slot, _)| *slot < until);
        self.slots
    }

    fn exchange_once(&mut self, now: Timestamp, sender: usize) {
        let mine = self.senders[sender].flow;
        let work = self.senders[sender].work;
        if work == 0 {
            return;
        }
        let rivals: Vec<Rival> = (0..self.flows.len())
            .filter(|other| *other != mine && self.flows[*other].hungry_until > now)
            .map(|other| Rival { weight: self.flows[other].weight, virtual_time: self.flows[other].virtual_time })
            .collect();
        let ask = Ask {
            now,
            want: work,
            interval: self.rate.interval(),
            own_interval: self.own[mine].map(Rate::interval),
            hold_until: Timestamp::EPOCH,
            rejoins: false,
        };
        match offer(&self.pace, &self.flows[mine], &rivals, &ask) {
            Offer::Slots(slots) => {
                let flow = &mut self.flows[mine];
                take(&mut self.pace, flow, &rivals, &ask, &slots, slots.count, work > slots.count);
                self.senders[sender].work -= slots.count;
                self.slots.extend((0..slots.count).map(|index| (slots.at(index), mine)));
                let next = (slots.at(slots.count - 1) - LEAD).max(now);
                self.schedule(next, sender);
            }
            Offer::Wait { until, hungry } => {
                leave(&mut self.pace, &mut self.flows[mine], &rivals, &ask, until, hungry);
                self.schedule(until, sender);
            }
        }
    }
}

fn sender(flow: usize, after_millis: i64, work: u32) -> Sender {
    Sender { flow, joins: START + Span::from_millis(after_millis), work }
}

const PLENTY: u32 = u32::MAX;

fn most_in(slots: &[(Timestamp, usize)], window: Span) -> usize {
    let mut times: Vec<Timestamp> = slots.iter().map(|(slot, _)| *slot).collect();
    times.sort();
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while *time - times[first] >= window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

#[test]
fn sixty_seconds_hold_exactly_the_rate_from_one_per_six_seconds_to_a_thousand_per_second() {
    for (messages, period) in [(1, 6), (1, 1), (10, 1), (40, 1), (300, 1), (1_000, 1)] {
        for senders in [1, 4, 8] {
            let rate = Rate::new(messages, period);
            let all = (0..senders).map(|n| sender(0, n * 3, PLENTY)).collect();
            let mut slots = World::new(rate, &[NORMAL_WEIGHT], all).run(START + Span::from_secs(70));
            slots.sort();
            let first = slots[0].0;
            let in_a_minute = slots.iter().filter(|(slot, _)| *slot - first < Span::from_secs(60)).count();
            assert_eq!(in_a_minute as u32, 60 * messages / period, "{rate:?} with {senders} senders");
            assert!(slots.windows(2).all(|pair| pair[1].0 - pair[0].0 >= rate.interval()), "{rate:?}");
        }
    }
}

#[test]
fn slow_exchanges_do_not_cost_slots() {
    let mut world = World::new(Rate::new(1_000, 1), &[NORMAL_WEIGHT], vec![sender(0, 0, PLENTY)]);
    world.exchange = Span::from_millis(140);
    let slots = world.run(START + Span::from_secs(60));
    assert!(slots.len() >= 59_400, "{}", slots.len());
}

#[test]
fn a_broadcasts_own_lower_rate_is_kept_exactly_when_it_is_alone() {
    let mut world = World::new(Rate::new(40, 1), &[NORMAL_WEIGHT], vec![sender(0, 0, PLENTY), sender(0, 1, PLENTY)]);
    world.own[0] = Some(Rate::new(10, 1));
    let slots = world.run(START + Span::from_secs(60));
    assert!((590..=600).contains(&slots.len()), "{}", slots.len());
    assert!(most_in(&slots, Span::from_secs(1)) <= 10);
}

#[test]
fn a_slow_broadcast_beside_a_full_one_keeps_its_rate_and_wastes_nothing() {
    let mut world = World::new(Rate::new(40, 1), &[NORMAL_WEIGHT; 2], vec![sender(0, 0, PLENTY), sender(1, 5, PLENTY)]);
    world.own[0] = Some(Rate::new(10, 1));
    let slots = world.run(START + Span::from_secs(60));
    let slow = slots.iter().filter(|(_, flow)| *flow == 0).count();
    assert!((585..=612).contains(&slow), "slow had {slow}");
    assert!(slots.len() >= 2_370, "all had {}", slots.len());
}

#[test]
fn equal_broadcasts_share_evenly_and_an_idle_share_is_used() {
    let all = vec![sender(0, 0, PLENTY), sender(1, 2, PLENTY), sender(2, 4, 100)];
    let slots = World::new(Rate::new(40, 1), &[NORMAL_WEIGHT; 3], all).run(START + Span::from_secs(60));
    let of = |which| slots.iter().filter(|(_, flow)| *flow == which).count() as f64;
    assert_eq!(of(2), 100.0);
    assert!((of(0) / of(1) - 1.0).abs() < 0.05, "{} and {}", of(0), of(1));
    assert!(slots.len() >= 2_370, "{}", slots.len());
}

#[test]
fn weights_divide_the_account_by_eight_four_and_one() {
    let all = vec![sender(0, 0, PLENTY), sender(1, 2, PLENTY), sender(2, 4, PLENTY)];
    let slots = World::new(Rate::new(300, 1), &[8, 4, 1], all).run(START + Span::from_secs(60));
    let of = |which| slots.iter().filter(|(_, flow)| *flow == which).count() as f64 / slots.len() as f64;
    for (flow, weight) in [(0, 8.0), (1, 4.0), (2, 1.0)] {
        assert!((of(flow) - weight / 13.0).abs() < 0.02, "{flow}: {}", of(flow));
    }
}

#[test]
fn a_clock_set_back_five_minutes_holds_nobody_longer_than_the_horizon() {
    let mut pace = Pace { next_slot: START + Span::from_secs(300), virtual_time: 0.0 };
    let mut flow = Flow {
        weight: 4,
        virtual_time: 0.0,
        hungry_until: Timestamp::EPOCH,
        own_next_slot: START + Span::from_secs(300),
    };
    let interval = Rate::new(40, 1).interval();
    let own_interval = Some(Rate::new(20, 1).interval());
    let mut now = START;
    loop {
        let ask = Ask { now, want: 10, interval, own_interval, hold_until: Timestamp::EPOCH, rejoins: false };
        match offer(&pace, &flow, &[], &ask) {
            Offer::Slots(slots) => {
                assert!(slots.first - START < Span::from_secs(3), "{}", slots.first - START);
                break take(&mut pace, &mut flow, &[], &ask, &slots, slots.count, true);
            }
            Offer::Wait { until, hungry } => {
                leave(&mut pace, &mut flow, &[], &ask, until, hungry);
                now = until;
            }
        }
        assert!(now - START < Span::from_secs(3), "still waiting");
    }
}
