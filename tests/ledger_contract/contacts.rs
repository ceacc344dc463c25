//! Whom an account knows, what they are tagged with, who wants no more messages.

use std::collections::{BTreeMap, BTreeSet};

use herald::api::Audience;
use herald::api::audience::ContactsSource;
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::outcome::{Fault, Outcome, PermanentScope};
use herald::delivery::recipient::RecipientState::{self, Failed, Inflight, Pending, Sent, Skipped, Unknown};
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::audience::{MAX_LOOKED_THROUGH, MAX_PAGE};
use herald::ledger::contacts::{MAX_CONTACTS, MAX_CONTACTS_PAGE_BYTES, MAX_TAGS_OF_CONTACT, OptOut};
use herald::ledger::plan::PlanRow;
use herald::ledger::{
    AudienceList, AudiencePosition, AudienceQuery, BroadcastId, Contact, ContactRow, ContactsFilter, Declaration,
    Imported, LedgerError, OptedOut, Orders,
};

use super::owners::orders;
use super::world::*;

pub const DAY: Span = Span::from_secs(24 * 60 * 60);
pub const SECOND: Span = Span::from_secs(1);

fn tagging(key: &str, tags: &[&str]) -> Declaration {
    Declaration { sent_tags: tags.iter().map(|tag| tag.to_string()).collect(), ..declaration(key) }
}

/// Of a provider that takes a message only for a day after its recipient was active.
pub fn windowed(key: &str) -> Declaration {
    Declaration { reply_window: Some(DAY), ..declaration(key) }
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| person(number).recipient).collect()
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

pub fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn wants_no_more() -> Outcome {
    Outcome::Permanent { scope: PermanentScope::OptedOut, fault: Fault::new("BotBlocked", None, "words") }
}

pub async fn plan_rows<L: Backend>(world: &World<L>, broadcast: BroadcastId, rows: &[PlanRow]) {
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.append_plan(ticket, 1, rows).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    world.sums_hold().await;
}

/// Sends to everybody who may be taken, with an outcome by number.
pub async fn send<L: Backend>(world: &World<L>, broadcast: BroadcastId, outcome: fn(i64) -> Outcome) {
    let mut sender = Sender::new(&format!("sender-{}", broadcast.0), broadcast);
    let mut told = Vec::new();
    while world.snapshot(broadcast).await.finished_at.is_none() {
        let rows = world.exchange(&sender.request(std::mem::take(&mut told), 25)).await.unwrap().rows;
        told = rows.iter().map(|row| report(row, &outcome(row.seq))).collect();
        world.pass(INTERVAL * 25);
    }
}

pub async fn states<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> Vec<RecipientState> {
    world.ledger.everybody(broadcast).await.into_iter().map(|row| row.state).collect()
}

async fn contacts<L: Backend>(world: &World<L>) -> Vec<Contact> {
    let filter = ContactsFilter { opted_out: true, ..ContactsFilter::default() };
    let (mut contacts, mut after) = (Vec::new(), None);
    loop {
        let account = declaration("any").account;
        let page = world.ledger.contacts_page(&account, after.as_deref(), &filter).await.unwrap();
        contacts.extend(page.contacts);
        after = page.next;
        if after.is_none() {
            return contacts;
        }
    }
}

pub async fn contact<L: Backend>(world: &World<L>, recipient: &str) -> Contact {
    contacts(world).await.into_iter().find(|contact| contact.recipient == recipient).unwrap()
}

pub async fn opt_out<L: Backend>(world: &World<L>, numbers: impl IntoIterator<Item = usize>) -> OptedOut {
    let account = declaration("any").account;
    let done = world.ledger.opt_out(&account, &ids(numbers), "asked us to stop").await.unwrap();
    world.sums_hold().await;
    done
}

/// Who a contacts source of a new broadcast gives, through as many pages as it takes.
async fn found<L: Backend>(world: &World<L>, key: &str, source: &str) -> Vec<PlanRow> {
    let audience = format!(r#"{{"sources": [{{"name": "known", "contacts": {source}}}]}}"#);
    let audience: Audience = serde_json::from_str(&audience).unwrap();
    let declared = Declaration { orders: Some(Orders { audience, ..orders() }), ..declaration(key) };
    let broadcast = world.declare(&declared).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let (mut rows, mut from) = (Vec::new(), Some(AudiencePosition::Start));
    while let Some(at) = from {
        let query = AudienceQuery { ticket, list: AudienceList::Included, source: "known".into(), from: at };
        let page = world.ledger.audience_page(&query).await.unwrap();
        assert!(page.rows.len() <= MAX_PAGE as usize);
        rows.extend(page.rows);
        from = page.next;
    }
    rows
}

async fn found_ids<L: Backend>(world: &World<L>, key: &str, source: &str) -> BTreeSet<String> {
    found(world, key, source).await.into_iter().map(|row| row.recipient).collect()
}

fn set(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    ids(numbers).into_iter().collect()
}

pub async fn whoever_is_sent_to_becomes_a_contact_with_tags_and_nobody_else<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&tagging("one", &["spring", "vip"])).await.id;
    let row = |number| PlanRow { vars: vars(&[("first_name", "Ana")]), ..person(number) };
    plan_rows(world, broadcast, &(0..4).map(row).collect::<Vec<_>>()).await;
    send(world, broadcast, |seq| [accepted(), permanent(), unknown(), accepted()][seq as usize].clone()).await;
    let known = contacts(world).await;
    assert_eq!(known.iter().map(|one| one.recipient.clone()).collect::<Vec<_>>(), ids([0, 3]));
    for one in &known {
        assert_eq!(one.tags, ["spring", "vip"].map(str::to_owned).into());
        assert_eq!((&one.vars, &one.opted_out, one.active_at), (&vars(&[("first_name", "Ana")]), &None, None));
    }
    // A late answer is an outcome too.
    let attempt = world.row(broadcast, 2).await.attempt;
    let mut late = Sender::new("late", broadcast);
    let outcome = herald::ledger::exchange::Report::new(2, attempt, accepted());
    late.tell(world, vec![outcome]).await;
    assert_eq!(contact(world, "person-2").await.tags.len(), 2);
}

pub async fn a_contact_keeps_the_variables_of_the_latest_plan<L: Backend>(world: &World<L>) {
    let named = |name: &str| PlanRow { vars: vars(&[("first_name", name)]), ..person(0) };
    let early = world.declare(&declaration("early")).await.id;
    plan_rows(world, early, &[named("Old")]).await;
    world.pass(SECOND);
    let late = world.declare(&declaration("late")).await.id;
    plan_rows(world, late, &[named("New")]).await;
    send(world, late, |_| accepted()).await;
    send(world, early, |_| accepted()).await;
    assert_eq!(contact(world, "person-0").await.vars, vars(&[("first_name", "New")]));
    let bare = world.planned(&declaration("bare"), 1).await;
    send(world, bare, |_| accepted()).await;
    assert_eq!(contact(world, "person-0").await.vars, vars(&[("first_name", "New")]), "ids alone take nothing away");
}

pub async fn other_tags_under_a_used_key_are_refused<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&tagging("one", &["spring"]), 1).await;
    send(world, broadcast, |_| accepted()).await;
    let other = Declaration { identity_hash: "other".into(), ..tagging("one", &["summer"]) };
    let error = world.ledger.declare(&other).await.unwrap_err();
    assert!(matches!(&error, LedgerError::KeyReused { changed, .. } if changed == "list of tags"), "{error}");
}

pub async fn who_opts_out_is_skipped_in_every_broadcast_of_the_account_at_once<L: Backend>(world: &World<L>) {
    let first = world.planned(&declaration("first"), 12).await;
    let second = world.planned(&declaration("second"), 12).await;
    let other_account = {
        let elsewhere = declaration("elsewhere");
        let account = herald::ledger::AccountKey { account: "other".into(), ..elsewhere.account.clone() };
        world.planned(&Declaration { account, ..elsewhere }, 12).await
    };
    let mut sender = Sender::proven(world, "sender", first).await;
    let held = sender.take(world, 2).await;
    assert_eq!(seqs(&held), [1, 2]);
    // Sent, in flight, pending, and nobody of any plan.
    assert_eq!(opt_out(world, [0, 1, 5, 99]).await, OptedOut { new: 4, skipped: 4 });
    let (of_first, of_second) = (states(world, first).await, states(world, second).await);
    assert_eq!((of_first[0], of_first[1], of_first[5], of_first[6]), (Sent, Inflight, Skipped, Pending));
    assert_eq!((of_second[0], of_second[1], of_second[5], of_second[6]), (Skipped, Skipped, Skipped, Pending));
    assert!(states(world, other_account).await.iter().all(|state| *state == Pending));
    assert_eq!(world.tally(second, Skipped, "OptedOut").await, 3);
    assert_eq!(opt_out(world, [0, 1, 5, 99]).await, OptedOut::default(), "a second time changes nothing");
    // What is in flight is answered; what comes back is not tried again.
    sender.tell(world, vec![report(&held[0], &transient()), report(&held[1], &transient())]).await;
    assert_eq!((world.state(first, 1).await, world.state(first, 2).await), (Skipped, Pending));
    assert_eq!(world.row(first, 1).await.reason.as_deref(), Some("OptedOut"));
    world.pass(Span::from_secs(3_600));
    send(world, first, |_| accepted()).await;
    send(world, second, |_| accepted()).await;
    assert_eq!((world.counts(first).await.skipped, world.counts(second).await.skipped), (2, 3));
}

pub async fn who_was_not_begun_and_has_opted_out_is_skipped<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let held = sender.take(world, 2).await;
    opt_out(world, [1]).await;
    let told = sender.exchange(world, reports(&held, &Outcome::NotBegun), 2).await;
    assert_eq!(seqs(&told.rows), [2]);
    assert_eq!(world.state(broadcast, 1).await, Skipped);
}

pub async fn who_waits_to_be_resent_and_opts_out_is_unknown_and_stays_so<L: Backend>(world: &World<L>) {
    let retry = RetryPolicy { after_unknown: true, max_tries: 5, ..RetryPolicy::default() };
    let broadcast = world.planned(&Declaration { retry, ..declaration("one") }, 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let held = sender.take(world, 1).await;
    sender.tell(world, reports(&held, &unknown())).await;
    assert_eq!(world.state(broadcast, 1).await, Pending);
    assert_eq!(opt_out(world, [1]).await, OptedOut { new: 1, skipped: 0 });
    assert_eq!(world.state(broadcast, 1).await, Unknown);
    world.pass(Span::from_secs(3_600));
    world.maintain_all().await;
    assert_eq!(world.state(broadcast, 1).await, Unknown, "the policy does not bring them back");
    assert!(world.snapshot(broadcast).await.finished_at.is_some());
}

pub async fn whoever_has_opted_out_is_planned_as_skipped<L: Backend>(world: &World<L>) {
    opt_out(world, (0..25).filter(|number| number % 5 == 0 || *number >= 20)).await;
    let broadcast = world.planned(&declaration("one"), 25).await;
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.pending, snapshot.counts.skipped), (16, 9));
    assert_eq!(snapshot.plan.unwrap().planned, 25);
    assert_eq!(world.tally(broadcast, Skipped, "OptedOut").await, 9);
    assert_eq!(world.batch(broadcast, 0).await.counts.skipped, 2);
    assert!(world.batch(broadcast, 2).await.completed_at.is_some(), "a batch of opted-out people is done");
    send(world, broadcast, |_| accepted()).await;
    assert_eq!(world.counts(broadcast).await.sent, 16);
    let nobody_left = world.declare(&declaration("two")).await.id;
    plan_rows(world, nobody_left, &people(20..25)).await;
    assert!(world.snapshot(nobody_left).await.finished_at.is_some());
}

pub async fn who_opts_out_while_a_plan_is_made_is_skipped_in_it<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.append_plan(ticket, 1, &people(0..5)).await.unwrap();
    assert_eq!(opt_out(world, [1, 7]).await, OptedOut { new: 2, skipped: 1 });
    world.ledger.append_plan(ticket, 2, &people(5..10)).await.unwrap();
    world.ledger.seal_plan(ticket, &Default::default()).await.unwrap();
    world.sums_hold().await;
    assert_eq!(world.counts(broadcast).await.skipped, 2);
    // A plan that is taken back and made anew counts anew.
    world.ledger.begin_plan(broadcast).await.unwrap();
    opt_out(world, [2]).await;
    assert_eq!(world.plan(broadcast, 10).await.planned, 10);
    assert_eq!((world.counts(broadcast).await.pending, world.counts(broadcast).await.skipped), (7, 3));
}

pub async fn who_opts_in_again_is_messaged_by_what_is_planned_then<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let before = world.planned(&declaration("before"), 2).await;
    opt_out(world, [0]).await;
    assert_eq!(world.ledger.opt_in(&account, &ids([0, 1])).await.unwrap(), 1);
    assert_eq!(world.ledger.opt_in(&account, &ids([0, 1])).await.unwrap(), 0);
    assert_eq!(world.state(before, 0).await, Skipped, "what was decided stays decided");
    let after = world.planned(&declaration("after"), 2).await;
    assert_eq!(world.counts(after).await.pending, 2);
    assert_eq!(contact(world, "person-0").await.opted_out, None);
}

pub async fn an_answer_that_means_opt_out_keeps_everybody_else_of_the_account_from_writing<L: Backend>(
    world: &World<L>,
) {
    let first = world.planned(&declaration("first"), 3).await;
    let second = world.planned(&declaration("second"), 3).await;
    let mut sender = Sender::new("first", first);
    let rows = sender.take(world, 1).await;
    let told_at = world.now();
    sender.tell(world, reports(&rows, &wants_no_more())).await;
    assert_eq!(
        (world.state(first, 0).await, world.row(first, 0).await.reason.as_deref()),
        (Failed, Some("BotBlocked"))
    );
    let reason = "BotBlocked".to_owned();
    assert_eq!(contact(world, "person-0").await.opted_out, Some(OptOut { at: told_at, reason }));
    // In another broadcast nobody gives them away from that commit on, and upkeep brings them to their end.
    let mut other = Sender::proven(world, "second", second).await;
    assert_eq!(world.state(second, 1).await, Sent, "person-0 was passed over");
    assert_eq!(seqs(&other.take(world, 5).await), [2]);
    assert_eq!(world.state(second, 0).await, Pending);
    world.maintain_all().await;
    assert_eq!(world.state(second, 0).await, Skipped);
    let third = world.planned(&declaration("third"), 3).await;
    assert_eq!((world.counts(third).await.pending, world.counts(third).await.skipped), (2, 1));
}

pub async fn who_was_given_up_is_not_sent_to_again_for_what_they_do_later<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let retry = RetryPolicy { after_unknown: true, max_tries: 5, ..RetryPolicy::default() };
    let resending = |key: &str| Declaration { retry, ..windowed(key) };
    let at = herald::delivery::activity::shown(world.now() - DAY + SECOND * 120);
    let active = |number| PlanRow { vars: vars(&[("last_active_time", &at)]), ..person(number) };
    // One that ends with them, and one that goes on.
    let ended = world.declare(&resending("ended")).await.id;
    plan_rows(world, ended, &[person(0), active(1)]).await;
    let open = world.declare(&Declaration { start_at: None, ..resending("open") }).await.id;
    plan_rows(world, open, &[person(0), active(1), person(2), person(3)]).await;
    for broadcast in [ended, open] {
        let mut sender = Sender::new(&format!("sender-{}", broadcast.0), broadcast);
        for _ in 0..2 {
            let rows = sender.take(world, 1).await;
            sender.tell(world, reports(&rows, &unknown())).await;
            world.pass(INTERVAL * 2);
        }
    }
    opt_out(world, [0]).await;
    world.pass(SECOND * 200);
    world.maintain_all().await;
    assert_eq!(states(world, ended).await, [Unknown, Unknown]);
    assert_eq!(states(world, open).await, [Unknown, Unknown, Pending, Pending]);
    world.ledger.opt_in(&account, &ids([0])).await.unwrap();
    world.ledger.heard_from(&account, &[("person-1".into(), world.now())]).await.unwrap();
    world.maintain_all().await;
    assert_eq!(states(world, ended).await, [Unknown, Unknown], "it has ended");
    assert!(world.snapshot(ended).await.finished_at.is_some());
    assert_eq!(states(world, open).await, [Unknown, Unknown, Pending, Pending], "they were given up");
}

pub async fn a_plan_without_variables_makes_known_ones_no_newer<L: Backend>(world: &World<L>) {
    let (early, bare) = (world.declare(&declaration("early")).await.id, world.declare(&declaration("bare")).await.id);
    let first = world.declare(&declaration("first")).await.id;
    let row = |name: &str| PlanRow { vars: vars(&[("first_name", name)]), ..person(0) };
    plan_rows(world, first, &[row("Ana")]).await;
    world.pass(SECOND);
    plan_rows(world, early, &[row("Anna")]).await;
    world.pass(SECOND);
    plan_rows(world, bare, &[person(0)]).await;
    for broadcast in [first, bare, early] {
        send(world, broadcast, |_| accepted()).await;
    }
    assert_eq!(contact(world, "person-0").await.vars["first_name"], "Anna", "its plan is newer than that of Ana");
}

pub async fn nobody_is_skipped_as_opted_out_who_may_have_been_messaged_in_a_lost_time<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let request = sender.request(vec![], 0);
    let request = herald::ledger::exchange::ExchangeRequest { known_revision: 1_000, ..request };
    world.exchange(&request).await.unwrap();
    assert_eq!(opt_out(world, [1]).await, OptedOut { new: 1, skipped: 0 });
    assert_eq!(world.state(broadcast, 1).await, Pending);
}

pub async fn an_excluded_contacts_source_excludes_who_has_opted_out_too<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    world.ledger.tag(&account, &ids(0..3), &texts(&["vip"])).await.unwrap();
    opt_out(world, [1]).await;
    let audience = r#"{"sources": [{"name": "all", "contacts": {}}],
        "exclude": {"sources": [{"name": "vips", "contacts": {"tags": ["vip"]}}]}}"#;
    let audience: Audience = serde_json::from_str(audience).unwrap();
    let declared = Declaration { orders: Some(Orders { audience, ..orders() }), ..declaration("one") };
    let broadcast = world.declare(&declared).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    for (list, source, expected) in
        [(AudienceList::Included, "all", set([0, 2])), (AudienceList::Excluded, "vips", set(0..3))]
    {
        let query = AudienceQuery { ticket, list, source: source.into(), from: AudiencePosition::Start };
        let rows = world.ledger.audience_page(&query).await.unwrap().rows;
        assert_eq!(rows.into_iter().map(|row| row.recipient).collect::<BTreeSet<_>>(), expected, "{source}");
    }
}

pub async fn an_import_says_what_is_new_and_a_second_one_changes_nothing<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let row = |number: usize, name: &str, tags: &[&str]| ContactRow {
        recipient: person(number).recipient,
        vars: vars(&[("first_name", name)]),
        active_at: Some(world.now() - SECOND),
        tags: tags.iter().map(|tag| tag.to_string()).collect(),
        ..ContactRow::default()
    };
    let rows = [row(0, "Ana", &["vip"]), row(1, "Bo", &[])];
    let import = async |rows: &[ContactRow]| world.ledger.import_contacts(&account, rows).await.unwrap();
    assert_eq!(import(&rows).await, Imported { new: 2, tagged: 1, ..Imported::default() });
    assert_eq!(import(&rows).await, Imported { same: 2, ..Imported::default() });
    assert_eq!(world.ledger.account(&account).await.unwrap(), None, "no broadcast has told its rate");
    opt_out(world, [0]).await;
    let other = [row(0, "Anna", &[]), row(1, "Bo", &["vip"]), row(2, "Cy", &[])];
    assert_eq!(import(&other).await, Imported { new: 1, changed: 2, tagged: 1, ..Imported::default() });
    let first = contact(world, "person-0").await;
    assert!(first.opted_out.is_some() && first.tags.contains("vip"), "an import takes nothing away: {first:?}");
    assert_eq!(first.vars["first_name"], "Anna");
    assert_eq!(first.active_at, Some(world.now() - SECOND));
}

pub async fn an_import_opts_people_out_and_nobody_in<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let broadcast = world.planned(&declaration("one"), 3).await;
    let row = |number: usize, reason: Option<&str>| ContactRow {
        recipient: person(number).recipient,
        opted_out: reason.map(str::to_owned),
        ..ContactRow::default()
    };
    let import = async |rows: &[ContactRow]| world.ledger.import_contacts(&account, rows).await.unwrap();
    let rows = [row(0, Some("moved")), row(1, None), row(9, Some("moved"))];
    assert_eq!(import(&rows).await, Imported { new: 3, opted_out: 2, skipped: 1, ..Imported::default() });
    assert_eq!(states(world, broadcast).await, [Skipped, Pending, Pending]);
    assert_eq!(import(&rows).await, Imported { same: 3, ..Imported::default() });
    let other = [row(0, None), row(9, Some("another")), row(1, Some("another"))];
    assert_eq!(import(&other).await, Imported { same: 2, changed: 1, opted_out: 1, skipped: 1, ..Imported::default() });
    for (number, reason) in [(0, "moved"), (9, "moved"), (1, "another")] {
        assert_eq!(contact(world, &person(number).recipient).await.opted_out.unwrap().reason, reason);
    }
    world.sums_hold().await;
    let wordy = row(2, Some(&"x".repeat(129)));
    let error = world.ledger.import_contacts(&account, &[wordy]).await.unwrap_err();
    assert!(matches!(error, LedgerError::ContactInvalid { .. }), "{error}");
}

pub async fn rows_of_one_person_count_together_in_whatever_order_and_calls<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let broadcast = world.planned(&declaration("one"), 6).await;
    let told = |number: usize| ContactRow {
        recipient: person(number).recipient,
        vars: vars(&[("first_name", "Ana"), ("last_active_time", "1970-01-01 00:00:07Z")]),
        active_at: Some(Timestamp::from_secs(3)),
        tags: texts(&["vip"]).into_iter().collect(),
        opted_out: Some("moved".to_owned()),
    };
    let bare = |number: usize| ContactRow {
        recipient: person(number).recipient,
        active_at: Some(Timestamp::from_secs(5)),
        tags: texts(&["berlin"]).into_iter().collect(),
        ..ContactRow::default()
    };
    let renamed = |number: usize| ContactRow { vars: vars(&[("first_name", "Anna")]), ..bare(number) };
    let import = async |rows: &[ContactRow]| world.ledger.import_contacts(&account, rows).await.unwrap();

    let whole = Imported { new: 1, opted_out: 1, tagged: 1, skipped: 1, ..Imported::default() };
    assert_eq!(import(&[told(0), bare(0)]).await, whole);
    assert_eq!(import(&[bare(1), told(1)]).await, whole);
    for rows in [[told(2), bare(2)], [bare(3), told(3)], [told(5), renamed(5)]] {
        import(&rows[..1]).await;
        import(&rows[1..]).await;
    }
    assert_eq!(import(&[told(4), renamed(4)]).await, whole);
    assert_eq!(import(&[told(0), bare(0)]).await, Imported { same: 1, ..Imported::default() });
    for (number, name) in [(0, "Ana"), (1, "Ana"), (2, "Ana"), (3, "Ana"), (4, "Anna"), (5, "Anna")] {
        let known = contact(world, &person(number).recipient).await;
        assert_eq!(known.vars["first_name"], name, "{number}");
        assert_eq!(known.active_at, Some(Timestamp::from_secs(7)), "{number}");
        assert_eq!(known.tags, texts(&["berlin", "vip"]).into_iter().collect(), "{number}");
        assert_eq!(known.opted_out.unwrap().reason, "moved", "{number}");
    }
    assert_eq!(states(world, broadcast).await, [Skipped; 6]);
    world.sums_hold().await;
}

pub async fn what_was_exported_is_no_change_where_it_came_from<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let broadcast = world.declare(&tagging("one", &["spring"])).await.id;
    let told = vars(&[("first_name", "Ana"), ("last_active_time", "1970-01-01 01:00:01+01")]);
    plan_rows(world, broadcast, &[PlanRow { vars: told, ..person(0) }]).await;
    send(world, broadcast, |_| accepted()).await;
    let known = contact(world, "person-0").await;
    let bare = |mut vars: BTreeMap<String, String>| {
        vars.remove("last_active_time");
        vars
    };
    let row = ContactRow {
        recipient: known.recipient.clone(),
        vars: bare(known.vars.clone()),
        active_at: known.active_at,
        tags: known.tags.clone(),
        opted_out: None,
    };
    assert_eq!(known.active_at, Some(Timestamp::from_secs(1)));
    let imported = world.ledger.import_contacts(&account, &[row]).await.unwrap();
    assert_eq!(imported, Imported { same: 1, ..Imported::default() });
    assert_eq!(contact(world, "person-0").await, known);
}

pub async fn a_page_of_long_contacts_is_cut_by_their_bytes<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let value = "x".repeat(4_096);
    let long: BTreeMap<String, String> = (0..16).map(|number| (format!("v{number}"), value.clone())).collect();
    let row =
        |number: usize| ContactRow { recipient: person(number).recipient, vars: long.clone(), ..ContactRow::default() };
    for first in (0..350).step_by(25) {
        let rows: Vec<ContactRow> = (first..first + 25).map(row).collect();
        world.ledger.import_contacts(&account, &rows).await.unwrap();
    }
    let first = world.ledger.contacts_page(&account, None, &ContactsFilter::default()).await.unwrap();
    let bytes = first.contacts.len() * 16 * 4_096;
    assert!(first.next.is_some() && bytes < MAX_CONTACTS_PAGE_BYTES + 101 * 16 * 4_096, "{bytes}");
    let everybody: BTreeSet<String> = contacts(world).await.into_iter().map(|one| one.recipient).collect();
    assert_eq!(everybody, set(0..350));
}

pub async fn tags_come_and_go_by_hand<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let ledger = &world.ledger;
    assert_eq!(ledger.tag(&account, &ids(0..3), &texts(&["vip", "berlin"])).await.unwrap(), 6);
    assert_eq!(ledger.tag(&account, &ids(0..4), &texts(&["vip"])).await.unwrap(), 1);
    assert_eq!(ledger.untag(&account, &ids(0..2), &texts(&["berlin", "no-one"])).await.unwrap(), 2);
    let tags: Vec<usize> = contacts(world).await.iter().map(|one| one.tags.len()).collect();
    assert_eq!(tags, [1, 1, 2, 1]);
}

pub async fn what_is_out_of_bounds_is_refused_and_changes_nothing<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let ledger = &world.ledger;
    let row = |recipient: &str| ContactRow { recipient: recipient.into(), ..ContactRow::default() };
    let long = ContactRow { vars: vars(&[("name", &"x".repeat(4_097))]), ..row("1") };
    let refused = [
        ledger.import_contacts(&account, &[row("1"), row(" 2")]).await.map(drop),
        ledger.import_contacts(&account, &[row("")]).await.map(drop),
        ledger.import_contacts(&account, &[long]).await.map(drop),
        ledger.tag(&account, &ids([1]), &texts(&["not a tag"])).await.map(drop),
        ledger.opt_out(&account, &ids([1]), "").await.map(drop),
        ledger.opt_out(&account, &ids([1]), &"x".repeat(129)).await.map(drop),
    ];
    for answer in refused {
        let error = answer.unwrap_err();
        assert!(matches!(error, LedgerError::ContactInvalid { .. }), "{error}");
    }
    let error = ledger.opt_in(&account, &ids(0..MAX_CONTACTS + 1)).await.unwrap_err();
    assert!(matches!(error, LedgerError::RequestTooLarge { limit: MAX_CONTACTS }), "{error}");
    let many: Vec<String> = (0..MAX_TAGS_OF_CONTACT).map(|number| format!("tag-{number}")).collect();
    ledger.tag(&account, &ids([0]), &many).await.unwrap();
    let error = ledger.tag(&account, &ids([1, 0]), &texts(&["one-more"])).await.unwrap_err();
    assert!(matches!(error, LedgerError::ContactInvalid { .. }), "{error}");
    assert_eq!(contacts(world).await.len(), 1);
}

pub async fn a_contacts_source_gives_whom_it_asks_for<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let active = |number: usize, seconds: i64| ContactRow {
        recipient: person(number).recipient,
        vars: vars(&[("first_name", "Ana")]),
        active_at: (seconds > 0).then(|| world.now() - Span::from_secs(seconds)),
        ..ContactRow::default()
    };
    let rows = [active(0, 0), active(1, 60), active(2, 3_600), active(3, 60), active(4, 60)];
    world.ledger.import_contacts(&account, &rows).await.unwrap();
    world.ledger.tag(&account, &ids([0, 1, 2, 4]), &texts(&["vip"])).await.unwrap();
    world.ledger.tag(&account, &ids([1, 3]), &texts(&["berlin"])).await.unwrap();
    opt_out(world, [4]).await;
    assert_eq!(found_ids(world, "all", "{}").await, set(0..4));
    assert_eq!(found_ids(world, "vip", r#"{"tags": ["vip"]}"#).await, set(0..3));
    assert_eq!(found_ids(world, "both", r#"{"tags": ["vip", "berlin"]}"#).await, set([1]));
    assert_eq!(found_ids(world, "without", r#"{"withoutTags": ["berlin", "nobody"]}"#).await, set([0, 2]));
    let mixed = r#"{"tags": ["vip"], "withoutTags": ["berlin"], "activeWithinSeconds": 7200}"#;
    assert_eq!(found_ids(world, "mixed", mixed).await, set([2]));
    assert_eq!(found_ids(world, "active", r#"{"activeWithinSeconds": 60}"#).await, set([1, 3]));
    let row = found(world, "row", r#"{"tags": ["berlin"]}"#).await.swap_remove(0);
    let at = herald::delivery::activity::shown(world.now() - Span::from_secs(60));
    assert_eq!(row.vars, vars(&[("first_name", "Ana"), ("last_active_time", &at)]));
}

pub async fn a_tag_of_a_message_is_an_audience_at_once<L: Backend>(world: &World<L>) {
    let first = world.planned(&tagging("first", &["spring"]), 6).await;
    send(world, first, |seq| if seq < 4 { accepted() } else { permanent() }).await;
    world.ledger.tag(&declaration("any").account, &ids([8, 9]), &texts(&["winter"])).await.unwrap();
    assert_eq!(found_ids(world, "again", r#"{"tags": ["spring"]}"#).await, set(0..4));
    assert_eq!(found_ids(world, "others", r#"{"withoutTags": ["spring"]}"#).await, set([8, 9]));
}

pub async fn contacts_longer_than_a_page_come_whole_and_nobody_twice<L: Backend>(world: &World<L>) {
    let account = declaration("any").account;
    let count = MAX_PAGE as usize * 2 + 7;
    for chunk in ids(0..count).chunks(MAX_CONTACTS) {
        world.ledger.tag(&account, chunk, &texts(&["all"])).await.unwrap();
    }
    world.ledger.tag(&account, &ids((0..count).step_by(100)), &texts(&["few"])).await.unwrap();
    for source in ["{}", r#"{"tags": ["all"]}"#] {
        let rows = found(world, "many", source).await;
        let distinct: BTreeSet<&String> = rows.iter().map(|row| &row.recipient).collect();
        assert_eq!((rows.len(), distinct.len()), (count, count), "{source}");
    }
    assert_eq!(found_ids(world, "few", r#"{"tags": ["few"]}"#).await, set((0..count).step_by(100)));
    assert_eq!(contacts(world).await.len(), count);
    let source = ContactsSource { tags: texts(&["few"]), ..ContactsSource::default() };
    let filter = ContactsFilter { source, opted_out: false };
    let page = world.ledger.contacts_page(&account, None, &filter).await.unwrap();
    assert_eq!((page.contacts.len(), page.next), (count.div_ceil(100), None));
    assert!(count < MAX_LOOKED_THROUGH as usize);
}
