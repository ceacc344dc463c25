//! Where files named by a broadcast come from: the documents and flags of `herald run`, the mounts of a sender pod.

use std::fmt;
use std::io::{self, Read};

/// The kind of object that holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MaterialKind {
    ConfigMap,
    Secret,
}

impl fmt::Display for MaterialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MaterialKind::ConfigMap => "ConfigMap",
            MaterialKind::Secret => "Secret",
        })
    }
}

/// Gives the bytes behind a reference to a key of a ConfigMap or Secret.
pub trait Materials: Send + Sync {
    /// Opens the value of `key` for one reading from its start. Opening twice gives the same bytes unless the user
    /// changed them in between. Reads may block.
    fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError>;

    /// The keys that a ConfigMap or Secret has, in any order.
    fn keys(&self, kind: MaterialKind, name: &str) -> Result<Vec<String>, MaterialError>;

    /// How messages name the value of `key`: the path of a file where the user gave one.
    fn title(&self, _kind: MaterialKind, name: &str, key: &str) -> String {
        format!("{name}/{key}")
    }
}

/// Why a reference leads nowhere. The remedy is the implementor's to name: a flag here, a mount there.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    #[error("there is no {kind} \"{name}\" with a key \"{key}\"; {remedy}")]
    NotFound { kind: MaterialKind, name: String, key: String, remedy: String },
    #[error("the {kind} \"{name}\" has no key \"{key}\"; {remedy}")]
    KeyNotFound { kind: MaterialKind, name: String, key: String, remedy: String },
    #[error("failed to read key \"{key}\" of the {kind} \"{name}\": {source}")]
    Unreadable { kind: MaterialKind, name: String, key: String, source: io::Error },
}
