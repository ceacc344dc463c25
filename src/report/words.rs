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

/// What is told under a name, one level in: further lines stand below its beginning.
pub fn labelled(label: &str, text: &str) -> String {
    let below = format!("\n{}", " ".repeat(label.chars().count() + 4));
    format!("  {label}: {}\n", clean(text).replace('\n', &below))
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

/// So many in so many seconds, as people say it.
pub fn rate(messages: u32, period_seconds: u32) -> String {
    let messages = number(messages.into());
    match period_seconds {
        1 => format!("{messages} a second"),
        60 => format!("{messages} a minute"),
        3_600 => format!("{messages} an hour"),
        period => format!("{messages} in {period} s"),
    }
}

/// A rate without the last digits of its arithmetic.
pub fn rounded(per_second: f64) -> f64 {
    const KEPT: f64 = 1_000.0;
    (per_second * KEPT).round() / KEPT
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
    fn what_has_several_lines_stays_below_its_name() {
        assert_eq!(labelled("sample", "Hi,\n\nwelcome"), "  sample: Hi,\n          \n          welcome\n");
    }

    #[test]
    fn a_rate_is_said_as_people_say_it() {
        assert_eq!(
            [(60, 1), (1_000, 60), (5, 3_600), (3, 2)].map(|(some, period)| rate(some, period)),
            ["60 a second", "1,000 a minute", "5 an hour", "3 in 2 s"]
        );
        assert_eq!(serde_json::to_string(&rounded(59.999_998_800_000_03)).unwrap(), "60.0");
        assert_eq!([rounded(0.016_666_7), rounded(7.25)], [0.017, 7.25]);
    }

    #[test]
    fn figures_are_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }
}
