//! Labels that a provider keeps of people, given to them after a message: idempotent, so that a call whose answer was lost is
//! made again.

use bytes::Bytes;
use http::Request;

use super::{Answer, EncodeError};
use crate::delivery::outcome::Outcome;

/// Labels by name, one page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedLabels {
    /// Each as id and name.
    pub labels: Vec<(String, String)>,
    /// What the next page is asked for by; `None` after the last one.
    pub after: Option<String>,
}

/// The calls of one account. An answer that is no yes is an outcome as of a message, never `Accepted`: whose fault it is says
/// the class.
pub trait Labels: Send + Sync {
    /// Asks for labels after those that were listed before.
    ///
    /// # Errors
    /// A place that cannot stand in a URL.
    fn list(&self, after: Option<&str>) -> Result<Request<Bytes>, EncodeError>;

    fn listed(&self, answer: &Answer<'_>) -> Result<ListedLabels, Outcome>;

    /// Makes a label. A second one of the same name is another, so it is looked for first.
    ///
    /// # Errors
    /// [`EncodeError::Request`].
    fn create(&self, name: &str) -> Result<Request<Bytes>, EncodeError>;

    /// The id of the label that was made.
    fn created(&self, answer: &Answer<'_>) -> Result<String, Outcome>;

    /// Gives a label to somebody; who has it keeps it.
    ///
    /// # Errors
    /// An id that cannot stand in a URL.
    fn assign(&self, label: &str, recipient: &str) -> Result<Request<Bytes>, EncodeError>;

    fn assigned(&self, answer: &Answer<'_>) -> Result<(), Outcome>;
}
