//! Attachments that a provider keeps for an account: uploaded once for a broadcast, and named by handle in each message.

use serde::{Deserialize, Serialize};

use super::exchange::{BroadcastId, LEASE};
use crate::delivery::time::Span;

/// The longest handle that is believed; Messenger's have 15 to 17 digits.
pub const MAX_HANDLE: usize = 256;
/// One that ends sooner than this is uploaded anew: a message on its way must not find it gone.
pub const HANDLE_MARGIN: Span = Span::from_secs(60 * 60);

/// So long an upload is one sender's alone after its last word about it, and so long others wait for one that was lost.
pub const UPLOAD_LEASE: Span = LEASE;

/// So long one sender's word that an attachment cannot be uploaded is every other one's as well: those that waited for it are all to
/// hear it, and none is to go through the same tries once more.
pub const GIVEN_UP_FOR: Span = UPLOAD_LEASE;

/// What a sender learns and tells of the attachments that the provider keeps for the broadcast's account. All senders of the
/// broadcast share them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentsRequest {
    pub broadcast: BroadcastId,
    /// Who asks, as in an exchange: whose an upload is.
    pub holder: String,
    /// Uploaded just now. A second upload of the same attachment takes the place of the first.
    pub uploaded: Vec<UploadedAttachment>,
    /// Handles that the provider does not know any more.
    pub gone: Vec<String>,
    /// What the asker was to upload, and could not: for [`GIVEN_UP_FOR`] nobody is told to try it again.
    pub given_up: Vec<String>,
    /// What the asker wants to know of, and may upload: no more than a message has.
    pub asked: Vec<AskedAttachment>,
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

/// An attachment that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedAttachment {
    /// As in [`UploadedAttachment::attachment`].
    pub attachment: String,
    /// The asker uploads it, where it is not kept and nobody else is at it. To ask again for what was granted renews it.
    pub uploads: bool,
}

/// How an attachment stands that was asked for. Nothing is told of one that is not kept and that the asker does not upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentStanding {
    pub attachment: String,
    pub place: AttachmentPlace,
}

/// Where an attachment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttachmentPlace {
    /// With the provider.
    Kept { handle: String },
    /// The asker's to upload, for [`UPLOAD_LEASE`].
    Granted,
    /// On its way by another sender, whose lease ends after this time unless it is renewed.
    Uploading { lease_left: Span },
    /// Nowhere: whoever tried a moment ago has given it up, and messages carry its link.
    GivenUp,
}
