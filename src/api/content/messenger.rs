//! What only Messenger knows: why a message is sent, how it arrives, quick replies, personas, utility templates.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{BlockText, MAX_PARAMETER, MAX_TEMPLATE_NAME, TEMPLATE_LANGUAGE, TEMPLATE_NAME, TextRole};

/// The most quick replies of a message (Send API reference; recalled).
pub const MAX_QUICK_REPLIES: usize = 13;
/// The most parameters and buttons of a utility template.
pub const MAX_PARAMETERS: usize = 32;
/// The longest link of a picture, as a template.
const MAX_IMAGE_URL: usize = 2_048;

/// What only Messenger knows of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.template) || !has(self.messagingType)")
    .message("must not be set with a template, which is always sent as a utility message").field_path(".messagingType"))]
#[x_kube(validation = Rule::new("!has(self.template) || !has(self.quickReplies)")
    .message("must not be set with a template, which has its own buttons").field_path(".quickReplies"))]
pub struct MessengerContent {
    /// Why the message is sent: `Update` (by itself, the default) or `Response` (to what the person wrote). Both only
    /// within 24 hours after the person wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_type: Option<MessengerMessagingType>,
    /// How it arrives: `Regular` (with sound and vibration), `SilentPush` (seen, not heard) or `NoPush`. Default: as
    /// Messenger does, which is `Regular`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_type: Option<MessengerNotificationType>,
    /// The id of the persona that the message comes from: 1 to 32 digits, in quotes. Default: the page itself.
    #[serde(rename = "personaID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[0-9]+$"))]
    pub persona_id: Option<String>,
    /// Answers to choose from below the text, or below the last attachment, at most 13.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "quick_replies_schema")]
    pub quick_replies: Vec<MessengerQuickReply>,
    /// An approved utility template, in place of `spec.content.text`. It may be sent outside of the 24 hours, is no
    /// advertisement, and needs the permission `page_utility_messaging`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<MessengerTemplate>,
}

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MessengerMessagingType {
    Update,
    Response,
}

/// How a message arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MessengerNotificationType {
    Regular,
    SilentPush,
    NoPush,
}

/// One answer to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessengerQuickReply {
    /// What it says, a template: 1 to 256 characters, rendered at most 20. Required.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// What your app is told when it is chosen, a template: 1 to 1024 characters, rendered at most 1000. Required.
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub payload: String,
    /// The link of a small picture before the title, a template: 1 to 2048 characters.
    #[serde(rename = "imageURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IMAGE_URL))]
    pub image_url: Option<String>,
}

/// An approved utility template and what is filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessengerTemplate {
    /// The template's name, as it was approved: 1 to 512 small letters, digits and `_`. Required.
    #[schemars(length(min = 1, max = MAX_TEMPLATE_NAME), regex(pattern = TEMPLATE_NAME))]
    pub name: String,
    /// The language it was approved in, e.g. `en_US`: 2 to 16 characters. Required.
    #[schemars(length(min = 2, max = 16), regex(pattern = TEMPLATE_LANGUAGE))]
    pub language: String,
    /// What stands for the variables of the body, in their order, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "parameters_schema")]
    pub parameters: Vec<MessengerParameter>,
    /// What your app is told when the template's buttons are pressed, in their order, at most 32. Templates, each 1 to 1024
    /// characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "payloads_schema")]
    pub button_payloads: Vec<String>,
}

/// What stands for one variable of the template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessengerParameter {
    /// The variable's name, where the template names its variables: 1 to 64 small letters, digits and `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TEMPLATE_NAME))]
    pub name: Option<String>,
    /// The text, a template like `spec.content.text`: 1 to 1024 characters. Required.
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub text: String,
}

impl MessengerContent {
    /// Every template of the block, in a fixed order.
    pub fn texts_mut(&mut self) -> Vec<BlockText<'_>> {
        let mut texts = Vec::new();
        let words = |place, text| BlockText::new(place, TextRole::Words, text);
        let unseen = |place, text| BlockText::new(place, TextRole::Unseen, text);
        for (index, reply) in self.quick_replies.iter_mut().enumerate() {
            let place = format!("quickReplies[{index}]");
            texts.push(words(format!("{place}.title"), &mut reply.title));
            texts.push(unseen(format!("{place}.payload"), &mut reply.payload));
            let image = reply.image_url.iter_mut();
            texts.extend(image.map(|url| BlockText::new(format!("{place}.imageURL"), TextRole::Link, url)));
        }
        if let Some(template) = &mut self.template {
            let parameters = template.parameters.iter_mut().enumerate();
            texts.extend(
                parameters.map(|(index, one)| words(format!("template.parameters[{index}].text"), &mut one.text)),
            );
            let payloads = template.button_payloads.iter_mut().enumerate();
            texts.extend(payloads.map(|(index, one)| unseen(format!("template.buttonPayloads[{index}]"), one)));
        }
        texts
    }
}

fn quick_replies_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": MessengerQuickReply::json_schema(generator),
        "maxItems": MAX_QUICK_REPLIES,
        "x-kubernetes-list-type": "atomic",
    })
}

fn parameters_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": MessengerParameter::json_schema(generator),
        "maxItems": MAX_PARAMETERS,
        "x-kubernetes-list-type": "atomic",
    })
}

fn payloads_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_PARAMETER},
        "maxItems": MAX_PARAMETERS,
        "x-kubernetes-list-type": "atomic",
    })
}
