//! A server on loopback that answers each request with bytes of a script, for the tests of this room.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Path and query.
    pub target: String,
    /// As they came, with names in lower case.
    pub headers: Vec<(String, String)>,
}

/// Answers until the test ends. Each connection carries one request.
pub struct ScriptedServer {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// The bytes of an answer; `Stall` keeps the connection open without a word.
pub enum Answer {
    Bytes(Vec<u8>),
    /// These, and then silence.
    Stall(Vec<u8>),
}

impl ScriptedServer {
    /// `answer` gets the request and how many came before it.
    pub fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> ScriptedServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (asked, answer) = (kept.clone(), answer.clone());
                thread::spawn(move || serve(connection, &asked, answer.as_ref()));
            }
        });
        ScriptedServer { address, asked }
    }

    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.target).collect()
    }
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn serve(connection: TcpStream, asked: &Mutex<Vec<Asked>>, answer: &(dyn Fn(&Asked, usize) -> Answer + Sync)) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let request = Asked { target, headers };
    let before = {
        let mut asked = asked.lock().unwrap();
        asked.push(request.clone());
        asked.len() - 1
    };
    let mut connection = connection;
    match answer(&request, before) {
        // The client may have had enough before the end.
        Answer::Bytes(bytes) => drop(connection.write_all(&bytes)),
        Answer::Stall(bytes) => {
            let _ = connection.write_all(&bytes);
            let _ = connection.flush();
            // Ends when the client closes it.
            let _ = std::io::Read::read(&mut connection, &mut [0]);
        }
    }
}

/// An answer with these further header lines, each `name: value`, and this body.
pub fn answer(status: &str, headers: &[String], body: &str) -> Answer {
    Answer::Bytes(head(status, headers, body.len(), body))
}

/// An answer that breaks off: it announces more than it holds.
pub fn broken(headers: &[String], body: &str) -> Answer {
    Answer::Bytes(head("200 OK", headers, body.len() + 1_000, body))
}

/// The bytes of an answer that announces so many bytes.
pub fn head(status: &str, headers: &[String], length: usize, body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// What the client needs to be made in a test.
#[cfg(test)]
pub fn with_tls_provider() {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
