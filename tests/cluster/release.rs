//! A release of several operators with their ledger in PostgreSQL, in a namespace of its own, which serves one stage.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::kubectl::{await_some, await_that, find, kubectl, kubectl_with, list};
use super::postgres;
use super::stage::{OPERATOR_PODS, SYSTEM, Stage};

/// How many releases of this program keep the operator with the ledger in a file away. It serves every namespace, so
/// beside another operator both would message everybody.
static RELEASES: Mutex<u32> = Mutex::new(0);

pub struct Release {
    pub stage: Stage,
    /// Of the namespace and of the objects in it.
    pub name: String,
    pub database: String,
    _away: FileOperatorAway,
}

/// Keeps the operator with the ledger in a file away, from before the stage of a release until its operators are gone. The
/// last one brings it back, also where its test has failed: the tests that come after need that operator.
struct FileOperatorAway;

impl FileOperatorAway {
    fn begin() -> FileOperatorAway {
        // Before the lock, so that where this fails it is let go after the lock.
        let away = FileOperatorAway;
        let mut releases = RELEASES.lock().unwrap_or_else(PoisonError::into_inner);
        *releases += 1;
        if *releases == 1 {
            scale_the_operator_with_a_file(0);
        }
        drop(releases);
        away
    }
}

impl Drop for FileOperatorAway {
    fn drop(&mut self) {
        let mut releases = RELEASES.lock().unwrap_or_else(PoisonError::into_inner);
        *releases -= 1;
        if *releases > 0 {
            return;
        }
        if !std::thread::panicking() {
            scale_the_operator_with_a_file(1);
        } else if let Err(error) = kubectl_with("", &scale_to("--replicas=1")) {
            // A second panic would end the whole program.
            eprintln!("the operator with the ledger in a file does not come back: {error}");
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn scale_to(replicas: &str) -> [&str; 5] {
    ["-n", SYSTEM, "scale", "deployment/herald", replicas]
}

fn scale_the_operator_with_a_file(replicas: u32) {
    // Gone already where the tests of what an uninstall leaves came before.
    if find(SYSTEM, "deployment", "herald").is_some() {
        kubectl(&scale_to(&format!("--replicas={replicas}")));
        let pods = || list(SYSTEM, "pods", OPERATOR_PODS).len();
        await_that("the operator with the ledger in a file comes or goes", || pods() == replicas as usize);
    }
}

impl Release {
    /// A stage with the channel `page` at so many messages a second, and its operators, which start all at once on a
    /// database with nothing in it.
    pub fn open(name: &str, messages: u32, replicas: u32) -> Release {
        Release::beside(name, &["--latency", "50-100"], messages, replicas)
    }

    /// The same beside a simulator with these flags.
    pub fn beside(name: &str, flags: &[&str], messages: u32, replicas: u32) -> Release {
        let away = FileOperatorAway::begin();
        let stage = Stage::with_channel(name, flags, messages);
        let database = block_on(postgres::fresh_database());
        let release = Release { name: format!("{}-operators", stage.namespace), database, stage, _away: away };
        release.install(replicas);
        release
    }

    fn install(&self, replicas: u32) {
        let name = self.name.as_str();
        kubectl(&["create", "namespace", name]);
        kubectl(&["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"]);
        // By its standard input: arguments are seen by others.
        let secret = format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {{\"name\": \"database\"}}, \
             \"stringData\": {{\"url\": \"{}\"}}}}",
            self.database
        );
        kubectl_with(&secret, &["-n", name, "create", "-f", "-"]).unwrap();
        // The definitions are there, and belong to the release of all other tests.
        let values = format!(
            "image.repository=localhost/herald,image.tag=dev,crds.enabled=false,userRoles.enabled=false,\
             fullnameOverride={name},replicas={replicas},ledger.postgres.secretName=database,\
             watch.namespaces={{{}}}",
            self.stage.namespace
        );
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/herald");
        helm(&["install", name, chart, "--namespace", name, "--set", &values]);
        self.await_rollout();
    }

    /// Waits until every operator is ready, and none of an older template is left.
    #[track_caller]
    pub fn await_rollout(&self) {
        kubectl(&["-n", &self.name, "rollout", "status", &self.deployment(), "--timeout=180s"]);
        await_that("operators of before are gone", || self.operators().len() == self.replicas());
    }

    pub fn deployment(&self) -> String {
        format!("deployment/{}", self.name)
    }

    fn replicas(&self) -> usize {
        find(&self.name, "deployment", &self.name).unwrap()["spec"]["replicas"].as_u64().unwrap() as usize
    }

    /// The pods of the operators.
    pub fn operators(&self) -> Vec<Value> {
        list(&self.name, "pods", OPERATOR_PODS)
    }

    /// The pod whose operator holds the Lease, and how often the Lease has changed hands.
    pub fn leader(&self) -> Option<(String, i64)> {
        let lease = find(&self.name, "lease", "herald-operator")?;
        let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())?;
        Some((holder.to_owned(), lease["spec"]["leaseTransitions"].as_i64().unwrap_or_default()))
    }

    #[track_caller]
    pub fn await_leader(&self) -> String {
        await_some("a leader", || self.leader()).0
    }

    /// Makes an operator the leader, as if it had taken the Lease.
    pub fn hand_over(&self, pod: &str) {
        let patch = format!("{{\"spec\": {{\"holderIdentity\": \"{pod}\"}}}}");
        let lease = ["-n", &self.name, "patch", "lease", "herald-operator", "--type=merge", "-o", "json", "-p", &patch];
        let patched: Value = serde_json::from_str(&kubectl(&lease)).unwrap();
        let renewed = |lease: Value| lease["spec"]["renewTime"] != patched["spec"]["renewTime"];
        await_that("it has renewed the lease", || find(&self.name, "lease", "herald-operator").is_some_and(renewed));
        assert_eq!(self.await_leader(), pod);
    }

    /// One number that the database answers with.
    pub fn number(&self, query: &'static str) -> i64 {
        block_on(async {
            let mut connection = PgConnection::connect(&self.database).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap()
        })
    }
}

#[track_caller]
fn helm(arguments: &[&str]) {
    let output = Command::new("helm").args(arguments).output().unwrap();
    assert!(output.status.success(), "helm {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
}

impl Drop for Release {
    fn drop(&mut self) {
        let name = self.name.as_str();
        if std::thread::panicking() {
            for arguments in [
                &["-n", name, "get", "pods,leases", "-o", "wide"][..],
                &["-n", name, "logs", "-l", OPERATOR_PODS, "--tail=60", "--prefix"],
            ] {
                eprintln!("{}", kubectl_with("", arguments).unwrap_or_else(|error| error));
            }
        }
        // A test that has failed need not fail again.
        let _ = Command::new("helm").args(["uninstall", name, "--namespace", name, "--wait"]).output();
        let _ = kubectl_with("", &["delete", "namespace", name, "--wait=false"]);
    }
}
