//! What a message says, pure: templates compiled once and rendered for each recipient.

mod filters;
mod refusal;
mod template;

pub use refusal::{RenderError, TemplateError};
pub use template::{MAX_OUTPUT_BYTES, MAX_TEMPLATE_BYTES, MAX_VARIABLES_NAMED, Template};
