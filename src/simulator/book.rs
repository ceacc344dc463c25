//! What the simulator remembers: counts, the sliding second, and how often each recipient was asked for and served.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decide::{Decision, hash};
use super::record::Delivery;
use super::settings::Quota;
use super::uploads::KeptFile;

/// The most deliveries and recipients that are told apart, so that memory stays below some 500 MB. What comes beyond
/// is answered and recorded, but not counted as a recipient, and the summary says so.
pub const MAX_TRACKED: usize = 8_000_000;

/// The most attachments that are kept; further ones have ids that stand for nothing.
const MAX_ATTACHMENTS_KEPT: usize = 10_000;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The answer of `GET /_simulator/summary`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Messages asked for, whatever became of them.
    pub requests: u64,
    /// Messages taken, answered or not.
    pub accepted: u64,
    /// Different recipients (of a page or path) with at least one message taken.
    pub recipients_accepted: u64,
    /// Deliveries (broadcast, recipient, part) taken more than once. Must be 0.
    pub accepted_twice: u64,
    /// Requests above the rate limit.
    pub throttled: u64,
    /// The most requests in any sliding second.
    pub worst_second: u64,
    /// Arrival of the first and the last request, in nanoseconds since the Unix epoch.
    pub first_time_ns: Option<u64>,
    pub last_time_ns: Option<u64>,
    /// Attachments that it was asked to keep, whatever became of them; no messages.
    #[serde(default)]
    pub uploads: u64,
    /// Requests of recipients beyond [`MAX_TRACKED`]; with more than 0 the other counts are lower bounds.
    pub untracked: u64,
}

/// Keys are hashes already.
#[derive(Default)]
struct KeyAsHash(u64);

impl Hasher for KeyAsHash {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are used");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type ByHash<T> = HashMap<u64, T, BuildHasherDefault<KeyAsHash>>;

#[derive(Clone, Copy, Default)]
struct Seen {
    requests: u32,
    accepted: u32,
}

/// The counts.
#[derive(Default)]
pub struct Book {
    summary: Summary,
    /// Arrivals within the last second: bounded by what one core can answer in a second.
    last_second: VecDeque<u64>,
    /// Arrivals within the window of the quota: bounded as the last second is, by the longest window.
    quota_window: VecDeque<u64>,
    deliveries: ByHash<Seen>,
    recipients_accepted: ByHash<()>,
    /// Kept attachments, by id.
    attachments: HashMap<String, KeptFile>,
}

/// A request between its arrival and its decision.
pub struct Arrival {
    /// Requests within the last second, this one included.
    pub in_last_second: usize,
    /// Requests of the same delivery before this one.
    pub earlier: u32,
    /// The number of this request among all, from 1.
    pub number: u64,
    delivery: u64,
    recipient: u64,
}

impl Book {
    /// Notes a request's arrival. Times must not fall from one call to the next.
    pub fn arrive(&mut self, time_ns: u64, account: &str, delivery: &Delivery<'_>) -> Arrival {
        while self.last_second.front().is_some_and(|first| first + NANOS_PER_SECOND <= time_ns) {
            self.last_second.pop_front();
        }
        self.last_second.push_back(time_ns);
        let in_last_second = self.last_second.len();

        let recipient = hash(0, &[account.as_bytes(), delivery.recipient.as_bytes()]);
        let key = hash(recipient, &[delivery.broadcast, delivery.part, delivery.kind].map(str::as_bytes));
        let full = self.deliveries.len() >= MAX_TRACKED;
        let earlier = match self.deliveries.get_mut(&key) {
            Some(seen) => {
                seen.requests = seen.requests.saturating_add(1);
                seen.requests - 1
            }
            None if full => {
                self.summary.untracked += 1;
                0
            }
            None => {
                self.deliveries.insert(key, Seen { requests: 1, accepted: 0 });
                0
            }
        };
        let summary = &mut self.summary;
        summary.requests += 1;
        summary.worst_second = summary.worst_second.max(in_last_second as u64);
        summary.first_time_ns.get_or_insert(time_ns);
        summary.last_time_ns = Some(time_ns);
        Arrival { in_last_second, earlier, number: summary.requests, delivery: key, recipient }
    }

    /// Notes that an attachment was to be kept, whether or not it is.
    pub fn upload(&mut self) {
        self.summary.uploads += 1;
    }

    /// Notes that an attachment is kept.
    pub fn keep(&mut self, id: String, file: KeptFile) {
        if self.attachments.len() < MAX_ATTACHMENTS_KEPT {
            self.attachments.insert(id, file);
        }
    }

    /// What is kept under this id.
    pub fn kept(&self, id: &str) -> Option<&KeptFile> {
        self.attachments.get(id)
    }

    /// Counts a request against a quota; returns how many came within its window, this one included, and how long it is until
    /// the first of them has left it.
    pub fn count_against(&mut self, quota: Quota, time_ns: u64) -> (usize, Duration) {
        let window = u64::from(quota.seconds) * NANOS_PER_SECOND;
        while self.quota_window.front().is_some_and(|first| first + window <= time_ns) {
            self.quota_window.pop_front();
        }
        self.quota_window.push_back(time_ns);
        let first = self.quota_window.front().copied().unwrap_or(time_ns);
        (self.quota_window.len(), Duration::from_nanos((first + window).saturating_sub(time_ns)))
    }

    /// Notes what was decided.
    pub fn settle(&mut self, arrival: &Arrival, decision: &Decision) {
        self.summary.throttled += u64::from(decision.throttled);
        if !decision.accepted {
            return;
        }
        self.summary.accepted += 1;
        if let Some(seen) = self.deliveries.get_mut(&arrival.delivery) {
            seen.accepted += 1;
            self.summary.accepted_twice += u64::from(seen.accepted == 2);
        }
        if self.recipients_accepted.len() < MAX_TRACKED
            && self.recipients_accepted.insert(arrival.recipient, ()).is_none()
        {
            self.summary.recipients_accepted += 1;
        }
    }

    /// The counts so far.
    pub fn summary(&self) -> Summary {
        self.summary.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::decide::Reply;
    use super::*;

    fn delivery<'a>(recipient: &'a str, broadcast: &'a str) -> Delivery<'a> {
        Delivery { broadcast, recipient, part: "0", kind: "" }
    }

    fn decision(accepted: bool) -> Decision {
        Decision { latency: Default::default(), accepted, throttled: false, code: None, reply: Reply::Close }
    }

    #[test]
    fn a_second_is_half_open_and_slides() {
        let mut book = Book::default();
        let mut at = |millis: u64| book.arrive(millis * 1_000_000, "p", &delivery("1", "b")).in_last_second;
        assert_eq!([at(0), at(500), at(999), at(1000), at(1499), at(1500), at(9000)], [1, 2, 3, 3, 4, 4, 1]);
        assert_eq!(book.summary().worst_second, 4);
        assert_eq!((book.summary().first_time_ns, book.summary().last_time_ns), (Some(0), Some(9_000_000_000)));
    }

    #[test]
    fn the_window_of_a_quota_is_half_open_and_slides() {
        let mut book = Book::default();
        let quota = Quota { requests: 2, seconds: 10 };
        let mut at = |seconds: u64| {
            let (count, opens_in) = book.count_against(quota, seconds * NANOS_PER_SECOND);
            (count, opens_in.as_secs())
        };
        let counted = [at(0), at(9), at(10), at(18), at(19), at(100)];
        assert_eq!(counted, [(1, 10), (2, 1), (2, 9), (3, 1), (3, 1), (1, 10)]);
    }

    #[test]
    fn requests_of_one_delivery_are_counted() {
        let mut book = Book::default();
        assert_eq!(book.arrive(1, "p", &delivery("1", "b")).earlier, 0);
        assert_eq!(book.arrive(2, "p", &delivery("1", "b")).earlier, 1);
        assert_eq!(book.arrive(3, "p", &delivery("2", "b")).earlier, 0);
        assert_eq!(book.arrive(4, "q", &delivery("1", "b")).earlier, 0);
        assert_eq!(book.summary().requests, 4);
    }

    #[test]
    fn only_a_repeat_within_a_broadcast_is_a_double() {
        let mut book = Book::default();
        for (recipient, broadcast) in [("1", "b"), ("2", "b"), ("1", "c"), ("1", "b"), ("1", "b")] {
            let arrival = book.arrive(1, "p", &delivery(recipient, broadcast));
            book.settle(&arrival, &decision(true));
        }
        let refused = book.arrive(1, "p", &delivery("3", "b"));
        book.settle(&refused, &decision(false));
        let summary = book.summary();
        assert_eq!((summary.accepted, summary.recipients_accepted, summary.accepted_twice), (5, 2, 1));
    }
}
