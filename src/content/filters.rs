//! Filters of our own beside those of the engine: what texts to people need of dates, numbers and long words.
//!
//! Variables are text, so that is what they take; one that is missing is missed as anywhere else. A value that is none of
//! what a filter reads is an error of that recipient and never shown; an argument that is wrong whatever the value is an
//! error of the text.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};

use super::list_text;

/// More decimals than any currency has.
const MAX_DECIMALS: usize = 12;
/// The longest format, separator or ending, in bytes: it is repeated, or filled in, before the result is paid for.
const MAX_ARGUMENT: usize = 200;
/// The longest number that is read, in characters.
const MAX_NUMBER: usize = 40;

/// How the details of an error begin that lies in the text and not in a recipient's value.
pub(super) const ARGUMENT: &str = "argument: ";

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("date", date);
    environment.add_filter("number", number);
    environment.add_filter("truncate", truncate);
    list_text::add(environment);
}

pub(super) fn argument(problem: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{ARGUMENT}{problem}"))
}

fn value(problem: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// An argument given by its place or by its name.
fn given<T: TryFrom<Value>>(placed: Option<Value>, names: &Kwargs, name: &str) -> Result<Option<T>, Error>
where
    T::Error: std::fmt::Display,
{
    let named: Option<Value> = names.get(name)?;
    let Some(value) = placed.or(named).filter(|value| !value.is_undefined() && !value.is_none()) else {
        return Ok(None);
    };
    if value.as_str().is_some_and(|text| text.len() > MAX_ARGUMENT) {
        return Err(argument(format_args!("{name} has more than {MAX_ARGUMENT} bytes")));
    }
    let kind = value.kind();
    T::try_from(value).map(Some).map_err(|_| argument(format_args!("{name} cannot be a {kind} like that")))
}

/// `{{ due | date('%d.%m.%Y') }}`, `{{ starts | date('%H:%M', 'Europe/Berlin') }}`. Reads a date, a date with a time, or an
/// instant as RFC 3339 writes it; the format is that of `strftime`. An instant is shown in the time zone, or by its own
/// offset where none is given; a time without an offset is of the time zone already.
fn date(text: Cow<'_, str>, format: Option<Value>, time_zone: Option<Value>, names: Kwargs) -> Result<String, Error> {
    let format: Option<String> = given(format, &names, "format")?;
    let time_zone: Option<String> = given(time_zone, &names, "time_zone")?;
    names.assert_all_used()?;
    let format = &format.ok_or_else(|| argument("a format is needed, as in date('%d.%m.%Y')"))?;
    let zone = time_zone.map(|name| find_zone(&name)).transpose()?;
    let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    BrokenDownTime::from(&sample).to_string(format).map_err(argument)?;
    read_date(text.trim(), zone)?
        .to_string(format)
        .map_err(|_| value("the value lacks the time of day or time zone that the format shows"))
}

/// From the database that is part of the program: images hold no other, and what a text says must not depend on a machine.
fn find_zone(name: &str) -> Result<TimeZone, Error> {
    TimeZoneDatabase::bundled().get(name).map_err(argument)
}

fn read_date(text: &str, zone: Option<TimeZone>) -> Result<BrokenDownTime, Error> {
    let unreadable = || value("the value is no date, such as 2026-12-31 or 2026-12-31T18:30:00Z");
    let pieces = Pieces::parse(text).map_err(|_| unreadable())?;
    let Some(time) = pieces.time() else { return Ok(BrokenDownTime::from(pieces.date())) };
    // Another zone than that of the text, told in a form of its own: to overlook it would show a wrong time.
    if pieces.time_zone_annotation().is_some() {
        return Err(unreadable());
    }
    let local = DateTime::from_parts(pieces.date(), time);
    let zoned =
        |zoned: Result<Zoned, jiff::Error>| zoned.map(|zoned| BrokenDownTime::from(&zoned)).map_err(|_| unreadable());
    match (pieces.to_numeric_offset(), zone) {
        (Some(offset), zone) => {
            let instant = offset.to_timestamp(local).map_err(|_| unreadable())?;
            Ok(BrokenDownTime::from(&instant.to_zoned(zone.unwrap_or_else(|| TimeZone::fixed(offset)))))
        }
        (None, Some(zone)) => zoned(local.to_zoned(zone)),
        (None, None) => Ok(BrokenDownTime::from(local)),
    }
}

/// `{{ points | number }}`, `{{ price | number(2) }}`, `{{ price | number(2, '.', ',') }}`: a decimal number with so many
/// decimals, thousands set apart, rounded half away from zero. Digit by digit, so that no amount is off by a cent.
fn number(
    text: Cow<'_, str>,
    decimals: Option<Value>,
    thousands: Option<Value>,
    point: Option<Value>,
    names: Kwargs,
) -> Result<String, Error> {
    let decimals: usize = given(decimals, &names, "decimals")?.unwrap_or(0);
    let thousands: String = given(thousands, &names, "thousands")?.unwrap_or_else(|| ",".to_owned());
    let point: String = given(point, &names, "point")?.unwrap_or_else(|| ".".to_owned());
    names.assert_all_used()?;
    if decimals > MAX_DECIMALS {
        return Err(argument(format_args!("{decimals} decimals, at most {MAX_DECIMALS}")));
    }
    let (negative, digits) = rounded(text.trim(), decimals).ok_or_else(|| value("the value is no decimal number"))?;
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let is_zero = digits.bytes().all(|digit| digit == b'0');
    let mut shown = String::from(if negative && !is_zero { "-" } else { "" });
    for (place, digit) in whole.char_indices() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            shown.push_str(&thousands);
        }
        shown.push(digit);
    }
    if decimals > 0 {
        shown.push_str(&point);
        shown.push_str(fraction);
    }
    Ok(shown)
}

/// The sign of a decimal number and its digits without the point, `decimals` of them behind it.
fn rounded(text: &str, decimals: usize) -> Option<(bool, String)> {
    let (negative, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > MAX_NUMBER || whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(decimals).collect();
    let whole = if whole.is_empty() { "0" } else { whole };
    let mut digits: Vec<u8> = format!("{whole}{kept}").into_bytes();
    if fraction.as_bytes().get(decimals).is_some_and(|next| *next >= b'5') {
        carry(&mut digits);
    }
    String::from_utf8(digits).ok().map(|digits| (negative, digits))
}

fn carry(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

/// `{{ title | truncate(40) }}`: at most so many characters, the ending included, which shows that something was left out.
fn truncate(
    text: Cow<'_, str>,
    characters: Option<Value>,
    ending: Option<Value>,
    names: Kwargs,
) -> Result<String, Error> {
    let characters: Option<usize> = given(characters, &names, "characters")?;
    let ending: String = given(ending, &names, "ending")?.unwrap_or_else(|| "…".to_owned());
    names.assert_all_used()?;
    let characters = characters.ok_or_else(|| argument("a number of characters is needed, as in truncate(40)"))?;
    let room = characters.checked_sub(ending.chars().count());
    let room = room.ok_or_else(|| argument("the ending is longer than what may be left"))?;
    if text.chars().count() <= characters {
        return Ok(text.into_owned());
    }
    let kept: String = text.chars().take(room).collect();
    Ok(kept.trim_end().to_owned() + &ending)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::refusal::{RenderError, TemplateError};
    use super::super::template::Template;
    use proptest::prelude::*;

    fn render(text: &str, value: &str) -> Result<String, RenderError> {
        let vars = BTreeMap::from([("v".to_owned(), value.to_owned())]);
        Template::compile(text).unwrap().render(&vars)
    }

    #[test]
    fn dates_are_shown_in_the_format_and_time_zone_of_the_text() {
        let cases = [
            ("{{ v | date('%d.%m.%Y') }}", "2026-12-01", "01.12.2026"),
            ("{{ v | date('%-d %B, %A') }}", " 2026-12-01 ", "1 December, Tuesday"),
            ("{{ v | date('%H:%M') }}", "2026-12-01T18:30:00Z", "18:30"),
            ("{{ v | date('%H:%M') }}", "2026-12-01T18:30:00+02:00", "18:30"),
            ("{{ v | date('%H:%M', 'Europe/Berlin') }}", "2026-12-01T18:30:00Z", "19:30"),
            ("{{ v | date('%H:%M', 'Europe/Berlin') }}", "2026-07-01T18:30:00Z", "20:30"),
            ("{{ v | date('%Y-%m-%d %H:%M', 'Pacific/Auckland') }}", "2026-12-31T18:30:00Z", "2027-01-01 07:30"),
            ("{{ v | date('%H:%M %Z', 'Europe/Berlin') }}", "2026-12-01 18:30", "18:30 CET"),
        ];
        for (text, value, expected) in cases {
            assert_eq!(render(text, value).as_deref(), Ok(expected), "{text} of {value}");
        }
    }

    #[test]
    fn numbers_are_rounded_digit_by_digit_and_thousands_set_apart() {
        let cases = [
            ("{{ v | number }}", "1234567.5", "1,234,568"),
            ("{{ v | number(2) }}", "1234.5", "1,234.50"),
            ("{{ v | number(2) }}", "1.005", "1.01"),
            ("{{ v | number(2) }}", "-0.004", "0.00"),
            ("{{ v | number(2) }}", "-999.995", "-1,000.00"),
            ("{{ v | number(2, '.', ',') }}", "1234.5", "1.234,50"),
            ("{{ v | number(0, ' ') }}", "0012345678901234567890123", "12 345 678 901 234 567 890 123"),
            ("{{ v | number(thousands='') }}", "1000", "1000"),
        ];
        for (text, value, expected) in cases {
            assert_eq!(render(text, value).as_deref(), Ok(expected), "{text} of {value}");
        }
    }

    #[test]
    fn long_texts_are_cut_with_a_sign_of_it() {
        assert_eq!(render("{{ v | truncate(8) }}", "Einführung").unwrap(), "Einführ…");
        assert_eq!(render("{{ v | truncate(10) }}", "Einführung").unwrap(), "Einführung");
        assert_eq!(render("{{ v | truncate(9, '...') }}", "Hello everybody").unwrap(), "Hello...");
    }

    #[test]
    fn a_value_that_is_no_date_or_number_fails_that_recipient_without_showing_it() {
        let hopeless =
            [("{{ v | date('%d') }}", "tomorrow"), ("{{ v | number }}", "12 secret"), ("{{ v | number }}", "1e9")];
        for (text, value) in hopeless {
            let Err(RenderError::Failed(words)) = render(text, value) else { panic!("{text} of {value}") };
            assert!(words.starts_with("line 1, column ") && !words.contains(value), "{words}");
        }
        assert!(matches!(render("{{ v | date('%H:%M') }}", "2026-12-01"), Err(RenderError::Failed(_))));
        let elsewhere = "2026-12-01T18:30[America/New_York]";
        assert!(matches!(render("{{ v | date('%H:%M', 'Europe/Berlin') }}", elsewhere), Err(RenderError::Failed(_))));
    }

    #[test]
    fn a_missing_variable_is_missed_by_every_filter() {
        for text in ["{{ w | date('%d') }}", "{{ w | number(2) }}", "{{ w | truncate(9) }}"] {
            assert_eq!(render(text, "1"), Err(RenderError::MissingVariables(vec!["w".to_owned()])), "{text}");
        }
        assert_eq!(render("{{ w | default('5') | number(1) }}", "1").as_deref(), Ok("5.0"));
    }

    #[test]
    fn arguments_that_fit_no_value_refuse_the_text() {
        for text in [
            "{{ v | date('%E') }}",
            "{{ v | date('%H', 'Europe/Berln') }}",
            "{{ v | date }}",
            "{{ v | number(13) }}",
            "{{ v | truncate(1, 'more') }}",
            "{{ v | number(decimals='two') }}",
            "{{ v | number(digits=2) }}",
            "{{ v | number('two') }}",
            "{{ v | number(-1) }}",
            "{{ v | truncate('x') }}",
            "{{ v | truncate }}",
        ] {
            let Err(TemplateError::Refused { remedy, .. }) = Template::compile(text) else { panic!("{text}") };
            assert_eq!(remedy, "check the values between the brackets", "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_rounded_number_is_within_half_of_its_last_place(cents in -10_000_000_i64..10_000_000) {
            let sign = if cents < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:03}", cents.abs() / 1_000, cents.abs() % 1_000);
            let shown = render("{{ v | number(2, '') }}", &text).unwrap();
            let shown: i64 = shown.replace('.', "").parse().unwrap();
            prop_assert!((shown * 10 - cents).abs() <= 5, "{text} became {shown}");
        }
    }
}
