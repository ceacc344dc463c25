//! Where an audience comes from, and how much of it counts: `herald run` against the simulator, whose record is the judge.

#![allow(clippy::unwrap_used)]

mod run_support;
use run_support::{Stage, broadcast};

const TEXT: &str = "  content: {text: Hello}\n";

#[test]
fn a_limit_takes_the_first_so_many_after_duplicates_and_exclusions_over_all_sources() {
    let stage = Stage::open(&[]);
    let audience = "  audience:
    recipients: [{id: \"1\"}, {id: \"2\"}]
    sources:
      - {name: first, configMapKeyRef: {name: people, key: first.csv}}
      - {name: second, configMapKeyRef: {name: people, key: second.csv}}
      - {name: third, configMapKeyRef: {name: people, key: third.csv}}
    exclude: {recipients: [{id: \"3\"}]}
    limit: 4
";
    stage.documents(200, &[broadcast("sale", &format!("{audience}{TEXT}"))]);
    stage.write("first.csv", "id\n2\n3\n4\n");
    stage.write("second.csv", "id\n5\n4\n6\n");
    // Nobody of it has a place, so it is not looked at.
    stage.write("third.csv", "no header row\n");
    let files = ["first.csv", "second.csv", "third.csv"].map(|file| format!("people={file}"));
    let flags: Vec<&str> = files.iter().flat_map(|file| ["--config-map", file]).collect();
    let finished = stage.run(&[&flags[..], &["-o", "json"]].concat()).exits(0);
    let status = &finished.json()[0]["status"];
    assert_eq!((&status["recipients"]["planned"], &status["recipients"]["sent"]), (&4.into(), &4.into()));
    assert_eq!((&status["plan"]["duplicates"], &status["plan"]["excluded"]), (&1.into(), &1.into()));
    assert_eq!(stage.accepted(), ["1", "2", "4", "5"]);
}
