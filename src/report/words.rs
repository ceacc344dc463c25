//! Words for people: figures at a glance, and what others wrote does not move the cursor of a terminal.

pub use crate::delivery::duration::duration;
pub use crate::delivery::plural::number;

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

/// At most so many milliseconds half of the answers took, 95 of a hundred, and 99.
pub fn latency([p50, p95, p99]: [u64; 3]) -> String {
    let [p50, p95, p99] = [p50, p95, p99].map(milliseconds);
    format!("p50 {p50}, p95 {p95}, p99 {p99}")
}

/// Answers are counted in whole milliseconds: one of less took some time as well.
fn milliseconds(told: u64) -> String {
    if told == 0 { "<1 ms".to_owned() } else { format!("{told} ms") }
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
    fn a_rate_is_shown_without_the_last_digits_of_its_arithmetic() {
        assert_eq!(serde_json::to_string(&rounded(59.999_998_800_000_03)).unwrap(), "60.0");
        assert_eq!([rounded(0.016_666_7), rounded(7.25)], [0.017, 7.25]);
    }

    #[test]
    fn an_answer_of_less_than_a_millisecond_took_some_time() {
        assert_eq!(latency([0, 1, 2]), "p50 <1 ms, p95 1 ms, p99 2 ms");
    }
}
