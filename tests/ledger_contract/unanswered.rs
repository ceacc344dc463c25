//! Whether somebody is messaged again of whom nobody knows whether the message was taken.

use herald::delivery::backoff::RetryPolicy;
use herald::delivery::recipient::RecipientState::{Inflight, Pending, Sent, Skipped, Unknown};
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::Declaration;
use herald::ledger::exchange::{Assignment, CONNECT_TIMEOUT, DEADLINE_GRACE, LEASE};

use super::world::*;

fn resending(key: &str) -> Declaration {
    let retry = RetryPolicy { after_unknown: true, max_tries: 3, ..RetryPolicy::default() };
    Declaration { retry, ..declaration(key) }
}

/// The policy is edited: everything else stays.
fn holding(key: &str) -> Declaration {
    let before = resending(key);
    let retry = RetryPolicy { after_unknown: false, ..before.retry };
    Declaration { retry, generation: 2, ..before }
}

/// When no answer to this attempt is awaited any more.
fn overdue(row: &Assignment) -> Timestamp {
    row.start_by + CONNECT_TIMEOUT + declaration("any").request_timeout + DEADLINE_GRACE
}

pub async fn a_lost_answer_is_followed_by_a_resend_after_deadline_and_grace<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&resending("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let first = sender.take(world, 1).await;
    sender.tell(world, reports(&first, &unknown())).await;
    let waiting = world.snapshot(broadcast).await;
    assert_eq!((waiting.counts.pending, waiting.counts.unknown, waiting.finished_at), (1, 0, None));
    assert_eq!((waiting.due_at, waiting.retries), (Some(overdue(&first[0])), 1));

    world.pass(overdue(&first[0]) - world.now() - Span::from_secs(1));
    world.maintain_all().await;
    assert_eq!(sender.take(world, 1).await, []);
    world.pass(Span::from_secs(1));
    let second = sender.take(world, 1).await;
    assert_eq!(second[0].attempt, 2);
    sender.tell(world, reports(&first, &accepted())).await;
    assert_eq!(world.state(broadcast, 0).await, Inflight, "the first attempt's answer comes too late");
    sender.tell(world, reports(&second, &accepted())).await;
    assert_eq!(world.counts(broadcast).await.sent, 1);
}

pub async fn silence_is_followed_by_a_resend_too<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&resending("one"), 1).await;
    let first = Sender::new("frozen", broadcast).take(world, 1).await;
    world.pass(overdue(&first[0]) - world.now() + LEASE);
    world.maintain_all().await;
    assert_eq!(world.state(broadcast, 0).await, Pending);
    assert_eq!(Sender::new("other", broadcast).take(world, 1).await[0].attempt, 2);
}

pub async fn resends_end_with_the_attempts_of_the_policy_and_the_last_stays_unknown<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&resending("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    for attempt in 1..=3 {
        let rows = sender.take(world, 1).await;
        assert_eq!(rows[0].attempt, attempt);
        sender.tell(world, reports(&rows, &unknown())).await;
        world.pass(Span::from_secs(60));
        world.maintain_all().await;
    }
    assert_eq!(sender.take(world, 1).await, []);
    let ended = world.snapshot(broadcast).await;
    assert_eq!((ended.counts.unknown, ended.retries), (1, 2));
    assert!(ended.finished_at.is_some());
    assert_eq!(world.tally(broadcast, Unknown, "Timeout").await, 1);
}

pub async fn a_late_definite_answer_counts_until_the_resend_has_begun<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&resending("one"), 4).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 3).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    let late = vec![report(&rows[0], &accepted()), report(&rows[1], &permanent()), report(&rows[2], &unknown())];
    sender.tell(world, late).await;
    let counts = world.counts(broadcast).await;
    assert_eq!((counts.sent, counts.failed, counts.pending), (2, 1, 1));
    assert_eq!(world.snapshot(broadcast).await.retries, 1, "what does not come about is no retry");
    world.pass(Span::from_secs(60));
    assert_eq!(seqs(&sender.take(world, 9).await), [rows[2].seq]);
}

pub async fn a_finished_broadcast_goes_on_when_its_policy_becomes_resend<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    assert!(world.snapshot(broadcast).await.finished_at.is_some());
    world.pass(Span::from_secs(3_600));

    let edited = world.declare(&Declaration { generation: 2, ..resending("one") }).await;
    assert_eq!((edited.closed, edited.finished_at, edited.counts.pending), (None, None, 2), "at once");
    assert_eq!(edited.outcomes, [], "nobody is unknown any more");
    assert_eq!(world.batch(broadcast, 0).await.completed_at, None);
    let again = Sender::proven(world, "again", broadcast).await.take(world, 5).await;
    assert_eq!((again.len(), again[0].attempt), (1, 2));
}

pub async fn whoever_waits_to_be_resent_is_unknown_again_when_the_policy_becomes_hold<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&resending("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    let edited = world.declare(&holding("one")).await;
    assert_eq!((edited.counts.unknown, edited.counts.pending, edited.retries), (2, 0, 0));
    assert_eq!(world.tally(broadcast, Unknown, "Timeout").await, 2);
    world.pass(Span::from_secs(60));
    world.maintain_all().await;
    assert_eq!(sender.take(world, 5).await, []);
    sender.tell(world, reports(&rows[..1], &accepted())).await;
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent, "an answer still counts");
}

pub async fn whoever_waits_to_be_resent_is_not_skipped_at_the_end_but_unknown<L: Backend>(world: &World<L>) {
    let ends = Timestamp::from_secs(1_700_000_010);
    let cancelled = resending("cancelled");
    let expired = Declaration { end_at: Some(ends), ..resending("expired") };
    for declared in [&cancelled, &expired] {
        let broadcast = world.planned(declared, 4).await;
        let mut sender = Sender::proven(world, &declared.name, broadcast).await;
        let rows = sender.take(world, 2).await;
        sender.tell(world, reports(&rows, &unknown())).await;
    }
    let cancelled = world.declare(&Declaration { cancelled: true, ..cancelled }).await.id;
    let expired = world.declare(&expired).await.id;
    world.pass(Span::from_secs(10));
    world.maintain_all().await;
    for broadcast in [cancelled, expired] {
        let counts = world.counts(broadcast).await;
        assert_eq!((counts.unknown, counts.skipped, counts.pending), (2, 1, 0));
        assert_eq!(world.state(broadcast, 3).await, Skipped);
        assert_eq!(world.tally(broadcast, Unknown, "Timeout").await, 2);
    }
}
