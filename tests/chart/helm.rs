//! helm and kubeconform, where they are.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::chart;

fn cached(name: &str) -> Option<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    let pins = std::fs::read_dir(cache.join("herald/cluster")).ok()?;
    pins.filter_map(|pin| Some(pin.ok()?.path().join("bin").join(name))).find(|program| program.is_file())
}

/// `helm` or `kubeconform`; `None`, and a word about it, where there is none. In CI that fails the test: a chart that
/// nobody looked at must not pass.
pub fn program(name: &str) -> Option<PathBuf> {
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
    };
    let found = cached(name).or_else(in_path);
    if found.is_none() {
        let word = format!("no {name} is here; dev/chart-tools.sh builds one");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{word}");
        // Not by eprintln, which a test that passes keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {word}");
    }
    found
}

/// Runs helm, where there is one.
pub fn helm(words: &[&str]) -> Option<Output> {
    let program = program("helm")?;
    // Nothing of the user's own: no plugins, repositories or clusters.
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(words)
        .env("HELM_CONFIG_HOME", folder.path())
        .env("HELM_DATA_HOME", folder.path())
        .env("HELM_CACHE_HOME", folder.path())
        .env("KUBECONFIG", "/dev/null")
        .output();
    Some(output.unwrap())
}

/// What the chart renders as release `herald` in `herald-system`, with an image and the given values.
pub fn render(values: &[&str]) -> Option<Vec<Value>> {
    let chart = chart().display().to_string();
    let mut words = vec!["template", "herald", &chart, "--namespace", "herald-system"];
    words.extend(["--set", "image.repository=registry.example/herald"]);
    for value in values {
        words.extend(["--set", value]);
    }
    let output = helm(&words)?;
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
    Some(documents.into_iter().filter(|document| !document.is_null()).collect())
}
