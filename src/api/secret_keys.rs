//! Which keys of a Secret a template names: what must be mounted is known before anything is rendered.

/// The keys that a template names as `secret.KEY` or `secret['KEY']`, in order, with repetitions. Only what stands between
/// `{{` and `}}` or `{%` and `%}` counts; a key that the template itself makes up is not found, and is undefined there.
pub fn secret_keys(template: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    let mut rest = template;
    while let Some((inside, after)) = next_tag(rest) {
        keys.extend(keys_inside(inside));
        rest = after;
    }
    keys
}

/// What stands in the next tag, and what comes after it.
fn next_tag(text: &str) -> Option<(&str, &str)> {
    let (start, end) = [("{{", "}}"), ("{%", "%}")]
        .into_iter()
        .filter_map(|(begin, end)| Some((text.find(begin)?, end)))
        .min_by_key(|(start, _)| *start)?;
    text[start + 2..].split_once(end)
}

fn keys_inside(inside: &str) -> impl Iterator<Item = &str> {
    const NAME: &str = "secret";
    inside.match_indices(NAME).filter_map(move |(start, _)| {
        let is_part = inside[..start].ends_with(|before: char| is_word(before) || before == '.');
        let after = inside[start + NAME.len()..].trim_start();
        if is_part { None } else { dotted(after).or_else(|| subscripted(after)) }
    })
}

fn dotted(after: &str) -> Option<&str> {
    let key = after.strip_prefix('.')?.trim_start();
    let end = key.find(|character| !is_word(character)).unwrap_or(key.len());
    Some(&key[..end]).filter(|key| !key.is_empty())
}

fn subscripted(after: &str) -> Option<&str> {
    let key = after.strip_prefix('[')?.trim_start();
    let quote = key.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    key[1..].split_once(quote).map(|(key, _)| key).filter(|key| !key.is_empty())
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_secret_are_found_where_a_template_names_them() {
        let cases: [(&str, &[&str]); 9] = [
            ("Bearer {{ secret.token }}", &["token"]),
            ("{{secret.a}}{{ secret['api-key'] }}{{ secret [ \"b.c\" ] }}", &["a", "api-key", "b.c"]),
            ("{{ (secret.user ~ ':' ~ secret.password) | b64encode }}", &["user", "password"]),
            ("{% if vars.vip %}{{ secret.vip }}{% else %}{{ secret.all }}{% endif %}", &["vip", "all"]),
            ("{% set key = secret.key %}{{ key }}", &["key"]),
            ("secret.word {{ vars.secret.x }} {{ my_secret.y }} {{ secrets.z }}", &[]),
            ("{{ secret }} {{ secret[id] }} {{ secret. }}", &[]),
            ("{{ secret.token", &[]),
            ("", &[]),
        ];
        for (template, expected) in cases {
            assert_eq!(secret_keys(template), expected, "{template}");
        }
    }
}
