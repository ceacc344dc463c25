//! Planning takes no more memory for many people than for few, whatever source they come from.
//!
//! `HERALD_AUDIENCE_ROWS=N cargo test --test audience_memory -- --ignored --nocapture` prints the figures for N people.

#![allow(clippy::unwrap_used)]

mod run_support;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use run_support::{Running, Stage, broadcast};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// What a plan of so many more people may take in addition, in MiB: the caches of SQLite fill up, and nothing else.
const MOST_GROWTH: u64 = 64;
/// How often the memory of a run is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Of each row: what a message may use.
const FIRST_NAMES: [&str; 4] = ["Ana", "Søren", "小明", "Zoë"];

#[derive(Clone, Copy, Debug)]
enum Kind {
    CsvFile,
    HttpNdjson,
    HttpJson,
    Sqlite,
}

fn first_name(row: u64) -> &'static str {
    FIRST_NAMES[(row % 4) as usize]
}

fn id(row: u64) -> u64 {
    24_005_550_000_000 + row
}

/// Writes so many rows, with what stands before, between and behind them.
fn write_rows(kind: Kind, rows: u64, to: &mut dyn Write) -> std::io::Result<()> {
    if matches!(kind, Kind::CsvFile) {
        writeln!(to, "id,first_name,city")?;
    }
    for row in 0..rows {
        let (id, name) = (id(row), first_name(row));
        match kind {
            Kind::CsvFile => writeln!(to, "{id},{name},\"São Paulo, SP\"")?,
            Kind::HttpNdjson => {
                writeln!(to, "{{\"id\": \"{id}\", \"first_name\": \"{name}\", \"city\": \"São Paulo\"}}")?
            }
            Kind::HttpJson => {
                let before = if row == 0 { "{\"people\": [" } else { "," };
                write!(to, "{before}{{\"id\": {id}, \"first_name\": \"{name}\", \"city\": \"São Paulo\"}}")?;
            }
            Kind::Sqlite => {}
        }
    }
    if matches!(kind, Kind::HttpJson) {
        write!(to, "], \"next\": null}}")?;
    }
    to.flush()
}

/// A server that makes up the rows as it sends them; the connection's end is that of the answer.
fn serve(kind: Kind, rows: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer(connection, kind, rows));
        }
    });
    address
}

/// A body of chunks: its end is marked, so that what is cut off cannot look whole.
struct Chunked(TcpStream);

impl Write for Chunked {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        write!(self.0, "{:x}\r\n", piece.len())?;
        self.0.write_all(piece)?;
        self.0.write_all(b"\r\n")?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn answer(mut connection: TcpStream, kind: Kind, rows: u64) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let content = if matches!(kind, Kind::HttpJson) { "application/json" } else { "application/x-ndjson" };
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\ncontent-type: {content}\r\n\r\n"
    );
    // The client may have had enough before the end.
    let _ = connection.write_all(head.as_bytes()).and_then(|()| {
        let mut body = BufWriter::new(Chunked(connection));
        write_rows(kind, rows, &mut body)?;
        body.flush()?;
        body.get_mut().0.write_all(b"0\r\n\r\n")
    });
}

/// Makes the source of so many rows; the lines of a spec that name it, and the flags they need.
fn prepare(stage: &Stage, kind: Kind, rows: u64) -> (String, Vec<String>) {
    match kind {
        Kind::CsvFile => {
            let path = stage.path("people.csv");
            write_rows(kind, rows, &mut BufWriter::new(std::fs::File::create(path).unwrap())).unwrap();
            let flags = ["--config-map", "people=people.csv"].map(str::to_owned);
            ("configMapKeyRef: {name: people, key: people.csv}".to_owned(), flags.into())
        }
        Kind::HttpNdjson => (format!("http: {{url: \"http://{}/people\"}}", serve(kind, rows)), Vec::new()),
        Kind::HttpJson => {
            let url = format!("http://{}/people", serve(kind, rows));
            let next = "nextPage: {pointer: /next, parameter: after}";
            (format!("http: {{url: \"{url}\", recipientsPointer: /people, {next}}}"), Vec::new())
        }
        Kind::Sqlite => {
            let path = stage.path("people.sqlite");
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
                let mut connection = options.connect().await.unwrap();
                let people = format!(
                    "CREATE TABLE people AS WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g LIMIT {rows}) \
                     SELECT {} + n AS psid, 'Ana' AS first_name, 'São Paulo' AS city FROM g",
                    id(0)
                );
                connection.execute(sqlx::raw_sql(AssertSqlSafe(people))).await.unwrap();
                connection.close().await.unwrap();
            });
            let url = stage.write("url.txt", format!("sqlite:{}", path.display()));
            let flags = ["--secret".to_owned(), format!("crm-db/url={}", url.display())];
            let query = "query: \"select psid as id, first_name, city from people\"";
            (
                format!("sql: {{urlSecretKeyRef: {{name: crm-db, key: url}}, timeoutSeconds: 21600, {query}}}"),
                flags.into(),
            )
        }
    }
}

/// What plans: a run into its ledger, and a preview into one that nobody sees.
const RUN: &[&str] = &["run", "--ledger", "sqlite:ledger.sqlite"];
const PREVIEW: &[&str] = &["preview"];

/// The most memory that planning so many people took, in MiB; all of them are in the plan.
fn peak(command: &[&'static str], kind: Kind, rows: u64) -> u64 {
    let stage = Stage::open(&[]);
    let (source, flags) = prepare(&stage, kind, rows);
    let text = "  content: {text: \"Hi {{ first_name }} in {{ city }}\"}\n  suspend: true\n";
    let spec = format!("  audience:\n    sources:\n      - {{name: many, {source}}}\n{text}");
    stage.documents(50, &[broadcast("many", &spec)]);
    let base = command.iter().copied().chain(["-f", "run.yaml", "-o", "json"]);
    let arguments: Vec<&str> = base.chain(flags.iter().map(String::as_str)).collect();
    let began = Instant::now();
    let mut run = Running::spawn(&mut stage.herald(&arguments), None);
    let mut peak = 0;
    while run.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120 + rows / 500), "{kind:?} hangs");
        peak = peak.max(high_water(run.child.id()).unwrap_or_default());
        std::thread::sleep(LOOK);
    }
    let took = began.elapsed();
    let finished = run.wait().exits(0);
    let told = finished.json().remove(0);
    let planned = [&told["status"]["recipients"]["planned"], &told["plan"]["planned"]];
    assert!(planned.iter().any(|planned| **planned == rows), "{told}: {}", finished.stderr);
    eprintln!(
        "{command:?}, {kind:?}: {rows} people, peak {peak} MiB, {} people/s",
        (rows as f64 / took.as_secs_f64()) as u64
    );
    peak
}

/// `VmHWM` of a process, in MiB; none once it has ended.
fn high_water(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.div_ceil(1024))
}

fn rows(default: u64) -> u64 {
    std::env::var("HERALD_AUDIENCE_ROWS").map_or(default, |rows| rows.parse().unwrap())
}

/// `few` people fill what is filled whatever their number.
#[track_caller]
fn grows_little(command: &[&'static str], kind: Kind, few: u64, many: u64, most: u64) {
    let (few, many) = (peak(command, kind, few), peak(command, kind, many));
    assert!(few > 0 && many <= few + most, "{command:?}, {kind:?}: from {few} to {many} MiB");
}

#[test]
fn a_file_and_a_server_of_many_people_take_no_more_memory_than_of_few() {
    for kind in [Kind::CsvFile, Kind::HttpNdjson, Kind::HttpJson, Kind::Sqlite] {
        // All of them in memory would be some 40 MiB.
        grows_little(RUN, kind, 4_000, 100_000, 20);
    }
}

#[test]
fn a_preview_of_many_people_takes_no_more_memory_than_of_few() {
    grows_little(PREVIEW, Kind::CsvFile, 4_000, 100_000, 20);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_a_file_take_no_more_memory() {
    grows_little(RUN, Kind::CsvFile, 100_000, rows(1_000_000), MOST_GROWTH);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_a_server_take_no_more_memory() {
    grows_little(RUN, Kind::HttpNdjson, 100_000, rows(1_000_000), MOST_GROWTH);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_one_json_list_take_no_more_memory() {
    grows_little(RUN, Kind::HttpJson, 100_000, rows(1_000_000), MOST_GROWTH);
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_million_people_of_a_database_take_no_more_memory() {
    grows_little(RUN, Kind::Sqlite, 100_000, rows(1_000_000), MOST_GROWTH);
}
