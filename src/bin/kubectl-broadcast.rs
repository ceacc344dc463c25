//! `kubectl broadcast`: see `kubectl broadcast --help`.

use std::process::ExitCode;

use clap::Parser;
use herald::plugin;

fn main() -> ExitCode {
    let cli = plugin::Cli::parse();
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: plugin::Cli) -> anyhow::Result<u8> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(plugin::run(cli));
    // A thread may wait for a row of standard input, which nobody will write any more.
    runtime.shutdown_background();
    Ok(ended?)
}
