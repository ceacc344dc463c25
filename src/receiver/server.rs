//! Sockets in front of the router. Whoever reaches the port can open connections, so they are bounded in number and in what
//! they may take their time with, and nobody keeps others out by them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::places::{Place, Places};

/// The most connections at once: providers call with some dozens. For a further one that is closed whose last request is
/// longest ago, unless a call of the provider is in work on it.
const MAX_CONNECTIONS: usize = 256;
/// So long the head of a request may take, on a connection that is kept open as well.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// So long calls that were taken are answered after the end was asked for: longer than the ledger may take.
const DRAIN: Duration = Duration::from_secs(16);

/// Serves until `stop` becomes true; what was taken by then is answered.
pub async fn serve(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    let places = Places::new(MAX_CONNECTIONS);
    let mut connections = JoinSet::new();
    let mut stopping = std::pin::pin!(stopped(stop.clone()));
    loop {
        tokio::select! {
            () = &mut stopping => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                // Fewer calls are in work than there are connections, so there is a place.
                Ok((stream, _)) => if let Some(place) = places.take() {
                    connections.spawn(connection(stream, router.clone(), Arc::new(place), stop.clone()));
                },
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

/// An error means that nobody can ask any more, which is an end as well.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn connection(stream: TcpStream, router: Router, place: Arc<Place>, stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        place.renew();
        request.extensions_mut().insert(place.clone());
        router.call(request)
    });
    let served = builder.serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    // An error is a caller that went away.
    tokio::select! {
        _ = served.as_mut() => return,
        () = place.lost() => return,
        () = stopped(stop) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;

    use super::*;

    /// As many connections as there may be, of strangers who send nothing, or not all of a head.
    async fn strangers(address: std::net::SocketAddr) -> Vec<TcpStream> {
        let mut strangers = Vec::new();
        for number in 0..MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                stream.write_all(b"POST /callbacks/a/b HTTP/1.1\r\n").await.unwrap();
            }
            strangers.push(stream);
        }
        strangers
    }

    async fn served(router: Router) -> (std::net::SocketAddr, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, router, stopped));
        (address, stop)
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn strangers_who_open_connections_and_say_nothing_keep_nobody_out() {
        let (address, _stop) = served(Router::new().route("/", get(async || "here"))).await;
        let _strangers = strangers(address).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_call_that_is_in_work_is_answered_however_many_connect_meanwhile() {
        let (begun, mut is_begun) = mpsc::channel(1);
        let (go, goes) = watch::channel(false);
        let work = async move |Extension(place): Extension<Arc<Place>>| {
            let _held = place.hold();
            begun.send(()).await.unwrap();
            stopped(goes.clone()).await;
            "done"
        };
        let (address, _stop) = served(Router::new().route("/", post(work))).await;
        let mut provider = TcpStream::connect(address).await.unwrap();
        provider.write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        is_begun.recv().await.unwrap();
        let mut those = strangers(address).await;
        let mut last = TcpStream::connect(address).await.unwrap();
        // The first of them had to go for it.
        assert_eq!(those[0].read(&mut [0; 1]).await.unwrap_or(0), 0);
        go.send_replace(true);
        assert!(answer(&mut provider).await.ends_with("done"));
        last.shutdown().await.unwrap();
    }
}
