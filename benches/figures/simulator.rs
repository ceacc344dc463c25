//! The simulator in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use herald::simulator::record::{self, OwnedLine};

/// Ends with the value.
pub struct SimulatorProcess {
    child: Child,
    url: String,
    record: PathBuf,
}

impl SimulatorProcess {
    /// Starts one that answers after `latency` (milliseconds, or a range of them), on a port of its own, with its record in `folder`.
    pub fn start(folder: &Path, latency: &str) -> anyhow::Result<SimulatorProcess> {
        let record = folder.join("record.jsonl");
        let mut child = Command::new(env!("CARGO_BIN_EXE_herald"))
            .args(["simulator", "--listen", "127.0.0.1:0", "--latency", latency, "--record"])
            .arg(&record)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the simulator")?;
        let stdout = child.stdout.take();
        let mut simulator = SimulatorProcess { child, url: String::new(), record };
        let mut line = String::new();
        BufReader::new(stdout.context("the simulator has no output")?).read_line(&mut line)?;
        let (_, address) = line.trim().split_once("http://").context("the simulator named no address")?;
        simulator.url = format!("http://{address}");
        Ok(simulator)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every request so far.
    pub fn record(&self) -> anyhow::Result<Vec<OwnedLine>> {
        Ok(record::read(&self.record)?)
    }
}

impl Drop for SimulatorProcess {
    fn drop(&mut self) {
        // It keeps nothing but its record, which is written before each answer.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
