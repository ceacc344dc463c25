//! Text with variables, in the language of Jinja: `Hi {{ first_name | default('there') }}`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::Value;

use super::engine::{Engine, Failure, TRIAL_VALUE, needed};
use super::filters;
use super::markup::Markup;
use super::refusal::{RenderError, TemplateError};

/// The most variables one template may name: more than one recipient can have, so that texts for different
/// audiences stay possible. It bounds the work of naming the missing ones.
pub const MAX_VARIABLES_NAMED: usize = 64;

/// A text with variables, compiled: make it once, render it for each recipient.
///
/// A variable a recipient lacks is an error where it is printed or used, unless the text says what to do then:
/// `{{ first_name | default('there') }}`, `{% if first_name %}`. Only what is [marked up](Markup) is escaped.
/// A text cannot read files, include other texts, see the clock or roll dice.
pub struct Template {
    engine: Engine,
    /// The variables the text names anywhere, in order.
    names: Vec<Arc<str>>,
}

impl Template {
    /// Compiles a text and tries it out, so that a mistake shows before the first recipient: what cannot be parsed,
    /// and filters, tests and functions that do not exist.
    pub fn compile(text: &str) -> Result<Template, TemplateError> {
        Template::compile_for(text, Markup::Plain)
    }

    /// The same for a text that is marked up: what stands for variables is escaped.
    pub fn compile_for(text: &str, markup: Markup) -> Result<Template, TemplateError> {
        let engine = Engine::compile(text, markup, &[], filters::add)?;
        let names: Vec<Arc<str>> = engine.names(false).into_iter().map(Arc::from).collect();
        if names.len() > MAX_VARIABLES_NAMED {
            return Err(TemplateError::TooManyVariables { count: names.len() });
        }
        let template = Template { engine, names };
        // With every variable and with none: what is wrong whoever the recipient is.
        let all = |_: &str| Some(Value::from(TRIAL_VALUE));
        for failure in [template.evaluate(all).err(), template.evaluate(|_| None).err()].into_iter().flatten() {
            template.engine.blame(&failure)?;
        }
        Ok(template)
    }

    /// The variables the text names anywhere, sorted; some may have a default.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The text for one recipient.
    pub fn render(&self, vars: &BTreeMap<String, String>) -> Result<String, RenderError> {
        let given = |name: &str| vars.get(name).map(|value| Value::from(value.as_str()));
        self.evaluate(given).map_err(|failure| match failure.is_undefined() {
            true => self.engine.lacking(&failure, self.missing(vars)),
            false => self.engine.explain(&failure),
        })
    }

    /// The absent variables that would have to be given; none if their absence is not why rendering failed.
    fn missing(&self, vars: &BTreeMap<String, String>) -> Vec<String> {
        let absent = self.names().filter(|name| !vars.contains_key(*name)).collect();
        needed(absent, |given| {
            let given = |name: &str| match vars.get(name) {
                Some(value) => Some(Value::from(value.as_str())),
                None => given.contains(&name).then(|| Value::from(TRIAL_VALUE)),
            };
            self.evaluate(given).is_err_and(|failure| failure.is_undefined())
        })
    }

    fn evaluate(&self, given: impl Fn(&str) -> Option<Value>) -> Result<String, Failure> {
        let values: BTreeMap<Arc<str>, Value> =
            self.names.iter().filter_map(|name| Some((name.clone(), given(name)?))).collect();
        self.engine.evaluate(Value::from(values))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::content::{MAX_OUTPUT_BYTES, MAX_TEMPLATE_BYTES};

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn render(text: &str, pairs: &[(&str, &str)]) -> Result<String, RenderError> {
        Template::compile(text).unwrap().render(&vars(pairs))
    }

    #[test]
    fn a_text_is_rendered_for_one_recipient() {
        let ana: &[(&str, &str)] = &[("first_name", "Ana"), ("city", "Tom & Jerry's <b>")];
        let cases: [(&str, Pairs<'_>, &str); 13] = [
            ("no variables, 20 % off { } }", &[], "no variables, 20 % off { } }"),
            ("Hi {{ first_name }}!", ana, "Hi Ana!"),
            ("Hi {{ first_name | default('there') }}!", ana, "Hi Ana!"),
            ("Hi {{ first_name | default('there') }}!", &[], "Hi there!"),
            ("Hi {{ first_name or 'there' }}!", &[], "Hi there!"),
            ("Hi{% if first_name %} {{ first_name }}{% endif %}!", ana, "Hi Ana!"),
            ("Hi{% if first_name %} {{ first_name }}{% endif %}!", &[], "Hi!"),
            ("Hi{% if first_name is defined %} {{ first_name }}{% endif %}!", &[], "Hi!"),
            ("{{ first_name if first_name else city | default('you') }}", &[], "you"),
            ("{{ city }}", ana, "Tom & Jerry's <b>"),
            ("{{ first_name | upper }} 🎉", ana, "ANA 🎉"),
            ("{% for i in range(3) %}{{ i }}{% endfor %}", &[], "012"),
            ("one\ntwo\n", &[], "one\ntwo"),
        ];
        for (text, pairs, expected) in cases {
            assert_eq!(render(text, pairs).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_value_is_text_and_never_a_template() {
        assert_eq!(render("{{ first_name }}", &[("first_name", "{{ 7 * 7 }}")]).unwrap(), "{{ 7 * 7 }}");
    }

    #[test]
    fn missing_variables_are_named_and_those_with_a_default_are_not() {
        let cases: [(&str, Pairs<'_>, &[&str]); 8] = [
            ("{{ first_name }}", &[], &["first_name"]),
            ("{% if z %}{{ d }}{% endif %}{{ b }}", &[], &["b"]),
            ("{% if z %}{{ d }}{% endif %}{{ b }}", &[("z", "1"), ("b", "2")], &["d"]),
            ("{{ b }} {{ a }} {{ b }}", &[], &["a", "b"]),
            ("{{ a }} {{ b }}", &[("a", "1")], &["b"]),
            ("{{ a | default('x') }} {{ b }}{% if c %}{{ d }}{% endif %}", &[], &["b"]),
            ("{{ first_name | upper }}", &[], &["first_name"]),
            ("{{ a or b }}", &[], &["b"]),
        ];
        for (text, pairs, expected) in cases {
            let expected = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(render(text, pairs), Err(RenderError::MissingVariables(expected)), "{text}");
        }
        assert_eq!(
            render("{{ a }} {{ b }}", &[]).unwrap_err().to_string(),
            "the recipient lacks a, b; add it to the audience or give a default, as in {{ name | default('there') }}"
        );
    }

    #[test]
    fn what_is_undefined_for_another_reason_blames_no_variable() {
        let error = render("Hi\n {{ a.nothing }} {{ b | default('x') }}", &[("a", "secret")]).unwrap_err();
        assert_eq!(error, RenderError::Failed("line 2, column 5: undefined value".to_owned()));
    }

    #[test]
    fn a_failure_shows_its_place_and_never_the_value() {
        let error = render("{{ a | int }}", &[("a", "secret")]).unwrap_err();
        assert_eq!(error, RenderError::Failed("line 1, column 8: invalid operation".to_owned()));
    }

    #[test]
    fn the_names_of_a_text_are_its_variables_alone() {
        let text = "{% set x = 1 %}{{ b }}{{ x }}{{ a | default(c) }}{% for i in range(2) %}{{ i }}{% endfor %}";
        assert_eq!(Template::compile(text).unwrap().names().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_bad_text_is_refused_by_line_and_column_with_the_remedy() {
        let cases = [
            ("Hi {{ first_name", "line 1, column 7: syntax error"),
            ("Hi\nü {{ first_name | }}", "line 2, column 19: syntax error"),
            ("{% if a %}x", "line 1, column 11: syntax error"),
            ("ü {{ first_name | upcase }}", "line 1, column 19: unknown filter"),
            ("{% if a is nice %}x{% endif %}", "line 1, column 12: unknown test"),
            (
                "{% if a %}\n{{ now() }}{% endif %}",
                "line 2, column 4: invalid operation: value of type string is not callable",
            ),
            ("{{ a.upper() }}", "line 1, column 5: unknown method"),
            ("{{ a | replace('b') }}", "line 1, column 8: missing argument"),
            ("{% include 'other' %}", "line 1, column 4: template not found"),
            ("{% extends 'other' %}", "line 1, column 4: template not found"),
            ("{% import 'other' as o %}", "line 1, column 4: template not found"),
            (
                "{% for i in range(9000) %}{{ 1 if range(9000) }}{% endfor %}",
                "line 1, column 35: engine ran out of fuel",
            ),
        ];
        for (text, expected) in cases {
            let error = Template::compile(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
            assert!(error.contains("; ") && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn a_text_cannot_include_itself_without_end() {
        let refused = Template::compile("{% include 'text' %}").is_err();
        assert!(refused || render("{% include 'text' %}", &[]).is_err());
    }

    #[test]
    fn length_of_the_text_and_number_of_names_are_bounded() {
        assert!(Template::compile(&"x".repeat(MAX_TEMPLATE_BYTES)).is_ok());
        assert_eq!(
            Template::compile(&"x".repeat(MAX_TEMPLATE_BYTES + 1)).unwrap_err(),
            TemplateError::TooLong { bytes: MAX_TEMPLATE_BYTES + 1 }
        );
        let names = |count: usize| (0..count).map(|n| format!("{{{{ v{n} }}}}")).collect::<String>();
        assert!(Template::compile(&names(MAX_VARIABLES_NAMED)).is_ok());
        assert_eq!(
            Template::compile(&names(MAX_VARIABLES_NAMED + 1)).unwrap_err(),
            TemplateError::TooManyVariables { count: MAX_VARIABLES_NAMED + 1 }
        );
    }

    #[test]
    fn output_work_and_depth_are_bounded() {
        let long = "x".repeat(MAX_OUTPUT_BYTES / 2);
        assert_eq!(render("{{ a }}{{ a }}", &[("a", &long)]).unwrap().len(), MAX_OUTPUT_BYTES);
        assert_eq!(render("{{ a }}{{ a }}!", &[("a", &long)]), Err(RenderError::OutputTooLong));
        let loops =
            "{% if a == 'go' %}{% for i in range(9000) %}{% for j in range(9000) %}{% endfor %}{% endfor %}{% endif %}";
        assert_eq!(render(loops, &[("a", "go")]), Err(RenderError::OutOfFuel));
        let deep = "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}";
        assert!(Template::compile(deep).map_or(true, |template| template.render(&vars(&[])).is_err()));
        let nested = format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(Template::compile(&nested).is_err());
    }

    #[test]
    fn the_longest_text_needs_less_work_than_is_given() {
        let text = "{{ a }} ".repeat(MAX_TEMPLATE_BYTES / 8);
        assert!(render(&text, &[("a", "Ana")]).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_and_no_value_makes_rendering_panic(
            text in "[{}%a-c|'() =\\[\\].~+*-]{0,40}",
            value in "\\PC{0,20}",
        ) {
            if let Ok(template) = Template::compile(&text) {
                let rendered = template.render(&vars(&[("a", &value), ("b", "2")]));
                prop_assert_ne!(rendered, Err(RenderError::Failed("the template engine broke down".to_owned())));
            }
        }
    }
}
