//! One account, its rate, its brake, and the broadcasts that share it.

use herald::delivery::outcome::Outcome;
use herald::delivery::pacing::{BULK_WEIGHT, NORMAL_WEIGHT, URGENT_WEIGHT};
use herald::delivery::rate::Rate;
use herald::delivery::time::{Span, Timestamp};
use herald::delivery::usage::Usage;
use herald::ledger::Declaration;
use herald::ledger::exchange::{BroadcastId, Directive, ExchangeRequest};

use super::world::*;

/// Senders that take all they can get for so long, each asking 20 times a second; the slots that each was given.
async fn slots_within<L: Backend>(world: &World<L>, senders: &mut [Sender], span: Span) -> Vec<Vec<Timestamp>> {
    let mut slots = vec![Vec::new(); senders.len()];
    let mut asleep = vec![world.now(); senders.len()];
    let end = world.now() + span;
    while world.now() < end {
        for (index, sender) in senders.iter_mut().enumerate() {
            if world.now() < asleep[index] {
                continue;
            }
            let reply = sender.exchange(world, vec![], 50).await;
            if let Directive::Wait { until } = reply.directive {
                asleep[index] = until;
            }
            slots[index].extend(reply.rows.iter().map(|row| row.slot).filter(|slot| *slot < end));
            sender.tell(world, reports(&reply.rows, &accepted())).await;
        }
        world.pass(Span::from_millis(50));
    }
    slots
}

fn fewest_apart(slots: &[Timestamp]) -> Span {
    let mut slots = slots.to_vec();
    slots.sort_unstable();
    slots.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap()
}

async fn pair<L: Backend>(world: &World<L>, other: Declaration) -> (BroadcastId, BroadcastId) {
    (world.planned(&declaration("one"), 2_000).await, world.planned(&other, 2_000).await)
}

pub async fn a_lone_broadcast_gets_every_slot_of_the_account_and_none_between<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2_000).await;
    let sender = Sender::proven(world, "sender", broadcast).await;
    let slots = slots_within(world, &mut [sender], Span::from_secs(5)).await.remove(0);
    assert!(slots.len() >= 495, "{}", slots.len());
    assert!(fewest_apart(&slots) >= INTERVAL);
}

pub async fn senders_and_broadcasts_of_an_account_share_its_rate<L: Backend>(world: &World<L>) {
    let (one, two) = pair(world, declaration("two")).await;
    let mut senders = [
        Sender::proven(world, "one-a", one).await,
        Sender::proven(world, "one-b", one).await,
        Sender::proven(world, "two", two).await,
    ];
    let slots = slots_within(world, &mut senders, Span::from_secs(5)).await;
    let all = slots.concat();
    assert!((485..=502).contains(&all.len()), "{}", all.len());
    assert!(fewest_apart(&all) >= INTERVAL);
    assert!((200..=300).contains(&slots[2].len()), "each broadcast its half: {}", slots[2].len());
}

pub async fn broadcasts_share_an_account_by_their_weights<L: Backend>(world: &World<L>) {
    let mut senders = Vec::new();
    for (key, weight) in [("urgent", URGENT_WEIGHT), ("normal", NORMAL_WEIGHT), ("bulk", BULK_WEIGHT)] {
        let broadcast = world.planned(&Declaration { weight, ..declaration(key) }, 2_000).await;
        senders.push(Sender::proven(world, key, broadcast).await);
    }
    let slots = slots_within(world, &mut senders, Span::from_secs(13)).await;
    let parts: Vec<usize> = slots.iter().map(Vec::len).collect();
    for (part, whole) in parts.iter().zip([800, 400, 100]) {
        assert!((whole * 85 / 100..=whole * 115 / 100).contains(part), "{parts:?} of 800, 400 and 100");
    }
    assert!(parts.iter().sum::<usize>() >= 1_280, "{parts:?}");
}

pub async fn an_urgent_broadcast_begins_at_once_beside_a_bulk_one_and_nobody_starves<L: Backend>(world: &World<L>) {
    let bulk = world.planned(&Declaration { weight: BULK_WEIGHT, ..declaration("bulk") }, 2_000).await;
    let mut senders = vec![Sender::proven(world, "bulk", bulk).await];
    slots_within(world, &mut senders, Span::from_secs(5)).await;
    let joined = world.now();
    let urgent = world.planned(&Declaration { weight: URGENT_WEIGHT, ..declaration("urgent") }, 2_000).await;
    senders.push(Sender::proven(world, "urgent", urgent).await);
    let slots = slots_within(world, &mut senders, Span::from_secs(10)).await;
    let first = slots[1].iter().min().copied().unwrap() - joined;
    assert!(first <= Span::from_secs(2), "{first:?}");
    assert!(slots[1].len() >= 8 * 1_000 / 9 * 85 / 100, "{}", slots[1].len());
    assert!(slots[0].len() >= 1_000 / 9 * 85 / 100, "{}", slots[0].len());
}

pub async fn a_change_of_the_weight_counts_from_the_next_exchange<L: Backend>(world: &World<L>) {
    let (one, two) = pair(world, declaration("two")).await;
    world.declare(&Declaration { weight: BULK_WEIGHT, generation: 2, ..declaration("two") }).await;
    let mut senders = [Sender::proven(world, "one", one).await, Sender::proven(world, "two", two).await];
    let slots = slots_within(world, &mut senders, Span::from_secs(5)).await;
    let parts: Vec<usize> = slots.iter().map(Vec::len).collect();
    assert!((80..=120).contains(&parts[1]), "{parts:?} of 400 and 100");
}

pub async fn a_broadcast_keeps_its_own_lower_rate<L: Backend>(world: &World<L>) {
    let slow = Declaration { rate: Some(Rate::new(20, 1)), ..declaration("slow") };
    let broadcast = world.planned(&slow, 2_000).await;
    let sender = Sender::proven(world, "sender", broadcast).await;
    let slots = slots_within(world, &mut [sender], Span::from_secs(5)).await.remove(0);
    assert!((97..=101).contains(&slots.len()), "{}", slots.len());
    assert!(fewest_apart(&slots) >= Span::from_millis(50));
    assert_eq!(world.snapshot(broadcast).await.rate, Rate::new(20, 1));
}

pub async fn a_slow_broadcast_leaves_the_rest_of_the_rate_to_others<L: Backend>(world: &World<L>) {
    let slow = Declaration { rate: Some(Rate::new(10, 1)), ..declaration("slow") };
    let (fast, slow) = pair(world, slow).await;
    let mut senders = [Sender::proven(world, "fast", fast).await, Sender::proven(world, "slow", slow).await];
    let slots = slots_within(world, &mut senders, Span::from_secs(10)).await;
    // Beside a rival that takes whatever is free it gets somewhat less than its rate, and never more.
    assert!((65..=105).contains(&slots[1].len()), "{}", slots[1].len());
    assert!(slots[0].len() >= 870, "{}", slots[0].len());
    assert!(fewest_apart(&slots.concat()) >= INTERVAL);
}

pub async fn a_broadcast_that_waits_for_its_own_rate_holds_up_nobody<L: Backend>(world: &World<L>) {
    let crawling = Declaration { rate: Some(Rate::new(1, 60)), ..declaration("crawling") };
    let (fast, crawling) = pair(world, crawling).await;
    let mut alone = Sender::proven(world, "crawling", crawling).await;
    assert!(matches!(alone.exchange(world, vec![], 5).await.directive, Directive::Wait { .. }));
    let joining = Sender::proven(world, "fast", fast).await;
    let slots = slots_within(world, &mut [joining], Span::from_secs(5)).await.remove(0);
    assert!(slots.len() >= 490, "{}", slots.len());
}

pub async fn a_throttled_account_halves_its_rate_and_recovers<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 5).await;
    world.pass(Span::from_millis(100));
    sender.tell(world, reports(&rows, &account_throttled(Some(Span::from_secs(2))))).await;
    let braked = world.snapshot(broadcast).await;
    assert!(
        (braked.effective_per_second - 50.0).abs() < 1.0,
        "once, for five answers: {}",
        braked.effective_per_second
    );
    assert_eq!(braked.throttled_until, Some(world.now() + Span::from_secs(2)));
    assert_eq!(sender.take(world, 5).await, [], "no slot while it holds");
    world.pass(Span::from_secs(2));
    let rows = sender.take(world, 5).await;
    assert!(fewest_apart(&rows.iter().map(|row| row.slot).collect::<Vec<_>>()) >= Span::from_millis(19));
    world.pass(Span::from_millis(3_200));
    let recovering = world.snapshot(broadcast).await.effective_per_second;
    assert!((recovering - 70.7).abs() < 2.0, "half a doubling while the limit is searched: {recovering}");
    world.pass(Span::from_secs(5));
    assert!((world.snapshot(broadcast).await.effective_per_second - 100.0).abs() < 1e-6);
}

pub async fn slots_that_a_throttled_sender_gave_back_are_given_again_where_nobody_else_has_any<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&Declaration { batch_size: Some(100), ..declaration("one") }, 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 25).await;
    world.pass(rows[0].slot - world.now());
    let mut told = reports(&rows[..1], &account_throttled(Some(Span::from_millis(50))));
    told.extend(reports(&rows[1..], &Outcome::NotBegun));
    sender.tell(world, told).await;
    world.pass(Span::from_millis(50));
    let again = sender.take(world, 5).await;
    assert!(again[0].slot < rows[24].slot, "long before those that were given back have passed");
    assert!(again[0].slot >= world.now());
}

pub async fn slots_that_another_broadcast_still_holds_are_not_given_again<L: Backend>(world: &World<L>) {
    let (one, two) = pair(world, declaration("two")).await;
    let mut last = Sender::proven(world, "two", two).await;
    let mut sender = Sender::proven(world, "one", one).await;
    let rows = sender.take(world, 5).await;
    // The other takes its slots, asks once more and wants no more: it holds them, and is not hungry.
    let held = last.take(world, 20).await;
    last.exchange(world, vec![], 0).await;
    world.pass(rows[0].slot - world.now());
    let mut told = reports(&rows[..1], &account_throttled(Some(Span::ZERO)));
    told.extend(reports(&rows[1..], &Outcome::NotBegun));
    sender.tell(world, told).await;
    let again = sender.take(world, 5).await;
    let last_held = held.iter().map(|row| row.slot).max().unwrap();
    assert!(again.iter().all(|row| row.slot > last_held), "those are on their way at the old rate");
}

pub async fn what_was_given_away_before_the_brake_does_not_brake_again<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&Declaration { batch_size: Some(100), ..declaration("one") }, 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 20).await;
    for part in rows.chunks(5) {
        world.pass(part[4].slot - world.now());
        sender.tell(world, reports(part, &account_throttled(Some(Span::from_secs(2))))).await;
    }
    let effective = world.snapshot(broadcast).await.effective_per_second;
    assert!((effective - 50.0).abs() < 1.0, "{effective}");
}

/// Tells how much is used, without an outcome.
async fn tell_usage<L: Backend>(world: &World<L>, sender: &mut Sender, usage: Usage) {
    let request = ExchangeRequest { usage: Some(usage), ..sender.request(vec![], 0) };
    world.exchange(&request).await.unwrap();
    // Its answer was lost: the repeated one must tell nothing anew.
    world.pass(Span::from_secs(1));
    let repeated =
        ExchangeRequest { usage: Some(Usage { percent: 99, regain_after_ms: Some(60_000), left: None }), ..request };
    world.exchange(&repeated).await.unwrap();
}

pub async fn an_account_slows_down_as_the_provider_says_that_its_limit_is_used<L: Backend>(world: &World<L>) {
    let (one, two) = pair(world, declaration("two")).await;
    let mut sender = Sender::proven(world, "one", one).await;
    tell_usage(world, &mut sender, Usage { percent: 79, regain_after_ms: None, left: None }).await;
    let seen = world.snapshot(two).await;
    assert_eq!((seen.effective_per_second, seen.usage_percent), (100.0, None));
    for (percent, per_second) in [(85, 75.0), (90, 50.0), (88, 50.0)] {
        tell_usage(world, &mut sender, Usage { percent, regain_after_ms: None, left: None }).await;
        let seen = world.snapshot(two).await;
        assert!((seen.effective_per_second - per_second).abs() < 0.1, "{percent} %: {}", seen.effective_per_second);
        assert_eq!((seen.usage_percent, seen.throttled_until), (Some(percent), None));
    }
    let account = world.ledger.account(&declaration("one").account).await.unwrap().unwrap();
    assert_eq!(account.usage_percent, Some(88));
    let rows = sender.take(world, 5).await;
    assert!(fewest_apart(&rows.iter().map(|row| row.slot).collect::<Vec<_>>()) >= Span::from_millis(19));
    world.pass(Span::from_secs(60));
    let later = world.snapshot(two).await;
    assert_eq!((later.effective_per_second, later.usage_percent), (100.0, None), "nobody said so any more");
}

pub async fn an_account_holds_where_its_limit_is_used_up<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let told_at = world.now();
    tell_usage(world, &mut sender, Usage { percent: 100, regain_after_ms: Some(120_000), left: None }).await;
    let seen = world.snapshot(broadcast).await;
    assert_eq!(seen.throttled_until, Some(told_at + Span::from_secs(120)));
    assert!((seen.effective_per_second - 1.0).abs() < 0.1, "{}", seen.effective_per_second);
    assert_eq!(sender.take(world, 5).await, []);
    world.pass(Span::from_secs(119));
    assert_eq!(sender.take(world, 5).await.len(), 1, "one asks anew");
}

pub async fn the_brake_is_the_accounts_and_not_the_broadcasts<L: Backend>(world: &World<L>) {
    let (one, two) = pair(world, declaration("two")).await;
    let mut sender = Sender::proven(world, "one", one).await;
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &account_throttled(Some(Span::from_secs(3))))).await;
    assert_eq!(Sender::new("two", two).take(world, 5).await, []);
    assert!((world.snapshot(two).await.effective_per_second - 50.0).abs() < 1.0);
}

pub async fn a_change_of_the_rate_counts_from_the_next_exchange<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    world.declare(&Declaration { account_rate: Rate::new(20, 1), ..declaration("one") }).await;
    let reply = sender.exchange(world, vec![], 5).await;
    assert_eq!(reply.interval, Span::from_millis(50));
    assert!(fewest_apart(&reply.rows.iter().map(|row| row.slot).collect::<Vec<_>>()) >= Span::from_millis(50));
}
