//! Contacts, tags and opt-outs of `herald run` against the simulator, whose record is the judge.

use super::run_support::{Finished, Running, Stage, broadcast, people};

/// A broadcast whose text is its name, to contacts of the channel.
fn to_contacts(name: &str, source: &str) -> String {
    let audience = format!("  audience: {{sources: [{{name: known, contacts: {source}}}]}}\n");
    broadcast(name, &format!("{audience}  content: {{text: \"{name}\"}}\n"))
}

fn send(stage: &Stage, document: String, code: i32) -> serde_json::Value {
    stage.documents(200, &[document]);
    let finished: Finished = stage.run(&["-o", "json"]).exits(code);
    finished.json()[0]["status"].clone()
}

/// Who was asked with this text, in order of their ids.
fn asked(stage: &Stage, text: &str) -> Vec<String> {
    let mut asked: Vec<String> =
        stage.requests().iter().filter(|line| line.text == text).map(|line| line.recipient.to_string()).collect();
    asked.sort();
    asked
}

#[test]
fn who_was_sent_to_is_found_by_the_tag_and_left_out_by_it() {
    let stage = Stage::open(&[]);
    let tags = "  onSent: {tags: [spring-sale]}\n";
    send(&stage, broadcast("first", &format!("{}{tags}", people(1, 3))), 0);
    send(&stage, broadcast("others", &people(4, 2)), 0);
    let status = send(&stage, to_contacts("again", "{tags: [spring-sale]}"), 0);
    assert_eq!(status["recipients"]["sent"], 3, "{status}");
    assert_eq!(asked(&stage, "again"), ["1", "2", "3"]);
    send(&stage, to_contacts("rest", "{withoutTags: [spring-sale]}"), 0);
    assert_eq!(asked(&stage, "rest"), ["4", "5"]);
    send(&stage, to_contacts("all", "{}"), 0);
    assert_eq!(asked(&stage, "all").len(), 5);
    // As somebody to leave out they are a source as well.
    let exclude = "  audience: {recipients: [{id: \"1\"}, {id: \"4\"}], exclude: {sources: [{name: sent, contacts: {tags: [spring-sale]}}]}}\n";
    let status = send(&stage, broadcast("left", &format!("{exclude}  content: {{text: left}}\n")), 0);
    assert_eq!((&status["plan"]["excluded"], asked(&stage, "left")), (&1.into(), vec!["4".to_owned()]));
}

#[test]
fn who_takes_no_messages_of_the_page_is_skipped_by_the_next_broadcast_without_a_call() {
    let stage = Stage::open(&["--fail", "10/2018108=1"]);
    send(&stage, broadcast("blocked", &people(1, 2)), 2);
    assert_eq!(asked(&stage, "Hello").len(), 2);
    stage.settings("{\"fail\": []}");
    let everybody = "  audience: {recipients: [{id: \"1\"}, {id: \"2\"}, {id: \"3\"}]}\n  content: {text: next}\n";
    let status = send(&stage, broadcast("next", everybody), 0);
    assert_eq!(asked(&stage, "next"), ["3"]);
    let recipients = &status["recipients"];
    assert_eq!(
        (&recipients["planned"], &recipients["sent"], &recipients["skipped"]),
        (&3.into(), &1.into(), &2.into())
    );
    assert_eq!(status["reasons"][0], serde_json::json!({"outcome": "Skipped", "reason": "OptedOut", "count": 2}));
    send(&stage, to_contacts("known", "{}"), 0);
    assert_eq!(asked(&stage, "known"), ["3"], "a source of contacts does not even plan them");
}

#[test]
fn whose_window_has_closed_is_skipped_without_a_call() {
    let stage = Stage::open(&[]);
    let row = |id: u32, vars: &str| format!("{{id: \"{id}\"{vars}}}");
    let long_ago = ", vars: {last_active_time: \"2020-01-01T00:00:00Z\"}";
    let rows = [row(1, long_ago), row(2, ""), row(3, ", vars: {last_active_time: \"2200-01-01 00:00:00+02\"}")];
    let audience = format!("  audience: {{recipients: [{}]}}\n  content: {{text: now}}\n", rows.join(", "));
    let status = send(&stage, broadcast("window", &audience), 2);
    assert_eq!(asked(&stage, "now"), ["2", "3"]);
    assert_eq!(status["reasons"][0], serde_json::json!({"outcome": "Skipped", "reason": "WindowClosed", "count": 1}));
    let wrong =
        "  audience: {recipients: [{id: \"1\", vars: {last_active_time: yesterday}}]}\n  content: {text: now}\n";
    stage.documents(200, &[broadcast("wrong", wrong)]);
    stage.run(&[]).exits(1).says(&["last_active_time", "this is no instant"]);
}

/// `herald contacts` on the ledger of the stage, whose channel is in `run.yaml`.
fn contacts(stage: &Stage, arguments: &[&str], input: Option<&str>) -> Finished {
    let access = ["--channel", "page", "-f", "run.yaml", "--ledger", "sqlite:ledger.sqlite"];
    let arguments: Vec<&str> = ["contacts"].iter().chain(arguments).chain(&access).copied().collect();
    // An empty input stays open, so the end of it is what is given here.
    Running::spawn(&mut stage.herald(&arguments), input.map(str::as_bytes)).wait()
}

fn counts(finished: Finished) -> serde_json::Value {
    serde_json::from_str(&finished.exits(0).stdout).unwrap()
}

const PEOPLE: &str = "id,first_name,tags,opted_out,opted_out_reason,last_active_time\n\
    1,Ana,vip berlin,,,2026-01-01T00:00:00Z\n2,\"B, Bo\",vip,true,\"asked, twice\",\n3,,,false,,\n";

#[test]
fn contacts_are_imported_once_and_exported_as_they_are_read() {
    let stage = Stage::open(&[]);
    stage.documents(200, &[]);
    stage.write("people.csv", PEOPLE);
    let import = ["import", "people.csv", "-o", "json"];
    let first = serde_json::json!({"rows": 3, "new": 3, "changed": 0, "unchanged": 0, "duplicates": 0,
        "optedOut": 1, "tagged": 2, "skippedDeliveries": 0});
    assert_eq!(counts(contacts(&stage, &import, None)), first);
    let again = serde_json::json!({"rows": 3, "new": 0, "changed": 0, "unchanged": 3, "duplicates": 0,
        "optedOut": 0, "tagged": 0, "skippedDeliveries": 0});
    assert_eq!(counts(contacts(&stage, &import, None)), again);
    let csv = contacts(&stage, &["export"], None).exits(0).stdout;
    let exported = "id,tags,opted_out,opted_out_reason,last_active_time,first_name\n\
        1,berlin vip,,,2026-01-01T00:00:00Z,Ana\n2,vip,true,\"asked, twice\",,\"B, Bo\"\n3,,,,,\n";
    assert_eq!(csv, exported);
    // What was exported changes nothing where it came from, and is the same elsewhere.
    let ndjson = contacts(&stage, &["export", "-o", "ndjson"], None).exits(0).stdout;
    for (format, text) in [("csv", &csv), ("ndjson", &ndjson)] {
        let import = ["import", "-", "--format", format, "-o", "json"];
        assert_eq!(counts(contacts(&stage, &import, Some(text))), again);
        let other = Stage::open(&[]);
        other.documents(200, &[]);
        assert_eq!(counts(contacts(&other, &import, Some(text))), first);
        assert_eq!(contacts(&other, &["export"], None).exits(0).stdout, csv);
    }
    let vips = contacts(&stage, &["export", "--tag", "vip", "--without-tag", "berlin"], None).exits(0).stdout;
    assert_eq!(vips.lines().skip(1).map(|line| &line[..2]).collect::<Vec<_>>(), ["2,"]);
    // The window of the first has closed, as the file says; the second has opted out.
    let status = send(&stage, to_contacts("known", "{}"), 2);
    assert_eq!((asked(&stage, "known"), &status["recipients"]["skipped"]), (vec!["3".to_owned()], &1.into()));
}

/// Chunks of a thousand: people come again within one and in later ones.
#[test]
fn the_counts_of_an_import_add_up_however_often_somebody_is_in_it() {
    let stage = Stage::open(&[]);
    stage.documents(200, &[]);
    let row = |number: i32, city: &str| format!("{number},{city},\n");
    let mut rows: String = (0..2_500).map(|number| row(number, "Kyiv")).collect();
    rows.insert_str(0, &row(0, "Lviv"));
    rows.push_str(&(row(1, "Kyiv") + &row(2, "Lviv") + &row(2_499, "Kyiv") + "3,Kyiv,true\n"));
    stage.write("people.csv", format!("id,city,opted_out\n{rows}"));
    let import = || counts(contacts(&stage, &["import", "people.csv", "-o", "json"], None));
    let counted = |new: i32, unchanged: i32, opted_out: i32| {
        serde_json::json!({"rows": 2_505, "new": new, "changed": 2_500 - new - unchanged, "unchanged": unchanged,
            "duplicates": 5, "optedOut": opted_out, "tagged": 0, "skippedDeliveries": 0})
    };
    assert_eq!(import(), counted(2_500, 0, 1));
    // The second one moves to Kyiv and back again.
    assert_eq!(import(), counted(0, 2_499, 0));
    let csv = contacts(&stage, &["export"], None).exits(0).stdout;
    assert!(csv.contains("\n2,,,,,Lviv\n") && csv.contains("\n3,,true,imported as opted out,,Kyiv\n"), "{csv}");
    stage.write("typo.csv", "id,optedout\n1,true\n");
    let refused = contacts(&stage, &["import", "typo.csv"], None).exits(1);
    refused.says(&["typo.csv line 1, column 2: \"optedout\" is not opted_out", "rename optedout to opted_out"]);
}

#[test]
fn a_file_with_a_refused_row_changes_nothing() {
    let stage = Stage::open(&[]);
    stage.documents(200, &[]);
    let mut rows: String = (0..3_000).map(|id| format!("{id},\n")).collect();
    rows.push_str("x,perhaps\n,true\n");
    stage.write("people.csv", format!("id,opted_out\n{rows}"));
    let refused = contacts(&stage, &["import", "people.csv"], None).exits(1);
    refused.says(&[
        "people.csv line 3002, field opted_out: this is neither true nor false; write true or false",
        "people.csv line 3003, column 1 (id): the id is empty",
        "2 rows were refused, nothing was changed",
    ]);
    assert!(
        !stage.path("ledger.sqlite").exists()
            || contacts(&stage, &["export"], None).exits(0).stdout
                == "id,tags,opted_out,opted_out_reason,last_active_time\n"
    );
    // Standard input is read once: it is said how far it got, and all of it may be given again.
    let refused = contacts(&stage, &["import", "-"], Some(&format!("id,opted_out\n{rows}"))).exits(1);
    refused.says(&["standard input line 3002, field opted_out", "3000 recipients before it were done"]);
    let mended = format!("id,opted_out\n{}", rows.replace("x,perhaps\n,true\n", "x,true\n"));
    let counted = counts(contacts(&stage, &["import", "-", "-o", "json"], Some(&mended)));
    assert_eq!((&counted["new"], &counted["unchanged"]), (&1.into(), &3_000.into()));
}

#[test]
fn tags_and_opt_outs_come_and_go_by_arguments_and_files() {
    let stage = Stage::open(&[]);
    stage.documents(200, &[]);
    stage.write("ids.csv", "name,id\nAna,1\nBo,2\n");
    let json = |arguments: &[&str], input: Option<&str>| {
        counts(contacts(&stage, &[arguments, &["-o", "json"]].concat(), input))
    };
    let tagged = json(&["tag", "--tag", "vip", "--tag", "berlin", "--ids", "ids.csv"], None);
    assert_eq!(tagged, serde_json::json!({"recipients": 2, "tagsAdded": 4}));
    assert_eq!(json(&["tag", "1", "-7", "--tag", "vip"], None)["tagsAdded"], 1);
    assert_eq!(json(&["untag", "1", "2", "3", "--tag", "berlin"], None)["tagsRemoved"], 2);
    let gone = json(&["opt-out", "--ids", "-", "--reason", "by letter"], Some("id\n2\n4\n"));
    assert_eq!(gone, serde_json::json!({"recipients": 2, "optedOut": 2, "skippedDeliveries": 0}));
    assert_eq!(json(&["opt-out", "2"], None)["optedOut"], 0);
    let status = send(&stage, broadcast("sale", &people(1, 4)), 0);
    assert_eq!((&status["recipients"]["sent"], &status["recipients"]["skipped"]), (&2.into(), &2.into()));
    assert_eq!(json(&["opt-in", "4", "5"], None)["optedIn"], 1);
    let text = contacts(&stage, &["opt-in", "2"], None).exits(0).stdout;
    assert_eq!(text, "recipients 1, opted in 1\n");
    let csv = contacts(&stage, &["export"], None).exits(0).stdout;
    assert!(csv.contains("\n-7,vip,,,\n") && csv.contains("\n4,,,,\n") && csv.contains("\n2,vip,,,\n"), "{csv}");
}

#[test]
fn an_import_that_is_interrupted_says_so_and_is_repeated() {
    let stage = Stage::open(&[]);
    stage.documents(200, &[]);
    let access = ["--channel", "page", "-f", "run.yaml", "--ledger", "sqlite:ledger.sqlite"];
    let arguments: Vec<&str> = ["contacts", "import", "-"].iter().chain(&access).copied().collect();
    // Its input stays open.
    let running = Running::spawn(&mut stage.herald(&arguments), Some(b""));
    stage.await_file("ledger.sqlite", 1);
    running.signal("INT");
    running.wait().exits(3).says(&["interrupted; repeat the command"]);
    assert_eq!(counts(contacts(&stage, &["import", "-", "-o", "json"], Some(PEOPLE)))["new"], 3);
}

#[test]
fn a_command_that_means_nobody_or_nothing_is_refused() {
    let stage = Stage::open(&[]);
    stage.documents(200, &[]);
    contacts(&stage, &["export"], None).exits(1).says(&["there is no ledger ledger.sqlite"]);
    contacts(&stage, &["opt-in", "1"], None).exits(1).says(&["there is no ledger ledger.sqlite"]);
    assert!(!stage.path("ledger.sqlite").exists());
    contacts(&stage, &["tag", "1", "--tag", "not a tag"], None).exits(1).says(&["a tag is 1 to 63 letters"]);
    contacts(&stage, &["opt-out", "1", "--reason", ""], None).exits(1).says(&["--reason", "1 to 128 characters"]);
    contacts(&stage, &["opt-out"], None).exits(1).says(&["required"]);
    contacts(&stage, &["opt-out", "1", " "], None)
        .exits(1)
        .says(&["argument 2: the id is empty", "nothing was changed"]);
    contacts(&stage, &["import", "people.txt"], None).exits(1).says(&["people.txt", ".csv or .ndjson", "--format"]);
    contacts(&stage, &["import", "people.csv"], None).exits(1).says(&["failed to open people.csv"]);
    let other = ["contacts", "export", "--channel", "other", "-f", "run.yaml"];
    Running::spawn(&mut stage.herald(&other), None)
        .wait()
        .exits(1)
        .says(&["not one MessageChannel other", "default/page"]);
}

#[test]
fn a_channel_as_a_cluster_prints_it_says_whose_contacts_are_meant() {
    let stage = Stage::open(&[]);
    let (channel, secret) =
        stage.channel(200).split_once("---\n").map(|(one, two)| (one.to_owned(), two.to_owned())).unwrap();
    let inside = |document: &str, name: &str| {
        document.replacen(
            &format!("metadata: {{name: {name}}}"),
            &format!("metadata: {{name: {name}, namespace: marketing}}"),
            1,
        )
    };
    // As `kubectl get -o yaml` has it: with what the API server and the operator have added.
    let printed = channel.replacen(
        "metadata: {name: page}",
        "metadata: {name: page, namespace: marketing, uid: 7c1e1f2a-0000-4000-8000-000000000001, generation: 2, \
         resourceVersion: \"41\", creationTimestamp: \"2026-01-01T00:00:00Z\", managedFields: [{manager: kubectl, operation: Apply}]}",
        1,
    ) + "status: {observedGeneration: 2, rate: {configuredPerMinute: 12000, effectivePerMinute: 12000}}\n";
    let access = ["--channel", "page", "-f", "-", "--ledger", "sqlite:ledger.sqlite"];
    let words: Vec<&str> =
        ["contacts", "tag", "1", "2", "--tag", "vip", "-o", "json"].into_iter().chain(access).collect();
    let done = counts(Running::spawn(&mut stage.herald(&words), Some(printed.as_bytes())).wait());
    assert_eq!(done["tagsAdded"], 2);
    // Those of the channel in its namespace, and of no other.
    let vips = |channel: String, secret: String, place: &str| {
        let broadcast =
            to_contacts("vips", "{tags: [vip]}").replacen("{name: vips}", &format!("{{name: vips{place}}}"), 1);
        stage.write("run.yaml", [channel, secret, broadcast].join("---\n"));
        stage.run(&["-o", "json"])
    };
    let theirs = vips(inside(&channel, "page"), inside(&secret, "page"), ", namespace: marketing");
    assert_eq!(theirs.exits(0).json()[0]["status"]["recipients"]["sent"], 2);
    vips(channel, secret, "").exits(1).says(&["the audience is empty"]);
}
