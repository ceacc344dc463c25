//! `herald sender`, `herald receiver` and `herald operator` as child processes.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../run_support/audience_server.rs"]
mod audience_server;
mod gates;
mod operator;
mod receiver;
mod sender;
#[path = "../sender_pod"]
mod sender_pod {
    pub mod child;
    pub mod stage;
}
#[path = "../support/receiver.rs"]
mod endpoint;
mod sessions;
mod suppression;
mod telling;
mod unreliable;
