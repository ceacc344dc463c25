//! Paths and bodies as they stand on the wire.

use serde::{Deserialize, Serialize};

use super::gatekeeper::ContactsAccess;
use crate::audience::MAX_ROW_BYTES;
use crate::delivery::pacing::MAX_GROUP;
use crate::delivery::provider_event::{MAX_EVENTS, ProviderEvent};
use crate::ledger::attachments::AttachmentsRequest;
use crate::ledger::audience::AudienceQuery;
use crate::ledger::brief::Trouble;
use crate::ledger::contacts::{ContactRow, ContactsFilter};
use crate::ledger::exchange::{BroadcastId, ExchangeRequest, LastWords};
use crate::ledger::notification::{ReportNotifications, TakeNotifications};
use crate::ledger::plan::{PlanRow, PlanTicket, PlanWords};
use crate::ledger::results::{MAX_RESULTS_PAGE, ResultsFilter};
use crate::ledger::write_back::{ReportWriteBacks, TakeWriteBacks};

/// The version that is spoken here; what else a path may begin with is answered 426.
pub const VERSION: &str = "v1";
pub const BRIEF: &str = "/v1/brief";
pub const BEGIN_PLAN: &str = "/v1/plan/begin";
pub const EXCLUDE: &str = "/v1/plan/exclude";
/// Whom the plan takes for opted out, in the form of [`Exclude`].
pub const SUPPRESS: &str = "/v1/plan/suppress";
pub const SUPPRESS_PENDING: &str = "/v1/plan/suppress-pending";
pub const APPEND_PLAN: &str = "/v1/plan/append";
pub const AUDIENCE_PAGE: &str = "/v1/plan/audience";
pub const SEAL_PLAN: &str = "/v1/plan/seal";
pub const ABANDON_PLAN: &str = "/v1/plan/abandon";
pub const TROUBLE: &str = "/v1/trouble";
pub const ATTACHMENTS: &str = "/v1/attachments";
pub const EXCHANGE: &str = "/v1/exchange";
pub const TAKE_NOTIFICATIONS: &str = "/v1/notifications/take";
pub const REPORT_NOTIFICATIONS: &str = "/v1/notifications/report";
pub const TAKE_WRITE_BACKS: &str = "/v1/write-backs/take";
pub const REPORT_WRITE_BACKS: &str = "/v1/write-backs/report";
pub const LAST_WORDS: &str = "/v1/last-words";
/// For people, with tokens of their own.
pub const RESULTS: &str = "/v1/results";
/// For people as well.
pub const FIGURES: &str = "/v1/figures";

/// For receivers of call-backs, with tokens of their own.
pub const RECEIVE: &str = "/v1/receive";

/// The longest name of a sender: the random ones are a quarter of it.
pub const MAX_HOLDER: usize = 128;

/// The longest answer that is read: as many recipients as one exchange gives at most, each as long as a row may be.
pub const MAX_ANSWER: usize = MAX_GROUP as usize * MAX_ROW_BYTES;

/// The longest body. A planner's chunk holds at most [`MAX_CHUNK_BYTES`](crate::ledger::plan::MAX_CHUNK_BYTES) of rows, of
/// which JSON makes six times as much at worst; 5,000 outcomes have some 2 MB, and a journal's last words at most what it
/// holds before it is rewritten, some 4 MB.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// The longest question for results.
pub const MAX_RESULTS_BODY: usize = 16 * 1024;
/// The longest page of results: an id has 256 characters, of which JSON makes six bytes each at worst, and what the
/// provider says about it is bounded as well.
pub const MAX_RESULTS_ANSWER: usize = MAX_RESULTS_PAGE as usize * 8 * 1024;

/// The longest call of a receiver: as many events as one holds, each with a recipient and a provider's id, of which JSON
/// makes six bytes a character at worst.
pub const MAX_RECEIVE_BODY: usize = MAX_EVENTS * 4 * 1024;

/// What the provider of an account told. Whose account it is, the token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveRequest {
    pub events: Vec<ProviderEvent>,
}

/// The longest answer with figures: 500 batches of some 400 bytes, 256 spans and 64 classes of numbers, and 200 causes whose
/// reasons and codes are bounded as well.
pub const MAX_FIGURES_ANSWER: usize = 1024 * 1024;

/// Asks for the figures of a BroadcastMessage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiguresRequest {
    pub namespace: String,
    pub name: String,
}

/// Asks for results of a BroadcastMessage, from a sequence number on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsRequest {
    pub namespace: String,
    pub name: String,
    #[serde(flatten)]
    pub filter: ResultsFilter,
    #[serde(default)]
    pub from: i64,
}

/// The longest question for a page of contacts: a filter of a few tags.
pub const MAX_CONTACTS_QUESTION: usize = 16 * 1024;
/// The longest answer about contacts: a page is cut after some 2 MB of text and one contact more, of which JSON makes six
/// times as much at worst.
pub const MAX_CONTACTS_ANSWER: usize = 32 * 1024 * 1024;

/// What people do with the contacts of a MessageChannel. Its path names the namespace, the channel and the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactsCall {
    /// [`PageOfContacts`], answered by a [`ContactsPage`](crate::ledger::contacts::ContactsPage).
    Page,
    /// [`ImportContacts`], answered by [`Imported`](crate::ledger::contacts::Imported).
    Import,
    /// [`TagContacts`], answered by [`Counted`].
    Tag,
    /// [`TagContacts`], answered by [`Counted`].
    Untag,
    /// [`OptOutContacts`], answered by [`OptedOut`](crate::ledger::contacts::OptedOut).
    OptOut,
    /// [`OptInContacts`], answered by [`Counted`].
    OptIn,
}

impl ContactsCall {
    pub const ALL: [ContactsCall; 6] = [
        ContactsCall::Page,
        ContactsCall::Import,
        ContactsCall::Tag,
        ContactsCall::Untag,
        ContactsCall::OptOut,
        ContactsCall::OptIn,
    ];

    /// All of their paths.
    pub const ROUTE: &str = "/v1/contacts/{namespace}/{channel}/{call}";

    fn name(self) -> &'static str {
        match self {
            ContactsCall::Page => "page",
            ContactsCall::Import => "import",
            ContactsCall::Tag => "tag",
            ContactsCall::Untag => "untag",
            ContactsCall::OptOut => "opt-out",
            ContactsCall::OptIn => "opt-in",
        }
    }

    pub fn named(name: &str) -> Option<ContactsCall> {
        ContactsCall::ALL.into_iter().find(|call| call.name() == name)
    }

    /// The path of the call for a channel, whose name and namespace are those of objects.
    pub fn path(self, namespace: &str, channel: &str) -> String {
        format!("/v1/contacts/{namespace}/{channel}/{}", self.name())
    }

    pub fn access(self) -> ContactsAccess {
        match self {
            ContactsCall::Page => ContactsAccess::Read,
            _ => ContactsAccess::Change,
        }
    }
}

/// Asks for contacts after somebody, the first ones for `None`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PageOfContacts {
    #[serde(default)]
    pub after: Option<String>,
    #[serde(default)]
    pub filter: ContactsFilter,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportContacts {
    pub rows: Vec<ContactRow>,
}

/// To be given or taken away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TagContacts {
    pub recipients: Vec<String>,
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OptOutContacts {
    pub recipients: Vec<String>,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OptInContacts {
    pub recipients: Vec<String>,
}

/// So many were new, or were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub count: u64,
}

/// The broadcast a body speaks of; the server lets nobody speak of another than its own.
pub trait Addressed {
    /// `None` where the token alone says it.
    fn broadcast(&self) -> Option<BroadcastId>;
}

/// Asks for the brief of the broadcast that the token stands for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BriefRequest {
    pub broadcast: Option<BroadcastId>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BeginPlan {
    pub broadcast: BroadcastId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exclude {
    pub ticket: PlanTicket,
    pub chunk: u64,
    pub recipients: Vec<String>,
}

/// Whom a sealed plan takes for opted out from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuppressPending {
    pub plan: PlanTicket,
    pub recipients: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppendPlan {
    pub ticket: PlanTicket,
    pub chunk: u64,
    pub rows: Vec<PlanRow>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealPlan {
    pub ticket: PlanTicket,
    #[serde(flatten)]
    pub words: PlanWords,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AbandonPlan {
    pub ticket: PlanTicket,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportTrouble {
    pub plan: PlanTicket,
    pub trouble: Trouble,
}

/// The answer where nothing is to be said.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Done {}

impl Addressed for BriefRequest {
    fn broadcast(&self) -> Option<BroadcastId> {
        self.broadcast
    }
}

impl Addressed for BeginPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for Exclude {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for SuppressPending {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.plan.broadcast)
    }
}

impl Addressed for AppendPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for AudienceQuery {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for SealPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for AbandonPlan {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.ticket.broadcast)
    }
}

impl Addressed for ReportTrouble {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.plan.broadcast)
    }
}

impl Addressed for AttachmentsRequest {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for ExchangeRequest {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for TakeNotifications {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for ReportNotifications {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for TakeWriteBacks {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for ReportWriteBacks {
    fn broadcast(&self) -> Option<BroadcastId> {
        Some(self.broadcast)
    }
}

impl Addressed for LastWords {
    fn broadcast(&self) -> Option<BroadcastId> {
        None
    }
}
