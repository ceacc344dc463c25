//! What a broadcast says.

mod messenger;
mod slack;
mod telegram;
mod whatsapp;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

pub use messenger::{
    MessengerContent, MessengerMessagingType, MessengerNotificationType, MessengerParameter, MessengerQuickReply,
    MessengerTemplate,
};
pub use slack::SlackContent;
pub use telegram::{TelegramButton, TelegramButtonRow, TelegramContent, TelegramParseMode};
pub use whatsapp::{
    WhatsAppButtonType, WhatsAppComponent, WhatsAppComponentType, WhatsAppContent, WhatsAppParameter, WhatsAppTemplate,
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

/// What is sent to each recipient: a text, or an approved template of WhatsApp or Messenger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.text) ? 1 : 0) + (has(self.messenger) && has(self.messenger.template) ? 1 : 0) \
     + (has(self.whatsapp) && has(self.whatsapp.template) ? 1 : 0) == 1"
).message("exactly one of text, messenger.template and whatsapp.template must be set"))]
pub struct Content {
    /// The text, a template: `{{ first_name }}` is the recipient's variable, `{{ first_name | default('there') }}`
    /// says what stands for a missing one; a missing one without a default refuses the whole plan before anything is
    /// sent. 1 to 16384 characters; the rendered text must also fit the provider's limit (Messenger: 1999, WhatsApp and
    /// Telegram: 4096, Slack: 40000, Twilio: 1600). Exactly one of this, `messenger.template` and `whatsapp.template`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub text: String,
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
