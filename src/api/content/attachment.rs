//! Pictures, films, sounds and files of a message, by link: the provider fetches them, or is given them.

use std::fmt;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The most attachments of a message: as many as Twilio takes with one (twilio/twilio-oai spec/json/twilio_api_v2010.json),
/// and nobody wants more messages in a row.
pub const MAX_ATTACHMENTS: usize = 10;
/// The longest link, as a template and rendered, in characters: what browsers and servers commonly take.
pub const MAX_ATTACHMENT_URL: usize = 2_048;
/// A link, or a template that may become one.
pub(super) const ATTACHMENT_URL: &str = r"^(https?://|\{\{|\{%)";

/// One picture, film, sound or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// What it is: `Image`, `Video`, `Audio` or `File`. Which formats and sizes it may have is the provider's to say. Slack
    /// takes `Image` alone. Required.
    #[serde(rename = "type")]
    pub kind: AttachmentType,
    /// Where it is, a template like `text`: an absolute `https` or `http` URL that anybody may read, 1 to 2048 characters. The
    /// provider fetches it, or for WhatsApp the sender where it is the same for everybody. Required.
    #[schemars(length(min = 1, max = MAX_ATTACHMENT_URL), regex(pattern = ATTACHMENT_URL))]
    pub url: String,
}

/// What an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AttachmentType {
    Image,
    Video,
    Audio,
    File,
}

impl fmt::Display for AttachmentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AttachmentType::Image => "Image",
            AttachmentType::Video => "Video",
            AttachmentType::Audio => "Audio",
            AttachmentType::File => "File",
        })
    }
}

pub(super) fn attachments_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": Attachment::json_schema(generator),
        "maxItems": MAX_ATTACHMENTS,
        "x-kubernetes-list-type": "atomic",
    })
}
