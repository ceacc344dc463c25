//! Where an audience comes from, and how much of it counts: `herald run` against the simulator, whose record is the judge.

use std::time::{Duration, Instant};

use super::run_support::audience_server::{AudienceServer, Reply};
use super::run_support::{Stage, broadcast};

const TEXT: &str = "  content: {text: Hello}\n";

#[test]
fn a_limit_takes_the_first_so_many_after_duplicates_and_exclusions_over_all_sources() {
    let stage = Stage::open(&[]);
    let audience = "  audience:
    recipients: [{id: \"1\"}, {id: \"2\"}]
    sources:
      - {name: first, configMapKeyRef: {name: people, key: first.csv}}
      - {name: second, configMapKeyRef: {name: people, key: second.csv}}
      - {name: third, configMapKeyRef: {name: people, key: third.csv}}
    exclude: {recipients: [{id: \"3\"}]}
    limit: 4
";
    stage.documents(200, &[broadcast("sale", &format!("{audience}{TEXT}"))]);
    stage.write("first.csv", "id\n2\n3\n4\n");
    stage.write("second.csv", "id\n5\n4\n6\n");
    // Nobody of it has a place, so it is not looked at.
    stage.write("third.csv", "no header row\n");
    let files = ["first.csv", "second.csv", "third.csv"].map(|file| format!("people={file}"));
    let flags: Vec<&str> = files.iter().flat_map(|file| ["--config-map", file]).collect();
    let finished = stage.run(&[&flags[..], &["-o", "json"]].concat()).exits(0);
    let status = &finished.json()[0]["status"];
    assert_eq!((&status["recipients"]["planned"], &status["recipients"]["sent"]), (&4.into(), &4.into()));
    assert_eq!((&status["plan"]["duplicates"], &status["plan"]["excluded"]), (&1.into(), &1.into()));
    assert_eq!(stage.accepted(), ["1", "2", "4", "5"]);
}

/// A channel `page` and a broadcast `sale` whose audience has this one source.
fn from_source(stage: &Stage, source: &str) {
    let spec = format!("  audience:\n    sources:\n      - {{name: crm, {source}}}\n{TEXT}");
    stage.documents(200, &[broadcast("sale", &spec)]);
}

#[test]
fn an_audience_of_an_http_server_is_read_with_the_headers_of_a_secret() {
    let stage = Stage::open(&[]);
    let crm = AudienceServer::start(|request| {
        if request.authorization != "Bearer hunter2" {
            return Reply::status("401 Unauthorized");
        }
        let next = if request.target.contains("after=2") { "null" } else { "2" };
        let people = if next == "2" { r#"{"id": 1}, {"id": 2}"# } else { r#"{"id": 2}, {"id": 3}"# };
        Reply::json(format!(r#"{{"next": {next}, "data": [{people}]}}"#))
    });
    let source = format!(
        "http: {{url: \"{}/people\", headersSecretRef: {{name: crm}}, recipientsPointer: /data, nextPage: {{pointer: /next, parameter: after}}}}",
        crm.url
    );
    from_source(&stage, &source);
    let said =
        ["spec.audience.sources[0].http.headersSecretRef.name: no Secret \"crm\"", "--secret crm/allowedHosts=FILE"];
    stage.run(&[]).exits(1).says(&said);

    let hosts = stage.write("hosts.txt", crm.address());
    let token = stage.write("token.txt", "Bearer hunter2\n");
    let hosts = format!("crm/allowedHosts={}", hosts.display());
    let token = format!("crm/Authorization={}", token.display());
    let secrets = ["--secret", &hosts, "--secret", &token];
    let finished = stage.run(&[&secrets[..], &["-o", "json"]].concat()).exits(0);
    let status = &finished.json()[0]["status"];
    assert_eq!((&status["recipients"]["sent"], &status["plan"]["duplicates"]), (&3.into(), &1.into()));
    assert_eq!(stage.accepted(), ["1", "2", "3"]);
    assert_eq!(crm.requests(), 2);

    // A test message takes its variables from there as well, and the ledger is left alone.
    stage.run(&[&secrets[..], &["--test", "3"]].concat()).exits(0);
    assert_eq!(crm.requests(), 4);
}

#[test]
fn a_server_that_refuses_is_the_reason_why_there_is_no_plan() {
    let stage = Stage::open(&[]);
    let crm = AudienceServer::start(|_| Reply::status("403 Forbidden"));
    from_source(&stage, &format!("http: {{url: \"{}/people.csv?key=hunter2\"}}", crm.url));
    let place = format!("spec.audience: the plan is refused, nothing is sent: {}/people.csv: answered 403", crm.url);
    let finished = stage.run(&["-o", "json"]).exits(1).says(&["run.yaml:", &place, "check headersSecretRef"]);
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    let stalled = &finished.json()[0]["status"]["conditions"];
    let stalled = stalled.as_array().unwrap().iter().find(|condition| condition["type"] == "Stalled").unwrap();
    assert_eq!((&stalled["status"], &stalled["reason"]), (&"True".into(), &"SourceRefused".into()));
    assert_eq!(stage.requests(), []);
}

#[test]
fn an_audience_that_breaks_off_half_way_is_read_again_from_its_beginning() {
    let stage = Stage::open(&[]);
    // More than is read ahead of the first row, so that rows of it are in the ledger when it breaks off.
    let pad = "x".repeat(4_000);
    let row = move |id: usize| format!("{id},{pad}\n");
    let crm = AudienceServer::start(move |request| {
        // The second time its people have changed: nobody of the first reading may be left.
        let first = if request.number == 0 { 1 } else { 5_001 };
        let rows: String = (first..first + 1_500).map(&row).collect();
        let reply = Reply::csv(format!("id,pad\n{rows}"));
        if request.number == 0 { reply.broken_off() } else { reply }
    });
    let source = format!("http: {{url: \"{}/people.csv\"}}", crm.url);
    let spec = format!("  audience:\n    sources:\n      - {{name: crm, {source}}}\n{TEXT}  suspend: true\n");
    stage.documents(200, &[broadcast("sale", &spec)]);
    let finished = stage.run(&["-o", "json"]).exits(0).says(&["1500 recipients"]);
    let status = &finished.json()[0]["status"];
    assert_eq!((&status["recipients"]["planned"], &status["plan"]["duplicates"]), (&1_500.into(), &0.into()));
    assert_eq!(crm.requests(), 2);
}

#[test]
fn whom_an_http_server_names_may_be_left_out() {
    let stage = Stage::open(&[]);
    let crm = AudienceServer::start(|_| Reply::csv("id\n2\n9\n".to_owned()));
    let spec = format!(
        "  audience:\n    recipients: [{{id: \"1\"}}, {{id: \"2\"}}]\n    exclude:\n      sources:\n        - {{name: left, http: {{url: \"{}/left.csv\"}}}}\n{TEXT}",
        crm.url
    );
    stage.documents(200, &[broadcast("sale", &spec)]);
    stage.run(&[]).exits(0);
    assert_eq!(stage.accepted(), ["1"]);
}

#[test]
fn an_audience_that_breaks_off_every_time_is_given_up() {
    let stage = Stage::open(&[]);
    let rows: String = (0..1_500).map(|id| format!("{id},{}\n", "x".repeat(4_000))).collect();
    let crm = AudienceServer::start(move |_| Reply::csv(format!("id,pad\n{rows}")).broken_off());
    from_source(&stage, &format!("http: {{url: \"{}/people.csv\"}}", crm.url));
    let finished = stage.run(&["-o", "json"]).exits(1).says(&["the answer broke off", "from its beginning"]);
    let status = &finished.json()[0]["status"];
    let stalled = status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == "Stalled");
    assert_eq!(stalled.unwrap()["reason"], "SourceUnreachable");
    assert_eq!(crm.requests(), 3);
}

#[test]
fn a_silent_server_keeps_nobody_from_stopping() {
    for (format, first, between) in [("NDJSON", "", "\n"), ("JSON", "[", ",")] {
        let stage = Stage::open(&[]);
        // Rows that are read, more than is read ahead, and a rest that never comes.
        let row = |id: u32| format!("{{\"id\": {id}, \"pad\": \"{}\"}}{between}", "x".repeat(4_000));
        let rows: String = (0..1_500).map(row).collect();
        let crm = AudienceServer::start(move |_| Reply::stalled(format!("{first}{rows}")));
        from_source(&stage, &format!("http: {{url: \"{}/people\", format: {format}}}", crm.url));
        let run = stage.start(&[]);
        let began = Instant::now();
        while crm.requests() == 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing was asked");
            std::thread::sleep(Duration::from_millis(10));
        }
        // So that it waits for the rest; when it does not yet, that is no fault either.
        std::thread::sleep(Duration::from_millis(300));
        run.signal("INT");
        let finished = run.wait().exits(3);
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
}
