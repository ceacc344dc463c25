//! What becomes of recipients by what is reported of them, or by silence.

use herald::delivery::backoff::RetryPolicy;
use herald::delivery::outcome::{Fault, Outcome, PermanentScope};
use herald::delivery::recipient::RecipientState::{Failed, Inflight, Pending, Sent, Unknown};
use herald::delivery::recipient::SkipReason;
use herald::delivery::time::Span;
use herald::ledger::Declaration;
use herald::ledger::exchange::{CONNECT_TIMEOUT, DEADLINE_GRACE, LEASE, Report};
use herald::ledger::snapshot::{MAX_CAUSES, MAX_REASONS};
use herald::ledger::status::{self, End};

use super::world::*;

/// One of many who fail by causes of their own.
fn failed_by(seq: i64) -> Outcome {
    failed_with(&seq.to_string())
}

pub async fn how_it_ended_does_not_go_by_the_causes_that_are_shown<L: Backend>(world: &World<L>) {
    const PEOPLE: usize = 2 * MAX_REASONS as usize + 3;
    let broadcast = world.planned(&declaration("one"), PEOPLE).await;
    let account = declaration("one").account;
    world.ledger.opt_out(&account, &[person(PEOPLE - 1).recipient], "asked us to stop").await.unwrap();
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    while world.snapshot(broadcast).await.finished_at.is_none() {
        let rows = sender.take(world, 5).await;
        // Each cause but the skipped one's twice, so that it is the last of them.
        let told = rows.iter().map(|row| report(row, &failed_by(row.seq / 2))).collect();
        sender.tell(world, told).await;
        world.pass(INTERVAL * 5);
    }
    let ended = world.snapshot(broadcast).await;
    assert_eq!(ended.outcomes.len(), MAX_REASONS as usize);
    assert!(ended.outcomes.iter().all(|row| row.reason == "Refused"), "the rare cause is not among them");
    assert_eq!(ended.skipped, [(SkipReason::OptedOut, 1)]);
    assert_eq!(status::end(&ended), Some(End::DeliveredWithFailures));
}

pub async fn each_outcome_leads_where_the_table_says<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let cases = [
        (accepted(), Sent),
        (permanent(), Failed),
        (transient(), Pending),
        (not_sent(), Pending),
        (recipient_throttled(Span::from_secs(60)), Pending),
        (unknown(), Unknown),
    ];
    let rows = sender.take(world, cases.len() as u32).await;
    let told = rows.iter().zip(&cases).map(|(row, (outcome, _))| report(row, outcome)).collect();
    sender.tell(world, told).await;
    for (row, (outcome, state)) in rows.iter().zip(cases) {
        assert_eq!(world.state(broadcast, row.seq).await, state, "{outcome:?}");
    }
    assert_eq!(world.tally(broadcast, Failed, "NoSuchUser").await, 1);
    assert_eq!(world.tally(broadcast, Unknown, "Timeout").await, 1);
}

fn failed_with(code: &str) -> Outcome {
    let fault = Fault::new("Refused", Some(code.to_owned()), "words");
    Outcome::Permanent { scope: PermanentScope::Recipient, fault }
}

fn unknown_with(code: &str) -> Outcome {
    Outcome::Unknown { fault: Fault::new("Unclear", Some(code.to_owned()), "words") }
}

pub async fn causes_are_counted_by_the_providers_code_and_a_late_answer_takes_its_own_away<L: Backend>(
    world: &World<L>,
) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 6).await;
    let outcomes =
        [failed_with("551"), failed_with("10/7"), failed_with("551"), unknown_with("1"), unknown_with("2"), unknown()];
    sender.tell(world, rows.iter().zip(&outcomes).map(|(row, outcome)| report(row, outcome)).collect()).await;
    let counted = async || {
        let outcomes = world.snapshot(broadcast).await.outcomes;
        outcomes.into_iter().map(|one| (one.reason, one.code.unwrap_or_default(), one.count)).collect::<Vec<_>>()
    };
    let of = |reason: &str, code: &str, count| (reason.to_owned(), code.to_owned(), count);
    let failed = [of("Refused", "551", 2), of("Refused", "10/7", 1)];
    let unclear = [of("Timeout", "", 1), of("Unclear", "1", 1), of("Unclear", "2", 1)];
    assert_eq!(counted().await, [&failed[..], &unclear].concat());
    sender.tell(world, vec![report(&rows[3], &accepted()), report(&rows[5], &failed_with("551"))]).await;
    assert_eq!(counted().await, [of("Refused", "551", 3), of("Refused", "10/7", 1), of("Unclear", "2", 1)]);
}

pub async fn a_provider_that_makes_codes_up_is_counted_by_reason_beyond_the_first_hundred<L: Backend>(
    world: &World<L>,
) {
    let people = MAX_CAUSES + 50;
    let wide = Declaration { batch_size: Some(1_000), ..declaration("one") };
    let broadcast = world.planned(&wide, people as usize).await;
    let mut sender = Sender::new("sender", broadcast);
    // Of the last three nobody knows.
    let outcome = |seq: i64| match seq < people - 3 {
        true => failed_with(&seq.to_string()),
        false => unknown_with(&seq.to_string()),
    };
    let (mut told, mut last) = (Vec::new(), Vec::new());
    while world.counts(broadcast).await.open() > 0 {
        let rows = world.exchange(&sender.request(std::mem::take(&mut told), 25)).await.unwrap().rows;
        told = rows.iter().map(|row| report(row, &outcome(row.seq))).collect();
        last = if rows.is_empty() { last } else { rows };
        world.pass(INTERVAL * 25);
    }
    let by_reason = async || {
        let outcomes = world.snapshot(broadcast).await.outcomes;
        outcomes.iter().filter(|one| one.code.is_none()).map(|one| one.count).sum::<i64>()
    };
    let beyond = by_reason().await;
    // An exchange may bring several new ones at once.
    assert!((25..=50).contains(&beyond), "{beyond} beyond the first hundred");
    sender.tell(world, reports(&last[last.len() - 1..], &accepted())).await;
    assert_eq!(by_reason().await, beyond - 1, "what was counted by its reason is taken from there");
}

pub async fn totals_count_everybody_of_all_broadcasts<L: Backend>(world: &World<L>) {
    for key in ["one", "two"] {
        let broadcast = world.planned(&declaration(key), 10).await;
        let mut sender = Sender::proven(world, &format!("sender-{key}"), broadcast).await;
        let rows = sender.take(world, 3).await;
        sender.tell(world, vec![report(&rows[0], &permanent()), report(&rows[1], &unknown())]).await;
    }
    let totals = world.ledger.totals().await.unwrap();
    let of = |state, reason: &str| {
        let found = totals.iter().find(|total| total.state == state && total.reason == reason);
        found.map_or(0, |total| total.count)
    };
    assert_eq!((of(Pending, ""), of(Inflight, ""), of(Sent, "")), (12, 2, 2));
    assert_eq!((of(Failed, "NoSuchUser"), of(Unknown, "Timeout")), (2, 2));
}

pub async fn an_outcome_told_twice_changes_nothing_the_second_time<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 2).await;
    let twice = [reports(&rows, &permanent()), reports(&rows, &permanent())].concat();
    sender.tell(world, twice).await;
    let (counts, seen) = (world.counts(broadcast).await, world.ledger.everybody(broadcast).await);
    assert_eq!(counts.failed, 2);
    sender.tell(world, reports(&rows, &permanent())).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    sender.tell(world, reports(&rows, &Outcome::NotBegun)).await;
    sender.tell(world, reports(&rows, &unknown())).await;
    assert_eq!(world.counts(broadcast).await, counts);
    assert_eq!(world.ledger.everybody(broadcast).await, seen);
    assert_eq!(world.tally(broadcast, Failed, "NoSuchUser").await, 2);
}

pub async fn an_outcome_of_an_older_attempt_changes_nothing<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let old = sender.take(world, 1).await;
    let new = sender.exchange(world, reports(&old, &Outcome::NotBegun), 1).await.rows;
    assert_eq!(new[0].attempt, old[0].attempt + 1);
    for outcome in [Outcome::NotBegun, accepted(), permanent(), transient(), unknown()] {
        sender.tell(world, reports(&old, &outcome)).await;
        assert_eq!(world.state(broadcast, old[0].seq).await, Inflight, "{outcome:?}");
    }
    let never_given = Report { attempt: new[0].attempt + 1, ..report(&new[0], &accepted()) };
    sender.tell(world, vec![never_given]).await;
    assert_eq!(world.state(broadcast, old[0].seq).await, Inflight);
    sender.tell(world, reports(&new, &accepted())).await;
    assert_eq!(world.state(broadcast, old[0].seq).await, Sent);
}

pub async fn an_outcome_for_nobody_of_the_plan_changes_nothing<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2).await;
    let mut sender = Sender::new("sender", broadcast);
    let stray = |seq| Report::new(seq, 1, accepted());
    sender.tell(world, vec![stray(0), stray(2), stray(-1), stray(i64::MAX)]).await;
    assert_eq!(world.counts(broadcast).await.pending, 2);
}

pub async fn silence_becomes_unknown_after_deadline_and_grace_and_not_before<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let row = sender.take(world, 1).await.remove(0);
    let deadline = row.start_by + CONNECT_TIMEOUT + declaration("one").request_timeout;
    world.pass(deadline + DEADLINE_GRACE - world.now() - Span(1));
    world.maintain().await;
    assert_eq!(world.state(broadcast, row.seq).await, Inflight);
    world.pass(Span(1));
    world.maintain().await;
    assert_eq!(world.state(broadcast, row.seq).await, Unknown);
    assert_eq!(world.tally(broadcast, Unknown, "SenderLost").await, 1);
}

pub async fn nothing_is_concluded_from_silence_within_one_lease_of_opening<L: Backend>(world: &World<L>) {
    let short = Declaration { request_timeout: Span::from_secs(1), ..declaration("one") };
    let broadcast = world.planned(&short, 10).await;
    let row = Sender::new("sender", broadcast).take(world, 1).await.remove(0);
    world.pass(LEASE - Span(1));
    assert!(row.start_by + CONNECT_TIMEOUT + short.request_timeout + DEADLINE_GRACE < world.now());
    world.maintain().await;
    assert_eq!(world.state(broadcast, row.seq).await, Inflight);
    world.pass(Span(1));
    world.maintain().await;
    assert_eq!(world.state(broadcast, row.seq).await, Unknown);
}

pub async fn a_late_definite_answer_resolves_unknown<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 5).await;
    world.pass(Span::from_secs(60));
    world.maintain().await;
    assert_eq!(world.counts(broadcast).await.unknown, 5);

    let cases = [
        (accepted(), Sent),
        (permanent(), Failed),
        (transient(), Pending),
        (Outcome::NotBegun, Pending),
        (unknown(), Unknown),
    ];
    let told = rows.iter().zip(&cases).map(|(row, (outcome, _))| report(row, outcome)).collect();
    sender.tell(world, told).await;
    for (row, (outcome, state)) in rows.iter().zip(cases) {
        assert_eq!(world.state(broadcast, row.seq).await, state, "{outcome:?}");
    }
    let why = [world.tally(broadcast, Unknown, "SenderLost").await, world.tally(broadcast, Unknown, "Timeout").await];
    assert_eq!(why, [0, 1], "the reasons follow, and what was seen stands above what was concluded");
}

pub async fn unknown_holds_and_is_never_tried_again_by_itself<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2).await;
    let mut sender = Sender::new("sender", broadcast);
    let row = sender.take(world, 1).await;
    let row = [row, sender.exchange(world, vec![], 0).await.rows].concat();
    let rest = sender.exchange(world, reports(&row, &unknown()), 5).await.rows;
    sender.tell(world, reports(&rest, &accepted())).await;
    assert!(world.snapshot(broadcast).await.finished_at.is_some());
    for _ in 0..10 {
        world.pass(Span::from_secs(600));
        world.maintain_all().await;
        assert_eq!(Sender::new(&format!("at {:?}", world.now()), broadcast).take(world, 5).await, []);
    }
    assert_eq!(world.state(broadcast, 0).await, Unknown);
    assert_eq!(world.row(broadcast, 0).await.attempt, 1);
}

pub async fn an_answer_is_recorded_whoever_brings_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 10).await;
    let rows = Sender::new("sender", broadcast).take(world, 1).await;
    Sender::new("messenger", broadcast).tell(world, reports(&rows, &accepted())).await;
    assert_eq!(world.state(broadcast, rows[0].seq).await, Sent);
}

pub async fn a_transient_failure_waits_and_the_fifth_ends_it<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    for attempt in 1..=5 {
        let rows = sender.take(world, 1).await;
        assert_eq!(rows[0].attempt, attempt);
        sender.tell(world, reports(&rows, &transient())).await;
        world.pass(Span::from_secs(900));
    }
    assert_eq!(world.state(broadcast, 0).await, Failed);
    assert_eq!(world.tally(broadcast, Failed, "RetriesExhausted").await, 1);
    assert_eq!(world.snapshot(broadcast).await.retries, 4);
    assert_eq!(sender.take(world, 1).await, []);
}

pub async fn a_broadcast_says_how_often_and_how_late_it_tries_again<L: Backend>(world: &World<L>) {
    let soon = Span::from_millis(1);
    let retry = RetryPolicy { max_tries: 2, initial_backoff: soon, max_backoff: soon, ..RetryPolicy::default() };
    let broadcast = world.planned(&Declaration { retry, ..declaration("one") }, 2).await;
    let mut sender = Sender::new("sender", broadcast);
    for _ in 1..=2 {
        let rows = sender.take(world, 1).await;
        assert_eq!(rows[0].seq, 0, "the first is due again at once");
        sender.tell(world, reports(&rows, &transient())).await;
        world.pass(Span::from_millis(1));
    }
    assert_eq!(world.state(broadcast, 0).await, Failed);
    let once = RetryPolicy { max_tries: 1, ..retry };
    world.declare(&Declaration { retry: once, generation: 2, ..declaration("one") }).await;
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &transient())).await;
    assert_eq!(world.tally(broadcast, Failed, "RetriesExhausted").await, 2, "the change counts from the next outcome");
}

pub async fn a_recipient_put_off_is_not_taken_before_its_time<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    let rows = sender.take(world, 1).await;
    sender.tell(world, reports(&rows, &recipient_throttled(Span::from_secs(60)))).await;
    world.pass(Span::from_secs(59));
    assert_eq!(sender.take(world, 1).await, []);
    world.pass(Span::from_secs(1));
    assert_eq!(sender.take(world, 1).await.len(), 1);
}

pub async fn what_costs_no_try_never_fails_anybody<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 1).await;
    let mut sender = Sender::new("sender", broadcast);
    for round in 0..20 {
        let rows = sender.take(world, 1).await;
        assert_eq!(rows.len(), 1, "round {round}");
        let outcome = if round % 2 == 0 { not_sent() } else { account_throttled(None) };
        sender.tell(world, reports(&rows, &outcome)).await;
        world.pass(Span::from_secs(1_000));
    }
    assert_eq!(world.state(broadcast, 0).await, Pending);
}

pub async fn a_broadcast_is_finished_when_nobody_is_open_and_only_then<L: Backend>(world: &World<L>) {
    let broadcast = world.planned(&declaration("one"), 2).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 5).await;
    assert_eq!(world.snapshot(broadcast).await.finished_at, None);
    sender.tell(world, reports(&rows, &unknown())).await;
    assert_eq!(world.snapshot(broadcast).await.finished_at, Some(world.now()));
    assert_eq!(world.batch(broadcast, 0).await.completed_at, Some(world.now()));
    world.pass(Span::from_secs(1));
    sender.tell(world, reports(&rows, &not_sent())).await;
    let reopened = world.snapshot(broadcast).await;
    assert_eq!((reopened.finished_at, reopened.batches_complete), (None, 0), "a late answer gave it work again");
    world.pass(Span::from_secs(900));
    let rows = sender.take(world, 5).await;
    sender.tell(world, reports(&rows, &accepted())).await;
    assert_eq!(world.counts(broadcast).await.sent, 2);
    assert_eq!(world.snapshot(broadcast).await.batches_complete, 1);
}
