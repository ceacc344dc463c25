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
//! | `report`, `report_text` | what became of a broadcast, for files and people |
//! | `table`, `words` | text for a terminal |

mod acknowledgement;
mod cluster;
mod confirmation;
mod contacts;
mod contacts_tests;
mod decide_retry;
mod failure;
mod ledger_access;
mod ledger_connection;
mod ledger_route;
pub mod options;
mod report;
mod report_text;
mod results;
mod results_tests;
mod retry;
mod status;
mod status_text;
mod table;
mod wish;
mod words;

pub use failure::PluginError;
pub use options::Cli;

use cluster::Cluster;
use options::Command;
use wish::Wish;

/// The field manager of everything that the plugin writes.
const FIELD_MANAGER: &str = "herald-cli";

/// Runs one command.
///
/// # Errors
/// Whatever kept it from doing what it was told, for people.
pub async fn run(cli: Cli) -> Result<(), PluginError> {
    let cluster = Cluster::connect(&cli.target).await?;
    match cli.command {
        Command::Pause(options) => wish::express(&cluster, Wish::Pause, &options).await,
        Command::Resume(options) => wish::express(&cluster, Wish::Resume, &options).await,
        Command::Cancel(options) => wish::cancel(&cluster, &options).await,
        Command::Status(options) => status::show(&cluster, &options).await,
        Command::Retry(options) => retry::retry(&cluster, &options).await,
        Command::Results(options) => results::write(&cluster, &options).await,
        Command::Report(options) => report::write(&cluster, &options).await,
        Command::Contacts(command) => contacts::run(&cluster, &command).await,
    }
}
