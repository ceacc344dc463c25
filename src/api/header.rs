//! Values of request headers: text with `{{ secret.KEY }}` in it.

/// Printable text in which `{{` begins nothing but `{{ secret.KEY }}`; KEY is letters, digits and `_`, `-`, `.`.
pub(crate) const HEADER_VALUE: &str =
    "^([^{\\x00-\\x1f\\x7f]|[{][^{\\x00-\\x1f\\x7f]|[{][{] *secret[.][-._a-zA-Z0-9]{1,253} *[}][}])*$";

/// A piece of a header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderPiece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// Stands for this key of the channel's Secret.
    SecretKey(&'a str),
}

/// Cuts a value into its pieces. A value the schema admits is cut exactly; in any other, what is no
/// `{{ secret.KEY }}` stays text.
pub fn header_pieces(value: &str) -> Vec<HeaderPiece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = value;
    while let Some((before, key, after)) = next_secret(rest) {
        if !before.is_empty() {
            pieces.push(HeaderPiece::Text(before));
        }
        pieces.push(HeaderPiece::SecretKey(key));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(HeaderPiece::Text(rest));
    }
    pieces
}

/// The keys of the channel's Secret a value names.
pub fn secret_keys(value: &str) -> impl Iterator<Item = &str> {
    header_pieces(value).into_iter().filter_map(|piece| match piece {
        HeaderPiece::SecretKey(key) => Some(key),
        HeaderPiece::Text(_) => None,
    })
}

fn next_secret(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("{{")?;
    let (inside, after) = text[start + 2..].split_once("}}")?;
    let key = inside.trim_matches(' ').strip_prefix("secret.")?;
    Some((&text[..start], key, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_into_text_and_keys_of_the_secret() {
        assert_eq!(
            header_pieces("Bearer {{ secret.token }}, {{secret.api-key}}!"),
            [
                HeaderPiece::Text("Bearer "),
                HeaderPiece::SecretKey("token"),
                HeaderPiece::Text(", "),
                HeaderPiece::SecretKey("api-key"),
                HeaderPiece::Text("!"),
            ]
        );
        assert_eq!(header_pieces("plain"), [HeaderPiece::Text("plain")]);
        assert_eq!(header_pieces(""), []);
        assert_eq!(secret_keys("{{ secret.a }}{{ secret.b }}").collect::<Vec<_>>(), ["a", "b"]);
    }
}
