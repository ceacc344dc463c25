//! What a broadcast says.

mod attachment;
mod block_text;
mod messenger;
mod slack;
mod telegram;
mod whatsapp;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

pub use attachment::{Attachment, AttachmentType, MAX_ATTACHMENT_URL, MAX_ATTACHMENTS};
pub use block_text::{BlockText, TextRole};
pub use messenger::{
    MessengerContent, MessengerMessagingType, MessengerNotificationType, MessengerParameter, MessengerQuickReply,
    MessengerTemplate,
};
pub use slack::{MAX_BLOCKS, SlackContent};
pub use telegram::{TelegramButton, TelegramButtonRow, TelegramContent, TelegramParseMode};
pub use whatsapp::{
    WhatsAppButtonType, WhatsAppComponent, WhatsAppComponentType, WhatsAppContent, WhatsAppCurrency, WhatsAppDocument,
    WhatsAppMedia, WhatsAppParameter, WhatsAppTemplate, WhatsAppTemplateCategory,
};

/// The longest text template, in characters. Providers bound the rendered text, usually far lower.
pub const MAX_TEXT: usize = 16_384;
/// The longest name of an approved template, in characters.
const MAX_TEMPLATE_NAME: usize = 512;
/// A name of an approved template, and of a variable in it.
const TEMPLATE_NAME: &str = "^[a-z0-9_]+$";
/// A language of an approved template, e.g. `en` or `en_US`.
const TEMPLATE_LANGUAGE: &str = "^[a-z]{2,3}(_[A-Za-z0-9]+)*$";
/// The longest text that is filled in, as a template.
const MAX_PARAMETER: usize = 1_024;

/// What is sent to each recipient: a text, pictures, films, sounds and files, or an approved template of WhatsApp or
/// Messenger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.text) ? 1 : 0) + (has(self.messenger) && has(self.messenger.template) ? 1 : 0) \
     + (has(self.whatsapp) && has(self.whatsapp.template) ? 1 : 0) <= 1"
).message("only one of text, messenger.template and whatsapp.template may be set"))]
#[x_kube(validation = Rule::new(
    "has(self.text) || has(self.attachments) && size(self.attachments) > 0 \
     || has(self.messenger) && has(self.messenger.template) || has(self.whatsapp) && has(self.whatsapp.template)"
).message("one of text, attachments, messenger.template and whatsapp.template must be set"))]
#[x_kube(validation = Rule::new(
    "!has(self.attachments) || size(self.attachments) == 0 \
     || !(has(self.messenger) && has(self.messenger.template)) && !(has(self.whatsapp) && has(self.whatsapp.template))"
).message("must not be set with an approved template, which is the whole message").field_path(".attachments"))]
pub struct Content {
    /// The text, a template: `{{ first_name }}` is the recipient's variable, `{{ first_name | default('there') }}`
    /// says what stands for a missing one; a missing one without a default refuses the whole plan before anything is
    /// sent. 1 to 16384 characters; the rendered text must also fit the provider's limit (Messenger: 1999, WhatsApp and
    /// Telegram: 4096, Slack: 40000, or 3000 with attachments, Twilio: 1600). Not beside `messenger.template` or
    /// `whatsapp.template`; may be left out beside `attachments`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub text: String,
    /// Pictures, films, sounds and files, at most 10, sent after the text in this order. Messenger, WhatsApp and Telegram take
    /// each as a message of its own: each takes a slot of the rate and is sent once, and the next one follows when it was
    /// taken. Slack, Twilio and plain endpoints get them with the text, in one message; Slack takes pictures alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "attachment::attachments_schema")]
    pub attachments: Vec<Attachment>,
    /// What only Messenger knows. For a channel of another provider the plan is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messenger: Option<MessengerContent>,
    /// What only WhatsApp knows. For a channel of another provider the plan is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<WhatsAppContent>,
    /// What only Telegram knows. For a channel of another provider the plan is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telegram: Option<TelegramContent>,
    /// What only Slack knows. For a channel of another provider the plan is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackContent>,
}
