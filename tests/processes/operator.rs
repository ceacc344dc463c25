//! `herald operator` as a process, as far as no cluster is needed.

use std::process::Command;

use serde_json::Value;

/// What it logs before it finds that there is no cluster.
fn log(format: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(["--log-format", format, "operator", "--sender-image", "herald:test"])
        .args(["--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"])
        .arg("--ledger")
        .arg(format!("sqlite:{}", folder.path().join("ledger.db").display()))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("HERALD_LOG")
        .env("KUBECONFIG", folder.path().join("nowhere"))
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.lines().last().unwrap().starts_with("error: no Kubernetes cluster is configured"), "{errors}");
    errors.lines().filter(|line| !line.starts_with("error: ")).map(str::to_owned).collect()
}

#[test]
fn json_logs_are_one_object_a_line_with_the_fields_of_the_event() {
    let lines = log("json");
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let opened = objects.iter().find(|object| object["fields"]["message"] == "the ledger is open").unwrap();
    assert_eq!(opened["level"], "INFO");
    assert!(opened["timestamp"].is_string() && opened["target"].as_str().unwrap().starts_with("herald::"));
    assert!(opened["fields"]["ledger"].as_str().unwrap().ends_with("ledger.db"));
}

#[test]
fn text_logs_are_lines_for_people() {
    let lines = log("text");
    let opened = lines.iter().find(|line| line.contains("the ledger is open")).unwrap();
    assert!(opened.contains("INFO") && opened.contains("ledger="), "{opened}");
    assert!(serde_json::from_str::<Value>(opened).is_err());
}
