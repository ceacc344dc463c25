//! Takes secrets and personal ids out of a provider's words: they go into status and ledger, which anybody may read.

use secrecy::{ExposeSecret, SecretString};

/// From this many digits on a number may be somebody's id; error codes and subcodes are shorter.
const SHORTEST_ID: usize = 9;

/// From this many letters and digits on a word may be a token; no English word and no API name in an error is longer.
const SHORTEST_TOKEN: usize = 40;

/// The characters of a text that are looked at; an error's text is far shorter.
const MAX_INPUT: usize = 4_096;

const STRUCK_OUT: &str = "[…]";

/// The text with the given secrets, long digit runs and token-like words replaced.
pub(super) fn redact(text: &str, secrets: &[SecretString]) -> String {
    let mut text: String = text.chars().take(MAX_INPUT).collect();
    for secret in secrets {
        text = text.replace(secret.expose_secret(), STRUCK_OUT);
    }
    let mut redacted = String::with_capacity(text.len());
    let mut word = String::new();
    for character in text.chars().chain(std::iter::once(' ')) {
        if character.is_ascii_alphanumeric() || matches!(character, '_' | '-') {
            word.push(character);
            continue;
        }
        redacted.push_str(if may_be_secret(&word) { STRUCK_OUT } else { &word });
        word.clear();
        redacted.push(character);
    }
    redacted.pop();
    redacted
}

/// The text without mail addresses, and whatever else holds an `@`.
pub(super) fn without_addresses(text: &str) -> String {
    let text: String = text.chars().take(MAX_INPUT).collect();
    let shown = |word: &str| if word.contains('@') { STRUCK_OUT.to_owned() } else { word.to_owned() };
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

fn may_be_secret(word: &str) -> bool {
    let longest_digits = word.split(|character: char| !character.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    word.len() >= SHORTEST_TOKEN || longest_digits >= SHORTEST_ID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_ids_are_struck_out_and_codes_are_kept() {
        let secrets = [SecretString::from("EAAB-test-token")];
        let text = "(#100) Malformed access token EAAB-test-token, object '5489932777711223' does not exist (2018278)";
        let expected = "(#100) Malformed access token […], object '[…]' does not exist (2018278)";
        assert_eq!(redact(text, &secrets), expected);
    }

    #[test]
    fn a_foreign_token_is_struck_out_by_its_length() {
        let text = format!("Cannot parse access token {}", "EAAJabc".repeat(20));
        assert_eq!(redact(&text, &[]), "Cannot parse access token […]");
    }

    #[test]
    fn a_mail_address_is_struck_out_with_what_clings_to_it() {
        let text = "no mailbox <ana@example.com>, try again";
        assert_eq!(without_addresses(text), "no mailbox […] try again");
    }

    #[test]
    fn other_words_stay_as_they_are() {
        for text in ["", " ", "Ungültiger Parameter – „Text“", "page_utility_messaging is missing."] {
            assert_eq!(redact(text, &[]), text);
        }
    }
}
