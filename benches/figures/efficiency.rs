//! Messages per CPU-second against a bare loop that posts the same requests at the same rate.

use std::path::Path;

use serde::Serialize;

use crate::loops::{PostBare, Posted};
use crate::scope::Scope;
use crate::sending::{Kept, Send, Sent};
use crate::simulator::SimulatorProcess;
use crate::summary::Summary;
use crate::task::Task;

/// Both send at this rate: Herald by its slots, the bare loop by its concurrency and the provider's latency.
pub const RATE: u32 = 1_000;
/// Spread, as a provider's is: at one fixed latency all requests of the bare loop would go and come back in lockstep, so
/// that one wake-up of its process served them all.
pub const LATENCY_MS: &str = "20-80";
/// What the mean of that needs at the rate.
pub const CONCURRENCY: u32 = RATE * 50 / 1_000;

#[derive(Clone, Debug, Serialize)]
pub struct Efficiency {
    pub messages: u32,
    /// Messages per CPU-second of the sending process.
    pub herald: Summary,
    pub bare: Summary,
    /// Of each repetition.
    pub ratio: Summary,
}

pub fn measure(scope: &Scope, folder: &Path) -> anyhow::Result<Efficiency> {
    let messages = scope.efficiency_messages;
    let mut pairs = Vec::new();
    for repetition in 0..scope.repetitions {
        let folder = folder.join(format!("efficiency-{repetition}"));
        std::fs::create_dir(&folder)?;
        let simulator = SimulatorProcess::start(&folder, LATENCY_MS)?;
        let url = simulator.url().to_owned();
        let bare = Task::PostBare(PostBare { url: url.clone(), messages, concurrency: CONCURRENCY });
        let bare: Posted = bare.delegate()?;
        let send = Send {
            folder,
            kept: Kept::File,
            url,
            rate: RATE,
            senders: 1,
            messages,
            batch_size: None,
            exchange_ms: 0,
            lost_after_ms: None,
        };
        let sent: Sent = Task::Send(send).delegate()?;
        anyhow::ensure!(sent.sent == i64::from(messages), "of {messages} messages {} are sent", sent.sent);
        let pair = (f64::from(messages) / sent.cpu_seconds, f64::from(messages) / bare.cpu_seconds);
        eprintln!("messages per CPU-second: {:.0}, bare loop {:.0}", pair.0, pair.1);
        pairs.push(pair);
    }
    Ok(Efficiency {
        messages,
        herald: Summary::of(pairs.iter().map(|pair| pair.0)),
        bare: Summary::of(pairs.iter().map(|pair| pair.1)),
        ratio: Summary::of(pairs.iter().map(|pair| pair.0 / pair.1)),
    })
}
