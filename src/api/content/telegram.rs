//! What only Telegram knows: markup, buttons, and how a message arrives.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{BlockText, TextRole};

/// The most rows of buttons below a message: more than a phone shows.
pub const MAX_BUTTON_ROWS: usize = 10;
/// The most buttons of a row: as many as clients show side by side.
pub const MAX_ROW_BUTTONS: usize = 8;
/// The longest text of a button, as a template.
const MAX_BUTTON_TEXT: usize = 256;
/// The longest link of a button, as a template.
const MAX_BUTTON_URL: usize = 2_048;
/// The longest data of a button, as a template; rendered it has at most 64 bytes.
const MAX_BUTTON_DATA: usize = 256;

/// What only Telegram knows of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelegramContent {
    /// How the text is marked up: `HTML` or `MarkdownV2`. What stands for a variable is escaped, so that nobody's name is
    /// taken for markup. Default: plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<TelegramParseMode>,
    /// Rows of buttons below the text, or below the last attachment, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "rows_schema")]
    pub inline_keyboard: Vec<TelegramButtonRow>,
    /// `true`: the message arrives without a sound. Default `false`.
    #[serde(default)]
    pub disable_notification: bool,
    /// `true`: the message can be neither forwarded nor saved. Default `false`.
    #[serde(default)]
    pub protect_content: bool,
    /// `true`: no preview of the first link is shown. Default `false`.
    #[serde(default)]
    pub disable_link_preview: bool,
}

/// How a text is marked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TelegramParseMode {
    #[serde(rename = "HTML")]
    Html,
    MarkdownV2,
}

/// Buttons side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelegramButtonRow {
    /// The buttons of the row, 1 to 8. Required.
    #[schemars(schema_with = "buttons_schema")]
    pub buttons: Vec<TelegramButton>,
}

/// One button: exactly one of `url` and `callbackData`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.url) != has(self.callbackData)")
    .message("exactly one of url and callbackData must be set"))]
pub struct TelegramButton {
    /// What the button says, a template: 1 to 256 characters. Required.
    #[schemars(length(min = 1, max = MAX_BUTTON_TEXT))]
    pub text: String,
    /// The link it opens, a template: 1 to 2048 characters. Exactly one of this and `callbackData`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_BUTTON_URL))]
    pub url: Option<String>,
    /// What the bot is told when it is pressed, a template: 1 to 256 characters, rendered at most 64 bytes. Who answers it is
    /// your bot. Exactly one of this and `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_BUTTON_DATA))]
    pub callback_data: Option<String>,
}

impl TelegramContent {
    /// Every template of the block, in a fixed order.
    pub fn texts_mut(&mut self) -> Vec<BlockText<'_>> {
        let mut texts = Vec::new();
        for (row, buttons) in self.inline_keyboard.iter_mut().enumerate() {
            for (index, button) in buttons.buttons.iter_mut().enumerate() {
                let place = format!("inlineKeyboard[{row}].buttons[{index}]");
                let text = |member, role, text| BlockText::new(format!("{place}.{member}"), role, text);
                texts.push(text("text", TextRole::Words, &mut button.text));
                texts.extend(button.url.iter_mut().map(|url| text("url", TextRole::Link, url)));
                texts.extend(button.callback_data.iter_mut().map(|data| text("callbackData", TextRole::Unseen, data)));
            }
        }
        texts
    }
}

fn rows_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": TelegramButtonRow::json_schema(generator),
        "maxItems": MAX_BUTTON_ROWS,
        "x-kubernetes-list-type": "atomic",
    })
}

fn buttons_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": TelegramButton::json_schema(generator),
        "minItems": 1,
        "maxItems": MAX_ROW_BUTTONS,
        "x-kubernetes-list-type": "atomic",
    })
}
