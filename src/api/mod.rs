//! The three kinds of group `herald.dev`, version `v1alpha1`: types, schema, validation rules and defaults.
//!
//! The doc comments of fields here are what `kubectl explain` prints, so they are written for users. Pure: no clock,
//! no randomness, no IO. A field that nothing acts on does not exist.

// The derive takes one `printcolumn(...)` per column, each with the same member names.
#![allow(clippy::duplicated_attributes)]

pub mod admission;
pub mod audience;
pub mod batch;
pub mod broadcast;
pub mod broadcast_status;
pub mod channel;
pub mod condition;
pub mod content;
pub mod crd;
mod instant;
pub mod ledger_access;
pub(crate) mod metadata;
pub mod mount;
pub mod notification;
pub mod on_sent;
pub mod quiet_period;
pub mod rate;
pub mod reference;
pub mod remote_source;
pub mod secret_keys;
pub mod sender_pods;
mod structure;
pub mod tag;
pub mod violation;

pub use audience::{
    Audience, AudienceSource, Exclusion, KeyRef, MAX_RECIPIENTS, MAX_SOURCES, Recipient, RecipientFormat, SourceMember,
};
pub use batch::{BatchState, MessageBatch, MessageBatchSpec, MessageBatchStatus};
pub use broadcast::{BroadcastMessage, BroadcastMessageSpec, Delivery, Priority, Retry, Schedule, UnknownPolicy};
pub use broadcast_status::{BroadcastMessageStatus, BroadcastState};
pub use channel::{
    HttpChannel, MessageChannel, MessageChannelSpec, MessageChannelStatus, MessengerChannel, Suppression,
    SuppressionSource, TelegramChannel,
};
pub use condition::{Condition, ConditionStatus};
pub use content::Content;
pub use crd::{crds, crds_yaml};
pub use notification::{NotificationEndpoint, NotificationEvent};
pub use on_sent::{MessengerWriteBack, OnSent, SqlWriteBack, WriteBackTarget};
pub use quiet_period::{QuietPeriod, Weekday};
pub use rate::Rate;
pub use reference::ObjectRef;
pub use remote_source::{HttpFormat, HttpSource, NextPage, SecretKeyRef, SqlSource};
pub use sender_pods::{ComputeResources, SenderPods, SenderResources, Toleration};

/// The API group of all kinds.
pub const GROUP: &str = "herald.dev";
/// The one version there is.
pub const VERSION: &str = "v1alpha1";
/// What stands as `apiVersion` in a document.
pub const API_VERSION: &str = "herald.dev/v1alpha1";
