//! A ledger that lost commits: what is known of it outside is more than it holds.

use herald::delivery::gate::Closed;
use herald::delivery::outcome::Outcome;
use herald::delivery::recipient::RecipientState::{self, Inflight, Pending, Sent, Skipped, Unknown};
use herald::delivery::time::Span;
use herald::ledger::exchange::{Assignment, Directive, ExchangeRequest, LastWords};
use herald::ledger::{BroadcastId, Declaration, LedgerError, Recollection};

use super::world::*;

/// What is known is so far ahead of the ledger.
const AHEAD: i64 = 40;

fn stopped(reason: Closed) -> Directive {
    Directive::Stop { reason }
}

fn knowing(revision: i64, approval: Option<&str>) -> Declaration {
    let approval = Some(approval.unwrap_or_default().to_owned());
    let recollection = Recollection { revision, owner_created_at: None, approval };
    Declaration { recollection, ..declaration("one") }
}

/// Twelve people in two batches: one sent, two in flight at the sender, the rest pending.
async fn under_way<L: Backend>(world: &World<L>) -> (BroadcastId, Sender, Vec<Assignment>) {
    let broadcast = world.planned(&declaration("one"), 12).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    assert_eq!(rows.len(), 2);
    (broadcast, sender, rows)
}

/// A revision that this ledger has not reached, as after an older copy of it was put back.
async fn lost_revision<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> i64 {
    world.snapshot(broadcast).await.revision + AHEAD
}

async fn states<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> Vec<RecipientState> {
    world.ledger.everybody(broadcast).await.iter().map(|row| row.state).collect()
}

pub async fn a_sender_that_has_seen_more_than_the_ledger_holds_closes_the_gate<L: Backend>(world: &World<L>) {
    let (broadcast, mut sender, rows) = under_way(world).await;
    let known_revision = lost_revision(world, broadcast).await;
    let told = vec![report(&rows[0], &accepted())];
    let request = ExchangeRequest { known_revision, ..sender.request(told, 5) };
    let reply = world.exchange(&request).await.unwrap();
    assert_eq!((reply.rows, reply.directive), (vec![], stopped(Closed::LedgerRegressed)));
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent, "an answer is evidence all the same");
    let reply = Sender::new("who knows nothing", broadcast).exchange(world, vec![], 5).await;
    assert_eq!((reply.rows, reply.directive), (vec![], stopped(Closed::LedgerRegressed)));
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!(snapshot.revision, known_revision, "what was known stays known");
    assert!(snapshot.stop_message.unwrap().contains("herald.dev/approved"));
}

pub async fn what_a_sender_has_seen_of_this_ledger_closes_nothing<L: Backend>(world: &World<L>) {
    let (broadcast, mut sender, _) = under_way(world).await;
    let known_revision = world.snapshot(broadcast).await.revision;
    let request = ExchangeRequest { known_revision, ..sender.request(vec![], 5) };
    assert_eq!(world.exchange(&request).await.unwrap().rows.len(), 5);
    assert_eq!(world.declare(&knowing(known_revision, None)).await.closed, None);
}

pub async fn an_owner_that_knows_more_than_the_ledger_holds_closes_the_gate<L: Backend>(world: &World<L>) {
    let (broadcast, mut sender, _) = under_way(world).await;
    let known = lost_revision(world, broadcast).await;
    assert_eq!(world.declare(&knowing(known, None)).await.closed, Some(Closed::LedgerRegressed));
    assert_eq!(
        world.declare(&declaration("one")).await.closed,
        Some(Closed::LedgerRegressed),
        "a wiped status opens it not"
    );
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, stopped(Closed::LedgerRegressed));
}

pub async fn approved_everybody_who_is_not_settled_becomes_unknown_and_nobody_is_taken<L: Backend>(world: &World<L>) {
    let (broadcast, mut sender, rows) = under_way(world).await;
    let known = lost_revision(world, broadcast).await;
    world.declare(&knowing(known, None)).await;
    world.maintain_all().await;
    assert_eq!(states(world, broadcast).await[..4], [Sent, Inflight, Inflight, Pending], "not before it is approved");

    let approved = world.declare(&knowing(known, Some("yes"))).await;
    assert_eq!(approved.closed, Some(Closed::LedgerRegressed), "not before everybody at risk is unknown");
    assert_eq!(sender.exchange(world, vec![], 5).await.rows, []);
    world.maintain_all().await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.closed, snapshot.counts.sent, snapshot.counts.unknown), (Some(Closed::Complete), 1, 11));
    assert_eq!(world.tally(broadcast, Unknown, "LedgerRegressed").await, 11);

    sender.tell(world, reports(&rows, &Outcome::NotBegun)).await;
    assert_eq!(world.counts(broadcast).await.unknown, 11, "an attempt of that time says nothing about a later one");
    let again = world.declare(&knowing(known, Some("yes"))).await;
    assert_eq!(again.closed, Some(Closed::Complete), "the same knowledge finds no second loss");
    assert!(again.revision > known);
}

pub async fn who_was_unknown_before_the_loss_is_not_made_pending_by_an_outcome_of_that_time<L: Backend>(
    world: &World<L>,
) {
    let (broadcast, mut sender, rows) = under_way(world).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    let known = lost_revision(world, broadcast).await;
    world.declare(&knowing(known, None)).await;
    world.declare(&knowing(known, Some("yes"))).await;
    world.maintain_all().await;
    sender.tell(world, reports(&rows, &Outcome::NotBegun)).await;
    assert_eq!(states(world, broadcast).await[1..3], [Unknown, Unknown]);
    assert_eq!(world.tally(broadcast, Unknown, "Timeout").await, 2, "their reason stays");
}

/// Two rows of a sender that silence gave up for, then a loss of the ledger's latest commits.
async fn given_up_and_lost<L: Backend>(world: &World<L>) -> (BroadcastId, Vec<Assignment>, i64) {
    let (broadcast, _, rows) = under_way(world).await;
    world.pass(Span::from_secs(300));
    world.maintain_all().await;
    assert_eq!(world.tally(broadcast, Unknown, "SenderLost").await, 2);
    let known = lost_revision(world, broadcast).await;
    world.declare(&knowing(known, None)).await;
    (broadcast, rows, known)
}

/// The first was on the wire when the sender died. The outcome of the second was acknowledged in the lost time, so the
/// journal has forgotten it.
fn late_journal(rows: &[Assignment]) -> LastWords {
    let begun = vec![(rows[0].seq, rows[0].attempt)];
    LastWords { holder: "sender".into(), outcomes: vec![], begun, complete: true, known_revision: 0 }
}

/// The older copy calls both held. The first was on the wire when the sender died, the outcome of the second is forgotten.
pub async fn a_journal_that_knows_more_than_the_ledger_holds_calls_nobody_never_begun<L: Backend>(world: &World<L>) {
    let (broadcast, _, rows) = under_way(world).await;
    let known_revision = lost_revision(world, broadcast).await;
    world.settle_dead(&LastWords { known_revision, ..late_journal(&rows) }).await;
    assert_eq!(states(world, broadcast).await[..4], [Sent, Unknown, Unknown, Pending]);
    let heir = Sender::new("heir", broadcast).exchange(world, vec![], 5).await;
    assert_eq!((heir.rows, heir.directive), (vec![], stopped(Closed::LedgerRegressed)));
}

pub async fn a_late_journal_calls_nobody_never_begun_after_an_approved_loss<L: Backend>(world: &World<L>) {
    let (broadcast, rows, known) = given_up_and_lost(world).await;
    world.declare(&knowing(known, Some("yes"))).await;
    world.maintain_all().await;
    assert_eq!(world.snapshot(broadcast).await.gate.loss, None, "the loss is over");
    world.settle_dead(&late_journal(&rows)).await;
    assert_eq!(states(world, broadcast).await[1..3], [Unknown, Unknown]);
    assert_eq!(Sender::new("heir", broadcast).take(world, 9).await, []);
}

pub async fn a_late_journal_calls_nobody_never_begun_before_a_loss_is_approved<L: Backend>(world: &World<L>) {
    let (broadcast, rows, known) = given_up_and_lost(world).await;
    world.settle_dead(&late_journal(&rows)).await;
    assert_eq!(states(world, broadcast).await[1..3], [Unknown, Unknown]);
    world.declare(&knowing(known, Some("yes"))).await;
    world.settle_dead(&late_journal(&rows)).await;
    assert_eq!(states(world, broadcast).await[1..3], [Unknown, Unknown], "nor while those at risk become unknown");
    world.maintain_all().await;
    assert_eq!(world.counts(broadcast).await.unknown, 11);
}

pub async fn an_approval_of_before_the_loss_approves_nothing<L: Backend>(world: &World<L>) {
    let (broadcast, mut sender, _) = under_way(world).await;
    let known_revision = lost_revision(world, broadcast).await;
    let request = ExchangeRequest { known_revision, ..sender.request(vec![], 5) };
    world.exchange(&request).await.unwrap();
    let mut unseen = knowing(known_revision, None);
    unseen.recollection.approval = None;
    world.declare(&unseen).await;
    for _ in 0..2 {
        world.declare(&knowing(known_revision, Some("last year"))).await;
        world.maintain_all().await;
        assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::LedgerRegressed));
    }
    world.declare(&knowing(known_revision, None)).await;
    assert!(!world.snapshot(broadcast).await.gate.at_risk, "taking it away approves nothing either");
    assert!(world.declare(&knowing(known_revision, Some("today"))).await.gate.at_risk);
}

pub async fn everybody_of_a_plan_that_was_lost_is_at_risk<L: Backend>(world: &World<L>) {
    let lost = world.declare(&knowing(AHEAD, None)).await;
    assert_eq!(lost.closed, Some(Closed::LedgerRegressed), "it is not in the copy at all");
    let mut sender = Sender::new("sender", lost.id);
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, stopped(Closed::LedgerRegressed));
    world.declare(&knowing(AHEAD, Some("yes"))).await;
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, Directive::Plan);
    world.plan(lost.id, 5).await;
    assert_eq!(sender.exchange(world, vec![], 5).await.rows, []);
    world.maintain_all().await;
    assert_eq!(world.counts(lost.id).await.unknown, 5);
    assert!(
        matches!(world.ledger.begin_plan(lost.id).await, Err(LedgerError::PlanLocked)),
        "a new plan would be pending"
    );
}

pub async fn an_edit_of_the_lost_time_makes_nobody_pending<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 5).await;
    let known = lost_revision(world, broadcast).await;
    let edited = |approval| Declaration { identity_hash: "second".into(), ..knowing(known, approval) };
    world.declare(&edited(None)).await;
    world.declare(&edited(Some("yes"))).await;
    world.plan(broadcast, 7).await;
    world.maintain_all().await;
    assert_eq!(world.counts(broadcast).await.unknown, 7);
    let back = world.ledger.declare(&declaration("one")).await;
    assert!(matches!(back, Err(LedgerError::KeyReused { .. })), "{back:?}");
}

pub async fn the_many_at_risk_become_unknown_in_slices<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&Declaration { batch_size: Some(1_000), ..declaration("one") }, 5_003).await;
    let known = lost_revision(world, broadcast).await;
    world.declare(&knowing(known, None)).await;
    world.declare(&knowing(known, Some("yes"))).await;
    assert!(world.maintain().await);
    let counts = world.counts(broadcast).await;
    assert!(counts.unknown > 0 && counts.pending > 0, "{counts:?}");
    world.maintain_all().await;
    assert_eq!(world.counts(broadcast).await.unknown, 5_003);
}

pub async fn nobody_is_skipped_by_a_ledger_that_may_have_forgotten_a_message<L: Backend>(world: &World<L>) {
    let (broadcast, mut sender, rows) = under_way(world).await;
    let known = lost_revision(world, broadcast).await;
    world.declare(&Declaration { cancelled: true, ..knowing(known, None) }).await;
    world.maintain_all().await;
    sender.tell(world, vec![report(&rows[0], &Outcome::NotBegun)]).await;
    assert_eq!(world.counts(broadcast).await.skipped, 0);
    world.declare(&knowing(known, Some("yes"))).await;
    world.maintain_all().await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.closed, snapshot.counts.unknown), (Some(Closed::Complete), 11));
}

pub async fn a_loss_holds_up_no_upkeep_of_others<L: Backend>(world: &World<L>) {
    let lost = world.planned(&declaration("one"), 3).await;
    let known = lost_revision(world, lost).await;
    world.declare(&Declaration { cancelled: true, ..knowing(known, None) }).await;
    let other = world.planned(&declaration("other"), 3).await;
    world.declare(&Declaration { cancelled: true, ..declaration("other") }).await;
    world.maintain_all().await;
    assert_eq!(world.tally(other, Skipped, "Cancelled").await, 3);
}

pub async fn what_is_older_than_a_ledger_without_any_memory_of_it_is_held_until_approved<L: Backend>(world: &World<L>) {
    let of_before = |approval: Option<&str>| {
        let mut declaration = knowing(AHEAD, approval);
        declaration.recollection.owner_created_at = Some(world.now() - Span::from_secs(3_600));
        declaration
    };
    let held = world.declare(&of_before(None)).await;
    assert_eq!(held.closed, Some(Closed::FreshLedger));
    assert!(held.stop_message.unwrap().contains("AGAIN"));
    let mut sender = Sender::new("sender", held.id);
    assert_eq!(sender.exchange(world, vec![], 5).await.directive, stopped(Closed::FreshLedger), "not even planned");
    let approved = world.declare(&of_before(Some("yes"))).await;
    assert_eq!(approved.closed, Some(Closed::NotPlanned));
    world.plan(held.id, 5).await;
    assert_eq!(sender.take(world, 5).await.len(), 1, "it is sent");
    assert_eq!(world.declare(&of_before(Some("yes"))).await.closed, None);
}

pub async fn what_is_older_than_the_ledger_and_was_in_none_is_not_held<L: Backend>(world: &World<L>) {
    let mut never_seen = knowing(0, None);
    never_seen.recollection.owner_created_at = Some(world.now() - Span::from_secs(3_600));
    assert_eq!(world.declare(&never_seen).await.closed, Some(Closed::NotPlanned));
}

pub async fn an_invented_revision_closes_a_broadcast_only_until_it_is_approved<L: Backend>(world: &World<L>) {
    let (broadcast, mut sender, _) = under_way(world).await;
    let request = ExchangeRequest { known_revision: i64::MAX, ..sender.request(vec![], 5) };
    assert_eq!(world.exchange(&request).await.unwrap().directive, stopped(Closed::LedgerRegressed));
    world.declare(&knowing(i64::MAX, None)).await;
    world.declare(&knowing(i64::MAX, Some("yes"))).await;
    world.maintain_all().await;
    let again = ExchangeRequest { known_revision: i64::MAX, ..sender.request(vec![], 5) };
    assert_eq!(world.exchange(&again).await.unwrap().directive, stopped(Closed::Complete));
    assert_eq!(world.declare(&knowing(i64::MAX, Some("yes"))).await.gate.loss, None);
    assert_eq!(world.counts(broadcast).await.unknown, 11);
}
