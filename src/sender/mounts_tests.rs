use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

const CANARY: &str = "EAAB-canary";

/// As the kubelet mounts it: links into a hidden folder.
fn mounted(keys: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("..2026_11_24");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink("..2026_11_24", folder.path().join("..data")).unwrap();
    for (key, value) in keys {
        std::fs::write(data.join(key), value).unwrap();
        std::os::unix::fs::symlink(format!("..data/{key}"), folder.path().join(key)).unwrap();
    }
    folder
}

fn credentials(folder: &TempDir) -> MountedCredentials<'_> {
    MountedCredentials { folder: folder.path(), secret: Some("page"), is_whole: true, namespace: "marketing" }
}

#[test]
fn a_key_is_read_through_the_kubelets_links_without_its_line_break() {
    let folder = mounted(&[("accessToken", b"EAAB-canary\n")]);
    let value = credentials(&folder).get("accessToken").unwrap().unwrap();
    assert_eq!(value.expose_secret(), CANARY);
    for other in ["appSecret", "..data", "", ".", "../etc/passwd"] {
        assert!(credentials(&folder).get(other).unwrap().is_none(), "{other}");
    }
}

fn missing(key: &str) -> ChannelError {
    ChannelError::MissingKey { key: key.to_owned() }
}

#[test]
fn a_missing_secret_and_a_missing_key_are_told_apart_with_their_remedies() {
    let nowhere = tempfile::tempdir().unwrap();
    std::fs::remove_dir(nowhere.path()).unwrap();
    for folder in [mounted(&[]), nowhere] {
        let error = credentials(&folder).explain(missing("accessToken"));
        assert_eq!(error.reason(), "SecretNotFound");
        let text = error.to_string();
        assert!(
            text.contains("kubectl create secret generic page --from-file=accessToken=FILE -n marketing"),
            "{text}"
        );
    }
    let folder = mounted(&[("other", b"x")]);
    let error = credentials(&folder).explain(missing("accessToken"));
    assert_eq!(error.reason(), "SecretKeyNotFound");
    assert!(error.to_string().contains("the Secret `page` has no key `accessToken`, but other;"), "{error}");
    assert!(error.to_string().contains("kubectl edit secret page -n marketing"), "{error}");
    let many: Vec<String> = (0..12).map(|number| format!("key-{number:02}")).collect();
    assert!(shown(many).ends_with("key-09, 2 more"));
    let unnamed = MountedCredentials { secret: None, ..credentials(&folder) }.explain(missing("accessToken"));
    assert!(unnamed.to_string().contains("spec.credentialsSecretRef"), "{unnamed}");
}

#[test]
fn of_a_secret_of_which_some_keys_are_mounted_nothing_is_said_of_the_others() {
    for folder in [mounted(&[]), mounted(&[("verifyToken", b"x")])] {
        let receiver = MountedCredentials { is_whole: false, ..credentials(&folder) };
        let error = receiver.explain(missing("appSecret"));
        assert_eq!(error.reason(), "SecretKeyNotFound");
        let text = error.to_string();
        assert!(text.starts_with("the Secret `page` has no key `appSecret`, or is not in the namespace"), "{text}");
        assert!(text.contains("kubectl describe secret page -n marketing"), "{text}");
        assert!(!text.contains("verifyToken") && !text.contains("there is no Secret"), "{text}");
    }
}

#[test]
fn a_value_that_is_no_token_is_refused_without_being_shown() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"EAAB-canary\nEAAB-canary", "a line break"),
        (b"EAAB-canary\xff", "not text"),
    ];
    for (value, expected) in cases {
        let folder = mounted(&[("accessToken", value)]);
        let problem = credentials(&folder).get("accessToken").unwrap_err();
        let error = credentials(&folder).explain(ChannelError::UnusableKey { key: "accessToken".to_owned(), problem });
        assert_eq!(error.reason(), "SecretKeyUnusable");
        let text = error.to_string();
        assert!(text.contains(expected) && !text.contains("canary"), "{text}");
    }
}

#[test]
fn a_missing_list_is_told_with_a_remedy_for_the_cluster() {
    let pod = tempfile::tempdir().unwrap();
    let materials = MountedMaterials(Folders { namespace: "marketing".into(), ..Folders::of_pod(pod.path()) });
    let folder = pod.path().join("var/run/herald/audience/configmap/there");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("people.csv"), "id\n1\n").unwrap();
    std::fs::create_dir_all(pod.path().join("var/run/herald/audience/configmap/gone/..data")).unwrap();
    let mut text = String::new();
    let mut list = materials.open(MaterialKind::ConfigMap, "there", "people.csv").unwrap();
    list.read_to_string(&mut text).unwrap();
    assert_eq!(text, "id\n1\n");
    let error = |kind, name, key| materials.open(kind, name, key).err().unwrap().to_string();
    let other_key = error(MaterialKind::ConfigMap, "there", "other.csv");
    assert!(other_key.starts_with("the ConfigMap \"there\" has no key \"other.csv\""), "{other_key}");
    assert!(other_key.contains("kubectl describe configmap there -n marketing"), "{other_key}");
    let no_map = error(MaterialKind::ConfigMap, "gone", "people.csv");
    assert!(no_map.contains("kubectl create configmap gone --from-file=people.csv -n marketing"), "{no_map}");
    // Where only the key is misspelt nothing is mounted either, and making it would fail.
    assert!(no_map.contains("kubectl describe configmap gone -n marketing; or, where there is none"), "{no_map}");
    let no_secret = error(MaterialKind::Secret, "gone", "people.csv");
    assert!(
        no_secret.contains("kubectl create secret generic gone --from-file=people.csv -n marketing"),
        "{no_secret}"
    );
}

#[test]
fn the_keys_of_a_mounted_secret_are_listed_without_the_links_of_the_kubelet() {
    let pod = tempfile::tempdir().unwrap();
    let materials = MountedMaterials(Folders::of_pod(pod.path()));
    let folder = pod.path().join("var/run/herald/audience/secret/crm");
    std::fs::create_dir_all(folder.join("..data")).unwrap();
    std::fs::write(folder.join("allowedHosts"), "crm.example").unwrap();
    std::fs::write(folder.join("Authorization"), "Bearer canary").unwrap();
    let mut keys = materials.keys(MaterialKind::Secret, "crm").unwrap();
    keys.sort();
    assert_eq!(keys, ["Authorization", "allowedHosts"]);
    assert_eq!(materials.keys(MaterialKind::Secret, "gone").unwrap(), [] as [&str; 0]);
}

#[test]
fn a_changed_value_or_key_of_the_secret_is_seen_and_the_links_of_the_kubelet_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |key: &str, value: &str| std::fs::write(folder.path().join(key), value).unwrap();
    let nothing = Fingerprint::of(folder.path());
    assert!(nothing == Fingerprint::of(Path::new("/nowhere")));
    write("accessToken", "one");
    let one = Fingerprint::of(folder.path());
    assert!(one != nothing);
    write("..data", "2026");
    assert!(one == Fingerprint::of(folder.path()));
    write("accessToken", "two");
    assert!(one != Fingerprint::of(folder.path()));
    write("accessToken", "one");
    write("appSecret", "");
    assert!(one != Fingerprint::of(folder.path()));
}

/// A channel, the keys of its Secret, and the first key that is missing without them.
type Mounted = (&'static str, serde_json::Value, &'static [&'static str], &'static str);

#[test]
fn every_provider_is_made_from_what_is_mounted_and_says_which_key_is_missing() {
    let graph = serde_json::json!({"pageID": "1", "baseURL": "https://a.example", "apiVersion": "v25.0"});
    let number = serde_json::json!({"phoneNumberID": "1", "baseURL": "https://a.example", "apiVersion": "v25.0"});
    let sender = serde_json::json!({"accountSID": "AC01", "from": "+1500", "baseURL": "https://a.example"});
    let cases: [Mounted; 6] = [
        ("messenger", graph, &["accessToken"], "accessToken"),
        ("whatsapp", number, &["accessToken", "appSecret"], "accessToken"),
        ("telegram", serde_json::json!({"botID": "1", "baseURL": "https://a.example"}), &["botToken"], "botToken"),
        ("slack", serde_json::json!({"teamID": "T1", "baseURL": "https://a.example"}), &["botToken"], "botToken"),
        ("twilio", sender.clone(), &["apiKeySID", "apiKeySecret"], "authToken"),
        ("twilio", sender, &["authToken"], "authToken"),
    ];
    for (member, fields, keys, needed) in cases {
        let spec = serde_json::json!({member: fields, "credentialsSecretRef": {"name": "page"}});
        let spec: crate::api::MessageChannelSpec = serde_json::from_value(spec).unwrap();
        let files: Vec<(&str, &[u8])> = keys.iter().map(|key| (*key, b"1:canary\n".as_slice())).collect();
        let folder = mounted(&files);
        let provider = crate::sender::assembly::provider(&spec, &credentials(&folder)).unwrap();
        assert_eq!(provider.name(), member);
        let nothing = mounted(&[]);
        let error = crate::sender::assembly::provider(&spec, &credentials(&nothing)).err().unwrap();
        assert!(matches!(&error, ChannelError::MissingKey { key } if key == needed), "{member}: {error}");
    }
}
