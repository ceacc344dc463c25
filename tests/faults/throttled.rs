//! `herald run` at a provider whose limit falls for a while and lifts again. The simulator's record is the judge.
//!
//! `HERALD_SOAK=1` lets the limit stand for a minute.

use std::fmt::Write;

use herald::simulator::record::OwnedLine;

use super::run_support::{Stage, broadcast};
use super::support::machine;

const RATE: u32 = 100;
const LIMIT: u32 = RATE / 2;
const NANOS: u64 = 1_000_000_000;
/// At the full rate before the limit falls, and after it has lifted: longer than it may take to come back.
const BEFORE: u64 = 4;
const AFTER: u64 = 14;
/// What finding out costs once, in seconds of the limit: what is too much is forgotten within one, and the limit is
/// searched from below.
const SEARCH: f64 = 2.5;
/// The same in messages that are on the wire, or begun before the first answer was understood.
const SURPRISED: f64 = 25.0;

fn seconds_of_limit() -> u64 {
    if std::env::var_os("HERALD_SOAK").is_some() { 60 } else { 16 }
}

fn between(lines: &[OwnedLine], from: u64, to: u64) -> impl Iterator<Item = &OwnedLine> {
    lines.iter().filter(move |line| (from..to).contains(&line.time_ns))
}

fn now_ns() -> u64 {
    let stamp = herald::ledger::Clock::now(&herald::ledger::clock::SystemClock);
    u64::try_from(stamp.0).unwrap()
}

#[test]
fn a_limit_that_falls_to_half_is_used_nearly_whole_seldom_met_and_left_when_it_lifts() {
    let _machine = machine::alone();
    let seconds = seconds_of_limit();
    let stage = Stage::open(&["--latency", "20"]);
    // More than can be sent: the run is told to stop.
    let people = u64::from(RATE) * (BEFORE + seconds + AFTER + 20);
    let mut csv = String::from("id\n");
    for person in 0..people {
        writeln!(csv, "2400555{person:07}").unwrap();
    }
    stage.write("people.csv", csv);
    let audience = "  audience: {sources: [{name: people, configMapKeyRef: {name: people, key: people.csv}}]}\n";
    let spec = format!("{audience}  content: {{text: \"Hello\"}}\n");
    stage.documents(RATE, &[broadcast("throttled", &spec)]);
    let run = stage.start(&["--config-map", "people=people.csv"]);

    stage.await_requests((u64::from(RATE) * BEFORE) as usize);
    stage.settings(&format!("{{\"latency\": \"20\", \"rate-limit\": {LIMIT}}}"));
    let fell = now_ns();
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    stage.settings("{\"latency\": \"20\", \"rate-limit\": 0}");
    let lifted = now_ns();
    std::thread::sleep(std::time::Duration::from_secs(AFTER));
    run.signal("TERM");
    run.wait().exits(3);

    let lines = stage.requests();
    let sent = between(&lines, fell, lifted).count() as f64;
    let accepted = between(&lines, fell, lifted).filter(|line| line.accepted).count() as f64;
    let span = (lifted - fell) as f64 / NANOS as f64;
    let allowed = f64::from(LIMIT) * span;
    // The best of the seconds from the tenth on: a busy machine loses slots.
    let back = (10..AFTER - 1).map(|second| {
        let from = lifted + second * NANOS;
        between(&lines, from, from + NANOS).count()
    });
    let back = back.max().unwrap();
    eprintln!(
        "of {allowed:.0} allowed {accepted} were accepted, {} of {sent} throttled; {back}/s at last",
        sent - accepted
    );
    assert!(accepted >= 0.9 * allowed - SEARCH * f64::from(LIMIT), "{accepted} of {allowed:.0}");
    assert!(sent - accepted <= 0.01 * sent + SURPRISED, "{} of {sent} throttled", sent - accepted);
    assert!(back as f64 >= 0.95 * f64::from(RATE), "{back}/s ten seconds after it lifted");
    stage.accepted();
}
