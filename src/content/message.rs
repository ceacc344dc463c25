//! Everything that a broadcast says, for one provider: compiled once, rendered for each recipient.

use std::collections::{BTreeMap, BTreeSet};

use super::extras::Extras;
use super::markup::Markup;
use super::refusal::RenderError;
use super::template::Template;
use crate::api::Content;
use crate::api::channel::ChannelProvider;

/// The most texts of one message that may name variables: buttons, parameters, pieces of blocks. Each is compiled by itself
/// and takes some ten kilobytes.
pub const MAX_TEMPLATES: usize = 100;

/// Content that cannot be sent: which field, what is wrong and the remedy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct ContentError {
    /// As the user wrote it, e.g. `spec.content.text`.
    pub field: String,
    pub problem: String,
}

/// A message with variables.
#[derive(Debug)]
pub struct MessageTemplate {
    text: Option<Template>,
    extras: Extras,
    /// One for each text of `extras`, in its order; `None` for one without variables.
    parts: Vec<Option<Template>>,
}

/// A message for one recipient.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Empty where the content has none.
    pub text: String,
    /// What only the provider knows.
    pub extras: Extras,
}

impl MessageTemplate {
    /// Compiles what a channel of this provider sends.
    ///
    /// # Errors
    /// [`ContentError`] for a text that is no template, and for what only another provider knows.
    pub fn compile(content: &Content, provider: ChannelProvider) -> Result<MessageTemplate, ContentError> {
        let mut extras = Extras::of(content, provider)?;
        let text = (!content.text.is_empty()).then(|| compile("text", &content.text, extras.markup())).transpose()?;
        let parts = extras
            .texts_mut()
            .into_iter()
            .map(|part| part.text.contains('{').then(|| compile(&part.place, part.text, part.markup)).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        if parts.iter().flatten().count() > MAX_TEMPLATES {
            let problem = format!("more than {MAX_TEMPLATES} texts in it name variables; use fewer");
            return Err(ContentError { field: format!("spec.content.{}", provider.member()), problem });
        }
        Ok(MessageTemplate { text, extras, parts })
    }

    /// The message for a recipient with these variables.
    ///
    /// # Errors
    /// [`RenderError`], with everything that the recipient lacks in any of the texts.
    pub fn render(&self, vars: &BTreeMap<String, String>) -> Result<Rendered, RenderError> {
        let mut lacking = BTreeSet::new();
        let text = match &self.text {
            Some(template) => rendered(template, vars, &mut lacking)?,
            None => String::new(),
        };
        let mut extras = self.extras.clone();
        for (part, template) in extras.texts_mut().into_iter().zip(&self.parts) {
            if let Some(template) = template {
                *part.text = rendered(template, vars, &mut lacking)?;
            }
        }
        match lacking.is_empty() {
            true => Ok(Rendered { text, extras }),
            false => Err(RenderError::MissingVariables(lacking.into_iter().collect())),
        }
    }
}

/// Empty where variables are missing, which are noted.
fn rendered(
    template: &Template,
    vars: &BTreeMap<String, String>,
    lacking: &mut BTreeSet<String>,
) -> Result<String, RenderError> {
    match template.render(vars) {
        Err(RenderError::MissingVariables(names)) => {
            lacking.extend(names);
            Ok(String::new())
        }
        other => other,
    }
}

fn compile(place: &str, text: &str, markup: Markup) -> Result<Template, ContentError> {
    Template::compile_for(text, markup)
        .map_err(|error| ContentError { field: format!("spec.content.{place}"), problem: error.to_string() })
}

impl Rendered {
    /// What people are shown of it: the text, or where there is none what was filled in.
    pub fn preview(&self) -> String {
        if !self.text.is_empty() {
            return self.text.clone();
        }
        let mut extras = self.extras.clone();
        let texts: Vec<String> = extras.texts_mut().into_iter().map(|part| std::mem::take(part.text)).collect();
        texts.join(" | ")
    }
}
