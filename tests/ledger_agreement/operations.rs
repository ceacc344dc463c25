//! What may be asked of a ledger, at random.

use herald::api::WriteBackTarget;
use herald::delivery::outcome::{Fault, Outcome, PermanentScope, ThrottleScope};
use proptest::prelude::*;

use super::attachments::Asked;
use super::contacts::{Brought, TAGS};
use super::model::{Heard, PEOPLE, PUT_OFF};
use super::outbox::Told;
use super::write_backs::{Fate, Named};

/// Senders 0 and 2 work for the first broadcast, 1 and 3 for the second.
pub const SENDERS: usize = 4;
/// Who post what the first broadcast tells.
const POSTERS: usize = 2;
/// Who write down whom messages were sent to.
pub const WRITERS: usize = 2;
const DAYS: i64 = 3 * 24 * 3_600 + 600;

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
        /// The account names other lists of people who get nothing.
        other_lists: bool,
        /// Other targets, or the same otherwise.
        named: Option<Named>,
    },
    Release {
        broadcast: usize,
    },
    Lift {
        broadcast: usize,
    },
    Plan {
        broadcast: usize,
        /// Whom a list names.
        list: Vec<usize>,
    },
    /// A list is read for the plan that is made, or for one that was before.
    Suppress {
        broadcast: usize,
        list: Vec<usize>,
        late: bool,
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
    /// People to write down are taken, and nothing is told of them yet.
    TakeWriteBacks {
        writer: usize,
        broadcast: usize,
        target: WriteBackTarget,
    },
    /// What became of those who were last taken, by who took them.
    ReportWriteBacks {
        writer: usize,
        broadcast: usize,
        target: WriteBackTarget,
        fates: Vec<Fate>,
        put_off: bool,
    },
    /// Both, one after the other.
    WriteBack {
        writer: usize,
        broadcast: usize,
        target: WriteBackTarget,
        fates: Vec<Fate>,
        put_off: bool,
    },
    Attachments {
        broadcast: usize,
        asked: Asked,
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
        1 => Just(Outcome::AttachmentGone { fault: fault() }),
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

/// Somebody twice as well.
fn brought() -> impl Strategy<Value = Vec<Brought>> {
    let one =
        (0..PEOPLE, prop::option::of(0_u8..3), prop::option::of(-3_i64..9), prop::option::of(0..TAGS.len()), rarely());
    let brought = one.prop_map(|(person, number, wrote, tag, out)| Brought { person, number, wrote, tag, out });
    prop::collection::vec(brought, 1..4)
}

fn told_of_post() -> impl Strategy<Value = Told> {
    prop_oneof![6 => Just(Told::Taken), 6 => Just(Told::Failed), 1 => Just(Told::Gone)]
}

fn list() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..PEOPLE, 0..5)
}

fn target() -> impl Strategy<Value = WriteBackTarget> {
    prop_oneof![Just(WriteBackTarget::Messenger), Just(WriteBackTarget::Sql)]
}

fn named() -> impl Strategy<Value = Named> {
    let often = || prop::bool::weighted(0.8);
    (often(), often(), 0_u8..3).prop_map(|(messenger, sql, edition)| Named { messenger, sql, edition })
}

/// Of the people of a page in turn; none of them: the last is refused, who is one that was before, and the others are done.
fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let all = |fate: Fate| Just(vec![fate]);
    let some = prop_oneof![2 => Just(Fate::Done), 2 => Just(Fate::Refused), 1 => Just(Fate::Nothing)];
    prop_oneof![
        2 => all(Fate::Done),
        2 => all(Fate::Refused),
        3 => prop::collection::vec(some, 1..5),
        5 => Just(Vec::new()),
    ]
}

fn write_back() -> impl Strategy<Value = Operation> {
    (0_u8..7, 0..WRITERS, 0_usize..2, target(), fates(), prop::bool::weighted(0.15)).prop_map(
        |(which, writer, broadcast, target, fates, put_off)| match which {
            0 => Operation::TakeWriteBacks { writer, broadcast, target },
            1 => Operation::ReportWriteBacks { writer, broadcast, target, fates, put_off },
            _ => Operation::WriteBack { writer, broadcast, target, fates, put_off },
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let lives = prop_oneof![2 => 3_600_i64..3_900, 1 => Just(90 * 24 * 3_600)];
    let uploaded = prop::option::of((0_u8..3, 0_u8..4, lives));
    let asked = prop::collection::vec((0_u8..3, any::<bool>()), 0..4);
    let (gone, given_up) = (prop::option::weighted(0.2, 0_u8..4), prop::option::weighted(0.2, 0_u8..3));
    (0_u8..2, uploaded, gone, given_up, asked).prop_map(|(sender, uploaded, gone, given_up, asked)| Asked {
        sender,
        uploaded,
        gone,
        given_up,
        asked,
    })
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.08)
}

/// As senders ask whom the provider takes everybody of.
fn sending() -> impl Strategy<Value = Operation> {
    let taken = (0_usize..10).prop_map(|which| Tell { which, outcome: Outcome::Accepted { provider_id: None } });
    (0..SENDERS, 0_u32..7, prop::collection::vec(taken, 0..8)).prop_map(|(sender, wants, told)| Operation::Exchange {
        sender,
        wants,
        told,
        leaving: false,
    })
}

fn pass() -> impl Strategy<Value = Operation> {
    prop_oneof![12 => 1_i64..4, 12 => 12_i64..17, 2 => 100_i64..200, 1 => Just(DAYS)]
        .prop_map(|seconds| Operation::Pass { seconds })
}

/// Six are sent to, and one of them is refused as often as anybody is tried: rare by chance.
pub fn refused_for_good() -> Vec<Operation> {
    let tell = |which| Tell { which, outcome: Outcome::Accepted { provider_id: None } };
    let exchange = |wants, told: std::ops::Range<usize>| Operation::Exchange {
        sender: 0,
        wants,
        told: told.map(tell).collect(),
        leaving: false,
    };
    let (target, fates) = (WriteBackTarget::Sql, Vec::new());
    let refused = Operation::WriteBack { writer: 0, broadcast: 0, target, fates, put_off: false };
    let sending = [exchange(1, 0..0), exchange(5, 0..1), exchange(0, 0..5)];
    sending.into_iter().chain(std::iter::repeat_n(refused, 5)).collect()
}

/// Mostly of those beside the sending.
pub fn errand() -> impl Strategy<Value = Operation> {
    prop_oneof![8 => sending(), 20 => write_back(), 3 => pass(), 1 => operation()]
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
        4 => pass(),
        2 => Just(Operation::Upkeep),
        3 => (
            0_usize..2, rarely(), prop::bool::weighted(0.3), rarely(), prop::option::weighted(0.2, 1_i64..20),
            prop::bool::weighted(0.4), prop::option::weighted(0.4, named())
        ).prop_map(
            |(broadcast, older, suspended, cancelled, ends_in, other_lists, named)| Operation::Declare {
                broadcast, older, suspended, cancelled, ends_in, other_lists, named
            }
        ),
        1 => (0_usize..2).prop_map(|broadcast| Operation::Release { broadcast }),
        3 => (0_usize..2).prop_map(|broadcast| Operation::Lift { broadcast }),
        2 => (0_usize..2, list()).prop_map(|(broadcast, list)| Operation::Plan { broadcast, list }),
        2 => (0_usize..2, list(), rarely())
            .prop_map(|(broadcast, list, late)| Operation::Suppress { broadcast, list, late }),
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
        7 => write_back(),
        2 => (0_usize..2, asked()).prop_map(|(broadcast, asked)| Operation::Attachments { broadcast, asked }),
    ]
}
