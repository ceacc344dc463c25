//! Random operations on a ledger in SQLite, one in PostgreSQL, and one in memory that is plain enough to be read: all three
//! say the same and hold the same after each, wherever it does not take a clock to know it.
//!
//! `HERALD_AGREEMENT_CASES` says how many sequences of operations are tried.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "ledger_agreement/attachments.rs"]
mod attachments;
#[path = "ledger_agreement/calls.rs"]
mod calls;
#[path = "ledger_agreement/contacts.rs"]
mod contacts;
#[path = "ledger_agreement/declarations.rs"]
mod declarations;
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
#[path = "ledger_agreement/rate_classes.rs"]
mod rate_classes;
#[path = "ledger_agreement/write_backs.rs"]
mod write_backs;

use driver::{Case, Ledgers};
use model::Rule;
use operations::{Operation, errand, operation, refused_for_good};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

const OPERATIONS: std::ops::Range<usize> = 1..60;

fn cases() -> u32 {
    std::env::var("HERALD_AGREEMENT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

/// Of all kinds, and some that go far into what is done beside the sending.
fn sequence(of_errands: u32) -> impl Strategy<Value = Vec<Operation>> {
    prop_oneof![
        4 - of_errands => prop::collection::vec(operation(), OPERATIONS),
        of_errands => (any::<bool>(), prop::collection::vec(errand(), OPERATIONS)).prop_map(|(refused, errands)| {
            let first = if refused { refused_for_good() } else { Vec::new() };
            first.into_iter().chain(errands).collect()
        }),
    ]
}

/// Tries sequences until one is found after which they disagree; where nobody expects it, the shortest of its kind.
fn disagreement(ledgers: &Ledgers, cases: u32, of_errands: u32, without: Option<Rule>) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Nobody reads what is found where it must be.
    let max_shrink_iters = if without.is_some() { 0 } else { 400 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() };
    let tried = TestRunner::new(config).run(&sequence(of_errands), |operations| {
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
        // On the heap: what one step may be is a lot, and not optimized.
        Box::pin(case.step(operation)).await?;
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
    assert_eq!(disagreement(&ledgers(true), cases(), 1, None), None);
}

/// Each takes seconds of the ledgers' time.
fn cases_of_films() -> u32 {
    cases().div_ceil(8)
}

#[test]
fn films_keep_their_own_rate_within_the_account_whatever_is_asked_beside_them() {
    let (ledgers, runtime) =
        (ledgers(true), tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let config =
        Config { cases: cases_of_films(), failure_persistence: None, max_shrink_iters: 50, ..Config::default() };
    let operations = prop::collection::vec(rate_classes::operation(), OPERATIONS);
    let tried = TestRunner::new(config)
        .run(&operations, |operations| runtime.block_on(try_films(&ledgers, &operations)).map_err(TestCaseError::fail));
    assert!(tried.is_ok(), "{tried:?}");
}

async fn try_films(ledgers: &Ledgers, operations: &[rate_classes::Operation]) -> Result<(), String> {
    let mut case = rate_classes::Case::begin(ledgers).await;
    for operation in operations {
        Box::pin(case.step(operation)).await?;
    }
    Box::pin(case.finish()).await?;
    ledgers.sums_hold().await
}

/// More than are ever needed to come across one of them.
const ENOUGH: u32 = 2_000;

#[test]
fn a_model_that_lacks_a_rule_is_found_to_disagree() {
    let ledgers = ledgers(false);
    for (rule, of_errands, words) in [
        (Rule::Probation, 1, "the answer"),
        (Rule::CallBacksStand, 1, "expected"),
        (Rule::ImportsOptOut, 1, "expected"),
        (Rule::EventsAreLent, 1, "are given"),
        (Rule::ListsSkip, 1, "expected"),
        (Rule::ListsBar, 1, "expected"),
        (Rule::ListsReplan, 1, "expected"),
        (Rule::SentAreOwed, 3, "expected"),
        (Rule::WriteBacksAreLent, 3, "in WriteBackPage"),
        (Rule::RefusedAreGivenUp, 3, "expected"),
        (Rule::HandlesEndEarly, 1, "kept"),
        (Rule::UploadsAreLent, 1, "kept"),
    ] {
        let found = disagreement(&ledgers, ENOUGH, of_errands, Some(rule));
        let found = found.unwrap_or_else(|| panic!("without {rule:?}"));
        assert!(found.contains(words), "{found}");
    }
}
