//! Words for a terminal: what others wrote does not move its cursor.

use crate::api::Condition;
use crate::api::broadcast_status::BroadcastMessageStatus;
use crate::api::condition::ConditionStatus;

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

/// So many seconds, for people.
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes:02} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

/// Whether a condition of this type is true; with its reason and message.
pub fn holds<'a>(status: &'a BroadcastMessageStatus, type_: &str) -> Option<&'a Condition> {
    Condition::find(&status.conditions, type_).filter(|condition| condition.status == ConditionStatus::True)
}

/// The balance in one line; empty before there is a plan.
pub fn balance(status: &BroadcastMessageStatus) -> String {
    let Some(sums) = status.recipients else { return String::new() };
    let parts = [
        (sums.sent, "sent"),
        (sums.failed, "failed"),
        (sums.skipped, "skipped"),
        (sums.unknown, "unknown"),
        (sums.pending, "pending"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(count, word)| *count > 0 || *word == "sent")
        .map(|(count, word)| format!("{} {word}", number(*count)))
        .collect();
    format!("{} of {} planned", told.join(", "), number(sums.planned))
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
        assert_eq!([5, 65, 7_260, 90_000].map(duration), ["5 s", "1 min 05 s", "2 h 01 min", "1 d 1 h"]);
    }
}
