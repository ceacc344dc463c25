//! YAML documents with the line of every field.

use std::{collections::BTreeMap, fmt, io::Read, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::manifest_fault::{ManifestFault, Place};

/// The largest file taken as YAML: far above what an API server takes in one request (3 MiB), and small in memory.
pub const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// The most documents of one file.
const MAX_DOCUMENTS: usize = 1_000;
/// The most nodes of one file: a dozen broadcasts with full inline lists fit, and their lines take some 100 MiB.
const MAX_NODES: usize = 1_000_000;

/// A file of documents. No `Debug`: the text may hold Secrets.
pub enum ManifestInput {
    /// Read when the manifest is loaded.
    File(PathBuf),
    /// The text of standard input, read by the caller.
    Stdin(String),
}

impl ManifestInput {
    /// How messages name it.
    pub fn name(&self) -> String {
        match self {
            ManifestInput::File(path) => path.display().to_string(),
            ManifestInput::Stdin(_) => "standard input".to_owned(),
        }
    }

    fn read(&self) -> Result<String, ManifestFault> {
        let file = self.name();
        let bytes = match self {
            ManifestInput::Stdin(text) => text.clone().into_bytes(),
            ManifestInput::File(path) => {
                let unreadable = |source| ManifestFault::Unreadable { file: file.clone(), source };
                let mut bytes = Vec::new();
                let opened = std::fs::File::open(path).map_err(unreadable)?;
                opened.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
                bytes
            }
        };
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(ManifestFault::TooLarge { file, limit: MAX_MANIFEST_BYTES });
        }
        String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count() as u64;
            ManifestFault::NotUtf8 { place: Place { file, line } }
        })
    }
}

/// One document: its data as JSON, and where each field stands.
pub(crate) struct RawDocument {
    pub(crate) value: Value,
    pub(crate) lines: FieldLines,
}

/// Where a document and each of its fields stands.
#[derive(Clone)]
pub struct FieldLines {
    /// Where the document begins.
    pub place: Place,
    lines: BTreeMap<String, u64>,
}

impl FieldLines {
    /// Where a field stands, or the nearest member around it that is there.
    pub fn of(&self, field: &str) -> Place {
        let mut field = field;
        loop {
            if let Some(line) = self.lines.get(field) {
                return Place { file: self.place.file.clone(), line: *line };
            }
            match field.rfind(['.', '[']) {
                Some(end) => field = &field[..end],
                None => return self.place.clone(),
            }
        }
    }
}

impl RawDocument {
    /// The text of a member of the root; empty where it is absent or no text.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.value.get(member).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Reads all documents of one file; empty ones are left out.
pub(crate) fn documents(input: &ManifestInput) -> Result<Vec<RawDocument>, ManifestFault> {
    let text = input.read()?;
    let file = input.name();
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_documents: MAX_DOCUMENTS, max_nodes: MAX_NODES, max_events: 2 * MAX_NODES },
        // A snippet would show what stands around the fault, and that may be a Secret.
        with_snippet: false,
    };
    let nodes: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(&text, options).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        ManifestFault::Yaml { place: Place { file: file.clone(), line }, message: without_place(&error) }
    })?;
    Ok(nodes
        .into_iter()
        .map(|node| {
            let mut lines = BTreeMap::new();
            let line = node.referenced.line();
            let value = plain(node, "", &mut lines);
            RawDocument { value, lines: FieldLines { place: Place { file: file.clone(), line }, lines } }
        })
        .collect())
}

/// The message of a YAML error, less the place at its end: it is told in front.
fn without_place(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().render();
    match text.find(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// YAML data as it was written. No `Debug`: it may be a Secret.
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list, text, a number or a boolean")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value)
            .map(|number| Node::Scalar(Value::Number(number)))
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = members.next_key()? {
            map.push((key, members.next_value()?));
        }
        Ok(Node::Map(map))
    }
}

fn plain(node: Spanned<Node>, path: &str, lines: &mut BTreeMap<String, u64>) -> Value {
    match node.value {
        Node::Scalar(value) => value,
        Node::List(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let path = format!("{path}[{index}]");
                    lines.insert(path.clone(), item.referenced.line());
                    plain(item, &path, lines)
                })
                .collect(),
        ),
        Node::Map(members) => {
            let mut map = Map::new();
            for (key, member) in members {
                let path = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                lines.insert(path.clone(), key.referenced.line());
                let value = plain(member, &path, lines);
                map.insert(key.value, value);
            }
            Value::Object(map)
        }
    }
}
