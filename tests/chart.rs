//! The chart: its definitions are those of `crds/`, its version is the program's, its values and their schema agree, and
//! what it renders runs with what the operator needs and no right more.
//!
//! What is rendered is looked at where a helm is: the one that `dev/chart-tools.sh` builds, or the one in PATH. Without
//! one these tests say so and look at nothing, and in CI they fail.

// All of this is a test; what fails here is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "chart/conform.rs"]
mod conform;
#[path = "chart/helm.rs"]
mod helm;
#[path = "chart/rendered.rs"]
mod rendered;
#[path = "chart/rights.rs"]
mod rights;
#[path = "chart/values.rs"]
mod values;

use std::fs;
use std::path::PathBuf;

use herald::api::crd::crd_files;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn chart() -> PathBuf {
    root().join("charts/herald")
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(chart().join(path)).unwrap()).unwrap()
}

#[test]
fn the_charts_definitions_are_those_of_crds() {
    let folder = chart().join("files/crds");
    let mut expected: Vec<String> = crd_files().into_iter().map(|(name, _)| name).collect();
    expected.sort();
    let mut found: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, expected);
    for name in found {
        let same = fs::read(folder.join(&name)).unwrap() == fs::read(root().join("crds").join(&name)).unwrap();
        assert!(same, "charts/herald/files/crds/{name} differs from crds/{name}; run make generate");
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = yaml("Chart.yaml");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}
