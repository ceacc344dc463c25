//! What a command came to, for people and programs.

/// Counts with their names, in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<(&'static str, u64)>);

impl Tally {
    pub fn of(counts: &[(&'static str, u64)]) -> Tally {
        Tally(counts.to_vec())
    }

    /// One line: `read 3, new 1, changed 1, unchanged 1`.
    pub fn text(&self) -> String {
        self.0.iter().map(|(name, count)| format!("{} {count}", words(name))).collect::<Vec<_>>().join(", ")
    }

    /// One JSON object with the same names in camelCase.
    pub fn json(&self) -> String {
        let counts = self.0.iter().map(|(name, count)| ((*name).to_owned(), (*count).into()));
        serde_json::Value::Object(counts.collect()).to_string()
    }
}

/// `skippedDeliveries` as people write it.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_are_told_the_same_counts() {
        let tally = Tally::of(&[("new", 2), ("skippedDeliveries", 1)]);
        assert_eq!(tally.text(), "new 2, skipped deliveries 1");
        let json: serde_json::Value = serde_json::from_str(&tally.json()).unwrap();
        assert_eq!(json, serde_json::json!({"new": 2, "skippedDeliveries": 1}));
    }
}
