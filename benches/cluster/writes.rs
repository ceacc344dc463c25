//! What a broadcast costs the API server, from its audit log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::audit::Mark;
use crate::kubectl::await_that;
use crate::stage::Stage;

/// Rates, and how many are reached at each: a minute of sending, and more where batches are larger.
const RUNS: [(u32, u32); 3] = [(40, 2_400), (100, 9_000), (300, 24_000)];
/// For the last status to be written after the end.
const AFTERMATH: Duration = Duration::from_secs(5);

#[derive(Serialize)]
pub struct Writes {
    pub rate: u32,
    pub recipients: u32,
    pub seconds: f64,
    pub by_request: BTreeMap<String, u64>,
}

impl Writes {
    pub fn total(&self) -> u64 {
        self.by_request.values().sum()
    }

    pub fn per_thousand(&self) -> f64 {
        self.total() as f64 * 1_000.0 / f64::from(self.recipients)
    }

    pub fn per_minute(&self) -> f64 {
        self.total() as f64 * 60.0 / self.seconds
    }
}

pub fn measure() -> Vec<Writes> {
    RUNS.iter().map(|&(rate, recipients)| one(rate, recipients)).collect()
}

fn one(rate: u32, recipients: u32) -> Writes {
    let stage = Stage::with_channel("writes", &["--latency", "80-200"], rate);
    // The channel's own first status is no part of the broadcast.
    await_that("the channel is ready", || {
        crate::kubectl::find(&stage.namespace, "messagechannel", "page")
            .is_some_and(|channel| crate::stage::condition(&channel["status"], "Ready").is_some())
    });
    let mark = Mark::now();
    let began = Instant::now();
    stage.apply(&with_list("s", recipients));
    stage.await_requests(recipients as usize);
    stage.await_end("s", "Delivered");
    let seconds = began.elapsed().as_secs_f64();
    stage.judge("s", i64::from(recipients));
    std::thread::sleep(AFTERMATH);
    Writes { rate, recipients, seconds, by_request: mark.writes_of_the_operator(&stage.namespace) }
}

/// More people than fit into the object: they are in a ConfigMap of the same name.
fn with_list(name: &str, count: u32) -> String {
    let people: String = (0..count).map(|id| format!("{name}-{id}\n")).collect();
    let map = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"people.csv": format!("id\n{people}")},
    });
    let broadcast = serde_json::json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage", "metadata": {"name": name},
        "spec": {
            "channelRef": {"name": "page"},
            "content": {"text": "Hello"},
            "audience": {"sources": [{"name": "people", "configMapKeyRef": {"name": name, "key": "people.csv"}}]},
        },
    });
    format!("{map}\n---\n{broadcast}")
}
