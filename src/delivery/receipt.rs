//! What is known of a message after the provider took it: whether it arrived, and whether it was seen.

use serde::{Deserialize, Serialize};

use super::provider_event::News;
use super::time::Timestamp;

/// When it was heard of one message first. What is heard again changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    pub delivered_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub undelivered_at: Option<Timestamp>,
}

/// How many messages of a broadcast something is known of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptCounts {
    /// Arrived; the seen ones are among them.
    pub delivered: i64,
    pub read: i64,
    /// Taken by the provider, and did not arrive.
    pub undelivered: i64,
}

impl Receipt {
    /// With one thing more. Calls come in any order and more than once: what was seen has arrived, and what has arrived
    /// did not fail.
    pub fn hear(self, news: &News, at: Timestamp) -> Receipt {
        let delivered_at = self.delivered_at.or(Some(at));
        match news {
            News::Accepted => self,
            News::Delivered => Receipt { delivered_at, undelivered_at: None, ..self },
            News::Read => Receipt { delivered_at, read_at: self.read_at.or(Some(at)), undelivered_at: None },
            News::Undelivered { .. } if self.delivered_at.is_some() => self,
            News::Undelivered { .. } => Receipt { undelivered_at: self.undelivered_at.or(Some(at)), ..self },
        }
    }

    /// What this one adds to the sums.
    pub fn counts(self) -> ReceiptCounts {
        let one = |at: Option<Timestamp>| i64::from(at.is_some());
        ReceiptCounts {
            delivered: one(self.delivered_at),
            read: one(self.read_at),
            undelivered: one(self.undelivered_at),
        }
    }
}

impl ReceiptCounts {
    /// How the sums change when one of the messages does.
    pub fn shift(&mut self, before: Receipt, after: Receipt) {
        let (before, after) = (before.counts(), after.counts());
        self.delivered += after.delivered - before.delivered;
        self.read += after.read - before.read;
        self.undelivered += after.undelivered - before.undelivered;
    }

    pub fn is_zero(&self) -> bool {
        *self == ReceiptCounts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undelivered() -> News {
        News::Undelivered { reason: "HandsetUnreachable".into(), code: Some("30003".into()), marketing_stopped: false }
    }

    #[test]
    fn every_order_of_the_same_calls_ends_alike() {
        let at = Timestamp::from_secs(5);
        for order in [[News::Accepted, News::Delivered, News::Read], [News::Read, News::Delivered, News::Accepted]] {
            let heard = order.iter().chain(&order).fold(Receipt::default(), |receipt, news| receipt.hear(news, at));
            assert_eq!(heard.counts(), ReceiptCounts { delivered: 1, read: 1, undelivered: 0 });
        }
    }

    #[test]
    fn what_has_arrived_did_not_fail_whichever_is_heard_first() {
        let at = Timestamp::from_secs(5);
        let arrived = Receipt::default().hear(&undelivered(), at).hear(&News::Delivered, at);
        assert_eq!(arrived.counts(), ReceiptCounts { delivered: 1, read: 0, undelivered: 0 });
        assert_eq!(arrived.hear(&undelivered(), at), arrived);
        let failed = Receipt::default().hear(&undelivered(), at);
        assert_eq!(failed.counts(), ReceiptCounts { undelivered: 1, ..ReceiptCounts::default() });
    }

    #[test]
    fn a_call_that_is_repeated_counts_nobody_twice_and_keeps_the_first_time() {
        let (first, again) = (Timestamp::from_secs(5), Timestamp::from_secs(9));
        let before = Receipt::default().hear(&News::Read, first);
        let after = before.hear(&News::Read, again);
        let mut sums = ReceiptCounts::default();
        sums.shift(before, after);
        assert!(sums.is_zero());
        assert_eq!(after.read_at, Some(first));
    }
}
