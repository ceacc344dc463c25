//! What providers tell by call-backs.

use herald::delivery::backoff::RetryPolicy;
use herald::delivery::correlation::Correlation;
use herald::delivery::outcome::Outcome;
use herald::delivery::provider_event::{Deed, MAX_EVENTS, News, ProviderEvent, Which};
use herald::delivery::receipt::ReceiptCounts;
use herald::delivery::recipient::RecipientState::{Failed, Inflight, Pending, Sent, Skipped, Unknown};
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::declaration::AccountKey;
use herald::ledger::exchange::{Assignment, BroadcastId, DEADLINE_GRACE, LEASE};
use herald::ledger::receipts::{EARLY_KEPT_FOR, MAX_EARLY};
use herald::ledger::results::{ResultsFilter, ResultsQuery};
use herald::ledger::{ContactsFilter, Declaration, LedgerError, Received, ResultRow};

use super::parts::in_three_parts;
use super::world::*;

fn told(broadcast: BroadcastId, row: &Assignment, news: News, at: Timestamp) -> ProviderEvent {
    let correlation = Correlation { broadcast: broadcast.0, seq: row.seq, attempt: row.attempt, part: 0 };
    let which = Which::One { correlation: Some(correlation), provider_id: Some(format!("m{}", row.seq)) };
    ProviderEvent::Message { which, recipient: Some(row.recipient.clone()), news, at }
}

/// The same with everything but what is given here.
fn altered(
    event: ProviderEvent,
    change: impl FnOnce(&mut Option<Correlation>, &mut Option<String>, &mut Option<String>),
) -> ProviderEvent {
    let ProviderEvent::Message { which: Which::One { mut correlation, mut provider_id }, mut recipient, news, at } =
        event
    else {
        panic!("another event")
    };
    change(&mut correlation, &mut provider_id, &mut recipient);
    ProviderEvent::Message { which: Which::One { correlation, provider_id }, recipient, news, at }
}

pub async fn receive<L: Backend>(world: &World<L>, events: &[ProviderEvent]) -> Received {
    let received = world.ledger.receive(&declaration("any").account, events).await.unwrap();
    world.sums_hold().await;
    received
}

async fn receipts<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> ReceiptCounts {
    world.snapshot(broadcast).await.receipts
}

async fn result<L: Backend>(world: &World<L>, broadcast: BroadcastId, row: &Assignment) -> ResultRow {
    let query = ResultsQuery { broadcast, filter: ResultsFilter::default(), from: row.seq };
    world.ledger.results(&query).await.unwrap().rows.swap_remove(0)
}

fn undelivered() -> News {
    News::Undelivered { reason: "HandsetUnreachable".into(), code: Some("30003".into()), marketing_stopped: false }
}

pub async fn a_call_back_resolves_whoever_is_unknown<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 4).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 3).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    assert_eq!(world.counts(broadcast).await.unknown, 3);
    let before = world.snapshot(broadcast).await.revision;

    let echo = told(broadcast, &rows[0], News::Accepted, world.now());
    assert_eq!(
        receive(world, std::slice::from_ref(&echo)).await,
        Received { resolved: 1, news: 1, ..Received::default() }
    );
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent);
    assert_eq!(world.tally(broadcast, Unknown, "Timeout").await, 2, "the reason goes with it");
    assert_eq!(result(world, broadcast, &rows[0]).await.provider_id, Some(format!("m{}", rows[0].seq)));
    let after = world.snapshot(broadcast).await.revision;
    assert!(after > before);

    assert_eq!(receive(world, &[echo.clone(), echo]).await, Received { nothing: 2, ..Received::default() });
    assert_eq!(world.snapshot(broadcast).await.revision, after, "a replay changes nothing at all");

    // Any receipt proves as much, and several of one call prove it once.
    let news = [News::Delivered, News::Read].map(|news| told(broadcast, &rows[1], news, world.now()));
    assert_eq!(receive(world, &news).await, Received { resolved: 1, news: 2, ..Received::default() });
    assert_eq!(receive(world, &[told(broadcast, &rows[2], undelivered(), world.now())]).await.resolved, 1);
    let counts = world.counts(broadcast).await;
    assert_eq!((counts.sent, counts.unknown), (4, 0));
}

pub async fn a_call_back_before_the_senders_report_stands_over_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 1).await;
    receive(world, &[told(broadcast, &rows[0], News::Accepted, world.now())]).await;
    assert_eq!(world.state(broadcast, rows[0].seq).await, Inflight, "its sender is heard first");
    sender.tell(world, reports(&rows, &unknown())).await;
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent);
    assert_eq!(result(world, broadcast, &rows[0]).await.provider_id, Some(format!("m{}", rows[0].seq)));
}

pub async fn a_call_back_before_the_senders_silence_stands_over_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    receive(world, &[told(broadcast, &rows[0], News::Accepted, world.now())]).await;
    world.pass(LEASE + Span::from_secs(30) + DEADLINE_GRACE);
    world.maintain_all().await;
    let states = (world.state(broadcast, rows[0].seq).await, world.state(broadcast, rows[1].seq).await);
    assert_eq!(states, (Sent, Unknown));
}

pub async fn a_call_back_stands_over_a_refusal_that_would_try_again<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    receive(world, &[told(broadcast, &rows[0], News::Accepted, world.now())]).await;
    sender.tell(world, reports(&rows, &transient())).await;
    let states = (world.state(broadcast, rows[0].seq).await, world.state(broadcast, rows[1].seq).await);
    assert_eq!(states, (Sent, Pending));
}

/// The provider took what it answered with an error, and tells so before the next attempt.
pub async fn a_call_back_after_a_refusal_that_would_try_again_stands_over_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    sender.tell(world, reports(&rows, &transient())).await;
    let received = receive(world, &[told(broadcast, &rows[0], News::Delivered, world.now())]).await;
    assert_eq!(received.resolved, 1);
    let states = (world.state(broadcast, rows[0].seq).await, world.state(broadcast, rows[1].seq).await);
    assert_eq!(states, (Sent, Pending));
    world.pass(Span::from_secs(120));
    let again = sender.take(world, 5).await;
    assert_eq!(again.iter().map(|row| row.seq).collect::<Vec<_>>(), [rows[1].seq]);
    world.sums_hold().await;
}

pub async fn whoever_waits_to_be_resent_is_not_sent_to_again<L: Backend>(world: &World<L>) {
    let retry = RetryPolicy { after_unknown: true, ..RetryPolicy::default() };
    let broadcast = world.planned(&Declaration { retry, ..declaration("one") }, 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    assert_eq!(world.state(broadcast, rows[0].seq).await, Pending);
    let received = receive(world, &[told(broadcast, &rows[0], News::Delivered, world.now())]).await;
    assert_eq!(received.resolved, 1);
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent);
    world.pass(Span::from_secs(120));
    assert_eq!(sender.take(world, 5).await, []);
}

pub async fn a_call_back_of_a_part_lets_the_next_one_follow<L: Backend>(world: &World<L>) {
    let declaration = in_three_parts("one");
    let broadcast = world.planned(&declaration, 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let receive = async |row: &Assignment, news| {
        let received = world.ledger.receive(&declaration.account, &[told(broadcast, row, news, world.now())]).await;
        world.sums_hold().await;
        received.unwrap()
    };
    // The answer of the first part is lost, and the provider tells of it afterwards.
    let first = sender.take(world, 1).await;
    sender.tell(world, reports(&first, &unknown())).await;
    assert_eq!(world.state(broadcast, 0).await, Unknown);
    assert_eq!(receive(&first[0], News::Delivered).await.resolved, 1);
    assert_eq!((world.state(broadcast, 0).await, world.row(broadcast, 0).await.parts_done), (Pending, 1));
    assert!(receipts(world, broadcast).await.is_zero(), "the message is not there before its last part");
    // That of the second is told of before it is lost.
    let second = sender.take(world, 1).await;
    assert_eq!(second[0].part, 1);
    receive(&second[0], News::Accepted).await;
    sender.tell(world, reports(&second, &unknown())).await;
    let third = sender.take(world, 1).await;
    assert_eq!(third[0].part, 2, "no part is sent again");
    sender.tell(world, reports(&third, &accepted())).await;
    assert_eq!(world.state(broadcast, 0).await, Sent);
    assert_eq!(receive(&second[0], News::Delivered).await.nothing, 1, "an earlier part says nothing any more");
    assert_eq!(receive(&third[0], News::Delivered).await.news, 1);
    assert_eq!(receipts(world, broadcast).await.delivered, 1);
}

pub async fn call_backs_of_other_attempts_accounts_and_people_change_nothing<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 5).await;
    let elsewhere = AccountKey { account: "other".into(), ..declaration("two").account };
    let other = world.planned(&Declaration { account: elsewhere.clone(), ..declaration("two") }, 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    sender.tell(world, vec![report(&rows[0], &unknown()), report(&rows[1], &permanent())]).await;
    let echo = told(broadcast, &rows[0], News::Accepted, world.now());

    let of_other_attempt = altered(echo.clone(), |ours, _, _| ours.as_mut().unwrap().attempt += 1);
    let of_nobody = altered(echo.clone(), |ours, _, _| ours.as_mut().unwrap().seq = 99);
    let of_no_broadcast = altered(echo.clone(), |ours, _, _| ours.as_mut().unwrap().broadcast = 99);
    let of_another_account = altered(echo.clone(), |ours, _, _| ours.as_mut().unwrap().broadcast = other.0);
    let to_another = altered(echo.clone(), |_, _, recipient| *recipient = Some("somebody".into()));
    let of_who_has_failed = told(broadcast, &rows[1], undelivered(), world.now());
    let wrong = [of_other_attempt, of_nobody, of_no_broadcast, of_another_account, to_another, of_who_has_failed];
    assert_eq!(receive(world, &wrong).await, Received { nothing: 6, ..Received::default() });
    let nothing = Received { nothing: 1, ..Received::default() };
    assert_eq!(world.ledger.receive(&elsewhere, std::slice::from_ref(&echo)).await.unwrap(), nothing);
    let unheard_of = AccountKey { account: "nobody".into(), ..elsewhere };
    assert_eq!(world.ledger.receive(&unheard_of, &[echo]).await.unwrap(), nothing);

    let states = (world.state(broadcast, rows[0].seq).await, world.state(broadcast, rows[1].seq).await);
    assert_eq!(states, (Unknown, Failed));
    assert!(receipts(world, broadcast).await.is_zero());
    // Of somebody who was never attempted there is no attempt to tell of.
    let never = altered(told(broadcast, &rows[0], News::Accepted, world.now()), |ours, _, recipient| {
        (*ours, *recipient) = (Some(Correlation { seq: 4, attempt: 0, ..ours.unwrap() }), None);
    });
    assert_eq!(receive(world, &[never]).await, nothing);
    assert_eq!(world.state(broadcast, 4).await, Pending);
}

pub async fn receipts_are_counted_once_whatever_order_they_come_in<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    // Some come before the report, some after it.
    receive(world, &[told(broadcast, &rows[0], News::Read, world.now())]).await;
    sender.tell(world, reports(&rows, &Outcome::Accepted { provider_id: Some("m".into()) })).await;
    let later = world.now() + Span::from_secs(60);
    let news = [News::Accepted, News::Delivered, News::Read, News::Delivered];
    let events: Vec<ProviderEvent> = news.into_iter().map(|news| told(broadcast, &rows[0], news, later)).collect();
    assert_eq!(receive(world, &events).await.news, 0);
    assert_eq!(receipts(world, broadcast).await, ReceiptCounts { delivered: 1, read: 1, undelivered: 0 });
    receive(world, &[told(broadcast, &rows[1], News::Delivered, later)]).await;
    receive(world, &[told(broadcast, &rows[1], News::Delivered, later)]).await;
    assert_eq!(receipts(world, broadcast).await, ReceiptCounts { delivered: 2, read: 1, undelivered: 0 });
    let told = result(world, broadcast, &rows[1]).await;
    assert_eq!((told.delivered_time.is_some(), told.read_time.is_some()), (true, false));
    assert_eq!(told.delivered_time.unwrap().as_second(), world.now().0 / 1_000_000_000, "never in the future");
}

pub async fn a_message_that_did_not_arrive_is_told_and_stays_sent<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    receive(world, &[told(broadcast, &rows[0], undelivered(), world.now())]).await;
    let shown = result(world, broadcast, &rows[0]).await;
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent);
    assert_eq!((shown.reason.as_deref(), shown.code.as_deref()), (Some("HandsetUnreachable"), Some("30003")));
    assert_eq!(receipts(world, broadcast).await.undelivered, 1);
    let filter = ResultsFilter { outcomes: Vec::new(), reason: Some("HandsetUnreachable".into()) };
    let found = world.ledger.results(&ResultsQuery { broadcast, filter, from: 0 }).await.unwrap();
    assert_eq!(found.rows, [shown]);
    // It has arrived after all.
    receive(world, &[told(broadcast, &rows[0], News::Delivered, world.now())]).await;
    assert_eq!(result(world, broadcast, &rows[0]).await.reason, None);
    assert_eq!(receipts(world, broadcast).await, ReceiptCounts { delivered: 1, read: 0, undelivered: 0 });
}

pub async fn without_a_correlation_a_message_is_found_by_its_id_and_its_recipient<L: Backend>(world: &World<L>) {
    let broadcasts = [world.planned(&declaration("one"), 2).await, world.planned(&declaration("two"), 2).await];
    let mut rows = Vec::new();
    for broadcast in broadcasts {
        let mut sender = Sender::new(&format!("sender-{}", broadcast.0), broadcast);
        let taken = sender.take(world, 1).await;
        let id = format!("m-{}", broadcast.0);
        sender.tell(world, reports(&taken, &Outcome::Accepted { provider_id: Some(id) })).await;
        world.pass(Span::from_secs(1));
        rows.extend(taken);
    }
    assert_eq!(rows[0].recipient, rows[1].recipient);
    let by_id = |id: &str, recipient: &str| {
        altered(told(broadcasts[0], &rows[0], News::Delivered, world.now()), |ours, provider_id, to| {
            (*ours, *provider_id, *to) = (None, Some(id.into()), Some(recipient.into()));
        })
    };
    let id = format!("m-{}", broadcasts[1].0);
    assert_eq!(receive(world, &[by_id("m-other", &rows[0].recipient)]).await.nothing, 1);
    assert_eq!(receive(world, &[by_id(&id, "somebody")]).await.nothing, 1);
    assert_eq!(receive(world, &[by_id(&id, &rows[0].recipient)]).await.news, 1);
    let counted = (receipts(world, broadcasts[0]).await.delivered, receipts(world, broadcasts[1]).await.delivered);
    assert_eq!(counted, (0, 1));
}

/// The provider took what it answered with an error, and tells so when nobody is to try again: the sums do not fall.
pub async fn who_has_failed_stays_so_and_what_arrived_all_the_same_is_shown<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 3).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    sender.tell(world, reports(&rows, &permanent())).await;
    let before = world.counts(broadcast).await;
    assert_eq!(receive(world, &[told(broadcast, &rows[0], News::Accepted, world.now())]).await.news, 1);
    let shown = result(world, broadcast, &rows[0]).await;
    assert_eq!((shown.provider_id, shown.delivered_time), (Some(format!("m{}", rows[0].seq)), None));
    // With the id that is known by now, and up to a time.
    let by_id = altered(told(broadcast, &rows[0], News::Delivered, world.now()), |ours, _, _| *ours = None);
    assert_eq!(receive(world, &[by_id]).await.news, 1);
    let recipient = Some(rows[0].recipient.clone());
    let read = ProviderEvent::Message { which: Which::UpTo(world.now()), recipient, news: News::Read, at: world.now() };
    let received = receive(world, &[read]).await;
    assert_eq!((received.news, received.resolved), (1, 0));
    let shown = result(world, broadcast, &rows[0]).await;
    assert!(shown.reason.is_some() && shown.delivered_time.is_some() && shown.read_time.is_some(), "{shown:?}");
    assert_eq!(result(world, broadcast, &rows[1]).await.delivered_time, None);
    assert_eq!(receipts(world, broadcast).await, ReceiptCounts { delivered: 1, read: 1, undelivered: 0 });
    assert_eq!(world.counts(broadcast).await, before);
    assert_eq!(world.state(broadcast, rows[0].seq).await, Failed);
}

/// What is told of a part that was taken says nothing of the part at which it ended.
pub async fn what_is_told_of_an_earlier_part_of_who_was_skipped_changes_nothing<L: Backend>(world: &World<L>) {
    let declaration = in_three_parts("one");
    let broadcast = world.planned(&declaration, 1).await;
    let mut sender = Sender::new("sender", broadcast);
    for part in 0..2 {
        let row = sender.take(world, 1).await.swap_remove(0);
        assert_eq!(row.part, part);
        let id = Some(format!("m{}", row.seq));
        sender.tell(world, vec![report(&row, &Outcome::Accepted { provider_id: id })]).await;
        if part == 1 {
            world.declare(&Declaration { cancelled: true, ..declaration.clone() }).await;
            world.maintain_all().await;
            assert_eq!(world.state(broadcast, 0).await, Skipped);
            let of_first = told(broadcast, &row, News::Delivered, world.now());
            let by_id = altered(of_first.clone(), |ours, _, _| *ours = None);
            let of_part = altered(of_first.clone(), |ours, _, _| ours.as_mut().unwrap().part = part);
            for event in [of_first, by_id, of_part] {
                let received = world.ledger.receive(&declaration.account, &[event]).await.unwrap();
                assert_eq!(received, Received { nothing: 1, ..Received::default() });
            }
        }
    }
    assert!(receipts(world, broadcast).await.is_zero());
}

pub async fn a_receipt_that_comes_before_its_senders_report_is_counted_after_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 4).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    let by_id = altered(told(broadcast, &rows[0], News::Delivered, world.now()), |ours, _, _| *ours = None);
    let (recipient, until) = (Some(rows[1].recipient.clone()), world.now() + Span::from_secs(2));
    let read = ProviderEvent::Message { which: Which::UpTo(until), recipient, news: News::Read, at: until };
    let early = [by_id, read];
    assert_eq!(receive(world, &early).await, Received { kept: 2, ..Received::default() });
    assert_eq!(receive(world, &early).await, Received { nothing: 2, ..Received::default() }, "once is enough");
    world.pass(Span::from_secs(2));
    world.maintain_all().await;
    assert!(receipts(world, broadcast).await.is_zero(), "nobody knows yet that they were taken");
    let accepted = |row: &Assignment| report(row, &Outcome::Accepted { provider_id: Some(format!("m{}", row.seq)) });
    sender.tell(world, rows.iter().map(accepted).collect()).await;
    world.pass(Span::from_secs(2));
    world.maintain_all().await;
    assert_eq!(receipts(world, broadcast).await, ReceiptCounts { delivered: 2, read: 1, undelivered: 0 });
    let (first, second) = (result(world, broadcast, &rows[0]).await, result(world, broadcast, &rows[1]).await);
    assert!(first.delivered_time.is_some() && first.read_time.is_none() && second.read_time.is_some());
    // Nothing is left of them.
    world.pass(EARLY_KEPT_FOR);
    assert!(!world.maintain().await);
    assert_eq!(receipts(world, broadcast).await, ReceiptCounts { delivered: 2, read: 1, undelivered: 0 });
}

/// Of a message that another program sent to the same person, or that was sent after what is told of.
pub async fn a_receipt_of_nothing_is_kept_for_a_while_and_not_longer<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 4).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 1).await;
    let recipient = Some(rows[0].recipient.clone());
    let until = rows[0].slot - Span::from_secs(60);
    let before = ProviderEvent::Message { which: Which::UpTo(until), recipient, news: News::Read, at: until };
    assert_eq!(receive(world, &[before]).await, Received { nothing: 1, ..Received::default() });
    let of = |row: &Assignment, recipient: Option<String>| {
        altered(told(broadcast, row, News::Delivered, world.now()), |ours, _, to| {
            *ours = None;
            *to = recipient.or(to.take());
        })
    };
    let to_somebody = of(&rows[0], Some(person(3).recipient));
    assert_eq!(receive(world, &[to_somebody]).await, Received { nothing: 1, ..Received::default() });
    assert_eq!(receive(world, &[of(&rows[0], None)]).await.kept, 1);
    for _ in 0..EARLY_KEPT_FOR.0 / Span::from_secs(15).0 {
        world.pass(Span::from_secs(15));
        world.maintain_all().await;
    }
    // Its own id comes too late now.
    let accepted = Outcome::Accepted { provider_id: Some(format!("m{}", rows[0].seq)) };
    sender.tell(world, vec![report(&rows[0], &accepted)]).await;
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent);
    world.pass(EARLY_KEPT_FOR);
    world.maintain_all().await;
    assert!(receipts(world, broadcast).await.is_zero());
}

pub async fn no_more_early_receipts_are_kept_than_there_may_be<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 4).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 1).await;
    let of = |number: usize| {
        altered(told(broadcast, &rows[0], News::Delivered, world.now()), |ours, id, _| {
            (*ours, *id) = (None, Some(format!("other-{number}")));
        })
    };
    let (most, mut kept) = (MAX_EARLY as usize, 0);
    for from in (0..most + MAX_EVENTS).step_by(MAX_EVENTS) {
        let events: Vec<ProviderEvent> = (from..from + MAX_EVENTS).map(of).collect();
        let received = world.ledger.receive(&declaration("any").account, &events).await.unwrap();
        assert_eq!(received.kept + received.nothing, MAX_EVENTS as u32);
        kept += received.kept as usize;
    }
    assert_eq!(kept, most);
}

pub async fn everything_until_a_watermark_was_read<L: Backend>(world: &World<L>) {
    let mut until = Timestamp::EPOCH;
    let mut broadcasts = Vec::new();
    for key in ["one", "two", "three"] {
        let broadcast = world.planned(&declaration(key), 1).await;
        let mut sender = Sender::new(key, broadcast);
        let taken = sender.take(world, 1).await;
        sender.tell(world, reports(&taken, &accepted())).await;
        until = if key == "two" { taken[0].slot } else { until };
        broadcasts.push(broadcast);
        world.pass(Span::from_secs(60));
    }
    let recipient = Some(person(0).recipient);
    let read = ProviderEvent::Message { which: Which::UpTo(until), recipient, news: News::Read, at: until };
    assert_eq!(receive(world, std::slice::from_ref(&read)).await.news, 2);
    let mut counted = Vec::new();
    for broadcast in broadcasts {
        counted.push(receipts(world, broadcast).await.read);
    }
    assert_eq!(counted, [1, 1, 0]);
    assert_eq!(receive(world, &[read]).await, Received { nothing: 2, ..Received::default() });
}

pub async fn what_people_do_is_counted_and_changes_no_message<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 1).await;
    let told = [Deed::Wrote, Deed::OptedIn, Deed::Wrote];
    let told = told.map(|deed| ProviderEvent::person(person(0).recipient, deed, world.now()));
    assert_eq!(receive(world, &told).await, Received { people: 3, ..Received::default() });
    assert_eq!(world.state(broadcast, 0).await, Pending);
}

pub async fn whoever_opts_out_by_a_call_back_is_skipped_and_known<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2).await;
    let account = declaration("one").account;
    let deed = |deed| ProviderEvent::person(person(0).recipient, deed, world.now());
    assert_eq!(receive(world, &[deed(Deed::Wrote), deed(Deed::OptedOut)]).await.people, 2);
    assert_eq!((world.state(broadcast, 0).await, world.state(broadcast, 1).await), (Skipped, Pending));
    assert_eq!(world.tally(broadcast, Skipped, "OptedOut").await, 1);
    let filter = ContactsFilter { opted_out: true, ..ContactsFilter::default() };
    let known = world.ledger.contacts_page(&account, None, &filter).await.unwrap().contacts;
    assert_eq!(known.iter().map(|one| one.recipient.as_str()).collect::<Vec<_>>(), [person(0).recipient.as_str()]);
    assert!(known[0].opted_out.is_some() && known[0].active_at == Some(world.now()));
    world.pass(Span::from_secs(1));
    receive(world, &[deed(Deed::OptedIn)]).await;
    let known = world.ledger.contacts_page(&account, None, &filter).await.unwrap().contacts;
    assert!(known[0].opted_out.is_none());
}

pub async fn more_events_than_a_slice_are_all_taken_in<L: Backend>(world: &World<L>) {
    let wide = Declaration { batch_size: Some(1_000), ..declaration("one") };
    let broadcast = world.planned(&wide, 450).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let (mut rows, mut told_of) = (Vec::new(), Vec::new());
    while rows.len() < 440 {
        let taken = sender.exchange(world, std::mem::take(&mut told_of), 25).await.rows;
        told_of = reports(&taken, &unknown());
        world.pass(INTERVAL * 25);
        rows.extend(taken);
    }
    sender.tell(world, told_of).await;
    let events: Vec<ProviderEvent> =
        rows.iter().map(|row| told(broadcast, row, News::Delivered, world.now())).collect();
    let all = rows.len() as u32;
    assert_eq!(receive(world, &events).await, Received { resolved: all, news: all, ..Received::default() });
    assert_eq!(receipts(world, broadcast).await.delivered, i64::from(all));
    assert_eq!(world.counts(broadcast).await.unknown, 0);
}

pub async fn more_events_than_a_call_may_hold_are_refused<L: Backend>(world: &World<L>) {
    let event = ProviderEvent::person("1", Deed::Wrote, world.now());
    let refused = world.ledger.receive(&declaration("one").account, &vec![event; MAX_EVENTS + 1]).await;
    assert!(matches!(refused, Err(LedgerError::RequestTooLarge { limit: MAX_EVENTS })), "{refused:?}");
}
