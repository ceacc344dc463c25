//! What the key of a broadcast stands for: the plan that was made under it, whatever the object is called.

use std::time::Duration;

use super::run_support::{Stage, broadcast, people};

const FROM_FILE: &str = "  audience:\n    sources: [{name: people, configMapKeyRef: {name: people, key: people.csv}}]\n  content: {text: Hello}\n";
const FILE: [&str; 2] = ["--config-map", "people=people.csv"];
const CHANGED: &str = "people.csv was changed after the plan was made and is not looked at";

/// Longer than a file system takes to tell two instants apart.
const TICK: Duration = Duration::from_millis(50);

#[test]
fn who_is_new_in_a_file_after_the_first_attempt_is_not_messaged_and_the_run_says_so() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", FROM_FILE)]);
    stage.write("people.csv", "id\n1\n2\n");
    std::thread::sleep(TICK);
    stage.run(&FILE).exits(0);
    let again = stage.run(&FILE).exits(0).says(&["finished already"]);
    assert!(!again.stderr.contains("was changed"), "nothing was: {}", again.stderr);

    stage.write("people.csv", "id\n1\n2\n3\n");
    stage.run(&FILE).exits(0).says(&["finished already", CHANGED, "another spec.idempotencyKey"]);
    assert_eq!(stage.accepted(), ["1", "2"]);

    // Made before the plan, and put in the place of the file after it.
    stage.write("others.csv", "id\n4\n");
    stage.documents(100, &[keyed("other", "other", FROM_FILE)]);
    stage.write("people.csv", "id\n3\n");
    std::thread::sleep(TICK);
    stage.run(&FILE).exits(0);
    std::fs::rename(stage.path("others.csv"), stage.path("people.csv")).unwrap();
    stage.run(&FILE).exits(0).says(&["finished already", CHANGED]);
    assert_eq!(stage.accepted(), ["1", "2", "3"]);
}

#[test]
fn an_interrupted_broadcast_goes_on_with_its_plan_and_names_a_changed_file() {
    let stage = Stage::open(&["--latency", "200"]);
    stage.documents(10, &[broadcast("sale", FROM_FILE)]);
    stage.write("people.csv", "id\n1\n2\n3\n4\n5\n6\n7\n8\n");
    let running = stage.start(&FILE);
    stage.await_requests(2);
    running.signal("TERM");
    running.wait().exits(3);
    stage.write("people.csv", "id\n9\n");
    stage.run(&FILE).exits(0).says(&["sale: goes on with", "its plan is fixed", CHANGED]);
    assert_eq!(stage.accepted(), ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

fn keyed(name: &str, key: &str, spec: &str) -> String {
    broadcast(name, &format!("  idempotencyKey: {key}\n{spec}"))
}

#[test]
fn the_same_key_under_another_name_goes_on_and_is_finished_for_both() {
    let stage = Stage::open(&["--latency", "200"]);
    stage.documents(10, &[keyed("spring", "sale-2026", &people(1, 8))]);
    let running = stage.start(&[]);
    stage.await_requests(2);
    running.signal("TERM");
    running.wait().exits(3);
    stage.documents(10, &[keyed("summer", "sale-2026", &people(1, 8))]);
    let finished = stage.run(&["-o", "json"]).exits(0).says(&["summer: goes on with"]);
    let line = &finished.json()[0];
    assert_eq!(line.pointer("/metadata/name").unwrap(), "summer");
    assert_eq!(line.pointer("/status/idempotencyKey").unwrap(), "sale-2026");
    assert_eq!(line.pointer("/status/recipients/sent").unwrap(), 8);
    stage.documents(10, &[keyed("spring", "sale-2026", &people(1, 8))]);
    stage.run(&[]).exits(0).says(&["spring: finished already; nothing to send"]);
    assert_eq!((stage.accepted().len(), stage.requests().len()), (8, 8));
}

#[test]
fn another_message_under_a_key_that_was_given_is_refused_where_the_key_stands() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[keyed("spring", "sale-2026", &people(1, 2))]);
    stage.run(&[]).exits(0);
    let other = people(1, 2).replace("Hello", "Good bye");
    stage.documents(100, &[keyed("summer", "sale-2026", &other)]);
    stage.run(&[]).exits(4).says(&["BroadcastMessage default/summer: spec.idempotencyKey: nothing of it is sent"]);
    // The same name under another key is another broadcast.
    stage.documents(100, &[keyed("spring", "sale-2027", &other)]);
    stage.run(&[]).exits(0);
    assert_eq!(stage.requests().len(), 4);
}

#[test]
fn a_key_that_is_used_again_is_refused_with_what_differs() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &people(1, 2))]);
    stage.run(&[]).exits(0);
    let others = people(11, 2);
    let edits = [
        (people(1, 2).replace("Hello", "Good bye"), "1029384756", "another content,"),
        (others.clone(), "1029384756", "another audience,"),
        (others.replace("Hello", "Good bye"), "1029384756", "another content and audience,"),
        (people(1, 2), "5", "another account,"),
        (others.clone(), "5", "another account and audience,"),
        (others.replace("Hello", "Good bye"), "5", "another account and content and audience,"),
    ];
    for (spec, page, words) in edits {
        stage.documents(100, &[broadcast("sale", &spec)]);
        let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
        stage.write("run.yaml", text.replace("1029384756", page));
        stage.run(&[]).exits(4).says(&[&format!("already stands for {words}"), "undo the edit"]);
    }
    assert_eq!(stage.accepted(), ["1", "2"]);
}
