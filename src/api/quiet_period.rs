//! A period of the week in which nobody is messaged.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The most periods of a broadcast: one for each day of the week and one more; every exchange judges them all.
pub const MAX_QUIET_PERIODS: usize = 8;
/// The longest name of a time zone, in characters: twice as long as the longest there is.
pub const MAX_TIME_ZONE: usize = 64;
/// The days of a week.
pub const MAX_DAYS: usize = 7;
/// A time of day on a clock of 24 hours.
const TIME_OF_DAY: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

/// A time of the day, on some days of the week, in which nobody is messaged. Where the clocks change it holds by what
/// they show: from the first moment they show `start` to the last before they show `end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuietPeriod {
    /// The days on which the period starts: `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat` or `Sun`; at
    /// least one. With
    /// `days: [Fri]`, `start: "21:00"` and `end: "08:00"` it lasts from Friday evening to Saturday morning. Default: every
    /// day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "days_schema")]
    pub days: Option<Vec<Weekday>>,
    /// When it starts, as the clock shows it: hours and minutes from `00:00` to `23:59`, in quotes. Required.
    #[schemars(length(min = 5, max = 5), regex(pattern = TIME_OF_DAY))]
    pub start: String,
    /// When it ends, in the same form; at this minute messages go on. Where it is not later than `start` it is on the
    /// following day, so that with both alike the period lasts a whole day. Required.
    #[schemars(length(min = 5, max = 5), regex(pattern = TIME_OF_DAY))]
    pub end: String,
    /// Whose clock, for recipients without a time zone of their own: a name of the IANA database such as `Europe/Berlin`
    /// or `UTC`, 1 to 64 characters. Which names there are is known to Herald and not to the API server: with one that
    /// does not exist nothing is sent (`QuietHoursInvalid`). Required.
    #[schemars(length(min = 1, max = MAX_TIME_ZONE))]
    pub time_zone: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

pub(super) fn list_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": QuietPeriod::json_schema(generator),
        "maxItems": MAX_QUIET_PERIODS,
        "x-kubernetes-list-type": "atomic",
    })
}

fn days_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": Weekday::json_schema(generator),
        "minItems": 1,
        "maxItems": MAX_DAYS,
        "x-kubernetes-list-type": "atomic",
    })
}
