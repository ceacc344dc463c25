//! Recipients of a broadcast that has ended, for the plan of another one.

use std::collections::BTreeMap;

use herald::api::Audience;
use herald::delivery::correlation::Correlation;
use herald::delivery::gate::Closed;
use herald::delivery::outcome::Outcome;
use herald::delivery::provider_event::{News, ProviderEvent, Which};
use herald::ledger::audience::MAX_PAGE;
use herald::ledger::exchange::LEASE;
use herald::ledger::plan::PlanRow;
use herald::ledger::{
    AudienceList, AudiencePosition, AudienceQuery, BroadcastId, Declaration, LedgerError, Orders, PlanTicket,
};

use super::owners::orders;
use super::world::*;

/// Whose audience is `audience`, in JSON.
fn with_audience(key: &str, audience: &str) -> Declaration {
    let audience: Audience = serde_json::from_str(audience).unwrap();
    Declaration { orders: Some(Orders { audience, ..orders() }), ..declaration(key) }
}

const MISSED: &str = r#"{"sources": [{"name": "missed", "broadcast": {"name": "winter", "outcomes": ["Failed"]}}],
    "exclude": {"sources": [{"name": "maybe", "broadcast": {"name": "winter", "outcomes": ["Unknown", "Sent"]}}]}}"#;

fn query(ticket: PlanTicket, list: AudienceList, source: &str) -> AudienceQuery {
    AudienceQuery { ticket, list, source: source.into(), from: AudiencePosition::Start }
}

/// All pages of a source.
async fn read<L: Backend>(world: &World<L>, query: AudienceQuery) -> Vec<PlanRow> {
    let (mut rows, mut from) = (Vec::new(), Some(query.from.clone()));
    while let Some(at) = from {
        let page = world.ledger.audience_page(&AudienceQuery { from: at.clone(), ..query.clone() }).await.unwrap();
        assert!(page.rows.len() <= MAX_PAGE as usize);
        rows.extend(page.rows);
        from = page.next;
    }
    rows
}

/// Plans a broadcast for people with a variable, and sends until everybody has an outcome by number.
async fn sent<L: Backend>(world: &World<L>, declared: &Declaration, count: usize, outcome: fn(i64) -> Outcome) {
    let broadcast = world.declare(declared).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let with_number = |(number, row): (usize, PlanRow)| PlanRow {
        vars: BTreeMap::from([("number".to_owned(), number.to_string())]),
        ..row
    };
    let rows: Vec<PlanRow> = people(0..count).into_iter().enumerate().map(with_number).collect();
    world.ledger.append_plan(ticket, 1, &rows).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    send(world, broadcast, outcome).await;
}

async fn send<L: Backend>(world: &World<L>, broadcast: BroadcastId, outcome: fn(i64) -> Outcome) {
    let mut sender = Sender::new(&format!("sender-{}", broadcast.0), broadcast);
    let mut told = Vec::new();
    while world.snapshot(broadcast).await.finished_at.is_none() {
        let rows = world.exchange(&sender.request(std::mem::take(&mut told), 25)).await.unwrap().rows;
        told = rows.iter().map(|row| report(row, &outcome(row.seq))).collect();
        world.pass(INTERVAL * 25);
    }
}

fn by_thirds(seq: i64) -> Outcome {
    [accepted(), permanent(), unknown()][(seq % 3) as usize].clone()
}

async fn ticket<L: Backend>(world: &World<L>, declared: &Declaration) -> PlanTicket {
    let broadcast = world.declare(declared).await.id;
    world.ledger.begin_plan(broadcast).await.unwrap()
}

pub async fn exactly_those_who_ended_so_come_with_their_variables_and_in_order<L: Backend>(world: &World<L>) {
    sent(world, &declaration("winter"), 30, by_thirds).await;
    let ticket = ticket(world, &with_audience("again", MISSED)).await;
    let failed = read(world, query(ticket, AudienceList::Included, "missed")).await;
    let of = |rows: &[PlanRow]| rows.iter().map(|row| row.vars["number"].parse().unwrap()).collect::<Vec<usize>>();
    assert_eq!(of(&failed), (0..30).filter(|number| number % 3 == 1).collect::<Vec<_>>());
    assert_eq!(failed[0].recipient, "person-1");
    let others = read(world, query(ticket, AudienceList::Excluded, "maybe")).await;
    assert_eq!(of(&others), (0..30).filter(|number| number % 3 != 1).collect::<Vec<_>>());
}

/// The provider has told after its error that the message arrived all the same.
pub async fn who_has_failed_and_got_it_all_the_same_is_among_those_it_was_sent_to<L: Backend>(world: &World<L>) {
    let winter = declaration("winter");
    sent(world, &winter, 3, |_| permanent()).await;
    let broadcast = world.declare(&winter).await.id.0;
    let told = |seq, news| {
        let correlation = Some(Correlation { broadcast, seq, attempt: 1, part: 0 });
        let which = Which::One { correlation, provider_id: None };
        ProviderEvent::Message { which, recipient: None, news, at: world.now() }
    };
    // What the provider says that it took is as good as sent, whether it has arrived or not.
    let events = [told(1, News::Delivered), told(2, News::Accepted)];
    assert_eq!(world.ledger.receive(&winter.account, &events).await.unwrap().news, 2);
    let ticket = ticket(world, &with_audience("again", MISSED)).await;
    let names = |rows: Vec<PlanRow>| rows.into_iter().map(|row| row.recipient).collect::<Vec<_>>();
    let missed = read(world, query(ticket, AudienceList::Included, "missed")).await;
    assert_eq!(names(missed), ["person-0"]);
    let got_it = read(world, query(ticket, AudienceList::Excluded, "maybe")).await;
    assert_eq!(names(got_it), ["person-1", "person-2"]);
}

pub async fn an_audience_longer_than_a_page_comes_whole<L: Backend>(world: &World<L>) {
    let count = MAX_PAGE as usize + 7;
    let winter = Declaration { batch_size: Some(1_000), ..declaration("winter") };
    sent(world, &winter, count, |_| permanent()).await;
    let ticket = ticket(world, &with_audience("again", MISSED)).await;
    let rows = read(world, query(ticket, AudienceList::Included, "missed")).await;
    assert_eq!(rows.into_iter().map(|row| row.recipient).collect::<Vec<_>>(), {
        people(0..count).into_iter().map(|row| row.recipient).collect::<Vec<_>>()
    });
}

pub async fn a_broadcast_that_has_not_ended_or_is_not_there_is_no_audience<L: Backend>(world: &World<L>) {
    let again = with_audience("again", MISSED);
    let missed = async || {
        let ticket = ticket(world, &again).await;
        world.ledger.audience_page(&query(ticket, AudienceList::Included, "missed")).await
    };
    let elsewhere = Declaration { namespace: "elsewhere".into(), ..declaration("winter") };
    sent(world, &elsewhere, 3, |_| permanent()).await;
    let error = missed().await.unwrap_err();
    assert!(matches!(&error, LedgerError::AudienceNotFound { name } if name == "winter"), "{error}");

    let winter = world.planned(&declaration("winter"), 3).await;
    let error = missed().await.unwrap_err();
    assert!(matches!(&error, LedgerError::AudienceUnfinished { name } if name == "winter"), "{error}");
    send(world, winter, |_| permanent()).await;
    assert_eq!(missed().await.unwrap().rows.len(), 3);
}

/// An edit lets it be planned and sent after all, perhaps to those whom the other one has taken for nobody of it.
pub async fn a_broadcast_that_ended_without_a_plan_has_nobody_only_once_it_is_cancelled<L: Backend>(world: &World<L>) {
    let winter = declaration("winter");
    let again = with_audience("again", MISSED);
    let asked = async || {
        let ticket = ticket(world, &again).await;
        world.ledger.audience_page(&query(ticket, AudienceList::Excluded, "maybe")).await
    };
    let is_unfinished = async || {
        let error = asked().await.unwrap_err();
        assert!(matches!(&error, LedgerError::AudienceUnfinished { name } if name == "winter"), "{error}");
    };
    let before = Some(world.now() - INTERVAL);
    for (generation, end_at, start_by, closed) in
        [(2, before, None, Closed::Expired), (3, None, before, Closed::Missed)]
    {
        let ended = world.declare(&Declaration { generation, end_at, start_by, ..winter.clone() }).await;
        assert_eq!(ended.closed, Some(closed));
        is_unfinished().await;
    }

    let broadcast = world.declare(&Declaration { generation: 4, ..winter.clone() }).await.id;
    world.pass(LEASE);
    for _ in 0..3 {
        let planner = world.ledger.begin_plan(broadcast).await.unwrap();
        world.ledger.append_plan(planner, 1, &people(0..1)).await.unwrap();
        world.pass(LEASE);
    }
    let begun = world.ledger.begin_plan(broadcast).await;
    assert!(matches!(begun, Err(LedgerError::PlanFailed)), "{begun:?}");
    assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::Failed));
    is_unfinished().await;

    world.declare(&Declaration { generation: 5, cancelled: true, ..winter }).await;
    assert_eq!(asked().await.unwrap().rows, []);
}

pub async fn of_several_broadcasts_of_a_name_the_one_begun_last_is_meant<L: Backend>(world: &World<L>) {
    let of_key = |key: &str| Declaration { name: "winter".into(), ..declaration(key) };
    sent(world, &of_key("2025"), 3, |_| permanent()).await;
    sent(world, &of_key("2026"), 3, |seq| if seq == 2 { permanent() } else { accepted() }).await;
    let ticket = ticket(world, &with_audience("again", MISSED)).await;
    let rows = read(world, query(ticket, AudienceList::Included, "missed")).await;
    assert_eq!(rows.len(), 1);
}

pub async fn a_planner_reads_only_what_its_own_audience_names<L: Backend>(world: &World<L>) {
    sent(world, &declaration("winter"), 3, by_thirds).await;
    let again = with_audience("again", MISSED);
    let first = ticket(world, &again).await;
    for (list, source) in [
        (AudienceList::Included, "maybe"),
        (AudienceList::Excluded, "missed"),
        (AudienceList::Included, "winter"),
        (AudienceList::Included, ""),
    ] {
        let error = world.ledger.audience_page(&query(first, list, source)).await.unwrap_err();
        assert!(matches!(error, LedgerError::Forbidden { .. }), "{source}: {error}");
    }
    ticket(world, &again).await;
    let error = world.ledger.audience_page(&query(first, AudienceList::Included, "missed")).await.unwrap_err();
    assert!(matches!(error, LedgerError::PlanSuperseded), "{error}");
}
