use std::collections::BTreeMap;

use super::*;
use crate::content::{MAX_TEMPLATE_BYTES, Markup, RenderError, RequestTemplate, Template};

const LIST_AS_TEXT: &str = "a list in the place of a text";

fn render(text: &str) -> Result<String, RenderError> {
    let vars = [("a", "Ana"), ("language", "de"), ("tags", "vip, new")];
    let vars: BTreeMap<String, String> = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Template::compile(text).unwrap_or_else(|error| panic!("{text}: {error}")).render(&vars)
}

fn refused(text: &str) -> TemplateError {
    Template::compile(text).err().unwrap_or_else(|| panic!("{text} was compiled"))
}

#[test]
fn lists_serve_to_look_up_to_search_to_loop_over_and_to_join() {
    let cases = [
        ("{{ {'de': 'Hallo', 'en': 'Hello'}[language] ~ ' ' ~ a }}", "Hallo Ana"),
        ("{{ {'de': 'Hallo'}.en | default('Hi') }}", "Hi"),
        ("{% set hello = {'de': 'Hallo', 'en': a} %}{{ hello[language] | upper }}", "HALLO"),
        ("{% if language in ['de', 'at'] %}Hallo{% endif %}", "Hallo"),
        ("{% if language not in ('en',) %}Hallo{% endif %}", "Hallo"),
        ("{{ tags | split(', ') | sort | join(' and ') }}", "new and vip"),
        ("{{ tags | split(', ') | first | title }}", "Vip"),
        (
            "{% for tag in tags | split(', ') %}{{ loop.index }}{{ tag ~ loop.cycle('.', '!') }}{% endfor %}",
            "1vip.2new!",
        ),
        ("{% for key, value in {'x': a} | items %}{{ key ~ value }}{% endfor %}", "xAna"),
        ("{% for row in ['a', 'b', 'c'] | batch(2) %}{{ row | join }};{% endfor %}", "ab;c;"),
        (
            "{% for k, v in {'x': a, 'y': a} | items %}{% if loop.index > 1 %}&{% endif %}{{ k ~ loop.index0 }}{% endfor %}",
            "x0&y1",
        ),
        ("{% for row in [['a'], ['b']] %}{{ loop.previtem | default(['-']) | join }}{% endfor %}", "-a"),
        ("{% for x in ['b', 'a'] | sort %}{{ x ~ loop.cycle('.', '!') }}{% endfor %}{{ [3, 1] | max }}", "a.b!3"),
        ("{% for row in [['a', 'b'], ['c']] %}{{ row | join }};{% endfor %}", "ab;c;"),
        ("{% set n = namespace(found=false) %}{% set n.found = a %}{{ n.found ~ '!' }}", "Ana!"),
        ("{% macro hi(name) %}Hi {{ name }}{% endmacro %}{{ hi(a) ~ '!' }}", "Hi Ana!"),
        ("{% set hi %}Hi {{ a }}{% endset %}{{ hi ~ '!' }}", "Hi Ana!"),
        ("{{ range(3) | join('-') }}", "0-1-2"),
        ("{{ (tags | split(', '))[1] }}", "new"),
        ("{% filter replace('x', a) %}Hi x{% endfilter %}", "Hi Ana"),
        ("{{ (['x'] if a == 'Ana' else ['y']) | first }}", "x"),
        ("{{ ['x', 1] }}", "['x', 1]"),
        ("{{ {'x': [a]} | tojson }}", "{\"x\": [\"Ana\"]}"),
        ("{{ ['x', 'y'] | reject('equalto', 'x') | join }}", "y"),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn the_attachments_of_a_request_are_a_list_of_maps() {
    let secrets = BTreeMap::new();
    let compile = |text: &str| RequestTemplate::compile(text, Markup::Json, &secrets).map(drop);
    for text in [
        "{{ attachments }}",
        "{{ attachments[0].url | default('') }}",
        "{{ attachments | map(attribute='url') | join(', ') }}",
        "{{ attachments | selectattr('type', 'equalto', 'Image') | list | length }}",
        "{% for one in attachments %}{{ one.type ~ one.url }}{% endfor %}",
        "{{ vars }}{{ secret['a'] | default('') }}",
        "{{ {'to': id, 'text': text, 'media': attachments, 'vars': vars, 'first': attachments[0]} | tojson }}",
        "{% for k, v in vars | items %}{% if loop.index > 1 %}&{% endif %}{{ k ~ v }}{% endfor %}",
    ] {
        assert_eq!(compile(text), Ok(()), "{text}");
    }
    for text in [
        "{{ attachments ~ '' }}",
        "{{ vars | upper }}",
        "{% set s = [vars, vars] %}{{ [s] }}",
        "{{ attachments[0] ~ '' }}",
    ] {
        let error = compile(text).unwrap_err().to_string();
        assert!(error.contains(LIST_AS_TEXT), "{text}: {error}");
    }
}

#[test]
fn a_list_is_no_text_whatever_way_it_takes_to_where_a_text_is_wanted() {
    for text in [
        "{{ [1] ~ '' }}",
        "{{ '' ~ [1] }}",
        "{{ [1] * 9 }}",
        "{{ [1] + [1] }}",
        "{{ [1] == [1] }}",
        "{{ 1 < 2 < [3] }}",
        "{{ {'x': 1} ~ '' }}",
        "{{ (1, 2) ~ '' }}",
        "{{ ([1] if a else 'x') ~ '' }}",
        "{{ (a and [1]) ~ '' }}",
        "{{ (b | default([1])) ~ '' }}",
        "{{ [[1]][0] ~ '' }}",
        "{{ [1] | upper }}",
        "{{ 'x' | replace('x', [1]) }}",
        "{{ [[1], [2]] | join }}",
        "{{ range(9) ~ '' }}",
        "{{ dict(x=1) ~ '' }}",
        "{{ (a | split('n')) ~ '' }}",
        "{{ ({'x': 1} | items | first) ~ '' }}",
        "{{ [1] is eq([1]) }}",
        "{{ [1] in [[1]] }}",
        "{{ -[1] ~ [1] }}",
        "{% set s = [1] %}{{ s ~ '' }}",
        "{% set s = [1] %}{% set s = [s, s] %}",
        "{% set t = 1 %}{% for i in range(3) %}{{ t ~ '' }}{% set t = [1] %}{% endfor %}",
        "{% set x, y = [[1], 2] %}{{ x ~ '' }}",
        "{% with s = [1] %}{{ s ~ '' }}{% endwith %}",
        "{% for s in [[1]] %}{{ s ~ '' }}{% endfor %}",
        "{% for s in [[1]] %}{{ loop.previtem ~ '' }}{% endfor %}",
        "{% set n = namespace(x=1) %}{% set n.x = [1] %}{{ n.x ~ '' }}",
        "{% macro m(s) %}{{ s ~ s }}{% endmacro %}{{ m([1]) }}",
        "{% macro m(s=[1]) %}{{ s ~ s }}{% endmacro %}{{ m() }}",
        "{% set s | split('x') %}axb{% endset %}{{ s ~ '' }}",
    ] {
        let error = refused(text).to_string();
        let words = [LIST_AS_TEXT, "a list of lists in the place of a list"];
        assert!(words.iter().any(|words| error.contains(words)), "{text}: {error}");
    }
}

#[test]
fn what_is_refused_is_named_by_its_place_with_the_remedy() {
    let cases = [
        ("Hi\nü {{ a ~ [1] }}", "line 2, column 10: a list in the place of a text; join it first"),
        ("{{ ['a'] | map('upper') }}", "line 1, column 12: map takes an attribute and no filter; write map("),
        (
            "{{ a[:1] }}",
            "line 1, column 4: a slice, which would be [] for who lacks the variable; write {{ name | truncate",
        ),
        ("{% set r = range %}{{ r(9) }}", "line 1, column 12: a function in the place of a value; call it by its name"),
        ("{{ debug() }}", "line 1, column 4: debug shows all that is known of a recipient; look at"),
        ("{{ range(*[1]) }}", "line 1, column 11: a list in the place of arguments; write them one by one"),
        ("{{ [a] | pprint }}", "line 1, column 10: unknown filter; use a filter there is"),
        ("{% for i in range(9) %}{% set x = x | items %}{% endfor %}", "line 1, column 31: lists of lists without end"),
        (
            "{{ a | tojson(2000000000) }}",
            "line 1, column 8: invalid operation: argument: JSON is indented by at most 8",
        ),
    ];
    for (text, expected) in cases {
        let error = refused(text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn a_missing_variable_is_missed_by_every_operator_and_filter() {
    for text in [
        "{{ b ~ 'x' }}",
        "{{ 'x' ~ b }}",
        "{{ b == 'x' }}",
        "{{ b in 'xyz' }}",
        "{{ b in ['x'] }}",
        "{{ 'x' in b }}",
        "{{ b[0] }}",
        "{{ {'x': 'y'}[b] }}",
        "{{ [b] | join }}",
        "{{ b | first }}",
        "{{ b | last }}",
        "{{ b | length }}",
        "{{ b | replace('x', 'y') }}",
        "{{ 'x' | replace('x', b) }}",
        "{{ b | tojson }}",
        "{{ b | int }}",
        "{{ b | string }}",
        "{{ [b] }}",
        "{{ {'x': b} | tojson }}",
        "{% for x in b %}{{ x }}{% endfor %}",
        "{% set x = b %}{{ x }}",
        "{% filter upper %}{{ b }}{% endfilter %}",
    ] {
        assert_eq!(render(text), Err(RenderError::MissingVariables(vec!["b".to_owned()])), "{text}");
    }
    for text in ["{{ b + 1 }}", "{{ b.c }}", "{{ b | split(',') | first }}", "{{ b | list }}"] {
        assert!(matches!(render(text), Err(RenderError::Failed(_))), "{text}");
    }
}

#[test]
fn a_function_or_macro_is_called_by_its_name_and_is_no_value() {
    for text in [
        "{% set r = range %}{{ (r(9) * 11000000) ~ '' }}",
        "{{ {'r': range}.r(9) ~ '' }}",
        "{{ (range if true)(9) }}",
        "{{ [dict] | first }}",
        "{% macro m(x) %}{% endmacro %}{{ (m.arguments * 100000000) ~ '' }}",
        "{{ (m.arguments * 100000000) ~ '' }}{% macro m(x) %}{% endmacro %}",
        "{% macro m() %}{% set c = caller %}{{ c() }}{% endmacro %}{% call m() %}{% endcall %}",
        "{% set d = debug %}{{ d() }}",
        "{% for x in [1] %}{{ loop ~ '' }}{% endfor %}",
    ] {
        let error = refused(text).to_string();
        assert!(error.contains("a function in the place of a value; call it by its name"), "{text}: {error}");
    }
    let tree = "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}";
    assert!(refused(tree).to_string().contains("a loop that calls itself; write one loop within the other"));
    for text in ["{% if a is lower %}x{% endif %}", "{% if a is upper %}x{% endif %}"] {
        assert!(refused(text).to_string().contains("unknown test; compare with the filter"), "{text}");
    }
}

#[test]
fn what_is_filled_in_again_and_again_is_short() {
    let long = "x".repeat(201);
    for filter in [format!("date('{long}')"), format!("number(0, '{long}')"), format!("truncate(9, '{long}')")] {
        let error = refused(&format!("{{{{ a | {filter} }}}}")).to_string();
        assert!(error.contains("has more than 200 bytes; check the values between the brackets"), "{error}");
    }
}

/// A shape that goes one level deeper with each repetition.
fn deep(begin: &str, level: &str, end: &str, levels: usize) -> String {
    format!("{begin}{}{end}", level.repeat(levels))
}

#[test]
fn an_expression_as_deep_as_may_be_is_compiled_and_one_that_would_exhaust_the_stack_is_refused() {
    let shapes = [
        ("{{ a", " ~ a", " }}"),
        ("{{ a", "|e", " }}"),
        ("{{ a", ".b", " }}"),
        ("{{ a", "[a]", " }}"),
        ("{{ ", "not ", "a }}"),
        ("{{ ", "-", "1 }}"),
        ("{{ a", " and a", " }}"),
        ("{{ 1", " ** 1", " }}"),
        ("{{ a", " is defined", " }}"),
        ("{{ a", "()", " }}"),
    ];
    for (begin, level, end) in shapes {
        let fits = deep(begin, level, end, MAX_SIGNS / 2);
        // It may mean nothing; it must be looked at to its end.
        drop(Template::compile(&fits).map(|template| template.render(&BTreeMap::new())));
        let too_deep = deep(begin, level, end, MAX_TEMPLATE_BYTES / 20);
        let error = refused(&too_deep).to_string();
        assert!(error.contains("more than 250 operators, brackets and commas in one tag"), "{level}: {error}");
    }
    let expression = deep("a", " ~ a", "", MAX_SIGNS - 1);
    let branches = deep("{% if a %}", "{% elif a %}", "", MAX_BRANCHES);
    let nested = deep("", "{% if a %}", "", 140);
    let deepest = format!("{nested}{branches}{{{{ {expression} }}}}{}", "{% endif %}".repeat(141));
    drop(Template::compile(&deepest).map_err(|error| panic!("{error}")));
    let error = refused(&deep("{% if a %}", "{% elif a %}", "{% endif %}", MAX_BRANCHES + 1)).to_string();
    assert!(error.contains("more than 100 times elif; look the text up instead"), "{error}");
}
