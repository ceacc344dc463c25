//! Who may touch which broadcast, and who may read about which.

use std::future::Future;

use secrecy::SecretString;

use crate::ledger::declaration::AccountKey;
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
    /// Valid, and of somebody who is neither a sender nor a receiver.
    #[error("this token's pod may not ask for this: {0}")]
    Forbidden(String),
    /// The broadcast or the channel, or what runs for it, is gone.
    #[error("what this token's pod runs for is gone: {0}")]
    Gone(String),
    /// Nobody can tell now.
    #[error("the token cannot be checked now: {0}")]
    Unavailable(String),
}

/// Tells what a token stands for.
pub trait Gatekeeper: Send + Sync + 'static {
    fn admit(&self, token: &SecretString) -> impl Future<Output = Result<Admitted, Denied>> + Send;
}

/// Tells whose call-backs the pod of a token takes.
pub trait ReceiverGate: Send + Sync + 'static {
    fn serves(&self, token: &SecretString) -> impl Future<Output = Result<AccountKey, Denied>> + Send;
}

/// What a valid token of a reader stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The one whose results it may read.
    pub broadcast: BroadcastId,
}

/// Why a token reads nothing. The messages hold no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// Definitely not valid.
    #[error("the token is not valid: {0}")]
    Unauthorized(String),
    /// Valid, and of somebody who may not read this.
    #[error("these results may not be read: {0}")]
    Forbidden(String),
    /// There is no such broadcast.
    #[error("there is nothing to read: {0}")]
    Gone(String),
    /// Nobody can tell now.
    #[error("whether these results may be read cannot be checked now: {0}")]
    Unavailable(String),
}

/// Tells whether a token may read the results of a BroadcastMessage: tokens of senders never, whatever they are of.
pub trait ReaderGate: Send + Sync + 'static {
    /// What a token says of itself, told at once: a yes is no proof, a no is final.
    ///
    /// # Errors
    /// [`NotReadable::Unauthorized`] where [`ReaderGate::admit`] would say the same of every broadcast.
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable>;

    fn admit(
        &self,
        token: &SecretString,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<Reader, NotReadable>> + Send;
}
