//! The exchange: the one call by which a sender reports and takes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::Content;
use crate::delivery::gate::Closed;
use crate::delivery::outcome::Outcome;
use crate::delivery::time::{Span, Timestamp};
use crate::delivery::usage::Usage;

/// How long a claim lasts without renewal. Liveness only: no safety rests on it.
pub const LEASE: Span = Span::from_secs(15);
/// A message is begun at most this long after its slot, or not at all.
pub const START_TOLERANCE: Span = Span::from_millis(20);
/// How long a connection to the provider may take; part of every deadline.
pub const CONNECT_TIMEOUT: Span = Span::from_secs(5);
/// An attempt without an outcome becomes unknown this long after its deadline.
pub const DEADLINE_GRACE: Span = Span::from_secs(5);
/// So long a provider counts as slow after a sender has said that it is held up: longer than between two exchanges.
pub const SLOW_FOR: Span = Span::from_secs(10);
/// The most outcomes of one request: as many as a sender can collect between two exchanges at the highest rate, with
/// room for those kept back while the ledger was out of reach.
pub const MAX_REPORTS: usize = 5_000;

/// The ledger's number of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BroadcastId(pub i64);

/// What became of one attempt, as a sender saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub seq: i64,
    pub attempt: u32,
    pub outcome: Outcome,
    /// How many milliseconds passed from handing the request over until its end was known; `None` where none was handed over,
    /// or nobody has measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

impl Report {
    /// Without a request that was measured.
    pub fn new(seq: i64, attempt: u32, outcome: Outcome) -> Report {
        Report { seq, attempt, outcome, took_ms: None }
    }
}

/// One numbered request. A sender repeats it until it is answered and holds at most one unanswered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRequest {
    pub broadcast: BroadcastId,
    /// Random, made at process start.
    pub holder: String,
    /// For people; a restarted container keeps it.
    pub display: String,
    /// Grows by one with each new request, from 1 on.
    pub number: u64,
    pub outcomes: Vec<Report>,
    /// How many recipients the sender would take; 0 only reports and renews.
    pub wants: u32,
    /// The highest revision of the broadcast that the sender has seen; 0 for one that has seen none. A ledger that holds
    /// less has lost commits.
    #[serde(default)]
    pub known_revision: i64,
    /// The plan whose content the sender has; `None` for a new sender.
    pub content_of: Option<i64>,
    /// Slots pass unused, because the provider owes as many answers as may be on the wire.
    #[serde(default)]
    pub held_up: bool,
    /// How much of the provider's limit is used, as its answers since the last request said; absent where it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The credentials that the provider refused are worth another try: opens the account until the next refusal.
    #[serde(default)]
    pub retry_credentials: bool,
    /// The sender's last request: its claim is handed back.
    pub leaving: bool,
}

/// One part of a message for one recipient, to be sent at its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    pub seq: i64,
    /// Of this part alone: it stands for the part wherever an outcome is told.
    pub attempt: u32,
    /// Which part, from 0 on; those before it the provider has taken.
    #[serde(default)]
    pub part: u32,
    pub recipient: String,
    pub vars: BTreeMap<String, String>,
    /// On the ledger's clock.
    pub slot: Timestamp,
    /// After this instant the attempt must not be begun.
    pub start_by: Timestamp,
}

/// What else the sender should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Directive {
    Continue,
    /// Nothing can be taken before this instant; ask again then.
    Wait {
        until: Timestamp,
    },
    /// The broadcast has no sealed plan.
    Plan,
    /// The gate is closed: release what has not begun, finish what has, record, leave.
    Stop {
        reason: Closed,
    },
}

/// The answer to an [`ExchangeRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeReply {
    /// The ledger's clock in this transaction.
    pub now: Timestamp,
    pub revision: i64,
    /// In the order of their slots.
    pub rows: Vec<Assignment>,
    /// Between two slots at the rate that applies now.
    pub interval: Span,
    /// Between two slots that this sender may count on, beside other broadcasts of the account and other senders of its
    /// own; at least `interval`. How many connections it opens ahead goes by this, and what it may have on the wire even where
    /// it was given less lately.
    pub turn: Span,
    pub request_timeout: Span,
    pub directive: Directive,
    /// More may be taken at this instant, though what was given lasts for longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_at: Option<Timestamp>,
    /// Given with recipients whenever the sender has none, or that of another plan: a plan that nobody was attempted of
    /// may be made anew with other content between two exchanges.
    pub content: Option<PlannedContent>,
    /// There are events for the broadcast's endpoints that nobody is at.
    #[serde(default)]
    pub notifications: bool,
    /// Somebody was sent to, as told by this request, who is to be written down elsewhere.
    #[serde(default)]
    pub owes: bool,
}

/// What the recipients of one plan are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedContent {
    /// The epoch of the plan, as in its ticket.
    pub plan: i64,
    pub content: Content,
}

/// What a flight journal tells of a dead sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    pub holder: String,
    /// Outcomes in the journal; those already recorded change nothing.
    pub outcomes: Vec<Report>,
    /// Attempts that were begun and have no outcome: they become unknown.
    pub begun: Vec<(i64, u32)>,
    /// Whether the journal lacks nothing (same boot of the same machine). Only then what is neither begun nor has an
    /// outcome was never sent and becomes pending; otherwise everything the sender held becomes unknown.
    pub complete: bool,
    /// The highest revision of the sender's broadcast in the journal, as in [`ExchangeRequest::known_revision`]. A ledger
    /// that holds less believes no journal to be complete: it may call somebody held whose outcome was acknowledged and
    /// then lost.
    #[serde(default)]
    pub known_revision: i64,
}
