//! Words for people: figures at a glance, and what others wrote does not move the cursor of a terminal.

pub use crate::delivery::duration::duration;

/// The text without characters that a terminal would act on.
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() && character != '\n' { ' ' } else { character }).collect()
}

/// One line of it, at most so many characters.
pub fn line(text: &str, most: usize) -> String {
    let flat: String = clean(text).replace('\n', " ");
    if flat.chars().count() <= most {
        return flat;
    }
    flat.chars().take(most.saturating_sub(1)).chain(['…']).collect()
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

/// So many, with the word that fits, e.g. `1 batch` and `2,500 batches`.
pub fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// The text as HTML shows it, within an attribute as well.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_moves_no_cursor_and_fills_no_screen() {
        assert_eq!(clean("a\u{1b}[2Jb\rc\nd"), "a [2Jb c\nd");
        assert_eq!(line("one\ntwo three", 8), "one two…");
        assert_eq!(line("søren", 5), "søren");
    }

    #[test]
    fn figures_are_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }
}
