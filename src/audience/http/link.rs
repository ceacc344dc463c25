//! The header `Link` (RFC 8288): where the next page is.

use reqwest::header::{HeaderMap, LINK};

/// The target of the first link with the relation `next`, as it is written.
pub fn next_link(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(links).find(|link| link.is_next).map(|link| link.target)
}

struct Link {
    target: String,
    is_next: bool,
}

/// The links of one header. What is no link ends the list.
fn links(value: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = value;
    while let Some((target, after)) =
        rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<').and_then(|rest| rest.split_once('>'))
    {
        let (parameters, after) = split_parameters(after);
        let is_next = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("rel")).is_some_and(|(_, value)| {
            value.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        links.push(Link { target: target.trim().to_owned(), is_next });
        rest = after;
    }
    links
}

/// The parameters of a link, and what follows the comma that ends it.
fn split_parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut parameters = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let name = rest[..end].trim().to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            (value, rest) = parameter_value(after.trim_start());
        }
        if !name.is_empty() {
            parameters.push((name, value));
        }
        rest = rest.trim_start();
        match rest.strip_prefix(';') {
            Some(more) => rest = more,
            None => return (parameters, rest.strip_prefix(',').unwrap_or_default()),
        }
    }
}

/// A token or a quoted text, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn next(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        next_link(&headers)
    }

    #[test]
    fn the_next_page_is_found_among_all_links() {
        let cases: [(&[&str], Option<&str>); 10] = [
            (&[], None),
            (&["<https://crm.example/people?page=2>; rel=\"next\""], Some("https://crm.example/people?page=2")),
            (&["</people?page=2>; rel=next"], Some("/people?page=2")),
            (&["<?a=1,2;3>; rel=\"prev\", <?a=3>; title=\"a, b; <c>\"; REL = \"last Next\""], Some("?a=3")),
            (&["<1>; rel=prev", "<2>;rel=next;x"], Some("2")),
            (&["<1>; title=\"\\\"; rel=next\""], None),
            (&["<1>; rel=nextish"], None),
            (&["<1>; rel=\"next"], Some("1")),
            (&["<1>"], None),
            (&["rel=next"], None),
        ];
        for (values, expected) in cases {
            assert_eq!(next(values).as_deref(), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_run_on(value in "[<>;,=\"\\\\ a-z]{0,60}") {
            let _ = next(&[&value]);
        }
    }
}
