//! The structural part of a check: types, bounds, patterns, required and unknown fields, and defaults.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

use super::violation::{Violation, ViolationKind};

/// What the API server takes as `date-time`: RFC 3339, with a time zone.
static DATE_TIME: LazyLock<Regex> = LazyLock::new(|| {
    constant_regex(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-5][0-9]([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
    )
});

/// A structural schema, ready to check documents.
pub(crate) struct Structure {
    schema: Value,
    patterns: BTreeMap<String, Regex>,
}

impl Structure {
    pub(crate) fn new(schema: Value) -> Structure {
        let mut patterns = BTreeMap::new();
        collect_patterns(&schema, &mut patterns);
        Structure { schema, patterns }
    }

    /// The schema as JSON.
    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }

    /// Fills in defaults as an API server does before it checks: an explicit null counts as absent, and whole
    /// floating-point numbers become integers where integers are asked for.
    pub(crate) fn default(&self, document: &mut Value) {
        fill(&self.schema, document);
    }

    /// All violations of the members below the root. `metadata`, `apiVersion` and `kind` are the caller's.
    pub(crate) fn check(&self, document: &Map<String, Value>) -> Vec<Violation> {
        let mut checker = Checker { patterns: &self.patterns, violations: Vec::new() };
        let own: Map<String, Value> = document
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        checker.object(&self.schema, &own, "");
        checker.violations
    }
}

// For the constants of this room alone; a test compiles every one of them.
#[allow(clippy::expect_used)]
pub(crate) fn constant_regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant")
}

fn collect_patterns(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    if let Some(pattern) = schema["pattern"].as_str() {
        patterns.entry(pattern.to_owned()).or_insert_with(|| constant_regex(pattern));
    }
    for property in schema["properties"].as_object().into_iter().flat_map(Map::values) {
        collect_patterns(property, patterns);
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = schema.get(child) {
            collect_patterns(child, patterns);
        }
    }
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(object) => {
            let properties = schema["properties"].as_object();
            let is_map = schema.get("additionalProperties").is_some();
            let is_known = |name: &str| is_map || properties.is_some_and(|properties| properties.contains_key(name));
            object.retain(|name, value| !(value.is_null() && is_known(name)));
            for (name, property) in properties.into_iter().flatten() {
                if let Some(default) = property.get("default")
                    && !object.contains_key(name)
                {
                    object.insert(name.clone(), default.clone());
                }
                if let Some(child) = object.get_mut(name) {
                    fill(property, child);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        Value::Number(number) if schema["type"] == "integer" => {
            // Exact below 2^53; anything larger stays and is refused as no integer.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            if let Some(float) = number.as_f64()
                && number.is_f64()
                && float.fract() == 0.0
                && float.abs() < EXACT
            {
                *value = Value::from(float as i64);
            }
        }
        _ => {}
    }
}

struct Checker<'a> {
    patterns: &'a BTreeMap<String, Regex>,
    violations: Vec<Violation>,
}

impl Checker<'_> {
    fn report(&mut self, field: &str, kind: ViolationKind, value: &Value, detail: String) {
        self.violations.push(Violation::new(field, kind, detail).showing(value));
    }

    fn too_many(&mut self, field: &str, found: usize, detail: String) {
        let violation = Violation::new(field, ViolationKind::TooMany, detail);
        self.violations.push(Violation { value: Some(found.to_string()), ..violation });
    }

    fn invalid(&mut self, field: &str, value: &Value, detail: String) {
        self.report(field, ViolationKind::Invalid, value, format!("{field} in body {detail}"));
    }

    fn node(&mut self, schema: &Value, value: &Value, field: &str) {
        let wanted = schema["type"].as_str().unwrap_or_default();
        match (wanted, value) {
            ("object", Value::Object(object)) => self.object(schema, object, field),
            ("array", Value::Array(items)) => self.array(schema, items, value, field),
            ("string", Value::String(text)) => self.string(schema, text, value, field),
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.integer(schema, value, field)
            }
            ("boolean", Value::Bool(_)) => {}
            _ => {
                let found = type_name(value);
                let remedy = match (wanted, value) {
                    ("string", Value::Number(_) | Value::Bool(_)) => "; put the value in quotes",
                    (_, Value::Null) => "; remove the empty entry",
                    ("integer" | "boolean", Value::String(_)) => "; write the value without quotes",
                    ("array", Value::Object(_)) => "; begin each entry with `- `",
                    _ => "",
                };
                self.violations.push(Violation {
                    value: Some(format!("{found:?}")),
                    ..Violation::new(
                        field,
                        ViolationKind::Invalid,
                        format!("{field} in body must be of type {wanted}: {found:?}{remedy}"),
                    )
                });
            }
        }
    }

    fn object(&mut self, schema: &Value, object: &Map<String, Value>, field: &str) {
        let no_properties = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&no_properties);
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                self.violations.push(Violation::new(&member(field, name), ViolationKind::Required, ""));
            }
        }
        let values = schema.get("additionalProperties");
        for (name, value) in object {
            match (properties.get(name), values) {
                (Some(property), _) => self.node(property, value, &member(field, name)),
                (None, Some(values)) => self.node(values, value, &member(field, name)),
                (None, None) => {
                    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                    let detail = format!("fields known here: {}", known.join(", "));
                    self.violations.push(Violation::new(&member(field, name), ViolationKind::Unknown, detail));
                }
            }
        }
        if let Some(most) = schema["maxProperties"].as_u64()
            && object.len() as u64 > most
        {
            self.too_many(field, object.len(), format!("must have at most {most} entries"));
        }
    }

    fn array(&mut self, schema: &Value, items: &[Value], value: &Value, field: &str) {
        if let Some(most) = schema["maxItems"].as_u64()
            && items.len() as u64 > most
        {
            self.too_many(field, items.len(), format!("must have at most {most} items"));
            return;
        }
        if let Some(least) = schema["minItems"].as_u64()
            && (items.len() as u64) < least
        {
            self.invalid(field, value, format!("should have at least {least} items"));
        }
        for (index, item) in items.iter().enumerate() {
            self.node(&schema["items"], item, &format!("{field}[{index}]"));
        }
        self.map_keys(schema, items, field);
        if schema["x-kubernetes-list-type"] == "set" {
            self.set(items, field);
        }
    }

    fn set(&mut self, items: &[Value], field: &str) {
        for (index, item) in items.iter().enumerate().filter(|(index, item)| items[..*index].contains(item)) {
            let duplicate = Violation::new(&format!("{field}[{index}]"), ViolationKind::Duplicate, "");
            self.violations.push(duplicate.showing(item));
        }
    }

    fn map_keys(&mut self, schema: &Value, items: &[Value], field: &str) {
        let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() else {
            return;
        };
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let key: Map<String, Value> = keys
                .iter()
                .filter_map(Value::as_str)
                .filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())))
                .collect();
            let key = Value::Object(key).to_string();
            if seen.contains(&key) {
                let mut duplicate = Violation::new(&format!("{field}[{index}]"), ViolationKind::Duplicate, "");
                duplicate.value = Some(key);
                self.violations.push(duplicate);
            } else {
                seen.insert(key);
            }
        }
    }

    fn string(&mut self, schema: &Value, text: &str, value: &Value, field: &str) {
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            let detail = format!("supported values: {}", allowed.join(", "));
            self.report(field, ViolationKind::Unsupported, value, detail);
            return;
        }
        let length = text.chars().count() as u64;
        if let Some(most) = schema["maxLength"].as_u64()
            && length > most
        {
            let detail = format!("may not be more than {most} characters, has {length}");
            self.violations.push(Violation::new(field, ViolationKind::TooLong, detail));
            return;
        }
        if let Some(least) = schema["minLength"].as_u64()
            && length < least
        {
            self.invalid(field, value, format!("should be at least {least} chars long"));
            return;
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && self.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            self.invalid(field, value, format!("should match '{pattern}'"));
        }
        if schema["format"] == "date-time" && !(DATE_TIME.is_match(text) && text.parse::<Timestamp>().is_ok()) {
            let detail = "must be of type date-time: RFC 3339 with a time zone, e.g. 2026-12-01T09:00:00Z";
            self.invalid(field, value, detail.to_owned());
        }
    }

    fn integer(&mut self, schema: &Value, value: &Value, field: &str) {
        let Some(number) = value.as_f64() else { return };
        if let Some(least) = schema["minimum"].as_f64()
            && number < least
        {
            self.invalid(field, value, format!("should be greater than or equal to {least}"));
        }
        // A wider number than the field's type cannot be kept, whatever the bound.
        let widest = if schema["format"] == "int64" { i64::MAX as f64 } else { f64::from(i32::MAX) };
        let most = schema["maximum"].as_f64().unwrap_or(widest);
        if number > most {
            self.invalid(field, value, format!("should be less than or equal to {most}"));
        }
    }
}

fn member(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
