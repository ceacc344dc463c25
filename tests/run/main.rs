//! `herald run`, command by command, as a child process beside a simulator.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod again;
mod audience;
mod call_backs;
mod confirmation;
mod contacts;
mod endpoint;
mod examples;
mod holds;
mod interruptions;
mod keys;
mod notifications;
mod outcomes;
mod preview;
mod providers;
#[path = "../support/receiver.rs"]
mod receiver;
mod refusals;
mod report;
mod resend;
mod results;
mod retry_after;
#[path = "../run_support/mod.rs"]
mod run_support;
mod suppression;
mod timed_examples;
mod unreachable;
mod uploads;
mod uploads_telegram;
mod uploads_whatsapp;
mod write_backs;
