//! The part of the ledger API that people read: whom it lets in, and that senders and readers keep out of each other's.

use std::sync::Arc;

use herald::ledger::results::{ResultOutcome, ResultsFilter};
use herald::ledger::wire::message::{EXCHANGE, FIGURES, FiguresRequest, RESULTS, ResultsRequest};
use herald::ledger::wire::{NotReadable, Reader, ReaderGate, results_router, router};
use herald::ledger::{BroadcastId, Figures, Ledger, ResultsPage};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::over_the_wire::{Api, ByName};
use super::world::*;

/// A reader's token of these tests is `reader of <broadcast>`; the name of the BroadcastMessage is its number.
struct ByNumber;

impl ReaderGate for ByNumber {
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable> {
        match token.expose_secret().starts_with("reader of ") {
            true => Ok(()),
            false => Err(NotReadable::Unauthorized("no such token".to_owned())),
        }
    }

    async fn admit(&self, token: &SecretString, namespace: &str, name: &str) -> Result<Reader, NotReadable> {
        assert_eq!(namespace, "default");
        let Some(own) = token.expose_secret().strip_prefix("reader of ") else {
            return Err(NotReadable::Unauthorized("no such token".to_owned()));
        };
        match (own, name) {
            ("gone", _) => Err(NotReadable::Gone("deleted".to_owned())),
            ("busy", _) => Err(NotReadable::Unavailable("no API server".to_owned())),
            _ if own != name => Err(NotReadable::Forbidden("it is another's".to_owned())),
            _ => Ok(Reader { broadcast: BroadcastId(name.parse().unwrap()) }),
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
    /// Both parts of the API behind one address, as the operator serves them.
    async fn before(world: &Api) -> Served {
        let ledger = world.ledger.behind();
        let api = router(ledger.clone(), Arc::new(ByName)).merge(results_router(ledger, Arc::new(ByNumber)));
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

    async fn figures(&self, token: &str, of: BroadcastId) -> (u16, Value) {
        let asked = FiguresRequest { namespace: "default".into(), name: of.0.to_string() };
        self.post(FIGURES, Some(token), &serde_json::to_value(asked).unwrap()).await
    }

    async fn results(&self, token: &str, of: BroadcastId) -> (u16, Value) {
        self.post(RESULTS, Some(token), &question(of)).await
    }
}

#[tokio::test]
async fn a_reader_gets_the_figures_of_its_broadcast_and_no_recipient() {
    let world = Api::new().await;
    let own = world.planned(&declaration("own"), 3).await;
    let mut sender = Sender::proven(&world, "sender", own).await;
    let rows = sender.take(&world, 2).await;
    sender.tell(&world, reports(&rows, &accepted())).await;
    let served = Served::before(&world).await;
    let (status, body) = served.figures(&format!("reader of {}", own.0), own).await;
    assert_eq!(status, 200, "{body}");
    assert!(!body.to_string().contains("person-"), "{body}");
    let told: Figures = serde_json::from_value(body).unwrap();
    assert_eq!(told, world.ledger.behind().figures(own).await.unwrap());
    assert_eq!(told.pace.sum().sent, 3);
}

fn question(of: BroadcastId) -> Value {
    let filter = ResultsFilter { outcomes: vec![ResultOutcome::Pending], reason: None };
    serde_json::to_value(ResultsRequest { namespace: "default".into(), name: of.0.to_string(), filter, from: 1 })
        .unwrap()
}

#[tokio::test]
async fn a_reader_gets_the_results_of_its_broadcast() {
    let world = Api::new().await;
    let own = world.planned(&declaration("own"), 3).await;
    let served = Served::before(&world).await;
    let (status, body) = served.results(&format!("reader of {}", own.0), own).await;
    assert_eq!(status, 200, "{body}");
    let page: ResultsPage = serde_json::from_value(body).unwrap();
    let ids: Vec<&str> = page.rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!((ids, page.next), (vec!["person-1", "person-2"], None));
}

#[tokio::test]
async fn whoever_is_no_reader_of_it_gets_nobody() {
    let world = Api::new().await;
    let own = world.planned(&declaration("own"), 3).await;
    let other = world.planned(&declaration("other"), 3).await;
    let served = Served::before(&world).await;
    let reader = format!("reader of {}", own.0);
    for (token, of, status, reason) in [
        (reader.as_str(), other, 403, "Forbidden"),
        ("reader of gone", own, 410, "UnknownBroadcast"),
        ("reader of busy", own, 503, "Unavailable"),
        ("nonsense", own, 401, "Unauthorized"),
    ] {
        let (found, body) = served.results(token, of).await;
        assert_eq!((found, &body["reason"]), (status, &json!(reason)), "{token}: {body}");
        let (found, body) = served.figures(token, of).await;
        assert_eq!((found, &body["reason"]), (status, &json!(reason)), "{token}: {body}");
        assert!(!body.to_string().contains("person-"), "{body}");
    }
    let (status, _) = served.post(RESULTS, None, &question(own)).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn tokens_of_senders_read_no_results_and_those_of_readers_exchange_nothing() {
    let world = Api::new().await;
    let own = world.planned(&declaration("own"), 3).await;
    let served = Served::before(&world).await;
    let (status, body) = served.results(&format!("{}/pod", own.0), own).await;
    assert_eq!(status, 401, "{body}");
    let request = serde_json::to_value(Sender::new("reader", own).request(vec![], 3)).unwrap();
    let (status, body) = served.post(EXCHANGE, Some(&format!("reader of {}", own.0)), &request).await;
    assert_eq!(status, 401, "{body}");
    assert_eq!(world.counts(own).await.pending, 3);
}

#[tokio::test]
async fn a_question_that_does_not_fit_is_refused_without_its_words() {
    let world = Api::new().await;
    let own = world.planned(&declaration("own"), 3).await;
    let served = Served::before(&world).await;
    let token = format!("reader of {}", own.0);
    let mut wrong = question(own);
    wrong["outcomes"] = json!(["a-private-word"]);
    let (status, body) = served.post(RESULTS, Some(&token), &wrong).await;
    assert_eq!(status, 400, "{body}");
    assert!(!body.to_string().contains("private"), "{body}");
    let mut long = question(own);
    long["reason"] = json!("x".repeat(20_000));
    assert_eq!(served.post(RESULTS, Some(&token), &long).await.0, 413);
    let get = served.client.get(format!("{}{RESULTS}", served.url)).send().await.unwrap();
    assert_eq!(get.status(), 404);
}
