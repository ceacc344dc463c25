//! Tags: words that a channel's contacts are marked with.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The longest tag: as long as the value of a Kubernetes label.
pub const MAX_TAG: usize = 63;
/// The most tags of one list in a document: what a person can still read.
pub const MAX_TAGS: usize = 10;
/// A tag is written like the value of a Kubernetes label, and is not empty.
const TAG: &str = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";

/// Whether this may be a tag: 1 to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends. Ledgers ask it
/// too, since not every tag comes from a document.
pub fn is_tag(tag: &str) -> bool {
    let is_end = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    let is_inner = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    tag.len() <= MAX_TAG && is_end(tag.chars().next()) && is_end(tag.chars().last()) && tag.chars().all(is_inner)
}

pub(super) fn tags_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_TAG, "pattern": TAG},
        "minItems": 1,
        "maxItems": MAX_TAGS,
        "x-kubernetes-list-type": "atomic",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_written_like_the_value_of_a_label() {
        let longest = "x".repeat(MAX_TAG);
        for tag in ["vip", "Spring-Sale_2026.1", "7", longest.as_str()] {
            assert!(is_tag(tag), "{tag}");
        }
        let too_long = "x".repeat(MAX_TAG + 1);
        for tag in ["", "-vip", "vip-", "spring sale", "a,b", "ü", too_long.as_str()] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
