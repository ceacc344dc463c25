//! What a provider on this machine sees of the connections to it.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::content::{Extras, Rendered};
use crate::delivery::time::Timestamp;
use crate::provider::http::Http;
use crate::provider::slack::{Slack, SlackAccount};
use crate::provider::telegram::{Telegram, TelegramAccount};
use crate::provider::{Attempt, Message};
use crate::sender::clock::Local;
use crate::sender::flight::Flight;

const SHORT: Duration = Duration::from_millis(300);
const FOR_EVER: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Span = Span::from_secs(20);

/// What has happened to the connections of a provider.
#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    closed: AtomicUsize,
    requests: AtomicUsize,
}

impl Seen {
    fn counts(&self) -> (usize, usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        (count(&self.opened), count(&self.closed), count(&self.requests))
    }

    /// Waits until so many were opened and closed, and so many requests came.
    async fn come_to(&self, opened: usize, closed: usize, requests: usize) {
        self.come(|counts| counts == (opened, closed, requests)).await;
    }

    async fn come(&self, to: impl Fn((usize, usize, usize)) -> bool) {
        let come = async {
            while !to(self.counts()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, come).await;
        assert!(came.is_ok(), "{:?} were opened, closed, requested", self.counts());
    }
}

/// A provider that takes every message, and closes a connection that is silent at first for longer than it may be.
async fn provider(silent_for: Duration) -> (Http, Arc<Seen>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/send", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let seen_by_it = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, seen_by_it.clone(), silent_for));
        }
    });
    (endpoint(&url), seen)
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>, silent_for: Duration) {
    seen.opened.fetch_add(1, Ordering::SeqCst);
    let mut buffer = [0; 4096];
    let mut limit = silent_for;
    while let Ok(Ok(read)) = tokio::time::timeout(limit, stream.read(&mut buffer)).await
        && read > 0
    {
        seen.requests.fetch_add(1, Ordering::SeqCst);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        limit = FOR_EVER;
    }
    drop(stream);
    seen.closed.fetch_add(1, Ordering::SeqCst);
}

const ATTEMPT: Attempt<'static> = Attempt { correlation: "1:1:1:0", message_id: "msg_1_1", at: Timestamp::EPOCH };

fn endpoint(url: &str) -> Http {
    Http::new(&serde_json::from_value(serde_json::json!({ "url": url })).unwrap(), Default::default()).unwrap()
}

fn rendered() -> Rendered {
    Rendered { text: "Hello".into(), extras: Extras::None, attachments: Vec::new(), parts: 1 }
}

fn request(provider: &dyn Provider) -> http::Request<Bytes> {
    let rendered = rendered();
    let vars = Default::default();
    let message = Message::of("1", &rendered.part(0).unwrap(), &vars, ATTEMPT);
    provider.encode(&message).unwrap()
}

async fn send(transport: &Transport, provider: &Http) -> Outcome {
    transport.attempt(provider, request(provider), REQUEST_TIMEOUT, None).await.outcome
}

fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: None }
}

#[tokio::test]
async fn connections_are_opened_without_a_request_and_messages_go_through_them() {
    let (provider, seen) = provider(FOR_EVER).await;
    let transport = Transport::new(provider.endpoint()).unwrap();
    transport.open(3).await;
    seen.come_to(3, 0, 0).await;
    let sent = futures::future::join_all((0..4).map(|_| send(&transport, &provider))).await;
    assert_eq!(sent, [accepted(), accepted(), accepted(), accepted()]);
    seen.come_to(4, 0, 4).await;
}

#[tokio::test]
async fn idle_connections_are_closed_and_none_is_used_after_its_time() {
    let (provider, seen) = provider(FOR_EVER).await;
    let transport = Transport::with_idle_limit(provider.endpoint(), SHORT).unwrap();
    transport.open(2).await;
    assert_eq!(send(&transport, &provider).await, accepted());
    seen.come_to(2, 0, 1).await;
    // The one that a message went through, and the one that none did.
    seen.come_to(2, 2, 1).await;
    assert_eq!(send(&transport, &provider).await, accepted());
    assert_eq!(seen.counts().0, 3);
}

#[tokio::test]
async fn the_limit_is_fifteen_seconds() {
    let (provider, seen) = provider(FOR_EVER).await;
    let transport = Transport::new(provider.endpoint()).unwrap();
    transport.open(2).await;
    assert_eq!(send(&transport, &provider).await, accepted());
    let before = tokio::time::Instant::now();
    seen.come(|(_, closed, _)| closed > 0).await;
    assert!(before.elapsed() >= IDLE_TIMEOUT - SHORT, "closed after {:?}", before.elapsed());
    // The pool of the client looks for idle ones less often, but takes none that has had its time.
    assert_eq!(send(&transport, &provider).await, accepted());
    assert_eq!(seen.counts().0, 3);
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_before_a_message_makes_nobody_unknown() {
    let (provider, seen) = provider(SHORT).await;
    let transport = Transport::new(provider.endpoint()).unwrap();
    transport.open(3).await;
    seen.come_to(3, 3, 0).await;
    assert_eq!(send(&transport, &provider).await, accepted());
    seen.come_to(4, 3, 1).await;
}

#[tokio::test]
async fn a_provider_that_cannot_be_connected_to_is_tried_once_and_not_for_every_connection() {
    let (plain, seen) = provider(SHORT).await;
    // It does not answer handshakes.
    let url = plain.endpoint().to_string().replace("http:", "https:");
    let provider = endpoint(&url);
    let transport = Transport::new(provider.endpoint()).unwrap();
    transport.open(100).await;
    assert_eq!(seen.counts().0, 1);
    assert!(matches!(send(&transport, &provider).await, Outcome::NotSent { .. }));
}

#[tokio::test]
async fn a_name_that_is_not_looked_up_is_told_in_words_for_people() {
    let provider = endpoint("http://canary.invalid/send");
    let Outcome::NotSent { fault } = send(&Transport::new(provider.endpoint()).unwrap(), &provider).await else {
        panic!("there is no such name");
    };
    // Without a way to a resolver nobody knows whether there is such a name.
    let told = ["the name of its host is not found", "the name of its host cannot be looked up"];
    assert!(told.contains(&fault.message.as_str()), "{fault}");
}

#[test]
fn only_a_name_that_does_not_exist_is_called_not_found() {
    let told = |words: &str| not_looked_up(Some(&std::io::Error::other(words.to_owned())));
    let glibc = "failed to lookup address information: ";
    for (words, found) in [
        ("no records found for Query { name: Name(\"cdn.exmaple.\"), query_type: A, query_class: IN }", "is not found"),
        ("Name or service not known", "is not found"),
        ("No address associated with hostname", "is not found"),
        ("Temporary failure in name resolution", "cannot be looked up"),
        ("Non-recoverable failure in name resolution", "cannot be looked up"),
    ] {
        assert_eq!(told(&format!("{glibc}{words}")), format!("the name of its host {found}"), "{words}");
    }
    assert_eq!(not_looked_up(None), "the name of its host cannot be looked up");
}

#[tokio::test]
async fn a_request_for_another_provider_is_not_sent_through_these_connections() {
    let (one, seen) = provider(FOR_EVER).await;
    let (other, _) = provider(FOR_EVER).await;
    let transport = Transport::new(one.endpoint()).unwrap();
    transport.open(1).await;
    assert!(matches!(send(&transport, &other).await, Outcome::NotSent { .. }));
    assert_eq!(seen.counts().2, 0);
}

#[tokio::test]
async fn a_request_that_is_late_at_the_last_moment_is_not_begun() {
    let (provider, seen) = provider(FOR_EVER).await;
    let transport = Transport::new(provider.endpoint()).unwrap();
    let provider = Arc::new(provider);
    let flight = |start_by| Flight {
        provider: provider.clone(),
        transport: transport.clone(),
        request: request(provider.as_ref()),
        request_timeout: REQUEST_TIMEOUT,
        start_by,
        by_link: None,
    };
    let now = Local::now();
    assert_eq!(flight(Local(now.0 - Span(1))).fly().await.outcome, Outcome::NotBegun);
    assert_eq!(seen.counts(), (0, 0, 0));
    assert_eq!(flight(now + Span::from_secs(60)).fly().await.outcome, accepted());
    assert_eq!(seen.counts(), (1, 0, 1));
}

/// A Slack that gives these answers in turn, each on a connection of its own; and the paths that it was asked for.
async fn slack(answers: Vec<&'static str>) -> (Arc<Slack>, Arc<Mutex<Vec<String>>>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asked_by_now = asked.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
            asked_by_now.lock().unwrap().push(head.split(' ').nth(1).unwrap().to_owned());
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        }
    });
    let account = SlackAccount { base_url, team_id: "T1".into(), bot_token: SecretString::from("xoxb-1") };
    (Arc::new(Slack::new(account).unwrap()), asked)
}

#[tokio::test]
async fn nobody_is_messaged_before_the_provider_has_told_that_the_credentials_are_the_accounts_own() {
    let taken = r#"{"ok":true,"channel":"1","ts":"1.0"}"#;
    let answers = vec![r#"{"ok":true,"team_id":"T2"}"#, r#"{"ok":true,"team_id":"T1"}"#, taken, taken];
    let (slack, asked) = slack(answers).await;
    let transport = Transport::new(slack.endpoint()).unwrap();
    let fly = async || {
        let request = request(slack.as_ref());
        let (provider, transport) = (slack.clone(), transport.clone());
        let start_by = Local::now() + Span::from_secs(60);
        Flight { provider, transport, request, request_timeout: REQUEST_TIMEOUT, start_by, by_link: None }
            .fly()
            .await
            .outcome
    };
    let Outcome::Auth { fault } = fly().await else { panic!("a token of another workspace") };
    assert_eq!(fault.reason, "WrongWorkspace");
    // Asked again: the token may be another one by now.
    assert_eq!(fly().await, Outcome::NotBegun, "its slot went by with the question");
    for _ in 0..2 {
        assert_eq!(fly().await, Outcome::Accepted { provider_id: Some("1:1.0".into()) });
    }
    let (question, message) = ("/api/auth.test", "/api/chat.postMessage");
    assert_eq!(*asked.lock().unwrap(), [question, question, message, message]);
}

#[tokio::test]
async fn who_cannot_be_asked_whose_the_credentials_are_is_sent_nothing() {
    let (slack, _) = slack(Vec::new()).await;
    // The server ends at once: nobody answers there.
    let transport = Transport::new(slack.endpoint()).unwrap();
    let asked = async || transport.identify(slack.as_ref(), Span::from_secs(1)).await;
    for _ in 0..2 {
        assert!(matches!(asked().await, Some(Outcome::NotSent { .. })));
    }
}

#[test]
fn this_machine_is_known_by_its_names_and_addresses() {
    for host in ["localhost", "127.0.0.1", "127.8.9.10", "[::1]", "::1"] {
        assert!(is_on_this_machine(host), "{host}");
    }
    for host in ["graph.facebook.com", "localhost.example.com", "10.0.0.1", "[::2]", "0.0.0.0", ""] {
        assert!(!is_on_this_machine(host), "{host}");
    }
}

/// Telegram's token stands in the path of each request, so every word about one must do without it.
#[tokio::test]
async fn no_fault_of_a_request_holds_the_token_of_its_path() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
        b"no HTTP\r\n\r\n",
    ];
    let telegram = Telegram::new(TelegramAccount {
        bot_id: "123".into(),
        base_url: format!("http://{address}"),
        bot_token: SecretString::from("123:canary"),
        allow_paid_broadcast: false,
    })
    .unwrap();
    let transport = Transport::new(telegram.endpoint()).unwrap();
    let rendered = rendered();
    let attempt = async || {
        let vars = Default::default();
        let request = telegram.encode(&Message::of("1", &rendered.part(0).unwrap(), &vars, ATTEMPT)).unwrap();
        assert!(request.uri().path().contains("canary"));
        transport.attempt(&telegram, request, REQUEST_TIMEOUT, None).await.outcome
    };
    for answer in answers {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await.unwrap();
            stream.write_all(answer).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(attempt(), serve);
        assert!(
            matches!(outcome, Outcome::Unknown { .. }) && !format!("{outcome:?}").contains("canary"),
            "{outcome:?}"
        );
    }
    drop(listener);
    let outcome = attempt().await;
    assert!(matches!(outcome, Outcome::NotSent { .. }) && !format!("{outcome:?}").contains("canary"), "{outcome:?}");
}
