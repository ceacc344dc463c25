//! Every bound of every field of a spec, taken from the definitions: at the bound accepted, beyond it refused at exactly
//! that field; every type, every required member, and unknown members everywhere.

use herald::api::crds;
use serde_json::{Map, Value, json};

use super::samples::{all, create, with};

/// One field of a sample: where it is and what the schema says of it.
struct Field {
    document: Value,
    pointer: String,
    path: String,
    schema: Value,
}

impl Field {
    fn put(&self, value: Value) -> Vec<String> {
        create(&with(self.document.clone(), &self.pointer, value))
    }

    fn accepts_any(&self, bound: &str, values: &[Value]) {
        let verdicts: Vec<_> = values.iter().map(|value| self.put(value.clone())).collect();
        assert!(verdicts.iter().any(Vec::is_empty), "{} at its {bound}: {verdicts:?}", self.path);
    }

    fn refuses(&self, bound: &str, value: Value, expected: &str) {
        let verdict = self.put(value);
        let begin = format!("{}: {expected}", self.path);
        assert!(!verdict.is_empty(), "{} beyond its {bound} was accepted", self.path);
        assert!(verdict.iter().all(|line| line.starts_with(&begin)), "{} beyond its {bound}: {verdict:?}", self.path);
    }
}

fn fields() -> Vec<Field> {
    let mut fields = Vec::new();
    for document in all() {
        assert_eq!(create(&document), Vec::<String>::new());
        let crd = crds().into_iter().find(|crd| document["kind"] == crd.spec.names.kind.as_str()).unwrap();
        let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        let schema = serde_json::to_value(schema).unwrap()["properties"]["spec"].clone();
        collect(&document, "/spec".to_owned(), "spec".to_owned(), &schema, &mut fields);
    }
    fields
}

fn collect(document: &Value, pointer: String, path: String, schema: &Value, fields: &mut Vec<Field>) {
    let value = document.pointer(&pointer).unwrap();
    match value {
        Value::Object(object) => {
            for name in object.keys() {
                let member = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                collect(document, format!("{pointer}/{name}"), format!("{path}.{name}"), member, fields);
            }
        }
        Value::Array(items) => {
            for index in 0..items.len() {
                collect(document, format!("{pointer}/{index}"), format!("{path}[{index}]"), &schema["items"], fields);
            }
        }
        _ => {}
    }
    fields.push(Field { document: document.clone(), pointer, path, schema: schema.clone() });
}

#[test]
fn the_samples_use_every_field_of_every_spec() {
    let any_item = |path: &str| (0..6).fold(path.to_owned(), |path, index| path.replace(&format!("[{index}]"), "[]"));
    let used: Vec<String> = fields().iter().map(|field| any_item(&field.path)).collect();
    for crd in crds() {
        let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        let mut missing = Vec::new();
        unused(&serde_json::to_value(schema).unwrap()["properties"]["spec"], "spec", &used, &mut missing);
        assert!(missing.is_empty(), "{}: {missing:?}", crd.spec.names.kind);
    }
}

fn unused(schema: &Value, path: &str, used: &[String], missing: &mut Vec<String>) {
    if !used.iter().any(|known| known == path) {
        missing.push(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        unused(property, &format!("{path}.{name}"), used, missing);
    }
    if let Some(items) = schema.get("items") {
        unused(items, &format!("{path}[]"), used, missing);
    }
}

#[test]
fn a_string_is_taken_up_to_its_length_and_refused_beyond_it() {
    let mut checked = 0;
    for field in fields() {
        let Some(most) = field.schema["maxLength"].as_u64() else {
            continue;
        };
        let most = most as usize;
        let value = field.document.pointer(&field.pointer).unwrap().as_str().unwrap().to_owned();
        let padding = most - value.chars().count();
        let first = value.chars().next().unwrap().to_string();
        let last = value.chars().last().unwrap().to_string();
        field.accepts_any(
            "maxLength",
            &[json!(first.repeat(padding) + &value), json!(value.clone() + &last.repeat(padding)), json!("v125.10")],
        );
        field.refuses("maxLength", json!("1".repeat(most + 1)), "Too long: may not be more than");
        if field.schema.get("minLength").is_some() {
            field.refuses("minLength", json!(""), "Invalid value: ");
        }
        if field.schema.get("pattern").is_some() {
            field.refuses("pattern", json!("\n"), "Invalid value");
        }
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn a_number_is_taken_from_its_minimum_to_its_maximum() {
    let mut checked = 0;
    for field in fields().iter().filter(|field| field.schema["type"] == "integer") {
        let least =
            field.schema["minimum"].as_i64().or(field.schema["minimum"].as_f64().map(|least| least as i64)).unwrap();
        field.accepts_any("minimum", &[json!(least)]);
        field.refuses("minimum", json!(least - 1), &format!("Invalid value: {}", least - 1));
        if let Some(most) = field.schema["maximum"].as_f64().map(|most| most as i64) {
            field.accepts_any("maximum", &[json!(most)]);
            field.refuses("maximum", json!(most + 1), &format!("Invalid value: {}", most + 1));
        }
        field.refuses("type", json!(1.5), "Invalid value: \"number\"");
        checked += 1;
    }
    assert!(checked > 8, "{checked}");
}

#[test]
fn a_list_or_map_is_taken_up_to_its_bound_and_refused_beyond_it() {
    let mut checked = 0;
    for field in fields() {
        if let Some(most) = field.schema["maxItems"].as_u64() {
            let item = field.document.pointer(&format!("{}/0", field.pointer)).unwrap();
            let words = field.schema["items"]["enum"].as_array();
            let key = field.schema["x-kubernetes-list-map-keys"][0].as_str().unwrap_or("name");
            let list = |count: u64| {
                (0..count)
                    .map(|index| {
                        if let Some(words) = words {
                            // Where each may stand once, there are as many as may stand there.
                            words[index as usize % words.len()].clone()
                        } else if item.get(key).is_some() {
                            with(item.clone(), &format!("/{key}"), json!(format!("n{index}")))
                        } else if field.schema["x-kubernetes-list-type"] == "set" {
                            json!(format!("n{index}"))
                        } else {
                            item.clone()
                        }
                    })
                    .collect::<Vec<_>>()
            };
            field.accepts_any("maxItems", &[json!(list(most))]);
            field.refuses(
                "maxItems",
                json!(list(most + 1)),
                &format!("Too many: {}: must have at most {most} items", most + 1),
            );
            checked += 1;
        }
        if let Some(most) = field.schema["maxProperties"].as_u64() {
            let map = |count: u64| (0..count).map(|index| (format!("v{index}"), json!("x"))).collect::<Map<_, _>>();
            field.accepts_any("maxProperties", &[json!(map(most))]);
            field.refuses(
                "maxProperties",
                json!(map(most + 1)),
                &format!("Too many: {}: must have at most {most} entries", most + 1),
            );
            checked += 1;
        }
    }
    assert!(checked >= 6, "{checked}");
}

#[test]
fn a_value_of_another_type_is_refused_and_null_counts_as_absent() {
    for field in fields() {
        let (wanted, other) = match field.schema["type"].as_str().unwrap() {
            "string" => ("string", json!(5)),
            wanted => (wanted, json!("five")),
        };
        field.refuses("type", other, "Invalid value: ");
        // `with` removes on null, so null is put in by hand.
        let mut document = field.document.clone();
        *document.pointer_mut(&field.pointer).unwrap() = Value::Null;
        let verdict = create(&document);
        if field.path.ends_with(']') {
            let expected =
                format!("{}: Invalid value: \"null\": {} in body must be of type {wanted}", field.path, field.path);
            assert!(verdict[0].starts_with(&expected), "{verdict:?}");
        } else {
            assert_eq!(verdict, create(&with(field.document.clone(), &field.pointer, Value::Null)), "{}", field.path);
        }
    }
}

#[test]
fn an_unknown_member_is_refused_wherever_it_stands() {
    for field in fields().iter().filter(|field| field.schema.get("properties").is_some()) {
        let document = with(field.document.clone(), &format!("{}/colour", field.pointer), json!("blue"));
        let verdict = create(&document);
        assert_eq!(verdict.len(), 1, "{verdict:?}");
        assert!(
            verdict[0].starts_with(&format!("{}.colour: Unknown field: fields known here: ", field.path)),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_missing_required_member_is_named() {
    for field in fields() {
        for name in field.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let document = with(field.document.clone(), &format!("{}/{name}", field.pointer), Value::Null);
            assert_eq!(create(&document), [format!("{}.{name}: Required value", field.path)]);
        }
    }
}
