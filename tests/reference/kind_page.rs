//! One kind as a page: its names, columns, fields and rules, from its definition.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value};

struct Field {
    path: String,
    kind: String,
    bounds: String,
    description: String,
}

struct Rule {
    path: String,
    message: String,
    rule: String,
}

#[derive(Default)]
struct Found {
    fields: Vec<Field>,
    rules: Vec<Rule>,
}

/// The page of one kind.
pub fn page(crd: &CustomResourceDefinition) -> String {
    let version = &crd.spec.versions[0];
    let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    let names = &crd.spec.names;
    let short = names.short_names.clone().unwrap_or_default().join(", ");
    let mut found = Found::default();
    walk(&schema, "", &mut found);

    let mut page = format!("# {}\n\nGenerated from the definition by `make generate`.\n", names.kind);
    page.push_str(&format!("\n{}\n", schema["description"].as_str().unwrap()));
    page.push_str(&format!(
        "\n`apiVersion: {}/{}`, `kind: {}`; plural `{}`, short `{short}`, namespaced.\n",
        crd.spec.group, version.name, names.kind, names.plural
    ));
    for (title, part) in [("Spec", "spec"), ("Status", "status")] {
        page.push_str(&format!("\n## {title}\n\n{}\n", schema["properties"][part]["description"].as_str().unwrap()));
        if part == "status" {
            page.push_str("\nA `status` in a document that is given is not looked at.\n");
        }
        page.push_str("\n| field | type | bounds and default | meaning |\n| --- | --- | --- | --- |\n");
        let prefix = format!("{part}.");
        for field in found.fields.iter().filter(|field| field.path.starts_with(&prefix)) {
            let (path, kind, bounds, description) = (&field.path, &field.kind, &field.bounds, cell(&field.description));
            page.push_str(&format!("| `{path}` | {kind} | {bounds} | {description} |\n"));
        }
    }
    if !found.rules.is_empty() {
        page.push_str("\n## Rules\n\nBeyond types and bounds. A rule with `oldSelf` speaks of changes.\n");
        page.push_str("\n| field | what is said when it is broken | rule (CEL) |\n| --- | --- | --- |\n");
        for rule in &found.rules {
            page.push_str(&format!("| `{}` | {} | {} |\n", rule.path, cell(&rule.message), code(&rule.rule)));
        }
    }
    page.push_str("\n## Columns\n\n| column | from | meaning |\n| --- | --- | --- |\n");
    for column in version.additional_printer_columns.iter().flatten() {
        let meaning = column.description.as_deref().unwrap_or("Time since it was made");
        let wide = if column.priority.unwrap_or_default() > 0 { " (with `-o wide`)" } else { "" };
        page.push_str(&format!("| {}{wide} | {} | {meaning} |\n", column.name, code(&column.json_path)));
    }
    page
}

fn walk(node: &Value, path: &str, found: &mut Found) {
    for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = |member: &str| rule[member].as_str().unwrap_or_default().to_owned();
        let own = format!("{path}{}", text("fieldPath"));
        let own = own.trim_start_matches('.').to_owned();
        found.rules.push(Rule { path: own, message: text("message"), rule: text("rule") });
    }
    let required: Vec<&str> = node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in node["properties"].as_object().into_iter().flat_map(Map::iter) {
        if path.is_empty() && !["spec", "status"].contains(&name.as_str()) {
            continue;
        }
        let own = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if !path.is_empty() {
            found.fields.push(Field {
                path: own.clone(),
                kind: kind(property),
                bounds: bounds(property, required.contains(&name.as_str())),
                description: property["description"].as_str().unwrap().to_owned(),
            });
        }
        walk(property, &own, found);
    }
    for (child, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(child) = node.get(child) {
            walk(child, &format!("{path}{mark}"), found);
        }
    }
}

fn kind(node: &Value) -> String {
    match node["type"].as_str().unwrap() {
        "array" => format!("list of {}", kind(&node["items"])),
        "object" if node.get("additionalProperties").is_some() => {
            format!("map to {}", kind(&node["additionalProperties"]))
        }
        "string" if node["format"] == "date-time" => "instant".to_owned(),
        other => other.to_owned(),
    }
}

fn bounds(node: &Value, is_required: bool) -> String {
    let mut parts = Vec::new();
    if is_required {
        parts.push("required".to_owned());
    }
    if let Some(default) = node.get("default") {
        parts.push(format!("default {}", code(&default.to_string())));
    }
    for (low, high, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
    ] {
        // Bounds of a schema are floating-point numbers, whole ones here.
        let whole = |bound: &str| node[bound].as_f64().map(|bound| bound as i64);
        match (whole(low), whole(high)) {
            (Some(low), Some(high)) => parts.push(format!("{low} to {high}{unit}")),
            (Some(low), None) => parts.push(format!("at least {low}{unit}")),
            (None, Some(high)) => parts.push(format!("at most {high}{unit}")),
            (None, None) => {}
        }
    }
    if let Some(values) = node["enum"].as_array() {
        let values: Vec<String> = values.iter().filter_map(Value::as_str).map(code).collect();
        parts.push(format!("one of {}", values.join(", ")));
    }
    if let Some(keys) = node["x-kubernetes-list-map-keys"].as_array() {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        parts.push(format!("unique by `{}`", keys.join("`, `")));
    }
    if let Some(pattern) = node["pattern"].as_str() {
        parts.push(format!("pattern {}", code(pattern)));
    }
    parts.join("; ")
}

/// Text that can stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A code span that can stand in a cell of a table, whatever quotes it holds.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    format!("{fence}{}{fence}", cell(text))
}
