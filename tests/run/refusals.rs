//! Bad input of `herald run`: exit code 1, the place and the remedy in the message, and nobody is messaged.

use std::path::Path;
use std::process::Command;

use super::run_support::{Finished, Running, Stage, broadcast, can_mount, people};

/// A run over one bad input, which must be refused with all of `parts` in the message.
#[track_caller]
fn refused(stage: &Stage, arguments: &[&str], parts: &[&str]) -> Finished {
    let finished = stage.run(arguments).exits(1).says(parts);
    assert!(finished.stderr.contains("error: "), "{}", finished.stderr);
    assert_eq!(stage.requests(), [], "something was sent");
    finished
}

/// Audience `people.csv` and a text, as lines of a spec.
fn from_file(text: &str) -> String {
    format!(
        "  audience:\n    sources:\n      - {{name: people, configMapKeyRef: {{name: people, key: people.csv}}}}\n  content: {{text: \"{text}\"}}\n"
    )
}

const FILE: [&str; 2] = ["--config-map", "people=people.csv"];

#[test]
fn a_time_zone_that_does_not_exist_is_told_with_its_place() {
    let stage = Stage::open(&[]);
    let schedule = "  schedule:\n    quietHours:\n      - {start: \"21:00\", end: \"08:00\", timeZone: Europe/Berlin}\n      - start: \"12:00\"\n        end: \"13:00\"\n        timeZone: Berlin\n";
    let spec = format!("{}{schedule}", people(1, 3));
    stage.documents(50, &[broadcast("sale", &spec)]);
    let line = 1 + std::fs::read_to_string(stage.path("run.yaml"))
        .unwrap()
        .lines()
        .position(|line| line.ends_with(" Berlin"))
        .unwrap();
    refused(
        &stage,
        &[],
        &[
            &format!("run.yaml:{line}: "),
            "spec.schedule.quietHours[1].timeZone: there is no time zone `Berlin`",
            "name one of the IANA database",
        ],
    );

    stage.documents(
        50,
        &[broadcast(
            "sale",
            &spec
                .replace("start: \"12:00\"", "start: \"08:00\"")
                .replace("\"13:00\"\n        timeZone: Berlin", "\"21:00\"\n        timeZone: UTC"),
        )],
    );
    refused(&stage, &[], &["spec.schedule.quietHours: they leave no time of the week to send in"]);

    stage.documents(50, &[broadcast("sale", &from_file("Hello"))]);
    stage.write("people.csv", "id,time_zone\n1,Europe/Berlin\n2,\n3,Bonn\n");
    refused(
        &stage,
        &FILE,
        &["people.csv line 4, column 2 (time_zone): there is no such time zone; name one of the IANA database"],
    );
}

#[test]
fn references_that_lead_nowhere_are_told_with_what_to_add() {
    let stage = Stage::open(&[]);
    let other = broadcast("sale", &people(1, 3)).replace("channelRef: {name: page}", "channelRef: {name: pages}");
    stage.documents(50, &[other]);
    refused(
        &stage,
        &[],
        &["run.yaml:", "spec.channelRef.name: no MessageChannel \"pages\"", "add a MessageChannel document"],
    );

    let channel = stage.channel(50);
    let (alone, _) = channel.split_once("---").unwrap();
    stage.write("run.yaml", format!("{alone}---\n{}", broadcast("sale", &people(1, 3))));
    refused(
        &stage,
        &[],
        &[
            "run.yaml:6: ",
            "spec.credentialsSecretRef.name: no Secret \"page\"",
            "--secret page/accessToken=env:VARIABLE",
        ],
    );

    stage.write(
        "run.yaml",
        format!("{}---\n{}", channel.replace("accessToken:", "token:"), broadcast("sale", &people(1, 3))),
    );
    refused(
        &stage,
        &[],
        &["run.yaml:6: ", "Secret page has no key \"accessToken\", only token", "add the key, or give --secret"],
    );

    stage.documents(50, &[broadcast("sale", &from_file("Hello"))]);
    refused(
        &stage,
        &[],
        &[
            "run.yaml:",
            "spec.audience.sources[0].configMapKeyRef.name: no ConfigMap \"people\"",
            "--config-map people=people.csv",
        ],
    );
    let empty = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: people}\ndata: {others.csv: \"id\"}\n".to_owned();
    stage.documents(50, &[broadcast("sale", &from_file("Hello")), empty]);
    refused(
        &stage,
        &[],
        &["configMapKeyRef.key: ConfigMap people has no key \"people.csv\", only others.csv", "add the key"],
    );
}

#[test]
fn a_ledger_with_a_slip_in_its_address_is_refused_without_repeating_its_password() {
    for flag in [true, false] {
        let mut herald = Command::new(env!("CARGO_BIN_EXE_herald"));
        herald.args(["run", "-f", "run.yaml"]).env_remove("HERALD_LEDGER");
        let address = "postgress://herald:hunter2@localhost/herald";
        let finished = if flag { herald.args(["--ledger", address]) } else { herald.env("HERALD_LEDGER", address) }
            .output()
            .unwrap();
        let message = String::from_utf8(finished.stderr).unwrap();
        assert_eq!(finished.status.code(), Some(1), "{message}");
        assert!(message.contains("--ledger") && message.contains("write sqlite:PATH"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn an_audience_without_anybody_is_refused() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", "  audience: {recipients: []}\n  content: {text: Hello}\n")]);
    refused(&stage, &[], &["run.yaml:", "spec.audience", "at least one"]);

    stage.documents(50, &[broadcast("sale", &from_file("Hello"))]);
    stage.write("people.csv", "id,first_name\n");
    refused(
        &stage,
        &FILE,
        &["run.yaml:", "spec.audience", "the audience is empty: 0 rows were read", "add recipients"],
    );

    let everybody =
        from_file("Hello").replace("  content", "    exclude: {recipients: [{id: \"1\"}, {id: \"2\"}]}\n  content");
    stage.documents(50, &[broadcast("sale", &everybody)]);
    stage.write("people.csv", "id\n1\n2\n");
    refused(
        &stage,
        &FILE,
        &["run.yaml:", "the audience is empty: 2 rows were read, 2 of them excluded", "add recipients"],
    );
}

#[test]
fn rows_that_cannot_be_read_are_told_by_line_and_without_the_id() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &from_file("Hello"))]);
    let cases: [(&[u8], &[&str]); 11] = [
        (
            b"id,name\n5550001,Ana\n,Ben\n",
            &["people.csv line 3", "(id)", "the id is empty", "give every row the recipient's id"],
        ),
        (
            b"id,name\n5550001,Ana\n5550002\n",
            &["people.csv line 3", "the row has 1 field, the header has 2", "as many fields as the header"],
        ),
        (b"id,name\n5550001,Ana,more\n", &["people.csv line 2", "the row has 3 fields, the header has 2"]),
        (b"id,name\n5550001,M\xfcller\n", &["people.csv line 2, character 10", "not UTF-8", "save the file"]),
        (b"id;name\n5550001;Ana\n", &["people.csv line 1", "separated by", "save the file with commas"]),
        (b"name\nAna\n", &["people.csv line 1", "id"]),
        (b"id,name\n5550001,\"Ana\n", &["people.csv line 2", "quote"]),
        (b"", &["people.csv line 1", "header"]),
        (
            b"id,name\n1,Ana\n5.550001E+15,Ben\n",
            &["people.csv line 3", "(id)", "scientific notation", "format the column of ids as text"],
        ),
        (
            b"id,name\n1,Ana\n5550001 77,Ben\n",
            &["spec.audience: the plan is refused", "white space", "(1 of 2 recipients: people.csv line 3)"],
        ),
        (b"id,name\n5550001 77,Ben\n", &["white space", "(1 of 1 recipient: people.csv line 2)"]),
    ];
    for (rows, parts) in cases {
        stage.write("people.csv", rows);
        let finished = refused(&stage, &FILE, parts).says(&["run.yaml:", "sale"]);
        assert!(!finished.stderr.contains("5550001"), "{}", finished.stderr);
    }
}

#[test]
fn a_file_inside_a_document_is_told_by_the_name_of_its_object() {
    let stage = Stage::open(&[]);
    let list =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: people}\ndata:\n  people.csv: |\n    id,name\n    ,Ana\n";
    stage.documents(50, &[broadcast("sale", &from_file("Hello")), list.to_owned()]);
    refused(&stage, &[], &["people/people.csv line 2, column 1 (id)", "give every row the recipient's id"]);
}

#[test]
fn several_bad_rows_are_all_told() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &from_file("Hello"))]);
    stage.write("people.csv", "id,name\n,Ana\n5550002,Ben\n,Cem\n5550004\n");
    refused(&stage, &FILE, &["line 2", "line 4", "line 5"]);
}

#[test]
fn a_variable_that_recipients_lack_is_told_with_count_and_places() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &from_file("Hi {{ first_name }}"))]);
    stage.write("people.csv", "id,name\n1,Ana\n2,Ben\n3,Cem\n4,Dua\n");
    refused(
        &stage,
        &FILE,
        &[
            "run.yaml:",
            "spec.content.text",
            "`first_name`",
            "4 recipients",
            "people.csv line 2",
            "line 4, …",
            "default(",
        ],
    );
    stage.write("people.csv", "id,first_name\n1,Ana\n2,\n3,Cem\n4,\n");
    refused(&stage, &FILE, &["`first_name`", "(2 of 4 recipients: people.csv line 3, people.csv line 5)", "default("]);
}

#[test]
fn a_text_that_cannot_be_sent_is_told_by_its_place() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &from_file("Hi {{ first_name"))]);
    stage.write("people.csv", "id,first_name\n1,Ana\n");
    refused(&stage, &FILE, &["run.yaml:", "spec.content.text: line 1, column", "check that every {{ has its }}"]);

    stage.documents(50, &[broadcast("sale", &from_file(&format!("{}{{{{ first_name }}}}", "x".repeat(1_997))))]);
    refused(
        &stage,
        &FILE,
        &["run.yaml:", "longer than the 1999 characters that", "shorten `spec.content.text`", "people.csv line 2"],
    );
}

#[test]
fn documents_that_an_api_server_would_refuse_are_refused() {
    let stage = Stage::open(&[]);
    let good = broadcast("sale", &people(1, 3));
    let cases: [(String, &[&str]); 5] = [
        (
            good.replace("audience", "audiences"),
            &["run.yaml:19: ", "spec.audiences: Unknown field", "spec.audience: Required value"],
        ),
        (
            format!("{good}  delivery: {{rate: {{messages: 0}}}}\n"),
            &["run.yaml:21: ", "spec.delivery.rate.messages: Invalid value: 0", "greater than or equal to 1"],
        ),
        (good.replace("  content: {", "  content: {{"), &["run.yaml:2", "not valid YAML"]),
        (
            good.replace("BroadcastMessage", "Broadcast"),
            &["run.yaml:15: ", "kind \"Broadcast\"", "BroadcastMessage, MessageChannel, Secret and ConfigMap"],
        ),
        (good.replace("name: sale", "name: Spring Sale"), &["run.yaml:16: ", "metadata.name", "lower"]),
    ];
    for (document, parts) in cases {
        stage.documents(50, &[document]);
        refused(&stage, &[], parts);
    }
    stage.documents(0, std::slice::from_ref(&good));
    refused(&stage, &[], &["run.yaml:7: ", "spec.rate.messages: Invalid value: 0", "greater than or equal to 1"]);

    stage.write("run.yaml", [stage.channel(50).as_bytes(), b"# M\xfcller\n"].concat());
    refused(&stage, &[], &["run.yaml:13: not valid UTF-8", "save the file as UTF-8"]);
    stage.write("run.yaml", stage.channel(50));
    refused(&stage, &[], &["run.yaml: no document of kind BroadcastMessage"]);
}

#[test]
fn several_faults_are_all_listed() {
    let stage = Stage::open(&[]);
    let one = broadcast("one", &people(1, 3)).replace("channelRef: {name: page}", "channelRef: {name: pages}");
    stage.documents(50, &[one, broadcast("two", &from_file("Hello"))]);
    refused(&stage, &[], &["no MessageChannel \"pages\"", "no ConfigMap \"people\""]);

    let two = format!("{}  delivery: {{rate: {{messages: 0}}, burst: 5}}\n", broadcast("two", &people(1, 3)));
    stage.documents(0, &[two]);
    refused(&stage, &[], &["spec.rate.messages", "spec.delivery.rate.messages", "spec.delivery.burst: Unknown field"]);
}

#[test]
fn one_refused_plan_keeps_the_whole_run_from_sending() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("good", &people(1, 3)), broadcast("bad", &from_file("Hi {{ nobody }}"))]);
    stage.write("people.csv", "id\n1\n");
    let finished = refused(
        &stage,
        &[&FILE[..], &["-o", "json"]].concat(),
        &["BroadcastMessage default/bad: spec.content.text: the plan is refused", "good: not sent"],
    );
    let lines = finished.json();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].pointer("/metadata/name").unwrap(), "good");
    assert_eq!(lines[0].pointer("/status/recipients/pending").unwrap(), 3);
    assert_eq!(lines[1].pointer("/status/recipients"), None);
    let conditions = lines[1].pointer("/status/conditions").unwrap().as_array().unwrap();
    let condition = |name: &str| conditions.iter().find(|condition| condition["type"] == name);
    assert_eq!(condition("Stalled").unwrap()["status"], "True");
    assert_eq!(condition("Stalled").unwrap()["reason"], "MessageInvalid");
    assert_eq!(condition("Ready").unwrap()["status"], "False");
    assert_eq!(condition("Finished").unwrap()["status"], "False");
    assert_eq!(condition("Reconciling"), None, "nothing more comes by itself");
    for condition in conditions {
        let time: jiff::Timestamp = condition["lastTransitionTime"].as_str().unwrap().parse().unwrap();
        assert!(time.as_second() > 1_700_000_000, "{condition}");
    }

    // Mended, both go.
    stage.write("people.csv", "id,nobody\n11,here\n");
    stage.run(&FILE).exits(0);
    assert_eq!(stage.accepted(), ["1", "11", "2", "3"]);
}

#[test]
fn bad_flags_and_files_are_refused() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &people(1, 3))]);
    refused(&stage, &["-f", "nowhere.yaml"], &["failed to read nowhere.yaml", "check the path after -f"]);
    refused(
        &stage,
        &["--config-map", "people=nowhere.csv"],
        &["--config-map people=nowhere.csv", "failed to read the file", "check the path after the ="],
    );
    refused(&stage, &["--config-map", "people"], &["--config-map", "must be NAME=FILE"]);
    refused(&stage, &["--secret", "page=token"], &["--secret", "must be NAME/KEY=FILE"]);
    refused(
        &stage,
        &["--secret", "page/accessToken=env:NOT_SET_ANYWHERE"],
        &["NOT_SET_ANYWHERE is not set", "export it"],
    );
    refused(&stage, &["--no-such-flag"], &["unexpected argument '--no-such-flag'"]);
    refused(&stage, &["-o", "xml"], &["invalid value 'xml'", "text, json"]);
    refused(&stage, &["--test", " "], &["--test: the id is empty"]);
    for arguments in [&["run"][..], &["run", "-f"], &["fly"], &[]] {
        Running::spawn(&mut stage.herald(arguments), None).wait().exits(1);
    }
    for arguments in [["run", "--help"], ["crds", "--help"]] {
        Running::spawn(&mut stage.herald(&arguments), None).wait().exits(0);
    }
}

/// `herald run` of three people on this ledger.
#[track_caller]
fn refused_ledger(stage: &Stage, ledger: &str, parts: &[&str]) {
    stage.documents(50, &[broadcast("sale", &people(1, 3))]);
    Running::spawn(&mut stage.herald(&["run", "-f", "run.yaml", "--ledger", ledger]), None).wait().exits(1).says(parts);
    assert_eq!(stage.requests(), [], "something was sent");
}

#[test]
fn a_ledger_that_cannot_be_used_is_told_by_its_path() {
    let stage = Stage::open(&[]);
    refused_ledger(
        &stage,
        "mysql://localhost/herald",
        &["--ledger", "this is not a ledger", "sqlite:PATH", "postgres://"],
    );
    refused_ledger(
        &stage,
        "sqlite:nowhere/ledger.sqlite",
        &["nowhere/ledger.sqlite", "check that the folder exists and is writable"],
    );
    stage.write("noise.sqlite", "no database, but long enough to be taken for one: ".repeat(200));
    refused_ledger(
        &stage,
        "sqlite:noise.sqlite",
        &["noise.sqlite is not a ledger or is damaged", "choose another with --ledger"],
    );
    std::fs::create_dir(stage.path("folder.sqlite")).unwrap();
    refused_ledger(&stage, "sqlite:folder.sqlite", &["folder.sqlite", "choose another with --ledger"]);
}

#[test]
fn a_ledger_in_use_is_told_with_the_process_that_has_it() {
    let stage = Stage::open(&[]);
    let later = format!("{}  schedule: {{startTime: \"2999-01-01T00:00:00Z\"}}\n", people(1, 3));
    stage.documents(50, &[broadcast("later", &later)]);
    let mut first = stage.start(&[]);
    first.await_said("starts in");
    let pid = first.child.id().to_string();
    refused(&stage, &[], &["ledger.sqlite is in use by process", &pid, "wait for it to end", "--ledger sqlite:PATH"]);
    first.signal("TERM");
    first.wait().exits(3);
}

/// Runs a script of `sh` in a mount namespace of its own, in the stage's folder: `$HERALD` is the program, `$DISK` an
/// empty folder to mount a tmpfs at.
fn on_a_small_disk(stage: &Stage, script: &str) -> Finished {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", script]).current_dir(stage.folder.path());
    command.env("HERALD", env!("CARGO_BIN_EXE_herald")).env("DISK", disk(stage));
    stage.isolate(&mut command);
    Running::spawn(&mut command, None).wait()
}

fn disk(stage: &Stage) -> std::path::PathBuf {
    let disk = stage.path("disk");
    std::fs::create_dir_all(&disk).unwrap();
    disk
}

fn may_mount(stage: &Stage) -> bool {
    can_mount(Path::new(&disk(stage)))
}

#[test]
fn a_full_disk_is_told_and_nothing_is_sent() {
    let stage = Stage::open(&[]);
    if !may_mount(&stage) {
        return;
    }
    stage.documents(50, &[broadcast("sale", &people(1, 3))]);
    let run = "\"$HERALD\" run -f run.yaml --ledger \"sqlite:$DISK/ledger.sqlite\"";
    let full = format!("mount -t tmpfs -o size=64k tmpfs \"$DISK\"; cat /dev/zero >\"$DISK/filler\" || true; {run}");
    on_a_small_disk(&stage, &full)
        .exits(1)
        .says(&["error: no space is left for the ledger", "free some and run again"]);

    // Room for an empty ledger, not for the plan.
    stage.documents(50, &[broadcast("sale", &from_file("Hello"))]);
    let rows: String = (0..40_000).map(|id| format!("{id},{id}-of-many\n")).collect();
    stage.write("people.csv", format!("id,name\n{rows}"));
    let small = format!("mount -t tmpfs -o size=2m tmpfs \"$DISK\"; {run} --config-map people=people.csv");
    on_a_small_disk(&stage, &small)
        .exits(1)
        .says(&["error: no space is left for the ledger", "free some and run again"]);
    assert_eq!(stage.requests(), [], "something was sent");
}

#[test]
fn a_disk_that_fills_up_while_sending_costs_nobody_a_message_twice() {
    let stage = Stage::open(&["--latency", "30-90"]);
    if !may_mount(&stage) {
        return;
    }
    let mut ids: Vec<String> = (1..=900).map(|id| id.to_string()).collect();
    stage.documents(300, &[broadcast("sale", &format!("{}  delivery: {{senders: 2}}\n", people(1, 900)))]);
    let script = r#"
        mount -t tmpfs -o size=8m tmpfs "$DISK"
        herald() { "$HERALD" run -f run.yaml --ledger "sqlite:$DISK/ledger.sqlite" -o json; }
        herald >first.json 2>first.txt & running=$!
        until [ "$(wc -l <record.ndjson)" -ge 150 ]; do sleep 0.02; kill -0 $running; done
        cat /dev/zero >"$DISK/filler" || true
        first=0; wait $running || first=$?
        rm "$DISK/filler"
        second=0; herald || second=$?
        echo "first $first second $second" >codes.txt
    "#;
    let finished = on_a_small_disk(&stage, script).exits(0);
    let first = std::fs::read_to_string(stage.path("first.txt")).unwrap();
    let codes = std::fs::read_to_string(stage.path("codes.txt")).unwrap();
    assert!(codes.starts_with("first 1 second"), "{codes}{first}");
    assert!(first.contains("free"), "{first}");
    let accepted = stage.accepted();
    let line = finished.json().remove(0);
    let sums = |name: &str| line.pointer(&format!("/status/recipients/{name}")).unwrap().as_u64().unwrap();
    assert_eq!(sums("sent") + sums("unknown"), 900, "{line}");
    assert_eq!(sums("pending"), 0);
    assert!(sums("unknown") <= 60, "at most what was on the wire: {line}");
    // An unknown may have been taken or not; whoever counts as sent was.
    ids.retain(|id| accepted.binary_search(id).is_err());
    assert!(ids.len() as u64 <= sums("unknown"), "{} people were left out", ids.len());
}
