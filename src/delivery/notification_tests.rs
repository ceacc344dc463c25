use super::*;

fn standing() -> Standing {
    Standing { started: true, suspended: Sight::IsNot, stalled: Sight::IsNot, finished: Sight::IsNot }
}

fn is(reason: &str) -> Sight {
    Sight::Is(Cause::new(reason, "words"))
}

fn events(occasions: &[Occasion]) -> Vec<(&'static str, i64)> {
    occasions.iter().map(|occasion| (occasion.event.as_str(), occasion.occurrence)).collect()
}

#[test]
fn each_change_is_told_once_and_again_after_it_was_over() {
    let mut told = Told::default();
    assert_eq!(events(&told.step(&standing())), [("BroadcastStarted", 1)]);
    let paused = Standing { suspended: is("Suspended"), ..standing() };
    for expected in [vec![("BroadcastSuspended", 1)], vec![]] {
        assert_eq!(told.differs(&paused), !expected.is_empty());
        assert_eq!(events(&told.step(&paused)), expected);
    }
    assert_eq!(told.step(&standing()), []);
    assert_eq!(events(&told.step(&paused)), [("BroadcastSuspended", 2)]);
    let held = Standing { suspended: is("ProviderBlocked"), stalled: is("ProviderBlocked"), ..standing() };
    assert_eq!(events(&told.step(&held)), [("BroadcastSuspended", 3), ("BroadcastStalled", 1)], "another reason");
}

#[test]
fn what_is_not_seen_leaves_what_was_told() {
    let mut told = Told::default();
    let stalled = Standing { stalled: is("SenderNotStarting"), ..standing() };
    told.step(&stalled);
    let blind = Standing { suspended: Sight::Unseen, stalled: Sight::Unseen, ..standing() };
    assert!(!told.differs(&blind));
    assert_eq!(told.step(&blind), []);
    assert_eq!(told.step(&stalled), [], "it was told already");
}

#[test]
fn an_end_is_told_once_whatever_late_answers_make_of_it() {
    let mut told = Told::default();
    let end = |reason| Standing { finished: is(reason), ..standing() };
    assert_eq!(events(&told.step(&end("DeliveredWithFailures"))), [("BroadcastStarted", 1), ("BroadcastFinished", 1)]);
    assert!(!told.differs(&end("Delivered")));
    assert_eq!(told.step(&end("Delivered")), []);
    told.step(&standing());
    assert_eq!(events(&told.step(&end("Delivered"))), [("BroadcastFinished", 2)], "it went on, and ended again");
}

#[test]
fn whoever_pauses_for_ever_is_told_no_more() {
    let mut told = Told::default();
    let paused = Standing { suspended: is("Suspended"), ..standing() };
    let mut count = 0;
    for _ in 0..2 * MAX_OCCURRENCES {
        count += told.step(&paused).iter().filter(|one| one.event == NotificationEvent::BroadcastSuspended).count();
        told.step(&standing());
    }
    assert_eq!(count, MAX_OCCURRENCES as usize);
    told.step(&paused);
    assert!(!told.differs(&paused), "nobody asks the ledger again and again");
}

#[test]
fn a_transaction_sees_that_a_hold_begins_and_not_that_it_is_over() {
    let blocked = Standing::in_transaction(true, Some(Closed::ProviderBlocked), "spam", None);
    assert_eq!(
        (&blocked.suspended, &blocked.stalled),
        (&blocked.stalled, &Sight::Is(Cause::new("ProviderBlocked", "spam")))
    );
    let paused = Standing::in_transaction(true, Some(Closed::Suspended), "words of earlier", None);
    assert_eq!((paused.suspended, paused.stalled), (Sight::Is(Cause::new("Suspended", "")), Sight::Unseen));
    let open = Standing::in_transaction(true, None, "", Some("Delivered"));
    assert_eq!((open.suspended, open.finished), (Sight::Unseen, Sight::Is(Cause::new("Delivered", ""))));
    let scheduled = Standing::in_transaction(false, Some(Closed::Scheduled), "", None);
    assert_eq!((scheduled.suspended, scheduled.finished), (Sight::Unseen, Sight::IsNot));
}

#[test]
fn waits_grow_to_hours_and_an_event_is_tried_for_three_days() {
    let longest = |earlier| (0..2_000).map(|seed| wait(earlier, seed)).max().unwrap();
    assert!(longest(0) <= FIRST_BACKOFF && longest(0) > Span(FIRST_BACKOFF.0 * 9 / 10));
    assert!(longest(60) <= LONGEST_BACKOFF && longest(60) > Span(LONGEST_BACKOFF.0 * 9 / 10));
    let happened = Timestamp::from_secs(1_000);
    assert!(!is_given_up(happened, happened + GIVE_UP_AFTER - Span(1)));
    assert!(is_given_up(happened, happened + GIVE_UP_AFTER));
}

#[test]
fn a_gone_endpoint_is_forgotten_once_it_is_named_no_more() {
    let mut told = Told::default();
    told.end_endpoint("crm", "old");
    told.end_endpoint("crm", "old");
    assert!(told.is_gone("crm", "old") && !told.is_gone("crm", "new"));
    told.keep_endpoints(|name, url| (name, url) == ("crm", "new"));
    assert_eq!(told, Told::default());
}
