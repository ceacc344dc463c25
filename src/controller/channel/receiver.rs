//! The receiver of a channel: a Deployment and a Service in the channel's namespace, owned by it. Its pod meets Pod Security
//! `restricted`, holds no credentials of the cluster but a token for the ledger, and mounts of the channel's Secret the keys that
//! calls are verified by, as optional: it says itself what is missing, by not being ready.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HTTPGetAction, PodSpec, PodTemplateSpec, Probe, Service, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

use crate::api::MessageChannel;
use crate::api::channel::CALLBACKS;
use crate::api::mount::{self, ReceivedChannel};
use crate::controller::channel_pod;
use crate::controller::job::{MANAGED_BY, MANAGED_BY_LABEL, NAME_LABEL, SenderSettings};
use crate::controller::sender_pod::{self, plain};

/// Which channel a receiver belongs to, by its uid: a name may be longer than a label.
pub const CHANNEL_LABEL: &str = "herald.dev/channel-uid";
pub const RECEIVER_NAME: &str = "herald-receiver";
/// The hash of what was wanted when it was last written.
pub const WANTED_HASH: &str = "herald.dev/wanted-hash";
/// The one container, and its port.
pub const RECEIVER_CONTAINER: &str = "receiver";
const PORT: i32 = 8_080;
/// Of the Service.
const SERVICE_PORT: i32 = 80;
/// The longest name of a Service.
const MAX_SERVICE_NAME: usize = 63;
/// Longer than calls that were taken may need.
const GRACE_SECONDS: i64 = 20;
/// Old revisions that are kept: a change is told by the channel, and undone there.
const REVISIONS: i32 = 1;

/// The name of both objects: `<channel>-receiver` where that is the name of a Service, else one made of the channel's uid.
pub fn name(channel: &MessageChannel) -> String {
    let named = format!("{}-receiver", channel.name_any());
    let is_label = named.len() <= MAX_SERVICE_NAME
        && named.starts_with(|first: char| first.is_ascii_lowercase())
        && named.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_label { named } else { format!("receiver-{}", uid(channel)) }
}

/// Where the Service takes calls, within the cluster.
pub fn url(channel: &MessageChannel) -> String {
    let namespace = channel.namespace().unwrap_or_default();
    format!("http://{}.{namespace}.svc{CALLBACKS}/{namespace}/{}", name(channel), channel.name_any())
}

fn uid(channel: &MessageChannel) -> String {
    channel.metadata.uid.clone().unwrap_or_default()
}

pub fn deployment(channel: &MessageChannel, settings: &SenderSettings) -> Deployment {
    let spec = DeploymentSpec {
        // Providers repeat what is not taken, and a Service needs no second one to be there most of the time.
        replicas: Some(1),
        revision_history_limit: Some(REVISIONS),
        selector: LabelSelector { match_labels: Some(selector(channel)), ..LabelSelector::default() },
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(channel_pod::labels(labels(channel), &channel.spec)),
                ..ObjectMeta::default()
            }),
            spec: Some(pod(channel, settings)),
        },
        ..DeploymentSpec::default()
    };
    let hash = hash(&spec);
    Deployment { metadata: metadata(channel, &hash), spec: Some(spec), status: None }
}

pub fn service(channel: &MessageChannel) -> Service {
    let spec = ServiceSpec {
        ports: Some(vec![ServicePort {
            name: Some("http".to_owned()),
            port: SERVICE_PORT,
            target_port: Some(IntOrString::String("callbacks".to_owned())),
            ..ServicePort::default()
        }]),
        selector: Some(selector(channel)),
        ..ServiceSpec::default()
    };
    let hash = hash(&spec);
    Service { metadata: metadata(channel, &hash), spec: Some(spec), status: None }
}

fn hash(spec: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(spec).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn metadata(channel: &MessageChannel, hash: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name(channel)),
        namespace: channel.namespace(),
        labels: Some(labels(channel)),
        annotations: Some(BTreeMap::from([(WANTED_HASH.to_owned(), hash.to_owned())])),
        owner_references: Some(vec![OwnerReference {
            api_version: MessageChannel::api_version(&()).into_owned(),
            kind: MessageChannel::kind(&()).into_owned(),
            name: channel.name_any(),
            uid: uid(channel),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

/// What never changes of the labels.
fn selector(channel: &MessageChannel) -> BTreeMap<String, String> {
    BTreeMap::from([(CHANNEL_LABEL.to_owned(), uid(channel)), (NAME_LABEL.to_owned(), RECEIVER_NAME.to_owned())])
}

fn labels(channel: &MessageChannel) -> BTreeMap<String, String> {
    let mut labels = selector(channel);
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
}

fn pod(channel: &MessageChannel, settings: &SenderSettings) -> PodSpec {
    let mounts = sender_pod::callback_keys_and_token(&channel.spec);
    let pod = PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![Container {
            name: RECEIVER_CONTAINER.to_owned(),
            image: Some(settings.image.clone()),
            image_pull_policy: settings.image_pull_policy.clone(),
            args: Some(vec!["receiver".to_owned()]),
            env: Some(environment(channel, settings)),
            ports: Some(vec![ContainerPort {
                name: Some("callbacks".to_owned()),
                container_port: PORT,
                ..ContainerPort::default()
            }]),
            liveness_probe: Some(probe("/livez")),
            readiness_probe: Some(probe("/readyz")),
            resources: Some(settings.resources.clone()),
            security_context: Some(sender_pod::restricted_container()),
            volume_mounts: Some(mounts.iter().map(|mount| mount.volume_mount()).collect()),
            ..Container::default()
        }],
        enable_service_links: Some(false),
        security_context: Some(sender_pod::restricted_pod()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        volumes: Some(mounts.into_iter().map(|mount| mount.volume).collect()),
        ..PodSpec::default()
    };
    channel_pod::run_as_told(pod, &channel.spec)
}

/// The spec without what changes nothing here, so that an edit of the rate starts no other pod.
fn environment(channel: &MessageChannel, settings: &SenderSettings) -> Vec<k8s_openapi::api::core::v1::EnvVar> {
    let mut spec = channel.spec.clone();
    (spec.rate, spec.suppression, spec.sender) = (None, None, None);
    let namespace = channel.namespace().unwrap_or_default();
    let received = ReceivedChannel { namespace, name: channel.name_any(), spec };
    let mut environment = vec![plain(mount::LEDGER_URL_VARIABLE, &settings.ledger_url)];
    environment.extend(settings.certificate_authority_pem.iter().map(|pem| plain(mount::LEDGER_CA_VARIABLE, pem)));
    environment.push(plain(mount::CHANNEL_VARIABLE, &serde_json::to_string(&received).unwrap_or_default()));
    environment
}

fn probe(path: &str) -> Probe {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String("callbacks".to_owned()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(get), period_seconds: Some(10), timeout_seconds: Some(5), ..Probe::default() }
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
