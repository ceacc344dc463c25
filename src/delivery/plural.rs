//! Numbers before their nouns, for people.

use std::fmt::Display;

/// `1 recipient`, but `0 recipients` and `2 recipients`.
pub fn counted(count: impl Display, one: &str, many: &str) -> String {
    let count = count.to_string();
    let noun = if count == "1" { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        for (count, text) in [(0, "0 people"), (1, "1 person"), (2, "2 people"), (11, "11 people")] {
            assert_eq!(counted(count, "person", "people"), text);
        }
    }
}
