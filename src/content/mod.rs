//! What a message says, pure: templates compiled once and rendered for each recipient.

mod engine;
mod extras;
mod filters;
mod grammar;
mod list_text;
mod lists;
mod markup;
mod message;
#[cfg(test)]
mod message_tests;
mod parts;
mod refusal;
mod request_template;
mod template;

pub use engine::{MAX_OUTPUT_BYTES, MAX_TEMPLATE_BYTES};
pub use extras::{Extras, SlackExtras};
pub use markup::Markup;
pub use message::{ContentError, MAX_TEMPLATES, MessageTemplate, Rendered};
pub use parts::{MessagePart, parts};
pub use refusal::{RenderError, TemplateError};
pub use request_template::{RequestTemplate, RequestValues};
pub use template::{MAX_VARIABLES_NAMED, Template};
