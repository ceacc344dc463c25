//! What is observed of a broadcast, and what is decided from it: plain data between the parts that speak to the world
//! and the part that thinks.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::memory::Memory;
use crate::api::{BroadcastMessage, BroadcastMessageStatus, MessageBatch, MessageBatchStatus, MessageChannel};
use crate::controller::transition::Transition;
use crate::delivery::notification::Standing;
use crate::delivery::time::Timestamp;
use crate::ledger::{BatchSnapshot, BroadcastSnapshot, SuppressionList};

/// What the ledger says to a broadcast's declaration.
#[derive(Clone, Debug)]
pub enum Declared {
    /// It stands; the batches are those of the sealed plan, by index, and none before it.
    Known { snapshot: Box<BroadcastSnapshot>, batches: Vec<BatchSnapshot> },
    /// It cannot stand: its channel is missing, its key stands for something else or belongs to another object. Nothing of
    /// it is sent until that changes.
    Refused { reason: &'static str, message: String },
}

/// Why the cluster would not start a Job's pods, from a warning event of the Job or of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWarning {
    pub job: String,
    /// The event's reason, e.g. `FailedCreate`.
    pub reason: String,
    pub message: String,
}

/// Everything that is known of one broadcast at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    pub object: BroadcastMessage,
    /// The channel it names, if there is one.
    pub channel: Option<MessageChannel>,
    /// The lists of people who get nothing, of all channels of its account.
    pub suppression: Vec<SuppressionList>,
    pub declared: Declared,
    /// MessageBatches of its namespace that name it, whoever owns them.
    pub batches: Vec<MessageBatch>,
    /// Jobs of its namespace that it owns.
    pub jobs: Vec<Job>,
    /// Pods of these Jobs.
    pub pods: Vec<Pod>,
    pub warnings: Vec<JobWarning>,
    /// The ledger's clock.
    pub now: Timestamp,
}

/// One step towards what should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    CreateJob(Box<Job>),
    /// Only if it is still this one.
    DeleteJob {
        name: String,
        uid: String,
    },
    ScaleJob {
        name: String,
        parallelism: i32,
    },
    CreateBatch(Box<MessageBatch>),
    /// Only if it is still this one.
    DeleteBatch {
        name: String,
        uid: String,
    },
    /// Look again whether the provider takes the credentials.
    LiftCredentialStop,
    /// A person has acted.
    LiftBlock,
    /// Endpoints are to be told how it stands.
    TellStanding(Box<Standing>),
}

/// What to do, what to report, and when to look again if nothing happens before.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub actions: Vec<Action>,
    /// `None` when the status need not be written now.
    pub status: Option<BroadcastMessageStatus>,
    /// Names and statuses of MessageBatches that are to be written now.
    pub batch_statuses: Vec<(String, MessageBatchStatus)>,
    pub transitions: Vec<Transition>,
    /// What to remember for the next look, as if all of the above were done.
    pub memory: Memory,
    pub look_again: Duration,
}
