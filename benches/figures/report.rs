//! Writes `docs/benchmarks.md` for people and `target/bench/benchmarks.json` for programs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use herald::ledger::clock::{Clock as _, SystemClock};
use serde::Serialize;

use crate::efficiency::{self, Efficiency};
use crate::losing::{self, Loss};
use crate::pacing::{Cell, Loop};
use crate::planning::PlanningFigures;
use crate::scope::Scope;
use crate::summary::Summary;

/// The aims that the figures are judged by.
const PACE_AIM: f64 = 0.99;
const RATIO_AIM: f64 = 0.5;
/// A COPY is the fastest way into PostgreSQL there is.
const COPY_AIM: f64 = 0.35;
const GROWTH_AIM_MIB: f64 = 64.0;

/// Everything one run has measured.
#[derive(Serialize)]
pub struct Figures {
    date: String,
    cores: usize,
    scope: Scope,
    pace: Pace,
    efficiency: Efficiency,
    planning: PlanningFigures,
    /// On PostgreSQL.
    server_planning: PlanningFigures,
}

/// Everything about the rate.
#[derive(Serialize)]
pub struct Pace {
    pub cells: Vec<Cell>,
    pub losses: Vec<Loss>,
    pub loops: Vec<Loop>,
}

impl Figures {
    pub fn new(
        scope: Scope,
        pace: Pace,
        efficiency: Efficiency,
        planning: PlanningFigures,
        server_planning: PlanningFigures,
    ) -> Figures {
        let now = jiff::Timestamp::from_nanosecond(i128::from(SystemClock.now().0)).unwrap_or_default();
        Figures {
            date: now.strftime("%Y-%m-%d").to_string(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            scope,
            pace,
            efficiency,
            planning,
            server_planning,
        }
    }
}

/// Writes both files and prints the page.
pub fn write(figures: &Figures) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
    let page = page(figures)?;
    put(&target.join("bench/benchmarks.json"), &(serde_json::to_string_pretty(figures)? + "\n"))?;
    if figures.scope.quick {
        // The page holds figures of full runs only.
        put(&target.join("bench/benchmarks.md"), &page)?;
    } else {
        put(&root.join("docs/benchmarks.md"), &page)?;
    }
    println!("{page}");
    Ok(())
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

fn page(figures: &Figures) -> anyhow::Result<String> {
    let mut page = String::new();
    introduction(&mut page, figures)?;
    aims(&mut page, figures)?;
    pace(&mut page, figures)?;
    losses(&mut page, &figures.pace.losses)?;
    efficiency(&mut page, &figures.efficiency)?;
    planning(&mut page, &figures.planning, "bare insert", FILE_REFERENCE)?;
    writeln!(page)?;
    planning(&mut page, &figures.server_planning, "bare COPY", SERVER_REFERENCE)?;
    Ok(page)
}

fn introduction(page: &mut String, figures: &Figures) -> std::fmt::Result {
    let Figures { date, cores, scope, .. } = figures;
    let (size, again) = if scope.quick { ("quick", "BENCH=quick make bench") } else { ("full", "make bench") };
    let system = std::env::consts::OS;
    let architecture = std::env::consts::ARCH;
    write!(
        page,
        "# Benchmarks

Written by `{again}`, not by hand: the {size} run of {date} on {system} {architecture} with {cores} cores, release build.

Every figure is a ratio against a reference that was measured in the same run on the same machine, so it can be compared
between machines; the times behind it cannot. The provider is `herald simulator` in a process of its own on the same
cores, and so is each sender, set up as `herald run` sets it up: a SQLite ledger and a flight journal in files where nothing
else is said, every commit synced.

"
    )
}

fn aims(page: &mut String, figures: &Figures) -> std::fmt::Result {
    let Pace { cells, losses, .. } = &figures.pace;
    let slowest = cells.iter().map(|cell| cell.steady).fold(f64::INFINITY, f64::min);
    let slowest_loss = losses.iter().map(|loss| loss.steady).fold(f64::INFINITY, f64::min);
    let over = cells.iter().filter(|cell| !cell.keeps_limits()).count()
        + losses.iter().filter(|loss| !loss.keeps_limits()).count();
    let Figures { efficiency, planning, server_planning, .. } = figures;
    writeln!(page, "| aim | measured | met |\n| --- | --- | --- |")?;
    let mut line = |aim: &str, measured: String, met: bool| {
        writeln!(page, "| {aim} | {measured} | {} |", if met { "yes" } else { "**no**" })
    };
    line(
        &format!("at least {PACE_AIM} of the configured rate, in every cell"),
        format!("{slowest:.4} in the slowest"),
        slowest >= PACE_AIM,
    )?;
    line(
        "any sliding second at most rate x 1.05 + 1, any 10 s at most rate x 10 x 1.005 + 1",
        format!("{over} of {} cells over", cells.len() + losses.len()),
        over == 0,
    )?;
    line(
        &format!("at least {PACE_AIM} while a sender is lost and replaced, on both ledgers"),
        format!("{slowest_loss:.4} in the slowest"),
        slowest_loss >= PACE_AIM,
    )?;
    line(
        &format!("messages per CPU-second at least {RATIO_AIM} of a bare loop"),
        format!("{:.2}", efficiency.ratio.median),
        efficiency.ratio.median >= RATIO_AIM,
    )?;
    line(
        &format!("rows planned per second at least {RATIO_AIM} of a bare insert"),
        format!("{:.2}", planning.ratio.median),
        planning.ratio.median >= RATIO_AIM,
    )?;
    line(
        &format!("on PostgreSQL at least {COPY_AIM} of a bare COPY"),
        format!("{:.2}", server_planning.ratio.median),
        server_planning.ratio.median >= COPY_AIM,
    )?;
    let peak = planning.peak_growth_mib.max.max(server_planning.peak_growth_mib.max);
    line(
        &format!("memory of planning grows by at most {GROWTH_AIM_MIB} MiB"),
        format!("{peak:.1} MiB at its peak"),
        peak <= GROWTH_AIM_MIB,
    )?;
    writeln!(page)
}

fn pace(page: &mut String, figures: &Figures) -> std::fmt::Result {
    let Scope { ramp_seconds, steady_seconds, .. } = figures.scope;
    write!(
        page,
        "## Pace

Achieved / configured rate, from the arrivals that the simulator recorded. Each cell is one broadcast of {total} s of
sending. `steady` leaves out its first {ramp_seconds} s, in which each sender sends one message and waits for its outcome before it takes
more (so that a message that crashes its sender costs one unknown); `whole` has them in. Both run to the broadcast's last
message, over the ends of its batches. Worst second and worst 10 s are the most requests in any sliding window of the
whole broadcast, and the most that is allowed.

| rate | provider latency | senders | steady | whole | worst second | worst 10 s |
| --- | --- | --- | --- | --- | --- | --- |
",
        total = ramp_seconds + steady_seconds,
    )?;
    for cell in &figures.pace.cells {
        let ten = match cell.worst_ten_seconds {
            Some(worst) => format!("{worst} of {:.0}", cell.ten_seconds_limit.floor()),
            None => "too short".to_owned(),
        };
        writeln!(
            page,
            "| {}/s | {} ms | {} | {:.4} | {:.4} | {} of {:.0} | {ten} |",
            cell.rate,
            cell.latency_ms,
            cell.senders,
            cell.steady,
            cell.whole,
            cell.worst_second,
            cell.second_limit.floor()
        )?;
    }
    write!(
        page,
        "
Beside it in the same run, a loop that sends one message after the other with a pause of 100 ms after each (nominally
10/s) and of 1 s after each 100: one such batch with its pause, and what Herald achieved at 10/s with one sender.

| provider latency | send, then sleep | Herald, steady |
| --- | --- | --- |
"
    )?;
    for one in &figures.pace.loops {
        let herald = figures.pace.cells.iter().find(|c| (c.rate, c.senders, c.latency_ms) == (10, 1, one.latency_ms));
        let herald = herald.map_or_else(String::new, |cell| format!("{:.4}", cell.steady));
        writeln!(page, "| {} ms | {:.4} | {herald} |", one.latency_ms, one.achieved)?;
    }
    writeln!(page)
}

fn losses(page: &mut String, losses: &[Loss]) -> std::fmt::Result {
    let rate = f64::from(losing::RATE);
    write!(
        page,
        "## While a sender is lost

{rate}/s to a provider that answers after {latency} ms, in small batches, with the ledger in a file and in PostgreSQL, and every
exchange answered so much later than it could be. In the midst of it one sender vanishes with all it holds, and another
starts in its place; what was on the wire becomes unknown, and what it held goes to the others when its lease is over.

| ledger | exchanges later by | senders | steady | worst second | worst 10 s | unknown |
| --- | --- | --- | --- | --- | --- | --- |
",
        latency = losing::LATENCY_MS,
    )?;
    for loss in losses {
        writeln!(
            page,
            "| {:?} | {} ms | {} | {:.4} | {} of {:.0} | {} of {:.0} | {} |",
            loss.database,
            loss.exchange_ms,
            loss.senders,
            loss.steady,
            loss.worst_second,
            losing::second_limit(rate).floor(),
            loss.worst_ten_seconds,
            losing::ten_seconds_limit(rate).floor(),
            loss.unknown
        )?;
    }
    writeln!(page)
}

fn efficiency(page: &mut String, figures: &Efficiency) -> std::fmt::Result {
    write!(
        page,
        "## Messages per CPU-second

Processor time (user and system, all threads) of the sending process, which renders, paces, keeps ledger and journal, and
of one that only posts the same requests, prepared before, with {concurrency} at a time and nothing else. Both send {messages} messages
at about {rate}/s to a simulator that answers after {latency} ms; planning is not counted. Neither is short of processor time: at
this rate much of it goes into waking up for each slot and each answer. At one fixed latency the bare loop's requests
go and come back together, and one wake-up serves them all: the ratio is lower there.

| | min | median | max |
| --- | --- | --- | --- |
",
        concurrency = efficiency::CONCURRENCY,
        messages = figures.messages,
        rate = efficiency::RATE,
        latency = efficiency::LATENCY_MS,
    )?;
    row(page, "Herald / bare loop", &figures.ratio, 2)?;
    row(page, "Herald, messages per CPU-second", &figures.herald, 0)?;
    row(page, "bare loop, messages per CPU-second", &figures.bare, 0)?;
    writeln!(page)
}

/// What planning is compared with.
const FILE_REFERENCE: &str = "## Planning into a file

The reference inserts the same rows into the same schema with the same settings of SQLite, 2,000 to a statement and a
transaction, and does nothing else.";
const SERVER_REFERENCE: &str = "## Planning into PostgreSQL

The reference copies the same rows into the same schema, 2,000 to a COPY and a transaction, and does nothing else. The
server runs on the same cores.";

fn planning(page: &mut String, figures: &PlanningFigures, reference: &str, words: &str) -> std::fmt::Result {
    write!(
        page,
        "{words}

{rows} recipients from a CSV file: read, checked, rendered, encoded, checked for duplicates, digested, written and
sealed. Memory is the resident memory of the planning process, less what it had before.

| | min | median | max |
| --- | --- | --- | --- |
",
        rows = figures.rows,
    )?;
    row(page, &format!("planning / {reference}, rows per second"), &figures.ratio, 2)?;
    row(page, &format!("planning / {reference}, rows per CPU-second"), &figures.cpu_ratio, 2)?;
    row(page, "planning, rows per second", &figures.herald, 0)?;
    row(page, &format!("{reference}, rows per second"), &figures.bare, 0)?;
    row(page, "growth of memory, MiB", &figures.growth_mib, 1)?;
    row(page, "growth of memory at its peak, MiB", &figures.peak_growth_mib, 1)
}

fn row(page: &mut String, name: &str, summary: &Summary, decimals: usize) -> std::fmt::Result {
    let Summary { min, median, max } = summary;
    writeln!(page, "| {name} | {min:.decimals$} | {median:.decimals$} | {max:.decimals$} |")
}
