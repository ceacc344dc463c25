//! What became of the recipients of a broadcast, page by page: for people, who ask by how and why they ended.

use std::str::FromStr;

use jiff::Timestamp as Instant;
use serde::{Deserialize, Serialize};

use super::exchange::BroadcastId;
use crate::delivery::recipient::RecipientState;

/// The most recipients of one page.
pub const MAX_RESULTS_PAGE: u32 = 1_000;
/// So many recipients are looked through for one page at most: few of them may have ended so, and no transaction holds
/// the ledger for long.
pub const MAX_RESULTS_LOOKED_THROUGH: i64 = 20_000;

/// How a recipient stands, as people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultOutcome {
    Sent,
    Failed,
    Skipped,
    Unknown,
    /// Not settled yet; being sent at this moment as well.
    Pending,
}

impl ResultOutcome {
    pub const ALL: [ResultOutcome; 5] = [
        ResultOutcome::Sent,
        ResultOutcome::Failed,
        ResultOutcome::Skipped,
        ResultOutcome::Unknown,
        ResultOutcome::Pending,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ResultOutcome::Sent => "Sent",
            ResultOutcome::Failed => "Failed",
            ResultOutcome::Skipped => "Skipped",
            ResultOutcome::Unknown => "Unknown",
            ResultOutcome::Pending => "Pending",
        }
    }

    /// The states of the ledger that it stands for.
    pub fn states(self) -> &'static [RecipientState] {
        match self {
            ResultOutcome::Sent => &[RecipientState::Sent],
            ResultOutcome::Failed => &[RecipientState::Failed],
            ResultOutcome::Skipped => &[RecipientState::Skipped],
            ResultOutcome::Unknown => &[RecipientState::Unknown],
            ResultOutcome::Pending => &[RecipientState::Pending, RecipientState::Inflight],
        }
    }

    pub fn of(state: RecipientState) -> ResultOutcome {
        match state {
            RecipientState::Sent => ResultOutcome::Sent,
            RecipientState::Failed => ResultOutcome::Failed,
            RecipientState::Skipped => ResultOutcome::Skipped,
            RecipientState::Unknown => ResultOutcome::Unknown,
            RecipientState::Pending | RecipientState::Inflight => ResultOutcome::Pending,
        }
    }
}

impl FromStr for ResultOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<ResultOutcome, String> {
        let found = ResultOutcome::ALL.into_iter().find(|outcome| outcome.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| "it must be Sent, Failed, Skipped, Unknown or Pending".to_owned())
    }
}

/// Which recipients are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsFilter {
    /// How they stand; empty for everybody.
    #[serde(default)]
    pub outcomes: Vec<ResultOutcome>,
    /// Why they stand so: a reason of the status, exactly.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Asks for one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsQuery {
    pub broadcast: BroadcastId,
    pub filter: ResultsFilter,
    /// The first sequence number that is looked at.
    pub from: i64,
}

/// What became of one recipient. Personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultRow {
    /// The recipient's id at the provider.
    pub id: String,
    pub outcome: ResultOutcome,
    /// Why, where it is not sent, or was sent and did not arrive. For a pending one why its last attempt came to nothing.
    #[serde(default)]
    pub reason: Option<String>,
    /// The provider's own code for it.
    #[serde(default)]
    pub code: Option<String>,
    /// So many parts of the message the provider has taken: the text and each attachment where it takes them one by one, else
    /// one. Whoever is not sent may have got some of them.
    #[serde(default)]
    pub parts_done: u32,
    /// The provider's id of the message, where it gave one; of several parts that of the last one taken.
    #[serde(default)]
    pub provider_id: Option<String>,
    /// When it was delivered and when it was read, where the provider told.
    #[serde(default)]
    pub delivered_time: Option<Instant>,
    #[serde(default)]
    pub read_time: Option<Instant>,
}

/// Some recipients, in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsPage {
    pub rows: Vec<ResultRow>,
    /// Where the next page begins; `None` after the last one.
    #[serde(default)]
    pub next: Option<i64>,
}
