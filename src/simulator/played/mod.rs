//! The providers that are played: pure, one file each.

#[cfg(test)]
mod agreement_tests;
pub(super) mod graph;
mod http;
mod messenger;
mod slack;
mod telegram;
mod twilio;
mod whatsapp;
mod whatsapp_media;
mod whatsapp_template;

use std::time::Duration;

use serde_json::Value;

use super::request::{Body, Call, Posted, Refusal, is_link};
use super::response::Response;
use super::settings::{Quota, RetryAfter, Settings};
use super::telling::Telling;
use super::uploads::Upload;

/// The provider a request is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// `POST /v*/{page}/messages`.
    Messenger,
    /// `POST /v*/{number}/messages` with `messaging_product`.
    WhatsApp,
    /// `POST /bot{token}/sendMessage`.
    Telegram,
    /// `POST /api/chat.postMessage`.
    Slack,
    /// `POST /2010-04-01/Accounts/{account}/Messages.json`.
    Twilio,
    /// `POST` to any other path.
    Http,
}

/// The answer to who asks whose a token is, which messages nobody and counts for nothing; `None` for other paths. Slack's
/// `auth.test` without a workspace: any token is the channel's own.
pub fn identity(path: &str) -> Option<Response> {
    (path == "/api/auth.test").then(|| Response::json(200, &serde_json::json!({"ok": true})))
}

/// How much of a quota is used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Those that it refused too.
    pub requests: u64,
    pub quota: Quota,
    /// When the first of them is not counted any more.
    pub opens_in: Duration,
}

impl Used {
    pub fn percent(&self) -> u64 {
        self.requests * 100 / u64::from(self.quota.requests)
    }
}

/// Why an attachment cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The provider cannot fetch what is at the link.
    NotFetched,
    /// It keeps nothing under this id.
    NotKept,
    /// It keeps a file under this id that such a message does not take.
    OtherKind,
}

/// How one provider takes requests and answers them.
pub trait Play: Sync {
    /// The name of the channel's member.
    fn name(&self) -> &'static str;

    /// What is asked for; `None` for a path of another provider.
    fn read(&self, request: &Posted<'_>) -> Option<Call>;

    /// The answer to a message that is taken. `number` counts requests, and makes ids.
    fn succeed(&self, call: &Call, seed: u64, number: u64) -> Response;

    /// Whether a code is one of its errors.
    fn knows(&self, code: &str) -> bool;

    /// The answer with an error that it [knows](Play::knows).
    fn fail(&self, code: &str, call: &Call) -> Response;

    /// The answer above the rate limit, with its code for the record.
    fn throttle(&self, wish: &RetryAfter, now: jiff::Timestamp) -> (String, Response);

    /// What the provider tells later of a message that was taken, in order; `taken` is its answer. Nothing where it tells
    /// nothing.
    fn tell(&self, _call: &Call, _taken: &Value, _at_ms: i64) -> Vec<Telling> {
        Vec::new()
    }

    /// The headers that prove that the provider calls this URL, at so many seconds since the Unix epoch.
    fn sign(&self, _secret: &str, _url: &str, _body: &str, _at: i64) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The header that says how much of its quota is used; `None` for a provider that has none.
    fn usage(&self, call: &Call, used: &Used) -> Option<(&'static str, String)> {
        let _ = (call, used);
        None
    }

    /// The answer to who wants an attachment kept under this id; `None` for any other request.
    fn keep(&self, _settings: &Settings, _request: &Posted<'_>, _id: &str) -> Option<Upload> {
        None
    }

    /// Whether an attachment of this kind may be what is kept under an id.
    fn fits(&self, _kind: &str, _what: &str) -> bool {
        true
    }

    /// The answer to a message whose attachment of this kind cannot be had, with its code for the record; `None` where it is
    /// taken all the same.
    fn refuse_attachment(&self, _lack: Lack, _kind: &str) -> Option<(String, Response)> {
        None
    }

    /// The answer to a request that would be refused whoever the recipient is, with its code for the record.
    fn refuse(&self, refusal: &Refusal) -> (String, Response);
}

impl Played {
    /// All, each before those that would take its requests for their own: Messenger has WhatsApp's paths, and the plain
    /// endpoint every path.
    pub const ALL: [Played; 6] =
        [Played::WhatsApp, Played::Messenger, Played::Telegram, Played::Slack, Played::Twilio, Played::Http];

    pub fn play(self) -> &'static dyn Play {
        match self {
            Played::Messenger => &messenger::Messenger,
            Played::WhatsApp => &whatsapp::WhatsApp,
            Played::Telegram => &telegram::Telegram,
            Played::Slack => &slack::Slack,
            Played::Twilio => &twilio::Twilio,
            Played::Http => &http::Http,
        }
    }
}
