//! What keeps a run from beginning: where, what, and what to do about it.

use std::fmt;

/// The most faults reported at once; the first ones are what a person mends first.
pub const MAX_FAULTS: usize = 50;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was given, or `standard input`.
    pub file: String,
    /// Counted from 1; 0 where only the file is known.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// One fault of a manifest. No variant holds a value of a Secret or an id of a recipient.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFault {
    #[error("failed to read {file}: {source}; check the path after -f")]
    Unreadable { file: String, source: std::io::Error },
    #[error(
        "{file}: larger than {limit} bytes; keep large audiences in a file of their own and name it with --config-map NAME=FILE"
    )]
    TooLarge { file: String, limit: u64 },
    #[error("{place}: not valid UTF-8; save the file as UTF-8")]
    NotUtf8 { place: Place },
    #[error("{place}: not valid YAML: {message}")]
    Yaml { place: Place, message: String },
    #[error("{place}: {found}; a run takes documents of kind BroadcastMessage, MessageChannel, Secret and ConfigMap")]
    UnknownKind { place: Place, found: String },
    #[error("{place}: {object}: {violation}")]
    Refused { place: Place, object: String, violation: String },
    #[error("{place}: {object} is already defined at {first}; remove one of the two or give it another name")]
    Twice { place: Place, object: String, first: Place },
    #[error("{place}: {user}: {field}: {problem}")]
    Unresolved { place: Place, user: String, field: String, problem: String },
    #[error("{flag}: {message}")]
    Flag { flag: String, message: String },
    #[error("{files}: no document of kind BroadcastMessage; there is nothing to send")]
    NoBroadcast { files: String },
}

/// All faults found, at least one, at most [`MAX_FAULTS`], one per line.
#[derive(Debug)]
pub struct ManifestFaults(pub Vec<ManifestFault>);

impl fmt::Display for ManifestFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestFaults {}
