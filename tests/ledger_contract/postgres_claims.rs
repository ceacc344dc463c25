//! A claim reads about as many rows as it takes, whatever the server knows of the tables and however it plans: of what it
//! runs, the server itself says how many rows each part has read.

use std::sync::Arc;

use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::{BroadcastId, Clock, Declaration, Ledger};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::world::*;
use crate::postgres_server::{copy_of, drop_database, fresh_database};

const CLAIM: &str = include_str!("../../src/ledger/postgres/claim.sql");

/// The most that a plan is cut into.
const BATCHES: usize = 500;
const BATCH: usize = 40;
/// How many a claim takes.
const WANTED: i64 = 25;
/// They are found, looked up again to be put in flight, and some more.
const MOST_RECIPIENTS: f64 = 4.0 * WANTED as f64;
const SCHEMA: &str = "herald";
/// The one account of the ledger, the first that was made.
const ACCOUNT: i64 = 1;
/// Every batch of the broadcast may be looked at: for who is lost, for who is free, and to be claimed.
const MOST_BATCHES: f64 = 4.0 * BATCHES as f64;

/// How many rows of a table were read by a plan and all below it, those that a condition dropped among them.
fn rows_read(plan: &Value, table: &str) -> f64 {
    let number = |key: &str| plan[key].as_f64().unwrap_or_default();
    let below: f64 = plan["Plans"].as_array().into_iter().flatten().map(|plan| rows_read(plan, table)).sum();
    let is_scan = plan["Node Type"].as_str().is_some_and(|node| node.ends_with("Scan"));
    if !is_scan || plan["Relation Name"] != table {
        return below;
    }
    let dropped = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    below + (number("Actual Rows") + dropped) * number("Actual Loops")
}

/// Runs a claim of this broadcast; returns its plan, and how many rows it gave: those that it took, and one where it took nobody.
async fn claim(connection: &mut PgConnection, broadcast: i64, now: Timestamp) -> (Value, f64) {
    let (lease_until, slot) = (now + Span::from_secs(15), now);
    let statement = format!(
        "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE claim({broadcast}, NULL, 7, {}, {}, {}, {WANTED}, 1, {}, 10000000, \
         20000000, 30000000000, '{{0}}', '{{}}', {ACCOUNT}, {}, '{{false}}', '{{{WANTED}}}', '{{}}', NULL, 0, 0)",
        now.0,
        lease_until.0,
        slot.0,
        slot.0,
        (now - Span::from_secs(86_400)).0
    );
    let row = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(connection).await.unwrap();
    let said: Value = serde_json::from_str(&row.get_unchecked::<String, _>(0)).unwrap();
    let plan = said[0]["Plan"].clone();
    let rows = plan["Actual Rows"].as_f64().unwrap();
    (plan, rows)
}

/// What the batches are like, how they become so, and how many are taken then.
struct Case {
    name: &'static str,
    change: String,
    taken: i64,
}

fn cases() -> [Case; 4] {
    let all_held_but_a_lost_one = format!(
        "UPDATE batch SET sender_id = CASE WHEN idx < 400 THEN 9 END, lease_until = {}, probation = idx = 400",
        i64::MAX
    );
    let long_inactive = format!("UPDATE delivery SET active_at = 1 WHERE seq < {}", BATCHES * BATCH * 4 / 5);
    [
        Case { name: "all free", change: String::new(), taken: WANTED },
        Case {
            name: "the first ones held, the next one lost by its holder",
            change: all_held_but_a_lost_one,
            taken: 1,
        },
        // The one row that is given says when the first of them is due.
        Case {
            name: "everybody in backoff",
            change: format!("UPDATE delivery SET not_before = {}", i64::MAX),
            taken: 0,
        },
        Case { name: "most have not been active for long", change: long_inactive, taken: WANTED },
    ]
}

/// A database with a large plan, and the broadcast. Everybody is known, and every seventh
/// has opted out: the first of them of all, so that claims pass them over.
async fn large_plan(clock: &Arc<ManualClock>) -> (String, i64) {
    let database = fresh_database().await;
    let ledger = PostgresLedger::open_in(&database, SCHEMA, Some(clock.clone())).await.unwrap();
    let world = World { ledger, clock: clock.clone() };
    let mut connection = connect(&database).await;
    for table in ["delivery", "batch", "contact"] {
        // The server looks at the tables when this test says so.
        let alone = format!("ALTER TABLE {table} SET (autovacuum_enabled = false)");
        connection.execute(AssertSqlSafe(alone)).await.unwrap();
    }
    let wide = Declaration { batch_size: Some(BATCH as u32), ..declaration("wide") };
    let broadcast = world.planned(&wide, BATCHES * BATCH).await.0;
    assert_eq!(world.ledger.batches(BroadcastId(broadcast)).await.unwrap().len(), BATCHES);
    let known = format!(
        "INSERT INTO contact (account_id, recipient, vars, vars_at, met_at, opted_out_at) \
         SELECT {ACCOUNT}, recipient, '{{}}', 0, 0, CASE WHEN seq % 7 = 0 THEN 1 END FROM delivery"
    );
    connection.execute(AssertSqlSafe(known)).await.unwrap();
    (database, broadcast)
}

async fn connect(database: &str) -> PgConnection {
    let mut connection = PgConnection::connect(database).await.unwrap();
    connection.execute(AssertSqlSafe(format!("SET search_path TO {SCHEMA}"))).await.unwrap();
    connection
}

/// Changes a copy, claims from it, and looks at what was read for that.
async fn look(copy: &str, broadcast: i64, now: Timestamp, case: &Case, mode: &str, knows: &str) {
    let mut connection = connect(copy).await;
    for statement in [
        knows.to_owned(),
        case.change.clone(),
        knows.to_owned(),
        format!("SET plan_cache_mode = {mode}"),
        format!(
            "PREPARE claim({}, bigint[], bigint[], bigint, bigint, boolean[], bigint[], bigint[], bigint[], bigint, bigint) AS {CLAIM}",
            ["bigint"; 12].join(", ")
        ),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let (plan, rows) = claim(&mut connection, broadcast, now).await;
    let (recipients, batches) = (rows_read(&plan, "delivery"), rows_read(&plan, "batch"));
    let contacts = rows_read(&plan, "contact");
    let name = format!("{}, {mode}, {knows:?}", case.name);
    println!("{name}: {recipients} recipients, {batches} batches, {contacts} contacts read");
    assert_eq!(rows, case.taken.max(1) as f64, "{name}");
    assert!(recipients >= rows, "{name}: the reading is seen");
    assert!(recipients <= MOST_RECIPIENTS, "{name}: {recipients} in {plan:#}");
    assert!(contacts >= case.taken as f64, "{name}: who has opted out is asked");
    assert!(contacts <= MOST_RECIPIENTS, "{name}: {contacts} contacts in {plan:#}");
    assert!(batches <= MOST_BATCHES, "{name}: {batches} in {plan:#}");
}

/// Each case has a copy of its own. What others have changed and taken back would swell the indexes, and whoever works in
/// the same database keeps old versions of rows from being dropped: both cost rows read that no claim is to blame for.
#[tokio::test]
async fn a_claim_reads_few_rows_however_the_server_plans_it() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let (database, broadcast) = large_plan(&clock).await;
    for case in cases() {
        for mode in ["force_generic_plan", "force_custom_plan"] {
            for knows in ["", "ANALYZE delivery, batch, contact"] {
                let copy = copy_of(&database).await;
                look(&copy, broadcast, clock.now(), &case, mode, knows).await;
                drop_database(&copy).await;
            }
        }
    }
    drop_database(&database).await;
}
