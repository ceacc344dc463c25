//! Every reference of every broadcast leads somewhere, or the message says what to add.

use std::collections::BTreeMap;

use super::{
    manifest::{Document, Manifest, ObjectName, Objects},
    manifest_data::{Data, known_keys},
    manifest_document::FieldLines,
    manifest_fault::ManifestFault,
};
use crate::api::remote_source::ALLOWED_HOSTS;
use crate::api::{Audience, BroadcastMessage, MessageChannel, SourceMember, audience::is_variable_name};

/// All references that lead nowhere.
pub(super) fn check(manifest: &Manifest) -> Vec<ManifestFault> {
    let mut faults = Vec::new();
    let (mut channels, mut beside) = (BTreeMap::new(), BTreeMap::new());
    for broadcast in &manifest.broadcasts {
        match manifest.channel_of(broadcast) {
            Some(channel) => {
                channels.entry(channel.name.clone()).or_insert((channel, broadcast));
                for other in manifest.channels_beside(channel) {
                    beside.entry(other.name.clone()).or_insert((other, broadcast));
                }
            }
            None => faults.push(missing_channel(manifest, broadcast)),
        }
        audience(manifest, broadcast, &mut faults);
        notifications(manifest, broadcast, &mut faults);
        write_backs(manifest, broadcast, &mut faults);
    }
    for (channel, broadcast) in channels.into_values() {
        credentials(manifest, channel, broadcast, &mut faults);
    }
    for (channel, broadcast) in beside.into_values() {
        suppression(manifest, channel, broadcast, &mut faults);
    }
    faults
}

fn missing_channel(manifest: &Manifest, broadcast: &Document<BroadcastMessage>) -> ManifestFault {
    let name = &broadcast.object.spec.channel_ref.name;
    let elsewhere = manifest.channels.keys().find(|channel| channel.name == *name);
    let remedy = match elsewhere {
        Some(there) => format!("{there} is in another namespace; put both into one"),
        None => format!("add a MessageChannel document named {name}, e.g. with another -f FILE"),
    };
    User::broadcast(broadcast).unresolved(
        "spec.channelRef.name",
        format!("no MessageChannel {name:?} in namespace {}", broadcast.name.namespace),
        remedy,
    )
}

fn audience(manifest: &Manifest, broadcast: &Document<BroadcastMessage>, faults: &mut Vec<ManifestFault>) {
    let Audience { recipients, sources, exclude, limit: _ } = &broadcast.object.spec.audience;
    let user = User::broadcast(broadcast);
    for (index, recipient) in recipients.iter().enumerate() {
        for name in recipient.vars.keys().filter(|name| !is_variable_name(name)) {
            faults.push(user.unresolved(
                &format!("spec.audience.recipients[{index}].vars.{name}"),
                format!("{name:?} is no name of a variable"),
                "use letters, digits and '_', not beginning with a digit".to_owned(),
            ));
        }
    }
    for (index, source) in sources.iter().enumerate() {
        faults.extend(missing_source(manifest, &user, source.member(), &format!("spec.audience.sources[{index}]")));
    }
    for (index, source) in exclude.iter().flat_map(|exclude| &exclude.sources).enumerate() {
        let field = format!("spec.audience.exclude.sources[{index}]");
        faults.extend(missing_source(manifest, &user, source.member(), &field));
    }
}

fn notifications(manifest: &Manifest, broadcast: &Document<BroadcastMessage>, faults: &mut Vec<ManifestFault>) {
    let user = User::broadcast(broadcast);
    for (index, endpoint) in broadcast.object.spec.notifications.iter().enumerate() {
        let reference = &endpoint.signing_secret_key_ref;
        if manifest.is_not_needed(user.namespace, &reference.name) {
            continue;
        }
        let field = format!("spec.notifications[{index}].signingSecretKeyRef.name");
        faults.extend(missing_secret(manifest, &user, &reference.name, &reference.key, &field));
    }
}

/// Who refers to something, for messages: of which document it is said, and as whom.
struct User<'a> {
    namespace: &'a str,
    lines: &'a FieldLines,
    shown: String,
}

impl<'a> User<'a> {
    fn broadcast(document: &'a Document<BroadcastMessage>) -> User<'a> {
        let shown = format!("BroadcastMessage {}", document.name);
        User { namespace: &document.name.namespace, lines: &document.lines, shown }
    }

    fn channel(document: &'a Document<MessageChannel>, of: &Document<BroadcastMessage>) -> User<'a> {
        let shown = format!("MessageChannel {} (of BroadcastMessage {})", document.name, of.name);
        User { namespace: &document.name.namespace, lines: &document.lines, shown }
    }

    fn unresolved(&self, field: &str, missing: String, remedy: String) -> ManifestFault {
        ManifestFault::Unresolved {
            place: self.lines.of(field),
            user: self.shown.clone(),
            field: field.to_owned(),
            problem: format!("{missing}; {remedy}"),
        }
    }
}

fn write_backs(manifest: &Manifest, broadcast: &Document<BroadcastMessage>, faults: &mut Vec<ManifestFault>) {
    let on_sent = broadcast.object.spec.on_sent.as_ref();
    let reference = on_sent.and_then(|on_sent| Some(&on_sent.sql.as_ref()?.url_secret_key_ref));
    if let Some(reference) = reference.filter(|one| !manifest.is_not_needed(&broadcast.name.namespace, &one.name)) {
        let field = "spec.onSent.sql.urlSecretKeyRef.name";
        faults.extend(missing_secret(manifest, &User::broadcast(broadcast), &reference.name, &reference.key, field));
    }
}

fn missing_source(
    manifest: &Manifest,
    user: &User<'_>,
    source: Option<SourceMember<'_>>,
    field: &str,
) -> Option<ManifestFault> {
    let source = source?;
    let (kind, member, objects, reference) = match source {
        SourceMember::Http(http) => {
            let secret = &http.headers_secret_ref.as_ref()?.name;
            let field = format!("{field}.http.headersSecretRef.name");
            return missing_secret(manifest, user, secret, ALLOWED_HOSTS, &field);
        }
        SourceMember::Sql(sql) => {
            let reference = &sql.url_secret_key_ref;
            let field = format!("{field}.sql.urlSecretKeyRef.name");
            return missing_secret(manifest, user, &reference.name, &reference.key, &field);
        }
        // Whom the ledger knows is seen when the plan is made.
        SourceMember::Broadcast(_) | SourceMember::Contacts(_) => return None,
        SourceMember::ConfigMap(reference) => ("ConfigMap", "configMapKeyRef", &manifest.config_maps, reference),
        SourceMember::Secret(reference) => ("Secret", "secretKeyRef", &manifest.secrets, reference),
    };
    if manifest.source(user.namespace, source).is_some() {
        return None;
    }
    let (name, key) = (&reference.name, &reference.key);
    let flag = match kind {
        "ConfigMap" => format!("--config-map {name}={key}"),
        _ => format!("--secret {name}/{key}=FILE"),
    };
    let (at, missing, remedy) = missing_key(objects, kind, user.namespace, name, key, &flag);
    Some(user.unresolved(&format!("{field}.{member}.{at}"), missing, remedy))
}

/// A Secret that a source elsewhere needs, and a key that it must have.
fn missing_secret(manifest: &Manifest, user: &User<'_>, secret: &str, key: &str, field: &str) -> Option<ManifestFault> {
    if manifest.secret_key(user.namespace, secret, key).is_some() {
        return None;
    }
    let flag = format!("--secret {secret}/{key}=FILE or --secret {secret}/{key}=env:VARIABLE");
    let (_, missing, remedy) = missing_key(&manifest.secrets, "Secret", user.namespace, secret, key, &flag);
    Some(user.unresolved(field, missing, remedy))
}

/// The lists of people who get nothing by a channel, whichever channel of its account names them.
fn suppression(
    manifest: &Manifest,
    channel: &Document<MessageChannel>,
    broadcast: &Document<BroadcastMessage>,
    faults: &mut Vec<ManifestFault>,
) {
    let user = User::channel(channel, broadcast);
    for (index, source) in channel.object.spec.suppression_sources().iter().enumerate() {
        let field = format!("spec.suppression.sources[{index}]");
        faults.extend(missing_source(manifest, &user, source.member(), &field));
    }
}

fn credentials(
    manifest: &Manifest,
    channel: &Document<MessageChannel>,
    broadcast: &Document<BroadcastMessage>,
    faults: &mut Vec<ManifestFault>,
) {
    let Some(secret) = &channel.object.spec.credentials_secret_ref else {
        return;
    };
    if manifest.is_not_needed(&channel.name.namespace, &secret.name) {
        return;
    }
    let user = User::channel(channel, broadcast);
    let mut fault = |missing: String, remedy: String| {
        faults.push(user.unresolved("spec.credentialsSecretRef.name", missing, remedy));
    };
    for key in channel.object.spec.required_secret_keys() {
        let flag = format!("--secret {}/{key}=FILE or --secret {}/{key}=env:VARIABLE", secret.name, secret.name);
        match manifest.secret_key(&channel.name.namespace, &secret.name, &key) {
            None => {
                let namespace = &channel.name.namespace;
                let (_, missing, remedy) =
                    missing_key(&manifest.secrets, "Secret", namespace, &secret.name, &key, &flag);
                fault(missing, remedy);
            }
            Some(data) => {
                if let Err(error) = Data::token(data) {
                    let missing = format!("key {key} of Secret {} {error}", secret.name);
                    fault(missing, format!("put the credential there as one line of text, or give {flag}"));
                }
            }
        }
    }
}

/// Which member of the reference leads nowhere, what is missing, and what to add.
fn missing_key(
    objects: &Objects,
    kind: &str,
    namespace: &str,
    name: &str,
    key: &str,
    flag: &str,
) -> (&'static str, String, String) {
    let place = ObjectName { namespace: namespace.to_owned(), name: name.to_owned() };
    let found = objects.documents.get(&place).map(|document| &document.object).or(objects.flags.get(name));
    if let Some(object) = found {
        let missing = format!("{kind} {name} has no key {key:?}, only {}", known_keys(object));
        return ("key", missing, format!("add the key, or give {flag}"));
    }
    let missing = format!("no {kind} {name:?} in namespace {namespace}");
    let remedy = match objects.documents.keys().find(|object| object.name == name) {
        Some(there) => {
            format!("{there} is in another namespace; put both into one, or give {flag}")
        }
        None => format!("add a {kind} document with the key {key}, or give {flag}"),
    };
    ("name", missing, remedy)
}
