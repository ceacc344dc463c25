//! What the chart renders.

use clap::Parser;
use herald::api::admission::Admission;
use herald::api::crds;
use herald::controller::OperatorOptions;
use herald::simulator::SimulatorOptions;
use serde_json::{Value, json};

use super::helm::{helm, render};
use super::{chart, yaml};

/// Sets of values that between them reach every template and every branch.
pub const VALUE_SETS: [&[&str]; 6] = [
    &[],
    &["simulator.enabled=true", "simulator.fail={551=0.01,http:500=0.1}", "simulator.rateLimit=30"],
    &["watch.namespaces={marketing,sales}", "userRoles.aggregate=false", "crds.enabled=false"],
    &[
        "networkPolicy.enabled=true",
        "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring",
        "serviceMonitor.enabled=true",
        "serviceMonitor.labels.release=prometheus",
        "commonLabels.team=crm",
        "podLabels.a=b",
        "podAnnotations.c=d",
        "priorityClassName=high",
        "nodeSelector.disk=ssd",
        "tolerations[0].operator=Exists",
        "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=zone",
        "imagePullSecrets={registry}",
        "service.annotations.e=f",
        "serviceAccount.annotations.g=h",
        "ledger.persistence.annotations.i=j",
    ],
    &[
        "ledger.persistence.existingClaim=mine",
        "fullnameOverride=post",
        "serviceAccount.name=poster",
        "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "userRoles.enabled=false",
    ],
    &["replicas=3", "ledger.postgres.secretName=database", "ledger.postgres.secretKey=address"],
];

pub fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

fn named<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = documents.iter().filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn helm_lint_finds_nothing() {
    let chart = chart().display().to_string();
    for values in VALUE_SETS {
        let mut words =
            vec!["lint", "--strict", "--quiet", &chart, "--set", "image.repository=registry.example/herald"];
        words.extend(values.iter().flat_map(|value| ["--set", value]));
        let Some(output) = helm(&words) else { return };
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{values:?}: {told}");
    }
}

#[test]
fn without_an_image_the_message_names_the_remedy() {
    let chart = chart().display().to_string();
    let Some(output) = helm(&["template", "herald", &chart]) else { return };
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("--set image.repository="), "{told}");
}

#[test]
fn a_value_that_does_not_exist_is_refused() {
    let chart = chart().display().to_string();
    let words = ["template", "herald", &chart, "--set", "image.repository=a/b,simulator.enable=true"];
    let Some(output) = helm(&words) else { return };
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("enable"), "{told}");
}

#[test]
fn the_definitions_are_rendered_whole_and_kept_on_uninstall() {
    let Some(documents) = render(&[]) else { return };
    let rendered = of_kind(&documents, "CustomResourceDefinition");
    assert_eq!(rendered.len(), crds().len());
    for crd in crds() {
        let mut expected = serde_json::to_value(&crd).unwrap();
        expected["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
        let name = expected["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(*named(&documents, "CustomResourceDefinition", &name) == expected, "{name} is rendered differently");
    }
    let without = render(&["crds.enabled=false"]).unwrap();
    assert!(of_kind(&without, "CustomResourceDefinition").is_empty());
}

#[test]
fn every_pod_passes_pod_security_restricted_and_writes_to_its_volumes_alone() {
    for values in VALUE_SETS {
        let Some(documents) = render(values) else { return };
        for deployment in of_kind(&documents, "Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            let container = &pod["containers"][0];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            let expected = json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            });
            assert_eq!(container["securityContext"], expected);
            assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
        }
    }
}

#[test]
fn one_operator_at_a_time_has_the_ledgers_volume() {
    let Some(documents) = render(&[]) else { return };
    let spec = &named(&documents, "Deployment", "herald")["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&1.into(), &"Recreate".into()));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "herald-ledger");
    let claim = named(&documents, "PersistentVolumeClaim", "herald-ledger");
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    // An own claim is neither made nor deleted by the chart.
    let own = render(&["ledger.persistence.existingClaim=mine"]).unwrap();
    assert!(of_kind(&own, "PersistentVolumeClaim").is_empty());
    let pod = &named(&own, "Deployment", "herald")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "mine");
}

#[test]
fn several_operators_need_a_database_whose_address_stands_in_no_argument() {
    let Some(documents) = render(VALUE_SETS[5]) else { return };
    let spec = &named(&documents, "Deployment", "herald")["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&3.into(), &"RollingUpdate".into()));
    let container = &spec["template"]["spec"]["containers"][0];
    let ledger = container["env"].as_array().unwrap().iter().find(|entry| entry["name"] == "HERALD_LEDGER").unwrap();
    assert_eq!(ledger["valueFrom"]["secretKeyRef"], json!({"name": "database", "key": "address"}));
    assert!(!arguments(&documents, "herald").iter().any(|argument| argument.contains("ledger=")));
    assert!(of_kind(&documents, "PersistentVolumeClaim").is_empty(), "nothing lies on a volume");

    let chart = chart().display().to_string();
    let words = ["template", "herald", &chart, "--set", "image.repository=a/b", "--set", "replicas=2"];
    let refused = helm(&words).unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("set ledger.postgres.secretName, or replicas to 1"));
}

#[test]
fn every_selector_finds_exactly_the_pods_it_means() {
    for values in VALUE_SETS {
        let Some(documents) = render(values) else { return };
        for service in of_kind(&documents, "Service") {
            let name = &service["metadata"]["name"];
            for deployment in of_kind(&documents, "Deployment") {
                let labels = deployment["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
                let selector = service["spec"]["selector"].as_object().unwrap();
                let found = selector.iter().all(|(key, value)| labels.get(key) == Some(value));
                assert_eq!(found, deployment["metadata"]["name"] == *name, "{name}");
            }
        }
    }
}

#[derive(Parser)]
struct SimulatorLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

fn arguments<'a>(documents: &'a [Value], deployment: &str) -> Vec<&'a str> {
    let container = &named(documents, "Deployment", deployment)["spec"]["template"]["spec"]["containers"][0];
    container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[derive(Parser)]
struct OperatorLine {
    #[command(flatten)]
    options: OperatorOptions,
}

#[test]
fn the_operator_takes_the_flags_it_is_given_and_is_served_under_the_services_name() {
    let values = ["watch.namespaces={marketing,sales}", "sender.image=a/b:1", "image.pullPolicy=Always"];
    let Some(documents) = render(&values) else { return };
    let options = OperatorLine::try_parse_from(arguments(&documents, "herald")).unwrap().options;
    assert_eq!(options.watch_namespaces, ["marketing", "sales"]);
    assert_eq!((options.sender_image.as_str(), options.sender_image_pull_policy.as_str()), ("a/b:1", "Always"));
    assert_eq!(options.namespace, "herald-system");
    let expected = &yaml("values.yaml")["sender"]["resources"];
    assert_eq!(serde_json::to_value(&options.sender_resources).unwrap(), *expected);

    let service = named(&documents, "Service", "herald");
    let ports = service["spec"]["ports"].as_array().unwrap();
    let ledger = ports.iter().find(|port| port["name"] == "ledger").unwrap();
    assert_eq!(options.ledger_url(), format!("https://herald.herald-system.svc:{}", ledger["port"]));
    let pod = &named(&documents, "Deployment", "herald")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let port = |name: &str| {
        let ports = container["ports"].as_array().unwrap();
        ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64().unwrap()
    };
    assert_eq!(port("ledger"), u64::from(options.listen.port()));
    assert_eq!(port("metrics"), u64::from(options.health_listen.port()));
    let volume = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    assert!(options.ledger.to_string().starts_with(volume), "the ledger must lie on the volume");
}

#[test]
fn the_simulator_takes_the_flags_it_is_given() {
    let Some(documents) = render(VALUE_SETS[1]) else { return };
    let options = SimulatorLine::try_parse_from(arguments(&documents, "herald-simulator")).unwrap().options;
    options.settings.validate().unwrap();
    assert_eq!((options.settings.rate_limit, options.settings.fail.len()), (30, 2));
    assert!(of_kind(&render(&[]).unwrap(), "Deployment").len() == 1, "it is off by default");
}

#[test]
fn the_operator_reads_no_secret_but_its_own_and_has_no_wildcard() {
    for values in VALUE_SETS {
        let Some(documents) = render(values) else { return };
        for kind in ["ClusterRole", "Role"] {
            for role in of_kind(&documents, kind) {
                assert!(!role["rules"].to_string().contains('*'), "{role}");
                for rule in role["rules"].as_array().unwrap() {
                    if !rule["resources"].as_array().unwrap().contains(&"secrets".into()) {
                        continue;
                    }
                    assert_eq!(role["metadata"]["namespace"], "herald-system");
                    let only_creates = rule["verbs"] == json!(["create"]);
                    assert!(only_creates || rule["resourceNames"] == json!(["herald-ca"]), "{rule}");
                }
            }
        }
    }
}

#[test]
fn the_first_broadcast_in_the_notes_is_admitted() {
    let chart = chart().display().to_string();
    for simulator in ["simulator.enabled=true", "simulator.enabled=false"] {
        let words =
            ["install", "herald", &chart, "--dry-run=client", "--set", "image.repository=a/b", "--set", simulator];
        let Some(output) = helm(&words) else { return };
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let notes = text.split("NOTES:\n").nth(1).unwrap();
        let documents = notes.split("<<'EOF'\n").nth(1).unwrap().split("\nEOF").next().unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(documents).unwrap();
        let ours: Vec<_> = documents.iter().filter(|it| it["apiVersion"] == herald::api::API_VERSION).collect();
        assert_eq!(ours.len(), 2, "{notes}");
        for document in ours {
            Admission::new().create(document).unwrap_or_else(|error| panic!("{error}\n{notes}"));
        }
    }
}
