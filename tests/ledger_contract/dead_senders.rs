//! What becomes of what a dead sender held.

use herald::delivery::backoff::RetryPolicy;
use herald::delivery::outcome::Outcome;
use herald::delivery::recipient::RecipientState::{Inflight, Pending, Sent, Unknown};
use herald::delivery::time::Span;
use herald::ledger::exchange::{Assignment, BroadcastId, LastWords};
use herald::ledger::{Declaration, LedgerError};

use super::world::*;

fn begun(rows: &[Assignment]) -> Vec<(i64, u32)> {
    rows.iter().map(|row| (row.seq, row.attempt)).collect()
}

pub async fn a_complete_journal_leaves_unknown_only_what_was_on_the_wire<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let rows = dead.take(world, 6).await;
    let words = LastWords {
        holder: "dead".into(),
        outcomes: vec![report(&rows[0], &accepted()), report(&rows[1], &unknown())],
        begun: begun(&rows[2..4]),
        complete: true,
        known_revision: 0,
    };
    world.settle_dead(&words).await;
    let states: Vec<_> = world.ledger.everybody(broadcast).await[1..7].iter().map(|row| row.state).collect();
    assert_eq!(states, [Sent, Unknown, Unknown, Unknown, Pending, Pending]);

    let mut heir = Sender::new("heir", broadcast);
    let first = heir.take(world, 9).await;
    assert_eq!(seqs(&first), [5], "at once: nobody waits for a lease");
    assert_eq!(first[0].attempt, 2);
    let batch = world.batch(broadcast, 0).await;
    assert_eq!((batch.reclaims, batch.holder.as_deref()), (1, Some("heir")));
    world.settle_dead(&words).await;
    assert_eq!(world.state(broadcast, 5).await, Inflight, "telling it again changes nothing");
    assert_eq!(world.batch(broadcast, 0).await.holder.as_deref(), Some("heir"));
}

pub async fn an_incomplete_journal_is_believed_in_what_it_says_and_not_in_its_silence<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let rows = dead.take(world, 4).await;
    let words = LastWords {
        holder: "dead".into(),
        outcomes: vec![report(&rows[0], &accepted()), report(&rows[1], &Outcome::NotBegun)],
        begun: begun(&rows[2..3]),
        complete: false,
        known_revision: 0,
    };
    world.settle_dead(&words).await;
    let states: Vec<_> = world.ledger.everybody(broadcast).await[1..5].iter().map(|row| row.state).collect();
    assert_eq!(states, [Sent, Pending, Unknown, Unknown]);
}

/// Whoever nobody told of until deadline and grace had passed.
async fn given_up<L: Backend>(world: &World<L>, broadcast: BroadcastId, count: i64) {
    world.pass(Span::from_secs(300));
    world.maintain_all().await;
    assert_eq!(world.tally(broadcast, Unknown, "SenderLost").await, count);
}

pub async fn a_journal_that_is_late_still_says_who_was_never_begun<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 5).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let rows = dead.take(world, 4).await;
    given_up(world, broadcast, 4).await;
    assert!(world.snapshot(broadcast).await.finished_at.is_some());
    let words = LastWords {
        holder: "dead".into(),
        outcomes: vec![report(&rows[0], &accepted()), report(&rows[1], &unknown())],
        begun: begun(&rows[2..3]),
        complete: true,
        known_revision: 0,
    };
    world.settle_dead(&words).await;
    let states: Vec<_> = world.ledger.everybody(broadcast).await[1..5].iter().map(|row| row.state).collect();
    assert_eq!(states, [Sent, Unknown, Unknown, Pending]);
    world.sums_hold().await;
    assert_eq!(world.snapshot(broadcast).await.finished_at, None, "it goes on");
    let over = Sender::new("heir", broadcast).take(world, 9).await;
    assert_eq!((seqs(&over), over[0].attempt), (vec![4], 2));
    world.settle_dead(&words).await;
    assert_eq!(world.state(broadcast, 4).await, Inflight, "telling it again changes nothing");
}

pub async fn a_late_journal_that_is_incomplete_takes_nobody_for_never_begun<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 5).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    dead.take(world, 4).await;
    given_up(world, broadcast, 4).await;
    let words =
        LastWords { holder: "dead".into(), outcomes: vec![], begun: vec![], complete: false, known_revision: 0 };
    world.settle_dead(&words).await;
    assert_eq!(world.counts(broadcast).await.unknown, 4);
}

/// A journal forgets what the ledger has acknowledged.
pub async fn who_was_told_to_be_unknown_after_the_deadline_was_begun<L: Backend>(world: &World<L>) {
    for (key, after_unknown) in [("held", false), ("resent", true)] {
        let retry = RetryPolicy { after_unknown, ..declaration(key).retry };
        let broadcast = world.planned(&Declaration { retry, ..declaration(key) }, 3).await;
        let holder = format!("dead of {key}");
        let mut dead = Sender::proven(world, &holder, broadcast).await;
        let rows = dead.take(world, 2).await;
        world.pass(Span::from_secs(300));
        world.maintain_all().await;
        let before = world.ledger.everybody(broadcast).await;
        dead.tell(world, vec![report(&rows[0], &unknown())]).await;
        let told = world.row(broadcast, 1).await;
        assert_eq!((told.state, told.attempt), (before[1].state, before[1].attempt));
        assert_ne!(told.reason.as_deref(), Some("SenderLost"));
        world.sums_hold().await;
        let retries = world.batch(broadcast, 0).await.retries;
        let words = LastWords { holder, outcomes: vec![], begun: vec![], complete: true, known_revision: 0 };
        world.settle_dead(&words).await;
        world.sums_hold().await;
        let row = world.row(broadcast, 1).await;
        assert_eq!((row.state, row.reason), (told.state, told.reason), "{key}");
        let row = world.row(broadcast, 2).await;
        assert_eq!((row.state, row.reason), (Pending, None), "{key}");
        let resends = i64::from(after_unknown);
        assert_eq!(retries - world.batch(broadcast, 0).await.retries, resends, "that resend does not come about");
    }
}

pub async fn a_journal_may_name_several_attempts_of_one_recipient<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let first = dead.take(world, 1).await;
    let second = dead.exchange(world, reports(&first, &not_sent()), 0).await;
    assert_eq!(second.rows, []);
    world.pass(Span::from_secs(900));
    let mut dead = Sender::new("dead too", broadcast);
    let second = dead.take(world, 1).await;
    assert_eq!((second[0].seq, second[0].attempt), (1, 2));
    for order in [[1, 2], [2, 1]] {
        let words = LastWords {
            holder: "dead too".into(),
            outcomes: vec![],
            begun: order.map(|attempt| (1, attempt)).into(),
            complete: true,
            known_revision: 0,
        };
        world.settle_dead(&words).await;
        assert_eq!(world.state(broadcast, 1).await, Unknown, "attempt 2 was on the wire: {order:?}");
    }
}

pub async fn the_order_of_a_journal_does_not_matter<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let first = dead.take(world, 1).await;
    let second = dead.exchange(world, reports(&first, &Outcome::NotBegun), 1).await.rows;
    let words = LastWords {
        holder: "dead".into(),
        outcomes: vec![],
        begun: [begun(&second), begun(&first)].concat(),
        complete: true,
        known_revision: 0,
    };
    world.settle_dead(&words).await;
    assert_eq!(world.state(broadcast, 1).await, Unknown, "an older attempt told later hides nothing");
}

pub async fn a_dead_sender_is_heard_no_more<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let answered = dead.request(vec![], 2);
    world.exchange(&answered).await.unwrap();
    let words = LastWords { holder: "dead".into(), outcomes: vec![], begun: vec![], complete: true, known_revision: 0 };
    world.settle_dead(&words).await;
    let delayed = dead.request(vec![], 5);
    assert!(matches!(world.exchange(&delayed).await, Err(LedgerError::SenderClosed)));
    assert_eq!(world.exchange(&answered).await.unwrap().rows, [], "nor does a copy of its last request take anybody");
    assert_eq!(world.counts(broadcast).await.inflight, 0);
    let strange = LastWords { holder: "never heard of".into(), ..words };
    world.settle_dead(&strange).await;
}

pub async fn a_batch_of_a_dead_sender_is_on_probation<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let mut heir = Sender::proven(world, "heir", broadcast).await;
    let poison = dead.take(world, 1).await;
    let mine = heir.take(world, 9).await;
    let words =
        LastWords { holder: "dead".into(), outcomes: vec![], begun: begun(&poison), complete: true, known_revision: 0 };
    world.settle_dead(&words).await;
    let over = heir.exchange(world, reports(&mine, &accepted()), 9).await.rows;
    assert_eq!(seqs(&over), [2]);
    assert_eq!(heir.exchange(world, reports(&over, &accepted()), 9).await.rows.len(), 7);
}

pub async fn when_no_sender_lives_everybody_in_flight_is_unknown_and_every_claim_void<L: Backend>(world: &World<L>) {
    let one = world.planned(&declaration("one"), 20).await;
    let two = world.planned(&declaration("two"), 20).await;
    let mut senders = vec![];
    for (name, broadcast) in [("a", one), ("b", one), ("c", two)] {
        let mut sender = Sender::proven(world, name, broadcast).await;
        let rows = sender.take(world, 2).await;
        senders.push((sender, rows));
    }
    assert_eq!(world.ledger.settle_all_senders_dead().await.unwrap(), 6);
    world.sums_hold().await;
    assert_eq!((world.counts(one).await.unknown, world.counts(two).await.unknown), (4, 2));
    assert_eq!(world.ledger.settle_all_senders_dead().await.unwrap(), 0);
    let batch = world.batch(one, 0).await;
    assert_eq!((batch.holder, batch.reclaims), (None, 1));
    assert_eq!(seqs(&Sender::new("next", one).take(world, 5).await), [3]);

    let (sender, rows) = &mut senders[0];
    sender.tell(world, reports(rows, &accepted())).await;
    assert_eq!(world.counts(one).await.unknown, 2, "what they tell after all is evidence");
}

pub async fn a_poisoned_message_costs_one_unknown_per_crash<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    for crash in 0..5_i64 {
        let mut sender = Sender::new(&format!("sender-{crash}"), broadcast);
        let rows = sender.take(world, 10).await;
        assert_eq!(rows.len(), 1, "crash {crash}");
        assert_eq!(world.ledger.settle_all_senders_dead().await.unwrap(), 1);
        assert_eq!(world.counts(broadcast).await.unknown, crash + 1);
    }
}
