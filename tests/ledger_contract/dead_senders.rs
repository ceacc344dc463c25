//! What becomes of what a dead sender held.

use herald::delivery::outcome::Outcome;
use herald::delivery::recipient::RecipientState::{Inflight, Pending, Sent, Unknown};
use herald::delivery::time::Span;
use herald::ledger::LedgerError;
use herald::ledger::exchange::{Assignment, LastWords};

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
    };
    world.settle_dead(&words).await;
    let states: Vec<_> = world.ledger.everybody(broadcast).await[1..5].iter().map(|row| row.state).collect();
    assert_eq!(states, [Sent, Pending, Unknown, Unknown]);
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
    };
    world.settle_dead(&words).await;
    assert_eq!(world.state(broadcast, 1).await, Unknown, "an older attempt told later hides nothing");
}

pub async fn a_dead_sender_is_heard_no_more<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut dead = Sender::proven(world, "dead", broadcast).await;
    let answered = dead.request(vec![], 2);
    world.exchange(&answered).await.unwrap();
    let words = LastWords { holder: "dead".into(), outcomes: vec![], begun: vec![], complete: true };
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
    let words = LastWords { holder: "dead".into(), outcomes: vec![], begun: begun(&poison), complete: true };
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
