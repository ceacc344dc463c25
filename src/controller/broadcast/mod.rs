//! One BroadcastMessage and what it owns: MessageBatches, and one Job per wave of senders.

mod applier;
mod declaration;
pub mod memory;
pub mod observation;
pub mod observer;
pub mod reconciler;
pub mod remembered;

pub use memory::Memory;
pub use observation::{Action, Declared, Decision, JobWarning, Observation, Transition};
