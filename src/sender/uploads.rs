//! Attachments that the provider keeps, named by handle in messages: uploaded before the first message that needs them, or
//! learned from the answer to a message with the link.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};

use super::file_upload;
use super::transport::Transport;
use crate::api::Content;
use crate::api::content::Attachment;
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;
use crate::ledger::attachments::{
    AskedAttachment, AttachmentPlace, AttachmentStanding, AttachmentsRequest, MAX_HANDLE, UPLOAD_LEASE,
    UploadedAttachment,
};
use crate::ledger::declaration::digest;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::{LedgerError, SenderLedger};
use crate::provider::{Handle, Keeping, Provider, Upload};

/// How often an upload is tried before the messages carry the link instead, as they do at providers that keep nothing.
const MAX_TRIES: u32 = 5;
/// Between the first two tries; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The provider fetches the link before it answers: Messenger gives a film 75 s (saving-assets page of the Messenger Platform,
/// 22 Apr 2026).
const UPLOAD_TIMEOUT: Span = Span::from_secs(90);
/// So often within its lease the ledger is told that an upload goes on: two words may be lost.
const RENEWALS: u32 = 3;
/// Between two questions whether another sender's upload has ended.
const ASKED_EVERY: Span = Span::from_secs(1);
/// So often a session takes a kept attachment for gone. A provider that forgets at once is sent links.
const MAX_RENEWALS: u32 = 3;

/// The handles of one broadcast's attachments, by what the ledger knows them by.
type Handles = BTreeMap<String, String>;

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
    /// By what the ledger knows it.
    key: String,
    /// The provider keeps it by itself, and says so: nothing is uploaded, and no message waits.
    is_told: bool,
}

/// How a message names its attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its link, or it has none.
    Link,
    /// By its link, and the answer may tell the handle.
    Asking(Attachment),
    Handle(String),
}

/// The uploads of one session.
pub struct Uploads {
    broadcast: BroadcastId,
    holder: String,
    wanted: Vec<Wanted>,
    handles: Handles,
    /// What must be uploaded is, or goes out by its link.
    is_ready: bool,
    /// Handles that the ledger is to be told of.
    learned: Vec<UploadedAttachment>,
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
    pub fn of(broadcast: BroadcastId, holder: &str, content: &Content, provider: &dyn Provider) -> Uploads {
        let is_same = |(_, attachment): &(usize, &Attachment)| !attachment.url.contains('{');
        let attachments = content.attachments.iter().enumerate().filter(is_same);
        let wanted: Vec<Wanted> = attachments
            .filter_map(|(index, attachment)| {
                let keeping = provider.keep(attachment)?.ok()?;
                Some(Wanted {
                    field: format!("spec.content.attachments[{index}].url"),
                    attachment: attachment.clone(),
                    key: key(broadcast, attachment),
                    is_told: matches!(keeping, Keeping::Told),
                })
            })
            .collect();
        Uploads {
            broadcast,
            holder: holder.to_owned(),
            is_ready: wanted.is_empty(),
            wanted,
            handles: Handles::new(),
            learned: Vec::new(),
            gone: Vec::new(),
            renewals: 0,
            task: None,
        }
    }

    /// Whether messages may be sent.
    pub fn are_ready(&self) -> bool {
        self.is_ready
    }

    /// How a message names this attachment.
    pub fn name(&self, attachment: &Attachment) -> Named {
        let Some(wanted) = self.wanted.iter().find(|wanted| wanted.attachment == *attachment) else {
            return Named::Link;
        };
        match self.handles.get(&wanted.key) {
            Some(handle) => Named::Handle(handle.clone()),
            None if wanted.is_told && !self.has_given_up() => Named::Asking(attachment.clone()),
            None => Named::Link,
        }
    }

    /// The answer to a message that was taken tells the handle. Of several on the wire at once the first one counts.
    pub fn learn(&mut self, attachment: &Attachment, told: Handle) {
        let Some(wanted) = self.wanted.iter().find(|wanted| wanted.attachment == *attachment) else { return };
        if self.has_given_up() || self.handles.contains_key(&wanted.key) || told.name.len() > MAX_HANDLE {
            return;
        }
        let Handle { name: handle, lives } = told;
        self.handles.insert(wanted.key.clone(), handle.clone());
        self.learned.push(UploadedAttachment { attachment: wanted.key.clone(), handle, lives });
    }

    /// The provider says that it keeps nothing under this handle any more. That is no fault of the message: it is sent again once
    /// the attachment is uploaded anew, or by its link where the provider keeps it by itself.
    pub fn renew(&mut self, gone: &str) {
        let is_gone = |wanted: &&Wanted| self.handles.get(&wanted.key).is_some_and(|handle| handle == gone);
        let Some(wanted) = self.wanted.iter().find(is_gone) else {
            // It was still on its way when the attachment was uploaded anew.
            return;
        };
        self.renewals += 1;
        self.gone.push(gone.to_owned());
        self.is_ready = wanted.is_told;
        self.handles.retain(|_, handle| handle != gone);
        self.learned.retain(|learned| learned.handle != gone);
        if self.has_given_up() {
            self.handles.clear();
            self.is_ready = true;
        }
    }

    /// A provider that forgets at once is given the links, as are those that keep nothing.
    fn has_given_up(&self) -> bool {
        self.renewals > MAX_RENEWALS
    }

    /// Begins what is to be done, if anything and nothing is under way.
    pub fn begin<L: SenderLedger>(&mut self, ledger: &Arc<L>, provider: &Arc<dyn Provider>, transport: &Transport) {
        if self.task.is_some() || (self.is_ready && self.learned.is_empty() && self.gone.is_empty()) {
            return;
        }
        let upload = Uploading {
            ledger: ledger.clone(),
            broadcast: self.broadcast,
            holder: self.holder.clone(),
            provider: provider.clone(),
            transport: transport.clone(),
            wanted: if self.has_given_up() { Vec::new() } else { self.wanted.clone() },
            learned: std::mem::take(&mut self.learned),
            gone: std::mem::take(&mut self.gone),
        };
        self.task = Some(tokio::spawn(upload.run()));
    }

    /// Whether what was begun has ended, and is to be taken in.
    pub fn have_ended(&self) -> bool {
        self.task.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits for what was begun; for ever where nothing was.
    pub async fn done(&mut self) -> Result<(), UploadError> {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let handles = task.await;
        self.task = None;
        let known = handles??;
        if !self.has_given_up() {
            // What was found gone meanwhile is not known again by this.
            self.handles.extend(known.into_iter().filter(|(_, handle)| !self.gone.contains(handle)));
        }
        self.is_ready = self.has_given_up() || self.gone.is_empty() || self.wanted.iter().all(|wanted| wanted.is_told);
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

fn kept(standing: AttachmentStanding) -> Option<(String, String)> {
    match standing.place {
        AttachmentPlace::Kept { handle } => Some((standing.attachment, handle)),
        AttachmentPlace::Granted | AttachmentPlace::Uploading { .. } | AttachmentPlace::GivenUp => None,
    }
}

struct Uploading<L> {
    ledger: Arc<L>,
    broadcast: BroadcastId,
    holder: String,
    provider: Arc<dyn Provider>,
    transport: Transport,
    wanted: Vec<Wanted>,
    learned: Vec<UploadedAttachment>,
    gone: Vec<String>,
}

impl<L: SenderLedger> Uploading<L> {
    /// The handles that the ledger knows, and those of what is uploaded now. An attachment without one goes out by its link.
    async fn run(self) -> Result<Handles, UploadError> {
        let mut handles = self.agree().await?;
        for wanted in self.wanted.iter().filter(|wanted| !wanted.is_told) {
            if handles.contains_key(&wanted.key) {
                continue;
            }
            if let Some(handle) = self.obtain(wanted).await? {
                handles.insert(wanted.key.clone(), handle);
            }
        }
        Ok(handles)
    }

    /// Uploads it, once the ledger says that no other sender does; else waits for what that one says. Ends: an upload is tried a
    /// bounded number of times and given up for all, and that of a sender that was lost is free after its lease. A link that is
    /// refused is told as the broadcast's trouble and given up for nobody: no message may carry it.
    async fn obtain(&self, wanted: &Wanted) -> Result<Option<String>, UploadError> {
        loop {
            match self.ask_to_upload(wanted).await? {
                Some(AttachmentPlace::Kept { handle }) => return Ok(Some(handle)),
                Some(AttachmentPlace::GivenUp) => return Ok(None),
                Some(AttachmentPlace::Uploading { lease_left }) => {
                    let wait = lease_left.clamp(Span::from_millis(1), ASKED_EVERY);
                    tokio::time::sleep(wait.to_duration()).await;
                }
                Some(AttachmentPlace::Granted) | None => break,
            }
        }
        let uploaded = tokio::select! {
            uploaded = self.upload(wanted) => uploaded,
            () = self.renew(wanted) => Ok(None),
        };
        let mut request = self.request();
        match &uploaded {
            Ok(Some(Handle { name, lives })) => request.uploaded.push(UploadedAttachment {
                attachment: wanted.key.clone(),
                handle: name.clone(),
                lives: *lives,
            }),
            Ok(None) => request.given_up.push(wanted.key.clone()),
            Err(_) => {}
        }
        let handle = uploaded?;
        self.ledger.attachments(&request).await?;
        Ok(handle.map(|handle| handle.name))
    }

    async fn ask_to_upload(&self, wanted: &Wanted) -> Result<Option<AttachmentPlace>, LedgerError> {
        let asked = vec![AskedAttachment { attachment: wanted.key.clone(), uploads: true }];
        let told = self.ledger.attachments(&AttachmentsRequest { asked, ..self.request() }).await?;
        Ok(told.into_iter().next().map(|standing| standing.place))
    }

    /// Keeps others from the upload while this one is at it, without an end. What goes wrong here may cost a second upload.
    async fn renew(&self, wanted: &Wanted) {
        loop {
            tokio::time::sleep(UPLOAD_LEASE.to_duration() / RENEWALS).await;
            if let Err(error) = self.ask_to_upload(wanted).await {
                tracing::debug!(reason = error.reason(), %error, "the ledger was not told that an upload goes on");
            }
        }
    }

    /// Tells the ledger what was learned and what is gone, and asks what other senders have told. Where nothing has to be
    /// uploaded, messages go out by their links without its answer.
    async fn agree(&self) -> Result<Handles, LedgerError> {
        let ask = |wanted: &Wanted| AskedAttachment { attachment: wanted.key.clone(), uploads: false };
        let request = AttachmentsRequest {
            uploaded: self.learned.clone(),
            gone: self.gone.clone(),
            asked: self.wanted.iter().map(ask).collect(),
            ..self.request()
        };
        match self.ledger.attachments(&request).await {
            Ok(told) => Ok(told.into_iter().filter_map(kept).collect()),
            Err(error) if self.wanted.iter().all(|wanted| wanted.is_told) => {
                tracing::warn!(reason = error.reason(), %error, "the ledger was not told what the provider keeps");
                Ok(Handles::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Without a word in it.
    fn request(&self) -> AttachmentsRequest {
        AttachmentsRequest {
            broadcast: self.broadcast,
            holder: self.holder.clone(),
            uploaded: Vec::new(),
            gone: Vec::new(),
            given_up: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// A second upload of the same link is only a waste, so whatever is in doubt is tried again. A link that breaks off each time is
    /// refused; where the provider is what is in the way, messages carry the link.
    async fn upload(&self, wanted: &Wanted) -> Result<Option<Handle>, AttachmentRefused> {
        let refuse = |fault: Fault| {
            let (field, provider) = (wanted.field.clone(), self.provider.name());
            Err(AttachmentRefused { field, provider, fault })
        };
        let (mut wait, mut attempt) = (FIRST_WAIT, 1);
        loop {
            let outcome = match self.try_once(&wanted.attachment).await {
                Some(Upload::Kept(handle)) => return Ok(Some(handle)),
                Some(Upload::Unusable { fault }) => return refuse(fault),
                // What is wrong with the account the messages will find out, and say it in the ledger.
                Some(Upload::Failed(
                    Outcome::Auth { fault } | Outcome::Blocked { fault } | Outcome::Permanent { fault, .. },
                )) => {
                    tracing::warn!(reason = fault.reason, "the provider keeps no attachment; messages carry its link");
                    return Ok(None);
                }
                Some(Upload::Failed(outcome)) => outcome,
                None => return Ok(None),
            };
            tracing::warn!(attempt, ?outcome, "an attachment was not uploaded");
            if attempt == MAX_TRIES {
                return match outcome {
                    Outcome::NotSent { fault } if fault.reason == file_upload::BROKE_OFF => refuse(fault),
                    _ => Ok(None),
                };
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
            attempt += 1;
        }
    }

    /// `None` where the provider does not want it uploaded.
    async fn try_once(&self, attachment: &Attachment) -> Option<Upload> {
        let provider = self.provider.as_ref();
        Some(match provider.keep(attachment)?.ok()? {
            Keeping::Told => return None,
            Keeping::Form(file) => file_upload::upload(&self.transport, provider, file).await,
            Keeping::Request(request) => match self.transport.ask(request, UPLOAD_TIMEOUT).await {
                Ok(received) => provider.classify_upload(&received.answer()),
                Err(outcome) => Upload::Failed(outcome),
            },
        })
    }
}

#[cfg(test)]
#[path = "uploads_tests.rs"]
mod tests;
