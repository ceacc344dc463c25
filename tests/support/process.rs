//! `herald run` as a child process.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use herald::sender::transport::HANDED_OVER;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{GLANCE, patience};

/// A run under way; ended by force when it is dropped.
pub struct Running {
    child: Child,
    output: PathBuf,
    messages: PathBuf,
    started: Instant,
    peak_kib: u64,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The lines of `-o json`.
    pub output: Vec<Value>,
    /// What was told to people.
    pub messages: String,
    /// The most memory that was resident at once, as last seen.
    pub peak_kib: u64,
}

impl Running {
    /// Starts `herald run -o json` with its output in files of the folder whose names begin with `name`, where it keeps what
    /// it keeps of its own as well.
    /// `trusted` is the certificate of a provider, where it has one of its own.
    pub fn start(folder: &Path, name: &str, ledger: &str, arguments: &[String], trusted: Option<&Path>) -> Running {
        let (output, messages) = (folder.join(format!("{name}.out")), messages_of(folder, name));
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command.arg("run").args(arguments).args(["-o", "json"]);
        // By the environment: other users of a machine see a process's arguments.
        command.env("HERALD_LEDGER", ledger);
        // With a server each run is another user's: a flight journal belongs to one process at a time.
        command.env("XDG_STATE_HOME", folder.join(format!("{name}.state")));
        // Says when requests were handed over; without colours, to be read by `handed_over`.
        command.env("HERALD_LOG", "warn,herald::sender::transport=trace").env("NO_COLOR", "1");
        command.envs(trusted.map(|certificate| ("SSL_CERT_FILE", certificate)));
        command.stdin(Stdio::null());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&messages).unwrap());
        let child = command.spawn().unwrap();
        Running { child, output, messages, started: Instant::now(), peak_kib: 0 }
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Whether it has ended, and how; notes its memory meanwhile.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.peak_kib = self.peak_kib.max(peak_kib(self.child.id()).unwrap_or(0));
        self.child.try_wait().unwrap()
    }

    /// SIGKILL: no destructor runs, nothing is flushed.
    pub fn kill(mut self) -> Ended {
        self.signal(Signal::KILL);
        self.wait()
    }

    pub fn finish(mut self) -> Ended {
        self.wait()
    }

    fn wait(&mut self) -> Ended {
        let since = Instant::now();
        let status = loop {
            match self.ended() {
                Some(status) => break status,
                None if since.elapsed() > patience() => {
                    let told = self.told();
                    panic!("the run has not ended after {:?}; it said:\n{told}", patience());
                }
                None => std::thread::sleep(GLANCE),
            }
        };
        let text = std::fs::read_to_string(&self.output).unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            output: text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect(),
            messages: self.told(),
            peak_kib: self.peak_kib,
        }
    }

    /// Waits until it has told people this.
    pub fn await_told(&mut self, part: &str) {
        let since = Instant::now();
        while !self.told().contains(part) {
            assert!(self.ended().is_none() && since.elapsed() < patience(), "no {part:?} in:\n{}", self.told());
            std::thread::sleep(GLANCE);
        }
    }

    pub fn told(&self) -> String {
        std::fs::read_to_string(&self.messages).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub fn expect(&self, code: i32) -> &Ended {
        assert_eq!((self.code, self.signal), (Some(code), None), "the run said:\n{}\n{:?}", self.messages, self.output);
        self
    }

    /// The count of recipients in a state, of the only broadcast.
    pub fn recipients(&self, state: &str) -> i64 {
        self.output[0]["status"]["recipients"][state]
            .as_i64()
            .unwrap_or_else(|| panic!("no {state}: {:?}", self.output))
    }

    /// The count of a reason of an outcome, of the only broadcast.
    pub fn reason(&self, outcome: &str, reason: &str) -> i64 {
        let reasons = self.output[0]["status"]["reasons"].as_array().cloned().unwrap_or_default();
        let of = |row: &&Value| row["outcome"] == outcome && row["reason"] == reason;
        reasons.iter().find(of).and_then(|row| row["count"].as_i64()).unwrap_or(0)
    }

    /// The reason of a condition, of the only broadcast.
    pub fn condition(&self, type_: &str) -> Option<String> {
        let conditions = self.output[0]["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|condition| condition["type"] == type_)?;
        found["reason"].as_str().map(str::to_owned)
    }
}

/// How long it takes now to start the program and have it say a word.
pub fn time_to_start() -> Duration {
    let before = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_herald")).arg("crds").output().unwrap();
    assert!(output.status.success());
    before.elapsed()
}

fn messages_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.err"))
}

/// What a run of this name has told people so far.
pub fn told(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(messages_of(folder, name)).unwrap_or_default()
}

/// When requests were handed over by a run that told this, in nanoseconds since 1970.
pub fn handed_over(told: &str) -> impl Iterator<Item = u64> {
    told.lines().filter(|line| line.ends_with(HANDED_OVER)).map(|line| {
        let time: jiff::Timestamp = line.split_whitespace().next().unwrap().parse().unwrap();
        u64::try_from(time.as_nanosecond()).unwrap()
    })
}

fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
