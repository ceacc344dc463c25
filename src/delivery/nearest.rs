//! Which of the known names somebody may have meant who wrote another one.

use strsim::osa_distance;

/// One letter in so many may be wrong, left out, added or swapped with the next one.
const LETTERS_OF_ONE_MISTAKE: usize = 3;

/// The known name that is nearest to one, if any is near: the same but for case and marks between the letters, or but for a
/// letter in three. Of several that are as near the first.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = letters(name);
    let near = known.into_iter().filter_map(|known| Some((distance(&name, &letters(known))?, known)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// How many letters differ; `None` for so many that another name is meant.
fn distance(name: &str, known: &str) -> Option<usize> {
    let (written, meant) = (name.chars().count(), known.chars().count());
    let most = meant / LETTERS_OF_ONE_MISTAKE;
    // What differs more in length is not looked at letter by letter, so that a long name costs nothing.
    if meant == 0 || written.abs_diff(meant) > most {
        return None;
    }
    Some(osa_distance(name, known)).filter(|distance| *distance <= most)
}

/// As a name is read aloud.
fn letters(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_to_what_it_was_meant_to_be_and_to_nothing_else() {
        let known = ["id", "first_name", "city", "opted_out", "tags", "RetriesExhausted", "RecipientNotFound"];
        for (name, meant) in [
            ("firstname", Some("first_name")),
            ("First Name", Some("first_name")),
            ("frist_name", Some("first_name")),
            ("town", None),
            ("citi", Some("city")),
            ("opt_out", Some("opted_out")),
            ("opted_in", None),
            ("Tags", Some("tags")),
            ("tag", Some("tags")),
            ("RetryExhausted", Some("RetriesExhausted")),
            ("nobody", None),
            ("", None),
            ("_", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn of_several_the_nearest_is_meant() {
        assert_eq!(nearest("first_nam", ["first_names", "first_name"]), Some("first_name"));
        assert_eq!(nearest("opted_out_reasn", ["opted_out", "opted_out_reason"]), Some("opted_out_reason"));
    }
}
