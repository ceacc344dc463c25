//! The scripts of the development cluster, as far as they run without root and without a cluster: `dev/cluster-tests.sh`
//! tries the rest on a real one.

// All of this is a test; what fails here is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// All that the scripts find here, so that what is installed on this machine plays no part.
const TOOLS: &str = "awk bash basename cat cut dirname env find flock grep head ls mkdir mv realpath rm sed sha256sum sleep \
                     sort tail touch tr";

/// A machine of its own: an empty home, and a folder of programs.
struct Machine {
    folder: TempDir,
}

struct Said {
    success: bool,
    text: String,
}

impl Machine {
    /// Whoever runs the scripts has this user id.
    fn of_user(id: u32) -> Machine {
        let machine = Machine { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.path("bin")).unwrap();
        fs::create_dir(machine.path("home")).unwrap();
        let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
        for tool in TOOLS.split_whitespace() {
            let mut found = folders.iter().map(|folder| folder.join(tool)).filter(|path| path.is_file());
            symlink(found.next().unwrap_or_else(|| panic!("no {tool}")), machine.path("bin").join(tool)).unwrap();
        }
        machine.install("id", &format!("echo {id}"));
        // Too old, so that nothing can be built.
        machine.install("go", "echo go1.20");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of that name; each call of it stands in the file `calls`.
    fn install(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let calls = self.path("calls");
        let text = format!("#!/usr/bin/env bash\necho \"{name} $*\" >>{}\n{script}\n", calls.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn calls(&self, program: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().filter(|line| line.starts_with(&format!("{program} "))).map(str::to_owned).collect()
    }

    fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Said {
        let output = Command::new("bash")
            .args(words)
            .current_dir(root())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Said { success: output.status.success(), text }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn whoever_is_not_root_and_names_no_context_is_told_both_remedies() {
    let machine = Machine::of_user(1000);
    let said = machine.run(&["dev/cluster/up.sh"], &[]);
    assert!(!said.success, "{}", said.text);
    for remedy in ["sudo make cluster", "make cluster CLUSTER=context:NAME"] {
        assert!(said.text.contains(remedy), "{}", said.text);
    }
    assert_eq!(fs::read_dir(machine.path("home")).unwrap().count(), 0, "nothing is begun");
}

#[test]
fn a_named_context_serves_anybody_who_has_kubectl_and_helm_without_go() {
    let machine = Machine::of_user(1000);
    machine.install("kubectl", "");
    machine.install("helm", "");
    let context = [("CLUSTER", "context:mine")];
    let said = machine.run(&["dev/cluster/up.sh"], &context);
    assert!(said.success && said.text.contains("context mine"), "{}", said.text);
    assert_eq!(machine.calls("kubectl"), ["kubectl --context mine --request-timeout=10s get --raw /readyz"]);
    assert_eq!(machine.calls("go"), [] as [&str; 0]);

    // A cluster that does not answer, and a machine without helm.
    machine.install("kubectl", "exit 1");
    let said = machine.run(&["dev/cluster/up.sh"], &context);
    assert!(!said.success && said.text.contains("context mine does not answer"), "{}", said.text);
    fs::remove_file(machine.path("bin/helm")).unwrap();
    let said = machine.run(&["dev/cluster/up.sh"], &context);
    assert!(!said.success && said.text.contains("Go 1.25 or newer is needed"), "{}", said.text);
}

#[test]
fn an_image_goes_into_a_kind_cluster_by_kind_and_into_others_by_a_registry() {
    let machine = Machine::of_user(1000);
    machine.install("kind", "");
    let archive = machine.path("herald.tar");
    fs::write(&archive, "").unwrap();
    let archive = archive.to_str().unwrap();
    let said = machine.run(&["dev/cluster/load.sh", archive], &[("CLUSTER", "context:kind-blue")]);
    assert!(said.success, "{}", said.text);
    assert_eq!(machine.calls("kind"), [format!("kind load image-archive {archive} --name blue")]);

    let said = machine.run(&["dev/cluster/load.sh", archive], &[("CLUSTER", "context:office")]);
    assert!(!said.success && said.text.contains("push it to a registry and name it with IMAGE="), "{}", said.text);
    assert_eq!(machine.calls("kind").len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_stored_process_counts_only_with_the_time_of_its_start() {
    let machine = Machine::of_user(1000);
    // The process is somebody else's when the time differs: it is not taken for ours, and above all not ended.
    let script = r#"
        set -euo pipefail
        source dev/cluster/place.sh
        source dev/cluster/processes.sh
        mkdir -p "$cluster_state/run"
        sleep 60 &
        pid=$! started=$(start_time $!)
        echo "$pid $started" >"$cluster_state/run/etcd"
        [[ $(pid_of etcd) == "$pid" ]] || fail 'not known by its own time'
        echo "$pid $((started - 1))" >"$cluster_state/run/etcd"
        ! is_running etcd || fail 'known by the time of another'
        stop etcd
        [[ $(start_time $pid) == "$started" ]] || fail 'a process of somebody else was ended'
        echo "$pid $started" >"$cluster_state/run/etcd"
        stop etcd
        ! start_time $pid || fail 'not ended'
        ! is_running etcd || fail 'known after its end'
        : >"$cluster_state/run/etcd"
        ! is_running etcd || fail 'known from an empty file'
        ! is_running never-started || fail 'known without a file'
        echo held"#;
    let said = machine.run(&["-c", script], &[]);
    assert!(said.success && said.text.ends_with("held\n"), "{}", said.text);
}

#[test]
fn a_folder_with_something_else_in_it_is_not_taken_for_a_clusters() {
    let machine = Machine::of_user(0);
    let folder = machine.path("mine");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("letter"), "dear").unwrap();
    let said = machine.run(&["dev/cluster/up.sh"], &[("HERALD_CLUSTER_STATE", folder.to_str().unwrap())]);
    assert!(!said.success && said.text.contains("holds something else than a cluster"), "{}", said.text);
    assert_eq!(fs::read_to_string(folder.join("letter")).unwrap(), "dear");
}

#[test]
fn in_ci_the_chart_is_looked_at_or_the_run_fails() {
    let machine = Machine::of_user(1000);
    for script in ["dev/chart-tools.sh", "dev/lint-chart.sh"] {
        let said = machine.run(&[script], &[]);
        assert!(said.success && said.text.contains("skipped: "), "{script}: {}", said.text);
        let said = machine.run(&[script], &[("CI", "true")]);
        assert!(!said.success && said.text.contains("in CI the chart is"), "{script}: {}", said.text);
    }
    machine.install("helm", "");
    machine.install("kubeconform", "");
    for script in ["dev/chart-tools.sh", "dev/lint-chart.sh"] {
        let said = machine.run(&[script], &[("CI", "true")]);
        assert!(said.success, "{script}: {}", said.text);
    }
    assert_eq!(machine.calls("helm").len(), 3, "every set of values is linted");
}

#[test]
fn in_ci_the_tests_of_mariadb_run_or_the_run_fails() {
    const SCRIPT: &[&str] = &["dev/mariadb-server.sh"];
    let machine = Machine::of_user(1000);
    let said = machine.run(SCRIPT, &[]);
    assert!(said.success && said.text.contains("skipped: "), "{}", said.text);
    let said = machine.run(SCRIPT, &[("CI", "true")]);
    assert!(!said.success && said.text.contains("mariadb-server-core"), "{}", said.text);

    // As root where packages can be had it is installed, once.
    let machine = Machine::of_user(0);
    machine.install("apt-get", "exit 0");
    let said = machine.run(SCRIPT, &[]);
    assert!(!said.success && said.text.contains("were not found"), "what brings nothing is no success: {}", said.text);
    let bin = machine.path("bin");
    let install = format!("/bin/cp /bin/true {0}/mariadbd && /bin/cp /bin/true {0}/mariadb-install-db", bin.display());
    machine.install("apt-get", &format!("[[ $1 == update ]] || {{ {install}; }}"));
    let said = machine.run(SCRIPT, &[("CI", "true")]);
    assert!(said.success, "{}", said.text);
    let calls = machine.calls("apt-get");
    assert!(calls.last().unwrap().contains("mariadb-server-core"), "{calls:?}");
    assert!(machine.run(SCRIPT, &[]).success);
    assert_eq!(machine.calls("apt-get").len(), calls.len(), "what is there is not installed again");
}
