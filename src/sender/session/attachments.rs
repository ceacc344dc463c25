//! What a session does about attachments that the provider keeps.

use super::super::clock::Local;
use super::super::flight::Landing;
use super::{Running, Session};
use crate::delivery::outcome::Outcome;
use crate::ledger::SenderLedger;

impl<L: SenderLedger> Running<L> {
    /// Whether messages may be asked for. Begins what is missing where the session `is_free` to, and tells the ledger what was
    /// learned, for which nothing waits.
    pub(super) fn attachments_are_ready(&mut self, is_free: bool, now: Local) -> bool {
        // Ahead of the time, where this session waits for it: an upload may take longer than a start may be late.
        let is_near = self.session.patience.is_none_or(|patience| self.holding.idle_until() <= now + patience);
        if self.uploads.are_ready() || (is_free && is_near) {
            let Session { ledger, provider, transport, .. } = &self.session;
            self.uploads.begin(ledger, provider, transport);
        }
        self.uploads.are_ready()
    }

    /// What an attempt tells of its attachment: by what the provider keeps it from now on, or that it does not any more.
    ///
    /// A message whose attachment is not kept any more was refused for that alone: nothing of it was sent, and it is tried again
    /// once the attachment is uploaded anew. What is held meanwhile is given back.
    pub(super) fn note_attachment(&mut self, handle: Option<&str>, landing: &mut Landing, now: Local) {
        if let Some((attachment, told)) = landing.kept.take() {
            self.uploads.learn(&attachment, told);
        }
        let Some(handle) = handle.filter(|_| self.session.provider.is_attachment_gone(&landing.outcome)) else {
            return;
        };
        if let Outcome::Permanent { fault, .. } = &landing.outcome {
            landing.outcome = Outcome::AttachmentGone { fault: fault.clone() };
        }
        self.uploads.renew(handle);
        if !self.uploads.are_ready() {
            self.holding.connect(0);
            self.holding.release(now);
        }
    }
}
