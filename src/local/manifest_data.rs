//! ConfigMaps and Secrets of a run: from documents, files and environment variables.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    str::FromStr,
    sync::LazyLock,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use regex::Regex;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::{Map, Value};

use super::manifest_fault::ManifestFault;
use crate::api::reference::{DATA_KEY, MAX_NAME, OBJECT_NAME};

/// What Kubernetes takes in one ConfigMap or Secret, all keys together.
pub const MAX_OBJECT_BYTES: usize = 1024 * 1024;
/// The longest token taken from a Secret's key; the longest seen are some 2 KiB (JWT).
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(DATA_KEY).ok());
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(OBJECT_NAME).ok());

fn fits(pattern: &Option<Regex>, text: &str) -> bool {
    text.len() <= MAX_NAME && pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// What one key of a ConfigMap or Secret holds. Both are treated as secret: one may be a token, the other people's ids.
pub enum Data {
    Inline(SecretSlice<u8>),
    /// Read when it is needed, and never as a whole.
    File(PathBuf),
}

/// Why a key does not hold a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("failed to read {file}: {source}")]
    Unreadable { file: String, source: io::Error },
    #[error("is empty")]
    Empty,
    #[error("is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("is not text in UTF-8")]
    NotText,
    #[error("holds a line break or another control character")]
    Control,
}

impl Data {
    /// Takes bytes into memory as a secret.
    pub fn inline(bytes: Vec<u8>) -> Data {
        Data::Inline(SecretSlice::from(bytes))
    }

    /// Reads from the beginning.
    ///
    /// # Errors
    /// The file cannot be opened any more.
    pub fn reader(&self) -> io::Result<Box<dyn BufRead + Send + '_>> {
        Ok(match self {
            Data::Inline(bytes) => Box::new(bytes.expose_secret()),
            Data::File(path) => Box::new(BufReader::new(File::open(path)?)),
        })
    }

    /// The file on disk, where it is one: what messages about its lines name.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Data::Inline(_) => None,
            Data::File(path) => Some(path),
        }
    }

    /// All of it as one line of text, without white space at the ends (files usually end in a line break).
    ///
    /// # Errors
    /// It is none: empty, too long, not UTF-8, with control characters, or unreadable.
    pub fn token(&self) -> Result<SecretString, TokenError> {
        let file = || self.path().map(|path| path.display().to_string()).unwrap_or_default();
        let unreadable = |source| TokenError::Unreadable { file: file(), source };
        let mut bytes = Vec::new();
        let reader = self.reader().map_err(unreadable)?;
        reader.take(MAX_TOKEN_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let text = String::from_utf8(bytes).map_err(|_| TokenError::NotText)?;
        let token = text.trim();
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        if token.chars().any(char::is_control) {
            return Err(TokenError::Control);
        }
        Ok(SecretString::from(token))
    }
}

/// A ConfigMap or Secret.
#[derive(Default)]
pub struct DataObject {
    keys: BTreeMap<String, Data>,
}

impl DataObject {
    /// What a key holds.
    pub fn get(&self, key: &str) -> Option<&Data> {
        self.keys.get(key)
    }

    /// The keys there are, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Adds a key; false where it is there already.
    pub(crate) fn add(&mut self, key: &str, data: Data) -> bool {
        if self.keys.contains_key(key) {
            return false;
        }
        self.keys.insert(key.to_owned(), data);
        true
    }

    /// Reads a ConfigMap document; faults are (field, what is wrong).
    pub(crate) fn config_map(document: &Map<String, Value>) -> Result<DataObject, Vec<(String, String)>> {
        let mut reading = Reading::new(document, &["data", "binaryData", "immutable"]);
        reading.texts(document, "data");
        reading.base64(document, "binaryData");
        reading.finish("--config-map NAME=FILE")
    }

    /// Reads a Secret document; `stringData` stands over `data`. Faults are (field, what is wrong), without values.
    pub(crate) fn secret(document: &Map<String, Value>) -> Result<DataObject, Vec<(String, String)>> {
        let mut reading = Reading::new(document, &["data", "stringData", "immutable", "type"]);
        reading.base64(document, "data");
        reading.texts(document, "stringData");
        reading.finish("--secret NAME/KEY=FILE")
    }
}

struct Reading {
    keys: BTreeMap<String, Vec<u8>>,
    faults: Vec<(String, String)>,
}

impl Reading {
    fn new(document: &Map<String, Value>, members: &[&str]) -> Reading {
        let mut faults = Vec::new();
        for name in document.keys() {
            if !["apiVersion", "kind", "metadata"].contains(&name.as_str()) && !members.contains(&name.as_str()) {
                faults.push((name.clone(), format!("Unknown field: fields known here: {}", members.join(", "))));
            }
        }
        Reading { keys: BTreeMap::new(), faults }
    }

    fn texts(&mut self, document: &Map<String, Value>, member: &str) {
        self.each(document, member, |text| Ok(text.as_bytes().to_vec()));
    }

    fn base64(&mut self, document: &Map<String, Value>, member: &str) {
        self.each(document, member, |text| {
            let compact: String = text.split_ascii_whitespace().collect();
            BASE64_STANDARD.decode(compact).map_err(|_| "Invalid value: not base64; plain text belongs into stringData")
        });
    }

    fn each(
        &mut self,
        document: &Map<String, Value>,
        member: &str,
        decode: impl Fn(&str) -> Result<Vec<u8>, &'static str>,
    ) {
        let entries = match document.get(member) {
            None | Some(Value::Null) => return,
            Some(Value::Object(entries)) => entries,
            Some(_) => {
                let wrong = "Invalid value: must be a map of keys to text".to_owned();
                return self.faults.push((member.to_owned(), wrong));
            }
        };
        for (key, value) in entries {
            let field = format!("{member}.{key}");
            if !fits(&KEY, key) {
                let wrong = "Invalid value: a key is 1 to 253 letters, digits, '-', '_' and '.'".to_owned();
                self.faults.push((field.clone(), wrong));
            }
            match value.as_str().map(&decode) {
                Some(Ok(bytes)) => {
                    self.keys.insert(key.clone(), bytes);
                }
                Some(Err(wrong)) => self.faults.push((field, wrong.to_owned())),
                None => self.faults.push((field, "Invalid value: must be text; put the value in quotes".to_owned())),
            }
        }
    }

    fn finish(mut self, flag: &str) -> Result<DataObject, Vec<(String, String)>> {
        let size: usize = self.keys.values().map(Vec::len).sum();
        if size > MAX_OBJECT_BYTES {
            let wrong = format!("Too long: may not be more than {MAX_OBJECT_BYTES} bytes, has {size}; use {flag}");
            self.faults.push(("data".to_owned(), wrong));
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        Ok(DataObject { keys: self.keys.into_iter().map(|(key, bytes)| (key, Data::inline(bytes))).collect() })
    }
}

/// What is wrong with a `--config-map` or `--secret` flag.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FlagError {
    #[error("must be NAME=FILE, e.g. people=people.csv")]
    ConfigMapForm,
    #[error("must be NAME/KEY=FILE or NAME/KEY=env:VARIABLE, e.g. acme-page/accessToken=env:PAGE_TOKEN")]
    SecretForm,
    #[error("{0:?} is no name of a Kubernetes object: lower-case letters, digits, '-' and '.'")]
    Name(String),
    #[error("{0:?} is no key: 1 to 253 letters, digits, '-', '_' and '.'; rename the file")]
    Key(String),
}

/// `--config-map NAME=FILE`: a key of a ConfigMap, named like the file. Good in every namespace; stands over documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMapFlag {
    pub name: String,
    /// The file's base name.
    pub key: String,
    pub file: PathBuf,
}

impl FromStr for ConfigMapFlag {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<ConfigMapFlag, FlagError> {
        let (name, file) = text.split_once('=').ok_or(FlagError::ConfigMapForm)?;
        let file = PathBuf::from(file);
        let key = file.file_name().ok_or(FlagError::ConfigMapForm)?.to_string_lossy().into_owned();
        if !fits(&NAME, name) {
            return Err(FlagError::Name(name.to_owned()));
        }
        if !fits(&KEY, &key) {
            return Err(FlagError::Key(key));
        }
        Ok(ConfigMapFlag { name: name.to_owned(), key, file })
    }
}

impl ConfigMapFlag {
    pub(crate) fn text(&self) -> String {
        format!("--config-map {}={}", self.name, self.file.display())
    }

    /// Looks at the file without reading it.
    pub(crate) fn load(&self) -> Result<Data, ManifestFault> {
        let fault = |message: String| ManifestFault::Flag { flag: self.text(), message };
        let unreadable =
            |error: io::Error| fault(format!("failed to read the file: {error}; check the path after the ="));
        // A plan may be read twice, which a pipe cannot; and opening one waits for who writes to it.
        if !fs::metadata(&self.file).map_err(unreadable)?.is_file() {
            return Err(fault("not a regular file; save it to one, since it may be read twice".to_owned()));
        }
        File::open(&self.file).map_err(unreadable)?;
        Ok(Data::File(self.file.clone()))
    }
}

/// Where a flag takes a Secret's value from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    File(PathBuf),
    /// The name of an environment variable.
    Variable(String),
}

/// `--secret NAME/KEY=FILE|env:VAR`: one key of a Secret. Good in every namespace; stands over documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFlag {
    pub name: String,
    pub key: String,
    pub from: SecretFrom,
}

impl FromStr for SecretFlag {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<SecretFlag, FlagError> {
        let (target, from) = text.split_once('=').ok_or(FlagError::SecretForm)?;
        let (name, key) = target.split_once('/').ok_or(FlagError::SecretForm)?;
        if !fits(&NAME, name) {
            return Err(FlagError::Name(name.to_owned()));
        }
        if !fits(&KEY, key) {
            return Err(FlagError::Key(key.to_owned()));
        }
        let from = match from.strip_prefix("env:") {
            Some("") => return Err(FlagError::SecretForm),
            Some(variable) => SecretFrom::Variable(variable.to_owned()),
            None if from.is_empty() => return Err(FlagError::SecretForm),
            None => SecretFrom::File(PathBuf::from(from)),
        };
        Ok(SecretFlag { name: name.to_owned(), key: key.to_owned(), from })
    }
}

impl SecretFlag {
    pub(crate) fn text(&self) -> String {
        let from = match &self.from {
            SecretFrom::File(path) => path.display().to_string(),
            SecretFrom::Variable(variable) => format!("env:{variable}"),
        };
        format!("--secret {}/{}={from}", self.name, self.key)
    }

    /// Reads what fits a Secret into memory, so that a pipe works too; a larger regular file stays a file.
    pub(crate) fn load(&self) -> Result<Data, ManifestFault> {
        let fault = |message: String| ManifestFault::Flag { flag: self.text(), message };
        let path = match &self.from {
            SecretFrom::Variable(variable) => {
                return match std::env::var(variable) {
                    Ok(value) => Ok(Data::inline(value.into_bytes())),
                    Err(std::env::VarError::NotPresent) => {
                        Err(fault(format!("environment variable {variable} is not set; export it, or name a file")))
                    }
                    Err(std::env::VarError::NotUnicode(_)) => {
                        Err(fault(format!("environment variable {variable} is not valid UTF-8")))
                    }
                };
            }
            SecretFrom::File(path) => path,
        };
        let unreadable =
            |error: io::Error| fault(format!("failed to read the file: {error}; check the path after the ="));
        let opened = File::open(path).map_err(unreadable)?;
        let regular = opened.metadata().map_err(unreadable)?.is_file();
        let mut bytes = Vec::new();
        opened.take(MAX_OBJECT_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        match bytes.len() > MAX_OBJECT_BYTES {
            false => Ok(Data::inline(bytes)),
            true if regular => Ok(Data::File(path.clone())),
            true => Err(fault(format!("longer than {MAX_OBJECT_BYTES} bytes and not a regular file; save it to one"))),
        }
    }
}

/// The keys of an object, for messages.
pub(crate) fn known_keys(object: &DataObject) -> String {
    let keys: Vec<&str> = object.keys().collect();
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}
