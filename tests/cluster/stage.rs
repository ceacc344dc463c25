//! A namespace with a channel, beside a simulator of this process that pods reach at the node's address.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use clap::Parser;
use herald::simulator::book::Summary;
use herald::simulator::labels::LabelSummary;
use herald::simulator::record::{self, OwnedLine};
use herald::simulator::{Simulator, SimulatorOptions};
use serde_json::Value;
use tokio::sync::oneshot;

use super::kubectl::{PATIENCE, await_some, await_that, find, kubectl, kubectl_with, list};

/// Must never be seen outside the Secret it stands in.
pub const CANARY: &str = "EAAB-canary-token-77c2";
/// Where the chart is installed.
pub const SYSTEM: &str = "herald-system";
/// What the operator's pods are found by.
pub const OPERATOR_PODS: &str = "app.kubernetes.io/name=herald,app.kubernetes.io/component=operator";
/// Set by `dev/with-herald.sh`: the address of the node that pods reach.
pub const NODE_ADDRESS: &str = "HERALD_TEST_NODE_ADDRESS";

static STAGES: AtomicU32 = AtomicU32::new(0);

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

pub struct Stage {
    pub namespace: String,
    pub base_url: String,
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    simulator: Option<JoinHandle<()>>,
}

impl Stage {
    /// A namespace of its own in which Pod Security is enforced; `flags` are those of `herald simulator`.
    pub fn open(name: &str, flags: &[&str]) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record.ndjson");
        let listen = format!("{}:0", std::env::var(NODE_ADDRESS).expect("set by dev/with-herald.sh"));
        let base = ["simulator", "--listen", &listen, "--record", record.to_str().unwrap()];
        let options = CommandLine::try_parse_from(base.iter().chain(flags)).unwrap().options;
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = std::sync::mpsc::channel();
        let simulator = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let simulator = Simulator::bind(options).await.unwrap();
                bound.send(simulator.address()).unwrap();
                simulator.run(stopped).await.unwrap();
            });
        });
        let base_url = format!("http://{}", address.recv_timeout(PATIENCE).unwrap());
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("test-{name}-{}-{number}", std::process::id());
        kubectl(&["create", "namespace", &namespace]);
        kubectl(&["label", "namespace", &namespace, "pod-security.kubernetes.io/enforce=restricted"]);
        Stage { namespace, base_url, folder, stop: Some(stop), simulator: Some(simulator) }
    }

    /// With the channel `page` and its Secret, at so many messages a second.
    pub fn with_channel(name: &str, flags: &[&str], messages: u32) -> Stage {
        let stage = Stage::open(name, flags);
        stage.apply(&stage.secret());
        stage.apply(&stage.channel("page", messages, ""));
        stage
    }

    pub fn secret(&self) -> String {
        format!("{{apiVersion: v1, kind: Secret, metadata: {{name: page}}, stringData: {{accessToken: {CANARY}}}}}")
    }

    /// A channel for the page of this stage; `more` are further fields of its spec in flow style, each after a comma.
    pub fn channel(&self, name: &str, messages: u32, more: &str) -> String {
        format!(
            "{{apiVersion: herald.dev/v1alpha1, kind: MessageChannel, metadata: {{name: {name}}}, spec: {{\
             messenger: {{pageID: \"1029384756\", baseURL: \"{}\"}}, credentialsSecretRef: {{name: page}}, \
             rate: {{messages: {messages}}}{more}}}}}",
            self.base_url
        )
    }

    /// A broadcast to `count` people through the channel `page`; `more` as for [`Stage::channel`].
    pub fn broadcast(&self, name: &str, count: u32, more: &str) -> String {
        self.broadcast_to(name, name, count, more)
    }

    /// A broadcast to the people `<people>-0`, `<people>-1` and so on; [`Stage::judge`] knows those named as it is.
    pub fn broadcast_to(&self, name: &str, people: &str, count: u32, more: &str) -> String {
        let people: Vec<String> = (0..count).map(|id| format!("{{id: \"{people}-{id}\"}}")).collect();
        format!(
            "{{apiVersion: herald.dev/v1alpha1, kind: BroadcastMessage, metadata: {{name: {name}}}, spec: {{\
             channelRef: {{name: page}}, audience: {{recipients: [{}]}}, content: {{text: \"Hello\"}}{more}}}}}",
            people.join(", ")
        )
    }

    /// A pod that Pod Security takes and that is never scheduled; `more` are further fields of its metadata.
    pub fn idle_pod(&self, name: &str, more: &str) -> String {
        let security = "{allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, \
                        seccompProfile: {type: RuntimeDefault}}";
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}{more}}}, spec: {{nodeSelector: {{no: such}}, \
             containers: [{{name: a, image: a, securityContext: {security}}}]}}}}"
        )
    }

    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        self.try_apply(yaml).unwrap_or_else(|error| panic!("kubectl apply: {error}"));
    }

    pub fn try_apply(&self, yaml: &str) -> Result<String, String> {
        // What begins with a brace would be read as JSON.
        kubectl_with(&format!("---\n{yaml}"), &["-n", &self.namespace, "apply", "-f", "-"])
    }

    /// A merge patch of a spec.
    #[track_caller]
    pub fn patch(&self, kind: &str, name: &str, spec: &str) {
        let patch = format!("{{\"spec\": {spec}}}");
        kubectl(&["-n", &self.namespace, "patch", kind, name, "--type=merge", "-p", &patch]);
    }

    #[track_caller]
    pub fn delete(&self, kind: &str, name: &str) {
        kubectl(&["-n", &self.namespace, "delete", kind, name, "--wait=true", "--timeout=60s"]);
    }

    pub fn status(&self, name: &str) -> Value {
        find(&self.namespace, "broadcastmessage", name).map_or(Value::Null, |mut object| object["status"].take())
    }

    /// A number of recipients in the status; 0 where there is none yet.
    pub fn count(&self, name: &str, field: &str) -> i64 {
        self.status(name)["recipients"][field].as_i64().unwrap_or_default()
    }

    /// Waits for a condition to be true; returns its reason and message.
    #[track_caller]
    pub fn await_condition(&self, name: &str, type_: &str, reason: &str) -> String {
        await_some(&format!("{type_} {reason} of {name} ({})", self.namespace), || {
            let status = self.status(name);
            let found = condition(&status, type_)?;
            let so = found["status"] == "True" && found["reason"] == reason;
            so.then(|| found["message"].as_str().unwrap_or_default().to_owned())
        })
    }

    #[track_caller]
    pub fn await_end(&self, name: &str, reason: &str) -> Value {
        self.await_condition(name, "Finished", reason);
        self.status(name)
    }

    #[track_caller]
    pub fn await_requests(&self, count: usize) {
        await_that(&format!("{count} requests ({})", self.namespace), || self.record().len() >= count);
    }

    pub fn record(&self) -> Vec<OwnedLine> {
        record::read(&self.folder.path().join("record.ndjson")).unwrap()
    }

    /// Changes the simulator's settings while it runs.
    pub fn settings(&self, json: &str) {
        self.ask_simulator("PUT", "settings", json);
    }

    /// What the simulator has counted.
    pub fn summary(&self) -> Summary {
        serde_json::from_str(&self.ask_simulator("GET", "summary", "")).unwrap()
    }

    /// Who has which label of the page.
    pub fn labels(&self) -> LabelSummary {
        serde_json::from_str(&self.ask_simulator("GET", "labels", "")).unwrap()
    }

    #[track_caller]
    fn ask_simulator(&self, method: &str, path: &str, body: &str) -> String {
        let address = self.base_url.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} /_simulator/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn sender_pods(&self, name: &str) -> Vec<String> {
        let selector = format!("herald.dev/broadcast={name}");
        let running =
            |pod: &Value| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
        let pods = list(&self.namespace, "pods", &selector);
        pods.iter().filter(|pod| running(pod)).map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    pub fn await_sender_pod(&self, name: &str) -> String {
        await_some(&format!("a sender of {name}"), || self.sender_pods(name).into_iter().next())
    }

    /// All that a sender says, once it has ended.
    #[track_caller]
    pub fn log_until_its_end(&self, pod: &str) -> String {
        kubectl(&["-n", &self.namespace, "logs", pod, "--follow", "--tail=-1"])
    }

    pub fn batches(&self, name: &str) -> Vec<Value> {
        list(&self.namespace, "messagebatches", &format!("herald.dev/broadcast={name}"))
    }

    /// Everybody of a finished broadcast got each of so many parts of its message once.
    #[track_caller]
    pub fn assert_all_once(&self, name: &str, people: u32, parts: u32) {
        let status = self.status(name);
        assert_eq!(status["recipients"]["sent"], people, "{status}");
        let record = self.record();
        let own = format!("{name}-");
        let got = record::accepted(&record).into_iter().filter(|(delivery, _)| delivery.recipient.starts_with(&own));
        let times: Vec<usize> = got.map(|(_, times)| times).collect();
        assert_eq!(times, vec![1; (people * parts) as usize], "{name}");
    }

    /// Checks status against record for a finished broadcast: sums, nobody twice, everybody accounted for.
    #[track_caller]
    pub fn judge(&self, name: &str, planned: i64) -> Value {
        let status = self.status(name);
        let sums = &status["recipients"];
        let sum = |field: &str| sums[field].as_i64().unwrap_or_else(|| panic!("no {field} in {status}"));
        assert_eq!(sum("planned"), planned, "{sums}");
        assert_eq!(sum("sent") + sum("failed") + sum("skipped") + sum("unknown") + sum("pending"), planned, "{sums}");
        assert_eq!(sum("pending"), 0, "{sums}");
        let record = self.record();
        let twice = record::accepted_twice(&record);
        assert!(twice.is_empty(), "accepted twice: {twice:?}");
        let own = |line: &&OwnedLine| line.accepted && line.recipient.starts_with(&format!("{name}-"));
        let accepted = record.iter().filter(own).count() as i64;
        assert!(accepted >= sum("sent"), "{accepted} were accepted: {sums}");
        assert!(accepted <= sum("sent") + sum("unknown"), "{accepted} were accepted: {sums}");
        status
    }
}

/// The operator's pod, once it is ready.
pub fn operator_pod() -> Option<String> {
    let pods = list(SYSTEM, "pods", OPERATOR_PODS);
    let ready = |pod: &&Value| {
        pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["containerStatuses"][0]["ready"] == true
    };
    pods.iter().find(ready).map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
}

/// A condition of a status.
pub fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What a person would look at first.
            for arguments in [
                &["get", "broadcastmessages,messagebatches,jobs,pods", "-o", "wide"][..],
                &[
                    "get",
                    "broadcastmessages",
                    "-o",
                    "jsonpath={range .items[*]}{.metadata.name}{\"\\t\"}{.status}{\"\\n\"}{end}",
                ],
                &["get", "events", "--sort-by=.lastTimestamp"],
                &["logs", "-l", "app.kubernetes.io/name=herald-sender", "--tail=20", "--prefix"],
            ] {
                let mut whole = vec!["-n", self.namespace.as_str()];
                whole.extend(arguments);
                eprintln!("{}", kubectl_with("", &whole).unwrap_or_else(|error| error));
            }
        }
        let _ = kubectl_with("", &["delete", "namespace", &self.namespace, "--wait=false"]);
        drop(self.stop.take());
        if let Some(simulator) = self.simulator.take() {
            // A simulator that failed has failed the test already.
            let _ = simulator.join();
        }
    }
}
