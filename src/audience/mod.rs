//! Sources to a stream of recipients, read in bounded memory whatever their size.
//!
//! A source is a file of rows (CSV or NDJSON), the inline list of a broadcast, an HTTP server, or a query of a database.
//! All of them give the same
//! [`Recipient`]s by the same rules:
//!
//! - names of variables match `[A-Za-z_][A-Za-z0-9_]*`; `id` is required, trimmed, 1 to [`MAX_ID_CHARACTERS`];
//! - at most [`MAX_VARIABLES`] variables of at most [`MAX_VALUE_CHARACTERS`] each;
//! - **an empty value is an absent variable**, so that `default('there')` works; a JSON null likewise.
//!
//! What breaks a rule is refused with its place and the remedy, never skipped or mended silently. Reading is
//! synchronous: callers on an async runtime read on a blocking thread.

mod csv;
mod format;
mod http;
mod inline;
mod lines;
mod materials;
mod ndjson;
mod place;
mod read_error;
mod recipient;
mod record;
mod secret_text;
mod source;
mod source_fault;
mod sql;

pub use format::{Format, FormatError};
pub use http::{LinkedFile, Reach};
pub use inline::inline;
pub use lines::MAX_ROW_BYTES;
pub use materials::{MaterialError, MaterialKind, Materials};
pub use place::{Place, Position, RowError, Spot};
pub use read_error::ReadError;
pub use recipient::{
    IdError, KnownColumns, MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS, MAX_VALUE_CHARACTERS, MAX_VARIABLES, Recipient,
    canonical_id, misspelt,
};
pub use source::{Rows, Source, SourceError, read, read_knowing};
pub use source_fault::{FaultKind, SourceFault};
pub use sql::{
    BoundStatement, MAX_WRITTEN_AT_ONCE, SentPerson, SqlWriter, StatementError, WRITE_FAULTS, WriteFault, Written,
};
