//! Who may speak for which broadcast.

use std::future::Future;

use secrecy::SecretString;

use crate::ledger::BroadcastId;

/// A sender that may do with this broadcast what senders do, and with no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    pub broadcast: BroadcastId,
    /// For people.
    pub pod: String,
}

/// Why a token is not admitted, each with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A definite no to the token.
    #[error("{0}")]
    Unauthorized(String),
    /// A known token without a broadcast.
    #[error("{0}")]
    Forbidden(String),
    /// What the token stood for is over.
    #[error("{0}")]
    Gone(String),
    /// It cannot be told now.
    #[error("{0}")]
    Unavailable(String),
}

/// Tells which broadcast a token stands for.
pub trait Gatekeeper: Send + Sync + 'static {
    fn admit(&self, token: &SecretString) -> impl Future<Output = Result<Admitted, Denied>> + Send;
}
