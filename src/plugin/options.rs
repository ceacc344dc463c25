//! The flags of `kubectl broadcast`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api::audience::AudienceOutcome;
use crate::api::ledger_access::{CONTACTS_ACCOUNT, OPERATOR_NAMESPACE, READER_ACCOUNT};
use crate::contacts::ContactsCommand;
use crate::local::options::{DocumentOptions, Output};
use crate::local::report_options::FormatOptions;
use crate::local::row_options::RowOptions;

/// Looks at broadcasts, and stops, goes on with and repeats them.
#[derive(Debug, Parser)]
#[command(name = "kubectl-broadcast", bin_name = "kubectl broadcast", version)]
pub struct Cli {
    #[command(flatten)]
    pub target: Target,

    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster and namespace.
#[derive(Clone, Debug, Default, Args)]
pub struct Target {
    /// The namespace of the broadcasts. By default the one of the kubeconfig's context.
    #[arg(short = 'n', long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// The context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// The kubeconfig. By default those of the variable KUBECONFIG, or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stops sending until it is resumed: only messages already begun still reach anybody.
    Pause(WishOptions),
    /// Goes on with what was paused, or starts what waits with `suspend: true`.
    Resume(WishOptions),
    /// Stops for good: who was not messaged is skipped, and the idempotency key stays cancelled.
    Cancel(CancelOptions),
    /// Shows how a broadcast stands: conditions, counts, rate, batches, reasons.
    Status(StatusOptions),
    /// Makes a new broadcast to those whom an ended one did not reach.
    Retry(RetryOptions),
    /// Writes recipients with what became of each, from the ledger. Personal data.
    Results(ResultsOptions),
    Report(ReportOptions),
    /// Contacts, tags and opt-outs of a channel's account. Personal data.
    ///
    /// They belong to the account at the provider, so to every channel of the namespace that leads to it. Every command may
    /// be repeated: what was done is not changed again.
    #[command(subcommand)]
    Contacts(ContactsCommand<ContactsAccess>),
    Preview(Box<PreviewOptions>),
    /// Prints the script by which a shell completes `kubectl-broadcast`.
    ///
    /// For `kubectl broadcast …` itself kubectl asks a program `kubectl_complete-broadcast` in the PATH, which is two lines:
    /// `#!/bin/sh` and `kubectl broadcast __complete "$@"`.
    Completion(CompletionOptions),
    /// What kubectl asks for: candidates for the last word, a line each, and then what else the shell may offer.
    #[command(name = "__complete", hide = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Shows what would be sent, and sends nothing: of documents, or of an object in the cluster.
///
/// Of documents: plans them as the operator would, without the cluster, a ledger or any message, and shows how many recipients
/// there are, in which batches, how long it takes, and what five messages look like. It does not look into the cluster: their
/// channel, and what their audience refers to, has to be in the files or flags; credentials need not. Documents without a
/// namespace are in that of `-n`. Exit code 1 where a plan is refused. Of an object: shows the plan that its status has.
#[derive(Clone, Debug, Args)]
#[command(mut_arg("files", |arg| arg.required(false)))]
pub struct PreviewOptions {
    /// The BroadcastMessage in the cluster.
    #[arg(value_name = "NAME", required_unless_present = "files", conflicts_with = "files")]
    pub name: Option<String>,

    #[command(flatten)]
    pub documents: DocumentOptions,

    /// How it is printed on standard output; messages for people go to standard error.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct CompletionOptions {
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Clone, Debug, Args)]
pub struct WishOptions {
    /// The BroadcastMessages.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,

    /// How many seconds to wait for the operator's word that it is so. 0: not at all.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u64,
}

#[derive(Clone, Debug, Args)]
pub struct CancelOptions {
    #[command(flatten)]
    pub wish: WishOptions,

    /// Do not ask. Only at a terminal is anybody asked.
    #[arg(short = 'y', long)]
    pub yes: bool,
}

#[derive(Clone, Debug, Args)]
pub struct StatusOptions {
    /// The BroadcastMessage.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Go on showing it until it has ended.
    #[arg(short = 'w', long)]
    pub watch: bool,

    /// Show every batch, and not only those that are being sent or have seen an error.
    #[arg(long)]
    pub batches: bool,
}

#[derive(Clone, Debug, Args)]
pub struct RetryOptions {
    /// The BroadcastMessage that has ended.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Whom to send to again: those who ended so. Whoever is Unknown may have got the first message.
    #[arg(long, value_name = "OUTCOME", value_enum, ignore_case = true, default_value_t = RetryOutcome::Failed)]
    pub outcome: RetryOutcome,

    /// Print the new BroadcastMessage as YAML, and create nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask. Only at a terminal is anybody asked.
    #[arg(short = 'y', long)]
    pub yes: bool,
}

/// Whom a retry is for: one group, so that nobody is in two retries of one broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum RetryOutcome {
    /// Refused for good, or all tries used up.
    Failed,
    /// Never attempted: cancelled, expired or missed.
    Skipped,
    /// The answer was lost.
    Unknown,
}

impl RetryOutcome {
    pub fn of_audience(self) -> AudienceOutcome {
        match self {
            RetryOutcome::Failed => AudienceOutcome::Failed,
            RetryOutcome::Skipped => AudienceOutcome::Skipped,
            RetryOutcome::Unknown => AudienceOutcome::Unknown,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct ResultsOptions {
    /// The BroadcastMessage.
    #[arg(value_name = "NAME")]
    pub name: String,

    #[command(flatten)]
    pub rows: RowOptions,

    #[command(flatten)]
    pub access: AccessOptions,
}

/// How the ledger is reached.
#[derive(Clone, Debug, Args)]
pub struct AccessOptions {
    /// The service account, in the broadcast's namespace, that a token for the ledger is made of. It must be allowed to get
    /// the BroadcastMessage, and you to make tokens of it.
    #[arg(long, value_name = "NAME", default_value = READER_ACCOUNT)]
    pub service_account: String,

    /// The namespace of the operator.
    #[arg(long, value_name = "NAMESPACE", default_value = OPERATOR_NAMESPACE)]
    pub operator_namespace: String,
}

/// Whose contacts, and how the ledger is reached.
#[derive(Clone, Debug, Args)]
pub struct ContactsAccess {
    /// The MessageChannel whose account is meant.
    #[arg(long, value_name = "NAME")]
    pub channel: String,

    /// The service account, in the channel's namespace, that a token for the ledger is made of. It must be allowed to get the
    /// MessageChannel, and to update it where contacts are changed, and you to make tokens of it.
    #[arg(long, value_name = "NAME", default_value = CONTACTS_ACCOUNT)]
    pub service_account: String,

    /// The namespace of the operator.
    #[arg(long, value_name = "NAMESPACE", default_value = OPERATOR_NAMESPACE)]
    pub operator_namespace: String,
}

impl ContactsAccess {
    /// The way alone.
    pub fn reach(&self) -> AccessOptions {
        let (service_account, operator_namespace) = (self.service_account.clone(), self.operator_namespace.clone());
        AccessOptions { service_account, operator_namespace }
    }
}

/// Writes what became of a broadcast, in figures.
///
/// Outcomes by cause, rate over time, how long the provider took to answer, retries, batches, and the cost in API calls. Nobody
/// is named. Outcomes, retries and batches are from its objects; the rest is read from the ledger, as by `results`. Where that may not
/// be read, standard error says so and the rest is left out.
#[derive(Clone, Debug, Args)]
pub struct ReportOptions {
    /// The BroadcastMessage.
    #[arg(value_name = "NAME")]
    pub name: String,

    #[command(flatten)]
    pub format: FormatOptions,

    #[command(flatten)]
    pub access: AccessOptions,
}
