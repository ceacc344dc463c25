//! What can go wrong while the rows of a source are read.

use super::place::RowError;
use super::source_fault::SourceFault;

/// Why the next recipient of a source could not be given.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// This row breaks a rule.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The source gives no more rows.
    #[error(transparent)]
    Source(#[from] SourceFault),
}
