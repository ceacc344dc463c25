//! The API server refuses what `herald run` refuses, in the same words.

use herald::api::admission::Admission;
use herald::api::violation::{Violation, ViolationKind, Violations};
use serde_json::{Value, json};

use super::kubectl::{kubectl, kubectl_with};
use super::stage::Stage;

#[path = "../schema/change_samples.rs"]
mod change_samples;
#[path = "../schema/rule_samples.rs"]
mod rule_samples;
#[path = "../schema/samples.rs"]
#[allow(dead_code, reason = "the schema tests use the rest")]
mod samples;

/// What `herald run` adds to the words of an API server, which leaves people alone there.
const OWN_HINTS: [&str; 2] = ["; put the value in quotes", ": RFC 3339 with a time zone"];
/// Between two looks the operator writes a status once or twice.
const MOST_CONFLICTS: usize = 10;

/// What is Kubernetes' own to say: kubectl's before the API server sees anything, and the API server's about metadata.
fn own_words(violation: &Violation) -> Option<String> {
    let field = violation.field.as_str();
    if violation.kind == ViolationKind::Unknown {
        return Some(format!("strict decoding error: unknown field {field:?}"));
    }
    let words = match field {
        "metadata.name" if violation.kind == ViolationKind::Required => {
            Some("metadata.name: Required value: name or generateName is required")
        }
        "metadata.namespace" => Some("the namespace from the provided object \"a.b\" does not match"),
        "metadata.labels" => Some("metadata.labels: Invalid value: \"a b\": a valid label must be"),
        "apiVersion" | "kind" => Some("no matches for kind"),
        _ => None,
    };
    words.map(str::to_owned)
}

/// The API server says the same: field, class, and the rule's message. How it shows the value differs between its versions.
#[track_caller]
fn assert_same_words(answer: &Result<String, String>, violations: &Violations) {
    let Err(told) = answer else { panic!("taken, and `herald run` says: {violations}") };
    for violation in &violations.0 {
        if let Some(words) = own_words(violation) {
            assert!(told.contains(&words), "{words:?} is not in: {told}");
            continue;
        }
        let place = Violation { value: None, detail: String::new(), ..violation.clone() }.to_string();
        let hint = OWN_HINTS.iter().find_map(|hint| violation.detail.find(hint));
        let detail = &violation.detail[..hint.unwrap_or(violation.detail.len())];
        assert!(told.contains(&place) && told.contains(detail), "{place:?} and {detail:?} are not in: {told}");
    }
}

fn in_namespace(mut document: Value, stage: &Stage) -> Value {
    if document["metadata"]["namespace"] == "marketing" {
        document["metadata"]["namespace"] = stage.namespace.clone().into();
    }
    document
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn every_sample_that_the_schema_rejects_is_refused_by_the_api_server_in_the_same_words() {
    let stage = Stage::open("schema", &[]);
    let admission = Admission::new();
    let create = ["-n", &stage.namespace, "create", "--dry-run=server", "--validate=strict", "-f", "-"];
    let mut refused = 0;
    for (document, refusal) in rule_samples::creations() {
        let document = in_namespace(document, &stage);
        let answer = kubectl_with(&document.to_string(), &create);
        match admission.create(&document) {
            Ok(_) => assert!(refusal.is_empty() && answer.is_ok(), "{answer:?}: {document}"),
            Err(violations) => {
                assert_same_words(&answer, &violations);
                refused += 1;
            }
        }
    }
    assert!(refused > 30, "only {refused} samples");
}

/// Makes the object as it would be stored, with its status.
fn store(stage: &Stage, stored: &Value) {
    let kind = stored["kind"].as_str().unwrap().to_lowercase();
    let name = stored["metadata"]["name"].as_str().unwrap();
    kubectl(&["-n", &stage.namespace, "delete", &kind, name, "--ignore-not-found", "--wait=true"]);
    kubectl_with(&stored.to_string(), &["-n", &stage.namespace, "create", "-f", "-"]).unwrap();
    if stored["status"].is_object() {
        // The operator applies its own status server-side, and leaves alone what is not its own.
        let patch = json!({"status": stored["status"]}).to_string();
        kubectl(&["-n", &stage.namespace, "patch", &kind, name, "--subresource=status", "--type=merge", "-p", &patch]);
    }
}

/// What the API server says to a change. The operator may write a status between kubectl's look at the object and its
/// replacement; then kubectl looks again.
fn answer_to(stage: &Stage, new: &Value) -> Result<String, String> {
    let replace = ["-n", &stage.namespace, "replace", "--dry-run=server", "--validate=strict", "-f", "-"];
    let answer = || kubectl_with(&new.to_string(), &replace);
    let is_answered = |answer: &Result<String, String>| !matches!(answer, Err(told) if told.contains("(Conflict)"));
    (0..MOST_CONFLICTS).map(|_| answer()).find(is_answered).expect("the operator leaves it alone after a while")
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn every_change_that_the_schema_rejects_is_refused_by_the_api_server_in_the_same_words() {
    let stage = Stage::open("changes", &[]);
    let admission = Admission::new();
    let (mut stored, mut refused) = (Value::Null, 0);
    for (old, new, refusal) in change_samples::changes() {
        let (old, new) = (in_namespace(old, &stage), in_namespace(new, &stage));
        if stored != old {
            store(&stage, &old);
            stored = old;
        }
        let answer = answer_to(&stage, &new);
        match admission.update(&stored, &new) {
            Ok(_) => assert!(refusal.is_empty() && answer.is_ok(), "{answer:?}: {new}"),
            // To a cluster another name is another object.
            Err(_) if stored["metadata"]["name"] != new["metadata"]["name"] => {
                assert!(answer.is_err_and(|told| told.contains("not found")), "{new}");
            }
            Err(violations) => {
                assert_same_words(&answer, &violations);
                refused += 1;
            }
        }
    }
    assert!(refused >= 9, "only {refused} changes");
}
