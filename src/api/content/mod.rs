//! What a broadcast says.

mod telegram;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

pub use telegram::{TelegramButton, TelegramButtonRow, TelegramContent, TelegramParseMode};

/// The longest text template, in characters. Providers bound the rendered text, usually far lower.
pub const MAX_TEXT: usize = 16_384;

/// What is sent to each recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// The text, a template: `{{ first_name }}` is the recipient's variable, `{{ first_name | default('there') }}`
    /// says what stands for a missing one; a missing one without a default refuses the whole plan before anything is
    /// sent. 1 to 16384 characters; the rendered text must also fit the provider's limit (Messenger: 1999, Telegram: 4096).
    /// Required.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub text: String,
    /// What only Telegram knows. For a channel of another provider the plan is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telegram: Option<TelegramContent>,
}
