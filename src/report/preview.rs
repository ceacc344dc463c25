//! What would be sent: a plan in figures, with how long it takes and what its messages look like.

use serde::Serialize;

use super::words::{clean, counted, duration, labelled, number};
use crate::delivery::rate::Rate;
use crate::delivery::rate_class::RateClass;

/// The plan of one broadcast, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    pub namespace: String,
    pub name: String,
    #[serde(flatten)]
    pub outlook: Outlook,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outlook {
    Plan(PlanFigures),
    /// It cannot be sent as it is written.
    Refused {
        /// CamelCase, from a fixed set.
        reason: String,
        /// With place and remedy.
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanFigures {
    pub planned: i64,
    /// Listed more than once; they count once.
    pub duplicates: i64,
    pub excluded: i64,
    /// Planned and skipped, since they want no messages.
    pub opted_out: i64,
    pub batches: i64,
    /// The most recipients of one batch.
    pub batch_size: i64,
    /// The lower of the account's rate and the broadcast's own; `None` where nobody knows the account's.
    pub rate: Option<ShownRate>,
    /// So many messages a second may be begun now: less than the rate after the provider throttled.
    pub effective_per_second: Option<f64>,
    /// In how many parts each message is sent, each of them in a slot of its own.
    pub parts: u32,
    /// Those of them that the provider takes at a rate of their own.
    pub rate_class: Option<ShownClass>,
    /// How long the first attempts take at that.
    pub seconds: Option<i64>,
    /// What keeps it from being sent as it stands, in words; `None` for one that only waits to be started.
    pub held: Option<String>,
    /// What is no error and perhaps not meant.
    pub warnings: Vec<String>,
    /// What the first messages look like.
    pub samples: Vec<String>,
}

/// Parts of each message with a rate of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownClass {
    /// So many.
    pub parts: u32,
    pub rate: ShownRate,
}

impl From<&RateClass> for ShownClass {
    fn from(RateClass { rate, parts }: &RateClass) -> ShownClass {
        ShownClass { parts: parts.len() as u32, rate: (*rate).into() }
    }
}

/// A rate as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownRate {
    pub messages: u32,
    pub period_seconds: u32,
}

impl From<Rate> for ShownRate {
    fn from(Rate { messages, period_seconds }: Rate) -> ShownRate {
        ShownRate { messages, period_seconds }
    }
}

/// So many seconds messages take at so many a second; the last one is begun an interval before their end.
pub fn seconds(planned: i64, messages_per_second: f64) -> Option<i64> {
    (messages_per_second > 0.0).then(|| (planned.max(0) as f64 / messages_per_second).ceil() as i64)
}

impl Preview {
    /// For people.
    pub fn text(&self) -> String {
        let name = clean(&self.name);
        match &self.outlook {
            Outlook::Plan(plan) => plan.text(&name),
            Outlook::Refused { reason, message } => format!("{name}: refused: {reason}: {}\n", clean(message)),
        }
    }

    /// One line.
    pub fn json(&self) -> String {
        // Plain data with text keys: there is nothing in it that JSON could not hold.
        format!("{}\n", serde_json::to_string(self).unwrap_or_default())
    }
}

/// What is added to the words about a plan that has some who want no messages; they are planned, and skipped.
pub fn opted_out(count: i64) -> String {
    if count == 0 { String::new() } else { format!(", {} opted out", number(count)) }
}

impl PlanFigures {
    fn text(&self, name: &str) -> String {
        let mut text = format!(
            "{name}: {} ({}, {} excluded{})\n  {} of at most {}\n",
            counted(self.planned, "recipient", "recipients"),
            counted(self.duplicates, "duplicate", "duplicates"),
            number(self.excluded),
            opted_out(self.opted_out),
            counted(self.batches, "batch", "batches"),
            counted(self.batch_size, "recipient", "recipients"),
        );
        if self.parts > 1 {
            text.push_str(&format!("  each message in {} parts, each of them at the rate\n", self.parts));
        }
        if let Some(ShownClass { parts, rate }) = self.rate_class {
            let rate = Rate::new(rate.messages, rate.period_seconds);
            text.push_str(&format!("  {parts} of them audio or video, which the provider takes at {rate}\n"));
        }
        if let Some(pace) = self.pace() {
            text.push_str(&format!("  {pace}\n"));
        }
        if let Some(held) = &self.held {
            text.push_str(&format!("  {}\n", clean(held)));
        }
        self.warnings.iter().for_each(|warning| text.push_str(&labelled("warning", warning)));
        self.samples.iter().for_each(|sample| text.push_str(&labelled("sample", sample)));
        text
    }

    fn pace(&self) -> Option<String> {
        let (rate, seconds) = (self.rate?, self.seconds?);
        let configured = Rate::new(rate.messages, rate.period_seconds);
        let mut words = format!("about {} of sending at {configured}", duration(seconds));
        let slowed = configured.per_second() * SLOWED;
        if let Some(effective) = self.effective_per_second.filter(|effective| *effective < slowed) {
            words.push_str(&format!(", slowed to {effective:.1} a second, because the provider throttles"));
        }
        Some(words)
    }
}

/// An effective rate below this part of the configured one is worth a word.
const SLOWED: f64 = 0.99;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::rate_class::messages_per_second;

    fn plan() -> PlanFigures {
        PlanFigures {
            planned: 2_488,
            duplicates: 12,
            excluded: 1,
            opted_out: 0,
            batches: 3,
            batch_size: 1_000,
            rate: Some(Rate::new(60, 1).into()),
            effective_per_second: Some(60.0),
            parts: 1,
            rate_class: None,
            seconds: seconds(2_488, 60.0),
            held: None,
            warnings: vec!["no recipient has `x`".to_owned()],
            samples: vec!["Hi Ana,\nwelcome".to_owned(), "Hi \u{1b}[2J".to_owned()],
        }
    }

    fn text(outlook: Outlook) -> String {
        Preview { namespace: "default".to_owned(), name: "spring".to_owned(), outlook }.text()
    }

    #[test]
    fn a_plan_is_told_with_its_batches_its_time_and_samples() {
        let expected = "spring: 2,488 recipients (12 duplicates, 1 excluded)\n  3 batches of at most 1,000 recipients\n  \
                        about 42 s of sending at 60 a second\n  warning: no recipient has `x`\n  sample: Hi Ana,\n          welcome\n  sample: Hi  [2J\n";
        assert_eq!(text(Outlook::Plan(plan())), expected);
        let some = text(Outlook::Plan(PlanFigures { opted_out: 1_020, ..plan() }));
        assert!(some.starts_with("spring: 2,488 recipients (12 duplicates, 1 excluded, 1,020 opted out)\n"), "{some}");
    }

    #[test]
    fn an_account_that_is_slowed_takes_longer_and_says_why() {
        let slow = PlanFigures { effective_per_second: Some(6.0), seconds: seconds(2_488, 6.0), ..plan() };
        let told = text(Outlook::Plan(slow));
        assert!(told.contains("about 6 min 55 s of sending at 60 a second, slowed to 6.0 a second"), "{told}");
        let unknown = PlanFigures { rate: None, effective_per_second: None, seconds: None, ..plan() };
        assert!(!text(Outlook::Plan(unknown)).contains("sending"), "where nobody knows the rate no time is made up");
        assert_eq!(seconds(5, 0.0), None);
    }

    #[test]
    fn a_message_of_parts_takes_as_many_slots() {
        let parts = PlanFigures { parts: 2, seconds: seconds(2_488, messages_per_second(60.0, 2, None)), ..plan() };
        let told = text(Outlook::Plan(parts));
        assert!(told.contains("each message in 2 parts") && told.contains("about 1 min 23 s of sending"), "{told}");
    }

    #[test]
    fn audio_and_video_take_as_long_as_the_provider_lets_them() {
        let class = RateClass { rate: Rate::new(10, 1), parts: vec![1] };
        let takes = seconds(2_488, messages_per_second(60.0, 2, Some(&class)));
        let films = PlanFigures { parts: 2, rate_class: Some((&class).into()), seconds: takes, ..plan() };
        let told = text(Outlook::Plan(films));
        assert!(told.contains("about 4 min 09 s of sending"), "{told}");
        assert!(told.contains("1 of them audio or video, which the provider takes at 10 a second"), "{told}");
    }

    #[test]
    fn json_holds_either_a_plan_or_a_refusal() {
        let refused = Outlook::Refused { reason: "AudienceEmpty".to_owned(), message: "add\nsomebody".to_owned() };
        let preview = Preview { namespace: "default".to_owned(), name: "spring".to_owned(), outlook: refused };
        assert_eq!(preview.json().lines().count(), 1);
        let back: serde_json::Value = serde_json::from_str(&preview.json()).unwrap();
        assert_eq!((&back["refused"]["reason"], back.get("plan")), (&"AudienceEmpty".into(), None));
        let planned = Preview { outlook: Outlook::Plan(plan()), ..preview };
        let back: serde_json::Value = serde_json::from_str(&planned.json()).unwrap();
        assert_eq!((&back["plan"]["planned"], &back["plan"]["rate"]["messages"]), (&2_488.into(), &60.into()));
        assert_eq!(back["plan"]["seconds"], 42);
    }
}
