//! Every reference of every broadcast leads somewhere, or the message says what to add.

use std::collections::BTreeMap;

use super::{
    manifest::{Document, Manifest, ObjectName, Objects},
    manifest_data::{Data, known_keys},
    manifest_fault::ManifestFault,
};
use crate::api::remote_source::ALLOWED_HOSTS;
use crate::api::{Audience, AudienceSource, BroadcastMessage, MessageChannel, SourceRef, audience::is_variable_name};

/// All references that lead nowhere.
pub(super) fn check(manifest: &Manifest) -> Vec<ManifestFault> {
    let mut faults = Vec::new();
    let mut channels = BTreeMap::new();
    for broadcast in &manifest.broadcasts {
        match manifest.channel_of(broadcast) {
            Some(channel) => {
                channels.entry(channel.name.clone()).or_insert((channel, broadcast));
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
    faults
}

fn missing_channel(manifest: &Manifest, broadcast: &Document<BroadcastMessage>) -> ManifestFault {
    let name = &broadcast.object.spec.channel_ref.name;
    let elsewhere = manifest.channels.keys().find(|channel| channel.name == *name);
    let remedy = match elsewhere {
        Some(there) => format!("{there} is in another namespace; put both into one"),
        None => format!("add a MessageChannel document named {name}, e.g. with another -f FILE"),
    };
    unresolved(
        broadcast,
        "spec.channelRef.name",
        format!("no MessageChannel {name:?} in namespace {}", broadcast.name.namespace),
        remedy,
    )
}

fn audience(manifest: &Manifest, broadcast: &Document<BroadcastMessage>, faults: &mut Vec<ManifestFault>) {
    let Audience { recipients, sources, exclude, limit: _ } = &broadcast.object.spec.audience;
    for (index, recipient) in recipients.iter().enumerate() {
        for name in recipient.vars.keys().filter(|name| !is_variable_name(name)) {
            faults.push(unresolved(
                broadcast,
                &format!("spec.audience.recipients[{index}].vars.{name}"),
                format!("{name:?} is no name of a variable"),
                "use letters, digits and '_', not beginning with a digit".to_owned(),
            ));
        }
    }
    for (index, source) in sources.iter().enumerate() {
        faults.extend(missing_source(manifest, broadcast, source, &format!("spec.audience.sources[{index}]")));
    }
    for (index, source) in exclude.iter().flat_map(|exclude| &exclude.sources).enumerate() {
        let field = format!("spec.audience.exclude.sources[{index}]");
        faults.extend(missing_source(manifest, broadcast, source, &field));
    }
}

fn notifications(manifest: &Manifest, broadcast: &Document<BroadcastMessage>, faults: &mut Vec<ManifestFault>) {
    for (index, endpoint) in broadcast.object.spec.notifications.iter().enumerate() {
        let reference = &endpoint.signing_secret_key_ref;
        let field = format!("spec.notifications[{index}].signingSecretKeyRef.name");
        faults.extend(missing_secret(manifest, broadcast, &reference.name, &reference.key, &field));
    }
}

fn write_backs(manifest: &Manifest, broadcast: &Document<BroadcastMessage>, faults: &mut Vec<ManifestFault>) {
    let on_sent = broadcast.object.spec.on_sent.as_ref();
    if let Some(reference) = on_sent.and_then(|on_sent| Some(&on_sent.sql.as_ref()?.url_secret_key_ref)) {
        let field = "spec.onSent.sql.urlSecretKeyRef.name";
        faults.extend(missing_secret(manifest, broadcast, &reference.name, &reference.key, field));
    }
}

fn missing_source(
    manifest: &Manifest,
    broadcast: &Document<BroadcastMessage>,
    source: &AudienceSource,
    field: &str,
) -> Option<ManifestFault> {
    let namespace = &broadcast.name.namespace;
    if let Some(http) = &source.http {
        let secret = &http.headers_secret_ref.as_ref()?.name;
        let field = format!("{field}.http.headersSecretRef.name");
        return missing_secret(manifest, broadcast, secret, ALLOWED_HOSTS, &field);
    }
    if let Some(sql) = &source.sql {
        let reference = &sql.url_secret_key_ref;
        let field = format!("{field}.sql.urlSecretKeyRef.name");
        return missing_secret(manifest, broadcast, &reference.name, &reference.key, &field);
    }
    // Whom the ledger knows is seen when the plan is made.
    if source.broadcast.is_some() || source.contacts.is_some() || manifest.source(namespace, source).is_some() {
        return None;
    }
    let (kind, member, objects) = match source.reference()? {
        SourceRef::ConfigMap(_) => ("ConfigMap", "configMapKeyRef", &manifest.config_maps),
        SourceRef::Secret(_) => ("Secret", "secretKeyRef", &manifest.secrets),
    };
    let reference = source.reference()?;
    let (name, key) = (&reference.key_ref().name, &reference.key_ref().key);
    let flag = match kind {
        "ConfigMap" => format!("--config-map {name}={key}"),
        _ => format!("--secret {name}/{key}=FILE"),
    };
    let (at, missing, remedy) = missing_key(objects, kind, namespace, name, key, &flag);
    Some(unresolved(broadcast, &format!("{field}.{member}.{at}"), missing, remedy))
}

/// A Secret that a source elsewhere needs, and a key that it must have.
fn missing_secret(
    manifest: &Manifest,
    broadcast: &Document<BroadcastMessage>,
    secret: &str,
    key: &str,
    field: &str,
) -> Option<ManifestFault> {
    let namespace = &broadcast.name.namespace;
    if manifest.secret_key(namespace, secret, key).is_some() {
        return None;
    }
    let flag = format!("--secret {secret}/{key}=FILE or --secret {secret}/{key}=env:VARIABLE");
    let (_, missing, remedy) = missing_key(&manifest.secrets, "Secret", namespace, secret, key, &flag);
    Some(unresolved(broadcast, field, missing, remedy))
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
    let user = format!("MessageChannel {} (of BroadcastMessage {})", channel.name, broadcast.name);
    let field = "spec.credentialsSecretRef.name";
    let mut fault = |missing: String, remedy: String| {
        faults.push(ManifestFault::Unresolved {
            place: channel.lines.of(field),
            user: user.clone(),
            field: field.to_owned(),
            problem: format!("{missing}; {remedy}"),
        });
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

fn unresolved(broadcast: &Document<BroadcastMessage>, field: &str, missing: String, remedy: String) -> ManifestFault {
    ManifestFault::Unresolved {
        place: broadcast.lines.of(field),
        user: format!("BroadcastMessage {}", broadcast.name),
        field: field.to_owned(),
        problem: format!("{missing}; {remedy}"),
    }
}
