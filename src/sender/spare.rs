//! Connections that are opened before anybody needs them.
//!
//! The HTTP client opens connections only for a request. So there are two clients for one provider, with a stock between
//! them: the one that opens puts each connection into the stock, TLS and all, in place of sending its request, which
//! fails for it; the one that sends takes its new connections from the stock as long as it lasts. Nothing but handshakes
//! reaches the provider, and no request of an opener can ever be sent, since its pool stays empty.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::Either;
use hyper::rt::{Read, ReadBuf};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// What the request of an opener fails with.
#[derive(Debug, thiserror::Error)]
#[error("the connection is kept for a message")]
pub struct Stocked;

/// Connections to one provider that nothing was sent through. `C` is the connection of the HTTP client, which has no name.
pub struct Stock<C> {
    spares: Mutex<VecDeque<Spare<C>>>,
    idle_limit: Duration,
}

struct Spare<C> {
    connection: C,
    opened_at: Instant,
}

impl<C> Stock<C> {
    /// Connections that nobody took within `idle_limit` are closed.
    pub fn new(idle_limit: Duration) -> Arc<Stock<C>> {
        Arc::new(Stock { spares: Mutex::default(), idle_limit })
    }

    fn spares(&self) -> MutexGuard<'_, VecDeque<Spare<C>>> {
        // Nothing that holds it leaves a half change.
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what has been idle for too long: the oldest are in front.
    fn close_idle(&self) {
        let mut spares = self.spares();
        while spares.front().is_some_and(|spare| spare.opened_at.elapsed() >= self.idle_limit) {
            spares.pop_front();
        }
    }
}

impl<C: Send + 'static> Stock<C> {
    fn put(self: &Arc<Self>, connection: C) {
        self.spares().push_back(Spare { connection, opened_at: Instant::now() });
        let stock = Arc::downgrade(self);
        let idle_limit = self.idle_limit;
        tokio::spawn(async move {
            tokio::time::sleep(idle_limit).await;
            if let Some(stock) = stock.upgrade() {
                stock.close_idle();
            }
        });
    }
}

impl<C: Read + Unpin> Stock<C> {
    /// The newest connection that is still open.
    fn take(&self) -> Option<C> {
        self.close_idle();
        loop {
            let mut spare = self.spares().pop_back()?;
            if is_open(&mut spare.connection) {
                return Some(spare.connection);
            }
        }
    }
}

/// Whether the provider has neither closed the connection nor said anything on it, which before a request can only be a
/// refusal. A request on such a connection would end in an unknown outcome.
fn is_open(connection: &mut (impl Read + Unpin)) -> bool {
    let mut buffer = [0; 1];
    let mut buffer = ReadBuf::new(&mut buffer);
    Pin::new(connection).poll_read(&mut Context::from_waker(Waker::noop()), buffer.unfilled()).is_pending()
}

/// For the client that opens: every connection goes into the stock.
pub struct Putting<C>(pub Arc<Stock<C>>);

/// For the client that sends: connections come from the stock first.
pub struct Taking<C>(pub Arc<Stock<C>>);

impl<C> Clone for Putting<C> {
    fn clone(&self) -> Putting<C> {
        Putting(self.0.clone())
    }
}

impl<C> Clone for Taking<C> {
    fn clone(&self) -> Taking<C> {
        Taking(self.0.clone())
    }
}

impl<S, C> Layer<S> for Putting<C> {
    type Service = Connecting<S, Putting<C>>;
    fn layer(&self, service: S) -> Self::Service {
        Connecting { service, stock: self.clone() }
    }
}

impl<S, C> Layer<S> for Taking<C> {
    type Service = Connecting<S, Taking<C>>;
    fn layer(&self, service: S) -> Self::Service {
        Connecting { service, stock: self.clone() }
    }
}

/// The connector of the HTTP client with a stock beside it.
#[derive(Clone)]
pub struct Connecting<S, K> {
    service: S,
    stock: K,
}

impl<S, R, C> Service<R> for Connecting<S, Putting<C>>
where
    S: Service<R, Response = C, Error = BoxError>,
    S::Future: Send + 'static,
    C: Send + 'static,
{
    type Response = C;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.service.call(target);
        let Putting(stock) = self.stock.clone();
        Box::pin(async move {
            stock.put(connecting.await?);
            Err(Stocked.into())
        })
    }
}

impl<S, R, C> Service<R> for Connecting<S, Taking<C>>
where
    S: Service<R, Response = C, Error = BoxError>,
    C: Read + Unpin,
{
    type Response = C;
    type Error = BoxError;
    type Future = Either<Ready<Result<C, BoxError>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        match self.stock.0.take() {
            Some(connection) => Either::Left(ready(Ok(connection))),
            None => Either::Right(self.service.call(target)),
        }
    }
}
