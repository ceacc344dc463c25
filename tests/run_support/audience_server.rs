#![allow(dead_code)] // Each test file uses its own part.

//! A server on loopback that has people: each answer is a function of the request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct AudienceServer {
    pub url: String,
    requests: Arc<AtomicUsize>,
}

pub struct Request {
    /// Path and query.
    pub target: String,
    pub authorization: String,
    /// How many came before it.
    pub number: usize,
}

pub struct Reply {
    status: &'static str,
    kind: &'static str,
    body: String,
    missing: usize,
    stalls: bool,
}

impl Reply {
    pub fn status(status: &'static str) -> Reply {
        Reply { status, kind: "text/plain", body: String::new(), missing: 0, stalls: false }
    }

    /// As a server of files answers that knows no such ending.
    pub fn unnamed(body: String) -> Reply {
        Reply { status: "200 OK", kind: "application/octet-stream", body, missing: 0, stalls: false }
    }

    pub fn csv(body: String) -> Reply {
        Reply { status: "200 OK", kind: "text/csv", body, missing: 0, stalls: false }
    }

    pub fn json(body: String) -> Reply {
        Reply { status: "200 OK", kind: "application/json", body, missing: 0, stalls: false }
    }

    /// Announces more than it holds, and never ends.
    pub fn stalled(body: String) -> Reply {
        Reply { status: "200 OK", kind: "text/plain", body, missing: 1, stalls: true }
    }

    /// Announces more than it holds.
    pub fn broken_off(self) -> Reply {
        Reply { missing: 1, ..self }
    }
}

impl AudienceServer {
    /// Answers until the test ends.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> AudienceServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (counted, answer) = (counted.clone(), answer.clone());
                std::thread::spawn(move || serve(connection, &counted, answer.as_ref()));
            }
        });
        AudienceServer { url, requests }
    }

    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut connection: TcpStream, requests: &AtomicUsize, answer: &dyn Fn(&Request) -> Reply) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut authorization = String::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = value.to_owned();
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let number = requests.fetch_add(1, Ordering::SeqCst);
    let Reply { status, kind, body, missing, stalls } = answer(&Request { target, authorization, number });
    let length = body.len() + missing;
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    // The client may have had enough before the end.
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body.as_bytes()));
    if stalls {
        // Until the client closes it.
        let _ = connection.read(&mut [0]);
    }
}
