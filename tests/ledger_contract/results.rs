//! What became of the recipients, as people read it.

use herald::delivery::outcome::{Fault, Outcome, PermanentScope};
use herald::ledger::results::{MAX_RESULTS_LOOKED_THROUGH, MAX_RESULTS_PAGE, ResultOutcome, ResultsFilter};
use herald::ledger::{BroadcastId, Declaration, LedgerError, ResultRow, ResultsQuery};

use super::world::*;

fn query(broadcast: BroadcastId, outcomes: &[ResultOutcome], from: i64) -> ResultsQuery {
    ResultsQuery { broadcast, filter: ResultsFilter { outcomes: outcomes.to_vec(), reason: None }, from }
}

/// All pages, and how many there were.
async fn read<L: Backend>(world: &World<L>, query: ResultsQuery) -> (Vec<ResultRow>, usize) {
    let (mut rows, mut from, mut pages) = (Vec::new(), Some(query.from), 0);
    while let Some(at) = from {
        let page = world.ledger.results(&ResultsQuery { from: at, ..query.clone() }).await.unwrap();
        assert!(page.rows.len() <= MAX_RESULTS_PAGE as usize);
        rows.extend(page.rows);
        from = page.next;
        pages += 1;
    }
    (rows, pages)
}

async fn send<L: Backend>(world: &World<L>, broadcast: BroadcastId, outcome: fn(i64) -> Outcome) {
    let mut sender = Sender::new("sender", broadcast);
    let mut told = Vec::new();
    while world.snapshot(broadcast).await.finished_at.is_none() {
        let rows = world.exchange(&sender.request(std::mem::take(&mut told), 25)).await.unwrap().rows;
        told = rows.iter().map(|row| report(row, &outcome(row.seq))).collect();
        world.pass(INTERVAL * 25);
    }
}

fn mixed(seq: i64) -> Outcome {
    let coded = || Fault::new("NoSuchUser", Some("551".to_owned()), "words");
    match seq % 4 {
        0 => Outcome::Accepted { provider_id: Some(format!("m{seq}")) },
        1 => Outcome::Permanent { scope: PermanentScope::Recipient, fault: coded() },
        2 => unknown(),
        _ => permanent(),
    }
}

fn ids(rows: &[ResultRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

pub async fn exactly_those_who_are_asked_for_come_in_order_with_why<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("winter"), 12).await;
    let (pending, _) = read(world, query(broadcast, &[ResultOutcome::Pending], 0)).await;
    assert_eq!(pending.len(), 12);
    let mut sender = Sender::new("first", broadcast);
    sender.take(world, 1).await;
    let (in_flight, _) = read(world, query(broadcast, &[ResultOutcome::Pending], 0)).await;
    assert_eq!(in_flight.len(), 12, "who is being sent is pending for people");
    world.ledger.settle_all_senders_dead().await.unwrap();
    send(world, broadcast, mixed).await;

    let (failed, _) = read(world, query(broadcast, &[ResultOutcome::Failed], 0)).await;
    assert_eq!(ids(&failed), ["person-1", "person-3", "person-5", "person-7", "person-9", "person-11"]);
    let why = |row: &ResultRow| (row.outcome, row.reason.clone().unwrap(), row.code.clone());
    assert_eq!(why(&failed[0]), (ResultOutcome::Failed, "NoSuchUser".to_owned(), Some("551".to_owned())));
    assert_eq!(why(&failed[1]), (ResultOutcome::Failed, "NoSuchUser".to_owned(), None));
    let (sent, _) = read(world, query(broadcast, &[ResultOutcome::Sent], 5)).await;
    assert_eq!(ids(&sent), ["person-8"]);
    assert_eq!((sent[0].provider_id.as_deref(), sent[0].reason.as_deref()), (Some("m8"), None));
    let (some, _) = read(world, query(broadcast, &[ResultOutcome::Unknown, ResultOutcome::Sent], 8)).await;
    assert_eq!(ids(&some), ["person-8", "person-10"]);
    let (all, _) = read(world, query(broadcast, &[], 0)).await;
    assert_eq!(all.len(), 12, "with no outcome named everybody comes");

    let for_reason = |reason: &str| ResultsQuery {
        filter: ResultsFilter { outcomes: vec![], reason: Some(reason.to_owned()) },
        ..query(broadcast, &[], 0)
    };
    // The one in flight when its sender died is unknown for another reason than those whose answer was lost.
    assert_eq!(ids(&read(world, for_reason("Timeout")).await.0), ["person-2", "person-6", "person-10"]);
    assert_eq!(ids(&read(world, for_reason("Timeou_")).await.0), Vec::<&str>::new());
}

pub async fn results_longer_than_a_page_come_whole_and_nobody_twice<L: Backend>(world: &World<L>) {
    let count = MAX_RESULTS_PAGE as usize * 2;
    let broadcast = world.planned(&Declaration { batch_size: Some(1_000), ..declaration("winter") }, count).await;
    let (rows, pages) = read(world, query(broadcast, &[], 0)).await;
    let expected: Vec<String> = people(0..count).into_iter().map(|row| row.recipient).collect();
    assert_eq!(ids(&rows), expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(pages, 2, "no page is asked for that can hold nobody");
}

pub async fn few_among_many_are_found_by_short_looks<L: Backend>(world: &World<L>) {
    let count = MAX_RESULTS_LOOKED_THROUGH as usize + 10;
    let broadcast = world.planned(&Declaration { batch_size: Some(20_000), ..declaration("winter") }, count).await;
    let page = world.ledger.results(&query(broadcast, &[ResultOutcome::Failed], 0)).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (0, Some(MAX_RESULTS_LOOKED_THROUGH)));
    let (rows, _) = read(world, query(broadcast, &[ResultOutcome::Pending], MAX_RESULTS_LOOKED_THROUGH + 9)).await;
    assert_eq!(ids(&rows), [format!("person-{}", count - 1)]);
}

pub async fn before_the_plan_is_sealed_there_are_no_results<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("winter")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.append_plan(ticket, 1, &people(0..3)).await.unwrap();
    assert_eq!(read(world, query(broadcast, &[], 0)).await, (vec![], 1));
}

pub async fn an_unknown_broadcast_has_no_results<L: Backend>(world: &World<L>) {
    let error = world.ledger.results(&query(BroadcastId(4_711), &[], 0)).await.unwrap_err();
    assert!(matches!(error, LedgerError::UnknownBroadcast), "{error}");
}
