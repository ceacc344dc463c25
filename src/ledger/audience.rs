//! The audience that another broadcast has left: whoever ended in certain ways, page by page.

use serde::{Deserialize, Serialize};

use super::plan::{PlanRow, PlanTicket};
use crate::api::Audience;
use crate::api::audience::BroadcastSource;
use crate::delivery::pacing::MAX_GROUP;

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

/// Asks for recipients of a source of the planner's own audience. Which broadcast and which outcomes are meant is what the
/// ledger was told of that source, not what a planner says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceQuery {
    pub ticket: PlanTicket,
    pub list: AudienceList,
    /// The source's name in its list.
    pub source: String,
    /// The first sequence number that is looked at.
    pub from: i64,
}

/// Some of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudiencePage {
    pub rows: Vec<PlanRow>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<i64>,
}

impl AudienceQuery {
    /// What the source of this name says in an audience.
    pub fn resolve<'a>(&self, audience: &'a Audience) -> Option<&'a BroadcastSource> {
        let sources = match self.list {
            AudienceList::Included => &audience.sources,
            AudienceList::Excluded => &audience.exclude.as_ref()?.sources,
        };
        sources.iter().find(|source| source.name == self.source)?.broadcast.as_ref()
    }
}
