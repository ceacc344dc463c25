//! The API server's audit log: every write, by whom, once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use serde_json::Value;

/// Set by `dev/with-herald.sh`.
const AUDIT_LOG: &str = "HERALD_TEST_AUDIT_LOG";
/// As whom the chart lets the operator speak.
const OPERATOR: &str = "system:serviceaccount:herald-system:herald";

fn open() -> std::fs::File {
    let path = std::env::var(AUDIT_LOG).expect("set by dev/with-herald.sh");
    std::fs::File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A place in the log.
pub struct Mark(u64);

impl Mark {
    /// The end of the log as it is now.
    pub fn now() -> Mark {
        Mark(open().metadata().unwrap().len())
    }

    /// What the operator has asked for since, by verb and resource: in this namespace, or in none.
    pub fn writes_of_the_operator(&self, namespace: &str) -> BTreeMap<String, u64> {
        let mut log = open();
        log.seek(SeekFrom::Start(self.0)).unwrap();
        let mut writes = BTreeMap::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            let reads = ["get", "list", "watch"].map(Value::from).contains(&entry["verb"]);
            if reads || entry["user"]["username"] != OPERATOR {
                continue;
            }
            if entry["objectRef"]["namespace"].as_str().is_some_and(|other| other != namespace) {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let resource = &entry["objectRef"];
            let mut name = format!("{} {}", text(&entry["verb"]), text(&resource["resource"]));
            if let Some(part) = resource["subresource"].as_str() {
                name = format!("{name}/{part}");
            }
            *writes.entry(name).or_default() += 1;
        }
        writes
    }
}
