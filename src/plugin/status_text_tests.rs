use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "words of the\u{1b}[31m provider",
        "lastTransitionTime": "2026-01-01T00:59:00Z"})
}

fn broadcast(status: Value) -> BroadcastMessage {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": "spring", "namespace": "marketing", "generation": 2},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
        "status": status,
    }))
    .unwrap()
}

fn batch(index: u32, state: &str, error: Value) -> MessageBatch {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageBatch", "metadata": {"name": format!("spring-{index:05}")},
        "spec": {"broadcastRef": {"name": "spring"}, "index": index, "firstRecipient": 0, "recipientCount": 500},
        "status": {"state": state, "lastError": error, "retries": 3,
            "recipients": {"pending": 200, "sent": 300, "failed": 0, "skipped": 0, "unknown": 0}},
    }))
    .unwrap()
}

fn sending() -> Value {
    json!({
        "observedGeneration": 2, "state": "Sending", "progressPercent": 52, "ratePerMinute": 1194,
        "recentPace": {"beginTime": "2026-01-01T00:58:55Z", "spanSeconds": 10, "sent": [100, 190, 200, 199, 200, 199, 200]},
        "requests": 1301, "latency": {"p50Milliseconds": 48, "p95Milliseconds": 90, "p99Milliseconds": 120},
        "recipients": {"planned": 2500, "pending": 1200, "sent": 1288, "failed": 8, "skipped": 2, "unknown": 2},
        "firstAttemptTime": "2026-01-01T00:58:55Z", "estimatedCompletionTime": "2026-01-01T01:01:05Z",
        "reasons": [{"outcome": "Failed", "reason": "NoSuchUser", "code": "551", "count": 8}],
        "conditions": [condition("Ready", "True", "Sending"), condition("Finished", "False", "Sending")],
    })
}

#[test]
fn a_broadcast_that_is_sent_shows_counts_rate_end_reasons_and_who_is_at_work() {
    let error = json!({"reason": "Transient", "code": "2", "message": "try later", "time": "2026-01-01T00:59:30Z"});
    let batches = vec![
        batch(0, "Complete", json!(null)),
        batch(1, "Sending", json!(null)),
        batch(2, "Complete", error),
        batch(3, "Pending", json!(null)),
    ];
    let view = View { broadcast: broadcast(sending()), batches, now: now() };
    let expected = "\
marketing/spring through page
State: Sending, for 1 min 05 s

  PLANNED  SENT   FAILED  SKIPPED  UNKNOWN  PENDING
  2,500    1,288  8       2        2        1,200
  52 % settled, 1,194 in the last minute, done in about 1 min 05 s
  ▅██████  from 2026-01-01T00:58:55Z, each 10 s, 20.0 a second at most
  1,301 requests, answered within p50 48 ms, p95 90 ms, p99 120 ms

  CONDITION  STATUS  REASON   SINCE
  Ready      True    Sending  1 min 00 s
  Finished   False   Sending  1 min 00 s

  OUTCOME  REASON      CODE  COUNT
  Failed   NoSuchUser  551   8

Batches: 4 (2 complete, 1 sending, 1 pending)
  BATCH  STATE     SENT  FAILED  PENDING  RETRIES  HOLDER  LAST ERROR
  1      Sending   300   0       200      3
  2      Complete  300   0       200      3                Transient 2: try later
";
    assert_eq!(text(&view, false), expected);
    assert_eq!(text(&view, true).lines().count(), expected.lines().count() + 2, "all batches, where asked for");
    assert_eq!(
        one_line(&view),
        "Sending; 1,288 sent, 8 failed, 2 skipped, 2 unknown, 1,200 pending of 2,500 planned; \
         1,194 in the last minute; done in about 1 min 05 s\n"
    );
}

#[test]
fn one_that_needs_a_person_says_why_without_moving_the_cursor() {
    let mut status = sending();
    status["state"] = json!("Suspended");
    status["conditions"] =
        json!([condition("Suspended", "True", "ProviderBlocked"), condition("Stalled", "True", "ProviderBlocked")]);
    let view = View { broadcast: broadcast(status), batches: vec![], now: now() };
    let text = text(&view, false);
    assert!(text.contains("State: Suspended (ProviderBlocked), for 1 min 00 s\n"), "since it was stopped: {text}");
    assert!(text.contains("  words of the [31m provider\n") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_suspended_one_says_how_long_it_takes_once_it_goes_on() {
    let mut status = sending();
    status["state"] = json!("Suspended");
    let mut suspended = condition("Suspended", "True", "Suspended");
    suspended["message"] = json!("nothing is sent while spec.suspend is set; then it takes about 1 min 05 s");
    status["conditions"] = json!([condition("Ready", "True", "Suspended"), suspended]);
    let view = View { broadcast: broadcast(status), batches: vec![], now: now() };
    let text = text(&view, false);
    assert!(text.contains("  nothing is sent while spec.suspend is set; then it takes about 1 min 05 s\n"), "{text}");
}

#[test]
fn what_a_person_may_have_meant_otherwise_is_told_until_it_has_ended() {
    let mut status = sending();
    status["plan"] = json!({"duplicates": 0, "excluded": 0, "warnings": ["no recipient has `x`"]});
    let told =
        |status: &Value| text(&View { broadcast: broadcast(status.clone()), batches: vec![], now: now() }, false);
    assert!(told(&status).contains("\nWarning: no recipient has `x`\n"), "{}", told(&status));
    status["conditions"] = json!([condition("Finished", "True", "Delivered")]);
    assert!(!told(&status).contains("Warning"));
}

#[test]
fn a_span_that_was_not_sent_in_from_end_to_end_counts_as_long_as_it_was() {
    let mut status = sending();
    status["firstAttemptTime"] = json!("2026-01-01T00:58:57Z");
    status["completionTime"] = json!("2026-01-01T00:59:03Z");
    status["recentPace"] = json!({"beginTime": "2026-01-01T00:58:55Z", "spanSeconds": 10, "sent": [69]});
    let view = View { broadcast: broadcast(status), batches: vec![], now: now() };
    assert!(text(&view, false).contains("each 10 s, 11.5 a second at most"), "{}", text(&view, false));
}

#[test]
fn a_batch_whose_end_has_no_words_shows_its_reason_alone() {
    let error = json!({"reason": "Cancelled", "message": "", "time": "2026-01-01T00:59:30Z"});
    let view = View { broadcast: broadcast(sending()), batches: vec![batch(2, "Cancelled", error)], now: now() };
    assert!(text(&view, false).contains("  Cancelled\n"), "{}", text(&view, false));
}

#[test]
fn one_that_has_ended_says_how_and_how_long_it_took() {
    let mut status = sending();
    status["state"] = json!("Complete");
    status["completionTime"] = json!("2026-01-01T00:59:55Z");
    status["conditions"] = json!([condition("Finished", "True", "DeliveredWithFailures")]);
    let view = View { broadcast: broadcast(status), batches: vec![], now: now() };
    let text = text(&view, false);
    assert!(text.contains("State: Complete (DeliveredWithFailures), took 1 min 00 s\n"), "{text}");
    assert!(!text.contains("done in") && !text.contains("last minute"), "{text}");
}

#[test]
fn what_endpoints_were_told_is_shown_with_the_last_error() {
    let mut status = sending();
    status["notifications"] = json!({"pending": 2, "delivered": 1200, "failed": 0,
        "lastError": {"endpoint": "crm", "reason": "NotificationRefused", "code": "503"}});
    let view = View { broadcast: broadcast(status), batches: vec![], now: now() };
    let text = text(&view, false);
    let expected = "\nEvents for endpoints: 1,200 delivered, 2 pending, 0 given up; crm: NotificationRefused 503\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn what_is_written_elsewhere_is_shown_with_the_last_error() {
    let mut status = sending();
    status["writeBacks"] = json!([{"target": "Sql", "pending": 2, "done": 1200, "failed": 1,
        "lastError": {"reason": "WriteBackRefused", "code": "42P01", "message": "no such\ntable"}}]);
    let view = View { broadcast: broadcast(status), batches: vec![], now: now() };
    let text = text(&view, false);
    let expected = "\nWritten to sql: 1,200 done, 2 pending, 1 given up\n  WriteBackRefused 42P01: no such table\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn one_that_nobody_has_looked_at_says_so() {
    let view = View { broadcast: broadcast(json!(null)), batches: vec![], now: now() };
    assert!(text(&view, false).contains("No operator has looked at it yet"));
    let mut edited = sending();
    edited["observedGeneration"] = json!(1);
    let view = View { broadcast: broadcast(edited), batches: vec![], now: now() };
    assert!(text(&view, false).contains("The last edit has not been looked at yet"));
}

#[test]
fn many_batches_do_not_fill_the_screen_unless_asked_for() {
    let batches = (0..500).map(|index| batch(index, "Sending", json!(null))).collect();
    let view = View { broadcast: broadcast(sending()), batches, now: now() };
    let text = text(&view, false);
    assert!(text.contains("and 488 more; --batches shows all"), "{text}");
    assert!(text.lines().count() < 40);
}

#[test]
fn answers_of_less_than_a_millisecond_are_said_as_a_report_says_them() {
    let mut status = sending();
    status["latency"] = json!({"p50Milliseconds": 0, "p95Milliseconds": 1, "p99Milliseconds": 2});
    let text = text(&View { broadcast: broadcast(status), batches: Vec::new(), now: now() }, false);
    assert!(text.contains("answered within p50 <1 ms, p95 1 ms, p99 2 ms\n"), "{text}");
}
