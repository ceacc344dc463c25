//! What comes after all other tests: what the operator has asked for in them, by the API server's audit log, and what an
//! uninstall leaves.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Command;

use serde_json::Value;

use super::kubectl::{find, kubectl};
use super::stage::{SYSTEM, Stage};

/// Set by `dev/with-herald.sh`.
const AUDIT_LOG: &str = "HERALD_TEST_AUDIT_LOG";
/// As whom the chart lets the operator speak.
const OPERATOR: &str = "system:serviceaccount:herald-system:herald";
/// Rights that no request shows: these are looked at while a child with `blockOwnerDeletion` is made.
const UNSEEN: [&str; 2] =
    ["update herald.dev/broadcastmessages/finalizers", "update herald.dev/messagechannels/finalizers"];

/// What the operator has asked for, and of that what it was refused, as `verb group/resource`.
fn asked() -> (BTreeSet<String>, BTreeSet<String>) {
    let path = std::env::var(AUDIT_LOG).expect("set by dev/with-herald.sh");
    let log = BufReader::new(std::fs::File::open(path).unwrap());
    let (mut asked, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for line in log.lines() {
        // The last line may be half written.
        let Ok(entry) = serde_json::from_str::<Value>(&line.unwrap()) else { continue };
        // Discovery and the like are no resources.
        if entry["user"]["username"] != OPERATOR || !entry["objectRef"]["resource"].is_string() {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &entry["objectRef"];
        let part = object["subresource"].as_str().map(|part| format!("/{part}")).unwrap_or_default();
        let right =
            format!("{} {}/{}{part}", text(&entry["verb"]), text(&object["apiGroup"]), text(&object["resource"]));
        // A namespace on its way out refuses new objects by the same code; that is no matter of rights.
        let message = text(&entry["responseStatus"]["message"]);
        if entry["responseStatus"]["code"] == 403 && message.contains(OPERATOR) {
            refused.insert(right.clone());
        }
        // What a server-side apply makes takes the right to create as well ("Server-Side Apply", documentation of Kubernetes).
        if entry["verb"] == "patch" && entry["responseStatus"]["code"] == 201 {
            asked.insert(right.replacen("patch", "create", 1));
        }
        asked.insert(right);
    }
    (asked, refused)
}

/// What the chart's roles give it.
fn given() -> BTreeSet<String> {
    let mut given = BTreeSet::new();
    for role in [
        &["get", "clusterrole", "herald", "-o", "json"][..],
        &["-n", SYSTEM, "get", "role", "herald-own", "-o", "json"],
    ] {
        let role: Value = serde_json::from_str(&kubectl(role)).unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let words = |list: &str| -> Vec<String> { serde_json::from_value(rule[list].clone()).unwrap() };
            for group in words("apiGroups") {
                for resource in words("resources") {
                    given.extend(words("verbs").into_iter().map(|verb| format!("{verb} {group}/{resource}")));
                }
            }
        }
    }
    given
}

#[test]
#[ignore = "needs a cluster, and all other tests before it: make test-cluster"]
fn the_operator_uses_every_right_it_has_and_asks_for_no_other() {
    let (asked, refused) = asked();
    assert!(refused.is_empty(), "refused: {refused:?}");
    let given = given();
    let unseen = UNSEEN.map(str::to_owned).into();
    let idle = &(&given - &asked) - &unseen;
    assert!(idle.is_empty(), "rights that nothing has used: {idle:?}");
    let foreign = &asked - &given;
    assert!(foreign.is_empty(), "not by the chart's roles: {foreign:?}");
}

#[test]
#[ignore = "needs a cluster, and all other tests before it: make test-cluster"]
fn uninstalling_keeps_definitions_objects_and_the_ledger() {
    let stage = Stage::open("kept", &[]);
    stage.apply(&stage.channel("page", 20, ""));
    let helm = Command::new("helm").args(["uninstall", "herald", "--namespace", SYSTEM, "--wait"]).output().unwrap();
    assert!(helm.status.success(), "{}", String::from_utf8_lossy(&helm.stderr));
    assert!(find(SYSTEM, "deployment", "herald").is_none(), "the operator is gone");
    assert!(find(&stage.namespace, "messagechannel", "page").is_some(), "the channel stays, and so its definition");
    let claim = find(SYSTEM, "persistentvolumeclaim", "herald-ledger").expect("the ledger stays");
    assert!(claim["metadata"]["deletionTimestamp"].is_null(), "{claim}");
}
