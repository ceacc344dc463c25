//! Who was sent to is written elsewhere: owed with the outcome, by one sender at a time, until it is written or given up.

use herald::api::{SecretKeyRef, SqlWriteBack, WriteBackTarget};
use herald::delivery::correlation::Correlation;
use herald::delivery::notification::{FORGOTTEN_AFTER, GIVE_UP_AFTER};
use herald::delivery::outcome::{Fault, Outcome};
use herald::delivery::provider_event::{News, ProviderEvent, Which};
use herald::delivery::time::Span;
use herald::delivery::write_back::{FEW_IN_VAIN, LONGEST_BACKOFF, LONGEST_OWN_BACKOFF, MAX_TRIES};
use herald::ledger::exchange::BroadcastId;
use herald::ledger::write_back::{MAX_WRITE_BACK_PAGE, WRITE_BACK_LEASE};
use herald::ledger::{
    Declaration, LedgerError, Owed, PutOff, RefusedPerson, ReportWriteBacks, TakeWriteBacks, WriteBack, WriteBackPage,
    WriteBackTotals, WrittenBack,
};

use super::label_write_backs::labelling;
use super::repeats::exchange_given_up;
use super::world::*;

pub fn sql(statement: &str) -> WriteBack {
    let url_secret_key_ref = SecretKeyRef { name: "crm-db".to_owned(), key: "url".to_owned() };
    WriteBack::Sql(SqlWriteBack { url_secret_key_ref, statement: statement.to_owned() })
}

pub const STATEMENT: &str = "update people set last = :broadcast where psid = :id";

/// Whoever is sent is to be written to a database.
pub fn writing(key: &str) -> Declaration {
    Declaration { write_backs: vec![sql(STATEMENT)], ..declaration(key) }
}

pub async fn page<L: Backend>(world: &World<L>, broadcast: BroadcastId, holder: &str) -> WriteBackPage {
    let request = TakeWriteBacks { broadcast, holder: holder.to_owned(), target: WriteBackTarget::Sql };
    world.ledger.take_write_backs(&request).await.unwrap()
}

pub async fn take<L: Backend>(world: &World<L>, broadcast: BroadcastId, holder: &str) -> Vec<Owed> {
    page(world, broadcast, holder).await.people
}

/// A report without anything in it.
fn nothing(broadcast: BroadcastId, holder: &str) -> ReportWriteBacks {
    let (holder, write_back) = (holder.to_owned(), sql(STATEMENT));
    ReportWriteBacks { broadcast, holder, write_back, done: Vec::new(), refused: Vec::new(), put_off: None }
}

pub async fn report<L: Backend>(world: &World<L>, told: ReportWriteBacks) {
    world.ledger.report_write_backs(&told).await.unwrap();
    world.sums_hold().await;
}

pub async fn done<L: Backend>(world: &World<L>, broadcast: BroadcastId, holder: &str, people: &[Owed]) {
    let done = people.iter().map(|owed| owed.seq).collect();
    report(world, ReportWriteBacks { done, ..nothing(broadcast, holder) }).await;
}

fn refused(owed: &Owed) -> RefusedPerson {
    RefusedPerson { seq: owed.seq, fault: Fault::new("WriteBackFailed", Some("23505".into()), "words") }
}

fn put_off() -> Option<PutOff> {
    let fault = Fault::new("WriteBackRefused", Some("42P01".to_owned()), "no such table");
    Some(PutOff { fault, retry_after_ms: None })
}

pub async fn stands<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> WrittenBack {
    world.snapshot(broadcast).await.write_backs.swap_remove(0)
}

pub async fn sums<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> (i64, i64, i64) {
    let WrittenBack { pending, done, failed, .. } = stands(world, broadcast).await;
    (pending, done, failed)
}

/// Sends everybody, with this outcome for the first of them.
pub async fn send_all<L: Backend>(world: &World<L>, broadcast: BroadcastId, first: &Outcome) {
    let mut sender = Sender::new(&format!("sender of {}", broadcast.0), broadcast);
    let taken = Outcome::Accepted { provider_id: Some("m1".to_owned()) };
    let mut outcomes = Vec::new();
    while world.counts(broadcast).await.open() > 0 {
        let reply = sender.exchange(world, std::mem::take(&mut outcomes), 25).await;
        outcomes =
            reply.rows.iter().map(|row| super::world::report(row, if row.seq == 0 { first } else { &taken })).collect();
        world.pass(Span::from_millis(250));
    }
}

pub async fn whoever_is_sent_is_owed_and_nobody_else<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 12).await;
    assert_eq!(take(world, broadcast, "writer").await, [], "nobody is sent to");
    send_all(world, broadcast, &permanent()).await;
    let page = page(world, broadcast, "writer").await;
    assert_eq!((page.name.as_str(), page.write_back), ("one", Some(sql(STATEMENT))));
    assert_eq!(page.people.len(), 11, "one has failed");
    let (first, last) = (&page.people[0], &page.people[10]);
    assert_eq!((first.seq, first.recipient.as_str(), first.message_id.as_deref()), (1, "person-1", Some("m1")));
    assert!(first.sent_at < last.sent_at && last.sent_at <= world.now(), "each by when it was sent");
    done(world, broadcast, "writer", &page.people).await;
    assert_eq!(sums(world, broadcast).await, (0, 11, 0));
    assert_eq!(take(world, broadcast, "writer").await, []);
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!((snapshot.errands_due_at(), snapshot.errands_done()), (None, 11));

    let silent = world.planned(&declaration("two"), 3).await;
    send_all(world, silent, &accepted()).await;
    assert_eq!(world.snapshot(silent).await.write_backs, []);
    assert_eq!(take(world, silent, "writer").await, []);
    let totals = WriteBackTotals { pending: 0, done: 11, failed: 0 };
    assert_eq!(world.ledger.write_back_totals().await.unwrap(), totals);
}

pub async fn somebody_is_owed_exactly_where_their_outcome_is<L: Backend>(world: &World<L>) {
    for step in 0..40 {
        let broadcast = world.planned(&writing(&format!("one-{step}")), 1).await;
        let mut sender = Sender::new(&format!("sender-{step}"), broadcast);
        let rows = sender.take(world, 1).await;
        let last = sender.request(reports(&rows, &accepted()), 0);
        exchange_given_up(world, &last, step).await;
        world.sums_hold().await;
        let sent = world.counts(broadcast).await.sent;
        assert_eq!(sums(world, broadcast).await, (sent, 0, 0), "step {step}");
        world.exchange(&last).await.unwrap();
        assert_eq!(sums(world, broadcast).await, (1, 0, 0), "step {step}: and once");
    }
}

pub async fn whoever_a_call_back_resolves_is_owed_too<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let row = sender.take(world, 1).await.remove(0);
    sender.tell(world, vec![super::world::report(&row, &unknown())]).await;
    assert_eq!(sums(world, broadcast).await, (0, 0, 0));
    let correlation = Correlation { broadcast: broadcast.0, seq: row.seq, attempt: row.attempt, part: 0 };
    let which = Which::One { correlation: Some(correlation), provider_id: None };
    let event = ProviderEvent::Message { which, recipient: None, news: News::Accepted, at: world.now() };
    for _ in 0..2 {
        world.ledger.receive(&declaration("any").account, std::slice::from_ref(&event)).await.unwrap();
        world.sums_hold().await;
        assert_eq!(sums(world, broadcast).await, (1, 0, 0));
    }
}

pub async fn people_are_given_to_one_sender_at_a_time<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 5).await;
    send_all(world, broadcast, &accepted()).await;
    let first = take(world, broadcast, "first").await;
    let second = page(world, broadcast, "second").await;
    assert_eq!((second.people, second.next_at), (vec![], Some(world.now() + WRITE_BACK_LEASE)));
    assert_eq!(stands(world, broadcast).await.due_at, Some(world.now() + WRITE_BACK_LEASE));
    assert_eq!(take(world, broadcast, "first").await, first, "the answer may have been lost");
    world.pass(WRITE_BACK_LEASE);
    assert_eq!(take(world, broadcast, "second").await, first);
    // The first one comes late: what it has written is believed, what it was refused is not, and the second one keeps the rest.
    let late = ReportWriteBacks {
        done: vec![first[0].seq],
        refused: vec![refused(&first[1])],
        put_off: put_off(),
        ..nothing(broadcast, "first")
    };
    report(world, late).await;
    let left = stands(world, broadcast).await;
    assert_eq!((left.pending, left.done, left.last_error), (4, 1, None));
    assert_eq!(take(world, broadcast, "third").await, []);
    done(world, broadcast, "second", &first).await;
    assert_eq!(sums(world, broadcast).await, (0, 5, 0), "each is counted once");
    world.ledger.settle_all_senders_dead().await.unwrap();
}

pub async fn when_no_sender_lives_people_are_due_at_once<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 5).await;
    send_all(world, broadcast, &accepted()).await;
    let first = take(world, broadcast, "first").await;
    world.ledger.settle_all_senders_dead().await.unwrap();
    assert_eq!(take(world, broadcast, "second").await, first);
}

pub async fn many_people_come_page_by_page<L: Backend>(world: &World<L>) {
    let many = Declaration {
        batch_size: Some(2_000),
        account_rate: herald::delivery::rate::Rate::new(10_000, 1),
        ..writing("one")
    };
    let broadcast = world.planned(&many, 1_200).await;
    send_all(world, broadcast, &accepted()).await;
    let mut pages = Vec::new();
    loop {
        let page = take(world, broadcast, "writer").await;
        if page.is_empty() {
            break;
        }
        done(world, broadcast, "writer", &page).await;
        pages.push(page.len());
    }
    assert_eq!(pages, [MAX_WRITE_BACK_PAGE, MAX_WRITE_BACK_PAGE, 200]);
    let told = ReportWriteBacks { done: (0..=500).collect(), ..nothing(broadcast, "writer") };
    let refused = world.ledger.report_write_backs(&told).await;
    assert!(matches!(refused, Err(LedgerError::RequestTooLarge { limit: MAX_WRITE_BACK_PAGE })), "{refused:?}");
}

pub async fn who_is_refused_for_themselves_is_tried_later_and_holds_up_nobody<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 3).await;
    send_all(world, broadcast, &accepted()).await;
    for tries in 1..=MAX_TRIES {
        let people = take(world, broadcast, "writer").await;
        let told = match people.as_slice() {
            [bad, good, other] if tries == 1 => ReportWriteBacks {
                done: vec![good.seq, other.seq],
                refused: vec![refused(bad)],
                ..nothing(broadcast, "writer")
            },
            [bad] => ReportWriteBacks { refused: vec![refused(bad)], ..nothing(broadcast, "writer") },
            other => panic!("{other:?}"),
        };
        report(world, told).await;
        let left = stands(world, broadcast).await;
        assert_eq!((left.pending, left.done, left.failed), if tries < MAX_TRIES { (1, 2, 0) } else { (0, 2, 1) });
        let error = left.last_error.unwrap();
        assert_eq!((error.reason.as_str(), error.code.as_deref()), ("WriteBackFailed", Some("23505")));
        world.pass(LONGEST_OWN_BACKOFF);
    }
    assert_eq!(take(world, broadcast, "writer").await, []);
    assert_eq!(world.ledger.write_back_totals().await.unwrap(), WriteBackTotals { pending: 0, done: 2, failed: 1 });
}

pub async fn nobody_is_given_up_for_themselves_while_everybody_is_refused<L: Backend>(world: &World<L>) {
    for size in [3, 1] {
        let key = format!("one-{size}");
        let broadcast = world.planned(&writing(&key), size).await;
        send_all(world, broadcast, &accepted()).await;
        let mut tries = 0;
        while tries < 2 * MAX_TRIES {
            let people = take(world, broadcast, "writer").await;
            assert!(!people.is_empty());
            let refused = people.iter().map(refused).collect();
            report(world, ReportWriteBacks { refused, ..nothing(broadcast, "writer") }).await;
            tries += 1;
            let left = stands(world, broadcast).await;
            assert_eq!((left.pending, left.done, left.failed), (size as i64, 0, 0), "try {tries} of {size}");
            assert_eq!(left.last_error.unwrap().reason, "WriteBackFailed");
            // The first of them alone, where the others wait longer.
            world.pass((left.due_at.unwrap() - world.now()).max(Span(1)));
        }
        let mended = Declaration { generation: 2, write_backs: vec![sql("select :id")], ..writing(&key) };
        world.declare(&mended).await;
        world.pass(LONGEST_OWN_BACKOFF);
        let people = take(world, broadcast, "writer").await;
        assert_eq!(people.len(), size);
        done(world, broadcast, "writer", &people).await;
        assert_eq!(sums(world, broadcast).await, (0, size as i64, 0));
    }
}

pub async fn a_few_who_are_refused_at_the_very_end_do_not_wait_as_if_the_target_took_nobody<L: Backend>(
    world: &World<L>,
) {
    for few in [1, FEW_IN_VAIN] {
        let broadcast = world.planned(&writing(&format!("one-{few}")), 8).await;
        send_all(world, broadcast, &accepted()).await;
        let people = take(world, broadcast, "writer").await;
        let (bad, good) = people.split_at(few as usize);
        done(world, broadcast, "writer", good).await;
        for tries in 1..=MAX_TRIES {
            assert_eq!(take(world, broadcast, "writer").await.len(), bad.len(), "try {tries}");
            let refused = bad.iter().map(refused).collect();
            report(world, ReportWriteBacks { refused, ..nothing(broadcast, "writer") }).await;
            world.pass(LONGEST_OWN_BACKOFF);
        }
        assert_eq!(sums(world, broadcast).await, (0, good.len() as i64, few));
    }
}

pub async fn many_who_were_refused_beside_others_are_refused_for_themselves_to_the_end<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 24).await;
    send_all(world, broadcast, &accepted()).await;
    let people = take(world, broadcast, "writer").await;
    let (bad, good) = people.split_at(20);
    for tries in 1..=MAX_TRIES {
        let done = if tries == 1 { good.iter().map(|owed| owed.seq).collect() } else { Vec::new() };
        let refused = bad.iter().map(refused).collect();
        report(world, ReportWriteBacks { done, refused, ..nothing(broadcast, "writer") }).await;
        world.pass(LONGEST_OWN_BACKOFF);
        let left = take(world, broadcast, "writer").await;
        assert_eq!(left.len(), if tries < MAX_TRIES { 20 } else { 0 }, "try {tries}");
    }
    assert_eq!(sums(world, broadcast).await, (0, 4, 20));
}

pub async fn a_target_that_takes_nobody_any_more_gives_up_few_for_themselves_however_few_come_at_once<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&writing("one"), 24).await;
    send_all(world, broadcast, &accepted()).await;
    let people = take(world, broadcast, "writer").await;
    done(world, broadcast, "writer", &people[..4]).await;
    // One after another, as they come where a broadcast is slow.
    for (place, one) in people[4..].iter().enumerate() {
        let due = stands(world, broadcast).await.due_at.unwrap();
        world.pass((due - world.now()).max(Span(1)));
        assert!(!take(world, broadcast, "writer").await.is_empty(), "{place}");
        report(world, ReportWriteBacks { refused: vec![refused(one)], ..nothing(broadcast, "writer") }).await;
    }
    for _ in 0..2 * MAX_TRIES {
        let due = stands(world, broadcast).await.due_at.unwrap();
        world.pass((due - world.now()).max(Span(1)));
        let refused = take(world, broadcast, "writer").await.iter().map(refused).collect();
        report(world, ReportWriteBacks { refused, ..nothing(broadcast, "writer") }).await;
    }
    assert_eq!(sums(world, broadcast).await, (20, 4, 0), "they wait for the target");
    // Another statement has taken nobody yet.
    let mended = Declaration { generation: 2, write_backs: vec![sql("select :id")], ..writing("one") };
    world.declare(&mended).await;
    world.pass(LONGEST_OWN_BACKOFF);
    let people = take(world, broadcast, "writer").await;
    let told = ReportWriteBacks { write_back: sql("select :id"), ..nothing(broadcast, "writer") };
    report(world, ReportWriteBacks { refused: vec![refused(&people[0])], ..told }).await;
    let due = stands(world, broadcast).await.due_at.unwrap();
    assert!(due > world.now(), "the others are not tried at once: {due:?}");
}

pub async fn who_was_refused_by_the_old_statement_is_due_at_once_by_the_new_one<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 2).await;
    send_all(world, broadcast, &accepted()).await;
    for generation in 2..=i64::from(MAX_TRIES) + 2 {
        let people = take(world, broadcast, "writer").await;
        assert_eq!(people.len(), 2, "{generation}");
        let edited = sql(&format!("select {generation} where :id <> ''"));
        world.declare(&Declaration { generation, write_backs: vec![edited], ..writing("one") }).await;
        let refused = people.iter().map(refused).collect();
        report(world, ReportWriteBacks { refused, ..nothing(broadcast, "writer") }).await;
        assert_eq!(sums(world, broadcast).await, (2, 0, 0));
        assert_eq!(stands(world, broadcast).await.last_error, None);
    }
}

pub async fn a_target_that_takes_nothing_is_tried_ever_more_slowly_and_given_up_after_three_days<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&writing("one"), 2).await;
    send_all(world, broadcast, &accepted()).await;
    let (began, mut tries) = (world.now(), 0);
    loop {
        assert_eq!(take(world, broadcast, "writer").await.len(), 2);
        report(world, ReportWriteBacks { put_off: put_off(), ..nothing(broadcast, "writer") }).await;
        tries += 1;
        let left = stands(world, broadcast).await;
        assert_eq!(left.last_error.unwrap().reason, "WriteBackRefused");
        let Some(due) = left.due_at else {
            assert_eq!((left.pending, left.failed), (0, 2));
            break;
        };
        assert_eq!((left.pending, left.failed), (2, 0));
        assert!(due <= world.now() + LONGEST_BACKOFF);
        if due > world.now() {
            assert_eq!(take(world, broadcast, "writer").await, [], "not before its time");
        }
        world.pass((due - world.now()).max(Span(1)));
    }
    assert!(world.now() >= began + GIVE_UP_AFTER - Span::from_secs(1));
    assert!((15..80).contains(&tries), "{tries} tries in three days");
    assert_eq!(take(world, broadcast, "writer").await, []);
    // The same wish changes nothing; another statement makes everybody due.
    world.declare(&writing("one")).await;
    assert_eq!(sums(world, broadcast).await, (0, 0, 2));
    let corrected = Declaration { write_backs: vec![sql("delete from people where psid = :id")], ..writing("one") };
    world.declare(&Declaration { generation: 2, ..corrected }).await;
    assert_eq!(sums(world, broadcast).await, (2, 0, 0));
    let people = take(world, broadcast, "writer").await;
    done(world, broadcast, "writer", &people).await;
    let left = stands(world, broadcast).await;
    assert_eq!((left.pending, left.done, left.failed, left.last_error), (0, 2, 0, None));
}

pub async fn each_target_is_owed_by_itself<L: Backend>(world: &World<L>) {
    let mut both = labelling("one");
    both.write_backs.push(sql(STATEMENT));
    let broadcast = world.planned(&both, 3).await;
    send_all(world, broadcast, &accepted()).await;
    let people = take(world, broadcast, "writer").await;
    done(world, broadcast, "writer", &people).await;
    let stands = world.snapshot(broadcast).await.write_backs;
    let stands: Vec<_> = stands.iter().map(|one| (one.target, one.pending, one.done)).collect();
    assert_eq!(stands, [(WriteBackTarget::Messenger, 3, 0), (WriteBackTarget::Sql, 0, 3)]);
    assert_eq!(world.snapshot(broadcast).await.errands_done(), 3);
}

pub async fn what_is_done_after_a_failure_ends_the_waiting<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 2).await;
    send_all(world, broadcast, &accepted()).await;
    for _ in 0..10 {
        take(world, broadcast, "writer").await;
        report(world, ReportWriteBacks { put_off: put_off(), ..nothing(broadcast, "writer") }).await;
        world.pass(LONGEST_BACKOFF);
    }
    let people = take(world, broadcast, "writer").await;
    let half = ReportWriteBacks { done: vec![people[0].seq], put_off: put_off(), ..nothing(broadcast, "writer") };
    report(world, half).await;
    assert_eq!(sums(world, broadcast).await, (1, 1, 0));
    world.pass(LONGEST_BACKOFF);
    let people = take(world, broadcast, "writer").await;
    done(world, broadcast, "writer", &people).await;
    assert_eq!(sums(world, broadcast).await, (0, 2, 0));
}

pub async fn what_the_old_statement_met_is_no_matter_of_an_edited_one<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 2).await;
    send_all(world, broadcast, &accepted()).await;
    let people = take(world, broadcast, "writer").await;
    let edited = sql("delete from people where psid = :id");
    world.declare(&Declaration { generation: 2, write_backs: vec![edited.clone()], ..writing("one") }).await;
    let told = ReportWriteBacks { done: vec![people[0].seq], put_off: put_off(), ..nothing(broadcast, "writer") };
    report(world, told).await;
    let page = page(world, broadcast, "writer").await;
    assert_eq!((page.write_back, page.people.len()), (Some(edited), 1));
    assert_eq!(stands(world, broadcast).await.last_error, None);
}

pub async fn one_that_is_named_no_more_keeps_what_waits_until_it_is_named_again<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 2).await;
    send_all(world, broadcast, &accepted()).await;
    world.declare(&Declaration { generation: 2, ..declaration("one") }).await;
    assert_eq!(take(world, broadcast, "writer").await, []);
    assert_eq!(world.snapshot(broadcast).await.write_backs, []);
    world.declare(&Declaration { generation: 3, ..writing("one") }).await;
    assert_eq!(take(world, broadcast, "writer").await.len(), 2);
}

pub async fn who_was_sent_to_before_it_was_named_is_left_out<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 4).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    world.declare(&Declaration { generation: 2, ..writing("one") }).await;
    let rows = sender.take(world, 25).await;
    let reply = sender.tell(world, reports(&rows, &accepted())).await;
    assert!(reply.owes, "the sender is told that there is something to write");
    assert_eq!(sums(world, broadcast).await, (rows.len() as i64, 0, 0));
    assert!(!sender.tell(world, vec![]).await.owes);
}

pub async fn nobody_of_a_paused_or_released_broadcast_is_written_down<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 2).await;
    send_all(world, broadcast, &accepted()).await;
    world.declare(&Declaration { suspended: true, generation: 2, ..writing("one") }).await;
    assert_eq!(take(world, broadcast, "writer").await, []);
    let left = stands(world, broadcast).await;
    assert_eq!((left.pending, left.due_at), (2, None), "no sender is started for it");
    world.declare(&Declaration { generation: 3, ..writing("one") }).await;
    assert!(stands(world, broadcast).await.due_at.is_some_and(|due| due <= world.now()));
    assert_eq!(take(world, broadcast, "writer").await.len(), 2);
    world.ledger.depart("owner").await.unwrap();
    assert_eq!(take(world, broadcast, "writer").await, []);
    assert_eq!(stands(world, broadcast).await.due_at, None);
}

pub async fn no_sender_is_started_for_ever_for_whom_nobody_could_write_down<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 2).await;
    send_all(world, broadcast, &accepted()).await;
    world.pass(FORGOTTEN_AFTER - Span::from_secs(60));
    assert!(stands(world, broadcast).await.due_at.is_some());
    world.pass(Span::from_secs(60));
    let left = stands(world, broadcast).await;
    assert_eq!((left.pending, left.failed, left.due_at), (0, 2, None));
    let people = take(world, broadcast, "writer").await;
    done(world, broadcast, "writer", &people).await;
    assert_eq!(sums(world, broadcast).await, (0, 2, 0), "who comes anyway writes them all the same");
}

pub async fn what_waited_while_it_was_paused_or_released_is_written_after_however_long<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 3).await;
    send_all(world, broadcast, &accepted()).await;
    let one = take(world, broadcast, "writer").await.remove(0);
    done(world, broadcast, "writer", &[one]).await;
    let is_due = async || {
        let left = stands(world, broadcast).await;
        assert_eq!((left.pending, left.failed), (2, 0));
        left.due_at.is_some_and(|due| due <= world.now())
    };
    world.declare(&Declaration { suspended: true, generation: 2, ..writing("one") }).await;
    world.pass(FORGOTTEN_AFTER + Span::from_secs(60));
    assert!(!is_due().await);
    // Suspended anew it still waits for nobody.
    world.declare(&Declaration { suspended: true, generation: 3, ..writing("one") }).await;
    assert!(!is_due().await);
    world.declare(&Declaration { generation: 4, ..writing("one") }).await;
    assert!(is_due().await);

    world.ledger.depart("owner").await.unwrap();
    world.pass(FORGOTTEN_AFTER + Span::from_secs(60));
    assert!(!is_due().await);
    world.declare(&Declaration { owner_uid: "another".to_owned(), generation: 1, ..writing("one") }).await;
    assert!(is_due().await);
    // Named once more it is no other wish.
    world.pass(FORGOTTEN_AFTER);
    world.declare(&Declaration { owner_uid: "another".to_owned(), generation: 2, ..writing("one") }).await;
    assert_eq!(sums(world, broadcast).await, (0, 1, 2));
}

pub async fn a_target_that_was_given_up_is_tried_for_all_once_somebody_is_sent<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 6).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    let (owed, _, _) = sums(world, broadcast).await;
    assert!((1..6).contains(&owed));
    world.pass(GIVE_UP_AFTER);
    assert_eq!(take(world, broadcast, "writer").await.len() as i64, owed);
    report(world, ReportWriteBacks { put_off: put_off(), ..nothing(broadcast, "writer") }).await;
    assert_eq!(sums(world, broadcast).await, (0, 0, owed));
    let totals = WriteBackTotals { pending: 0, done: 0, failed: owed };
    assert_eq!(world.ledger.write_back_totals().await.unwrap(), totals);
    world.maintain().await;
    send_all(world, broadcast, &accepted()).await;
    assert_eq!(sums(world, broadcast).await, (6, 0, 0));
    let people = take(world, broadcast, "writer").await;
    assert_eq!(people.len(), 6);
    done(world, broadcast, "writer", &people).await;
    assert_eq!(sums(world, broadcast).await, (0, 6, 0));
}

pub async fn people_are_due_in_time_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&writing("one"), 4).await;
    world.pass(Span::from_secs(400));
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    let people = take(world, broadcast, "writer").await;
    let told =
        ReportWriteBacks { refused: vec![refused(&people[0])], put_off: put_off(), ..nothing(broadcast, "writer") };
    report(world, told).await;
    sender.tell(world, vec![]).await;
    world.pass(Span::from_secs(-300));
    world.maintain().await;
    world.pass(Span::from_secs(10));
    assert_eq!(take(world, broadcast, "writer").await.len(), people.len());
}

pub async fn a_sender_that_looks_after_the_clock_was_set_back_is_not_told_of_the_old_time<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&writing("one"), 4).await;
    send_all(world, broadcast, &accepted()).await;
    // Long after the account's last commit, as where nothing is sent any more: nobody else sees that the clock went back.
    world.pass(Span::from_secs(7_200));
    let people = take(world, broadcast, "lost").await;
    assert_eq!(people.len(), 4);
    world.pass(Span::from_secs(-3_600));
    let next_at = page(world, broadcast, "writer").await.next_at.unwrap();
    assert!(next_at <= world.now() + WRITE_BACK_LEASE, "{next_at:?} at {:?}", world.now());
    assert!(stands(world, broadcast).await.due_at.unwrap() <= world.now() + WRITE_BACK_LEASE);
    world.ledger.settle_all_senders_dead().await.unwrap();

    // The same of those who wait because they were refused.
    world.pass(Span::from_secs(3_600));
    let people = take(world, broadcast, "writer").await;
    let (bad, good) = people.split_first().unwrap();
    let done = good.iter().map(|owed| owed.seq).collect();
    report(world, ReportWriteBacks { done, refused: vec![refused(bad)], ..nothing(broadcast, "writer") }).await;
    world.pass(Span::from_secs(-3_600));
    assert_eq!(take(world, broadcast, "writer").await.len(), 1, "nobody waits for the old time");
}
