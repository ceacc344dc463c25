//! Random operations on a ledger in SQLite, one in PostgreSQL, and one in memory that is plain enough to be read: all three
//! say the same and hold the same after each, wherever it does not take a clock to know it.
//!
//! `HERALD_AGREEMENT_CASES` says how many sequences of operations are tried.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "ledger_agreement/driver.rs"]
mod driver;
#[path = "ledger_agreement/model.rs"]
mod model;
#[path = "ledger_agreement/operations.rs"]
mod operations;
#[path = "support/postgres.rs"]
mod postgres_server;

use driver::{Case, Ledgers};
use operations::{Operation, operation};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

const OPERATIONS: std::ops::Range<usize> = 1..60;

fn cases() -> u32 {
    std::env::var("HERALD_AGREEMENT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

/// Tries sequences until one is found after which they disagree; the shortest of its kind.
fn disagreement(ledgers: &Ledgers, cases: u32, probation: bool) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let tried = TestRunner::new(config).run(&prop::collection::vec(operation(), OPERATIONS), |operations| {
        runtime.block_on(try_all(ledgers, &operations, probation)).map_err(TestCaseError::fail)
    });
    match tried {
        Ok(()) => None,
        Err(TestError::Fail(why, operations)) => Some(format!("{why}\nafter {operations:#?}")),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

async fn try_all(ledgers: &Ledgers, operations: &[Operation], probation: bool) -> Result<(), String> {
    let mut case = Case::begin(ledgers, probation).await;
    for operation in operations {
        case.step(operation).await?;
    }
    ledgers.sums_hold().await
}

fn ledgers(postgres: bool) -> Ledgers {
    // Its own runtime: the pool of connections lives as long.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ledgers = runtime.block_on(Ledgers::open(postgres));
    std::mem::forget(runtime);
    ledgers
}

#[test]
fn sqlite_postgresql_and_the_model_agree_on_every_answer_and_on_what_they_hold() {
    assert_eq!(disagreement(&ledgers(true), cases(), true), None);
}

#[test]
fn a_model_without_the_probation_of_a_new_sender_is_found_to_disagree() {
    let found = disagreement(&ledgers(false), cases(), false).expect("a disagreement");
    assert!(found.contains("the answer"), "{found}");
}
