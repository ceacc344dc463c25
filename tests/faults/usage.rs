//! `herald run` at a provider that counts requests by longer than a second, and says with each answer how much of its quota
//! is used. The simulator's record is the judge.

use super::run_support::{Stage, broadcast, people};
use super::support::machine;

const PEOPLE: usize = 320;
/// A quarter of a second's messages are on their way when the rate is lowered.
const RATE: u32 = 40;
/// Half of the rate for ever, and five seconds of the full one.
const QUOTA: &str = "200/10";

/// How many requests the provider throttled.
fn throttled(flags: &[&str]) -> (usize, String) {
    sent(flags, |stage| stage.documents(RATE, &[broadcast("usage", &people(24_005_550_000, PEOPLE as u64))]))
}

/// The same of a plain endpoint.
fn throttled_by_an_endpoint(flags: &[&str]) -> usize {
    let (throttled, _) = sent(flags, |stage| {
        let channel = format!(
            "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n  http: {{url: \"{}/send\"}}\n  rate: {{messages: {RATE}}}\n---\n",
            stage.base_url
        );
        stage.write("run.yaml", channel + &broadcast("usage", &people(1, PEOPLE as u64)));
    });
    throttled
}

fn sent(flags: &[&str], prepare: impl FnOnce(&Stage)) -> (usize, String) {
    let stage = Stage::open(&[&["--latency", "20", "--quota", QUOTA], flags].concat());
    prepare(&stage);
    let finished = stage.run(&[]).exits(0);
    assert_eq!(stage.accepted().len(), PEOPLE);
    (stage.requests().iter().filter(|line| !line.accepted).count(), finished.stderr)
}

#[test]
fn a_provider_that_says_how_much_is_used_throttles_nearly_nobody() {
    let _machine = machine::among_others();
    let without = std::thread::spawn(|| throttled(&[]));
    let (told, said) = throttled(&["--usage"]);
    let (untold, _) = without.join().unwrap();
    eprintln!("{told} throttled where the provider says how much is used, {untold} where it does not");
    assert!(untold > 3, "{untold}");
    assert!(told <= 2, "{told} of {untold}");
    assert!(said.contains("% of the provider's own limit is used"), "{said}");
}

#[test]
fn an_endpoint_that_says_how_much_is_left_throttles_nearly_nobody() {
    let untold = throttled_by_an_endpoint(&[]);
    let told = throttled_by_an_endpoint(&["--usage"]);
    eprintln!("{told} throttled where the endpoint says how much is left, {untold} where it does not");
    assert!(untold > 3, "{untold}");
    assert!(told <= 2, "{told} of {untold}");
}
