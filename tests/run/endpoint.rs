//! `herald run` against an endpoint that checks signatures, as its user would write one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use herald::provider::standard_webhooks::WEBHOOK_ID;
use http::{HeaderMap, HeaderName, HeaderValue};
use standardwebhooks::Webhook;

use super::run_support::Stage;

const OLD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const NEW_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// One request: the id of its message, and its body.
type Seen = (String, String);

/// Takes what is signed with the secret, each second time; answers 401 to what is not.
struct Endpoint {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Endpoint {
    fn start(secret: &'static str) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = seen.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(&connection, secret, &shared));
            }
        });
        Endpoint { url, seen }
    }

    /// How often each message came, and with which body.
    fn messages(&self) -> BTreeMap<String, Vec<String>> {
        let mut messages = BTreeMap::new();
        for (id, body) in self.seen.lock().unwrap().iter() {
            messages.entry(id.clone()).or_insert_with(Vec::new).push(body.clone());
        }
        messages
    }
}

/// Answers until the client goes away.
fn serve(connection: &TcpStream, secret: &str, seen: &Mutex<Vec<Seen>>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut headers = HeaderMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let length = headers["content-length"].to_str().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let status = match Webhook::new(secret).unwrap().verify(&body, &headers) {
            Err(_) => "401 Unauthorized",
            Ok(()) => {
                let id = headers[WEBHOOK_ID].to_str().unwrap().to_owned();
                let mut seen = seen.lock().unwrap();
                let is_first = seen.iter().all(|(known, _)| *known != id);
                seen.push((id, String::from_utf8(body).unwrap()));
                if is_first { "503 Service Unavailable" } else { "204 No Content" }
            }
        };
        let length = if status.starts_with("204") { "" } else { "content-length: 0\r\n" };
        (&mut &*connection).write_all(format!("HTTP/1.1 {status}\r\n{length}\r\n").as_bytes()).ok()?;
    }
}

fn stage(url: &str, signing_secret: &str) -> Stage {
    let stage = Stage::open(&[]);
    stage.write(
        "run.yaml",
        format!(
            "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: gate}}\nspec:\n  http:\n    url: \
             {url}/hook\n    signing: StandardWebhooks\n    body: '{{\"to\": {{{{ id }}}}, \"name\": {{{{ \
             vars.name | default(\"you\") }}}}}}'\n    response: {{statuses: [{{statuses: [\"503\"], class: \
             Transient}}, {{statuses: [\"401\"], class: Auth}}]}}\n  credentialsSecretRef: {{name: gate}}\n  rate: \
             {{messages: 20}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: gate}}\nstringData:\n  \
             signingSecret: {signing_secret}\n---\napiVersion: herald.dev/v1alpha1\nkind: BroadcastMessage\nmetadata: \
             {{name: sale}}\nspec:\n  channelRef: {{name: gate}}\n  audience:\n    recipients: [{{id: a, vars: {{name: \
             Zoë \"Z\"}}}}, {{id: b}}]\n  content: {{text: Hello}}\n  delivery: {{retry: {{initialBackoffSeconds: 1, maxBackoffSeconds: 1}}}}\n"
        ),
    );
    stage
}

#[test]
fn a_message_keeps_its_id_over_its_attempts_and_either_key_of_a_change_verifies_it() {
    for secret in [OLD_SECRET, NEW_SECRET] {
        let endpoint = Endpoint::start(secret);
        let stage = stage(&endpoint.url, &format!("{NEW_SECRET} {OLD_SECRET}"));
        stage.run(&[]).exits(0);
        let messages = endpoint.messages();
        assert_eq!(messages.len(), 2, "{messages:?}");
        let mut bodies: Vec<_> =
            messages.values().map(|bodies| (bodies[0].as_str(), bodies[1] == bodies[0], bodies.len())).collect();
        bodies.sort();
        assert_eq!(
            bodies,
            [(r#"{"to": "a", "name": "Zoë \"Z\""}"#, true, 2), (r#"{"to": "b", "name": "you"}"#, true, 2)]
        );
    }
}

#[test]
fn an_endpoint_that_knows_another_key_stops_the_account() {
    let endpoint = Endpoint::start(OLD_SECRET);
    let stage = stage(&endpoint.url, NEW_SECRET);
    let finished = stage.run(&[]);
    assert!(!finished.stderr.contains("whsec_"), "{}", finished.stderr);
    finished.exits(4);
    assert!(endpoint.messages().is_empty());
}

#[test]
fn a_recipient_that_lacks_what_the_channel_needs_refuses_the_plan() {
    let endpoint = Endpoint::start(OLD_SECRET);
    let stage = stage(&endpoint.url, OLD_SECRET);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    stage.write("run.yaml", text.replace(" | default(\"you\")", ""));
    let finished = stage.run(&[]);
    assert!(finished.stderr.contains("http.body: the recipient lacks vars.name"), "{}", finished.stderr);
    assert!(endpoint.messages().is_empty());
}
