//! What is special to a ledger in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use herald::delivery::recipient::RecipientState::{Inflight, Sent};
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{Ledger, LedgerError, SenderLedger};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::world::*;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    (folder, path)
}

async fn refusal(path: &Path) -> LedgerError {
    match SqliteLedger::open(path).await {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

async fn planned(ledger: &SqliteLedger, count: usize) -> herald::ledger::BroadcastId {
    let broadcast = ledger.declare(&declaration("one")).await.unwrap().id;
    let ticket = ledger.begin_plan(broadcast).await.unwrap();
    ledger.append_plan(ticket, 1, &people(0..count)).await.unwrap();
    ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    broadcast
}

/// Moves what the write-ahead log holds into the file.
async fn fold_log(path: &Path) {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_file_alone_is_whole_after_a_checkpoint() {
    let (folder, path) = place();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let broadcast = planned(&ledger, 20).await;
    ledger.checkpoint().await.unwrap();
    let copy = folder.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    let before = ledger.snapshot(broadcast).await.unwrap();
    let after = SqliteLedger::open(&copy).await.unwrap().snapshot(broadcast).await.unwrap();
    assert_eq!((after.counts, after.plan), (before.counts, before.plan));
}

#[tokio::test]
async fn a_new_ledger_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = place();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    planned(&ledger, 20).await;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let holds_people = !entry.file_name().to_string_lossy().ends_with(".lock");
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert!(!holds_people || mode == 0o600, "{:?} has {mode:o}", entry.file_name());
    }
}

#[tokio::test]
async fn a_ledger_opened_again_has_kept_everything_and_its_leases_are_void() {
    let (_folder, path) = place();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let broadcast = planned(&ledger, 20).await;
    let mut sender = Sender::new("before", broadcast);
    let rows = ledger.exchange(&sender.request(vec![], 1)).await.unwrap().rows;
    let request = sender.request(reports(&rows, &accepted()), 3);
    let rows = ledger.exchange(&request).await.unwrap().rows;
    assert_eq!(rows.len(), 3);
    let before = ledger.snapshot(broadcast).await.unwrap();
    drop(ledger);

    let ledger = SqliteLedger::open(&path).await.unwrap();
    let after = ledger.snapshot(broadcast).await.unwrap();
    assert_eq!((after.counts, after.plan, after.gate), (before.counts, before.plan, before.gate));
    assert!(after.revision >= before.revision);
    let states: Vec<_> = ledger.everybody(broadcast).await.iter().map(|row| row.state).take(4).collect();
    assert_eq!(states, [Sent, Inflight, Inflight, Inflight]);

    let mut heir = Sender::new("after", broadcast);
    let taken = ledger.exchange(&heir.request(vec![], 5)).await.unwrap().rows;
    assert_eq!(seqs(&taken), [4], "at once, on probation");
    assert_eq!(ledger.batches(broadcast).await.unwrap()[0].reclaims, 1);
    let repeated = ledger.exchange(&request).await.unwrap().rows;
    let mut repeated = seqs(&repeated);
    repeated.sort_unstable();
    assert_eq!(repeated, seqs(&rows), "a sender that outlived the restart repeats its request");
    assert_eq!(ledger.broken().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_which_one_has_it() {
    let (_folder, path) = place();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, LedgerError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert_eq!(error.reason(), "LedgerLocked");
    drop(ledger);
    SqliteLedger::open(&path).await.unwrap();
}

#[tokio::test]
async fn another_name_of_the_same_file_is_locked_too() {
    let (folder, path) = place();
    let other = folder.path().join("other.db");
    std::os::unix::fs::symlink(&path, &other).unwrap();
    let first = SqliteLedger::open(&path).await.unwrap();
    assert!(matches!(refusal(&other).await, LedgerError::Locked { .. }));
    drop(first);
    let _through_the_link = SqliteLedger::open(&other).await.unwrap();
    assert!(matches!(refusal(&path).await, LedgerError::Locked { .. }));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let (_folder, path) = place();
    let text = "first,second\n".repeat(1_000);
    fs::write(&path, &text).unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("ledger.db"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_alone() {
    let (_folder, path) = place();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut foreign = options.connect().await.unwrap();
    sqlx::query("CREATE TABLE account (balance INTEGER)").execute(&mut foreign).await.unwrap();
    foreign.close().await.unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
    let mut foreign = options.connect().await.unwrap();
    let tables: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM sqlite_schema WHERE type = 'table'").fetch_all(&mut foreign).await.unwrap();
    assert_eq!(tables, [("account".to_owned(),)]);
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("ledger.db");
    let error = refusal(&path).await;
    assert!(matches!(error, LedgerError::Open { .. }), "{error}");
    assert!(error.to_string().contains("missing") && error.to_string().contains("folder exists"), "{error}");
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_is_refused() {
    let (_folder, path) = place();
    fs::create_dir(&path).unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, LedgerError::Open { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_refused_as_such() {
    let (_folder, path) = place();
    drop(SqliteLedger::open(&path).await.unwrap());
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        eprintln!("skipped: this user may write read-only files (root)");
        return;
    }
    let error = refusal(&path).await;
    assert!(matches!(error, LedgerError::ReadOnly { .. }), "{error}");
}

#[tokio::test]
async fn a_file_with_a_damaged_middle_is_corrupt() {
    let (_folder, path) = place();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    planned(&ledger, 2_000).await;
    drop(ledger);
    fold_log(&path).await;
    let mut bytes = fs::read(&path).unwrap();
    bytes[4_096..].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn the_lock_of_a_killed_process_does_not_stay() {
    let (_folder, path) = place();
    let lock = path.with_extension("db.lock");
    // `--no-fork`: the process that is killed is the one that holds the lock.
    let Ok(mut other) = Command::new("flock").arg("--no-fork").arg(&lock).args(["sleep", "60"]).spawn() else {
        eprintln!("skipped: there is no `flock` to hold the lock from another process");
        return;
    };
    let mut rounds = 0;
    while SqliteLedger::open(&path).await.is_ok() && rounds < 500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        rounds += 1;
    }
    let error = refusal(&path).await;
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(matches!(error, LedgerError::Locked { .. }), "{error}");
    SqliteLedger::open(&path).await.unwrap();
}
