//! What can go wrong at the ledger, with one reason string for status, metric and match arm.

/// An error of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(
        "the ledger {place} is in use by process {pid}; wait for it to end (another one, with --ledger sqlite:PATH, knows nothing of whom this one messaged)"
    )]
    Locked { place: String, pid: String },
    #[error(
        "failed to open the ledger {place}: {message}; check that the folder exists and is writable, or choose another with --ledger sqlite:PATH"
    )]
    Open { place: String, message: String },
    #[error(
        "the file {place} is not a ledger or is damaged: {message}; restore it from a backup, or choose another with --ledger sqlite:PATH"
    )]
    Corrupt { place: String, message: String },
    #[error(
        "no space is left for the ledger {place}; free some and run again: it goes on, and nobody is messaged twice"
    )]
    DiskFull { place: String },
    #[error("the ledger {place} cannot be written: {message}")]
    ReadOnly { place: String, message: String },
    #[error(
        "failed to use the ledger {place}: {message}; check the disk and run again, nothing that was recorded is lost"
    )]
    Failed { place: String, message: String },
    #[error(
        "failed to reach the ledger {place}: {message}; check that the database runs, that this machine may connect, and the name and password"
    )]
    Unreachable { place: String, message: String },
    #[error(
        "the ledger serves the cluster whose namespace kube-system has the uid {bound}, and this one has {cluster}: give this cluster a ledger of its own; or, if the ledger has moved here for good and nobody uses it or a copy of it there any more, start with --ledger-from-cluster {bound}"
    )]
    OtherCluster { bound: String, cluster: String },
    #[error("the ledger did not answer: {message}")]
    Storage { message: String },
    #[error("no such broadcast in this ledger")]
    UnknownBroadcast,
    #[error("request {number} is older than the last answered one, {last}")]
    StaleRequest { number: u64, last: u64 },
    #[error("this sender has left or was settled as dead")]
    SenderClosed,
    #[error(
        "the idempotency key `{key}` already stands for another {changed}, and people were messaged under it; choose a new `spec.idempotencyKey` (or `metadata.name`) for a new message, or undo the edit to go on with the old one"
    )]
    /// `changed` names what differs: account, content, audience, tags of `onSent`.
    KeyReused { key: String, changed: String },
    #[error(
        "the idempotency key `{key}` belongs to the BroadcastMessage `{owner}`, which still exists; delete that one, or choose a new `spec.idempotencyKey`"
    )]
    KeyInUse { key: String, owner: String, owner_uid: String },
    #[error("the object with the uid {owner_uid} was deleted: nothing of it is sent any more")]
    OwnerGone { owner_uid: String },
    #[error("this broadcast was declared without orders for senders of another process")]
    NoOrders,
    #[error("this sender may not touch that broadcast: {message}")]
    Forbidden { message: String },
    #[error(
        "the operator does not speak this version of the ledger API; it serves {served}: let the sender's image be of the operator's version"
    )]
    UnsupportedVersion { served: String },
    #[error("the ledger API takes no such request: {message}; let the sender's image be of the operator's version")]
    RequestRefused { message: String },
    #[error("the plan cannot change after the first attempt")]
    PlanLocked,
    #[error("planner after planner died over this plan; it is begun anew after an edit")]
    PlanFailed,
    #[error("another plan has begun since")]
    PlanSuperseded,
    #[error(
        "there is no broadcast `{name}` in this ledger and namespace; name one that was sent from here in `spec.audience`"
    )]
    AudienceNotFound { name: String },
    #[error(
        "the broadcast `{name}` has not ended, or ended without a plan, which an edit undoes, so nobody knows how its \
         recipients end; wait for it, cancel it, or leave it out"
    )]
    AudienceUnfinished { name: String },
    #[error("{problem}; correct it and call again, nothing was changed")]
    ContactInvalid { problem: String },
    #[error("one request carries at most {limit} items")]
    RequestTooLarge { limit: usize },
    #[error("chunk {chunk} does not follow chunk {last}")]
    ChunkOutOfOrder { chunk: u64, last: u64 },
}

impl LedgerError {
    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            LedgerError::Locked { .. } => "LedgerLocked",
            LedgerError::Open { .. } => "LedgerUnreadable",
            LedgerError::Corrupt { .. } => "LedgerCorrupt",
            LedgerError::DiskFull { .. } => "LedgerDiskFull",
            LedgerError::ReadOnly { .. } => "LedgerReadOnly",
            LedgerError::Failed { .. } => "LedgerFailed",
            LedgerError::Unreachable { .. } => "LedgerUnreachable",
            LedgerError::OtherCluster { .. } => "LedgerOfOtherCluster",
            LedgerError::Storage { .. } => "LedgerUnavailable",
            LedgerError::UnknownBroadcast => "UnknownBroadcast",
            LedgerError::StaleRequest { .. } => "StaleRequest",
            LedgerError::SenderClosed => "SenderClosed",
            LedgerError::KeyReused { .. } => "KeyReused",
            LedgerError::KeyInUse { .. } => "KeyInUse",
            LedgerError::OwnerGone { .. } => "OwnerGone",
            LedgerError::NoOrders => "NoOrders",
            LedgerError::Forbidden { .. } => "Forbidden",
            LedgerError::UnsupportedVersion { .. } => "UnsupportedVersion",
            LedgerError::RequestRefused { .. } => "RequestRefused",
            LedgerError::PlanLocked => "PlanLocked",
            LedgerError::PlanFailed => "PlanFailed",
            LedgerError::PlanSuperseded => "PlanSuperseded",
            LedgerError::AudienceNotFound { .. } => "AudienceNotFound",
            LedgerError::AudienceUnfinished { .. } => "AudienceUnfinished",
            LedgerError::ContactInvalid { .. } => "ContactInvalid",
            LedgerError::RequestTooLarge { .. } => "RequestTooLarge",
            LedgerError::ChunkOutOfOrder { .. } => "ChunkOutOfOrder",
        }
    }

    /// Whether the same call may succeed later without anybody acting.
    pub fn is_transient(&self) -> bool {
        matches!(self, LedgerError::Storage { .. })
    }
}
