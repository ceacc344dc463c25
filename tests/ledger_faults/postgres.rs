//! What only PostgreSQL can go through: processes that work at the same time, connections that are cut, a server that
//! crashes, commits that take their time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::crowd::Crowd;
use crate::postgres_server::{OwnServer, fresh_database};
use crate::simulated::Chance;

const SCHEMA: &str = "herald";

fn recipients() -> usize {
    std::env::var("HERALD_CROWD_RECIPIENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

/// As long as sending takes at least.
fn trouble_lasts() -> Duration {
    Duration::from_millis(recipients() as u64 * 10)
}

async fn work(crowd: &std::sync::Arc<Crowd>, disturb: impl Future<Output = ()>) {
    crowd.work(disturb).await;
    eprintln!(
        "{} slots were given away, {} calls were not answered",
        crowd.book.slots(),
        crowd.unanswered.load(Ordering::Relaxed)
    );
    assert_eq!(crowd.judge().await, Vec::<String>::new());
}

#[tokio::test]
async fn processes_that_work_at_once_take_nobody_twice_keep_the_rate_and_never_wait_in_a_circle() {
    let database = fresh_database().await;
    let crowd = Crowd::gather(&database, SCHEMA, recipients(), false).await;
    work(&crowd, tokio::time::sleep(trouble_lasts())).await;
    let mut looking = PgConnection::connect(&database).await.unwrap();
    let deadlocks: i64 =
        sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            .fetch_one(&mut looking)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
    assert_eq!(crowd.unanswered.load(Ordering::Relaxed), 0);
}

/// Ends connections of the ledger's processes at random for a while.
async fn cut_connections(database: &str, during: Duration) {
    let mut chance = Chance(7 << 32);
    let mut cutting = PgConnection::connect(database).await.unwrap();
    let until = tokio::time::Instant::now() + during;
    while tokio::time::Instant::now() < until {
        let cut: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' \
             ORDER BY random() LIMIT 2) AS busy",
        )
        .fetch_one(&mut cutting)
        .await
        .unwrap();
        let pause = if cut == 0 { 1 } else { 10 + chance.below(60) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

#[tokio::test]
async fn connections_that_are_cut_in_the_middle_lose_and_repeat_nobody() {
    let database = fresh_database().await;
    let crowd = Crowd::gather(&database, SCHEMA, recipients(), true).await;
    work(&crowd, cut_connections(&database, trouble_lasts())).await;
    assert!(crowd.unanswered.load(Ordering::Relaxed) > 5, "calls were cut off");
}

/// Each commit that changed a broadcast takes up to 40 ms, with all its locks held.
async fn slow_commits(database: &str) {
    let mut slowing = PgConnection::connect(database).await.unwrap();
    for statement in [
        "CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(random() * 0.04); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER dawdle AFTER UPDATE ON herald.broadcast DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION public.dawdle()",
    ] {
        slowing.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    }
}

#[tokio::test]
async fn slow_commits_that_are_cut_off_lose_and_repeat_nobody() {
    let database = fresh_database().await;
    let crowd = Crowd::gather(&database, SCHEMA, recipients() / 3, true).await;
    slow_commits(&database).await;
    work(&crowd, cut_connections(&database, trouble_lasts())).await;
    assert!(crowd.unanswered.load(Ordering::Relaxed) > 5, "calls were cut off");
}

#[tokio::test]
async fn a_server_that_crashes_and_restarts_loses_and_repeats_nobody() {
    let server = OwnServer::start();
    let crowd = Crowd::gather(&server.address, SCHEMA, recipients(), true).await;
    let restarts = async {
        // As after a power cut, and as for an upgrade, in turns.
        for manner in ["immediate", "fast"].into_iter().cycle().take(recipients() / 150) {
            tokio::time::sleep(Duration::from_millis(400)).await;
            server.restart(manner).await;
        }
    };
    work(&crowd, restarts).await;
    assert!(crowd.unanswered.load(Ordering::Relaxed) > 5, "calls met no server");
}
