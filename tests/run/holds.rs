//! What the ledger of `herald run` holds back: an older copy of it put back, and a broadcast that looks like another one.
//! Nobody is messaged who may have got it already.

use serde_json::Value;

use super::run_support::{Stage, broadcast, people};

const PEOPLE: u64 = 80;

fn approved(document: &str, value: &str) -> String {
    document.replace("{name: sale}", &format!("{{name: sale, annotations: {{herald.dev/approved: \"{value}\"}}}}"))
}

fn sale() -> String {
    broadcast("sale", &people(1, PEOPLE))
}

/// Puts a copy back as the documentation says: what belongs to the file that is gone goes, the journal stays.
fn put_back(stage: &Stage, copy: &str) {
    for companion in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(stage.path(companion));
    }
    std::fs::copy(stage.path(copy), stage.path("ledger.sqlite")).unwrap();
}

/// A run that is interrupted half way, with a copy of its ledger, and one that ends; returns how many the copy calls sent.
fn older_copy(stage: &Stage) -> i64 {
    stage.documents(60, &[sale()]);
    let run = stage.start(&["-o", "json"]);
    stage.await_requests(20);
    run.signal("TERM");
    let sent = recipients(&run.wait().exits(3).json()[0], "sent");
    std::fs::copy(stage.path("ledger.sqlite"), stage.path("copy.sqlite")).unwrap();
    stage.run(&[]).exits(0);
    assert_eq!(stage.accepted().len() as u64, PEOPLE);
    put_back(stage, "copy.sqlite");
    sent
}

fn recipients(object: &Value, state: &str) -> i64 {
    object["status"]["recipients"][state].as_i64().unwrap()
}

#[test]
fn an_older_copy_of_the_ledger_sends_nothing_until_it_is_approved_and_then_to_nobody_at_risk() {
    let stage = Stage::open(&[]);
    let sent = older_copy(&stage);
    let known = ["ledger lost commits", "herald.dev/approved"];
    for _ in 0..2 {
        let run = stage.run(&[]).exits(4);
        assert!(known.iter().all(|words| run.stdout.contains(words)), "{}", run.stdout);
    }
    stage.documents(60, &[approved(&sale(), "today")]);
    let object = &stage.run(&["-o", "json"]).exits(2).json()[0];
    assert_eq!((recipients(object, "sent"), recipients(object, "unknown")), (sent, PEOPLE as i64 - sent));
    assert_eq!(object["status"]["reasons"][0]["reason"], "LedgerRegressed");
    stage.run(&[]).exits(2);
    assert_eq!(stage.requests().len() as u64, PEOPLE, "nobody was asked for again");
}

#[test]
fn an_approval_of_an_earlier_loss_approves_no_later_one() {
    let stage = Stage::open(&[]);
    stage.documents(60, &[approved(&sale(), "last year")]);
    stage.run(&[]).exits(0);
    std::fs::remove_file(stage.path("ledger.sqlite")).unwrap();
    for _ in 0..2 {
        stage.run(&[]).exits(4);
    }
    stage.documents(60, &[approved(&sale(), "today")]);
    let object = &stage.run(&["-o", "json"]).exits(2).json()[0];
    assert_eq!(recipients(object, "unknown"), PEOPLE as i64, "the ledger does not know who got it");
    assert_eq!(stage.accepted().len() as u64, PEOPLE);
}

#[test]
fn a_copy_of_before_a_broadcast_holds_that_one_and_no_other() {
    let stage = Stage::open(&[]);
    let (before, later) = (broadcast("before", &people(1, 3)), broadcast("later", &people(11, 3)));
    stage.documents(60, std::slice::from_ref(&before));
    stage.run(&[]).exits(0);
    std::fs::copy(stage.path("ledger.sqlite"), stage.path("copy.sqlite")).unwrap();
    stage.documents(60, std::slice::from_ref(&later));
    stage.run(&[]).exits(0);
    put_back(&stage, "copy.sqlite");
    let never = broadcast("never", &people(21, 3));
    stage.documents(60, &[before, later, never]);
    let objects = stage.run(&["-o", "json"]).exits(4).json();
    let reason = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == "Ready").unwrap()["reason"].clone()
    };
    assert_eq!(objects.iter().map(reason).collect::<Vec<_>>(), ["Delivered", "LedgerRegressed", "Delivered"]);
    assert_eq!(stage.accepted().len(), 9);
}

#[test]
fn a_renamed_broadcast_sends_nothing_until_its_key_is_given() {
    let stage = Stage::open(&[]);
    stage.documents(60, &[broadcast("sale", &people(1, 5))]);
    stage.run(&[]).exits(0);
    stage.documents(60, &[broadcast("team-a-sale", &people(1, 5))]);
    for _ in 0..2 {
        let run = stage.run(&[]).exits(4);
        for words in ["team-a-sale: held back", "BroadcastMessage `sale`", "spec.idempotencyKey"] {
            assert!(run.stdout.contains(words), "{}", run.stdout);
        }
    }
    assert_eq!(stage.requests().len(), 5);
    let meant = broadcast("team-a-sale", &format!("{}  idempotencyKey: team-a-sale\n", people(1, 5)));
    stage.documents(60, &[meant]);
    stage.run(&[]).exits(0);
    assert_eq!(stage.requests().len(), 10);
}

/// Lines of a spec: everybody in the ConfigMap `list`, under this key.
fn listed(key: &str) -> String {
    format!(
        "  audience: {{sources: [{{name: list, configMapKeyRef: {{name: list, key: {key}}}}}]}}\n  content: {{text: \"Hello\"}}\n"
    )
}

#[test]
fn other_people_under_a_new_name_are_sent_to_and_last_weeks_list_is_held_though_it_was_changed() {
    let stage = Stage::open(&[]);
    let send = |name: &str, file: &str, rows: &str, code: i32| {
        stage.write(file, format!("id\n{rows}"));
        stage.documents(60, &[broadcast(name, &listed(file))]);
        stage.run(&["--config-map", &format!("list={file}"), "-o", "json"]).exits(code)
    };
    send("week-1", "people.csv", "1\n2\n3\n", 0);
    send("week-2", "people.csv", "3\n4\n5\n", 0);
    assert_eq!(stage.requests().len(), 6, "most are new: it is another list");
    let held = send("week-3", "export.csv", "3\n4\n5\n", 4);
    let held = held.says(&["week-3: held back", "the same recipients", "`week-2`", "spec.idempotencyKey"]);
    let status = &held.json()[0]["status"];
    assert_eq!(status["state"], "Suspended", "{status}");
    send("week-3", "export.csv", "6\n5\n4\n3\n", 4).says(&["to 3 of its 4 recipients", "`week-2`"]);
    assert_eq!(stage.requests().len(), 6, "a row more, and another order");
    send("week-3", "export.csv", "5\n6\n7\n", 0);
    assert_eq!(stage.requests().len(), 9, "with other people it goes on by itself");
}
