//! What a receiver tells the ledger: the events of providers' call-backs.

use serde::{Deserialize, Serialize};

use crate::delivery::time::Span;

/// So long a receipt is kept that came before what it is of: longer than an attempt can be without an outcome while senders
/// reach the ledger, with the time that they may take to come back.
pub const EARLY_KEPT_FOR: Span = Span::from_secs(10 * 60);
/// So many of them are kept of an account, far more than it has in flight: further ones are of nothing.
pub const MAX_EARLY: i64 = 10_000;

/// What the events of one call have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Recipients that were unknown, or waited to be resent, and are sent.
    pub resolved: u32,
    /// Events that told something new of a message.
    pub news: u32,
    /// Events that changed nothing: told before, of an attempt that is past, or of no message of this account here.
    pub nothing: u32,
    /// Events that may be of messages whose outcome nobody has told yet: they are looked at again for a while.
    #[serde(default)]
    pub kept: u32,
    /// Events of people and not of messages.
    pub people: u32,
}

impl Received {
    pub fn add(&mut self, other: Received) {
        self.resolved += other.resolved;
        self.news += other.news;
        self.nothing += other.nothing;
        self.kept += other.kept;
        self.people += other.people;
    }
}
