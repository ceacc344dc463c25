//! The pod of one sender: what it mounts, and what it may not do. It meets Pod Security `restricted`, holds no credentials
//! for the Kubernetes API, and mounts every Secret and ConfigMap as optional: the sender tells what is missing.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, KeyToPath,
    ObjectFieldSelector, PodSecurityContext, PodSpec, ProjectedVolumeSource, SeccompProfile, SecretVolumeSource,
    SecurityContext, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::channel_pod;
use super::job::{SenderSettings, resources};
use crate::api::mount::{self, TOKEN_AUDIENCE};
use crate::api::{Audience, AudienceSource, BroadcastMessageSpec, MessageChannelSpec, SourceMember};
use crate::delivery::time::NANOS_PER_SECOND;
use crate::ledger::SuppressionList;
use crate::ledger::exchange::CONNECT_TIMEOUT;

/// The one container.
pub const SENDER_CONTAINER: &str = "sender";
/// The group of the image's user (its user has the same number): mounted files are readable and the journal writable.
const GROUP: i64 = 65_532;
/// How long the token is good for; kubelet renews it in time.
const TOKEN_SECONDS: i64 = 3_600;
/// After the last answer of the provider: time to record it.
const RECORD_SECONDS: i64 = 10;

/// The pod that sends this broadcast through this channel, whose account has these lists of people who get nothing.
pub fn pod(
    broadcast: &BroadcastMessageSpec,
    channel: &MessageChannelSpec,
    suppression: &[SuppressionList],
    settings: &SenderSettings,
) -> PodSpec {
    let mounts = mounts(broadcast, channel, suppression);
    let pod = PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container(&mounts, channel, settings)],
        enable_service_links: Some(false),
        restart_policy: Some("OnFailure".to_owned()),
        security_context: Some(restricted_pod()),
        termination_grace_period_seconds: Some(
            CONNECT_TIMEOUT.0 / NANOS_PER_SECOND + i64::from(channel.request_timeout_seconds) + RECORD_SECONDS,
        ),
        volumes: Some(mounts.into_iter().map(|mount| mount.volume).collect()),
        ..PodSpec::default()
    };
    channel_pod::run_as_told(pod, channel)
}

/// What Pod Security `restricted` asks of a pod.
pub fn restricted_pod() -> PodSecurityContext {
    PodSecurityContext {
        fs_group: Some(GROUP),
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

/// What it asks of a container, and no file that it could write.
pub fn restricted_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

fn container(mounts: &[Mount], channel: &MessageChannelSpec, settings: &SenderSettings) -> Container {
    let wish = channel.sender.as_ref().and_then(|sender| sender.resources.as_ref());
    Container {
        name: SENDER_CONTAINER.to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: settings.image_pull_policy.clone(),
        args: Some(vec!["sender".to_owned()]),
        env: Some(environment(settings)),
        resources: Some(resources(wish, settings)),
        security_context: Some(restricted_container()),
        // The end of the log is told where the sender could not say why it ended.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts.iter().map(Mount::volume_mount).collect()),
        ..Container::default()
    }
}

/// A variable with its value.
pub fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}

fn environment(settings: &SenderSettings) -> Vec<EnvVar> {
    let mut environment = vec![plain(mount::LEDGER_URL_VARIABLE, &settings.ledger_url)];
    environment.extend(settings.certificate_authority_pem.iter().map(|pem| plain(mount::LEDGER_CA_VARIABLE, pem)));
    let field = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: "metadata.name".to_owned() };
    environment.push(EnvVar {
        name: mount::POD_NAME_VARIABLE.to_owned(),
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
        ..EnvVar::default()
    });
    environment
}

/// A volume and where it is.
pub struct Mount {
    pub volume: Volume,
    folder: String,
    writable: bool,
}

impl Mount {
    pub fn volume_mount(&self) -> VolumeMount {
        VolumeMount {
            name: self.volume.name.clone(),
            mount_path: self.folder.clone(),
            read_only: Some(true).filter(|_| !self.writable),
            ..VolumeMount::default()
        }
    }
}

/// What a receiver mounts: of the channel's Secret only what calls are verified by, not what messages are sent with.
pub fn callback_keys_and_token(channel: &MessageChannelSpec) -> Vec<Mount> {
    let keys = channel.member().map(|member| member.callback_keys()).unwrap_or_default();
    let items = items(&keys.iter().copied().collect());
    std::iter::once(token()).chain(credentials(channel, Some(items))).collect()
}

/// The channel's Secret; of a volume that is optional, the keys that are listed may be missing as well.
fn credentials(channel: &MessageChannelSpec, items: Option<Vec<KeyToPath>>) -> Option<Mount> {
    let secret = channel.credentials_secret_ref.as_ref()?;
    Some(Mount {
        volume: secret_volume("credentials".to_owned(), &secret.name, items),
        folder: mount::CREDENTIALS_FOLDER.to_owned(),
        writable: false,
    })
}

fn mounts(
    broadcast: &BroadcastMessageSpec,
    channel: &MessageChannelSpec,
    suppression: &[SuppressionList],
) -> Vec<Mount> {
    let mut mounts = vec![token(), journal()];
    mounts.extend(credentials(channel, None));
    let SourceKeys { config_maps, mut secrets, whole } = SourceKeys::of(members(&broadcast.audience, suppression));
    for name in &whole {
        secrets.entry(name).or_default();
    }
    let written_to = broadcast.on_sent.iter().filter_map(|on_sent| Some(&on_sent.sql.as_ref()?.url_secret_key_ref));
    let told = broadcast.notifications.iter().map(|endpoint| &endpoint.signing_secret_key_ref);
    for reference in told.chain(written_to) {
        secrets.entry(reference.name.as_str()).or_default().insert(reference.key.as_str());
    }
    for (index, (name, keys)) in config_maps.into_iter().enumerate() {
        let source = ConfigMapVolumeSource {
            name: name.to_owned(),
            items: Some(items(&keys)),
            optional: Some(true),
            ..ConfigMapVolumeSource::default()
        };
        let volume = Volume { name: format!("configmap-{index}"), config_map: Some(source), ..Volume::default() };
        mounts.push(Mount { volume, folder: mount::config_map_folder(name), writable: false });
    }
    for (index, (name, keys)) in secrets.into_iter().enumerate() {
        // Where somebody needs all keys there is no list of them.
        let items = if whole.contains(name) { None } else { Some(items(&keys)) };
        let volume = secret_volume(format!("secret-{index}"), name, items);
        mounts.push(Mount { volume, folder: mount::secret_folder(name), writable: false });
    }
    mounts
}

fn token() -> Mount {
    let token = ServiceAccountTokenProjection {
        audience: Some(TOKEN_AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: mount::TOKEN_FILE.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let source = ProjectedVolumeSource {
        sources: Some(vec![VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() }]),
        ..ProjectedVolumeSource::default()
    };
    let volume = Volume { name: "ledger-token".to_owned(), projected: Some(source), ..Volume::default() };
    Mount { volume, folder: mount::TOKEN_FOLDER.to_owned(), writable: false }
}

fn journal() -> Mount {
    let volume =
        Volume { name: "journal".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    Mount { volume, folder: mount::JOURNAL_FOLDER.to_owned(), writable: true }
}

fn secret_volume(volume: String, secret: &str, items: Option<Vec<KeyToPath>>) -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items,
        optional: Some(true),
        ..SecretVolumeSource::default()
    };
    Volume { name: volume, secret: Some(source), ..Volume::default() }
}

fn items(keys: &BTreeSet<&str>) -> Vec<KeyToPath> {
    keys.iter().map(|key| KeyToPath { key: (*key).to_owned(), path: (*key).to_owned(), mode: None }).collect()
}

type Keys<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Whom the audience names and whom it leaves out, and who gets nothing.
fn members<'a>(audience: &'a Audience, suppression: &'a [SuppressionList]) -> impl Iterator<Item = SourceMember<'a>> {
    let named = audience.sources.iter().chain(audience.exclude.iter().flat_map(|exclusion| &exclusion.sources));
    let of_audience = named.filter_map(AudienceSource::member);
    of_audience.chain(suppression.iter().filter_map(|list| list.source.member()))
}

/// The keys of ConfigMaps and of Secrets that sources are read from, by object, and the Secrets of headers, of which all keys
/// are meant.
#[derive(Default)]
struct SourceKeys<'a> {
    config_maps: Keys<'a>,
    secrets: Keys<'a>,
    whole: BTreeSet<&'a str>,
}

impl<'a> SourceKeys<'a> {
    fn of(sources: impl Iterator<Item = SourceMember<'a>>) -> SourceKeys<'a> {
        let mut keys = SourceKeys::default();
        for source in sources {
            let (objects, name, key) = match source {
                SourceMember::ConfigMap(file) => (&mut keys.config_maps, &file.name, &file.key),
                SourceMember::Secret(file) => (&mut keys.secrets, &file.name, &file.key),
                SourceMember::Sql(sql) => {
                    (&mut keys.secrets, &sql.url_secret_key_ref.name, &sql.url_secret_key_ref.key)
                }
                SourceMember::Http(http) => {
                    keys.whole.extend(http.headers_secret_ref.as_ref().map(|secret| secret.name.as_str()));
                    continue;
                }
                SourceMember::Broadcast(_) | SourceMember::Contacts(_) => continue,
            };
            objects.entry(name.as_str()).or_default().insert(key.as_str());
        }
        keys
    }
}
