//! `herald contacts`: contacts, tags and opt-outs of a channel's account in the ledger of `herald run`.

use std::io::{self, BufWriter};
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::documents::inputs;
use super::ledger_path;
use super::manifest::Manifest;
use super::refusal::{Refusal, refuse};
use crate::contacts::book::LedgerBook;
use crate::contacts::{self, ContactsCommand};
use crate::ledger::location::LedgerLocation;
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{AccountKey, Contacts};

/// Contacts, tags and opt-outs of a channel's account, in the ledger of `herald run`. Personal data.
///
/// They belong to the account at the provider, so to every channel of the namespace that leads to it. Every command may be
/// repeated: what was done is not changed again. A ledger in a file has one user at a time: while a run has it, this says so
/// and ends.
#[derive(Clone, Debug, clap::Args)]
pub struct ContactsOptions {
    #[command(subcommand)]
    pub command: ContactsCommand<ContactsAccess>,
}

/// Whose contacts, and where they are kept.
#[derive(Clone, Debug, clap::Args)]
pub struct ContactsAccess {
    /// The MessageChannel whose account is meant.
    #[arg(long, value_name = "NAME")]
    pub channel: String,

    /// The file of the MessageChannel, as it is given to `herald run`; `-` is standard input. Repeatable. What it refers to
    /// is not needed.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Where the ledger is kept, as for `herald run`.
    #[arg(long, value_name = "sqlite:PATH|postgres://…", env = "HERALD_LEDGER", hide_env_values = true)]
    pub ledger: Option<LedgerLocation>,
}

/// Carries a command out.
///
/// # Errors
/// What kept it from doing what it was told, for people.
pub async fn run(options: ContactsOptions) -> Result<(), Refusal> {
    let ContactsOptions { command } = options;
    let access = command.access();
    if takes_stdin(&command) && access.files.iter().any(|file| file.as_os_str() == "-") {
        return Err(Refusal("standard input is either the documents or the recipients, not both".to_owned()));
    }
    let account = account(access)?;
    let location = ledger_path::resolve(access.ledger.as_ref()).map_err(refuse)?;
    match &location {
        LedgerLocation::File(path) => {
            // Opened, it would be made.
            if command.needs_contacts() && !path.exists() {
                return Err(Refusal(format!("there is no ledger {location}; name the one of your runs with --ledger")));
            }
            carry_out(&command, &SqliteLedger::open(path).await.map_err(refuse)?, account).await
        }
        LedgerLocation::Server(url) => {
            let ledger = PostgresLedger::open(url.expose_secret()).await.map_err(refuse)?;
            carry_out(&command, &ledger, account).await
        }
    }
}

fn takes_stdin(command: &ContactsCommand<ContactsAccess>) -> bool {
    let file = match command {
        ContactsCommand::Import(options) => Some(&options.file),
        ContactsCommand::Tag(options) | ContactsCommand::Untag(options) => options.recipients.ids.as_ref(),
        ContactsCommand::OptOut(options) => options.recipients.ids.as_ref(),
        ContactsCommand::OptIn(options) => options.recipients.ids.as_ref(),
        ContactsCommand::Export(_) => None,
    };
    file.is_some_and(|file| file.as_os_str() == "-")
}

fn account(access: &ContactsAccess) -> Result<AccountKey, Refusal> {
    let channels = Manifest::channels_of(&inputs(&access.files)?).map_err(refuse)?;
    let mut fitting = channels.iter().filter(|channel| channel.name.name == access.channel);
    let (Some(channel), None) = (fitting.next(), fitting.next()) else {
        let names = channels.iter().map(|channel| channel.name.to_string()).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "none".to_owned() } else { names };
        let name = &access.channel;
        return Err(Refusal(format!("the files hold not one MessageChannel {name}; their channels: {names}")));
    };
    let missing = || Refusal(format!("the MessageChannel {} names no provider", channel.name));
    AccountKey::of(&channel.name.namespace, &channel.object.spec).ok_or_else(missing)
}

async fn carry_out<C: Contacts>(
    command: &ContactsCommand<ContactsAccess>,
    ledger: &C,
    account: AccountKey,
) -> Result<(), Refusal> {
    let mut book = LedgerBook { ledger, account };
    let done = contacts::run(command, &mut book, BufWriter::new(io::stdout().lock())).await.map_err(refuse)?;
    if let Some(warning) = done.warning {
        eprintln!("warning: {warning}");
    }
    match done.counts {
        Some(counts) => super::results::print(&format!("{counts}\n")),
        None => Ok(()),
    }
}
