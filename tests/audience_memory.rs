//! Planning takes no more memory for many people than for few, whatever source they come from and whatever list they are on;
//! nor does bringing contacts in and out.
//!
//! `HERALD_AUDIENCE_ROWS=N dev/with-postgres.sh cargo test --test audience_memory -- --ignored --nocapture --test-threads=1`
//! prints the figures for N people.

#![allow(clippy::unwrap_used)]

#[path = "audience_memory/known.rs"]
mod known;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "audience_memory/measured.rs"]
mod measured;
#[path = "support/postgres.rs"]
mod postgres;
mod run_support;
#[path = "audience_memory/sources.rs"]
mod sources;

use measured::{grows_little, measured};
use run_support::{Stage, broadcast};
use serde_json::Value;
use sources::{Kind, Prepared, id, prepare};

/// What a plan of so many more people may take in addition, in MiB: the caches of SQLite fill up, and nothing else.
const MOST_GROWTH: u64 = 64;
/// The same of a hundred thousand: all of them in memory would be some 40 MiB.
const MOST_OF_FEW: u64 = 20;
const FEW: u64 = 4_000;
const MANY: u64 = 100_000;

/// The text of a message.
const HI: &str = "  content: {text: \"Hi {{ first_name }} in {{ city }}\"}\n";
/// How many are planned, in what a run prints.
const PLANNED: &str = "/status/recipients/planned";

/// What plans: a run into its ledger, and a preview into one that nobody sees.
const RUN: &[&str] = &["run", "--ledger", "sqlite:ledger.sqlite"];
const PREVIEW: &[&str] = &["preview"];

/// What the source of many people is.
#[derive(Clone, Copy, Debug)]
enum List {
    Audience,
    /// Of an audience of two, of whom one is on it.
    Exclude,
    Suppression,
}

/// `run.yaml`: a channel and a broadcast with the source as that list.
fn documents(list: List, source: &str, channel: &str, rows: u64) -> String {
    let two = format!(
        "recipients: [{{id: \"1\", vars: {{first_name: Ana, city: Rome}}}}, {{id: \"{}\", vars: {{first_name: Bo, city: Oslo}}}}]",
        id(rows - 1)
    );
    let sources = format!("sources: [{{name: many, {source}}}]");
    let (audience, channel) = match list {
        List::Audience => (sources, channel.to_owned()),
        List::Exclude => (format!("{two}, exclude: {{{sources}}}"), channel.to_owned()),
        List::Suppression => (two, channel.replacen("spec:\n", &format!("spec:\n  suppression: {{{sources}}}\n"), 1)),
    };
    let spec = format!("  audience: {{{audience}}}\n{HI}  suspend: true\n");
    format!("{channel}---\n{}", broadcast("many", &spec))
}

/// The most memory that planning with so many people took, in MiB; all of them count. `None` where the source is not there.
fn peak(command: &[&'static str], list: List, kind: Kind, rows: u64) -> Option<u64> {
    let stage = Stage::open(&[]);
    let Prepared { source, flags, .. } = &prepare(&stage, kind, rows)?;
    stage.write("run.yaml", documents(list, source, &stage.channel(50), rows));
    let base = command.iter().copied().chain(["-f", "run.yaml", "-o", "json"]);
    let arguments: Vec<&str> = base.chain(flags.iter().map(String::as_str)).collect();
    let what = format!("{} with {kind:?} as {list:?}", command[0]);
    let (peak, finished) = measured(&mut stage.herald(&arguments), &what, rows);
    let finished = finished.exits(0);
    let told = finished.json().remove(0);
    let figure = |places: [&str; 2]| places.into_iter().find_map(|place| told.pointer(place)).and_then(Value::as_u64);
    let planned = figure([PLANNED, "/plan/planned"]);
    match list {
        List::Audience => assert_eq!(planned, Some(rows), "{told}"),
        List::Exclude => {
            let excluded = figure(["/status/plan/excluded", "/plan/excluded"]);
            assert_eq!((planned, excluded), (Some(1), Some(1)), "{told}");
        }
        List::Suppression => {
            let skipped = figure(["/status/recipients/skipped", "/plan/optedOut"]);
            assert_eq!((planned, skipped), (Some(2), Some(1)), "{told}");
        }
    }
    Some(peak)
}

/// Where the source is there.
#[track_caller]
fn plan_grows_little(command: &[&'static str], list: List, kind: Kind, few: u64, many: u64, most: u64) {
    let peaks = peak(command, list, kind, few).zip(peak(command, list, kind, many));
    if let Some((few, many)) = peaks {
        grows_little(&format!("{command:?}, {kind:?} as {list:?}"), few, many, most);
    }
}

#[track_caller]
fn contacts_grow_little(few: u64, many: u64, most: u64) {
    let (few, many) = (known::contacts(few), known::contacts(many));
    for (what, (few, many)) in known::OF_CONTACTS.iter().zip(few.into_iter().zip(many)) {
        grows_little(what, few, many, most);
    }
}

fn rows(default: u64) -> u64 {
    std::env::var("HERALD_AUDIENCE_ROWS").map_or(default, |rows| rows.parse().unwrap())
}

#[test]
fn a_file_and_a_server_of_many_people_take_no_more_memory_than_of_few() {
    for kind in [Kind::CsvFile, Kind::HttpNdjson, Kind::HttpJson] {
        plan_grows_little(RUN, List::Audience, kind, FEW, MANY, MOST_OF_FEW);
    }
}

#[test]
fn a_database_of_many_people_takes_no_more_memory_than_of_few() {
    for kind in [Kind::Sqlite, Kind::PostgreSql, Kind::MariaDb] {
        plan_grows_little(RUN, List::Audience, kind, FEW, MANY, MOST_OF_FEW);
    }
}

#[test]
fn long_lists_of_people_to_leave_out_take_no_more_memory_than_short_ones() {
    for list in [List::Exclude, List::Suppression] {
        plan_grows_little(RUN, list, Kind::CsvFile, FEW, MANY, MOST_OF_FEW);
    }
}

#[test]
fn a_preview_of_many_people_takes_no_more_memory_than_of_few() {
    plan_grows_little(PREVIEW, List::Audience, Kind::CsvFile, FEW, MANY, MOST_OF_FEW);
}

#[test]
fn many_contacts_take_no_more_memory_than_few_coming_in_going_out_and_being_planned() {
    contacts_grow_little(FEW, MANY, MOST_OF_FEW);
}

#[test]
fn the_recipients_of_a_large_broadcast_take_no_more_memory_than_of_a_small_one() {
    grows_little("another broadcast", known::other_broadcast(FEW), known::other_broadcast(MANY), MOST_OF_FEW);
}

/// A million people by default, as this list.
fn a_million(list: List, kind: Kind) {
    plan_grows_little(RUN, list, kind, MANY, rows(1_000_000), MOST_GROWTH);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_a_file_take_no_more_memory() {
    a_million(List::Audience, Kind::CsvFile);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_a_server_take_no_more_memory() {
    a_million(List::Audience, Kind::HttpNdjson);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_one_json_list_take_no_more_memory() {
    a_million(List::Audience, Kind::HttpJson);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_sqlite_take_no_more_memory() {
    a_million(List::Audience, Kind::Sqlite);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_postgresql_take_no_more_memory() {
    a_million(List::Audience, Kind::PostgreSql);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_mariadb_take_no_more_memory() {
    a_million(List::Audience, Kind::MariaDb);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_to_leave_out_take_no_more_memory() {
    a_million(List::Exclude, Kind::CsvFile);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_on_a_list_of_the_channel_take_no_more_memory() {
    a_million(List::Suppression, Kind::CsvFile);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_contacts_take_no_more_memory() {
    contacts_grow_little(MANY, rows(1_000_000), MOST_GROWTH);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_recipients_of_another_broadcast_take_no_more_memory() {
    let (few, many) = (known::other_broadcast(MANY), known::other_broadcast(rows(1_000_000)));
    grows_little("another broadcast", few, many, MOST_GROWTH);
}
