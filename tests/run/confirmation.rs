//! The question before the first message to a provider elsewhere, `--test`, and the way there: a provider elsewhere is
//! reached through the proxy of the environment, one on this machine never is.

use super::run_support::{Finished, Running, Stage, broadcast, people};

/// A command of a shell at a terminal, where `typed` is typed once a question is shown; what it showed is standard
/// output.
fn at_a_terminal(stage: &Stage, command: &str, typed: &str) -> Finished {
    stage.at_a_terminal(command).types_at("[y/N]", typed).wait()
}

/// What ^C types.
const INTERRUPT: &str = "\u{3}";

/// The start lies far ahead, so that not even a broken question would let a message out.
#[test]
fn a_person_is_asked_before_the_first_message_to_a_provider_elsewhere() {
    let stage = Stage::open(&[]);
    let later = format!("{}  schedule: {{startTime: \"2999-01-01T00:00:00Z\"}}\n", people(1, 3));
    stage.documents(50, &[broadcast("sale", &later)]);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    stage.write("run.yaml", text.replace(&stage.base_url, "https://graph.facebook.com"));
    let run = format!("'{}' run --ledger sqlite:ledger.sqlite", env!("CARGO_BIN_EXE_herald"));
    let plan = "sale: send to 3 people through messenger 1029384756 at graph.facebook.com? [y/N]";
    let test = "send a test message through graph.facebook.com? [y/N]";
    let questions = [
        (format!("{run} -f run.yaml"), plan),
        // Documents that come in by a pipe leave the question to the terminal.
        (format!("cat run.yaml | {run} -f -"), plan),
        (format!("{run} -f run.yaml --test 2"), test),
    ];
    let answers = [("n\n", 1), ("\n", 1), ("what\n", 1), (INTERRUPT, 3)];
    for (typed, code) in answers {
        for (command, question) in &questions {
            let finished = at_a_terminal(&stage, command, typed).exits(code);
            assert!(finished.stdout.contains(question), "{}", finished.stdout);
            let end = match code {
                3 => "interrupted; nothing was sent; run the same command again to go on",
                _ => "not confirmed; nothing was sent",
            };
            assert!(finished.stdout.contains(end), "{}", finished.stdout);
            assert!(!finished.stdout.contains("on the wire"), "nothing was: {}", finished.stdout);
        }
    }
    assert_eq!(stage.requests(), []);
}

/// Documents for a provider elsewhere, and the environment in which the simulator is the proxy on the way to it.
fn elsewhere(stage: &Stage, spec: &str) -> String {
    stage.documents(50, &[broadcast("sale", spec)]);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    stage.write("run.yaml", text.replace(&stage.base_url, "http://graph.example"));
    format!("http_proxy={}", stage.base_url)
}

fn run(environment: &str, arguments: &str) -> String {
    format!(
        "{environment} '{}' run -f run.yaml --ledger sqlite:ledger.sqlite {arguments}",
        env!("CARGO_BIN_EXE_herald")
    )
}

#[test]
fn a_yes_sends_and_whoever_goes_on_is_not_asked_again() {
    for yes in ["y\n", "Y\n", "yes\n"] {
        let stage = Stage::open(&["--latency", "300"]);
        let proxy = elsewhere(&stage, &people(1, 6));
        let running = stage.at_a_terminal(&run(&proxy, "")).types_at("[y/N]", yes);
        stage.await_requests(2);
        running.types_at("sale", INTERRUPT).wait().exits(3);
        let again = stage.at_a_terminal(&run(&proxy, "")).wait().exits(0);
        assert!(!again.stdout.contains("[y/N]"), "{}", again.stdout);
        assert_eq!(stage.accepted(), ["1", "2", "3", "4", "5", "6"]);
    }
}

#[test]
fn with_yes_nobody_is_asked() {
    let stage = Stage::open(&[]);
    let proxy = elsewhere(&stage, &people(1, 2));
    for arguments in ["--test 2 --yes", "--yes"] {
        let finished = stage.at_a_terminal(&run(&proxy, arguments)).wait().exits(0);
        assert!(!finished.stdout.contains("[y/N]"), "{}", finished.stdout);
    }
    assert_eq!(stage.requests().len(), 3, "a test message, and two of the plan");
}

#[test]
fn a_test_message_elsewhere_is_sent_after_a_yes() {
    let stage = Stage::open(&[]);
    let proxy = elsewhere(&stage, &people(1, 3));
    let finished = at_a_terminal(&stage, &run(&proxy, "--test 2"), "y\n").exits(0);
    assert!(finished.stdout.contains("test message accepted by the provider"), "{}", finished.stdout);
    assert!(!finished.stdout.contains("not in the audience"), "{}", finished.stdout);
    assert_eq!(stage.accepted(), ["2"]);
}

#[test]
fn a_test_message_that_is_not_taken_says_so_by_its_exit_code() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &people(1, 3))]);
    let answers = [
        ("190=1", 4, "sale: test message refused: TokenInvalid"),
        ("368=1", 4, "sale: test message refused: TemporarilyBlocked"),
        ("551=1", 2, "sale: test message not taken: PersonUnavailable"),
        ("613=1", 2, "sale: test message not taken: CallRateLimit"),
        ("2=1", 2, "sale: test message not taken: TemporaryOrBlockedByPerson"),
        ("garbage=1", 2, "sale: test message unknown whether it was taken: UnreadableAnswer"),
    ];
    for (fail, code, words) in answers {
        stage.settings(&serde_json::json!({"fail": [fail]}).to_string());
        stage.run(&["--test", "2"]).exits(code).says(&[words]);
    }
    stage.settings(r#"{"fail": []}"#);
    stage.run(&["--test", " "]).exits(1).says(&["--test: "]);
    assert_eq!(stage.requests().len(), answers.len(), "one request each");
    assert!(!stage.path("ledger.sqlite").exists());
}

#[test]
fn a_test_message_of_several_parts_comes_whole_until_a_part_is_not_taken() {
    let stage = Stage::open(&[]);
    let picture = |number| format!("{{type: Image, url: \"https://a.example/{number}.png\"}}");
    let pictures = [1, 2].map(picture).join(", ");
    let spec = format!(
        "  audience: {{recipients: [{{id: \"1\"}}]}}\n  content: {{text: \"Hello\", attachments: [{pictures}]}}\n"
    );
    stage.documents(100, &[broadcast("sale", &spec)]);
    stage
        .run(&["--test", "1"])
        .exits(0)
        .says(&["test message accepted", "text: Hello | Image https://a.example/1.png"]);
    let came: Vec<_> = stage.requests().iter().map(|line| line.correlation.clone().unwrap()).collect();
    assert_eq!(came, ["test:0:0:0", "test:0:0:1", "test:0:0:2"]);
    stage.settings(r#"{"fail": ["551=1"]}"#);
    stage.run(&["--test", "1"]).exits(2).says(&["not taken: PersonUnavailable", "(part 1 of 3)"]);
    assert_eq!(stage.requests().len(), 4, "none after it");
}

#[test]
fn nobody_is_asked_about_a_provider_on_this_machine() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &people(1, 2))]);
    let finished = stage.at_a_terminal(&run("", "")).wait().exits(0);
    assert!(!finished.stdout.contains("[y/N]"), "{}", finished.stdout);
    assert_eq!(stage.accepted(), ["1", "2"]);
}

#[test]
fn a_provider_on_this_machine_is_not_reached_through_a_proxy() {
    let stage = Stage::open(&[]);
    stage.documents(50, &[broadcast("sale", &people(1, 2))]);
    let mut command = stage.herald(&["run", "-f", "run.yaml", "--ledger", "sqlite:ledger.sqlite"]);
    // Nobody listens there.
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(variable, "http://127.0.0.1:9");
    }
    Running::spawn(&mut command, None).wait().exits(0);
    let test = run("http_proxy=http://127.0.0.1:9", "--test 1");
    stage.at_a_terminal(&test).wait().exits(0);
    assert_eq!(stage.requests().len(), 3);
}

#[test]
fn a_test_recipient_who_is_not_in_the_audience_is_said_to_borrow_variables() {
    let stage = Stage::open(&[]);
    let greeting = "  audience: {recipients: [{id: \"1\", vars: {name: Ana}}]}\n  content: {text: \"Hi {{ name }}\"}\n";
    stage.documents(100, &[broadcast("sale", greeting)]);
    let known = stage.run(&["--test", "1"]).exits(0).says(&["text: Hi Ana"]);
    assert!(!known.stderr.contains("not in the audience"), "{}", known.stderr);
    let stranger = stage.run(&["--test", "555"]).exits(0);
    stranger.says(&["text: Hi Ana", "is not in the audience; the variables are those of its first recipient"]);
    assert_eq!(stage.accepted(), ["1", "555"]);
}
