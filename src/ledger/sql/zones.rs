//! The time zones of a broadcast's recipients, numbered, and where it is quiet.
//!
//! A plan keeps each zone that its recipients name once; a recipient carries its number. So an exchange judges each zone,
//! not each recipient.

use std::collections::HashMap;

use super::claim::Outlook;
use super::rows::{self, BroadcastRow};
use crate::delivery::quiet_hours::{Hours, QuietHours, Zone};
use crate::delivery::time::{Span, Timestamp};

/// The number of whoever has no time zone of their own.
const NONE: i64 = 0;

/// Numbers the zones of a plan in the order they come. There are as many as the time zone database has at most.
pub struct NumberedZones {
    names: Vec<String>,
    /// By what rows say, which may be one zone in several spellings.
    known: HashMap<String, i64>,
}

impl NumberedZones {
    pub fn of(names: &str) -> sqlx::Result<NumberedZones> {
        Ok(NumberedZones { names: rows::parsed(names)?, known: HashMap::new() })
    }

    /// The planner has refused names that do not exist; one that only another version knows is as good as none.
    pub fn number(&mut self, name: Option<&String>) -> i64 {
        let Some(name) = name else { return NONE };
        if let Some(number) = self.known.get(name) {
            return *number;
        }
        let number = Zone::named(name).map_or(NONE, |zone| self.enter(zone.name()));
        self.known.insert(name.clone(), number);
        number
    }

    fn enter(&mut self, name: &str) -> i64 {
        let place = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        place as i64 + 1
    }

    pub fn to_json(&self) -> sqlx::Result<String> {
        rows::json(&self.names)
    }
}

/// The zones of a broadcast with its quiet hours.
pub struct Zones {
    quiet_hours: QuietHours,
    /// From number 1 on.
    own: Vec<Option<Zone>>,
}

/// In which zones somebody may be messaged at an instant.
#[derive(Clone, Debug)]
pub struct ZonesNow {
    /// Their numbers.
    pub open: Vec<i64>,
    pub quiet: Vec<i64>,
    /// When each of the quiet ones opens, in the same order.
    opens: Vec<Timestamp>,
    /// When the first of the open ones becomes quiet.
    pub closes: Timestamp,
}

impl BroadcastRow {
    pub fn zones(&self) -> sqlx::Result<Zones> {
        let quiet_hours: QuietHours = rows::stored(self.quiet_hours.as_deref())?;
        let names: Vec<String> = rows::parsed(&self.plan_zones)?;
        // Without quiet hours it only matters how many there are.
        let zone = |name: &String| if quiet_hours.is_empty() { None } else { Zone::named(name) };
        Ok(Zones { own: names.iter().map(zone).collect(), quiet_hours })
    }
}

impl Zones {
    /// Where something that takes this long may be begun at an instant.
    pub fn at(&self, at: Timestamp, long: Span) -> ZonesNow {
        let mut now = ZonesNow { open: Vec::new(), quiet: Vec::new(), opens: Vec::new(), closes: Timestamp::NEVER };
        for (number, own) in (NONE..).zip(std::iter::once(None).chain(self.own.iter().map(Option::as_ref))) {
            match self.quiet_hours.for_so_long(own, at, long) {
                Hours::Open { closes } => {
                    now.open.push(number);
                    now.closes = now.closes.min(closes);
                }
                Hours::Quiet { until } => {
                    now.quiet.push(number);
                    now.opens.push(until);
                }
            }
        }
        now
    }

    /// From when on somebody may be messaged, at this instant at the earliest: a backoff may end where it is quiet everywhere.
    pub fn open_from(&self, at: Timestamp) -> Timestamp {
        let then = self.at(at, Span::ZERO);
        then.opens().filter(|_| then.open.is_empty()).unwrap_or(at)
    }
}

impl ZonesNow {
    /// When the first of the quiet zones opens.
    pub fn opens(&self) -> Option<Timestamp> {
        self.opens.iter().copied().min()
    }

    /// When the first of those who wait in quiet zones may be taken.
    pub fn opens_for(&self, outlook: &Outlook) -> Option<Timestamp> {
        let of_quiet = self.quiet.iter().zip(&self.opens).filter(|(zone, _)| outlook.waiting.contains(zone));
        of_quiet.map(|(_, opens)| *opens).min()
    }

    /// When the first of everybody who is pending may be taken.
    pub fn first_due(&self, outlook: &Outlook) -> Option<Timestamp> {
        outlook.due.into_iter().chain(self.opens_for(outlook)).min()
    }
}
