//! The command line of `herald`: parse, wire, run.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use herald::controller::{self, OperatorOptions};
use herald::ledger::wire::RemoteLedger;
use herald::local::{self, ContactsOptions, Namespace, PreviewOptions, ReportOptions, ResultsOptions, RunOptions};
use herald::receiver::{self, ReceiverOptions};
use herald::sender::{SenderOptions, SenderProcess};
use herald::simulator::{self, SimulatorOptions};
use tokio::sync::watch;

/// Sends one message to very many people: paced at the provider's limit, nobody skipped, nobody twice.
#[derive(Debug, Parser)]
#[command(name = "herald", version)]
pub struct Cli {
    /// How log lines are written to standard error.
    #[arg(long, global = true, value_enum, env = "HERALD_LOG_FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object for each line.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunOptions),
    Preview(PreviewOptions),
    Results(ResultsOptions),
    Report(ReportOptions),
    Contacts(Box<ContactsOptions>),
    Operator(Box<OperatorOptions>),
    Sender(SenderOptions),
    Receiver(Box<ReceiverOptions>),
    /// Plays the APIs of providers, for trials and tests.
    Simulator(SimulatorOptions),
    /// Prints the CustomResourceDefinitions.
    Crds,
    /// Prints the script by which a shell completes `herald`.
    Completion {
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
}

impl Command {
    /// What is logged when HERALD_LOG does not say: a server tells what it does, a command for people only what is wrong.
    pub fn log_filter(&self) -> &'static str {
        match self {
            Command::Operator(_) | Command::Sender(_) | Command::Receiver(_) => "warn,herald=info",
            Command::Run(_)
            | Command::Preview(_)
            | Command::Results(_)
            | Command::Report(_)
            | Command::Contacts(_)
            | Command::Simulator(_)
            | Command::Crds
            | Command::Completion { .. } => "warn",
        }
    }

    pub async fn execute(self) -> anyhow::Result<ExitCode> {
        let stop = stop_signal()?;
        match self {
            Command::Run(options) => Ok(ExitCode::from(local::run(options, stop).await.exit_code())),
            Command::Preview(options) => {
                Ok(ExitCode::from(local::preview(&options, Namespace::default(), stop).await.exit_code()))
            }
            Command::Results(options) => {
                local::results::write(options).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Report(options) => {
                local::report::write(options).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Contacts(options) => {
                tokio::select! {
                    done = local::contacts::run(*options) => done.map(|()| ExitCode::SUCCESS).map_err(Into::into),
                    () = stopped(stop) => {
                        eprintln!("interrupted; repeat the command: what was done is not changed again");
                        Ok(ExitCode::from(local::Verdict::Interrupted.exit_code()))
                    }
                }
            }
            Command::Operator(options) => {
                controller::run(*options, stop).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Sender(options) => Ok(send(options.into_process()?, stop).await),
            Command::Receiver(options) => {
                receiver::run(*options, stop).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Simulator(options) => {
                simulator::serve(options, stopped(stop)).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Crds => {
                print!("{}", herald::api::crds_yaml());
                Ok(ExitCode::SUCCESS)
            }
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "herald", &mut script);
                match io::stdout().lock().write_all(&script) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
                    _ => Ok(ExitCode::SUCCESS),
                }
            }
        }
    }
}

/// The last line says why it ended: it becomes the termination message of the container.
async fn send(process: SenderProcess<RemoteLedger>, stop: watch::Receiver<bool>) -> ExitCode {
    let ledger = process.ledger.clone();
    match process.run(|| ledger.my_brief(), stop).await {
        Ok(left) => {
            eprintln!("{left}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes true at the first SIGINT or SIGTERM; the second ends the process at once.
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.send_replace(true) {
                end_at_once();
            }
            // After ^C, and what may stand before it.
            if std::io::stderr().is_terminal() {
                eprintln!();
            }
            eprintln!("stopping; once more to quit at once");
        }
    });
    Ok(stopped)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the second signal asks for exactly this; ledger and journal are crash-safe"
)]
fn end_at_once() {
    std::process::exit(i32::from(local::Verdict::Interrupted.exit_code()));
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can signal any more, which is an end as well.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
