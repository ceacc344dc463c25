//! The flags by which recipients with what became of each are asked for, here and of a cluster.

use std::sync::LazyLock;

use clap::ValueEnum;

use crate::delivery::nearest::nearest;
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
    #[arg(long, value_name = "REASON", value_parser = known_reason)]
    pub reason: Option<String>,

    /// How they are written. The CSV can be the audience of another broadcast.
    #[arg(short = 'o', long, value_enum, default_value_t = RowOutput::Csv)]
    pub output: RowOutput,
}

/// Every reason that there is, as the page explains them; a test keeps it complete. The codes of providers are none.
static REASONS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let rows = include_str!("../../docs/errors.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let first = rows.filter_map(|row| row.split_once("` |").map(|(reason, _)| reason));
    first.filter(|reason| reason.starts_with(|letter: char| letter.is_ascii_uppercase())).collect()
});

/// A reason that nobody can have would otherwise look like one that nobody has.
fn known_reason(text: &str) -> Result<String, String> {
    if REASONS.contains(&text) {
        return Ok(text.to_owned());
    }
    let meant = match nearest(text, REASONS.iter().copied()) {
        Some(reason) => format!("; did you mean {reason}?"),
        None => ", and the codes of providers are none; docs/errors.md has all".to_owned(),
    };
    Err(format!("there is no such reason{meant}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_there_is_not_is_refused_with_the_one_that_was_meant() {
        for reason in ["RetriesExhausted", "OptedOut", "WindowClosed", "Cancelled", "NoAnswer", "NotSent"] {
            assert_eq!(known_reason(reason).as_deref(), Ok(reason));
        }
        let refused = |text| known_reason(text).unwrap_err();
        assert_eq!(refused("RetryExhausted"), "there is no such reason; did you mean RetriesExhausted?");
        assert_eq!(refused("optedout"), "there is no such reason; did you mean OptedOut?");
        assert!(refused("551").contains("the codes of providers are none"));
    }
}
