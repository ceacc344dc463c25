//! What only WhatsApp knows: approved templates, and previews of links.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{MAX_PARAMETER, MAX_TEMPLATE_NAME, TEMPLATE_LANGUAGE, TEMPLATE_NAME};

/// The most components of a template: a header, a body, ten buttons.
pub const MAX_COMPONENTS: usize = 12;
/// The most parameters of a component.
pub const MAX_PARAMETERS: usize = 32;
/// The highest index of a button.
const MAX_BUTTON_INDEX: u32 = 9;

/// What only WhatsApp knows of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.template) || !has(self.previewURL) || !self.previewURL")
    .message("previewURL shows a link of the text, and a template has none; leave it out"))]
pub struct WhatsAppContent {
    /// An approved template, in place of `spec.content.text`. The only message that reaches people who have not written to
    /// the number within 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<WhatsAppTemplate>,
    /// `true`: the first link of the text is shown with a preview. Default `false`.
    #[serde(rename = "previewURL", default)]
    pub preview_url: bool,
}

/// An approved template and what is filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppTemplate {
    /// The template's name, as it was approved: 1 to 512 small letters, digits and `_`. Required.
    #[schemars(length(min = 1, max = MAX_TEMPLATE_NAME), regex(pattern = TEMPLATE_NAME))]
    pub name: String,
    /// The language it was approved in, e.g. `en_US`: 2 to 16 characters. Required.
    #[schemars(length(min = 2, max = 16), regex(pattern = TEMPLATE_LANGUAGE))]
    pub language: String,
    /// What is filled in, part by part, at most 12. Parts without variables are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "components_schema")]
    pub components: Vec<WhatsAppComponent>,
}

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.type == 'Button' ? has(self.subType) && has(self.index) : !has(self.subType) && !has(self.index)"
).message("subType and index must be set for a Button, and for nothing else"))]
pub struct WhatsAppComponent {
    /// Which part: `Header`, `Body` or `Button`. Required.
    #[serde(rename = "type")]
    pub kind: WhatsAppComponentType,
    /// What kind of button: `QuickReply` (its parameter is a `payload`) or `URL` (its parameter is the `text` at the link's
    /// end). For a `Button`: required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_type: Option<WhatsAppButtonType>,
    /// Which button, counted from 0: 0 to 9. For a `Button`: required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_BUTTON_INDEX))]
    pub index: Option<u32>,
    /// What stands for the part's variables, in their order, 1 to 32. Required.
    #[schemars(schema_with = "parameters_schema")]
    pub parameters: Vec<WhatsAppParameter>,
}

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhatsAppComponentType {
    Header,
    Body,
    Button,
}

/// A kind of button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhatsAppButtonType {
    QuickReply,
    #[serde(rename = "URL")]
    Url,
}

/// What stands for one variable of the template: exactly one of `text` and `payload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.text) != has(self.payload)")
    .message("exactly one of text and payload must be set"))]
pub struct WhatsAppParameter {
    /// The variable's name, where the template names its variables: 1 to 64 small letters, digits and `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TEMPLATE_NAME))]
    pub name: Option<String>,
    /// The text, a template like `spec.content.text`: 1 to 1024 characters. Exactly one of this and `payload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub text: Option<String>,
    /// What your app is told when the button is pressed, a template: 1 to 1024 characters. Exactly one of this and `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub payload: Option<String>,
}

impl WhatsAppContent {
    /// Every template of the block with its place in it, in a fixed order.
    pub fn texts_mut(&mut self) -> Vec<(String, &mut String)> {
        let mut texts = Vec::new();
        for (part, component) in self.template.iter_mut().flat_map(|template| &mut template.components).enumerate() {
            for (index, parameter) in component.parameters.iter_mut().enumerate() {
                let place = format!("template.components[{part}].parameters[{index}]");
                texts.extend(parameter.text.iter_mut().map(|text| (format!("{place}.text"), text)));
                texts.extend(parameter.payload.iter_mut().map(|payload| (format!("{place}.payload"), payload)));
            }
        }
        texts
    }
}

fn components_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": WhatsAppComponent::json_schema(generator),
        "maxItems": MAX_COMPONENTS,
        "x-kubernetes-list-type": "atomic",
    })
}

fn parameters_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": WhatsAppParameter::json_schema(generator),
        "minItems": 1,
        "maxItems": MAX_PARAMETERS,
        "x-kubernetes-list-type": "atomic",
    })
}
