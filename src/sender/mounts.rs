//! What a sender pod finds in its folders: the channel's Secret, the files of the audience, and room for the journal.
//!
//! The kubelet mounts a Secret or ConfigMap as a folder of links into a hidden one (`..data`), which it exchanges as a
//! whole; files are therefore opened by the name of their key and nothing else in the folder is looked at. What is
//! missing or empty in the cluster is an empty folder here, since everything is mounted as optional.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use secrecy::SecretString;

use super::assembly::{ChannelError, Credentials};
use super::token;
use crate::api::mount;
use crate::audience::{MaterialError, MaterialKind, Materials};

/// The journal's name in its folder.
const JOURNAL_FILE: &str = "flights";

/// As much as a Secret may hold.
const MAX_SECRET_BYTES: u64 = 1024 * 1024;

/// So many keys of a Secret are named: who has misspelt one finds it among them.
const MAX_KEYS_SHOWN: usize = 10;

type MaterialFolder = dyn Fn(MaterialKind, &str) -> PathBuf + Send + Sync;

/// Where everything is.
#[derive(Clone)]
pub struct Folders {
    pub token_file: PathBuf,
    pub credentials: PathBuf,
    pub journal: PathBuf,
    /// By kind and name of the object.
    pub materials: Arc<MaterialFolder>,
    /// Where in the cluster what is mounted stands, for messages: a placeholder until the first brief says.
    pub namespace: Arc<str>,
}

impl Folders {
    /// Those of a pod, see [`mount`]; its root is `/` in the pod itself.
    pub fn of_pod(root: &Path) -> Folders {
        let root = root.to_owned();
        let within = |path: &str| root.join(path.trim_start_matches('/'));
        Folders {
            namespace: "NAMESPACE".into(),
            token_file: within(mount::TOKEN_FILE),
            credentials: within(mount::CREDENTIALS_FOLDER),
            journal: within(mount::JOURNAL_FOLDER),
            materials: Arc::new(move |kind, name| {
                let folder = match kind {
                    MaterialKind::ConfigMap => mount::config_map_folder(name),
                    MaterialKind::Secret => mount::secret_folder(name),
                };
                root.join(folder.trim_start_matches('/'))
            }),
        }
    }

    pub fn journal_file(&self) -> PathBuf {
        self.journal.join(JOURNAL_FILE)
    }
}

/// Why a channel cannot be used from this pod. Never holds a value of the Secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error(
        "the channel needs the key `{key}` of a Secret and names none; set `spec.credentialsSecretRef` of the MessageChannel"
    )]
    NotNamed { key: String },
    #[error(
        "there is no Secret `{secret}` in the namespace {namespace}, or it is empty; make it with the key `{key}`: kubectl create secret generic {secret} --from-file={key}=FILE -n {namespace}; or, where it is there: kubectl edit secret {secret} -n {namespace}. Senders look again by themselves"
    )]
    SecretNotFound { secret: String, key: String, namespace: String },
    #[error(
        "the Secret `{secret}` has no key `{key}`, but {there}; add or rename it: kubectl edit secret {secret} -n {namespace}. Senders look again by themselves"
    )]
    KeyNotFound { secret: String, key: String, namespace: String, there: String },
    #[error(
        "the Secret `{secret}` has no key `{key}`, or is not in the namespace {namespace}; see which keys it has: kubectl describe secret {secret} -n {namespace}; add it: kubectl edit secret {secret} -n {namespace}; or, where there is none, make it: kubectl create secret generic {secret} --from-file={key}=FILE -n {namespace}. It is looked for again by itself"
    )]
    KeyNotMounted { secret: String, key: String, namespace: String },
    #[error(
        "the key `{key}` of the Secret `{secret}` {problem}; let it hold the token alone, as one line. Senders look again by themselves"
    )]
    KeyUnusable { secret: String, key: String, problem: String },
    #[error("the MessageChannel cannot be used: {0}")]
    Channel(ChannelError),
}

impl CredentialsError {
    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            CredentialsError::NotNamed { .. } | CredentialsError::SecretNotFound { .. } => "SecretNotFound",
            CredentialsError::KeyNotFound { .. } | CredentialsError::KeyNotMounted { .. } => "SecretKeyNotFound",
            CredentialsError::KeyUnusable { .. } => "SecretKeyUnusable",
            CredentialsError::Channel(_) => "ChannelInvalid",
        }
    }
}

/// What is mounted, told apart by its content. It is no secret itself, and never leaves the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of the keys in a folder, with their values.
    pub fn of(folder: &Path) -> Fingerprint {
        let mut keys: Vec<_> = std::fs::read_dir(folder)
            .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
            .unwrap_or_default();
        keys.retain(|key| !key.as_encoded_bytes().starts_with(b".."));
        keys.sort();
        let mut context = Context::new(&SHA256);
        for key in keys {
            let mut value = Vec::new();
            if let Ok(file) = File::open(folder.join(&key)) {
                // What breaks off is told by what there is of it.
                let _ = file.take(MAX_SECRET_BYTES).read_to_end(&mut value);
            }
            for part in [key.as_encoded_bytes(), &value] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Fingerprint(digest)
    }
}

/// The channel's Secret as it is mounted.
pub struct MountedCredentials<'a> {
    pub folder: &'a Path,
    /// Its name, where the channel names one.
    pub secret: Option<&'a str>,
    /// Every key of it is mounted. Else only those that are asked for are, so nobody knows here whether there are others.
    pub is_whole: bool,
    /// For messages.
    pub namespace: &'a str,
}

impl MountedCredentials<'_> {
    /// What is wrong, in the words of a cluster.
    pub fn explain(&self, error: ChannelError) -> CredentialsError {
        let Some(secret) = self.secret.map(str::to_owned) else {
            return match error {
                ChannelError::MissingKey { key } => CredentialsError::NotNamed { key },
                other => CredentialsError::Channel(other),
            };
        };
        let namespace = self.namespace.to_owned();
        match error {
            ChannelError::MissingKey { key } if !self.is_whole => {
                CredentialsError::KeyNotMounted { secret, key, namespace }
            }
            ChannelError::MissingKey { key } if is_empty(self.folder) => {
                CredentialsError::SecretNotFound { secret, key, namespace }
            }
            ChannelError::MissingKey { key } => {
                CredentialsError::KeyNotFound { secret, key, namespace, there: shown(keys_in(self.folder)) }
            }
            ChannelError::UnusableKey { key, problem } => CredentialsError::KeyUnusable { secret, key, problem },
            other => CredentialsError::Channel(other),
        }
    }
}

impl Credentials for MountedCredentials<'_> {
    fn get(&self, key: &str) -> Result<Option<SecretString>, String> {
        match open(self.folder, key) {
            Ok(file) => token::read(file).map(Some).map_err(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    }
}

/// The ConfigMaps and Secrets of an audience as they are mounted.
pub struct MountedMaterials(pub Folders);

impl Materials for MountedMaterials {
    fn keys(&self, kind: MaterialKind, name: &str) -> Result<Vec<String>, MaterialError> {
        let unreadable =
            |source| MaterialError::Unreadable { kind, name: name.to_owned(), key: "*".to_owned(), source };
        let entries = match std::fs::read_dir((self.0.materials)(kind, name)) {
            Ok(entries) => entries,
            // What is missing is told by who opens a key that there must be.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let key = entry.map_err(unreadable)?.file_name().into_string();
            // A key is ASCII; the links of the kubelet are none.
            keys.extend(key.ok().filter(|key| !key.starts_with("..")));
        }
        Ok(keys)
    }

    fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        let folder = (self.0.materials)(kind, name);
        let error = match open(&folder, key) {
            Ok(file) => return Ok(Box::new(BufReader::new(file))),
            Err(error) => error,
        };
        let (name, key, namespace) = (name.to_owned(), key.to_owned(), &self.0.namespace);
        let (described, made) = match kind {
            MaterialKind::ConfigMap => ("configmap", "configmap"),
            MaterialKind::Secret => ("secret", "secret generic"),
        };
        // Of most objects only the keys that are asked for are mounted, so nobody knows here which others there are.
        let look = format!("see which keys it has: kubectl describe {described} {name} -n {namespace}");
        Err(match error.kind() {
            ErrorKind::NotFound if is_empty(&folder) => {
                let make = format!("kubectl create {made} {name} --from-file={key} -n {namespace}");
                let remedy =
                    format!("{look}; or, where there is none, make it: {make}. Senders look again by themselves");
                MaterialError::NotFound { kind, name, key, remedy }
            }
            ErrorKind::NotFound => {
                let remedy = format!("{look}. Senders look again by themselves");
                MaterialError::KeyNotFound { kind, name, key, remedy }
            }
            _ => MaterialError::Unreadable { kind, name, key, source: error },
        })
    }
}

/// A key is one name in the folder; what could lead elsewhere is no key that a Secret or ConfigMap has.
fn open(folder: &Path, key: &str) -> std::io::Result<File> {
    if key.is_empty() || key.contains('/') || key.starts_with("..") || key == "." {
        return Err(ErrorKind::NotFound.into());
    }
    File::open(folder.join(key))
}

/// The keys that are mounted, sorted; the links of the kubelet are none.
fn keys_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut keys: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    keys.retain(|key| !key.starts_with(".."));
    keys.sort();
    keys
}

/// The names of keys, for messages.
fn shown(mut keys: Vec<String>) -> String {
    let more = keys.len().saturating_sub(MAX_KEYS_SHOWN);
    keys.truncate(MAX_KEYS_SHOWN);
    keys.extend((more > 0).then(|| format!("{more} more")));
    keys.join(", ")
}

/// Whether no key is mounted. A folder that cannot be listed has none that could be told.
fn is_empty(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    entries.flatten().all(|entry| entry.file_name().as_encoded_bytes().starts_with(b".."))
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
