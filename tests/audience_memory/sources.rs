//! Sources of as many people as are asked for.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};

use sqlx::mysql::MySqlConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use super::mariadb::MariaDb;
use super::postgres;
use super::run_support::Stage;

/// Of each row: what a message may use.
const FIRST_NAMES: [&str; 4] = ["Ana", "Søren", "小明", "Zoë"];

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    CsvFile,
    HttpNdjson,
    HttpJson,
    Sqlite,
    PostgreSql,
    MariaDb,
}

fn first_name(row: u64) -> &'static str {
    FIRST_NAMES[(row % 4) as usize]
}

pub fn id(row: u64) -> u64 {
    24_005_550_000_000 + row
}

/// Writes so many rows, with what stands before, between and behind them.
pub fn write_rows(kind: Kind, rows: u64, to: &mut dyn Write) -> std::io::Result<()> {
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
            Kind::Sqlite | Kind::PostgreSql | Kind::MariaDb => {}
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

/// A source that is there, until this is dropped.
pub struct Prepared {
    /// The line of a spec that names it.
    pub source: String,
    /// What it needs of the command line.
    pub flags: Vec<String>,
    _server: Option<MariaDb>,
}

impl Prepared {
    fn without_server(source: String, flags: Vec<String>) -> Prepared {
        Prepared { source, flags, _server: None }
    }
}

/// Makes the source of so many rows; `None` where it is not installed, which is said.
pub fn prepare(stage: &Stage, kind: Kind, rows: u64) -> Option<Prepared> {
    let prepared = match kind {
        Kind::CsvFile => {
            let path = stage.path("people.csv");
            write_rows(kind, rows, &mut BufWriter::new(std::fs::File::create(path).unwrap())).unwrap();
            let flags = ["--config-map", "people=people.csv"].map(str::to_owned);
            let source = "configMapKeyRef: {name: people, key: people.csv}".to_owned();
            Prepared::without_server(source, flags.into())
        }
        Kind::HttpNdjson => {
            let source = format!("http: {{url: \"http://{}/people\"}}", serve(kind, rows));
            Prepared::without_server(source, Vec::new())
        }
        Kind::HttpJson => {
            let url = format!("http://{}/people", serve(kind, rows));
            let next = "nextPage: {pointer: /next, parameter: after}";
            let source = format!("http: {{url: \"{url}\", recipientsPointer: /people, {next}}}");
            Prepared::without_server(source, Vec::new())
        }
        Kind::Sqlite | Kind::PostgreSql | Kind::MariaDb => return of_database(stage, kind, rows),
    };
    Some(prepared)
}

/// A table `people` in a database of its own.
fn of_database(stage: &Stage, kind: Kind, rows: u64) -> Option<Prepared> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let first = id(0);
    let (url, server) = match kind {
        Kind::PostgreSql => {
            let people = format!(
                "CREATE TABLE people AS SELECT {first} + n AS psid, 'Ana' AS first_name, 'São Paulo' AS city \
                 FROM generate_series(0, {}) n",
                rows - 1
            );
            let url = runtime.block_on(async {
                let url = postgres::fresh_database().await;
                let mut connection = PgConnection::connect(&url).await.unwrap();
                connection.execute(sqlx::raw_sql(AssertSqlSafe(people))).await.unwrap();
                url
            });
            (url, None)
        }
        Kind::MariaDb => {
            let server = MariaDb::start()?;
            let people = format!(
                "CREATE TABLE people AS SELECT {first} + seq AS psid, 'Ana' AS first_name, 'São Paulo' AS city \
                 FROM seq_0_to_{}",
                rows - 1
            );
            runtime.block_on(async {
                let mut connection = MySqlConnection::connect(&server.url).await.unwrap();
                connection.execute(sqlx::raw_sql(AssertSqlSafe(people))).await.unwrap();
            });
            (server.url.clone(), Some(server))
        }
        _ => {
            let path = stage.path("people.sqlite");
            let people = format!(
                "CREATE TABLE people AS WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g LIMIT {rows}) \
                 SELECT {first} + n AS psid, 'Ana' AS first_name, 'São Paulo' AS city FROM g"
            );
            runtime.block_on(async {
                let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
                let mut connection = options.connect().await.unwrap();
                connection.execute(sqlx::raw_sql(AssertSqlSafe(people))).await.unwrap();
                connection.close().await.unwrap();
            });
            (format!("sqlite:{}", path.display()), None)
        }
    };
    let url = stage.write("url.txt", url);
    let flags = vec!["--secret".to_owned(), format!("crm-db/url={}", url.display())];
    let query = "query: \"select psid as id, first_name, city from people\"";
    let source = format!("sql: {{urlSecretKeyRef: {{name: crm-db, key: url}}, timeoutSeconds: 21600, {query}}}");
    Some(Prepared { source, flags, _server: server })
}
