//! Requests that are sent again because their answer was lost.

use herald::delivery::backoff::scatter;
use herald::delivery::counts::Counts;
use herald::delivery::outcome::Outcome;
use herald::delivery::pacing::GUARD;
use herald::delivery::time::Span;
use herald::ledger::LedgerError;
use herald::ledger::exchange::{Assignment, Directive, ExchangeRequest, START_TOLERANCE};

use super::world::*;

fn attempts(rows: &[Assignment]) -> Vec<(i64, u32)> {
    let mut attempts: Vec<_> = rows.iter().map(|row| (row.seq, row.attempt)).collect();
    attempts.sort_unstable();
    attempts
}

pub async fn a_repeated_exchange_gives_the_same_rows_attempts_and_slots<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    world.pass(Span::from_millis(300));
    let request = sender.request(vec![], 5);
    let first = world.exchange(&request).await.unwrap();
    assert_eq!(first.rows.len(), 5);
    for _ in 0..3 {
        assert_eq!(world.exchange(&request).await.unwrap().rows, first.rows);
    }
    assert_eq!(world.counts(broadcast).await.inflight, 5);
    assert_eq!(seqs(&sender.take(world, 5).await), [6, 7, 8, 9, 10]);
}

pub async fn a_repeat_gives_only_what_its_own_first_answer_gave<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    assert_eq!(seqs(&sender.take(world, 2).await), [1, 2]);
    let request = sender.request(vec![], 3);
    assert_eq!(seqs(&world.exchange(&request).await.unwrap().rows), [3, 4, 5]);
    assert_eq!(seqs(&world.exchange(&request).await.unwrap().rows), [3, 4, 5]);
}

pub async fn a_repeat_gives_new_slots_where_the_old_have_passed<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    world.pass(Span::from_millis(300));
    let request = sender.request(vec![], 10);
    let first = world.exchange(&request).await.unwrap().rows;
    world.pass(Span::from_millis(40));
    let repeated = world.exchange(&request).await.unwrap().rows;

    assert_eq!(attempts(&repeated), attempts(&first));
    let earliest = world.now() + GUARD;
    let last = first.last().unwrap().slot;
    for row in &repeated {
        let before = first.iter().find(|one| one.seq == row.seq).unwrap();
        assert_eq!(row.start_by, row.slot + START_TOLERANCE);
        if before.slot >= earliest {
            assert_eq!(row.slot, before.slot, "a slot ahead is kept");
        } else {
            assert!(row.slot > last, "a passed slot is replaced by a free one");
        }
    }
    assert!(repeated.is_sorted_by_key(|row| row.slot));
    let next = sender.take(world, 1).await;
    assert!(next[0].slot >= repeated.last().unwrap().slot + INTERVAL, "the new slots are booked");
}

pub async fn repeats_never_put_two_messages_closer_than_the_rate_allows<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 400).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let mut slots = Vec::new();
    for round in 0..40_u64 {
        let request = sender.request(vec![], 20);
        let mut rows = world.exchange(&request).await.unwrap().rows;
        for repeat in 0..scatter(round) % 3 {
            world.pass(Span::from_millis((scatter(round * 10 + repeat) % 400) as i64));
            rows = world.exchange(&request).await.unwrap().rows;
        }
        slots.extend(rows.iter().map(|row| row.slot).filter(|slot| *slot > world.now()));
        sender.tell(world, reports(&rows, &accepted())).await;
        world.pass(Span::from_millis(150));
    }
    slots.sort_unstable();
    assert!(slots.len() > 100, "{}", slots.len());
    assert!(slots.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL));
}

pub async fn a_repeat_after_the_gate_closed_releases_nobody<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let request = sender.request(vec![], 5);
    let first = world.exchange(&request).await.unwrap().rows;
    world.declare(&herald::ledger::Declaration { suspended: true, ..declaration("one") }).await;
    world.pass(Span::from_secs(1));

    let repeated = world.exchange(&request).await.unwrap();
    assert_eq!(repeated.rows, first, "the first answer may have arrived after all");
    assert!(matches!(repeated.directive, Directive::Stop { .. }));
    assert_eq!(world.counts(broadcast).await.inflight, 5);
    let released = sender.exchange(world, reports(&first, &Outcome::NotBegun), 5).await;
    assert_eq!(released.rows, []);
    assert_eq!(world.counts(broadcast).await.inflight, 0);
}

pub async fn a_repeat_gives_nobody_who_was_settled_meanwhile<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let request = sender.request(vec![], 3);
    let rows = world.exchange(&request).await.unwrap().rows;
    let mut other = Sender::new("other", broadcast);
    other.tell(world, vec![report(&rows[1], &accepted())]).await;
    let repeated = world.exchange(&request).await.unwrap().rows;
    assert_eq!(seqs(&repeated), [rows[0].seq, rows[2].seq]);
    world.pass(Span::from_secs(31));
    world.maintain().await;
    assert_eq!(world.exchange(&request).await.unwrap().rows, []);
}

pub async fn a_repeat_records_its_outcomes_once<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 4).await;
    let outcomes = vec![
        report(&rows[0], &accepted()),
        report(&rows[1], &transient()),
        report(&rows[2], &Outcome::NotBegun),
        report(&rows[3], &unknown()),
    ];
    let request = sender.request(outcomes, 3);
    let first = world.exchange(&request).await.unwrap();
    let counts = world.counts(broadcast).await;
    let retries = world.snapshot(broadcast).await.retries;
    let repeated = world.exchange(&request).await.unwrap();
    assert_eq!(repeated.rows, first.rows);
    assert_eq!(world.counts(broadcast).await, counts);
    assert_eq!(world.snapshot(broadcast).await.retries, retries);
}

/// Lets everybody else run so often.
async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Begins an exchange and gives it up: the later the step the later, from before the first statement to after the answer.
pub async fn exchange_given_up<L: Backend>(world: &World<L>, request: &ExchangeRequest, step: usize) {
    tokio::select! {
        biased;
        _ = world.ledger.exchange(request) => {}
        () = turns(step * step / 2) => {}
    }
}

pub async fn a_call_that_is_given_up_at_any_moment_has_happened_wholly_or_not_at_all<L: Backend>(world: &World<L>) {
    let count = 200;
    let broadcast = world.planned(&declaration("one"), count).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let (mut given, mut outcomes) = (Vec::new(), Vec::new());
    for step in 0.. {
        let before = world.counts(broadcast).await;
        let taken = before.pending.min(2);
        if taken == 0 {
            break;
        }
        let request = sender.request(outcomes, 2);
        exchange_given_up(world, &request, step).await;
        world.sums_hold().await;
        let sent = before.sent + before.inflight;
        let wholly = Counts { pending: before.pending - taken, inflight: taken, sent, ..before };
        let after = world.counts(broadcast).await;
        assert!(after == before || after == wholly, "step {step}: {before:?} became {after:?}");
        let rows = world.exchange(&request).await.unwrap().rows;
        given.extend(attempts(&rows));
        outcomes = reports(&rows, &accepted());
        world.pass(INTERVAL + INTERVAL);
    }
    sender.tell(world, outcomes).await;
    let everybody: Vec<(i64, u32)> = (1..count as i64).map(|seq| (seq, 1)).collect();
    assert_eq!(given, everybody, "each once, at the first attempt");
    assert_eq!(world.counts(broadcast).await.sent, count as i64);
}

pub async fn a_number_below_the_last_answered_one_is_refused_and_changes_nothing<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    let delayed = sender.request(reports(&rows, &accepted()), 5);
    sender.exchange(world, vec![], 1).await;
    let counts = world.counts(broadcast).await;
    let refused = world.exchange(&delayed).await;
    assert!(matches!(refused, Err(LedgerError::StaleRequest { number, last }) if number + 1 == last), "{refused:?}");
    assert_eq!(world.counts(broadcast).await, counts);
    let mut never = Sender::new("never", broadcast).request(vec![], 1);
    never.number = 0;
    assert!(matches!(world.exchange(&never).await, Err(LedgerError::StaleRequest { .. })));
}
