//! What providers tell of messages by call-backs.

use herald::delivery::receipt::ReceiptCounts;
use herald::delivery::recipient::RecipientState::{Failed, Inflight, Pending, Sent, Skipped, Unknown};

use super::{Broadcast, Model, PARTS};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    delivered: bool,
    read: bool,
    undelivered: bool,
}

/// What a provider tells of a message by a call-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Accepted,
    Delivered,
    Read,
    Undelivered,
}

/// What a call-back changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    pub resolved: bool,
    pub is_news: bool,
}

impl Model {
    /// The part that a recipient was to get by the latest attempt.
    pub fn part(&self, which: usize, seq: i64) -> u32 {
        self.broadcasts[which].rows[seq as usize].part
    }

    /// The provider tells what became of the message of one attempt.
    pub fn call_back(&mut self, which: usize, seq: i64, attempt: u32, part: u32, heard: Heard) -> News {
        let row = &mut self.broadcasts[which].rows[seq as usize];
        let is_meant = match row.state {
            Sent | Inflight | Unknown => true,
            Pending => attempt > 0 && part == row.parts_done,
            Failed | Skipped => attempt > 0 && part == row.parts_done && heard != Heard::Undelivered,
        };
        if row.attempt != attempt || !is_meant {
            return News { resolved: false, is_news: false };
        }
        let before = (row.heard, row.receipt);
        let is_whole = row.state == Sent || row.parts_done + 1 >= PARTS[which];
        let is_new = row.state != Sent && row.heard != attempt;
        if is_new {
            row.heard = attempt;
        }
        if is_whole {
            row.receipt = row.receipt.hear(heard);
        }
        let is_news = before != (row.heard, row.receipt);
        let resolved = is_new && matches!(row.state, Unknown | Pending);
        if resolved {
            self.take_for_accepted(which, seq as usize);
            self.broadcasts[which].let_go_of_what_is_done();
        }
        News { resolved, is_news }
    }
}

impl Receipt {
    /// What was seen has arrived, and what has arrived did not fail, whichever is told first.
    fn hear(self, heard: Heard) -> Receipt {
        match heard {
            Heard::Accepted => self,
            Heard::Delivered => Receipt { delivered: true, undelivered: false, ..self },
            Heard::Read => Receipt { delivered: true, read: true, undelivered: false },
            Heard::Undelivered => Receipt { undelivered: !self.delivered, ..self },
        }
    }
}

impl Broadcast {
    pub fn receipts(&self) -> ReceiptCounts {
        let count = |is: fn(&Receipt) -> bool| self.rows.iter().filter(|row| is(&row.receipt)).count() as i64;
        ReceiptCounts {
            delivered: count(|receipt| receipt.delivered),
            read: count(|receipt| receipt.read),
            undelivered: count(|receipt| receipt.undelivered),
        }
    }
}
