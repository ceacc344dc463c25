//! Templates of a request to an endpoint of the user's own: what is known of a message, and keys of a Secret.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, Value};
use secrecy::{ExposeSecret, SecretString};

use super::engine::{Engine, Failure, TRIAL_VALUE, needed};
use super::filters;
use super::grammar::Given;
use super::markup::Markup;
use super::refusal::{RenderError, TemplateError};
use super::template::MAX_VARIABLES_NAMED;
use crate::api::content::Attachment;

/// The names that a template may use.
const NAMES: [&str; 6] = [ATTACHMENTS, "id", "message_id", "secret", "text", "vars"];
const ATTACHMENTS: &str = "attachments";
/// How deep those are that are lists: the attachments are a list of maps.
const LISTS: Given = &[(ATTACHMENTS, 2), ("vars", 1), ("secret", 1)];
const OF_VARS: &str = "vars.";

/// What the templates of one request may name.
#[derive(Clone, Copy)]
pub struct RequestValues<'a> {
    /// `id`: the recipient's.
    pub id: &'a str,
    /// `text`: rendered, empty where the content has none.
    pub text: &'a str,
    /// `attachments`: a list, each with `type` and `url`.
    pub attachments: &'a [Attachment],
    /// `vars.NAME`.
    pub vars: &'a BTreeMap<String, String>,
    /// `message_id`: the same for each attempt at this message.
    pub message_id: &'a str,
    /// `secret.KEY`.
    pub secrets: &'a BTreeMap<String, SecretString>,
}

/// A part of a request, compiled. Bounded as every template, and as blind: no files, no clock, no dice.
pub struct RequestTemplate {
    engine: Engine,
    /// The variables of a recipient that it names, as `vars.first_name`.
    vars: Vec<String>,
    /// Nothing in it depends on the message.
    is_constant: bool,
    names_attachments: bool,
}

impl RequestTemplate {
    /// Compiles a part and tries it out. What stands for names is escaped for the markup.
    ///
    /// # Errors
    /// [`TemplateError`], also for a name that no request knows.
    pub fn compile(
        text: &str,
        markup: Markup,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<RequestTemplate, TemplateError> {
        let engine = Engine::compile(text, markup, LISTS, add_filters)?;
        let names = engine.names(false);
        let unknown: Vec<String> = names.iter().filter(|name| !NAMES.contains(&name.as_str())).cloned().collect();
        if !unknown.is_empty() {
            return Err(TemplateError::UnknownNames(unknown));
        }
        let vars: Vec<String> = engine.names(true).into_iter().filter(|name| name.starts_with(OF_VARS)).collect();
        if vars.len() > MAX_VARIABLES_NAMED {
            return Err(TemplateError::TooManyVariables { count: vars.len() });
        }
        let is_constant = names.iter().all(|name| name == "secret");
        let names_attachments = names.contains(ATTACHMENTS);
        let template = RequestTemplate { engine, vars, is_constant, names_attachments };
        let none = BTreeMap::new();
        let values = RequestValues {
            id: TRIAL_VALUE,
            text: TRIAL_VALUE,
            attachments: &[],
            vars: &none,
            message_id: TRIAL_VALUE,
            secrets,
        };
        let all: Vec<&str> = template.vars.iter().map(String::as_str).collect();
        for failure in
            [template.evaluate(&values, &all).err(), template.evaluate(&values, &[]).err()].into_iter().flatten()
        {
            template.engine.blame(&failure)?;
        }
        Ok(template)
    }

    /// Whether it is the same for every message.
    pub fn is_constant(&self) -> bool {
        self.is_constant
    }

    /// Whether it says what is attached.
    pub fn names_attachments(&self) -> bool {
        self.names_attachments
    }

    /// The part for one message.
    ///
    /// # Errors
    /// [`RenderError`], with everything that the recipient lacks. Never shows a value.
    pub fn render(&self, values: &RequestValues<'_>) -> Result<String, RenderError> {
        self.evaluate(values, &[]).map_err(|failure| match failure.is_undefined() {
            true => self.engine.lacking(&failure, self.missing(values)),
            false => self.engine.explain(&failure),
        })
    }

    fn missing(&self, values: &RequestValues<'_>) -> Vec<String> {
        let is_absent = |name: &&str| name.strip_prefix(OF_VARS).is_some_and(|name| !values.vars.contains_key(name));
        let absent = self.vars.iter().map(String::as_str).filter(is_absent).collect();
        needed(absent, |given| self.evaluate(values, given).is_err_and(|failure| failure.is_undefined()))
    }

    /// With these variables beside those of the values, tried out.
    fn evaluate(&self, values: &RequestValues<'_>, tried: &[&str]) -> Result<String, Failure> {
        let tried = tried.iter().filter_map(|name| Some((name.strip_prefix(OF_VARS)?, Value::from(TRIAL_VALUE))));
        let given = values.vars.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str())));
        let vars: BTreeMap<&str, Value> = tried.chain(given).collect();
        let secrets: BTreeMap<&str, Value> =
            values.secrets.iter().map(|(key, value)| (key.as_str(), Value::from(value.expose_secret()))).collect();
        self.engine.evaluate(Value::from(BTreeMap::from([
            ("id", Value::from(values.id)),
            ("text", Value::from(values.text)),
            ("message_id", Value::from(values.message_id)),
            (ATTACHMENTS, values.attachments.iter().map(attachment).collect()),
            ("vars", Value::from(vars)),
            ("secret", Value::from(secrets)),
        ])))
    }
}

impl fmt::Debug for RequestTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestTemplate").field("vars", &self.vars).finish_non_exhaustive()
    }
}

fn attachment(attachment: &Attachment) -> Value {
    let kind = Value::from(attachment.kind.to_string());
    Value::from(BTreeMap::from([("type", kind), ("url", Value::from(attachment.url.as_str()))]))
}

fn add_filters(environment: &mut Environment<'_>) {
    filters::add(environment);
    // What the scheme Basic of HTTP needs.
    environment.add_filter("b64encode", |text: String| STANDARD.encode(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::content::AttachmentType;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn secrets() -> BTreeMap<String, SecretString> {
        let keys = [("user", "acme"), ("api-key", "hunter2&"), ("password", "hunter2")];
        keys.map(|(key, value)| (key.to_owned(), SecretString::from(value))).into()
    }

    fn compile(text: &str, markup: Markup) -> Result<RequestTemplate, TemplateError> {
        RequestTemplate::compile(text, markup, &secrets())
    }

    fn render(text: &str, markup: Markup, vars: &[(&str, &str)]) -> Result<String, RenderError> {
        let (vars, secrets) = (pairs(vars), secrets());
        let values = RequestValues {
            id: "a/b?c=\"d\" é.",
            text: "Hi \"Ana\",\n50 % & more",
            attachments: &[Attachment { kind: AttachmentType::Image, url: "https://a.example/1?x=\"".into() }],
            vars: &vars,
            message_id: "msg_7_42",
            secrets: &secrets,
        };
        compile(text, markup).unwrap().render(&values)
    }

    #[test]
    fn a_value_is_escaped_for_where_it_stands_and_never_leaves_its_place() {
        let cases = [
            ("/to/{{ id }}?k={{ secret['api-key'] }}", Markup::Url, "/to/a%2Fb%3Fc%3D%22d%22%20%C3%A9.?k=hunter2%26"),
            ("{{ message_id }}", Markup::Url, "msg_7_42"),
            (
                r#"{"media":{{ attachments }},"first":{{ attachments[0].url }}}"#,
                Markup::Json,
                r#"{"media":[{"type":"Image","url":"https://a.example/1?x=\""}],"first":"https://a.example/1?x=\""}"#,
            ),
            ("text={{ text }}&n=1", Markup::Url, "text=Hi%20%22Ana%22%2C%0A50%20%25%20%26%20more&n=1"),
            (r#"{"to":{{ id }}}"#, Markup::Json, r#"{"to":"a/b?c=\"d\" é."}"#),
            (r#"{"v":{{ vars }},"n":{{ vars.n | int }}}"#, Markup::Json, r#"{"v":{"n":"7"},"n":7}"#),
            (r#"{"to":{{ "id:" ~ vars.n }}}"#, Markup::Json, r#"{"to":"id:7"}"#),
            (r#"{"to":{{ vars.n | tojson }}}"#, Markup::Json, r#"{"to":"7"}"#),
            ("Basic {{ (secret.user ~ ':' ~ secret.password) | b64encode }}", Markup::Plain, "Basic YWNtZTpodW50ZXIy"),
            ("{{ vars.nick | default(vars.n) }}", Markup::Plain, "7"),
        ];
        for (text, markup, expected) in cases {
            assert_eq!(render(text, markup, &[("n", "7")]).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_block_that_was_captured_is_escaped_once() {
        let text = "{% set pair %}{{ id }}={{ vars.n }}{% endset %}{{ pair }}";
        assert_eq!(render(text, Markup::Url, &[("n", "a b")]).unwrap(), "a%2Fb%3Fc%3D%22d%22%20%C3%A9.=a%20b");
    }

    #[test]
    fn what_a_recipient_lacks_is_named() {
        let text = "{{ vars.a }} {{ vars.b | default('x') }}{% if vars.c %}{{ vars.d }}{% endif %}";
        assert_eq!(render(text, Markup::Plain, &[]), Err(RenderError::MissingVariables(vec!["vars.a".to_owned()])));
        assert_eq!(render(text, Markup::Plain, &[("a", "1")]).as_deref(), Ok("1 x"));
    }

    #[test]
    fn a_name_that_no_request_knows_is_refused_with_those_there_are() {
        let unknown = |text| compile(text, Markup::Plain).unwrap_err();
        assert_eq!(unknown("{{ first_name }}"), TemplateError::UnknownNames(vec!["first_name".to_owned()]));
        let error = unknown("{{ secret.api-key }}").to_string();
        assert!(error.starts_with("names key, ") && error.contains("secret['KEY']"), "{error}");
    }

    #[test]
    fn a_bad_template_is_refused_and_a_failure_shows_no_value() {
        for text in ["{{ id", "{{ id | shout }}", "{% include 'other' %}", "{{ vars.n | date }}"] {
            assert!(matches!(compile(text, Markup::Json), Err(TemplateError::Refused { .. })), "{text}");
        }
        let error = render("{{ secret.password | int }}", Markup::Plain, &[]).unwrap_err();
        assert_eq!(error, RenderError::Failed("line 1, column 22: invalid operation".to_owned()));
        let missing_key = render("{{ secret.nothing }}", Markup::Plain, &[]).unwrap_err();
        assert_eq!(missing_key, RenderError::Failed("line 1, column 4: undefined value".to_owned()));
    }

    #[test]
    fn only_what_names_nothing_of_a_message_is_constant() {
        for (text, constant) in [("Bearer {{ secret.user }}", true), ("x", true), ("{{ message_id }}", false)] {
            assert_eq!(compile(text, Markup::Plain).unwrap().is_constant(), constant, "{text}");
        }
    }
}
