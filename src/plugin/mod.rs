//! `kubectl broadcast`: what people do by hand. Everything it changes can be changed with plain kubectl as well.
//!
//! | file | job |
//! | --- | --- |
//! | [`options`] | the flags |
//! | `cluster` | the person's own way to the Kubernetes API |
//! | `wish`, `acknowledgement` | pause, resume and cancel, and the operator's word that it is so |
//! | `confirmation` | the question before what cannot be taken back |
//! | `status`, `status_text` | how a broadcast stands |
//! | `retry`, `decide_retry` | a new broadcast to those whom another did not reach |
//! | `results` | recipients, page by page, as lines |
//! | `contacts` | contacts, tags and opt-outs, through the operator |
//! | `ledger_access`, `ledger_route`, `ledger_connection` | the way to the ledger: token, port-forward, TLS |
//! | `preview` | what would be sent |
//! | `completion` | completion of the command line |
//! | `report` | what became of a broadcast, in figures |
//! | `words` | what a status says |

mod acknowledgement;
mod cluster;
mod completion;
mod confirmation;
mod contacts;
mod contacts_tests;
mod decide_retry;
mod failure;
mod ledger_access;
mod ledger_connection;
mod ledger_route;
pub mod options;
mod preview;
mod report;
mod results;
mod results_tests;
mod retry;
mod status;
mod status_text;
mod wish;
mod words;

pub use failure::PluginError;
pub use options::Cli;

use tokio::sync::watch;

use crate::local::{self, Namespace, PreviewOptions};
use cluster::Cluster;
use options::Command;
use wish::Wish;

/// The field manager of everything that the plugin writes.
const FIELD_MANAGER: &str = "herald-cli";

/// Runs one command and returns the exit code: 0, or what a preview of documents ended with.
///
/// # Errors
/// Whatever kept it from doing what it was told, for people.
pub async fn run(cli: Cli) -> Result<u8, PluginError> {
    match &cli.command {
        Command::Completion(options) => completion::script(options.shell)?,
        Command::Complete { words } => completion::complete(words)?,
        Command::Preview(options) if options.name.is_none() => {
            let options = PreviewOptions { documents: options.documents.clone(), output: options.output };
            // ^C ends the process: nothing is kept that had to be put in order.
            let (_never, stop) = watch::channel(false);
            let usual = cluster::usual_namespace(&cli.target).await?;
            let namespace = Namespace { only: cli.target.namespace, usual };
            return Ok(local::preview(&options, namespace, stop).await.exit_code());
        }
        _ => with_cluster(cli).await?,
    }
    Ok(0)
}

async fn with_cluster(cli: Cli) -> Result<(), PluginError> {
    let cluster = Cluster::connect(&cli.target).await?;
    match cli.command {
        Command::Pause(options) => wish::express(&cluster, Wish::Pause, &options).await,
        Command::Resume(options) => wish::express(&cluster, Wish::Resume, &options).await,
        Command::Cancel(options) => wish::cancel(&cluster, &options).await,
        Command::Status(options) => status::show(&cluster, &options).await,
        Command::Retry(options) => retry::retry(&cluster, &options).await,
        Command::Results(options) => results::write(&cluster, &options).await,
        Command::Report(options) => report::write(&cluster, &options).await,
        Command::Preview(options) => match &options.name {
            Some(name) => preview::show(&cluster, name, options.output).await,
            None => Ok(()),
        },
        Command::Completion(_) | Command::Complete { .. } => Ok(()),
        Command::Contacts(command) => contacts::run(&cluster, &command).await,
    }
}
