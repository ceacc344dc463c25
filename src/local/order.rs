//! One broadcast made ready to send: its provider, template, sources and declaration.

use std::collections::BTreeMap;
use std::io::{BufReader, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::manifest::{Document, Manifest};
use super::manifest_data::Data;
use super::manifest_document::FieldLines;
use super::manifest_fault::Place;
use crate::api::channel::{ChannelMember, TELEGRAM_BOT_TOKEN, TWILIO_AUTH_TOKEN};
use crate::api::{Audience, BroadcastMessage, MessageChannel, MessageChannelSpec};
use crate::audience::{MaterialError, MaterialKind, Materials, Source};
use crate::content::{ContentError, MessageTemplate};
use crate::ledger::declaration::{AccountKey, Declaration, Undeclarable};
use crate::ledger::{Orders, Recollection, SuppressionList};
use crate::provider::Provider;
use crate::provider::callback::Callbacks;
use crate::receiver::assembly::{NoCallbacks, callbacks};
use crate::sender::assembly::{self, ChannelError, Credentials, Part};
use crate::sender::planner::PlanSpec;
use crate::sender::suppressed::Suppressed;
use crate::sender::transport::is_on_this_machine;

/// A broadcast of a manifest with everything that sending needs.
pub struct Order {
    pub broadcast: BroadcastMessage,
    /// Where its fields stand, for messages.
    pub lines: FieldLines,
    /// The same of the channels of its account, by their names.
    pub channels: BTreeMap<String, FieldLines>,
    /// The lists of people who get nothing from the account.
    pub suppressed: Vec<Suppressed>,
    pub declaration: Declaration,
    pub provider: Arc<dyn Provider>,
    /// How the provider of its channel calls back.
    pub callbacks: Result<Arc<dyn Callbacks>, NoCallbacks>,
    pub template: Arc<MessageTemplate>,
    pub materials: Arc<dyn Materials>,
    /// The files on this machine that the audience is read from, exclusions included.
    pub audience_files: Vec<PathBuf>,
}

/// What keeps a broadcast from being sent, with the place in its file.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("{place}: BroadcastMessage {name}: {source}")]
    Content { place: Place, name: Box<str>, source: ContentError },
    #[error("{place}: BroadcastMessage {name}: {source}")]
    Channel { place: Place, name: Box<str>, source: ChannelError },
    #[error("{place}: BroadcastMessage {name}: {source}")]
    Undeclarable { place: Place, name: Box<str>, source: Undeclarable },
    #[error(
        "{place}: BroadcastMessage {name}: spec.idempotencyKey: `{key}` is also the key of the broadcast at {first}; give one of them another"
    )]
    KeyInUse { place: Place, name: Box<str>, key: String, first: Place },
}

/// Makes every broadcast of a manifest ready.
///
/// # Errors
/// The first thing that is wrong with each.
pub fn orders(manifest: Arc<Manifest>) -> Result<Vec<Order>, Vec<OrderError>> {
    let mut orders = Vec::new();
    let mut errors = keys_in_use(&manifest);
    for document in &manifest.broadcasts {
        match order(&manifest, document) {
            Ok(order) => orders.push(order),
            Err(error) => errors.push(error),
        }
    }
    share_rates(&mut orders);
    if errors.is_empty() { Ok(orders) } else { Err(errors) }
}

fn keys_in_use(manifest: &Manifest) -> Vec<OrderError> {
    let mut errors = Vec::new();
    for (index, document) in manifest.broadcasts.iter().enumerate() {
        let same = |earlier: &&Document<BroadcastMessage>| {
            earlier.name.namespace == document.name.namespace
                && earlier.object.idempotency_key() == document.object.idempotency_key()
        };
        if let Some(first) = manifest.broadcasts[..index].iter().find(same) {
            errors.push(OrderError::KeyInUse {
                place: document.lines.of("spec.idempotencyKey"),
                name: document.name.to_string().into(),
                key: document.object.idempotency_key().to_owned(),
                first: first.lines.of("spec.idempotencyKey"),
            });
        }
    }
    errors
}

/// Two channels that name the same account share its rate: the lower one wins.
fn share_rates(orders: &mut [Order]) {
    for index in 0..orders.len() {
        let account = orders[index].declaration.account.clone();
        let same = orders.iter().filter(|order| order.declaration.account == account);
        let lowest = same.map(|order| order.declaration.account_rate).reduce(|one, other| one.lower(other));
        if let Some(lowest) = lowest {
            orders[index].declaration.account_rate = lowest;
        }
    }
}

fn order(manifest: &Arc<Manifest>, document: &Document<BroadcastMessage>) -> Result<Order, OrderError> {
    let name = || document.name.to_string().into_boxed_str();
    let no_provider = || OrderError::Channel {
        place: document.lines.of("spec.channelRef"),
        name: name(),
        source: ChannelError::NoProvider,
    };
    let channel = manifest.channel_of(document).ok_or_else(no_provider)?;
    let account = channel.object.spec.account().ok_or_else(no_provider)?;
    let template = MessageTemplate::compile(&document.object.spec.content, account.provider())
        .map_err(|source| OrderError::Content { place: document.lines.of(&source.field), name: name(), source })?;
    let credentials = ManifestCredentials { manifest, channel };
    let provider = assembly::provider(&channel.object.spec, &credentials).map_err(|source| OrderError::Channel {
        place: channel.lines.of("spec"),
        name: name(),
        source,
    })?;
    let callbacks = callbacks(&channel.object.spec, &credentials);
    let account = AccountKey::of(&document.name.namespace, &channel.object.spec).ok_or_else(no_provider)?;
    let mut declaration = Declaration::of(&document.object, &channel.object.spec, account).map_err(|source| {
        OrderError::Undeclarable { place: cause(&source, document, channel), name: name(), source }
    })?;
    // Documents are the only wish there is here; what an exported one says of its owner and age means nothing.
    declaration.owner_uid.clear();
    declaration.generation = 0;
    declaration.recollection = Recollection { approval: declaration.recollection.approval, ..Recollection::default() };
    // By them the ledger knows which other broadcast the audience names.
    let beside = manifest.channels_beside(channel).map(|other| (other.name.name.as_str(), &other.object.spec));
    let suppression = SuppressionList::of_account(&declaration.account, beside);
    let suppressed = assembly::suppressed(&suppression);
    let audience = document.object.spec.audience.clone();
    declaration.orders = Some(Orders { channel: channel.object.spec.clone(), audience, suppression });
    let materials = ManifestMaterials { manifest: manifest.clone(), namespace: document.name.namespace.clone() };
    Ok(Order {
        broadcast: document.object.clone(),
        lines: document.lines.clone(),
        channels: manifest
            .channels_beside(channel)
            .map(|other| (other.name.name.clone(), other.lines.clone()))
            .collect(),
        suppressed,
        declaration,
        provider,
        callbacks,
        template: Arc::new(template),
        audience_files: materials.files(&document.object.spec.audience),
        materials: Arc::new(materials),
    })
}

/// Where stands what keeps a broadcast from being declared.
fn cause(error: &Undeclarable, broadcast: &Document<BroadcastMessage>, channel: &Document<MessageChannel>) -> Place {
    match error {
        Undeclarable::NoRate => channel.lines.of("spec"),
        Undeclarable::QuietHours(error) => broadcast.lines.of(&error.field()),
        Undeclarable::Statement(_) => broadcast.lines.of("spec.onSent.sql.statement"),
        Undeclarable::Labels => broadcast.lines.of("spec.onSent.messenger"),
    }
}

impl Order {
    pub fn plan_spec(&self) -> PlanSpec {
        PlanSpec {
            sources: assembly::included(&self.broadcast.spec.audience),
            exclude: assembly::excluded(&self.broadcast.spec.audience),
            suppressed: self.suppressed.clone(),
            materials: self.materials.clone(),
            template: self.template.clone(),
            provider: self.provider.clone(),
        }
    }

    pub fn name(&self) -> &str {
        &self.declaration.name
    }

    /// What the broadcast is, whatever ledger it is in. A key holds no `/`.
    pub fn identity(&self) -> String {
        format!("{}/{}", self.declaration.namespace, self.declaration.idempotency_key)
    }

    /// Whether the provider is on this machine: a simulator or a proxy.
    pub fn is_on_this_machine(&self) -> bool {
        let authority = self.declaration.account.host.parse::<http::uri::Authority>().ok();
        authority.is_some_and(|authority| is_on_this_machine(authority.host()))
    }
}

/// What stands for a credential in messages that are only looked at: they are encoded, perhaps signed, and sent to nobody.
const UNSENT: &str = "whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4";

struct ManifestCredentials<'a> {
    manifest: &'a Manifest,
    channel: &'a Document<MessageChannel>,
}

impl Credentials for ManifestCredentials<'_> {
    fn get(&self, key: &str) -> Result<Option<SecretString>, String> {
        let found = self.manifest.credential(self.channel, key).map_err(|error| error.to_string())?;
        let spec = &self.channel.object.spec;
        let secret = spec.credentials_secret_ref.as_ref().map(|secret| secret.name.as_str());
        let is_missing = |secret| self.manifest.is_not_needed(&self.channel.name.namespace, secret);
        let stands_in = found.is_none() && secret.is_some_and(is_missing);
        Ok(found.or_else(|| unsent(spec, key).filter(|_| stands_in).map(SecretString::from)))
    }
}

/// What stands for this key, in the form that the provider's own have; `None` for one that a channel can do without.
fn unsent(spec: &MessageChannelSpec, key: &str) -> Option<String> {
    match spec.member()? {
        ChannelMember::Telegram(bot) if key == TELEGRAM_BOT_TOKEN => Some(format!("{}:unsent", bot.bot_id)),
        // Either kind of credentials will do, so neither is required.
        ChannelMember::Twilio(_) if key == TWILIO_AUTH_TOKEN => Some(UNSENT.to_owned()),
        _ => spec.required_secret_keys().iter().any(|required| required == key).then(|| UNSENT.to_owned()),
    }
}

struct ManifestMaterials {
    manifest: Arc<Manifest>,
    namespace: String,
}

impl ManifestMaterials {
    fn files(&self, audience: &Audience) -> Vec<PathBuf> {
        let sources = assembly::included(audience).into_iter().chain(assembly::excluded(audience));
        let of = |source| match source {
            Part::Read(Source::Material { kind, name, key }) => self.data(kind, &name, &key)?.path().map(PathBuf::from),
            Part::Read(Source::Inline { .. } | Source::Http(_) | Source::Sql { .. }) | Part::Known { .. } => None,
        };
        sources.filter_map(of).collect()
    }

    fn data(&self, kind: MaterialKind, name: &str, key: &str) -> Option<&Data> {
        match kind {
            MaterialKind::ConfigMap => self.manifest.config_map_key(&self.namespace, name, key),
            MaterialKind::Secret => self.manifest.secret_key(&self.namespace, name, key),
        }
    }
}

impl Materials for ManifestMaterials {
    fn keys(&self, kind: MaterialKind, name: &str) -> Result<Vec<String>, MaterialError> {
        Ok(self.manifest.keys(kind, &self.namespace, name))
    }

    fn title(&self, kind: MaterialKind, name: &str, key: &str) -> String {
        let file = self.data(kind, name, key).and_then(Data::path);
        file.map_or_else(|| format!("{name}/{key}"), |path| path.display().to_string())
    }

    fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        let data = self.data(kind, name, key);
        match data {
            // At most as large as a manifest may be.
            Some(Data::Inline(bytes)) => Ok(Box::new(Cursor::new(bytes.expose_secret().to_vec()))),
            Some(Data::File(path)) => match std::fs::File::open(path) {
                Ok(file) => Ok(Box::new(BufReader::new(file))),
                Err(source) => {
                    Err(MaterialError::Unreadable { kind, name: name.to_owned(), key: key.to_owned(), source })
                }
            },
            None => Err(MaterialError::KeyNotFound {
                kind,
                name: name.to_owned(),
                key: key.to_owned(),
                remedy: "add it to the documents or give it with --config-map or --secret".to_owned(),
            }),
        }
    }
}
