//! A helm, where there is one.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::chart;

fn cached() -> Option<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    let pins = std::fs::read_dir(cache.join("herald/cluster")).ok()?;
    pins.filter_map(|pin| Some(pin.ok()?.path().join("bin/helm"))).find(|program| program.is_file())
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("HERALD_HELM").map(PathBuf::from);
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("helm")).find(|program| program.is_file())
    };
    named.or_else(cached).or_else(in_path)
}

/// Runs helm; `None`, and a word about it, where there is none.
pub fn helm(words: &[&str]) -> Option<Output> {
    let Some(program) = program() else {
        eprintln!("skipped: no helm is here; make cluster builds one");
        return None;
    };
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
