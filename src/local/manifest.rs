//! What `herald run -f FILE…` is given: broadcasts, their channels, ConfigMaps and Secrets, checked as an API server
//! would check them, with every reference resolved before anything is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    manifest_data::{ConfigMapFlag, Data, DataObject, SecretFlag},
    manifest_document::{FieldLines, ManifestInput, RawDocument, documents},
    manifest_fault::{MAX_FAULTS, ManifestFault, ManifestFaults, Place},
    manifest_references,
};
use crate::api::{
    BroadcastMessage, MessageChannel, SourceMember, admission::Admission, metadata, violation::Violations,
};
use crate::audience::MaterialKind;
use crate::ledger::AccountKey;
use crate::sender::token::TokenError;

/// The namespace of a document that names none, where nobody says another.
pub const DEFAULT_NAMESPACE: &str = "default";

/// An object's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where documents are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// That of those that name none; one that names another is refused.
    pub only: Option<String>,
    /// That of those that name none, where all others may be. `None`: [`DEFAULT_NAMESPACE`].
    pub usual: Option<String>,
}

impl Namespace {
    const ANY: Namespace = Namespace { only: None, usual: None };

    fn of_unnamed(&self) -> &str {
        self.only.as_deref().or(self.usual.as_deref()).unwrap_or(DEFAULT_NAMESPACE)
    }
}

/// What documents are read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    pub namespace: Namespace,
    /// Messages are sent, endpoints told and databases written: the Secrets for that have to be there. For a look at what would
    /// be sent only those that are given are looked at.
    pub sends: bool,
}

impl Purpose {
    pub const RUN: Purpose = Purpose { namespace: Namespace::ANY, sends: true };
}

/// An admitted document: defaults are filled in, the namespace is set.
pub struct Document<T> {
    pub object: T,
    pub name: ObjectName,
    /// Where it and its fields stand.
    pub lines: FieldLines,
}

/// Everything a run is given. References of all broadcasts resolve.
#[derive(Default)]
pub struct Manifest {
    /// In the order of the files and the documents in them.
    pub broadcasts: Vec<Document<BroadcastMessage>>,
    pub channels: BTreeMap<ObjectName, Document<MessageChannel>>,
    pub(super) config_maps: Objects,
    pub(super) secrets: Objects,
    /// Messages are only looked at, so that a Secret which nothing but sending needs may be missing.
    pub(super) looks_only: bool,
}

/// ConfigMaps or Secrets: from documents by namespace, and from flags for every namespace.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) documents: BTreeMap<ObjectName, Document<DataObject>>,
    pub(super) flags: BTreeMap<String, DataObject>,
}

impl Objects {
    pub(super) fn is_there(&self, namespace: &str, name: &str) -> bool {
        let place = ObjectName { namespace: namespace.to_owned(), name: name.to_owned() };
        self.flags.contains_key(name) || self.documents.contains_key(&place)
    }

    fn get(&self, namespace: &str, name: &str, key: &str) -> Option<&Data> {
        let of_flags = self.flags.get(name).and_then(|object| object.get(key));
        let place = ObjectName { namespace: namespace.to_owned(), name: name.to_owned() };
        of_flags.or_else(|| self.documents.get(&place)?.object.get(key))
    }

    fn keys(&self, namespace: &str, name: &str) -> Vec<String> {
        let place = ObjectName { namespace: namespace.to_owned(), name: name.to_owned() };
        let of_document = self.documents.get(&place).map(|document| &document.object);
        let keys: BTreeSet<&str> =
            self.flags.get(name).into_iter().chain(of_document).flat_map(DataObject::keys).collect();
        keys.into_iter().map(str::to_owned).collect()
    }
}

impl Manifest {
    /// Reads all files and flags, checks every document, and resolves every reference of every broadcast.
    ///
    /// # Errors
    /// All faults found, each with its place and what to do; nothing may be sent then.
    pub fn load(
        inputs: &[ManifestInput],
        config_maps: &[ConfigMapFlag],
        secrets: &[SecretFlag],
        purpose: &Purpose,
    ) -> Result<Manifest, ManifestFaults> {
        let mut loader = Loader::of(inputs, purpose);
        loader.flags(config_maps, secrets);
        let Loader { manifest, mut faults, .. } = loader;
        // With a document refused, what refers to it would look missing as well.
        if faults.is_empty() {
            faults = manifest_references::check(&manifest);
        }
        if faults.is_empty() && manifest.broadcasts.is_empty() {
            let files = inputs.iter().map(ManifestInput::name).collect::<Vec<_>>().join(", ");
            faults.push(ManifestFault::NoBroadcast { files });
        }
        if faults.is_empty() {
            return Ok(manifest);
        }
        faults.truncate(MAX_FAULTS);
        Err(ManifestFaults(faults))
    }

    /// The broadcasts of the files alone: what they refer to is not looked for.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn broadcasts_of(inputs: &[ManifestInput]) -> Result<Vec<Document<BroadcastMessage>>, ManifestFaults> {
        let Loader { manifest, mut faults, .. } = Loader::of(inputs, &Purpose::RUN);
        faults.truncate(MAX_FAULTS);
        if faults.is_empty() { Ok(manifest.broadcasts) } else { Err(ManifestFaults(faults)) }
    }

    /// The channels of the files alone, likewise.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn channels_of(inputs: &[ManifestInput]) -> Result<Vec<Document<MessageChannel>>, ManifestFaults> {
        let Loader { manifest, mut faults, .. } = Loader::of(inputs, &Purpose::RUN);
        faults.truncate(MAX_FAULTS);
        if faults.is_empty() { Ok(manifest.channels.into_values().collect()) } else { Err(ManifestFaults(faults)) }
    }

    /// The channel a broadcast is sent through; always there for a broadcast of this manifest.
    pub fn channel_of(&self, broadcast: &Document<BroadcastMessage>) -> Option<&Document<MessageChannel>> {
        let name = broadcast.object.spec.channel_ref.name.clone();
        self.channels.get(&ObjectName { namespace: broadcast.name.namespace.clone(), name })
    }

    /// A key of a ConfigMap; flags stand over documents.
    pub fn config_map_key(&self, namespace: &str, name: &str, key: &str) -> Option<&Data> {
        self.config_maps.get(namespace, name, key)
    }

    /// A key of a Secret; flags stand over documents.
    pub fn secret_key(&self, namespace: &str, name: &str, key: &str) -> Option<&Data> {
        self.secrets.get(namespace, name, key)
    }

    /// Whether a Secret that nothing but sending needs is missing where nothing is sent. One that is given is looked at.
    pub(super) fn is_not_needed(&self, namespace: &str, secret: &str) -> bool {
        self.looks_only && !self.secrets.is_there(namespace, secret)
    }

    /// The keys of a ConfigMap or Secret, of flags and documents together.
    pub fn keys(&self, kind: MaterialKind, namespace: &str, name: &str) -> Vec<String> {
        let objects = match kind {
            MaterialKind::ConfigMap => &self.config_maps,
            MaterialKind::Secret => &self.secrets,
        };
        objects.keys(namespace, name)
    }

    /// The file of a source; always there for one of this manifest that is a file.
    pub fn source(&self, namespace: &str, source: SourceMember<'_>) -> Option<&Data> {
        match source {
            SourceMember::ConfigMap(reference) => self.config_map_key(namespace, &reference.name, &reference.key),
            SourceMember::Secret(reference) => self.secret_key(namespace, &reference.name, &reference.key),
            _ => None,
        }
    }

    /// The channels that send by the account of this one, and so share its lists of people who get nothing: by their names,
    /// itself among them.
    pub fn channels_beside(
        &self,
        channel: &Document<MessageChannel>,
    ) -> impl Iterator<Item = &Document<MessageChannel>> {
        let namespace = channel.name.namespace.clone();
        let account = AccountKey::of(&namespace, &channel.object.spec);
        let of_namespace = self.channels.values().filter(move |other| other.name.namespace == namespace);
        of_namespace.filter(move |other| AccountKey::of(&other.name.namespace, &other.object.spec) == account)
    }

    /// A key of the Secret of a channel; `None` where there is no such key.
    ///
    /// # Errors
    /// The key is there and holds no token.
    pub fn credential(
        &self,
        channel: &Document<MessageChannel>,
        key: &str,
    ) -> Result<Option<SecretString>, TokenError> {
        let Some(secret) = &channel.object.spec.credentials_secret_ref else {
            return Ok(None);
        };
        self.secret_key(&channel.name.namespace, &secret.name, key).map(Data::token).transpose()
    }
}

struct Loader {
    /// Of documents that name none; one that names another is refused.
    namespace: Namespace,
    admission: Admission,
    manifest: Manifest,
    /// Where each kind and name was first seen.
    seen: BTreeMap<(String, ObjectName), Place>,
    faults: Vec<ManifestFault>,
}

impl Loader {
    /// All documents of all files, each checked by itself.
    fn of(inputs: &[ManifestInput], purpose: &Purpose) -> Loader {
        let mut loader = Loader {
            namespace: purpose.namespace.clone(),
            admission: Admission::new(),
            manifest: Manifest { looks_only: !purpose.sends, ..Manifest::default() },
            seen: BTreeMap::new(),
            faults: Vec::new(),
        };
        for input in inputs {
            match documents(input) {
                Ok(documents) => documents.into_iter().for_each(|document| loader.take(document)),
                Err(fault) => loader.faults.push(fault),
            }
        }
        loader
    }

    fn take(&mut self, mut raw: RawDocument) {
        let kind = raw.text("kind").to_owned();
        if !["BroadcastMessage", "MessageChannel", "ConfigMap", "Secret"].contains(&kind.as_str()) {
            return self.faults.push(ManifestFault::UnknownKind { place: raw.lines.of("kind"), found: unknown(&raw) });
        }
        let name = settle_name(&mut raw.value, self.namespace.of_unnamed());
        let object = format!("{kind} {name}");
        if let Some(asked) = self.namespace.only.as_ref().filter(|asked| **asked != name.namespace) {
            let found = &name.namespace;
            let violation = format!(
                "metadata.namespace: Invalid value: {found:?}: -n says {asked}; leave it out of the document, or give -n {found}"
            );
            return self.refuse(raw.lines.of("metadata.namespace"), &object, violation);
        }
        match self.seen.get(&(kind.clone(), name.clone())) {
            Some(first) => {
                let (place, first) = (raw.lines.place.clone(), first.clone());
                self.faults.push(ManifestFault::Twice { place, object: object.clone(), first });
            }
            None => {
                self.seen.insert((kind.clone(), name.clone()), raw.lines.place.clone());
            }
        }
        let RawDocument { value, lines } = raw;
        match kind.as_str() {
            "BroadcastMessage" => {
                if let Some(admitted) = self.admit(&value, &lines, &object) {
                    self.manifest.broadcasts.push(Document { object: admitted, name, lines });
                }
            }
            "MessageChannel" => {
                if let Some(admitted) = self.admit(&value, &lines, &object) {
                    self.manifest.channels.insert(name.clone(), Document { object: admitted, name, lines });
                }
            }
            "ConfigMap" => {
                if let Some(data) = self.data(&value, &lines, &object, DataObject::config_map) {
                    self.manifest.config_maps.documents.insert(name.clone(), Document { object: data, name, lines });
                }
            }
            _ => {
                if let Some(data) = self.data(&value, &lines, &object, DataObject::secret) {
                    self.manifest.secrets.documents.insert(name.clone(), Document { object: data, name, lines });
                }
            }
        }
    }

    fn admit<T: DeserializeOwned>(&mut self, value: &Value, lines: &FieldLines, object: &str) -> Option<T> {
        match self.admission.create_typed(value) {
            Ok(admitted) => Some(admitted),
            Err(Violations(violations)) => {
                for violation in violations {
                    self.refuse(lines.of(&violation.field), object, violation.to_string());
                }
                None
            }
        }
    }

    fn data(&mut self, value: &Value, lines: &FieldLines, object: &str, read: ReadData) -> Option<DataObject> {
        let document = value.as_object()?;
        let before = self.faults.len();
        if document.get("apiVersion").and_then(Value::as_str) != Some("v1") {
            let violation = "apiVersion: Unsupported value: supported values: \"v1\"".to_owned();
            self.refuse(lines.of("apiVersion"), object, violation);
        }
        for violation in metadata::check(document) {
            self.refuse(lines.of(&violation.field), object, violation.to_string());
        }
        let data = read(document);
        for (field, wrong) in data.as_ref().err().into_iter().flatten() {
            self.refuse(lines.of(field), object, format!("{field}: {wrong}"));
        }
        data.ok().filter(|_| self.faults.len() == before)
    }

    fn refuse(&mut self, place: Place, object: &str, violation: String) {
        self.faults.push(ManifestFault::Refused { place, object: object.to_owned(), violation });
    }

    fn flags(&mut self, config_maps: &[ConfigMapFlag], secrets: &[SecretFlag]) {
        for flag in config_maps {
            self.flag("ConfigMap", &flag.name, &flag.key, flag.text(), flag.load());
        }
        for flag in secrets {
            self.flag("Secret", &flag.name, &flag.key, flag.text(), flag.load());
        }
    }

    fn flag(&mut self, kind: &str, name: &str, key: &str, flag: String, loaded: Result<Data, ManifestFault>) {
        let objects = if kind == "Secret" { &mut self.manifest.secrets } else { &mut self.manifest.config_maps };
        match loaded {
            Err(fault) => self.faults.push(fault),
            Ok(data) => {
                if !objects.flags.entry(name.to_owned()).or_default().add(key, data) {
                    let message = format!("key {key} of {kind} {name} is given twice; remove one of the two flags");
                    self.faults.push(ManifestFault::Flag { flag, message });
                }
            }
        }
    }
}

/// Reads the data of a ConfigMap or Secret document; faults are (field, what is wrong).
type ReadData = fn(&Map<String, Value>) -> Result<DataObject, Vec<(String, String)>>;

/// The document's name; one without a namespace is put into this one.
fn settle_name(document: &mut Value, namespace: &str) -> ObjectName {
    let text = |metadata: &Map<String, Value>, member: &str| {
        metadata.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) else {
        return ObjectName { namespace: namespace.to_owned(), name: String::new() };
    };
    if metadata.get("namespace").is_none_or(Value::is_null) {
        metadata.insert("namespace".to_owned(), Value::from(namespace));
    }
    ObjectName { namespace: text(metadata, "namespace"), name: text(metadata, "name") }
}

fn unknown(raw: &RawDocument) -> String {
    match raw.text("kind") {
        "" => "a document without a kind".to_owned(),
        "MessageBatch" => "kind MessageBatch, which Herald makes itself".to_owned(),
        kind => format!("kind {kind:?}"),
    }
}
