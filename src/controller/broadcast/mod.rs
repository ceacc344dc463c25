//! One BroadcastMessage and what it owns: MessageBatches, and one Job per wave of senders.
//!
//! | file | holds |
//! | --- | --- |
//! | `reconciler` | one look: the order of all below |
//! | `declaration` | what the ledger is told, or why not |
//! | `observer` | gathers the observation |
//! | [`observation`] | what is observed, and what is decided from it |
//! | [`memory`] | what is remembered between two looks |
//! | `remembered` | all that is remembered, by uid |
//! | [`mod@decide`] | the decision as a whole, pure |
//! | `decide_wave` | whether senders are needed, and when |
//! | `decide_stall` | why senders do not work, as far as the cluster tells |
//! | `decide_batches` | MessageBatches and their statuses |
//! | `decide_refused` | what the API server does not let be made, and when it is tried again |
//! | `decide_budget` | how much may be written |
//! | `decide_status` | when the status is written |
//! | `decide_events` | what is worth an event |
//! | `applier` | takes the steps decided |

mod applier;
pub mod decide;
mod decide_batches;
mod decide_budget;
mod decide_events;
mod decide_refused;
mod decide_stall;
mod decide_status;
mod decide_wave;
mod declaration;
pub mod memory;
pub mod observation;
pub(super) mod observer;
pub(super) mod reconciler;
pub(super) mod remembered;

pub use decide::decide;
pub use decide_events::WRITE_BACK_FAILING;
pub use decide_stall::{
    BATCH_REFUSED, CHANNEL_INVALID, CHANNEL_NOT_FOUND, CHANNEL_UNREADABLE, NAME_TAKEN, QUIET_HOURS_INVALID,
    SENDER_CRASH_LOOPING, SENDER_NOT_STARTING, TEMPLATE_INVALID, UNREADABLE, WRITE_BACK_INVALID,
};
pub use memory::Memory;
pub use observation::{Action, Decision, Declared, JobWarning, Observation};
