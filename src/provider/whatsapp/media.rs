//! Files that WhatsApp keeps for a number: what it takes, and how it is given them.
//!
//! The upload and its answer, and how long it keeps a file, are from the media page of the Cloud API (copy of 2 Dec 2025:
//! "Media IDs returned by the API expire after 30 days"). The media types are those that its answer to a file of another type
//! lists (fbsamples/whatsapp-api-examples#10), without `image/webp`, which is for stickers. The sizes are those of secondary
//! pages, as WhatsApp's own were not at hand: they stand here alone.

use serde_json::Value;

use super::WhatsApp;
use crate::api::content::{Attachment, AttachmentType};
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;
use crate::provider::answer::{integer, json_object, text, unknown};
use crate::provider::{Answer, EncodeError, FileForm, FileKind, Handle, Upload, check_link, graph};

use super::errors::WHATSAPP_ERRORS;

/// How long WhatsApp keeps a file that was uploaded.
pub const KEPT_FOR: Span = Span::from_secs(30 * 24 * 60 * 60);

const MEGABYTE: u64 = 1024 * 1024;
const MAX_IMAGE: u64 = 5 * MEGABYTE;
const MAX_SOUND_OR_FILM: u64 = 16 * MEGABYTE;
const MAX_DOCUMENT: u64 = 100 * MEGABYTE;

/// The reason of the table for a file that WhatsApp cannot make use of.
const UNUSABLE: &str = "AttachmentFailed";

/// The reason of the table for code 100, which stands for many things: only its words tell them apart.
const INVALID: &str = "InvalidParameter";
/// A message names a file by an id that stands for nothing, or for nothing any more: "(#100) Param image['id'] is not a valid
/// whatsapp business account media attachment ID", recorded by several clients (n8n matches on the same words).
const GONE_WORDS: &str = "media attachment id";
/// A file of another type was uploaded: "(#100) Param file must be a file with one of the following types: …"
/// (fbsamples/whatsapp-api-examples#10).
const TYPE_WORDS: &str = "must be a file with one of the following types";

const fn kind(
    media_type: &'static str,
    also: &'static [&'static str],
    endings: &'static [&'static str],
    max_bytes: u64,
) -> FileKind {
    FileKind { media_type, also, endings, max_bytes }
}

const IMAGES: &[FileKind] =
    &[kind("image/jpeg", &["image/jpg"], &["jpg", "jpeg"], MAX_IMAGE), kind("image/png", &[], &["png"], MAX_IMAGE)];

const VIDEOS: &[FileKind] = &[
    kind("video/mp4", &[], &["mp4"], MAX_SOUND_OR_FILM),
    kind("video/3gpp", &["video/3gp"], &["3gp", "3gpp"], MAX_SOUND_OR_FILM),
];

const SOUNDS: &[FileKind] = &[
    kind("audio/mpeg", &["audio/mp3"], &["mp3"], MAX_SOUND_OR_FILM),
    kind("audio/mp4", &["audio/m4a", "audio/x-m4a"], &["m4a"], MAX_SOUND_OR_FILM),
    kind("audio/ogg", &[], &["ogg"], MAX_SOUND_OR_FILM),
    kind("audio/opus", &[], &["opus"], MAX_SOUND_OR_FILM),
    kind("audio/aac", &[], &["aac"], MAX_SOUND_OR_FILM),
    kind("audio/amr", &[], &["amr"], MAX_SOUND_OR_FILM),
];

const DOCUMENTS: &[FileKind] = &[
    kind("application/pdf", &[], &["pdf"], MAX_DOCUMENT),
    kind("text/plain", &[], &["txt"], MAX_DOCUMENT),
    kind("application/msword", &[], &["doc"], MAX_DOCUMENT),
    kind("application/vnd.ms-excel", &[], &["xls"], MAX_DOCUMENT),
    kind("application/vnd.ms-powerpoint", &[], &["ppt"], MAX_DOCUMENT),
    kind("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &[], &["docx"], MAX_DOCUMENT),
    kind("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &[], &["xlsx"], MAX_DOCUMENT),
    kind("application/vnd.openxmlformats-officedocument.presentationml.presentation", &[], &["pptx"], MAX_DOCUMENT),
];

/// The kinds of files that a message of this type may have.
fn kinds(kind: AttachmentType) -> &'static [FileKind] {
    match kind {
        AttachmentType::Image => IMAGES,
        AttachmentType::Video => VIDEOS,
        AttachmentType::Audio => SOUNDS,
        AttachmentType::File => DOCUMENTS,
    }
}

/// Every kind of file that is taken.
pub fn all_kinds() -> impl Iterator<Item = &'static FileKind> {
    [IMAGES, VIDEOS, SOUNDS, DOCUMENTS].into_iter().flatten()
}

impl WhatsApp {
    pub(super) fn form(&self, attachment: &Attachment) -> Result<FileForm, EncodeError> {
        Ok(FileForm {
            link: check_link(attachment)?.url.clone(),
            request: self.graph.form(&format!("{}/media", self.phone_number_id))?,
            fields: &[("messaging_product", "whatsapp")],
            type_field: "type",
            file_field: "file",
            kinds: kinds(attachment.kind),
        })
    }

    pub(super) fn classify_form(&self, answer: &Answer<'_>) -> Upload {
        let body = match json_object(answer) {
            Ok(body) => body,
            Err(outcome) => return Upload::Failed(outcome),
        };
        // Documented as a string of digits.
        let name = text(body.get("id")).map(str::to_owned);
        let name = name.or_else(|| Some(integer(body.get("id"))?.to_string()));
        match (body.get("error"), name) {
            (None, Some(name)) if answer.status.is_success() => Upload::Kept(Handle { name, lives: KEPT_FOR }),
            (Some(error), _) => self.classify_refusal(error, answer),
            _ => Upload::Failed(unknown("IncompleteAnswer", answer.status, "the answer holds no id of a file")),
        }
    }

    fn classify_refusal(&self, error: &Value, answer: &Answer<'_>) -> Upload {
        match graph::classify_error(error, answer, WHATSAPP_ERRORS, &self.graph.secrets) {
            Outcome::Permanent { fault, .. } if fault.reason == UNUSABLE => Upload::Unusable { fault },
            Outcome::Permanent { fault, .. } if fault.reason == INVALID && says(&fault, TYPE_WORDS) => {
                Upload::Unusable { fault: Fault { reason: UNUSABLE.to_owned(), ..fault } }
            }
            outcome => Upload::Failed(outcome),
        }
    }
}

/// Whether a message was refused for the id of its file alone.
pub(super) fn is_gone(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Permanent { fault, .. } if fault.reason == INVALID && says(fault, GONE_WORDS))
}

fn says(fault: &Fault, words: &str) -> bool {
    fault.message.to_ascii_lowercase().contains(words)
}
