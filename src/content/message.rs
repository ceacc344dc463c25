//! Everything that a broadcast says, for one provider: compiled once, rendered for each recipient.

use std::collections::{BTreeMap, BTreeSet};

use super::extras::Extras;
use super::markup::Markup;
use super::parts;
use super::refusal::RenderError;
use super::template::Template;
use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::api::content::{Attachment, TextRole};

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
    texts: Vec<Option<Template>>,
    attachments: Vec<Attachment>,
    /// The same for their links.
    links: Vec<Option<Template>>,
    parts: u32,
}

/// A message for one recipient.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Empty where the content has none.
    pub text: String,
    /// What only the provider knows.
    pub extras: Extras,
    /// In their order.
    pub attachments: Vec<Attachment>,
    /// In how many parts it is sent; see [`Rendered::part`].
    pub parts: u32,
}

impl MessageTemplate {
    /// Compiles what a channel of this provider sends.
    ///
    /// # Errors
    /// [`ContentError`] for a text that is no template, and for what only another provider knows.
    pub fn compile(content: &Content, provider: ChannelProvider) -> Result<MessageTemplate, ContentError> {
        parts::check(content, provider)?;
        let mut extras = Extras::of(content, provider)?;
        let text = (!content.text.is_empty()).then(|| compile("text", &content.text, extras.markup())).transpose()?;
        let texts = extras
            .texts_mut()
            .into_iter()
            .map(|text| compile_if_any(&text.place, text.text, text.markup))
            .collect::<Result<Vec<_>, _>>()?;
        if texts.iter().flatten().count() > MAX_TEMPLATES {
            let problem = format!("more than {MAX_TEMPLATES} texts in it name variables; use fewer");
            return Err(ContentError { field: format!("spec.content.{}", provider.member()), problem });
        }
        let attachments = content.attachments.clone();
        let link = |(index, attachment): (usize, &Attachment)| {
            compile_if_any(&format!("attachments[{index}].url"), &attachment.url, Markup::Plain)
        };
        let links = attachments.iter().enumerate().map(link).collect::<Result<Vec<_>, _>>()?;
        Ok(MessageTemplate { text, extras, texts, attachments, links, parts: parts::parts(content, provider) })
    }

    /// What anybody who reads the broadcast is shown of a message: its words as they are, and its attachments and links as
    /// they are written, since a link with a recipient's variables may open something that is for that recipient alone. What
    /// recipients do not see is left out.
    pub fn sample(&self, rendered: &Rendered) -> String {
        let mut shown = Rendered { attachments: self.attachments.clone(), ..rendered.clone() };
        let mut written = self.extras.clone();
        for (shown, written) in shown.extras.texts_mut().into_iter().zip(written.texts_mut()) {
            if shown.role == TextRole::Link {
                std::mem::swap(shown.text, written.text);
            }
        }
        shown.preview()
    }

    /// The variables that any of its texts reads, also where it has a default for them.
    pub fn variables(&self) -> BTreeSet<&str> {
        let texts = self.text.iter().chain(self.texts.iter().chain(&self.links).flatten());
        texts.flat_map(Template::names).collect()
    }

    /// In how many parts the message is sent to everybody.
    pub fn parts(&self) -> u32 {
        self.parts
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
        for (text, template) in extras.texts_mut().into_iter().zip(&self.texts) {
            if let Some(template) = template {
                *text.text = rendered(template, vars, &mut lacking)?;
            }
        }
        let mut attachments = self.attachments.clone();
        for (attachment, template) in attachments.iter_mut().zip(&self.links) {
            if let Some(template) = template {
                attachment.url = rendered(template, vars, &mut lacking)?;
            }
        }
        match lacking.is_empty() {
            true => Ok(Rendered { text, extras, attachments, parts: self.parts }),
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

/// `None` for a text without variables.
fn compile_if_any(place: &str, text: &str, markup: Markup) -> Result<Option<Template>, ContentError> {
    text.contains('{').then(|| compile(place, text, markup)).transpose()
}

fn compile(place: &str, text: &str, markup: Markup) -> Result<Template, ContentError> {
    Template::compile_for(text, markup)
        .map_err(|error| ContentError { field: format!("spec.content.{place}"), problem: error.to_string() })
}

impl Rendered {
    /// What its recipient is shown of it: the text, or where there is none what was filled in, and the attachments.
    pub fn preview(&self) -> String {
        let mut shown: Vec<String> = match self.text.is_empty() {
            false => vec![self.text.clone()],
            true => {
                let mut extras = self.extras.clone();
                let seen = extras.texts_mut().into_iter().filter(|text| text.role != TextRole::Unseen);
                seen.map(|text| std::mem::take(text.text)).collect()
            }
        };
        shown.extend(self.attachments.iter().map(|attachment| format!("{} {}", attachment.kind, attachment.url)));
        shown.join(" | ")
    }
}
