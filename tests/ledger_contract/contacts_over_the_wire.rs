//! The part of the ledger API by which people read and change contacts: whom it lets in, and to what.

use std::sync::Arc;

use herald::ledger::contacts::{ContactsPage, MAX_CONTACTS};
use herald::ledger::wire::message::{ContactsCall, MAX_BODY};
use herald::ledger::wire::{ContactsAccess, ContactsGate, NotReadable, contacts_router, router};
use herald::ledger::{AccountKey, Contacts, ContactsFilter};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::over_the_wire::{Api, ByName};
use super::world::*;

/// Tokens of these tests are `reader` and `editor` of the channel `page` in the namespace `default`.
struct ByRole;

impl ContactsGate for ByRole {
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable> {
        match token.expose_secret() {
            "reader" | "editor" | "busy" => Ok(()),
            _ => Err(NotReadable::Unauthorized("no such token".to_owned())),
        }
    }

    async fn admit(
        &self,
        token: &SecretString,
        namespace: &str,
        channel: &str,
        access: ContactsAccess,
    ) -> Result<AccountKey, NotReadable> {
        match (token.expose_secret(), access) {
            ("busy", _) => Err(NotReadable::Unavailable("no API server".to_owned())),
            ("reader", ContactsAccess::Change) => Err(NotReadable::Forbidden("only to read".to_owned())),
            _ if (namespace, channel) != ("default", "page") => Err(NotReadable::Gone("no such channel".to_owned())),
            _ => Ok(declaration("any").account),
        }
    }
}

struct Served {
    url: String,
    client: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Served {
    async fn before(world: &Api) -> Served {
        let ledger = world.ledger.behind();
        let api = router(ledger.clone(), Arc::new(ByName)).merge(contacts_router(ledger, Arc::new(ByRole)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        Served { url, client: reqwest::Client::builder().no_proxy().build().unwrap(), server }
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
        let mut request = self.client.post(format!("{}{path}", self.url)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn call(&self, token: &str, call: ContactsCall, body: Value) -> (u16, Value) {
        self.post(&call.path("default", "page"), Some(token), &body).await
    }
}

fn bodies() -> Vec<(ContactsCall, Value)> {
    let recipients = json!(["person-1"]);
    vec![
        (ContactsCall::Page, json!({})),
        (ContactsCall::Import, json!({"rows": [{"recipient": "person-1", "vars": {}, "active_at": null, "tags": []}]})),
        (ContactsCall::Tag, json!({"recipients": recipients, "tags": ["vip"]})),
        (ContactsCall::Untag, json!({"recipients": recipients, "tags": ["vip"]})),
        (ContactsCall::OptOut, json!({"recipients": recipients, "reason": "by letter"})),
        (ContactsCall::OptIn, json!({"recipients": recipients})),
    ]
}

#[tokio::test]
async fn an_editor_changes_contacts_and_a_reader_sees_them() {
    let world = Api::new().await;
    let served = Served::before(&world).await;
    let mut answers = Vec::new();
    for (call, body) in bodies() {
        let (status, answer) = served.call("editor", call, body).await;
        assert_eq!(status, 200, "{call:?}: {answer}");
        answers.push(answer);
    }
    assert_eq!(answers[0], json!({"contacts": [], "next": null}));
    assert_eq!(answers[1]["new"], 1);
    assert_eq!((&answers[2]["count"], &answers[3]["count"]), (&json!(1), &json!(1)));
    assert_eq!((&answers[4], &answers[5]["count"]), (&json!({"new": 1, "skipped": 0}), &json!(1)));
    let (status, answer) = served.call("reader", ContactsCall::Page, json!({"after": "person-0"})).await;
    assert_eq!(status, 200, "{answer}");
    let page: ContactsPage = serde_json::from_value(answer).unwrap();
    assert_eq!(page.contacts.iter().map(|one| one.recipient.as_str()).collect::<Vec<_>>(), ["person-1"]);
    let (_, answer) = served.call("reader", ContactsCall::Page, json!({"after": "person-1"})).await;
    assert_eq!(answer["contacts"], json!([]));
    let (_, answer) = served.call("reader", ContactsCall::Page, json!({"filter": {"source": {"tags": ["vip"]}}})).await;
    assert_eq!(answer["contacts"], json!([]));
}

#[tokio::test]
async fn whoever_may_only_read_changes_nothing_and_strangers_read_nothing() {
    let world = Api::new().await;
    let served = Served::before(&world).await;
    let account = declaration("any").account;
    world.ledger.tag(&account, &["person-7".to_owned()], &["vip".to_owned()]).await.unwrap();
    for (call, body) in bodies() {
        let (status, answer) = served.call("reader", call, body.clone()).await;
        assert_eq!(status, if call == ContactsCall::Page { 200 } else { 403 }, "{call:?}: {answer}");
        for (token, path, wanted, reason) in [
            (Some("nonsense"), call.path("default", "page"), 401, "Unauthorized"),
            (Some("1/pod"), call.path("default", "page"), 401, "Unauthorized"),
            (None, call.path("default", "page"), 401, "Unauthorized"),
            (Some("busy"), call.path("default", "page"), 503, "Unavailable"),
            (Some("editor"), call.path("default", "other"), 410, "UnknownBroadcast"),
            (Some("editor"), call.path("other", "page"), 410, "UnknownBroadcast"),
        ] {
            let (status, answer) = served.post(&path, token, &body).await;
            assert_eq!((status, &answer["reason"]), (wanted, &json!(reason)), "{call:?} {token:?}: {answer}");
            assert!(!answer.to_string().contains("person-"), "{answer}");
        }
    }
    let page = world.ledger.contacts_page(&account, None, &ContactsFilter::default()).await.unwrap();
    assert_eq!(page.contacts.len(), 1);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_without_its_words() {
    let world = Api::new().await;
    let served = Served::before(&world).await;
    let (status, answer) = served.call("editor", ContactsCall::Tag, json!({"recipients": {"a": "private"}})).await;
    assert_eq!((status, &answer["reason"]), (400, &json!("RequestRefused")), "{answer}");
    assert!(!answer.to_string().contains("private"), "{answer}");
    let (status, answer) =
        served.call("editor", ContactsCall::Tag, json!({"recipients": ["private "], "tags": ["vip"]})).await;
    assert_eq!((status, &answer["reason"]), (409, &json!("ContactInvalid")), "{answer}");
    assert!(!answer.to_string().contains("private"), "{answer}");
    let many: Vec<String> = (0..=MAX_CONTACTS).map(|number| number.to_string()).collect();
    let (status, answer) = served.call("editor", ContactsCall::OptIn, json!({"recipients": many})).await;
    assert_eq!((status, &answer["reason"]), (409, &json!("RequestTooLarge")), "{answer}");
    let long = json!({"after": "x".repeat(20_000)});
    assert_eq!(served.call("reader", ContactsCall::Page, long).await.0, 413);
    let long = json!({"recipients": ["x".repeat(MAX_BODY)]});
    assert_eq!(served.call("editor", ContactsCall::OptIn, long).await.0, 413);
}

#[tokio::test]
async fn other_paths_and_versions_are_told_from_each_other() {
    let world = Api::new().await;
    let served = Served::before(&world).await;
    let (status, _) = served.post("/v1/contacts/default/page/marry", Some("editor"), &json!({})).await;
    assert_eq!(status, 404);
    let (status, answer) = served.post("/v2/contacts/default/page/page", Some("editor"), &json!({})).await;
    assert_eq!((status, &answer["served"]), (426, &json!("v1")));
    let get = served.client.get(format!("{}{}", served.url, ContactsCall::Page.path("default", "page"))).send().await;
    assert_eq!(get.unwrap().status(), 404);
}
