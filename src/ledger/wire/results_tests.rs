use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::response::IntoResponse;
use futures::future::join_all;
use futures::stream;
use secrecy::{ExposeSecret, SecretString};

use super::super::gatekeeper::Reader;
use super::*;
use crate::delivery::time::Timestamp;
use crate::ledger::BroadcastId;
use crate::ledger::clock::ManualClock;
use crate::ledger::sqlite::SqliteLedger;

const QUESTION: &str = r#"{"namespace": "a", "name": "spring", "outcomes": [], "from": 1}"#;

/// Lets in whoever says `good`, to a broadcast that is not there.
struct Good;

impl ReaderGate for Good {
    fn glance(&self, token: &SecretString) -> Result<(), NotReadable> {
        match token.expose_secret() {
            "good" => Ok(()),
            _ => Err(NotReadable::Unauthorized("no such token".to_owned())),
        }
    }

    async fn admit(&self, _: &SecretString, _: &str, _: &str) -> Result<Reader, NotReadable> {
        Ok(Reader { broadcast: BroadcastId(1) })
    }
}

type Api = Arc<Reading<SqliteLedger, Good>>;

async fn api() -> Api {
    let ledger = Arc::new(SqliteLedger::in_memory(Arc::new(ManualClock::new(Timestamp::EPOCH))).await.unwrap());
    let turns = Turns::new(MAX_READERS, PAGES_AT_ONCE, "questions");
    Arc::new(Reading { ledger, gate: Arc::new(Good), turns })
}

async fn ask(api: Api, token: &str, body: Body) -> StatusCode {
    let request = Request::post(RESULTS)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_LENGTH, QUESTION.len())
        .body(body)
        .unwrap();
    results(State(api), request).await.into_response().status()
}

fn never_sent() -> Body {
    Body::from_stream(stream::pending::<Result<&'static str, std::io::Error>>())
}

#[tokio::test]
async fn whoever_is_slow_to_ask_takes_no_readers_place() {
    let api = api().await;
    let slow = join_all((0..2 * MAX_READERS).map(|_| ask(api.clone(), "good", never_sent())));
    tokio::pin!(slow);
    assert!(futures::poll!(&mut slow).is_pending());
    assert_eq!(ask(api, "good", Body::from(QUESTION)).await, StatusCode::GONE);
    assert!(slow.await.iter().all(|status| *status == StatusCode::SERVICE_UNAVAILABLE));
}

#[tokio::test]
async fn a_token_that_is_none_by_its_own_words_is_refused_before_the_question_is_read() {
    assert_eq!(ask(api().await, "bad", never_sent()).await, StatusCode::UNAUTHORIZED);
}
