//! The bytes of a page as a reader of files wants them.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use flate2::read::MultiGzDecoder;
use reqwest::Response;
use tokio::runtime::Handle;

use super::exchange::{Answer, Exchange};
use super::waiting::wait;
use crate::audience::source_fault::{FaultKind, SourceFault};

/// What a body leaves behind for who reads through it: why it ended early, and how much is read of all pages.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Traced>>);

#[derive(Default)]
struct Traced {
    fault: Option<SourceFault>,
    bytes: u64,
    /// Of compressed pages, as they were before.
    unpacked: u64,
}

impl Trace {
    /// Why the last body could not be read to its end; told once.
    pub fn take_fault(&self) -> Option<SourceFault> {
        self.lock().fault.take()
    }

    fn fail(&self, fault: SourceFault) -> io::Error {
        let error = io::Error::other(fault.problem.clone());
        self.lock().fault = Some(fault);
        error
    }

    fn count(&self, bytes: usize) -> u64 {
        let mut traced = self.lock();
        traced.bytes += bytes as u64;
        traced.bytes
    }

    fn count_unpacked(&self, bytes: usize) -> u64 {
        let mut traced = self.lock();
        traced.unpacked += bytes as u64;
        traced.unpacked
    }

    fn has_failed(&self) -> bool {
        self.lock().fault.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Traced> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a page on a thread that may wait.
pub struct Body {
    exchange: Arc<Exchange>,
    runtime: Handle,
    place: String,
    trace: Trace,
    /// See [`Answer::end_is_marked`].
    pub end_is_marked: bool,
    /// See [`Answer::is_gzip`].
    pub is_gzip: bool,
    /// What is left of the piece that is read.
    current: Bytes,
    ahead: VecDeque<Bytes>,
    rest: Option<Response>,
}

impl Body {
    pub fn new(exchange: Arc<Exchange>, runtime: Handle, place: &str, trace: Trace, answer: Answer) -> Body {
        Body {
            exchange,
            runtime,
            place: place.to_owned(),
            trace,
            end_is_marked: answer.end_is_marked,
            is_gzip: answer.is_gzip,
            current: Bytes::new(),
            ahead: answer.ahead,
            rest: answer.rest,
        }
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let rest = if self.ahead.is_empty() { self.rest.take() } else { None };
        let piece = match (self.ahead.pop_front(), rest) {
            (Some(piece), _) => Some(piece),
            (None, None) => None,
            (None, Some(mut rest)) => {
                let (exchange, place) = (self.exchange.clone(), self.place.clone());
                let waited = wait(&self.runtime, async move {
                    let piece = exchange.piece(&mut rest, &place).await;
                    (rest, piece)
                });
                let Some((rest, piece)) = waited else {
                    return Err(self.trace.fail(self.exchange.stopped(&self.place)));
                };
                let piece = piece.map_err(|fault| self.trace.fail(fault))?;
                self.rest = Some(rest).filter(|_| piece.is_some());
                piece
            }
        };
        if let Some(piece) = &piece
            && self.trace.count(piece.len()) > self.exchange.limits.bytes
        {
            return Err(self.trace.fail(self.exchange.too_large(&self.place)));
        }
        Ok(piece)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(piece) = self.piece()? else { return Ok(0) };
            self.current = piece;
        }
        let taken = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

/// A compressed page as it was before, within the same bounds: little may unpack to very much.
pub struct Unpacked(MultiGzDecoder<Body>);

impl Unpacked {
    pub fn new(body: Body) -> Unpacked {
        Unpacked(MultiGzDecoder::new(body))
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer);
        let Body { trace, exchange, place, .. } = self.0.get_ref();
        match read {
            Ok(read) if trace.count_unpacked(read) > exchange.limits.bytes => {
                Err(trace.fail(exchange.too_large(place)))
            }
            // Why the page broke off is known better than what it looked like then.
            Err(error) if trace.has_failed() => Err(error),
            Err(_) => {
                let problem = "the answer is not the gzip that its Content-Encoding says, or not all of it";
                let remedy = "look at the server, or at a proxy before it";
                Err(trace.fail(SourceFault::new(FaultKind::Invalid, place, problem, remedy)))
            }
            read => read,
        }
    }
}
