//! One MessageChannel: what is known of its account, and what its status says.

pub mod decide;
pub(super) mod reconciler;

pub use decide::{ChannelDecision, ChannelObservation, decide};
