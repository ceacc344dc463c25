//! Attachments that the provider fetches once and keeps: uploaded before the first message that needs them, named by handle
//! in all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};

use super::transport::Transport;
use crate::api::Content;
use crate::api::content::Attachment;
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;
use crate::ledger::attachments::{AttachmentsRequest, UploadedAttachment};
use crate::ledger::declaration::digest;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::{LedgerError, SenderLedger};
use crate::provider::{Provider, Upload};

/// How often an upload is tried before the messages carry the link instead, as they do at providers that keep nothing.
const MAX_TRIES: u32 = 5;
/// Between the first two tries; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The provider fetches the link before it answers: Messenger gives a film 75 s (saving-assets page of the Messenger Platform,
/// 22 Apr 2026).
const UPLOAD_TIMEOUT: Span = Span::from_secs(90);
/// So often a session takes a kept attachment for gone. A provider that forgets at once is sent links.
const MAX_RENEWALS: u32 = 3;

/// The handles of one broadcast's attachments.
pub type Handles = BTreeMap<String, String>;

/// The reason of a broadcast whose attachment the provider will not keep.
pub const ATTACHMENT_REFUSED: &str = "AttachmentRefused";

/// An attachment that the provider will not keep, as its link cannot be fetched or holds too much.
#[derive(Debug, thiserror::Error)]
#[error(
    "{field}: {provider} cannot take what is at the link: {fault}; see that anybody may fetch it, and that it is of the \
     type and within the size that {provider} takes"
)]
pub struct AttachmentRefused {
    /// E.g. `spec.content.attachments[0].url`.
    pub field: String,
    pub provider: &'static str,
    pub fault: Fault,
}

/// Why there are no handles.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    Refused(#[from] AttachmentRefused),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Task(#[from] JoinError),
}

/// One attachment whose link is the same for everybody.
#[derive(Clone, Debug)]
struct Wanted {
    field: String,
    attachment: Attachment,
}

/// The uploads of one session.
pub struct Uploads {
    broadcast: BroadcastId,
    wanted: Vec<Wanted>,
    handles: Option<Handles>,
    gone: Vec<String>,
    renewals: u32,
    task: Option<JoinHandle<Result<Handles, UploadError>>>,
}

/// By what an attachment is known to the ledger. Of another broadcast it is another one: what is at a link may have been replaced
/// since, and a provider that keeps the old file says nothing.
fn key(broadcast: BroadcastId, attachment: &Attachment) -> String {
    digest(&format!("{} {} {}", broadcast.0, attachment.kind, attachment.url))
}

impl Uploads {
    /// What of this content the provider keeps. A link with variables is another one for each recipient.
    pub fn of(broadcast: BroadcastId, content: &Content, provider: &dyn Provider) -> Uploads {
        let is_kept = |attachment: &Attachment| {
            !attachment.url.contains('{') && matches!(provider.encode_upload(attachment), Some(Ok(_)))
        };
        let wanted = content.attachments.iter().enumerate().filter(|(_, attachment)| is_kept(attachment));
        let wanted: Vec<Wanted> = wanted
            .map(|(index, attachment)| Wanted {
                field: format!("spec.content.attachments[{index}].url"),
                attachment: attachment.clone(),
            })
            .collect();
        let handles = wanted.is_empty().then(Handles::new);
        Uploads { broadcast, wanted, handles, gone: Vec::new(), renewals: 0, task: None }
    }

    /// Whether messages may be sent.
    pub fn are_ready(&self) -> bool {
        self.handles.is_some()
    }

    /// By what the provider knows an attachment.
    pub fn handle(&self, attachment: &Attachment) -> Option<&str> {
        let handles = self.handles.as_ref().filter(|handles| !handles.is_empty())?;
        handles.get(&key(self.broadcast, attachment)).map(String::as_str)
    }

    /// The provider says that it keeps nothing under this handle any more. That is no fault of the message: it is sent again once
    /// the attachment is uploaded anew.
    pub fn renew(&mut self, gone: &str) {
        let Some(handles) = &self.handles else { return };
        if !handles.values().any(|handle| handle == gone) {
            // It was still on its way when the attachment was uploaded anew.
            return;
        }
        self.renewals += 1;
        self.gone.push(gone.to_owned());
        // One that forgets at once is given the links, as are those that keep nothing.
        self.handles = (self.renewals > MAX_RENEWALS).then(Handles::new);
    }

    /// Begins what is to be done, once.
    pub fn begin<L: SenderLedger>(&mut self, ledger: &Arc<L>, provider: &Arc<dyn Provider>, transport: &Transport) {
        if self.task.is_some() || self.are_ready() {
            return;
        }
        let upload = Uploading {
            ledger: ledger.clone(),
            broadcast: self.broadcast,
            provider: provider.clone(),
            transport: transport.clone(),
            wanted: self.wanted.clone(),
            gone: std::mem::take(&mut self.gone),
        };
        self.task = Some(tokio::spawn(upload.run()));
    }

    /// Waits for what was begun; for ever where nothing was.
    pub async fn done(&mut self) -> Result<(), UploadError> {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let handles = task.await;
        self.task = None;
        self.handles = Some(handles??);
        Ok(())
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Uploading<L> {
    ledger: Arc<L>,
    broadcast: BroadcastId,
    provider: Arc<dyn Provider>,
    transport: Transport,
    wanted: Vec<Wanted>,
    gone: Vec<String>,
}

impl<L: SenderLedger> Uploading<L> {
    /// The handles that the ledger knows, and those of what is uploaded now. An attachment without one goes out by its link.
    async fn run(self) -> Result<Handles, UploadError> {
        let asked: Vec<String> = self.wanted.iter().map(|wanted| key(self.broadcast, &wanted.attachment)).collect();
        let request = self.request(Vec::new(), self.gone.clone(), asked);
        let kept = self.ledger.attachments(&request).await?;
        let mut handles: Handles = kept.into_iter().map(|kept| (kept.attachment, kept.handle)).collect();
        for wanted in &self.wanted {
            let attachment = key(self.broadcast, &wanted.attachment);
            if handles.contains_key(&attachment) {
                continue;
            }
            let Some((handle, lives)) = self.upload(wanted).await? else { continue };
            let uploaded = UploadedAttachment { attachment: attachment.clone(), handle: handle.clone(), lives };
            self.ledger.attachments(&self.request(vec![uploaded], Vec::new(), Vec::new())).await?;
            handles.insert(attachment, handle);
        }
        Ok(handles)
    }

    fn request(&self, uploaded: Vec<UploadedAttachment>, gone: Vec<String>, asked: Vec<String>) -> AttachmentsRequest {
        AttachmentsRequest { broadcast: self.broadcast, uploaded, gone, asked }
    }

    /// A second upload of the same link does no harm, so whatever is in doubt is tried again.
    async fn upload(&self, wanted: &Wanted) -> Result<Option<(String, Span)>, AttachmentRefused> {
        let mut wait = FIRST_WAIT;
        for attempt in 1..=MAX_TRIES {
            let Some(Ok(request)) = self.provider.encode_upload(&wanted.attachment) else { return Ok(None) };
            let outcome = match self.transport.upload(self.provider.as_ref(), request, UPLOAD_TIMEOUT).await {
                Upload::Kept { handle, lives } => return Ok(Some((handle, lives))),
                Upload::Unusable { fault } => {
                    let (field, provider) = (wanted.field.clone(), self.provider.name());
                    return Err(AttachmentRefused { field, provider, fault });
                }
                // What is wrong with the account the messages will find out, and say it in the ledger.
                Upload::Failed(
                    Outcome::Auth { fault } | Outcome::Blocked { fault } | Outcome::Permanent { fault, .. },
                ) => {
                    tracing::warn!(reason = fault.reason, "the provider keeps no attachment; messages carry its link");
                    return Ok(None);
                }
                Upload::Failed(outcome) => outcome,
            };
            tracing::warn!(attempt, ?outcome, "an attachment was not uploaded");
            if attempt < MAX_TRIES {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
        Ok(None)
    }
}
