//! Numbers, and their nouns behind them, for people.

use std::fmt::Display;

/// `1 recipient`, but `0 recipients` and `2 recipients`.
pub fn counted(count: impl Display, one: &str, many: &str) -> String {
    let count = count.to_string();
    let noun = if count == "1" { one } else { many };
    format!("{count} {noun}")
}

/// 2500 as 2,500.
pub fn number(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if count < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(number(-1_000), "-1,000");
    }

    #[test]
    fn one_is_not_many() {
        for (count, text) in [(0, "0 people"), (1, "1 person"), (2, "2 people"), (11, "11 people")] {
            assert_eq!(counted(count, "person", "people"), text);
        }
    }
}
