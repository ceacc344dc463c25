//! The invariants of delivery, one check each: what the ledger says against the provider's record, the flight journals and
//! what was seen on the way. A check returns what breaks it, and nothing while it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use herald::delivery::recipient::RecipientState;
use herald::ledger::DeliveryView;
use herald::simulator::record::{self, Correlation, OwnedLine};
use serde_json::Value;

use super::judge::{Attempts, Claim, Kept};
use super::pace::{self, Waits};

/// Answers of the simulator after which a recipient may be asked again: temporary, throttled.
const RETRYABLE: [&str; 2] = ["2", "613"];

/// How long what a killed process had handed over may still be on its way to the provider.
const UNTIL_ARRIVED: Duration = Duration::from_secs(1);

/// What a killed process left.
#[derive(Clone, Debug)]
pub struct Kill {
    pub at_ns: u64,
    /// What may be unknown for it: begun and without an answer, as its journal says; where the journal is lost as well,
    /// everything that the ledger has lost with it.
    pub open: Attempts,
    /// How many that may be.
    pub allowed: usize,
    /// What it held then, or a moment before.
    pub claims: Vec<Claim>,
}

/// A time in which no process ran, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    pub from_ns: u64,
    pub to_ns: u64,
}

/// What a judge may look at.
#[derive(Clone, Default)]
pub struct Case {
    pub lines: Vec<OwnedLine>,
    /// In the end.
    pub broadcasts: Vec<Kept>,
    /// The only broadcast on the way.
    pub looks: Vec<Kept>,
    /// The statuses that were shown on the way, each before the look of the same number.
    pub told: Vec<Value>,
    /// The ledger's own sums that do not hold.
    pub audit: Vec<String>,
    /// Everybody who is to be messaged, where it is known.
    pub audience: Option<BTreeSet<String>>,
    pub kills: Vec<Kill>,
    pub silences: Vec<Silence>,
    /// When requests were handed over, and the rate.
    pub handed_over: Vec<u64>,
    pub rate: Option<u32>,
    /// Where nobody logged that: how long this machine made threads wait.
    pub waits: Option<Waits>,
    /// What the last run said, when it ended by itself.
    pub status: Option<Value>,
}

pub struct Invariant {
    pub number: &'static str,
    pub check: fn(&Case) -> Vec<String>,
}

/// Every one that a ledger, a record and what was seen on the way can show.
pub const ALL: [Invariant; 14] = [
    Invariant { number: "I1", check: epochs_and_attempts_only_grow },
    Invariant { number: "I2", check: sums_hold },
    Invariant { number: "I3", check: the_plan_is_the_audience_and_stays },
    Invariant { number: "I4", check: no_attempt_before_the_last_has_an_outcome },
    Invariant { number: "I5", check: no_request_beyond_what_answers_allow },
    Invariant { number: "I6", check: the_ledger_says_what_the_provider_has },
    Invariant { number: "I7", check: nobody_is_accepted_twice },
    Invariant { number: "I8", check: nothing_is_sent_after_the_end },
    Invariant { number: "I9", check: unknown_is_what_was_on_the_wire_or_unanswered },
    Invariant { number: "I10", check: what_is_settled_stays_settled },
    Invariant { number: "I11", check: the_rate_is_kept },
    Invariant { number: "I12", check: every_attempt_was_given_by_the_ledger },
    Invariant { number: "I13", check: everybody_settles },
    Invariant { number: "I14", check: the_status_is_the_ledgers },
];

/// Those that can be judged by the end of any run alone, whatever the provider answered.
pub const OF_ANY_RUN: [&str; 6] = ["I1", "I2", "I3", "I6", "I7", "I12"];

impl Case {
    /// What breaks any invariant, with its number.
    pub fn broken(&self) -> Vec<String> {
        self.broken_among(&ALL.map(|invariant| invariant.number))
    }

    pub fn broken_among(&self, numbers: &[&str]) -> Vec<String> {
        let mut broken = Vec::new();
        for Invariant { number, check } in ALL.iter().filter(|invariant| numbers.contains(&invariant.number)) {
            broken.extend(check(self).into_iter().map(|wrong| format!("{number}: {wrong}")));
        }
        broken
    }

    fn rows(&self) -> impl Iterator<Item = (i64, &DeliveryView)> {
        self.broadcasts.iter().flat_map(|kept| kept.deliveries.iter().map(|row| (kept.snapshot.id.0, row)))
    }

    /// Requests of each recipient of each broadcast, in the order of their arrival.
    fn requests(&self) -> BTreeMap<(i64, &str), Vec<(u32, &OwnedLine)>> {
        let mut requests: BTreeMap<(i64, &str), Vec<(u32, &OwnedLine)>> = BTreeMap::new();
        for line in &self.lines {
            if let Some((broadcast, _, attempt)) = place(line) {
                requests.entry((broadcast, &line.recipient)).or_default().push((attempt, line));
            }
        }
        requests.values_mut().for_each(|lines| lines.sort_by_key(|(_, line)| line.time_ns));
        requests
    }
}

/// Broadcast, sequence number and attempt of a request.
fn place(line: &OwnedLine) -> Option<(i64, i64, u32)> {
    let correlation = Correlation::parse(line.correlation.as_deref()?)?;
    Some((correlation.broadcast.parse().ok()?, correlation.seq as i64, correlation.attempt as u32))
}

/// Which part of the message a request carries.
fn part(line: &OwnedLine) -> u32 {
    line.delivery().part.parse().unwrap()
}

/// Whether a request may come after another one for the same recipient: that part again after an answer that allows it, or
/// the next part after it was taken and that was told.
fn may_follow(before: &OwnedLine, after: &OwnedLine) -> bool {
    match part(after).checked_sub(part(before)) {
        Some(0) => may_be_asked_again(before),
        Some(1) => before.accepted && before.status.is_some(),
        _ => false,
    }
}

fn may_be_asked_again(line: &OwnedLine) -> bool {
    line.code.as_deref().is_some_and(|code| RETRYABLE.contains(&code))
}

fn epochs_and_attempts_only_grow(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((_, recipient), requests) in case.requests() {
        for two in requests.windows(2).filter(|two| two[1].0 <= two[0].0) {
            wrong.push(format!("attempt {} of {recipient} came after {}", two[1].0, two[0].0));
        }
    }
    for two in case.looks.windows(2) {
        for (before, after) in two[0].batches.iter().zip(&two[1].batches) {
            if after.epoch < before.epoch {
                wrong.push(format!("batch {} went from epoch {} to {}", after.index, before.epoch, after.epoch));
            }
        }
    }
    wrong.extend(case.kills.iter().flat_map(|kill| taken_without_a_claim(case, kill)));
    wrong
}

/// What a killed process held goes on by a new claim.
fn taken_without_a_claim(case: &Case, kill: &Kill) -> Vec<String> {
    let from_ns = kill.at_ns + UNTIL_ARRIVED.as_nanos() as u64;
    let goes_on = |claim: &Claim| {
        let later = case.lines.iter().filter(|line| line.time_ns > from_ns).filter_map(place);
        later.into_iter().any(|(_, seq, _)| (claim.first_seq..=claim.last_seq).contains(&seq))
    };
    let batches = || case.broadcasts.iter().flat_map(|kept| &kept.batches);
    let is_claimed_anew =
        |claim: &Claim| batches().any(|batch| batch.index == claim.batch && batch.epoch > claim.epoch);
    let stale = kill.claims.iter().filter(|claim| goes_on(claim) && !is_claimed_anew(claim));
    stale.map(|claim| format!("who held {claim:?} was killed, and it went on without a new claim")).collect()
}

fn sums_hold(case: &Case) -> Vec<String> {
    let mut wrong = case.audit.clone();
    for kept in case.broadcasts.iter().chain(&case.looks) {
        let counts = kept.snapshot.counts;
        // A kill between the last chunk of a plan and its seal leaves people of whom none is in a batch yet.
        let (planned, cut) = match &kept.snapshot.plan {
            Some(plan) => (plan.planned as i64, plan.planned as i64),
            None => (counts.pending, 0),
        };
        let batches: i64 = kept.batches.iter().map(|batch| batch.counts.total()).sum();
        if (counts.total(), batches) != (planned, cut) {
            wrong.push(format!("{counts:?} of {planned} planned, {batches} in batches"));
        }
    }
    wrong
}

fn the_plan_is_the_audience_and_stays(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for kept in &case.broadcasts {
        let planned = kept.snapshot.plan.as_ref().map_or(0, |plan| plan.planned);
        let distinct: BTreeSet<&str> = kept.deliveries.iter().map(|row| row.recipient.as_str()).collect();
        if distinct.len() as u64 != planned || kept.deliveries.len() as u64 != planned {
            wrong.push(format!("{planned} planned, {} rows, {} people", kept.deliveries.len(), distinct.len()));
        }
        if case.audience.as_ref().is_some_and(|audience| !audience.iter().map(String::as_str).eq(distinct.clone())) {
            wrong.push("the plan is not the audience".to_owned());
        }
    }
    let hash = |kept: &Kept| kept.snapshot.plan.as_ref().map(|plan| plan.hash.clone());
    let begun = case.looks.iter().chain(&case.broadcasts).filter(|kept| kept.snapshot.first_attempt_at.is_some());
    let hashes: BTreeSet<(i64, Option<String>)> = begun.map(|kept| (kept.snapshot.id.0, hash(kept))).collect();
    if hashes.len() > case.broadcasts.len() {
        wrong.push(format!("the plan changed after the first attempt: {hashes:?}"));
    }
    wrong
}

fn no_attempt_before_the_last_has_an_outcome(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((_, recipient), requests) in case.requests() {
        for two in requests.windows(2).filter(|two| !may_follow(two[0].1, two[1].1)) {
            wrong.push(format!("{recipient} was asked for again after {:?}", two[0].1.code));
        }
    }
    wrong
}

fn no_request_beyond_what_answers_allow(case: &Case) -> Vec<String> {
    let mut parts: BTreeMap<(i64, &str, u32), Vec<&OwnedLine>> = BTreeMap::new();
    for ((broadcast, recipient), requests) in case.requests() {
        for (_, line) in requests {
            parts.entry((broadcast, recipient, part(line))).or_default().push(line);
        }
    }
    let too_many =
        |lines: &Vec<&OwnedLine>| lines.len() > 1 + lines.iter().filter(|line| may_be_asked_again(line)).count();
    let parts = parts.into_iter().filter(|(_, lines)| too_many(lines));
    parts
        .map(|((_, recipient, part), lines)| format!("{} requests for part {part} of {recipient}", lines.len()))
        .collect()
}

fn the_ledger_says_what_the_provider_has(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut accounted = 0;
    let requests = case.requests();
    for (broadcast, row) in case.rows() {
        let own = requests.get(&(broadcast, row.recipient.as_str()));
        let accepted: Vec<u32> =
            own.into_iter().flatten().filter(|(_, line)| line.accepted).map(|(_, line)| part(line)).collect();
        accounted += accepted.len();
        let taken: BTreeSet<u32> = accepted.iter().copied().collect();
        let recorded: BTreeSet<u32> = (0..row.parts_done).collect();
        let right = match row.state {
            RecipientState::Sent => !taken.is_empty() && taken == recorded,
            RecipientState::Pending | RecipientState::Failed | RecipientState::Skipped => taken == recorded,
            // The part at hand may be either. In flight only where a run was killed and none came after it.
            RecipientState::Unknown | RecipientState::Inflight => {
                taken == recorded || taken == (0..=row.parts_done).collect()
            }
        };
        if !right {
            wrong.push(format!("of {row:?} the parts {accepted:?} were accepted"));
        }
    }
    let all = case.lines.iter().filter(|line| line.accepted).count();
    if accounted != all {
        wrong.push(format!("{all} messages were accepted, {accounted} for somebody who is planned"));
    }
    wrong
}

fn nobody_is_accepted_twice(case: &Case) -> Vec<String> {
    record::accepted_twice(&case.lines).into_iter().map(|delivery| format!("{delivery:?}")).collect()
}

fn nothing_is_sent_after_the_end(case: &Case) -> Vec<String> {
    let within = |line: &&OwnedLine| {
        case.silences.iter().any(|silence| (silence.from_ns..silence.to_ns).contains(&line.time_ns))
    };
    case.lines.iter().filter(within).map(|line| format!("{line:?} came while no process ran")).collect()
}

fn unknown_is_what_was_on_the_wire_or_unanswered(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for kill in case.kills.iter().filter(|kill| kill.open.len() > kill.allowed) {
        wrong.push(format!("{} were on the wire at one kill, allowed {}", kill.open.len(), kill.allowed));
    }
    let unanswered = case.lines.iter().filter(|line| line.status.is_none());
    let mut explained: Attempts = unanswered.filter_map(place).map(|(_, seq, attempt)| (seq, attempt)).collect();
    explained.extend(case.kills.iter().flat_map(|kill| &kill.open));
    for (_, row) in case.rows() {
        let unknown = row.state == RecipientState::Unknown;
        if unknown && !explained.contains(&(row.seq, row.attempt)) {
            wrong.push(format!("nobody knows why {row:?} is unknown"));
        }
    }
    wrong
}

fn what_is_settled_stays_settled(case: &Case) -> Vec<String> {
    let kept: Vec<_> = case.looks.iter().map(|kept| settled(kept).map(Some)).collect();
    let told: Vec<_> = case.told.iter().map(settled_as_told).collect();
    let fell = |two: &&[[Option<i64>; 3]]| two[0].iter().zip(two[1]).any(|(before, after)| after < *before);
    let fallen = [kept, told].map(|ways| {
        let fallen = ways.windows(2).filter(fell);
        fallen.map(|two| format!("{:?}, then {:?}", two[0], two[1])).collect::<Vec<_>>()
    });
    fallen.into_iter().flatten().collect()
}

/// Sent, failed, skipped.
fn settled(kept: &Kept) -> [i64; 3] {
    let counts = kept.snapshot.counts;
    [counts.sent, counts.failed, counts.skipped]
}

/// The same by a status; none where it does not say yet.
fn settled_as_told(status: &Value) -> [Option<i64>; 3] {
    ["sent", "failed", "skipped"].map(|name| status["recipients"][name].as_i64())
}

fn the_rate_is_kept(case: &Case) -> Vec<String> {
    let Some(rate) = case.rate else { return Vec::new() };
    if let Some(waits) = &case.waits {
        return waits.arrived_too_fast(&case.lines, rate);
    }
    let mut wrong = pace::handed_over_too_fast(&case.handed_over, rate);
    if case.lines.len() > case.handed_over.len() {
        wrong.push(format!("{} requests arrived, {} were handed over", case.lines.len(), case.handed_over.len()));
    }
    wrong
}

fn every_attempt_was_given_by_the_ledger(case: &Case) -> Vec<String> {
    let attempts: BTreeMap<(i64, i64), u32> =
        case.rows().map(|(broadcast, row)| ((broadcast, row.seq), row.attempt)).collect();
    let unknown_to_it = |line: &&OwnedLine| {
        place(line).is_none_or(|(broadcast, seq, attempt)| {
            attempts.get(&(broadcast, seq)).is_none_or(|given| attempt == 0 || attempt > *given)
        })
    };
    case.lines.iter().filter(unknown_to_it).map(|line| format!("{:?} was never given", line.correlation)).collect()
}

fn everybody_settles(case: &Case) -> Vec<String> {
    // Only where a run ended by itself.
    if case.status.is_none() {
        return Vec::new();
    }
    let open = |row: &DeliveryView| matches!(row.state, RecipientState::Pending | RecipientState::Inflight);
    case.rows().filter(|(_, row)| open(row)).map(|(_, row)| format!("{row:?}")).collect()
}

fn the_status_is_the_ledgers(case: &Case) -> Vec<String> {
    let claims_more = |(told, kept): &(&Value, &Kept)| {
        settled_as_told(told).iter().zip(settled(kept)).any(|(told, kept)| told.is_some_and(|told| told > kept))
    };
    let too_much = case.told.iter().zip(&case.looks).filter(claims_more);
    let mut wrong: Vec<String> = too_much
        .map(|(told, kept)| format!("{} was told while it was {:?}", told["recipients"], kept.snapshot.counts))
        .collect();
    let Some(status) = &case.status else { return wrong };
    let counts = case.broadcasts[0].snapshot.counts;
    let ledgers = [
        ("planned", counts.total()),
        ("sent", counts.sent),
        ("failed", counts.failed),
        ("skipped", counts.skipped),
        ("unknown", counts.unknown),
        ("pending", counts.pending + counts.inflight),
    ];
    let told = |name: &str| status["recipients"][name].as_i64();
    let differs = ledgers.into_iter().filter(|(name, count)| told(name) != Some(*count));
    wrong.extend(differs.map(|(name, count)| format!("{name} is {count}, the status says {:?}", told(name))));
    wrong
}
