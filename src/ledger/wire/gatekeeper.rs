//! Who may touch which broadcast.

use std::future::Future;

use secrecy::SecretString;

use crate::ledger::exchange::BroadcastId;

/// What a valid token stands for: one pod, which may touch one broadcast and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    pub broadcast: BroadcastId,
    /// For people.
    pub pod: String,
}

/// Why a token opens nothing. The messages hold no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Definitely not valid.
    #[error("the token is not valid: {0}")]
    Unauthorized(String),
    /// Valid, and of somebody who is no sender.
    #[error("this token's pod is no sender: {0}")]
    Forbidden(String),
    /// The broadcast, or the Job that sends it, is gone.
    #[error("the broadcast of this sender is gone: {0}")]
    Gone(String),
    /// Nobody can tell now.
    #[error("the token cannot be checked now: {0}")]
    Unavailable(String),
}

/// Tells what a token stands for.
pub trait Gatekeeper: Send + Sync + 'static {
    fn admit(&self, token: &SecretString) -> impl Future<Output = Result<Admitted, Denied>> + Send;
}
