//! Plays the providers: success, every error, throttling, latency, lost replies. Each request is recorded before it is
//! answered, so that the record can judge what a sender did.
//!
//! | file | job |
//! | --- | --- |
//! | [`settings`] | what may be set by flag, and while running through `PUT /_simulator/settings` |
//! | [`request`] | pure: what a request asks for, and whether the provider would take it |
//! | [`played`] | pure: the providers, one file each: what they read, and every answer of theirs |
//! | [`decide`] | pure: what becomes of a request, from the seed, the settings and the request |
//! | [`labels`] | pure: labels of Messenger's pages, and the counts behind `GET /_simulator/labels` |
//! | [`book`] | the counts behind `GET /_simulator/summary` and the sliding second of the rate limit |
//! | [`record`] | the record's lines, and the judge's questions to them |
//! | [`telling`] | call-backs, to whom the flags name |
//! | `uploads`, `multipart` | attachments that providers keep, and the forms in which they come |
//! | [`server`] | sockets, the record file, the clock |

pub mod book;
pub mod decide;
pub mod labels;
mod multipart;
pub mod played;
pub mod record;
pub mod request;
pub mod response;
pub mod server;
pub mod settings;
pub mod telling;
mod uploads;

pub use server::{Simulator, SimulatorError, SimulatorOptions, serve};
