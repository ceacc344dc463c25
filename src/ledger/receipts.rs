//! What a receiver tells the ledger: the events of providers' call-backs.

use serde::{Deserialize, Serialize};

/// What the events of one call have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Recipients that were unknown, or waited to be resent, and are sent.
    pub resolved: u32,
    /// Events that told something new of a message.
    pub news: u32,
    /// Events that changed nothing: told before, of an attempt that is past, or of no message of this account here.
    pub nothing: u32,
    /// Events of people and not of messages.
    pub people: u32,
}

impl Received {
    pub fn add(&mut self, other: Received) {
        self.resolved += other.resolved;
        self.news += other.news;
        self.nothing += other.nothing;
        self.people += other.people;
    }
}
