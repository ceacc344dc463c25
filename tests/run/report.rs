//! `herald report`: what became of a run, in figures.

use serde_json::Value;

use super::run_support::{Finished, Running, Stage, broadcast, people};

fn report(stage: &Stage, arguments: &[&str]) -> Finished {
    let base = ["report", "-f", "run.yaml", "--ledger", "sqlite:ledger.sqlite"];
    let arguments: Vec<&str> = base.iter().chain(arguments).copied().collect();
    Running::spawn(&mut stage.herald(&arguments), None).wait()
}

#[test]
fn a_report_counts_every_request_that_the_provider_got() {
    let stage = Stage::open(&["--latency", "20-40", "--fail", "551=0.2", "--fail", "1200=0.2"]);
    let retry =
        "  delivery: {batchSize: 10, retry: {maxAttempts: 3, initialBackoffSeconds: 1, maxBackoffSeconds: 1}}\n";
    stage.documents(100, &[broadcast("sale", &(people(1, 60) + retry))]);
    let ended = stage.run(&["-o", "json"]);
    let status = ended.json().remove(0)["status"].clone();
    let json: Value = serde_json::from_str(&report(&stage, &["-o", "json"]).exits(0).stdout).unwrap();
    assert_eq!(json["recipients"], status["recipients"]);

    let requests = stage.requests();
    assert_eq!(json["requests"], requests.len() as u64, "the cost is what the provider was asked");
    let sum = |rows: &Value, figure: &str| {
        rows.as_array().unwrap().iter().map(|row| row[figure].as_u64().unwrap()).sum::<u64>()
    };
    let accepted = requests.iter().filter(|line| line.accepted).count() as u64;
    assert_eq!(sum(&json["pace"]["spans"], "sent"), accepted);
    let recent = status["recentPace"]["sent"].as_array().unwrap();
    assert_eq!(recent.iter().map(|span| span.as_u64().unwrap()).sum::<u64>(), accepted, "{status}");
    assert_eq!(sum(&json["pace"]["spans"], "failed"), status["recipients"]["failed"].as_u64().unwrap());
    assert_eq!(sum(&json["pace"]["spans"], "requests"), requests.len() as u64);
    assert_eq!(sum(&json["batches"], "requests"), requests.len() as u64);
    assert_eq!(sum(&json["batches"], "retries"), json["retries"].as_u64().unwrap());
    assert_eq!(json["requestsPerSent"].as_f64().unwrap(), requests.len() as f64 / accepted as f64);
    for part in json["batches"].as_array().unwrap().iter().chain(json["batchSizes"].as_array().unwrap()) {
        let told = |name: &str| part["latency"][name].as_u64().unwrap();
        assert!(told("p50Ms") >= 16 && told("p50Ms") <= told("p95Ms") && told("p95Ms") <= told("p99Ms"), "{part}");
    }
    assert_eq!(sum(&json["latency"]["classes"], "count"), requests.len() as u64);
    assert_eq!(requests.len() as u64, 60 + json["retries"].as_u64().unwrap(), "one each, and the retries");
    let quantile = |name: &str| json["latency"][name].as_u64().unwrap();
    assert!(quantile("p50Ms") >= 16, "the simulator takes 20 ms, and a class is a fifth below it at most: {json}");
    assert!(quantile("p50Ms") <= quantile("p95Ms") && quantile("p95Ms") <= quantile("p99Ms"));
    let causes: Vec<(&str, &str)> = json["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["outcome"].as_str().unwrap(), row["code"].as_str().unwrap()))
        .collect();
    assert!(causes.contains(&("Failed", "551")), "{causes:?}");

    let text = report(&stage, &[]).exits(0).stdout;
    let calls = format!("{} API calls", requests.len());
    for part in ["default/sale through page", "551", &calls, "Answers: p50", "P95 MS", "6 batches of 10 recipients"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let csv = report(&stage, &["-o", "csv", "--table", "batches"]).exits(0).stdout;
    assert_eq!(csv.lines().count(), 7, "{csv}");
    let sizes = report(&stage, &["-o", "csv", "--table", "sizes"]).exits(0).stdout;
    assert!(sizes.lines().nth(1).unwrap().starts_with("10,6,") && sizes.lines().count() == 2, "{sizes}");
    let summary = report(&stage, &["-o", "csv", "--table", "summary"]).exits(0).stdout;
    let mut lines = summary.lines().map(|line| line.split(','));
    let totals: std::collections::BTreeMap<&str, &str> = lines.next().unwrap().zip(lines.next().unwrap()).collect();
    assert_eq!(totals["requests"], requests.len().to_string());
    assert_eq!(totals["sent"], accepted.to_string());
    assert_eq!(totals["p95_ms"], quantile("p95Ms").to_string());
}

#[test]
fn the_page_of_a_report_has_its_plots_and_asks_nobody_for_anything() {
    let stage = Stage::open(&["--latency", "5-10"]);
    stage.documents(200, &[broadcast("sale", &people(24_005_550_001, 40))]);
    stage.run(&[]).exits(0);
    let page = report(&stage, &["-o", "html"]).exits(0).stdout;
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<svg").count(), 5, "rate, latency, batches, their latencies and their sizes");
    for part in
        ["A second, over spans of", "Answers by the time they took", "Recipients settled a second, by batch", "p95"]
    {
        assert!(page.contains(part), "{part}");
    }
    for elsewhere in ["://", "src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert!(!page.contains("2400555"), "nobody is named");
}

#[test]
fn a_kill_loses_no_figure_that_its_journal_has() {
    let stage = Stage::open(&["--latency", "50"]);
    stage.documents(50, &[broadcast("sale", &people(1, 60))]);
    let running = stage.start(&[]);
    stage.await_requests(20);
    running.signal("KILL");
    running.wait();
    let ended = stage.run(&["-o", "json"]);
    let status = ended.json().remove(0)["status"].clone();
    let json: Value = serde_json::from_str(&report(&stage, &["-o", "json"]).exits(0).stdout).unwrap();
    let unknown = status["recipients"]["unknown"].as_u64().unwrap();
    // Whoever was on the wire may have been asked for, and nobody has seen the answer.
    let (counted, asked) = (json["requests"].as_u64().unwrap(), stage.requests().len() as u64);
    assert!(counted <= asked && asked <= counted + unknown, "{counted} of {asked}, {unknown} unknown");
    assert!(counted >= 40, "{json}");
    let sent: u64 = json["pace"]["spans"].as_array().unwrap().iter().map(|span| span["sent"].as_u64().unwrap()).sum();
    assert_eq!(sent, status["recipients"]["sent"].as_u64().unwrap());
}

#[test]
fn what_was_never_run_has_no_report() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &people(1, 1))]);
    report(&stage, &[]).exits(1).says(&["there is no ledger ledger.sqlite"]);
}
