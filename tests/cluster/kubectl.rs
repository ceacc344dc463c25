//! The cluster as a person at a shell sees it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes on a busy machine; what takes longer does not happen.
pub const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// Runs kubectl with something on its standard input.
pub fn kubectl_with(input: &str, arguments: &[&str]) -> Result<String, String> {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is in the path of make test-cluster");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Runs kubectl; its error fails the test.
#[track_caller]
pub fn kubectl(arguments: &[&str]) -> String {
    kubectl_with("", arguments).unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
}

/// An object; `None` when there is none.
#[track_caller]
pub fn find(namespace: &str, kind: &str, name: &str) -> Option<Value> {
    let text = kubectl(&["-n", namespace, "get", kind, name, "-o", "json", "--ignore-not-found"]);
    (!text.trim().is_empty()).then(|| serde_json::from_str(&text).unwrap())
}

/// The objects of a kind that carry a label.
#[track_caller]
pub fn list(namespace: &str, kind: &str, selector: &str) -> Vec<Value> {
    let text = kubectl(&["-n", namespace, "get", kind, "-l", selector, "-o", "json"]);
    let mut list: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(list["items"].take()).unwrap()
}

/// Looks until there is something.
#[track_caller]
pub fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: does not happen within {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
}

/// Looks until it is so.
#[track_caller]
pub fn await_that(what: &str, mut look: impl FnMut() -> bool) {
    await_some(what, || look().then_some(()));
}

/// Whether something stays so for a while: the only way to see that nothing happens.
#[track_caller]
pub fn stays(what: &str, time: Duration, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while began.elapsed() < time {
        assert!(look(), "{what}: does not stay so");
        std::thread::sleep(LOOK);
    }
}
