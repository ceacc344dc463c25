//! Who may take from which batch.

use herald::api::Content;
use herald::delivery::outcome::Outcome;
use herald::delivery::pacing::URGENT_WEIGHT;
use herald::delivery::recipient::RecipientState;
use herald::delivery::time::Span;
use herald::ledger::exchange::{Assignment, Directive, ExchangeReply, ExchangeRequest, LEASE, MAX_REPORTS, Report};
use herald::ledger::{Declaration, LedgerError};

use super::world::*;

pub async fn claims_are_exclusive<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut first = Sender::proven(world, "first", broadcast).await;
    let mut second = Sender::proven(world, "second", broadcast).await;
    assert_eq!(seqs(&first.take(world, 4).await), [1, 2, 3, 4]);
    assert_eq!(seqs(&second.take(world, 4).await), [11, 12, 13, 14]);
    let mut third = Sender::new("third", broadcast);
    let reply = third.exchange(world, vec![], 5).await;
    assert_eq!(reply.rows, []);
    assert!(matches!(reply.directive, Directive::Wait { until } if until > reply.now));
    assert_eq!(world.batch(broadcast, 0).await.holder.as_deref(), Some("first"));
    assert_eq!(world.batch(broadcast, 1).await.holder.as_deref(), Some("second"));
}

pub async fn a_reply_says_which_part_of_the_slots_the_sender_may_count_on<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut one = Sender::proven(world, "one", broadcast).await;
    let alone = one.exchange(world, vec![], 1).await;
    assert_eq!(alone.turn, alone.interval);
    let mut two = Sender::new("two", broadcast);
    assert_eq!(two.exchange(world, vec![], 1).await.turn, alone.turn * 2);
    let mut idle = Sender::new("idle", broadcast);
    assert_eq!(idle.exchange(world, vec![], 1).await.turn, alone.turn * 2, "who has no batch has no part");
    world.pass(LEASE);
    assert_eq!(one.exchange(world, vec![], 1).await.turn, alone.turn, "a lost one has none either");
}

pub async fn broadcasts_of_an_account_share_what_may_be_on_the_wire<L: Backend>(world: &World<L>) {
    let urgent = world.planned(&Declaration { weight: URGENT_WEIGHT, ..declaration("urgent") }, 100).await;
    let normal = world.planned(&declaration("normal"), 100).await;
    let mut quick = Sender::proven(world, "quick", urgent).await;
    let mut plain = Sender::proven(world, "plain", normal).await;
    quick.exchange(world, vec![], 50).await;
    let beside = plain.exchange(world, vec![], 50).await;
    assert_eq!(beside.turn, beside.interval * 3, "4 of 12 slots");
    let beside = quick.exchange(world, vec![], 50).await;
    assert_eq!(beside.turn, Span(beside.interval.0 * 3 / 2), "8 of 12 slots");
}

pub async fn one_exchange_takes_whom_to_try_again_from_every_batch<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&Declaration { batch_size: Some(5), ..declaration("one") }, 30).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let mut waiting = Vec::new();
    while waiting.len() < 6 {
        let rows = sender.take(world, 30).await;
        let again = |row: &&Assignment| row.seq % 5 == 3;
        waiting.extend(rows.iter().filter(again).map(|row| row.seq));
        let (later, now) = (recipient_throttled(Span::from_secs(60)), accepted());
        let told = rows.iter().map(|row| report(row, if again(&row) { &later } else { &now }));
        sender.tell(world, told.collect()).await;
        world.pass(Span::from_millis(1));
    }
    world.pass(Span::from_secs(900));
    let mut epochs = Vec::new();
    for batch in 0..6 {
        epochs.push(world.batch(broadcast, batch).await.epoch);
    }
    let rows = sender.take(world, 30).await;
    assert_eq!(seqs(&rows), [3, 8, 13, 18, 23, 28]);
    assert!(rows.windows(2).all(|two| two[0].slot < two[1].slot), "each has a slot of its own");
    for (batch, epoch) in (0..6).zip(epochs) {
        let after = world.batch(broadcast, batch).await;
        assert_eq!((after.holder, after.counts.inflight, after.reclaims), (None, 1, 0), "batch {batch}");
        assert_eq!(after.epoch, epoch + 1, "batch {batch}");
    }
    sender.tell(world, reports(&rows, &accepted())).await;
    assert_eq!(world.snapshot(broadcast).await.counts.sent, 30);
}

pub async fn a_batch_of_a_lost_sender_is_the_last_that_is_claimed_and_gives_one<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&Declaration { batch_size: Some(5), ..declaration("one") }, 20).await;
    let mut lost = Sender::proven(world, "lost", broadcast).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    lost.take(world, 1).await;
    world.pass(LEASE);
    let rows = sender.take(world, 30).await;
    assert_eq!(world.batch(broadcast, 0).await.holder.as_deref(), Some("sender"));
    assert_eq!(seqs(&rows), [6, 7, 8, 9, 2], "its own, and one of the batch that is on probation");
    assert_eq!(sender.take(world, 30).await, [], "no other until that one has an outcome");
}

pub async fn a_lease_that_runs_out_gives_the_batch_to_another_and_is_counted<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut lost = Sender::proven(world, "lost", broadcast).await;
    lost.take(world, 2).await;
    let before = world.batch(broadcast, 0).await;
    let mut heir = Sender::new("heir", broadcast);

    world.pass(LEASE - Span(1));
    assert_eq!(heir.take(world, 5).await, []);
    world.pass(Span(1));
    assert_eq!(seqs(&heir.take(world, 5).await), [3]);

    let after = world.batch(broadcast, 0).await;
    assert_eq!((before.reclaims, after.reclaims), (0, 1));
    assert!(after.epoch > before.epoch);
    assert_eq!(after.holder.as_deref(), Some("heir"));
}

pub async fn a_lease_is_renewed_by_every_exchange<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut holder = Sender::proven(world, "holder", broadcast).await;
    for _ in 0..4 {
        world.pass(Span::from_secs(10));
        holder.tell(world, vec![]).await;
    }
    world.pass(Span::from_secs(14));
    assert_eq!(Sender::new("other", broadcast).take(world, 5).await, []);
    assert_eq!(world.batch(broadcast, 0).await.reclaims, 0);
}

pub async fn a_lost_claim_takes_no_row_but_its_outcomes_are_recorded<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut frozen = Sender::proven(world, "frozen", broadcast).await;
    let held = frozen.take(world, 3).await;
    world.pass(LEASE);
    let mut heir = Sender::new("heir", broadcast);
    let taken = heir.take(world, 5).await;
    assert_eq!(seqs(&taken), [4]);

    let reply = frozen.exchange(world, reports(&held, &accepted()), 5).await;
    assert_eq!(reply.rows, [], "an old epoch takes nobody");
    assert_eq!(world.counts(broadcast).await.sent, 4, "a late answer is evidence, whoever brings it");
    assert_eq!(world.batch(broadcast, 0).await.holder.as_deref(), Some("heir"));
    assert_eq!(seqs(&heir.exchange(world, reports(&taken, &accepted()), 3).await.rows), [5, 6, 7]);
}

pub async fn a_new_process_gets_one_recipient_until_it_has_recorded_an_outcome<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 30).await;
    let mut sender = Sender::new("new", broadcast);
    let first = sender.take(world, 10).await;
    assert_eq!(seqs(&first), [0]);
    assert_eq!(sender.take(world, 10).await, [], "one at a time");
    let again = sender.exchange(world, reports(&first, &Outcome::NotBegun), 10).await.rows;
    assert_eq!(seqs(&again), [0], "not begun proves nothing");
    let rows = sender.exchange(world, reports(&again, &accepted()), 10).await.rows;
    assert_eq!(rows.len(), 10, "and now a full group, across the end of the batch");
}

pub async fn a_batch_taken_over_gives_one_recipient_until_an_outcome_is_recorded<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut lost = Sender::proven(world, "lost", broadcast).await;
    lost.take(world, 3).await;
    let mut heir = Sender::proven(world, "heir", broadcast).await;
    let mine = heir.take(world, 9).await;
    assert_eq!(seqs(&mine), [11, 12, 13, 14, 15, 16, 17, 18, 19], "a fresh batch starts at full group");
    world.pass(LEASE);
    let over = heir.exchange(world, reports(&mine, &accepted()), 9).await.rows;
    assert_eq!(seqs(&over), [4]);
    assert_eq!(heir.take(world, 9).await, []);
    let rows = heir.exchange(world, reports(&over, &permanent()), 9).await.rows;
    assert_eq!(seqs(&rows), [5, 6, 7, 8, 9]);
}

pub async fn silence_of_the_lost_holder_does_not_end_the_probation_of_its_batch<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut lost = Sender::proven(world, "lost", broadcast).await;
    lost.take(world, 3).await;
    let mut heir = Sender::proven(world, "heir", broadcast).await;
    let mine = heir.take(world, 9).await;
    world.pass(LEASE);
    assert_eq!(heir.exchange(world, reports(&mine, &accepted()), 9).await.rows.len(), 1);
    for _ in 0..2 {
        world.pass(Span::from_secs(10));
        heir.tell(world, vec![]).await;
    }
    world.maintain().await;
    assert_eq!(world.counts(broadcast).await.unknown, 3, "those of the lost holder");
    assert_eq!(heir.take(world, 9).await, [], "its own first one is still on the wire");
}

pub async fn a_batch_without_anybody_to_take_is_handed_back_for_the_next_in_one_exchange<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 30).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    assert_eq!(sender.take(world, 7).await.len(), 7);
    let rows = sender.take(world, 6).await;
    assert_eq!(seqs(&rows), [8, 9, 10, 11, 12, 13], "from both batches");
    let slots: Vec<_> = rows.windows(2).map(|pair| pair[1].slot - pair[0].slot).collect();
    assert_eq!(slots, [INTERVAL; 5], "at one pace across the end of the batch");
    let (left, held) = (world.batch(broadcast, 0).await, world.batch(broadcast, 1).await);
    assert_eq!((left.holder, left.reclaims), (None, 0));
    assert_eq!(held.holder.as_deref(), Some("sender"));
}

pub async fn a_batch_in_backoff_is_handed_back_and_its_recipients_are_taken_when_due<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 9).await;
    let put_off = recipient_throttled(Span::from_secs(60));
    let next = sender.exchange(world, reports(&rows, &put_off), 25).await.rows;
    assert_eq!(seqs(&next), (10..20).collect::<Vec<_>>());
    let reply = sender.exchange(world, reports(&next, &accepted()), 25).await;
    assert_eq!(reply.rows, []);
    world.pass(Span::from_secs(60));
    assert_eq!(seqs(&sender.take(world, 25).await), (1..10).collect::<Vec<_>>());
    assert_eq!(world.batch(broadcast, 0).await.reclaims, 0);
}

pub async fn an_unproven_sender_leaves_a_batch_that_has_nobody_to_take<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 12).await;
    let mut first = Sender::proven(world, "first", broadcast).await;
    let rows = first.take(world, 9).await;
    let (last, others) = rows.split_last().unwrap();
    let mut outcomes = reports(others, &recipient_throttled(Span::from_secs(600)));
    outcomes.push(report(last, &Outcome::NotBegun));
    let mut goodbye = first.request(outcomes, 0);
    goodbye.leaving = true;
    world.exchange(&goodbye).await.unwrap();

    let mut slow = Sender::new("slow", broadcast);
    assert_eq!(seqs(&slow.take(world, 5).await), [9], "the only one of its batch that may be taken now");
    for _ in 0..4 {
        world.pass(Span::from_secs(10));
        slow.tell(world, vec![]).await;
    }
    world.maintain().await;
    assert_eq!(world.state(broadcast, 9).await, RecipientState::Unknown);
    assert_eq!(seqs(&slow.take(world, 5).await), [10]);
}

pub async fn what_was_not_begun_is_retaken_at_once_with_a_larger_attempt_and_costs_no_try<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&declaration("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let mut row = sender.take(world, 1).await.remove(0);
    for attempt in 2..=10 {
        world.pass(Span::from_millis(200));
        let mut rows = sender.exchange(world, vec![report(&row, &Outcome::NotBegun)], 1).await.rows;
        row = rows.remove(0);
        assert_eq!((row.seq, row.attempt), (0, attempt));
    }
    for _ in 1..5 {
        sender.tell(world, vec![report(&row, &transient())]).await;
        assert_eq!(world.state(broadcast, 0).await, RecipientState::Pending);
        world.pass(Span::from_secs(900));
        row = sender.take(world, 1).await.remove(0);
    }
    sender.tell(world, vec![report(&row, &transient())]).await;
    assert_eq!(world.state(broadcast, 0).await, RecipientState::Failed, "the fifth try that counts");
}

pub async fn a_sender_that_leaves_hands_its_claim_back_and_is_heard_no_more<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut leaver = Sender::proven(world, "leaver", broadcast).await;
    let rows = leaver.take(world, 2).await;
    let mut goodbye = leaver.request(reports(&rows, &Outcome::NotBegun), 5);
    goodbye.leaving = true;
    for _ in 0..2 {
        assert_eq!(world.exchange(&goodbye).await.unwrap().rows, []);
    }
    let batch = world.batch(broadcast, 0).await;
    assert_eq!((batch.holder, batch.reclaims), (None, 0));
    assert_eq!(seqs(&Sender::new("next", broadcast).take(world, 5).await), [1], "at once, without waiting for a lease");
    let late = leaver.request(vec![], 5);
    assert!(matches!(world.exchange(&late).await, Err(LedgerError::SenderClosed)));
}

pub async fn a_sender_that_wants_nobody_gets_nobody<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::new("sender", broadcast);
    let reply = sender.exchange(world, vec![], 0).await;
    assert_eq!((reply.rows, reply.directive), (vec![], Directive::Continue));
    assert_eq!(world.batch(broadcast, 0).await.holder, None);
    assert_eq!(world.snapshot(broadcast).await.first_attempt_at, None);
}

pub async fn a_request_with_too_many_outcomes_is_refused_whole<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::new("sender", broadcast);
    let row = sender.take(world, 1).await.remove(0);
    let many = vec![Report { ..report(&row, &accepted()) }; MAX_REPORTS + 1];
    let request = sender.request(many, 1);
    assert!(matches!(world.exchange(&request).await, Err(LedgerError::RequestTooLarge { limit: MAX_REPORTS })));
    assert_eq!(world.counts(broadcast).await.inflight, 1);
}

/// One exchange of a sender that has the content of this plan.
async fn ask_knowing<L: Backend>(
    world: &World<L>,
    sender: &mut Sender,
    wants: u32,
    content_of: Option<i64>,
) -> ExchangeReply {
    let request = ExchangeRequest { content_of, ..sender.request(vec![], wants) };
    world.exchange(&request).await.unwrap()
}

pub async fn the_content_comes_with_recipients_to_who_has_none_or_that_of_another_plan<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::new("sender", broadcast);
    assert_eq!(ask_knowing(world, &mut sender, 0, None).await.content, None);
    // Edited before anybody was attempted: the plan is made anew.
    let edited = Declaration {
        content: Content { text: "edited".into(), ..Content::default() },
        identity_hash: "second".into(),
        generation: 2,
        ..declaration("one")
    };
    world.planned(&edited, 10).await;
    let request = ExchangeRequest { content_of: Some(1), ..sender.request(vec![], 1) };
    let reply = world.exchange(&request).await.unwrap();
    let planned = reply.content.clone().unwrap();
    assert_eq!((planned.content, planned.plan > 1), (edited.content, true));
    assert_eq!(reply.request_timeout, edited.request_timeout);
    assert_eq!(world.exchange(&request).await.unwrap().content, reply.content, "a repeated answer holds it too");
    world.pass(Span::from_secs(1));
    sender.tell(world, reports(&reply.rows, &accepted())).await;
    let again = ask_knowing(world, &mut sender, 1, Some(planned.plan)).await;
    assert_eq!((again.rows.len(), again.content), (1, None));
}
