//! The recipients of a source in chunks, read ahead of the ledger on a thread that may wait.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::planner::PlanError;
use crate::audience::{MAX_ROW_BYTES, Materials, ReadError, Recipient, Source, SourceError};
use crate::ledger::plan::{MAX_CHUNK, MAX_CHUNK_BYTES};

/// Chunks read ahead of the ledger: enough that reading and writing overlap.
const CHUNKS_AHEAD: usize = 2;
/// Rows with errors that are named; the rest is not read.
const MAX_ROW_ERRORS: usize = 5;

/// How much of a chunk's bytes a recipient takes.
fn weight(recipient: &Recipient) -> usize {
    recipient.id.len() + recipient.vars.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

pub type Chunk<T> = Result<Vec<T>, PlanError>;

/// The chunks of a source, in order.
pub struct Chunks<T> {
    chunks: mpsc::Receiver<Chunk<T>>,
    reader: Option<JoinHandle<()>>,
}

impl<T> Chunks<T> {
    /// The next chunk; `None` only when the source was read to its end. A reader that panicked has not.
    pub async fn next(&mut self) -> Option<Chunk<T>> {
        if let Some(chunk) = self.chunks.recv().await {
            return Some(chunk);
        }
        let ended = self.reader.take()?.await;
        ended.err().map(|_| Err(PlanError::Panicked))
    }
}

/// Reads a source, and makes something of each recipient, on a thread of its own, a few chunks ahead of the ledger. After
/// the first error nothing but it comes.
pub fn read_chunks<T: Send + 'static>(
    source: Source,
    materials: Arc<dyn Materials>,
    make: impl Fn(Recipient) -> T + Send + 'static,
) -> Chunks<T> {
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        let rows = match source.open(materials.as_ref()) {
            Ok(rows) => rows,
            Err(error) => return drop(sender.blocking_send(Err(error.into()))),
        };
        let mut chunk = Vec::with_capacity(MAX_CHUNK);
        let mut bytes = 0;
        let mut errors = Vec::new();
        for row in rows {
            match row {
                Ok(recipient) if errors.is_empty() => {
                    bytes += weight(&recipient);
                    chunk.push(make(recipient));
                }
                Ok(_) => {}
                Err(ReadError::Row(error)) => errors.push(error),
                Err(ReadError::Source(fault)) => {
                    return drop(sender.blocking_send(Err(SourceError::from(fault).into())));
                }
            }
            if errors.len() == MAX_ROW_ERRORS {
                break;
            }
            // A closed channel means that nobody wants the rest.
            if chunk.len() == MAX_CHUNK || bytes > MAX_CHUNK_BYTES - MAX_ROW_BYTES {
                bytes = 0;
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(MAX_CHUNK));
                if sender.blocking_send(Ok(full)).is_err() {
                    return;
                }
            }
        }
        let last = if errors.is_empty() { Ok(chunk) } else { Err(PlanError::Rows(errors)) };
        drop(sender.blocking_send(last));
    });
    Chunks { chunks, reader: Some(reader) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;
    use crate::audience::{MAX_VALUE_CHARACTERS, MAX_VARIABLES, MaterialError, MaterialKind};

    struct Nothing;

    impl Materials for Nothing {
        fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
            let (name, key) = (name.to_owned(), key.to_owned());
            Err(MaterialError::NotFound { kind, name, key, remedy: String::new() })
        }

        fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn a_chunk_of_the_longest_rows_fits_into_one_request() {
        let value = "🎈".repeat(MAX_VALUE_CHARACTERS);
        let longest: BTreeMap<String, String> =
            (0..MAX_VARIABLES).map(|number| (format!("v{number}"), value.clone())).collect();
        let people = 12;
        let recipients = (0..people).map(|number| (number.to_string(), longest.clone())).collect();
        let source = Source::Inline { path: "spec.audience.recipients".into(), recipients };
        let mut chunks = read_chunks(source, Arc::new(Nothing), |recipient| (recipient.id.clone(), weight(&recipient)));
        let (mut ids, mut count) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap();
            assert!(chunk.iter().map(|(_, bytes)| bytes).sum::<usize>() <= MAX_CHUNK_BYTES);
            ids.extend(chunk.into_iter().map(|(id, _)| id));
            count += 1;
        }
        assert_eq!(ids, (0..people).map(|number| number.to_string()).collect::<Vec<_>>());
        assert!(count < people, "a chunk holds more than one of them: {count}");
    }
}
