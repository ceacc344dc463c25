//! The verdict of an API server, without one: a document is checked against the definitions themselves.
//!
//! The order is the server's: unknown fields, defaults, structure, and only for a sound structure the CEL rules. What
//! this refuses, `kubectl apply` (with its strict field validation) refuses too, and the other way round.

use kube::core::cel::{CompiledSchema, ErrorKind, ValidationError, Validator, compile_schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    API_VERSION, crds, metadata,
    structure::Structure,
    violation::{MAX_VIOLATIONS, Violation, ViolationKind, Violations},
};

/// Checks documents of the three kinds. Made once, used for many.
pub struct Admission {
    kinds: Vec<KindRules>,
    validator: Validator,
}

struct KindRules {
    kind: String,
    structure: Structure,
    rules: CompiledSchema,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission::new()
    }
}

impl Admission {
    /// Compiles the definitions.
    pub fn new() -> Admission {
        let mut kinds = Vec::new();
        for crd in crds() {
            let schema = crd.spec.versions.into_iter().find_map(|version| version.schema?.open_api_v3_schema);
            let Some(schema) = schema.and_then(|schema| serde_json::to_value(schema).ok()) else {
                continue;
            };
            let structure = Structure::new(schema);
            let rules = compile_schema(structure.schema());
            kinds.push(KindRules { kind: crd.spec.names.kind, structure, rules });
        }
        Admission { kinds, validator: Validator::new() }
    }

    /// The kinds that can be checked.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|rules| rules.kind.as_str())
    }

    /// The verdict on a new document: the document as the server would store it, with defaults and without `status`.
    ///
    /// # Errors
    /// All violations, each with its field and what is allowed there.
    pub fn create(&self, document: &Value) -> Result<Value, Violations> {
        self.admit(document, None)
    }

    /// The verdict on a change of `old` (as stored, with its status) into `new`: like [`Admission::create`], and the
    /// rules that compare both. `status` stays as in `old`, as it does for every writer but Herald.
    ///
    /// # Errors
    /// All violations, each with its field and what is allowed there.
    pub fn update(&self, old: &Value, new: &Value) -> Result<Value, Violations> {
        self.admit(new, Some(old))
    }

    /// [`Admission::create`] into the type of the kind.
    ///
    /// # Errors
    /// All violations.
    pub fn create_typed<T: DeserializeOwned>(&self, document: &Value) -> Result<T, Violations> {
        let admitted = self.create(document)?;
        // The schema is made from the type; what it lets through and the type does not is named all the same.
        serde_json::from_value(admitted)
            .map_err(|error| Violations(vec![Violation::new("spec", ViolationKind::Invalid, error.to_string())]))
    }

    fn admit(&self, document: &Value, old: Option<&Value>) -> Result<Value, Violations> {
        let refused = |violations: Vec<Violation>| Err(Violations(bounded(violations)));
        let Some(object) = document.as_object() else {
            return refused(vec![Violation::new("", ViolationKind::Invalid, "a document must be an object")]);
        };
        let rules = match self.rules(object) {
            Ok(rules) => rules,
            Err(violation) => return refused(vec![violation]),
        };
        let mut document = document.clone();
        rules.structure.default(&mut document);
        let Some(object) = document.as_object_mut() else {
            return Ok(document);
        };
        let mut violations = metadata::check(object);
        // A writer's status is thrown away, so only what would not decode at all counts in it.
        let counts =
            |violation: &Violation| violation.kind == ViolationKind::Unknown || !violation.field.starts_with("status");
        violations.extend(rules.structure.check(object).into_iter().filter(counts));
        violations.extend(old.and_then(|old| renamed(old, object)));
        if !violations.is_empty() {
            return refused(violations);
        }
        object.remove("status");
        if let Some(status) = old.and_then(|old| old.get("status")) {
            object.insert("status".to_owned(), status.clone());
        }
        if let Err(errors) = self.validator.validate_compiled(&rules.rules, &document, old) {
            return refused(errors.into_iter().map(|error| rule_violation(error, &document)).collect());
        }
        Ok(document)
    }

    fn rules(&self, document: &Map<String, Value>) -> Result<&KindRules, Violation> {
        let text = |member: &str| document.get(member).and_then(Value::as_str).unwrap_or_default();
        let unsupported = |member: &str, supported: String| {
            let found = document.get(member).cloned().unwrap_or(Value::Null);
            let detail = format!("supported values: {supported}");
            Violation::new(member, ViolationKind::Unsupported, detail).showing(&found)
        };
        if text("apiVersion") != API_VERSION {
            return Err(unsupported("apiVersion", format!("{API_VERSION:?}")));
        }
        self.kinds.iter().find(|rules| rules.kind == text("kind")).ok_or_else(|| {
            unsupported("kind", self.kinds().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", "))
        })
    }
}

fn bounded(mut violations: Vec<Violation>) -> Vec<Violation> {
    violations.truncate(MAX_VIOLATIONS);
    violations
}

fn renamed(old: &Value, new: &Map<String, Value>) -> Option<Violation> {
    let name = new.get("metadata")?.get("name")?;
    (old.pointer("/metadata/name") != Some(name))
        .then(|| Violation::new("metadata.name", ViolationKind::Invalid, "field is immutable").showing(name))
}

fn rule_violation(error: ValidationError, document: &Value) -> Violation {
    let field = error.field_path.trim_start_matches('.').to_owned();
    let kind = match (&error.kind, error.reason.as_deref()) {
        (ErrorKind::ValidationFailure, Some("FieldValueRequired")) => ViolationKind::Required,
        (ErrorKind::ValidationFailure, Some("FieldValueForbidden")) => ViolationKind::Forbidden,
        (ErrorKind::ValidationFailure, Some("FieldValueDuplicate")) => ViolationKind::Duplicate,
        _ => ViolationKind::Invalid,
    };
    let violation = Violation::new(&field, kind, error.message);
    match find(document, &field) {
        Some(value) if kind == ViolationKind::Invalid => violation.showing(value),
        _ => violation,
    }
}

/// The value at a path as rules write it: names joined by `.`, places of a list as `[n]`.
fn find<'a>(document: &'a Value, field: &str) -> Option<&'a Value> {
    let mut value = document;
    for step in field.split(['.', '[']) {
        value = match step.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?)?,
            None => value.get(step)?,
        };
    }
    Some(value)
}
