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
use crate::postgres_server::{fresh_schema, server};

const CLAIM: &str = include_str!("../../src/ledger/postgres/claim.sql");

/// The most that a plan is cut into.
const BATCHES: usize = 500;
const BATCH: usize = 40;
/// How many a claim takes.
const WANTED: i64 = 25;
/// They are found, looked up again to be put in flight, and some more.
const MOST_RECIPIENTS: f64 = 4.0 * WANTED as f64;
const ALL_IN_BACKOFF: &str = "everybody in backoff";
const LONG_INACTIVE: &str = "most have not been active for long";
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

/// Runs a claim of this broadcast in a transaction that is rolled back; returns its plan, and how many rows it gave: those that
/// it took, and one where it took nobody.
async fn claim(connection: &mut PgConnection, broadcast: i64, now: Timestamp) -> (Value, f64) {
    let (lease_until, slot) = (now + Span::from_secs(15), now);
    let statement = format!(
        "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE claim({broadcast}, NULL, 7, {}, {}, {}, {WANTED}, 1, {}, 10000000, \
         20000000, 30000000000, '{{0}}', '{{}}', {ACCOUNT}, {})",
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

#[tokio::test]
async fn a_claim_reads_few_rows_however_the_server_plans_it() {
    let schema = fresh_schema();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let ledger = PostgresLedger::open_in(&server(), &schema, Some(clock.clone())).await.unwrap();
    let world = World { ledger, clock: clock.clone() };
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    for statement in [
        format!("SET search_path TO {schema}"),
        // The server looks at the tables when this test says so.
        "ALTER TABLE delivery SET (autovacuum_enabled = false)".to_owned(),
        "ALTER TABLE batch SET (autovacuum_enabled = false)".to_owned(),
        "ALTER TABLE contact SET (autovacuum_enabled = false)".to_owned(),
        format!("PREPARE claim({}, bigint[], bigint[], bigint, bigint) AS {CLAIM}", ["bigint"; 12].join(", ")),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let wide = Declaration { batch_size: Some(BATCH as u32), ..declaration("wide") };
    let broadcast = world.planned(&wide, BATCHES * BATCH).await.0;
    assert_eq!(world.ledger.batches(BroadcastId(broadcast)).await.unwrap().len(), BATCHES);

    // Everybody is known, and every seventh has opted out: the first of them of all, so that claims pass them over.
    let known = format!(
        "INSERT INTO contact (account_id, recipient, vars, vars_at, met_at, opted_out_at) \
         SELECT {ACCOUNT}, recipient, '{{}}', 0, 0, CASE WHEN seq % 7 = 0 THEN 1 END FROM delivery"
    );
    connection.execute(AssertSqlSafe(known)).await.unwrap();

    // What the batches are like, and how many are taken then.
    let most = i64::MAX;
    let cases = [
        ("all free", String::new(), WANTED),
        (
            "the first ones held, the next one lost by its holder",
            format!(
                "UPDATE batch SET sender_id = CASE WHEN idx < 400 THEN 9 END, lease_until = {most}, probation = idx = 400"
            ),
            1,
        ),
        // The one row that says when.
        (ALL_IN_BACKOFF, format!("UPDATE delivery SET not_before = {most}"), 1),
        (LONG_INACTIVE, format!("UPDATE delivery SET active_at = 1 WHERE seq < {}", BATCHES * BATCH * 4 / 5), WANTED),
    ];
    for knows in ["", "ANALYZE delivery, batch, contact"] {
        connection.execute(knows).await.unwrap();
        for mode in ["force_generic_plan", "force_custom_plan"] {
            connection.execute(AssertSqlSafe(format!("SET plan_cache_mode = {mode}"))).await.unwrap();
            for (name, change, expected) in &cases {
                // A plan made for one claim may take the primary key, as good as the index otherwise. That of all claims, to
                // which a server comes after five of them, may not.
                if *name == LONG_INACTIVE && mode == "force_custom_plan" {
                    continue;
                }
                connection.execute("BEGIN").await.unwrap();
                connection.execute(AssertSqlSafe(change.clone())).await.unwrap();
                connection.execute(knows).await.unwrap();
                let (plan, rows) = claim(&mut connection, broadcast, clock.now()).await;
                connection.execute("ROLLBACK").await.unwrap();
                let (recipients, batches) = (rows_read(&plan, "delivery"), rows_read(&plan, "batch"));
                let contacts = rows_read(&plan, "contact");
                println!(
                    "{name}, {mode}, {knows:?}: {recipients} recipients, {batches} batches, {contacts} contacts read"
                );
                assert_eq!(rows, *expected as f64, "{name}, {mode}, {knows:?}");
                let taken = if *name == ALL_IN_BACKOFF { 0.0 } else { rows };
                assert!(recipients >= taken.max(1.0), "{name}: the reading is seen");
                assert!(recipients <= MOST_RECIPIENTS, "{name}, {mode}, {knows:?}: {recipients} in {plan:#}");
                assert!(contacts >= taken, "{name}: who has opted out is asked");
                assert!(contacts <= MOST_RECIPIENTS, "{name}, {mode}, {knows:?}: {contacts} contacts in {plan:#}");
                assert!(batches <= MOST_BATCHES, "{name}, {mode}, {knows:?}: {batches} in {plan:#}");
            }
        }
    }
}
