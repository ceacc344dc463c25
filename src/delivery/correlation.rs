//! The value that a provider is given with a message, and gives back with what it tells of it later.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One request of one attempt: `<broadcast>:<seq>:<attempt>:<part>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Correlation {
    /// The ledger's number of the broadcast.
    pub broadcast: i64,
    pub seq: i64,
    pub attempt: u32,
    pub part: u32,
}

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.broadcast, self.seq, self.attempt, self.part)
    }
}

/// Not a value that Herald gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no correlation value: it must be broadcast:seq:attempt:part")]
pub struct NoCorrelation;

impl FromStr for Correlation {
    type Err = NoCorrelation;

    /// Only what [`fmt::Display`] writes: one text for each value.
    fn from_str(text: &str) -> Result<Correlation, NoCorrelation> {
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or(NoCorrelation);
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0).ok_or(NoCorrelation);
        let small = |text: &str| text.parse::<u32>().map_err(|_| NoCorrelation);
        let found = Correlation {
            broadcast: number(next()?)?,
            seq: number(next()?)?,
            attempt: small(next()?)?,
            part: small(next()?)?,
        };
        if found.to_string() == text { Ok(found) } else { Err(NoCorrelation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_read_back() {
        let given = Correlation { broadcast: 7, seq: 42, attempt: 3, part: 0 };
        assert_eq!(given.to_string(), "7:42:3:0");
        assert_eq!("7:42:3:0".parse(), Ok(given));
    }

    #[test]
    fn what_others_write_is_none() {
        for text in
            ["", "7", "7:42:3", "7:42:3:0:1", "bm:7f3a:42:1", "-7:42:3:0", "7:+42:3:0", "07:42:3:0", "7:42:3: 0"]
        {
            assert_eq!(text.parse::<Correlation>(), Err(NoCorrelation), "{text:?}");
        }
    }
}
