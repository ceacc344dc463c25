//! Instants in the API: RFC 3339 text in documents, [`jiff::Timestamp`] in code.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The schema of an instant; the API server refuses anything that is not RFC 3339.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
