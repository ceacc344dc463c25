//! People whom the lists of an account name: planned and skipped, in one plan alone.

use herald::api::SuppressionSource;
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::gate::Closed;
use herald::delivery::outcome::Outcome;
use herald::delivery::recipient::RecipientState::{Inflight, Pending, Sent, Skipped, Unknown};
use herald::delivery::time::Span;
use herald::ledger::plan::{Dropped, MAX_CHUNK};
use herald::ledger::{BroadcastId, ContactsFilter, Declaration, LedgerError, Orders, PlanTicket, SuppressionList};
use serde_json::json;

use super::owners::orders;
use super::world::*;

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| person(number).recipient).collect()
}

/// A declaration whose channel has one list, in this ConfigMap.
fn suppressing(key: &str, config_map: &str) -> Declaration {
    let source = json!({"name": "gone", "configMapKeyRef": {"name": config_map, "key": "ids.csv"}});
    let source: SuppressionSource = serde_json::from_value(source).unwrap();
    let suppression = vec![SuppressionList { channel: "acme".into(), index: 0, source }];
    Declaration { orders: Some(Orders { suppression, ..orders() }), ..declaration(key) }
}

/// Plans for so many people, some of whom are on a list.
async fn plan<L: Backend>(world: &World<L>, broadcast: BroadcastId, list: &[String], count: usize) -> PlanTicket {
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.suppress(ticket, 1, list).await.unwrap();
    world.ledger.append_plan(ticket, 2, &people(0..count)).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    world.sums_hold().await;
    ticket
}

async fn suppress<L: Backend>(world: &World<L>, plan: PlanTicket, list: &[String]) -> u64 {
    let skipped = world.ledger.suppress_pending(plan, list).await.unwrap();
    world.sums_hold().await;
    skipped
}

pub async fn whoever_is_on_a_list_is_planned_as_skipped_and_the_next_plan_knows_nothing_of_it<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.suppress(ticket, 1, &ids([1, 3, 99])).await.unwrap();
    world.ledger.suppress(ticket, 1, &ids([1, 3, 99])).await.unwrap();
    world.ledger.exclude(ticket, 2, &ids([4])).await.unwrap();
    world.ledger.suppress(ticket, 3, &ids([3, 4])).await.unwrap();
    let receipt = world.ledger.append_plan(ticket, 4, &[0, 1, 1, 3, 4, 5].map(person)).await.unwrap();
    assert_eq!((receipt.added, receipt.dropped), (4, vec![(2, Dropped::Duplicate), (4, Dropped::Excluded)]));
    let sealed = world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    world.sums_hold().await;
    assert_eq!((sealed.planned, sealed.excluded), (4, 1));
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.pending, snapshot.counts.skipped, snapshot.opted_out()), (2, 2, 2));
    assert_eq!(world.tally(broadcast, Skipped, "OptedOut").await, 2);
    let mut sender = Sender::new("sender", broadcast);
    assert_eq!(sender.take(world, 1).await[0].recipient, person(0).recipient);

    let account = declaration("any").account;
    let filter = ContactsFilter { opted_out: true, ..ContactsFilter::default() };
    let known = world.ledger.contacts_page(&account, None, &filter).await.unwrap().contacts;
    assert!(known.iter().all(|one| one.opted_out.is_none()), "a list is nobody's own opt-out");
    let next = world.planned(&declaration("two"), 6).await;
    assert_eq!(world.counts(next).await.pending, 6);
}

pub async fn a_plan_that_is_made_anew_goes_by_the_list_of_then<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    plan(world, broadcast, &ids([0, 1]), 4).await;
    assert_eq!(world.counts(broadcast).await.skipped, 2);
    // One that is given up halfway leaves nothing of its list.
    let given_up = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.suppress(given_up, 1, &ids(0..4)).await.unwrap();
    plan(world, broadcast, &ids([3]), 4).await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.pending, snapshot.counts.skipped), (3, 1));
    assert_eq!(world.state(broadcast, 3).await, Skipped);
}

pub async fn other_lists_of_the_channel_take_the_plan_back_until_somebody_was_attempted<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&suppressing("one", "lists"), 3).await;
    assert!(world.declare(&suppressing("one", "lists")).await.plan.is_some(), "the same lists change nothing");
    let changed = world.declare(&suppressing("one", "others")).await;
    assert_eq!((changed.plan, changed.closed), (None, Some(Closed::NotPlanned)));
    let ticket = plan(world, broadcast, &[], 3).await;
    Sender::proven(world, "sender", broadcast).await;
    // The key stands for the same message as before, so it is not refused; and the plan stands.
    let attempted = world.declare(&suppressing("one", "lists")).await;
    assert_eq!(attempted.plan.unwrap().planned, 3);
    assert_eq!(world.ledger.brief(broadcast).await.unwrap().plan, ticket.epoch);

    let ended = world.declare(&suppressing("two", "lists")).await.id;
    plan(world, ended, &ids(0..2), 2).await;
    assert!(world.snapshot(ended).await.finished_at.is_some());
    let stays = world.declare(&suppressing("two", "others")).await;
    assert_eq!((stays.counts.skipped, stays.finished_at.is_some()), (2, true), "what has ended stays as it ended");
}

pub async fn a_sealed_plan_skips_whoever_is_on_a_list_and_pending_and_nobody_else<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = plan(world, broadcast, &ids([0]), 25).await;
    let mut sender = Sender::new("sender", broadcast);
    let first = sender.take(world, 1).await;
    sender.tell(world, reports(&first, &accepted())).await;
    let held = sender.take(world, 1).await;
    assert_eq!((first[0].seq, held[0].seq), (1, 2));

    let list = ids([0, 1, 2, 3, 24, 99]);
    assert_eq!(suppress(world, ticket, &list).await, 2);
    let states = [Skipped, Sent, Inflight, Skipped, Pending];
    for (seq, expected) in states.into_iter().enumerate() {
        assert_eq!(world.state(broadcast, seq as i64).await, expected, "{seq}");
    }
    assert_eq!((world.tally(broadcast, Skipped, "OptedOut").await, world.counts(broadcast).await.skipped), (3, 3));
    assert_eq!(world.batch(broadcast, 2).await.counts.skipped, 1);
    assert_eq!(suppress(world, ticket, &list).await, 0, "said twice it is the same");
    assert_eq!(suppress(world, ticket, &[]).await, 0);

    // Whoever is left is reached, and the sums come out.
    sender.tell(world, reports(&held, &accepted())).await;
    while world.snapshot(broadcast).await.finished_at.is_none() {
        let rows = sender.take(world, 25).await;
        assert!(rows.iter().all(|row| !list.contains(&row.recipient)));
        sender.tell(world, reports(&rows, &accepted())).await;
        world.pass(INTERVAL * 25);
    }
    let counts = world.counts(broadcast).await;
    assert_eq!((counts.sent, counts.skipped, counts.total()), (22, 3, 25));
}

pub async fn who_is_in_flight_when_a_list_names_them_is_left_to_that_attempt_and_gets_no_other<L: Backend>(
    world: &World<L>,
) {
    let retry = RetryPolicy { after_unknown: true, max_tries: 5, ..RetryPolicy::default() };
    let broadcast = world.declare(&Declaration { retry, ..declaration("one") }).await.id;
    let ticket = plan(world, broadcast, &[], 8).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let held = sender.take(world, 4).await;
    assert_eq!(held.len(), 4);
    // Said twice, as another sender may.
    for _ in 0..2 {
        assert_eq!(suppress(world, ticket, &held.iter().map(|row| row.recipient.clone()).collect::<Vec<_>>()).await, 0);
    }
    let fault = herald::delivery::outcome::Fault::new("Temporary", None, "words");
    let outcomes = [Outcome::NotBegun, Outcome::Transient { cap: None, fault }, unknown(), accepted()];
    let told = held.iter().zip(&outcomes).map(|(row, outcome)| report(row, outcome)).collect();
    sender.tell(world, told).await;
    world.sums_hold().await;
    for (row, expected) in held.iter().zip([Skipped, Skipped, Unknown, Sent]) {
        assert_eq!(world.state(broadcast, row.seq).await, expected, "{}", row.seq);
    }
    assert_eq!(world.tally(broadcast, Skipped, "OptedOut").await, 2);
    world.pass(Span::from_secs(3_600));
    world.maintain_all().await;
    assert_eq!(world.state(broadcast, held[2].seq).await, Unknown, "the policy does not bring them back");
    // The others are reached.
    while world.snapshot(broadcast).await.finished_at.is_none() {
        let rows = sender.take(world, 25).await;
        assert!(rows.iter().all(|row| held.iter().all(|held| held.seq != row.seq)));
        sender.tell(world, reports(&rows, &accepted())).await;
        world.pass(INTERVAL * 25);
    }
}

pub async fn who_waits_to_be_resent_and_is_on_a_list_is_unknown_and_stays_so<L: Backend>(world: &World<L>) {
    let retry = RetryPolicy { after_unknown: true, max_tries: 5, ..RetryPolicy::default() };
    let broadcast = world.planned(&Declaration { retry, ..declaration("one") }, 2).await;
    let epoch = world.ledger.begin_plan(broadcast).await.unwrap().epoch;
    let ticket = PlanTicket { broadcast, epoch };
    world.ledger.append_plan(ticket, 1, &people(0..2)).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let held = sender.take(world, 1).await;
    sender.tell(world, reports(&held, &unknown())).await;
    assert_eq!(world.state(broadcast, 1).await, Pending);
    assert_eq!(suppress(world, ticket, &ids([0, 1])).await, 0);
    assert_eq!(world.state(broadcast, 1).await, Unknown);
    world.pass(Span::from_secs(3_600));
    world.maintain_all().await;
    assert_eq!(world.state(broadcast, 1).await, Unknown, "the policy does not bring them back");
    assert!(world.snapshot(broadcast).await.finished_at.is_some());
}

pub async fn a_list_is_judged_by_the_plan_it_was_read_for_and_in_chunks<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let planning = world.ledger.begin_plan(broadcast).await.unwrap();
    let superseded = |error: LedgerError| matches!(error, LedgerError::PlanSuperseded);
    assert!(superseded(world.ledger.suppress_pending(planning, &ids([0])).await.unwrap_err()), "it is not sealed");
    let sealed = plan(world, broadcast, &[], 3).await;
    assert!(superseded(world.ledger.suppress_pending(planning, &ids([0])).await.unwrap_err()));
    let late = world.ledger.suppress(sealed, 3, &ids([0])).await.unwrap_err();
    assert!(superseded(late), "nobody is added to the list of a sealed plan");
    let many = ids(0..MAX_CHUNK + 1);
    let refused = world.ledger.suppress_pending(sealed, &many).await;
    assert!(matches!(refused, Err(LedgerError::RequestTooLarge { limit: MAX_CHUNK })), "{refused:?}");
    assert_eq!(suppress(world, sealed, &many[1..]).await, 2);
    let nowhere = PlanTicket { broadcast: BroadcastId(77), epoch: 1 };
    let unknown = world.ledger.suppress_pending(nowhere, &[]).await;
    assert!(matches!(unknown, Err(LedgerError::UnknownBroadcast)), "{unknown:?}");
}
