//! What the provider keeps for the account.

use std::collections::BTreeMap;

use herald::delivery::time::Span;
use herald::ledger::exchange::BroadcastId;
use herald::ledger::{AttachmentsRequest, KeptAttachment, UploadedAttachment};

use super::model::{Model, Rule};

/// What ends sooner is uploaded anew.
const MARGIN: i64 = 3_600;

/// By attachment: its handle, and when the provider has it no more.
pub type Kept = BTreeMap<u8, (u8, i64)>;

/// One question, with what is told beside it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// An attachment, its handle, and how many seconds it lives.
    pub uploaded: Option<(u8, u8, i64)>,
    /// A handle that the provider does not know any more.
    pub gone: Option<u8>,
    pub asked: Vec<u8>,
}

fn attachment(number: u8) -> String {
    format!("attachment-{number}")
}

fn handle(number: u8) -> String {
    format!("handle-{number}")
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
            uploaded: self.uploaded.map(uploaded).into_iter().collect(),
            gone: self.gone.map(handle).into_iter().collect(),
            asked: self.asked.iter().copied().map(attachment).collect(),
        }
    }
}

impl Model {
    /// What is kept of what is asked for, whichever broadcast of the account asks.
    pub fn ask_attachments(&mut self, asked: &Asked) -> Vec<KeptAttachment> {
        if let Some(gone) = asked.gone {
            self.kept.retain(|_, (handle, _)| *handle != gone);
        }
        if let Some((number, handle, lives)) = asked.uploaded {
            self.kept.insert(number, (handle, self.now + lives));
        }
        let margin = if self.keeps(Rule::HandlesEndEarly) { MARGIN } else { 0 };
        let is_kept = |number: &u8| {
            let (kept, ends_at) = self.kept.get(number)?;
            let told = KeptAttachment { attachment: attachment(*number), handle: handle(*kept) };
            (*ends_at > self.now + margin).then_some(told)
        };
        asked.asked.iter().filter_map(is_kept).collect()
    }
}
