//! Bodies of answers, the well-behaved and the others.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

/// The padding of a huge body: more than anybody should hold in memory for an answer.
const PADDING: usize = 10 * 1024 * 1024;

/// Padding is sent in pieces of this size, all of them one piece of memory.
const PADDING_PIECE: usize = 64 * 1024;

/// A dribbled body comes in so many pieces …
const DRIBBLES: usize = 8;

/// … with this pause before each.
const DRIBBLE_PAUSE: Duration = Duration::from_millis(150);

/// A body and the length it claims.
pub(super) struct Body {
    pub length: usize,
    pub stream: UnsyncBoxBody<Bytes, io::Error>,
}

/// As it should be.
pub(super) fn whole(text: &str) -> Body {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {});
    Body { length: text.len(), stream: UnsyncBoxBody::new(body) }
}

/// Claims the whole length, sends half of it and closes the connection.
pub(super) fn half(text: &str) -> Body {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let pieces = stream::iter([Ok(half)]).chain(stream::once(async {
        // Lets the first half reach the socket before the connection is given up.
        tokio::time::sleep(DRIBBLE_PAUSE).await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    }));
    streamed(text.len(), pieces)
}

/// In small pieces with pauses.
pub(super) fn dribbled(text: &str) -> Body {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let cut = |number: usize| bytes.len() * number / DRIBBLES;
    let pieces: Vec<Bytes> = (0..DRIBBLES)
        .map(|number| bytes.slice(cut(number)..cut(number + 1)))
        .filter(|piece| !piece.is_empty())
        .collect();
    let pieces = stream::iter(pieces).then(|piece| async {
        tokio::time::sleep(DRIBBLE_PAUSE).await;
        Ok(piece)
    });
    streamed(text.len(), pieces)
}

/// A JSON object with one more member of some 10 MB.
pub(super) fn padded(text: &str) -> Body {
    let opening = format!("{},\"padding\":\"", text.strip_suffix('}').unwrap_or(text));
    let closing = "\"}";
    let length = opening.len() + PADDING + closing.len();
    let piece = Bytes::from(vec![b'x'; PADDING_PIECE]);
    let pieces = stream::iter([Ok(Bytes::from(opening))])
        .chain(stream::iter(std::iter::repeat_n(piece, PADDING / PADDING_PIECE).map(Ok)))
        .chain(stream::iter([Ok(Bytes::from_static(closing.as_bytes()))]));
    streamed(length, pieces)
}

fn streamed(length: usize, pieces: impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    let frames = pieces.map(|piece| piece.map(Frame::data));
    Body { length, stream: UnsyncBoxBody::new(StreamBody::new(frames)) }
}
