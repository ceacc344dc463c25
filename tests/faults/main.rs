//! The promises while processes are killed, frozen and cut off, and providers err, throttle, vanish and break HTTP.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod audio_and_video;
mod bad_peers;
mod crash;
mod fairness;
mod many_crashes;
mod postgres;
#[path = "../support/postgres.rs"]
mod postgres_server;
mod provider_faults;
#[path = "../run_support/mod.rs"]
mod run_support;
#[path = "../sender_pod"]
mod sender_pod {
    pub mod child;
    pub mod operator;
    pub mod stage;
}
mod sender_trials;
#[path = "../support/mod.rs"]
mod support;
mod throttled;
mod tls_provider;
mod usage;
