//! Whose broadcasts the ledger holds, and through which accounts.

use super::exchange::BroadcastId;
use crate::delivery::rate::Rate;
use crate::delivery::time::Timestamp;

/// The object that owns a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub broadcast: BroadcastId,
    pub uid: String,
    pub namespace: String,
    pub name: String,
}

/// One account at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSnapshot {
    pub ceiling: Rate,
    /// Slots per second now: below the ceiling after the provider throttled.
    pub effective_per_second: f64,
    /// The brake: no slot before.
    pub throttled_until: Option<Timestamp>,
    /// How much of its own limit is used, in percent, as the provider has said lately.
    pub usage_percent: Option<u32>,
    /// The provider's words when it refused the credentials.
    pub stop_message: Option<String>,
    /// Whether the provider has taken a message through it.
    pub verified: bool,
    /// Broadcasts with recipients pending or in flight, and the gate open.
    pub active_broadcasts: u32,
}
