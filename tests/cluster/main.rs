//! The promises on a real cluster: API server, scheduler, kubelet and pods. The simulator's record is the judge.
//!
//! `make test-cluster` starts a cluster, installs the chart and runs these inside the cluster's network namespace. They
//! are ignored otherwise, because they need all of that.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod afterwards;
mod attachments;
mod bad_inputs;
mod call_backs;
mod crashes;
mod crm;
mod disruptions;
mod edits;
mod installation;
mod judge;
mod kstatus;
mod kubectl;
mod ledger_view;
mod lives;
mod network;
mod notifications;
mod pace;
mod plugin;
#[path = "../support/postgres.rs"]
mod postgres;
mod process;
mod random_kills;
#[path = "../support/receiver.rs"]
mod receiver;
mod release;
mod replicas;
mod schema;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod suppression;
mod tokens;
mod troubles;
mod victims;
mod write_backs;
