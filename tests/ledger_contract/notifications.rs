//! What is told to a broadcast's endpoints: once, with what causes it, by one sender at a time, until it is taken.

use herald::api::{NotificationEndpoint, NotificationEvent, SecretKeyRef};
use herald::delivery::counts::Counts;
use herald::delivery::notification::{Cause, FORGOTTEN_AFTER, GIVE_UP_AFTER, LONGEST_BACKOFF, Sight, Standing};
use herald::delivery::time::Span;
use herald::ledger::exchange::{BroadcastId, LEASE};
use herald::ledger::notification::{ENDPOINT_GONE, MAX_NOTIFICATIONS_PAGE, NOTIFICATION_FORGOTTEN, NOTIFICATION_LEASE};
use herald::ledger::plan::{MAX_DEAD_PLANNERS, PlanTicket};
use herald::ledger::status::standing;
use herald::ledger::{
    Declaration, LedgerError, Notification, NotificationReport, NotificationTotals, Posted, ReportNotifications,
    TakeNotifications, Trouble,
};

use super::repeats::exchange_given_up;
use super::world::*;

fn endpoint(name: &str, events: &[NotificationEvent]) -> NotificationEndpoint {
    NotificationEndpoint {
        name: name.to_owned(),
        url: format!("https://hooks.example/{name}"),
        signing_secret_key_ref: SecretKeyRef { name: "hook".to_owned(), key: "secret".to_owned() },
        events: events.to_vec(),
    }
}

/// Its endpoint `crm` is told of everything.
pub fn telling(key: &str) -> Declaration {
    Declaration { notifications: vec![endpoint("crm", &NotificationEvent::ALL)], ..declaration(key) }
}

async fn take<L: Backend>(world: &World<L>, broadcast: BroadcastId, holder: &str) -> Vec<Notification> {
    let request = TakeNotifications { broadcast, holder: holder.to_owned() };
    world.ledger.take_notifications(&request).await.unwrap().notifications
}

async fn report<L: Backend>(
    world: &World<L>,
    broadcast: BroadcastId,
    holder: &str,
    posted: &[(&Notification, Posted)],
) {
    let report = |(told, posted): &(&Notification, Posted)| NotificationReport {
        key: told.key.clone(),
        url: told.url.clone(),
        posted: posted.clone(),
    };
    let reports = posted.iter().map(report).collect();
    let told = ReportNotifications { broadcast, holder: holder.to_owned(), reports };
    world.ledger.report_notifications(&told).await.unwrap();
}

async fn report_all<L: Backend>(world: &World<L>, id: BroadcastId, holder: &str, all: &[Notification], as_: &Posted) {
    let posted: Vec<_> = all.iter().map(|told| (told, as_.clone())).collect();
    report(world, id, holder, &posted).await;
}

/// Takes everything that is due, page by page, and has it taken by its endpoints.
async fn deliver<L: Backend>(world: &World<L>, broadcast: BroadcastId) -> Vec<Notification> {
    let mut delivered = Vec::new();
    loop {
        let page = take(world, broadcast, "courier").await;
        if page.is_empty() {
            return delivered;
        }
        report_all(world, broadcast, "courier", &page, &Posted::Taken).await;
        delivered.extend(page);
    }
}

fn refused() -> Posted {
    Posted::Failed { reason: "NotificationRefused".to_owned(), code: Some("503".to_owned()), retry_after_ms: None }
}

fn names(told: &[Notification]) -> Vec<String> {
    let mut names: Vec<String> = told
        .iter()
        .map(|one| format!("{} {} {}", one.key.endpoint, one.key.event.as_str(), one.key.occurrence))
        .collect();
    names.sort();
    names
}

/// Sends everybody.
async fn send_all<L: Backend>(world: &World<L>, broadcast: BroadcastId) {
    let mut sender = Sender::new(&format!("sender of {}", broadcast.0), broadcast);
    let mut outcomes = Vec::new();
    loop {
        let reply = sender.exchange(world, std::mem::take(&mut outcomes), 25).await;
        outcomes = reports(&reply.rows, &accepted());
        if outcomes.is_empty() && world.counts(broadcast).await.open() == 0 {
            return;
        }
        world.pass(Span::from_millis(250));
    }
}

pub async fn each_event_is_written_once_and_for_the_endpoints_that_want_it<L: Backend>(world: &World<L>) {
    let audit = endpoint("audit", &[NotificationEvent::BroadcastFinished]);
    let mut wanted = telling("one");
    wanted.notifications.push(audit);
    let broadcast = world.planned(&wanted, 20).await;
    assert_eq!(take(world, broadcast, "courier").await, [], "nothing has happened");
    send_all(world, broadcast).await;
    let told = deliver(world, broadcast).await;
    assert_eq!(
        names(&told),
        [
            "audit BroadcastFinished 1",
            "crm BatchCompleted 0",
            "crm BatchCompleted 1",
            "crm BroadcastFinished 1",
            "crm BroadcastStarted 1",
        ]
    );
    let of = |event| told.iter().find(|one| one.key.event == event && one.key.endpoint == "crm").unwrap();
    let finished = of(NotificationEvent::BroadcastFinished);
    assert_eq!(finished.reason.as_deref(), Some("Delivered"));
    assert_eq!(finished.counts, Counts { sent: 20, ..Counts::default() });
    assert_eq!((finished.url.as_str(), finished.secret.key.as_str()), ("https://hooks.example/crm", "secret"));
    assert_eq!(of(NotificationEvent::BatchCompleted).counts, Counts { sent: 10, ..Counts::default() });
    let started = of(NotificationEvent::BroadcastStarted);
    assert_eq!((started.counts.total(), started.counts.sent), (20, 0), "as it was when it happened");
    // The same wish again, and looks at it, tell nothing more.
    world.declare(&wanted).await;
    let snapshot = world.snapshot(broadcast).await;
    world.ledger.tell_standing(broadcast, &standing(&snapshot, None)).await.unwrap();
    assert_eq!(take(world, broadcast, "courier").await, []);
    let outbox = snapshot.outbox.unwrap();
    assert_eq!((outbox.pending, outbox.delivered, outbox.failed, outbox.last_error), (0, 5, 0, None));
    let totals = NotificationTotals { pending: 0, delivered: 5, failed: 0 };
    assert_eq!(world.ledger.notification_totals().await.unwrap(), totals);
}

pub async fn an_event_is_there_exactly_where_what_causes_it_is<L: Backend>(world: &World<L>) {
    for step in 0..40 {
        let broadcast = world.planned(&telling(&format!("one-{step}")), 1).await;
        let mut sender = Sender::new(&format!("sender-{step}"), broadcast);
        let rows = sender.take(world, 1).await;
        deliver(world, broadcast).await;
        let last = sender.request(reports(&rows, &accepted()), 0);
        exchange_given_up(world, &last, step).await;
        world.sums_hold().await;
        let is_finished = world.snapshot(broadcast).await.finished_at.is_some();
        let pending = world.snapshot(broadcast).await.outbox.unwrap().pending;
        assert_eq!(
            pending,
            if is_finished { 2 } else { 0 },
            "step {step}: the batch and the broadcast are complete, or not"
        );
        world.exchange(&last).await.unwrap();
        let both = ["crm BatchCompleted 0", "crm BroadcastFinished 1"];
        assert_eq!(names(&deliver(world, broadcast).await), both, "step {step}");
    }
}

pub async fn what_a_sender_has_taken_no_other_gets_before_its_lease_is_over<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 20).await;
    send_all(world, broadcast).await;
    let first = take(world, broadcast, "first").await;
    assert_eq!(first.len(), 4);
    assert_eq!(take(world, broadcast, "second").await, []);
    let snapshot = world.snapshot(broadcast).await;
    assert_eq!(snapshot.outbox.unwrap().due_at, Some(world.now() + NOTIFICATION_LEASE));
    assert_eq!(take(world, broadcast, "first").await, first, "the answer may have been lost");
    world.pass(NOTIFICATION_LEASE);
    let second = take(world, broadcast, "second").await;
    assert_eq!(names(&second), names(&first));
    report(world, broadcast, "first", &[(&first[0], refused()), (&first[1], Posted::Taken)]).await;
    let left = world.snapshot(broadcast).await.outbox.unwrap();
    assert_eq!((left.delivered, left.pending), (1, 3), "that it was taken is believed whoever says so");
    assert_eq!(left.last_error, None, "and that it was not, only of who has it");
    report_all(world, broadcast, "second", &second, &Posted::Taken).await;
    let totals = NotificationTotals { pending: 0, delivered: 4, failed: 0 };
    assert_eq!(world.ledger.notification_totals().await.unwrap(), totals, "each is counted once");
}

pub async fn when_no_sender_lives_what_was_taken_is_due_at_once<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 20).await;
    send_all(world, broadcast).await;
    let first = take(world, broadcast, "first").await;
    world.ledger.settle_all_senders_dead().await.unwrap();
    assert_eq!(names(&take(world, broadcast, "second").await), names(&first));
}

pub async fn what_is_not_taken_is_due_again_later_and_given_up_after_three_days<L: Backend>(world: &World<L>) {
    let wanted = Declaration {
        notifications: vec![endpoint("crm", &[NotificationEvent::BroadcastFinished])],
        ..declaration("one")
    };
    let broadcast = world.planned(&wanted, 1).await;
    send_all(world, broadcast).await;
    let happened = take(world, broadcast, "courier").await[0].happened_at;
    let mut tries = 0;
    loop {
        let page = take(world, broadcast, "courier").await;
        let [told] = page.as_slice() else { panic!("{page:?}") };
        report(world, broadcast, "courier", &[(told, refused())]).await;
        tries += 1;
        let outbox = world.snapshot(broadcast).await.outbox.unwrap();
        let error = outbox.last_error.unwrap();
        assert_eq!((error.endpoint.as_str(), error.reason.as_str()), ("crm", "NotificationRefused"));
        assert_eq!(error.code.as_deref(), Some("503"));
        let Some(due) = outbox.due_at else {
            assert_eq!((outbox.pending, outbox.failed), (0, 1));
            break;
        };
        assert!(due <= world.now() + LONGEST_BACKOFF);
        if due > world.now() {
            assert_eq!(take(world, broadcast, "courier").await, [], "not before its time");
        }
        world.pass((due - world.now()).max(Span(1)));
    }
    assert!(world.now() >= happened + GIVE_UP_AFTER);
    assert!((15..80).contains(&tries), "{tries} tries in three days");
    let totals = NotificationTotals { pending: 0, delivered: 0, failed: 1 };
    assert_eq!(world.ledger.notification_totals().await.unwrap(), totals);
}

pub async fn what_nobody_could_try_is_given_up_with_its_reason<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 20).await;
    send_all(world, broadcast).await;
    world.pass(FORGOTTEN_AFTER - Span::from_secs(60));
    world.maintain_all().await;
    let outbox = world.snapshot(broadcast).await.outbox.unwrap();
    assert!(outbox.due_at.is_some() && outbox.pending == 4, "{outbox:?}");
    world.pass(Span::from_secs(60));
    assert_eq!(world.snapshot(broadcast).await.outbox.unwrap().due_at, None, "no sender is started for it any more");
    world.maintain_all().await;
    let outbox = world.snapshot(broadcast).await.outbox.unwrap();
    assert_eq!((outbox.pending, outbox.failed), (0, 4));
    assert_eq!(outbox.last_error.unwrap().reason, NOTIFICATION_FORGOTTEN);
    let totals = NotificationTotals { pending: 0, delivered: 0, failed: 4 };
    assert_eq!(world.ledger.notification_totals().await.unwrap(), totals);
    assert_eq!(take(world, broadcast, "courier").await, []);
}

/// An event that ends each sender that posts it, so that none ever tells what became of it.
pub async fn senders_that_die_over_an_event_come_back_to_it_ever_later_and_not_for_ever<L: Backend>(world: &World<L>) {
    let wanted = Declaration {
        notifications: vec![endpoint("crm", &[NotificationEvent::BroadcastFinished])],
        ..declaration("one")
    };
    let broadcast = world.planned(&wanted, 1).await;
    send_all(world, broadcast).await;
    let mut taken = 0;
    while let Some(due) = world.snapshot(broadcast).await.outbox.unwrap().due_at {
        world.pass((due - world.now()).max(Span::ZERO));
        taken += take(world, broadcast, &format!("courier {taken}")).await.len();
        assert!(taken < 100, "{taken} times");
        world.maintain_all().await;
    }
    // Whoever has it last may tell yet.
    world.pass(NOTIFICATION_LEASE);
    world.maintain_all().await;
    let outbox = world.snapshot(broadcast).await.outbox.unwrap();
    assert_eq!((outbox.pending, outbox.failed), (0, 1));
    assert_eq!(outbox.last_error.unwrap().reason, NOTIFICATION_FORGOTTEN);
    assert!(taken > 10, "{taken} times");
}

pub async fn an_endpoint_may_ask_to_be_left_alone<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 1).await;
    send_all(world, broadcast).await;
    let page = take(world, broadcast, "courier").await;
    let wish = Posted::Failed {
        reason: "NotificationRefused".to_owned(),
        code: Some("429".to_owned()),
        retry_after_ms: Some(60_000),
    };
    report_all(world, broadcast, "courier", &page, &wish).await;
    assert_eq!(world.snapshot(broadcast).await.outbox.unwrap().due_at, Some(world.now() + Span::from_secs(60)));
}

pub async fn what_waits_for_an_endpoint_that_is_away_waits_together<L: Backend>(world: &World<L>) {
    let wanted = Declaration { batch_size: Some(1), ..telling("one") };
    let broadcast = world.planned(&wanted, 40).await;
    send_all(world, broadcast).await;
    let page = take(world, broadcast, "courier").await;
    assert_eq!(page.len(), MAX_NOTIFICATIONS_PAGE);
    report_all(world, broadcast, "courier", &page, &refused()).await;
    let due = world.snapshot(broadcast).await.outbox.unwrap().due_at.unwrap();
    if due > world.now() {
        assert_eq!(take(world, broadcast, "courier").await, [], "nor the others, which nobody has tried");
    }
    world.pass(Span::from_secs(60));
    let again = take(world, broadcast, "courier").await;
    assert_eq!(names(&again), names(&page), "those that were tried find out whether it is back");
    report_all(world, broadcast, "courier", &again, &Posted::Taken).await;
    assert_eq!(deliver(world, broadcast).await.len(), 42 - MAX_NOTIFICATIONS_PAGE);

    // One that is refused for itself holds up nobody.
    let other = world.planned(&Declaration { batch_size: Some(1), ..telling("two") }, 3).await;
    send_all(world, other).await;
    let page = take(world, other, "courier").await;
    let posted: Vec<_> =
        page.iter().map(|one| (one, if one.key.occurrence == 2 { refused() } else { Posted::Taken })).collect();
    report(world, other, "courier", &posted).await;
    let outbox = world.snapshot(other).await.outbox.unwrap();
    assert_eq!((outbox.pending, outbox.delivered), (1, 4));
}

pub async fn an_endpoint_that_is_gone_is_told_nothing_until_it_is_another<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 20).await;
    let mut sender = Sender::new("sender", broadcast);
    let rows = sender.take(world, 1).await;
    let page = take(world, broadcast, "courier").await;
    assert_eq!(names(&page), ["crm BroadcastStarted 1"]);
    sender.tell(world, reports(&rows, &accepted())).await;
    report_all(world, broadcast, "courier", &page, &Posted::Gone).await;
    let outbox = world.snapshot(broadcast).await.outbox.unwrap();
    assert_eq!((outbox.pending, outbox.failed), (0, 1));
    assert_eq!(outbox.last_error.unwrap().reason, ENDPOINT_GONE);
    let paused = Declaration { suspended: true, generation: 2, ..telling("one") };
    world.declare(&paused).await;
    assert_eq!(take(world, broadcast, "courier").await, []);
    let mut moved = Declaration { generation: 3, ..telling("one") };
    moved.notifications[0].url = "https://hooks.example/new".to_owned();
    world.declare(&moved).await;
    world.declare(&Declaration { suspended: true, generation: 4, ..moved.clone() }).await;
    let told = deliver(world, broadcast).await;
    assert_eq!(names(&told), ["crm BroadcastSuspended 2"]);
    assert_eq!(told[0].url, "https://hooks.example/new");
}

pub async fn gone_of_an_older_url_ends_nothing<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 1).await;
    send_all(world, broadcast).await;
    let page = take(world, broadcast, "courier").await;
    let mut moved = Declaration { generation: 2, ..telling("one") };
    moved.notifications[0].url = "https://hooks.example/new".to_owned();
    world.declare(&moved).await;
    report_all(world, broadcast, "courier", &page, &Posted::Gone).await;
    world.pass(Span::from_secs(60));
    assert_eq!(deliver(world, broadcast).await.len(), page.len());
}

pub async fn an_edited_endpoint_gets_what_waits_at_once_and_a_removed_one_nothing<L: Backend>(world: &World<L>) {
    let mut wanted = telling("one");
    wanted.notifications.push(endpoint("audit", &NotificationEvent::ALL));
    let broadcast = world.planned(&wanted, 1).await;
    send_all(world, broadcast).await;
    for _ in 0..12 {
        let page = take(world, broadcast, "courier").await;
        report_all(world, broadcast, "courier", &page, &refused()).await;
        let due = world.snapshot(broadcast).await.outbox.unwrap().due_at.unwrap();
        world.pass((due - world.now()).max(Span(1)));
    }
    let page = take(world, broadcast, "courier").await;
    report_all(world, broadcast, "courier", &page, &refused()).await;
    let mut edited = Declaration { generation: 2, notifications: wanted.notifications[..1].to_vec(), ..wanted.clone() };
    edited.notifications[0].url = "https://hooks.example/new".to_owned();
    edited.notifications[0].events = vec![NotificationEvent::BroadcastStarted, NotificationEvent::BroadcastFinished];
    world.declare(&edited).await;
    let told = deliver(world, broadcast).await;
    assert_eq!(names(&told), ["crm BroadcastFinished 1", "crm BroadcastStarted 1"]);
    assert!(told.iter().all(|one| one.url == "https://hooks.example/new"));
    world.declare(&Declaration { generation: 3, notifications: Vec::new(), ..edited }).await;
    assert_eq!(world.snapshot(broadcast).await.outbox, None);
    let request = TakeNotifications { broadcast, holder: "courier".to_owned() };
    assert_eq!(world.ledger.take_notifications(&request).await.unwrap().next_at, None);
}

pub async fn what_happened_before_anybody_was_to_be_told_is_not_told<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 9).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    world.declare(&Declaration { generation: 2, ..telling("one") }).await;
    assert_eq!(take(world, broadcast, "courier").await, [], "neither the start nor the first batch");
    world.pass(Span::from_secs(1));
    let rows = sender.take(world, 10).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    assert_eq!(names(&deliver(world, broadcast).await), ["crm BatchCompleted 1", "crm BroadcastFinished 1"]);
}

pub async fn each_pause_and_each_hold_is_told_once<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    deliver(world, broadcast).await;
    for (generation, suspended) in [(2, true), (3, true), (4, false), (5, true), (6, false)] {
        world.declare(&Declaration { suspended, generation, ..telling("one") }).await;
    }
    let told = deliver(world, broadcast).await;
    assert_eq!(names(&told), ["crm BroadcastSuspended 1", "crm BroadcastSuspended 2"]);
    assert!(told.iter().all(|one| one.reason.as_deref() == Some("Suspended")));
    world.pass(Span::from_secs(1));
    let rows = sender.take(world, 2).await;
    sender.tell(world, reports(&rows, &blocked())).await;
    let told = deliver(world, broadcast).await;
    assert_eq!(names(&told), ["crm BroadcastStalled 1", "crm BroadcastSuspended 3"]);
    for one in &told {
        assert_eq!((one.reason.as_deref(), one.message.as_deref()), (Some("ProviderBlocked"), Some("Spam: words")));
    }
}

pub async fn credentials_that_are_refused_again_and_again_are_told_once<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 20).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    deliver(world, broadcast).await;
    for probe in 0..3 {
        world.pass(Span::from_secs(1));
        world.ledger.lift_credential_stop(broadcast).await.unwrap();
        let rows = sender.take(world, 1).await;
        sender.tell(world, reports(&rows, &auth())).await;
        let told = names(&deliver(world, broadcast).await);
        let expected = ["crm BroadcastStalled 1", "crm BroadcastSuspended 1"];
        assert_eq!(told, if probe == 0 { &expected[..] } else { &[] }, "probe {probe}");
    }
    // Somebody who sees the whole sees that it is over.
    world.ledger.lift_credential_stop(broadcast).await.unwrap();
    let snapshot = world.snapshot(broadcast).await;
    world.ledger.tell_standing(broadcast, &standing(&snapshot, None)).await.unwrap();
    world.pass(Span::from_secs(1));
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &auth())).await;
    assert_eq!(names(&deliver(world, broadcast).await), ["crm BroadcastStalled 2", "crm BroadcastSuspended 2"]);
}

pub async fn a_standing_that_several_see_is_told_once<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&telling("one")).await.id;
    let stalled = Standing {
        started: false,
        suspended: Sight::IsNot,
        stalled: Sight::Is(Cause::new("SenderNotStarting", "no image")),
        finished: Sight::IsNot,
    };
    let (one, other) =
        tokio::join!(world.ledger.tell_standing(broadcast, &stalled), world.ledger.tell_standing(broadcast, &stalled));
    one.and(other).unwrap();
    assert!(!world.snapshot(broadcast).await.outbox.unwrap().told.differs(&stalled));
    let told = deliver(world, broadcast).await;
    assert_eq!(names(&told), ["crm BroadcastStalled 1"]);
    assert_eq!((told[0].reason.as_deref(), told[0].message.as_deref()), (Some("SenderNotStarting"), Some("no image")));
    let unknown = world.ledger.tell_standing(BroadcastId(1), &stalled).await;
    assert!(matches!(unknown, Err(LedgerError::UnknownBroadcast)), "{unknown:?}");
}

pub async fn what_keeps_senders_from_working_is_told_with_their_report<L: Backend>(world: &World<L>) {
    let broadcast = world.declare(&telling("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    let trouble = Trouble::new("SecretNotFound", "there is no Secret");
    for _ in 0..2 {
        world.ledger.report_trouble(ticket, &trouble).await.unwrap();
    }
    let overtaken = PlanTicket { epoch: ticket.epoch - 1, ..ticket };
    world.ledger.report_trouble(overtaken, &Trouble::new("KeyNotFound", "")).await.unwrap();
    let told = deliver(world, broadcast).await;
    assert_eq!(names(&told), ["crm BroadcastStalled 1"]);
    assert_eq!(told[0].message.as_deref(), Some("there is no Secret"));
}

pub async fn every_end_is_told_with_its_reason<L: Backend>(world: &World<L>) {
    let reason = |told: &[Notification]| {
        let finished: Vec<_> =
            told.iter().filter(|one| one.key.event == NotificationEvent::BroadcastFinished).collect();
        assert_eq!(finished.len(), 1, "{told:?}");
        finished[0].reason.clone().unwrap()
    };
    let unplanned = world.declare(&Declaration { cancelled: true, ..telling("unplanned") }).await.id;
    assert_eq!(reason(&deliver(world, unplanned).await), "Cancelled");

    let cancelled = world.planned(&telling("cancelled"), 20).await;
    world.declare(&Declaration { cancelled: true, generation: 2, ..telling("cancelled") }).await;
    world.maintain_all().await;
    let told = deliver(world, cancelled).await;
    assert_eq!(reason(&told), "Cancelled");
    assert_eq!(names(&told).len(), 3, "and both batches");

    let expiring = Declaration { end_at: Some(world.now() + Span::from_secs(5)), ..telling("expired") };
    let expired = world.planned(&expiring, 20).await;
    let soon = world.now() + Span::from_secs(5);
    let missing = Declaration { start_at: Some(soon), start_by: Some(soon), ..telling("missed") };
    let missed = world.planned(&missing, 20).await;
    world.pass(Span::from_secs(10));
    world.maintain_all().await;
    assert_eq!(reason(&deliver(world, expired).await), "Expired");
    assert_eq!(reason(&deliver(world, missed).await), "Missed");

    let failing = world.planned(&telling("failing"), 1).await;
    let mut sender = Sender::new("failing", failing);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &permanent())).await;
    assert_eq!(reason(&deliver(world, failing).await), "DeliveredWithFailures");
    let empty = world.planned(&telling("empty"), 0).await;
    assert_eq!(reason(&deliver(world, empty).await), "Delivered");
}

pub async fn an_end_without_a_plan_is_told_once_however_often_senders_ask<L: Backend>(world: &World<L>) {
    let ends = world.now() + Span::from_secs(5);
    let expired = world.declare(&Declaration { end_at: Some(ends), ..telling("expired") }).await.id;
    let cancelled = world.declare(&Declaration { cancelled: true, ..telling("cancelled") }).await.id;
    let failed = world.declare(&telling("failed")).await.id;
    world.pass(LEASE);
    for _ in 0..MAX_DEAD_PLANNERS {
        world.ledger.begin_plan(failed).await.unwrap();
        world.pass(LEASE);
    }
    assert!(world.ledger.begin_plan(failed).await.is_err());
    for (broadcast, reason) in [(expired, "Expired"), (cancelled, "Cancelled"), (failed, "Failed")] {
        let mut sender = Sender::new(reason, broadcast);
        let mut told = Vec::new();
        for _ in 0..3 {
            let seen = standing(&world.snapshot(broadcast).await, None);
            world.ledger.tell_standing(broadcast, &seen).await.unwrap();
            told.extend(deliver(world, broadcast).await);
            sender.exchange(world, Vec::new(), 1).await;
        }
        let finished = |one: &&Notification| one.key.event == NotificationEvent::BroadcastFinished;
        let reasons: Vec<_> = told.iter().filter(finished).map(|one| one.reason.as_deref()).collect();
        assert_eq!(reasons, [Some(reason)]);
    }
}

pub async fn a_reply_says_that_events_wait_and_nobody_is_at_them<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 20).await;
    let mut sender = Sender::new("sender", broadcast);
    let reply = sender.exchange(world, Vec::new(), 1).await;
    assert!(reply.notifications, "it has begun with this exchange");
    let page = take(world, broadcast, "courier").await;
    let reply = sender.exchange(world, reports(&reply.rows, &accepted()), 0).await;
    assert!(!reply.notifications, "somebody is at it");
    report_all(world, broadcast, "courier", &page, &refused()).await;
    world.pass(Span::from_secs(60));
    assert!(sender.exchange(world, Vec::new(), 0).await.notifications, "it is due again");
    deliver(world, broadcast).await;
    assert!(!sender.exchange(world, Vec::new(), 0).await.notifications);
    let silent = world.planned(&declaration("silent"), 1).await;
    assert!(!Sender::new("other", silent).exchange(world, Vec::new(), 1).await.notifications);
}

pub async fn events_are_due_in_time_after_the_clock_was_set_back<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 1).await;
    send_all(world, broadcast).await;
    world.pass(Span::from_secs(24 * 3_600));
    let page = take(world, broadcast, "one").await;
    report(world, broadcast, "one", &[(&page[0], refused())]).await;
    world.pass(Span::from_secs(-12 * 3_600));
    // Neither the wait of the one nor the lease of the others is waited for on the old time.
    assert_eq!(take(world, broadcast, "other").await.len(), page.len());
}

pub async fn a_report_of_too_many_is_refused<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&telling("one"), 1).await;
    send_all(world, broadcast).await;
    let told = take(world, broadcast, "courier").await.remove(0);
    let one = NotificationReport { key: told.key, url: told.url, posted: Posted::Taken };
    let reports = vec![one; MAX_NOTIFICATIONS_PAGE + 1];
    let many = ReportNotifications { broadcast, holder: "courier".to_owned(), reports };
    let refused = world.ledger.report_notifications(&many).await;
    assert!(matches!(refused, Err(LedgerError::RequestTooLarge { limit: MAX_NOTIFICATIONS_PAGE })), "{refused:?}");
    assert_eq!(world.snapshot(broadcast).await.outbox.unwrap().delivered, 0);
}
