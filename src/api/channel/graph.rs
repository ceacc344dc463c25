//! Where Meta's Graph API is, and which version of it is spoken.

/// A version of the Graph API.
pub(super) const GRAPH_VERSION: &str = "^v[0-9]{1,3}[.][0-9]{1,2}$";

/// The version that is current and lives until July 2028 (developers.facebook.com/docs/graph-api/changelog).
pub(super) fn graph_version() -> String {
    "v25.0".to_owned()
}

pub(super) fn graph_base_url() -> String {
    "https://graph.facebook.com".to_owned()
}
