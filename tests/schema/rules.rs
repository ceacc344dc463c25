//! Every CEL rule takes its samples and refuses those that break it, at its field and in its words.

use std::collections::BTreeSet;

use herald::api::crds;
use herald::provider::http::OWN_HEADERS;
use serde_json::{Value, json};

use super::change_samples::changes;
use super::rule_samples::creations;
use super::samples::{create, http_channel, update, with};

fn check(verdict: &[String], expected: &str, refusals: &mut BTreeSet<String>) {
    match expected {
        "" => assert_eq!(verdict, [] as [String; 0]),
        expected => {
            assert_eq!(verdict.len(), 1, "expected {expected:?}, got {verdict:?}");
            assert!(verdict[0].starts_with(expected), "expected {expected:?}, got {verdict:?}");
        }
    }
    refusals.extend(verdict.iter().cloned());
}

#[test]
fn every_rule_takes_and_refuses_its_samples_at_its_field() {
    let mut refusals = BTreeSet::new();
    for (document, expected) in creations() {
        check(&create(&document), expected, &mut refusals);
    }
    for (old, new, expected) in changes() {
        check(&update(&old, &new), expected, &mut refusals);
    }
    let messages: Vec<String> = crds().iter().flat_map(|crd| messages(&serde_json::to_value(crd).unwrap())).collect();
    assert!(messages.len() > 15, "{}", messages.len());
    for message in messages {
        assert!(refusals.iter().any(|refusal| refusal.ends_with(&message)), "no sample is refused with: {message}");
    }
}

/// The messages of all rules of a definition; a rule without one is a fault.
fn messages(node: &Value) -> Vec<String> {
    let mut found: Vec<String> = node["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|rule| rule["message"].as_str().unwrap().to_owned())
        .collect();
    match node {
        Value::Object(object) => found.extend(object.values().flat_map(messages)),
        Value::Array(items) => found.extend(items.iter().flat_map(messages)),
        _ => {}
    }
    found
}

/// A rule and where it stands: the kind, the path of its field, and its text.
type Rule = (String, String, String);

#[test]
fn every_rule_is_met_by_a_sample_that_it_takes() {
    let mut all = BTreeSet::new();
    let mut met = BTreeSet::new();
    for crd in crds() {
        let kind = crd.spec.names.kind.clone();
        let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        let schema = serde_json::to_value(schema).unwrap();
        every_rule(&schema, &kind, "", &mut all);
        let of_kind = |document: &Value| document["kind"] == kind.as_str();
        for (document, _) in creations().iter().filter(|(document, refusal)| refusal.is_empty() && of_kind(document)) {
            rules_met(&schema, document, None, &kind, "", &mut met);
        }
        for (old, new, _) in changes().iter().filter(|(_, new, refusal)| refusal.is_empty() && of_kind(new)) {
            rules_met(&schema, new, Some(old), &kind, "", &mut met);
        }
    }
    assert!(all.len() > 15, "{}", all.len());
    let missed: Vec<&Rule> = all.difference(&met).collect();
    assert!(missed.is_empty(), "no accepted sample meets {missed:#?}");
}

fn rules_of<'a>(schema: &'a Value, kind: &'a str, path: &'a str) -> impl Iterator<Item = Rule> + 'a {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.map(|rule| (kind.to_owned(), path.to_owned(), rule["rule"].as_str().unwrap().to_owned()))
}

fn every_rule(schema: &Value, kind: &str, path: &str, found: &mut BTreeSet<Rule>) {
    found.extend(rules_of(schema, kind, path));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        every_rule(property, kind, &format!("{path}.{name}"), found);
    }
    if let Some(items) = schema.get("items") {
        every_rule(items, kind, &format!("{path}[]"), found);
    }
}

/// The rules that an API server asks about a document: those of the fields that are there, and, where a rule compares,
/// that were there before.
fn rules_met(schema: &Value, new: &Value, old: Option<&Value>, kind: &str, path: &str, met: &mut BTreeSet<Rule>) {
    met.extend(rules_of(schema, kind, path).filter(|(_, _, rule)| !rule.contains("oldSelf") || old.is_some()));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(new) = new.get(name) {
            rules_met(property, new, old.and_then(|old| old.get(name)), kind, &format!("{path}.{name}"), met);
        }
    }
    for (index, new) in new.as_array().into_iter().flatten().enumerate() {
        let old = old.and_then(|old| old.get(index));
        rules_met(&schema["items"], new, old, kind, &format!("{path}[]"), met);
    }
}

#[test]
fn the_rules_stay_far_below_the_cost_an_api_server_allows() {
    use kube::core::cel::{compile_schema, estimate_rule_cost};
    for crd in crds() {
        let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        rules(&serde_json::to_value(schema).unwrap(), &mut |schema, rule| {
            assert_eq!(estimate_rule_cost(rule, &compile_schema(schema)), [], "{rule}");
        });
    }
}

fn rules(node: &Value, visit: &mut dyn FnMut(&Value, &str)) {
    for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
        visit(node, rule["rule"].as_str().unwrap());
    }
    for property in node["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        rules(property, visit);
    }
    if let Some(items) = node.get("items") {
        rules(items, visit);
    }
}

#[test]
fn a_channel_may_not_set_the_headers_that_the_sender_sets() {
    for name in OWN_HEADERS {
        let verdict = create(&with(http_channel(), "/spec/http/headers/0/name", json!(name.as_str().to_uppercase())));
        assert!(
            matches!(&verdict[..], [line] if line.starts_with("spec.http.headers[0].name: Invalid value: Host, ")),
            "{name}: {verdict:?}"
        );
    }
}
