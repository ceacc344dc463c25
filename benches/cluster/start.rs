//! From `kubectl apply` to the first request at the provider, beside a bare Job whose pod does the same with `herald run`.

use herald::ledger::clock::{Clock as _, SystemClock};
use serde::Serialize;

use crate::stage::Stage;
use crate::summary::Summary;

const REPETITIONS: usize = 5;
/// As `dev/image.sh` names it.
const IMAGE: &str = "localhost/herald:dev";

#[derive(Serialize)]
pub struct Start {
    pub herald_seconds: Summary,
    pub job_seconds: Summary,
    pub ratio: Summary,
}

pub fn measure() -> Start {
    let pairs: Vec<(f64, f64)> = (0..REPETITIONS).map(|_| (herald(), bare_job())).collect();
    Start {
        herald_seconds: Summary::of(pairs.iter().map(|pair| pair.0)),
        job_seconds: Summary::of(pairs.iter().map(|pair| pair.1)),
        ratio: Summary::of(pairs.iter().map(|pair| pair.0 / pair.1)),
    }
}

fn herald() -> f64 {
    let stage = Stage::with_channel("start", &[], 50);
    let broadcast = stage.broadcast("sale", 5, "");
    until_first_request(&stage, &broadcast)
}

fn bare_job() -> f64 {
    let stage = Stage::open("job", &[]);
    let documents = [stage.secret(), stage.channel("page", 50, ""), stage.broadcast("sale", 5, "")].join("\n---\n");
    let map = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sale"}, "data": {"broadcast.yaml": documents},
    });
    stage.apply(&map.to_string());
    let job = serde_json::json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "sale"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "input", "configMap": {"name": "sale"}}, {"name": "ledger", "emptyDir": {}}],
            "containers": [{
                "name": "run", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "args": ["run", "-f", "/input/broadcast.yaml", "--ledger", "sqlite:/ledger/ledger.sqlite", "--yes"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "input", "mountPath": "/input"}, {"name": "ledger", "mountPath": "/ledger"}],
            }],
        }}},
    });
    until_first_request(&stage, &job.to_string())
}

fn until_first_request(stage: &Stage, yaml: &str) -> f64 {
    let began = SystemClock.now();
    stage.apply(yaml);
    stage.await_requests(1);
    let first = stage.record()[0].time_ns as f64;
    (first - began.0 as f64) / 1e9
}
