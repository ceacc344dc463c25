//! How a text is marked up, and so what must be escaped in what stands for its variables: nobody's name is markup.

use minijinja::{AutoEscape, Environment, escape_formatter};

use super::list_text;

/// The characters that MarkdownV2 gives a meaning, and its escape character itself (Bot API, "Formatting options").
const MARKDOWN_V2: &str = r"\_*[]()~`>#+-=|{}.!";

/// The language of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Markup {
    /// Every character stands for itself.
    #[default]
    Plain,
    Html,
    /// Telegram's.
    MarkdownV2,
    /// Slack's: only `&`, `<` and `>` can be escaped, and only they call people and link.
    Slack,
    /// Whole values: a text with its quotes, a map as an object.
    Json,
    /// A part of a path or query, or of a form: everything but letters, digits and `-._~` is percent-encoded (RFC 3986,
    /// section 2.3).
    Url,
}

impl Markup {
    pub(super) fn set_up(self, environment: &mut Environment<'static>) {
        let auto_escape = match self {
            Markup::Html => AutoEscape::Html,
            Markup::Json => AutoEscape::Json,
            // What a block has captured is escaped already; so the engine must know that anything is.
            Markup::Url => AutoEscape::Custom("url".into()),
            Markup::Plain | Markup::MarkdownV2 | Markup::Slack => AutoEscape::None,
        };
        environment.set_auto_escape_callback(move |_| auto_escape.clone());
        let escape = match self {
            Markup::Plain | Markup::Html | Markup::Json => None,
            Markup::MarkdownV2 => Some(escape_markdown as fn(&str) -> String),
            Markup::Slack => Some(escape_slack as _),
            Markup::Url => Some(escape_url as _),
        };
        environment.set_formatter(move |output, state, value| {
            list_text::afford(state, value)?;
            let Some(escape) = escape else { return escape_formatter(output, state, value) };
            let is_escaped = value.is_safe() && *state.auto_escape() != AutoEscape::None;
            let text = value.to_string();
            let text = if is_escaped { text } else { escape(&text) };
            Ok(output.write_str(&text)?)
        });
    }
}

fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn escape_url(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => escaped.push(char::from(byte)),
            false => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
        escaped
    })
}

fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if MARKDOWN_V2.contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::content::{RenderError, Template};

    fn render(markup: Markup, text: &str) -> Result<String, RenderError> {
        let vars = BTreeMap::from([("name".to_owned(), "<b>A_n*a</b> & Co. {x}".to_owned())]);
        Template::compile_for(text, markup).unwrap().render(&vars)
    }

    #[test]
    fn what_stands_for_a_variable_is_never_markup() {
        let text = "<b>*Hi*</b> {{ name }} {{ other | default('a.b') }}";
        assert_eq!(render(Markup::Plain, text).unwrap(), "<b>*Hi*</b> <b>A_n*a</b> & Co. {x} a.b");
        let html = render(Markup::Html, text).unwrap();
        assert!(html.starts_with("<b>*Hi*</b> &lt;b&gt;A_n*a&lt;") && html.ends_with("&amp; Co. {x} a.b"), "{html}");
        let slack = render(Markup::Slack, text).unwrap();
        assert_eq!(slack, "<b>*Hi*</b> &lt;b&gt;A_n*a&lt;/b&gt; &amp; Co. {x} a.b");
        let markdown = render(Markup::MarkdownV2, text).unwrap();
        assert_eq!(markdown, r"<b>*Hi*</b> <b\>A\_n\*a</b\> & Co\. \{x\} a\.b");
    }

    #[test]
    fn a_missing_variable_is_missing_whatever_the_markup() {
        for markup in [Markup::Plain, Markup::Html, Markup::MarkdownV2, Markup::Slack] {
            let missing = RenderError::MissingVariables(vec!["other".to_owned()]);
            assert_eq!(render(markup, "{{ other }}"), Err(missing), "{markup:?}");
        }
    }

    #[test]
    fn a_backslash_is_escaped_as_well() {
        assert_eq!(escape_markdown(r"a\b!"), r"a\\b\!");
    }
}
