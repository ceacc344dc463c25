//! What kstatus, and so Flux and `kubectl` tools of its kind, says of an object as the cluster has it.

use serde_json::Value;

use super::kubectl::{await_some, find};
use super::stage::{Stage, condition};

/// The verdict for a kind that kstatus has no rules of its own for, in the order of its rules.
#[allow(clippy::if_same_then_else, reason = "one arm per rule, in its order")]
pub fn verdict(object: &Value) -> &'static str {
    let status = &object["status"];
    let holds = |type_: &str| condition(status, type_).map(|condition| condition["status"] == "True");
    let seen = status["observedGeneration"].as_i64();
    if object["metadata"]["deletionTimestamp"].is_string() {
        "Terminating"
    } else if seen.is_some() && seen != object["metadata"]["generation"].as_i64() {
        "InProgress"
    } else if holds("Reconciling") == Some(true) {
        "InProgress"
    } else if holds("Stalled") == Some(true) {
        "Failed"
    } else if holds("Ready") == Some(false) {
        "InProgress"
    } else {
        "Current"
    }
}

impl Stage {
    /// Waits for the verdict on an object that has a status: one without would be Current to kstatus.
    #[track_caller]
    pub fn await_verdict(&self, kind: &str, name: &str, expected: &str) {
        await_some(&format!("{kind} {name} is {expected} ({})", self.namespace), || {
            let object = find(&self.namespace, kind, name)?;
            let spoken_for = object["status"]["conditions"].is_array();
            (spoken_for && verdict(&object) == expected).then_some(())
        });
    }

    /// The verdict on a broadcast whose state has just been seen.
    #[track_caller]
    pub fn assert_verdict(&self, name: &str, expected: &str) {
        let object = find(&self.namespace, "broadcastmessage", name).unwrap();
        assert!(object["status"]["conditions"].is_array(), "{object}");
        assert_eq!(verdict(&object), expected, "{:#}", object["status"]);
    }

    /// Waits until every batch of a broadcast is in a state, with a verdict.
    #[track_caller]
    pub fn await_batch_verdicts(&self, name: &str, state: &str, expected: &str) {
        await_some(&format!("the batches of {name} are {state} and {expected} ({})", self.namespace), || {
            let batches = self.batches(name);
            let fits = |batch: &Value| batch["status"]["state"] == state && verdict(batch) == expected;
            (!batches.is_empty() && batches.iter().all(fits)).then_some(())
        });
    }
}
