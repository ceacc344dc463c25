//! Chunks, epochs and the seal.

use std::collections::BTreeMap;

use herald::delivery::gate::Closed;
use herald::delivery::time::Span;
use herald::ledger::exchange::{BroadcastId, Directive, LEASE};
use herald::ledger::plan::{Dropped, MAX_CHUNK, MAX_DEAD_PLANNERS, PlanRow, PlanTicket, PlanWords};
use herald::ledger::status::{End, end};
use herald::ledger::{Declaration, LedgerError, Trouble};

use super::world::*;

/// What a plan says to people.
fn said(text: &str) -> PlanWords {
    PlanWords { samples: vec![text.to_owned()], warnings: vec![format!("{text}?")] }
}

pub async fn a_recipient_counts_once_and_the_receipt_names_what_was_dropped<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let left_out: Vec<String> = [1, 5].map(|number| person(number).recipient).into();
    world.ledger.exclude(ticket, 1, &left_out).await.unwrap();
    let first = [0, 1, 0, 2, 2, 1].map(person);
    let receipt = world.ledger.append_plan(ticket, 2, &first).await.unwrap();
    assert_eq!(receipt.added, 2);
    let (duplicate, excluded) = (Dropped::Duplicate, Dropped::Excluded);
    assert_eq!(receipt.dropped, [(1, excluded), (2, duplicate), (4, duplicate), (5, excluded)]);
    let receipt = world.ledger.append_plan(ticket, 3, &[2, 3, 5, 4].map(person)).await.unwrap();
    assert_eq!((receipt.added, receipt.dropped), (2, vec![(0, duplicate), (2, excluded)]));
    world.sums_hold().await;

    let plan = world.ledger.seal_plan(ticket, &said("hello")).await.unwrap();
    assert_eq!((plan.planned, plan.duplicates, plan.excluded), (4, 3, 3));
    let planned: Vec<String> = world.ledger.everybody(broadcast).await.into_iter().map(|row| row.recipient).collect();
    assert_eq!(planned, [0, 2, 3, 4].map(|number| person(number).recipient), "first occurrence, in order");
    assert_eq!(world.snapshot(broadcast).await.words, said("hello"));
}

pub async fn a_plan_takes_the_first_so_many_of_those_left<L: Backend>(world: &World<L>) {
    let (duplicate, excluded, over) = (Dropped::Duplicate, Dropped::Excluded, Dropped::OverLimit);
    let four = world.declare(&Declaration { plan_limit: Some(4), ..declaration("one") }).await.id;
    let ticket = world.ledger.begin_plan(four).await.unwrap();
    world.ledger.exclude(ticket, 1, &[person(1).recipient]).await.unwrap();
    let receipt = world.ledger.append_plan(ticket, 2, &[0, 1, 0, 2].map(person)).await.unwrap();
    assert_eq!((receipt.added, receipt.full), (2, false));
    // The first duplicate of another chunk is found here, and must not take anybody's place.
    let receipt = world.ledger.append_plan(ticket, 3, &[2, 3, 1, 4, 5, 0].map(person)).await.unwrap();
    assert_eq!(receipt.dropped, [(0, duplicate), (2, excluded), (4, over), (5, over)]);
    assert_eq!((receipt.added, receipt.full), (2, true));
    assert_eq!(world.ledger.append_plan(ticket, 3, &[]).await.unwrap(), receipt, "told again as it was");
    let receipt = world.ledger.append_plan(ticket, 4, &[6, 0].map(person)).await.unwrap();
    assert_eq!((receipt.added, receipt.dropped, receipt.full), (0, vec![(0, over), (1, over)], true));
    world.sums_hold().await;
    let plan = world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    assert_eq!((plan.planned, plan.duplicates, plan.excluded), (4, 2, 2));
    let planned: Vec<String> = world.ledger.everybody(four).await.into_iter().map(|row| row.recipient).collect();
    assert_eq!(planned, [0, 2, 3, 4].map(|number| person(number).recipient));

    let two = world.declare(&Declaration { plan_limit: Some(2), ..declaration("two") }).await.id;
    let ticket = world.ledger.begin_plan(two).await.unwrap();
    let receipt = world.ledger.append_plan(ticket, 1, &people(0..2)).await.unwrap();
    assert_eq!((receipt.added, receipt.dropped, receipt.full), (2, vec![], true), "exactly as many as there may be");
}

pub async fn the_first_duplicate_of_a_plan_may_come_in_a_later_chunk<L: Backend>(world: &World<L>) {
    let one_by_one = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(one_by_one).await.unwrap();
    assert_eq!(world.ledger.append_plan(ticket, 1, &people(0..3)).await.unwrap().dropped, []);
    let receipt = world.ledger.append_plan(ticket, 2, &[3, 1, 4].map(person)).await.unwrap();
    assert_eq!((receipt.added, receipt.dropped), (2, vec![(1, Dropped::Duplicate)]));
    world.sums_hold().await;
    let mended = world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    assert_eq!((mended.planned, mended.duplicates), (5, 1));

    let at_once = world.declare(&declaration("two")).await.id;
    let ticket = world.ledger.begin_plan(at_once).await.unwrap();
    world.ledger.append_plan(ticket, 1, &people(0..5)).await.unwrap();
    assert_eq!(
        world.ledger.seal_plan(ticket, &Default::default()).await.unwrap().hash,
        mended.hash,
        "the duplicate left no trace"
    );
}

pub async fn variables_come_back_as_they_were_planned<L: Backend>(world: &World<L>) {
    let vars: BTreeMap<String, String> = [("name", "Zoë \"🎈\""), ("empty", ""), ("odd", "a\nb\\c'd")]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let row = PlanRow { recipient: "007".into(), vars: vars.clone() };
    world
        .ledger
        .append_plan(ticket, 1, &[row, PlanRow { recipient: "7".into(), vars: BTreeMap::new() }])
        .await
        .unwrap();
    assert_eq!(
        world.ledger.seal_plan(ticket, &Default::default()).await.unwrap().planned,
        2,
        "an id is text, not a number"
    );
    let given = Sender::new("sender", broadcast).take(world, 1).await.remove(0);
    assert_eq!((given.recipient.as_str(), given.vars), ("007", vars));
}

pub async fn a_repeated_chunk_gives_its_receipt_and_adds_nobody<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let rows = [0, 1, 1].map(person);
    let receipt = world.ledger.append_plan(ticket, 1, &rows).await.unwrap();
    assert_eq!(world.ledger.append_plan(ticket, 1, &rows).await.unwrap(), receipt);
    let excluded = [person(9).recipient];
    world.ledger.exclude(ticket, 2, &excluded).await.unwrap();
    world.ledger.exclude(ticket, 2, &excluded).await.unwrap();
    let plan = world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    assert_eq!((plan.planned, plan.duplicates), (2, 1));
    world.sums_hold().await;
}

pub async fn a_chunk_out_of_order_is_refused<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let early = world.ledger.append_plan(ticket, 2, &people(0..2)).await;
    assert!(matches!(early, Err(LedgerError::ChunkOutOfOrder { chunk: 2, last: 0 })), "{early:?}");
    let zero = world.ledger.append_plan(ticket, 0, &people(0..2)).await;
    assert!(matches!(zero, Err(LedgerError::ChunkOutOfOrder { .. })), "{zero:?}");
    for chunk in 1..=3 {
        world.ledger.append_plan(ticket, chunk, &[person(chunk as usize)]).await.unwrap();
    }
    let old = world.ledger.exclude(ticket, 2, &[]).await;
    assert!(matches!(old, Err(LedgerError::ChunkOutOfOrder { chunk: 2, last: 3 })), "{old:?}");
    let large = people(0..MAX_CHUNK + 1);
    let refused = world.ledger.append_plan(ticket, 4, &large).await;
    assert!(matches!(refused, Err(LedgerError::RequestTooLarge { limit: MAX_CHUNK })), "{refused:?}");
    assert_eq!(world.ledger.seal_plan(ticket, &Default::default()).await.unwrap().planned, 3);
}

pub async fn a_new_epoch_deletes_the_old_rows_and_supersedes_the_old_ticket<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let old = world.ledger.begin_plan(broadcast).await.unwrap();
    for chunk in 0..4 {
        let rows = people(chunk * 2_000..(chunk + 1) * 2_000);
        world.ledger.append_plan(old, chunk as u64 + 1, &rows).await.unwrap();
    }
    let new = world.ledger.begin_plan(broadcast).await.unwrap();
    assert!(new.epoch > old.epoch);
    assert_eq!(world.ledger.everybody(broadcast).await, []);
    world.sums_hold().await;
    let superseded = |error| matches!(error, Some(LedgerError::PlanSuperseded));
    assert!(superseded(world.ledger.append_plan(old, 5, &people(0..1)).await.err()));
    assert!(superseded(world.ledger.exclude(old, 5, &[]).await.err()));
    assert!(superseded(world.ledger.seal_plan(old, &Default::default()).await.err()));
    world.ledger.append_plan(new, 1, &people(0..3)).await.unwrap();
    assert_eq!(world.ledger.seal_plan(new, &Default::default()).await.unwrap().planned, 3);
    assert!(superseded(world.ledger.append_plan(new, 2, &people(3..4)).await.err()), "a sealed plan does not grow");
    world.sums_hold().await;
}

pub async fn an_edit_supersedes_the_planner_of_what_was_before<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let old = world.ledger.begin_plan(broadcast).await.unwrap();
    world.declare(&Declaration { identity_hash: "edited".into(), ..declaration("one") }).await;
    let late = world.ledger.append_plan(old, 1, &people(0..5)).await;
    assert!(matches!(late, Err(LedgerError::PlanSuperseded)), "the people of the old audience: {late:?}");

    let current = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.append_plan(current, 1, &people(5..7)).await.unwrap();
    world.declare(&Declaration { identity_hash: "edited again".into(), ..declaration("one") }).await;
    let late = world.ledger.seal_plan(current, &Default::default()).await;
    assert!(matches!(late, Err(LedgerError::PlanSuperseded)), "{late:?}");
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.closed, snapshot.finished_at), (Some(Closed::NotPlanned), None));
    assert_eq!(world.plan(broadcast, 4).await.planned, 4);
}

pub async fn the_hash_of_a_plan_does_not_depend_on_its_chunks<L: Backend>(world: &World<L>) {
    let mut hashes = Vec::new();
    for (key, size) in [("one", 100), ("two", 7), ("three", 1)] {
        let broadcast = world.declare(&declaration(key)).await.id;
        let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
        for (chunk, rows) in (1..).zip(people(0..100).chunks(size)) {
            world.ledger.append_plan(ticket, chunk, rows).await.unwrap();
        }
        hashes.push(world.ledger.seal_plan(ticket, &Default::default()).await.unwrap().hash);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);

    let sealed = async |key: &str, rows: &[PlanRow]| {
        let broadcast = world.declare(&declaration(key)).await.id;
        let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
        world.ledger.append_plan(ticket, 1, rows).await.unwrap();
        world.ledger.seal_plan(ticket, &Default::default()).await.unwrap().hash
    };
    let mut changed = people(0..100);
    changed.swap(3, 4);
    assert_ne!(sealed("order", &changed).await, hashes[0]);
    let mut changed = people(0..100);
    changed[50].vars.insert("name".into(), "Ana".into());
    assert_ne!(sealed("vars", &changed).await, hashes[0]);
}

pub async fn sealing_twice_gives_the_same_plan<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.append_plan(ticket, 1, &people(0..25)).await.unwrap();
    let plan = world.ledger.seal_plan(ticket, &said("a")).await.unwrap();
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    assert_eq!(world.ledger.seal_plan(ticket, &said("b")).await.unwrap(), plan);
    world.sums_hold().await;
    assert_eq!(world.snapshot(broadcast).await.plan, Some(plan));
    assert_eq!(sender.take(world, 3).await.len(), 3);
}

pub async fn batches_are_cut_by_the_wish_and_there_are_at_most_500<L: Backend>(world: &World<L>) {
    let small = world.planned(&declaration("small"), 25).await;
    let ranges: Vec<_> =
        world.ledger.batches(small).await.unwrap().iter().map(|batch| (batch.first_seq, batch.last_seq)).collect();
    assert_eq!(ranges, [(0, 9), (10, 19), (20, 24)]);
    let wish = Declaration { batch_size: Some(1), ..declaration("many") };
    let many = world.planned(&wish, 1_200).await;
    let batches = world.ledger.batches(many).await.unwrap();
    assert_eq!(batches.len(), 400, "three each, because one each would be more than 500");
    let by_time = world.planned(&Declaration { batch_size: None, ..declaration("time") }, 6_001).await;
    assert_eq!(world.snapshot(by_time).await.plan.unwrap().batch_size, 3_000, "30 s at 100/s");
    assert_eq!(world.snapshot(by_time).await.batches_total, 3);
}

pub async fn an_empty_plan_is_complete_at_once<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 0).await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.closed, snapshot.batches_total), (Some(Closed::Complete), 0));
    assert!(snapshot.finished_at.is_some());
}

pub async fn a_plan_may_be_made_anew_until_the_first_attempt<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 25).await;
    let first = world.snapshot(broadcast).await.plan.unwrap();
    assert_eq!(world.plan(broadcast, 25).await.hash, first.hash);
    assert_eq!(world.plan(broadcast, 12).await.planned, 12);
    assert_eq!(world.snapshot(broadcast).await.batches_total, 2);
    Sender::new("sender", broadcast).take(world, 1).await;
    assert!(matches!(world.ledger.begin_plan(broadcast).await, Err(LedgerError::PlanLocked)));
}

/// A planner begins, reads somebody, and is not heard of for a lease.
async fn dies<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> PlanTicket {
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.append_plan(ticket, 1, &people(0..5)).await.unwrap();
    world.pass(LEASE);
    ticket
}

fn failed<T>(begun: &Result<T, LedgerError>) -> bool {
    matches!(begun, Err(LedgerError::PlanFailed))
}

pub async fn with_the_third_planner_that_dies_the_broadcast_has_failed_until_an_edit<L: Backend>(world: &World<L>) {
    let wish = declaration("one");
    let broadcast = world.declare(&wish).await.id;
    world.pass(LEASE);
    for _ in 0..2 {
        dies(world, broadcast).await;
    }
    let third = dies(world, broadcast).await;
    let before = world.snapshot(broadcast).await;
    assert_eq!((before.closed, before.finished_at), (Some(Closed::NotPlanned), None), "its death is not known yet");
    assert!(failed(&world.ledger.begin_plan(broadcast).await), "by the next one it is");
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.closed, end(&snapshot)), (Some(Closed::Failed), Some(End::Failed)));
    assert_eq!((snapshot.finished_at, snapshot.first_attempt_at), (Some(world.now()), None));
    assert!(snapshot.revision > before.revision);
    assert_eq!(world.ledger.everybody(broadcast).await, [], "nothing of a plan stays");
    let stopped = Sender::new("sender", broadcast).exchange(world, vec![], 5).await;
    assert_eq!((stopped.rows, stopped.directive), (vec![], Directive::Stop { reason: Closed::Failed }));
    // It was frozen, and not dead.
    let late = world.ledger.append_plan(third, 2, &people(5..6)).await;
    assert!(matches!(late, Err(LedgerError::PlanSuperseded)), "{late:?}");
    assert!(world.ledger.seal_plan(third, &PlanWords::default()).await.is_err());

    world.pass(Span::from_secs(3_600));
    world.declare(&wish).await;
    world.maintain_all().await;
    assert!(failed(&world.ledger.begin_plan(broadcast).await), "the same once more is no edit");
    let trouble = Trouble::new("SecretNotFound", "words");
    for ticket in (third.epoch..third.epoch + 20).map(|epoch| PlanTicket { broadcast, epoch }) {
        world.ledger.report_trouble(ticket, &trouble).await.unwrap();
    }
    assert!(failed(&world.ledger.begin_plan(broadcast).await), "nor is what a sender says");
    world.ledger.release(&wish.owner_uid, wish.generation).await.unwrap();
    assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::Failed), "nor that it cannot be declared any more");
    let edited = world.declare(&Declaration { generation: 2, ..wish.clone() }).await;
    assert_eq!((edited.closed, edited.finished_at), (Some(Closed::NotPlanned), None));
    dies(world, broadcast).await;
    assert_eq!(world.plan(broadcast, 7).await.planned, 7, "the dead of before do not count");
}

pub async fn an_edit_that_is_refused_leaves_the_end_that_planners_died_for<L: Backend>(world: &World<L>) {
    let wish = declaration("one");
    let broadcast = world.declare(&wish).await.id;
    world.pass(LEASE);
    for _ in 0..MAX_DEAD_PLANNERS {
        dies(world, broadcast).await;
    }
    assert!(failed(&world.ledger.begin_plan(broadcast).await));
    world.ledger.release(&wish.owner_uid, 2).await.unwrap();
    let released = world.snapshot(broadcast).await;
    assert_eq!((released.closed, released.finished_at), (Some(Closed::Released), None));
    // What stood in its way is gone, and it was not edited again.
    let declared = world.declare(&Declaration { generation: 2, ..wish }).await;
    assert_eq!((declared.closed, declared.finished_at), (Some(Closed::NotPlanned), None));
    for _ in 1..MAX_DEAD_PLANNERS {
        dies(world, broadcast).await;
    }
    assert_eq!(world.plan(broadcast, 7).await.planned, 7, "the dead of before do not count");
}

pub async fn a_planner_that_seals_or_says_why_it_cannot_ends_the_row_of_dead_ones<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    world.pass(LEASE);
    for _ in 0..2 {
        dies(world, broadcast).await;
        dies(world, broadcast).await;
        let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
        world.ledger.report_trouble(ticket, &Trouble::new("SecretNotFound", "words")).await.unwrap();
        world.pass(LEASE);
    }
    for _ in 0..2 {
        dies(world, broadcast).await;
        dies(world, broadcast).await;
        world.plan(broadcast, 3).await;
        world.pass(LEASE);
    }
    assert_eq!(world.snapshot(broadcast).await.plan.unwrap().planned, 3);
}

pub async fn who_was_out_of_reach_or_gave_the_plan_up_is_not_dead<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    world.pass(LEASE);
    for _ in 0..5 {
        let ticket = dies(world, broadcast).await;
        world.ledger.abandon_plan(ticket).await.unwrap();
    }
    for _ in 0..5 {
        dies(world, broadcast).await;
        world.ledger.was_out_of_reach();
    }
    for _ in 0..5 {
        // One after the other before a lease has passed: nobody was silent.
        world.ledger.begin_plan(broadcast).await.unwrap();
    }
    assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::NotPlanned));
}

pub async fn planners_of_no_object_are_not_counted<L: Backend>(world: &World<L>) {
    let wish = Declaration { generation: 0, owner_uid: String::new(), ..declaration("one") };
    let broadcast = world.declare(&wish).await.id;
    world.pass(LEASE);
    for _ in 0..5 {
        dies(world, broadcast).await;
    }
    assert_eq!(world.plan(broadcast, 3).await.planned, 3);
}
