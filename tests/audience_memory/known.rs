//! Whom the ledger knows already: contacts, brought in and out by hand, and the recipients of another broadcast.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::process::Stdio;

use super::measured::measured;
use super::run_support::{Stage, broadcast};
use super::sources::{Kind, write_rows};
use super::{HI, PLANNED};

const LEDGER: [&str; 2] = ["--ledger", "sqlite:ledger.sqlite"];

/// The most memory of each of these, in their order.
pub const OF_CONTACTS: [&str; 4] =
    ["an import of contacts", "an export as CSV", "an export as NDJSON", "a plan of contacts"];

/// Brings so many contacts in, writes them out, and plans a broadcast to all of them.
pub fn contacts(rows: u64) -> [u64; 4] {
    let stage = Stage::open(&[]);
    stage.documents(50, &[]);
    write_rows(Kind::CsvFile, rows, &mut BufWriter::new(File::create(stage.path("people.csv")).unwrap())).unwrap();
    let access = [&["--channel", "page", "-f", "run.yaml"], &LEDGER[..]].concat();
    let words = [&["contacts", "import", "people.csv", "-o", "json"], &access[..]].concat();
    let (import, finished) = measured(&mut stage.herald(&words), OF_CONTACTS[0], rows);
    assert_eq!(finished.exits(0).json()[0]["new"], rows);

    // Into a file by a shell: what is piped would lie in the memory of the test.
    let export = |format: &str, what: &str| {
        let words =
            ["-c", "exec \"$0\" \"$@\" > exported", env!("CARGO_BIN_EXE_herald"), "contacts", "export", "-o", format];
        let mut command = std::process::Command::new("sh");
        command.args(words).args(&access).current_dir(stage.folder.path()).stdin(Stdio::null());
        stage.isolate(&mut command);
        let (peak, finished) = measured(&mut command, what, rows);
        finished.exits(0);
        let lines = BufReader::new(File::open(stage.path("exported")).unwrap()).lines().count() as u64;
        assert_eq!(lines, rows + u64::from(format == "csv"), "everybody is written");
        peak
    };
    let (csv, ndjson) = (export("csv", OF_CONTACTS[1]), export("ndjson", OF_CONTACTS[2]));
    let spec = format!("  audience: {{sources: [{{name: known, contacts: {{}}}}]}}\n{HI}  suspend: true\n");
    [import, csv, ndjson, plan(&stage, "to-contacts", &spec, OF_CONTACTS[3], rows)]
}

/// Plans a broadcast to the recipients of another one: all of them were skipped, since it was cancelled.
pub fn other_broadcast(rows: u64) -> u64 {
    let stage = Stage::open(&[]);
    write_rows(Kind::CsvFile, rows, &mut BufWriter::new(File::create(stage.path("people.csv")).unwrap())).unwrap();
    let people = "configMapKeyRef: {name: people, key: people.csv}";
    for (last, code) in [("suspend", 0), ("cancel", 2)] {
        let spec = format!("  audience: {{sources: [{{name: many, {people}}}]}}\n{HI}  {last}: true\n");
        stage.documents(50, &[broadcast("first", &spec)]);
        let words = [&["run", "-f", "run.yaml", "--config-map", "people=people.csv"], &LEDGER[..]].concat();
        measured(&mut stage.herald(&words), &format!("the first broadcast, {last}"), rows).1.exits(code);
    }
    let source = "broadcast: {name: first, outcomes: [Skipped]}";
    let spec = format!("  audience: {{sources: [{{name: skipped, {source}}}]}}\n{HI}  suspend: true\n");
    plan(&stage, "again", &spec, "a plan of another broadcast's recipients", rows)
}

fn plan(stage: &Stage, name: &str, spec: &str, what: &str, rows: u64) -> u64 {
    stage.documents(50, &[broadcast(name, spec)]);
    let words = [&["run", "-f", "run.yaml", "-o", "json"], &LEDGER[..]].concat();
    let (peak, finished) = measured(&mut stage.herald(&words), what, rows);
    let finished = finished.exits(0);
    assert_eq!(finished.json()[0].pointer(PLANNED).unwrap(), rows, "{}", finished.stderr);
    peak
}
