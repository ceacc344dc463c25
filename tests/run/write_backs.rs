//! `herald run` writes elsewhere whom a broadcast was sent to: after the send, and without a harm to it.

use std::time::Duration;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};

use super::run_support::{CANARY, Running, Stage, broadcast, people};

const STATEMENT: &str =
    "update people set last_broadcast = :broadcast, sent_at = :sent_time, message_id = :message_id where psid = :id";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn database(stage: &Stage) -> SqliteConnection {
    SqliteConnectOptions::new().filename(stage.path("people.sqlite")).create_if_missing(true).connect().await.unwrap()
}

/// A database of these people, of whom nobody was written to.
fn with_people(stage: &Stage, ids: &[String]) {
    block_on(async {
        let mut connection = database(stage).await;
        let table = "CREATE TABLE people (psid TEXT UNIQUE, last_broadcast TEXT, sent_at TEXT, message_id TEXT)";
        connection.execute(table).await.unwrap();
        for id in ids {
            sqlx::query("INSERT INTO people (psid) VALUES (?)").bind(id).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    });
}

/// Who is written down there by now: the id, the broadcast, when, and which message.
fn written(stage: &Stage) -> Vec<(String, String, String, String)> {
    block_on(async {
        let query =
            "SELECT psid, last_broadcast, sent_at, message_id FROM people WHERE last_broadcast IS NOT NULL ORDER BY 1";
        sqlx::query_as(query).fetch_all(&mut database(stage).await).await.unwrap()
    })
}

fn ids(first: u64, count: u64) -> Vec<String> {
    (first..first + count).map(|id| id.to_string()).collect()
}

fn on_sent(statement: &str) -> String {
    format!("  onSent: {{sql: {{urlSecretKeyRef: {{name: crm-db, key: url}}, statement: \"{statement}\"}}}}\n")
}

fn secret() -> String {
    "apiVersion: v1\nkind: Secret\nmetadata: {name: crm-db}\nstringData: {url: \"sqlite:people.sqlite\"}\n".to_owned()
}

fn sums(status: &Value) -> (i64, i64, i64) {
    let sums = &status["status"]["writeBacks"][0];
    assert_eq!(sums["target"], "Sql", "{status}");
    let [pending, done, failed] = ["pending", "done", "failed"].map(|name| sums[name].as_i64().unwrap());
    (pending, done, failed)
}

#[test]
fn whoever_was_sent_to_is_written_down_with_their_message_and_nobody_else() {
    let stage = Stage::open(&["--fail", "551=0.2"]);
    let mut everybody = ids(1, 40);
    everybody.extend((1..=5).map(|number| format!("x';drop{number}")));
    with_people(&stage, &everybody);
    let recipients: Vec<String> = everybody.iter().map(|id| format!("{{id: \"{id}\"}}")).collect();
    let spec = format!("  audience: {{recipients: [{}]}}\n  content: {{text: Hello}}\n", recipients.join(", "));
    stage.documents(200, &[secret(), broadcast("sale", &format!("{spec}{}", on_sent(STATEMENT)))]);
    let finished = stage.run(&["-o", "json"]).exits(2);
    let accepted = stage.accepted();
    assert!(accepted.iter().any(|id| id.starts_with("x'")) && accepted.len() < 45, "{accepted:?}");
    let rows = written(&stage);
    assert_eq!(rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(), accepted);
    for (_, broadcast, sent_at, message_id) in &rows {
        assert_eq!((broadcast.as_str(), sent_at.len()), ("sale", "2026-12-01 09:00:00".len()));
        assert!(message_id.starts_with("m_simulated_"), "{message_id}");
    }
    assert_eq!(sums(&finished.json()[0]), (0, accepted.len() as i64, 0));
    assert!(finished.json()[0]["status"]["writeBacks"][0].get("lastError").is_none());

    // The same command again writes nobody down: there is nobody left.
    block_on(async { database(&stage).await.execute("UPDATE people SET last_broadcast = NULL").await.unwrap() });
    stage.run(&[]).exits(2);
    assert_eq!(written(&stage), []);
}

#[test]
fn a_wrong_table_is_shown_while_everybody_is_sent_to_and_mended_by_an_edit() {
    let stage = Stage::open(&[]);
    with_people(&stage, &ids(1, 30));
    let wrong = STATEMENT.replace("people", "persons");
    stage.documents(200, &[secret(), broadcast("sale", &format!("{}{}", people(1, 30), on_sent(&wrong)))]);
    let told = "30 recipients are not written to sql yet (WriteBackRefused (code 1): spec.onSent.sql: the database refuses the \
                statement: no such table: persons; correct it); run again";
    let finished = stage.run(&["-o", "json"]).exits(0).says(&[told]);
    let status = &finished.json()[0];
    assert_eq!((stage.accepted().len(), sums(status)), (30, (30, 0, 0)));
    assert_eq!((&status["status"]["state"], &status["status"]["recipients"]["sent"]), (&"Complete".into(), &30.into()));
    let error = &status["status"]["writeBacks"][0]["lastError"];
    assert_eq!((&error["reason"], &error["code"]), (&"WriteBackRefused".into(), &"1".into()));

    stage.documents(200, &[secret(), broadcast("sale", &format!("{}{}", people(1, 30), on_sent(STATEMENT)))]);
    let mended = stage.run(&[]).exits(0);
    assert!(mended.stdout.contains("written to sql: done 30  pending 0  given up 0"), "{}", mended.stdout);
    assert_eq!((written(&stage).len(), stage.accepted().len()), (30, 30));
}

#[test]
fn a_run_that_is_killed_between_the_send_and_the_writing_loses_nobody() {
    let stage = Stage::open(&[]);
    with_people(&stage, &ids(1, 20));
    stage.documents(200, &[secret(), broadcast("sale", &format!("{}{}", people(1, 20), on_sent(STATEMENT)))]);
    // Nobody can write while this one does.
    let mut connection = block_on(database(&stage));
    block_on(async { connection.execute("BEGIN EXCLUSIVE").await.unwrap() });
    let running: Running = stage.start(&[]);
    stage.await_requests(20);
    std::thread::sleep(Duration::from_millis(500));
    running.signal("KILL");
    running.wait();
    block_on(async { connection.execute("ROLLBACK").await.unwrap() });
    assert_eq!(written(&stage), []);
    let finished = stage.run(&["-o", "json"]);
    let status = &finished.json()[0];
    let sent = status["status"]["recipients"]["sent"].as_i64().unwrap();
    assert!(sent >= 15, "few can have been on the wire: {status}");
    assert_eq!((sums(status), written(&stage).len() as i64), ((0, sent, 0), sent));
}

#[test]
fn runs_that_are_killed_again_and_again_write_down_everybody_who_was_sent_to() {
    let stage = Stage::open(&["--latency", "20"]);
    with_people(&stage, &ids(1, 150));
    stage.documents(100, &[secret(), broadcast("sale", &format!("{}{}", people(1, 150), on_sent(STATEMENT)))]);
    for requests in [10, 40, 80, 110] {
        let running = stage.start(&[]);
        stage.await_requests(requests);
        running.signal("KILL");
        running.wait();
    }
    let finished = stage.run(&["-o", "json"]);
    let status = &finished.json()[0];
    let sent = status["status"]["recipients"]["sent"].as_i64().unwrap();
    assert_eq!((sums(status), written(&stage).len() as i64), ((0, sent, 0), sent));
}

#[test]
fn what_cannot_be_bound_or_read_is_refused_before_anything_is_sent() {
    let stage = Stage::open(&[]);
    let unbound = STATEMENT.replace(":id", ":psid");
    stage.documents(200, &[secret(), broadcast("sale", &format!("{}{}", people(1, 2), on_sent(&unbound)))]);
    stage.run(&[]).exits(1).says(&[
        "run.yaml",
        "spec.onSent.sql.statement",
        "line 1, column 108",
        "there is no parameter :psid",
    ]);
    stage.documents(200, &[broadcast("sale", &format!("{}{}", people(1, 2), on_sent(STATEMENT)))]);
    stage.run(&[]).exits(1).says(&[
        "spec.onSent.sql.urlSecretKeyRef.name",
        "no Secret \"crm-db\"",
        "--secret crm-db/url",
    ]);
    assert_eq!(stage.requests().len(), 0);
}

#[test]
fn nobody_of_a_paused_broadcast_is_written_down() {
    let stage = Stage::open(&[]);
    with_people(&stage, &ids(1, 5));
    let document =
        |further: &str, statement: &str| broadcast("sale", &format!("{}{}{further}", people(1, 5), on_sent(statement)));
    let wrong = STATEMENT.replace("people", "persons");
    stage.documents(200, &[secret(), document("", &wrong)]);
    stage.run(&[]).exits(0);
    stage.documents(200, &[secret(), document("  suspend: true\n", STATEMENT)]);
    stage.run(&[]);
    assert_eq!(written(&stage), []);
    stage.documents(200, &[secret(), document("", STATEMENT)]);
    stage.run(&[]).exits(0);
    assert_eq!(written(&stage).len(), 5);
}

const LABELS: &str = "  onSent: {messenger: {labels: [spring-sale, \"all people\"]}}\n";

/// How many have which label.
fn labelled(stage: &Stage) -> Vec<(String, usize)> {
    let labels = stage.labels().labels.into_iter();
    labels.map(|label| (label.name, label.people.len())).collect()
}

fn both(count: usize) -> Vec<(String, usize)> {
    vec![("spring-sale".to_owned(), count), ("all people".to_owned(), count)]
}

#[test]
fn labels_are_given_to_whoever_was_sent_to_though_a_part_of_the_calls_fails() {
    let stage = Stage::open(&["--fail-labels", "2=0.05"]);
    stage.documents(200, &[broadcast("sale", &format!("{}{LABELS}", people(1, 50)))]);
    let finished = stage.run(&["-o", "json"]).exits(0);
    assert_eq!(stage.accepted().len(), 50);
    let status = &finished.json()[0];
    let sums = |name: &str| status["status"]["writeBacks"][0][name].clone();
    let asked = stage.labels();
    // A list, two labels that are made, and two calls for each of them; as many again as have failed, and some for those.
    assert!(asked.calls >= 103 + asked.failed && asked.failed > 0, "{} calls, {} failed", asked.calls, asked.failed);
    assert!(asked.worst_second <= 20, "{} in a second", asked.worst_second);
    assert_eq!(
        (sums("target"), sums("done"), sums("pending"), sums("failed")),
        ("Messenger".into(), 50.into(), 0.into(), 0.into())
    );
    assert_eq!(labelled(&stage), both(50), "each label is made once");

    // Another broadcast finds the labels that are there.
    stage.documents(200, &[broadcast("again", &format!("{}{LABELS}", people(101, 3)))]);
    stage.run(&[]).exits(0);
    assert_eq!(labelled(&stage), both(53));
}

#[test]
fn two_broadcasts_of_a_page_label_at_the_pace_of_the_one_page_with_every_call_they_make() {
    // Slow enough that calls overlap, and that a sender is behind when the time of its people ends.
    let stage = Stage::open(&["--latency", "350"]);
    let one = broadcast("one", &format!("{}{LABELS}", people(1, 30)));
    let labels = "  onSent: {messenger: {labels: [first, second, third]}}\n";
    let two = broadcast("two", &format!("{}{labels}", people(101, 20)));
    stage.documents(200, &[one, two]);
    stage.run(&[]).exits(0);
    let asked = stage.labels();
    assert_eq!((asked.failed, asked.labels.len()), (0, 5));
    assert!(asked.worst_second <= 11, "{} calls in a second", asked.worst_second);
    let given = |name: &str| labelled(&stage).iter().find(|label| label.0 == name).map(|label| label.1);
    assert_eq!((given("all people"), given("third")), (Some(30), Some(20)));
}

#[test]
fn a_page_that_takes_no_labels_is_shown_and_loses_no_message() {
    let stage = Stage::open(&["--fail-labels", "2/2018344=1"]);
    stage.documents(200, &[broadcast("sale", &format!("{}{LABELS}", people(1, 20)))]);
    let finished = stage.run(&["-o", "json"]).exits(0);
    assert_eq!(stage.accepted().len(), 20);
    let error = &finished.json()[0]["status"]["writeBacks"][0]["lastError"];
    assert_eq!((&error["reason"], &error["code"]), (&"LabelTermsNotAccepted".into(), &"2/2018344".into()));
    assert!(stage.labels().calls < 40, "who is refused for everybody is not asked for each");
    assert!(!finished.stdout.contains(CANARY) && !finished.stderr.contains(CANARY));
    // Once the page takes them an edit makes everybody due.
    stage.settings("{\"fail-labels\": []}");
    let fewer = LABELS.replace(", \"all people\"", "");
    stage.documents(200, &[broadcast("sale", &format!("{}{fewer}", people(1, 20)))]);
    stage.run(&[]).exits(0);
    assert_eq!(labelled(&stage), [("spring-sale".to_owned(), 20)]);
}

#[test]
fn a_run_that_is_killed_while_it_labels_loses_nobody() {
    let stage = Stage::open(&[]);
    stage.documents(200, &[broadcast("sale", &format!("{}{LABELS}", people(1, 30)))]);
    for calls in [10, 40] {
        let running = stage.start(&[]);
        while stage.labels().calls < calls {
            std::thread::sleep(Duration::from_millis(20));
        }
        running.signal("KILL");
        running.wait();
    }
    stage.run(&[]);
    let sent = stage.accepted().len();
    assert_eq!((sent, labelled(&stage)), (30, both(30)));
}

#[test]
fn only_a_channel_of_messenger_has_labels() {
    let stage = Stage::open(&[]);
    let channel = format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: gate}}\nspec:\n  http: {{url: \"{}/send\"}}\n  rate: {{messages: 10}}\n",
        stage.base_url
    );
    let document = broadcast("sale", &format!("{}{LABELS}", people(1, 2))).replace("name: page", "name: gate");
    stage.documents(200, &[channel, document]);
    stage.run(&[]).exits(1).says(&["spec.onSent.messenger: only a channel of Messenger has labels"]);
    assert_eq!(stage.requests().len(), 0);
}
