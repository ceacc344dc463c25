//! The flags of `kubectl broadcast`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api::audience::AudienceOutcome;
use crate::api::ledger_access::{CONTACTS_ACCOUNT, OPERATOR_NAMESPACE, READER_ACCOUNT};
use crate::contacts::ContactsCommand;
use crate::ledger::result_lines::ResultFormat;
use crate::ledger::results::ResultOutcome;

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
    /// Writes what became of a broadcast, in figures.
    Report(ReportOptions),
    /// Contacts, tags and opt-outs of a channel's account. Personal data.
    ///
    /// They belong to the account at the provider, so to every channel of the namespace that leads to it. Every command may
    /// be repeated: what was done is not changed again.
    #[command(subcommand)]
    Contacts(ContactsCommand<ContactsAccess>),
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

    /// Only those who stand so: Sent, Failed, Skipped, Unknown or Pending. Repeatable, or separated by commas. By default
    /// everybody.
    #[arg(long = "outcome", value_name = "OUTCOME", value_delimiter = ',')]
    pub outcomes: Vec<ResultOutcome>,

    /// Only those for whom this is the reason, e.g. RetriesExhausted.
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,

    /// How they are written. The CSV can be the audience of another broadcast.
    #[arg(short = 'o', long, value_enum, default_value_t = RowOutput::Csv)]
    pub output: RowOutput,

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowOutput {
    /// With a header row.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl From<RowOutput> for ResultFormat {
    fn from(output: RowOutput) -> ResultFormat {
        match output {
            RowOutput::Csv => ResultFormat::Csv,
            RowOutput::Ndjson => ResultFormat::Ndjson,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct ReportOptions {
    /// The BroadcastMessage.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How it is written.
    #[arg(short = 'o', long, value_enum, default_value_t = ReportOutput::Json)]
    pub output: ReportOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// One object.
    Json,
    /// One row for each outcome and reason.
    Csv,
    /// A page of its own.
    Html,
}
