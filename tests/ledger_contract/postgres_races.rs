//! Transactions of several operators on one PostgreSQL that meet in the middle.

use std::sync::Arc;
use std::time::Duration;

use herald::api::Content;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::{Contacts, Declaration, Ledger, LedgerError, SenderLedger};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::world::*;
use crate::postgres_server::{fresh_schema, server};

/// Long enough for a declaration to get as far as it can.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_owner_that_goes_while_it_declares_has_declared_nothing() {
    let schema = fresh_schema();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let ledger = PostgresLedger::open_in(&server(), &schema, Some(clock.clone())).await.unwrap();
    let world = World { ledger, clock };
    world.declare(&declaration("known")).await;
    let mut other = PgConnection::connect(&server()).await.unwrap();
    other.execute(AssertSqlSafe(format!("SET search_path TO {schema}"))).await.unwrap();

    for (key, uid) in [("known", "owner"), ("new", "another owner")] {
        // What another operator does whose watch sees the object go.
        for statement in [
            "BEGIN".to_owned(),
            format!("INSERT INTO departed (owner_uid, at) VALUES ('{uid}', {})", world.now().0),
            format!("UPDATE broadcast SET released = TRUE WHERE owner_uid = '{uid}'"),
        ] {
            other.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        let late = Declaration { owner_uid: uid.to_owned(), ..declaration(key) };
        let goes = async {
            tokio::time::sleep(A_WHILE).await;
            other.execute("COMMIT").await.unwrap();
        };
        let (declared, ()) = tokio::join!(world.ledger.declare(&late), goes);
        assert!(matches!(declared, Err(LedgerError::OwnerGone { .. })), "{key}: {declared:?}");
    }
    assert!(world.ledger.owners().await.unwrap().is_empty(), "nothing is open");
}

#[tokio::test]
async fn plans_that_are_alike_and_sealed_at_once_are_not_both_sent() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let world = World { ledger: crate::postgres_server::fresh_ledger(Some(clock.clone())).await, clock };
    for round in 0..10 {
        let mut tickets = Vec::new();
        for name in ["one", "two", "three"] {
            let name = format!("{name}-{round}");
            let text = Content { text: format!("round {round}"), ..Content::default() };
            let alike =
                Declaration { key_is_given: false, content: text, owner_uid: name.clone(), ..declaration(&name) };
            let ticket = world.ledger.begin_plan(world.declare(&alike).await.id).await.unwrap();
            world.ledger.append_plan(ticket, 1, &people(0..20)).await.unwrap();
            tickets.push(ticket);
        }
        let words = Default::default();
        let seals = tickets.iter().map(|ticket| world.ledger.seal_plan(*ticket, &words));
        futures::future::try_join_all(seals).await.unwrap();
        let mut open = 0;
        for ticket in tickets {
            open += usize::from(world.snapshot(ticket.broadcast).await.closed.is_none());
        }
        assert_eq!(open, 1, "round {round}");
    }
}

#[tokio::test]
async fn an_owner_of_several_is_released_while_those_are_judged() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let world = World { ledger: crate::postgres_server::fresh_ledger(Some(clock.clone())).await, clock };
    let alike = |name: &str| Declaration { key_is_given: false, ..declaration(name) };
    for name in ["one", "two", "three", "four"] {
        world.planned(&alike(name), 5).await;
    }
    for _ in 0..20 {
        let declared = ["one", "two", "three", "four"].map(alike);
        let declares = futures::future::try_join_all(declared.iter().map(|declared| world.ledger.declare(declared)));
        let (declared, released) = tokio::join!(declares, world.ledger.release("owner", 1));
        declared.unwrap();
        released.unwrap();
    }
}

#[tokio::test]
async fn who_writes_while_a_planner_is_at_work_is_known_as_active_in_its_plan() {
    let schema = fresh_schema();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let ledger = PostgresLedger::open_in(&server(), &schema, Some(clock.clone())).await.unwrap();
    let world = World { ledger, clock };
    let windowed = Declaration { reply_window: Some(Span::from_secs(86_400)), ..declaration("one") };
    let broadcast = world.declare(&windowed).await.id;
    let mut planner = PgConnection::connect(&server()).await.unwrap();
    // What a planner does that has looked up who its people are.
    for statement in [
        format!("SET search_path TO {schema}"),
        "BEGIN".to_owned(),
        format!("SELECT id FROM broadcast WHERE id = {} FOR NO KEY UPDATE", broadcast.0),
        format!(
            "INSERT INTO delivery (broadcast_id, seq, recipient, vars, active_at) VALUES ({}, 0, 'person-0', '{{}}', 1)",
            broadcast.0
        ),
    ] {
        planner.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let heard = [("person-0".to_owned(), world.now())];
    let writes = world.ledger.heard_from(&windowed.account, &heard);
    let goes_on = async {
        tokio::time::sleep(A_WHILE).await;
        planner.execute("COMMIT").await.unwrap();
    };
    let (written, ()) = tokio::join!(writes, goes_on);
    written.unwrap();
    let known: i64 = sqlx::query_scalar("SELECT active_at FROM delivery").fetch_one(&mut planner).await.unwrap();
    assert_eq!(known, world.now().0);
}
