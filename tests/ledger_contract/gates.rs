//! What stops a broadcast, and what opens it again.

use herald::api::BatchState;
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::gate::Closed;
use herald::delivery::outcome::{Cap, Fault, Outcome, PermanentScope};
use herald::delivery::rate::Rate;
use herald::delivery::recipient::RecipientState::{Failed, Inflight, Pending, Sent, Skipped};
use herald::delivery::time::Span;
use herald::ledger::batch_status::batch_status;
use herald::ledger::exchange::{Assignment, Directive, ExchangeRequest};
use herald::ledger::status::{End, end};
use herald::ledger::{Declaration, LedgerError};

use super::owners::orders;
use super::world::*;

fn stopped(reason: Closed) -> Directive {
    Directive::Stop { reason }
}

pub async fn refused_credentials_stop_every_broadcast_of_the_account_until_lifted<L: Backend>(world: &World<L>) {
    let one = world.planned(&declaration("one"), 10).await;
    let two = world.planned(&declaration("two"), 10).await;
    let mut elsewhere = declaration("elsewhere");
    elsewhere.account.account = "other".into();
    let elsewhere = world.planned(&elsewhere, 10).await;
    let mut sender = Sender::proven(world, "one", one).await;
    let rows = sender.take(world, 2).await;

    let reply = sender.exchange(world, reports(&rows[..1], &auth()), 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], stopped(Closed::CredentialsInvalid)));
    assert_eq!(world.state(one, rows[0].seq).await, Pending, "nobody fails for it");
    let mut other = Sender::new("two", two);
    assert_eq!(other.exchange(world, vec![], 5).await.directive, stopped(Closed::CredentialsInvalid));
    assert!(world.snapshot(two).await.stop_message.unwrap().contains("TokenExpired"));
    assert_eq!(Sender::new("elsewhere", elsewhere).take(world, 5).await.len(), 1);

    world.ledger.lift_credential_stop(one).await.unwrap();
    assert_eq!(other.take(world, 5).await.len(), 1);
    assert_eq!(world.snapshot(one).await.stop_message, None);
    let retaken = sender.exchange(world, reports(&rows[1..], &accepted()), 1).await.rows;
    assert_eq!(seqs(&retaken), [rows[0].seq]);
}

/// The first request of a sender that comes to try refused credentials again.
fn trying(sender: &mut Sender) -> ExchangeRequest {
    ExchangeRequest { retry_credentials: true, ..sender.request(vec![], 9) }
}

/// Tells that the credentials were refused, and leaves, as a sender does that is told to stop.
async fn refused_and_left<L: Backend>(world: &World<L>, sender: &mut Sender, rows: &[Assignment]) {
    let last = ExchangeRequest { leaving: true, ..sender.request(reports(rows, &auth()), 0) };
    world.exchange(&last).await.unwrap();
}

pub async fn a_sender_may_try_refused_credentials_again_with_one_recipient<L: Backend>(world: &World<L>) {
    let one = world.planned(&declaration("one"), 10).await;
    let two = world.planned(&declaration("two"), 10).await;
    let mut sender = Sender::proven(world, "one", one).await;
    let rows = sender.take(world, 2).await;
    refused_and_left(world, &mut sender, &rows).await;

    let mut again = Sender::new("again", one);
    let request = trying(&mut again);
    let tried = world.exchange(&request).await.unwrap().rows;
    assert_eq!(seqs(&tried), [rows[0].seq], "one of those that were refused, and nobody more");
    assert_eq!(world.snapshot(two).await.closed, None, "the account is open");
    again.tell(world, reports(&tried, &auth())).await;
    assert_eq!(world.snapshot(two).await.closed, Some(Closed::CredentialsInvalid));
    world.exchange(&ExchangeRequest { number: again.number, ..request }).await.unwrap();
    assert_eq!(world.snapshot(two).await.closed, Some(Closed::CredentialsInvalid), "a repeated request opens nothing");
    refused_and_left(world, &mut again, &[]).await;

    let mut mended = Sender::new("mended", one);
    let tried = world.exchange(&trying(&mut mended)).await.unwrap().rows;
    mended.tell(world, reports(&tried, &accepted())).await;
    assert_eq!(mended.take(world, 3).await.len(), 3);
    assert_eq!(world.snapshot(one).await.stop_message, None);
}

pub async fn a_brief_says_whether_only_refused_credentials_are_in_the_way<L: Backend>(world: &World<L>) {
    let ordered = Declaration { orders: Some(orders()), ..declaration("one") };
    let broadcast = world.planned(&ordered, 3).await;
    let refused = async || world.ledger.brief(broadcast).await.unwrap().credentials_refused;
    assert!(!refused().await);
    let mut sender = Sender::new("one", broadcast);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &auth())).await;
    assert!(refused().await);
    world.declare(&Declaration { suspended: true, generation: 2, ..ordered.clone() }).await;
    assert!(!refused().await, "it would not be sent anyway");
    world.declare(&Declaration { generation: 3, ..ordered }).await;
    world.ledger.lift_credential_stop(broadcast).await.unwrap();
    assert!(!refused().await);
}

pub async fn a_block_stops_only_its_broadcast<L: Backend>(world: &World<L>) {
    let one = world.planned(&declaration("one"), 10).await;
    let two = world.planned(&declaration("two"), 10).await;
    let mut sender = Sender::proven(world, "one", one).await;
    let rows = sender.take(world, 1).await;
    let reply = sender.exchange(world, reports(&rows, &blocked()), 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], stopped(Closed::ProviderBlocked)));
    assert_eq!(Sender::new("two", two).take(world, 5).await.len(), 1);
    world.ledger.lift_block(two, 2).await.unwrap();
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, stopped(Closed::ProviderBlocked));
    world.ledger.lift_block(one, 2).await.unwrap();
    assert_eq!(sender.take(world, 5).await.len(), 5);
}

pub async fn twenty_equal_refusals_of_the_message_in_a_row_stop_it_until_a_person_has_looked<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&declaration("one"), 60).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let first = sender.take(world, 19).await;
    let second = sender.exchange(world, reports(&first, &rejected()), 5).await;
    assert_eq!(second.rows.len(), 5, "nineteen may still be so many people");
    let stop = sender.exchange(world, reports(&second.rows, &rejected()), 5).await;
    assert_eq!((stop.rows, stop.directive), (vec![], stopped(Closed::MessageRejected)));
    let snapshot = world.snapshot(broadcast).await;
    assert!(snapshot.stop_message.unwrap().contains("EmptyMessage"));
    assert_eq!(world.tally(broadcast, Failed, "EmptyMessage").await, 24);
    world.ledger.lift_block(broadcast, 2).await.unwrap();
    let again = sender.take(world, 5).await;
    assert_eq!(again.len(), 5);
    sender.tell(world, reports(&again, &rejected())).await;
    assert_eq!(sender.take(world, 5).await.len(), 5, "it is counted anew");
}

pub async fn an_error_that_is_the_messages_fault_after_two_tries_stops_it_too<L: Backend>(world: &World<L>) {
    let soon = Span::from_millis(1);
    let retry = RetryPolicy { initial_backoff: soon, max_backoff: soon, ..RetryPolicy::default() };
    let broadcast = world.planned(&Declaration { retry, batch_size: Some(100), ..declaration("one") }, 60).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let cap = Some(Cap { tries: 2, then: PermanentScope::Message });
    let undecided = Outcome::Transient { cap, fault: Fault::new("UnknownError", None, "words") };
    for tries in 1..=2 {
        let rows = sender.take(world, 20).await;
        assert_eq!(seqs(&rows), (1..=20).collect::<Vec<i64>>(), "try {tries}");
        sender.tell(world, reports(&rows, &undecided)).await;
        world.pass(soon);
    }
    assert_eq!(world.tally(broadcast, Failed, "UnknownError").await, 20);
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, stopped(Closed::MessageRejected));
}

pub async fn cancelling_is_latched_and_skips_whoever_is_not_begun<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 12).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 4).await;
    world.declare(&Declaration { cancelled: true, ..declaration("one") }).await;
    world.declare(&declaration("one")).await;
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, stopped(Closed::Cancelled));

    world.maintain_all().await;
    assert_eq!(world.tally(broadcast, Skipped, "Cancelled").await, 7);
    assert_eq!(world.state(broadcast, rows[0].seq).await, Inflight, "may have begun");
    let told = vec![
        report(&rows[0], &Outcome::NotBegun),
        report(&rows[1], &transient()),
        report(&rows[2], &accepted()),
        report(&rows[3], &unknown()),
    ];
    sender.tell(world, told).await;
    let counts = world.counts(broadcast).await;
    assert_eq!((counts.sent, counts.skipped, counts.unknown, counts.open()), (2, 9, 1, 0));
    assert_eq!(world.tally(broadcast, Skipped, "Cancelled").await, 9);
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!(end(&snapshot), Some(End::Cancelled));
    assert!(snapshot.finished_at.is_some());
    assert_eq!((snapshot.batches_complete, snapshot.batches_active), (2, 0));
}

pub async fn a_cancel_changes_no_end_that_has_come_before_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 4).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    assert_eq!(end(&world.snapshot(broadcast).await), Some(End::Delivered));
    world.declare(&Declaration { cancelled: true, ..declaration("one") }).await;
    world.maintain_all().await;
    assert_eq!(end(&world.snapshot(broadcast).await), Some(End::Delivered));
}

pub async fn only_batches_that_a_cancel_has_cut_short_are_cancelled<L: Backend>(world: &World<L>) {
    let gone = vec![person(0).recipient];
    let broadcast = world.planned(&declaration("one"), 30).await;
    world.ledger.opt_out(&declaration("one").account, &gone, "asked to stop").await.unwrap();
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 8).await;
    assert_eq!(seqs(&rows), (2..10).collect::<Vec<_>>());
    sender.tell(world, reports(&rows, &accepted())).await;
    world.pass(INTERVAL * 25);
    let rows = sender.take(world, 1).await;
    world.declare(&Declaration { cancelled: true, ..declaration("one") }).await;
    world.maintain_all().await;
    let state = async |index| {
        let status = batch_status(&world.batch(broadcast, index).await, &world.snapshot(broadcast).await, None, 1, &[]);
        status.state.unwrap()
    };
    assert_eq!(state(0).await, BatchState::Complete, "only somebody who has opted out is skipped in it");
    assert_eq!(state(2).await, BatchState::Cancelled);
    sender.tell(world, reports(&rows, &Outcome::NotBegun)).await;
    assert_eq!((state(1).await, world.batch(broadcast, 1).await.skipped_by_cancel), (BatchState::Cancelled, 10));
}

pub async fn the_rest_of_a_cancelled_broadcast_is_skipped_in_slices<L: Backend>(world: &World<L>) {
    let large = Declaration { batch_size: None, ..declaration("large") };
    let broadcast = world.planned(&large, 10_500).await;
    world.declare(&Declaration { cancelled: true, ..large }).await;
    let mut left = vec![10_500];
    while world.maintain().await {
        left.push(world.counts(broadcast).await.pending);
    }
    assert!(left.len() > 2 && left.is_sorted_by(|before, after| before > after), "{left:?}");
    assert_eq!(world.counts(broadcast).await.skipped, 10_500);
}

pub async fn upkeep_says_that_another_ended_broadcast_waits<L: Backend>(world: &World<L>) {
    let mut broadcasts = Vec::new();
    for key in ["one", "two", "three"] {
        broadcasts.push(world.planned(&declaration(key), 10).await);
        world.declare(&Declaration { cancelled: true, ..declaration(key) }).await;
    }
    world.maintain_all().await;
    for broadcast in broadcasts {
        assert_eq!(world.counts(broadcast).await.skipped, 10);
    }
}

pub async fn after_its_end_a_broadcast_skips_whoever_is_not_begun<L: Backend>(world: &World<L>) {
    let end = world.now() + Span::from_secs(10);
    let ending = Declaration { end_at: Some(end), ..declaration("one") };
    let broadcast = world.planned(&ending, 12).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    world.maintain_all().await;
    assert_eq!(world.counts(broadcast).await.skipped, 0);
    world.pass(Span::from_secs(10));
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, stopped(Closed::Expired));
    world.maintain_all().await;
    sender.tell(world, vec![report(&rows[0], &Outcome::NotBegun), report(&rows[1], &accepted())]).await;
    assert_eq!(world.tally(broadcast, Skipped, "Expired").await, 10);
    assert_eq!(world.state(broadcast, rows[1].seq).await, Sent);
    assert!(world.snapshot(broadcast).await.finished_at.is_some());
}

pub async fn what_did_not_begin_in_time_is_missed_and_what_did_goes_on<L: Backend>(world: &World<L>) {
    let start_by = Some(world.now() + Span::from_secs(10));
    let late = world.planned(&Declaration { start_by, ..declaration("late") }, 12).await;
    let begun = world.planned(&Declaration { start_by, ..declaration("begun") }, 12).await;
    let mut sender = Sender::proven(world, "begun", begun).await;
    world.pass(Span::from_secs(11));
    let told = Sender::new("late", late).exchange(world, vec![], 5).await;
    assert_eq!((told.rows, told.directive), (vec![], stopped(Closed::Missed)));
    world.maintain_all().await;
    assert_eq!(world.tally(late, Skipped, "Missed").await, 12);
    assert!(world.snapshot(late).await.finished_at.is_some());
    assert_eq!(sender.take(world, 5).await.len(), 5);
}

pub async fn nobody_is_given_a_slot_after_the_end<L: Backend>(world: &World<L>) {
    let end = world.now() + Span::from_millis(200);
    let broadcast = world.planned(&Declaration { end_at: Some(end), ..declaration("one") }, 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let request = sender.request(vec![], 25);
    let first = world.exchange(&request).await.unwrap().rows;
    assert!(!first.is_empty() && first.iter().all(|row| row.start_by <= end), "{:?}", first.last());
    let reply = sender.exchange(world, vec![], 25).await;
    assert_eq!((reply.rows, reply.directive), (vec![], Directive::Wait { until: end }));
}

pub async fn a_repeat_moves_nobody_past_the_end<L: Backend>(world: &World<L>) {
    let end = world.now() + Span::from_millis(200);
    let broadcast = world.planned(&Declaration { end_at: Some(end), ..declaration("one") }, 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let request = sender.request(vec![], 25);
    world.exchange(&request).await.unwrap();
    world.pass(Span::from_millis(150));
    let repeated = world.exchange(&request).await.unwrap().rows;
    assert!(!repeated.is_empty() && repeated.iter().all(|row| row.start_by <= end));
}

pub async fn a_suspended_broadcast_takes_nobody_until_it_is_resumed<L: Backend>(world: &World<L>) {
    let suspended = Declaration { suspended: true, ..declaration("one") };
    let broadcast = world.planned(&suspended, 10).await;
    let mut sender = Sender::new("sender", broadcast);
    let reply = sender.exchange(world, vec![], 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], stopped(Closed::Suspended)));
    world.declare(&declaration("one")).await;
    let rows = sender.take(world, 5).await;
    assert_eq!(rows.len(), 1);
    world.declare(&suspended).await;
    let reply = sender.exchange(world, reports(&rows, &Outcome::NotBegun), 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], stopped(Closed::Suspended)));
    world.maintain_all().await;
    assert_eq!(world.counts(broadcast).await.pending, 10);
}

pub async fn an_older_generation_opens_no_gate<L: Backend>(world: &World<L>) {
    let stale = declaration("one");
    let broadcast = world.planned(&stale, 10).await;
    world.declare(&Declaration { suspended: true, generation: 2, ..declaration("one") }).await;
    let snapshot = world.declare(&stale).await;
    assert_eq!(snapshot.closed, Some(Closed::Suspended), "a frozen leader that wakes late");
    world.declare(&Declaration { cancelled: true, ..stale }).await;
    assert_eq!(
        world.snapshot(broadcast).await.closed,
        Some(Closed::Cancelled),
        "but a cancel counts whenever it comes"
    );
    let other = declaration("two");
    world.declare(&Declaration { suspended: true, generation: 9, ..other.clone() }).await;
    world.ledger.release("owner", 1).await.unwrap();
    let made_anew = Declaration { owner_uid: "another object".into(), ..other };
    assert_eq!(world.declare(&made_anew).await.closed, Some(Closed::NotPlanned), "generations count per object");
}

pub async fn an_older_generation_changes_no_rate_of_the_account<L: Backend>(world: &World<L>) {
    let stale = Declaration { account_rate: Rate::new(1_000, 1), ..declaration("one") };
    world.declare(&stale).await;
    let present = Declaration { generation: 2, account_rate: Rate::new(7, 1), ..stale.clone() };
    world.declare(&present).await;
    let told = world.declare(&stale).await.told;
    assert_eq!((told.generation, told.account_rate), (2, Rate::new(7, 1)));
    assert!(told.holds(&stale), "nothing would come of telling it again");
    let ceiling = async || world.ledger.account(&stale.account).await.unwrap().unwrap().ceiling;
    assert_eq!(ceiling().await, Rate::new(7, 1));
    world.declare(&Declaration { generation: 3, ..stale.clone() }).await;
    assert_eq!(ceiling().await, Rate::new(1_000, 1));
}

pub async fn nobody_is_taken_before_the_start<L: Backend>(world: &World<L>) {
    let start = world.now() + Span::from_secs(100);
    let broadcast = world.planned(&Declaration { start_at: Some(start), ..declaration("one") }, 10).await;
    let mut sender = Sender::new("sender", broadcast);
    let reply = sender.exchange(world, vec![], 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], Directive::Wait { until: start }));
    world.pass(Span::from_secs(100));
    assert_eq!(sender.take(world, 5).await.len(), 1);
}

pub async fn a_broadcast_without_a_plan_asks_for_one<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let reply = Sender::new("sender", broadcast).exchange(world, vec![], 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], Directive::Plan));
}

pub async fn a_finished_broadcast_declared_again_is_complete_with_nobody_to_take<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 5).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    world.pass(Span::from_secs(3_600));
    world.ledger.release("owner", 1).await.unwrap();
    let again = world.declare(&Declaration { owner_uid: "applied again".into(), ..declaration("one") }).await;
    assert_eq!((again.id, again.closed, again.counts.sent), (broadcast, Some(Closed::Complete), 3));
    let reply = Sender::new("next", broadcast).exchange(world, vec![], 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], stopped(Closed::Complete)));
}

pub async fn a_key_is_reused_only_after_the_first_attempt<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let edited = Declaration { identity_hash: "second".into(), audience_hash: "second".into(), ..declaration("one") };
    let snapshot = world.declare(&edited).await;
    assert_eq!((snapshot.id, snapshot.closed), (broadcast, Some(Closed::NotPlanned)), "planned anew");
    assert_eq!(world.plan(broadcast, 7).await.planned, 7);
    let mut sender = Sender::proven(world, "sender", broadcast).await;

    let refused = world.ledger.declare(&declaration("one")).await;
    assert!(
        matches!(&refused, Err(LedgerError::KeyReused { key, changed }) if key == "one" && changed == "audience"),
        "{refused:?}"
    );
    assert!(matches!(world.ledger.begin_plan(broadcast).await, Err(LedgerError::PlanLocked)));
    world.sums_hold().await;
    assert_eq!(sender.take(world, 5).await.len(), 5, "the refusal changed nothing");
    assert_eq!(world.declare(&edited).await.id, broadcast);
    let elsewhere = Declaration { namespace: "another".into(), ..declaration("one") };
    assert_ne!(world.declare(&elsewhere).await.id, broadcast, "a key stands within its namespace");
}

pub async fn an_unknown_broadcast_is_an_error<L: Backend>(world: &World<L>) {
    let nowhere = herald::ledger::BroadcastId(77);
    let request = Sender::new("sender", nowhere).request(vec![], 1);
    assert!(matches!(world.exchange(&request).await, Err(LedgerError::UnknownBroadcast)));
    assert!(matches!(world.ledger.snapshot(nowhere).await, Err(LedgerError::UnknownBroadcast)));
    assert!(matches!(world.ledger.begin_plan(nowhere).await, Err(LedgerError::UnknownBroadcast)));
}

pub async fn an_older_wish_does_not_open_what_a_refused_newer_one_has_closed<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    world.ledger.release("owner", 2).await.unwrap();
    let stale = world.declare(&declaration("one")).await;
    assert_eq!(stale.closed, Some(Closed::Released), "the refused wish is the later one");
    let mended = world.declare(&Declaration { generation: 2, ..declaration("one") }).await;
    assert_eq!((mended.id, mended.closed), (broadcast, None));
}

pub async fn nothing_is_declared_in_the_name_of_an_object_that_is_gone<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    world.ledger.depart("owner").await.unwrap();
    let of_old_cache = Declaration { generation: 9, ..declaration("one") };
    let is_gone = |answer: Result<_, LedgerError>| matches!(answer, Err(LedgerError::OwnerGone { .. }));
    assert!(is_gone(world.ledger.declare(&of_old_cache).await));
    assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::Released));

    let again = Declaration { owner_uid: "applied again".into(), suspended: true, ..declaration("one") };
    assert_eq!(world.declare(&again).await.closed, Some(Closed::Suspended));
    assert!(is_gone(world.ledger.declare(&of_old_cache).await));
    assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::Suspended));
    world.ledger.depart("applied again").await.unwrap();
    assert!(is_gone(world.ledger.declare(&of_old_cache).await), "not even once the key is free");
    assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::Released));
}

pub async fn nobody_is_no_owner_that_could_go<L: Backend>(world: &World<L>) {
    world.ledger.depart("").await.unwrap();
    let of_nobody = Declaration { owner_uid: String::new(), ..declaration("one") };
    assert_eq!(world.declare(&of_nobody).await.closed, Some(Closed::NotPlanned));
}

pub async fn a_block_is_lifted_only_by_a_wish_of_after_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&Declaration { generation: 2, ..declaration("one") }, 10).await;
    let mut sender = Sender::new("sender", broadcast);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &blocked())).await;
    for (generation, closed) in [(1, Some(Closed::ProviderBlocked)), (2, Some(Closed::ProviderBlocked)), (3, None)] {
        world.ledger.lift_block(broadcast, generation).await.unwrap();
        assert_eq!(world.snapshot(broadcast).await.closed, closed, "{generation}");
    }
}
