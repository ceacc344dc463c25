//! One BroadcastMessage and what it owns: MessageBatches, and one Job per wave of senders.

pub mod observation;

pub use observation::{Action, Decision, Declared, JobWarning, Observation, Transition};
