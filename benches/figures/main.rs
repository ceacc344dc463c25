//! The figures of `docs/benchmarks.md`: pace, messages per CPU-second, planning. Run by `make bench`.
//!
//! Every figure is a ratio against a reference measured in the same run: the configured rate, a bare loop of requests,
//! a bare insert. `BENCH=quick` takes about a minute and measures less. What is measured runs in a process of its own,
//! so that its processor time and memory are its own; the provider is `herald simulator` in another.

mod distant;
mod efficiency;
mod loops;
mod losing;
mod pacing;
mod people;
mod planning;
mod process;
mod report;
mod scope;
mod sending;
mod simulator;
mod summary;
mod task;

use std::path::PathBuf;

use anyhow::Context as _;
use scope::Scope;
use sending::Kept;

fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    if let Some(task) = task::from_arguments()? {
        return task.perform();
    }
    let scope = Scope::from_environment()?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).context("failed to make the folder for the ledgers")?;
    let folder = tempfile::Builder::new().prefix("figures-").tempdir_in(folder)?;

    // `cargo bench --bench figures -- planning` measures that part alone and writes nothing.
    match std::env::args().skip(1).find(|argument| !argument.starts_with('-')).as_deref() {
        Some("pace") => {
            pacing::measure(&scope, folder.path())?;
        }
        Some("efficiency") => {
            efficiency::measure(&scope, folder.path())?;
        }
        Some("planning") => {
            planning::measure(&scope, folder.path(), &Kept::File)?;
            planning::measure(&scope, folder.path(), &losing::server()?)?;
        }
        Some("losing") => {
            losing::measure(&scope, folder.path())?;
        }
        Some(other) => {
            anyhow::bail!("there is no part {other}; give pace, losing, efficiency or planning, or none for all")
        }
        None => {
            let server = losing::server()?;
            let (cells, loops) = pacing::measure(&scope, folder.path())?;
            let losses = losing::measure(&scope, folder.path())?;
            let efficiency = efficiency::measure(&scope, folder.path())?;
            let planning = planning::measure(&scope, folder.path(), &Kept::File)?;
            let server_planning = planning::measure(&scope, folder.path(), &server)?;
            let pace = report::Pace { cells, losses, loops };
            report::write(&report::Figures::new(scope, pace, efficiency, planning, server_planning))?;
        }
    }
    Ok(())
}
