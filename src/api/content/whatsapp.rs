//! What only WhatsApp knows: approved templates with all that is filled in, and previews of links.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::attachment::{ATTACHMENT_URL, MAX_ATTACHMENT_URL};
use super::{BlockText, MAX_PARAMETER, MAX_TEMPLATE_NAME, TEMPLATE_LANGUAGE, TEMPLATE_NAME, TextRole};

/// The most components of a template: a header, a body, ten buttons.
pub const MAX_COMPONENTS: usize = 12;
/// The most parameters of a component.
pub const MAX_PARAMETERS: usize = 32;
/// The highest index of a button.
const MAX_BUTTON_INDEX: u32 = 9;
/// The longest name of a document, as a template: what file systems take for a name.
const MAX_FILE_NAME: usize = 255;
/// A currency by ISO 4217.
const CURRENCY: &str = "^[A-Z]{3}$";

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
    /// The category it was approved in: `Marketing` (the default), `Utility` or `Authentication`. Who has stopped the marketing
    /// messages of the business is planned and skipped (OptedOut), but for templates of `Utility` and `Authentication`.
    #[serde(default)]
    pub category: WhatsAppTemplateCategory,
    /// What is filled in, part by part, at most 12. Parts without variables are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "components_schema")]
    pub components: Vec<WhatsAppComponent>,
}

/// What Meta has approved a template for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhatsAppTemplateCategory {
    #[default]
    Marketing,
    Utility,
    Authentication,
}

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.type == 'Button' ? has(self.subType) && has(self.index) : !has(self.subType) && !has(self.index)"
).message("subType and index must be set for a Button, and for nothing else"))]
#[x_kube(validation = Rule::new(
    "self.type == 'Header' || !self.parameters.exists(p, has(p.image) || has(p.video) || has(p.document))"
).message("image, video and document stand in a Header").field_path(".parameters"))]
#[x_kube(validation = Rule::new(
    "self.type != 'Button' ? !self.parameters.exists(p, has(p.payload) || has(p.couponCode)) \
     : !has(self.subType) || self.parameters.all(p, self.subType == 'QuickReply' ? has(p.payload) \
     : self.subType == 'URL' ? has(p.text) : has(p.couponCode))"
).message("a Button of QuickReply takes a payload, of URL a text, of CopyCode a couponCode; payload and couponCode stand nowhere else")
    .field_path(".parameters"))]
pub struct WhatsAppComponent {
    /// Which part: `Header`, `Body` or `Button`. Required.
    #[serde(rename = "type")]
    pub kind: WhatsAppComponentType,
    /// What kind of button: `QuickReply` (its parameter is a `payload`), `URL` (its parameter is the `text` at the link's end)
    /// or `CopyCode` (its parameter is a `couponCode`). For a `Button`: required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_type: Option<WhatsAppButtonType>,
    /// Which button, counted from 0: 0 to 9. For a `Button`: required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_BUTTON_INDEX))]
    pub index: Option<u32>,
    /// What stands for the part's variables, in their order, 1 to 32; a button has one, and a header that is a picture, a film
    /// or a document has nothing beside it. Required.
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
    CopyCode,
}

/// What stands for one variable of the template: exactly one of `text`, `payload`, `image`, `video`, `document`, `currency`,
/// `dateTime` and `couponCode`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.text) ? 1 : 0) + (has(self.payload) ? 1 : 0) + (has(self.image) ? 1 : 0) + (has(self.video) ? 1 : 0) \
     + (has(self.document) ? 1 : 0) + (has(self.currency) ? 1 : 0) + (has(self.dateTime) ? 1 : 0) \
     + (has(self.couponCode) ? 1 : 0) == 1"
).message("exactly one of text, payload, image, video, document, currency, dateTime and couponCode must be set"))]
#[x_kube(validation = Rule::new("!has(self.name) || has(self.text) || has(self.currency) || has(self.dateTime)")
    .message("only text, currency and dateTime stand for variables that have names; leave it out").field_path(".name"))]
pub struct WhatsAppParameter {
    /// The variable's name, where the template names its variables: 1 to 64 small letters, digits and `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TEMPLATE_NAME))]
    pub name: Option<String>,
    /// The text, a template like `spec.content.text`: 1 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub text: Option<String>,
    /// What your app is told when the button is pressed, a template: 1 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub payload: Option<String>,
    /// The picture of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<WhatsAppMedia>,
    /// The film of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<WhatsAppMedia>,
    /// The document of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<WhatsAppDocument>,
    /// An amount of money, which each phone writes in its own way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<WhatsAppCurrency>,
    /// A date or a time as people are to read it, a template: 1 to 1024 characters. WhatsApp shows it as it is; the filter
    /// `date` writes it in the form that you want.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub date_time: Option<String>,
    /// The code that the button copies, a template: 1 to 1024 characters, rendered 1 to 20 letters and digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub coupon_code: Option<String>,
}

/// A picture or a film by its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppMedia {
    /// Where WhatsApp gets it from, a template: an absolute `https` or `http` URL that anybody may read, 1 to 2048 characters.
    /// Required.
    #[schemars(length(min = 1, max = MAX_ATTACHMENT_URL), regex(pattern = ATTACHMENT_URL))]
    pub url: String,
}

/// A document by its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppDocument {
    /// Where WhatsApp gets it from, a template: an absolute `https` or `http` URL that anybody may read, 1 to 2048 characters.
    /// Required.
    #[schemars(length(min = 1, max = MAX_ATTACHMENT_URL), regex(pattern = ATTACHMENT_URL))]
    pub url: String,
    /// What it is called in the chat, a template: 1 to 255 characters, such as `invoice.pdf`. Default: the last piece of the
    /// link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_FILE_NAME))]
    pub filename: Option<String>,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppCurrency {
    /// The amount, a template: 1 to 1024 characters, rendered a decimal number such as `12.99` with a point, at most 12 digits
    /// before and 3 behind it. Required.
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub amount: String,
    /// The currency by ISO 4217: three capital letters, such as `EUR`. Required.
    #[schemars(length(min = 3, max = 3), regex(pattern = CURRENCY))]
    pub code: String,
    /// What is shown where a phone cannot write the amount by itself, a template: 1 to 1024 characters, such as
    /// `{{ price }} EUR`. Required.
    #[schemars(length(min = 1, max = MAX_PARAMETER))]
    pub fallback: String,
}

impl WhatsAppContent {
    /// Every template of the block, in a fixed order.
    pub fn texts_mut(&mut self) -> Vec<BlockText<'_>> {
        let mut texts = Vec::new();
        for (part, component) in self.template.iter_mut().flat_map(|template| &mut template.components).enumerate() {
            let is_link = component.sub_type == Some(WhatsAppButtonType::Url);
            for (index, parameter) in component.parameters.iter_mut().enumerate() {
                let place = format!("template.components[{part}].parameters[{index}]");
                let filled = parameter.texts_mut(is_link).into_iter().flatten();
                texts
                    .extend(filled.map(|(member, role, text)| BlockText::new(format!("{place}.{member}"), role, text)));
            }
        }
        texts
    }
}

impl WhatsAppParameter {
    /// What it holds of templates, by its members; of a button of `URL` the text `is_link`'s end.
    fn texts_mut(&mut self, is_link: bool) -> [Option<(&'static str, TextRole, &mut String)>; 10] {
        use TextRole::{Link, Unseen, Words};
        let WhatsAppParameter { name: _, text, payload, image, video, document, currency, date_time, coupon_code } =
            self;
        let (document, filename) = match document {
            Some(WhatsAppDocument { url, filename }) => (Some(url), filename.as_mut()),
            None => (None, None),
        };
        let (amount, fallback) = match currency {
            Some(WhatsAppCurrency { amount, code: _, fallback }) => (Some(amount), Some(fallback)),
            None => (None, None),
        };
        [
            ("text", if is_link { Link } else { Words }, text.as_mut()),
            ("payload", Unseen, payload.as_mut()),
            ("image.url", Link, image.as_mut().map(|image| &mut image.url)),
            ("video.url", Link, video.as_mut().map(|video| &mut video.url)),
            ("document.url", Link, document),
            ("document.filename", Words, filename),
            ("currency.amount", Words, amount),
            ("currency.fallback", Words, fallback),
            ("dateTime", Words, date_time.as_mut()),
            ("couponCode", Words, coupon_code.as_mut()),
        ]
        .map(|(member, role, text)| text.map(|text| (member, role, text)))
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
