//! Takes secrets and personal ids out of a provider's words: they go into status and ledger, which anybody may read.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::callback::from_hex;

/// From this many digits on a number may be somebody's id; error codes and subcodes are shorter.
const SHORTEST_ID: usize = 9;

/// From this many letters and digits on a word may be a token; no English word and no API name in an error is longer.
const SHORTEST_TOKEN: usize = 40;

/// The characters of a text that are looked at; an error's text is far shorter.
const MAX_INPUT: usize = 4_096;

/// From this many characters on a piece of base64 is a secret's and no accident: 36 bits.
const SHORTEST_BASE64: usize = 6;

const STRUCK_OUT: &str = "[…]";

/// The text with the given secrets, long digit runs and token-like words replaced.
pub(super) fn redact(text: &str, secrets: &[SecretString]) -> String {
    let text = without_secrets(text, secrets);
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

/// The text without the given secrets, as they are, percent-encoded in whole or in part, or within something in base64.
pub(super) fn without_secrets(text: &str, secrets: &[SecretString]) -> String {
    let text: &str = &text.chars().take(MAX_INPUT).collect::<String>();
    let secrets: Vec<&str> =
        secrets.iter().map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty()).collect();
    let pieces: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| base64_pieces(secret.as_bytes())).collect();
    let mut struck: Vec<Range<usize>> = Vec::new();
    for reading in [Reading::plain(text), Reading::percent(text, false), Reading::percent(text, true)] {
        struck.extend(secrets.iter().flat_map(|secret| reading.find(secret.as_bytes())));
        struck.extend(reading.base64_with(&pieces));
    }
    let mut shown = String::with_capacity(text.len());
    let mut was_struck = false;
    for (at, character) in text.char_indices() {
        let is_struck = struck.iter().any(|range| range.contains(&at));
        match is_struck {
            false => shown.push(character),
            true if !was_struck => shown.push_str(STRUCK_OUT),
            true => {}
        }
        was_struck = is_struck;
    }
    shown
}

/// A text in one of the ways in which it can be read.
struct Reading {
    bytes: Vec<u8>,
    /// Of each byte, where the text has it.
    places: Vec<Range<usize>>,
}

impl Reading {
    fn plain(text: &str) -> Reading {
        Reading { bytes: text.bytes().collect(), places: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    fn percent(text: &str, plus_is_space: bool) -> Reading {
        let (mut bytes, mut places, mut at) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len()), 0);
        while let Some(byte) = text.as_bytes().get(at) {
            let escaped = (*byte == b'%').then(|| text.get(at + 1..at + 3).and_then(from_hex)).flatten();
            let end = at + if escaped.is_some() { 3 } else { 1 };
            bytes.push(match (byte, escaped.as_deref()) {
                (_, Some([escaped, ..])) => *escaped,
                (b'+', _) if plus_is_space => b' ',
                (byte, _) => *byte,
            });
            places.push(at..end);
            at = end;
        }
        Reading { bytes, places }
    }

    /// Where the text has some bytes.
    fn find(&self, wanted: &[u8]) -> Vec<Range<usize>> {
        let starts = self.bytes.windows(wanted.len()).enumerate().filter(|(_, bytes)| *bytes == wanted);
        starts.filter_map(|(start, _)| self.place(start..start + wanted.len())).collect()
    }

    /// Where the text has something in base64 that holds one of these pieces.
    fn base64_with(&self, pieces: &[Vec<u8>]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut start = 0;
        let standard: Vec<Option<u8>> = self.bytes.iter().map(|byte| base64_digit(*byte)).collect();
        for run in standard.split_inclusive(Option::is_none) {
            let digits: Vec<u8> = run.iter().filter_map(|digit| *digit).collect();
            let holds = |piece: &Vec<u8>| digits.windows(piece.len()).any(|window| window == piece.as_slice());
            if pieces.iter().any(holds) {
                found.extend(self.place(start..start + digits.len()));
            }
            start += run.len();
        }
        found
    }

    fn place(&self, bytes: Range<usize>) -> Option<Range<usize>> {
        let places = self.places.get(bytes)?;
        Some(places.first()?.start..places.last()?.end)
    }
}

/// A digit of base64, in its standard alphabet.
fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' => Some(byte),
        _ => byte.is_ascii_alphanumeric().then_some(byte),
    }
}

/// What base64 of anything that holds these bytes has in it, whichever of the three places of a group they begin at: the digits
/// that nothing beside them has a part in.
fn base64_pieces(secret: &[u8]) -> Vec<Vec<u8>> {
    let piece = |before: usize| {
        let encoded = STANDARD_NO_PAD.encode([vec![0; before].as_slice(), secret].concat()).into_bytes();
        let (from, to) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
        encoded.get(from..to).map(<[u8]>::to_vec)
    };
    (0..3).filter_map(piece).filter(|piece| piece.len() >= SHORTEST_BASE64).collect()
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
    fn a_secret_is_struck_out_percent_encoded_in_whole_or_in_part() {
        let secrets = [SecretString::from("hün ter2&%41")];
        for form in [
            "hün ter2&%41",
            "h%C3%BCn%20ter2%26%2541",
            "h%c3%bcn+ter2%26%2541",
            "%68%C3%BC%6E%20%74%65%72%32%26%25%34%31",
        ] {
            assert_eq!(redact(&format!("bad key={form}&x=1"), &secrets), "bad key=[…]&x=1", "{form}");
        }
        assert_eq!(redact("100 % sure, 50%zz and a+b", &secrets), "100 % sure, 50%zz and a+b");
    }

    #[test]
    fn a_secret_is_struck_out_within_something_in_base64() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        let secrets = [SecretString::from("p?~>ss"), SecretString::from("hunter2")];
        for secret in ["p?~>ss", "hunter2"] {
            for said in [secret.to_owned(), format!("ana:{secret}"), format!("an:{secret}!"), format!("a:{secret}:b")] {
                for form in [STANDARD.encode(&said), URL_SAFE.encode(&said)] {
                    let percent = form.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
                    for form in [form.trim_end_matches('=').to_owned(), percent.trim_end_matches("%3D").to_owned()] {
                        let shown = redact(&format!("Basic {form}, no"), &secrets);
                        assert_eq!(shown, "Basic […], no", "{said} {form}");
                    }
                }
            }
        }
        assert_eq!(redact("Basic aHVudGVy, no", &secrets), "Basic aHVudGVy, no", "hunter alone is none");
    }

    #[test]
    fn a_secret_that_is_too_short_for_base64_is_struck_out_as_it_is() {
        assert_eq!(redact("key ab12 in YWIxMg==", &[SecretString::from("ab12")]), "key […] in YWIxMg==");
        assert_eq!(redact("nothing", &[SecretString::from("")]), "nothing");
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
