//! The flags by which a report is written, here and of a cluster.

use clap::ValueEnum;

use crate::report::ReportFormat;
use crate::report::csv::Table;

/// How a report is written.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct FormatOptions {
    /// How it is written.
    #[arg(short = 'o', long, value_enum, default_value_t = ReportOutput::Text)]
    pub output: ReportOutput,

    /// Which table of it is written as CSV.
    #[arg(long, value_enum, default_value_t = ReportTable::Outcomes)]
    pub table: ReportTable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// For a terminal.
    Text,
    /// One object.
    Json,
    /// One table of it.
    Csv,
    /// A page of its own, with plots.
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportTable {
    /// One row for each outcome, reason and code.
    Outcomes,
    /// One row for each span of time.
    Pace,
    /// One row for each class of the time that answers took.
    Latency,
    /// One row for each batch.
    Batches,
    /// One row for each size of batch.
    Sizes,
    /// One row for all of it, with totals, cost and quantiles.
    Summary,
}

impl FormatOptions {
    pub fn format(self) -> ReportFormat {
        match self.output {
            ReportOutput::Text => ReportFormat::Text,
            ReportOutput::Json => ReportFormat::Json,
            ReportOutput::Html => ReportFormat::Html,
            ReportOutput::Csv => ReportFormat::Csv(match self.table {
                ReportTable::Outcomes => Table::Outcomes,
                ReportTable::Pace => Table::Pace,
                ReportTable::Latency => Table::Latency,
                ReportTable::Batches => Table::Batches,
                ReportTable::Sizes => Table::Sizes,
                ReportTable::Summary => Table::Summary,
            }),
        }
    }
}
