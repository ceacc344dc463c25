//! From the plugin's flags to the contacts of a ledger and back, through TLS, with the ledger API that the operator serves.
#![cfg(test)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::contacts::run_with;
use super::failure::PluginError;
use super::ledger_access::{LedgerAccess, Purpose};
use super::options::{Cli, Command};
use super::results_tests::{CONFIG_MAP, Loopback, NAME, certificates, listen};
use crate::controller::fake_cluster::FakeCluster;
use crate::delivery::time::Timestamp;
use crate::ledger::clock::ManualClock;
use crate::ledger::contacts::{ContactsFilter, MAX_CONTACTS};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::wire::{ContactsAccess, ContactsGate, NotReadable, contacts_router};
use crate::ledger::{AccountKey, Contacts};

const TOKEN: &str = "/api/v1/namespaces/marketing/serviceaccounts/herald-contacts/token";

/// Lets in who brings the last token that the cluster made: to change `page`, to read `shown`.
struct LastToken {
    cluster: FakeCluster,
    admitted: AtomicUsize,
}

impl ContactsGate for LastToken {
    fn glance(&self, _: &SecretString) -> Result<(), NotReadable> {
        Ok(())
    }

    async fn admit(
        &self,
        token: &SecretString,
        namespace: &str,
        channel: &str,
        access: ContactsAccess,
    ) -> Result<AccountKey, NotReadable> {
        assert_eq!(namespace, "marketing");
        self.admitted.fetch_add(1, Ordering::SeqCst);
        let made = self.cluster.count(&Method::POST, TOKEN);
        assert_eq!(token.expose_secret(), format!("token-{made}"));
        match (channel, access) {
            ("page", _) | ("shown", ContactsAccess::Read) => Ok(account()),
            _ => Err(NotReadable::Forbidden("somebody may not update it".to_owned())),
        }
    }
}

fn account() -> AccountKey {
    let [namespace, provider, account, host] = ["marketing", "http", "a", "127.0.0.1"].map(str::to_owned);
    AccountKey { namespace, provider, account, host }
}

struct World {
    cluster: FakeCluster,
    ledger: Arc<SqliteLedger>,
    gate: Arc<LastToken>,
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
}

impl World {
    /// Each connection lives for so many answers.
    async fn new(answers_per_connection: usize) -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let ledger = Arc::new(SqliteLedger::in_memory(clock).await.unwrap());
        let cluster = FakeCluster::default();
        cluster.issue_tokens(TOKEN);
        let (authority, acceptor) = certificates(NAME);
        cluster.put(CONFIG_MAP, json!({"data": {"ca.crt": authority, "server-name": NAME}}));
        let gate = Arc::new(LastToken { cluster: cluster.clone(), admitted: AtomicUsize::new(0) });
        let api = contacts_router(ledger.clone(), gate.clone());
        let (address, connections) = listen(api, acceptor, answers_per_connection).await;
        World { cluster, ledger, gate, address, connections, folder: tempfile::tempdir().unwrap() }
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, PluginError> {
        let arguments = ["kubectl-broadcast", "contacts"].iter().chain(arguments);
        let Command::Contacts(command) = Cli::try_parse_from(arguments).unwrap().command else { panic!("another") };
        let cluster = Cluster { client: self.cluster.client(), namespace: "marketing".to_owned() };
        let reach = command.access().reach();
        let access = LedgerAccess::new(&cluster, Purpose::Contacts, &reach, Loopback(self.address)).await?;
        let mut out = Vec::new();
        run_with(access, "marketing", &command, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    async fn counts(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().chain(&["--channel", "page", "-o", "json"]).copied().collect();
        serde_json::from_str(&self.run(&arguments).await.unwrap()).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        shown(&path)
    }
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn people(count: usize) -> String {
    let rows = (0..count).map(|number| format!("person-{number:05},vip,Ana\n"));
    std::iter::once("id,tags,first_name\n".to_owned()).chain(rows).collect()
}

#[tokio::test]
async fn contacts_go_in_and_come_out_as_they_were_however_often_the_connection_is_cut() {
    for answers in [usize::MAX, 1] {
        let world = World::new(answers).await;
        let file = world.write("people.csv", &people(2_500));
        let counts = world.counts(&["import", &file]).await;
        assert_eq!((&counts["rows"], &counts["new"], &counts["changed"]), (&json!(2_500), &json!(2_500), &json!(0)));
        let again = world.counts(&["import", &file]).await;
        assert_eq!((&again["new"], &again["unchanged"]), (&json!(0), &json!(2_500)));
        let csv = world.run(&["export", "--channel", "shown"]).await.unwrap();
        let rows: std::collections::BTreeSet<&str> = csv.lines().skip(1).collect();
        assert_eq!(
            (csv.lines().next(), rows.len()),
            (Some("id,tags,opted_out,opted_out_reason,last_active_time,first_name"), 2_500)
        );
        assert!(rows.contains("person-02499,vip,,,,Ana"));
        let exported = world.write("exported.csv", &csv);
        assert_eq!(world.counts(&["import", &exported]).await["unchanged"], 2_500);
        let connections = world.connections.load(Ordering::SeqCst);
        assert_eq!(connections > 4, answers == 1, "{connections}");
    }
}

#[tokio::test]
async fn tags_and_opt_outs_reach_the_account_of_the_channel() {
    let world = World::new(usize::MAX).await;
    assert_eq!(world.counts(&["tag", "1", "2", "--tag", "vip", "--tag", "berlin"]).await["tagsAdded"], 4);
    assert_eq!(world.counts(&["untag", "2", "3", "--tag", "vip"]).await["tagsRemoved"], 1);
    let gone = world.counts(&["opt-out", "1", "9", "--reason", "by letter"]).await;
    assert_eq!(gone, json!({"recipients": 2, "optedOut": 2, "skippedDeliveries": 0}));
    assert_eq!(world.counts(&["opt-in", "9"]).await["optedIn"], 1);
    let filter = ContactsFilter { opted_out: true, ..ContactsFilter::default() };
    let page = world.ledger.contacts_page(&account(), None, &filter).await.unwrap();
    let known: Vec<(&str, usize, Option<&str>)> = page
        .contacts
        .iter()
        .map(|one| (one.recipient.as_str(), one.tags.len(), one.opted_out.as_ref().map(|out| out.reason.as_str())))
        .collect();
    assert_eq!(known, [("1", 2, Some("by letter")), ("2", 1, None), ("9", 0, None)]);
}

#[tokio::test]
async fn who_may_not_is_told_which_right_is_missing() {
    let world = World::new(usize::MAX).await;
    let error = world.run(&["opt-out", "1", "--channel", "shown"]).await.unwrap_err().to_string();
    assert!(error.contains("somebody may not update it") && error.contains("--verb=get,update"), "{error}");
    assert!(error.contains("create rolebinding herald-contacts"), "{error}");
    world.cluster.refuse(Method::POST, TOKEN, 404, "NotFound", "no such account");
    let error = world.run(&["export", "--channel", "page"]).await.unwrap_err().to_string();
    assert!(error.contains("no service account herald-contacts in the namespace marketing"), "{error}");
}

#[tokio::test]
async fn what_is_refused_asks_the_operator_nothing() {
    let world = World::new(usize::MAX).await;
    let file = world.write("people.csv", &format!("{},vip,Bo\n", people(MAX_CONTACTS)));
    let error = world.run(&["import", &file, "--channel", "page"]).await.unwrap_err().to_string();
    assert!(error.contains("people.csv line 1002") && error.contains("nothing was changed"), "{error}");
    for channel in ["../x", "a/b", "", "page?x"] {
        let error = world.run(&["opt-in", "1", "--channel", channel]).await.unwrap_err().to_string();
        assert!(error.contains("has such a name"), "{channel}: {error}");
    }
    assert_eq!(world.gate.admitted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_the_ledger_refuses_is_told_once_and_how_far_it_got() {
    let world = World::new(usize::MAX).await;
    let many: Vec<String> = (0..256).map(|number| format!("t{number}")).collect();
    let last = format!("person-{:05}", MAX_CONTACTS);
    world.ledger.tag(&account(), &[last], &many).await.unwrap();
    let file = world.write("people.csv", &people(MAX_CONTACTS + 1));
    let error = world.run(&["import", &file, "--channel", "page"]).await.unwrap_err().to_string();
    assert!(error.contains("more than 256 tags") && error.contains("1000 recipients were done before"), "{error}");
    assert_eq!(world.gate.admitted.load(Ordering::SeqCst), 2, "an answer for good is not asked for again");
}
