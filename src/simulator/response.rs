//! What is answered.

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Response {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Response {
        Response { status, headers: vec![("content-type", "application/json".into())], body: body.to_string() }
    }

    pub(super) fn text(status: u16, body: &str) -> Response {
        Response { status, headers: vec![("content-type", "text/plain".into())], body: body.to_owned() }
    }

    /// With one more header.
    pub(super) fn with(mut self, name: &'static str, value: String) -> Response {
        self.headers.push((name, value));
        self
    }
}
