//! Who may touch which broadcast, who may read about which, and who may read and change contacts.

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

/// Why a token of a person opens nothing. The messages hold no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// Definitely not valid.
    #[error("the token is not valid: {0}")]
    Unauthorized(String),
    /// Valid, and of somebody who may not do this.
    #[error("this token does not open that: {0}")]
    Forbidden(String),
    /// There is no such broadcast, or channel.
    #[error("{0}")]
    Gone(String),
    /// Nobody can tell now.
    #[error("what this token opens cannot be checked now: {0}")]
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

/// What is done with contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContactsAccess {
    Read,
    Change,
}

/// Tells whether a token may read or change the contacts of a MessageChannel, and of which account they are: tokens of senders
/// never, whatever they are of.
pub trait ContactsGate: Send + Sync + 'static {
    /// As [`ReaderGate::glance`].
    ///
    /// # Errors
    /// [`NotReadable::Unauthorized`] where [`ContactsGate::admit`] would say the same of every channel.
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable>;

    fn admit(
        &self,
        token: &SecretString,
        namespace: &str,
        channel: &str,
        access: ContactsAccess,
    ) -> impl Future<Output = Result<AccountKey, NotReadable>> + Send;
}
