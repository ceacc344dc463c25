//! Whether to take, renew or leave a Lease.
//!
//! As in Kubernetes' own components, no two clocks are compared: a holder is alive as long as its record changes, seen
//! from when this process saw it change.

use std::time::Duration;

/// How long a leader that is not heard of stays leader. A successor reconciles within this and two [`RETRY`]: one until it
/// sees the last renewal, one until it looks after the lease.
pub const LEASE: Duration = Duration::from_secs(15);
/// A leader that could not renew for so long stops, while everybody else still takes it for the leader.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks.
pub const RETRY: Duration = Duration::from_secs(2);

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Empty where it was given back.
    pub holder: String,
    /// How long its holder asked for.
    pub duration: Duration,
    /// Changes with every renewal.
    pub version: String,
}

/// What this process knows of the Lease. Instants are spans since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    record: Option<Record>,
    changed_at: Duration,
    /// When this process last made itself the holder or renewed.
    held_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease: make one.
    Create,
    /// Nobody holds it any more: take it.
    Take,
    /// It is this process's own.
    Renew,
    /// Somebody else leads.
    Wait,
}

impl Observed {
    /// Takes in what was read at `now`.
    pub fn saw(&mut self, record: Option<Record>, now: Duration) {
        if self.record != record {
            self.record = record;
            self.changed_at = now;
        }
    }

    /// Takes in what this process wrote: the request was sent at `asked`, so nobody counts from later.
    pub fn wrote(&mut self, record: Record, asked: Duration) {
        self.record = Some(record);
        self.changed_at = asked;
        self.held_at = Some(asked);
    }

    pub fn step(&self, identity: &str, now: Duration) -> Step {
        match &self.record {
            None => Step::Create,
            Some(record) if record.holder == identity => Step::Renew,
            Some(record) if record.holder.is_empty() || now >= self.changed_at + record.duration => Step::Take,
            Some(_) => Step::Wait,
        }
    }

    /// Whether this process may act as leader.
    pub fn leads(&self, identity: &str, now: Duration) -> bool {
        let holds = self.record.as_ref().is_some_and(|record| record.holder == identity);
        holds && self.held_at.is_some_and(|at| now < at + RENEW_DEADLINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn record(holder: &str, version: u32) -> Record {
        Record { holder: holder.to_owned(), duration: LEASE, version: version.to_string() }
    }

    #[test]
    fn a_leader_that_renews_is_waited_for_and_one_that_does_not_is_succeeded_after_a_lease() {
        let mut observed = Observed::default();
        observed.saw(Some(record("one", 1)), at(100));
        observed.saw(Some(record("one", 2)), at(110));
        assert_eq!(observed.step("two", at(124)), Step::Wait);
        observed.saw(Some(record("one", 2)), at(124));
        assert_eq!(observed.step("two", at(125)), Step::Take, "seen unchanged since 110");
    }

    #[test]
    fn a_lease_that_is_missing_or_given_back_is_taken_at_once() {
        let mut observed = Observed::default();
        assert_eq!(observed.step("two", at(0)), Step::Create);
        observed.saw(Some(record("", 3)), at(1));
        assert_eq!(observed.step("two", at(1)), Step::Take);
    }

    #[test]
    fn a_leader_that_cannot_renew_stops_before_anybody_may_succeed_it() {
        let mut observed = Observed::default();
        observed.wrote(record("one", 1), at(50));
        assert!(observed.leads("one", at(59)));
        assert!(!observed.leads("one", at(60)));
        assert_eq!(observed.step("one", at(60)), Step::Renew, "and leads again once it can");
        const { assert!(RENEW_DEADLINE.as_secs() < LEASE.as_secs()) }
    }

    #[test]
    fn whoever_sees_another_holder_does_not_lead() {
        let mut observed = Observed::default();
        observed.wrote(record("one", 1), at(50));
        observed.saw(Some(record("two", 2)), at(51));
        assert!(!observed.leads("one", at(51)));
        assert_eq!(observed.step("one", at(51)), Step::Wait);
    }

    #[test]
    fn a_restarted_process_of_the_same_name_leads_only_once_it_has_renewed() {
        let mut observed = Observed::default();
        observed.saw(Some(record("one", 1)), at(0));
        assert_eq!(observed.step("one", at(0)), Step::Renew);
        assert!(!observed.leads("one", at(0)));
    }
}
