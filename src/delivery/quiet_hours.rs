//! Quiet hours: when nobody is messaged, by the clock on somebody's wall.
//!
//! The time zones are those of a database that is built in: every process of one version knows the same ones, whatever
//! its image or machine holds, and knows them without reading a file.

use std::sync::LazyLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use super::time::{Span, Timestamp};
use crate::api::quiet_period::{MAX_DAYS, MAX_QUIET_PERIODS, QuietPeriod};

/// The variable of an audience row that says by which clock its recipient lives.
pub const TIME_ZONE: &str = "time_zone";

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const MINUTES_OF_A_DAY: usize = 24 * 60;
const MINUTES_OF_A_WEEK: usize = 7 * MINUTES_OF_A_DAY;
/// A period lasts a day at most, and a change of the clocks moves its ends by a day at most (Samoa has left one out): one
/// that has not ended started on one of so many days before, or on the day after where midnight came twice.
const DAYS_BACK: i8 = 2;
/// Every period starts once a week, a change of the clocks aside.
const DAYS_AHEAD: i8 = 9;
/// So many periods may follow each other without a gap: in one zone a week is never full, so those of two weeks are enough;
/// periods of several zones may leave no gap ever, and the answer is then looked for again at the end of these.
const LONGEST_CHAIN: usize = 2 * MAX_QUIET_PERIODS * MAX_DAYS;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

/// A name that is in no time zone database.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no time zone `{0}`")]
pub struct UnknownZone(String);

impl Zone {
    /// The zone of a name of the IANA database, in whatever case.
    pub fn named(name: &str) -> Option<Zone> {
        DATABASE.get(name).ok().filter(|zone| !zone.is_unknown()).map(Zone)
    }

    /// Its name as the database writes it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or_default()
    }

    /// The day on its calendars.
    fn date(&self, at: Timestamp) -> Option<Date> {
        let at = jiff::Timestamp::from_nanosecond(i128::from(at.0)).ok()?;
        Some(self.0.to_datetime(at).date())
    }

    /// The first instant at which its clocks have come to `time`.
    fn first(&self, time: DateTime) -> Option<Timestamp> {
        match self.0.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant(time, offset),
            AmbiguousOffset::Fold { before, .. } => instant(time, before),
            AmbiguousOffset::Gap { after, .. } => self.leap(time, after),
        }
    }

    /// The instant from which on its clocks are never before `time` again.
    fn last(&self, time: DateTime) -> Option<Timestamp> {
        match self.0.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant(time, offset),
            AmbiguousOffset::Fold { after, .. } => instant(time, after),
            AmbiguousOffset::Gap { after, .. } => self.leap(time, after),
        }
    }

    /// When its clocks leap over `time`: with the offset of after the leap it would have been before it.
    fn leap(&self, time: DateTime, after: Offset) -> Option<Timestamp> {
        let before = after.to_timestamp(time).ok()?;
        Some(nanoseconds(self.0.following(before).next()?.timestamp()))
    }
}

fn instant(time: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(time).ok().map(nanoseconds)
}

fn nanoseconds(at: jiff::Timestamp) -> Timestamp {
    Timestamp(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX))
}

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    fn try_from(name: String) -> Result<Zone, UnknownZone> {
        Zone::named(&name).ok_or(UnknownZone(name))
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name().to_owned()
    }
}

/// What is wrong with quiet hours, with the path of the field and the remedy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QuietHoursError {
    #[error(
        "spec.schedule.quietHours[{index}].timeZone: there is no time zone `{name}`; name one of the IANA database, such as Europe/Berlin"
    )]
    UnknownZone { index: usize, name: String },
    #[error("spec.schedule.quietHours[{index}].{member}: `{text}` is no time of day; write one such as \"21:00\"")]
    NoTime { index: usize, member: &'static str, text: String },
    #[error("spec.schedule.quietHours: they leave no time of the week to send in; shorten or remove one of them")]
    NeverOpen,
}

impl QuietHoursError {
    /// The path of the field.
    pub fn field(&self) -> String {
        match self {
            QuietHoursError::UnknownZone { index, .. } => format!("spec.schedule.quietHours[{index}].timeZone"),
            QuietHoursError::NoTime { index, member, .. } => format!("spec.schedule.quietHours[{index}].{member}"),
            QuietHoursError::NeverOpen => "spec.schedule.quietHours".to_owned(),
        }
    }
}

/// One period as it is judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Period {
    /// On which days it starts, Monday first.
    days: [bool; MAX_DAYS],
    /// Minutes after midnight.
    start: u16,
    /// Where it is not after `start`, of the following day.
    end: u16,
    zone: Zone,
}

impl Period {
    fn of(index: usize, period: &QuietPeriod) -> Result<Period, QuietHoursError> {
        let time = |member: &'static str, text: &str| {
            minutes(text).ok_or_else(|| QuietHoursError::NoTime { index, member, text: text.to_owned() })
        };
        let mut days = [period.days.is_none(); MAX_DAYS];
        for day in period.days.iter().flatten() {
            days[*day as usize] = true;
        }
        let zone = Zone::named(&period.time_zone);
        let zone = zone.ok_or_else(|| QuietHoursError::UnknownZone { index, name: period.time_zone.clone() })?;
        Ok(Period { days, start: time("start", &period.start)?, end: time("end", &period.end)?, zone })
    }

    fn lasts_over_midnight(&self) -> bool {
        self.end <= self.start
    }

    /// From when to when it lasts that starts on this day; `None` when none does.
    fn of_day(&self, day: Date, zone: &Zone) -> Option<(Timestamp, Timestamp)> {
        if !self.days[usize::from(day.weekday().to_monday_zero_offset().unsigned_abs())] {
            return None;
        }
        let last_day = if self.lasts_over_midnight() { day.tomorrow().ok()? } else { day };
        let start = zone.first(at_minute(day, self.start))?;
        let end = zone.last(at_minute(last_day, self.end))?;
        (start < end).then_some((start, end))
    }

    /// The end of the one that lasts at an instant; the latest, where one begins before another has ended.
    fn ends(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        let of_days = days(zone, at, -DAYS_BACK, 1).filter_map(|day| self.of_day(day, zone));
        of_days.filter(|(start, end)| *start <= at && at < *end).map(|(_, end)| end).max()
    }

    /// The start of the first that starts after an instant.
    fn starts(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        let of_days = days(zone, at, -1, DAYS_AHEAD).filter_map(|day| self.of_day(day, zone));
        of_days.map(|(start, _)| start).find(|start| *start > at)
    }
}

/// The days around that of an instant.
fn days(zone: &Zone, at: Timestamp, from: i8, to: i8) -> impl Iterator<Item = Date> + use<> {
    let today = zone.date(at);
    (from..=to).filter_map(move |days| today?.checked_add(jiff::Span::new().days(days)).ok())
}

fn at_minute(day: Date, minute: u16) -> DateTime {
    day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0)
}

/// `21:00` as minutes after midnight.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// When nobody is messaged: the periods of a broadcast, none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuietHours(Vec<Period>);

/// Whether somebody may be messaged at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    Open {
        /// When it is quiet next; [`Timestamp::NEVER`] without quiet hours.
        closes: Timestamp,
    },
    Quiet {
        /// When it is quiet no more.
        until: Timestamp,
    },
}

impl QuietHours {
    /// The quiet hours that a schedule asks for.
    ///
    /// # Errors
    /// A time zone that does not exist, and periods that leave nothing of the week.
    pub fn of(periods: &[QuietPeriod]) -> Result<QuietHours, QuietHoursError> {
        let periods = periods.iter().enumerate().map(|(index, period)| Period::of(index, period));
        let periods = periods.collect::<Result<Vec<Period>, _>>()?;
        if leave_nothing(&periods) { Err(QuietHoursError::NeverOpen) } else { Ok(QuietHours(periods)) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody may be messaged at this instant: by the clocks of their `own` zone, or of each period's.
    pub fn at(&self, own: Option<&Zone>, at: Timestamp) -> Hours {
        let until = self.quiet_until(own, at);
        if until > at {
            return Hours::Quiet { until };
        }
        let starts = self.0.iter().filter_map(|period| period.starts(own.unwrap_or(&period.zone), at));
        Hours::Open { closes: starts.min().unwrap_or(Timestamp::NEVER) }
    }

    /// The same for something that takes this long: it is quiet where it becomes so meanwhile.
    pub fn for_so_long(&self, own: Option<&Zone>, at: Timestamp, long: Span) -> Hours {
        match self.at(own, at) {
            Hours::Open { closes } if closes < at + long => Hours::Quiet { until: self.quiet_until(own, closes) },
            hours => hours,
        }
    }

    /// When the periods that last at an instant, and those that follow them without a gap, have ended.
    fn quiet_until(&self, own: Option<&Zone>, at: Timestamp) -> Timestamp {
        let mut until = at;
        for _ in 0..LONGEST_CHAIN {
            let ends = self.0.iter().filter_map(|period| period.ends(own.unwrap_or(&period.zone), until));
            match ends.max() {
                Some(end) => until = end,
                None => break,
            }
        }
        until
    }
}

/// Whether no minute of a week is left, by one clock.
fn leave_nothing(periods: &[Period]) -> bool {
    let mut quiet = vec![false; MINUTES_OF_A_WEEK];
    for period in periods {
        let (start, end) = (usize::from(period.start), usize::from(period.end));
        let end = if period.lasts_over_midnight() { end + MINUTES_OF_A_DAY } else { end };
        for (day, _) in period.days.iter().enumerate().filter(|(_, starts)| **starts) {
            for minute in start..end {
                quiet[(day * MINUTES_OF_A_DAY + minute) % MINUTES_OF_A_WEEK] = true;
            }
        }
    }
    quiet.into_iter().all(|quiet| quiet)
}

#[cfg(test)]
#[path = "quiet_hours_tests.rs"]
mod tests;
