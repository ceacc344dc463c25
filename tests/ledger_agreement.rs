//! Random operations on a ledger in SQLite, one in PostgreSQL, and one in memory that is plain enough to be read: all three
//! say the same and hold the same after each, wherever it does not take a clock to know it.
//!
//! `HERALD_AGREEMENT_CASES` says how many sequences of operations are tried.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "ledger_agreement/calls.rs"]
mod calls;
#[path = "ledger_agreement/contacts.rs"]
mod contacts;
#[path = "ledger_agreement/driver.rs"]
mod driver;
#[path = "ledger_agreement/model.rs"]
mod model;
#[path = "ledger_agreement/operations.rs"]
mod operations;
#[path = "ledger_agreement/outbox.rs"]
mod outbox;
#[path = "support/postgres.rs"]
mod postgres_server;

use driver::{Case, Ledgers};
use model::Rule;
use operations::{Operation, operation};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

const OPERATIONS: std::ops::Range<usize> = 1..60;

fn cases() -> u32 {
    std::env::var("HERALD_AGREEMENT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

/// Tries sequences until one is found after which they disagree; the shortest of its kind.
fn disagreement(ledgers: &Ledgers, cases: u32, without: Option<Rule>) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let tried = TestRunner::new(config).run(&prop::collection::vec(operation(), OPERATIONS), |operations| {
        runtime.block_on(try_all(ledgers, &operations, without)).map_err(TestCaseError::fail)
    });
    match tried {
        Ok(()) => None,
        Err(TestError::Fail(why, operations)) => Some(format!("{why}\nafter {operations:#?}")),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

async fn try_all(ledgers: &Ledgers, operations: &[Operation], without: Option<Rule>) -> Result<(), String> {
    let mut case = Case::begin(ledgers, without).await;
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
    assert_eq!(disagreement(&ledgers(true), cases(), None), None);
}

/// More than are ever needed to come across one of them.
const ENOUGH: u32 = 2_000;

#[test]
fn a_model_that_lacks_a_rule_is_found_to_disagree() {
    let ledgers = ledgers(false);
    for (rule, words) in [
        (Rule::Probation, "the answer"),
        (Rule::CallBacksStand, "expected"),
        (Rule::ImportsOptOut, "expected"),
        (Rule::EventsAreLent, "are given"),
    ] {
        let found = disagreement(&ledgers, ENOUGH, Some(rule)).unwrap_or_else(|| panic!("without {rule:?}"));
        assert!(found.contains(words), "{found}");
    }
}
