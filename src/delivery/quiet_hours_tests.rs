//! Quiet hours against the clocks of many zones, over every kind of change of the clocks.

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;
use crate::api::Weekday;

const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// Without changes, with some in both halves of the year, by half an hour, at midnight, over a whole day, in winter.
const ZONES: [&str; 9] = [
    "UTC",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Cairo",
    "Pacific/Apia",
    "Africa/Casablanca",
];

fn period(days: &[Weekday], start: &str, end: &str, zone: &str) -> QuietPeriod {
    QuietPeriod {
        days: (!days.is_empty()).then(|| days.to_vec()),
        start: start.into(),
        end: end.into(),
        time_zone: zone.into(),
    }
}

fn every_day(start: &str, end: &str, zone: &str) -> QuietHours {
    QuietHours::of(&[period(&[], start, end, zone)]).unwrap()
}

fn at(text: &str) -> Timestamp {
    nanoseconds(text.parse().unwrap())
}

fn quiet(until: &str) -> Hours {
    Hours::Quiet { until: at(until) }
}

fn open(closes: &str) -> Hours {
    Hours::Open { closes: at(closes) }
}

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap()
}

#[test]
fn a_period_lasts_from_its_start_to_the_minute_of_its_end() {
    let day = every_day("12:00", "13:30", "UTC");
    let cases = [
        ("2026-06-01T11:59:59.999999999Z", open("2026-06-01T12:00:00Z")),
        ("2026-06-01T12:00:00Z", quiet("2026-06-01T13:30:00Z")),
        ("2026-06-01T13:29:59.999999999Z", quiet("2026-06-01T13:30:00Z")),
        ("2026-06-01T13:30:00Z", open("2026-06-02T12:00:00Z")),
    ];
    for (now, expected) in cases {
        assert_eq!(day.at(None, at(now)), expected, "{now}");
    }
}

#[test]
fn the_days_are_those_on_which_a_period_starts() {
    // 2026-06-05 is a Friday.
    let weekend = QuietHours::of(&[period(&[Weekday::Fri], "21:00", "08:00", "UTC")]).unwrap();
    let cases = [
        ("2026-06-05T07:00:00Z", open("2026-06-05T21:00:00Z")),
        ("2026-06-05T21:00:00Z", quiet("2026-06-06T08:00:00Z")),
        ("2026-06-06T07:00:00Z", quiet("2026-06-06T08:00:00Z")),
        ("2026-06-06T22:00:00Z", open("2026-06-12T21:00:00Z")),
    ];
    for (now, expected) in cases {
        assert_eq!(weekend.at(None, at(now)), expected, "{now}");
    }
}

#[test]
fn a_period_that_ends_when_it_starts_lasts_a_whole_day_and_periods_that_meet_are_one() {
    let weekend = QuietHours::of(&[period(&[Weekday::Sat, Weekday::Sun], "00:00", "00:00", "UTC")]).unwrap();
    assert_eq!(weekend.at(None, at("2026-06-06T00:00:00Z")), quiet("2026-06-08T00:00:00Z"));
    assert_eq!(weekend.at(None, at("2026-06-05T23:59:59Z")), open("2026-06-06T00:00:00Z"));
    let nights = QuietHours::of(&[
        period(&[], "20:00", "23:00", "UTC"),
        period(&[], "22:00", "02:00", "UTC"),
        period(&[], "02:00", "06:00", "UTC"),
    ]);
    assert_eq!(nights.unwrap().at(None, at("2026-06-06T20:30:00Z")), quiet("2026-06-07T06:00:00Z"));
}

#[test]
fn a_night_is_an_hour_shorter_when_the_clocks_go_forward_and_an_hour_longer_when_they_go_back() {
    let night = every_day("21:00", "08:00", "Europe/Berlin");
    assert_eq!(night.at(None, at("2026-03-28T20:00:00Z")), quiet("2026-03-29T06:00:00Z"));
    assert_eq!(night.at(None, at("2026-10-24T19:00:00Z")), quiet("2026-10-25T07:00:00Z"));
    assert_eq!(night.at(None, at("2026-03-29T06:00:00Z")), open("2026-03-29T19:00:00Z"));
    assert_eq!(night.at(None, at("2026-10-25T07:00:00Z")), open("2026-10-25T20:00:00Z"));
}

#[test]
fn an_end_or_a_start_that_the_clocks_leap_over_is_the_leap() {
    // 02:00 to 03:00 on the 29th of March 2026 is not shown.
    let cases = [
        (every_day("02:30", "05:00", "Europe/Berlin"), "2026-03-29T00:59:59Z", open("2026-03-29T01:00:00Z")),
        (every_day("02:30", "05:00", "Europe/Berlin"), "2026-03-29T01:00:00Z", quiet("2026-03-29T03:00:00Z")),
        (every_day("22:00", "02:30", "Europe/Berlin"), "2026-03-28T21:00:00Z", quiet("2026-03-29T01:00:00Z")),
        (every_day("02:10", "02:40", "Europe/Berlin"), "2026-03-29T01:00:00Z", open("2026-03-30T00:10:00Z")),
        // The 30th of December 2011 is not there at all.
        (every_day("10:00", "12:00", "Pacific/Apia"), "2011-12-29T22:00:00Z", open("2011-12-30T20:00:00Z")),
        (every_day("22:00", "08:00", "Pacific/Apia"), "2011-12-30T08:00:00Z", quiet("2011-12-30T18:00:00Z")),
    ];
    for (hours, now, expected) in cases {
        assert_eq!(hours.at(None, at(now)), expected, "{hours:?} at {now}");
    }
}

#[test]
fn of_an_hour_that_comes_twice_the_first_starts_a_period_and_the_second_ends_it() {
    // 02:00 to 03:00 on the 25th of October 2026 is shown twice.
    let cases = [
        (every_day("02:30", "05:00", "Europe/Berlin"), "2026-10-25T00:29:59Z", open("2026-10-25T00:30:00Z")),
        (every_day("02:30", "05:00", "Europe/Berlin"), "2026-10-25T01:10:00Z", quiet("2026-10-25T04:00:00Z")),
        (every_day("22:00", "02:30", "Europe/Berlin"), "2026-10-25T00:45:00Z", quiet("2026-10-25T01:30:00Z")),
        (every_day("02:10", "02:20", "Europe/Berlin"), "2026-10-25T00:10:00Z", quiet("2026-10-25T01:20:00Z")),
    ];
    for (hours, now, expected) in cases {
        assert_eq!(hours.at(None, at(now)), expected, "{hours:?} at {now}");
    }
}

#[test]
fn an_own_zone_stands_in_place_of_every_periods() {
    let hours = QuietHours::of(&[
        period(&[], "21:00", "08:00", "Europe/Berlin"),
        period(&[], "12:00", "13:00", "America/New_York"),
    ])
    .unwrap();
    let tokyo = zone("Asia/Tokyo");
    assert_eq!(hours.at(Some(&tokyo), at("2026-06-01T03:00:00Z")), quiet("2026-06-01T04:00:00Z"));
    assert_eq!(hours.at(Some(&tokyo), at("2026-06-01T19:30:00Z")), quiet("2026-06-01T23:00:00Z"));
    assert_eq!(hours.at(None, at("2026-06-01T16:30:00Z")), quiet("2026-06-01T17:00:00Z"));
}

#[test]
fn what_would_reach_into_a_period_belongs_to_it() {
    let hours = every_day("12:00", "13:00", "UTC");
    let long = Span::from_millis(20);
    assert_eq!(hours.for_so_long(None, at("2026-06-01T11:59:59.980Z"), long), open("2026-06-01T12:00:00Z"));
    assert_eq!(hours.for_so_long(None, at("2026-06-01T11:59:59.981Z"), long), quiet("2026-06-01T13:00:00Z"));
}

#[test]
fn without_periods_it_is_never_quiet() {
    let hours = QuietHours::default();
    assert_eq!(hours.at(Some(&zone("UTC")), at("2026-06-01T12:00:00Z")), Hours::Open { closes: Timestamp::NEVER });
}

#[test]
fn what_cannot_be_judged_is_refused_with_its_field() {
    let cases = [
        (
            vec![period(&[], "21:00", "08:00", "UTC"), period(&[], "1:00", "2:00", "Mars/Olympus")],
            "spec.schedule.quietHours[1].timeZone",
        ),
        (vec![period(&[], "24:00", "08:00", "UTC")], "spec.schedule.quietHours[0].start"),
        (vec![period(&[], "21:00", "8", "UTC")], "spec.schedule.quietHours[0].end"),
        (vec![period(&[], "00:00", "00:00", "UTC")], "spec.schedule.quietHours"),
        (
            vec![period(&[], "08:00", "20:00", "UTC"), period(&WEEK, "20:00", "08:00", "UTC")],
            "spec.schedule.quietHours",
        ),
    ];
    for (periods, field) in cases {
        let error = QuietHours::of(&periods).unwrap_err();
        assert_eq!(error.field(), field);
        assert!(error.to_string().starts_with(field), "{error}");
    }
}

#[test]
fn periods_of_two_zones_that_leave_nothing_are_looked_at_again_and_not_for_ever() {
    let hours =
        QuietHours::of(&[period(&[], "00:00", "12:00", "UTC"), period(&[], "00:00", "12:00", "Etc/GMT-12")]).unwrap();
    let now = at("2026-06-01T12:00:00Z");
    let Hours::Quiet { until } = hours.at(None, now) else { panic!("it is open") };
    assert!(until > now + Span::from_secs(7 * 86_400));
}

#[test]
fn quiet_hours_come_back_as_they_were_written_down() {
    let hours = QuietHours::of(&[period(&[Weekday::Sun], "21:00", "08:00", "europe/berlin")]).unwrap();
    let text = serde_json::to_string(&hours).unwrap();
    assert!(text.contains("\"Europe/Berlin\""), "{text}");
    assert_eq!(serde_json::from_str::<QuietHours>(&text).unwrap(), hours);
    assert!(serde_json::from_str::<QuietHours>(&text.replace("Berlin", "Nowhere")).is_err());
}

/// Whether the clock shows a time of the period: the rule in a reader's words, without instants.
fn clock_shows(period: &Period, zone: &Zone, now: Timestamp) -> bool {
    let shown = zone.0.to_datetime(jiff::Timestamp::from_nanosecond(i128::from(now.0)).unwrap());
    let starts_on = |day: Date| period.days[day.weekday().to_monday_zero_offset() as usize];
    let minute = shown.hour() as u16 * 60 + shown.minute() as u16;
    let (today, yesterday) = (shown.date(), shown.date().yesterday().unwrap());
    if period.lasts_over_midnight() {
        (starts_on(today) && minute >= period.start) || (starts_on(yesterday) && minute < period.end)
    } else {
        starts_on(today) && period.start <= minute && minute < period.end
    }
}

fn periods() -> impl Strategy<Value = Vec<QuietPeriod>> {
    let time = || (0..24_u16, prop::sample::select(vec![0_u16, 1, 15, 30, 45, 59]));
    let one = (prop::sample::subsequence(WEEK.to_vec(), 1..=7), time(), time(), prop::sample::select(ZONES.to_vec()));
    let one = one.prop_map(|(days, (from, past), (to, past_to), zone)| {
        period(&days, &format!("{from:02}:{past:02}"), &format!("{to:02}:{past_to:02}"), zone)
    });
    prop::collection::vec(one, 1..4)
}

/// Any time of eleven years with the year Samoa lost a day, half of them within a day of a change of the clocks.
fn instants() -> impl Strategy<Value = (Zone, Timestamp)> {
    let from = at("2010-01-01T00:00:00Z").0;
    let to = at("2027-01-01T00:00:00Z").0;
    let near = -90_000_i64..90_000;
    (prop::sample::select(ZONES.to_vec()), from..to, near, any::<bool>()).prop_map(move |(name, any, near, is_near)| {
        let zone = zone(name);
        let start = jiff::Timestamp::from_nanosecond(i128::from(any)).unwrap();
        let change = zone.0.following(start).next().map(|change| nanoseconds(change.timestamp()));
        let instant = match change.filter(|change| is_near && change.0 < to) {
            Some(change) => change + Span::from_secs(near),
            None => Timestamp(any),
        };
        (zone, instant)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_instant_whose_clock_shows_a_quiet_time_is_called_open(periods in periods(), (zone, now) in instants()) {
        let Ok(hours) = QuietHours::of(&periods) else { return Ok(()) };
        for own in [Some(&zone), None] {
            let shows = hours.0.iter().any(|period| clock_shows(period, own.unwrap_or(&period.zone), now));
            if shows {
                prop_assert!(matches!(hours.at(own, now), Hours::Quiet { .. }), "{periods:?}");
            }
        }
    }

    #[test]
    fn open_and_quiet_end_when_they_say(periods in periods(), (zone, now) in instants(), part in 0.0..1.0) {
        let Ok(hours) = QuietHours::of(&periods) else { return Ok(()) };
        let between = |end: Timestamp| now + Span(((end - now).0 as f64 * part) as i64);
        match hours.at(Some(&zone), now) {
            Hours::Open { closes } => {
                prop_assert!(closes > now && closes < now + Span::from_secs(10 * 86_400));
                prop_assert_eq!(hours.at(Some(&zone), between(closes - Span(1))), Hours::Open { closes });
                let is_quiet = matches!(hours.at(Some(&zone), closes), Hours::Quiet { .. });
                prop_assert!(is_quiet);
            }
            Hours::Quiet { until } => {
                prop_assert!(until > now);
                prop_assert_eq!(hours.at(Some(&zone), between(until - Span(1))), Hours::Quiet { until });
                let is_open = matches!(hours.at(Some(&zone), until), Hours::Open { .. });
                prop_assert!(is_open);
            }
        }
    }

    #[test]
    fn where_the_clocks_never_change_it_is_quiet_only_when_they_show_it(periods in periods(), (_, now) in instants()) {
        let Ok(hours) = QuietHours::of(&periods) else { return Ok(()) };
        let utc = zone("UTC");
        let shows = hours.0.iter().any(|period| clock_shows(period, &utc, now));
        prop_assert_eq!(matches!(hours.at(Some(&utc), now), Hours::Quiet { .. }), shows);
    }
}

#[test]
fn the_zones_of_these_tests_change_their_clocks_as_they_say() {
    let shown: DateTime = "2026-03-29T02:30".parse().unwrap();
    let is_gap = matches!(zone("Europe/Berlin").0.to_ambiguous_timestamp(shown).offset(), AmbiguousOffset::Gap { .. });
    assert!(is_gap);
    let lost: DateTime = "2011-12-30T12:00".parse().unwrap();
    let is_gap = matches!(zone("Pacific/Apia").0.to_ambiguous_timestamp(lost).offset(), AmbiguousOffset::Gap { .. });
    assert!(is_gap);
}
