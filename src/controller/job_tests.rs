use std::path::Path;

use k8s_openapi::api::core::v1::{PodSpec, Volume};
use serde_json::json;

use super::*;

/// Set this to write the sample anew instead of comparing.
const UPDATE: &str = "UPDATE_SENDER_JOB";

fn settings() -> SenderSettings {
    SenderSettings {
        image: "registry.example/herald:1".to_owned(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        ledger_url: "https://herald.herald-system.svc:8443".to_owned(),
        certificate_authority_pem: Some("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_owned()),
        resources: ResourceRequirements {
            requests: Some(BTreeMap::from([("memory".to_owned(), Quantity("64Mi".to_owned()))])),
            ..ResourceRequirements::default()
        },
    }
}

fn broadcast() -> BroadcastMessage {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "BroadcastMessage",
        "metadata": {"name": "spring-sale", "namespace": "marketing", "uid": "9f3a77aa-1111-2222-3333-444444444444", "generation": 3},
        "spec": {
            "channelRef": {"name": "acme-page"},
            "audience": {
                "sources": [
                    {"name": "a", "configMapKeyRef": {"name": "lists", "key": "people.csv"}},
                    {"name": "b", "configMapKeyRef": {"name": "lists", "key": "more.csv"}},
                    {"name": "c", "secretKeyRef": {"name": "lists", "key": "people.ndjson"}},
                ],
                "exclude": {"sources": [
                    {"name": "d", "configMapKeyRef": {"name": "opt-outs", "key": "ids.csv"}},
                    {"name": "e", "secretKeyRef": {"name": "staff.list", "key": "ids.jsonl"}},
                ]},
            },
            "content": {"text": "Hi"},
            "delivery": {"senders": 2},
        },
    }))
    .unwrap()
}

fn channel() -> MessageChannel {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "acme-page", "namespace": "marketing", "generation": 7},
        "spec": {
            "messenger": {"pageID": "1029384756"},
            "credentialsSecretRef": {"name": "acme-page"},
            "requestTimeoutSeconds": 30,
            "sender": {"imagePullSecrets": [{"name": "registry"}]},
        },
    }))
    .unwrap()
}

fn sample() -> Job {
    job(&broadcast(), &channel(), &[], &settings(), 1, &Start { settled: 12, plan: Some("sha256:ab".to_owned()) })
}

fn pod() -> PodSpec {
    sample().spec.unwrap().template.spec.unwrap()
}

#[test]
fn the_job_is_the_committed_sample() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/controller/testdata/sender_job.yaml");
    let made = serde_saphyr::to_string(&sample()).unwrap();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, made, "{} differs; run {UPDATE}=1 cargo test --lib the_job_is", path.display());
}

#[test]
fn the_job_is_a_work_queue_that_belongs_to_its_broadcast() {
    let job = sample();
    let spec = job.spec.as_ref().unwrap();
    assert_eq!(job.metadata.name.as_deref(), Some("spring-sale-9f3a-1"));
    assert_eq!((spec.completions, spec.parallelism), (None, Some(2)));
    assert_eq!((spec.backoff_limit, spec.ttl_seconds_after_finished), (Some(5), Some(3_600)));
    let owner = &job.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
        ("BroadcastMessage", Some(true), Some(true))
    );
    assert_eq!(job.metadata.labels, spec.template.metadata.as_ref().unwrap().labels, "the channel adds none");
    assert_eq!(wave(&job), 1);
}

#[test]
fn the_pod_meets_pod_security_restricted() {
    let pod = pod();
    let security = pod.security_context.as_ref().unwrap();
    assert_eq!(security.run_as_non_root, Some(true));
    assert_eq!(security.run_as_user, None, "the image has a numeric user; clusters may give another");
    assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
    assert!(pod.init_containers.is_none() && pod.ephemeral_containers.is_none());
    for container in &pod.containers {
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.privileged, None);
        assert_eq!(security.read_only_root_filesystem, Some(true));
        let capabilities = security.capabilities.as_ref().unwrap();
        assert_eq!((capabilities.drop.as_deref(), &capabilities.add), (Some(&["ALL".to_owned()][..]), &None));
        assert!(container.ports.is_none());
    }
    let allowed = |volume: &Volume| {
        volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.projected.is_some()
            || volume.empty_dir.is_some()
    };
    assert!(pod.volumes.as_ref().unwrap().iter().all(allowed));
    assert_eq!((pod.automount_service_account_token, pod.enable_service_links), (Some(false), Some(false)));
    assert_eq!(pod.termination_grace_period_seconds, Some(5 + 30 + 10));
    assert_eq!(pod.restart_policy.as_deref(), Some("OnFailure"));
}

#[test]
fn every_source_and_exclusion_is_mounted_where_the_sender_looks_and_may_be_missing() {
    let pod = pod();
    let volumes = pod.volumes.unwrap();
    let mounts = pod.containers[0].volume_mounts.clone().unwrap();
    let at = |folder: &str| {
        let mount = mounts.iter().find(|mount| mount.mount_path == folder).unwrap_or_else(|| panic!("no {folder}"));
        volumes.iter().find(|volume| volume.name == mount.name).unwrap()
    };
    let config_map = |name: &str| at(&crate::api::mount::config_map_folder(name)).config_map.clone().unwrap();
    let secret = |name: &str| at(&crate::api::mount::secret_folder(name)).secret.clone().unwrap();
    let keys = |items: &Option<Vec<k8s_openapi::api::core::v1::KeyToPath>>| -> Vec<String> {
        items.iter().flatten().map(|item| item.path.clone()).collect()
    };
    assert_eq!(keys(&config_map("lists").items), ["more.csv", "people.csv"]);
    assert_eq!(keys(&config_map("opt-outs").items), ["ids.csv"]);
    assert_eq!(keys(&secret("lists").items), ["people.ndjson"]);
    assert_eq!(keys(&secret("staff.list").items), ["ids.jsonl"]);
    let credentials = at(crate::api::mount::CREDENTIALS_FOLDER).secret.clone().unwrap();
    assert_eq!((credentials.secret_name.as_deref(), credentials.items), (Some("acme-page"), None));
    for volume in &volumes {
        let optional = [
            volume.config_map.as_ref().map(|source| source.optional),
            volume.secret.as_ref().map(|source| source.optional),
        ];
        assert!(optional.into_iter().flatten().all(|optional| optional == Some(true)), "{}", volume.name);
    }
    let token = at(crate::api::mount::TOKEN_FOLDER).projected.clone().unwrap().sources.unwrap();
    let token = token[0].service_account_token.clone().unwrap();
    assert_eq!((token.audience.as_deref(), token.path.as_str()), (Some("herald"), "token"));
    assert!(at(crate::api::mount::JOURNAL_FOLDER).empty_dir.is_some());
    assert_eq!(mounts.len(), volumes.len());
}

#[test]
fn a_secret_of_headers_is_mounted_with_all_its_keys_even_where_a_list_is_one_of_them() {
    let mut broadcast = broadcast();
    let http = |secret: &str| {
        let http = json!({"url": "https://crm.example/people", "headersSecretRef": {"name": secret}});
        serde_json::from_value(json!({"name": secret, "http": http})).unwrap()
    };
    broadcast.spec.audience.sources.push(http("crm"));
    broadcast.spec.audience.exclude.as_mut().unwrap().sources.push(http("lists"));
    let sql = json!({"urlSecretKeyRef": {"name": "staff.list", "key": "url"}, "query": "select id from people"});
    broadcast.spec.audience.sources.push(serde_json::from_value(json!({"name": "db", "sql": sql})).unwrap());
    let job = job(&broadcast, &channel(), &[], &settings(), 1, &Start::default());
    let pod = job.spec.unwrap().template.spec.unwrap();
    let secrets: Vec<_> = pod.volumes.unwrap().into_iter().filter_map(|volume| volume.secret).collect();
    let found = |name: &str| {
        let of_it: Vec<_> = secrets.iter().filter(|secret| secret.secret_name.as_deref() == Some(name)).collect();
        assert_eq!(of_it.len(), 1, "{name}");
        of_it[0].clone()
    };
    assert_eq!((found("crm").items, found("crm").optional), (None, Some(true)));
    assert_eq!((found("lists").items, found("lists").optional), (None, Some(true)));
    let keys = |items: Option<Vec<k8s_openapi::api::core::v1::KeyToPath>>| {
        items.into_iter().flatten().map(|item| item.path).collect::<Vec<String>>()
    };
    assert_eq!(keys(found("staff.list").items), ["ids.jsonl", "url"]);
}

#[test]
fn secrets_of_endpoints_and_write_backs_are_mounted_with_their_keys_alone_and_may_be_missing() {
    let mut broadcast = broadcast();
    let endpoint = |name: &str, secret: &str| {
        json!({"name": name, "url": "https://hooks.example/", "events": ["BroadcastFinished"],
            "signingSecretKeyRef": {"name": secret, "key": "secret"}})
    };
    let endpoints = json!([endpoint("crm", "hook"), endpoint("audit", "staff.list")]);
    broadcast.spec.notifications = serde_json::from_value(endpoints).unwrap();
    let sql = json!({"sql": {"statement": "delete from due where id = :id",
        "urlSecretKeyRef": {"name": "crm-db", "key": "url"}}});
    broadcast.spec.on_sent = serde_json::from_value(sql).unwrap();
    let pod = job(&broadcast, &channel(), &[], &settings(), 1, &Start::default()).spec.unwrap().template.spec.unwrap();
    let secrets: Vec<_> = pod.volumes.unwrap().into_iter().filter_map(|volume| volume.secret).collect();
    let keys = |name: &str| -> Vec<String> {
        let secret = secrets.iter().find(|secret| secret.secret_name.as_deref() == Some(name)).unwrap();
        assert_eq!(secret.optional, Some(true));
        secret.items.iter().flatten().map(|item| item.key.clone()).collect()
    };
    assert_eq!(
        (keys("hook"), keys("crm-db"), keys("staff.list")),
        (vec!["secret".to_owned()], vec!["url".to_owned()], vec!["ids.jsonl".to_owned(), "secret".to_owned()])
    );
    let mounted = pod.containers[0].volume_mounts.iter().flatten().map(|mount| mount.mount_path.as_str());
    assert!(mounted.into_iter().any(|path| path == crate::api::mount::secret_folder("hook")));
}

#[test]
fn a_job_s_name_fits_with_the_longest_name_of_a_broadcast() {
    let mut long = broadcast();
    long.metadata.name = Some("a".repeat(crate::api::broadcast::MAX_BROADCAST_NAME));
    assert!(job_name(&long, 99_999).len() <= 63);
}

#[test]
fn the_channel_s_resources_come_before_the_operator_s() {
    let asks = |channel: &MessageChannel| {
        let pod =
            job(&broadcast(), channel, &[], &settings(), 1, &Start::default()).spec.unwrap().template.spec.unwrap();
        pod.containers[0].resources.clone().unwrap()
    };
    assert_eq!(asks(&channel()), settings().resources);
    let mut own = channel();
    let resources = json!({"limits": {"cpu": "1", "ephemeral-storage": "1Gi"}, "requests": {"memory": "32Mi"}});
    own.spec.sender.as_mut().unwrap().resources = serde_json::from_value(resources).unwrap();
    let asked = serde_json::to_value(asks(&own)).unwrap();
    assert_eq!(asked, json!({"limits": {"cpu": "1", "ephemeral-storage": "1Gi"}, "requests": {"memory": "32Mi"}}));
}

/// A channel that says all it may of its pods.
fn particular_channel() -> MessageChannel {
    let mut channel = channel();
    channel.spec.sender = serde_json::from_value(json!({
        "serviceAccountName": "senders",
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [
            {"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoExecute", "tolerationSeconds": 60},
            {"operator": "Exists"},
        ],
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "growth", "cost.example/centre": "4711"},
    }))
    .unwrap();
    channel
}

#[test]
fn the_pods_run_where_and_as_whom_the_channel_says_and_still_hold_no_token_of_the_cluster() {
    let job = job(&broadcast(), &particular_channel(), &[], &settings(), 1, &Start::default());
    let template = serde_json::to_value(job.spec.unwrap().template).unwrap();
    let pod = &template["spec"];
    assert_eq!(pod["serviceAccountName"], "senders");
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/arch": "amd64"}));
    assert_eq!(
        pod["tolerations"],
        json!([
            {"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoExecute", "tolerationSeconds": 60},
            {"operator": "Exists"},
        ])
    );
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    assert_eq!(pod["automountServiceAccountToken"], false);
    let tokens: Vec<_> =
        pod["volumes"].as_array().unwrap().iter().filter_map(|volume| volume.get("projected")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0]["sources"][0]["serviceAccountToken"]["audience"], "herald");
}

#[test]
fn pods_whose_channel_names_no_service_account_name_the_one_that_they_get() {
    let mut particular = particular_channel();
    particular.spec.sender.as_mut().unwrap().service_account_name = None;
    let mut silent = channel();
    silent.spec.sender = None;
    for channel in [particular, silent] {
        let job = job(&broadcast(), &channel, &[], &settings(), 1, &Start::default());
        let pod = job.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), Some("default"));
    }
}

#[test]
fn a_channel_s_labels_are_beside_herald_s_own_and_never_in_their_place() {
    let labels = |channel: &MessageChannel| {
        let job = job(&broadcast(), channel, &[], &settings(), 1, &Start::default());
        let of_pods = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
        (job.metadata.labels.unwrap(), of_pods)
    };
    let mut channel = particular_channel();
    let (of_job, of_pods) = labels(&channel);
    assert_eq!(of_job, super::labels(&broadcast()), "only pods have the channel's");
    let mut expected = of_job.clone();
    expected.insert("team".to_owned(), "growth".to_owned());
    expected.insert("cost.example/centre".to_owned(), "4711".to_owned());
    assert_eq!(of_pods, expected);
    // The schema refuses it; an object of an older schema may have it.
    let wish = &mut channel.spec.sender.as_mut().unwrap().labels;
    wish.insert(BROADCAST_LABEL.to_owned(), "another".to_owned());
    assert_eq!(labels(&channel).1[BROADCAST_LABEL], "spring-sale");
    assert_ne!(
        template_hash(&broadcast(), &channel, &[], &settings()),
        template_hash(&broadcast(), &self::channel(), &[], &settings())
    );
}

#[test]
fn the_template_hash_follows_channel_and_settings_but_not_rate_wave_or_senders() {
    let hash = |broadcast: &BroadcastMessage, channel: &MessageChannel, settings: &SenderSettings| {
        template_hash(broadcast, channel, &[], settings)
    };
    let first = hash(&broadcast(), &channel(), &settings());
    let mut other = settings();
    other.image = "registry.example/herald:2".to_owned();
    assert_ne!(hash(&broadcast(), &channel(), &other), first);
    let mut moved = channel();
    moved.spec.credentials_secret_ref.as_mut().unwrap().name = "other".to_owned();
    assert_ne!(hash(&broadcast(), &moved, &settings()), first);
    let mut slower = channel();
    slower.spec.rate = Some(crate::api::Rate { messages: 1, period_seconds: 6 });
    let mut more = broadcast();
    more.spec.delivery.senders = 8;
    assert_eq!(hash(&more, &slower, &settings()), first);
}

#[test]
fn every_list_of_people_who_get_nothing_is_mounted_beside_those_of_the_audience_and_tells_in_the_hash() {
    let list = |channel: &str, index, source| SuppressionList {
        channel: channel.to_owned(),
        index,
        source: serde_json::from_value(source).unwrap(),
    };
    let lists = [
        list("acme-page", 0, json!({"name": "a", "configMapKeyRef": {"name": "opt-outs", "key": "more.csv"}})),
        list("acme-page", 1, json!({"name": "b", "secretKeyRef": {"name": "gone", "key": "ids.ndjson"}})),
        list(
            "other",
            0,
            json!({"name": "c", "sql": {
            "urlSecretKeyRef": {"name": "crm-db", "key": "url"}, "query": "select id from gone"}}),
        ),
        list(
            "other",
            1,
            json!({"name": "d", "http": {
            "url": "https://crm.example/gone", "headersSecretRef": {"name": "crm"}}}),
        ),
    ];
    let pod =
        job(&broadcast(), &channel(), &lists, &settings(), 1, &Start::default()).spec.unwrap().template.spec.unwrap();
    let volumes = pod.volumes.unwrap();
    let config_map = |name: &str| {
        let of = |volume: &Volume| volume.config_map.clone().filter(|source| source.name == name);
        volumes.iter().find_map(of).unwrap_or_else(|| panic!("no {name}"))
    };
    let secret = |name: &str| {
        let of = |volume: &Volume| volume.secret.clone().filter(|source| source.secret_name.as_deref() == Some(name));
        volumes.iter().find_map(of).unwrap_or_else(|| panic!("no {name}"))
    };
    let keys = |items: Option<Vec<k8s_openapi::api::core::v1::KeyToPath>>| {
        items.map(|items| items.into_iter().map(|item| item.key).collect::<Vec<_>>())
    };
    let named = |keys: &[&str]| Some(keys.iter().map(|key| key.to_string()).collect::<Vec<_>>());
    assert_eq!(keys(config_map("opt-outs").items), named(&["ids.csv", "more.csv"]));
    assert_eq!(keys(secret("gone").items), named(&["ids.ndjson"]));
    assert_eq!(keys(secret("crm-db").items), named(&["url"]));
    assert_eq!(keys(secret("crm").items), None, "all of its keys are headers");
    let hash = |lists: &[SuppressionList]| template_hash(&broadcast(), &channel(), lists, &settings());
    assert_ne!(hash(&lists), hash(&[]));
}
