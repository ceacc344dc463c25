//! The CustomResourceDefinitions, generated from the types: what `kubectl apply` installs, what `crds/` holds, and what
//! documents are checked against without a cluster.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::{BroadcastMessage, MessageBatch, MessageChannel};

/// The definitions of the three kinds: MessageChannel, BroadcastMessage, MessageBatch.
pub fn crds() -> [CustomResourceDefinition; 3] {
    [MessageChannel::crd(), BroadcastMessage::crd(), MessageBatch::crd()].map(finish)
}

/// The file of each definition in `crds/`, and its YAML.
pub fn crd_files() -> Vec<(String, String)> {
    crds().iter().map(|crd| (format!("{}.yaml", crd.spec.names.plural), yaml(crd))).collect()
}

/// All definitions as one multi-document YAML.
pub fn crds_yaml() -> String {
    crds().iter().map(|crd| format!("---\n{}", yaml(crd))).collect()
}

fn yaml(crd: &CustomResourceDefinition) -> String {
    // A definition is plain data with text keys: there is nothing in it YAML cannot write.
    #[allow(clippy::expect_used)]
    let mut text = serde_saphyr::to_string(crd).expect("a definition is plain data");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// What kube-derive leaves open: the root members every definition describes, and the integer formats of Rust, which
/// are none of Kubernetes.
fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        // The typed schema and its JSON are the same data; both directions hold for every schema.
        #[allow(clippy::expect_used)]
        let mut plain = serde_json::to_value(&*schema).expect("a schema is plain data");
        settle(&mut plain);
        describe_root(&mut plain);
        #[allow(clippy::expect_used)]
        let finished = serde_json::from_value(plain).expect("a settled schema is a schema");
        *schema = finished;
    }
    crd
}

/// An absent member is absent: `nullable` would let an explicit null through and so defeat defaults.
fn settle(node: &mut Value) {
    let Some(object) = node.as_object_mut() else {
        return;
    };
    object.remove("nullable");
    if let Some(Value::String(description)) = object.get_mut("description") {
        // Line breaks of the source are none of the reader's.
        *description = description.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
    if object.get("type") == Some(&json!("integer")) {
        settle_integer(object);
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(settle);
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = object.get_mut(child) {
            settle(child);
        }
    }
}

fn settle_integer(object: &mut Map<String, Value>) {
    let wide = object.get("format") == Some(&json!("int64"));
    object.insert("format".to_owned(), json!(if wide { "int64" } else { "int32" }));
}

fn describe_root(schema: &mut Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    properties.insert(
        "apiVersion".to_owned(),
        json!({"type": "string", "description": "The version of this API: `herald.dev/v1alpha1`. Required."}),
    );
    properties
        .insert("kind".to_owned(), json!({"type": "string", "description": "The kind of this object. Required."}));
    // An API server takes nothing here but `name` and `generateName`, and describes metadata itself. The rule that points
    // at the name needs it to be there.
    properties.insert("metadata".to_owned(), json!({"type": "object", "properties": {"name": {"type": "string"}}}));
}
