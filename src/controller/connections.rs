//! How many connections the ledger API holds: whoever reaches its port can open more, and each costs memory and a file.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// All of them: several for each of as many senders as one ledger serves, well below the usual bound of open files.
const MAX_CONNECTIONS: usize = 1_024;
/// Of one address: as many as the pods of a node hold where the network hides them behind it.
const MAX_PER_ADDRESS: usize = 256;

#[derive(Debug)]
struct Places {
    all: usize,
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// Takes connections as long as there is a place for them, and drops the others: who is a sender tries again.
#[derive(Clone, Debug)]
pub struct Bounded(Arc<Places>);

impl Default for Bounded {
    fn default() -> Bounded {
        Bounded::new(MAX_CONNECTIONS, MAX_PER_ADDRESS)
    }
}

impl Bounded {
    fn new(all: usize, per_address: usize) -> Bounded {
        Bounded(Arc::new(Places { all, per_address, taken: Mutex::default() }))
    }

    fn place(&self, address: IpAddr) -> io::Result<Place> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.get(&address).copied().unwrap_or_default();
        if of_address >= self.0.per_address || taken.values().sum::<usize>() >= self.0.all {
            return Err(io::Error::other("too many connections"));
        }
        taken.insert(address, of_address + 1);
        Ok(Place { places: self.0.clone(), address })
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Placed;
    type Service = S;
    type Future = Ready<io::Result<(Placed, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().and_then(|peer| self.place(peer.ip()));
        ready(place.map(|place| (Placed { stream, _place: place }, service)))
    }
}

/// Given back when it is dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = taken.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// A connection that has its place.
#[derive(Debug)]
pub struct Placed {
    stream: TcpStream,
    _place: Place,
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_takes_no_more_than_its_places_and_all_no_more_than_there_are() {
        let bounded = Bounded::new(3, 2);
        let first = bounded.place(address(1)).unwrap();
        let _second = bounded.place(address(1)).unwrap();
        assert!(bounded.place(address(1)).is_err(), "there is a place, but for another");
        let _third = bounded.place(address(2)).unwrap();
        assert!(bounded.place(address(3)).is_err());
        drop(first);
        let _fourth = bounded.place(address(3)).unwrap();
        assert!(bounded.place(address(1)).is_err());
    }

    #[tokio::test]
    async fn a_connection_beyond_the_places_is_dropped_and_one_that_ends_makes_room() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bounded = Bounded::new(1, 1);
        let connect = async || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            (client, bounded.accept(server, ()).await)
        };
        let (_client, first) = connect().await;
        assert!(connect().await.1.is_err());
        drop(first.unwrap());
        assert!(connect().await.1.is_ok());
    }
}
