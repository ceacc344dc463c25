//! Everything in `examples/` works as its own comment says, and every document in the documentation is admitted.

// All of this is a test; what fails here is a failed test.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::receiver::Receiver;
use super::run_support::audience_server::{AudienceServer, Reply};
use super::run_support::{Finished, Running};
use clap::Parser;
use herald::api::admission::Admission;
use herald::local::RunOptions;
use herald::local::manifest::{Manifest, Purpose};
use herald::local::manifest_document::ManifestInput;
use herald::simulator::{Simulator, SimulatorError, SimulatorOptions};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far above what a small broadcast takes on a busy machine, which needs that long of an hour.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    run: RunOptions,
}

#[derive(Parser)]
struct SimulatorLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    found
}

/// The command in the comment of an example: variables before it, and the words after `herald`.
fn command(example: &Path) -> (Vec<(String, String)>, Vec<String>) {
    let text = fs::read_to_string(example).unwrap();
    let line = text.lines().find(|line| line.starts_with('#') && line.contains("herald run"));
    let line = line.unwrap_or_else(|| panic!("{} shows no command", example.display()));
    let words: Vec<&str> = line.trim_start_matches('#').split_whitespace().collect();
    let herald = words.iter().position(|word| *word == "herald").unwrap();
    let variables = words[..herald].iter().map(|word| word.split_once('=').unwrap());
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (variables, words[herald + 1..].iter().map(|word| word.to_string()).collect())
}

#[test]
fn every_example_loads_with_the_flags_its_comment_names() {
    // Stands for tokens that come from the environment.
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "any-token").unwrap();
    for example in examples() {
        let (_, words) = command(&example);
        let options = CommandLine::try_parse_from(&words).unwrap_or_else(|error| panic!("{error}")).run;
        // The two for a cluster are one broadcast in two files.
        let name = example.strip_prefix(root()).unwrap();
        assert!(options.documents.files.iter().any(|file| file == name), "{words:?}");
        let inputs: Vec<_> = options.documents.files.iter().cloned().map(ManifestInput::File).collect();
        let secrets: Vec<_> = options
            .documents
            .secrets
            .iter()
            .map(|flag| format!("{}/{}={}", flag.name, flag.key, token.path().display()).parse().unwrap())
            .collect();
        let manifest = Manifest::load(&inputs, &options.documents.config_maps, &secrets, &Purpose::RUN);
        let manifest = manifest.unwrap_or_else(|faults| panic!("{}: {faults}", example.display()));
        assert_eq!(manifest.broadcasts.len(), 1, "{}", example.display());
    }
}

#[test]
fn the_list_in_the_channel_example_is_people_csv_and_fits_into_what_kubectl_apply_takes() {
    let text = fs::read_to_string(root().join("examples/channel.yaml")).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let list = documents.iter().find(|document| document["kind"] == "ConfigMap").unwrap();
    let people = fs::read_to_string(root().join("examples/people.csv")).unwrap();
    // Not assert_eq: two lists of people on one screen help nobody.
    assert!(list["data"]["people.csv"] == people, "make it anew as the comment in examples/channel.yaml says");
    // kubectl keeps what it applied in an annotation, and annotations end at 256 KiB.
    assert!(list.to_string().len() < 256 * 1024);
}

/// Runs the command of an example against a simulator of its own; returns the status and what the simulator counted.
async fn run(name: &str) -> (i32, Value, Value) {
    run_in(&tempfile::tempdir().unwrap(), &[], name).await
}

/// The same with the ledger of a folder, and further flags of the simulator.
async fn run_in(folder: &tempfile::TempDir, flags: &[&str], name: &str) -> (i32, Value, Value) {
    run_with(folder, flags, name, &[]).await
}

/// The same with other words in place of those of the example and its command.
async fn run_with(
    folder: &tempfile::TempDir,
    flags: &[&str],
    name: &str,
    others: &[(&str, &str)],
) -> (i32, Value, Value) {
    let played = Played::start(flags).await;
    let ran = run_at(folder, played.address, name, others).await;
    played.end().await;
    ran
}

/// A simulator that plays until it is told to end.
pub struct Played {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    playing: JoinHandle<Result<(), SimulatorError>>,
}

impl Played {
    pub async fn start(flags: &[&str]) -> Played {
        let options = SimulatorLine::parse_from([&["simulator", "--listen", "127.0.0.1:0"], flags].concat()).options;
        let simulator = Simulator::bind(options).await.unwrap();
        let address = simulator.address();
        let (stop, stopped) = oneshot::channel::<()>();
        Played { address, stop, playing: tokio::spawn(simulator.run(stopped)) }
    }

    pub async fn end(self) {
        drop(self.stop);
        self.playing.await.unwrap().unwrap();
    }
}

/// The same against a simulator that is there.
pub async fn run_at(
    folder: &tempfile::TempDir,
    address: SocketAddr,
    name: &str,
    others: &[(&str, &str)],
) -> (i32, Value, Value) {
    let running = start_at(folder, address, name, others);
    ended(running, address).await
}

/// Begins it, and lets it run.
pub fn start_at(folder: &tempfile::TempDir, address: SocketAddr, name: &str, others: &[(&str, &str)]) -> Running {
    let exchange = |text: String| others.iter().fold(text, |text, (word, other)| text.replace(word, other));
    let example = root().join("examples").join(name);
    let copy = folder.path().join(name);
    let text = fs::read_to_string(&example).unwrap();
    assert!(text.contains("127.0.0.1:8091"), "{name} does not lead to the simulator");
    fs::write(&copy, exchange(text.replace("127.0.0.1:8091", &address.to_string()))).unwrap();

    let (variables, words) = command(&example);
    let words = words
        .into_iter()
        .map(|word| if word == format!("examples/{name}") { copy.display().to_string() } else { word });
    let variables = variables.into_iter().map(|(name, value)| (name, exchange(value)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.args(words).args(["-o", "json", "--ledger", &ledger(folder)]).envs(variables).current_dir(root());
    Running::spawn(&mut command, None)
}

pub fn ledger(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("ledger.sqlite").display())
}

/// Waits for its end; the exit code, the status it printed and what the simulator has counted.
pub async fn ended(running: Running, address: SocketAddr) -> (i32, Value, Value) {
    let Finished { code, stdout, stderr } = tokio::task::block_in_place(|| running.wait());
    let line: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let counted = get(&format!("http://{address}/_simulator/summary")).await;
    (code.unwrap(), line["status"].clone(), counted)
}

#[expect(clippy::disallowed_methods, reason = "asks the simulator for its count, sends nobody anything")]
async fn get(url: &str) -> Value {
    // Another test of this process may have been first; one provider is as good as the other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_example_reaches_all_three() {
    reaches_all_three("http.yaml").await;
}

/// Sends to everybody of the example of a provider.
async fn reaches_all_three(name: &str) {
    let (code, status, counted) = run(name).await;
    assert_eq!((code, &status["state"], &status["recipients"]["sent"]), (0, &"Complete".into(), &3.into()), "{status}");
    assert_eq!((&counted["accepted"], &counted["accepted_twice"]), (&3.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_each_provider_reaches_all_three() {
    for name in ["endpoint.yaml", "whatsapp.yaml", "telegram.yaml", "slack.yaml", "twilio.yaml"] {
        reaches_all_three(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_attachments_sends_all_three_the_text_and_both_files_once() {
    let (code, status, counted) = run("attachments.yaml").await;
    assert_eq!((code, &status["state"], &status["recipients"]["sent"]), (0, &"Complete".into(), &3.into()), "{status}");
    assert_eq!((&counted["accepted"], &counted["accepted_twice"]), (&9.into(), &0.into()));
    assert_eq!(counted["recipients_accepted"], 3);
    // Nobody's own link is shown.
    let samples = status["plan"]["samples"].as_array().unwrap();
    let shown = "Hi Ana, your ticket is below. | Image https://cdn.example/concert.png | File https://cdn.example/tickets/{{ ticket }}.pdf";
    assert_eq!(samples[0], shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_that_sends_again_reaches_those_who_failed_before() {
    let folder = tempfile::tempdir().unwrap();
    let (code, status, _) = run_in(&folder, &["--fail", "http:404=1"], "http.yaml").await;
    assert_eq!((code, &status["recipients"]["failed"]), (2, &3.into()));
    let (code, status, counted) = run_in(&folder, &[], "again.yaml").await;
    assert_eq!((code, &status["recipients"]["sent"], &counted["accepted"]), (0, &3.into(), &3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_contacts_reaches_whom_the_channel_knows() {
    let folder = tempfile::tempdir().unwrap();
    // One simulator for both: another port is another account, which knows nobody.
    let played = Played::start(&[]).await;
    let (code, status, _) = run_at(&folder, played.address, "http.yaml", &[]).await;
    assert_eq!((code, &status["recipients"]["sent"]), (0, &3.into()));
    let (code, status, counted) = run_at(&folder, played.address, "contacts.yaml", &[]).await;
    assert_eq!((code, &status["recipients"]["sent"], &counted["accepted"]), (0, &3.into(), &6.into()), "{status}");
    played.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_list_in_a_secret_reaches_all_three() {
    reaches_all_three("secret-list.yaml").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_reaches_everybody_of_the_list_once() {
    let (code, status, counted) = run("quickstart.yaml").await;
    assert_eq!((code, &status["state"], &status["recipients"]["sent"]), (0, &"Complete".into(), &2_488.into()));
    assert_eq!(status["plan"]["duplicates"], 12);
    assert_eq!((&counted["recipients_accepted"], &counted["accepted_twice"]), (&2_488.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exclusion_example_leaves_out_whom_it_says() {
    let (code, status, counted) = run("exclude.yaml").await;
    assert_eq!((code, &status["plan"]["excluded"], &status["plan"]["duplicates"]), (0, &2.into(), &1.into()));
    assert_eq!((&status["recipients"]["sent"], &counted["recipients_accepted"]), (&3.into(), &3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_suppression_plans_everybody_and_skips_whom_the_list_names() {
    let (code, status, counted) = run("suppression.yaml").await;
    let recipients = &status["recipients"];
    assert_eq!((code, &recipients["planned"], &recipients["skipped"]), (0, &3.into(), &1.into()), "{status}");
    assert_eq!((&recipients["sent"], &counted["requests"], &counted["accepted"]), (&2.into(), &2.into(), &2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suspended_example_plans_and_sends_nothing() {
    let (code, status, counted) = run("suspended.yaml").await;
    assert_eq!((code, &status["state"], &status["recipients"]["planned"]), (0, &"Suspended".into(), &2_488.into()));
    let samples = status["plan"]["samples"].as_array().unwrap();
    assert!(samples[0].as_str().unwrap().contains("Søren"), "{samples:?}");
    assert_eq!(counted["requests"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_server_reaches_whom_it_names_less_those_it_leaves_out() {
    let crm = AudienceServer::start(|request| {
        let file = request.target.trim_start_matches('/');
        Reply::unnamed(fs::read_to_string(root().join("examples").join(file)).unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let (code, status, counted) =
        run_with(&folder, &[], "audience-http.yaml", &[("127.0.0.1:8092", crm.address())]).await;
    assert_eq!((code, &status["plan"]["excluded"], &status["plan"]["duplicates"]), (0, &1.into(), &1.into()));
    assert_eq!((&status["recipients"]["sent"], &counted["recipients_accepted"]), (&4.into(), &4.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_database_reaches_the_first_hundred_of_its_query() {
    let folder = tempfile::tempdir().unwrap();
    let database = people_database(&folder).await;
    let (code, status, counted) =
        run_with(&folder, &[], "audience-sql.yaml", &[("people.sqlite", database.to_str().unwrap())]).await;
    assert_eq!((code, &status["recipients"]["sent"], &counted["recipients_accepted"]), (0, &100.into(), &100.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_that_writes_back_names_its_broadcast_for_the_hundred_it_has_reached() {
    let folder = tempfile::tempdir().unwrap();
    let database = people_database(&folder).await;
    let options = SqliteConnectOptions::new().filename(&database);
    options.connect().await.unwrap().execute("ALTER TABLE people ADD COLUMN last_broadcast TEXT").await.unwrap();
    let (code, status, _) =
        run_with(&folder, &[], "write-back.yaml", &[("people.sqlite", database.to_str().unwrap())]).await;
    assert_eq!((code, &status["recipients"]["sent"], &status["writeBacks"][0]["done"]), (0, &100.into(), &100.into()));
    let count = "SELECT count(*) FROM people WHERE last_broadcast = 'back-on-monday'";
    let written: i64 = sqlx::query_scalar(count).fetch_one(&mut options.connect().await.unwrap()).await.unwrap();
    assert_eq!(written, 100);
}

/// As the commands in the comments fill it: every column is text.
async fn people_database(folder: &tempfile::TempDir) -> PathBuf {
    let database = folder.path().join("people.sqlite");
    let mut connection =
        SqliteConnectOptions::new().filename(&database).create_if_missing(true).connect().await.unwrap();
    for (table, file) in [("people", "people.csv"), ("opted_out", "opted-out.csv")] {
        let mut rows = csv::Reader::from_path(root().join("examples").join(file)).unwrap();
        let columns: Vec<String> = rows.headers().unwrap().iter().map(|name| format!("{name} TEXT")).collect();
        let create = format!("CREATE TABLE {table} ({})", columns.join(", "));
        connection.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.unwrap();
        let insert = format!("INSERT INTO {table} VALUES ({})", vec!["?"; columns.len()].join(", "));
        for row in rows.records() {
            let row = row.unwrap();
            let statement =
                row.iter().fold(sqlx::query(AssertSqlSafe(insert.clone())), |query, cell| query.bind(cell.to_owned()));
            statement.execute(&mut connection).await.unwrap();
        }
    }
    connection.close().await.unwrap();
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_that_tells_an_endpoint_is_told_of_start_and_end_with_its_signature() {
    let receiver = Receiver::start(|_, _| 200);
    let folder = tempfile::tempdir().unwrap();
    let others = [("127.0.0.1:8092", receiver.url.trim_start_matches("http://"))];
    let (code, status, _) = run_with(&folder, &[], "notifications.yaml", &others).await;
    assert_eq!((code, &status["recipients"]["sent"], &status["notifications"]["delivered"]), (0, &3.into(), &2.into()));
    assert_eq!(receiver.events(), ["BroadcastFinished", "BroadcastStarted"]);
    let secret = "whsec_bm90IGEgc2VjcmV0LCBqdXN0IGFuIGV4YW1wbGU=";
    assert!(receiver.told().iter().all(|told| told.is_signed_by(secret)));
}

#[test]
fn every_document_in_the_documentation_is_admitted() {
    let mut pages: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.push(root().join("README.md"));
    let admission = Admission::new();
    let mut admitted = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for block in text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            let documents: Vec<Value> = serde_saphyr::from_multiple(block)
                .unwrap_or_else(|error| panic!("{}: {error}\n{block}", page.display()));
            // A piece of a document has no kind; Secrets and ConfigMaps are not ours.
            let ours = |document: &&Value| document["apiVersion"] == herald::api::API_VERSION;
            for document in documents.iter().filter(ours) {
                admission.create(document).unwrap_or_else(|error| panic!("{}: {error}\n{block}", page.display()));
                admitted += 1;
            }
        }
    }
    assert!(admitted >= 2, "only {admitted} documents were found");
}
