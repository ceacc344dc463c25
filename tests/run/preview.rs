//! `herald preview`: what would be sent, without a ledger and without a request to anybody.

use serde_json::Value;

use super::run_support::{Finished, Running, Stage, broadcast, people};

fn preview(stage: &Stage, arguments: &[&str]) -> Finished {
    let arguments: Vec<&str> = ["preview", "-f", "run.yaml"].iter().chain(arguments).copied().collect();
    Running::spawn(&mut stage.herald(&arguments), None).wait()
}

/// `kubectl broadcast preview` in the folder, with no cluster to be found.
fn plugin(stage: &Stage, arguments: &[&str]) -> Finished {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-broadcast"));
    command.arg("preview").args(arguments).current_dir(stage.folder.path());
    stage.isolate(&mut command);
    command.env("KUBECONFIG", stage.path("nowhere"));
    Running::spawn(&mut command, None).wait()
}

/// Three people, of whom one is listed twice and one is left out, in batches of one, at ten a minute.
fn small(name: &str) -> String {
    let spec = "  audience:\n    recipients: [{id: \"1\", vars: {who: Ana}}, {id: \"2\", vars: {who: Søren}}, {id: \"3\", vars: {who: Lea}}]\n    \
                sources:\n    - {name: more, configMapKeyRef: {name: more, key: more.csv}}\n    exclude: {recipients: [{id: \"3\"}]}\n  \
                content: {text: \"Hi {{ who }}!\"}\n  delivery: {batchSize: 1, rate: {messages: 10, periodSeconds: 60}}\n";
    broadcast(name, spec)
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {more.csv: \"id,who\\n1,Ana\\n\"}\n"
}

#[test]
fn a_preview_says_what_a_suspended_broadcast_says_and_leaves_no_trace() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[small("sale")]);
    let told = preview(&stage, &[]).exits(0);
    let expected = "sale: 2 recipients (1 duplicate, 1 excluded)\n  2 batches of at most 1 recipient\n  \
                    about 12 s of sending at 10 a minute\n  sample: Hi Ana!\n  sample: Hi Søren!\n";
    assert_eq!(told.stdout, expected);
    let json: Value = preview(&stage, &["-o", "json"]).exits(0).json().remove(0);
    assert_eq!(stage.requests().len(), 0, "nobody was asked for anything");
    assert!(!stage.path("state").exists() && !stage.path("ledger.sqlite").exists(), "no ledger was made");

    // The same documents, suspended, by a run.
    stage.documents(100, &[small("sale").replacen("spec:\n", "spec:\n  suspend: true\n", 1)]);
    let status = stage.run(&["-o", "json"]).exits(0).json().remove(0)["status"].clone();
    let plan = &json["plan"];
    assert_eq!(plan["planned"], status["recipients"]["planned"]);
    for figure in ["duplicates", "excluded", "samples"] {
        assert_eq!(plan[figure], status["plan"][figure], "{figure}");
    }
    assert_eq!((&plan["batches"], &plan["batchSize"]), (&status["batches"]["total"], &status["batches"]["size"]));
    assert_eq!((&plan["seconds"], &plan["held"], &json["name"]), (&12.into(), &Value::Null, &"sale".into()));
}

/// With a default, or in a condition, a name that is misspelt is no error: it is sent to everybody.
#[test]
fn a_variable_that_nobody_has_is_told_before_anything_is_sent_and_holds_nothing_back() {
    let stage = Stage::open(&[]);
    let rows = "  audience: {recipients: [{id: \"1\", vars: {first_name: Ana, city: Kyiv}}, {id: \"2\"}]}\n";
    let content = "  content: {text: \"Hi {{ firstname | default('there') }}{% if frist_name %}!{% endif %}\"}\n";
    stage.documents(100, &[broadcast("typo", &format!("{rows}{content}"))]);
    let warning = "no recipient has `firstname` (did you mean `first_name`?), `frist_name` (did you mean `first_name`?), \
                   which the message reads; their variables are city, first_name";
    let told = preview(&stage, &[]).exits(0);
    assert!(told.stdout.contains(&format!("\n  warning: {warning}\n  sample: Hi there\n")), "{}", told.stdout);
    let json: Value = preview(&stage, &["-o", "json"]).exits(0).json().remove(0);
    assert_eq!(json["plan"]["warnings"], serde_json::json!([warning]));

    let status = stage.run(&["-o", "json"]).exits(0).says(&[&format!("typo: warning: {warning}")]).json().remove(0);
    assert_eq!(
        (&status["status"]["plan"]["warnings"][0], &status["status"]["recipients"]["sent"]),
        (&warning.into(), &2.into())
    );

    let mended = content.replace("firstname", "first_name").replace("frist_name", "city");
    stage.documents(100, &[broadcast("fine", &format!("{rows}{mended}"))]);
    assert!(!preview(&stage, &[]).exits(0).stdout.contains("warning"));
}

#[test]
fn what_a_run_would_refuse_a_preview_refuses_with_place_and_remedy_and_shows_the_others() {
    let stage = Stage::open(&[]);
    let bad = broadcast("bad", "  audience: {recipients: [{id: \"1\"}]}\n  content: {text: \"Hi {{ who }}\"}\n");
    stage.documents(100, &[bad, broadcast("good", &people(5, 2))]);
    let told =
        preview(&stage, &[]).exits(1).says(&["run.yaml", "BroadcastMessage default/bad", "spec.content.text", "who"]);
    assert!(told.stdout.starts_with("good: 2 recipients"), "{}", told.stdout);
    let json = preview(&stage, &["-o", "json"]).exits(1).json();
    assert_eq!((&json[0]["refused"]["reason"], json[0].get("plan")), (&"MessageInvalid".into(), None));
    assert_eq!(json[1]["plan"]["planned"], 2);
    let run = stage.run(&[]).exits(1);
    let refusal = run.stderr.lines().find(|line| line.contains("default/bad")).unwrap();
    assert!(told.stderr.contains(refusal), "{refusal} is not in:\n{}", told.stderr);
    assert_eq!(stage.requests().len(), 0);
}

#[test]
fn what_would_not_be_sent_at_all_says_so() {
    let stage = Stage::open(&[]);
    let over = people(1, 2) + "  schedule: {endTime: \"2020-01-01T00:00:00Z\"}\n";
    let cancelled = people(3, 2) + "  cancel: true\n";
    stage.documents(100, &[broadcast("over", &over), broadcast("cut", &cancelled), broadcast("soon", &people(5, 2))]);
    let told = preview(&stage, &[]).exits(0).stdout;
    let of = |name: &str| told.split_once(&format!("{name}: ")).unwrap().1.split("sample").next().unwrap();
    assert!(
        of("over").contains("expired: spec.schedule.endTime has passed") && of("cut").contains("cancelled"),
        "{told}"
    );
    assert_eq!(of("soon").lines().count(), 4, "{told}");
}

#[test]
fn whom_another_broadcast_has_left_no_preview_can_know() {
    let stage = Stage::open(&[]);
    let spec = "  audience: {sources: [{name: missed, broadcast: {name: winter, outcomes: [Failed]}}]}\n  content: {text: Again}\n";
    stage.documents(100, &[broadcast("again", spec)]);
    preview(&stage, &[]).exits(1).says(&["only a ledger knows the recipients of winter", "spec.suspend"]);
}

#[test]
fn documents_are_previewed_by_the_plugin_without_a_cluster() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[small("sale")]);
    let told = plugin(&stage, &["-f", "run.yaml"]).exits(0);
    assert_eq!(told.stdout, preview(&stage, &[]).stdout);
    stage.documents(
        100,
        &[broadcast(
            "empty",
            "  audience: {recipients: [{id: \"1\"}], exclude: {recipients: [{id: \"1\"}]}}\n  content: {text: Hi}\n",
        )],
    );
    let refused = plugin(&stage, &["-f", "run.yaml", "-o", "json"]).exits(1).says(&["the audience is empty"]);
    assert_eq!(refused.json()[0]["refused"]["reason"], "AudienceEmpty");
    plugin(&stage, &["sale"]).exits(1).says(&["no cluster can be reached"]);
    plugin(&stage, &["sale", "-f", "run.yaml"]).exits(2);
    plugin(&stage, &[]).exits(2);
}

#[test]
fn documents_without_a_namespace_are_in_the_one_that_is_asked_for() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[small("sale")]);
    let told = plugin(&stage, &["-f", "run.yaml", "-n", "marketing", "-o", "json"]).exits(0).json().remove(0);
    assert_eq!((&told["namespace"], &told["plan"]["planned"]), (&"marketing".into(), &2.into()));
    stage.documents(100, &[small("sale").replace("{name: more}", "{name: more, namespace: sales}")]);
    plugin(&stage, &["-f", "run.yaml", "-n", "marketing"]).exits(1).says(&[
        "ConfigMap sales/more: metadata.namespace: Invalid value: \"sales\": -n says marketing",
        "give -n sales",
    ]);
}

#[test]
fn documents_without_a_namespace_are_in_the_one_of_the_kubeconfig_and_others_where_they_say() {
    let stage = Stage::open(&[]);
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
                      clusters: [{name: one, cluster: {server: \"http://127.0.0.1:9\"}}]\nusers: [{name: one, user: {}}]\n\
                      contexts: [{name: one, context: {cluster: one, user: one, namespace: marketing}}]\n";
    stage.write("kubeconfig", kubeconfig);
    let asked = ["-f", "run.yaml", "-o", "json", "--kubeconfig", "kubeconfig"];
    stage.documents(100, &[small("sale")]);
    assert_eq!(plugin(&stage, &asked).exits(0).json()[0]["namespace"], "marketing");
    assert_eq!(plugin(&stage, &asked[..4]).exits(0).json()[0]["namespace"], "default", "there is no kubeconfig");
    stage.write(
        "run.yaml",
        std::fs::read_to_string(stage.path("run.yaml"))
            .unwrap()
            .replace("metadata: {name: ", "metadata: {namespace: sales, name: "),
    );
    assert_eq!(plugin(&stage, &asked).exits(0).json()[0]["namespace"], "sales");
    plugin(&stage, &["-f", "run.yaml", "--kubeconfig", "absent"]).exits(1).says(&["absent"]);
}

/// No provider is asked for anything, so a token that is not there yet hides nothing.
#[test]
fn a_preview_needs_no_secret_but_those_that_are_read() {
    let stage = Stage::open(&[]);
    let without_token = |broadcast: &str| {
        let channel = stage.channel(100);
        stage.write("run.yaml", format!("{}---\n{broadcast}", channel.split("---\n").next().unwrap()));
    };
    without_token(&small("sale"));
    assert!(preview(&stage, &[]).exits(0).stdout.starts_with("sale: 2 recipients"));
    stage.run(&[]).exits(1).says(&["no Secret \"page\""]);
    without_token(&small("sale").replace("{{ who }}", "{{ who | shout }}"));
    preview(&stage, &[]).exits(1).says(&["spec.content.text", "unknown filter"]);
    // One that is given is looked at, and one that the audience is read from has to be there.
    preview(&stage, &["--secret", "page/token=run.yaml"]).exits(1).says(&["Secret page has no key \"accessToken\""]);
    without_token(&small("sale").replace("configMapKeyRef", "secretKeyRef"));
    preview(&stage, &[]).exits(1).says(&["no Secret \"more\""]);
    assert_eq!(stage.requests().len(), 0);
}

#[test]
fn a_channel_of_any_provider_is_previewed_without_its_secret() {
    let stage = Stage::open(&[]);
    let channels = [
        ("messenger: {pageID: \"1029\"}", "1"),
        ("whatsapp: {phoneNumberID: \"1065\"}", "+15005550001"),
        ("telegram: {botID: \"123\"}", "1"),
        ("slack: {teamID: T0123}", "C01"),
        ("twilio: {accountSID: AC0123456789abcdef0123456789abcdef, from: \"+15005550006\"}", "+15005550001"),
        ("http: {url: \"https://a.example/send?key={{ secret.key }}\", signing: StandardWebhooks}", "1"),
    ];
    for (channel, recipient) in channels {
        let spec = format!("  {channel}\n  credentialsSecretRef: {{name: absent}}\n  rate: {{messages: 1}}\n");
        let channel =
            format!("apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n{spec}");
        let sale = broadcast(
            "sale",
            &format!("  audience: {{recipients: [{{id: \"{recipient}\"}}]}}\n  content: {{text: Hi}}\n"),
        );
        stage.write("run.yaml", format!("{channel}---\n{sale}"));
        assert!(preview(&stage, &[]).exits(0).stdout.starts_with("sale: 1 recipient"), "{channel}");
    }
}

#[test]
fn each_shell_has_a_script_and_kubectl_its_candidates() {
    let stage = Stage::open(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let script = Running::spawn(&mut stage.herald(&["completion", shell]), None).wait().exits(0).stdout;
        assert!(script.contains("herald") && script.contains("preview"), "{shell}");
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-broadcast"));
    command.args(["__complete", "sta"]);
    let told = Running::spawn(&mut command, None).wait().exits(0).stdout;
    assert!(told.starts_with("status\t") && told.ends_with("\n:4\n"), "{told}");
}

#[test]
fn whoever_approves_a_long_text_sees_its_end_or_that_it_goes_on() {
    let stage = Stage::open(&[]);
    let document = |name: &str, text: &str| {
        let spec =
            format!("  suspend: true\n  audience: {{recipients: [{{id: \"1\"}}]}}\n  content: {{text: \"{text}\"}}\n");
        broadcast(name, &spec)
    };
    // As long as Messenger takes it, and an endpoint of one's own that takes any length.
    let whole = format!("{} and to stop, say STOP", "ü".repeat(1_976));
    let endless = format!("{} and to stop, say STOP", "ü".repeat(2_048));
    let endpoint = format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: own}}\nspec:\n  http: {{url: \"{}/send\"}}\n  rate: {{messages: 50}}\n",
        stage.base_url
    );
    let elsewhere = document("two-endless", &endless).replace("name: page", "name: own");
    stage.documents(100, &[document("one-whole", &whole), endpoint, elsewhere]);
    let cut = format!("{}…", "ü".repeat(2_047));
    let told = preview(&stage, &[]).exits(0).stdout;
    let planned_by_plugin = plugin(&stage, &["-f", "run.yaml"]).exits(0).stdout;
    let run = stage.run(&["-o", "json"]).exits(0);
    for sample in [&whole, &cut] {
        let line = format!("  sample: {sample}\n");
        assert!(told.contains(&line) && planned_by_plugin.contains(&line), "{told}\n{planned_by_plugin}");
    }
    for json in
        [preview(&stage, &["-o", "json"]).exits(0).json(), plugin(&stage, &["-f", "run.yaml", "-o", "json"]).json()]
    {
        assert_eq!(
            (&json[0]["plan"]["samples"][0], &json[1]["plan"]["samples"][0]),
            (&whole.as_str().into(), &cut.as_str().into())
        );
    }
    // What a status says, which `kubectl broadcast preview NAME` shows.
    let status = run.json();
    let samples = [0, 1].map(|place| status[place]["status"]["plan"]["samples"][0].as_str().unwrap().to_owned());
    assert_eq!(samples, [whole, cut]);
}
