//! Files, standard input and arguments as chunks of what a call takes.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::ContactsError;
use super::options::{FileFormat, Recipients};
use super::row;
use crate::audience::{Format, KnownColumns, Recipient, RowError, canonical_id, read_knowing};
use crate::ledger::contacts::{ContactRow, MAX_CONTACTS};
use crate::ledger::plan::MAX_CHUNK_BYTES;

/// So many refused rows are shown: a screen full of them.
const MAX_SHOWN: usize = 20;
const STDIN: &str = "-";

/// What is read one by one; an error names its place and the remedy.
type Items<T> = Box<dyn Iterator<Item = Result<T, String>> + Send>;

/// What a command is given, ready to be read.
pub struct Input<T> {
    items: Items<T>,
    /// Of one item, as it fills a chunk.
    bytes: fn(&T) -> usize,
}

/// The contacts of a file. One that can be read twice is checked here.
pub fn contacts(path: &Path, format: Option<FileFormat>) -> Result<Input<ContactRow>, ContactsError> {
    let file = RowFile::named(path, format)?;
    file.input(row::CONTACTS, row::contact, |row| {
        let reason = row.opted_out.as_ref().map_or(0, String::len);
        let texts = row.vars.iter().map(|(name, value)| name.len() + value.len());
        row.recipient.len() + reason + texts.sum::<usize>() + row.tags.iter().map(String::len).sum::<usize>()
    })
}

/// The ids of a file, or of arguments.
pub fn ids(recipients: &Recipients) -> Result<Input<String>, ContactsError> {
    if let Some(path) = &recipients.ids {
        let file = RowFile::named(path, recipients.format)?;
        return file.input(row::IDS, |recipient| Ok(recipient.id), String::len);
    }
    let mut ids = Vec::new();
    for (place, id) in recipients.recipients.iter().enumerate() {
        let refuse = |error: crate::audience::IdError| {
            ContactsError::Arguments(format!("argument {}: {error}; {}", place + 1, error.remedy()))
        };
        ids.push(canonical_id(id).map_err(refuse)?.to_owned());
    }
    Ok(Input { items: Box::new(ids.into_iter().map(Ok)), bytes: String::len })
}

struct RowFile {
    path: PathBuf,
    format: Format,
}

impl RowFile {
    fn named(path: &Path, format: Option<FileFormat>) -> Result<RowFile, ContactsError> {
        let format = match format {
            Some(FileFormat::Csv) => Format::Csv,
            Some(FileFormat::Ndjson) => Format::Ndjson,
            None if path == Path::new(STDIN) => Format::Csv,
            None => Format::from_key(&path.display().to_string()).map_err(ContactsError::Format)?,
        };
        Ok(RowFile { path: path.to_owned(), format })
    }

    fn input<T: 'static>(
        self,
        columns: KnownColumns,
        accept: fn(Recipient) -> Result<T, RowError>,
        bytes: fn(&T) -> usize,
    ) -> Result<Input<T>, ContactsError> {
        let is_file = self.path != Path::new(STDIN) && self.path.metadata().is_ok_and(|data| data.is_file());
        if is_file {
            check(self.items(columns, accept)?)?;
        }
        Ok(Input { items: self.items(columns, accept)?, bytes })
    }

    fn items<T: 'static>(
        &self,
        columns: KnownColumns,
        accept: fn(Recipient) -> Result<T, RowError>,
    ) -> Result<Items<T>, ContactsError> {
        let rows = if self.path == Path::new(STDIN) {
            read_knowing(self.format, "standard input", std::io::stdin(), columns)
        } else {
            let failed = |source| ContactsError::Open { path: self.path.clone(), source };
            let file = File::open(&self.path).map_err(failed)?;
            read_knowing(self.format, &self.path.display().to_string(), file, columns)
        };
        Ok(Box::new(rows.map(move |row| {
            let row = row.map_err(|error| error.to_string())?;
            accept(row).map_err(|error| error.to_string())
        })))
    }
}

/// Reads everything once; nothing is kept.
fn check<T>(items: Items<T>) -> Result<(), ContactsError> {
    let (mut shown, mut count) = (Vec::new(), 0);
    for error in items.filter_map(Result::err) {
        count += 1;
        if shown.len() < MAX_SHOWN {
            shown.push(error);
        }
    }
    if count == 0 { Ok(()) } else { Err(ContactsError::Rows { shown, count }) }
}

impl<T: Send + 'static> Input<T> {
    /// Hands everything over, chunk by chunk, each as large as one call takes; returns how many there were. Reads on a
    /// thread that may wait.
    ///
    /// # Errors
    /// A row that is refused, with how far it got; what `write` fails with, likewise.
    pub async fn each_chunk<E: std::fmt::Display>(
        self,
        mut write: impl AsyncFnMut(&[T]) -> Result<(), E>,
    ) -> Result<u64, ContactsError> {
        let mut done = 0;
        let mut input = self;
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let chunk = input.chunk();
                (input, chunk)
            });
            let broken = |error: tokio::task::JoinError| ContactsError::Stopped { problem: error.to_string(), done };
            let (rest, chunk) = read.await.map_err(broken)?;
            input = rest;
            let chunk = chunk.map_err(|problem| ContactsError::Stopped { problem, done })?;
            if chunk.is_empty() {
                return Ok(done);
            }
            let failed = |error: E| match done {
                0 => ContactsError::Book(error.to_string()),
                done => ContactsError::Unfinished { problem: error.to_string(), done },
            };
            write(&chunk).await.map_err(failed)?;
            done += chunk.len() as u64;
        }
    }

    fn chunk(&mut self) -> Result<Vec<T>, String> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < MAX_CONTACTS && bytes < MAX_CHUNK_BYTES {
            let Some(item) = self.items.next() else { break };
            let item = item?;
            bytes += (self.bytes)(&item);
            chunk.push(item);
        }
        Ok(chunk)
    }
}
