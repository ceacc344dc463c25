//! Rows on their way from a database to who reads the source, in bounded memory.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::columns::{Cell, Columns, Kind, no_id};
use crate::audience::place::{Place, Refusal, RowError};
use crate::audience::read_error::ReadError;
use crate::audience::recipient::Recipient;
use crate::audience::source_fault::SourceFault;

/// Rows handed over at once, and the bytes after which fewer are.
const ROWS_AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 64 * 1024;
/// Groups of rows read ahead of who takes them.
const GROUPS_AHEAD: usize = 1;

pub type Group = Vec<Result<Recipient, ReadError>>;

/// What comes from a feed: rows, and `None` behind the last of them. A feed that ends without it was cut short.
pub type Fed = Option<Group>;

/// What a database's rows are put into.
pub struct Feed {
    source: Arc<str>,
    columns: Option<Columns>,
    groups: mpsc::Sender<Fed>,
    group: Group,
    bytes: usize,
    /// Rows taken so far.
    pub count: u64,
    pub most: u64,
}

/// Why no more rows are taken.
#[derive(Debug)]
pub enum Stop {
    /// There are more than are read of one source.
    TooMany,
    /// Columns that break a rule; told already.
    Refused,
    /// Nobody reads any more.
    Unread,
}

impl Feed {
    /// `source` is how places name it.
    pub fn new(source: &str, most: u64) -> (Feed, mpsc::Receiver<Fed>) {
        let (groups, receiver) = mpsc::channel(GROUPS_AHEAD);
        let feed = Feed { source: source.into(), columns: None, groups, group: Vec::new(), bytes: 0, count: 0, most };
        (feed, receiver)
    }

    /// The columns must be known before the first row.
    pub fn knows_columns(&self) -> bool {
        self.columns.is_some()
    }

    pub async fn columns(&mut self, columns: Vec<(String, Kind)>) -> Result<(), Stop> {
        match Columns::accept(columns) {
            Ok(columns) => {
                self.columns = Some(columns);
                Ok(())
            }
            Err(refusal) => {
                self.group.push(Err(ReadError::Row(self.at(refusal, 1))));
                self.hand_over().await?;
                Err(Stop::Refused)
            }
        }
    }

    /// Takes a row. A cell that is no text is the row's own fault.
    pub async fn row(&mut self, cells: Vec<Result<(Cell<'_>, Option<Kind>), NotText>>) -> Result<(), Stop> {
        if self.count == self.most {
            return Err(Stop::TooMany);
        }
        self.count += 1;
        self.bytes +=
            cells.iter().flatten().filter_map(|(cell, _)| cell.as_ref()).map(|cell| cell.len()).sum::<usize>();
        let taken = self.accept(cells);
        self.group.push(taken);
        if self.group.len() < ROWS_AT_ONCE && self.bytes < BYTES_AT_ONCE {
            return Ok(());
        }
        self.hand_over().await
    }

    fn accept(&self, cells: Vec<Result<(Cell<'_>, Option<Kind>), NotText>>) -> Result<Recipient, ReadError> {
        let refused = |refusal| ReadError::Row(self.at(refusal, self.count));
        let columns = self.columns.as_ref().ok_or_else(|| refused(no_id()))?;
        let cells = cells.into_iter().enumerate().map(|(index, cell)| {
            cell.map_err(|NotText| {
                let remedy = "select it as text in UTF-8, or leave the column out";
                Refusal::new(columns.spot(index), "the value is not text", remedy)
            })
        });
        let cells = cells.collect::<Result<Vec<(Option<Cow<'_, str>>, Option<Kind>)>, Refusal>>().map_err(refused)?;
        let (id, vars) = columns.recipient(cells.into_iter()).map_err(refused)?;
        Ok(Recipient { id, vars, place: Place::row(self.source.clone(), self.count) })
    }

    fn at(&self, refusal: Refusal, row: u64) -> RowError {
        refusal.at(Place::row(self.source.clone(), row))
    }

    /// Hands over what has gathered, and waits until there is room for it.
    pub async fn hand_over(&mut self) -> Result<(), Stop> {
        self.bytes = 0;
        if self.group.is_empty() {
            return Ok(());
        }
        self.groups.send(Some(std::mem::take(&mut self.group))).await.map_err(|_| Stop::Unread)
    }

    /// The last that is handed over.
    pub async fn end(mut self, fault: Option<SourceFault>) {
        self.group.extend(fault.map(|fault| Err(ReadError::Source(fault))));
        if self.hand_over().await.is_ok() {
            // Nobody waits for it: then nobody wants it.
            let _ = self.groups.send(None).await;
        }
    }
}

/// A value of other bytes than UTF-8.
pub struct NotText;
