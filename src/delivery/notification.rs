//! What a broadcast has to tell: each change of how it stands once, whoever sees it first.

use serde::{Deserialize, Serialize};

use super::backoff::RetryPolicy;
use super::gate::Closed;
use super::outcome::plain;
use super::time::{Span, Timestamp};
use crate::api::notification::NotificationEvent;

/// So often a broadcast tells that it is suspended, stalled or finished; whoever pauses it more often than that is told no
/// more.
pub const MAX_OCCURRENCES: u32 = 100;
/// The longest message of an event, in characters: a few sentences.
pub const MAX_MESSAGE: usize = 1_024;
/// So long an event is tried: an endpoint may be down over a weekend.
pub const GIVE_UP_AFTER: Span = Span::from_secs(3 * 24 * 3_600);
/// An event of which nobody could tell anything for so long, since no sender starts or each ends over it, is given up, and no
/// sender is started for it any more. Longer than an event is tried, with the wait before its last try.
pub const FORGOTTEN_AFTER: Span = Span::from_secs(4 * 24 * 3_600);
/// What the wait before the second try is drawn from, doubled with each further one.
pub const FIRST_BACKOFF: Span = Span::from_secs(5);
/// What the doubling ends at: an endpoint that is back is told within some hours, by a dozen pods a day at most.
pub const LONGEST_BACKOFF: Span = Span::from_secs(6 * 3_600);

/// The wait before the next try after `earlier` failures: full jitter.
pub fn wait(earlier: u32, seed: u64) -> Span {
    let policy = RetryPolicy { initial_backoff: FIRST_BACKOFF, max_backoff: LONGEST_BACKOFF, ..RetryPolicy::default() };
    policy.wait(earlier, seed)
}

/// Whether an event that happened then is tried no more.
pub fn is_given_up(happened_at: Timestamp, now: Timestamp) -> bool {
    now >= happened_at + GIVE_UP_AFTER
}

/// Why a broadcast stands as it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// CamelCase, as in the status.
    pub reason: String,
    /// For people; may be empty.
    pub message: String,
}

impl Cause {
    pub fn new(reason: &str, message: &str) -> Cause {
        Cause { reason: reason.to_owned(), message: plain(message, MAX_MESSAGE) }
    }
}

/// What somebody who looks at a broadcast sees of one side of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    Is(Cause),
    IsNot,
    /// Not all is seen from there: what was told stands.
    Unseen,
}

impl From<Option<Cause>> for Sight {
    fn from(cause: Option<Cause>) -> Sight {
        cause.map_or(Sight::IsNot, Sight::Is)
    }
}

/// How a broadcast stands, as far as whoever looks can see. The words are those of the status: `suspended` is the condition
/// Suspended, `stalled` Stalled, `finished` Finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub started: bool,
    pub suspended: Sight,
    pub stalled: Sight,
    pub finished: Sight,
}

impl Standing {
    /// What a transaction sees that has the broadcast's own row and nothing else. That a hold is over is not seen from there:
    /// credentials that were refused are tried again and again, with the gate open meanwhile.
    pub fn in_transaction(started: bool, closed: Option<Closed>, words: &str, finished: Option<&str>) -> Standing {
        let held = |of: fn(Closed) -> bool| match closed.filter(|closed| of(*closed)) {
            Some(closed) => Sight::Is(Cause::new(closed.as_str(), if closed.needs_person() { words } else { "" })),
            None => Sight::Unseen,
        };
        Standing {
            started,
            suspended: held(|closed| closed == Closed::Suspended || closed.needs_person()),
            stalled: held(Closed::needs_person),
            finished: finished.map(|reason| Cause::new(reason, "")).into(),
        }
    }
}

/// One event to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    pub event: NotificationEvent,
    /// Which one of its kind: of batches their index, otherwise from 1 on.
    pub occurrence: i64,
    pub cause: Option<Cause>,
}

/// What a broadcast has told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    started: bool,
    suspended: Thread,
    stalled: Thread,
    finished: Thread,
    /// Endpoints that have said that they are gone, by name and digest of their URL. Another URL is another endpoint.
    gone: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Thread {
    /// The reason it stands for now.
    reason: Option<String>,
    occurred: u32,
}

impl Thread {
    /// `follows` tells another reason too; otherwise only that it is so again after it was not.
    fn step(&mut self, sight: &Sight, event: NotificationEvent, follows: bool) -> Option<Occasion> {
        let cause = match sight {
            Sight::Unseen => return None,
            Sight::IsNot => {
                self.reason = None;
                return None;
            }
            Sight::Is(cause) => cause,
        };
        let before = self.reason.replace(cause.reason.clone());
        if before.is_some_and(|before| !follows || before == cause.reason) || self.occurred >= MAX_OCCURRENCES {
            return None;
        }
        self.occurred += 1;
        Some(Occasion { event, occurrence: i64::from(self.occurred), cause: Some(cause.clone()) })
    }

    fn differs(&self, sight: &Sight, follows: bool) -> bool {
        match sight {
            Sight::Unseen => false,
            Sight::IsNot => self.reason.is_some(),
            Sight::Is(cause) => self.reason.as_ref().is_none_or(|reason| follows && *reason != cause.reason),
        }
    }
}

impl Told {
    /// Takes in how a broadcast stands now, and returns what is to be told of it.
    pub fn step(&mut self, standing: &Standing) -> Vec<Occasion> {
        let begins = standing.started && !self.started;
        let started =
            begins.then_some(Occasion { event: NotificationEvent::BroadcastStarted, occurrence: 1, cause: None });
        self.started |= standing.started;
        let threads = [
            self.suspended.step(&standing.suspended, NotificationEvent::BroadcastSuspended, true),
            self.stalled.step(&standing.stalled, NotificationEvent::BroadcastStalled, true),
            self.finished.step(&standing.finished, NotificationEvent::BroadcastFinished, false),
        ];
        started.into_iter().chain(threads.into_iter().flatten()).collect()
    }

    /// Whether a step would change anything.
    pub fn differs(&self, standing: &Standing) -> bool {
        (standing.started && !self.started)
            || self.suspended.differs(&standing.suspended, true)
            || self.stalled.differs(&standing.stalled, true)
            || self.finished.differs(&standing.finished, false)
    }

    /// Nothing more is told to this endpoint at this URL.
    pub fn end_endpoint(&mut self, name: &str, url_digest: &str) {
        if !self.is_gone(name, url_digest) {
            self.gone.push((name.to_owned(), url_digest.to_owned()));
        }
    }

    pub fn is_gone(&self, name: &str, url_digest: &str) -> bool {
        self.gone.iter().any(|(gone, url)| gone == name && url == url_digest)
    }

    /// Forgets endpoints that are named no more: the list stays as short as that of the endpoints.
    pub fn keep_endpoints(&mut self, is_named: impl Fn(&str, &str) -> bool) {
        self.gone.retain(|(name, url)| is_named(name, url));
    }
}

#[cfg(test)]
#[path = "notification_tests.rs"]
mod tests;
