#![allow(dead_code)] // Each test file uses its own part.

//! An endpoint that verifies what it is told with the reference implementation of Standard Webhooks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use standardwebhooks::Webhook;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Told {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What it was answered.
    pub status: u16,
}

pub struct Receiver {
    pub url: String,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    /// `answer` says the status for a path and how many requests came before.
    pub fn start(answer: impl Fn(&str, usize) -> u16 + Send + Sync + 'static) -> Receiver {
        Receiver::start_at("127.0.0.1", answer)
    }

    /// At an address of this machine that others reach.
    pub fn start_at(address: &str, answer: impl Fn(&str, usize) -> u16 + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let (came, kept, answer) = (Arc::new(AtomicUsize::new(0)), told.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (came, kept, answer) = (came.clone(), kept.clone(), answer.clone());
                std::thread::spawn(move || serve(connection, &came, &kept, answer.as_ref()));
            }
        });
        Receiver { url, told }
    }

    /// Every request that was answered so far.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Those that it took.
    pub fn taken(&self) -> Vec<Told> {
        self.told().into_iter().filter(|told| told.status == 200).collect()
    }

    /// The types of the events it took, sorted; each id was taken once.
    pub fn events(&self) -> Vec<String> {
        let taken = self.taken();
        let mut ids: Vec<String> = taken.iter().map(Told::id).collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id was taken twice: {ids:?}");
        let mut events: Vec<String> =
            taken.iter().map(|told| told.json()["type"].as_str().unwrap().to_owned()).collect();
        events.sort();
        events
    }
}

impl Told {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether a receiver that knows this secret takes it.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(&self.body, &self.headers).is_ok()
    }

    /// Whether a receiver that knows this public key of Ed25519, and no secret, takes it. The reference implementation in Rust
    /// verifies no such signatures, so what is signed is put together here as the specification says it.
    pub fn is_signed_for(&self, public_key: &str) -> bool {
        let signed = [format!("{}.{}.", self.id(), self.header("webhook-timestamp")).as_bytes(), &self.body].concat();
        let key = UnparsedPublicKey::new(&ED25519, STANDARD.decode(public_key).unwrap());
        let signatures = self.header("webhook-signature").split(' ').filter_map(|one| one.strip_prefix("v1a,"));
        signatures.map(|one| STANDARD.decode(one).unwrap()).any(|one| key.verify(&signed, &one).is_ok())
    }
}

fn serve(mut connection: TcpStream, came: &AtomicUsize, kept: &Mutex<Vec<Told>>, answer: &dyn Fn(&str, usize) -> u16) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let length = headers["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let status = answer(&path, came.fetch_add(1, Ordering::SeqCst));
    kept.lock().unwrap().push(Told { path, headers, body, status });
    let text = format!("HTTP/1.1 {status} As Said\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    // The client may be gone by now.
    let _ = connection.write_all(text.as_bytes());
}
