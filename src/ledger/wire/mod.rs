//! The ledger API: what a sender in another process may do, and what people may read, over HTTPS.
//!
//! | file | job |
//! | --- | --- |
//! | [`message`] | paths and bodies as they stand on the wire |
//! | [`refusal`] | errors as they stand there |
//! | [`gatekeeper`] | who may touch which broadcast |
//! | [`server`] | the API in front of a ledger |
//! | [`results`] | the part of it that people read |
//! | [`receive`] | the part of it that receivers speak to |
//! | [`contacts`] | the part of it by which people read and change contacts |
//! | [`client`] | a [`SenderLedger`](super::SenderLedger) on the other side |
//!
//! Paths carry a version and unknown fields are ignored, so that running senders outlive an upgrade of the operator.

pub mod client;
pub mod contacts;
pub mod gatekeeper;
pub mod message;
pub mod receive;
pub mod refusal;
pub mod results;
pub mod server;
mod turns;

pub use client::{RemoteLedger, RemoteLedgerOptions};
pub use contacts::contacts_router;
pub use gatekeeper::{
    Admitted, ContactsAccess, ContactsGate, Denied, Gatekeeper, NotReadable, Reader, ReaderGate, ReceiverGate,
};
pub use receive::receive_router;
pub use results::results_router;
pub use server::router;
