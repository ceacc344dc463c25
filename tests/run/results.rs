//! `herald results`: what became of the recipients of a run, as lines.

use super::run_support::{Finished, Running, Stage, broadcast, people};

fn results(stage: &Stage, arguments: &[&str]) -> Finished {
    let base = ["results", "-f", "run.yaml", "--ledger", "sqlite:ledger.sqlite"];
    let arguments: Vec<&str> = base.iter().chain(arguments).copied().collect();
    Running::spawn(&mut stage.herald(&arguments), None).wait()
}

#[test]
fn who_was_not_reached_is_written_with_why() {
    let stage = Stage::open(&["--fail", "551=1"]);
    stage.documents(100, &[broadcast("sale", &people(1, 3))]);
    stage.run(&[]).exits(2);
    let csv = results(&stage, &["--outcome", "failed,unknown"]).exits(0).stdout;
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows[0], "id,outcome,reason,code,parts_done,provider_id,delivered_time,read_time");
    assert_eq!(rows.len(), 4, "{csv}");
    assert!(rows[1..].iter().all(|row| row.ends_with(",Failed,PersonUnavailable,551,0,,,")), "{csv}");
    let ndjson = results(&stage, &["-o", "ndjson"]).exits(0).stdout;
    let first: serde_json::Value = serde_json::from_str(ndjson.lines().next().unwrap()).unwrap();
    assert_eq!((&first["outcome"], &first["code"]), (&"Failed".into(), &"551".into()), "{ndjson}");
    assert_eq!(results(&stage, &["--outcome", "Sent"]).exits(0).stdout.lines().count(), 1);
    assert_eq!(results(&stage, &["--reason", "RetriesExhausted"]).exits(0).stdout.lines().count(), 1);
    let says = ["RetryExhausted", "there is no such reason; did you mean RetriesExhausted?"];
    let refused = results(&stage, &["--reason", "RetryExhausted"]).exits(1).says(&says);
    assert_eq!(refused.stdout, "");
}

#[test]
fn a_ledger_that_a_run_has_is_left_to_it() {
    let stage = Stage::open(&["--latency", "200"]);
    stage.documents(10, &[broadcast("sale", &people(1, 20))]);
    let running = stage.start(&[]);
    stage.await_requests(2);
    results(&stage, &[]).exits(1).says(&["is in use by process", "wait for it to end"]);
    running.wait().exits(0);
    assert_eq!(results(&stage, &["--outcome", "Sent"]).exits(0).stdout.lines().count(), 21);
}

#[test]
fn what_is_not_there_is_refused_and_nothing_is_made() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &people(1, 1)), broadcast("other", &people(2, 1))]);
    results(&stage, &["sale"]).exits(1).says(&["there is no ledger ledger.sqlite"]);
    assert!(!stage.path("ledger.sqlite").exists());
    results(&stage, &[]).exits(1).says(&["several broadcasts", "default/sale", "default/other"]);
    results(&stage, &["winter"]).exits(1).says(&["no such broadcast"]);
    stage.run(&[]).exits(0);
    assert_eq!(results(&stage, &["other"]).exits(0).stdout.lines().count(), 2);
    stage.documents(100, &[broadcast("later", &people(3, 1))]);
    results(&stage, &[]).exits(1).says(&["knows no broadcast default/later"]);
    results(&stage, &["--outcome", "lost"]).exits(1).says(&["Sent, Failed, Skipped, Unknown or Pending"]);
}
