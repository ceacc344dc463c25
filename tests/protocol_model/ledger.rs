//! The ledger: one batch, its recipients, its gate. Each call is one transaction.

use herald::delivery::backoff::RetryPolicy;
use herald::delivery::gate::Gate;
use herald::delivery::outcome::{Fault, Outcome};
use herald::delivery::recipient::{Circumstances, RecipientState, SkipReason, Standing, settle};
use herald::delivery::time::Timestamp;

/// Those of the plan; where fewer are asked for, the others have been skipped before.
pub const PEOPLE: usize = 3;
/// The most parts of a message.
pub const PARTS: usize = 2;

/// To how many people, and in how many parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    pub people: usize,
    pub parts: usize,
}

/// Somebody, by which attempt, and which part they are to get by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Given {
    pub person: usize,
    pub attempt: u32,
    pub part: usize,
}

/// Time stands: what it would bring may happen at any moment instead.
const NOW: Timestamp = Timestamp::from_secs(1_000);

/// What a request became, as a sender tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    Accepted,
    /// Worth another try.
    Refused,
    Unknown,
    NotBegun,
}

impl Told {
    fn outcome(self) -> Outcome {
        let fault = Fault::new("Modelled", None, "");
        match self {
            Told::Accepted => Outcome::Accepted { provider_id: None },
            Told::Refused => Outcome::Transient { cap: None, fault },
            Told::Unknown => Outcome::Unknown { fault },
            Told::NotBegun => Outcome::NotBegun,
        }
    }

    pub fn is_definite(self) -> bool {
        self != Told::Unknown
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: RecipientState,
    pub attempt: u32,
    pub tries: u32,
    pub parts_done: u32,
    pub holder: Option<usize>,
    /// The number of the request that took it.
    pub request: u8,
    /// Its time to be begun has passed.
    pub passed: bool,
    /// A list of people who get nothing named them when it could not skip them.
    pub listed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Batch {
    pub holder: Option<usize>,
    pub epoch: u8,
    pub lease: bool,
}

/// What the ledger knows of a sender process; each process is another sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    pub last: u8,
    pub closed: bool,
    /// The epoch it believes to hold; only looked at where the fence is taken out.
    pub epoch: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub number: u8,
    pub outcomes: Vec<(usize, u32, Told)>,
    pub leaving: bool,
}

/// What keeps the promises; each can be taken out to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Only who holds the batch by its latest epoch takes.
    pub fence: bool,
    /// No new attempt, and so no part sent again, before the last one has a definite outcome.
    pub one_rule: bool,
    /// What was taken of a message stays taken.
    pub parts_stay: bool,
    /// A closed gate gives nobody away.
    pub gate: bool,
    /// Whom a list names while they are not pending does not become pending again.
    pub lists_stay: bool,
}

impl Rules {
    pub const ALL: Rules = Rules { fence: true, one_rule: true, parts_stay: true, gate: true, lists_stay: true };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    parts: u32,
    pub rows: [Row; PEOPLE],
    pub batch: Batch,
    pub senders: Vec<Known>,
    pub suspended: bool,
    pub cancelled: bool,
    pub rules: Rules,
    /// Who has taken by each epoch.
    takers: Vec<Option<usize>>,
    /// What must never happen, as far as the ledger alone can tell.
    pub taken_by_two_in_one_epoch: bool,
    pub taken_by_an_old_epoch: bool,
    pub taken_through_a_closed_gate: bool,
    pub taken_without_a_definite_outcome: bool,
    pub taken_from_a_list: bool,
    /// Whom a list has named.
    pub named: [bool; PEOPLE],
    /// Whether the latest attempt of each has a definite outcome; true for who was never attempted.
    definite: [bool; PEOPLE],
}

impl Ledger {
    pub fn new(plan: Plan, rules: Rules) -> Ledger {
        let row = |person| Row {
            state: if person < plan.people { RecipientState::Pending } else { RecipientState::Skipped },
            attempt: 0,
            tries: 0,
            parts_done: 0,
            holder: None,
            request: 0,
            passed: false,
            listed: false,
        };
        Ledger {
            parts: plan.parts as u32,
            rows: std::array::from_fn(row),
            batch: Batch::default(),
            senders: Vec::new(),
            suspended: false,
            cancelled: false,
            rules,
            takers: Vec::new(),
            taken_by_two_in_one_epoch: false,
            taken_by_an_old_epoch: false,
            taken_through_a_closed_gate: false,
            taken_without_a_definite_outcome: false,
            taken_from_a_list: false,
            named: [false; PEOPLE],
            definite: [true; PEOPLE],
        }
    }

    fn gate(&self) -> Gate {
        let open = |row: &&Row| matches!(row.state, RecipientState::Pending | RecipientState::Inflight);
        Gate {
            sealed: true,
            released: false,
            suspended: self.suspended,
            cancelled: self.cancelled,
            plan_failed: false,
            is_suspect: false,
            loss: None,
            at_risk: false,
            block: None,
            account_stopped: false,
            start_at: None,
            end_at: None,
            start_by: None,
            begun: false,
            open_recipients: self.rows.iter().filter(open).count() as i64,
        }
    }

    /// Whether a sender that asks now may get somebody, as far as it is not a question of who holds the batch.
    pub fn has_work(&self) -> bool {
        self.gate().closed(NOW).is_none() && self.rows.iter().any(|row| row.state == RecipientState::Pending)
    }

    pub fn is_free_for(&self, sender: usize) -> bool {
        self.batch.holder.is_none_or(|holder| holder == sender || !self.batch.lease)
    }

    /// One exchange: record, renew, take. `None` for one that is refused.
    pub fn exchange(&mut self, sender: usize, request: &Request) -> Option<Vec<Given>> {
        let known = self.senders[sender];
        if request.number < known.last || (known.closed && request.number != known.last) {
            return None;
        }
        self.record(&request.outcomes);
        if request.number == known.last {
            return Some(self.given(sender, request.number));
        }
        self.senders[sender].last = request.number;
        if self.batch.holder == Some(sender) {
            self.batch.lease = true;
        }
        if request.leaving {
            self.close(sender);
            return Some(Vec::new());
        }
        self.take(sender, request.number);
        Some(self.given(sender, request.number))
    }

    fn given(&self, sender: usize, number: u8) -> Vec<Given> {
        let own =
            |row: &Row| row.state == RecipientState::Inflight && row.holder == Some(sender) && row.request == number;
        let given = |person: usize| {
            let row = &self.rows[person];
            Given { person, attempt: row.attempt, part: row.parts_done as usize }
        };
        (0..PEOPLE).filter(|person| own(&self.rows[*person])).map(given).collect()
    }

    pub fn record(&mut self, outcomes: &[(usize, u32, Told)]) {
        for &(index, attempt, told) in outcomes {
            let row = self.rows[index];
            let Row { state, attempt: latest, tries, parts_done, .. } = row;
            let before = Standing { state, attempt: latest, tries, setbacks: 0, parts_done, resend: false };
            let around = Circumstances {
                now: NOW,
                parts: self.parts,
                ended: self.gate().skip_reason(NOW).or(row.listed.then_some(SkipReason::OptedOut)),
                retry: RetryPolicy::default(),
                overdue_at: NOW,
                seed: 0,
            };
            if let Some(after) = settle(before, attempt, &told.outcome(), &around) {
                self.rows[index].state = after.state;
                self.rows[index].tries = after.tries;
                self.rows[index].parts_done = after.parts_done;
                if !self.rules.parts_stay && matches!(told, Told::NotBegun | Told::Refused) {
                    self.rows[index].parts_done = 0;
                }
                self.definite[index] |= told.is_definite();
            }
        }
        self.release_when_settled();
    }

    fn take(&mut self, sender: usize, number: u8) {
        if let Some(epoch) = self.claim(sender) {
            let Some(index) = self.rows.iter().position(|row| row.state == RecipientState::Pending) else {
                // Nobody to take: handed back.
                if self.batch.holder == Some(sender) {
                    self.batch.holder = None;
                }
                return;
            };
            self.taken_through_a_closed_gate |= self.gate().closed(NOW).is_some();
            self.taken_by_an_old_epoch |= epoch != self.batch.epoch;
            self.takers.resize(self.batch.epoch as usize + 1, None);
            let taker = self.takers[epoch as usize].get_or_insert(sender);
            self.taken_by_two_in_one_epoch |= *taker != sender;
            self.taken_without_a_definite_outcome |= !self.definite[index];
            self.taken_from_a_list |= self.named[index];
            let row = &mut self.rows[index];
            row.state = RecipientState::Inflight;
            row.attempt += 1;
            row.holder = Some(sender);
            row.request = number;
            row.passed = false;
            self.definite[index] = false;
        }
    }

    /// The epoch by which the sender takes; `None` when it may not.
    fn claim(&mut self, sender: usize) -> Option<u8> {
        if self.rules.gate && self.gate().closed(NOW).is_some() {
            return None;
        }
        let believed = self.senders[sender].epoch;
        if !self.rules.fence && believed > 0 {
            return Some(believed);
        }
        match self.batch.holder {
            Some(holder) if holder == sender => {}
            Some(_) if self.batch.lease => return None,
            _ => {
                self.batch.holder = Some(sender);
                self.batch.epoch += 1;
                self.batch.lease = true;
                self.senders[sender].epoch = self.batch.epoch;
            }
        }
        Some(self.batch.epoch)
    }

    pub fn close(&mut self, sender: usize) {
        self.senders[sender].closed = true;
        if self.batch.holder == Some(sender) {
            self.batch.holder = None;
        }
    }

    /// Deadline and grace are over: silence becomes unknown, unless the one rule is taken out.
    pub fn sweep(&mut self, index: usize) {
        if self.rules.one_rule {
            self.record(&[(index, self.rows[index].attempt, Told::Unknown)]);
        } else {
            self.rows[index].state = RecipientState::Pending;
        }
    }

    /// Somebody who goes on with the plan has read a list: whoever is pending is skipped, and whoever may be again is marked.
    pub fn read_a_list(&mut self, index: usize) {
        self.named[index] = true;
        let row = &mut self.rows[index];
        match row.state {
            RecipientState::Pending => row.state = RecipientState::Skipped,
            RecipientState::Inflight | RecipientState::Unknown => row.listed = self.rules.lists_stay,
            RecipientState::Sent | RecipientState::Failed | RecipientState::Skipped => {}
        }
        self.release_when_settled();
    }

    pub fn skip_the_rest(&mut self) {
        if self.cancelled {
            for row in self.rows.iter_mut().filter(|row| row.state == RecipientState::Pending) {
                row.state = RecipientState::Skipped;
            }
        }
        self.release_when_settled();
    }

    fn release_when_settled(&mut self) {
        if self.gate().open_recipients == 0 {
            self.batch.holder = None;
        }
    }

    pub fn settled(&self) -> bool {
        self.gate().open_recipients == 0
    }
}
