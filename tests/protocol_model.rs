//! The exchange protocol with two senders, one batch and three recipients, or two with messages of two parts, through every order in which exchanges,
//! requests, crashes, freezes, lost replies, pauses and takeovers may happen. What a recipient becomes and whether the gate
//! is open is decided by the product's own rules; the rest is the protocol of the ledger, as small as it can be said.
//!
//! Time is not modelled: whatever may happen by time alone (a lease that runs out, a slot that passes) may happen at any
//! moment, which is more than any clock allows. What could happen without end has a budget.
//!
//! Lists of people who get nothing are part of it, since one is read while other senders hold people. Writing down elsewhere whom
//! a message was sent to is not: somebody is owed from the transaction that records the outcome on, which is one step here, and
//! what follows is a queue beside the exchange that changes nothing it looks at. `ledger_agreement` and `ledger_faults` judge that.
//! Attachments and rate classes decide when somebody is taken, or what the message says, and never whether.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "protocol_model/ledger.rs"]
mod ledger;
#[path = "protocol_model/sender.rs"]
mod sender;
#[path = "protocol_model/world.rs"]
mod world;

use std::collections::BTreeSet;

use ledger::{Plan, Rules};
use stateright::{Checker, HasDiscoveries, Model};
use world::{Faults, Protocol};

/// Looks at every state that can be reached; the names of the properties that do not hold.
fn broken(protocol: Protocol) -> Vec<&'static str> {
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    let mut broken: Vec<&'static str> = checker.discoveries().into_keys().collect();
    broken.sort_unstable();
    broken
}

/// Whether all of these properties are found not to hold; looks no further then.
fn breaks<const N: usize>(protocol: Protocol, properties: [&'static str; N]) -> bool {
    let until = HasDiscoveries::AllOf(BTreeSet::from(properties));
    let checker = protocol.checker().threads(2).finish_when(until).spawn_bfs().join();
    properties.iter().all(|property| checker.discovery(property).is_some())
}

const IN_PARTS: Plan = Plan { people: 2, parts: 2 };

#[track_caller]
fn holds_in_parts(faults: Faults, journal: bool) {
    let protocol = Protocol { plan: IN_PARTS, faults, journal, ..Protocol::default() };
    assert_eq!(broken(protocol), Vec::<&str>::new(), "{faults:?}");
}

#[track_caller]
fn holds(faults: Faults) {
    assert_eq!(broken(Protocol { faults, ..Protocol::default() }), Vec::<&str>::new(), "{faults:?}");
}

#[test]
fn a_crash_and_a_takeover_repeat_nobody_and_leave_nobody_behind() {
    holds(Faults { crashes: 1, ended_leases: 1, ..Faults::default() });
}

#[test]
fn a_crash_without_its_journal_costs_unknowns_and_nothing_else() {
    let faults = Faults { crashes: 1, lost_replies: 1, ..Faults::default() };
    assert_eq!(broken(Protocol { faults, journal: false, ..Protocol::default() }), Vec::<&str>::new());
}

#[test]
fn lost_replies_and_refusals_repeat_nobody_and_leave_nobody_behind() {
    holds(Faults { lost_replies: 1, refusals: 1, ended_leases: 1, ..Faults::default() });
}

#[test]
fn a_sender_that_wakes_after_its_deadline_leaves_at_most_an_unknown() {
    holds(Faults { lost_answers: 1, passed_slots: 1, ended_leases: 1, ..Faults::default() });
}

#[test]
fn a_pause_or_cancel_at_any_moment_gives_nobody_away_and_loses_nobody() {
    holds(Faults { edits: 2, lost_replies: 1, ..Faults::default() });
    holds(Faults { edits: 1, ended_leases: 1, ..Faults::default() });
}

#[test]
#[ignore = "many millions of states, for `make soak`"]
fn a_crash_a_takeover_and_a_pause_together_repeat_nobody_and_leave_nobody_behind() {
    holds(Faults { crashes: 1, ended_leases: 1, edits: 1, ..Faults::default() });
}

#[test]
fn without_the_fence_an_old_epoch_takes_recipients() {
    let faults = Faults { ended_leases: 1, ..Faults::default() };
    let rules = Rules { fence: false, ..Rules::ALL };
    assert!(breaks(Protocol { faults, rules, ..Protocol::default() }, [world::OLD_EPOCH]));
}

#[test]
fn without_the_one_rule_somebody_is_messaged_twice() {
    let faults = Faults { lost_answers: 1, passed_slots: 1, ended_leases: 1, ..Faults::default() };
    let broken = [world::NOBODY_TWICE, world::DEFINITE_BEFORE_NEXT];
    let rules = Rules { one_rule: false, ..Rules::ALL };
    assert!(breaks(Protocol { faults, rules, ..Protocol::default() }, broken));
}

#[test]
fn without_the_gate_a_paused_broadcast_gives_recipients_away() {
    let faults = Faults { edits: 1, ..Faults::default() };
    let rules = Rules { gate: false, ..Rules::ALL };
    assert!(breaks(Protocol { faults, rules, ..Protocol::default() }, [world::CLOSED_GATE]));
}

#[test]
fn a_copy_of_a_request_that_arrives_late_takes_nobody_from_anybody() {
    holds(Faults { copies: 1, ended_leases: 1, ..Faults::default() });
    let faults = Faults { copies: 1, crashes: 1, ..Faults::default() };
    assert_eq!(broken(Protocol { faults, journal: false, ..Protocol::default() }), Vec::<&str>::new());
}

#[test]
fn whom_a_list_names_at_any_moment_is_given_to_nobody_after_it() {
    holds(Faults { lists: 1, crashes: 1, ..Faults::default() });
    holds(Faults { lists: 1, refusals: 1, ended_leases: 1, ..Faults::default() });
    holds(Faults { lists: 1, copies: 1, ..Faults::default() });
    holds_in_parts(Faults { lists: 1, passed_slots: 1, lost_answers: 1, ..Faults::default() }, true);
}

#[test]
fn who_is_in_flight_and_forgotten_by_a_list_is_given_away_again() {
    let faults = Faults { lists: 1, crashes: 1, ..Faults::default() };
    let rules = Rules { lists_stay: false, ..Rules::ALL };
    assert!(breaks(Protocol { faults, rules, ..Protocol::default() }, [world::ON_A_LIST]));
}

#[test]
fn crashes_and_takeovers_between_parts_repeat_no_part_and_leave_nobody_behind() {
    holds_in_parts(Faults { crashes: 1, ended_leases: 1, ..Faults::default() }, true);
    holds_in_parts(Faults { crashes: 1, lost_replies: 1, ..Faults::default() }, false);
}

#[test]
fn answers_lost_and_refused_leave_the_part_at_hand_unknown_or_tried_again_and_no_other() {
    holds_in_parts(Faults { lost_answers: 1, refusals: 1, ..Faults::default() }, true);
    holds_in_parts(Faults { refusals: 1, ended_leases: 1, ..Faults::default() }, true);
    holds_in_parts(Faults { copies: 1, ended_leases: 1, ..Faults::default() }, true);
    holds_in_parts(Faults { lost_answers: 1, passed_slots: 1, ..Faults::default() }, true);
}

#[test]
fn a_part_that_is_sent_again_without_a_definite_outcome_is_got_twice() {
    let faults = Faults { lost_answers: 1, passed_slots: 1, ..Faults::default() };
    let broken = [world::NOBODY_TWICE, world::DEFINITE_BEFORE_NEXT, world::ANSWERED_BEFORE_NEXT];
    let rules = Rules { one_rule: false, ..Rules::ALL };
    assert!(breaks(Protocol { plan: IN_PARTS, faults, rules, ..Protocol::default() }, broken));
}

#[test]
fn a_message_that_is_begun_anew_after_a_refused_part_is_got_twice_in_part() {
    let faults = Faults { refusals: 1, ..Faults::default() };
    let rules = Rules { parts_stay: false, ..Rules::ALL };
    let broken = [world::NOBODY_TWICE, world::ANSWERED_BEFORE_NEXT];
    assert!(breaks(Protocol { plan: IN_PARTS, faults, rules, ..Protocol::default() }, broken));
}
