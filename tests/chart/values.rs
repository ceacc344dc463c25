//! values.yaml and values.schema.json say the same, and every value has its comment.

use std::fs;

use serde_json::Value;

use super::{chart, root, yaml};

/// Walks both; faults are paths. Only what the schema uses is known here, anything else is a fault.
fn compare(path: &str, value: &Value, schema: &Value, root: &Value, faults: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name],
        _ => Vec::new(),
    };
    let is = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Null => "null",
    };
    let is_choice = schema["enum"].as_array().is_some_and(|choices| choices.contains(value));
    if !types.contains(&is) && !is_choice {
        faults.push(format!("{path}: {is} is not what the schema asks for"));
    }
    let fits = |pattern: &str| value.as_str().is_none_or(|text| regex::Regex::new(pattern).unwrap().is_match(text));
    if schema["pattern"].as_str().is_some_and(|pattern| !fits(pattern)) {
        faults.push(format!("{path}: {value} does not match the schema's pattern"));
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    if schema["additionalProperties"] != false {
        faults.push(format!("{path}: unknown values are not refused"));
    }
    let members = value.as_object().unwrap();
    for (name, member) in members {
        match properties.get(name) {
            Some(schema) => compare(&format!("{path}.{name}"), member, schema, root, faults),
            None => faults.push(format!("{path}.{name}: not in the schema")),
        }
    }
    // A pod's security is the exception: most of it has no default. `global` is Helm's.
    let optional = ["global", "runAsUser", "runAsGroup", "supplementalGroups", "seLinuxOptions", "claims"];
    for name in properties.keys() {
        if !members.contains_key(name) && !optional.contains(&name.as_str()) {
            faults.push(format!("{path}.{name}: in the schema only"));
        }
    }
}

#[test]
fn values_and_schema_agree() {
    let schema: Value = serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let mut faults = Vec::new();
    compare("", &yaml("values.yaml"), &schema, &schema, &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The values without a comment: above them in their paragraph, at their own depth or above.
fn unexplained(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut explained: Vec<usize> = Vec::new();
    for line in text.lines() {
        let words = line.trim_start();
        let depth = line.len() - words.len();
        explained.retain(|above| *above <= depth);
        if words.is_empty() {
            explained.clear();
        } else if words.starts_with('#') {
            explained.push(depth);
        } else if !words.ends_with(':') && explained.is_empty() && !words.contains(" # ") {
            found.push(line);
        }
    }
    found
}

#[test]
fn every_value_has_its_comment() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    assert_eq!(unexplained(&text), [] as [&str; 0]);
    // The judge itself.
    let sample = "# One\na: 1\nb:\n  c: 2\n\nd:\n  # Three\n  e: 3\n  f: 4\n\ng:\n  h: 5\ni: 6 # six\n";
    assert_eq!(unexplained(sample), ["  h: 5"]);
}

#[test]
fn every_value_acts_in_a_template() {
    let mut templates = String::new();
    for entry in fs::read_dir(chart().join("templates")).unwrap() {
        templates.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
        match value.as_object().filter(|members| !members.is_empty()) {
            Some(members) => members.iter().for_each(|(name, value)| leaves(&format!("{path}.{name}"), value, found)),
            None => found.push(path.to_owned()),
        }
    }
    let mut paths = Vec::new();
    leaves(".Values", &yaml("values.yaml"), &mut paths);
    assert!(paths.len() > 30, "{paths:?}");
    for path in paths {
        // Resources and the pod's security are taken whole; the claim's members are read `with` their parent.
        let whole = path.split(".requests").next().unwrap().split(".limits").next().unwrap();
        let whole = whole.split_once(".fsGroup").map_or(whole, |(parent, _)| parent);
        let inner = whole.strip_prefix(".Values.ledger.persistence").map(|member| format!(" {member} "));
        let acts = templates.contains(whole)
            || inner.is_some_and(|member| templates.contains(&member) || templates.contains(member.trim_end()));
        assert!(acts, "{path} is in no template");
    }
}

#[test]
fn the_values_that_the_documentation_names_are_there() {
    let text = fs::read_to_string(root().join("docs/kubernetes.md")).unwrap();
    let (_, section) = text.split_once("\n## Values\n").unwrap();
    let table = section.split("\n## ").next().unwrap();
    let values = yaml("values.yaml");
    let mut found = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap();
        for path in cell.split('`').skip(1).step_by(2) {
            assert!(values.pointer(&format!("/{}", path.replace('.', "/"))).is_some(), "{path} is no value");
            found += 1;
        }
    }
    assert!(found >= 8, "only {found} values");
}
