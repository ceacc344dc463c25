//! Variables of a message that nobody of a plan has. With a default, or in a condition, a name that is misspelt is no error, and
//! everybody gets a message that says less than it was meant to.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::nearest::nearest;

/// So many names of one kind are told; the others are counted.
const MAX_TOLD: usize = 20;
/// So many names of recipients' variables are kept: rows of NDJSON may each have others.
const MAX_KEPT: usize = 100;

/// The variables of a message that nobody has had so far.
#[derive(Debug)]
pub(super) struct Unfilled {
    wanted: BTreeSet<String>,
    /// What recipients have.
    there: BTreeSet<String>,
}

impl Unfilled {
    pub fn of(wanted: BTreeSet<&str>) -> Unfilled {
        Unfilled { wanted: wanted.into_iter().map(str::to_owned).collect(), there: BTreeSet::new() }
    }

    /// Takes in somebody of the plan.
    pub fn look_at(&mut self, vars: &BTreeMap<String, String>) {
        // Of most messages every variable is found with the first recipients.
        if self.wanted.is_empty() {
            return;
        }
        for name in vars.keys() {
            self.wanted.remove(name);
            if !self.there.contains(name) && self.there.len() < MAX_KEPT {
                self.there.insert(name.clone());
            }
        }
    }

    /// What is said of those that nobody has.
    pub fn warning(&self) -> Option<String> {
        if self.wanted.is_empty() {
            return None;
        }
        let there = || self.there.iter().map(String::as_str);
        let meant = |name: &String| match nearest(name, there()) {
            Some(near) => format!("`{name}` (did you mean `{near}`?)"),
            None => format!("`{name}`"),
        };
        let theirs = match self.there.is_empty() {
            true => "they have no variables at all".to_owned(),
            false => format!("their variables are {}", listed(there().map(str::to_owned))),
        };
        Some(format!("no recipient has {}, which the message reads; {theirs}", listed(self.wanted.iter().map(meant))))
    }
}

/// The first of them, and how many more there are.
fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MAX_TOLD);
    let mut told: Vec<String> = names.take(MAX_TOLD).collect();
    told.extend((more > 0).then(|| format!("and {more} more")));
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Content;
    use crate::api::channel::ChannelProvider;
    use crate::content::MessageTemplate;

    fn warning(wanted: &[&str], rows: &[&[&str]]) -> Option<String> {
        let mut unfilled = Unfilled::of(wanted.iter().copied().collect());
        for names in rows {
            unfilled.look_at(&names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect());
        }
        unfilled.warning()
    }

    #[test]
    fn variables_that_nobody_has_are_told_with_what_they_may_have_meant() {
        let rows: &[&[&str]] = &[&["city"], &["first_name", "city"]];
        assert_eq!(warning(&["first_name", "city"], rows), None);
        assert_eq!(warning(&[], &[]), None);
        assert_eq!(
            warning(&["firstname", "plan", "city"], rows).unwrap(),
            "no recipient has `firstname` (did you mean `first_name`?), `plan`, which the message reads; \
             their variables are city, first_name"
        );
        assert_eq!(
            warning(&["city"], &[&[]]).unwrap(),
            "no recipient has `city`, which the message reads; they have no variables at all"
        );
    }

    #[test]
    fn however_many_names_there_are_a_warning_stays_readable() {
        let names: Vec<String> = (0..MAX_KEPT + 1).map(|number| format!("column_{number:03}")).collect();
        let wanted: Vec<String> = (0..25).map(|number| format!("{number:02}")).collect();
        let mut unfilled = Unfilled::of(wanted.iter().map(String::as_str).collect());
        unfilled.look_at(&names.iter().map(|name| (name.clone(), "x".to_owned())).collect());
        assert_eq!(unfilled.there.len(), MAX_KEPT);
        let warning = unfilled.warning().unwrap();
        assert!(
            warning.contains("`19`, and 5 more, which") && warning.ends_with("column_019, and 80 more"),
            "{warning}"
        );
    }

    #[test]
    fn a_message_reads_what_any_of_its_texts_names_with_a_default_or_in_a_condition() {
        let content: Content = serde_json::from_value(serde_json::json!({
            "text": "Hi {{ firstname | default('there') }}{% if frist_name %}!{% endif %}{% set x = 1 %}{{ x }}",
            "attachments": [{"type": "Image", "url": "https://acme.example/{{ picture | default('a') }}.png"}],
            "telegram": {"inlineKeyboard": [
                {"buttons": [{"text": "{{ label | default('Go') }}", "url": "https://acme.example/"}]},
            ]},
        }))
        .unwrap();
        let template = MessageTemplate::compile(&content, ChannelProvider::Telegram).unwrap();
        let names: Vec<&str> = template.variables().into_iter().collect();
        assert_eq!(names, ["firstname", "frist_name", "label", "picture"]);
    }
}
