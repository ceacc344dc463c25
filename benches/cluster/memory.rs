//! The operator's resident memory, idle and with many MessageBatches.

use std::time::Duration;

use serde::Serialize;

use crate::kubectl::{find, kubectl};
use crate::process::process_of;
use crate::stage::{SYSTEM, Stage, operator_pod};

/// The most batches one broadcast has: as many recipients in batches of one.
const BATCHES_OF_ONE: u32 = 500;
/// MessageBatches in all at each step.
const STEPS: [u32; 2] = [1_000, 10_000];
/// For caches to settle after the last write.
const REST: Duration = Duration::from_secs(20);

#[derive(Serialize)]
pub struct Memory {
    pub idle_mib: f64,
    /// Number of batches, and the memory with them.
    pub with_batches: Vec<(u32, f64)>,
    pub peak_mib: f64,
}

pub fn measure() -> Memory {
    let stage = Stage::with_channel("memory", &[], 50);
    std::thread::sleep(REST);
    let pod = operator_pod().unwrap();
    let process = process_of(SYSTEM, &pod);
    let idle_mib = mib(process, "VmRSS:");
    let mut broadcasts = 0;
    let mut with_batches = Vec::new();
    for step in STEPS {
        while broadcasts * BATCHES_OF_ONE < step {
            planned(&stage, &format!("sale-{broadcasts}"));
            broadcasts += 1;
        }
        std::thread::sleep(REST);
        with_batches.push((step, mib(process, "VmRSS:")));
    }
    assert_eq!(operator_pod().as_ref(), Some(&pod), "the operator was restarted meanwhile");
    Memory { idle_mib, with_batches, peak_mib: mib(process, "VmHWM:") }
}

/// A broadcast that is planned and waits, with every batch made and its status written.
fn planned(stage: &Stage, name: &str) {
    stage.apply(&stage.broadcast(name, BATCHES_OF_ONE, ", suspend: true, delivery: {batchSize: 1}"));
    stage.await_condition(name, "Suspended", "Suspended");
    let last = format!("{name}-{:05}", BATCHES_OF_ONE - 1);
    crate::kubectl::await_that("the last batch has a status", || {
        find(&stage.namespace, "messagebatch", &last).is_some_and(|batch| batch["status"]["state"].is_string())
    });
    let made = kubectl(&[
        "-n",
        &stage.namespace,
        "get",
        "messagebatches",
        "-l",
        &format!("herald.dev/broadcast={name}"),
        "-o",
        "name",
    ]);
    assert_eq!(made.lines().count(), BATCHES_OF_ONE as usize);
}

fn mib(process: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
