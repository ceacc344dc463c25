#![allow(dead_code)] // Each test file uses its own part.

//! `herald run` as a child process beside a simulator of this process, whose record is the judge.

pub mod audience_server;
pub mod status_schema;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use herald::simulator::book::Summary;
use herald::simulator::labels::LabelSummary;
use herald::simulator::record::{self, OwnedLine};
use herald::simulator::{Simulator, SimulatorOptions};
use serde_json::Value;
use tokio::sync::oneshot;

/// Long enough for a slow machine; a run that takes longer hangs, and is killed.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);

/// The token of [`Stage::channel`]: must never be seen outside the YAML it stands in.
pub const CANARY: &str = "EAAB-canary-token-5f1c";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

/// A folder with the files of a run, and a simulator.
pub struct Stage {
    pub folder: tempfile::TempDir,
    pub base_url: String,
    stop: Option<oneshot::Sender<()>>,
    simulator: Option<JoinHandle<()>>,
}

impl Stage {
    /// `flags` are those of `herald simulator`.
    pub fn open(flags: &[&str]) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record.ndjson");
        let base = ["simulator", "--listen", "127.0.0.1:0", "--record", record.to_str().unwrap()];
        let options = CommandLine::try_parse_from(base.iter().chain(flags)).unwrap().options;
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = std::sync::mpsc::channel();
        let simulator = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let simulator = Simulator::bind(options).await.unwrap();
                bound.send(simulator.address()).unwrap();
                simulator.run(stopped).await.unwrap();
            });
        });
        let base_url = format!("http://{}", address.recv_timeout(PATIENCE).unwrap());
        Stage { folder, base_url, stop: Some(stop), simulator: Some(simulator) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A Messenger channel `page` at the simulator with its Secret.
    pub fn channel(&self, messages: u32) -> String {
        format!(
            "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n  messenger: {{pageID: \"1029384756\", baseURL: \"{}\"}}\n  credentialsSecretRef: {{name: page}}\n  rate: {{messages: {messages}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: page}}\nstringData: {{accessToken: {CANARY}}}\n",
            self.base_url
        )
    }

    /// Writes `run.yaml`: the channel at so many messages a second, and these further documents.
    pub fn documents(&self, messages: u32, documents: &[String]) {
        let mut text = self.channel(messages);
        for document in documents {
            text.push_str("---\n");
            text.push_str(document);
        }
        self.write("run.yaml", text);
    }

    /// `herald` in the folder, with nothing of the caller's own ledger or settings.
    pub fn herald(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command.args(arguments).current_dir(self.folder.path());
        self.isolate(&mut command);
        command
    }

    pub fn isolate(&self, command: &mut Command) {
        command.env("XDG_STATE_HOME", self.path("state"));
        let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
        let proxies = proxies.map(|name| [name.to_owned(), name.to_lowercase()]);
        for name in ["HERALD_LEDGER", "HERALD_LOG"].map(str::to_owned).iter().chain(proxies.iter().flatten()) {
            command.env_remove(name);
        }
    }

    /// `herald run -f run.yaml --ledger sqlite:ledger.sqlite` and further arguments, to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).wait()
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        let base = ["run", "-f", "run.yaml", "--ledger", "sqlite:ledger.sqlite"];
        let arguments: Vec<&str> = base.iter().chain(arguments).copied().collect();
        Running::spawn(&mut self.herald(&arguments), None)
    }

    /// A command of a shell in the folder, at a terminal; what it shows there is its standard output. ^C goes to the shell
    /// as well, which has to live on to hand over the command's exit code.
    pub fn at_a_terminal(&self, command: &str) -> Running {
        let command = format!("trap : INT; {command}");
        let mut script = Command::new("script");
        script.args(["-qefc", &command, "/dev/null"]).current_dir(self.folder.path());
        script.env("TERM", "xterm").env("SHELL", "/bin/sh");
        self.isolate(&mut script);
        // An open input, so that the terminal does not end before the command.
        Running::spawn(&mut script, Some(b""))
    }

    /// What the simulator was asked for.
    pub fn requests(&self) -> Vec<OwnedLine> {
        record::read(&self.path("record.ndjson")).unwrap()
    }

    /// Waits until the simulator was asked for so many messages.
    pub fn await_requests(&self, count: usize) {
        let began = Instant::now();
        while self.requests().len() < count {
            assert!(began.elapsed() < PATIENCE, "only {} of {count} requests came", self.requests().len());
            std::thread::sleep(LOOK);
        }
    }

    /// Changes the simulator's settings while it runs.
    pub fn settings(&self, json: &str) {
        let address = self.base_url.trim_start_matches("http://");
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let length = json.len();
        let head = format!(
            "PUT /_simulator/settings HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(json.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Who has which label, and how the simulator was asked for that.
    pub fn labels(&self) -> LabelSummary {
        let address = self.base_url.trim_start_matches("http://");
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let head = format!("GET /_simulator/labels HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str(body).unwrap()
    }

    /// What the simulator has counted.
    pub fn summary(&self) -> Summary {
        let address = self.base_url.trim_start_matches("http://");
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let head = format!("GET /_simulator/summary HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Waits until a file is there, and holds so many bytes.
    pub fn await_file(&self, name: &str, bytes: u64) {
        let began = Instant::now();
        while std::fs::metadata(self.path(name)).map_or(true, |file| file.len() < bytes) {
            assert!(began.elapsed() < PATIENCE, "{name} does not come to hold {bytes} bytes");
            std::thread::sleep(LOOK);
        }
    }

    /// The recipients whose message was taken, sorted; nobody twice.
    pub fn accepted(&self) -> Vec<String> {
        let lines = self.requests();
        let twice = record::accepted_twice(&lines);
        assert!(twice.is_empty(), "accepted twice: {twice:?}");
        let mut accepted: Vec<String> =
            lines.iter().filter(|line| line.accepted).map(|line| line.recipient.to_string()).collect();
        accepted.sort();
        accepted
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(simulator) = self.simulator.take() {
            // A simulator that failed has failed the test already.
            let _ = simulator.join();
        }
    }
}

/// A BroadcastMessage over the channel `page`; `spec` are further lines of YAML in flow style or block style, already
/// indented by two.
pub fn broadcast(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: herald.dev/v1alpha1\nkind: BroadcastMessage\nmetadata: {{name: {name}}}\nspec:\n  channelRef: {{name: page}}\n{spec}"
    )
}

/// Lines of a spec: an inline audience of `count` people, `first` the first one's number, and a text.
pub fn people(first: u64, count: u64) -> String {
    let recipients: Vec<String> = (first..first + count).map(|id| format!("{{id: \"{id}\"}}")).collect();
    format!("  audience: {{recipients: [{}]}}\n  content: {{text: \"Hello\"}}\n", recipients.join(", "))
}

/// A child process whose output is collected.
pub struct Running {
    pub child: Child,
    /// Open until the end where the child was given input.
    input: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
}

/// How a child process ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    /// With `input` the child reads it and then the end; with an empty one its input stays open.
    pub fn spawn(command: &mut Command, input: Option<&[u8]>) -> Running {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take();
        if let Some(input) = input.filter(|input| !input.is_empty()) {
            stdin.take().unwrap().write_all(input).unwrap();
        }
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        Running { child, input: stdin, stdout, stderr }
    }

    /// Types once standard output shows `prompt`.
    pub fn types_at(mut self, prompt: &str, typed: &str) -> Running {
        let began = Instant::now();
        while !self.stdout.so_far().contains(prompt) {
            if began.elapsed() > PATIENCE || self.child.try_wait().unwrap().is_some() {
                panic!("no {prompt:?} in:\n{}", self.stdout.so_far());
            }
            std::thread::sleep(LOOK);
        }
        self.input.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
        self
    }

    /// Waits until standard error says this.
    pub fn await_said(&mut self, part: &str) {
        let began = Instant::now();
        while !self.stderr.so_far().contains(part) {
            if began.elapsed() > PATIENCE || self.child.try_wait().unwrap().is_some() {
                panic!("no {part:?} in:\n{}", self.stderr.so_far());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the child has this file open.
    pub fn await_open(&self, file: &Path) {
        let began = Instant::now();
        let descriptors = format!("/proc/{}/fd", self.child.id());
        let is_open = || {
            let open = std::fs::read_dir(&descriptors).unwrap();
            // One that is closed meanwhile is not the one.
            open.flatten().any(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|name| name == file))
        };
        while !is_open() {
            assert!(began.elapsed() < PATIENCE, "{} is not opened:\n{}", file.display(), self.stderr.so_far());
            std::thread::sleep(LOOK);
        }
    }

    pub fn wait(mut self) -> Finished {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("hangs:\n{}\n{}", self.stdout.so_far(), self.stderr.so_far());
            }
            std::thread::sleep(LOOK);
        };
        Finished { code: status.code(), stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }

    /// Sends a signal by its name, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

/// What a child has written so far.
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Output {
    fn collect(mut from: impl Read + Send + 'static) -> Output {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let collected = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = from.read(&mut buffer)
                && read > 0
            {
                collected.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Output { bytes, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn whole(self) -> String {
        self.reader.join().unwrap();
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

impl Finished {
    /// Asserts the exit code and gives the rest back.
    #[track_caller]
    pub fn exits(self, code: i32) -> Finished {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error says all of this.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Finished {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        self
    }

    /// Standard output as lines of JSON, each of them an object of one broadcast.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

/// Whether this process may mount file systems of its own; says loudly why not.
pub fn can_mount(folder: &Path) -> bool {
    let mounted = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs \"$0\""])
        .arg(folder)
        .output();
    let reason = match mounted {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    // Not by a macro: the test harness would keep it to itself.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: a full disk needs root and `unshare -m` to mount a small tmpfs: {reason}"
    );
    false
}
