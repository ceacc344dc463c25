#![cfg(test)]
//! Calls to the router, with a ledger that keeps what it is told or refuses it.

use std::sync::Mutex;
use std::task::Poll;

use axum::http::{HeaderValue, Method};
use futures::future::BoxFuture;
use ring::hmac;
use secrecy::SecretString;
use tower::ServiceExt as _;

use super::*;
use crate::ledger::clock::ManualClock;
use crate::provider::messenger::callback::MessengerCallbacks;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Kept {
    told: Mutex<Vec<(AccountKey, ProviderEvent)>>,
    is_away: std::sync::atomic::AtomicBool,
}

impl ReceiverLedger for Kept {
    async fn receive(&self, account: &AccountKey, events: &[ProviderEvent]) -> Result<Received, LedgerError> {
        if self.is_away.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(LedgerError::UnknownBroadcast);
        }
        assert!(events.len() <= MAX_EVENTS);
        self.told.lock().unwrap().extend(events.iter().map(|event| (account.clone(), event.clone())));
        Ok(Received::default())
    }
}

fn account() -> AccountKey {
    AccountKey {
        namespace: "marketing".into(),
        provider: "messenger".into(),
        account: "1029".into(),
        host: "graph.facebook.com".into(),
    }
}

struct World {
    ledger: Arc<Kept>,
    router: Router,
    endpoints: watch::Sender<Arc<Endpoints>>,
}

fn world() -> World {
    let verify_token = Some(SecretString::from("ours"));
    let callbacks = MessengerCallbacks::new("1029".into(), SecretString::from(SECRET), verify_token).unwrap();
    let mut endpoints = Endpoints::default();
    endpoints.add("marketing", "acme", Endpoint { account: account(), callbacks: Arc::new(callbacks) });
    let (endpoints, known) = watch::channel(Arc::new(endpoints));
    let ledger = Arc::new(Kept::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_780_000_000)));
    World { router: router(ledger.clone(), clock, known), ledger, endpoints }
}

fn echo(at_ms: i64) -> String {
    format!(
        r#"{{"object":"page","entry":[{{"id":"1029","messaging":[{{"sender":{{"id":"1029"}},"recipient":{{"id":"24"}},"timestamp":{at_ms},"message":{{"is_echo":true,"metadata":"7:42:3:0","mid":"m_1"}}}}]}}]}}"#
    )
}

fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

impl World {
    async fn call(&self, method: Method, uri: &str, signature: Option<&str>, body: &str) -> (StatusCode, String) {
        let mut request = Request::new(Body::from(body.to_owned()));
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().unwrap();
        if let Some(signature) = signature {
            request.headers_mut().insert("x-hub-signature-256", HeaderValue::from_str(signature).unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let text = to_bytes(response.into_body(), MAX_BODY).await.unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    async fn post(&self, uri: &str, signature: Option<&str>, body: &str) -> StatusCode {
        self.call(Method::POST, uri, signature, body).await.0
    }

    fn told(&self) -> usize {
        self.ledger.told.lock().unwrap().len()
    }
}

const HERE: &str = "/callbacks/marketing/acme";

#[tokio::test]
async fn a_call_of_the_provider_reaches_the_ledger_for_its_account() {
    let world = world();
    let body = echo(1_780_000_000_000);
    assert_eq!(world.post(HERE, Some(&signature(&body)), &body).await, StatusCode::OK);
    let told = world.ledger.told.lock().unwrap();
    assert!(matches!(&told[..], [(of, ProviderEvent::Message { .. })] if *of == account()));
}

#[tokio::test]
async fn forged_calls_and_calls_elsewhere_reach_nobody() {
    let world = world();
    let body = echo(1_780_000_000_000);
    let signed = signature(&body);
    assert_eq!(world.post(HERE, None, &body).await, StatusCode::FORBIDDEN);
    assert_eq!(world.post(HERE, Some(&signature("other")), &body).await, StatusCode::FORBIDDEN);
    assert_eq!(world.post(HERE, Some(&signed), &body.replace("24", "25")).await, StatusCode::FORBIDDEN);
    assert_eq!(world.post("/callbacks/marketing/other", Some(&signed), &body).await, StatusCode::NOT_FOUND);
    assert_eq!(world.post("/callbacks/other/acme", Some(&signed), &body).await, StatusCode::NOT_FOUND);
    let long = "x".repeat(MAX_BODY + 1);
    assert_eq!(world.post(HERE, Some(&signature(&long)), &long).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.told(), 0);
}

#[tokio::test]
async fn a_call_with_more_events_than_the_ledger_takes_at_once_is_told_whole() {
    let world = world();
    let mids: Vec<String> = (0..2 * MAX_EVENTS + 1).map(|number| format!("\"m_{number}\"")).collect();
    let body = format!(
        r#"{{"object":"page","entry":[{{"id":"1029","messaging":[{{"sender":{{"id":"24"}},"recipient":{{"id":"1029"}},"delivery":{{"mids":[{}],"watermark":1780000000000}}}}]}}]}}"#,
        mids.join(",")
    );
    assert_eq!(world.post(HERE, Some(&signature(&body)), &body).await, StatusCode::OK);
    assert_eq!(world.told(), mids.len());
}

#[tokio::test]
async fn a_call_is_answered_only_once_the_ledger_has_it() {
    let world = world();
    let body = echo(1_780_000_000_000);
    world.ledger.is_away.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(world.post(HERE, Some(&signature(&body)), &body).await, StatusCode::SERVICE_UNAVAILABLE);
    world.ledger.is_away.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(world.post(HERE, Some(&signature(&body)), &body).await, StatusCode::OK);
    assert_eq!(world.told(), 1);
}

#[tokio::test]
async fn a_call_that_is_repeated_is_answered_and_told_once() {
    let world = world();
    let (first, second) = (echo(1_780_000_000_000), echo(1_780_000_000_001));
    for body in [&first, &first, &second, &first] {
        assert_eq!(world.post(HERE, Some(&signature(body)), body).await, StatusCode::OK);
    }
    assert_eq!(world.told(), 2);
}

#[tokio::test]
async fn an_old_call_that_somebody_kept_tells_nothing() {
    let world = world();
    let body = echo(1_770_000_000_000);
    assert_eq!(world.post(HERE, Some(&signature(&body)), &body).await, StatusCode::OK);
    assert_eq!(world.told(), 0);
}

#[tokio::test]
async fn what_the_provider_signed_and_nobody_understands_is_not_asked_for_again() {
    let world = world();
    assert_eq!(world.post(HERE, Some(&signature("[]")), "[]").await, StatusCode::OK);
    assert_eq!(world.told(), 0);
}

/// A call whose body never ends, polled until it waits for more of it.
async fn endless(world: &World, signature: Option<&str>) -> (BoxFuture<'static, StatusCode>, Poll<StatusCode>) {
    let body = futures::stream::pending::<Result<Bytes, std::convert::Infallible>>();
    let mut request = Request::new(Body::from_stream(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = HERE.parse().unwrap();
    if let Some(signature) = signature {
        request.headers_mut().insert("x-hub-signature-256", HeaderValue::from_str(signature).unwrap());
    }
    let router = world.router.clone();
    let mut call: BoxFuture<'static, _> = Box::pin(async move { router.oneshot(request).await.unwrap().status() });
    let polled = futures::poll!(call.as_mut());
    (call, polled)
}

#[tokio::test]
async fn strangers_who_send_slowly_keep_no_call_of_the_provider_out() {
    let world = world();
    let mut strangers = Vec::new();
    for _ in 0..MAX_READING + MAX_IN_WORK {
        strangers.push(endless(&world, Some(&signature("guessed"))).await.0);
    }
    let body = echo(1_780_000_000_000);
    assert_eq!(world.post(HERE, Some(&signature(&body)), &body).await, StatusCode::OK);
    assert_eq!(world.told(), 1);
    assert_eq!(strangers.remove(0).await, StatusCode::SERVICE_UNAVAILABLE, "its place went to somebody else");
}

#[tokio::test]
async fn a_call_that_is_not_signed_is_refused_before_its_body_is_read() {
    let world = world();
    for bad in [None, Some("sha256="), Some("sha256=00ff"), Some("sha1=00")] {
        assert_eq!(endless(&world, bad).await.1, Poll::Ready(StatusCode::FORBIDDEN), "{bad:?}");
    }
}

#[tokio::test]
async fn the_handshake_gives_the_challenge_to_who_knows_the_token() {
    let world = world();
    let ask = async |token: &str| {
        let uri = format!("{HERE}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        world.call(Method::GET, &uri, None, "").await
    };
    assert_eq!(ask("ours").await, (StatusCode::OK, "1158201444".to_owned()));
    assert_eq!(ask("theirs").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn it_is_ready_once_calls_can_be_verified() {
    let world = world();
    assert_eq!(world.call(Method::GET, "/readyz", None, "").await.0, StatusCode::OK);
    world.endpoints.send_replace(Arc::default());
    assert_eq!(world.call(Method::GET, "/readyz", None, "").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.post(HERE, None, "").await, StatusCode::SERVICE_UNAVAILABLE, "it is to be repeated");
    assert_eq!(world.call(Method::GET, "/livez", None, "").await.0, StatusCode::OK);
}
