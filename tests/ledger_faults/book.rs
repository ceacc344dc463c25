//! What senders that work at the same time were given, told and did, written down as it happens.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use herald::delivery::counts::Counts;
use herald::delivery::recipient::RecipientState;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::exchange::{Assignment, BroadcastId, Directive, ExchangeReply};
use herald::ledger::{BatchSnapshot, BroadcastSnapshot, DeliveryView};

/// A recipient of a broadcast.
type Person = (BroadcastId, i64);

/// The latest attempt of a recipient.
struct Latest {
    attempt: u32,
    holder: String,
    /// It has a definite outcome.
    definite: bool,
}

#[derive(Default)]
struct Pages {
    latest: HashMap<Person, Latest>,
    /// Every slot that was given away, by account: whose it was.
    slots: BTreeMap<String, BTreeMap<i64, Person>>,
    accepted: HashMap<Person, u32>,
    refused: HashMap<Person, u32>,
    counts: HashMap<BroadcastId, (i64, Counts)>,
    epochs: HashMap<(BroadcastId, i64), i64>,
    /// The last attempt that somebody had been given when a list named them.
    named: HashMap<Person, u32>,
    /// How often somebody was written down elsewhere.
    written: HashMap<Person, u32>,
    wrong: Vec<String>,
}

/// Shared by everybody; each entry is checked against those before it.
#[derive(Default)]
pub struct Book(Mutex<Pages>);

impl Book {
    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn wrong(&self, what: String) {
        self.pages().wrong.push(what);
    }

    pub fn given(&self, account: &str, broadcast: BroadcastId, holder: &str, reply: &ExchangeReply) {
        let mut pages = self.pages();
        for row in &reply.rows {
            pages.attempt(broadcast, holder, row);
            let person = (broadcast, row.seq);
            let before = pages.slots.entry(account.to_owned()).or_default().insert(row.slot.0, person);
            if before.is_some_and(|before| before != person) {
                pages.wrong.push(format!("I11: {person:?} and {before:?} have one slot"));
            }
        }
    }

    pub fn accepted(&self, broadcast: BroadcastId, seq: i64) {
        let mut pages = self.pages();
        let times = pages.accepted.entry((broadcast, seq)).or_default();
        *times += 1;
        if *times > 1 {
            let wrong = format!("I7: {broadcast:?} {seq} was accepted {times} times");
            pages.wrong.push(wrong);
        }
    }

    /// A list names somebody, who has been given this attempt at last.
    pub fn named(&self, broadcast: BroadcastId, seq: i64, attempt: u32) {
        let mut pages = self.pages();
        let person = (broadcast, seq);
        pages.named.entry(person).or_insert(attempt);
        let latest = pages.latest.get(&person).map_or(0, |latest| latest.attempt);
        if latest > attempt {
            pages.wrong.push(format!("listed: {person:?} by attempt {attempt}, and attempt {latest} was given"));
        }
    }

    pub fn written(&self, broadcast: BroadcastId, seq: i64) {
        *self.pages().written.entry((broadcast, seq)).or_default() += 1;
    }

    pub fn refused(&self, broadcast: BroadcastId, seq: i64) {
        *self.pages().refused.entry((broadcast, seq)).or_default() += 1;
    }

    /// The attempt has a definite outcome, or its sender died before it was begun.
    pub fn definite(&self, broadcast: BroadcastId, seq: i64, attempt: u32) {
        if let Some(latest) = self.pages().latest.get_mut(&(broadcast, seq)) {
            latest.definite |= latest.attempt == attempt;
        }
    }

    /// What a status shows must add up, and what is settled stays settled.
    pub fn seen(&self, snapshot: &BroadcastSnapshot, batches: &[BatchSnapshot]) {
        let mut pages = self.pages();
        let (id, counts) = (snapshot.id, snapshot.counts);
        let planned = snapshot.plan.as_ref().map_or(0, |plan| plan.planned);
        if counts.total() as u64 != planned {
            pages.wrong.push(format!("I2: {counts:?} of {planned}"));
        }
        let (revision, before) = pages.counts.insert(id, (snapshot.revision, counts)).unwrap_or_default();
        if snapshot.revision < revision {
            pages.wrong.push(format!("the revision fell from {revision} to {}", snapshot.revision));
        }
        if counts.sent < before.sent || counts.failed < before.failed || counts.skipped < before.skipped {
            pages.wrong.push(format!("I10: {before:?}, then {counts:?}"));
        }
        for batch in batches {
            let before = pages.epochs.insert((id, batch.index), batch.epoch).unwrap_or_default();
            if batch.epoch < before {
                pages.wrong.push(format!("I1: epoch {before} of a batch, then {}", batch.epoch));
            }
        }
    }

    /// How often two slots of an account are closer to each other than this.
    pub fn judge_slots(&self, interval: Span) {
        let mut pages = self.pages();
        let mut wrong = Vec::new();
        for (account, slots) in &pages.slots {
            for (one, next) in slots.keys().zip(slots.keys().skip(1)) {
                if next - one < interval.0 {
                    wrong.push(format!("I11: slots of {account} are {} ns apart", next - one));
                }
            }
        }
        pages.wrong.extend(wrong);
    }

    /// What the ledger says of a recipient in the end, against what happened.
    pub fn judge(&self, broadcast: BroadcastId, row: &DeliveryView) {
        let mut pages = self.pages();
        let person = (broadcast, row.seq);
        let accepted = pages.accepted.get(&person).copied().unwrap_or_default();
        let refused = pages.refused.get(&person).copied().unwrap_or_default();
        let written = pages.written.get(&person).copied().unwrap_or_default();
        if (row.state == RecipientState::Sent) != (written > 0) {
            pages.wrong.push(format!("owed: {row:?} was written down {written} times"));
        }
        let right = match row.state {
            RecipientState::Sent => accepted == 1,
            RecipientState::Failed => accepted == 0 && refused > 0,
            RecipientState::Skipped => accepted == 0,
            RecipientState::Unknown => pages.latest.get(&person).is_some_and(|latest| !latest.definite),
            RecipientState::Pending | RecipientState::Inflight => false,
        };
        if !right {
            pages.wrong.push(format!("I6: {row:?}, accepted {accepted}, refused {refused} times"));
        }
    }

    pub fn slots(&self) -> usize {
        self.pages().slots.values().map(BTreeMap::len).sum()
    }

    pub fn everything_wrong(&self) -> Vec<String> {
        self.pages().wrong.clone()
    }
}

impl Pages {
    fn attempt(&mut self, broadcast: BroadcastId, holder: &str, row: &Assignment) {
        let person = (broadcast, row.seq);
        if let Some(last) = self.named.get(&person).filter(|last| row.attempt > **last) {
            self.wrong.push(format!("listed: {person:?} by attempt {last}, and attempt {} is given", row.attempt));
        }
        let new = || Latest { attempt: row.attempt, holder: holder.to_owned(), definite: false };
        let Some(latest) = self.latest.get_mut(&person) else {
            self.latest.insert(person, new());
            return;
        };
        if row.attempt == latest.attempt && holder != latest.holder {
            self.wrong.push(format!("I1: {person:?} was given to {holder} and to {}", latest.holder));
        } else if row.attempt < latest.attempt {
            self.wrong.push(format!("I1: attempt {} of {person:?} after {}", row.attempt, latest.attempt));
        } else if row.attempt > latest.attempt {
            if !latest.definite && latest.attempt + 1 == row.attempt {
                self.wrong.push(format!("I4: attempt {} of {person:?} before an outcome", row.attempt));
            }
            *latest = new();
        }
    }
}

#[test]
fn the_book_notices_who_is_given_twice_too_early_or_too_close() {
    let broadcast = BroadcastId(1);
    let row = |seq, attempt, slot| Assignment {
        seq,
        attempt,
        part: 0,
        recipient: String::new(),
        vars: BTreeMap::new(),
        slot: Timestamp(slot),
        start_by: Timestamp(slot),
    };
    let reply = |row| ExchangeReply {
        now: Timestamp::EPOCH,
        revision: 0,
        rows: vec![row],
        interval: Span(10),
        request_timeout: Span::ZERO,
        turn: Span(10),
        directive: Directive::Continue,
        more_at: None,
        content: None,
        notifications: false,
        owes: false,
    };
    let noticed = |second: (&str, Assignment), what: &str| {
        let book = Book::default();
        book.given("account", broadcast, "one", &reply(row(1, 1, 100)));
        book.given("account", broadcast, second.0, &reply(second.1));
        book.judge_slots(Span(10));
        let wrong = book.everything_wrong();
        assert!(wrong.iter().any(|wrong| wrong.starts_with(what)), "{wrong:?}");
    };
    noticed(("other", row(1, 1, 200)), "I1");
    noticed(("one", row(1, 2, 200)), "I4");
    noticed(("one", row(2, 1, 105)), "I11");
    let book = Book::default();
    book.named(broadcast, 1, 1);
    book.given("account", broadcast, "one", &reply(row(1, 2, 100)));
    assert!(book.everything_wrong()[0].starts_with("listed"));
    let book = Book::default();
    book.accepted(broadcast, 1);
    book.accepted(broadcast, 1);
    assert!(book.everything_wrong()[0].starts_with("I7"));
}
