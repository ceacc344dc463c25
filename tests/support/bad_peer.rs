//! A provider that speaks no proper HTTP: reads requests and answers each with whatever bytes a test wants.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpSocket;

/// Writes an answer; an error ends the connection.
pub type Answer = fn(&mut TcpStream) -> io::Result<()>;

/// Answers until this process ends.
pub struct BadPeer {
    requests: Arc<AtomicUsize>,
}

impl BadPeer {
    /// Listens on a port that [`super::stage::Stage`] keeps.
    pub fn listen(address: SocketAddr, answer: Answer) -> BadPeer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = {
            let _within = runtime.enter();
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address).unwrap();
            socket.listen(64).unwrap().into_std().unwrap()
        };
        listener.set_nonblocking(false).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, counter) = (connection.unwrap(), counter.clone());
                // Ends with its connection, however that does.
                std::thread::spawn(move || serve(connection, answer, &counter));
            }
        });
        BadPeer { requests }
    }

    /// How many requests were read to their end.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut connection: TcpStream, answer: Answer, requests: &AtomicUsize) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line == "\r\n" {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        requests.fetch_add(1, Ordering::SeqCst);
        answer(&mut connection)?;
        connection.flush()?;
    }
}

/// Closes the connection after this answer.
pub fn hang_up() -> io::Result<()> {
    Err(io::Error::other("that was all"))
}
