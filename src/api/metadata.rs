//! The metadata of a document, checked as an API server does.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::{
    reference::{MAX_NAME, OBJECT_NAME},
    structure::constant_regex,
    violation::{Violation, ViolationKind},
};

/// The members Kubernetes knows. All but the first four are the server's own and ignored, so that what `kubectl get
/// -o yaml` prints can be used as it is.
const MEMBERS: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// The longest label value and the longest name part of a label's key.
const MAX_LABEL: usize = 63;
/// What all annotations may hold together, in bytes.
const MAX_ANNOTATIONS: usize = 256 * 1024;

static NAME: LazyLock<Regex> = LazyLock::new(|| constant_regex(OBJECT_NAME));
static NAMESPACE: LazyLock<Regex> = LazyLock::new(|| constant_regex("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static LABEL_NAME: LazyLock<Regex> = LazyLock::new(|| constant_regex("^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"));

/// All violations of `metadata`, whatever the kind.
pub(crate) fn check(document: &Map<String, Value>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let Some(metadata) = document.get("metadata") else {
        return vec![Violation::new("metadata.name", ViolationKind::Required, "an object needs a name")];
    };
    let Some(metadata) = metadata.as_object() else {
        return vec![Violation::new("metadata", ViolationKind::Invalid, "metadata in body must be of type object")];
    };
    for member in metadata.keys().filter(|member| !MEMBERS.contains(&member.as_str())) {
        let detail = format!("fields known here: {}", MEMBERS[..4].join(", "));
        violations.push(Violation::new(&format!("metadata.{member}"), ViolationKind::Unknown, detail));
    }
    match metadata.get("name") {
        None | Some(Value::Null) => {
            violations.push(Violation::new("metadata.name", ViolationKind::Required, "an object needs a name"));
        }
        Some(name) => check_name(
            "metadata.name",
            name,
            &NAME,
            MAX_NAME,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            &mut violations,
        ),
    }
    if let Some(namespace) = metadata.get("namespace").filter(|namespace| !namespace.is_null()) {
        check_name(
            "metadata.namespace",
            namespace,
            &NAMESPACE,
            MAX_LABEL,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            &mut violations,
        );
    }
    check_map(metadata, "labels", &mut violations);
    check_map(metadata, "annotations", &mut violations);
    violations
}

fn check_name(field: &str, name: &Value, allowed: &Regex, most: usize, rule: &str, violations: &mut Vec<Violation>) {
    match name.as_str() {
        None => violations.push(Violation::new(
            field,
            ViolationKind::Invalid,
            format!("{field} in body must be of type string; put the value in quotes"),
        )),
        Some(text) if text.len() > most => {
            violations.push(Violation::new(
                field,
                ViolationKind::TooLong,
                format!("may not be more than {most} characters"),
            ));
        }
        Some(text) if !allowed.is_match(text) => {
            violations.push(Violation::new(field, ViolationKind::Invalid, rule).showing(name));
        }
        Some(_) => {}
    }
}

fn check_map(metadata: &Map<String, Value>, member: &str, violations: &mut Vec<Violation>) {
    let field = format!("metadata.{member}");
    let entries = match metadata.get(member) {
        None | Some(Value::Null) => return,
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            let detail = format!("{field} in body must be of type object");
            return violations.push(Violation::new(&field, ViolationKind::Invalid, detail));
        }
    };
    let mut size = 0;
    for (key, value) in entries {
        let (prefix, name) = key.split_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        let prefix_fits = prefix.is_none_or(|prefix| prefix.len() <= MAX_NAME && NAME.is_match(prefix));
        if !prefix_fits || name.len() > MAX_LABEL || !LABEL_NAME.is_match(name) {
            let rule =
                "a key is a name of at most 63 letters, digits, '-', '_' and '.', with an optional DNS prefix and '/'";
            violations.push(Violation::new(&field, ViolationKind::Invalid, rule).showing(&Value::from(key.as_str())));
        }
        let Some(text) = value.as_str() else {
            let detail = format!("{field}.{key} in body must be of type string; put the value in quotes");
            violations.push(Violation::new(&format!("{field}.{key}"), ViolationKind::Invalid, detail));
            continue;
        };
        if member == "labels" && !(text.is_empty() || (text.len() <= MAX_LABEL && LABEL_NAME.is_match(text))) {
            let rule = "a label's value is empty or at most 63 letters, digits, '-', '_' and '.'";
            violations.push(Violation::new(&field, ViolationKind::Invalid, rule).showing(value));
        }
        size += key.len() + text.len();
    }
    if size > MAX_ANNOTATIONS {
        violations.push(Violation::new(
            &field,
            ViolationKind::TooLong,
            format!("may not be more than {MAX_ANNOTATIONS} bytes"),
        ));
    }
}
