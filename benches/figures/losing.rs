//! Pace while a sender is lost and replaced, on both ledgers, near and far.

use std::path::Path;

use anyhow::Context as _;
use herald::ledger::random::random_id;
use herald::simulator::record;
use serde::Serialize;

use crate::pacing::{joined, per_second, times};
use crate::scope::Scope;
use crate::sending::{Kept, Send, Sent};
use crate::simulator::SimulatorProcess;
use crate::task::Task;

pub const RATE: u32 = 300;
pub const LATENCY_MS: u64 = 50;
/// Milliseconds by which exchanges are later than they could be.
pub const EXCHANGES_MS: [u64; 2] = [5, 70];
/// A lost sender's batch is taken over when its lease of 15 s is over: with small batches the others have work until then.
const BATCH_SIZE: u32 = 100;
/// After the ramp, in the midst of sending.
const LOST_AFTER_MS: u64 = 5_000;
/// So long that what the lost sender held is taken over and sent within it.
const STEADY_SECONDS: u32 = 24;
const AT_ONCE: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Database {
    SQLite,
    PostgreSQL,
}

/// One broadcast in the midst of which a sender was lost.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    pub database: Database,
    pub exchange_ms: u64,
    pub senders: u32,
    /// Achieved / configured after the ramp.
    pub steady: f64,
    pub worst_second: usize,
    pub worst_ten_seconds: usize,
    pub unknown: i64,
}

impl Loss {
    pub fn keeps_limits(&self) -> bool {
        let rate = f64::from(RATE);
        self.worst_second as f64 <= second_limit(rate) && self.worst_ten_seconds as f64 <= ten_seconds_limit(rate)
    }
}

pub fn second_limit(rate: f64) -> f64 {
    rate * 1.05 + 1.0
}

pub fn ten_seconds_limit(rate: f64) -> f64 {
    rate * 10.0 * 1.005 + 1.0
}

type Plan = (Database, u64, u32);

fn plans(scope: &Scope) -> Vec<Plan> {
    let senders: &[u32] = if scope.quick { &[2] } else { &[1, 2, 4] };
    let exchanges: &[u64] = if scope.quick { &EXCHANGES_MS[..1] } else { &EXCHANGES_MS };
    let mut plans = Vec::new();
    for database in [Database::SQLite, Database::PostgreSQL] {
        for exchange in exchanges {
            plans.extend(senders.iter().map(|senders| (database, *exchange, *senders)));
        }
    }
    plans
}

pub fn measure(scope: &Scope, folder: &Path) -> anyhow::Result<Vec<Loss>> {
    let mut losses = Vec::new();
    for group in plans(scope).chunks(AT_ONCE) {
        std::thread::scope(|threads| {
            let running: Vec<_> = group.iter().map(|plan| threads.spawn(move || loss(scope, folder, *plan))).collect();
            for one in running {
                let loss = joined(one)?;
                eprintln!(
                    "a sender lost of {}, {:?}, exchanges {} ms later: {:.4} of the rate, {} unknown",
                    loss.senders, loss.database, loss.exchange_ms, loss.steady, loss.unknown
                );
                losses.push(loss);
            }
            anyhow::Ok(())
        })?;
    }
    Ok(losses)
}

/// The server that `dev/with-postgres.sh` starts.
pub fn server() -> anyhow::Result<Kept> {
    let url = std::env::var("HERALD_TEST_POSTGRES")
        .context("PostgreSQL is measured as well: run this by `make bench`, or by dev/with-postgres.sh")?;
    Ok(Kept::Server { url, schema: format!("figures_{}", &random_id()[..16]) })
}

fn loss(scope: &Scope, folder: &Path, (database, exchange_ms, senders): Plan) -> anyhow::Result<Loss> {
    let folder = folder.join(format!("loss-{database:?}-{exchange_ms}-{senders}"));
    std::fs::create_dir(&folder)?;
    let simulator = SimulatorProcess::start(&folder, &LATENCY_MS.to_string())?;
    let messages = RATE * (scope.ramp_seconds + STEADY_SECONDS);
    let kept = match database {
        Database::SQLite => Kept::File,
        Database::PostgreSQL => server()?,
    };
    let task = Task::Send(Send {
        folder,
        kept,
        url: simulator.url().to_owned(),
        rate: RATE,
        senders,
        messages,
        batch_size: Some(BATCH_SIZE),
        exchange_ms,
        lost_after_ms: Some(LOST_AFTER_MS),
    });
    let sent: Sent = task.delegate()?;
    let lines = simulator.record()?;
    let accepted = lines.iter().filter(|line| line.accepted).count() as i64;
    anyhow::ensure!(record::accepted_twice(&lines).is_empty(), "somebody got it twice");
    anyhow::ensure!(
        sent.sent + sent.unknown == i64::from(messages) && sent.sent <= accepted && accepted <= i64::from(messages),
        "of {messages} messages {} are sent and {} unknown, {accepted} were accepted",
        sent.sent,
        sent.unknown
    );
    let times = times(&lines);
    let after_ramp = times[0] + f64::from(scope.ramp_seconds);
    let steady: Vec<f64> = times.iter().copied().filter(|time| *time >= after_ramp).collect();
    Ok(Loss {
        database,
        exchange_ms,
        senders,
        steady: per_second(&steady) / f64::from(RATE),
        worst_second: record::worst_second(&lines),
        worst_ten_seconds: record::worst_ten_seconds(&lines),
        unknown: sent.unknown,
    })
}
