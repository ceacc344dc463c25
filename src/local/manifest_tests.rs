//! Each bad input is refused with its place and the remedy, and a good one is read as it was written.

use std::{fs, io::Read, path::Path};

use secrecy::ExposeSecret;

use super::{
    manifest::{Manifest, ObjectName, Purpose},
    manifest_data::{ConfigMapFlag, Data, FlagError, SecretFlag, SecretFrom},
    manifest_document::ManifestInput,
};

const BROADCAST: &str = "\
apiVersion: herald.dev/v1alpha1
kind: BroadcastMessage
metadata:
  name: spring-sale
spec:
  channelRef: {name: acme-page}
  audience:
    recipients:
    - {id: \"1\", vars: {first_name: Ana}}
    sources:
    - name: people
      configMapKeyRef: {name: people, key: people.csv}
  content:
    text: Hi {{ first_name }}
";
const CHANNEL: &str = "\
apiVersion: herald.dev/v1alpha1
kind: MessageChannel
metadata: {name: acme-page}
spec:
  messenger: {pageID: \"1029384756\"}
  credentialsSecretRef:
    name: acme-page
";
const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: acme-page}
data: {appSecret: c2hoaA==}
stringData:
  accessToken: |
    EAAtoken
";
const CONFIG_MAP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: people}
data:
  people.csv: |
    id,first_name
    2,Bo
";

fn stream(documents: &[&str]) -> String {
    documents.join("---\n")
}

fn complete() -> String {
    stream(&[BROADCAST, CHANNEL, SECRET, CONFIG_MAP])
}

fn load(text: &str) -> Result<Manifest, String> {
    load_with(text, &[], &[])
}

fn load_with(text: &str, config_maps: &[&str], secrets: &[&str]) -> Result<Manifest, String> {
    let config_maps: Vec<ConfigMapFlag> = config_maps.iter().map(|flag| flag.parse().unwrap()).collect();
    let secrets: Vec<SecretFlag> = secrets.iter().map(|flag| flag.parse().unwrap()).collect();
    Manifest::load(&[ManifestInput::Stdin(text.to_owned())], &config_maps, &secrets, &Purpose::RUN)
        .map_err(|faults| faults.to_string())
}

fn refused(text: &str) -> String {
    match load(text) {
        Ok(_) => panic!("accepted: {}", text.lines().take(50).collect::<Vec<_>>().join("\n")),
        Err(faults) => faults,
    }
}

fn read(data: &Data) -> String {
    let mut text = String::new();
    data.reader().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_complete_manifest_is_read_as_it_was_written() {
    let manifest = load(&complete()).unwrap();
    let broadcast = &manifest.broadcasts[0];
    assert_eq!(broadcast.name.to_string(), "default/spring-sale");
    assert_eq!(broadcast.object.idempotency_key(), "spring-sale");
    assert_eq!(broadcast.object.spec.delivery.senders, 1);
    assert_eq!(broadcast.lines.of("spec.content.text").line, 14);
    let channel = manifest.channel_of(broadcast).unwrap();
    assert_eq!(channel.object.spec.ceiling().map(|rate| (rate.messages, rate.period_seconds)), Some((40, 1)));
    let token = |key| manifest.credential(channel, key).unwrap().map(|token| token.expose_secret().to_owned());
    assert_eq!(token("accessToken").as_deref(), Some("EAAtoken"));
    assert_eq!(token("appSecret").as_deref(), Some("shhh"));
    assert_eq!(token("verifyToken"), None);
    let source = manifest.source("default", broadcast.object.spec.audience.sources[0].member().unwrap()).unwrap();
    assert_eq!(read(source), "id,first_name\n2,Bo\n");
}

#[test]
fn broadcasts_keep_the_order_of_files_and_documents() {
    let broadcast = |name: &str| BROADCAST.replace("spring-sale", name);
    let first = stream(&[&broadcast("c"), CHANNEL, SECRET, &broadcast("a")]);
    let second = stream(&[CONFIG_MAP, "", &broadcast("b")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("second.yaml");
    fs::write(&path, second).unwrap();
    let manifest =
        Manifest::load(&[ManifestInput::Stdin(first), ManifestInput::File(path)], &[], &[], &Purpose::RUN).unwrap();
    let names: Vec<_> = manifest.broadcasts.iter().map(|broadcast| broadcast.name.name.as_str()).collect();
    assert_eq!(names, ["c", "a", "b"]);
}

#[test]
fn bad_documents_are_refused_with_line_field_and_remedy() {
    let two_spaces = |from: &str, to: &str| complete().replace(from, to);
    let cases = [
        (
            two_spaces("  content:\n", "  colour: blue\n  content:\n"),
            "standard input:13: BroadcastMessage default/spring-sale: spec.colour: Unknown field: fields known here: audience, cancel,",
        ),
        (
            two_spaces("  content:\n", "  delivery:\n    rate:\n      messages: 0\n  content:\n"),
            "standard input:15: BroadcastMessage default/spring-sale: spec.delivery.rate.messages: Invalid value: 0: spec.delivery.rate.messages in body should be greater than or equal to 1",
        ),
        (
            two_spaces("  content:\n    text: Hi {{ first_name }}\n", ""),
            "standard input:5: BroadcastMessage default/spring-sale: spec.content: Required value",
        ),
        (
            two_spaces("pageID: \"1029384756\"", "pageID: 1029384756"),
            "standard input:20: MessageChannel default/acme-page: spec.messenger.pageID: Invalid value: \"integer\": spec.messenger.pageID in body must be of type string: \"integer\"; put the value in quotes",
        ),
        (
            two_spaces("  credentialsSecretRef:\n    name: acme-page\n", ""),
            "standard input:19: MessageChannel default/acme-page: spec.credentialsSecretRef: Required value: the channel needs the Secret that holds its credentials: accessToken (messenger, whatsapp)",
        ),
        (two_spaces("    text: Hi", "   text: [Hi"), "standard input:"),
        (
            two_spaces("  name: spring-sale\n", "  name: spring-sale\n  name: spring-sale\n"),
            "standard input:5: not valid YAML: ",
        ),
        (
            two_spaces("kind: ConfigMap", "kind: Deployment"),
            "standard input:33: kind \"Deployment\"; a run takes documents of kind BroadcastMessage, MessageChannel, Secret and ConfigMap",
        ),
        (
            two_spaces("kind: ConfigMap", "kind: MessageBatch"),
            "standard input:33: kind MessageBatch, which Herald makes itself; a run takes",
        ),
        (two_spaces("kind: ConfigMap\n", ""), "standard input:32: a document without a kind; a run takes"),
        ("- 1\n".to_owned(), "standard input:1: a document without a kind; a run takes"),
        (
            two_spaces("apiVersion: v1\nkind: Secret", "apiVersion: v2\nkind: Secret"),
            "standard input:24: Secret default/acme-page: apiVersion: Unsupported value: supported values: \"v1\"",
        ),
        (
            two_spaces("c2hoaA==", "shhh!"),
            "standard input:27: Secret default/acme-page: data.appSecret: Invalid value: not base64; plain text belongs into stringData",
        ),
        (
            two_spaces("c2hoaA==", "5"),
            "standard input:27: Secret default/acme-page: data.appSecret: Invalid value: must be text; put the value in quotes",
        ),
        (
            two_spaces("data:\n  people.csv", "dada:\n  people.csv"),
            "standard input:35: ConfigMap default/people: dada: Unknown field: fields known here: data, binaryData, immutable",
        ),
        (
            two_spaces("  people.csv: |", "  people list.csv: |"),
            "standard input:36: ConfigMap default/people: data.people list.csv: Invalid value: a key is",
        ),
        (
            two_spaces("metadata: {name: people}", "metadata: {name: People}"),
            "standard input:34: ConfigMap default/People: metadata.name: Invalid value: \"People\": a lowercase RFC 1123 subdomain",
        ),
        (
            two_spaces("metadata: {name: people}\n", ""),
            "standard input:32: ConfigMap default/: metadata.name: Required value",
        ),
        (
            stream(&[&complete(), BROADCAST]),
            "standard input:40: BroadcastMessage default/spring-sale is already defined at standard input:1; remove one of the two or give it another name",
        ),
        (
            stream(&[&complete(), SECRET]),
            "standard input:40: Secret default/acme-page is already defined at standard input:24; ",
        ),
        (stream(&[CHANNEL, SECRET]), "standard input: no document of kind BroadcastMessage; there is nothing to send"),
        (String::new(), "standard input: no document of kind BroadcastMessage; there is nothing to send"),
    ];
    for (text, expected) in cases {
        let faults = refused(&text);
        assert!(faults.starts_with(expected), "expected {expected}\ngot      {faults}");
        assert!(!faults.contains("EAAtoken") && !faults.contains("shhh"), "{faults}");
    }
}

#[test]
fn references_that_lead_nowhere_are_refused_with_what_to_add() {
    let without = |left_out: &str| complete().replace(left_out, "");
    let cases = [
        (
            without(CHANNEL),
            "standard input:6: BroadcastMessage default/spring-sale: spec.channelRef.name: no MessageChannel \"acme-page\" in namespace default; add a MessageChannel document named acme-page, e.g. with another -f FILE",
        ),
        (
            complete()
                .replace("metadata: {name: acme-page}\nspec", "metadata: {name: acme-page, namespace: sales}\nspec"),
            "standard input:6: BroadcastMessage default/spring-sale: spec.channelRef.name: no MessageChannel \"acme-page\" in namespace default; sales/acme-page is in another namespace; put both into one",
        ),
        (
            without(SECRET),
            "standard input:22: MessageChannel default/acme-page (of BroadcastMessage default/spring-sale): spec.credentialsSecretRef.name: no Secret \"acme-page\" in namespace default; add a Secret document with the key accessToken, or give --secret acme-page/accessToken=FILE or --secret acme-page/accessToken=env:VARIABLE",
        ),
        (
            complete().replace("  accessToken: |", "  token: |"),
            "standard input:22: MessageChannel default/acme-page (of BroadcastMessage default/spring-sale): spec.credentialsSecretRef.name: Secret acme-page has no key \"accessToken\", only appSecret, token; add the key, or give --secret",
        ),
        (
            complete().replace("    EAAtoken\n", "\n"),
            "standard input:22: MessageChannel default/acme-page (of BroadcastMessage default/spring-sale): spec.credentialsSecretRef.name: key accessToken of Secret acme-page is empty; ",
        ),
        (
            complete().replace("    EAAtoken\n", "    EAAtoken\n    EAAtoken\n"),
            "standard input:22: MessageChannel default/acme-page (of BroadcastMessage default/spring-sale): spec.credentialsSecretRef.name: key accessToken of Secret acme-page holds a line break or another control character; ",
        ),
        (
            without(CONFIG_MAP),
            "standard input:12: BroadcastMessage default/spring-sale: spec.audience.sources[0].configMapKeyRef.name: no ConfigMap \"people\" in namespace default; add a ConfigMap document with the key people.csv, or give --config-map people=people.csv",
        ),
        (
            complete().replace("  people.csv: |", "  persons.csv: |"),
            "standard input:12: BroadcastMessage default/spring-sale: spec.audience.sources[0].configMapKeyRef.key: ConfigMap people has no key \"people.csv\", only persons.csv; add the key, or give --config-map people=people.csv",
        ),
        (
            complete().replace(
                "  content:",
                "    exclude: {sources: [{name: out, secretKeyRef: {name: out, key: ids.csv}}]}\n  content:",
            ),
            "standard input:13: BroadcastMessage default/spring-sale: spec.audience.exclude.sources[0].secretKeyRef.name: no Secret \"out\" in namespace default; add a Secret document with the key ids.csv, or give --secret out/ids.csv=FILE",
        ),
        (
            complete().replace("first_name: Ana", "first-name: Ana"),
            "standard input:9: BroadcastMessage default/spring-sale: spec.audience.recipients[0].vars.first-name: \"first-name\" is no name of a variable; use letters, digits and '_', not beginning with a digit",
        ),
    ];
    for (text, expected) in cases {
        let faults = refused(&text);
        assert!(faults.starts_with(expected), "expected {expected}\ngot      {faults}");
    }
}

#[test]
fn all_faults_of_all_documents_are_told_at_once() {
    let text = complete()
        .replace("  content:", "  colour: blue\n  content:")
        .replace("pageID: \"1029384756\"", "pageID: x")
        .replace("c2hoaA==", "x");
    assert_eq!(refused(&text).lines().count(), 3);
}

#[test]
fn an_http_channel_needs_exactly_the_keys_its_headers_name() {
    let channel = "\
apiVersion: herald.dev/v1alpha1
kind: MessageChannel
metadata: {name: acme-page}
spec:
  http:
    url: http://127.0.0.1:9/send
    headers:
    - {name: Authorization, value: \"Bearer {{ secret.token }}\"}
    - {name: X-Key, value: \"{{ secret.key }}-{{ secret.token }}\"}
  credentialsSecretRef: {name: acme-page}
  rate: {messages: 10}
";
    let text = complete().replace(CHANNEL, channel);
    let faults = refused(&text);
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(faults.contains("has no key \"token\"") && faults.contains("has no key \"key\""), "{faults}");
    assert!(load(&text.replace("stringData:\n", "stringData:\n  token: a\n  key: b\n")).is_ok());
}

#[test]
fn files_and_variables_of_flags_stand_over_documents_in_every_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let people = folder.path().join("people.csv");
    fs::write(&people, "id\n7\n").unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "fromFile\r\n").unwrap();
    let text =
        complete().replace("metadata:\n  name: spring-sale", "metadata:\n  name: spring-sale\n  namespace: sales");
    let text = text.replace("metadata: {name: acme-page}\nspec", "metadata: {name: acme-page, namespace: sales}\nspec");
    let config_map = format!("people={}", people.display());
    let manifest = load_with(&text, &[&config_map], &[&format!("acme-page/accessToken={}", token.display())]).unwrap();
    let broadcast = &manifest.broadcasts[0];
    let channel = manifest.channel_of(broadcast).unwrap();
    let found = manifest.credential(channel, "accessToken").unwrap().unwrap();
    assert_eq!(found.expose_secret(), "fromFile");
    let source = manifest.source("sales", broadcast.object.spec.audience.sources[0].member().unwrap()).unwrap();
    assert_eq!(source.path(), Some(people.as_path()), "a file of an audience is not read into memory");
    assert_eq!(read(source), "id\n7\n");

    // PATH is there wherever tests run.
    let manifest = load_with(&complete(), &[], &["acme-page/accessToken=env:PATH"]).unwrap();
    let channel = ObjectName { namespace: "default".to_owned(), name: "acme-page".to_owned() };
    let found = manifest.credential(&manifest.channels[&channel], "accessToken").unwrap().unwrap();
    assert_eq!(found.expose_secret(), std::env::var("PATH").unwrap().trim());
}

#[test]
fn flags_that_lead_nowhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(here("folder.csv")).unwrap();
    fs::write(here("people.csv"), "id\n").unwrap();
    fs::write(here("people2.csv"), "id\n").unwrap();
    let people = format!("people={}", here("people.csv"));
    let cases: [(Vec<String>, Vec<String>, &str); 5] = [
        (vec![format!("people={}", here("none.csv"))], vec![], "failed to read the file"),
        (vec![format!("people={}", here("folder.csv"))], vec![], "not a regular file"),
        (vec![people.clone(), people], vec![], "key people.csv of ConfigMap people is given twice"),
        (vec![], vec![format!("a/b={}", here("none"))], "failed to read the file"),
        (
            vec![],
            vec!["a/b=env:HERALD_NO_SUCH_VARIABLE".to_owned()],
            "environment variable HERALD_NO_SUCH_VARIABLE is not set; export it, or name a file",
        ),
    ];
    for (config_maps, secrets, expected) in cases {
        let config_maps: Vec<&str> = config_maps.iter().map(String::as_str).collect();
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let Err(faults) = load_with(&complete(), &config_maps, &secrets) else { panic!("accepted: {expected}") };
        assert!(faults.starts_with("--") && faults.contains(expected), "expected {expected}, got {faults}");
    }
    let two = [format!("people={}", here("people.csv")), format!("people={}", here("people2.csv"))];
    assert!(load_with(&complete(), &[&two[0], &two[1]], &[]).is_ok(), "one ConfigMap may have several files");
}

#[test]
fn flags_are_read_by_their_form() {
    let config_map = |text: &str| text.parse::<ConfigMapFlag>();
    assert_eq!(
        config_map("people=lists/spring.csv"),
        Ok(ConfigMapFlag {
            name: "people".into(),
            key: "spring.csv".into(),
            file: Path::new("lists/spring.csv").into()
        })
    );
    assert_eq!(config_map("people.csv"), Err(FlagError::ConfigMapForm));
    assert_eq!(config_map("people=.."), Err(FlagError::ConfigMapForm));
    assert_eq!(config_map("People=a.csv"), Err(FlagError::Name("People".into())));
    assert_eq!(config_map("people=a b.csv"), Err(FlagError::Key("a b.csv".into())));
    let secret = |text: &str| text.parse::<SecretFlag>();
    let flag = |from| SecretFlag { name: "page".into(), key: "accessToken".into(), from };
    assert_eq!(secret("page/accessToken=env:TOKEN"), Ok(flag(SecretFrom::Variable("TOKEN".into()))));
    assert_eq!(secret("page/accessToken=a=b"), Ok(flag(SecretFrom::File("a=b".into()))));
    for wrong in ["page=token", "page/accessToken", "page/accessToken=", "page/accessToken=env:"] {
        assert_eq!(secret(wrong), Err(FlagError::SecretForm), "{wrong}");
    }
}

#[test]
fn a_file_that_cannot_be_read_or_is_not_text_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let load =
        || Manifest::load(&[ManifestInput::File(path.clone())], &[], &[], &Purpose::RUN).err().unwrap().to_string();
    assert!(load().starts_with(&format!("failed to read {}: ", path.display())));
    fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
    assert_eq!(load(), format!("{}:2: not valid UTF-8; save the file as UTF-8", path.display()));
    fs::write(&path, vec![b' '; 16 * 1024 * 1024 + 1]).unwrap();
    assert!(load().contains("larger than 16777216 bytes; keep large audiences in a file of their own"));
}

#[test]
fn an_object_larger_than_kubernetes_takes_is_refused() {
    let rows = "    3,Cy\n".repeat(300_000);
    let faults = refused(&complete().replace("    2,Bo\n", &rows));
    let expected =
        "standard input:35: ConfigMap default/people: data: Too long: may not be more than 1048576 bytes, has ";
    assert!(faults.starts_with(expected) && faults.ends_with("use --config-map NAME=FILE"), "{faults}");
}

#[test]
fn bad_yaml_is_refused_by_line_and_without_showing_what_may_be_a_secret() {
    let cases = [
        ("kind: Secret\nstringData: {accessToken: \"EAAsecret\n", 2, "unclosed quote"),
        ("kind: Secret\nstringData:\n  accessToken: EAAsecret: x\n", 3, "mapping values are not allowed"),
        ("kind: Secret\nstringData: {accessToken: !!binary EAAsecret}\n", 2, "invalid !!binary base64"),
        ("kind: Secret\n<<: EAAsecret\n", 2, "merge value must be"),
        ("a: [1, 2\nb: 3\n", 2, "illegal placement of ':'"),
        ("a: &x [*x]\n", 1, "recursive references"),
        ("a: *nope\n", 1, "unknown anchor"),
        ("a: 1\n? [x, y]\n: 2\n", 2, "expected string scalar"),
        ("a: .nan\n", 1, "non-finite"),
    ];
    for (text, line, expected) in cases {
        let fault = refused(text);
        assert!(fault.starts_with(&format!("standard input:{line}: not valid YAML: ")), "{fault}");
        assert!(fault.contains(expected) && !fault.contains("EAAsecret"), "expected {expected}, got {fault}");
    }
}
