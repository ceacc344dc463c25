//! The flags of the commands about contacts. How the contacts are reached is `A`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

use crate::api::tag::is_tag;

#[derive(Clone, Debug, Subcommand)]
pub enum ContactsCommand<A: Args> {
    /// Brings contacts in from a file. Who is known keeps tags and opt-outs; importing again changes nothing.
    Import(ImportOptions<A>),
    /// Writes contacts as a file that an import reads. Personal data.
    Export(ExportOptions<A>),
    /// Gives contacts tags; who is not known becomes a contact.
    Tag(TagOptions<A>),
    /// Takes tags away from contacts.
    Untag(TagOptions<A>),
    /// These people want no more messages of the account: what is pending for them is skipped, in every broadcast.
    OptOut(OptOutOptions<A>),
    /// They want messages again, of broadcasts that are planned from now on.
    OptIn(OptInOptions<A>),
}

impl<A: Args> ContactsCommand<A> {
    /// How the contacts are reached.
    pub fn access(&self) -> &A {
        match self {
            ContactsCommand::Import(options) => &options.access,
            ContactsCommand::Export(options) => &options.access,
            ContactsCommand::Tag(options) | ContactsCommand::Untag(options) => &options.access,
            ContactsCommand::OptOut(options) => &options.access,
            ContactsCommand::OptIn(options) => &options.access,
        }
    }

    /// Whether nothing can come of it where nobody is known yet.
    pub fn needs_contacts(&self) -> bool {
        matches!(self, ContactsCommand::Export(_) | ContactsCommand::Untag(_) | ContactsCommand::OptIn(_))
    }
}

#[derive(Clone, Debug, Args)]
pub struct ImportOptions<A: Args> {
    /// CSV with a header row, or NDJSON, as audiences are: `id`, `time_zone`, `last_active_time` and any variables; and
    /// `tags`, separated by blanks or `;`, `opted_out` (true or false) and `opted_out_reason`. A file is checked as a whole
    /// before anything is changed. `-` is standard input, which is written as it comes.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How the rows are written. By default what the file's name ends in; standard input is CSV.
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,

    #[command(flatten)]
    pub access: A,

    /// How the counts are printed.
    #[arg(short = 'o', long, value_enum, default_value_t = CountsOutput::Text)]
    pub output: CountsOutput,
}

#[derive(Clone, Debug, Args)]
pub struct ExportOptions<A: Args> {
    #[command(flatten)]
    pub access: A,

    /// Only who has this tag. Repeatable: who has all of them.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<Tag>,

    /// Only who does not have this tag. Repeatable: who has none of them.
    #[arg(long = "without-tag", value_name = "TAG")]
    pub without_tags: Vec<Tag>,

    /// How they are written. CSV has a column for each variable, so the contacts are read twice.
    #[arg(short = 'o', long, value_enum, default_value_t = FileFormat::Csv)]
    pub output: FileFormat,
}

#[derive(Clone, Debug, Args)]
pub struct TagOptions<A: Args> {
    #[command(flatten)]
    pub recipients: Recipients,

    /// The tag. Repeatable.
    #[arg(long = "tag", value_name = "TAG", required = true)]
    pub tags: Vec<Tag>,

    #[command(flatten)]
    pub access: A,

    /// How the counts are printed.
    #[arg(short = 'o', long, value_enum, default_value_t = CountsOutput::Text)]
    pub output: CountsOutput,
}

#[derive(Clone, Debug, Args)]
pub struct OptOutOptions<A: Args> {
    #[command(flatten)]
    pub recipients: Recipients,

    /// Why, in at most 128 characters: stands beside the opt-out.
    #[arg(long, value_name = "TEXT", default_value = "opted out by hand")]
    pub reason: String,

    #[command(flatten)]
    pub access: A,

    /// How the counts are printed.
    #[arg(short = 'o', long, value_enum, default_value_t = CountsOutput::Text)]
    pub output: CountsOutput,
}

#[derive(Clone, Debug, Args)]
pub struct OptInOptions<A: Args> {
    #[command(flatten)]
    pub recipients: Recipients,

    #[command(flatten)]
    pub access: A,

    /// How the counts are printed.
    #[arg(short = 'o', long, value_enum, default_value_t = CountsOutput::Text)]
    pub output: CountsOutput,
}

/// Who is meant.
#[derive(Clone, Debug, Args)]
pub struct Recipients {
    /// The recipients' ids at the provider.
    #[arg(value_name = "ID", required_unless_present = "ids", allow_negative_numbers = true)]
    pub recipients: Vec<String>,

    /// A file of them in place of arguments, read like an audience, of which only `id` counts: CSV or NDJSON. It is checked
    /// as a whole before anything is changed. `-` is standard input, which is taken as it comes.
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    pub ids: Option<PathBuf>,

    /// How the rows are written. By default what the file's name ends in; standard input is CSV.
    #[arg(long, value_enum, requires = "ids")]
    pub format: Option<FileFormat>,
}

/// A tag, as a contact may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String);

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Tag, String> {
        let rule = "a tag is 1 to 63 letters, digits, -, _ and ., with a letter or digit at both ends";
        is_tag(text).then(|| Tag(text.to_owned())).ok_or_else(|| rule.to_owned())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// With a header row.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CountsOutput {
    /// One line for people.
    Text,
    /// One JSON object.
    Json,
}
