//! The definitions: `crds/` equals what the types say, every field is described, and every rule and
//! bound takes what it should and refuses what it should.

// All of this is a test; what fails here is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "schema/bounds.rs"]
mod bounds;
#[path = "schema/change_samples.rs"]
mod change_samples;
#[path = "schema/documents.rs"]
mod documents;
#[path = "schema/rule_samples.rs"]
mod rule_samples;
#[path = "schema/rules.rs"]
mod rules;
#[path = "schema/samples.rs"]
mod samples;

use std::{fs, path::PathBuf};

use herald::api::{crd::crd_files, crds};
use serde_json::Value;

/// Set this to write `crds/` anew instead of comparing: `UPDATE_CRDS=1 cargo test --test schema`.
const UPDATE: &str = "UPDATE_CRDS";

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds");
    for (name, generated) in crd_files() {
        let path = folder.join(&name);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            committed,
            generated,
            "{} differs from the types; run {UPDATE}=1 cargo test --test schema",
            path.display()
        );
    }
}

#[test]
fn the_command_prints_the_committed_definitions() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_herald")).arg("crds").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
    let mut committed: Vec<Value> = Vec::new();
    for (name, _) in crd_files() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds").join(name);
        committed.push(serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap());
    }
    assert_eq!(printed, committed);
}

#[test]
fn every_field_is_described_and_every_list_map_and_string_is_bounded() {
    for crd in crds() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            let mut faults = Vec::new();
            lint(&serde_json::to_value(schema).unwrap(), &crd.spec.names.kind, &mut faults);
            assert!(faults.is_empty(), "{}", faults.join("\n"));
        }
    }
}

fn lint(node: &Value, path: &str, faults: &mut Vec<String>) {
    let has = |key: &str| node.get(key).is_some();
    let is_root_member = ["apiVersion", "kind", "metadata", "metadata.name"]
        .iter()
        .any(|end| path.split_once('.').is_some_and(|(_, rest)| rest == *end));
    match node["type"].as_str() {
        Some("string") if !is_root_member => {
            if !has("maxLength") && !has("enum") && !has("format") {
                faults.push(format!("{path}: a string without maxLength"));
            }
        }
        Some("array") => {
            if !has("maxItems") {
                faults.push(format!("{path}: a list without maxItems"));
            }
            if !has("x-kubernetes-list-type") {
                faults.push(format!("{path}: a list without a merge strategy"));
            }
        }
        Some("integer") if !has("minimum") => faults.push(format!("{path}: an integer without minimum")),
        Some("object") if has("additionalProperties") && !has("maxProperties") => {
            faults.push(format!("{path}: a map without maxProperties"));
        }
        Some("integer" | "boolean" | "object" | "string") => {}
        other => faults.push(format!("{path}: type {other:?}")),
    }
    for refused in ["nullable", "anyOf", "oneOf", "allOf", "$ref", "const"] {
        if has(refused) {
            faults.push(format!("{path}: {refused}"));
        }
    }
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let is_metadata = path.ends_with(".metadata") || path.ends_with(".metadata.name");
        let description = property["description"].as_str().unwrap_or_default();
        if is_metadata {
            // An API server describes metadata itself, and refuses a definition that does.
            assert!(description.is_empty(), "{path}");
        } else if !description.ends_with('.') || description.len() < 12 {
            faults.push(format!("{path}: described as {description:?}"));
        }
        lint(property, &path, faults);
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = node.get(child) {
            lint(child, &format!("{path}[]"), faults);
        }
    }
}

/// A status cannot be given when an object is made: without a default its state would be blank until one is written.
#[test]
fn a_new_batch_is_pending_before_its_first_status_is_written() {
    let schema = crds()[2].spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    let status = &schema["properties"]["status"];
    let default: herald::api::MessageBatchStatus = serde_json::from_value(status["default"].clone()).unwrap();
    assert_eq!(default.state, Some(herald::api::BatchState::Pending));
    let states = status["properties"]["state"]["enum"].as_array().unwrap();
    assert!(states.contains(&status["default"]["state"]), "an API server takes no other default: {states:?}");
}

#[test]
fn the_printed_definitions_read_back_as_they_were() {
    let printed: Vec<Value> = serde_saphyr::from_multiple(&herald::api::crds_yaml()).unwrap();
    let generated: Vec<Value> = crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    assert_eq!(printed, generated);
}

#[test]
fn short_names_category_and_selectable_field_are_those_of_the_api() {
    let names: Vec<_> = crds()
        .iter()
        .map(|crd| (crd.spec.names.kind.clone(), crd.spec.names.short_names.clone().unwrap()[0].clone()))
        .collect();
    let expected = [("MessageChannel", "mch"), ("BroadcastMessage", "bm"), ("MessageBatch", "mb")];
    assert_eq!(names, expected.map(|(kind, short)| (kind.to_owned(), short.to_owned())));
    for crd in crds() {
        assert_eq!(crd.spec.names.categories.as_deref(), Some(&["herald".to_owned()][..]));
        assert!(crd.spec.versions[0].subresources.as_ref().is_some_and(|sub| sub.status.is_some()));
    }
    let batch = &crds()[2].spec.versions[0];
    let fields: Vec<_> = batch.selectable_fields.iter().flatten().map(|field| field.json_path.as_str()).collect();
    assert_eq!(fields, [".spec.broadcastRef.name"]);
}
