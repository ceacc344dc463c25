//! Writes `docs/benchmarks-cluster.md`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use herald::ledger::clock::{Clock as _, SystemClock};
use serde::Serialize;

use crate::memory::Memory;
use crate::start::Start;
use crate::summary::Summary;
use crate::writes::Writes;

/// The aims that the figures are judged by.
const WRITES_PER_THOUSAND_AIM: f64 = 5.0;
/// From which rate on that aim holds; below it the next one does.
const FAST: u32 = 100;
const WRITES_PER_MINUTE_AIM: f64 = 30.0;
const GROWTH_AIM_MIB: f64 = 64.0;

#[derive(Serialize)]
pub struct Figures {
    date: String,
    cores: usize,
    memory: Memory,
    start: Start,
    writes: Vec<Writes>,
}

impl Figures {
    pub fn new(memory: Memory, start: Start, writes: Vec<Writes>) -> Figures {
        let now = jiff::Timestamp::from_nanosecond(i128::from(SystemClock.now().0)).unwrap_or_default();
        Figures {
            date: now.strftime("%Y-%m-%d").to_string(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory,
            start,
            writes,
        }
    }
}

/// Writes the page, prints it, and puts the figures for programs beside the build.
pub fn write(figures: &Figures) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?.join("bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("benchmarks-cluster.json"), serde_json::to_string_pretty(figures)? + "\n")?;
    let page = page(figures)?;
    std::fs::write(root.join("docs/benchmarks-cluster.md"), &page)?;
    println!("{page}");
    Ok(())
}

fn page(figures: &Figures) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    let Figures { date, cores, .. } = figures;
    write!(
        page,
        "# What Herald costs a cluster

Written by `make bench-cluster`, not by hand: the run of {date} on a development cluster of one node with {cores} cores that
everything shares, release build, SQLite ledger.

| aim | measured | met |
| --- | --- | --- |
"
    )?;
    aims(&mut page, figures)?;
    writes(&mut page, &figures.writes)?;
    start(&mut page, &figures.start)?;
    memory(&mut page, &figures.memory)?;
    Ok(page)
}

fn aims(page: &mut String, figures: &Figures) -> std::fmt::Result {
    let mut line = |aim: &str, measured: String, met: bool| {
        writeln!(page, "| {aim} | {measured} | {} |", if met { "yes" } else { "**no**" })
    };
    for run in &figures.writes {
        if run.rate >= FAST {
            line(
                &format!("at most {WRITES_PER_THOUSAND_AIM} writes per 1,000 recipients at {}/s", run.rate),
                format!("{:.1}", run.per_thousand()),
                run.per_thousand() <= WRITES_PER_THOUSAND_AIM,
            )?;
        } else {
            line(
                &format!("at most {WRITES_PER_MINUTE_AIM} writes a minute at {}/s", run.rate),
                format!("{:.1}", run.per_minute()),
                run.per_minute() <= WRITES_PER_MINUTE_AIM,
            )?;
        }
    }
    for (batches, mib) in &figures.memory.with_batches {
        let growth = mib - figures.memory.idle_mib;
        line(
            &format!("operator with {batches} MessageBatches at most {GROWTH_AIM_MIB} MiB above idle"),
            format!("{growth:.1} MiB"),
            growth <= GROWTH_AIM_MIB,
        )?;
    }
    writeln!(page)
}

fn writes(page: &mut String, runs: &[Writes]) -> std::fmt::Result {
    write!(
        page,
        "## Writes to the API server

Counted from its audit log from `kubectl apply` to the last status: every create, update, patch and delete that the
operator asked for, those that only ask something (token reviews) and events included.

| rate | recipients | writes | per 1,000 recipients | a minute | of them |
| --- | --- | --- | --- | --- | --- |
"
    )?;
    for run in runs {
        let parts: Vec<String> = run.by_request.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(
            page,
            "| {}/s | {} | {} | {:.1} | {:.1} | {} |",
            run.rate,
            run.recipients,
            run.total(),
            run.per_thousand(),
            run.per_minute(),
            parts.join(", ")
        )?;
    }
    writeln!(page)
}

fn start(page: &mut String, figures: &Start) -> std::fmt::Result {
    write!(
        page,
        "## From apply to the first message

Seconds from `kubectl apply` to the first request at the provider: a BroadcastMessage (seen, declared, a Job made, its pod
started, planned, sealed, sent), and beside it a bare Job whose pod does the same with `herald run`. Image there already.

| | min | median | max |
| --- | --- | --- | --- |
"
    )?;
    row(page, "BroadcastMessage, seconds", &figures.herald_seconds)?;
    row(page, "bare Job, seconds", &figures.job_seconds)?;
    row(page, "BroadcastMessage / bare Job", &figures.ratio)?;
    writeln!(page)
}

fn memory(page: &mut String, figures: &Memory) -> std::fmt::Result {
    write!(
        page,
        "## Memory of the operator

Resident memory of its process; the batches are those of planned broadcasts that wait, 500 each.

| MessageBatches | MiB |
| --- | --- |
| none | {:.1} |
",
        figures.idle_mib
    )?;
    for (batches, mib) in &figures.with_batches {
        writeln!(page, "| {batches} | {mib:.1} |")?;
    }
    writeln!(page, "| at its peak | {:.1} |", figures.peak_mib)
}

fn row(page: &mut String, name: &str, summary: &Summary) -> std::fmt::Result {
    let Summary { min, median, max } = summary;
    writeln!(page, "| {name} | {min:.2} | {median:.2} | {max:.2} |")
}
