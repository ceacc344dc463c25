//! What is wrong with a document, in the words of an API server.

use std::fmt;

/// The most violations reported of one document; a broken list would fill the screen otherwise.
pub const MAX_VIOLATIONS: usize = 50;
/// The longest value shown, in characters.
const MAX_SHOWN: usize = 100;
/// Values below these that end so are never shown: ids of people, what may be a secret somebody wrote in the wrong place, and
/// URLs with a token in them.
const NEVER_SHOWN: [(&str, &str); 3] = [(".recipients[", ""), (".headers[", ""), (".notifications[", ".url")];

/// The class of a violation; its text is the API server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    Required,
    Invalid,
    Unsupported,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    Unknown,
}

impl ViolationKind {
    fn text(self) -> &'static str {
        match self {
            ViolationKind::Required => "Required value",
            ViolationKind::Invalid => "Invalid value",
            ViolationKind::Unsupported => "Unsupported value",
            ViolationKind::Duplicate => "Duplicate value",
            ViolationKind::Forbidden => "Forbidden",
            ViolationKind::TooLong => "Too long",
            ViolationKind::TooMany => "Too many",
            ViolationKind::Unknown => "Unknown field",
        }
    }
}

/// One violation: where, which class, what stands there, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, e.g. `spec.audience.sources[0].name`.
    pub field: String,
    pub kind: ViolationKind,
    /// What stands there, as far as it may be shown.
    pub value: Option<String>,
    /// What is allowed, and what to do; may be empty.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(field: &str, kind: ViolationKind, detail: impl Into<String>) -> Violation {
        Violation { field: field.to_owned(), kind, value: None, detail: detail.into() }
    }

    /// Adds what stands there, unless it is personal or may be secret.
    pub(crate) fn showing(mut self, value: &serde_json::Value) -> Violation {
        let shown = match value {
            serde_json::Value::Object(_) => "\"object\"".to_owned(),
            serde_json::Value::Array(_) => "\"array\"".to_owned(),
            _ if is_never_shown(&self.field) => return self,
            serde_json::Value::String(text) => match text.char_indices().nth(MAX_SHOWN) {
                Some((end, _)) => format!("{:?}…", &text[..end]),
                None => format!("{text:?}"),
            },
            other => other.to_string(),
        };
        self.value = Some(shown);
        self
    }
}

fn is_never_shown(field: &str) -> bool {
    NEVER_SHOWN.iter().any(|(below, end)| field.contains(below) && field.ends_with(end))
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.kind.text())?;
        if let Some(value) = &self.value {
            write!(f, ": {value}")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// All violations of one document, at least one, at most [`MAX_VIOLATIONS`], in the order of the document's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
