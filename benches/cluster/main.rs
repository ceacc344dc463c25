//! The figures of `docs/benchmarks-cluster.md`: what Herald costs a cluster. Run by `make bench-cluster`, which starts a
//! cluster, installs the chart and runs this inside the cluster's network namespace.

#![allow(clippy::unwrap_used, reason = "a failed step ends the measurement")]

mod audit;
#[path = "../../tests/cluster/kubectl.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod kubectl;
mod memory;
#[path = "../../tests/cluster/process.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod process;
mod report;
#[path = "../../tests/cluster/stage.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod stage;
mod start;
#[path = "../figures/summary.rs"]
mod summary;
mod writes;

fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    // First, while the operator has nothing to remember.
    let memory = memory::measure();
    let start = start::measure();
    let writes = writes::measure();
    report::write(&report::Figures::new(memory, start, writes))
}
