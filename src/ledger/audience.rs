//! What a ledger knows of an audience: whom another broadcast has left, and the contacts of the account; page by page.

use serde::{Deserialize, Serialize};

use super::plan::{PlanRow, PlanTicket};
use crate::api::Audience;
use crate::api::audience::{BroadcastSource, ContactsSource};
use crate::delivery::pacing::MAX_GROUP;
use crate::delivery::time::Timestamp;

/// The most recipients of one page: as many as one exchange gives, which the answer of a ledger has room for.
pub const MAX_PAGE: u32 = MAX_GROUP;
/// So many recipients are looked through for one page at most: few of them may have ended so, and no transaction holds
/// the ledger for long.
pub const MAX_LOOKED_THROUGH: i64 = 20_000;

/// Which list of an audience a source stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AudienceList {
    Included,
    Excluded,
}

/// Where a page of an audience begins: what the page before it said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AudiencePosition {
    #[default]
    Start,
    /// The first sequence number of a broadcast that is looked at.
    Seq(i64),
    /// After this contact. What counts back from now does so from the first page on.
    After { recipient: String, now: Timestamp },
}

/// What a source is to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerSource<'a> {
    Broadcast(&'a BroadcastSource),
    Contacts(&'a ContactsSource),
}

/// Asks for recipients of a source of the planner's own audience. Which broadcast and which outcomes are meant, or which
/// contacts, is what the ledger was told of that source, not what a planner says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceQuery {
    pub ticket: PlanTicket,
    pub list: AudienceList,
    /// The source's name in its list.
    pub source: String,
    pub from: AudiencePosition,
}

/// Some of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudiencePage {
    pub rows: Vec<PlanRow>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<AudiencePosition>,
}

impl AudienceQuery {
    /// What the source of this name says in an audience.
    pub fn resolve<'a>(&self, audience: &'a Audience) -> Option<LedgerSource<'a>> {
        let sources = match self.list {
            AudienceList::Included => &audience.sources,
            AudienceList::Excluded => &audience.exclude.as_ref()?.sources,
        };
        let source = sources.iter().find(|source| source.name == self.source)?;
        let broadcast = source.broadcast.as_ref().map(LedgerSource::Broadcast);
        broadcast.or(source.contacts.as_ref().map(LedgerSource::Contacts))
    }
}
