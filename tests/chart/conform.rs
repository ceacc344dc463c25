//! What the chart renders is what Kubernetes takes, field by field, by kubeconform and schemas made here: without network.
//! A cluster of the test suite is the stronger judge; this one is quick.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use k8s_openapi::api::{apps::v1 as apps, core::v1 as core, networking::v1 as networking, rbac::v1 as rbac};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use super::helm::{program, render};
use super::rendered::VALUE_SETS;

/// Refuses fields that are not in the schema, as kubeconform's own strict schemas do.
fn refuse_unknown_fields(node: &mut Value) {
    match node {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) && !members.contains_key("additionalProperties")
            {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(refuse_unknown_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(refuse_unknown_fields),
        _ => {}
    }
}

fn write_schema<T: JsonSchema>(folder: &Path, kind: &str) {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    let mut schema = serde_json::to_value(schema).unwrap();
    // The types of k8s-openapi know their kind; their schemas do not name it.
    for member in ["apiVersion", "kind"] {
        schema["properties"][member] = json!({"type": "string"});
    }
    refuse_unknown_fields(&mut schema);
    fs::write(folder.join(format!("{kind}.json")), schema.to_string()).unwrap();
}

/// A ServiceMonitor and CustomResourceDefinitions are left out: the one is not Kubernetes' own, and what becomes of the
/// others is compared with the types themselves.
fn write_schemas(folder: &Path) {
    write_schema::<apps::Deployment>(folder, "deployment");
    write_schema::<core::Service>(folder, "service");
    write_schema::<core::ServiceAccount>(folder, "serviceaccount");
    write_schema::<core::PersistentVolumeClaim>(folder, "persistentvolumeclaim");
    write_schema::<networking::NetworkPolicy>(folder, "networkpolicy");
    write_schema::<rbac::ClusterRole>(folder, "clusterrole");
    write_schema::<rbac::ClusterRoleBinding>(folder, "clusterrolebinding");
    write_schema::<rbac::Role>(folder, "role");
    write_schema::<rbac::RoleBinding>(folder, "rolebinding");
}

/// Whether kubeconform takes these documents, and what it says.
fn conforms(kubeconform: &Path, schemas: &Path, documents: &[Value]) -> (bool, String) {
    let file = schemas.join("documents.yaml");
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    fs::write(&file, text.join("\n---\n")).unwrap();
    let output = Command::new(kubeconform)
        .args(["-strict", "-skip", "ServiceMonitor,CustomResourceDefinition", "-schema-location"])
        .arg(schemas.join("{{.ResourceKind}}.json"))
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), told)
}

#[test]
fn kubernetes_knows_every_field_the_chart_renders() {
    let Some(kubeconform) = program("kubeconform") else { return };
    let folder = tempfile::tempdir().unwrap();
    write_schemas(folder.path());
    for values in VALUE_SETS {
        let Some(documents) = render(values) else { return };
        let (good, told) = conforms(&kubeconform, folder.path(), &documents);
        assert!(good, "{values:?}: {told}");
    }
    // The judge itself: a field with a slip of the pen, and one of the wrong type.
    for (pointer, wrong) in [("/spec/replica", json!(1)), ("/spec/replicas", json!("one"))] {
        let mut documents = render(&[]).unwrap();
        documents.retain(|document| document["kind"] == "Deployment");
        let field = pointer.rsplit('/').next().unwrap();
        documents[0]["spec"][field] = wrong;
        let (good, told) = conforms(&kubeconform, folder.path(), &documents);
        assert!(!good && told.contains(field), "{told}");
    }
}
