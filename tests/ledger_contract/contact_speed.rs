//! A page of contacts costs the same wherever it begins, and however many there are: nobody goes through those before it.
//! Of SQLite measured as a ratio, since machines differ; of PostgreSQL by the blocks that the server has read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use herald::api::audience::ContactsSource;
use herald::delivery::time::Timestamp;
use herald::ledger::clock::ManualClock;
use herald::ledger::contacts::{ContactsFilter, ContactsPage};
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Contacts, Ledger};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::postgres_statements::Counter;
use super::world::*;
use crate::postgres_server::{fresh_schema, server};

const SMALL: usize = 2_000;
const LARGE: usize = 200_000;
/// Where a page goes through everybody the ratio is near 100.
const TOLERANCE: f64 = 10.0;
const ROUNDS: usize = 11;
/// The server plans a statement anew for the first five times.
const PLANNED_ANEW: usize = 6;
/// Everybody has the first of these tags, every hundredth the other.
const TAGS: [&str; 2] = ["all", "few"];
/// What a page of a thousand reads in ten slices, each of some hundreds of contacts with their tags, and some more. Where it goes
/// through all contacts each slice reads 3,000 blocks and more.
const MOST_BLOCKS: i64 = 12_000;

fn filters() -> Vec<(&'static str, ContactsFilter)> {
    let tagged = |tags: &[&str]| ContactsFilter {
        source: ContactsSource {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..ContactsSource::default()
        },
        opted_out: false,
    };
    vec![
        ("everybody", tagged(&[])),
        ("a tag that all have", tagged(&TAGS[..1])),
        ("a tag that few have", tagged(&TAGS[1..])),
    ]
}

/// With the one account of the ledger, which is made by a declaration; `numbers` is what the database calls the numbers below
/// `people`.
fn contacts(numbers: &str) -> [String; 2] {
    [
        format!(
            "INSERT INTO contact (account_id, recipient, vars, vars_at, met_at) \
             SELECT 1, 'person-' || (1000000 + number), '{{\"name\": \"Ana\"}}', 0, 0 FROM {numbers}"
        ),
        format!(
            "INSERT INTO tag (account_id, recipient, tag) SELECT 1, 'person-' || (1000000 + number), '{}' FROM {numbers} \
             UNION ALL SELECT 1, 'person-' || (1000000 + number), '{}' FROM {numbers} WHERE number % 100 = 7",
            TAGS[0], TAGS[1]
        ),
    ]
}

/// Before the last people of a table of so many.
fn near_the_end(people: usize) -> String {
    format!("person-{}", 1_000_000 + people - 500)
}

async fn page<L: Contacts>(ledger: &L, after: Option<&str>, filter: &ContactsFilter) -> ContactsPage {
    ledger.contacts_page(&declaration("any").account, after, filter).await.unwrap()
}

/// How long the first page takes, and one near the end, by filter; a few of its people are asked for as proof.
async fn sqlite_pages(people: usize) -> Vec<(Duration, Duration)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path).await.unwrap();
    ledger.declare(&declaration("any")).await.unwrap();
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let numbers = format!(
        "(WITH RECURSIVE counted (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM counted WHERE number < {}) \
         SELECT number FROM counted)",
        people - 1
    );
    for statement in contacts(&numbers) {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let mut costs = vec![];
    for (name, filter) in filters() {
        let end = near_the_end(people);
        let timed = async |after: Option<&str>, expected: usize| {
            let mut costs = vec![];
            for _ in 0..ROUNDS {
                let start = Instant::now();
                let page = page(&ledger, after, &filter).await;
                costs.push(start.elapsed());
                assert_eq!(page.contacts.len(), expected, "{name} after {after:?}");
            }
            // What others do on the machine only adds to it.
            costs.into_iter().min().unwrap_or_default()
        };
        let (first, last) = if name.ends_with("few have") { ((people / 100).min(1_000), 5) } else { (1_000, 499) };
        costs.push((timed(None, first).await, timed(Some(&end), last).await));
    }
    costs
}

#[tokio::test]
async fn a_page_of_contacts_costs_no_more_of_many_than_of_few() {
    let (small, large) = (sqlite_pages(SMALL).await, sqlite_pages(LARGE).await);
    for ((name, _), (small, large)) in filters().into_iter().zip(small.into_iter().zip(large)) {
        println!("{name}: {large:?} of {LARGE} contacts, {small:?} of {SMALL}; the first page and one near the end");
        // Of few that have a tag the first page holds more where there are more.
        let pages = [(small.0, large.0), (small.1, large.1)].into_iter().skip(usize::from(name.ends_with("few have")));
        for (small, large) in pages {
            assert!(large.as_secs_f64() < TOLERANCE * small.as_secs_f64(), "{name}: {large:?} and {small:?}");
        }
    }
}

#[tokio::test]
async fn a_page_of_contacts_reads_few_blocks_however_the_server_plans_it() {
    let user = fresh_schema();
    let mut counter = Counter::new(&user).await;
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let url = server().replace("herald@", &format!("{user}@"));
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let mut run = async |statement: String| {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    };
    let ledger = PostgresLedger::open_in(&url, &user, Some(clock.clone())).await.unwrap();
    ledger.declare(&declaration("any")).await.unwrap();
    run(format!("SET search_path TO {user}")).await;
    for table in ["contact", "tag"] {
        run(format!("ALTER TABLE {table} SET (autovacuum_enabled = false)")).await;
    }
    for statement in contacts(&format!("generate_series(0, {}) AS counted (number)", LARGE - 1)) {
        run(statement).await;
    }
    for knows in [false, true] {
        if knows {
            run("ANALYZE contact, tag".to_owned()).await;
        }
        // A connection of its own: what was planned before is planned anew. Nothing is said of first pages of unknown tables.
        let ledger = PostgresLedger::open_in(&url, &user, Some(clock.clone())).await.unwrap();
        let pages = [None, Some(near_the_end(LARGE))].into_iter().skip(usize::from(!knows));
        for (after, (name, filter)) in
            pages.flat_map(|after| filters().into_iter().map(move |one| (after.clone(), one)))
        {
            for round in 0..PLANNED_ANEW {
                let before = counter.blocks().await;
                let page = page(&ledger, after.as_deref(), &filter).await;
                let blocks = counter.blocks().await - before;
                println!("{name} after {after:?}, analyzed {knows}, round {round}: {blocks} blocks");
                assert!(!page.contacts.is_empty() && blocks > 0, "{name}: the server counts");
                assert!(
                    blocks <= MOST_BLOCKS,
                    "{name} after {after:?}, analyzed {knows}, round {round}: {blocks} blocks"
                );
            }
        }
    }
}
