//! What the network does to pods: on a cluster of one node their traffic passes the packet filter of this namespace.

use std::process::Command;

use super::kubectl::find;
use super::process::process_of;

/// The port of the ledger API, as the kernel lists it.
const LEDGER_PORT: &str = ":20FB";
const ESTABLISHED: &str = "01";

fn address(namespace: &str, pod: &str) -> String {
    find(namespace, "pod", pod).unwrap()["status"]["podIP"].as_str().unwrap().to_owned()
}

/// How many connections to the ledger API of a pod are open.
pub fn connections(namespace: &str, pod: &str) -> usize {
    let process = process_of(namespace, pod);
    // The listener takes both families, and so the kernel may list them under either.
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{process}/net/{table}")));
    let open = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3 && words[1].ends_with(LEDGER_PORT) && words[3] == ESTABLISHED
    };
    tables.iter().flatten().map(|table| table.lines().filter(open).count()).sum()
}

/// A pod that no packet reaches or leaves, as if its node were lost; until this is dropped.
pub struct CutOff(String);

impl CutOff {
    pub fn pod(namespace: &str, pod: &str) -> CutOff {
        let cut_off = CutOff(address(namespace, pod));
        assert!(cut_off.rules("-I"), "the packet filter takes the rules");
        cut_off
    }

    /// Whether all were taken.
    fn rules(&self, verb: &str) -> bool {
        let rules = [("FORWARD", "-s"), ("FORWARD", "-d"), ("INPUT", "-s"), ("OUTPUT", "-d")];
        rules.map(|(chain, side)| {
            let arguments = ["-w", verb, chain, side, self.0.as_str(), "-j", "DROP"];
            Command::new("iptables").args(arguments).status().is_ok_and(|status| status.success())
        }) == [true; 4]
    }
}

impl Drop for CutOff {
    fn drop(&mut self) {
        self.rules("-D");
    }
}
