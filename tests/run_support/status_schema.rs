//! A status against the generated definition.

use serde_json::Value;

/// Checks the status of a line against the generated definition.
#[track_caller]
pub fn assert_fits_the_schema(line: &Value) {
    let crds = herald::api::crds();
    let crd = crds.into_iter().find(|crd| crd.spec.names.kind == "BroadcastMessage").unwrap();
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
    let status = schema.pointer("/openAPIV3Schema/properties/status").unwrap();
    let mut faults = Vec::new();
    walk(status, &line["status"], "status", &mut faults);
    assert!(faults.is_empty(), "{faults:?} in {line}");
}

fn walk(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let type_ = schema["type"].as_str().unwrap_or_else(|| panic!("{path} has no type: {schema}"));
    let fits = match type_ {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("{path} is of type {other}"),
    };
    let mut expect = |holds: bool, rule: &str| {
        if !holds {
            faults.push(format!("{path}: {rule}: {value}"));
        }
    };
    expect(fits, type_);
    if let Some(allowed) = schema["enum"].as_array() {
        expect(allowed.contains(value), "enum");
    }
    let number = |name: &str| schema[name].as_f64();
    let size =
        value.as_str().map(|text| text.chars().count()).or(value.as_array().map(Vec::len)).unwrap_or_default() as f64;
    expect(value.as_f64().is_none_or(|value| number("minimum").is_none_or(|least| value >= least)), "minimum");
    expect(value.as_f64().is_none_or(|value| number("maximum").is_none_or(|most| value <= most)), "maximum");
    for name in ["minLength", "minItems"] {
        expect(number(name).is_none_or(|least| size >= least), name);
    }
    for name in ["maxLength", "maxItems"] {
        expect(number(name).is_none_or(|most| size <= most), name);
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str()) {
        expect(regex::Regex::new(pattern).unwrap().is_match(text), "pattern");
    }
    if schema["format"] == "date-time" {
        expect(value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()), "date-time");
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        expect(value.get(required.as_str().unwrap()).is_some(), &format!("required {required}"));
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => walk(schema, member, &format!("{path}.{name}"), faults),
            None => faults.push(format!("{path}.{name}: unknown field")),
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        walk(&schema["items"], item, &format!("{path}[{index}]"), faults);
    }
}
