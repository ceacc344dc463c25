//! The operator: observe, decide (pure), apply, report.

pub mod broadcast;
mod certificate;
mod cluster;
mod departures;
mod health;
mod metrics;
mod ownership;
mod settings;
mod triggers;
mod watch;

pub use settings::OperatorOptions;
