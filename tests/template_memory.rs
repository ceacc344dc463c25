//! A text takes little memory to render, whatever it says: what would take more ends in an error before it is made.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use herald::content::{MAX_OUTPUT_BYTES, RenderError, Template};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What all the texts together may add to the memory of this process at its peak. One may take some 2 MiB by its fuel; each of
/// them would take a gigabyte and more if nothing stopped it.
const MOST_GROWTH_KIB: u64 = 64 * 1024;
/// So much more address space there is: a text that is not stopped ends this test, and not the machine.
const ROOM_BYTES: u64 = 1024 * 1024 * 1024;

/// A figure of this process; `None` where the system tells none.
fn kib(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn confine() {
    let Some(taken) = kib("VmSize") else { return };
    let Rlimit { maximum, .. } = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(taken * 1024 + ROOM_BYTES), maximum }).unwrap();
}

/// The error in which a text ends, at compiling, where it is tried out, or at rendering.
fn error(text: &str) -> String {
    let vars = BTreeMap::from([("a".to_owned(), "Ana".to_owned())]);
    match Template::compile(text) {
        Err(refused) => refused.to_string(),
        Ok(template) => match template.render(&vars) {
            Ok(rendered) => panic!("{text} was rendered, in {} bytes", rendered.len()),
            Err(error) => error.to_string(),
        },
    }
}

/// A statement again and again.
fn often(statement: &str, times: usize) -> String {
    statement.repeat(times)
}

#[test]
fn what_would_take_much_memory_ends_in_the_error_of_its_limit() {
    let sixteen = "{% set s = 'xxxxxxxxxxxxxxxx' %}";
    let doubled = |how: &str| format!("{sixteen}{}{{{{ s | length }}}}", often(how, 40));
    let out_of_fuel = RenderError::OutOfFuel.to_string();
    let (out_of_fuel, in_compiling) = (out_of_fuel.as_str(), "engine ran out of fuel");
    let texts = [
        doubled("{% set s = s ~ s %}"),
        doubled("{% set s = s + s %}"),
        doubled("{% set s = s * 2 %}"),
        doubled("{% set s %}{{ s }}{{ s }}{% endset %}"),
        doubled("{% set s = s | replace('x', 'xx') %}"),
        doubled("{% set s = [s, s] | join %}"),
        doubled("{% set s = '%s%s' | format(s, s) %}"),
        doubled("{% set s = (s ~ '\\\\') | tojson %}"),
        "{{ 'x' * 10**9 }}".to_owned(),
        "{{ 10**9 * 'x' }}".to_owned(),
        "{{ (a ~ 'x') * 1000000000 }}".to_owned(),
        "{{ '%2000000000d' | format(7) }}".to_owned(),
        "{{ '%.2000000000f' | format(7.5) }}".to_owned(),
        "{{ '%2000000000s' | format(a) }}".to_owned(),
        "{{ range(100000) | join('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}".to_owned(),
        "{{ [a] | slice(2000000000) | length }}".to_owned(),
        "{{ [a] | batch(2000000000, 'x') | length }}".to_owned(),
        // Many times the same text, each of them without any work.
        format!("{{% set s = a * 400000 %}}{{{{ [{}] | join }}}}", often("s,", 200)),
        format!("{{% set s = a * 400000 %}}{{{{ [{}] | tojson }}}}", often("s,", 200)),
        format!("{{% set s = a * 400000 %}}{{% set t %}}{{{{ [{}] }}}}{{% endset %}}", often("s,", 200)),
        format!(
            "{{% set s = a * 200000 %}}{{% for i in range(9000) %}}{{% if [{}] | sort %}}{{% endif %}}{{% endfor %}}",
            often("s,", 200)
        ),
        format!("{sixteen}{{% macro m(n) %}}{}{{% endmacro %}}{{{{ m(1) | length }}}}", often("{{ s * 100000 }}", 100)),
    ];
    // Lists that cost nothing to make, and have no end as text.
    let lists = [
        "{{ ([1] * 100000000) ~ '' }}".to_owned(),
        "{{ [1] * 100000000 }}".to_owned(),
        "{% set s = [1] * 100000000 %}{{ s | upper }}".to_owned(),
        format!("{{% set s = [a] %}}{}{{{{ s ~ '' }}}}", often("{% set s = [s, s] %}", 40)),
        format!("{{% set s = [a] %}}{}{{{{ s | tojson }}}}", often("{% set s = [s, s] %}", 40)),
        format!("{{% set s = [a] %}}{}{{{{ s | join }}}}", often("{% set s = s + s %}", 40)),
        format!("{{% set s = [a] %}}{}{{{{ s == s }}}}", often("{% set s = {'x': s, 'y': s} %}", 40)),
        "{% set r = range %}{{ (r(9) * 11000000) ~ '' }}".to_owned(),
        "{% macro m(x) %}{% endmacro %}{{ (m.arguments * 100000000) ~ '' }}".to_owned(),
        format!("{{% set d = dict %}}{{% set s = 'x' %}}{}{{{{ s ~ '' }}}}", often("{% set s = d(a=s, b=s) %}", 40)),
        "{% set ns = namespace(s='x') %}{% set d = dict %}{% for i in range(9000) %}{% set ns.s = d(a=ns.s) %}{% endfor %}{{ ns.s ~ '' }}".to_owned(),
        "{{ [a] | map('indent', 2000000000) | list | length }}".to_owned(),
        "{{ a | indent(2000000000) }}".to_owned(),
        "{{ [a] | chain([a]) | pprint }}".to_owned(),
        "{{ [[a]] | tojson(indent=2000000000) }}".to_owned(),
    ];
    confine();
    let before = kib("VmHWM");
    for text in &texts {
        let error = error(text);
        assert!(error.contains(out_of_fuel) || error.contains(in_compiling), "{text}: {error}");
    }
    for text in &lists {
        let error = error(text);
        let words = [
            "a list in the place of a text",
            "map takes an attribute",
            "unknown filter",
            "indented by at most",
            "a function in the place of a value",
        ];
        assert!(words.iter().any(|words| error.contains(words)), "{text}: {error}");
    }
    // Longer than any text may be, though it takes little.
    let loops = "{% for i in range(9000) %}{{ a }}xxxxxxxxxxxxxxxx{% endfor %}";
    assert_eq!(error(loops), RenderError::OutputTooLong.to_string(), "{MAX_OUTPUT_BYTES}");
    assert!(error("{{ range(2000000000) | length }}").contains("invalid operation"));
    if let (Some(before), Some(after)) = (before, kib("VmHWM")) {
        assert!(after - before < MOST_GROWTH_KIB, "{} KiB more than before", after - before);
    }
}
