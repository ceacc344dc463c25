//! One MessageChannel: what is known of its account, and what its status says.

pub mod decide;
pub mod decide_receiver;
pub mod receiver;
mod receiver_applier;
pub(super) mod reconciler;

pub use decide::{ChannelDecision, ChannelObservation, decide};
pub use decide_receiver::{RECEIVER_NAME_TAKEN, RECEIVER_NOT_READY, RECEIVER_READY, ReceiverDecision};
