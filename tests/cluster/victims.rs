//! Who is killed, and how: a process that starts again in place, or a pod lost with everything in it.

use std::path::PathBuf;

use serde_json::Value;

use super::judge::now_ns;
use super::kubectl::{kubectl_with, list};
use super::ledger_view::LedgerView;
use super::process::{await_end_of, running_process_of, signal, uid};
use super::release::Release;
use super::stage::{OPERATOR_PODS, SYSTEM, Stage};
use super::support::judge::{Attempts, Flights};

/// A container that was started again so often waits ever longer for the next time: its pod is lost instead.
const MOST_RESTARTS: i64 = 2;

/// The flight journal in the kubelet's folder of a sender pod.
const JOURNAL: &str = "volumes/kubernetes.io~empty-dir/journal/flights";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SIGKILL; its container starts again in place, and finds its flight journal.
    Process,
    /// SIGKILL, and the pod is gone with its flight journal.
    Pod,
}

/// The operators and their ledger.
pub enum Operators<'a> {
    /// The one with the ledger in a file, which serves every test.
    OfAll,
    Of(&'a Release),
}

impl Operators<'_> {
    fn namespace(&self) -> &str {
        match self {
            Operators::OfAll => SYSTEM,
            Operators::Of(release) => &release.name,
        }
    }

    pub fn ledger(&self) -> LedgerView {
        match self {
            Operators::OfAll => LedgerView::of_the_file(),
            Operators::Of(release) => LedgerView::Postgres(release.database.clone()),
        }
    }

    /// Those whose process runs.
    pub fn victims(&self) -> Vec<Victim> {
        victims(self.namespace(), OPERATOR_PODS)
    }

    pub fn all_ready(&self) -> bool {
        let pods = list(self.namespace(), "pods", OPERATOR_PODS);
        let ready = |pod: &Value| {
            pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["containerStatuses"][0]["ready"] == true
        };
        !pods.is_empty() && pods.iter().all(ready)
    }
}

/// A pod whose process runs.
pub struct Victim {
    namespace: String,
    pod: Value,
    process: u32,
}

/// What a killed sender left.
pub struct Left {
    pub kind: Kind,
    pub at_ns: u64,
    /// On the wire by its flight journal.
    pub open: Attempts,
    /// The names of its senders, where the journal is lost as well: the ledger says in the end whom it has lost with them.
    pub lost: Vec<String>,
}

fn victims(namespace: &str, selector: &str) -> Vec<Victim> {
    let alive = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null();
    let victim = |pod: Value| Some(Victim { namespace: namespace.to_owned(), process: running_process_of(&pod)?, pod });
    list(namespace, "pods", selector).into_iter().filter(alive).filter_map(victim).collect()
}

/// Senders whose process runs.
pub fn senders(stage: &Stage) -> Vec<Victim> {
    victims(&stage.namespace, "app.kubernetes.io/name=herald-sender")
}

impl Victim {
    pub fn name(&self) -> &str {
        self.pod["metadata"]["name"].as_str().unwrap()
    }

    /// The broadcast of a sender.
    pub fn broadcast(&self) -> &str {
        self.pod["metadata"]["labels"]["herald.dev/broadcast"].as_str().unwrap()
    }

    /// What may be done to it without waiting for minutes afterwards.
    fn possible(&self, kind: Kind) -> Kind {
        let restarts = self.pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or_default();
        if restarts < MOST_RESTARTS { kind } else { Kind::Pod }
    }

    /// Its flight journal, where the node keeps it.
    fn flights(&self) -> Flights {
        let state = PathBuf::from(std::env::var("HERALD_CLUSTER_STATE").expect("set by dev/test-cluster.sh"));
        let pods = state.join("kubelet/pods");
        assert!(pods.exists(), "the kubelet keeps volumes in {}", pods.display());
        let journal = pods.join(uid(&self.pod)).join(JOURNAL);
        // Killed before it had one.
        if journal.exists() { Flights::read(&journal) } else { Flights::default() }
    }

    fn delete(&self) {
        let arguments =
            ["-n", &self.namespace, "delete", "pod", self.name(), "--grace-period=0", "--force", "--wait=false"];
        // Its controller may have been faster.
        let _ = kubectl_with("", &arguments);
    }

    /// Kills an operator; says what was done in the end.
    pub fn kill(&self, kind: Kind) -> Kind {
        let kind = self.possible(kind);
        signal(self.process, "KILL");
        await_end_of(self.process);
        if kind == Kind::Pod {
            self.delete();
        }
        kind
    }

    /// Kills a sender; `None` when it had ended by itself.
    pub fn kill_sender(&self, kind: Kind) -> Option<Left> {
        match self.possible(kind) {
            Kind::Process => {
                let at_ns = now_ns();
                if !signal(self.process, "KILL") {
                    return None;
                }
                await_end_of(self.process);
                Some(Left { kind: Kind::Process, at_ns, open: self.flights().open, lost: Vec::new() })
            }
            Kind::Pod => {
                let at_ns = now_ns();
                // From here on it does nothing, not even end properly when the kubelet asks it to.
                if !signal(self.process, "STOP") {
                    return None;
                }
                let holders = self.flights().holders;
                self.delete();
                signal(self.process, "KILL");
                await_end_of(self.process);
                Some(Left { kind: Kind::Pod, at_ns, open: Attempts::new(), lost: holders })
            }
        }
    }
}
