//! Owners of broadcasts, what their senders work by, and what keeps these from it.

use herald::api::{Audience, Content, MessageChannelSpec};
use herald::delivery::gate::Closed;
use herald::delivery::outcome::{Cap, Fault, Outcome, PermanentScope};
use herald::delivery::rate::Rate;
use herald::delivery::time::Span;
use herald::ledger::declaration::AccountKey;
use herald::ledger::exchange::{Directive, ExchangeRequest, LEASE, LastWords, SLOW_FOR};
use herald::ledger::plan::PlanRow;
use herald::ledger::{BroadcastId, Declaration, LedgerError, Orders, PlanTicket, Trouble};

use super::world::*;

pub fn orders() -> Orders {
    let channel = r#"{"http": {"url": "http://localhost/acme"}, "rate": {"messages": 100}}"#;
    let audience = r#"{"recipients": [{"id": "1", "vars": {"name": "Ana"}}]}"#;
    Orders {
        channel: serde_json::from_str::<MessageChannelSpec>(channel).unwrap(),
        audience: serde_json::from_str::<Audience>(audience).unwrap(),
        suppression: Vec::new(),
    }
}

pub async fn a_brief_says_what_senders_work_by<L: Backend>(world: &World<L>) {
    let without = world.declare(&declaration("without")).await.id;
    assert!(matches!(world.ledger.brief(without).await, Err(LedgerError::NoOrders)));
    let with = world.declare(&Declaration { orders: Some(orders()), ..declaration("with") }).await.id;
    let brief = world.ledger.brief(with).await.unwrap();
    assert_eq!((brief.broadcast, brief.name.as_str(), brief.orders), (with, "with", orders()));
    assert_eq!(brief.content.text, "hello");
    let ticket = world.ledger.begin_plan(with).await.unwrap();
    let planning = world.ledger.brief(with).await.unwrap();
    assert_eq!((planning.plan, planning.under_way), (ticket.epoch, false));
    world.ledger.append_plan(ticket, 1, &people(0..1)).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    assert!(world.ledger.brief(with).await.unwrap().under_way);
    let mut sender = Sender::new("sender", with);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    assert!(!world.ledger.brief(with).await.unwrap().under_way, "everybody has got it");
}

fn trouble() -> Trouble {
    Trouble::new("SecretNotFound", "there is no Secret \"page\"")
}

fn with_orders(key: &str) -> Declaration {
    Declaration { orders: Some(orders()), ..declaration(key) }
}

/// The plan that senders of a broadcast with orders work by.
async fn plan_of<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> PlanTicket {
    PlanTicket { broadcast, epoch: world.ledger.brief(broadcast).await.unwrap().plan }
}

async fn told<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> Option<Trouble> {
    world.snapshot(broadcast).await.trouble.map(|told| told.trouble)
}

pub async fn a_trouble_stands_until_a_plan_is_sealed<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&with_orders("one")).await.id;
    world.ledger.report_trouble(plan_of(world, broadcast).await, &trouble()).await.unwrap();
    world.declare(&with_orders("one")).await;
    assert_eq!(told(world, broadcast).await, Some(trouble()));
    world.plan(broadcast, 3).await;
    assert_eq!(told(world, broadcast).await, None);
    let nowhere = BroadcastId(77);
    assert!(matches!(
        world.ledger.report_trouble(PlanTicket { broadcast: nowhere, epoch: 1 }, &trouble()).await,
        Err(LedgerError::UnknownBroadcast)
    ));
}

pub async fn a_trouble_stands_until_somebody_is_taken<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&with_orders("one"), 3).await;
    world.ledger.report_trouble(plan_of(world, broadcast).await, &trouble()).await.unwrap();
    let mut sender = Sender::new("sender", broadcast);
    sender.exchange(world, vec![], 0).await;
    assert_eq!(told(world, broadcast).await, Some(trouble()), "who takes nobody shows nothing");
    assert_eq!(sender.take(world, 1).await.len(), 1);
    assert_eq!(told(world, broadcast).await, None);
}

pub async fn a_trouble_of_an_older_wish_is_forgotten<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&with_orders("one"), 3).await;
    world.ledger.report_trouble(plan_of(world, broadcast).await, &trouble()).await.unwrap();
    world.declare(&Declaration { generation: 2, ..with_orders("one") }).await;
    assert_eq!(told(world, broadcast).await, None);
}

pub async fn a_trouble_of_an_overtaken_plan_is_not_heard<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let overtaken = world.ledger.begin_plan(broadcast).await.unwrap();
    let edited = Declaration { identity_hash: "second".into(), generation: 2, ..declaration("one") };
    world.declare(&edited).await;
    world.ledger.report_trouble(overtaken, &trouble()).await.unwrap();
    assert_eq!(told(world, broadcast).await, None);
    let present = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.report_trouble(present, &trouble()).await.unwrap();
    assert!(told(world, broadcast).await.is_some());
}

pub async fn a_cancel_is_latched_for_what_its_owner_declared_and_for_nobody_else<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let cancel = async |key: &str, owner: &str| {
        let namespace = declaration("one").namespace;
        world.ledger.cancel(&namespace, key, owner).await.unwrap()
    };
    for (key, owner) in [("one", "other"), ("two", "owner"), ("one", "")] {
        assert_eq!(cancel(key, owner).await, None, "{key} of {owner}");
    }
    assert_eq!(world.snapshot(broadcast).await.closed, None);
    world.ledger.release("owner", 1).await.unwrap();
    assert_eq!(cancel("one", "owner").await, Some(broadcast));
    assert_eq!(cancel("one", "owner").await, Some(broadcast), "once more");
    world.declare(&Declaration { generation: 2, cancelled: false, ..declaration("one") }).await;
    assert_eq!(world.snapshot(broadcast).await.closed, Some(Closed::Cancelled));
    while world.ledger.maintain().await.unwrap() {}
    assert_eq!(world.snapshot(broadcast).await.counts.skipped, 3);
}

pub async fn a_key_belongs_to_one_owner_until_it_is_released<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let other = Declaration { owner_uid: "other".into(), name: "two".into(), ..declaration("one") };
    match world.ledger.declare(&other).await {
        Err(LedgerError::KeyInUse { owner, owner_uid, .. }) => {
            assert_eq!((owner.as_str(), owner_uid.as_str()), ("one", "owner"));
        }
        answer => panic!("{answer:?}"),
    }
    let owners = world.ledger.owners().await.unwrap();
    assert_eq!(owners.len(), 1);
    assert_eq!((owners[0].broadcast, owners[0].uid.as_str()), (broadcast, "owner"));
    assert_eq!(world.ledger.owned_by("owner").await.unwrap(), [broadcast]);
    assert_eq!(world.ledger.owned_by("other").await.unwrap(), []);
    world.ledger.release("nobody", 1).await.unwrap();
    world.ledger.release("owner", 1).await.unwrap();
    assert_eq!(world.ledger.owners().await.unwrap(), []);
    assert_eq!(world.ledger.owned_by("owner").await.unwrap(), []);
    assert_eq!(world.declare(&other).await.id, broadcast);
    assert_eq!(world.ledger.owners().await.unwrap()[0].name, "two");
}

pub async fn a_released_broadcast_takes_nobody<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    world.ledger.release("owner", 1).await.unwrap();
    let reply = sender.exchange(world, vec![], 3).await;
    assert_eq!((reply.rows, reply.directive), (vec![], Directive::Stop { reason: Closed::Released }));
    world.declare(&declaration("one")).await;
    assert_eq!(sender.take(world, 3).await.len(), 2, "applied again it goes on");
}

pub async fn one_planner_is_at_work_and_others_wait<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let mut sender = Sender::new("sender", broadcast);
    assert_eq!(sender.exchange(world, vec![], 1).await.directive, Directive::Plan);
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    assert!(world.snapshot(broadcast).await.planning);
    for chunk in 1..4 {
        world.pass(LEASE - Span::from_secs(1));
        let directive = sender.exchange(world, vec![], 1).await.directive;
        assert!(matches!(directive, Directive::Wait { .. }), "{directive:?}");
        world.ledger.append_plan(ticket, chunk, &people(0..chunk as usize)).await.unwrap();
    }
    world.pass(LEASE);
    assert!(!world.snapshot(broadcast).await.planning);
    assert_eq!(sender.exchange(world, vec![], 1).await.directive, Directive::Plan, "silent for a lease: dead");
}

pub async fn a_planner_that_gives_up_keeps_nobody_waiting<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let first = world.ledger.begin_plan(broadcast).await.unwrap();
    let second = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.abandon_plan(first).await.unwrap();
    assert!(world.snapshot(broadcast).await.planning, "a superseded ticket changes nothing");
    world.ledger.abandon_plan(second).await.unwrap();
    assert!(!world.snapshot(broadcast).await.planning);
    assert_eq!(Sender::new("sender", broadcast).exchange(world, vec![], 1).await.directive, Directive::Plan);
}

pub async fn a_snapshot_says_until_when_senders_live_and_when_somebody_is_due<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.lease_until, snapshot.due_at), (None, None));
    world.plan(broadcast, 2).await;
    assert_eq!(world.snapshot(broadcast).await.due_at, Some(world.now()));
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 1).await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.lease_until, snapshot.due_at), (Some(world.now() + LEASE), None));
    sender.tell(world, reports(&rows, &transient())).await;
    let due = world.snapshot(broadcast).await.due_at.unwrap();
    assert!(due > world.now(), "in backoff");
    world.pass(LEASE + Span::from_secs(1));
    assert_eq!(world.snapshot(broadcast).await.lease_until, None);
}

pub async fn an_account_says_its_rate_and_whether_its_credentials_work<L: Backend>(world: &World<L>) {
    let key = declaration("one").account;
    assert_eq!(world.ledger.account(&key).await.unwrap(), None);
    let broadcast = world.planned(&declaration("one"), 3).await;
    world.planned(&Declaration { suspended: true, ..declaration("two") }, 3).await;
    let account = world.ledger.account(&key).await.unwrap().unwrap();
    assert_eq!((account.ceiling, account.verified, account.active_broadcasts), (Rate::new(100, 1), false, 1));
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    assert!(world.ledger.account(&key).await.unwrap().unwrap().verified);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &auth())).await;
    let account = world.ledger.account(&key).await.unwrap().unwrap();
    assert!(account.stop_message.is_some());
    assert_eq!(account.active_broadcasts, 0);
}

pub async fn a_slow_provider_is_known_as_long_as_senders_say_so<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::new("sender", broadcast);
    assert!(!world.snapshot(broadcast).await.provider_slow);
    let request = ExchangeRequest { held_up: true, ..sender.request(vec![], 1) };
    world.exchange(&request).await.unwrap();
    assert!(world.snapshot(broadcast).await.provider_slow);
    world.pass(SLOW_FOR);
    assert!(!world.snapshot(broadcast).await.provider_slow);
}

pub async fn that_nothing_gets_through_is_told_of_whom_it_concerns_and_while_it_is_news<L: Backend>(world: &World<L>) {
    let failing = world.planned(&declaration("failing"), 30).await;
    let few = world.planned(&declaration("few"), 1).await;
    let mut sender = Sender::proven(world, "sender", failing).await;
    let refused = sender.take(world, 12).await;
    sender.tell(world, reports(&refused[..4], &not_sent())).await;
    assert_eq!(world.snapshot(failing).await.failing, None, "four of thirty");
    sender.tell(world, reports(&refused[4..], &not_sent())).await;
    let told = world.snapshot(failing).await.failing.unwrap();
    assert_eq!((told.in_a_row, told.last.reason.as_str()), (12, "Refused"));
    assert_eq!(world.snapshot(few).await.failing, None, "it has tried nobody");
    let mut of_few = Sender::new("sender of few", few);
    let rows = of_few.take(world, 1).await;
    of_few.tell(world, reports(&rows, &not_sent())).await;
    let told = world.snapshot(few).await.failing.unwrap().to_string();
    assert_eq!(told, "nobody is reached yet: the last request failed: Refused: words");
    world.pass(Span::from_secs(3_600));
    assert_eq!(world.snapshot(failing).await.failing, None, "an hour ago");
    let again = sender.take(world, 1).await;
    sender.tell(world, reports(&again, &accepted())).await;
    let again = sender.take(world, 5).await;
    sender.tell(world, reports(&again[..4], &not_sent())).await;
    assert_eq!(world.snapshot(failing).await.failing, None, "counted anew from the one that got through");
    sender.tell(world, reports(&again[4..], &not_sent())).await;
    assert_eq!(world.snapshot(failing).await.failing.unwrap().in_a_row, 5);
}

pub async fn people_who_cannot_be_reached_do_not_make_a_provider_one_that_fails<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("tail"), 30).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let cap = Some(Cap { tries: 3, then: PermanentScope::Recipient });
    let answered = Outcome::Transient { cap, fault: Fault::new("PersonUnavailable", Some("551".into()), "blocked") };
    for _ in 0..2 {
        let rows = sender.take(world, 20).await;
        assert!(rows.len() >= 5);
        sender.tell(world, reports(&rows, &answered)).await;
        assert_eq!(world.snapshot(broadcast).await.failing, None);
        world.pass(Span::from_secs(3_600));
    }
}

pub async fn a_dead_sender_is_settled_only_within_its_broadcast<L: Backend>(world: &World<L>) {
    let one = world.planned(&declaration("one"), 3).await;
    let two = world.planned(&declaration("two"), 3).await;
    let mut sender = Sender::proven(world, "sender", one).await;
    let rows = sender.take(world, 1).await;
    let words =
        LastWords { holder: "sender".into(), outcomes: vec![], begun: vec![], complete: true, known_revision: 0 };
    world.ledger.settle_dead_sender(Some(two), &words).await.unwrap();
    assert_eq!(world.counts(one).await.inflight, 1);
    sender.tell(world, reports(&rows, &accepted())).await;
    assert_eq!(world.counts(one).await.sent, 2);
}

pub async fn a_ledger_serves_one_cluster_until_it_is_said_to_have_moved<L: Backend>(world: &World<L>) {
    world.ledger.serve_cluster("one", None).await.unwrap();
    world.ledger.serve_cluster("one", Some("another")).await.unwrap();
    for moved_from in [None, Some("another")] {
        match world.ledger.serve_cluster("two", moved_from).await {
            Err(LedgerError::OtherCluster { bound, cluster }) => assert_eq!((&*bound, &*cluster), ("one", "two")),
            answer => panic!("{answer:?}"),
        }
    }
    world.ledger.serve_cluster("two", Some("one")).await.unwrap();
    world.ledger.serve_cluster("two", Some("one")).await.unwrap();
    assert!(world.ledger.serve_cluster("one", None).await.is_err());
}

fn named(name: &str) -> Declaration {
    Declaration { key_is_given: false, owner_uid: name.into(), ..declaration(name) }
}

pub async fn a_rename_is_held_until_its_key_is_given<L: Backend>(world: &World<L>) {
    let sent = world.planned(&named("sale"), 3).await;
    Sender::proven(world, "sender", sent).await;
    world.ledger.release("sale", 1).await.unwrap();
    let renamed = world.planned(&named("team-a-sale"), 3).await;
    let reply = Sender::new("sender of the other", renamed).exchange(world, vec![], 3).await;
    assert_eq!((reply.rows, reply.directive), (vec![], Directive::Stop { reason: Closed::DuplicateSuspected }));
    assert!(world.snapshot(renamed).await.stop_message.unwrap().contains("`sale`"), "it says which one");
    let meant = world.declare(&Declaration { key_is_given: true, ..named("team-a-sale") }).await;
    assert_eq!((meant.id, meant.closed), (renamed, None));
}

pub async fn of_two_that_are_alike_the_later_is_held_and_only_while_the_other_may_be_sent<L: Backend>(
    world: &World<L>,
) {
    let first = world.planned(&named("first"), 3).await;
    world.pass(Span::from_secs(1));
    let second = world.planned(&named("second"), 3).await;
    world.declare(&named("first")).await;
    assert_eq!(world.snapshot(first).await.closed, None);
    assert_eq!(world.snapshot(second).await.closed, Some(Closed::DuplicateSuspected));
    world.ledger.release("first", 1).await.unwrap();
    assert_eq!(world.declare(&named("second")).await.closed, None, "the other is gone and nobody got it");
}

/// Declares and plans for exactly these rows.
async fn listed<L: Backend>(world: &World<L>, name: &str, rows: &[PlanRow]) -> BroadcastId {
    let broadcast = world.declare(&named(name)).await.id;
    list(world, broadcast, rows).await;
    broadcast
}

async fn list<L: Backend>(world: &World<L>, broadcast: BroadcastId, rows: &[PlanRow]) {
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    for (chunk, rows) in (1..).zip(rows.chunks(2_000)) {
        world.ledger.append_plan(ticket, chunk, rows).await.unwrap();
    }
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    world.sums_hold().await;
}

pub async fn who_is_in_the_audience_decides_and_not_what_it_is_called<L: Backend>(world: &World<L>) {
    let sent = listed(world, "week-1", &people(0..3)).await;
    Sender::proven(world, "sender", sent).await;
    let other_people = listed(world, "week-2", &people(2..5)).await;
    assert_eq!(world.snapshot(other_people).await.closed, None, "the same list by name, with other people");
    let renamed = world.declare(&Declaration { identity_hash: "renamed list".into(), ..named("week-3") }).await.id;
    list(world, renamed, &people(0..3)).await;
    assert_eq!(world.snapshot(renamed).await.closed, Some(Closed::DuplicateSuspected), "the same people");
    list(world, renamed, &people(5..8)).await;
    assert_eq!(world.snapshot(renamed).await.closed, None, "planned anew, it is like no other");
}

pub async fn rows_order_or_variables_that_changed_do_not_make_a_list_another<L: Backend>(world: &World<L>) {
    let sent = listed(world, "sale", &people(0..10)).await;
    Sender::proven(world, "sender", sent).await;
    world.pass(Span::from_secs(1));
    let mut other_order = people(0..10);
    other_order.reverse();
    let mut other_vars = people(0..10);
    other_vars[3].vars.insert("name".into(), "Ana".into());
    for (name, rows, words) in [
        ("a-row-more", people(0..11), "to 10 of its 11 recipients"),
        ("a-row-less", people(1..10), "to the same recipients"),
        ("other-order", other_order, "to the same recipients"),
        ("other-vars", other_vars, "to the same recipients"),
        ("half", people(5..15), "to 5 of its 10 recipients"),
    ] {
        let broadcast = listed(world, name, &rows).await;
        let told = world.snapshot(broadcast).await;
        assert_eq!(told.closed, Some(Closed::DuplicateSuspected), "{name}");
        let told = told.stop_message.unwrap();
        assert!(told.contains(words) && told.contains("`sale`"), "{name}: {told}");
    }
    let most_are_new = listed(world, "most-are-new", &people(6..16)).await;
    assert_eq!(world.snapshot(most_are_new).await.stop_message.filter(|told| told.contains("`sale`")), None);
}

pub async fn of_a_long_list_a_sample_is_looked_up<L: Backend>(world: &World<L>) {
    let sent = listed(world, "sale", &people(0..3_000)).await;
    Sender::proven(world, "sender", sent).await;
    world.pass(Span::from_secs(1));
    let renamed = listed(world, "team-a-sale", &people(600..3_600)).await;
    let told = world.snapshot(renamed).await.stop_message.unwrap();
    assert!(told.contains("to 800 of 1000 recipients that were looked up, of 3000 in all"), "{told}");
    let others = listed(world, "others", &people(2_000..5_000)).await;
    let told = world.snapshot(others).await.stop_message.unwrap_or_default();
    assert!(!told.contains("`sale`"), "{told}");
}

pub async fn who_did_not_get_the_first_message_may_be_sent_it_under_a_new_name<L: Backend>(world: &World<L>) {
    let sent = listed(world, "sale", &people(0..10)).await;
    let mut sender = Sender::proven(world, "sender", sent).await;
    let rows = sender.take(world, 9).await;
    let outcomes = [reports(&rows[..5], &permanent()), reports(&rows[5..], &unknown())].concat();
    sender.tell(world, outcomes).await;
    let to_the_failed = listed(world, "again", &people(1..6)).await;
    assert_eq!(world.snapshot(to_the_failed).await.closed, None);
    let to_the_unknown = listed(world, "once-more", &people(6..10)).await;
    assert_eq!(world.snapshot(to_the_unknown).await.closed, Some(Closed::DuplicateSuspected), "they may have got it");
}

pub async fn only_who_is_judged_otherwise_is_changed_and_its_revision_says_so<L: Backend>(world: &World<L>) {
    let first = world.declare(&named("first")).await.id;
    world.pass(Span::from_secs(1));
    let second = world.planned(&named("second"), 3).await;
    let open = world.snapshot(second).await;
    world.plan(first, 3).await;
    let held = world.snapshot(second).await;
    assert_eq!((open.closed, held.closed), (None, Some(Closed::DuplicateSuspected)));
    assert_eq!(held.revision, open.revision + 1);
    world.declare(&named("first")).await;
    assert_eq!(world.snapshot(second).await.revision, held.revision, "nothing changed of it");
    world.plan(first, 4).await;
    assert_eq!(world.snapshot(second).await.closed, Some(Closed::DuplicateSuspected), "a row more");
    let ticket = world.ledger.begin_plan(first).await.unwrap();
    world.ledger.append_plan(ticket, 1, &people(10..20)).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    assert_eq!(world.snapshot(second).await.closed, None, "the first is for others now");
}

pub async fn one_that_is_planned_first_is_held_once_the_earlier_one_turns_out_to_be_alike<L: Backend>(
    world: &World<L>,
) {
    let first = world.declare(&named("first")).await.id;
    world.pass(Span::from_secs(1));
    let second = world.planned(&named("second"), 3).await;
    assert_eq!(world.snapshot(second).await.closed, None, "nobody knows yet whom the first is for");
    world.plan(first, 3).await;
    assert_eq!(world.snapshot(first).await.closed, None);
    assert_eq!(world.snapshot(second).await.closed, Some(Closed::DuplicateSuspected));
}

pub async fn what_differs_or_has_begun_is_not_suspected<L: Backend>(world: &World<L>) {
    let first = world.planned(&named("first"), 3).await;
    Sender::proven(world, "sender", first).await;
    let text = Content { text: "another text".into(), ..Content::default() };
    let other_text = Declaration { identity_hash: "second".into(), content: text, ..named("other text") };
    let other_text = world.planned(&other_text, 3).await;
    assert_eq!(world.snapshot(other_text).await.closed, None);
    let account = AccountKey { namespace: "elsewhere".into(), ..named("first").account };
    let elsewhere = Declaration { namespace: "elsewhere".into(), account, ..named("first") };
    let elsewhere = world.planned(&elsewhere, 3).await;
    assert_eq!(world.snapshot(elsewhere).await.closed, None);
    let meant = world.planned(&Declaration { key_is_given: true, ..named("meant") }, 3).await;
    Sender::proven(world, "sender of another", meant).await;
    assert_eq!(world.declare(&named("first")).await.closed, None, "it goes on");
}
