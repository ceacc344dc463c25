//! What may be asked of a ledger, at random.

use herald::delivery::outcome::{Fault, Outcome, PermanentScope, ThrottleScope};
use proptest::prelude::*;

use super::contacts::{Brought, TAGS};
use super::model::{Heard, PEOPLE, PUT_OFF};
use super::outbox::Told;

/// Senders 0 and 2 work for the first broadcast, 1 and 3 for the second.
pub const SENDERS: usize = 4;
/// Who post what the first broadcast tells.
const POSTERS: usize = 2;

/// An outcome for one of those that were given away, the latest first.
#[derive(Clone, Debug)]
pub struct Tell {
    pub which: usize,
    pub outcome: Outcome,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Exchange {
        sender: usize,
        wants: u32,
        told: Vec<Tell>,
        leaving: bool,
    },
    /// The answer was lost, or comes twice.
    Repeat {
        sender: usize,
    },
    /// A copy of an older request arrives late.
    Stale {
        sender: usize,
    },
    Crash {
        sender: usize,
        told: Vec<Tell>,
        begun: Vec<usize>,
        complete: bool,
    },
    EverybodyIsDead,
    Pass {
        seconds: i64,
    },
    Upkeep,
    Declare {
        broadcast: usize,
        older: bool,
        suspended: bool,
        cancelled: bool,
        ends_in: Option<i64>,
    },
    Release {
        broadcast: usize,
    },
    Lift {
        broadcast: usize,
    },
    Plan {
        broadcast: usize,
    },
    /// Somebody wants no more messages of the account, or wants them again.
    Opt {
        person: usize,
        out: bool,
    },
    /// The provider tells what became of the message of somebody who was given away, the latest first.
    CallBack {
        broadcast: usize,
        which: usize,
        heard: Heard,
    },
    Import {
        brought: Vec<Brought>,
    },
    Tag {
        person: usize,
        tag: usize,
        away: bool,
    },
    /// Somebody wrote so many seconds ago.
    Write {
        person: usize,
        ago: i64,
    },
    TakeNotifications {
        poster: usize,
    },
    Post {
        poster: usize,
        which: usize,
        told: Told,
    },
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let fault = || Fault::new("Modelled", None, "words");
    prop_oneof![
        8 => Just(Outcome::Accepted { provider_id: None }),
        2 => Just(Outcome::NotBegun),
        2 => Just(Outcome::Unknown { fault: fault() }),
        2 => Just(Outcome::Transient { cap: None, fault: fault() }),
        1 => Just(Outcome::NotSent { fault: fault() }),
        1 => Just(Outcome::Permanent { scope: PermanentScope::Recipient, fault: fault() }),
        1 => Just(Outcome::Permanent { scope: PermanentScope::OptedOut, fault: fault() }),
        1 => Just(Outcome::Auth { fault: fault() }),
        1 => Just(Outcome::Blocked { fault: fault() }),
        1 => Just(Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms: Some(0), fault: fault() }),
        1 => Just(Outcome::Throttled {
            scope: ThrottleScope::Recipient,
            retry_after_ms: Some(PUT_OFF as u64 * 1_000),
            fault: fault()
        }),
    ]
}

fn told() -> impl Strategy<Value = Vec<Tell>> {
    prop::collection::vec((0_usize..10, outcome()).prop_map(|(which, outcome)| Tell { which, outcome }), 0..6)
}

fn heard() -> impl Strategy<Value = Heard> {
    prop_oneof![
        3 => Just(Heard::Accepted),
        2 => Just(Heard::Delivered),
        1 => Just(Heard::Read),
        1 => Just(Heard::Undelivered),
    ]
}

/// Nobody twice.
fn brought() -> impl Strategy<Value = Vec<Brought>> {
    let one =
        (0..PEOPLE, prop::option::of(0_u8..3), prop::option::of(-3_i64..9), prop::option::of(0..TAGS.len()), rarely());
    prop::collection::vec(one, 1..4).prop_map(|rows| {
        let mut brought: Vec<Brought> = Vec::new();
        for (person, number, wrote, tag, out) in rows {
            if brought.iter().all(|earlier| earlier.person != person) {
                brought.push(Brought { person, number, wrote, tag, out });
            }
        }
        brought
    })
}

fn told_of_post() -> impl Strategy<Value = Told> {
    prop_oneof![6 => Just(Told::Taken), 6 => Just(Told::Failed), 1 => Just(Told::Gone)]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.08)
}

pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        16 => (0..SENDERS, 0_u32..7, told(), rarely())
            .prop_map(|(sender, wants, told, leaving)| Operation::Exchange { sender, wants, told, leaving }),
        2 => (0..SENDERS).prop_map(|sender| Operation::Repeat { sender }),
        1 => (0..SENDERS).prop_map(|sender| Operation::Stale { sender }),
        2 => (0..SENDERS, told(), prop::collection::vec(0_usize..10, 0..3), any::<bool>())
            .prop_map(|(sender, told, begun, complete)| Operation::Crash { sender, told, begun, complete }),
        1 => rarely().prop_map(|all| if all { Operation::EverybodyIsDead } else { Operation::Upkeep }),
        4 => prop_oneof![6 => 1_i64..4, 6 => 12_i64..17, 1 => 100_i64..200]
            .prop_map(|seconds| Operation::Pass { seconds }),
        2 => Just(Operation::Upkeep),
        2 => (0_usize..2, rarely(), prop::bool::weighted(0.3), rarely(), prop::option::weighted(0.2, 1_i64..20)).prop_map(
            |(broadcast, older, suspended, cancelled, ends_in)| Operation::Declare {
                broadcast, older, suspended, cancelled, ends_in
            }
        ),
        1 => (0_usize..2).prop_map(|broadcast| Operation::Release { broadcast }),
        3 => (0_usize..2).prop_map(|broadcast| Operation::Lift { broadcast }),
        1 => (0_usize..2).prop_map(|broadcast| Operation::Plan { broadcast }),
        2 => (0..PEOPLE, prop::bool::weighted(0.7)).prop_map(|(person, out)| Operation::Opt { person, out }),
        6 => (0_usize..2, 0_usize..10, heard())
            .prop_map(|(broadcast, which, heard)| Operation::CallBack { broadcast, which, heard }),
        2 => brought().prop_map(|brought| Operation::Import { brought }),
        1 => (0..PEOPLE, 0..TAGS.len(), any::<bool>())
            .prop_map(|(person, tag, away)| Operation::Tag { person, tag, away }),
        1 => (0..PEOPLE, -3_i64..9).prop_map(|(person, ago)| Operation::Write { person, ago }),
        3 => (0..POSTERS).prop_map(|poster| Operation::TakeNotifications { poster }),
        3 => (0..POSTERS, 0_usize..8, told_of_post())
            .prop_map(|(poster, which, told)| Operation::Post { poster, which, told }),
    ]
}
