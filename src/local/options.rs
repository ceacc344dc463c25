//! The flags of `herald run`, and those that other commands have of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::manifest_data::{ConfigMapFlag, SecretFlag};
use crate::ledger::location::LedgerLocation;

/// Sends the broadcasts of YAML documents from this machine, without a cluster.
///
/// The same command goes on after any interruption: nobody is messaged twice. Exit codes: 0 every broadcast was
/// delivered, or is suspended as asked; 2 one ended otherwise (failed, unknown, cancelled, expired); 3 interrupted, run
/// again to go on; 4 stopped and needs a person (credentials, blocked, key reused, held back); 1 could not run. The worst
/// wins: 1, 4, 3, 2, 0.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    #[command(flatten)]
    pub documents: DocumentOptions,

    /// Where the ledger is kept: what happened to each recipient. By default one file for this user, whatever the folder.
    /// Other users of this machine see flags: give the password of a server by the variable, or by PGPASSWORD.
    #[arg(long, value_name = "sqlite:PATH|postgres://…", env = "HERALD_LEDGER", hide_env_values = true)]
    pub ledger: Option<LedgerLocation>,

    /// Takes the provider's call-backs at this address while it runs, under /callbacks/NAMESPACE/CHANNEL: they tell that a
    /// message was taken whose answer was lost, what was delivered and read. Put a proxy with TLS before it.
    #[arg(long, value_name = "IP:PORT")]
    pub receiver: Option<SocketAddr>,

    /// How results are printed on standard output; messages for people go to standard error.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    pub output: Output,

    /// Do not ask before the first message to a provider that is not on this machine.
    #[arg(short = 'y', long)]
    pub yes: bool,

    /// Sends one message of each broadcast to this recipient only, outside the plan and the ledger, and ends.
    #[arg(long = "test", value_name = "ID")]
    pub test: Option<String>,
}

/// The documents of broadcasts, and what they refer to.
#[derive(Clone, Debug, clap::Args)]
pub struct DocumentOptions {
    /// A file of BroadcastMessage, MessageChannel, Secret and ConfigMap documents; `-` is standard input. Repeatable.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Adds a file to a ConfigMap. Its key is the file's own name without folders: spring-list=lists/people.csv is
    /// `configMapKeyRef: {name: spring-list, key: people.csv}` of an audience. Repeatable.
    #[arg(long = "config-map", value_name = "NAME=FILE")]
    pub config_maps: Vec<ConfigMapFlag>,

    /// Gives a key of a Secret, e.g. acme-page/accessToken=token.txt or acme-page/accessToken=env:TOKEN. Repeatable.
    #[arg(long = "secret", value_name = "NAME/KEY=FILE|env:VAR")]
    pub secrets: Vec<SecretFlag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A summary for people.
    Text,
    /// One line of JSON for each broadcast, in the order of the files.
    Json,
}
