//! Attachments that a provider keeps for an account: uploaded once for a broadcast, and named by handle in each message.

use serde::{Deserialize, Serialize};

use super::exchange::BroadcastId;
use crate::delivery::time::Span;

/// The longest handle that is believed; Messenger's have 15 to 17 digits.
pub const MAX_HANDLE: usize = 256;
/// One that ends sooner than this is uploaded anew: a message on its way must not find it gone.
pub const HANDLE_MARGIN: Span = Span::from_secs(60 * 60);

/// What a sender learns and tells of the attachments that the provider keeps for the broadcast's account. All senders of the
/// broadcast share them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentsRequest {
    pub broadcast: BroadcastId,
    /// Uploaded just now. A second upload of the same attachment takes the place of the first.
    pub uploaded: Vec<UploadedAttachment>,
    /// Handles that the provider does not know any more.
    pub gone: Vec<String>,
    /// The attachments that are asked for, as in [`UploadedAttachment::attachment`].
    pub asked: Vec<String>,
}

/// An attachment that the provider keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedAttachment {
    /// A digest of what it is, where it comes from and for which broadcast.
    pub attachment: String,
    /// The provider's name for it.
    pub handle: String,
    /// How long the provider keeps it.
    pub lives: Span,
}

/// Where an attachment that was asked for is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAttachment {
    pub attachment: String,
    pub handle: String,
}
