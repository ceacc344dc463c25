//! Whether a broadcast may take recipients now, and if not, why.

use serde::{Deserialize, Serialize};

use super::recipient::SkipReason;
use super::time::Timestamp;

/// Why a broadcast takes no recipient. One word for the condition, the metric and the match arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Closed {
    /// Its owner is gone: nobody answers for it until the key is declared again.
    Released,
    /// No sealed plan.
    NotPlanned,
    /// `schedule.startTime` is ahead.
    Scheduled,
    /// `spec.suspend`.
    Suspended,
    /// The ledger lacks commits that somebody knows of.
    LedgerRegressed,
    /// The ledger was made after the object and holds nothing of it, though its status tells of some.
    FreshLedger,
    /// It has the account, content and recipients of another one, and a key that nobody chose.
    DuplicateSuspected,
    /// The provider refused the account's credentials or permissions.
    CredentialsInvalid,
    /// The provider blocked sending for reasons of policy.
    ProviderBlocked,
    /// The provider refused the message itself, again and again.
    MessageRejected,
    /// `spec.cancel`; latched.
    Cancelled,
    /// `schedule.endTime` has passed.
    Expired,
    /// Nobody was attempted within `schedule.startingDeadlineSeconds` of the start.
    Missed,
    /// There is no plan, since planner after planner died over it. Nobody was attempted.
    Failed,
    /// Nobody is pending or in flight.
    Complete,
}

impl Closed {
    pub fn as_str(self) -> &'static str {
        match self {
            Closed::Released => "Released",
            Closed::NotPlanned => "NotPlanned",
            Closed::Scheduled => "Scheduled",
            Closed::Suspended => "Suspended",
            Closed::LedgerRegressed => "LedgerRegressed",
            Closed::FreshLedger => "FreshLedger",
            Closed::DuplicateSuspected => "DuplicateSuspected",
            Closed::CredentialsInvalid => "CredentialsInvalid",
            Closed::ProviderBlocked => "ProviderBlocked",
            Closed::MessageRejected => "MessageRejected",
            Closed::Cancelled => "Cancelled",
            Closed::Expired => "Expired",
            Closed::Missed => "Missed",
            Closed::Failed => "Failed",
            Closed::Complete => "Complete",
        }
    }

    /// Whether only a person can open it again.
    pub fn needs_person(self) -> bool {
        match self {
            Closed::LedgerRegressed | Closed::FreshLedger | Closed::DuplicateSuspected => true,
            Closed::CredentialsInvalid | Closed::ProviderBlocked | Closed::MessageRejected => true,
            Closed::Released | Closed::NotPlanned | Closed::Scheduled | Closed::Suspended => false,
            Closed::Cancelled | Closed::Expired | Closed::Missed | Closed::Failed | Closed::Complete => false,
        }
    }

    /// Whether nobody is taken ever after, but for an edit.
    pub fn is_end(self) -> bool {
        matches!(self, Closed::Cancelled | Closed::Expired | Closed::Missed | Closed::Failed | Closed::Complete)
    }
}

/// What the provider's answers have closed for one broadcast, until a person has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// For reasons of policy.
    Provider,
    /// The message itself is refused.
    Message,
}

impl Block {
    pub fn closed(self) -> Closed {
        match self {
            Block::Provider => Closed::ProviderBlocked,
            Block::Message => Closed::MessageRejected,
        }
    }

    /// From the reason that [`Block::closed`] gives.
    pub fn from_reason(reason: &str) -> Option<Block> {
        [Block::Provider, Block::Message].into_iter().find(|block| block.closed().as_str() == reason)
    }
}

/// What a ledger has forgotten of a broadcast. A person must approve before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The latest commits: whoever is not settled may have been messaged since. Approved, all of them become unknown.
    Regressed,
    /// Everything, because the ledger was made later. Approved, it is sent as if nobody had got it.
    Fresh,
}

impl Loss {
    pub fn closed(self) -> Closed {
        match self {
            Loss::Regressed => Closed::LedgerRegressed,
            Loss::Fresh => Closed::FreshLedger,
        }
    }

    /// From the reason that [`Loss::closed`] gives.
    pub fn from_reason(reason: &str) -> Option<Loss> {
        [Loss::Regressed, Loss::Fresh].into_iter().find(|loss| loss.closed().as_str() == reason)
    }
}

/// Everything that opens or closes the gate of one broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    pub sealed: bool,
    /// The owner is gone.
    pub released: bool,
    pub suspended: bool,
    pub cancelled: bool,
    /// Planners died over it, as many as may; never together with `sealed`.
    pub plan_failed: bool,
    /// It looks like another one under a new name.
    pub is_suspect: bool,
    pub loss: Option<Loss>,
    /// The loss is approved: whoever is not settled becomes unknown, and then the gate opens.
    pub at_risk: bool,
    pub block: Option<Block>,
    /// The account's credentials were refused: closes every broadcast of the account.
    pub account_stopped: bool,
    pub start_at: Option<Timestamp>,
    pub end_at: Option<Timestamp>,
    /// The first attempt may not come after this.
    pub start_by: Option<Timestamp>,
    /// Somebody was attempted.
    pub begun: bool,
    /// Recipients pending or in flight.
    pub open_recipients: i64,
}

impl Gate {
    /// Why nobody may be taken at `now`; `None` when the gate is open. Ends come before pauses: a cancelled broadcast
    /// is cancelled even while suspended. Where nobody is open any more there is nothing left to cancel.
    pub fn closed(&self, now: Timestamp) -> Option<Closed> {
        if self.sealed && self.open_recipients == 0 {
            return Some(Closed::Complete);
        }
        // Who is pending in a ledger that lost commits may have been sent to: not even an end makes them skipped. A plan that
        // was lost is made anew once that is approved.
        if let Some(loss) = self.loss.filter(|_| self.sealed || !self.at_risk) {
            return Some(loss.closed());
        }
        if let Some(ended) = self.ended(now) {
            return Some(ended);
        }
        if self.released {
            return Some(Closed::Released);
        }
        if !self.sealed {
            return Some(Closed::NotPlanned);
        }
        if self.account_stopped {
            return Some(Closed::CredentialsInvalid);
        }
        if let Some(block) = self.block {
            return Some(block.closed());
        }
        if self.is_suspect {
            return Some(Closed::DuplicateSuspected);
        }
        if self.suspended {
            return Some(Closed::Suspended);
        }
        self.start_at.filter(|start| now < *start).map(|_| Closed::Scheduled)
    }

    /// The end that turns pending recipients into skipped ones, if it has come.
    pub fn ended(&self, now: Timestamp) -> Option<Closed> {
        if self.cancelled {
            return Some(Closed::Cancelled);
        }
        // Before the ends that time brings: an end stays what it is.
        if self.plan_failed {
            return Some(Closed::Failed);
        }
        if self.end_at.is_some_and(|end| now >= end) {
            return Some(Closed::Expired);
        }
        self.start_by.filter(|by| !self.begun && now > *by).map(|_| Closed::Missed)
    }

    /// What a recipient becomes that would go back to pending at `now`.
    pub fn skip_reason(&self, now: Timestamp) -> Option<SkipReason> {
        if self.loss.is_some() {
            return None;
        }
        match self.ended(now)? {
            Closed::Cancelled => Some(SkipReason::Cancelled),
            Closed::Missed => Some(SkipReason::Missed),
            _ => Some(SkipReason::Expired),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Gate {
        Gate {
            sealed: true,
            released: false,
            suspended: false,
            cancelled: false,
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
            open_recipients: 10,
        }
    }

    #[test]
    fn each_cause_closes_the_gate_and_ends_come_before_pauses() {
        let now = Timestamp::from_secs(100);
        let cases = [
            (open(), None),
            (Gate { sealed: false, ..open() }, Some(Closed::NotPlanned)),
            (Gate { released: true, sealed: false, ..open() }, Some(Closed::Released)),
            (Gate { released: true, cancelled: true, ..open() }, Some(Closed::Cancelled)),
            (Gate { plan_failed: true, sealed: false, suspended: true, ..open() }, Some(Closed::Failed)),
            (Gate { plan_failed: true, sealed: false, end_at: Some(now), ..open() }, Some(Closed::Failed)),
            (Gate { plan_failed: true, sealed: false, cancelled: true, ..open() }, Some(Closed::Cancelled)),
            (Gate { suspended: true, ..open() }, Some(Closed::Suspended)),
            (Gate { suspended: true, cancelled: true, ..open() }, Some(Closed::Cancelled)),
            (Gate { account_stopped: true, suspended: true, ..open() }, Some(Closed::CredentialsInvalid)),
            (Gate { block: Some(Block::Provider), ..open() }, Some(Closed::ProviderBlocked)),
            (Gate { block: Some(Block::Message), ..open() }, Some(Closed::MessageRejected)),
            (Gate { is_suspect: true, suspended: true, ..open() }, Some(Closed::DuplicateSuspected)),
            (Gate { is_suspect: true, sealed: false, ..open() }, Some(Closed::NotPlanned)),
            (Gate { loss: Some(Loss::Regressed), ..open() }, Some(Closed::LedgerRegressed)),
            (Gate { loss: Some(Loss::Regressed), cancelled: true, ..open() }, Some(Closed::LedgerRegressed)),
            (Gate { loss: Some(Loss::Regressed), sealed: false, ..open() }, Some(Closed::LedgerRegressed)),
            (Gate { loss: Some(Loss::Regressed), at_risk: true, ..open() }, Some(Closed::LedgerRegressed)),
            (Gate { loss: Some(Loss::Regressed), at_risk: true, sealed: false, ..open() }, Some(Closed::NotPlanned)),
            (Gate { loss: Some(Loss::Regressed), open_recipients: 0, ..open() }, Some(Closed::Complete)),
            (Gate { loss: Some(Loss::Fresh), sealed: false, ..open() }, Some(Closed::FreshLedger)),
            (Gate { start_at: Some(Timestamp::from_secs(101)), ..open() }, Some(Closed::Scheduled)),
            (Gate { start_at: Some(now), ..open() }, None),
            (Gate { end_at: Some(now), ..open() }, Some(Closed::Expired)),
            (Gate { end_at: Some(now), sealed: false, ..open() }, Some(Closed::Expired)),
            (Gate { start_by: Some(now), ..open() }, None),
            (Gate { start_by: Some(Timestamp::from_secs(99)), ..open() }, Some(Closed::Missed)),
            (Gate { start_by: Some(Timestamp::from_secs(99)), begun: true, ..open() }, None),
            (Gate { start_by: Some(Timestamp::from_secs(99)), suspended: true, ..open() }, Some(Closed::Missed)),
            (Gate { open_recipients: 0, end_at: Some(now), ..open() }, Some(Closed::Complete)),
            (Gate { open_recipients: 0, cancelled: true, ..open() }, Some(Closed::Complete)),
        ];
        for (gate, expected) in cases {
            assert_eq!(gate.closed(now), expected, "{gate:?}");
        }
    }

    #[test]
    fn nobody_is_called_skipped_by_a_ledger_that_may_have_forgotten_a_message() {
        let ended = Gate { cancelled: true, ..open() };
        let now = Timestamp::from_secs(100);
        assert_eq!(ended.skip_reason(now), Some(SkipReason::Cancelled));
        assert_eq!(Gate { loss: Some(Loss::Regressed), ..ended }.skip_reason(now), None);
    }
}
