//! What the provider keeps for the account.

use std::collections::BTreeMap;

use herald::delivery::time::Span;
use herald::ledger::exchange::BroadcastId;
use herald::ledger::{AskedAttachment, AttachmentPlace, AttachmentStanding, AttachmentsRequest, UploadedAttachment};

use super::model::{Model, Rule};

/// What ends sooner is uploaded anew.
const MARGIN: i64 = 3_600;
/// So long an upload is one sender's after its last word about it, and so long it stays given up.
const LEASE: i64 = 15;

#[derive(Clone, Debug, Default)]
pub struct Attachments {
    /// By attachment: its handle, and when the provider has it no more.
    kept: BTreeMap<u8, (u8, i64)>,
    /// Whose it is to upload it, nobody's where it was given up, and until when.
    uploads: BTreeMap<u8, (Option<u8>, i64)>,
}

/// One question, with what is told beside it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub sender: u8,
    /// An attachment, its handle, and how many seconds it lives.
    pub uploaded: Option<(u8, u8, i64)>,
    /// A handle that the provider does not know any more.
    pub gone: Option<u8>,
    pub given_up: Option<u8>,
    /// Attachments, each with whether the sender would upload it.
    pub asked: Vec<(u8, bool)>,
}

fn attachment(number: u8) -> String {
    format!("attachment-{number}")
}

fn handle(number: u8) -> String {
    format!("handle-{number}")
}

fn asked(number: u8, uploads: bool) -> AskedAttachment {
    AskedAttachment { attachment: attachment(number), uploads }
}

impl Asked {
    pub fn request(&self, broadcast: BroadcastId) -> AttachmentsRequest {
        let uploaded = |(number, kept, lives): (u8, u8, i64)| UploadedAttachment {
            attachment: attachment(number),
            handle: handle(kept),
            lives: Span::from_secs(lives),
        };
        AttachmentsRequest {
            broadcast,
            holder: format!("sender-{}", self.sender),
            uploaded: self.uploaded.map(uploaded).into_iter().collect(),
            gone: self.gone.map(handle).into_iter().collect(),
            given_up: self.given_up.map(attachment).into_iter().collect(),
            asked: self.asked.iter().map(|(number, uploads)| asked(*number, *uploads)).collect(),
        }
    }
}

impl Model {
    /// How that stands which is asked for, whichever broadcast of the account asks.
    pub fn ask_attachments(&mut self, asked: &Asked) -> Vec<AttachmentStanding> {
        let Attachments { kept, uploads } = &mut self.attachments;
        if let Some(gone) = asked.gone {
            kept.retain(|_, (handle, _)| *handle != gone);
        }
        if let Some((number, handle, lives)) = asked.uploaded {
            kept.insert(number, (handle, self.now + lives));
            uploads.remove(&number);
        }
        if let Some(number) = asked.given_up {
            let own = uploads.get_mut(&number).filter(|(sender, _)| *sender == Some(asked.sender));
            own.into_iter().for_each(|upload| *upload = (None, self.now + LEASE));
        }
        asked
            .asked
            .iter()
            .filter_map(|(number, would_upload)| self.place(asked.sender, *number, *would_upload))
            .collect()
    }

    fn place(&mut self, sender: u8, number: u8, would_upload: bool) -> Option<AttachmentStanding> {
        let margin = if self.keeps(Rule::HandlesEndEarly) { MARGIN } else { 0 };
        let are_lent = self.keeps(Rule::UploadsAreLent);
        let Attachments { kept, uploads } = &mut self.attachments;
        let place = match kept.get(&number).filter(|(_, ends_at)| *ends_at > self.now + margin) {
            Some((kept, _)) => AttachmentPlace::Kept { handle: handle(*kept) },
            None if !would_upload => return None,
            None => match uploads.get(&number) {
                Some((None, ends_at)) if *ends_at > self.now => AttachmentPlace::GivenUp,
                Some((Some(other), ends_at)) if are_lent && *other != sender && *ends_at > self.now => {
                    AttachmentPlace::Uploading { lease_left: Span::from_secs(ends_at - self.now) }
                }
                _ => {
                    uploads.insert(number, (Some(sender), self.now + LEASE));
                    AttachmentPlace::Granted
                }
            },
        };
        Some(AttachmentStanding { attachment: attachment(number), place })
    }

    /// Nobody is at an upload any more.
    pub fn no_upload_goes_on(&mut self) {
        self.attachments.uploads.clear();
    }
}
