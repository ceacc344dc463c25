//! Senders that crash, freeze and lose, repeat and delay their exchanges at random, against the real ledgers. The
//! provider's own record is the judge: nobody is lost, stranded or messaged twice, and nobody once a list has named them.
//! Whoever is sent to is written down elsewhere at least once, as the target's own record says, when faults stop.
//!
//! `HERALD_FAULT_RUNS` says how many runs there are of each kind.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "ledger_faults/backend.rs"]
mod backend;
#[path = "ledger_faults/book.rs"]
mod book;
#[path = "ledger_faults/crowd.rs"]
mod crowd;
#[path = "ledger_faults/postgres.rs"]
mod only_postgres;
#[path = "support/postgres.rs"]
mod postgres_server;
#[path = "ledger_faults/simulated.rs"]
mod simulated;
#[path = "ledger_faults/suppression.rs"]
mod suppression;
#[path = "ledger_faults/write_backs.rs"]
mod write_backs;

use backend::Backend;
use simulated::{CALM, Faults, run_many};

fn runs<L: Backend>() -> u64 {
    let runs = std::env::var("HERALD_FAULT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(12);
    u64::div_ceil(runs, L::SLOWER)
}

async fn without_faults_everybody_is_sent_and_nobody_is_unknown<L: Backend>() {
    let verdict = run_many::<L>(0..u64::div_ceil(4, L::SLOWER), CALM).await;
    assert_eq!(verdict.wrong, Vec::<String>::new());
    assert_eq!(verdict.unknown, 0);
}

async fn lost_repeated_and_delayed_exchanges_cost_nobody_and_leave_nobody_unknown<L: Backend>() {
    let faults = Faults { network: true, provider: true, pauses: true, lists: true, ..CALM };
    let verdict = run_many::<L>(0..runs::<L>(), faults).await;
    assert_eq!(verdict.wrong, Vec::<String>::new());
    assert_eq!(verdict.unknown, 0);
}

async fn crashes_and_freezes_with_a_journal_never_repeat_or_lose_anybody<L: Backend>() {
    let faults =
        Faults { network: true, crashes: true, provider: true, lost_answers: true, pauses: true, lists: true, ..CALM };
    let verdict = run_many::<L>(100..100 + runs::<L>(), faults).await;
    assert_eq!(verdict.wrong, Vec::<String>::new());
    assert!(verdict.unknown > 0, "the faults must have reached somebody");
}

async fn crashes_without_a_journal_leave_more_unknown_but_repeat_nobody<L: Backend>() {
    let faults = Faults { network: true, crashes: true, journal: false, lost_answers: true, lists: true, ..CALM };
    let verdict = run_many::<L>(200..200 + runs::<L>(), faults).await;
    assert_eq!(verdict.wrong, Vec::<String>::new());
    assert!(verdict.unknown > 0);
}

async fn a_clock_set_back_strands_and_repeats_nobody<L: Backend>() {
    let faults = Faults { network: true, crashes: true, clock_set_back: true, provider: true, ..CALM };
    let verdict = run_many::<L>(300..300 + runs::<L>(), faults).await;
    assert_eq!(verdict.wrong, Vec::<String>::new());
}

async fn the_judge_notices_a_sender_that_breaks_the_one_rule<L: Backend>() {
    let faults = Faults { lost_answers: true, lying_sender: true, ..CALM };
    let verdict = run_many::<L>(400..400 + u64::div_ceil(4, L::SLOWER), faults).await;
    assert!(verdict.wrong.iter().any(|wrong| wrong.contains("I7")), "{:?}", verdict.wrong);
}

macro_rules! on {
    ($backend:ident, $ledger:ty: $($case:ident)*) => {
        mod $backend {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case::<$ledger>().await;
                }
            )*
        }
    };
}

macro_rules! on_each {
    ($($case:ident)*) => {
        on! { sqlite, herald::ledger::sqlite::SqliteLedger: $($case)* }
        // Two processes keep the ledger together, and each call goes to any of them.
        on! { postgres, herald::ledger::postgres::PostgresLedger: $($case)* }
    };
}

on_each! {
    without_faults_everybody_is_sent_and_nobody_is_unknown
    lost_repeated_and_delayed_exchanges_cost_nobody_and_leave_nobody_unknown
    crashes_and_freezes_with_a_journal_never_repeat_or_lose_anybody
    crashes_without_a_journal_leave_more_unknown_but_repeat_nobody
    a_clock_set_back_strands_and_repeats_nobody
    the_judge_notices_a_sender_that_breaks_the_one_rule
}
