//! The flags by which recipients with what became of each are asked for, here and of a cluster.

use clap::ValueEnum;

use crate::ledger::result_lines::ResultFormat;
use crate::ledger::results::{ResultOutcome, ResultsFilter};

/// Which recipients are written, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct RowOptions {
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowOutput {
    /// With a header row.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl RowOptions {
    pub fn filter(&self) -> ResultsFilter {
        ResultsFilter { outcomes: self.outcomes.clone(), reason: self.reason.clone() }
    }

    pub fn format(&self) -> ResultFormat {
        match self.output {
            RowOutput::Csv => ResultFormat::Csv,
            RowOutput::Ndjson => ResultFormat::Ndjson,
        }
    }
}
