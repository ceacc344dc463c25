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
    /// Leads there instead of giving anything.
    location: Option<String>,
    /// Its length is not said.
    chunked: bool,
}

impl Reply {
    pub fn file(kind: &'static str, body: impl Into<String>) -> Reply {
        let body = body.into();
        Reply { status: "200 OK", kind, body, missing: 0, stalls: false, location: None, chunked: false }
    }

    pub fn status(status: &'static str) -> Reply {
        Reply { status, ..Reply::file("text/plain", "") }
    }

    /// As a server of files answers that knows no such ending.
    pub fn unnamed(body: String) -> Reply {
        Reply::file("application/octet-stream", body)
    }

    pub fn csv(body: String) -> Reply {
        Reply::file("text/csv", body)
    }

    pub fn json(body: String) -> Reply {
        Reply::file("application/json", body)
    }

    /// Announces more than it holds, and never ends.
    pub fn stalled(body: String) -> Reply {
        Reply { missing: 1, stalls: true, ..Reply::file("text/plain", body) }
    }

    pub fn redirect(location: &str) -> Reply {
        Reply { location: Some(location.to_owned()), ..Reply::status("302 Found") }
    }

    /// In one chunk, so that its length is not known beforehand.
    pub fn chunked(self) -> Reply {
        Reply { chunked: true, ..self }
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
    let Reply { status, kind, body, missing, stalls, location, chunked } =
        answer(&Request { target, authorization, number });
    let length = body.len() + missing;
    let (length, body) = match chunked {
        true => ("transfer-encoding: chunked".to_owned(), format!("{length:x}\r\n{body}\r\n0\r\n\r\n")),
        false => (format!("content-length: {length}"), body),
    };
    let location = location.map_or(String::new(), |location| format!("location: {location}\r\n"));
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{location}content-type: {kind}\r\n{length}\r\n\r\n");
    // The client may have had enough before the end.
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body.as_bytes()));
    if stalls {
        // Until the client closes it.
        let _ = connection.read(&mut [0]);
    }
}
