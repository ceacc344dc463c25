//! Achieved against configured rate, judged by the simulator's record.

use std::path::Path;

use herald::simulator::record::{self, OwnedLine};
use serde::Serialize;

use crate::loops::{BATCH, SendThenSleep};
use crate::losing::{second_limit, ten_seconds_limit};
use crate::scope::Scope;
use crate::sending::{Kept, Send, Sent};
use crate::simulator::SimulatorProcess;
use crate::task::Task;

/// Cells up to this rate run all at once: together they are far below what two cores can do.
const LOW_RATE: u32 = 40;
/// Cells up to this rate run two at a time, faster ones alone.
const MIDDLE_RATE: u32 = 300;
/// What a loop with a pause of 100 ms means to reach.
const LOOP_RATE: f64 = 10.0;

/// One broadcast at one rate.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub rate: u32,
    pub latency_ms: u64,
    pub senders: u32,
    pub messages: usize,
    /// Achieved / configured after the ramp: intervals between requests, to the last one of the broadcast.
    pub steady: f64,
    /// The same from the first request on.
    pub whole: f64,
    pub worst_second: usize,
    pub second_limit: f64,
    /// Absent where the cell is shorter than 10 s.
    pub worst_ten_seconds: Option<usize>,
    pub ten_seconds_limit: f64,
    pub cpu_ms_per_message: f64,
}

impl Cell {
    pub fn keeps_limits(&self) -> bool {
        let ten = self.worst_ten_seconds.is_none_or(|worst| worst as f64 <= self.ten_seconds_limit);
        ten && self.worst_second as f64 <= self.second_limit
    }
}

/// One loop that sends and then sleeps.
#[derive(Clone, Debug, Serialize)]
pub struct Loop {
    pub latency_ms: u64,
    /// Achieved / 10 a second, over one batch and the pause after it.
    pub achieved: f64,
}

/// Measures all cells, and the loops beside the slow ones.
pub fn measure(scope: &Scope, folder: &Path) -> anyhow::Result<(Vec<Cell>, Vec<Loop>)> {
    std::thread::scope(|threads| {
        let loops: Vec<_> =
            scope.latencies_ms.iter().map(|latency| threads.spawn(move || send_then_sleep(folder, *latency))).collect();
        let mut cells = Vec::new();
        for group in groups(scope) {
            let running: Vec<_> =
                group.into_iter().map(|plan| threads.spawn(move || cell(scope, folder, plan))).collect();
            for one in running {
                let cell = joined(one)?;
                eprintln!(
                    "{}/s, {} ms, {} senders: {:.4} of the rate",
                    cell.rate, cell.latency_ms, cell.senders, cell.steady
                );
                cells.push(cell);
            }
        }
        let loops = loops.into_iter().map(joined).collect::<anyhow::Result<Vec<Loop>>>()?;
        Ok((cells, loops))
    })
}

pub fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a measuring thread panicked"))?
}

type Plan = (u32, u64, u32);

fn groups(scope: &Scope) -> Vec<Vec<Plan>> {
    let mut low = Vec::new();
    let mut groups = Vec::new();
    for rate in &scope.rates {
        let mut of_rate = Vec::new();
        for latency in &scope.latencies_ms {
            of_rate.extend(scope.senders.iter().map(|senders| (*rate, *latency, *senders)));
        }
        if *rate <= LOW_RATE {
            low.extend(of_rate);
        } else {
            let at_once = if *rate <= MIDDLE_RATE { 2 } else { 1 };
            groups.extend(of_rate.chunks(at_once).map(<[Plan]>::to_vec));
        }
    }
    groups.insert(0, low);
    groups
}

fn cell(scope: &Scope, folder: &Path, (rate, latency_ms, senders): Plan) -> anyhow::Result<Cell> {
    let folder = folder.join(format!("pace-{rate}-{latency_ms}-{senders}"));
    std::fs::create_dir(&folder)?;
    let simulator = SimulatorProcess::start(&folder, &latency_ms.to_string())?;
    let messages = rate * (scope.ramp_seconds + scope.steady_seconds);
    let task = Task::Send(Send {
        folder,
        kept: Kept::File,
        url: simulator.url().to_owned(),
        rate,
        senders,
        messages,
        batch_size: None,
        exchange_ms: 0,
        lost_after_ms: None,
    });
    let sent: Sent = task.delegate()?;
    let lines = simulator.record()?;
    let accepted = lines.iter().filter(|line| line.accepted).count();
    anyhow::ensure!(
        sent.sent == i64::from(messages) && accepted == messages as usize && lines.len() == accepted,
        "of {messages} messages {} are sent, {accepted} of {} requests were accepted: this is no figure of pace",
        sent.sent,
        lines.len()
    );
    let times = times(&lines);
    let after_ramp = times[0] + f64::from(scope.ramp_seconds);
    let steady: Vec<f64> = times.iter().copied().filter(|time| *time >= after_ramp).collect();
    let rate_of = f64::from(rate);
    Ok(Cell {
        rate,
        latency_ms,
        senders,
        messages: lines.len(),
        steady: per_second(&steady) / rate_of,
        whole: per_second(&times) / rate_of,
        worst_second: record::worst_second(&lines),
        second_limit: second_limit(rate_of),
        worst_ten_seconds: (scope.steady_seconds >= 10).then(|| record::worst_ten_seconds(&lines)),
        ten_seconds_limit: ten_seconds_limit(rate_of),
        cpu_ms_per_message: sent.cpu_seconds * 1_000.0 / f64::from(messages),
    })
}

/// Arrivals in seconds since the first, in order.
pub fn times(lines: &[OwnedLine]) -> Vec<f64> {
    let mut times: Vec<u64> = lines.iter().map(|line| line.time_ns).collect();
    times.sort_unstable();
    let first = times.first().copied().unwrap_or_default();
    times.into_iter().map(|time| (time - first) as f64 / 1e9).collect()
}

pub fn per_second(times: &[f64]) -> f64 {
    match (times.first(), times.last()) {
        (Some(first), Some(last)) if last > first => (times.len() - 1) as f64 / (last - first),
        _ => 0.0,
    }
}

fn send_then_sleep(folder: &Path, latency_ms: u64) -> anyhow::Result<Loop> {
    let folder = folder.join(format!("loop-{latency_ms}"));
    std::fs::create_dir(&folder)?;
    let simulator = SimulatorProcess::start(&folder, &latency_ms.to_string())?;
    let task = Task::SendThenSleep(SendThenSleep { url: simulator.url().to_owned() });
    let () = task.delegate()?;
    let times = times(&simulator.record()?);
    anyhow::ensure!(times.len() as u32 == BATCH + 1, "the loop sent {} messages", times.len());
    Ok(Loop { latency_ms, achieved: per_second(&times) / LOOP_RATE })
}
