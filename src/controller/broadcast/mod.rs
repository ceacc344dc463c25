//! One BroadcastMessage and what it owns: MessageBatches, and one Job per wave of senders.

pub mod memory;
pub mod observation;

pub use memory::Memory;
pub use observation::{Action, Declared, Decision, JobWarning, Observation, Transition};
