//! How `herald run` ends: exit codes, summaries, lines of JSON, and what is kept out of sight.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::run_support::status_schema::assert_fits_the_schema;
use super::run_support::{CANARY, Finished, Running, Stage, broadcast, people};

const JSON: [&str; 2] = ["-o", "json"];

fn text<'a>(line: &'a Value, pointer: &str) -> &'a str {
    line.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn sum(line: &Value, name: &str) -> i64 {
    line.pointer(&format!("/status/recipients/{name}")).and_then(Value::as_i64).unwrap()
}

fn condition<'a>(line: &'a Value, name: &str) -> &'a Value {
    let conditions = line.pointer("/status/conditions").unwrap().as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == name).unwrap_or(&Value::Null)
}

/// (sent, failed, skipped, unknown, pending), which sum up to the planned.
fn balance(line: &Value) -> (i64, i64, i64, i64, i64) {
    let all = ["sent", "failed", "skipped", "unknown", "pending"].map(|name| sum(line, name));
    assert_eq!(all.iter().sum::<i64>(), sum(line, "planned"), "{line}");
    (all[0], all[1], all[2], all[3], all[4])
}

/// The one line of JSON of a run.
fn only(finished: &Finished) -> Value {
    let mut lines = finished.json();
    assert_eq!(lines.len(), 1, "{}", finished.stdout);
    lines.remove(0)
}

/// So many seconds from now, as a schedule writes it.
fn in_seconds(seconds: i64) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    jiff::Timestamp::from_second(now + seconds).unwrap().to_string()
}

#[test]
fn everybody_got_it_is_0_and_a_second_run_says_so_and_sends_nothing() {
    let stage = Stage::open(&[]);
    let spec = people(1, 5).replace("{id: \"5\"}", "{id: \"5\"}, {id: \"1\"}, {id: \"2\"}");
    let spec = spec.replace("recipients:", "exclude: {recipients: [{id: \"4\"}]}, recipients:");
    stage.documents(100, &[broadcast("sale", &spec)]);
    let finished = stage.run(&[]).exits(0).says(&["sale: 4 recipients, in batches of ", "(2 duplicates, 1 excluded)"]);
    for part in [
        "sale: delivered",
        "planned 4  sent 4  failed 0  skipped 0  unknown 0  pending 0",
        "(duplicates 2, excluded 1)",
    ] {
        assert!(finished.stdout.contains(part), "{part} is not in {}", finished.stdout);
    }
    assert_eq!(stage.accepted(), ["1", "2", "3", "5"]);

    let again = stage.run(&JSON).exits(0).says(&["sale: finished already; nothing to send"]);
    assert!(!again.stderr.contains("4/4"), "a finished broadcast has no progress: {}", again.stderr);
    let line = only(&again);
    assert_eq!(balance(&line), (4, 0, 0, 0, 0));
    assert_eq!(
        (line.pointer("/status/plan/duplicates"), line.pointer("/status/plan/excluded")),
        (Some(&json!(2)), Some(&json!(1)))
    );
    assert_eq!(stage.requests().len(), 4);
}

#[test]
fn suspended_is_0_with_counts_and_samples_and_removing_it_starts() {
    let stage = Stage::open(&[]);
    let spec = people(1, 3).replace("Hello", "Hello {{ name | default('you') }}");
    stage.documents(100, &[broadcast("sale", &format!("{spec}  suspend: true\n"))]);
    let finished = stage.run(&[]).exits(0);
    for part in [
        "suspended as asked; nothing is sent",
        "planned 3",
        "sample: Hello you",
        "1 batch,",
        "remove spec.suspend to start",
    ] {
        assert!(finished.stdout.contains(part), "{part} is not in {}", finished.stdout);
    }
    let line = only(&stage.run(&JSON).exits(0));
    assert_eq!(text(&line, "/status/state"), "Suspended");
    assert_eq!(condition(&line, "Suspended")["status"], "True");
    assert_eq!(line.pointer("/status/plan/samples/0"), Some(&json!("Hello you")));
    assert_eq!(stage.requests(), []);

    // Nobody was attempted, so the audience may still change.
    let more = people(1, 4).replace("Hello", "Hello {{ name | default('you') }}");
    stage.documents(100, &[broadcast("sale", &more)]);
    stage.run(&[]).exits(0);
    assert_eq!(stage.accepted(), ["1", "2", "3", "4"]);
}

#[test]
fn a_file_edited_before_the_first_attempt_is_planned_anew_and_afterwards_not() {
    let stage = Stage::open(&[]);
    let spec = "  audience:\n    sources: [{name: people, configMapKeyRef: {name: people, key: people.csv}}]\n  content: {text: Hello}\n";
    let file = ["--config-map", "people=people.csv"];
    stage.documents(100, &[broadcast("sale", &format!("{spec}  suspend: true\n"))]);
    stage.write("people.csv", "id\n1\n2\n");
    stage.run(&file).exits(0).says(&["sale: 2 recipients"]);
    stage.write("people.csv", "id\n2\n3\n4\n");
    stage.run(&file).exits(0).says(&["sale: 3 recipients"]);
    stage.documents(100, &[broadcast("sale", spec)]);
    stage.run(&file).exits(0);
    assert_eq!(stage.accepted(), ["2", "3", "4"]);
    stage.write("people.csv", "id\n5\n");
    stage.run(&file).exits(0).says(&["finished already"]);
    assert_eq!(stage.requests().len(), 3);
}

#[test]
fn failed_recipients_are_2_with_the_reason_counted() {
    let stage = Stage::open(&["--fail", "551=1"]);
    stage.documents(100, &[broadcast("sale", &people(1, 3))]);
    let finished = stage.run(&[]).exits(2);
    assert!(finished.stdout.contains("complete, but not everybody got it"), "{}", finished.stdout);
    assert!(finished.stdout.contains("failed 3"), "{}", finished.stdout);
    let line = only(&stage.run(&JSON).exits(2));
    assert_eq!(balance(&line), (0, 3, 0, 0, 0));
    let why = json!([{"outcome": "Failed", "reason": "PersonUnavailable", "code": "551", "count": 3}]);
    assert_eq!(line.pointer("/status/reasons"), Some(&why));
    assert!(finished.stdout.contains("3 failed: PersonUnavailable (code 551)"), "{}", finished.stdout);
    assert_eq!(
        (text(&line, "/status/state"), &condition(&line, "Finished")["reason"]),
        ("Complete", &json!("DeliveredWithFailures"))
    );
}

#[test]
fn an_end_in_the_past_is_2_and_nothing_is_sent() {
    let stage = Stage::open(&[]);
    stage.documents(
        100,
        &[broadcast("sale", &format!("{}  schedule: {{endTime: \"2020-01-01T00:00:00Z\"}}\n", people(1, 3)))],
    );
    let finished = stage.run(&[]).exits(2);
    assert!(finished.stdout.contains("expired: spec.schedule.endTime has passed"), "{}", finished.stdout);
    let line = only(&stage.run(&JSON).exits(2));
    assert_eq!((text(&line, "/status/state"), &condition(&line, "Finished")["status"]), ("Expired", &json!("True")));
    assert_eq!(condition(&line, "Complete")["status"], "False");
    assert_eq!(stage.requests(), []);
}

#[test]
fn a_start_that_was_missed_is_2_and_nothing_is_sent() {
    let stage = Stage::open(&[]);
    let schedule = "  schedule: {startTime: \"2020-01-01T00:00:00Z\", startingDeadlineSeconds: 60}\n";
    stage.documents(100, &[broadcast("sale", &format!("{}{schedule}", people(1, 3)))]);
    for _ in 0..2 {
        let line = only(&stage.run(&JSON).exits(2));
        assert_eq!(
            (text(&line, "/status/state"), &condition(&line, "Finished")["reason"]),
            ("Missed", &json!("Missed"))
        );
        assert_fits_the_schema(&line);
    }
    assert_eq!(stage.requests(), []);
}

#[test]
fn an_end_that_passes_while_sending_skips_the_rest() {
    let stage = Stage::open(&[]);
    stage.documents(
        10,
        &[broadcast("sale", &format!("{}  schedule: {{endTime: \"{}\"}}\n", people(1, 200), in_seconds(8)))],
    );
    let line = only(&stage.run(&JSON).exits(2));
    let (sent, failed, skipped, unknown, pending) = balance(&line);
    assert!(sent > 0 && skipped > 0, "{line}");
    assert_eq!((failed, unknown, pending), (0, 0, 0));
    assert_eq!(stage.accepted().len() as i64, sent);
    assert_eq!(
        line.pointer("/status/reasons/0").unwrap(),
        &json!({"outcome": "Skipped", "reason": "Expired", "count": skipped})
    );
    assert_eq!((text(&line, "/status/state"), &condition(&line, "Complete")["status"]), ("Expired", &json!("False")));
}

#[test]
fn cancelled_from_the_start_is_2_and_stays_cancelled() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &format!("{}  cancel: true\n", people(1, 3)))]);
    let line = only(&stage.run(&JSON).exits(2));
    assert_eq!(
        (text(&line, "/status/state"), &condition(&line, "Finished")["reason"]),
        ("Cancelled", &json!("Cancelled"))
    );
    stage.documents(100, &[broadcast("sale", &people(1, 3))]);
    assert!(stage.run(&[]).exits(2).stdout.contains("sale: cancelled"));
    assert_eq!(stage.requests(), []);
}

#[test]
fn interrupted_is_3_and_cancelling_then_skips_the_rest() {
    let stage = Stage::open(&["--latency", "50"]);
    stage.documents(50, &[broadcast("sale", &people(1, 900))]);
    let running = stage.start(&[]);
    stage.await_requests(20);
    running.signal("TERM");
    let finished = running.wait().exits(3).says(&["stopping; once more to quit", "requests on the wire are awaited"]);
    assert!(finished.stdout.contains("interrupted; run the same command again to go on"), "{}", finished.stdout);
    assert!(finished.stdout.contains("unknown 0"), "what was on the wire is awaited: {}", finished.stdout);
    let sent = stage.accepted().len() as i64;

    stage.documents(50, &[broadcast("sale", &format!("{}  cancel: true\n", people(1, 900)))]);
    let line = only(&stage.run(&JSON).exits(2));
    assert_eq!(balance(&line), (sent, 0, 900 - sent, 0, 0));
    assert_eq!(text(&line, "/status/reasons/0/reason"), "Cancelled");
    assert_eq!(stage.accepted().len() as i64, sent);
}

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let stage = Stage::open(&["--latency", "20"]);
    // So slow that it does not end before it is interrupted, and then fast.
    stage.documents(20, &[broadcast("sale", &people(1, 900))]);
    let running = stage.start(&[]);
    stage.await_requests(20);
    running.signal("INT");
    running.wait().exits(3);
    stage.documents(900, &[broadcast("sale", &people(1, 900))]);
    let line = only(&stage.run(&JSON).exits(0).says(&["sale: goes on with", "of 900 recipients"]));
    assert_eq!(balance(&line), (900, 0, 0, 0, 0));
    assert_eq!(stage.accepted().len(), 900);
}

#[test]
fn a_key_used_for_another_message_is_4_and_the_others_go_on() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &people(1, 3))]);
    stage.run(&[]).exits(0);
    stage.documents(
        100,
        &[broadcast("sale", &people(1, 3).replace("Hello", "Other")), broadcast("news", &people(11, 2))],
    );
    let finished = stage.run(&JSON).exits(4).says(&[
        "error: run.yaml:16: BroadcastMessage default/sale: metadata.name",
        "the idempotency key `sale` already stands for another",
        "choose a new `spec.idempotencyKey`",
    ]);
    let lines = finished.json();
    assert_eq!(
        (condition(&lines[0], "Stalled")["reason"].as_str(), condition(&lines[0], "Ready")["status"].as_str()),
        (Some("KeyReused"), Some("False"))
    );
    assert_eq!(balance(&lines[1]), (2, 0, 0, 0, 0));
    for line in &lines {
        assert_fits_the_schema(line);
    }
    assert_eq!(stage.accepted(), ["1", "11", "12", "2", "3"]);
}

#[test]
fn refused_credentials_are_4_and_a_mended_secret_goes_on() {
    let stage = Stage::open(&["--fail", "190=1"]);
    stage.documents(100, &[broadcast("sale", &people(1, 3))]);
    let finished = stage.run(&[]).exits(4);
    assert!(finished.stdout.contains("stopped: the provider refused the credentials"), "{}", finished.stdout);
    assert!(finished.stdout.contains("mend the Secret and run again"), "{}", finished.stdout);
    let line = only(&stage.run(&JSON).exits(4));
    assert_eq!(balance(&line), (0, 0, 0, 0, 3));
    assert_eq!(
        (condition(&line, "Stalled")["status"].as_str(), condition(&line, "Stalled")["reason"].as_str()),
        (Some("True"), Some("CredentialsInvalid"))
    );
    let remedy =
        "put valid ones into the Secret that the channel names, or give them the missing permission, and run again";
    let message = text(condition(&line, "Stalled"), "/message");
    assert!(message.ends_with(remedy), "{message}");
    assert_fits_the_schema(&line);
    stage.settings(r#"{"fail": []}"#);
    stage.run(&[]).exits(0);
    assert_eq!(stage.accepted(), ["1", "2", "3"]);
}

#[test]
fn the_worst_of_two_broadcasts_decides_and_the_lines_keep_the_order_of_the_files() {
    let stage = Stage::open(&[]);
    let waiting = broadcast("zeta", &format!("{}  suspend: true\n", people(1, 3)));
    let ended = broadcast("alpha", &format!("{}  cancel: true\n", people(11, 2)));
    stage.documents(100, &[waiting, broadcast("middle", &people(21, 4))]);
    stage.write("more.yaml", ended);
    let finished = stage.run(&["-f", "more.yaml", "-o", "json"]).exits(2);
    let lines = finished.json();
    let names: Vec<&str> = lines.iter().map(|line| text(line, "/metadata/name")).collect();
    assert_eq!(names, ["zeta", "middle", "alpha"]);
    for line in &lines {
        let members: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(members, ["apiVersion", "kind", "metadata", "status"]);
        assert_eq!((text(line, "/apiVersion"), text(line, "/kind")), ("herald.dev/v1alpha1", "BroadcastMessage"));
        assert_fits_the_schema(line);
    }
    assert_eq!(balance(&lines[1]), (4, 0, 0, 0, 0));
    assert_eq!(stage.accepted(), ["21", "22", "23", "24"]);
}

#[test]
fn an_urgent_broadcast_is_served_before_a_bulk_one_on_the_same_channel() {
    let stage = Stage::open(&[]);
    let of = |name: &str, first: u64, priority: &str| {
        broadcast(name, &format!("{}  delivery: {{priority: {priority}}}\n", people(first, 120)))
    };
    stage.documents(40, &[of("bulk", 1, "Bulk"), of("urgent", 1_001, "Urgent")]);
    stage.run(&[]).exits(0);
    let requests = stage.requests();
    let is_urgent = |line: &herald::simulator::record::OwnedLine| line.recipient.len() == 4;
    let last = requests.iter().rposition(is_urgent).unwrap();
    let bulk = requests[..last].iter().filter(|line| !is_urgent(line)).count();
    assert!(bulk < 60, "an eighth beside the urgent one, and not {bulk} of 120");
    assert_eq!(stage.accepted().len(), 240);
}

#[test]
fn a_broadcast_says_how_often_it_tries_again() {
    let stage = Stage::open(&["--fail", "2=1"]);
    let retry = "  delivery: {retry: {maxAttempts: 2, initialBackoffSeconds: 1, maxBackoffSeconds: 1}}\n";
    stage.documents(100, &[broadcast("sale", &format!("{}{retry}", people(1, 3)))]);
    let line = only(&stage.run(&JSON).exits(2));
    assert_eq!(balance(&line), (0, 3, 0, 0, 0));
    assert_eq!(text(&line, "/status/reasons/0/reason"), "RetriesExhausted");
    assert_eq!(stage.requests().len(), 6);
}

#[test]
fn a_message_that_is_refused_again_and_again_is_held_for_a_person() {
    let stage = Stage::open(&["--fail", "100/2018034=1"]);
    stage.documents(50, &[broadcast("sale", &people(1, 200))]);
    let line = only(&stage.run(&JSON).exits(4));
    assert_eq!(condition(&line, "Stalled")["reason"], "MessageRejected");
    let (sent, failed, skipped, unknown, pending) = balance(&line);
    assert_eq!((sent, skipped, unknown, failed + pending), (0, 0, 0, 200));
    assert!((20..100).contains(&failed), "{failed} were refused before it stopped");
    stage.settings(r#"{"fail": []}"#);
    let line = only(&stage.run(&JSON).exits(2));
    assert_eq!(balance(&line), (pending, failed, 0, 0, 0));
}

#[test]
fn the_walk_of_the_schema_finds_faults() {
    let line = json!({"status": {"state": "Dancing", "extra": 1, "recipients": {"planned": -1}, "progressPercent": 101, "conditions": [{"type": "ready"}]}});
    let found = std::panic::catch_unwind(|| assert_fits_the_schema(&line)).unwrap_err();
    let found = found.downcast_ref::<String>().unwrap();
    for part in [
        "status.state: enum",
        "status.extra: unknown",
        "planned: minimum",
        "required \\\"sent\\\"",
        "progressPercent: maximum",
        "type: pattern",
    ] {
        assert!(found.contains(part), "{part} is not in {found}");
    }
}

#[test]
fn the_json_equals_the_simulators_record() {
    let stage = Stage::open(&["--fail", "551=0.2", "--fail", "garbage=0.1", "--seed", "7"]);
    stage.documents(200, &[broadcast("sale", &people(1, 200))]);
    let line = only(&stage.run(&JSON).exits(2));
    let (sent, failed, skipped, unknown, pending) = balance(&line);
    let requests = stage.requests();
    let coded = |code: Option<&str>| requests.iter().filter(|line| line.code.as_deref() == code).count() as i64;
    assert_eq!(
        (sent, failed, unknown, skipped, pending),
        (coded(None), coded(Some("551")), coded(Some("garbage")), 0, 0)
    );
    assert!(failed > 0 && unknown > 0, "{line}");
    assert_eq!(requests.len(), 200);
    assert_fits_the_schema(&line);
}

#[test]
fn a_start_ahead_is_waited_for_with_a_countdown() {
    let stage = Stage::open(&[]);
    let start = in_seconds(8);
    stage.documents(100, &[broadcast("sale", &format!("{}  schedule: {{startTime: \"{start}\"}}\n", people(1, 3)))]);
    let began = Instant::now();
    stage.run(&[]).exits(0).says(&["sale: 0/3 starts in"]);
    assert!(began.elapsed() > Duration::from_secs(1));
    let start: jiff::Timestamp = start.parse().unwrap();
    let requests = stage.requests();
    assert!(requests.iter().all(|line| i128::from(line.time_ns) >= start.as_nanosecond()), "{requests:?}");
    assert_eq!(requests.len(), 3);
}

#[test]
fn in_quiet_hours_only_those_are_messaged_whose_clocks_show_another_time() {
    let stage = Stage::open(&[]);
    // A time of day has no seconds: they end with the minute, or the next where that is almost over.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let end = (now + 6 + 59) / 60 * 60;
    let shown = |seconds: i64| format!("{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60);
    let spec = people(1, 3).replace("{id: \"3\"}", "{id: \"3\", vars: {time_zone: Etc/GMT+12}}");
    let quiet = format!("{{start: \"{}\", end: \"{}\", timeZone: UTC}}", shown(end - 120), shown(end));
    stage.documents(100, &[broadcast("sale", &format!("{spec}  schedule: {{quietHours: [{quiet}]}}\n"))]);
    stage.run(&[]).exits(0).says(&["sale: 1/3 quiet hours, goes on in"]);
    let mut requests = stage.requests();
    requests.sort_by_key(|line| line.time_ns);
    assert_eq!(requests.len(), 3);
    let times = requests.iter().map(|line| i128::from(line.time_ns)).collect::<Vec<_>>();
    let end = i128::from(end) * 1_000_000_000;
    assert_eq!(requests[0].recipient, "3");
    assert!(times[0] < end && times[1..].iter().all(|time| *time >= end), "{times:?}");
}

#[test]
fn documents_from_standard_input_and_secrets_from_the_environment() {
    let stage = Stage::open(&[]);
    let channel = stage.channel(100);
    let (channel, _) = channel.split_once("---").unwrap();
    let documents = format!("{channel}---\n{}", broadcast("sale", &people(1, 3)));
    let mut command =
        stage.herald(&["run", "-f", "-", "--ledger", "sqlite:l.sqlite", "--secret", "page/accessToken=env:PAGE_TOKEN"]);
    command.env("PAGE_TOKEN", CANARY);
    Running::spawn(&mut command, Some(documents.as_bytes())).wait().exits(0);
    assert_eq!(stage.accepted(), ["1", "2", "3"]);

    let broken = documents.replace("audience", "audiences");
    Running::spawn(&mut command, Some(broken.as_bytes()))
        .wait()
        .exits(1)
        .says(&["standard input:14: ", "spec.audiences"]);
}

#[test]
fn ndjson_and_a_secret_are_sources_too() {
    let stage = Stage::open(&[]);
    let spec = "  audience:\n    sources:\n      - {name: list, configMapKeyRef: {name: people, key: people.ndjson}}\n      - {name: hidden, secretKeyRef: {name: people, key: more.csv}}\n    exclude: {sources: [{name: gone, configMapKeyRef: {name: gone, key: gone.csv}}]}\n  content: {text: \"Hi {{ name }}\"}\n";
    stage.documents(100, &[broadcast("sale", spec)]);
    stage.write("people.ndjson", "{\"id\": 1, \"name\": \"Ana\"}\n{\"id\": \"2\", \"name\": \"Ben\"}\n");
    stage.write("more.csv", "id,name\n2,Twice\n3,Cem\n4,Gone\n");
    stage.write("gone.csv", "id\n4\n");
    stage
        .run(&[
            "--config-map",
            "people=people.ndjson",
            "--config-map",
            "gone=gone.csv",
            "--secret",
            "people/more.csv=more.csv",
        ])
        .exits(0);
    let mut texts: Vec<(String, String)> =
        stage.requests().iter().map(|line| (line.recipient.to_string(), line.text.to_string())).collect();
    texts.sort();
    let expected = [("1", "Hi Ana"), ("2", "Hi Ben"), ("3", "Hi Cem")];
    assert_eq!(texts, expected.map(|(id, text)| (id.to_owned(), text.to_owned())));
}

#[test]
fn neither_the_token_nor_an_id_is_seen_where_it_does_not_belong() {
    let stage = Stage::open(&["--latency", "40", "--fail", "551=0.2", "--fail", "http:500=0.1"]);
    stage.documents(100, &[broadcast("sale", &people(24_005_550_000, 990))]);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    stage.write("run.yaml", text.replace(CANARY, "stands-back"));
    stage.write("token.txt", format!("{CANARY}\n"));
    let mut command = stage.herald(&[
        "run",
        "-f",
        "run.yaml",
        "--ledger",
        "sqlite:ledger.sqlite",
        "--secret",
        "page/accessToken=token.txt",
    ]);
    command.env("HERALD_LOG", "trace");
    let running = Running::spawn(&mut command, None);
    stage.await_requests(30);
    let process = format!("/proc/{}", running.child.id());
    for place in ["cmdline", "environ"] {
        let seen = std::fs::read(format!("{process}/{place}")).unwrap();
        assert!(!contains(&seen, CANARY), "the token is in {place}");
    }
    for file in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite.journal", "ledger.sqlite.lock"] {
        assert!(!contains(&std::fs::read(stage.path(file)).unwrap(), CANARY), "the token is in {file}");
    }
    running.signal("TERM");
    let finished = running.wait().exits(3);
    for output in [&finished.stdout, &finished.stderr] {
        assert!(!output.contains(CANARY), "the token is in the output:\n{output}");
        assert!(!output.contains("2400555"), "an id is in the output:\n{output}");
    }
    assert!(finished.stderr.contains("TRACE"), "the log was on: {}", finished.stderr);
    for file in ["ledger.sqlite", "ledger.sqlite.journal"] {
        assert!(!contains(&std::fs::read(stage.path(file)).unwrap(), CANARY), "the token is in {file}");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_test_message_is_one_request_outside_the_plan() {
    let stage = Stage::open(&[]);
    let spec = people(1, 3)
        .replace("{id: \"2\"}", "{id: \"2\", vars: {name: Ben}}")
        .replace("Hello", "Hi {{ name | default('you') }}");
    stage.documents(100, &[broadcast("sale", &spec)]);
    stage.run(&["--test", "2"]).exits(0).says(&["sale: test message accepted by the provider", "text: Hi Ben"]);
    let requests = stage.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((&*requests[0].recipient, &*requests[0].text), ("2", "Hi Ben"));
    assert!(!stage.path("ledger.sqlite").exists(), "a test message needs no ledger");
    // The plan knows nothing of it.
    assert_eq!(balance(&only(&stage.run(&JSON).exits(0))), (3, 0, 0, 0, 0));
    assert_eq!(stage.requests().len(), 4);
}

#[test]
fn the_default_ledger_is_the_same_from_every_folder() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &people(1, 3))]);
    let expected = format!("ledger: {}", stage.path("state/herald/ledger.sqlite").display());
    Running::spawn(&mut stage.herald(&["run", "-f", "run.yaml"]), None).wait().exits(0).says(&[&expected]);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = stage.path("run.yaml");
    let mut command = stage.herald(&["run", "-f", file.to_str().unwrap()]);
    command.current_dir(elsewhere.path());
    Running::spawn(&mut command, None).wait().exits(0).says(&[&expected, "finished already"]);
    assert_eq!(stage.requests().len(), 3);
}

#[test]
fn an_endpoint_of_ones_own_gets_its_header_from_the_secret() {
    let stage = Stage::open(&[]);
    let endpoint = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = endpoint.local_addr().unwrap();
    let seen = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut caller, _) = endpoint.accept().unwrap();
        caller.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !contains(&request, "\"text\":\"Hello\"") {
            let read = caller.read(&mut buffer).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&buffer[..read]);
        }
        caller.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    });
    let channel = format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n  http:\n    url: http://{address}/send\n    headers: [{{name: X-Api-Key, value: \"Key {{{{ secret.apiKey }}}}\"}}]\n  credentialsSecretRef: {{name: own}}\n  rate: {{messages: 10}}\n---\n"
    );
    stage.write("run.yaml", format!("{channel}{}", broadcast("sale", &people(7, 1))));
    stage.write("key.txt", format!("{CANARY}\n"));
    let finished = stage.run(&["--secret", "own/apiKey=key.txt"]).exits(0);
    let request = seen.join().unwrap();
    assert!(request.to_lowercase().contains(&format!("x-api-key: key {CANARY}\r\n").to_lowercase()), "{request}");
    assert!(request.contains("\"id\":\"7\""), "{request}");
    assert!(!finished.stderr.contains(CANARY));
    stage.run(&[]).exits(1).says(&["spec.credentialsSecretRef.name: no Secret \"own\"", "--secret own/apiKey=FILE"]);
}

#[test]
fn progress_is_plain_lines_in_a_file_and_a_bar_at_a_terminal() {
    let stage = Stage::open(&[]);
    stage.documents(40, &[broadcast("sale", &people(1, 120))]);
    let plain = stage.run(&[]).exits(0);
    let line = plain
        .stderr
        .lines()
        .find(|line| line.starts_with("sale: ") && line.contains("/120 ") && line.contains("/s"))
        .unwrap();
    assert!(line.contains("ETA"), "{line}");
    assert!(!plain.stderr.contains('\u{1b}') && !plain.stderr.contains('\r'), "{}", plain.stderr);

    stage.documents(40, &[broadcast("news", &people(201, 60))]);
    let run = format!("'{}' run -f run.yaml --ledger sqlite:ledger.sqlite", env!("CARGO_BIN_EXE_herald"));
    let shown = stage.at_a_terminal(&run).wait().exits(0).stdout;
    assert!(shown.contains('█') && shown.contains("/60") && shown.contains("ETA"), "{shown}");
}
